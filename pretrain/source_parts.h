/* What the files of pretrain/source share and nobody else needs. */
#ifndef JIGSAW_PRETRAIN_SOURCE_PARTS_H
#define JIGSAW_PRETRAIN_SOURCE_PARTS_H

#include "pretrain/source.h"

struct source_picture {
  const char *name; /* relative to source->pictures_folder */
  int64_t size;     /* of the file; -1: there is no regular file of that name */
  int32_t labels[JIG_REGIONS];
};

struct source {
  enum source_kind kind;
  enum source_part part;
  struct source_options options;
  struct arena arena;
  const char *folder;
  int size, cut, regions, classes;
  const char **class_names;
  int64_t epoch_length;
  XXH3_state_t *hash; /* what the digest is of */

  struct jig_store *store; /* SOURCE_STORE */
  struct jig_subset subset;
  struct jig_assembler assembler;

  const char *pictures_folder; /* the others */
  struct source_picture *pictures;
  size_t picture_count, picture_capacity;
};

struct source_scratch {
  struct jig_scratch jig;
  struct buffer file;
};

/* What each kind does. `open` fills size, cut, regions, classes, class_names and epoch_length. */
int source_open_store(struct source *source, struct error *error);
int source_open_jigsaws(struct source *source, struct error *error);
int source_open_folders(struct source *source, struct error *error);
int source_render_store(const struct source *source, uint32_t epoch, int64_t index, struct source_scratch *scratch,
                        struct image *canvas, int32_t *labels, struct error *error);
int source_render_jigsaw(const struct source *source, uint32_t epoch, int64_t index, struct source_scratch *scratch,
                         struct image *canvas, int32_t *labels, struct error *error);
int source_render_folder(const struct source *source, uint32_t epoch, int64_t index, struct source_scratch *scratch,
                         struct image *canvas, int32_t *labels, struct error *error);

/* ---- source.c ---- */

/* Whether what was made from source image `key` belongs to this part. */
bool source_takes(const struct source *source, uint64_t key);

/* Makes room for `count` class names; fails when they are fewer than two. */
int source_set_classes(struct source *source, int64_t count, struct error *error);

/* Fails when nothing is in the part, or, in training, when all is of one class. used[class]: there is some. */
int source_check_part(const struct source *source, int64_t count, const bool *used, struct error *error);

/* ---- source_pictures.c: sources that are lists of files ---- */

/* Adds a picture of the folder; the name is copied. */
int source_add_picture(struct source *source, const char *name, const int32_t labels[JIG_REGIONS], struct error *error);

/* Keeps the pictures of the part only, and none that are left out, and checks them. */
int source_pick_pictures(struct source *source, struct error *error);

/* Picture `index` of an epoch: training shuffles, held-out pictures keep their order. Reads its file. */
int source_read_picture(const struct source *source, uint32_t epoch, int64_t index, struct buffer *file,
                        const struct source_picture **picture, struct error *error);

uint64_t source_picture_key(const struct source_picture *picture);

/* Fails, naming the picture, unless it can be used whole. `memory`: see image_memory_share. */
int source_check_picture(const struct source *source, const struct source_picture *picture, size_t memory,
                         struct source_scratch *scratch, struct image *canvas, struct error *error);

/* Puts the picture's path before the message. */
int source_blame_picture(const struct source *source, const struct source_picture *picture, struct error *error);

/* ---- source_jigsaws.c ---- */

/* Fails when a written jigsaw is not of the size of all others. */
int source_check_jigsaw(const struct source *source, const struct image *canvas, struct error *error);

/* ---- source_folders.c ---- */

/* Fails when a picture is too long and thin to be resized. */
int source_check_shape(const struct source *source, const struct image *picture, struct error *error);

/* torchvision's RandomResizedCrop(scale = (0.08, 1), ratio = (3/4, 4/3)) on a picture of width x height. */
struct rect source_random_crop(struct rng *rng, int width, int height);

#endif
