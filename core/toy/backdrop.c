/* Backdrops: six kinds of places, painted at half the size (the lens focuses on the objects anyway) and enlarged. */
#include <math.h>

#include "core/toy/internal.h"

#define TURN 6.28318531f

/* A half-size picture being painted. */
struct board {
  int width, height;
  float *r, *g, *b;
  float unit; /* the shorter side */
  const struct toy_noise *noise;
  float seed; /* moves the noise */
};

static inline void put(struct board *board, ptrdiff_t at, struct toy_color color) {
  board->r[at] = color.r;
  board->g[at] = color.g;
  board->b[at] = color.b;
}

static inline void mix_at(struct board *board, ptrdiff_t at, struct toy_color color, float t) {
  board->r[at] += (color.r - board->r[at]) * t;
  board->g[at] += (color.g - board->g[at]) * t;
  board->b[at] += (color.b - board->b[at]) * t;
}

/* Three octaves, each turned against the last so that the lattice does not show. */
static inline float fbm(const struct board *board, float x, float y) {
  const struct toy_noise *noise = board->noise;
  x += board->seed;
  float x1 = 1.6f * x - 1.2f * y, y1 = 1.2f * x + 1.6f * y, x2 = 1.6f * x1 - 1.2f * y1, y2 = 1.2f * x1 + 1.6f * y1;
  return 0.6f * toy_noise_at(noise, x, y) + 0.32f * toy_noise_at(noise, x1, y1) + 0.2f * toy_noise_at(noise, x2, y2);
}

/* Rows from..to as a gradient. */
static void fill_gradient(struct board *board, float from, float to, struct toy_color top, struct toy_color bottom) {
  for (int y = (int)from; y < board->height && (float)y < to; y++) {
    if (y < 0) {
      continue;
    }
    struct toy_color color = toy_blend(top, bottom, toy_clamp(((float)y - from) / (to - from)));
    for (int x = 0; x < board->width; x++) {
      put(board, (ptrdiff_t)y * board->width + x, color);
    }
  }
}

/* A soft disc; `hard` 0 .. 1 is the share of the radius that is flat. */
static void fill_disc(struct board *board, float cx, float cy, float radius, float hard, struct toy_color color,
                      float opacity) {
  int y0 = (int)(cy - radius), y1 = (int)(cy + radius) + 1;
  int x0 = (int)(cx - radius), x1 = (int)(cx + radius) + 1;
  for (int y = y0 < 0 ? 0 : y0; y <= y1 && y < board->height; y++) {
    for (int x = x0 < 0 ? 0 : x0; x <= x1 && x < board->width; x++) {
      float dx = (float)x - cx, dy = (float)y - cy, d = sqrtf(dx * dx + dy * dy) / radius;
      mix_at(board, (ptrdiff_t)y * board->width + x, color, opacity * (1 - toy_step(hard, 1, d)));
    }
  }
}

/* A rectangle whose edges fade over a pixel. */
static void fill_box(struct board *board, float x0, float y0, float x1, float y1, struct toy_color color,
                     float opacity) {
  for (int y = y0 < 0 ? 0 : (int)y0; y <= (int)y1 && y < board->height; y++) {
    float rows = fminf(toy_clamp((float)y + 1 - y0), toy_clamp(y1 - (float)y));
    for (int x = x0 < 0 ? 0 : (int)x0; x <= (int)x1 && x < board->width; x++) {
      float columns = fminf(toy_clamp((float)x + 1 - x0), toy_clamp(x1 - (float)x));
      mix_at(board, (ptrdiff_t)y * board->width + x, color, opacity * rows * columns);
    }
  }
}

static void paint_clouds(struct board *board, float horizon, struct toy_color color, float amount) {
  for (int y = 0; y < board->height && (float)y < horizon; y++) {
    float v = (float)y / board->unit, fade = toy_step(1.0f, 0.4f, (float)y / horizon);
    for (int x = 0; x < board->width; x++) {
      float u = (float)x / board->unit, d = fbm(board, u * 3.0f, v * 7.0f) + amount;
      mix_at(board, (ptrdiff_t)y * board->width + x, color, 0.85f * fade * toy_step(0.05f, 0.55f, d));
    }
  }
}

/* A range of hills whose crest wanders around row `crest`, down to the bottom. */
static void paint_hills(struct board *board, float crest, float height, float detail, struct toy_color top,
                        struct toy_color foot) {
  for (int x = 0; x < board->width; x++) {
    float u = (float)x / board->unit * detail;
    float edge = crest - height * board->unit * (0.5f + fbm(board, u, crest * 0.37f));
    for (int y = edge < 0 ? 0 : (int)edge; y < board->height; y++) {
      float t = toy_clamp(((float)y - edge) / (0.3f * board->unit));
      mix_at(board, (ptrdiff_t)y * board->width + x, toy_blend(top, foot, t), toy_clamp((float)y + 1 - edge));
    }
  }
}

/* Ground seen at a slant: noise that shrinks and flattens towards the horizon. */
static void paint_ground(struct board *board, float horizon, struct toy_color far, struct toy_color near,
                         struct toy_color patch) {
  float depth = (float)board->height - horizon;
  for (int y = (int)horizon < 0 ? 0 : (int)horizon; y < board->height; y++) {
    float t = toy_clamp(((float)y - horizon) / depth), distance = 1 / (t + 0.12f);
    struct toy_color color = toy_blend(far, near, sqrtf(t));
    for (int x = 0; x < board->width; x++) {
      float u = ((float)x - 0.5f * (float)board->width) / board->unit * distance;
      float n = toy_noise_at(board->noise, u * 4 + board->seed, distance * 5);
      n += 0.6f * toy_noise_at(board->noise, u * 19, distance * 23);
      float fade = toy_clamp(t * 5);
      put(board, (ptrdiff_t)y * board->width + x, toy_blend(color, patch, toy_clamp(fade * (0.25f + 0.3f * n))));
    }
  }
}

static void paint_meadow(struct board *board, struct toy_stage *stage, struct rng *rng) {
  float horizon = (float)board->height * toy_random(rng, 0.42f, 0.58f), hue = stage->palette.hues[0];
  bool green = toy_chance(rng, 0.7f);
  float ground_hue = green ? toy_random(rng, 0.31f, 0.37f) : toy_random(rng, 0.17f, 0.24f);
  float ground_light = green ? toy_random(rng, 0.6f, 0.72f) : toy_random(rng, 0.74f, 0.82f),
        rich = green ? 0.125f : 0.07f;
  struct toy_color zenith = toy_oklch(0.72f, 0.1f, toy_random(rng, 0.62f, 0.7f));
  struct toy_color haze = toy_oklch(0.92f, 0.05f, toy_random(rng, 0.1f, 0.3f));
  if (stage->time == TOY_DUSK) {
    zenith = toy_oklch(0.58f, 0.09f, toy_random(rng, 0.72f, 0.85f));
    haze = toy_oklch(0.86f, 0.11f, toy_random(rng, 0.08f, 0.17f));
  } else if (stage->time == TOY_NIGHT) {
    zenith = toy_oklch(0.3f, 0.08f, toy_random(rng, 0.7f, 0.78f));
    haze = toy_oklch(0.62f, 0.08f, toy_random(rng, 0.66f, 0.85f));
  }
  fill_gradient(board, 0, horizon + 2, zenith, haze);
  float sun_x = (0.5f + 0.6f * stage->light_x) * (float)board->width, sun_y = horizon * toy_random(rng, 0.2f, 0.55f);
  struct toy_color sun = toy_oklch(0.97f, 0.05f, 0.25f);
  fill_disc(board, sun_x, sun_y, 0.55f * board->unit, 0, sun, 0.45f);
  fill_disc(board, sun_x, sun_y, 0.07f * board->unit, 0.85f, sun, 0.95f);
  if (stage->time == TOY_NIGHT) {
    for (int i = 0; i < 60; i++) {
      float alpha = toy_random(rng, 0.3f, 0.9f);
      float radius = toy_random(rng, 0.9f, 2.0f);
      float y = toy_random(rng, 0, 0.9f) * horizon;
      float x = toy_random(rng, 0, 1) * (float)board->width;
      fill_disc(board, x, y, radius, 0.2f, sun, alpha);
    }
  } else {
    paint_clouds(board, horizon, toy_blend(haze, (struct toy_color){1, 1, 1}, 0.7f), toy_random(rng, -0.35f, 0.15f));
  }
  struct toy_color far = toy_oklch(stage->time == TOY_NIGHT ? 0.5f : ground_light + 0.12f, 0.07f, ground_hue);
  for (int i = 0; i < 3; i++) {
    float t = (float)i / 3;
    struct toy_color top = toy_blend(haze, toy_oklch(0.62f, 0.07f, hue), 0.3f + 0.3f * t);
    paint_hills(board, horizon - 0.02f * board->unit * (2 - (float)i), 0.16f - 0.05f * (float)i, 1.5f + 1.5f * (float)i,
                toy_blend(top, far, t), toy_blend(top, haze, 0.5f));
  }
  paint_ground(board, horizon, far, toy_oklch(ground_light, rich, ground_hue),
               toy_oklch(ground_light - 0.09f, rich, ground_hue + 0.03f));
  stage->horizon = 2 * horizon;
}

/* Boards running away from the viewer or across, in two close tones. */
static void paint_planks(struct board *board, float horizon, float hue, float lightness, float slant) {
  struct toy_color light = toy_oklch(lightness + 0.05f, 0.055f, hue), dark = toy_oklch(lightness - 0.07f, 0.06f, hue);
  for (int y = (int)horizon < 0 ? 0 : (int)horizon; y < board->height; y++) {
    float t = ((float)y - horizon) / ((float)board->height - horizon), near = 1 / toy_mix(1, 0.4f + 0.6f * t, slant);
    float v = ((float)y - horizon) / board->unit * toy_mix(1, 1.4f, slant) * near;
    for (int x = 0; x < board->width; x++) {
      float u = ((float)x - 0.5f * (float)board->width) / board->unit * near + 9, plank = toy_floor(u * 5);
      float seam = fabsf(u * 5 - plank - 0.5f);
      float n = toy_noise_at(board->noise, u * 60 + board->seed, v * 3 + plank * 7.3f);
      n += 0.7f * toy_noise_at(board->noise, u * 14 + plank * 3.1f, v * 2.2f + board->seed);
      float tone = 0.5f + 0.32f * n + 0.25f * toy_noise_at(board->noise, plank + 0.5f, board->seed);
      float gap = 1 - 0.45f * toy_step(0.475f, 0.497f, seam);
      put(board, (ptrdiff_t)y * board->width + x, toy_scale(toy_blend(dark, light, toy_clamp(tone)), gap));
    }
  }
}

/* Wallpaper: a faint pattern on what is there. */
static void paint_wallpaper(struct board *board, float to, struct rng *rng) {
  int kind = (int)rng_below(rng, 4);
  float period = board->unit * toy_random(rng, 0.05f, 0.12f), strength = toy_random(rng, 0.03f, 0.09f);
  for (int y = 0; y < board->height && (float)y < to; y++) {
    for (int x = 0; x < board->width; x++) {
      float u = (float)x / period, v = (float)y / period, mark;
      if (kind == 0) {
        mark = toy_clamp(0.5f + 4 * (fabsf(u - toy_floor(u) - 0.5f) - 0.25f));
      } else if (kind == 1) {
        float a = u - toy_floor(u) - 0.5f, b = v - toy_floor(v) - 0.5f;
        mark = toy_clamp(0.5f + 6 * (0.16f - sqrtf(a * a + b * b)));
      } else if (kind == 2) {
        float a = fabsf(u + v - toy_floor(u + v) - 0.5f), b = fabsf(u - v - toy_floor(u - v) - 0.5f);
        mark = toy_clamp(10 * (0.08f - fminf(a, b)));
      } else {
        mark = 0.5f + fbm(board, u * 0.9f, v * 0.9f);
      }
      ptrdiff_t at = (ptrdiff_t)y * board->width + x;
      float factor = 1 + strength * (mark - 0.4f);
      put(board, at, (struct toy_color){board->r[at] * factor, board->g[at] * factor, board->b[at] * factor});
    }
  }
}

/* Light that falls through a window onto the wall. */
static void paint_window_light(struct board *board, float to, struct rng *rng) {
  float left = toy_random(rng, 0.05f, 0.55f) * (float)board->width, size = board->unit * toy_random(rng, 0.3f, 0.5f);
  float top = toy_random(rng, -0.1f, 0.2f) * (float)board->height, slant = toy_random(rng, -0.5f, 0.5f);
  for (int y = 0; y < board->height && (float)y < to; y++) {
    float v = ((float)y - top) / (1.25f * size);
    for (int x = 0; x < board->width; x++) {
      float u = ((float)x - left - slant * ((float)y - top)) / size, bar = 9;
      bar = fminf(fabsf(u - 0.5f), fabsf(v - 0.5f));
      float inside = fminf(fminf(u, 1 - u), fminf(v, 1 - v));
      float lit = 0.22f * toy_step(0, 0.05f, inside) * toy_step(0.015f, 0.05f, bar);
      ptrdiff_t at = (ptrdiff_t)y * board->width + x;
      put(board, at,
          (struct toy_color){board->r[at] * (1 + lit), board->g[at] * (1 + lit), board->b[at] * (1 + 0.8f * lit)});
    }
  }
}

static void paint_table(struct board *board, struct toy_stage *stage, struct rng *rng) {
  float horizon = (float)board->height * toy_random(rng, 0.45f, 0.65f), hue = stage->palette.hues[0];
  float lightness = toy_random(rng, 0.68f, 0.9f);
  fill_gradient(board, 0, horizon, toy_oklch(lightness + 0.03f, 0.06f, hue), toy_oklch(lightness - 0.06f, 0.07f, hue));
  paint_wallpaper(board, horizon, rng);
  if (toy_chance(rng, 0.5f)) {
    paint_window_light(board, horizon, rng);
  }
  if (toy_chance(rng, 0.5f)) { /* a picture on the wall, out of focus */
    float x = toy_random(rng, 0.1f, 0.7f) * (float)board->width, y = toy_random(rng, 0.05f, 0.2f) * horizon;
    float w = board->unit * toy_random(rng, 0.15f, 0.35f), h = fminf(w * toy_random(rng, 0.7f, 1.4f), horizon * 0.6f);
    fill_box(board, x + 3, y + 4, x + w + 3, y + h + 4, toy_oklch(0.3f, 0.02f, hue), 0.3f);
    fill_box(board, x, y, x + w, y + h, toy_oklch(0.45f, 0.04f, 0.15f), 1);
    fill_box(board, x + 3, y + 3, x + w - 3, y + h - 3, toy_oklch(0.9f, 0.02f, 0.2f), 1);
    fill_box(board, x + w / 5, y + h / 5, x + w * 0.8f, y + h * 0.8f, toy_oklch(0.7f, 0.07f, stage->palette.hues[1]),
             1);
    fill_box(board, x + w / 5, y + h * 0.55f, x + w * 0.8f, y + h * 0.8f,
             toy_oklch(0.5f, 0.07f, stage->palette.hues[2]), 1);
  }
  float plank_tone = toy_random(rng, 0.45f, 0.75f);
  bool brown = toy_chance(rng, 0.6f);
  float plank_hue = brown ? toy_random(rng, 0.12f, 0.2f) : hue + 0.4f;
  paint_planks(board, horizon, plank_hue, plank_tone, 1);
  fill_box(board, 0, horizon - 0.015f * board->unit, (float)board->width, horizon, toy_oklch(0.25f, 0.02f, hue), 0.25f);
  fill_box(board, 0, horizon, (float)board->width, horizon + 1.5f, toy_oklch(0.95f, 0.02f, 0.2f), 0.35f);
  stage->horizon = 2 * horizon;
}

/* Seen from above: cloth, paper, planks or sand. */
static void paint_flatlay(struct board *board, struct toy_stage *stage, struct rng *rng) {
  float hue = stage->palette.hues[0], lightness = toy_random(rng, 0.62f, 0.92f);
  int kind = (int)rng_below(rng, 4);
  struct toy_color base = toy_oklch(lightness, 0.065f, hue);
  fill_gradient(board, 0, (float)board->height, toy_scale(base, 1.06f), toy_scale(base, 0.94f));
  if (kind == 0) {
    paint_planks(board, 0, toy_random(rng, 0.1f, 0.22f), lightness - 0.1f, 0);
  } else if (kind == 1) {
    paint_wallpaper(board, (float)board->height, rng);
  }
  float fine = kind == 2 ? 0.14f : 0.05f, coarse = kind == 3 ? 0.22f : 0.08f;
  for (int y = 0; y < board->height; y++) {
    for (int x = 0; x < board->width; x++) {
      float u = (float)x / board->unit, v = (float)y / board->unit;
      float weave = toy_noise_at(board->noise, u * 160, v * 9) + toy_noise_at(board->noise, u * 9 + 40, v * 160);
      float factor = 1 + fine * 0.5f * weave + coarse * fbm(board, u * 3, v * 3);
      ptrdiff_t at = (ptrdiff_t)y * board->width + x;
      put(board, at, (struct toy_color){board->r[at] * factor, board->g[at] * factor, board->b[at] * factor});
    }
  }
  stage->horizon = 0;
}

static void paint_studio(struct board *board, struct toy_stage *stage, struct rng *rng) {
  float horizon = (float)board->height * toy_random(rng, 0.5f, 0.68f), hue = stage->palette.hues[0];
  float lightness = toy_random(rng, 0.68f, 0.9f);
  struct toy_color wall = toy_oklch(lightness, 0.075f, hue), floor_far = toy_oklch(lightness - 0.06f, 0.08f, hue);
  fill_gradient(board, 0, horizon, toy_scale(wall, 0.9f), wall);
  int discs = (int)rng_below(rng, 3);
  for (int i = 0; i < discs; i++) {
    struct toy_color color = toy_oklch(lightness + toy_random(rng, -0.12f, 0.06f), 0.08f, stage->palette.hues[1 + i]);
    float radius = board->unit * toy_random(rng, 0.2f, 0.45f);
    float y = horizon - toy_random(rng, 0.0f, 0.9f) * radius;
    float x = toy_random(rng, 0.1f, 0.9f) * (float)board->width;
    fill_disc(board, x, y, radius, 0.985f, color, 0.9f);
  }
  if (discs == 0) {
    for (int i = 0; i < 18; i++) {
      float alpha = toy_random(rng, 0.15f, 0.45f);
      struct toy_color color = toy_oklch(0.93f, 0.07f, stage->palette.hues[rng_below(rng, 4)]);
      float radius = board->unit * toy_random(rng, 0.03f, 0.1f);
      float y = toy_random(rng, 0, 1) * horizon;
      float x = toy_random(rng, 0, 1) * (float)board->width;
      fill_disc(board, x, y, radius, 0.9f, color, alpha);
    }
  }
  fill_gradient(board, horizon, (float)board->height + 1, floor_far, toy_oklch(lightness + 0.02f, 0.05f, hue));
  for (int y = 0; y < 9; y++) { /* the backdrop paper bends: no hard line */
    float row = horizon + 4 - (float)y;
    fill_box(board, 0, row, (float)board->width, row + 1, toy_blend(floor_far, wall, (float)y / 8), 0.7f);
  }
  stage->horizon = 2 * horizon;
}

static void paint_shelf(struct board *board, struct toy_stage *stage, struct rng *rng) {
  float hue = stage->palette.hues[0], lightness = toy_random(rng, 0.66f, 0.9f);
  fill_gradient(board, 0, (float)board->height, toy_oklch(lightness + 0.03f, 0.06f, hue),
                toy_oklch(lightness - 0.05f, 0.065f, hue));
  paint_wallpaper(board, (float)board->height, rng);
  stage->level_count = 2 + (int)rng_below(rng, 2);
  float thick = 0.035f * board->unit, wood = toy_random(rng, 0.1f, 0.2f), tone = toy_random(rng, 0.45f, 0.8f);
  for (int i = 0; i < stage->level_count; i++) {
    float y = (float)board->height * ((float)i + 0.93f) / ((float)stage->level_count + 0.05f);
    for (int k = 0; k < 12; k++) { /* its shadow on the wall, fading downwards */
      fill_box(board, 0, y + thick + (float)k, (float)board->width, y + thick + (float)k + 1,
               toy_oklch(0.2f, 0.03f, hue), 0.3f * (1 - (float)k / 12));
    }
    fill_box(board, 0, y, (float)board->width, y + thick, toy_oklch(tone - 0.07f, 0.06f, wood), 1);
    fill_box(board, 0, y - 0.02f * board->unit, (float)board->width, y + 1, toy_oklch(tone + 0.06f, 0.055f, wood), 1);
    stage->levels[i] = 2 * y;
  }
  stage->horizon = 0;
}

static void paint_sea(struct board *board, struct toy_stage *stage, struct rng *rng) {
  float hue = toy_random(rng, 0.5f, 0.64f), horizon = (float)board->height * toy_random(rng, 0.72f, 0.85f);
  struct toy_color deep = toy_oklch(0.48f, 0.085f, hue + 0.03f), bright = toy_oklch(0.86f, 0.08f, hue - 0.03f);
  fill_gradient(board, 0, (float)board->height, bright, deep);
  float from = toy_random(rng, -0.3f, 1.3f) * (float)board->width;
  for (int y = 0; y < board->height; y++) {
    float v = (float)y / (float)board->height;
    for (int x = 0; x < board->width; x++) {
      float ray = toy_noise_at(board->noise, ((float)x - from) / (board->unit * (0.35f + v)) * 5 + 60, board->seed);
      float lit = 0.35f * toy_clamp(ray) * (1 - v) * (1 - v);
      mix_at(board, (ptrdiff_t)y * board->width + x, (struct toy_color){1, 1, 0.95f}, lit);
    }
  }
  for (int i = 0; i < 2; i++) {
    struct toy_color rock = toy_oklch(0.55f - 0.06f * (float)i, 0.07f, hue);
    paint_hills(board, horizon + 0.06f * board->unit * (float)i, 0.2f - 0.08f * (float)i, 2.5f, rock, deep);
  }
  paint_ground(board, horizon, toy_blend(deep, toy_oklch(0.75f, 0.06f, 0.22f), 0.5f), toy_oklch(0.8f, 0.06f, 0.22f),
               toy_oklch(0.66f, 0.07f, 0.18f));
  int bubbles = 5 + (int)rng_below(rng, 15);
  for (int i = 0; i < bubbles; i++) {
    float x = toy_random(rng, 0, 1) * (float)board->width, y = toy_random(rng, 0, 0.9f) * horizon;
    float radius = board->unit * toy_random(rng, 0.006f, 0.025f);
    fill_disc(board, x, y, radius, 0.8f, bright, 0.35f);
    fill_disc(board, x - radius * 0.3f, y - radius * 0.3f, radius * 0.4f, 0.2f, (struct toy_color){1, 1, 1}, 0.7f);
  }
  stage->horizon = 2 * horizon;
}

void toy_backdrop_paint(struct toy_canvas *canvas, struct toy_stage *stage, const struct toy_noise *noise,
                        struct rng *rng) {
  static void (*const painters[TOY_PLACES])(struct board *, struct toy_stage *, struct rng *) = {
      [TOY_MEADOW] = paint_meadow, [TOY_TABLE] = paint_table, [TOY_FLATLAY] = paint_flatlay,
      [TOY_STUDIO] = paint_studio, [TOY_SHELF] = paint_shelf, [TOY_SEA] = paint_sea,
  };
  ptrdiff_t area = (ptrdiff_t)canvas->half_width * canvas->half_height;
  int shorter = canvas->half_width < canvas->half_height ? canvas->half_width : canvas->half_height;
  struct board board = {canvas->half_width,      canvas->half_height, canvas->half, canvas->half + area,
                        canvas->half + 2 * area, (float)shorter,      noise,        toy_random(rng, 0, 200)};
  painters[stage->place](&board, stage, rng);
  toy_canvas_enlarge(canvas);
}
