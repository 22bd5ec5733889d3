/* Drawing, compared pixel by pixel with what the header says. */
#include <limits.h>
#include <math.h>

#include "tests/image_support.h"

static uint64_t seed;

static const struct color INK = {200, 100, 50};

static int extreme(struct rng *rng) {
  static const int ENDS[] = {INT_MIN, INT_MIN + 1, -1, 0, 1, INT_MAX - 1, INT_MAX};
  return below(rng, 4) == 0 ? ENDS[below(rng, COUNT_OF(ENDS))] : below(rng, 60) - 20;
}

static bool inside(struct rect r, int64_t x, int64_t y, int64_t margin) {
  return x >= r.x + margin && y >= r.y + margin && x < (int64_t)r.x + r.w - margin && y < (int64_t)r.y + r.h - margin;
}

static void test_shapes(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 4, 0);
  for (int i = 0; i < 2000; i++) {
    struct image before = random_image(&rng, 1 + below(&rng, 20), 1 + below(&rng, 20));
    struct image after = crop(&before, (struct rect){0, 0, before.width, before.height});
    struct image pasted = random_image(&rng, 1 + below(&rng, 20), 1 + below(&rng, 20));
    struct rect area = {extreme(&rng), extreme(&rng), extreme(&rng), extreme(&rng)};
    int thickness = extreme(&rng), shape = i % 3;
    if (shape == 0) draw_fill(&after, area, INK);
    if (shape == 1) draw_frame(&after, area, thickness, INK);
    if (shape == 2) draw_image(&after, area.x, area.y, &pasted);
    struct rect place = {area.x, area.y, pasted.width, pasted.height};
    for (int y = 0; y < after.height; y++) {
      for (int x = 0; x < after.width; x++) {
        const uint8_t *expected = pixel(&before, x, y);
        if (shape == 0 && inside(area, x, y, 0)) expected = &INK.r;
        if (shape == 1 && thickness > 0 && inside(area, x, y, 0) && !inside(area, x, y, thickness)) expected = &INK.r;
        if (shape == 2 && inside(place, x, y, 0)) expected = pixel(&pasted, x - area.x, y - area.y);
        assert_memory_equal(pixel(&after, x, y), expected, 3);
      }
    }
    image_free(&before);
    image_free(&after);
    image_free(&pasted);
  }
}

static struct image text_image(int width, int height, int x, int y, int scale, const char *text) {
  struct image image = {0};
  struct error error;
  assert_ok(image_alloc(&image, width, height, &error), error);
  draw_text(&image, x, y, scale, INK, text);
  return image;
}

static void test_text(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 5, 0);
  struct image asked = text_image(60, 20, 5, 5, 1, "a?b?");
  static const char *const SAME[] = {"a\xc3\xa9"
                                     "b\xe2\x82\xac",
                                     "a\nb\x7f",
                                     "a\xff"
                                     "b\x80",
                                     "a\xf0\x9f\x98\x80"
                                     "b\t"};
  for (size_t i = 0; i < COUNT_OF(SAME); i++) {
    struct image other = text_image(60, 20, 5, 5, 1, SAME[i]);
    assert_same(&asked, &other);
    assert_int_equal(draw_text_width(1, "a?b?"), draw_text_width(1, SAME[i]));
    image_free(&other);
  }
  image_free(&asked);

  for (int i = 0; i < 500; i++) {
    char text[12] = {0};
    for (int j = below(&rng, 11); j >= 0; j--) {
      text[j] = (char)(1 + below(&rng, 255));
    }
    int scale = 1 + below(&rng, 3), x = below(&rng, 200) - 100, y = below(&rng, 60) - 30;
    struct image one = text_image(140, 24, 10, 6, 1, text), here = text_image(64, 32, x, y, scale, text);
    int right = 10 + draw_text_width(1, text);
    assert_int_equal(draw_text_width(scale, text), scale * (right - 10));
    for (int v = 0; v < one.height; v++) {
      for (int u = 0; u < one.width; u++) {
        if (u < 10 || u >= right || v < 6 || v >= 18) assert_memory_equal(pixel(&one, u, v), "\0\0\0", 3);
      }
    }
    for (int v = 0; v < here.height; v++) { /* each pixel is that of the text at scale 1 */
      for (int u = 0; u < here.width; u++) {
        int from_x = 10 + (int)floor((double)(u - x) / scale), from_y = 6 + (int)floor((double)(v - y) / scale);
        bool known = from_x >= 0 && from_y >= 0 && from_x < one.width && from_y < one.height;
        assert_memory_equal(pixel(&here, u, v), known ? pixel(&one, from_x, from_y) : (const uint8_t *)"\0\0\0", 3);
      }
    }
    draw_text(&one, extreme(&rng), extreme(&rng), extreme(&rng), INK, text);
    image_free(&one);
    image_free(&here);
  }
  assert_int_equal(draw_text_width(INT_MAX, "wide"), INT_MAX);
  assert_int_equal(draw_text_width(0, "wide"), 0);
}

int main(void) {
  seed = test_seed();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shapes),
      cmocka_unit_test(test_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
