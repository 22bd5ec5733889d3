#include "jigsaw/sample.h"

#include <math.h>
#include <stdlib.h>

const char jig_group_letters[JIG_GROUPS + 1] = "TSW";
const char *const jig_drop_names[JIG_DROPS] = {"non-finite", "empty", "outside", "small", "crowd", "difficult"};

enum { ANY_SIDE = INT32_MAX / 8 }; /* of a picture that no box sticks out of */

enum jig_group jig_group_of(int width, int height) {
  if (2 * (int64_t)width < height) return JIG_TALL;
  return 2 * (int64_t)width > 3 * (int64_t)height ? JIG_WIDE : JIG_SQUARE;
}

struct jig_sample_options jig_sample_defaults(void) {
  return (struct jig_sample_options){
      .context = 2.0, .negatives = 0.1, .negative_attempts = 100, .difficult = true, .min_side = 1};
}

void jig_sample_counts_add(struct jig_sample_counts *total, const struct jig_sample_counts *more) {
  total->boxes += more->boxes;
  for (int i = 0; i < JIG_DROPS; i++) {
    total->dropped[i] += more->dropped[i];
  }
  total->clipped += more->clipped;
  total->positives += more->positives;
  total->negatives += more->negatives;
  total->negatives_given_up += more->negatives_given_up;
}

static bool box_finite(const struct dataset_box *box) {
  return isfinite(box->x) && isfinite(box->y) && isfinite(box->w) && isfinite(box->h);
}

/* The pixels of [0, side) that [start, start + length) touches: first in *low, one past the last returned. */
static int pixel_span(double start, double length, int side, int *low) {
  double from = start > 0 ? floor(start) : 0, to = ceil(start + length);
  if (!(from < side && to > 0)) return *low = 0;
  *low = (int)from;
  return to < side ? (int)to : side;
}

struct rect jig_pixel_box(const struct dataset_box *box, int width, int height) {
  struct rect pixels = {0};
  if (!box_finite(box) || !(box->w > 0) || !(box->h > 0)) return pixels;
  pixels.w = pixel_span(box->x, box->w, width, &pixels.x) - pixels.x;
  pixels.h = pixel_span(box->y, box->h, height, &pixels.y) - pixels.y;
  return pixels;
}

static bool rects_overlap(struct rect a, struct rect b) {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

/* How far the two ends of a span of `length` pixels move outward. */
static void draw_shift(const struct jig_sample_options *options, struct rng *rng, int length, int64_t *low,
                       int64_t *high) {
  int64_t most = (int64_t)floor(length * (options->context - 1) / 2);
  switch (options->context_shift) {
  case JIG_SHIFT_FULL:
    *low = *high = most;
    break;
  case JIG_SHIFT_SYMMETRIC:
    *low = *high = (int64_t)rng_below(rng, (uint64_t)most + 1);
    break;
  default:
    *low = (int64_t)rng_below(rng, (uint64_t)most + 1);
    *high = (int64_t)rng_below(rng, (uint64_t)most + 1);
  }
}

static void widen_span(const struct jig_sample_options *options, struct rng *rng, int side, int *start, int *length) {
  int64_t low, high;
  draw_shift(options, rng, *length, &low, &high);
  int64_t from = *start - low, to = *start + *length + high;
  if (from < 0) from = 0;
  if (to > side) to = side;
  *start = (int)from;
  *length = (int)(to - from);
}

/* Context around a pixel box: both corners move outward, the image bounds them. */
static struct rect add_context(const struct jig_sample_options *options, struct rng *rng, struct rect box, int width,
                               int height) {
  widen_span(options, rng, width, &box.x, &box.w);
  widen_span(options, rng, height, &box.y, &box.h);
  return box;
}

/* JIG_DROPS when the box is a positive. */
static enum jig_drop drop_reason(const struct dataset_box *box, struct rect pixels,
                                 const struct jig_sample_options *options) {
  if (!box_finite(box)) return JIG_DROP_NON_FINITE;
  if (!(box->w > 0) || !(box->h > 0)) return JIG_DROP_EMPTY;
  if (box->flags & DATASET_CROWD) return JIG_DROP_CROWD;
  if ((box->flags & DATASET_DIFFICULT) && !options->difficult) return JIG_DROP_DIFFICULT;
  if (pixels.w <= 0 || pixels.h <= 0) return JIG_DROP_OUTSIDE;
  if (pixels.w < options->min_side || pixels.h < options->min_side) return JIG_DROP_SMALL;
  return JIG_DROPS;
}

static struct jig_sample make_positive(const struct dataset_box *box, struct rect crop, int width, int height,
                                       struct jig_sample_counts *counts) {
  double x0 = fmax(box->x, 0), y0 = fmax(box->y, 0);
  double x1 = fmin((double)box->x + box->w, width), y1 = fmin((double)box->y + box->h, height);
  counts->clipped += x0 > box->x || y0 > box->y || x1 < (double)box->x + box->w || y1 < (double)box->y + box->h;
  return (struct jig_sample){
      .rect = crop,
      .box = {x0 - crop.x, y0 - crop.y, x1 - x0, y1 - y0},
      .annotation_id = box->id,
      .category = box->category,
  };
}

/* Width and height of a random positive of the whole data set, context included; false when an attempt hits none. */
static bool draw_positive_size(const struct dataset *dataset, const struct jig_sample_options *options, struct rng *rng,
                               struct rect *size) {
  const struct dataset_box *box = &dataset->boxes[rng_below(rng, (uint64_t)dataset->box_count)];
  struct rect pixels = jig_pixel_box(box, ANY_SIDE, ANY_SIDE);
  if (drop_reason(box, pixels, options) != JIG_DROPS) return false;
  int64_t low, high;
  draw_shift(options, rng, pixels.w, &low, &high);
  size->w = (int)(pixels.w + low + high);
  draw_shift(options, rng, pixels.h, &low, &high);
  size->h = (int)(pixels.h + low + high);
  return true;
}

static bool negative_allowed(const struct dataset *dataset, int64_t image, int width, int height, struct rect candidate,
                             const struct jig_sample_options *options, const struct jig_samples *samples,
                             size_t positives) {
  const struct dataset_image *entry = &dataset->images[image];
  for (int32_t i = 0; i < entry->box_count; i++) {
    const struct dataset_box *box = &dataset->boxes[entry->first_box + i];
    if ((box->flags & DATASET_CROWD) && options->crowd == JIG_CROWD_IGNORE) continue;
    if (rects_overlap(candidate, jig_pixel_box(box, width, height))) return false;
  }
  for (size_t i = 0; options->negative_iou == JIG_IOU_CROP && i < positives; i++) {
    if (rects_overlap(candidate, samples->items[i].rect)) return false;
  }
  return true;
}

static bool find_negative(const struct dataset *dataset, int64_t image, int width, int height,
                          const struct jig_sample_options *options, struct rng *rng, const struct jig_samples *samples,
                          size_t positives, struct rect *negative) {
  for (int64_t attempt = 0; attempt < options->negative_attempts; attempt++) {
    struct rect candidate = {0};
    if (options->negative_size == JIG_SIZE_UNIFORM) {
      candidate.w = 1 + (int)rng_below(rng, (uint64_t)width);
      candidate.h = 1 + (int)rng_below(rng, (uint64_t)height);
    } else if (!draw_positive_size(dataset, options, rng, &candidate)) {
      continue;
    }
    if (candidate.w > width || candidate.h > height) continue;
    candidate.x = (int)rng_below(rng, (uint64_t)(width - candidate.w) + 1);
    candidate.y = (int)rng_below(rng, (uint64_t)(height - candidate.h) + 1);
    if (negative_allowed(dataset, image, width, height, candidate, options, samples, positives)) {
      *negative = candidate;
      return true;
    }
  }
  return false;
}

static int append_sample(struct jig_samples *samples, const struct jig_sample *sample, struct error *error) {
  void *items = samples->items;
  if (array_reserve(&items, &samples->capacity, samples->count + 1, sizeof *sample, error)) return -1;
  samples->items = items;
  samples->items[samples->count++] = *sample;
  return 0;
}

int64_t jig_usable_boxes(const struct dataset *dataset, const struct jig_sample_options *options) {
  int64_t usable = 0;
  for (int64_t image = 0; image < dataset->image_count; image++) {
    const struct dataset_image *entry = &dataset->images[image];
    bool sized = entry->width > 0 && entry->height > 0;
    int width = sized ? entry->width : ANY_SIDE, height = sized ? entry->height : ANY_SIDE;
    for (int32_t i = 0; i < entry->box_count; i++) {
      const struct dataset_box *box = &dataset->boxes[entry->first_box + i];
      usable += drop_reason(box, jig_pixel_box(box, width, height), options) == JIG_DROPS;
    }
  }
  return usable;
}

int jig_sample_image(const struct dataset *dataset, int64_t image, int width, int height,
                     const struct jig_sample_options *options, struct jig_samples *samples,
                     struct jig_sample_counts *counts, struct error *error) {
  const struct dataset_image *entry = &dataset->images[image];
  struct rng rng;
  rng_init(&rng, options->seed, RNG_SAMPLE, 0, (uint64_t)image);
  samples->count = 0;
  for (int32_t i = 0; i < entry->box_count; i++) {
    const struct dataset_box *box = &dataset->boxes[entry->first_box + i];
    struct rect pixels = jig_pixel_box(box, width, height);
    enum jig_drop reason = drop_reason(box, pixels, options);
    counts->boxes++;
    if (reason != JIG_DROPS) {
      counts->dropped[reason]++;
      continue;
    }
    struct rect crop = add_context(options, &rng, pixels, width, height);
    struct jig_sample positive = make_positive(box, crop, width, height, counts);
    if (append_sample(samples, &positive, error)) return -1;
  }
  size_t positives = samples->count;
  double wanted = (double)positives * options->negatives;
  int64_t negatives = (int64_t)floor(wanted);
  negatives += rng_uniform(&rng) < wanted - (double)negatives; /* the fraction, on average */
  for (int64_t i = 0; i < negatives; i++) {
    struct jig_sample negative = {.category = -1};
    if (entry->incomplete ||
        !find_negative(dataset, image, width, height, options, &rng, samples, positives, &negative.rect)) {
      counts->negatives_given_up++;
      continue;
    }
    if (append_sample(samples, &negative, error)) return -1;
    counts->negatives++;
  }
  counts->positives += (int64_t)positives;
  return 0;
}

void jig_samples_free(struct jig_samples *samples) {
  free(samples->items);
  *samples = (struct jig_samples){0};
}
