/* EXIF orientation: each of the eight is a flip of the stored columns, of the stored rows, and then perhaps a
 * transpose. */
#include "core/image/internal.h"

#include <stdlib.h>
#include <string.h>

struct turn {
  bool flip_x, flip_y, transpose;
};

static struct turn turn_of(int orientation) {
  static const struct turn TURNS[9] = {
      [2] = {.flip_x = true},
      [3] = {.flip_x = true, .flip_y = true},
      [4] = {.flip_y = true},
      [5] = {.transpose = true},
      [6] = {.flip_y = true, .transpose = true},
      [7] = {.flip_x = true, .flip_y = true, .transpose = true},
      [8] = {.flip_x = true, .transpose = true},
  };
  return TURNS[orientation >= 1 && orientation <= 8 ? orientation : 1];
}

static struct rect flip(struct rect rect, struct turn turn, int width, int height) {
  if (turn.flip_x) rect.x = (int)((int64_t)width - rect.x - rect.w);
  if (turn.flip_y) rect.y = (int)((int64_t)height - rect.y - rect.h);
  return rect;
}

static struct rect transpose(struct rect rect) {
  return (struct rect){rect.y, rect.x, rect.h, rect.w};
}

struct rect rect_orient(struct rect rect, int orientation, int stored_width, int stored_height) {
  struct turn turn = turn_of(orientation);
  rect = flip(rect, turn, stored_width, stored_height);
  return turn.transpose ? transpose(rect) : rect;
}

struct rect rect_unorient(struct rect rect, int orientation, int stored_width, int stored_height) {
  struct turn turn = turn_of(orientation);
  if (turn.transpose) rect = transpose(rect);
  return flip(rect, turn, stored_width, stored_height);
}

int image_orient(struct image *image, int orientation, struct error *error) {
  struct turn turn = turn_of(orientation);
  if (!turn.flip_x && !turn.flip_y && !turn.transpose) return 0;
  if (image_check_size(image->width, image->height, error)) return -1;

  ptrdiff_t width = image->width, height = image->height;
  size_t bytes = (size_t)width * (size_t)height * 3;
  uint8_t *upright = malloc(bytes);
  if (!upright) return error_memory(error, bytes);

  /* One step along a stored row or column, in bytes of the upright picture; and where the first stored pixel goes. */
  ptrdiff_t step_x = turn.transpose ? height * 3 : 3, step_y = turn.transpose ? 3 : width * 3, first = 0;
  if (turn.flip_x) {
    first += (width - 1) * step_x;
    step_x = -step_x;
  }
  if (turn.flip_y) {
    first += (height - 1) * step_y;
    step_y = -step_y;
  }
  const uint8_t *source = image->pixels;
  for (ptrdiff_t y = 0; y < height; y++) {
    ptrdiff_t at = first + y * step_y;
    for (ptrdiff_t x = 0; x < width; x++, at += step_x, source += 3) {
      memcpy(upright + at, source, 3);
    }
  }
  free(image->pixels);
  image->pixels = upright;
  image->width = (int)(turn.transpose ? height : width);
  image->height = (int)(turn.transpose ? width : height);
  return 0;
}
