/* EXIF data, which is a small TIFF file wherever it lies: in a segment of a JPEG, in a chunk of a PNG or WebP. */
#include "core/image/internal.h"

#include <string.h>

enum { TIFF_ORIENTATION = 0x0112, TIFF_SHORT = 3, TIFF_LONG = 4 };

struct tiff {
  const uint8_t *bytes;
  size_t size;
  bool big;
};

static unsigned tiff_u16(const struct tiff *tiff, size_t at) {
  const uint8_t *p = tiff->bytes + at;
  return tiff->big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

static uint32_t tiff_u32(const struct tiff *tiff, size_t at) {
  uint32_t first = tiff_u16(tiff, at), second = tiff_u16(tiff, at + 2);
  return tiff->big ? first << 16 | second : second << 16 | first;
}

/* Looks through IFD 0; every offset is compared with the size before it is used. */
int exif_orientation(const uint8_t *bytes, size_t size) {
  if (size < 8 || (memcmp(bytes, "II*\0", 4) != 0 && memcmp(bytes, "MM\0*", 4) != 0)) return 1;
  struct tiff tiff = {bytes, size, bytes[0] == 'M'};
  size_t directory = tiff_u32(&tiff, 4);
  if (directory > size - 2) return 1;
  size_t entries = tiff_u16(&tiff, directory);
  for (size_t i = 0, at = directory + 2; i < entries && size - at >= 12; i++, at += 12) {
    if (tiff_u16(&tiff, at) != TIFF_ORIENTATION) continue;
    unsigned type = tiff_u16(&tiff, at + 2);
    uint32_t value = type == TIFF_SHORT ? tiff_u16(&tiff, at + 8) : type == TIFF_LONG ? tiff_u32(&tiff, at + 8) : 1;
    return value >= 1 && value <= 8 ? (int)value : 1;
  }
  return 1;
}
