/* What the tests of core/image share. */
#ifndef JIGSAW_TESTS_IMAGE_SUPPORT_H
#define JIGSAW_TESTS_IMAGE_SUPPORT_H

#include "core/image/image.h"

#include "tests/test_support.h"

static inline int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

static inline void random_bytes(struct rng *rng, uint8_t *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    bytes[i] = (uint8_t)rng_u32(rng);
  }
}

static inline struct image random_image(struct rng *rng, int width, int height) {
  struct image image = {0};
  struct error error;
  assert_ok(image_alloc(&image, width, height, &error), error);
  random_bytes(rng, image.pixels, (size_t)width * (size_t)height * 3);
  return image;
}

static inline const uint8_t *pixel(const struct image *image, int x, int y) {
  return image->pixels + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
}

static inline struct image crop(const struct image *image, struct rect part) {
  struct image result = {part.w, part.h, malloc((size_t)part.w * (size_t)part.h * 3)};
  assert_non_null(result.pixels);
  for (int y = 0; y < part.h; y++) {
    memcpy(result.pixels + (size_t)y * (size_t)part.w * 3, pixel(image, part.x, part.y + y), (size_t)part.w * 3);
  }
  return result;
}

static inline struct rect random_rect(struct rng *rng, int width, int height) {
  struct rect rect = {.x = below(rng, width), .y = below(rng, height)};
  rect.w = 1 + below(rng, width - rect.x);
  rect.h = 1 + below(rng, height - rect.y);
  return rect;
}

static inline void assert_same(const struct image *a, const struct image *b) {
  assert_int_equal(a->width, b->width);
  assert_int_equal(a->height, b->height);
  assert_memory_equal(a->pixels, b->pixels, (size_t)a->width * (size_t)a->height * 3);
}

#endif
