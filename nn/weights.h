/* nn/weights - parameters to and from safetensors files, under torchvision's names and those of other libraries.
 */
#ifndef JIGSAW_NN_WEIGHTS_H
#define JIGSAW_NN_WEIGHTS_H

#include "nn/params.h"
#include "nn/safetensors.h"

/* What a file and a model have in common. Lists are of names (for shapes: "NAME: file [a, b], model [c, d]"). */
struct weights_match {
  struct arena arena;
  const char **matched, **missing, **extra, **shapes; /* missing: in the model only; extra: in the file only */
  size_t matched_count, missing_count, extra_count, shapes_count;
};

/* Copies every tensor of the file that has a parameter's name and shape into `params`. Gradients and momenta of
 * detectors' heads, classifiers and the like are simply extra. A `num_batches_tracked` that the file lacks is not
 * reported missing. Does not fail on what does not fit: that is for the caller to judge by `match`. */
int weights_load(struct nn_params *params, const char *path, struct weights_match *match, struct error *error);
void weights_match_free(struct weights_match *match);

/* A few lines for people: the counts, then at most `limit` names of each kind. */
int weights_match_describe(const struct weights_match *match, size_t limit, struct buffer *text, struct error *error);

enum weights_layout {
  WEIGHTS_TORCHVISION,
  WEIGHTS_TIMM,        /* timm's names for the same networks */
  WEIGHTS_DETECTRON2,  /* backbone.bottom_up.stem.conv1.weight, ... .norm.weight */
  WEIGHTS_MMDETECTION, /* backbone.conv1.weight, ... */
};

extern const char *const weights_layout_names[]; /* "torchvision", "timm", "detectron2", "mmdetection", NULL */

/* Writes the parameters whose names begin with `prefix` ("" for all) and not with `without` (NULL: none), float32 (the
 * count of batches int64), with `notes` (pairs of key and text, NULL-terminated) as metadata. `arch` decides how names
 * translate. */
int weights_save(const struct nn_params *params, const char *path, const char *arch, enum weights_layout layout,
                 const char *without, const char *const notes[][2], struct error *error);

/* One name in another layout; fails for networks that the layout does not know. */
int weights_rename(const char *name, const char *arch, enum weights_layout layout, char *renamed, size_t size,
                   struct error *error);

#endif
