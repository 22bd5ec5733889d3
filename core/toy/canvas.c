/* The canvas: backdrop enlarged, shadows and sprites laid on, and the finished scene developed into bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/toy/internal.h"

int toy_canvas_open(struct toy_canvas *canvas, int width, int height, struct error *error) {
  int half_width = width / 2 + 2, half_height = height / 2 + 2;
  size_t area = (size_t)width * (size_t)height, half = (size_t)half_width * (size_t)half_height;
  size_t bytes = 3 * (area + half) * sizeof(float) + area;
  if (bytes > canvas->capacity) {
    free(canvas->memory);
    canvas->capacity = 0;
    canvas->memory = malloc(bytes);
    if (!canvas->memory) {
      return error_memory(error, bytes);
    }
    canvas->capacity = bytes;
  }
  canvas->width = width;
  canvas->height = height;
  canvas->half_width = half_width;
  canvas->half_height = half_height;
  canvas->r = canvas->memory;
  canvas->g = canvas->r + area;
  canvas->b = canvas->g + area;
  canvas->half = canvas->b + area;
  canvas->owner = (uint8_t *)(canvas->half + 3 * half);
  memset(canvas->owner, 0, area);
  return 0;
}

void toy_canvas_free(struct toy_canvas *canvas) {
  free(canvas->memory);
  *canvas = (struct toy_canvas){0};
}

/* Pixel x lies a quarter of a half-size pixel left or right of its centre; the backdrop has one pixel to spare all
 * around, at its own index x / 2 + 1. */
static void enlarge_row(const float *restrict near, const float *restrict far, float *restrict to, int width) {
  for (int i = 0; i < width / 2; i++) {
    float left = 0.75f * near[i] + 0.25f * far[i], middle = 0.75f * near[i + 1] + 0.25f * far[i + 1];
    float right = 0.75f * near[i + 2] + 0.25f * far[i + 2];
    to[2 * i] = 0.25f * left + 0.75f * middle;
    to[2 * i + 1] = 0.75f * middle + 0.25f * right;
  }
}

void toy_canvas_enlarge(struct toy_canvas *canvas) {
  float *planes[3] = {canvas->r, canvas->g, canvas->b};
  ptrdiff_t half = canvas->half_width, area = half * canvas->half_height;
  for (int k = 0; k < 3; k++) {
    for (int y = 0; y < canvas->height; y++) {
      const float *near = canvas->half + k * area + (y / 2 + 1) * half;
      enlarge_row(near, y % 2 == 0 ? near - half : near + half, planes[k] + (ptrdiff_t)y * canvas->width,
                  canvas->width);
    }
  }
}

/* Darkens the canvas by a plane of shadow, clipped. */
static void shadow_lay(struct toy_canvas *canvas, const float *plane, int left, int top, int width, int height,
                       float strength) {
  int x0 = left < 0 ? 0 : left, x1 = left + width > canvas->width ? canvas->width : left + width;
  for (int y = top < 0 ? 0 : top; y < top + height && y < canvas->height; y++) {
    const float *from = plane + (ptrdiff_t)(y - top) * width - left;
    ptrdiff_t at = (ptrdiff_t)y * canvas->width;
    float *r = canvas->r + at, *g = canvas->g + at, *b = canvas->b + at;
    for (int x = x0; x < x1; x++) {
      float dark = strength * from[x];
      r[x] *= 1 - dark;
      g[x] *= 1 - dark;
      b[x] *= 1 - 0.9f * dark; /* what light there is in a shadow is bluish */
    }
  }
}

int toy_canvas_shadow(struct toy_canvas *canvas, const struct toy_sprite *sprite, int x, int y,
                      const struct toy_shadow *shadow, struct buffer *scratch, struct error *error) {
  int blur = (int)(shadow->blur + 0.5f) < 1 ? 1 : (int)(shadow->blur + 0.5f), pad = 2 * blur + 1;
  float lean = fabsf(shadow->skew) * (float)sprite->height;
  int rows = (int)(fabsf(shadow->flatten) * (float)sprite->height) + 1;
  int width = sprite->width + (int)lean + 2 * pad + 1, height = rows + 2 * pad;
  size_t area = (size_t)width * (size_t)height, bytes = (2 * area + (size_t)width) * sizeof(float);
  if (buffer_reserve(scratch, bytes, error)) {
    return -1;
  }
  float *plane = (float *)(void *)scratch->data;
  memset(plane, 0, area * sizeof(float));
  int origin = pad + (shadow->skew < 0 ? (int)lean : 0), last = (int)sprite->base;
  last = last >= sprite->height ? sprite->height - 1 : last;
  for (int row = 0; row < rows; row++) { /* row 0 is the base */
    int source = last - (int)((float)row / fabsf(shadow->flatten));
    if (source < 0) {
      break;
    }
    int shift = origin + (int)(shadow->skew * (float)(last - source));
    int at = shadow->flatten > 0 ? rows - 1 - row : row;
    memcpy(plane + (ptrdiff_t)(pad + at) * width + shift, sprite->a + (ptrdiff_t)source * sprite->width,
           (size_t)sprite->width * sizeof(float));
  }
  toy_blur(plane, plane + area, width, height, blur);
  int left = x - origin + (int)shadow->dx, base = y + last + (int)shadow->dy;
  int top = shadow->flatten > 0 ? base - rows + 1 - pad : base - pad;
  shadow_lay(canvas, plane, left, top, width, height, shadow->strength);
  return 0;
}

void toy_canvas_sprite(struct toy_canvas *canvas, const struct toy_sprite *sprite, int x, int y, int owner) {
  int x0 = x < 0 ? 0 : x, x1 = x + sprite->width > canvas->width ? canvas->width : x + sprite->width;
  for (int row = y < 0 ? 0 : y; row < y + sprite->height && row < canvas->height; row++) {
    ptrdiff_t from = (ptrdiff_t)(row - y) * sprite->width - x, at = (ptrdiff_t)row * canvas->width;
    const float *sr = sprite->r + from, *sg = sprite->g + from, *sb = sprite->b + from, *sa = sprite->a + from;
    float *r = canvas->r + at, *g = canvas->g + at, *b = canvas->b + at;
    uint8_t *owners = canvas->owner + at;
    for (int i = x0; i < x1; i++) {
      float rest = 1 - sa[i];
      r[i] = r[i] * rest + sr[i];
      g[i] = g[i] * rest + sg[i];
      b[i] = b[i] * rest + sb[i];
    }
    for (int i = x0; i < x1; i++) {
      owners[i] = sa[i] > 0.5f ? (uint8_t)owner : owners[i];
    }
  }
}

/* A lens that is not perfect: each pixel takes a little of its neighbours. */
static void soften_row(const float *restrict above, const float *restrict row, const float *restrict below,
                       float *restrict to, int width, float blur) {
  float side = 0.25f * blur, middle = 1 - blur;
  to[0] = row[0];
  to[width - 1] = row[width - 1];
  for (int x = 1; x + 1 < width; x++) {
    to[x] = middle * row[x] + side * (row[x - 1] + row[x + 1] + above[x] + below[x]);
  }
}

/* Light, vignette and exposure of one row as factors per colour. */
static void grade_row(const struct toy_canvas *canvas, const struct toy_grade *grade, int y, float *light,
                      float *vignette) {
  float half_x = 0.5f * (float)canvas->width, half_y = 0.5f * (float)canvas->height;
  float scale = 1.0f / (half_x * half_x + half_y * half_y), dy = (float)y - half_y;
  float lamp = 1.0f / (grade->lamp_radius * grade->lamp_radius), ly = (float)y - grade->lamp_y;
  for (int x = 0; x < canvas->width; x++) {
    float dx = (float)x - half_x, lx = (float)x - grade->lamp_x;
    float fall = 1 + (lx * lx + ly * ly) * lamp;
    light[x] = 1 / (fall * fall);
    vignette[x] = 1 - grade->vignette * (dx * dx + dy * dy) * scale;
  }
}

static void develop_row(const float *restrict row, const float *restrict light, const float *restrict vignette,
                        float ambient, float lamp, const float *restrict grain, float noise, uint8_t *restrict bytes,
                        int width) {
  for (int x = 0; x < width; x++) {
    float value = row[x] * vignette[x] * (ambient + lamp * light[x]);
    value = value * (1 + 0.1f * value) / (1 + 0.28f * value * value); /* highlights roll off instead of clipping */
    float byte = 255.0f * sqrtf(value) + noise * grain[x] + 0.5f;
    byte = byte > 0 ? byte : 0;
    bytes[x] = (uint8_t)(int)(byte < 255 ? byte : 255);
  }
}

static void interleave(const uint8_t *restrict r, const uint8_t *restrict g, const uint8_t *restrict b,
                       uint8_t *restrict to, int width) {
  for (int x = 0; x < width; x++) {
    to[3 * x] = r[x];
    to[3 * x + 1] = g[x];
    to[3 * x + 2] = b[x];
  }
}

void toy_canvas_develop(struct toy_canvas *canvas, const struct toy_grade *grade, const struct toy_noise *noise,
                        struct image *image) {
  int width = canvas->width, height = canvas->height;
  float *light = canvas->half, *vignette = light + width, *soft = vignette + width;
  uint8_t *bytes = (uint8_t *)(soft + width); /* all in the backdrop's planes, which have served */
  const float ambient[3] = {grade->ambient.r, grade->ambient.g, grade->ambient.b};
  const float lamp[3] = {grade->lamp.r, grade->lamp.g, grade->lamp.b};
  float *planes[3] = {canvas->r, canvas->g, canvas->b};
  for (int y = 0; y < height; y++) {
    grade_row(canvas, grade, y, light, vignette);
    for (int k = 0; k < 3; k++) {
      const float *row = planes[k] + (ptrdiff_t)y * width;
      soften_row(y > 0 ? row - width : row, row, y + 1 < height ? row + width : row, soft, width, grade->blur);
      uint32_t at = (grade->grain_offset + (uint32_t)y * 2654435761u) >> 3;
      const float *grain = noise->grain + (at + (uint32_t)k * 20011u) % (uint32_t)(TOY_GRAIN - width);
      develop_row(soft, light, vignette, ambient[k], lamp[k], grain, grade->grain, bytes + (ptrdiff_t)k * width, width);
    }
    interleave(bytes, bytes + width, bytes + 2 * (ptrdiff_t)width, image->pixels + 3 * (ptrdiff_t)y * width, width);
  }
}
