/* Resizing in fixed point against a plain resize in double precision. */
#include "jigsaw/resample.h"

#include "tests/reference.h"
#include "tests/test_support.h"

enum { ROUNDS = 3000, GUARD = 0xa5 };

/* Half a level for each of the two roundings, and some for weights of 14 bits; with the longest sides those are a few
 * units each, and sample rather than average. */
static const double TOLERANCE = 1.1, TOLERANCE_LONG = 1.5;

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

static int random_side(struct rng *rng) {
  if (rng_uniform(rng) < 0.15) return 1 + below(rng, 3);
  return (int)exp(rng_range(rng, 0, log(250.5)));
}

/* Noise, a ramp, hard edges between black and white, or one colour. */
static struct image random_image(struct rng *rng, int width, int height) {
  struct image image = {width, height, reference_memory((size_t)width * (size_t)height * 3)};
  int kind = below(rng, 4), period = 1 + below(rng, 20);
  for (int i = 0; i < width * height * 3; i++) {
    int x = i / 3 % width, y = i / 3 / width;
    uint8_t values[] = {(uint8_t)rng_u32(rng), (uint8_t)(x + y * 3 + i % 3 * 80),
                        (x / period + y / period) % 2 ? 255 : 0, (uint8_t)(period * 12 + i % 3)};
    image.pixels[i] = values[kind];
  }
  return image;
}

static struct image cut(const struct image *image, int x, int y, int width, int height) {
  struct image part = {width, height, reference_memory((size_t)width * (size_t)height * 3)};
  for (int row = 0; row < height; row++) {
    memcpy(part.pixels + (size_t)row * (size_t)width * 3,
           image->pixels + 3 * ((size_t)(y + row) * (size_t)image->width + (size_t)x), (size_t)width * 3);
  }
  return part;
}

struct job {
  struct resample_axis x, y;
  bool flip;
  double tolerance;
};

/* Resizes what `job` wants of the image into `out`, of which nothing else may be written. */
static void run(struct resampler *resampler, const struct image *image, const struct job *job, uint8_t *out) {
  struct error error;
  int first_x, first_y, width = resample_span(&job->x, &first_x), height = resample_span(&job->y, &first_y);
  assert_true(first_x >= 0 && width >= 1 && first_x + width <= job->x.from);
  assert_true(first_y >= 0 && height >= 1 && first_y + height <= job->y.from);
  struct image part = cut(image, first_x, first_y, width, height);
  size_t row = (size_t)job->x.count * 3, stride = row + 5, size = stride * (size_t)job->y.count;
  uint8_t *canvas = reference_memory(size);
  memset(canvas, GUARD, size);
  assert_ok(resample(resampler, &part, &job->x, &job->y, job->flip, canvas, stride, &error), error);
  for (size_t y = 0; y < (size_t)job->y.count; y++) {
    memcpy(out + y * row, canvas + y * stride, row);
    for (size_t i = row; i < stride; i++) {
      assert_int_equal(canvas[y * stride + i], GUARD);
    }
  }
  free(canvas);
  image_free(&part);
}

static struct resample_axis random_axis(struct rng *rng, int from) {
  double kind = rng_uniform(rng);
  int to = kind < 0.1 ? from : kind < 0.5 ? (int)ceil(from * rng_range(rng, 0.8, 1.5)) : random_side(rng);
  int start = below(rng, to);
  return (struct resample_axis){from, to, start, 1 + below(rng, to - start)};
}

/* `largest` difference so far. */
static void compare(const struct image *image, const struct job *job, const uint8_t *out, double *largest) {
  const struct resample_axis *x = &job->x, *y = &job->y;
  double *expected = reference_resize(image, x->to, y->to);
  for (int j = 0; j < y->count; j++) {
    for (int i = 0; i < x->count * 3; i++) {
      int column = i / 3, source = job->flip ? x->count - 1 - column : column;
      double value = expected[((size_t)(y->start + j) * (size_t)x->to + (size_t)(x->start + source)) * 3 + i % 3];
      double difference = fabs(out[(size_t)j * (size_t)x->count * 3 + (size_t)i] - value);
      *largest = fmax(*largest, difference);
      if (difference <= job->tolerance) continue;
      fail_msg("%d x %d to %d x %d, from (%d, %d)%s: pixel (%d, %d) is %d, not %g", x->from, y->from, x->to, y->to,
               x->start, y->start, job->flip ? " flipped" : "", column, j, out[j * x->count * 3 + i], value);
    }
  }
  free(expected);
}

static void check_job(struct resampler *resampler, const struct image *image, const struct job *job, double *largest) {
  uint8_t *out = reference_memory((size_t)job->x.count * (size_t)job->y.count * 3);
  run(resampler, image, job, out);
  compare(image, job, out, largest);
  free(out);
}

static void test_against_reference(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct resampler resampler = {0};
  double largest = 0;
  for (uint64_t round = 0; round < ROUNDS; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0, round);
    struct image image = random_image(&rng, random_side(&rng), random_side(&rng));
    struct job job = {random_axis(&rng, image.width), random_axis(&rng, image.height), below(&rng, 2), TOLERANCE};
    check_job(&resampler, &image, &job, &largest);
    image_free(&image);
  }
  print_message("largest difference %.3f levels\n", largest);
  resampler_free(&resampler);
}

/* The longest sides that a JPEG can have, down to a few pixels. */
static void test_big_shrinks(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct resampler resampler = {0};
  double largest = 0;
  for (uint64_t round = 0; round < 60; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 1, round);
    int length = 1000 + below(&rng, 64536), to = 1 + below(&rng, round % 2 ? 3 : 64), width = 1 + below(&rng, 3);
    bool upright = below(&rng, 2);
    struct image image = random_image(&rng, upright ? width : length, upright ? length : width);
    struct resample_axis axis = {length, to, 0, to}, other = {width, 2, 0, 2};
    struct job job = {upright ? other : axis, upright ? axis : other, below(&rng, 2), TOLERANCE_LONG};
    check_job(&resampler, &image, &job, &largest);
    image_free(&image);
  }
  print_message("largest difference %.3f levels\n", largest);
  resampler_free(&resampler);
}

/* Whatever part is asked for, its pixels are those of the whole. */
static void test_parts_equal_whole(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct resampler resampler = {0};
  for (uint64_t round = 0; round < ROUNDS; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 2, round);
    struct image image = random_image(&rng, random_side(&rng), random_side(&rng));
    struct job part = {random_axis(&rng, image.width), random_axis(&rng, image.height), false, 0}, whole = part;
    whole.x.start = whole.y.start = 0;
    whole.x.count = whole.x.to, whole.y.count = whole.y.to;
    size_t row = (size_t)part.x.count * 3, long_row = (size_t)whole.x.count * 3;
    uint8_t *out = reference_memory(row * (size_t)part.y.count);
    uint8_t *all = reference_memory(long_row * (size_t)whole.y.count);
    run(&resampler, &image, &part, out);
    run(&resampler, &image, &whole, all);
    for (int y = 0; y < part.y.count; y++) {
      const uint8_t *expected = all + (size_t)(part.y.start + y) * long_row + (size_t)part.x.start * 3;
      assert_memory_equal(out + (size_t)y * row, expected, row);
    }
    free(all);
    free(out);
    image_free(&image);
  }
  resampler_free(&resampler);
}

/* One colour stays that colour, and a picture that keeps its size keeps its bytes. */
static void test_exact_cases(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct resampler resampler = {0};
  for (uint64_t round = 0; round < 1000; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 3, round);
    struct image image = random_image(&rng, random_side(&rng), random_side(&rng));
    struct job job = {random_axis(&rng, image.width), random_axis(&rng, image.height), below(&rng, 2), TOLERANCE};
    struct job same = {
        {image.width, image.width, 0, image.width}, {image.height, image.height, 0, image.height}, false, 0};
    size_t size = (size_t)image.width * (size_t)image.height * 3, count = (size_t)job.x.count * (size_t)job.y.count * 3;
    uint8_t *kept = reference_memory(size), *out = reference_memory(count), value = (uint8_t)rng_u32(&rng);
    run(&resampler, &image, &same, kept);
    assert_memory_equal(kept, image.pixels, size);
    memset(image.pixels, value, size);
    run(&resampler, &image, &job, out);
    for (size_t i = 0; i < count; i++) {
      assert_int_equal(out[i], value);
    }
    free(out);
    free(kept);
    image_free(&image);
  }
  resampler_free(&resampler);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_reference),
      cmocka_unit_test(test_big_shrinks),
      cmocka_unit_test(test_parts_equal_whole),
      cmocka_unit_test(test_exact_cases),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
