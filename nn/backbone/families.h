/* nn/backbone/families - what backbone.c's tables and the families' builders share. */
#ifndef JIGSAW_NN_BACKBONE_FAMILIES_H
#define JIGSAW_NN_BACKBONE_FAMILIES_H

#include "nn/backbone/backbone.h"

/* Four stages of residual blocks. A bottleneck's 3 x 3 convolution has `groups` groups of `width` channels in the first
 * stage, and twice as many channels in each that follows. */
struct resnet {
  const char *name;
  bool bottleneck;
  int blocks[4];
  int64_t groups, width;
};

/* Five stages of 3 x 3 convolutions, each followed by a pool; `norm`: torchvision's "_bn". */
struct vgg {
  const char *name;
  bool norm;
  int convs[5];
};

void backbone_resnet(struct nn_graph *g, int images, const struct resnet *resnet, enum nn_norm norm,
                     bool zero_init_residual, struct backbone *backbone);
void backbone_vgg(struct nn_graph *g, int images, const struct vgg *vgg, enum nn_norm norm, struct backbone *backbone);

/* Any norm but NONE, under the one name that torchvision gives them all. */
int backbone_norm(struct nn_graph *g, int x, const char *name, enum nn_norm norm);

#endif
