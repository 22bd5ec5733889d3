/* Arbitrary bytes as a crop of the sample store: nine of what its index says (the exact rectangle as four little-endian
 * 16-bit numbers, and the orientation), then the JPEG. What decodes has the size that was asked for, turned; and
 * turning keeps every pixel. */
#include "core/image/image.h"

#include <string.h>

enum { HEAD = 9, PIXELS = 1 << 18 }; /* larger pictures only cost time */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth) {
  if (!truth) __builtin_trap();
}

static uint64_t pixel_sum(const struct image *image) {
  uint64_t sum = 0;
  for (size_t i = 0; i < (size_t)image->width * (size_t)image->height * 3; i++) {
    sum += image->pixels[i];
  }
  return sum;
}

static void check_turn(struct image *image, struct rect exact, int orientation) {
  struct error error = {0};
  struct rect inner = {exact.w / 3, exact.h / 2, (exact.w + 2) / 3, (exact.h + 1) / 2};
  struct rect upright = rect_orient(inner, orientation, exact.w, exact.h);
  struct rect back = rect_unorient(upright, orientation, exact.w, exact.h);
  expect(back.x == inner.x && back.y == inner.y && back.w == inner.w && back.h == inner.h);
  uint64_t sum = pixel_sum(image);
  uint8_t first[3];
  memcpy(first, image->pixels, sizeof first);
  expect(image_orient(image, orientation, &error) == 0);
  bool turned = orientation >= 5 && orientation <= 8;
  expect(image->width == (turned ? exact.h : exact.w) && image->height == (turned ? exact.w : exact.h));
  expect(pixel_sum(image) == sum);
  struct rect corner = rect_orient((struct rect){0, 0, 1, 1}, orientation, exact.w, exact.h);
  size_t at = (size_t)corner.y * (size_t)image->width + (size_t)corner.x;
  expect(memcmp(image->pixels + at * 3, first, sizeof first) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct error error = {0};
  struct image_info info;
  struct image image = {0};
  if (size < HEAD) return 0;
  struct rect exact = {data[0] | data[1] << 8, data[2] | data[3] << 8, data[4] | data[5] << 8, data[6] | data[7] << 8};
  int orientation = data[8] % 10; /* 0 and 9, which are none, too */
  const uint8_t *jpeg = data + HEAD;
  if (image_probe(jpeg, size - HEAD, &info, &error)) return 0;
  if ((int64_t)info.width * info.height > PIXELS) return 0;
  bool inside = exact.w > 0 && exact.h > 0 && exact.x + exact.w <= info.width && exact.y + exact.h <= info.height;
  if (image_decode(jpeg, size - HEAD, &exact, image_memory_share(1), &image, &error)) {
    expect(error.message[0] != '\0');
  } else {
    expect(inside && image.width == exact.w && image.height == exact.h);
    check_turn(&image, exact, orientation);
  }
  image_free(&image);
  return 0;
}
