/* nn/weights - parameters to and from safetensors files, under torchvision's names and those of other libraries.
 */
#ifndef JIGSAW_NN_WEIGHTS_H
#define JIGSAW_NN_WEIGHTS_H

#include "nn/params.h"
#include "nn/safetensors.h"

enum { WEIGHTS_NAME_SIZE = 512, WEIGHTS_SHAPE_SIZE = 256 };

/* What a file and a model have in common. Lists are of names, fit to be shown (for shapes: "NAME: file [a, b], model
 * [c, d]"). */
struct weights_match {
  struct arena arena;
  const char *naming; /* whose names the file has: "torchvision", "detectron2", "mmdetection", "Hugging Face" */
  const char *prefix; /* what stands before each of them: "module.", "backbone.body."; else "" */
  const char **matched, **missing, **extra, **shapes; /* missing: in the model only; extra: in the file only */
  size_t matched_count, missing_count, extra_count, shapes_count;
};

/* Copies every tensor of the file that has a parameter's name and shape into `params`. Names may be those of any layout
 * below or of Hugging Face's ResNets, behind any prefix, whichever fits best (weights_naming.c); it fails when two
 * prefixes fit equally well. The weights of detectors' heads, classifiers and the like are simply extra, the momenta of
 * a checkpoint (nn/checkpoint.h) are passed by. A `num_batches_tracked` that the file lacks is not reported missing.
 * Does not fail on what does not fit: that is for the caller to judge by `match`. */
int weights_load(struct nn_params *params, const char *path, struct weights_match *match, struct error *error);
void weights_match_free(struct weights_match *match);

/* A few lines for people: the counts, then at most `limit` names of each kind; or all in one line, for a message. */
int weights_match_describe(const struct weights_match *match, size_t limit, bool lines, struct buffer *text,
                           struct error *error);

/* Says what a file is that is no safetensors file, and how it becomes one: fails with that. 0: it is unknown. */
int weights_foreign(const uint8_t *data, size_t size, const char *path, struct error *error);

/* How a file names what torchvision calls by other names. */
struct weights_naming {
  int (*rename)(const char *name, char *renamed, size_t size); /* the length; -1: has no such thing */
  const char *title;
  const char *prefix; /* in the file's memory, not terminated */
  size_t prefix_size;
};

/* The naming under which most parameters are found in the file: torchvision's without a prefix, unless another finds
 * more of them, and a quarter of all, or uses half of the file. */
int weights_naming_find(struct weights_naming *naming, const struct nn_params *params, const struct safetensors *file,
                        const char *path, struct error *error);

/* The parameter's tensor under this naming; NULL: none. */
const struct safetensors_entry *weights_naming_entry(const struct weights_naming *naming,
                                                     const struct safetensors *file, const char *name);

bool weights_same_shape(const struct nn_param *param, const struct safetensors_entry *entry);

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

/* weights_layout.c's part of that: a name of a ResNet as Detectron2, and with a group norm as MMDetection, have it
 * behind their prefix. The length; -1: has no such thing. */
int weights_name_detectron2(const char *name, char *renamed, size_t size);
int weights_name_group_norm(const char *name, char *renamed, size_t size);

/* One name in another layout; fails for networks, and parts of them, that the layout does not know. MMDetection's names
 * depend on the norm: `group_norm`. */
int weights_rename(const char *name, const char *arch, enum weights_layout layout, bool group_norm, char *renamed,
                   size_t size, struct error *error);

#endif
