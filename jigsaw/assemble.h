/* jigsaw/assemble - jigsaws: four samples on one canvas.
 *
 * Zhou et al., ECCV 2020, section 3.2. A canvas of SIZE x SIZE (224), both axes cut at CUT (64), has four regions:
 *
 *   0 top-left      CUT x CUT                   the S sample with the smaller area
 *   1 top-right     (SIZE - CUT) x CUT          a W sample
 *   2 bottom-left   CUT x (SIZE - CUT)          a T sample
 *   3 bottom-right  (SIZE - CUT) x (SIZE - CUT) the S sample with the larger area
 *
 * Each sample is scaled by U[0.8, 1.5] (aspect kept), flipped with p = 0.5, and then placed: per axis, a random crop
 * where it is larger than its region, zero padding around it, in the middle, where it is smaller.
 *
 * Which samples. An epoch has ceil(samples / 4) jigsaws. Each group is dealt like a deck of cards: a random
 * permutation, then the next, so that every sample is used once before any is used again. What jigsaw i of epoch e
 * holds depends on (seed, e, i) alone and is found in constant time: any worker can make any jigsaw.
 *
 * Shortage. A group that is empty, or so small that its samples would be used more than `repeat_max` times an epoch,
 * leaves just so many of its regions to other groups that have samples to spare (T, W: first S; S: first W). Which
 * regions is random; what they get is dealt from the same decks, so that in every group each sample is used as often as
 * any other, give or take one. Substitutes go through the same scale, crop and padding.
 */
#ifndef JIGSAW_JIGSAW_ASSEMBLE_H
#define JIGSAW_JIGSAW_ASSEMBLE_H

#include "jigsaw/resample.h"
#include "jigsaw/store.h"

enum { JIG_REGIONS = 4 };

enum jig_fit {
  JIG_FIT_PAD,    /* the paper's: never resized to fit */
  JIG_FIT_WARP,   /* comparison: stretched to the region, aspect lost */
  JIG_FIT_RESIZE, /* comparison: scaled to the largest size that fits, aspect kept, padded */
};

extern const char *const jig_fit_names[]; /* NULL-terminated */

struct jig_template {
  int size, cut; /* 0 < cut < size <= 4096 */
};

/* Reads SIZE:CUT. */
int jig_template_parse(const char *text, struct jig_template *template, struct error *error);

struct rect jig_region(const struct jig_template *template, int region);

/* Some of a store's samples, by group and in store order: what an assembler is to do with instead of all of them. */
struct jig_subset {
  uint32_t *items[JIG_GROUPS];
  int64_t counts[JIG_GROUPS];
};

/* Takes the samples of which `take` is true. Free with jig_subset_free, also after a failure. */
typedef bool jig_take(const struct jig_record *record, void *context);
int jig_subset_init(struct jig_subset *subset, const struct jig_store *store, jig_take *take, void *context,
                    struct error *error);
void jig_subset_free(struct jig_subset *subset);

struct jig_assemble_options {
  uint64_t seed;
  struct jig_template template;
  int fit;                         /* enum jig_fit */
  double scale_low, scale_high;    /* 0.8, 1.5; not used by warp and resize */
  double flip;                     /* probability, 0.5 */
  double repeat_max;               /* uses of a sample per epoch before its group is relieved, 10 */
  const struct jig_subset *subset; /* borrowed; NULL: all samples of the store */
};

struct jig_assemble_options jig_assemble_defaults(void);

/* Where one sample lies: the sample is resized to scaled_w x scaled_h, and the part of it that begins at (crop_x,
 * crop_y), mirrored if `flip`, covers `placed`, which lies in `region`; the rest of the region is zero. */
struct jig_tile {
  int64_t sample; /* index in the store */
  int32_t label;
  struct rect region, placed;
  int scaled_w, scaled_h, crop_x, crop_y;
  bool flip, substitute; /* substitute: of another group than the region's */
};

struct jig_assembler {
  const struct jig_store *store;
  struct jig_assemble_options options;
  int64_t epoch_length;                   /* jigsaws */
  int64_t share[JIG_GROUPS][JIG_GROUPS];  /* [g][h]: of an epoch's regions for group g, those that take h's samples */
  int64_t before[JIG_GROUPS][JIG_GROUPS]; /* [g][h]: cards of h that an epoch deals before those */
};

/* Jigsaws in an epoch: as many as use each sample once on average. */
int64_t jig_epoch_length(const struct jig_store *store);

/* Fails when the store, or the subset, is empty or the options make no template. Owns nothing. */
int jig_assembler_init(struct jig_assembler *assembler, const struct jig_store *store,
                       const struct jig_assemble_options *options, struct error *error);

/* The samples of a group that there are to assemble, and the regions of an epoch that ask for them. */
int64_t jig_available(const struct jig_assembler *assembler, enum jig_group group);
int64_t jig_asked(const struct jig_assembler *assembler, enum jig_group group);

/* Decides on jigsaw `index` (any number; 0 .. epoch_length - 1 is one epoch) without touching a pixel. */
void jig_plan(const struct jig_assembler *assembler, uint32_t epoch, int64_t index, struct jig_tile tiles[JIG_REGIONS]);

/* Draws it on `canvas` (SIZE x SIZE, (re)allocated when its size differs). Only the visible part of each sample is
 * decoded. `scratch` belongs to one thread and is reused from call to call. */
struct jig_scratch {
  struct image part;
  struct resampler resampler;
};

int jig_render(const struct jig_assembler *assembler, const struct jig_tile tiles[JIG_REGIONS],
               struct jig_scratch *scratch, struct image *canvas, struct error *error);
void jig_scratch_free(struct jig_scratch *scratch);

/* The first half of that for one tile: decodes the visible part of its sample, which `x` and `y` say how to resize. */
int jig_tile_decode(const struct jig_assembler *assembler, const struct jig_tile *tile, struct resample_axis *x,
                    struct resample_axis *y, struct image *part, struct error *error);

/* The annotated box of a tile on the canvas, clipped to what is visible: x, y, w, h; false if nothing of it is. */
bool jig_tile_box(const struct jig_assembler *assembler, const struct jig_tile *tile, double box[4]);

#endif
