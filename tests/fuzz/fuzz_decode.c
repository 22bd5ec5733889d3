/* Arbitrary bytes as a picture. Beyond not crashing: probing and decoding agree, and a rectangle is what the whole
 * shows there. */
#include "core/image/image.h"

#include <string.h>

enum { PIXELS = 1 << 18 }; /* larger ones only cost time */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth) {
  if (!truth) __builtin_trap();
}

static void check_part(const struct image *whole, struct rect part, const struct image *cut) {
  expect(cut->width == part.w && cut->height == part.h);
  for (int y = 0; y < part.h; y++) {
    size_t from = (size_t)(part.y + y) * (size_t)whole->width + (size_t)part.x;
    size_t to = (size_t)y * (size_t)part.w;
    expect(memcmp(whole->pixels + from * 3, cut->pixels + to * 3, (size_t)part.w * 3) == 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct error error = {0};
  struct image_info info;
  struct image whole = {0}, cut = {0};
  if (image_probe(data, size, &info, &error)) {
    expect(error.message[0] != '\0');
    expect(image_decode(data, size, NULL, image_memory_share(1), &whole, &error) != 0);
  } else if ((int64_t)info.width * info.height <= PIXELS) {
    expect(info.orientation >= 1 && info.orientation <= 8);
    struct rect part = {info.width / 3, info.height / 2, (info.width + 2) / 3, (info.height + 1) / 3};
    if (part.h < 1) part.h = 1;
    int failed = image_decode(data, size, NULL, image_memory_share(1), &whole, &error);
    if (!failed) {
      expect(whole.width == info.width && whole.height == info.height);
      expect(image_decode(data, size, &part, image_memory_share(1), &cut, &error) == 0);
      check_part(&whole, part, &cut);
    } else {
      image_decode(data, size, &part, image_memory_share(1), &cut, &error); /* may succeed: the damage may be below */
    }
  }
  image_free(&whole);
  image_free(&cut);
  return 0;
}
