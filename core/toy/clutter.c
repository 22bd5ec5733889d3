/* Clutter: pebbles, grass, pencils, scraps, books, seaweed - things that carry no label - and the shadows that anything
 * on a stage casts. */
#include <math.h>

#include "core/toy/internal.h"

#define TURN 6.28318531f

static void draw_pebble(struct toy_drawing *drawing, struct rng *rng) {
  struct toy_point points[9];
  float flat = toy_random(rng, 0.5f, 0.8f);
  for (int i = 0; i < 9; i++) {
    float angle = TURN * (float)i / 9, radius = toy_random(rng, 0.42f, 0.55f);
    points[i] = (struct toy_point){radius * toy_cos(angle), flat * radius * toy_sin(angle)};
  }
  toy_curve(drawing, points, 9);
  toy_fill(drawing, TOY_PLAIN, 0.16f);
}

static void draw_tuft(struct toy_drawing *drawing, struct rng *rng) {
  int blades = 5 + (int)rng_below(rng, 6);
  for (int i = 0; i < blades; i++) {
    float x = toy_random(rng, -0.3f, 0.3f), lean = x + toy_random(rng, -0.35f, 0.35f);
    float height = toy_random(rng, 0.45f, 1.0f);
    struct toy_point points[4] = {{x, 0.5f},
                                  {x * 0.9f + lean * 0.1f, 0.5f - height * 0.4f},
                                  {x * 0.5f + lean * 0.5f, 0.5f - height * 0.75f},
                                  {lean, 0.5f - height}};
    toy_stroke(drawing, points, 4, 0.09f, 0.012f);
    toy_fill(drawing, i % 3 == 0 ? TOY_TRIM : TOY_PLAIN, 0);
  }
}

static void draw_pencil(struct toy_drawing *drawing, struct rng *rng) {
  float half = toy_random(rng, 0.9f, 1.4f);
  toy_path(drawing,
           (struct toy_point[]){{-half, -0.05f}, {half, -0.05f}, {half + 0.16f, 0}, {half, 0.05f}, {-half, 0.05f}}, 5);
  toy_fill(drawing, TOY_LIGHT, 0.02f);
  toy_box(drawing, -half, -0.05f, half - 0.02f, 0.05f, 0.005f);
  toy_fill(drawing, TOY_PLAIN, 0.025f);
  toy_path(drawing, (struct toy_point[]){{half + 0.11f, -0.018f}, {half + 0.165f, 0}, {half + 0.11f, 0.018f}}, 3);
  toy_fill(drawing, TOY_DARK, 0);
  toy_box(drawing, -half - 0.08f, -0.05f, -half + 0.02f, 0.05f, 0.02f);
  toy_fill(drawing, TOY_TRIM, 0.02f);
}

static void draw_scrap(struct toy_drawing *drawing, struct rng *rng) {
  struct toy_point points[4];
  int corners = 3 + (int)rng_below(rng, 2);
  for (int i = 0; i < corners; i++) {
    float angle = TURN * ((float)i + toy_random(rng, 0, 0.4f)) / (float)corners;
    points[i] = (struct toy_point){0.5f * toy_cos(angle), 0.5f * toy_sin(angle)};
  }
  toy_path(drawing, points, corners);
  toy_fill(drawing, TOY_TRIM, 0.02f);
}

static void draw_ring(struct toy_drawing *drawing, struct rng *rng) {
  toy_ellipse(drawing, 0, 0, 0.5f, 0.5f);
  toy_hole(drawing, 0, 0, toy_random(rng, 0.25f, 0.4f));
  toy_fill(drawing, TOY_PLAIN, 0.05f);
}

static void draw_scribble(struct toy_drawing *drawing, struct rng *rng) {
  struct toy_point points[40];
  float loops = toy_random(rng, 1.5f, 4), phase = toy_random(rng, 0, TURN), size = toy_random(rng, 0.15f, 0.4f);
  for (int i = 0; i < 40; i++) {
    float t = (float)i / 39;
    points[i] = (struct toy_point){1.6f * (t - 0.5f) + size * 0.5f * toy_cos(TURN * loops * t + phase),
                                   size * toy_sin(TURN * loops * t + phase)};
  }
  toy_stroke(drawing, points, 40, 0.03f, 0.022f);
  toy_glaze(drawing, TOY_DARK, 0.5f);
}

static void draw_leaflet(struct toy_drawing *drawing, struct rng *rng) {
  float half = toy_random(rng, 0.14f, 0.24f);
  struct toy_point points[8] = {{-0.5f, 0}, {-0.25f, -half * 0.8f}, {0.05f, -half}, {0.3f, -half * 0.6f},
                                {0.55f, 0}, {0.3f, half * 0.6f},    {0.05f, half},  {-0.25f, half * 0.8f}};
  toy_curve(drawing, points, 8);
  toy_fill(drawing, TOY_PLAIN, 0.04f);
  toy_stroke(drawing, (struct toy_point[]){{-0.62f, 0.02f}, {0, 0}, {0.45f, 0}}, 3, 0.03f, 0.012f);
  toy_fill(drawing, TOY_TRIM, 0);
}

static void draw_books(struct toy_drawing *drawing, struct rng *rng) {
  int count = 2 + (int)rng_below(rng, 4);
  float x = -0.12f * (float)count;
  static const enum toy_material covers[] = {TOY_PLAIN, TOY_TRIM, TOY_LIGHT, TOY_DARK, TOY_GLASS};
  for (int i = 0; i < count; i++) {
    float width = toy_random(rng, 0.13f, 0.24f), height = toy_random(rng, 0.7f, 1.0f);
    toy_box(drawing, x, 0.5f - height, x + width, 0.5f, 0.015f);
    toy_fill(drawing, covers[rng_below(rng, COUNT_OF(covers))], 0.025f);
    toy_box(drawing, x + 0.025f, 0.57f - height, x + width - 0.025f, 0.6f - height, 0.004f);
    toy_fill(drawing, TOY_LIGHT, 0);
    x += width + 0.004f;
  }
}

static void draw_weed(struct toy_drawing *drawing, struct rng *rng) {
  int blades = 2 + (int)rng_below(rng, 4);
  for (int i = 0; i < blades; i++) {
    struct toy_point points[16];
    float x = toy_random(rng, -0.2f, 0.2f), height = toy_random(rng, 0.6f, 1.3f), phase = toy_random(rng, 0, TURN);
    for (int k = 0; k < 16; k++) {
      float t = (float)k / 15;
      points[k] = (struct toy_point){x + 0.08f * t * toy_sin(9 * t + phase) + x * t, 0.5f - height * t};
    }
    toy_stroke(drawing, points, 16, 0.07f, 0.025f);
    toy_fill(drawing, i % 2 == 0 ? TOY_TRIM : TOY_PLAIN, 0.02f);
  }
}

static void draw_tree(struct toy_drawing *drawing, struct rng *rng) {
  bool pine = toy_chance(rng, 0.4f);
  toy_box(drawing, -0.05f, 0.1f, 0.05f, 0.5f, 0.01f);
  toy_fill(drawing, TOY_DARK, 0.02f);
  if (pine) {
    for (int i = 0; i < 3; i++) {
      float y = 0.28f - 0.26f * (float)i, half = 0.3f - 0.07f * (float)i;
      toy_curve(drawing, (struct toy_point[]){{0, y - 0.42f}, {half, y}, {0, y + 0.05f}, {-half, y}}, 4);
      toy_fill(drawing, TOY_PLAIN, 0.07f);
    }
    return;
  }
  for (int i = 0; i < 7; i++) {
    float angle = TURN * (float)i / 6, radius = i < 6 ? 0.2f : 0;
    toy_ellipse(drawing, radius * toy_cos(angle), -0.12f + radius * toy_sin(angle), toy_random(rng, 0.16f, 0.22f),
                0.19f);
    toy_fill(drawing, TOY_PLAIN, 0.12f);
  }
}

static void draw_flowers(struct toy_drawing *drawing, struct rng *rng) {
  int count = 2 + (int)rng_below(rng, 3);
  for (int i = 0; i < count; i++) {
    float x = toy_random(rng, -0.35f, 0.35f), y = 0.5f - toy_random(rng, 0.3f, 0.8f);
    toy_stroke(drawing, (struct toy_point[]){{x * 0.7f, 0.5f}, {x * 0.85f, 0.25f}, {x, y}}, 3, 0.03f, 0.025f);
    toy_fill(drawing, TOY_PLAIN, 0);
    for (int k = 0; k < 5; k++) {
      float angle = TURN * (float)k / 5;
      toy_ellipse(drawing, x + 0.06f * toy_cos(angle), y + 0.06f * toy_sin(angle), 0.05f, 0.05f);
    }
    toy_fill(drawing, i % 2 == 0 ? TOY_GLASS : TOY_LIGHT, 0);
    toy_ellipse(drawing, x, y, 0.04f, 0.04f);
    toy_fill(drawing, TOY_DARK, 0);
  }
}

enum clutter { PEBBLE, TUFT, PENCIL, SCRAP, RING, SCRIBBLE, LEAFLET, BOOKS, WEED, TREE, FLOWERS };

static const struct {
  void (*draw)(struct toy_drawing *drawing, struct rng *rng);
  float low, high; /* pixels in a local unit */
  bool standing, green;
} kinds[] = {
    [PEBBLE] = {draw_pebble, 8, 34, true, false},    [TUFT] = {draw_tuft, 16, 50, true, true},
    [PENCIL] = {draw_pencil, 50, 110, false, false}, [SCRAP] = {draw_scrap, 7, 22, false, false},
    [RING] = {draw_ring, 10, 30, false, false},      [SCRIBBLE] = {draw_scribble, 40, 120, false, false},
    [LEAFLET] = {draw_leaflet, 25, 80, false, true}, [BOOKS] = {draw_books, 60, 110, true, false},
    [WEED] = {draw_weed, 40, 150, true, true},       [TREE] = {draw_tree, 60, 200, true, true},
    [FLOWERS] = {draw_flowers, 22, 60, true, true},
};

static struct toy_look clutter_look(const struct toy_stage *stage, bool green, struct rng *rng) {
  const float *hues = stage->palette.hues;
  float hue = green ? toy_random(rng, 0.28f, 0.4f) : hues[rng_below(rng, 4)], tone = toy_random(rng, 0.5f, 0.75f);
  float chroma = green ? 0.1f : toy_random(rng, 0.02f, 0.1f);
  struct toy_look look = {.light_x = stage->light_x, .light_y = stage->light_y, .gloss = 2};
  look.colors[TOY_PLAIN] = toy_oklch(tone, chroma, hue);
  look.colors[TOY_TRIM] = toy_oklch(tone - 0.1f, 0.1f, green ? hue + 0.03f : hues[rng_below(rng, 4)]);
  look.colors[TOY_DARK] = toy_oklch(0.32f, 0.04f, hue);
  look.colors[TOY_LIGHT] = toy_oklch(0.9f, 0.03f, 0.22f);
  look.colors[TOY_GLASS] = toy_oklch(0.72f, 0.13f, hues[1 + rng_below(rng, 3)]);
  return look;
}

static int clutter_one(struct toy_studio *studio, const struct toy_stage *stage, enum clutter kind, bool front,
                       struct rng *rng, struct error *error) {
  const struct toy_canvas *canvas = &studio->canvas;
  float depth = toy_random(rng, 0.04f, 1), angle = kinds[kind].standing ? 0 : toy_random(rng, 0, TURN);
  depth = kind == TREE ? 0.25f * depth : depth; /* far, so as not to hide the objects' places */
  float ground = stage->horizon + ((float)canvas->height * 1.04f - stage->horizon) * (front ? 1 : depth);
  float near = stage->horizon > 0 ? 0.45f + 0.55f * depth : 1;
  float scale = near * kinds[kind].low * toy_pow(kinds[kind].high / kinds[kind].low, toy_random(rng, 0, 1));
  struct toy_look look = clutter_look(stage, kinds[kind].green, rng);
  toy_clear(&studio->drawing);
  kinds[kind].draw(&studio->drawing, rng);
  if (toy_sprite_render(&studio->sprite, &studio->drawing, &look, studio->noise, scale, angle, toy_chance(rng, 0.5f),
                        error)) {
    return -1;
  }
  if (stage->level_count > 0) {
    ground = stage->levels[rng_below(rng, (uint64_t)stage->level_count)];
  }
  float x = toy_random(rng, -0.05f, 1.0f) * (float)canvas->width;
  return toy_stage_paint(studio, stage, (int)x, (int)(ground - studio->sprite.base), 0, 0, error);
}

int toy_clutter_paint(struct toy_studio *studio, const struct toy_stage *stage, bool front, struct rng *rng,
                      struct error *error) {
  static const struct {
    int count, kinds, items;
    enum clutter list[5];
  } habits[TOY_PLACES] = {
      [TOY_MEADOW] = {3, 5, 40, {TUFT, TUFT, PEBBLE, FLOWERS, TREE}},
      [TOY_TABLE] = {0, 4, 9, {PEBBLE, SCRAP, RING, LEAFLET}},
      [TOY_FLATLAY] = {0, 5, 20, {PENCIL, SCRAP, RING, SCRIBBLE, LEAFLET}},
      [TOY_STUDIO] = {0, 2, 9, {PEBBLE, SCRAP}},
      [TOY_SHELF] = {0, 2, 6, {BOOKS, BOOKS}},
      [TOY_SEA] = {4, 3, 16, {WEED, PEBBLE, PEBBLE}},
  };
  int kinds_here = habits[stage->place].kinds;
  int items = front ? habits[stage->place].count : (int)rng_below(rng, (uint64_t)habits[stage->place].items + 1);
  for (int i = 0; i < items; i++) {
    enum clutter kind = habits[stage->place].list[front ? 0 : rng_below(rng, (uint64_t)kinds_here)];
    if (clutter_one(studio, stage, kind, front, rng, error)) {
      return -1;
    }
  }
  return 0;
}

int toy_stage_paint(struct toy_studio *studio, const struct toy_stage *stage, int x, int y, float height, int owner,
                    struct error *error) {
  const struct toy_sprite *sprite = &studio->sprite;
  float size = sqrtf((float)sprite->width * (float)sprite->height);
  struct toy_shadow cast = {0.22f, -0.7f * stage->light_x, 0, 0, 1 + 0.018f * size, 0.4f};
  struct toy_shadow contact = {0.05f, 0, 0, 1 + 0.012f * size, 1 + 0.02f * size, 0.55f};
  if (stage->place == TOY_FLATLAY || stage->place == TOY_SHELF) {
    float lift = 1.5f + 0.05f * size;
    cast = (struct toy_shadow){1, 0, -lift * stage->light_x, -lift * stage->light_y, 1 + 0.022f * size, 0.42f};
  }
  bool lies = stage->place == TOY_FLATLAY, floats = height > 0;
  if (!floats && toy_canvas_shadow(&studio->canvas, sprite, x, y, &cast, &studio->shadow, error)) {
    return -1;
  }
  if (!floats && !lies && toy_canvas_shadow(&studio->canvas, sprite, x, y, &contact, &studio->shadow, error)) {
    return -1;
  }
  toy_canvas_sprite(&studio->canvas, sprite, x, y, owner);
  return 0;
}
