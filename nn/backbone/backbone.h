/* nn/backbone - the networks that detectors stand on, as graph builders with torchvision's parameter names, layouts and
 * semantics (ResNet "v1.5": the stride is in the 3 x 3 convolution).
 *
 *   resnet18 34 50 101 152     He et al., CVPR 2016
 *   resnext50_32x4d, resnext101_32x8d, resnext101_64x4d   Xie et al., CVPR 2017
 *   wide_resnet50_2            Zagoruyko and Komodakis, BMVC 2016
 *   vgg11 13 16 19, and vgg11_bn ... vgg19_bn   Simonyan and Zisserman, ICLR 2015
 */
#ifndef JIGSAW_NN_BACKBONE_H
#define JIGSAW_NN_BACKBONE_H

#include "nn/graph.h"

extern const char *const backbone_names[]; /* NULL-terminated */

struct backbone {
  int stages[6];    /* nodes: [2] .. [5] are C2 .. C5, at strides 4, 8, 16, 32 (of VGG: after its pools 2 to 5) */
  int64_t channels; /* of C5 */
};

/* What torchvision calls the classifier of such a network: "fc" or "classifier". */
const char *backbone_classifier(const char *arch);

/* The norm of an architecture when nobody chooses: BATCH for ResNets and vgg*_bn, NONE for vgg*. */
int backbone_default_norm(const char *arch, enum nn_norm *norm, struct error *error);

/* Adds the network to the graph, from `images` (3 channels, RGB, normalised) to C5, with the initial values of
 * torchvision (ResNet: kaiming_normal_ fan_out; VGG: the same, biases 0; norms 1 and 0). With `zero_init_residual` the
 * last norm of each block begins with gamma 0 (torchvision's option; not in VGG). Fails for an unknown name (and lists
 * the known ones) and for a norm that the network does not come with: NONE in ResNets, any norm in vggNN without _bn.
 */
int backbone_build(struct nn_graph *graph, int images, const char *arch, enum nn_norm norm, bool zero_init_residual,
                   struct backbone *backbone, struct error *error);

#endif
