/* What other libraries call the same parameters. timm's resnet.py and vgg.py name backbones as torchvision does;
 * Detectron2's modeling/backbone/resnet.py puts a convolution's norm inside it; MMDetection's resnet.py and ssd_vgg.py
 * name as torchvision does, except that a group norm is "gn1" where a batch norm is "bn1". */
#include <string.h>

#include "nn/weights.h"

const char *const weights_layout_names[] = {"torchvision", "timm", "detectron2", "mmdetection", NULL};

static bool begins(const char *text, const char *start) {
  return !strncmp(text, start, strlen(start));
}

/* A name of a ResNet: "layerSTAGE.BLOCK.REST", or REST alone, and then stage is 0. */
struct place {
  int stage, block;
  const char *rest;
};

static struct place split(const char *name) {
  int stage, block, used = 0;
  if (sscanf(name, "layer%1d.%4d.%n", &stage, &block, &used) != 2 || used == 0) return (struct place){.rest = name};
  return (struct place){stage, block, name + used};
}

int weights_name_detectron2(const char *name, char *renamed, size_t size) {
  static const struct {
    const char *from, *to;
  } rules[] = {
      {"conv", "conv"},        {"bn1.", "conv1.norm."},        {"bn2.", "conv2.norm."},
      {"bn3.", "conv3.norm."}, {"downsample.0.", "shortcut."}, {"downsample.1.", "shortcut.norm."},
  };
  struct place place = split(name);
  char folder[32] = "stem.";
  if (place.stage > 0) snprintf(folder, sizeof folder, "res%d.%d.", place.stage + 1, place.block);
  for (size_t i = 0; i < COUNT_OF(rules); i++) {
    if (!begins(place.rest, rules[i].from)) continue;
    const char *rest = place.rest + strlen(rules[i].from);
    return snprintf(renamed, size, "%s%s%s", folder, rules[i].to, rest);
  }
  return -1;
}

int weights_name_group_norm(const char *name, char *renamed, size_t size) {
  const char *rest = split(name).rest;
  if (!begins(rest, "bn")) return snprintf(renamed, size, "%s", name);
  return snprintf(renamed, size, "%.*sgn%s", (int)(rest - name), name, rest + 2);
}

int weights_rename(const char *name, const char *arch, enum weights_layout layout, bool group_norm, char *renamed,
                   size_t size, struct error *error) {
  const char *title = weights_layout_names[layout];
  bool vgg = begins(arch, "vgg"), wide = begins(arch, "wide_resnet"), resnet = wide || begins(arch, "res");
  bool backbone = vgg ? begins(name, "features.") : begins(name, "layer") || begins(name, "conv") || begins(name, "bn");
  bool same = layout == WEIGHTS_TORCHVISION || (layout == WEIGHTS_TIMM && (resnet || (vgg && backbone)));
  char base[WEIGHTS_NAME_SIZE] = "";
  int length = -1;
  if (same) {
    length = snprintf(renamed, size, "%s", name);
  } else if (!(vgg || resnet) || (layout == WEIGHTS_DETECTRON2 && vgg) || (layout == WEIGHTS_MMDETECTION && wide)) {
    return error_set(error, "the layout '%s' has no %s; choose 'torchvision'", title, arch);
  } else if (backbone && layout == WEIGHTS_DETECTRON2) {
    length = weights_name_detectron2(name, base, sizeof base);
    if (length >= 0) length = snprintf(renamed, size, "backbone.bottom_up.%s", base);
  } else if (backbone && layout == WEIGHTS_MMDETECTION) {
    if (group_norm) weights_name_group_norm(name, base, sizeof base);
    length = snprintf(renamed, size, "backbone.%s", group_norm ? base : name);
  }
  if (length < 0) return error_set(error, "%s has no place in the layout '%s' of %s", name, title, arch);
  return (size_t)length < size ? 0 : error_set(error, "%s: the name is too long", name);
}
