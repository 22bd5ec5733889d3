/* Any bytes: the cutter refuses them, or makes a cut that libjpeg reads without loss. */
#include <stdlib.h>
#include <string.h>

#include "core/image/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_PIXELS_MAX (1 << 20) /* larger pictures only take longer */

/* Whether some SOF, or what looks like one, promises too large a picture. */
static bool too_large(const uint8_t *data, size_t size) {
  for (size_t i = 0; i + 8 < size; i++) {
    if (data[i] != 0xFF || data[i + 1] < 0xC0 || data[i + 1] > 0xCF || data[i + 1] == 0xC4) continue;
    int64_t height = data[i + 5] << 8 | data[i + 6], width = data[i + 7] << 8 | data[i + 8];
    if (width * height > FUZZ_PIXELS_MAX) return true;
  }
  return false;
}

static void read_cut(const struct buffer *cut, const struct rect *inner) {
  struct jpeg_guard guard;
  struct error error = {0};
  struct jpeg_decompress_struct file = {0};
  file.err = jpeg_guard_init(&guard, &error);
  if (setjmp(guard.escape) != 0) abort();
  jpeg_create_decompress(&file);
  jpeg_mem_src(&file, cut->data, cut->size);
  jpeg_read_header(&file, TRUE);
  if (inner->x < 0 || inner->y < 0 || inner->x + inner->w > (int)file.image_width ||
      inner->y + inner->h > (int)file.image_height) {
    abort();
  }
  jpeg_read_coefficients(&file);
  if (jpeg_guard_check(&guard)) abort();
  jpeg_destroy_decompress(&file);
}

/* The rectangle is made of the last bytes, which do not count in a JPEG file. */
static struct rect choose_part(const uint8_t *data, size_t size) {
  uint8_t tail[5] = {0};
  memcpy(tail, data + (size > 5 ? size - 5 : 0), size > 5 ? 5 : size);
  return (struct rect){.x = tail[1], .y = tail[2], .w = tail[3], .h = tail[4]};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (too_large(data, size)) return 0;
  struct rect parts[2] = {{.w = 1, .h = 1}, choose_part(data, size)};
  struct error error = {0};
  struct buffer cut = {0};
  struct jpeg_cutter *cutter = jpeg_cutter_new(image_memory_share(1));
  if (cutter == NULL) return 0;
  int rows = parts[1].y + parts[1].h;
  if (jpeg_cutter_open(cutter, data, size, rows, &error) == 0) {
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
      struct rect inner;
      if (jpeg_cutter_cut(cutter, parts[i], &cut, &inner, &error) == 0) read_cut(&cut, &inner);
    }
  }
  buffer_free(&cut);
  jpeg_cutter_free(cutter);
  return 0;
}
