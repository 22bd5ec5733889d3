/* One scene: choose a place, a time and colours; put things where they belong, from far to near; note what is seen. */
#include <math.h>
#include <string.h>

#include "core/toy/internal.h"

#define TURN 6.28318531f

static const float visible_least = 0.35f; /* of an object's pixels; what shows less has no box and is not placed */
enum { BOX_LEAST = 8, ATTEMPTS = 14 };

/* An object that is to be placed. */
struct actor {
  int class, owner;
  float size;   /* pixels: sqrt(width * height) */
  float depth;  /* painter's order */
  float ground; /* row to stand on, or the middle when it floats or lies */
  bool floats, crowd;
};

/* How much of each owner can be seen. */
struct census {
  int full[TOY_OBJECTS_MAX + 1], visible[TOY_OBJECTS_MAX + 1];
};

static void choose_size(struct rng *rng, int *width, int *height) {
  static const int sizes[][2] = {{640, 480}, {640, 480}, {640, 480}, {640, 426}, {640, 426}, {640, 360},
                                 {600, 450}, {500, 374}, {512, 512}, {480, 640}, {480, 640}, {426, 640}};
  size_t i = rng_below(rng, COUNT_OF(sizes));
  *width = sizes[i][0];
  *height = sizes[i][1];
}

static struct toy_stage choose_stage(struct rng *rng) {
  static const float schemes[][3] = {
      {0.08f, 0.46f, 0.54f}, {0.33f, 0.66f, 0.08f}, {0.42f, 0.58f, 0.5f}, {-0.09f, 0.09f, 0.5f}, {0.25f, 0.5f, 0.75f}};
  const float *scheme = schemes[rng_below(rng, COUNT_OF(schemes))];
  float hue = toy_random(rng, 0, 1), side = toy_random(rng, 0.35f, 0.8f);
  struct toy_stage stage = {.palette = {{hue, hue + scheme[0], hue + scheme[1], hue + scheme[2]}}};
  static const enum toy_place places[] = {TOY_MEADOW, TOY_MEADOW,  TOY_MEADOW,  TOY_MEADOW,  TOY_TABLE,  TOY_TABLE,
                                          TOY_TABLE,  TOY_FLATLAY, TOY_FLATLAY, TOY_FLATLAY, TOY_STUDIO, TOY_STUDIO,
                                          TOY_SHELF,  TOY_SHELF,   TOY_SHELF,   TOY_SEA,     TOY_SEA};
  stage.place = places[rng_below(rng, COUNT_OF(places))];
  float hour = toy_random(rng, 0, 1);
  stage.time = hour < 0.72f ? TOY_DAY : hour < 0.88f ? TOY_DUSK : TOY_NIGHT;
  stage.light_x = toy_chance(rng, 0.5f) ? side : -side;
  stage.light_y = -sqrtf(1 - side * side);
  return stage;
}

static struct toy_grade choose_grade(const struct toy_stage *stage, const struct toy_canvas *canvas, struct rng *rng) {
  float width = (float)canvas->width, height = (float)canvas->height;
  struct toy_grade grade = {.vignette = toy_random(rng, 0.12f, 0.4f)};
  grade.grain = toy_random(rng, 0.8f, 2.2f);
  grade.blur = toy_random(rng, 0, 0.35f);
  grade.grain_offset = rng_u32(rng);
  grade.lamp_x = (0.5f + 0.45f * stage->light_x) * width;
  grade.lamp_y = toy_random(rng, 0.1f, 0.5f) * height;
  grade.lamp_radius = toy_random(rng, 0.6f, 1.0f) * (width < height ? width : height);
  if (stage->time == TOY_DAY) {
    float exposure = toy_random(rng, 1.02f, 1.28f);
    grade.ambient = (struct toy_color){0.8f * exposure, 0.82f * exposure, 0.86f * exposure};
    grade.lamp = (struct toy_color){0.42f, 0.38f, 0.28f};
  } else if (stage->time == TOY_DUSK) {
    grade.ambient = (struct toy_color){0.74f, 0.6f, 0.6f};
    grade.lamp = (struct toy_color){0.75f, 0.46f, 0.2f};
  } else {
    grade.ambient = (struct toy_color){0.27f, 0.31f, 0.48f};
    grade.lamp = stage->place == TOY_MEADOW || stage->place == TOY_SEA ? (struct toy_color){0.32f, 0.38f, 0.5f}
                                                                       : (struct toy_color){1.0f, 0.68f, 0.34f};
  }
  return grade;
}

/* Colours are drawn from the scene's palette and tell nothing about the class. */
struct toy_look toy_look_choose(const struct toy_stage *stage, enum toy_texture texture, struct rng *rng) {
  const float *hues = stage->palette.hues;
  float hue = hues[1 + rng_below(rng, 3)];
  hue += toy_random(rng, -0.04f, 0.04f);
  float other = hues[rng_below(rng, 4)];
  float tone = toy_random(rng, 0.6f, 0.76f), contrast = toy_random(rng, 0, 1);
  struct toy_look look = {.texture = texture, .light_x = stage->light_x, .light_y = stage->light_y};
  look.colors[TOY_BODY] = toy_oklch(tone, toy_random(rng, 0.1f, 0.165f), hue);
  look.second = contrast < 0.45f   ? toy_oklch(0.93f, 0.035f, other)
                : contrast < 0.75f ? toy_oklch(tone - 0.27f, 0.08f, hue + 0.03f)
                                   : toy_oklch(tone > 0.68f ? tone - 0.24f : tone + 0.22f, 0.11f, other);
  if (toy_chance(rng, 0.35f)) {
    struct toy_color swap = look.second;
    look.second = look.colors[TOY_BODY];
    look.colors[TOY_BODY] = swap;
  }
  look.colors[TOY_PLAIN] = toy_oklch(tone - 0.05f, 0.09f, hue + 0.02f);
  float trim_hue = hues[1 + rng_below(rng, 3)] + 0.05f;
  look.colors[TOY_TRIM] = toy_oklch(toy_random(rng, 0.58f, 0.74f), 0.13f, trim_hue);
  look.colors[TOY_DARK] = toy_oklch(0.27f, 0.03f, hue);
  look.colors[TOY_LIGHT] = toy_oklch(0.96f, 0.015f, 0.22f);
  look.colors[TOY_GLASS] = toy_oklch(0.8f, 0.06f, 0.63f);
  if (stage->time == TOY_NIGHT) { /* somebody is at home */
    look.colors[TOY_GLASS] = toy_scale(toy_oklch(0.88f, 0.12f, 0.22f), 2.6f);
  }
  look.frame.u = toy_random(rng, 20, 40);
  look.frame.v = toy_random(rng, 20, 40);
  look.texture_scale = toy_random(rng, 0.85f, 1.25f);
  look.texture_angle = texture == TOY_STRIPED || texture == TOY_MARBLE || texture == TOY_CHECKERED
                           ? TURN * toy_random(rng, 0, 1)
                           : TURN * toy_random(rng, -0.02f, 0.02f);
  look.gloss = toy_random(rng, 0, 1) * 4;
  return look;
}

static bool group_holds(const struct toy_drawing *drawing, enum toy_group group, float angle) {
  float c = toy_cos(angle), s = toy_sin(angle), x0 = 1e9f, y0 = 1e9f, x1 = -1e9f, y1 = -1e9f;
  for (int i = 0; i < drawing->point_count; i++) {
    struct toy_point p = drawing->points[i];
    float x = c * p.x - s * p.y, y = s * p.x + c * p.y;
    x0 = fminf(x0, x);
    x1 = fmaxf(x1, x);
    y0 = fminf(y0, y);
    y1 = fmaxf(y1, y);
  }
  float ratio = (x1 - x0) / (y1 - y0);
  return group == TOY_TALL ? ratio < 0.47f : group == TOY_WIDE ? ratio > 1.6f : ratio > 0.53f && ratio < 1.45f;
}

/* Draws the actor into the studio's sprite, turned no further than its proportions allow. */
static int actor_render(struct toy_studio *studio, const struct toy_stage *stage, const struct actor *actor,
                        struct rng *rng, struct error *error) {
  const struct toy_class *class = &toy_classes[actor->class];
  struct toy_look look = toy_look_choose(stage, class->texture, rng);
  toy_shape_draw(&studio->drawing, class->shape, rng);
  float most = stage->place == TOY_FLATLAY || actor->floats ? TURN / 30 : actor->crowd ? TURN / 40 : TURN / 120;
  float angle = toy_random(rng, -most, most);
  bool mirror = toy_chance(rng, 0.5f);
  struct toy_bounds bounds = toy_drawing_bounds(&studio->drawing);
  for (int i = 0; i < 8 && !group_holds(&studio->drawing, toy_shape_group(class->shape), mirror ? -angle : angle);
       i++) {
    angle *= 0.6f;
  }
  float fit_x = 0.8f * (float)studio->canvas.width / (bounds.x1 - bounds.x0);
  float fit_y = 0.8f * (float)studio->canvas.height / (bounds.y1 - bounds.y0);
  float scale = fminf(actor->size, fminf(fit_x, fit_y));
  return toy_sprite_render(&studio->sprite, &studio->drawing, &look, studio->noise, scale, angle, mirror, error);
}

/* Whether the sprite may lie at (x, y): enough of it inside, and of everything that it covers enough left to see. */
static bool census_allows(const struct census *census, const struct toy_studio *studio, int x, int y, int owner,
                          struct census *after) {
  const struct toy_canvas *canvas = &studio->canvas;
  const struct toy_sprite *sprite = &studio->sprite;
  *after = *census;
  int full = 0, inside = 0;
  for (int row = 0; row < sprite->height; row++) {
    const float *a = sprite->a + (ptrdiff_t)row * sprite->width;
    for (int i = 0; i < sprite->width; i++) {
      full += a[i] > 0.5f;
    }
    if (y + row < 0 || y + row >= canvas->height) {
      continue;
    }
    const uint8_t *owners = canvas->owner + (ptrdiff_t)(y + row) * canvas->width;
    int from = x < 0 ? -x : 0, to = x + sprite->width > canvas->width ? canvas->width - x : sprite->width;
    for (int i = from; i < to; i++) {
      if (a[i] > 0.5f) {
        inside++;
        after->visible[owners[x + i]]--;
      }
    }
  }
  after->full[owner] += full;
  after->visible[owner] += inside;
  for (int i = 1; i <= TOY_OBJECTS_MAX; i++) {
    float least = i == owner ? 0.6f : visible_least + 0.07f; /* a margin for the clutter in front */
    if (after->visible[i] != census->visible[i] && (float)after->visible[i] < least * (float)after->full[i]) {
      return false;
    }
  }
  return true;
}

static int actor_place(struct toy_studio *studio, const struct toy_stage *stage, const struct actor *actor,
                       struct census *census, struct rng *rng, struct error *error) {
  const struct toy_sprite *sprite = &studio->sprite;
  float width = (float)studio->canvas.width, w = (float)sprite->width, h = (float)sprite->height;
  for (int i = 0; i < ATTEMPTS; i++) {
    float x = toy_random(rng, -0.15f * w, width - 0.85f * w), y = actor->ground;
    if (stage->place == TOY_FLATLAY || actor->floats) {
      y = toy_mix(toy_random(rng, -0.12f * h, (float)studio->canvas.height - 0.88f * h), y - 0.5f * h,
                  actor->floats ? 0.5f : 0);
    } else {
      y -= sprite->base;
    }
    struct census after;
    if (census_allows(census, studio, (int)x, (int)y, actor->owner, &after)) {
      *census = after;
      return toy_stage_paint(studio, stage, (int)x, (int)y, actor->floats ? 1 : 0, actor->owner, error);
    }
  }
  return 0;
}

/* A heap of one class in one box. */
static int crowd_place(struct toy_studio *studio, const struct toy_stage *stage, struct actor *actor,
                       struct census *census, struct rng *rng, struct error *error) {
  float width = (float)studio->canvas.width, height = (float)studio->canvas.height;
  float middle = toy_random(rng, 0.3f, 0.7f) * width, spread = toy_random(rng, 0.12f, 0.25f) * width;
  float ground = fminf(actor->ground, 0.97f * height);
  float rise = stage->level_count > 0 ? 0.08f * spread : 0.35f * spread; /* a shelf has little depth */
  int count = 14 + (int)rng_below(rng, 16);
  actor->crowd = true;
  for (int i = 0; i < count; i++) {
    actor->size = toy_random(rng, 24, 40);
    if (actor_render(studio, stage, actor, rng, error)) {
      return -1;
    }
    float t = (float)i / (float)count, across = toy_random(rng, -1, 1) * (1 - 0.3f * t);
    float x = middle + spread * across - 0.5f * (float)studio->sprite.width;
    float y = ground - rise * (1 - t) - toy_random(rng, 0, 0.7f) * rise - studio->sprite.base;
    struct census after;
    if (!census_allows(census, studio, (int)x, (int)y, actor->owner, &after)) {
      continue;
    }
    *census = after;
    census->full[actor->owner] = census->visible[actor->owner];
    if (toy_stage_paint(studio, stage, (int)x, (int)y, 0, actor->owner, error)) {
      return -1;
    }
  }
  return 0;
}

static bool shape_floats(enum toy_shape shape, enum toy_place place, struct rng *rng) {
  if (place == TOY_SEA) {
    return shape == TOY_FISH || toy_chance(rng, 0.25f);
  }
  if (place == TOY_FLATLAY || place == TOY_SHELF) {
    return false;
  }
  return (shape == TOY_BALLOON && toy_chance(rng, 0.85f)) || (shape == TOY_STAR && toy_chance(rng, 0.3f));
}

static struct actor actor_choose(const struct toy_stage *stage, const struct toy_canvas *canvas, int company,
                                 struct rng *rng) {
  struct actor actor = {.class = toy_class_draw(rng)};
  float height = (float)canvas->height, octave = toy_random(rng, company < 3 ? 0.35f : 0, 1); /* the lonely are near */
  actor.size = 24 * toy_pow(300.0f / 24, octave);
  actor.floats = shape_floats(toy_classes[actor.class].shape, stage->place, rng);
  float depth = toy_mix(toy_random(rng, 0, 1), octave, 0.65f);
  actor.ground = stage->horizon + (height * 1.01f - stage->horizon) * (0.08f + 0.92f * depth);
  actor.depth = stage->place == TOY_FLATLAY ? toy_random(rng, 0, 1) : depth;
  if (actor.floats) {
    float top = stage->place == TOY_SEA ? 0.9f : 0.7f;
    actor.ground = toy_random(rng, 0.1f, top) * (stage->place == TOY_SEA ? height : stage->horizon);
    actor.depth -= 1; /* the air is behind the ground */
  }
  if (stage->level_count > 0) {
    int level = (int)rng_below(rng, (uint64_t)stage->level_count);
    float room = 0.85f * (stage->levels[1] - stage->levels[0]);
    bool tall = toy_shape_group(toy_classes[actor.class].shape) == TOY_TALL;
    actor.size = fminf(actor.size, tall ? 0.65f * room : 0.95f * room);
    actor.ground = stage->levels[level];
  }
  return actor;
}

static int choose_count(struct rng *rng) {
  if (toy_chance(rng, 1.0f / 40)) {
    return 0;
  }
  int count = 1;
  while (count < TOY_OBJECTS_MAX && toy_chance(rng, 0.86f)) {
    count++;
  }
  return count;
}

static int choose_actors(const struct toy_stage *stage, const struct toy_canvas *canvas, struct actor *actors,
                         struct rng *rng) {
  int count = choose_count(rng);
  for (int i = 0; i < count; i++) {
    struct actor actor = actor_choose(stage, canvas, count, rng);
    int at = i;
    for (; at > 0 && actors[at - 1].depth > actor.depth; at--) {
      actors[at] = actors[at - 1];
    }
    actors[at] = actor;
  }
  for (int i = 0; i < count; i++) {
    actors[i].owner = i + 1;
  }
  return count;
}

static void note_boxes(const struct toy_canvas *canvas, const struct actor *actors, int count,
                       const struct census *census, struct toy_scene *scene) {
  int x0[TOY_OBJECTS_MAX + 1], y0[TOY_OBJECTS_MAX + 1], x1[TOY_OBJECTS_MAX + 1], y1[TOY_OBJECTS_MAX + 1];
  int area[TOY_OBJECTS_MAX + 1] = {0};
  for (int i = 0; i <= TOY_OBJECTS_MAX; i++) {
    x0[i] = y0[i] = INT32_MAX;
    x1[i] = y1[i] = -1;
  }
  for (int y = 0; y < canvas->height; y++) {
    const uint8_t *row = canvas->owner + (ptrdiff_t)y * canvas->width;
    for (int x = 0; x < canvas->width; x++) {
      int i = row[x];
      if (i > 0) {
        area[i]++;
        x0[i] = x < x0[i] ? x : x0[i];
        x1[i] = x > x1[i] ? x : x1[i];
        y0[i] = y < y0[i] ? y : y0[i];
        y1[i] = y;
      }
    }
  }
  for (int k = 0; k < count; k++) {
    int i = actors[k].owner, w = x1[i] - x0[i] + 1, h = y1[i] - y0[i] + 1;
    bool seen = area[i] > 0 && (float)area[i] >= visible_least * (float)census->full[i];
    if (seen && w >= BOX_LEAST && h >= BOX_LEAST) {
      int top = y0[i];
      scene->boxes[scene->box_count++] = (struct toy_box){actors[k].class, x0[i], top, w, h, area[i], actors[k].crowd};
    }
  }
}

int toy_scene_render(struct toy_studio *studio, uint64_t seed, int64_t index, struct toy_scene *scene,
                     struct error *error) {
  struct rng rng;
  rng_init(&rng, seed, RNG_TOY, 0, (uint64_t)index);
  choose_size(&rng, &scene->width, &scene->height);
  scene->box_count = 0;
  if (toy_canvas_open(&studio->canvas, scene->width, scene->height, error)) {
    return -1;
  }
  struct toy_stage stage = choose_stage(&rng);
  struct toy_grade grade = choose_grade(&stage, &studio->canvas, &rng);
  toy_backdrop_paint(&studio->canvas, &stage, studio->noise, &rng);
  if (toy_clutter_paint(studio, &stage, false, &rng, error)) {
    return -1;
  }
  struct actor actors[TOY_OBJECTS_MAX];
  struct census census = {0};
  int count = choose_actors(&stage, &studio->canvas, actors, &rng);
  int crowd = count > 0 && toy_chance(&rng, 0.02f) ? (int)rng_below(&rng, (uint64_t)count) : -1;
  for (int i = 0; i < count; i++) {
    actors[i].floats = actors[i].floats && i != crowd;
    if (i == crowd ? crowd_place(studio, &stage, &actors[i], &census, &rng, error)
                   : actor_render(studio, &stage, &actors[i], &rng, error) ||
                         actor_place(studio, &stage, &actors[i], &census, &rng, error)) {
      return -1;
    }
  }
  if (toy_clutter_paint(studio, &stage, true, &rng, error)) {
    return -1;
  }
  if (studio->image.width != scene->width || studio->image.height != scene->height) {
    image_free(&studio->image);
    if (image_alloc(&studio->image, scene->width, scene->height, error)) {
      return -1;
    }
  }
  toy_canvas_develop(&studio->canvas, &grade, studio->noise, &studio->image);
  note_boxes(&studio->canvas, actors, count, &census, scene);
  return 0;
}

void toy_studio_free(struct toy_studio *studio) {
  toy_canvas_free(&studio->canvas);
  toy_sprite_free(&studio->sprite);
  buffer_free(&studio->shadow);
  image_free(&studio->image);
}
