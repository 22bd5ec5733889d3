/* Samples of random data sets: what holds of each one, and how they are distributed. */
#include "jigsaw/sample.h"

#include <math.h>

#include "tests/test_support.h"

#include "tests/statistics.h"

enum { IMAGES_MOST = 6, BOXES_MOST = 80, ROUNDS = 6000 };

/* A data set in fixed memory. */
struct scene {
  struct dataset dataset;
  struct dataset_image images[IMAGES_MOST];
  struct dataset_box boxes[BOXES_MOST];
};

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

static bool chance(struct rng *rng, double probability) {
  return rng_uniform(rng) < probability;
}

/* ---- random input ---- */

static int random_side(struct rng *rng) {
  if (chance(rng, 0.1)) return 1 + below(rng, 3);
  return (int)exp(rng_range(rng, 0, log(3000.5)));
}

static float random_strange(struct rng *rng) {
  static const float VALUES[] = {NAN,    INFINITY, -INFINITY, 0,    -0.0f, 1e30f, -1e30f,        3e38f,
                                 1e-30f, -1e-30f,  1e-45f,    2e9f, -2e9f, -1,    2147483648.0f, 0.5f};
  return VALUES[below(rng, COUNT_OF(VALUES))];
}

static double random_length(struct rng *rng, int side) {
  double length = chance(rng, 0.3) ? rng_range(rng, 0, 3) : side * pow(rng_uniform(rng), 2) * 1.3;
  return chance(rng, 0.5) ? ceil(length) : length;
}

static struct dataset_box random_box(struct rng *rng, int64_t id, int width, int height) {
  struct dataset_box box = {.id = id, .category = below(rng, 5)};
  double w = random_length(rng, width), h = random_length(rng, height);
  double x = rng_range(rng, -0.5 * w, width - 0.5 * w), y = rng_range(rng, -0.5 * h, height - 0.5 * h);
  if (chance(rng, 0.1)) x = rng_range(rng, -2 * width, 3 * width);
  if (chance(rng, 0.5)) x = floor(x), y = floor(y);
  box.x = (float)x, box.y = (float)y, box.w = (float)w, box.h = (float)h;
  double *numbers[] = {&box.x, &box.y, &box.w, &box.h};
  if (chance(rng, 0.08)) *numbers[below(rng, 4)] = random_strange(rng);
  if (chance(rng, 0.03)) *numbers[2 + below(rng, 2)] *= -1;
  if (chance(rng, 0.1)) box.flags |= DATASET_CROWD;
  if (chance(rng, 0.1)) box.flags |= DATASET_DIFFICULT;
  if (chance(rng, 0.05)) box.flags |= DATASET_IGNORED;
  return box;
}

static void random_scene(struct rng *rng, struct scene *scene) {
  int images = 1 + below(rng, IMAGES_MOST), boxes = 0;
  for (int i = 0; i < images; i++) {
    int count = chance(rng, 0.2) ? 0 : 1 + below(rng, BOXES_MOST / IMAGES_MOST);
    struct dataset_image *image = &scene->images[i];
    *image = (struct dataset_image){
        .id = i, .width = random_side(rng), .height = random_side(rng), .box_count = count, .first_box = boxes};
    for (int k = 0; k < count; k++, boxes++) {
      scene->boxes[boxes] = random_box(rng, 1000 + boxes, image->width, image->height);
    }
  }
  scene->dataset = (struct dataset){
      .images = scene->images, .boxes = scene->boxes, .image_count = images, .box_count = boxes, .category_count = 5};
}

static struct jig_sample_options random_options(struct rng *rng) {
  static const double CONTEXTS[] = {1, 1.1, 1.5, 2, 2, 2, 2.7, 3}, NEGATIVES[] = {0, 0.1, 0.1, 0.5, 1, 2.3, 10};
  return (struct jig_sample_options){
      .seed = rng_u32(rng),
      .context = CONTEXTS[below(rng, COUNT_OF(CONTEXTS))],
      .context_shift = below(rng, JIG_SHIFT_FULL + 1),
      .negatives = NEGATIVES[below(rng, COUNT_OF(NEGATIVES))],
      .negative_size = below(rng, JIG_SIZE_UNIFORM + 1),
      .negative_iou = below(rng, JIG_IOU_CROP + 1),
      .negative_attempts = 1 + below(rng, 100),
      .crowd = below(rng, JIG_CROWD_USE + 1),
      .difficult = chance(rng, 0.5),
      .min_side = chance(rng, 0.5) ? 1 : 1 + below(rng, 40),
  };
}

/* ---- the rules, once more, in plain double precision ---- */

/* [low, high) of the annotated box, clipped to the picture; `spared` is what does not count at either end. */
struct span {
  double low, high, spared;
};

static struct span clip_span(double start, double length, int side) {
  return (struct span){fmax(start, 0), fmin(start + length, side), fmin(fmin(side / 1e6, 0.03125), length / 4)};
}

static struct span pixel_span(double start, double length, int side) {
  double spared = clip_span(start, length, side).spared;
  return (struct span){fmax(floor(start + spared), 0), fmin(ceil(start + length - spared), side), 0};
}

static bool box_finite(const struct dataset_box *box) {
  return isfinite(box->x) && isfinite(box->y) && isfinite(box->w) && isfinite(box->h);
}

static enum jig_drop expected_drop(const struct dataset_box *box, int width, int height,
                                   const struct jig_sample_options *options) {
  if (!box_finite(box)) return JIG_DROP_NON_FINITE;
  if (box->w < 0 || box->h < 0) return JIG_DROP_SWAPPED;
  if (box->w == 0 || box->h == 0) return JIG_DROP_EMPTY;
  if (box->flags & DATASET_IGNORED) return JIG_DROP_IGNORED;
  if ((box->flags & DATASET_CROWD) && options->crowd != JIG_CROWD_USE) return JIG_DROP_CROWD;
  if (!options->difficult && (box->flags & DATASET_DIFFICULT)) return JIG_DROP_DIFFICULT;
  struct span x = pixel_span(box->x, box->w, width), y = pixel_span(box->y, box->h, height);
  if (x.high <= x.low || y.high <= y.low) return JIG_DROP_OUTSIDE;
  if (x.high - x.low < (double)options->min_side || y.high - y.low < (double)options->min_side) return JIG_DROP_SMALL;
  return JIG_DROPS;
}

static void check_growth(double low, double high, struct span pixels, int side,
                         const struct jig_sample_options *options) {
  double length = pixels.high - pixels.low, most = length * (options->context - 1) / 2;
  double before = pixels.low - low, after = high - pixels.high;
  assert_true(low >= 0 && high <= side);
  assert_true(before >= 0 && before <= most && after >= 0 && after <= most);
  assert_true(high - low >= length && high - low <= length * options->context + 1e-9);
  bool inside = low > 0 && high < side;
  if (options->context_shift == JIG_SHIFT_SYMMETRIC && inside) assert_true(before == after);
  if (options->context_shift == JIG_SHIFT_FULL && low > 0) assert_true(before == floor(most));
  if (options->context_shift == JIG_SHIFT_FULL && high < side) assert_true(after == floor(most));
}

/* `*clipped` when the box sticks out of the picture. */
static void check_positive(const struct jig_sample *sample, const struct dataset_box *box, int width, int height,
                           const struct jig_sample_options *options, bool *clipped) {
  struct span x = clip_span(box->x, box->w, width), y = clip_span(box->y, box->h, height);
  const struct rect *rect = &sample->rect;
  check_growth(rect->x, (double)rect->x + rect->w, pixel_span(box->x, box->w, width), width, options);
  check_growth(rect->y, (double)rect->y + rect->h, pixel_span(box->y, box->h, height), height, options);
  assert_true(sample->annotation_id == box->id && sample->category == box->category);
  const double expected[4] = {x.low - rect->x, y.low - rect->y, x.high - x.low, y.high - y.low};
  for (int i = 0; i < 4; i++) {
    assert_true(fabs(sample->box[i] - expected[i]) <= 1e-9 + x.spared + y.spared);
  }
  assert_true(sample->box[0] >= 0 && sample->box[1] >= 0);
  assert_true(sample->box[0] + sample->box[2] <= rect->w + 1e-9 && sample->box[1] + sample->box[3] <= rect->h + 1e-9);
  *clipped = box->x < -x.spared || box->y < -y.spared || box->x + box->w > width + x.spared ||
             box->y + box->h > height + y.spared;
}

static double overlap(double low, double length, struct span other) {
  double shared = fmin(low + length, other.high) - fmax(low, other.low);
  return shared > 0 ? shared : 0;
}

static double rect_overlap(const struct rect *rect, struct span x, struct span y) {
  return overlap(rect->x, rect->w, x) * overlap(rect->y, rect->h, y);
}

static void check_negative(const struct scene *scene, int64_t image, const struct jig_samples *samples,
                           size_t positives, size_t number, const struct jig_sample_options *options) {
  const struct jig_sample *sample = &samples->items[number];
  const struct dataset_image *entry = &scene->images[image];
  const struct rect *rect = &sample->rect;
  assert_true(sample->category == -1 && sample->annotation_id == 0);
  assert_true(rect->w >= 1 && rect->h >= 1 && rect->x >= 0 && rect->y >= 0);
  assert_true(rect->x + rect->w <= entry->width && rect->y + rect->h <= entry->height);
  for (int i = 0; i < 4; i++) {
    assert_true(sample->box[i] == 0);
  }
  for (int i = 0; i < entry->box_count; i++) {
    const struct dataset_box *box = &scene->boxes[entry->first_box + i];
    bool ignored = box->flags & DATASET_IGNORED, crowd = box->flags & DATASET_CROWD;
    if (!box_finite(box) || (crowd && !ignored && options->crowd == JIG_CROWD_IGNORE)) continue;
    /* Of a box with a corner on the wrong side, what its corners span. */
    struct span x = clip_span(fmin(box->x, box->x + box->w), fabs(box->w), entry->width);
    struct span y = clip_span(fmin(box->y, box->y + box->h), fabs(box->h), entry->height);
    x.low += x.spared, x.high -= x.spared, y.low += y.spared, y.high -= y.spared;
    assert_true(rect_overlap(rect, x, y) == 0);
  }
  for (size_t i = 0; options->negative_iou == JIG_IOU_CROP && i < positives; i++) {
    const struct rect *crop = &samples->items[i].rect;
    struct span x = {crop->x, crop->x + crop->w, 0}, y = {crop->y, crop->y + crop->h, 0};
    assert_true(rect_overlap(rect, x, y) == 0);
  }
}

static void check_counts(const struct jig_sample_counts *before, const struct jig_sample_counts *after,
                         const struct jig_sample_counts *expected, const struct jig_sample_options *options) {
  int64_t dropped = 0, positives = after->positives - before->positives;
  for (int i = 0; i < JIG_DROPS; i++) {
    assert_int_equal(after->dropped[i] - before->dropped[i], expected->dropped[i]);
    dropped += expected->dropped[i];
  }
  assert_int_equal(positives, expected->positives);
  assert_int_equal(after->boxes - before->boxes, positives + dropped);
  assert_int_equal(after->clipped - before->clipped, expected->clipped);
  assert_int_equal(after->negatives - before->negatives, expected->negatives);
  int64_t wanted = expected->negatives + after->negatives_given_up - before->negatives_given_up;
  double mean = (double)positives * options->negatives;
  assert_true((double)wanted >= floor(mean) && (double)wanted <= ceil(mean));
}

static void check_image(const struct scene *scene, int64_t image, const struct jig_sample_options *options,
                        struct jig_samples *samples, struct jig_sample_counts *counts) {
  const struct dataset_image *entry = &scene->images[image];
  struct jig_sample_counts before = *counts, expected = {0};
  struct error error;
  assert_ok(jig_sample_image(&scene->dataset, image, entry->width, entry->height, options, 0, samples, counts, &error),
            error);
  for (int i = 0; i < entry->box_count; i++) {
    const struct dataset_box *box = &scene->boxes[entry->first_box + i];
    enum jig_drop drop = expected_drop(box, entry->width, entry->height, options);
    if (drop != JIG_DROPS) {
      expected.dropped[drop]++;
      continue;
    }
    bool clipped;
    assert_true((size_t)expected.positives < samples->count);
    check_positive(&samples->items[expected.positives], box, entry->width, entry->height, options, &clipped);
    expected.positives++;
    expected.clipped += clipped;
  }
  expected.negatives = (int64_t)samples->count - expected.positives;
  for (size_t i = (size_t)expected.positives; i < samples->count; i++) {
    check_negative(scene, image, samples, (size_t)expected.positives, i, options);
  }
  check_counts(&before, counts, &expected, options);
}

static bool samples_equal(const struct jig_samples *a, const struct jig_samples *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    const struct jig_sample *p = &a->items[i], *q = &b->items[i];
    if (memcmp(&p->rect, &q->rect, sizeof p->rect) != 0) return false;
    for (int k = 0; k < 4; k++) {
      if (p->box[k] != q->box[k]) return false;
    }
    if (p->annotation_id != q->annotation_id || p->category != q->category) return false;
  }
  return true;
}

/* ---- what holds of every sample ---- */

static void test_every_sample(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct scene scene;
  struct jig_samples samples = {0}, again = {0};
  struct jig_sample_counts counts = {.boxes = 7}, other = {0};
  struct error error;
  int64_t changed = 0, changeable = 0;
  for (int round = 0; round < ROUNDS; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0, (uint64_t)round);
    random_scene(&rng, &scene);
    struct jig_sample_options options = random_options(&rng), reseeded = options;
    reseeded.seed++;
    for (int64_t i = 0; i < scene.dataset.image_count; i++) {
      int width = scene.images[i].width, height = scene.images[i].height;
      check_image(&scene, i, &options, &samples, &counts);
      assert_ok(jig_sample_image(&scene.dataset, i, width, height, &options, 0, &again, &other, &error), error);
      assert_true(samples_equal(&samples, &again));
      assert_ok(jig_sample_image(&scene.dataset, i, width, height, &reseeded, 0, &again, &other, &error), error);
      bool free = samples.count > 4 && options.context >= 2 && options.context_shift == JIG_SHIFT_UNIFORM;
      changeable += free;
      changed += free && !samples_equal(&samples, &again);
    }
  }
  print_message("%lld boxes, %lld positives, %lld negatives, %lld given up\n", (long long)counts.boxes,
                (long long)counts.positives, (long long)counts.negatives, (long long)counts.negatives_given_up);
  for (int i = 0; i < JIG_DROPS; i++) {
    assert_true(counts.dropped[i] > 100);
  }
  assert_true(counts.negatives > 1000 && counts.negatives_given_up > 1000 && counts.clipped > 1000);
  assert_true(changeable > 100 && changed > changeable * 9 / 10);
  jig_samples_free(&samples);
  jig_samples_free(&again);
}

static void test_groups(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 1, 0);
  assert_string_equal(jig_group_letters, "TSW");
  for (int i = 0; i < 100000; i++) {
    int n = i < 1000 ? i + 1 : 1 + below(&rng, 300000000);
    assert_int_equal(jig_group_of(n, 2 * n), JIG_SQUARE);
    assert_int_equal(jig_group_of(n, 2 * n + 1), JIG_TALL);
    assert_int_equal(jig_group_of(3 * n, 2 * n), JIG_SQUARE);
    assert_int_equal(jig_group_of(3 * n + 1, 2 * n), JIG_WIDE);
    int w = 1 + below(&rng, 1 << (1 + below(&rng, 30))), h = 1 + below(&rng, 1 << (1 + below(&rng, 30)));
    double aspect = (double)w / h;
    assert_int_equal(jig_group_of(w, h), aspect < 0.5 ? JIG_TALL : aspect > 1.5 ? JIG_WIDE : JIG_SQUARE);
  }
}

/* A picture that its boxes cover leaves no place; one that they do not, and a negative that fits, always does. */
static void test_given_up(void **state) {
  (void)state;
  struct scene scene = {.images = {{.width = 60, .height = 40, .box_count = 1}},
                        .boxes = {{.id = 1, .x = -1, .y = -1, .w = 100, .h = 100}}};
  scene.dataset = (struct dataset){
      .images = scene.images, .boxes = scene.boxes, .image_count = 1, .box_count = 1, .category_count = 1};
  struct jig_sample_options options = jig_sample_defaults();
  struct jig_samples samples = {0};
  struct jig_sample_counts counts = {0};
  struct error error;
  options.negatives = 7;
  assert_ok(jig_sample_image(&scene.dataset, 0, 60, 40, &options, 0, &samples, &counts, &error), error);
  assert_int_equal(samples.count, 1);
  assert_int_equal(counts.negatives_given_up, 7);
  scene.boxes[0] = (struct dataset_box){.id = 1, .x = 30, .y = 20, .w = 4, .h = 4};
  assert_ok(jig_sample_image(&scene.dataset, 0, 60, 40, &options, 0, &samples, &counts, &error), error);
  assert_int_equal(samples.count, 8);
  assert_int_equal(counts.negatives_given_up, 7);
  scene.images[0].incomplete = true; /* an object that could not be read may lie anywhere */
  assert_ok(jig_sample_image(&scene.dataset, 0, 60, 40, &options, 0, &samples, &counts, &error), error);
  assert_int_equal(samples.count, 1);
  assert_int_equal(counts.negatives_given_up, 14);
  jig_samples_free(&samples);
}

static void start_scene(struct scene *scene, int width, int height, int boxes) {
  *scene = (struct scene){.images = {{.width = width, .height = height, .box_count = boxes}}};
  scene->dataset = (struct dataset){
      .images = scene->images, .boxes = scene->boxes, .image_count = 1, .box_count = boxes, .category_count = 1};
}

/* YOLO's six digits: boxes on pixel edges, some of them the picture's, stay what they were. */
static void test_rounded_labels(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 3, 0);
  struct scene scene;
  struct jig_samples samples = {0};
  struct jig_sample_counts counts = {0};
  struct jig_sample_options options = jig_sample_defaults();
  struct error error;
  options.context = 1;
  options.negatives = 0;
  for (int trial = 0; trial < 20000; trial++) {
    int side[2] = {1 + random_side(&rng), 1 + random_side(&rng)}, low[2], high[2];
    double middle[2], length[2];
    for (int axis = 0; axis < 2; axis++) {
      low[axis] = chance(&rng, 0.3) ? 0 : below(&rng, side[axis]);
      high[axis] = chance(&rng, 0.3) ? side[axis] : low[axis] + 1 + below(&rng, side[axis] - low[axis]);
      middle[axis] = round((low[axis] + high[axis]) / 2.0 / side[axis] * 1e6) / 1e6 * side[axis];
      length[axis] = round((high[axis] - low[axis]) * 1e6 / side[axis]) / 1e6 * side[axis];
    }
    start_scene(&scene, side[0], side[1], 1);
    scene.boxes[0] = (struct dataset_box){
        .x = middle[0] - length[0] / 2, .y = middle[1] - length[1] / 2, .w = length[0], .h = length[1]};
    assert_ok(jig_sample_image(&scene.dataset, 0, side[0], side[1], &options, 0, &samples, &counts, &error), error);
    assert_int_equal(samples.count, 1);
    const struct rect *rect = &samples.items[0].rect;
    assert_true(rect->x == low[0] && rect->x + rect->w == high[0] && rect->y == low[1] && rect->y + rect->h == high[1]);
  }
  assert_int_equal(counts.clipped, 0);
  jig_samples_free(&samples);
}

/* The tree says what a plain loop says. */
static void test_rect_tree(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 4, 0);
  struct rect_tree tree = {0};
  struct error error;
  int64_t met = 0, asked = 0;
  for (int round = 0; round < 300; round++) {
    struct rect rects[700];
    int count = below(&rng, chance(&rng, 0.5) ? 20 : 700), side = 1 + below(&rng, 3000);
    rect_tree_clear(&tree);
    assert_false(rect_tree_meets(&tree, (struct rect){0, 0, side, side}));
    for (int i = 0; i < count; i++) {
      int most = chance(&rng, 0.02) ? side : 1 + side / 60;
      rects[i] = (struct rect){.x = below(&rng, side), .y = below(&rng, side)};
      rects[i].w = below(&rng, most + 1);
      rects[i].h = below(&rng, most + 1);
      assert_ok(rect_tree_add(&tree, rects[i], &error), error);
    }
    assert_ok(rect_tree_build(&tree, &error), error);
    for (int k = 0; k < 100; k++, asked++) {
      struct rect wanted = {.x = below(&rng, side), .y = below(&rng, side)};
      wanted.w = below(&rng, 1 + side / 20);
      wanted.h = below(&rng, 1 + side / 20);
      bool expected = false;
      for (int i = 0; i < count; i++) {
        struct span x = {rects[i].x, rects[i].x + rects[i].w, 0}, y = {rects[i].y, rects[i].y + rects[i].h, 0};
        expected |= rect_overlap(&wanted, x, y) > 0;
      }
      assert_int_equal(rect_tree_meets(&tree, wanted), expected);
      met += expected;
    }
  }
  assert_true(met > asked / 10 && met < asked * 9 / 10);
  rect_tree_free(&tree);
}

/* ---- distributions ---- */

/* Samples the one image of a scene: with another seed, the same boxes and other random numbers. */
static void sample_one(struct scene *scene, uint64_t seed, struct jig_sample_options *options,
                       struct jig_samples *samples, struct jig_sample_counts *counts) {
  struct error error;
  options->seed = seed;
  assert_ok(jig_sample_image(&scene->dataset, 0, scene->images[0].width, scene->images[0].height, options, 0, samples,
                             counts, &error),
            error);
}

enum { SHIFTS = 40, TRIALS = 40000 }; /* a side of 2 * SHIFTS + 1 pixels moves by 0 .. SHIFTS */

static void test_shift_distribution(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct scene scene;
  struct jig_samples samples = {0};
  struct jig_sample_counts counts = {0};
  start_scene(&scene, 1000, 1000, 1);
  scene.boxes[0] = (struct dataset_box){.id = 1, .x = 400, .y = 500, .w = 2 * SHIFTS + 1, .h = 2 * SHIFTS + 1};
  for (int mode = JIG_SHIFT_UNIFORM; mode <= JIG_SHIFT_FULL; mode++) {
    struct jig_sample_options options = jig_sample_defaults();
    int64_t bins[4][SHIFTS + 1] = {0};
    double product[4][4] = {0};
    options.context_shift = mode;
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
      sample_one(&scene, seed + trial, &options, &samples, &counts);
      const struct rect *rect = &samples.items[0].rect;
      const int shift[4] = {400 - rect->x, rect->x + rect->w - (401 + 2 * SHIFTS), 500 - rect->y,
                            rect->y + rect->h - (501 + 2 * SHIFTS)};
      for (int i = 0; i < 4; i++) {
        bins[i][shift[i]]++;
        for (int k = 0; k < i; k++) {
          product[i][k] += (shift[i] - SHIFTS / 2.0) * (shift[k] - SHIFTS / 2.0);
        }
      }
      if (mode == JIG_SHIFT_SYMMETRIC) assert_true(shift[0] == shift[1] && shift[2] == shift[3]);
    }
    double variance = ((SHIFTS + 1) * (SHIFTS + 1) - 1) / 12.0;
    for (int i = 0; i < 4; i++) {
      if (mode == JIG_SHIFT_FULL) {
        assert_int_equal(bins[i][SHIFTS], TRIALS);
        continue;
      }
      check_uniform(bins[i], SHIFTS + 1, "shift");
      for (int k = 0; k < i; k++) {
        bool opposite = i == k + 1 && i % 2 == 1;
        double expected = mode == JIG_SHIFT_SYMMETRIC && opposite ? 1 : 0;
        assert_true(fabs(product[i][k] / (variance * TRIALS) - expected) <= 5 / sqrt(TRIALS));
      }
    }
  }
  jig_samples_free(&samples);
}

/* With 1 .. 25 boxes an image, the number of negatives is the sum of roundings that are right on average. */
static void test_ratio(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct scene scene;
  struct jig_samples samples = {0};
  struct jig_sample_counts counts = {0};
  double variance = 0, wanted = 0;
  for (uint64_t trial = 0; trial < 20000; trial++) {
    int boxes = 1 + (int)(trial % 25);
    start_scene(&scene, 900, 900, boxes);
    for (int i = 0; i < boxes; i++) {
      scene.boxes[i] = (struct dataset_box){.id = i, .x = 30.0f * (float)i, .y = 10, .w = 12, .h = 9};
    }
    struct jig_sample_options options = jig_sample_defaults();
    sample_one(&scene, seed + trial, &options, &samples, &counts);
    double fraction = boxes * 0.1 - floor(boxes * 0.1);
    wanted += boxes * 0.1;
    variance += fraction * (1 - fraction);
  }
  print_message("%lld positives, %lld negatives\n", (long long)counts.positives, (long long)counts.negatives);
  assert_int_equal(counts.negatives_given_up, 0);
  assert_true(fabs((double)counts.negatives - wanted) <= 5 * sqrt(variance));
  jig_samples_free(&samples);
}

/* Mean and variance of what is added. */
struct moments {
  double count, sum, squares;
};

static void moments_add(struct moments *moments, double value) {
  moments->count++;
  moments->sum += value;
  moments->squares += value * value;
}

static double moments_mean(const struct moments *moments) {
  return moments->sum / moments->count;
}

static double moments_error(const struct moments *moments) { /* of the mean, squared */
  double mean = moments_mean(moments);
  return (moments->squares / moments->count - mean * mean) / moments->count;
}

static void check_same_mean(const struct moments *a, const struct moments *b, const char *what) {
  double difference = moments_mean(a) - moments_mean(b), deviation = sqrt(moments_error(a) + moments_error(b));
  if (!(fabs(difference) <= 5 * deviation)) {
    fail_msg("%s: mean %g against %g, %g standard deviations apart", what, moments_mean(a), moments_mean(b),
             difference / deviation);
  }
}

/* Small boxes far from the borders of a large picture: hardly a candidate is refused, so that sizes stay as drawn. */
static void test_negative_sizes(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  enum { BOXES = 40 };
  static const char *const names[] = {"log w", "log h", "log w/h", "(log w)^2"};
  struct moments sizes[2][4] = {0}, places[2] = {0};
  struct scene scene;
  struct jig_samples samples = {0};
  struct jig_sample_counts counts = {0};
  struct jig_sample_options options = jig_sample_defaults();
  options.negatives = 1;
  for (uint64_t trial = 0; trial < 500; trial++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 2, trial);
    start_scene(&scene, 20000, 20000, BOXES);
    for (int i = 0; i < BOXES; i++) {
      float w = (float)exp(rng_range(&rng, 1, 4)), h = w * (float)exp(rng_range(&rng, -1.2, 0.8));
      scene.boxes[i] = (struct dataset_box){.id = i, .x = 9000, .y = 9000 + 100 * (float)i, .w = w, .h = h};
    }
    sample_one(&scene, seed + trial, &options, &samples, &counts);
    for (size_t i = 0; i < samples.count; i++) {
      const struct rect *rect = &samples.items[i].rect;
      double w = log(rect->w), h = log(rect->h), values[] = {w, h, w - h, w * w};
      for (int k = 0; k < 4; k++) {
        moments_add(&sizes[i >= BOXES][k], values[k]);
      }
      if (i < BOXES) continue;
      moments_add(&places[0], (rect->x + 0.5) / (20001 - rect->w) - 0.5);
      moments_add(&places[1], (rect->y + 0.5) / (20001 - rect->h) - 0.5);
    }
  }
  /* Positives come in the fixed numbers of each picture, negatives by lot: the bound holds all the more. */
  for (int k = 0; k < 4; k++) {
    check_same_mean(&sizes[0][k], &sizes[1][k], names[k]);
  }
  for (int k = 0; k < 2; k++) {
    assert_true(fabs(moments_mean(&places[k])) <= 5 * sqrt(moments_error(&places[k])));
  }
  jig_samples_free(&samples);
}

static void test_negative_sizes_uniform(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  enum { BINS = 20, SIDE = 1000 };
  int64_t bins[2][BINS] = {0};
  struct scene scene;
  struct jig_samples samples = {0};
  struct jig_sample_counts counts = {0};
  struct jig_sample_options options = jig_sample_defaults();
  options.negatives = 10;
  options.negative_size = JIG_SIZE_UNIFORM;
  options.crowd = JIG_CROWD_IGNORE;
  start_scene(&scene, SIDE, SIDE, 1);
  scene.boxes[0] = (struct dataset_box){.id = 1, .w = 1, .h = 1}; /* in the corner, where next to nothing meets it */
  for (uint64_t trial = 0; trial < 500; trial++) {
    sample_one(&scene, seed + trial, &options, &samples, &counts);
    for (size_t i = 1; i < samples.count; i++) {
      bins[0][(samples.items[i].rect.w - 1) * BINS / SIDE]++;
      bins[1][(samples.items[i].rect.h - 1) * BINS / SIDE]++;
    }
  }
  assert_int_equal(counts.negatives, 5000);
  check_uniform(bins[0], BINS, "width");
  check_uniform(bins[1], BINS, "height");
  jig_samples_free(&samples);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_sample),
      cmocka_unit_test(test_groups),
      cmocka_unit_test(test_given_up),
      cmocka_unit_test(test_rounded_labels),
      cmocka_unit_test(test_rect_tree),
      cmocka_unit_test(test_shift_distribution),
      cmocka_unit_test(test_ratio),
      cmocka_unit_test(test_negative_sizes),
      cmocka_unit_test(test_negative_sizes_uniform),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
