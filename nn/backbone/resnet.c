#include "nn/backbone/families.h"

enum { NAME_SIZE = 64 };

struct block {
  const char *name; /* "layer1.0" */
  const struct resnet *resnet;
  enum nn_norm norm;
  bool zero_init_residual;
  int64_t planes;
  int stride;
};

/* NAME.CONV and its norm NAME.NORM. The padding keeps the extent at stride 1. */
static int conv_norm(struct nn_graph *g, int x, const struct block *block, const char *conv, const char *norm,
                     struct nn_conv form) {
  char conv_name[NAME_SIZE], norm_name[NAME_SIZE];
  snprintf(conv_name, sizeof conv_name, "%s.%s", block->name, conv);
  snprintf(norm_name, sizeof norm_name, "%s.%s", block->name, norm);
  form.pad = form.kernel / 2;
  form.dilation = 1;
  if (form.groups == 0) form.groups = 1;
  return backbone_norm(g, nn_conv(g, x, conv_name, form), norm_name, block->norm);
}

static int basic_branch(struct nn_graph *g, int x, const struct block *b) {
  x = conv_norm(g, x, b, "conv1", "bn1", (struct nn_conv){.out = b->planes, .kernel = 3, .stride = b->stride});
  x = nn_relu(g, x);
  return conv_norm(g, x, b, "conv2", "bn2", (struct nn_conv){.out = b->planes, .kernel = 3, .stride = 1});
}

static int bottleneck_branch(struct nn_graph *g, int x, const struct block *b) {
  int64_t groups = b->resnet->groups, width = b->planes * b->resnet->width / 64 * groups;
  x = conv_norm(g, x, b, "conv1", "bn1", (struct nn_conv){.out = width, .kernel = 1, .stride = 1});
  x = nn_relu(g, x);
  x = conv_norm(g, x, b, "conv2", "bn2",
                (struct nn_conv){.out = width, .kernel = 3, .stride = b->stride, .groups = groups});
  x = nn_relu(g, x);
  return conv_norm(g, x, b, "conv3", "bn3", (struct nn_conv){.out = 4 * b->planes, .kernel = 1, .stride = 1});
}

static int add_block(struct nn_graph *g, int x, const struct block *b) {
  int64_t out = b->resnet->bottleneck ? 4 * b->planes : b->planes;
  int branch = b->resnet->bottleneck ? bottleneck_branch(g, x, b) : basic_branch(g, x, b);
  if (b->zero_init_residual) {
    char gamma[NAME_SIZE];
    snprintf(gamma, sizeof gamma, "%s.%s.weight", b->name, b->resnet->bottleneck ? "bn3" : "bn2");
    nn_initial_set(g, gamma, (struct nn_initial){NN_CONSTANT, 0});
  }
  int shortcut = x;
  if (b->stride != 1 || nn_channels(g, x) != out) {
    struct nn_conv form = {.out = out, .kernel = 1, .stride = b->stride};
    shortcut = conv_norm(g, x, b, "downsample.0", "downsample.1", form);
  }
  return nn_relu(g, nn_add(g, branch, shortcut));
}

void backbone_resnet(struct nn_graph *g, int images, const struct resnet *resnet, enum nn_norm norm,
                     bool zero_init_residual, struct backbone *backbone) {
  struct nn_conv stem = {.out = 64, .kernel = 7, .stride = 2, .pad = 3, .dilation = 1, .groups = 1};
  int x = nn_relu(g, backbone_norm(g, nn_conv(g, images, "conv1", stem), "bn1", norm));
  x = nn_max_pool(g, x, 3, 2, 1);
  for (int layer = 1; layer <= 4; layer++) {
    for (int i = 0; i < resnet->blocks[layer - 1]; i++) {
      char name[NAME_SIZE / 2];
      snprintf(name, sizeof name, "layer%d.%d", layer, i);
      x = add_block(g, x,
                    &(struct block){.name = name,
                                    .resnet = resnet,
                                    .norm = norm,
                                    .zero_init_residual = zero_init_residual,
                                    .planes = (int64_t)32 << layer,
                                    .stride = layer > 1 && i == 0 ? 2 : 1});
    }
    backbone->stages[layer + 1] = x;
  }
}
