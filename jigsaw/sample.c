#include "jigsaw/sample.h"

#include <math.h>
#include <stdlib.h>

const char jig_group_letters[JIG_GROUPS + 1] = "TSW";
const char *const jig_drop_names[JIG_DROPS] = {"non-finite", "swapped", "empty",     "outside",
                                               "small",      "crowd",   "difficult", "ignored"};

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
  total->negatives_made_up += more->negatives_made_up;
}

static bool box_finite(const struct dataset_box *box) {
  return isfinite(box->x) && isfinite(box->y) && isfinite(box->w) && isfinite(box->h);
}

/* What a box of this length reaches beyond a pixel's edge or the image's before it counts; see sample.h. */
static double tolerance(double length, int side) {
  return fmin(fmin(1e-6 * side, 1.0 / 32), length / 4);
}

/* The pixels of [0, side) that [start, start + length) touches: first in *low, one past the last returned. */
static int pixel_span(double start, double length, int side, int *low) {
  double spared = tolerance(length, side);
  double from = start > 0 ? floor(start + spared) : 0, to = ceil(start + length - spared);
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

static enum jig_drop drop_reason(const struct dataset_box *box, struct rect pixels,
                                 const struct jig_sample_options *options) {
  if (!box_finite(box)) return JIG_DROP_NON_FINITE;
  if (box->w < 0 || box->h < 0) return JIG_DROP_SWAPPED;
  if (!(box->w > 0) || !(box->h > 0)) return JIG_DROP_EMPTY;
  if (box->flags & DATASET_IGNORED) return JIG_DROP_IGNORED;
  if ((box->flags & DATASET_CROWD) && options->crowd != JIG_CROWD_USE) return JIG_DROP_CROWD;
  if ((box->flags & DATASET_DIFFICULT) && !options->difficult) return JIG_DROP_DIFFICULT;
  if (pixels.w <= 0 || pixels.h <= 0) return JIG_DROP_OUTSIDE;
  if (pixels.w < options->min_side || pixels.h < options->min_side) return JIG_DROP_SMALL;
  return JIG_DROPS;
}

enum jig_drop jig_drop_of(const struct dataset_box *box, int width, int height,
                          const struct jig_sample_options *options) {
  return drop_reason(box, jig_pixel_box(box, width, height), options);
}

static struct jig_sample make_positive(const struct dataset_box *box, struct rect crop, int width, int height,
                                       struct jig_sample_counts *counts) {
  double x0 = fmax(box->x, crop.x), y0 = fmax(box->y, crop.y);
  double x1 = fmin(box->x + box->w, crop.x + crop.w), y1 = fmin(box->y + box->h, crop.y + crop.h);
  double across = tolerance(box->w, width), down = tolerance(box->h, height);
  counts->clipped +=
      box->x < -across || box->y < -down || box->x + box->w > width + across || box->y + box->h > height + down;
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

/* What a negative must not meet: the pixel box, or all that the corners of a broken box may have meant. */
static struct rect box_taken(const struct dataset_box *box, int width, int height) {
  if (!box_finite(box) || (box->w > 0 && box->h > 0)) return jig_pixel_box(box, width, height);
  struct dataset_box wide = {.x = fmin(box->x, box->x + box->w) - 1,
                             .y = fmin(box->y, box->y + box->h) - 1,
                             .w = fabs(box->w) + 2,
                             .h = fabs(box->h) + 2};
  return jig_pixel_box(&wide, width, height);
}

static int find_taken(const struct dataset *dataset, int64_t image, int width, int height,
                      const struct jig_sample_options *options, struct jig_samples *samples, struct error *error) {
  const struct dataset_image *entry = &dataset->images[image];
  struct rect_tree *taken = &samples->taken;
  rect_tree_clear(taken);
  for (int32_t i = 0; i < entry->box_count; i++) {
    const struct dataset_box *box = &dataset->boxes[entry->first_box + i];
    bool crowd = box->flags & DATASET_CROWD && !(box->flags & DATASET_IGNORED);
    if (crowd && options->crowd == JIG_CROWD_IGNORE) continue;
    if (rect_tree_add(taken, box_taken(box, width, height), error)) return -1;
  }
  for (size_t i = 0; options->negative_iou == JIG_IOU_CROP && i < samples->count; i++) {
    if (rect_tree_add(taken, samples->items[i].rect, error)) return -1;
  }
  return rect_tree_build(taken, error);
}

/* Whether two rectangles share more than half of what they cover together. */
static bool mostly_same(struct rect a, struct rect b) {
  int64_t right = a.x + a.w < b.x + b.w ? a.x + a.w : b.x + b.w, left = a.x > b.x ? a.x : b.x;
  int64_t bottom = a.y + a.h < b.y + b.h ? a.y + a.h : b.y + b.h, top = a.y > b.y ? a.y : b.y;
  if (right <= left || bottom <= top) return false;
  int64_t shared = (right - left) * (bottom - top);
  return 3 * shared > (int64_t)a.w * a.h + (int64_t)b.w * b.h;
}

static bool is_new(const struct jig_samples *samples, size_t positives, struct rect candidate) {
  for (size_t i = positives; i < samples->count; i++) {
    if (mostly_same(samples->items[i].rect, candidate)) return false;
  }
  return true;
}

/* `apart`: the place in `samples` from which on it must not be mostly the same as another. */
static bool find_negative(const struct dataset *dataset, int width, int height,
                          const struct jig_sample_options *options, struct rng *rng, const struct jig_samples *samples,
                          size_t apart, struct rect *negative) {
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
    if (rect_tree_meets(&samples->taken, candidate) || !is_new(samples, apart, candidate)) continue;
    *negative = candidate;
    return true;
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

/* As annotated; a picture of unknown size has room for every box. */
static enum jig_drop survey_box(const struct dataset_image *entry, const struct dataset_box *box,
                                const struct jig_sample_options *options) {
  bool sized = entry->width > 0 && entry->height > 0;
  return jig_drop_of(box, sized ? entry->width : ANY_SIDE, sized ? entry->height : ANY_SIDE, options);
}

struct jig_survey jig_survey(const struct dataset *dataset, const struct jig_sample_options *options) {
  struct jig_survey survey = {0};
  for (int64_t image = 0; image < dataset->image_count; image++) {
    const struct dataset_image *entry = &dataset->images[image];
    for (int32_t i = 0; i < entry->box_count; i++) {
      enum jig_drop reason = survey_box(entry, &dataset->boxes[entry->first_box + i], options);
      if (reason == JIG_DROPS) {
        survey.usable++;
      } else if (survey.dropped[reason]++ == 0) {
        survey.first_image[reason] = image;
        survey.first_box[reason] = entry->first_box + i;
      }
    }
  }
  return survey;
}

static int draw_positives(const struct dataset *dataset, const struct dataset_image *entry, int width, int height,
                          const struct jig_sample_options *options, struct rng *rng, struct jig_samples *samples,
                          struct jig_sample_counts *counts, struct error *error) {
  for (int32_t i = 0; i < entry->box_count; i++) {
    const struct dataset_box *box = &dataset->boxes[entry->first_box + i];
    struct rect pixels = jig_pixel_box(box, width, height);
    enum jig_drop reason = drop_reason(box, pixels, options);
    counts->boxes++;
    if (reason != JIG_DROPS) {
      counts->dropped[reason]++;
      continue;
    }
    struct rect crop = add_context(options, rng, pixels, width, height);
    struct jig_sample positive = make_positive(box, crop, width, height, counts);
    if (append_sample(samples, &positive, error)) return -1;
  }
  counts->positives += (int64_t)samples->count;
  return 0;
}

int jig_sample_image(const struct dataset *dataset, int64_t image, int width, int height,
                     const struct jig_sample_options *options, int64_t more, struct jig_samples *samples,
                     struct jig_sample_counts *counts, struct error *error) {
  enum { OWN, FOR_OTHERS }; /* the streams of random numbers */
  const struct dataset_image *entry = &dataset->images[image];
  struct rng rng;
  rng_init(&rng, options->seed, RNG_SAMPLE, OWN, (uint64_t)image);
  samples->count = 0;
  if (draw_positives(dataset, entry, width, height, options, &rng, samples, counts, error)) return -1;
  size_t positives = samples->count;
  double wanted = (double)positives * options->negatives;
  int64_t negatives = (int64_t)floor(wanted);
  negatives += rng_uniform(&rng) < wanted - (double)negatives; /* the fraction, on average */
  if (entry->incomplete) {
    counts->negatives_given_up += negatives;
    return 0;
  }
  if (negatives + more > 0 && find_taken(dataset, image, width, height, options, samples, error)) return -1;
  for (int64_t i = 0; i < negatives; i++) {
    struct jig_sample negative = {.category = -1};
    if (!find_negative(dataset, width, height, options, &rng, samples, SIZE_MAX, &negative.rect)) {
      counts->negatives_given_up++;
      continue;
    }
    if (append_sample(samples, &negative, error)) return -1;
    counts->negatives++;
  }
  rng_init(&rng, options->seed, RNG_SAMPLE, FOR_OTHERS, (uint64_t)image);
  for (int64_t i = 0; i < more; i++) {
    struct jig_sample negative = {.category = -1};
    if (!find_negative(dataset, width, height, options, &rng, samples, positives, &negative.rect)) break;
    if (append_sample(samples, &negative, error)) return -1;
    counts->negatives++;
    counts->negatives_made_up++;
  }
  return 0;
}

int64_t jig_negatives_wanted(const struct jig_sample_options *options, int64_t positives) {
  return (int64_t)floor((double)positives * options->negatives + 0.5);
}

void jig_samples_free(struct jig_samples *samples) {
  free(samples->items);
  rect_tree_free(&samples->taken);
  *samples = (struct jig_samples){0};
}
