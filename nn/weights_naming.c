/* Whose names a file has, and what stands before them. Wrappers of training code, detectors and self-supervised methods
 * put a prefix of their own before a backbone's names ("module.", "backbone.body.", "module.encoder_q."): whatever
 * stands before a name, and a dot, is a candidate, and that which most parameters of the right shape have in common is
 * the one. */
#include <stdlib.h>
#include <string.h>

#include "nn/weights.h"

static int as_it_is(const char *name, char *renamed, size_t size) {
  return snprintf(renamed, size, "%s", name);
}

/* transformers' modeling_resnet.py: the stem is an "embedder", "layer1.0.conv1" and "bn1" are a "convolution" and a
 * "normalization" of "encoder.stages.0.layers.0.layer.0", the classifier follows a flattening. */
static int hugging_face(const char *name, char *renamed, size_t size) {
  int stage, block, index, used = 0;
  if (sscanf(name, "layer%1d.%4d.%n", &stage, &block, &used) != 2 || used == 0) {
    if (!strncmp(name, "conv1.", 6)) return snprintf(renamed, size, "embedder.embedder.convolution.%s", name + 6);
    if (!strncmp(name, "bn1.", 4)) return snprintf(renamed, size, "embedder.embedder.normalization.%s", name + 4);
    return -1;
  }
  const char *rest = name + used;
  char kind[12];
  int end = 0;
  if (sscanf(rest, "downsample.%1d.%n", &index, &end) == 1 && end > 0) {
    return snprintf(renamed, size, "encoder.stages.%d.layers.%d.shortcut.%s.%s", stage - 1, block,
                    index == 0 ? "convolution" : "normalization", rest + end);
  }
  if (sscanf(rest, "%4[a-z]%1d.%n", kind, &index, &end) != 2 || end == 0) return -1;
  return snprintf(renamed, size, "encoder.stages.%d.layers.%d.layer.%d.%s.%s", stage - 1, block, index - 1,
                  strcmp(kind, "bn") != 0 ? "convolution" : "normalization", rest + end);
}

static const struct weights_naming namings[] = {{as_it_is, "torchvision", "", 0},
                                                {weights_name_group_norm, "mmdetection", "", 0},
                                                {weights_name_detectron2, "detectron2", "", 0},
                                                {hugging_face, "Hugging Face", "", 0}};

bool weights_same_shape(const struct nn_param *param, const struct safetensors_entry *entry) {
  if (param->rank != entry->rank) return false;
  for (int i = 0; i < param->rank; i++) {
    if (param->dims[i] != entry->dims[i]) return false;
  }
  return true;
}

/* A naming, and how many parameters of their shapes it finds. */
struct candidate {
  struct weights_naming naming;
  size_t found;
};

enum { CANDIDATES_MAX = 4096 }; /* files have a few, the most of them by chance */

struct candidates {
  struct candidate *list;
  size_t count, capacity;
};

static int count_one(struct candidates *candidates, size_t first, const struct weights_naming *naming,
                     const char *prefix, size_t size, struct error *error) {
  for (size_t i = first; i < candidates->count; i++) {
    struct candidate *candidate = &candidates->list[i];
    if (candidate->naming.prefix_size != size || memcmp(candidate->naming.prefix, prefix, size) != 0) continue;
    candidate->found++;
    return 0;
  }
  if (candidates->count == CANDIDATES_MAX) return 0;
  void *list = candidates->list;
  if (array_reserve(&list, &candidates->capacity, candidates->count + 1, sizeof *candidates->list, error)) return -1;
  candidates->list = list;
  struct candidate *added = &candidates->list[candidates->count++];
  *added = (struct candidate){*naming, 1};
  added->naming.prefix = prefix, added->naming.prefix_size = size;
  return 0;
}

/* Adds what stands before this parameter's name in the file. */
static int count_param(struct candidates *candidates, size_t first, const struct weights_naming *naming,
                       const struct nn_param *param, const struct safetensors *file, struct error *error) {
  char name[WEIGHTS_NAME_SIZE];
  int length = naming->rename(param->name, name, sizeof name);
  if (length < 0 || (size_t)length >= sizeof name) return 0;
  for (size_t i = 0; i < file->count; i++) {
    const struct safetensors_entry *entry = &file->entries[i];
    size_t whole = strlen(entry->name), size = whole - (size_t)length;
    if (whole < (size_t)length || memcmp(entry->name + size, name, (size_t)length) != 0) continue;
    if (size > 0 && entry->name[size - 1] != '.') continue;
    if (weights_same_shape(param, entry) && count_one(candidates, first, naming, entry->name, size, error)) return -1;
  }
  return 0;
}

static int choose(struct weights_naming *naming, const struct candidates *candidates, size_t params, size_t entries,
                  const char *path, struct error *error) {
  const struct candidate *best = &candidates->list[0], *other = NULL;
  for (size_t i = 1; i < candidates->count; i++) {
    const struct candidate *next = &candidates->list[i];
    bool serious = next->found * 4 >= params || next->found * 2 >= entries;
    if (!serious || next->found < best->found) continue;
    if (next->found > best->found) {
      best = next;
      other = NULL;
    } else if (next->naming.rename == best->naming.rename && best->naming.prefix_size > 0) {
      other = next;
    }
  }
  if (other) {
    return error_set(
        error, "%s: the names under \"%.*s\" fit as well as those under \"%.*s\": leave one of the two in the file",
        path, (int)other->naming.prefix_size, other->naming.prefix, (int)best->naming.prefix_size, best->naming.prefix);
  }
  *naming = best->naming;
  return 0;
}

int weights_naming_find(struct weights_naming *naming, const struct nn_params *params, const struct safetensors *file,
                        const char *path, struct error *error) {
  struct candidates candidates = {0};
  int result = count_one(&candidates, 0, &namings[0], "", 0, error); /* torchvision's own are the first */
  if (result == 0) candidates.list[0].found = 0;
  for (size_t n = 0; n < COUNT_OF(namings); n++) {
    size_t first = n == 0 ? 0 : candidates.count;
    for (size_t i = 0; result == 0 && i < params->count; i++) {
      result = count_param(&candidates, first, &namings[n], params->items[i], file, error);
    }
  }
  if (result == 0) result = choose(naming, &candidates, params->count, file->count, path, error);
  free(candidates.list);
  return result;
}

const struct safetensors_entry *weights_naming_entry(const struct weights_naming *naming,
                                                     const struct safetensors *file, const char *name) {
  char renamed[WEIGHTS_NAME_SIZE], whole[2 * WEIGHTS_NAME_SIZE];
  int length = naming->rename(name, renamed, sizeof renamed);
  if (length < 0 || (size_t)length >= sizeof renamed || naming->prefix_size >= WEIGHTS_NAME_SIZE) return NULL;
  snprintf(whole, sizeof whole, "%.*s%s", (int)naming->prefix_size, naming->prefix, renamed);
  return safetensors_find(file, whole);
}
