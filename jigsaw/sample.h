/* jigsaw/sample - which rectangles of an image become samples.
 *
 * Zhou et al., "Cheaper Pre-training Lunch", ECCV 2020 (arXiv 2004.12178), section 3.1. A positive is a ground-truth
 * box whose top-left and bottom-right corners are moved outward at random, so that each side grows to at most twice its
 * length, clipped to the image. A negative is a random rectangle that has IoU 0 with every positive; one negative is
 * wanted for every ten positives. Samples fall into three groups by aspect ratio: T, S, W.
 *
 * Everything is in whole pixels. The pixel box of an annotated box is the pixels that it touches: [floor(x), ceil(x +
 * w)) after clipping to the image. Labels are rounded numbers (YOLO's have six digits): what a box reaches into a
 * pixel, or out of the image, by less than a millionth of the image's side, or 1/32 pixel, does not count. "At most
 * twice" and "IoU 0" are exact for pixel boxes.
 */
#ifndef JIGSAW_JIGSAW_SAMPLE_H
#define JIGSAW_JIGSAW_SAMPLE_H

#include "core/dataset/dataset.h"
#include "core/image/image.h"
#include "jigsaw/rect_tree.h"

/* By width / height: T < 0.5 <= S <= 1.5 < W. The values are part of the file formats. */
enum jig_group { JIG_TALL, JIG_SQUARE, JIG_WIDE, JIG_GROUPS };

enum jig_group jig_group_of(int width, int height);
extern const char jig_group_letters[JIG_GROUPS + 1]; /* "TSW" */

/* What the paper leaves open; the first of each is the default. */
enum jig_context_shift {
  JIG_SHIFT_UNIFORM, /* each of the four sides by its own uniform shift of up to half the side's length x (context-1) */
  JIG_SHIFT_SYMMETRIC, /* the same shift on opposite sides: the object stays in the middle */
  JIG_SHIFT_FULL,      /* always the largest shift */
};
enum jig_negative_size {
  JIG_SIZE_POSITIVES, /* that of a random positive of the data set, context included */
  JIG_SIZE_UNIFORM,   /* sides uniform between 1 and the image's */
};
enum jig_negative_iou {
  JIG_IOU_BOX,  /* IoU 0 with the annotated boxes */
  JIG_IOU_CROP, /* with the enlarged positives, too */
};
enum jig_negatives_from {
  JIG_FROM_ANY,  /* what a picture has no room for is made up in others, see quota.h */
  JIG_FROM_SAME, /* each picture has one for so many of its own boxes, or none */
};
enum jig_crowd {
  JIG_CROWD_AVOID,  /* a negative must not touch a crowd region */
  JIG_CROWD_IGNORE, /* it may */
  JIG_CROWD_USE,    /* crowd regions are positives like all boxes */
};

struct jig_sample_options {
  uint64_t seed;
  double context;            /* largest growth of a side, 2 in the paper; 1: tight crops */
  int context_shift;         /* enum jig_context_shift */
  double negatives;          /* per positive; 0.1 in the paper */
  int negatives_from;        /* enum jig_negatives_from */
  int negative_size;         /* enum jig_negative_size */
  int negative_iou;          /* enum jig_negative_iou */
  int64_t negative_attempts; /* rectangles tried before a negative is given up */
  int crowd;                 /* enum jig_crowd */
  bool difficult;            /* keep boxes marked difficult (VOC) as positives */
  int64_t min_side;          /* pixel boxes with a shorter side are left out; 1 keeps all */
};

struct jig_sample_options jig_sample_defaults(void);

/* Why a box gave no positive. */
enum jig_drop {
  JIG_DROP_NON_FINITE,
  JIG_DROP_SWAPPED, /* a negative side: the corners are given in the other order. Negatives keep off what they span */
  JIG_DROP_EMPTY,
  JIG_DROP_OUTSIDE,
  JIG_DROP_SMALL,
  JIG_DROP_CROWD,
  JIG_DROP_DIFFICULT,
  JIG_DROP_IGNORED, /* of a class that the user leaves out; no background either */
  JIG_DROPS
};
extern const char *const jig_drop_names[JIG_DROPS];

struct jig_sample_counts {
  int64_t boxes; /* seen; = positives + all dropped */
  int64_t dropped[JIG_DROPS];
  int64_t clipped; /* positives whose box stuck out of the image */
  int64_t positives, negatives;
  int64_t negatives_given_up; /* wanted but not found within negative_attempts, or the picture's boxes are incomplete */
  int64_t negatives_made_up;  /* of the negatives: beyond the picture's own share, for others that have no room */
};

void jig_sample_counts_add(struct jig_sample_counts *total, const struct jig_sample_counts *more);

struct jig_sample {
  struct rect rect; /* the crop, in the image */
  double box[4];    /* x, y, w, h of the annotated box, clipped to the image, relative to rect; zeros if negative */
  int64_t annotation_id; /* 0 if negative */
  int32_t category;      /* index into the data set's categories; -1 if negative */
};

struct jig_samples {
  struct jig_sample *items;
  size_t count, capacity;
  struct rect_tree taken; /* scratch: what negatives must not meet */
};

/* The pixel box; w or h is <= 0 when no pixel of the image is touched or the box is not finite. */
struct rect jig_pixel_box(const struct dataset_box *box, int width, int height);

/* Why a box gives no positive in a picture of this size; JIG_DROPS when it gives one. */
enum jig_drop jig_drop_of(const struct dataset_box *box, int width, int height,
                          const struct jig_sample_options *options);

/* How many boxes can give a positive, and why others cannot, as far as that can be told without the pictures. */
struct jig_survey {
  int64_t usable, dropped[JIG_DROPS];
  int64_t first_image[JIG_DROPS], first_box[JIG_DROPS]; /* of each reason: positions in the data set */
};

struct jig_survey jig_survey(const struct dataset *dataset, const struct jig_sample_options *options);

/* Draws the samples of image number `image` of the data set: positives in box order, then its own share of negatives,
 * then up to `more` negatives for other pictures, which stop at the first that finds no place. Those must not meet
 * another negative of the picture by an IoU of more than 1/2: a picture is full at some time. Depends on nothing but
 * the options, the data set, `image`, `more` and the true size of the picture, and with a larger `more` the first ones
 * stay the same. Adds to `counts`; replaces what `samples` held. */
int jig_sample_image(const struct dataset *dataset, int64_t image, int width, int height,
                     const struct jig_sample_options *options, int64_t more, struct jig_samples *samples,
                     struct jig_sample_counts *counts, struct error *error);

/* Negatives that so many positives ask for. */
int64_t jig_negatives_wanted(const struct jig_sample_options *options, int64_t positives);

void jig_samples_free(struct jig_samples *samples);

#endif
