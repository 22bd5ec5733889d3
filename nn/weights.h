/* nn/weights - parameters to and from safetensors files, under torchvision's names and those of other libraries.
 */
#ifndef JIGSAW_NN_WEIGHTS_H
#define JIGSAW_NN_WEIGHTS_H

#include "nn/params.h"
#include "nn/safetensors.h"

enum { WEIGHTS_NAME_SIZE = 512, WEIGHTS_SHAPE_SIZE = 256 };

/* What a file and a model have in common. Lists are of names (for shapes: "NAME: file [a, b], model [c, d]"). */
struct weights_match {
  struct arena arena;
  const char **matched, **missing, **extra, **shapes; /* missing: in the model only; extra: in the file only */
  size_t matched_count, missing_count, extra_count, shapes_count;
};

/* Copies every tensor of the file that has a parameter's name and shape into `params`. The weights of detectors' heads,
 * classifiers and the like are simply extra. A `num_batches_tracked` that the file lacks is not reported missing. Does
 * not fail on what does not fit: that is for the caller to judge by `match`. */
int weights_load(struct nn_params *params, const char *path, struct weights_match *match, struct error *error);
void weights_match_free(struct weights_match *match);

/* A few lines for people: the counts, then at most `limit` names of each kind. */
int weights_match_describe(const struct weights_match *match, size_t limit, struct buffer *text, struct error *error);

/* "[64, 3, 7, 7]"; its length. At most SAFETENSORS_RANK_MAX dimensions. */
int weights_shape_text(char text[WEIGHTS_SHAPE_SIZE], int rank, const int64_t dims[]);

enum weights_layout {
  WEIGHTS_TORCHVISION,
  WEIGHTS_TIMM,        /* timm's names for the same networks */
  WEIGHTS_DETECTRON2,  /* backbone.bottom_up.stem.conv1.weight, ... .norm.weight */
  WEIGHTS_MMDETECTION, /* backbone.conv1.weight, ... */
};

extern const char *const weights_layout_names[]; /* "torchvision", "timm", "detectron2", "mmdetection", NULL */

/* Writes the parameters, but for those whose names begin with `without` (NULL: all), as float32 (the count of batches
 * as int64), with `notes` as metadata. `arch` decides how
 * names translate. */
int weights_save(const struct nn_params *params, const char *path, const char *arch, enum weights_layout layout,
                 const char *without, const struct safetensors_text *notes, size_t note_count, struct error *error);

/* One name in another layout; fails for networks, and parts of them, that the layout does not know. MMDetection's names
 * depend on the norm: `group_norm`. */
int weights_rename(const char *name, const char *arch, enum weights_layout layout, bool group_norm, char *renamed,
                   size_t size, struct error *error);

#endif
