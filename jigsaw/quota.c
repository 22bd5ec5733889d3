#include "jigsaw/quota.h"

#include <math.h>
#include <stdlib.h>

enum { DEALING = 16 }; /* rng_permute's stream; smaller ones are the assembler's */

struct place {
  int width, height; /* 0: cannot be used */
  int32_t found;     /* the last time that it was asked */
  bool full;
};

struct planner {
  const struct dataset *dataset;
  const struct jig_extract_options *options;
  struct place *places;        /* one per image */
  struct jig_samples *samples; /* one per worker, as the next */
  struct jig_sample_counts *counts;
  int64_t *asked; /* images of a round */
  int64_t share;  /* how many more each of them is asked for */
  int32_t *more;
};

static int find_size(struct planner *planner, int64_t image, struct error *error) {
  const struct dataset_image *entry = &planner->dataset->images[image];
  struct place *place = &planner->places[image];
  *place = (struct place){.width = entry->width, .height = entry->height};
  if (entry->width > 0 && entry->height > 0) return 0;
  struct error reason = {0};
  switch (jig_measure(planner->dataset, image, planner->options, &place->width, &place->height, &reason)) {
  case JIG_EXTRACT_OK:
    return 0;
  case JIG_EXTRACT_BROKEN:
    *place = (struct place){.full = true};
    return 0;
  default:
    *error = reason;
    return -1;
  }
}

/* What an image has by itself. */
static int count_own(void *context, int worker, int64_t image, struct error *error) {
  struct planner *planner = context;
  struct place *place = &planner->places[image];
  struct jig_sample_counts *counts = &planner->counts[worker];
  int64_t before = counts->negatives_given_up;
  if (find_size(planner, image, error)) return -1;
  if (place->full) return 0;
  if (jig_sample_image(planner->dataset, image, place->width, place->height, &planner->options->sample, 0,
                       &planner->samples[worker], counts, error)) {
    return -1;
  }
  place->full = counts->negatives_given_up > before || planner->dataset->images[image].incomplete;
  return 0;
}

/* What an image can make up. */
static int ask(void *context, int worker, int64_t item, struct error *error) {
  struct planner *planner = context;
  int64_t image = planner->asked[item];
  struct place *place = &planner->places[image];
  struct jig_sample_counts counts = {0};
  if (jig_sample_image(planner->dataset, image, place->width, place->height, &planner->options->sample,
                       planner->more[image] + planner->share, &planner->samples[worker], &counts, error)) {
    return -1;
  }
  place->found = (int32_t)counts.negatives_made_up;
  return 0;
}

static int64_t count_open(const struct planner *planner) {
  int64_t open = 0;
  for (int64_t i = 0; i < planner->dataset->image_count; i++) {
    open += !planner->places[i].full;
  }
  return open;
}

/* Rounds of asking as many images as it takes, in an order that goes on where the last round stopped. */
static int deal(struct planner *planner, int64_t missing, int workers, int64_t *left, struct error *error) {
  uint64_t images = (uint64_t)planner->dataset->image_count, next = 0;
  for (int64_t open; missing > 0 && (open = count_open(planner)) > 0;) {
    int64_t count = 0;
    planner->share = missing < open ? 1 : missing / open;
    if (planner->share > INT32_MAX / 2) planner->share = INT32_MAX / 2;
    for (int64_t wanted = missing < open ? missing : open; count < wanted; next++) {
      int64_t image = (int64_t)rng_permute(planner->options->sample.seed, DEALING, 0, images, next % images);
      if (!planner->places[image].full) planner->asked[count++] = image;
    }
    if (parallel_for(workers, count, ask, planner, error)) return -1;
    for (int64_t i = 0; i < count; i++) {
      struct place *place = &planner->places[planner->asked[i]];
      int32_t *more = &planner->more[planner->asked[i]];
      int64_t given = place->found - *more;
      place->full = given < planner->share || *more > INT32_MAX / 4;
      if (given > missing) given = missing;
      *more += (int32_t)given;
      missing -= given;
    }
  }
  *left = missing > 0 ? missing : 0;
  return 0;
}

static int plan(struct planner *planner, int workers, int64_t *missing, struct error *error) {
  struct jig_sample_counts total = {0};
  if (parallel_for(workers, planner->dataset->image_count, count_own, planner, error)) return -1;
  for (int i = 0; i < workers; i++) {
    jig_sample_counts_add(&total, &planner->counts[i]);
  }
  int64_t wanted = jig_negatives_wanted(&planner->options->sample, total.positives);
  return deal(planner, wanted - total.negatives, workers, missing, error);
}

int jig_quota_plan(struct jig_quota *quota, const struct dataset *dataset, const struct jig_extract_options *options,
                   int workers, struct error *error) {
  *quota = (struct jig_quota){0};
  if (options->sample.negatives_from == JIG_FROM_SAME || !(options->sample.negatives > 0)) return 0;
  size_t images = (size_t)dataset->image_count, threads = (size_t)workers;
  struct planner planner = {.dataset = dataset, .options = options};
  planner.places = calloc(images + 1, sizeof *planner.places);
  planner.asked = calloc(images + 1, sizeof *planner.asked);
  planner.more = quota->more = calloc(images + 1, sizeof *quota->more);
  planner.samples = calloc(threads, sizeof *planner.samples);
  planner.counts = calloc(threads, sizeof *planner.counts);
  int result = planner.places && planner.asked && planner.more && planner.samples && planner.counts
                   ? plan(&planner, workers, &quota->missing, error)
                   : error_memory(error, images * sizeof *planner.places);
  for (size_t i = 0; planner.samples && i < threads; i++) {
    jig_samples_free(&planner.samples[i]);
  }
  free(planner.counts);
  free(planner.samples);
  free(planner.asked);
  free(planner.places);
  return result;
}

int64_t jig_quota_more(const struct jig_quota *quota, int64_t image) {
  return quota->more ? quota->more[image] : 0;
}

void jig_quota_free(struct jig_quota *quota) {
  free(quota->more);
  *quota = (struct jig_quota){0};
}
