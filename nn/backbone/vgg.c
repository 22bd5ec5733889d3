#include "nn/backbone/families.h"

/* Layers are numbered as in torchvision's nn.Sequential, where ReLUs and pools count. */
void backbone_vgg(struct nn_graph *g, int images, const struct vgg *vgg, enum nn_norm norm, struct backbone *backbone) {
  static const int64_t CHANNELS[5] = {64, 128, 256, 512, 512};
  char name[32];
  int x = images, index = 0;
  for (int stage = 0; stage < 5; stage++) {
    for (int i = 0; i < vgg->convs[stage]; i++) {
      snprintf(name, sizeof name, "features.%d", index++);
      x = nn_conv(
          g, x, name,
          (struct nn_conv){
              .out = CHANNELS[stage], .kernel = 3, .stride = 1, .pad = 1, .dilation = 1, .groups = 1, .bias = true});
      if (vgg->norm) {
        snprintf(name, sizeof name, "features.%d", index++);
        x = backbone_norm(g, x, name, norm);
      }
      x = nn_relu(g, x);
      index++;
    }
    x = nn_max_pool(g, x, 2, 2, 0);
    index++;
    backbone->stages[stage + 1] = x;
  }
}
