/* Batches: the right images in the right places whatever the number of workers, errors in their turn, and a clean stop
 * in any state. */
#include "pretrain/loader.h"

#include <math.h>

#include "nn/tensor.h"
#include "pretrain/source_parts.h"

#include "tests/test_support.h"

#include "tests/source_support.h"

enum { BATCH = 5, CLASSES = 3, EACH = 8, SIZE = 32 };

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

/* A folder of small pictures, which need not be assembled: tests are of threads. */
static struct source *small_source(const char *folder, struct rng *rng, enum source_part part, double held_out) {
  struct source_options options = source_defaults(7, held_out);
  options.assemble.template.size = SIZE;
  write_class_folders(rng, folder, CLASSES, EACH);
  return open_source(folder, true, part, &options);
}

static struct loader *open_loader(const struct source *source, const struct loader_options *options) {
  struct loader *loader;
  struct error error;
  assert_ok(loader_open(&loader, source, options, &error), error);
  return loader;
}

static const struct loader_batch *next_batch(struct loader *loader) {
  const struct loader_batch *batch;
  struct error error;
  double waited = 0;
  assert_ok(loader_next(loader, &batch, &waited, &error), error);
  assert_true(waited >= 0);
  return batch;
}

static void rest(struct rng *rng, int most_microseconds) {
  usleep((useconds_t)below(rng, most_microseconds));
}

/* ---- what batches hold ---- */

static void check_value(double found, uint8_t pixel, int channel, double tolerance) {
  static const double MEAN[3] = {0.485, 0.456, 0.406}, DEVIATION[3] = {0.229, 0.224, 0.225};
  double expected = (pixel / 255.0 - MEAN[channel]) / DEVIATION[channel];
  if (!(fabs(found - expected) <= tolerance * fabs(expected))) {
    fail_msg("%d in channel %d became %.9g, not %.9g", pixel, channel, found, expected);
  }
}

/* Each image of the batch is the one that the source renders. */
static void check_batch(const struct source *source, const struct loader_batch *batch, int size, bool bf16) {
  struct source_scratch *scratch;
  struct image canvas = {0};
  struct error error;
  int32_t labels[JIG_REGIONS];
  int64_t length = source_epoch_length(source), values = 3LL * source_size(source) * source_size(source);
  assert_ok(source_scratch_create(&scratch, &error), error);
  assert_true((uintptr_t)batch->images % 64 == 0 && (uintptr_t)batch->labels % 64 == 0);
  for (int i = 0; i < size; i++) {
    int64_t number = batch->iteration * size + i;
    assert_ok(source_render(source, (uint32_t)(number / length), number % length, scratch, &canvas, labels, &error),
              error);
    int regions = source_regions(source);
    assert_memory_equal(labels, batch->labels + (ptrdiff_t)i * regions, (size_t)regions * sizeof *labels);
    for (int64_t k = 0; k < values; k++) {
      int64_t at = i * values + k;
      double found = bf16 ? (double)nn_f32_from_bf16(((const uint16_t *)batch->images)[at])
                          : (double)((const float *)batch->images)[at];
      check_value(found, canvas.pixels[k], (int)(k % 3), bf16 ? 1.0 / 256 : 1e-7);
    }
  }
  source_scratch_free(scratch);
  image_free(&canvas);
}

static void test_values(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct rng rng;
  char folder[64], path[96];
  rng_init(&rng, seed, RNG_TEST, 0, 0);
  test_scratch(folder);
  make_toy_store(path, folder, 12, seed);
  struct source_options options = source_defaults(seed, 0);
  struct source *source = open_source(path, false, SOURCE_TRAINING, &options);
  for (int bf16 = 0; bf16 < 2; bf16++) {
    struct loader_options with = {
        .batch = 4, .workers = 2, .ahead = 2, .bf16 = bf16, .first_iteration = below(&rng, 9)};
    struct loader *loader = open_loader(source, &with);
    for (int i = 0; i < 4; i++) {
      const struct loader_batch *batch = next_batch(loader);
      assert_int_equal(batch->iteration, with.first_iteration + i);
      check_batch(source, batch, with.batch, bf16);
    }
    loader_close(loader);
  }
  source_close(source);
  test_scratch_remove(folder);
}

/* ---- any number of workers ---- */

static void copy_batches(const struct source *source, const struct loader_options *options, int count, struct rng *rng,
                         struct buffer *out) {
  struct loader *loader = open_loader(source, options);
  struct error error;
  size_t bytes = (size_t)BATCH * SIZE * SIZE * 3 * (options->bf16 ? 2 : 4);
  out->size = 0;
  for (int i = 0; i < count; i++) {
    const struct loader_batch *batch = next_batch(loader);
    assert_int_equal(batch->iteration, options->first_iteration + i);
    if (below(rng, 3) == 0) rest(rng, 2000); /* it stays as it is while workers go on */
    assert_ok(buffer_append(out, batch->images, bytes, &error), error);
    assert_ok(buffer_append(out, batch->labels, BATCH * sizeof *batch->labels, &error), error);
  }
  loader_close(loader);
}

static void test_workers(void **state) {
  (void)state;
  enum { BATCHES = 12 };
  struct rng rng;
  char folder[64];
  struct buffer expected = {0}, found = {0};
  rng_init(&rng, test_seed(), RNG_TEST, 1, 0);
  test_scratch(folder);
  struct source *source = small_source(folder, &rng, SOURCE_TRAINING, 0);
  for (int round = 0; round < 12; round++) {
    struct loader_options options = {.batch = BATCH, .workers = 1, .ahead = 1, .bf16 = round % 2};
    copy_batches(source, &options, BATCHES, &rng, &expected);
    size_t one = expected.size / BATCHES;
    options.workers = 1 + round % 7;
    options.ahead = 1 + below(&rng, 5);
    copy_batches(source, &options, BATCHES, &rng, &found);
    assert_int_equal(found.size, expected.size);
    assert_memory_equal(found.data, expected.data, expected.size);
    options.first_iteration = 1 + below(&rng, BATCHES - 1); /* resumed */
    copy_batches(source, &options, BATCHES - (int)options.first_iteration, &rng, &found);
    assert_memory_equal(found.data, expected.data + (size_t)options.first_iteration * one, found.size);
  }
  buffer_free(&expected);
  buffer_free(&found);
  source_close(source);
  test_scratch_remove(folder);
}

/* Where a part is smaller than a batch, the next epoch begins within it. */
static void test_small(void **state) {
  (void)state;
  struct rng rng;
  char folder[64];
  rng_init(&rng, test_seed(), RNG_TEST, 2, 0);
  test_scratch(folder);
  struct source *source = small_source(folder, &rng, SOURCE_HELD_OUT, 0.3);
  int batch = (int)source_epoch_length(source) * 2 + 1;
  struct loader_options options = {.batch = batch, .workers = 2, .ahead = 1};
  struct loader *loader = open_loader(source, &options);
  check_batch(source, next_batch(loader), batch, false);
  loader_close(loader);
  source_close(source);

  struct error error = {0};
  source = small_source(folder, &rng, SOURCE_TRAINING, 0);
  options.batch = CLASSES * EACH + 1;
  loader = open_loader(source, &options);
  check_batch(source, next_batch(loader), options.batch, false);
  check_batch(source, next_batch(loader), options.batch, false);
  loader_close(loader);
  const struct loader_options bad[] = {{.batch = 0, .workers = 1, .ahead = 1},
                                       {.batch = 1, .workers = 0, .ahead = 1},
                                       {.batch = 1, .workers = 1, .ahead = 0},
                                       {.batch = 1, .workers = 1, .ahead = 1, .first_iteration = -1},
                                       {.batch = -3, .workers = 1, .ahead = 1},
                                       {.batch = 2, .workers = 1, .ahead = 1, .first_iteration = INT64_MAX / 2}};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    assert_int_equal(loader_open(&loader, source, &bad[i], &error), -1);
  }
  loader_close(NULL);
  source_close(source);
  test_scratch_remove(folder);
}

/* ---- errors and stopping ---- */

/* Breaks image `index` of epoch 0: so that it fails at once, or only when most of it is decoded. */
static void break_picture(const struct source *source, int64_t index, const struct buffer *bytes) {
  const struct source_picture *picture;
  struct buffer file = {0};
  struct error error;
  char path[PATH_SIZE];
  assert_ok(source_read_picture(source, 0, index, &file, &picture, &error), error);
  assert_ok(path_format(path, &error, "%s/%s", source->folder, picture->name), error);
  write_bytes(path, bytes->data, bytes->size);
  buffer_free(&file);
}

static void break_pictures(const struct source *source, int round, struct rng *rng, const struct buffer *truncated) {
  static uint8_t nothing[] = "broken";
  const struct buffer broken = {nothing, sizeof nothing, 0};
  int64_t first = below(rng, 3) * BATCH + below(rng, 2); /* two of one batch, one of them the quicker to fail */
  break_picture(source, first, round % 2 ? truncated : &broken);
  break_picture(source, first + 1 + below(rng, 3), round % 2 ? &broken : truncated);
  break_picture(source, 4 * BATCH, &broken);
}

/* The batch of the first in the order of images fails, with that picture's name, every time. */
static void test_errors(void **state) {
  (void)state;
  struct rng rng;
  char folder[64], path[96];
  struct buffer truncated = {0};
  struct error none;
  rng_init(&rng, test_seed(), RNG_TEST, 3, 0);
  test_scratch(folder);
  snprintf(path, sizeof path, "%s/large.jpg", folder);
  write_picture(&rng, path, 1200, 1200);
  assert_ok(file_read(&truncated, path, &none), none);
  truncated.size = truncated.size / 2;
  test_scratch_remove(folder);
  for (int round = 0; round < 16; round++) {
    test_scratch(folder);
    struct source *source = small_source(folder, &rng, SOURCE_TRAINING, 0);
    break_pictures(source, round, &rng, &truncated);
    struct source_scratch *scratch;
    struct image canvas = {0};
    struct error first = {0}, error = {0};
    int32_t labels[JIG_REGIONS];
    int64_t broken = 0;
    assert_ok(source_scratch_create(&scratch, &error), error);
    while (source_render(source, 0, broken, scratch, &canvas, labels, &first) == 0)
      broken++;
    source_scratch_free(scratch);
    image_free(&canvas);
    struct loader_options options = {.batch = BATCH, .workers = 1 + below(&rng, 6), .ahead = 1 + below(&rng, 4)};
    struct loader *loader = open_loader(source, &options);
    const struct loader_batch *batch;
    double waited = 0;
    for (int64_t i = 0; i < broken / BATCH; i++) {
      check_batch(source, next_batch(loader), BATCH, false);
    }
    for (int again = 0; again < 2; again++) {
      assert_int_equal(loader_next(loader, &batch, &waited, &error), -1);
      assert_string_equal(error.message, first.message);
    }
    loader_close(loader);
    source_close(source);
    test_scratch_remove(folder);
  }
  buffer_free(&truncated);
}

/* At once, while workers work, when all sleep, after some batches. */
static void test_stopping(void **state) {
  (void)state;
  struct rng rng;
  char folder[64];
  rng_init(&rng, test_seed(), RNG_TEST, 4, 0);
  test_scratch(folder);
  struct source *source = small_source(folder, &rng, SOURCE_TRAINING, 0);
  for (int round = 0; round < 200; round++) {
    struct loader_options options = {
        .batch = 1 + below(&rng, 9), .workers = 1 + below(&rng, 6), .ahead = 1 + below(&rng, 4)};
    struct loader *loader = open_loader(source, &options);
    for (int i = below(&rng, 4); i > 0; i--) {
      next_batch(loader);
    }
    if (round % 3) rest(&rng, round % 3 == 1 ? 500 : 20000);
    loader_close(loader);
  }
  source_close(source);
  test_scratch_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values), cmocka_unit_test(test_workers),  cmocka_unit_test(test_small),
      cmocka_unit_test(test_errors), cmocka_unit_test(test_stopping),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
