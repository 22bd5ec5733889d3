#include <string.h>

#include "nn/backbone/families.h"

static const struct resnet RESNETS[] = {
    {"resnet18", false, {2, 2, 2, 2}, 1, 64},         {"resnet34", false, {3, 4, 6, 3}, 1, 64},
    {"resnet50", true, {3, 4, 6, 3}, 1, 64},          {"resnet101", true, {3, 4, 23, 3}, 1, 64},
    {"resnet152", true, {3, 8, 36, 3}, 1, 64},        {"resnext50_32x4d", true, {3, 4, 6, 3}, 32, 4},
    {"resnext101_32x8d", true, {3, 4, 23, 3}, 32, 8}, {"resnext101_64x4d", true, {3, 4, 23, 3}, 64, 4},
    {"wide_resnet50_2", true, {3, 4, 6, 3}, 1, 128},
};

static const struct vgg VGGS[] = {
    {"vgg11", false, {1, 1, 2, 2, 2}},   {"vgg13", false, {2, 2, 2, 2, 2}},   {"vgg16", false, {2, 2, 3, 3, 3}},
    {"vgg19", false, {2, 2, 4, 4, 4}},   {"vgg11_bn", true, {1, 1, 2, 2, 2}}, {"vgg13_bn", true, {2, 2, 2, 2, 2}},
    {"vgg16_bn", true, {2, 2, 3, 3, 3}}, {"vgg19_bn", true, {2, 2, 4, 4, 4}},
};

const char *const backbone_names[] = {
    "resnet18",         "resnet34",        "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "resnext101_32x8d",
    "resnext101_64x4d", "wide_resnet50_2", "vgg11",    "vgg13",     "vgg16",     "vgg19",           "vgg11_bn",
    "vgg13_bn",         "vgg16_bn",        "vgg19_bn", NULL,
};

static const struct resnet *find_resnet(const char *arch) {
  for (size_t i = 0; i < COUNT_OF(RESNETS); i++) {
    if (strcmp(RESNETS[i].name, arch) == 0) return &RESNETS[i];
  }
  return NULL;
}

static const struct vgg *find_vgg(const char *arch) {
  for (size_t i = 0; i < COUNT_OF(VGGS); i++) {
    if (strcmp(VGGS[i].name, arch) == 0) return &VGGS[i];
  }
  return NULL;
}

static int unknown(const char *arch, struct error *error) {
  char known[512] = "";
  for (size_t i = 0, size = 0; backbone_names[i] && size < sizeof known; i++) {
    size += (size_t)snprintf(known + size, sizeof known - size, " %s", backbone_names[i]);
  }
  return error_set(error, "there is no network '%.100s'; known are:%s", arch, known);
}

const char *backbone_classifier(const char *arch) {
  return find_vgg(arch) ? "classifier" : "fc";
}

int backbone_default_norm(const char *arch, enum nn_norm *norm, struct error *error) {
  const struct vgg *vgg = find_vgg(arch);
  if (!vgg && !find_resnet(arch)) return unknown(arch, error);
  *norm = vgg && !vgg->norm ? NN_NORM_NONE : NN_NORM_BATCH;
  return 0;
}

int backbone_norm(struct nn_graph *g, int x, const char *name, enum nn_norm norm) {
  return norm == NN_NORM_GROUP ? nn_group_norm(g, x, name, 32) : nn_batch_norm(g, x, name, norm);
}

int backbone_build(struct nn_graph *graph, int images, const char *arch, enum nn_norm norm, bool zero_init_residual,
                   struct backbone *backbone, struct error *error) {
  enum nn_norm usual = NN_NORM_NONE;
  if (backbone_default_norm(arch, &usual, error)) return -1;
  if (usual == NN_NORM_NONE && norm != NN_NORM_NONE) {
    return error_set(error, "%s has no norm layers; take %s_bn, or no norm", arch, arch);
  }
  if (usual != NN_NORM_NONE && norm == NN_NORM_NONE)
    return error_set(error, "%s needs norm layers: bn, frozen or gn; without any it does not learn", arch);
  const struct resnet *resnet = find_resnet(arch);
  if (resnet) {
    backbone_resnet(graph, images, resnet, norm, zero_init_residual, backbone);
  } else {
    backbone_vgg(graph, images, find_vgg(arch), norm, backbone);
  }
  backbone->channels = nn_channels(graph, backbone->stages[5]);
  return nn_graph_error(graph, error);
}
