/* Filled rectangles, frames, pasted pictures and text, all clipped to the picture. */
#include "core/image/image.h"

#include <limits.h>
#include <string.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-variable"
#include <stb/stb_easy_font.h>
#pragma GCC diagnostic pop

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : value > high ? high : value;
}

/* Columns left .. right - 1 of rows top .. bottom - 1; 64 bits so that no sum of ints overflows. */
static void fill(struct image *image, int64_t left, int64_t top, int64_t right, int64_t bottom, struct color color) {
  left = clamp(left, 0, image->width);
  right = clamp(right, left, image->width);
  top = clamp(top, 0, image->height);
  bottom = clamp(bottom, top, image->height);
  for (int64_t y = top; y < bottom; y++) {
    uint8_t *pixel = image->pixels + ((size_t)y * (size_t)image->width + (size_t)left) * 3;
    for (int64_t x = left; x < right; x++, pixel += 3) {
      pixel[0] = color.r;
      pixel[1] = color.g;
      pixel[2] = color.b;
    }
  }
}

void draw_fill(struct image *image, struct rect area, struct color color) {
  fill(image, area.x, area.y, (int64_t)area.x + area.w, (int64_t)area.y + area.h, color);
}

void draw_frame(struct image *image, struct rect outer, int thickness, struct color color) {
  if (outer.w < 1 || outer.h < 1 || thickness < 1) return;
  int64_t left = outer.x, top = outer.y, right = left + outer.w, bottom = top + outer.h;
  int64_t across = clamp(thickness, 0, outer.w), down = clamp(thickness, 0, outer.h);
  fill(image, left, top, right, top + down, color);
  fill(image, left, bottom - down, right, bottom, color);
  fill(image, left, top, left + across, bottom, color);
  fill(image, right - across, top, right, bottom, color);
}

void draw_image(struct image *image, int x, int y, const struct image *source) {
  int64_t left = clamp(x, 0, image->width), right = clamp((int64_t)x + source->width, left, image->width);
  int64_t top = clamp(y, 0, image->height), bottom = clamp((int64_t)y + source->height, top, image->height);
  if (left == right) return;
  for (int64_t row = top; row < bottom; row++) {
    uint8_t *target = image->pixels + ((size_t)row * (size_t)image->width + (size_t)left) * 3;
    size_t first = (size_t)(row - y) * (size_t)source->width + (size_t)(left - x);
    memcpy(target, source->pixels + first * 3, (size_t)(right - left) * 3);
  }
}

/* Takes one UTF-8 sequence, whole or broken, off the text; what the face does not have becomes '?'. */
static char next_letter(const char **text) {
  unsigned char first = (unsigned char)*(*text)++;
  if (first >= 0xc0) {
    for (int i = 0; i < 3 && ((unsigned char)**text & 0xc0) == 0x80; i++) {
      (*text)++;
    }
  }
  return first >= ' ' && first < 0x7f ? (char)first : '?';
}

int draw_text_width(int scale, const char *text) {
  int64_t width = 0;
  if (scale < 1) return 0;
  while (*text && width < INT_MAX) {
    char letter[2] = {next_letter(&text)};
    width += (int64_t)stb_easy_font_width(letter) * scale;
  }
  return (int)clamp(width, 0, INT_MAX);
}

void draw_text(struct image *image, int x, int y, int scale, struct color color, const char *text) {
  /* What stb_easy_font writes per stroke: four corners of x, y, z and a colour that is not used here. No letter has
   * more than 20 strokes. */
  struct {
    float x, y, z;
    unsigned char unused[4];
  } corners[32][4];
  if (scale < 1) return;
  for (int64_t pen = x; *text && pen < image->width;) {
    char letter[2] = {next_letter(&text)};
    int strokes = stb_easy_font_print(0, 0, letter, NULL, corners, sizeof corners);
    for (int i = 0; i < strokes; i++) {
      int64_t left = (int64_t)corners[i][0].x, top = (int64_t)corners[i][0].y;
      int64_t right = (int64_t)corners[i][2].x, bottom = (int64_t)corners[i][2].y;
      fill(image, pen + left * scale, y + top * scale, pen + right * scale, y + bottom * scale, color);
    }
    pen += (int64_t)stb_easy_font_width(letter) * scale;
  }
}
