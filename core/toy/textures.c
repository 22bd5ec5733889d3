/* The eight textures, a row of pixels at a time: which of two colours, and how light. Distances are in periods; `sharp`
 * turns them into pixels, so that edges are antialiased at every size. */
#include <math.h>

#include "core/toy/internal.h"

typedef void texture_row(const struct toy_noise *noise, float u, float v, float du, float dv, float pixels, int count,
                         float *share, float *shade);

static inline float fraction(float x) {
  return x - toy_floor(x);
}

/* 0 .. 1 across an edge one pixel wide: `distance` in periods, positive inside. */
static inline float edge(float distance, float pixels) {
  return toy_clamp(distance * pixels + 0.5f);
}

/* Distance to the nearest stripe edge: -0.25 .. 0.25, period 1. */
static inline float triangle(float x) {
  return fabsf(fraction(x) - 0.5f) - 0.25f;
}

/* A number in [0, 1) for a cell of a grid. */
static inline float cell_random(const struct toy_noise *noise, float x, float y) {
  int at = ((int)x * 73 + (int)y * 151 + 40000) & (TOY_LATTICE * TOY_LATTICE - 1);
  return 0.5f + 0.5f * noise->lattice[at];
}

static void stripes_row(const struct toy_noise *noise, float u, float v, float du, float dv, float pixels, int count,
                        float *share, float *shade) {
  (void)noise;
  for (int i = 0; i < count; i++) {
    float x = u + du * (float)i;
    share[i] = edge(triangle(x), pixels);
    shade[i] = 1;
  }
  (void)v;
  (void)dv;
}

static void dots_row(const struct toy_noise *noise, float u, float v, float du, float dv, float pixels, int count,
                     float *share, float *shade) {
  (void)noise;
  for (int i = 0; i < count; i++) {
    float y = (v + dv * (float)i) * 1.1547f, row = toy_floor(y);
    float x = u + du * (float)i + 0.5f * (row - 2 * toy_floor(row * 0.5f));
    float dx = fraction(x) - 0.5f, dy = (y - row - 0.5f) * 0.866f;
    share[i] = edge(0.3f - sqrtf(dx * dx + dy * dy), pixels);
    shade[i] = 1;
  }
}

static void checks_row(const struct toy_noise *noise, float u, float v, float du, float dv, float pixels, int count,
                       float *share, float *shade) {
  (void)noise;
  for (int i = 0; i < count; i++) {
    float a = 2 * edge(triangle(u + du * (float)i), pixels) - 1, b = 2 * edge(triangle(v + dv * (float)i), pixels) - 1;
    share[i] = 0.5f + 0.5f * a * b;
    shade[i] = 1;
  }
}

static void wood_row(const struct toy_noise *noise, float u, float v, float du, float dv, float pixels, int count,
                     float *share, float *shade) {
  for (int i = 0; i < count; i++) {
    float x = u + du * (float)i, y = v + dv * (float)i, plank = toy_floor(y);
    float shift = 37.0f * cell_random(noise, plank, 3.0f);
    float warp = toy_noise_at(noise, x * 0.35f + shift, y * 1.3f + 100.0f);
    float fibre = toy_noise_at(noise, x * 1.1f + shift, y * 17.0f + 50.0f);
    float rings = fraction(2.0f * y + 2.2f * warp + shift);
    rings = rings < 0.8f ? rings * 1.25f : (1 - rings) * 5;
    share[i] = toy_clamp(0.12f + 0.62f * rings * rings + 0.22f * fibre);
    float seam = fabsf(y - plank - 0.5f), end = fabsf(fraction(x * 0.24f + shift) - 0.5f);
    float gap = fminf(edge(0.475f - seam, pixels), edge((0.495f - end) * 4, pixels));
    shade[i] = (0.45f + 0.55f * gap) * (0.88f + 0.24f * cell_random(noise, plank, 7.0f));
  }
}

static void marble_row(const struct toy_noise *noise, float u, float v, float du, float dv, float pixels, int count,
                       float *share, float *shade) {
  (void)pixels;
  for (int i = 0; i < count; i++) {
    float x = u + du * (float)i, y = v + dv * (float)i;
    float a = toy_noise_at(noise, x * 0.55f + 20.0f, y * 0.55f + 90.0f),
          b = toy_noise_at(noise, x * 1.3f + 7.0f, y * 1.3f);
    float c = toy_noise_at(noise, x * 3.1f, y * 3.1f + 31.0f), cloud = 0.5f + 0.5f * a;
    float vein = fabsf(fraction(0.33f * x + 0.22f * y + 0.75f * a + 0.3f * b + 0.09f * c) - 0.5f);
    float fine = fabsf(b + 0.35f * c + 0.2f * a);
    float deep = toy_clamp(1 - vein * 6.5f), thin = toy_clamp(1 - fine * 7.0f);
    share[i] = toy_clamp(0.85f * deep * deep + 0.5f * thin * thin + 0.2f * cloud * cloud);
    shade[i] = 1;
  }
}

/* Rows of overlapping discs, each row over the one below and shifted by half a disc. */
static void scales_row(const struct toy_noise *noise, float u, float v, float du, float dv, float pixels, int count,
                       float *share, float *shade) {
  (void)noise;
  for (int i = 0; i < count; i++) {
    float x = u + du * (float)i, y = 2 * (v + dv * (float)i), row = toy_floor(y), distance = 9;
    for (int k = 0; k < 2; k++) { /* where the upper disc ends the lower one shows */
      float line = row + (float)k, odd = line - 2 * toy_floor(line * 0.5f);
      float dx = fraction(x + 0.5f * odd) - 0.5f, dy = (y - line) * 0.5f;
      float d = sqrtf(dx * dx + dy * dy);
      distance = distance > 0.5f ? d : distance;
    }
    float rim = edge(distance - 0.4f, pixels);
    float inner = edge(0.27f - distance, pixels);
    share[i] = toy_clamp(0.9f * rim + 0.35f * inner);
    shade[i] = 1.12f - 0.5f * distance * (1 - 0.4f * rim);
  }
}

static void bricks_row(const struct toy_noise *noise, float u, float v, float du, float dv, float pixels, int count,
                       float *share, float *shade) {
  for (int i = 0; i < count; i++) {
    float y = v + dv * (float)i, row = toy_floor(y), odd = row - 2 * toy_floor(row * 0.5f);
    float x = (u + du * (float)i) * 0.5f + 0.5f * odd, column = toy_floor(x);
    float across = 1.0f - 2 * fabsf(x - column - 0.5f), along = 0.5f - fabsf(y - row - 0.5f);
    float inside = fminf(across, along) - 0.07f, tone = cell_random(noise, column, row);
    share[i] = 1 - edge(inside, pixels);
    float lit = (y - row < 0.5f ? 1.0f : -1.0f) * toy_clamp(1 - fabsf(inside) * 9);
    shade[i] = 0.8f + 0.34f * tone + 0.14f * lit * (1 - share[i]);
  }
}

/* Columns of V stitches with a two-colour pattern of whole stitches. */
static void knit_row(const struct toy_noise *noise, float u, float v, float du, float dv, float pixels, int count,
                     float *share, float *shade) {
  (void)noise;
  float crisp = toy_clamp((pixels - 3) * 0.2f); /* stitches that small are not seen */
  for (int i = 0; i < count; i++) {
    float x = u + du * (float)i, column = toy_floor(x), side = fabsf(x - column - 0.5f);
    float y = (v + dv * (float)i) * 1.25f - side * 0.9f, row = toy_floor(y);
    float across = 4 * fabsf(side - 0.25f), along = 2 * fabsf(y - row - 0.5f);
    float round = 1 - 0.55f * across * across - 0.4f * along * along * along;
    float band = row - 8 * toy_floor(row * 0.125f), odd = column - 2 * toy_floor(column * 0.5f);
    float zigzag = band < 1.5f ? odd : band < 3.5f ? 1 : band < 4.5f ? 1 - odd : 0;
    share[i] = zigzag;
    shade[i] = toy_mix(0.9f, 0.45f + 0.68f * round, crisp);
  }
}

static const struct {
  texture_row *row;
  float period;
} textures[TOY_TEXTURES] = {
    [TOY_STRIPED] = {stripes_row, 0.23f}, [TOY_DOTTED] = {dots_row, 0.2f},    [TOY_CHECKERED] = {checks_row, 0.26f},
    [TOY_WOODEN] = {wood_row, 0.19f},     [TOY_MARBLE] = {marble_row, 0.2f},  [TOY_SCALY] = {scales_row, 0.17f},
    [TOY_BRICK] = {bricks_row, 0.105f},   [TOY_KNITTED] = {knit_row, 0.075f},
};

float toy_texture_period(enum toy_texture texture) {
  return textures[texture].period;
}

void toy_texture_row(enum toy_texture texture, const struct toy_noise *noise, const struct toy_frame *frame, int x,
                     int y, int count, float *share, float *shade) {
  float u = frame->u + frame->u_x * (float)x + frame->u_y * (float)y;
  float v = frame->v + frame->v_x * (float)x + frame->v_y * (float)y;
  textures[texture].row(noise, u, v, frame->u_x, frame->v_x, frame->pixels, count, share, shade);
}
