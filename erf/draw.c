/* Heat maps of fields. */
#include "erf/erf.h"

#include <math.h>

enum { GAP = 8 }; /* between the pictures of regions */

/* The colour map "viridis" of Nathaniel Smith and Stefan van der Walt (released as CC0), at every sixteenth of its
 * length; a straight line between two of them is within 6 levels of 255 of it. */
static const struct color viridis[] = {
    {68, 1, 84},    {72, 24, 106},  {71, 45, 123},  {66, 64, 134},  {59, 82, 139},  {51, 99, 141},
    {44, 114, 142}, {38, 129, 142}, {33, 144, 140}, {31, 159, 136}, {40, 174, 128}, {62, 188, 116},
    {93, 201, 99},  {130, 211, 76}, {171, 220, 50}, {213, 226, 26}, {253, 231, 37},
};

static uint8_t between(uint8_t from, uint8_t to, double part) {
  return (uint8_t)lround(from + (to - from) * part);
}

static struct color blend(struct color from, struct color to, double part) {
  return (struct color){between(from.r, to.r, part), between(from.g, to.g, part), between(from.b, to.b, part)};
}

static struct color heat(double value) {
  const size_t last = COUNT_OF(viridis) - 1;
  double place = fmin(fmax(value, 0), 1) * (double)last; /* fmax takes NaN for 0 */
  size_t left = (size_t)place < last ? (size_t)place : last - 1;
  return blend(viridis[left], viridis[left + 1], place - (double)left);
}

static void set_pixel(struct image *image, int x, int y, struct color color) {
  uint8_t *pixel = image->pixels + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
  pixel[0] = color.r, pixel[1] = color.g, pixel[2] = color.b;
}

/* A field with its upper left corner at (left, 0). */
static void draw_field(const float *field, int size, struct image *image, int left) {
  float peak = 0;
  for (int i = 0; i < size * size; i++) {
    peak = fmaxf(peak, field[i]);
  }
  for (int y = 0; y < size; y++) {
    for (int x = 0; x < size; x++) {
      double share = peak > 0 ? (double)field[y * size + x] / peak : 0;
      set_pixel(image, left + x, y, heat(sqrt(share)));
    }
  }
}

int erf_draw(const float *field, int size, struct image *image, struct error *error) {
  if (image_alloc(image, size, size, error)) return -1;
  draw_field(field, size, image, 0);
  return 0;
}

/* Lightens the pixels of a line, so that the field is still seen below it. */
static void lighten(struct image *image, struct rect line) {
  for (int y = line.y; y < line.y + line.h; y++) {
    for (int x = line.x; x < line.x + line.w; x++) {
      const uint8_t *pixel = image->pixels + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
      set_pixel(image, x, y, blend((struct color){pixel[0], pixel[1], pixel[2]}, (struct color){255, 255, 255}, 0.6));
    }
  }
}

/* Borders that lie inside the input, each once: it is the left or the upper one of some region. */
static void draw_borders(const struct erf_regions *regions, struct image *image, int left) {
  for (int i = 0; i < regions->count; i++) {
    struct rect r = regions->rects[i];
    if (r.x > 0) lighten(image, (struct rect){left + r.x, r.y, 1, r.h});
    if (r.y > 0) lighten(image, (struct rect){left + r.x, r.y, r.w, 1});
  }
}

static void draw_cell(const struct erf_regions *regions, int cell, struct image *image, int left) {
  int side = regions->size / regions->stride, stride = regions->stride;
  struct rect outer = {left + cell % side * stride, cell / side * stride, stride, stride};
  draw_frame(image, outer, 1, (struct color){0, 0, 0});
  struct rect inner = {outer.x + 1, outer.y + 1, stride - 2, stride - 2};
  draw_frame(image, inner, 2, (struct color){255, 255, 255});
}

int erf_draw_regions(const struct erf_map *map, struct image *image, struct error *error) {
  const struct erf_regions *regions = &map->regions;
  int size = regions->size, width = regions->count * (size + GAP) - GAP;
  if (image_alloc(image, width, size, error)) return -1;
  draw_fill(image, (struct rect){0, 0, width, size}, (struct color){255, 255, 255});
  for (int i = 0; i < regions->count; i++) {
    int left = i * (size + GAP), cell = erf_centre_cell(regions, i);
    const float *field = erf_field(map, cell);
    if (!field) return error_set(error, "the receptive field of cell %d was not kept", cell);
    draw_field(field, size, image, left);
    draw_borders(regions, image, left);
    draw_cell(regions, cell, image, left);
  }
  return 0;
}
