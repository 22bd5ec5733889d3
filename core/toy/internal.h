/* The parts of the toy renderer. A drawing is a list of filled outlines (draw.c) which a shape records
 * (shapes.c); a sprite is a drawing turned into pixels with a texture (textures.c), relief and light
 * (sprite.c); a scene is a backdrop (backdrop.c) with sprites placed on it (scene.c); toy.c writes scenes
 * to files.
 *
 * Colours are linear light as floats, 1 is white, and become bytes by a square root (gamma 2) at the very end. Shapes
 * live in a local frame, y downwards, which is scaled so that the geometric mean of width and height is 1.
 */
#ifndef JIGSAW_CORE_TOY_INTERNAL_H
#define JIGSAW_CORE_TOY_INTERNAL_H

#include <math.h>

#include "core/base/base.h"
#include "core/image/image.h"
#include "core/toy/toy.h"

/* ---- colours and noise: color.c ------------------------------------------------------------------------------ */

struct toy_color {
  float r, g, b;
};

/* OKLCH (lightness 0 .. 1, chroma, hue in turns) to linear light; chroma yields where the colour would leave sRGB. */
struct toy_color toy_oklch(float lightness, float chroma, float hue);
struct toy_color toy_blend(struct toy_color a, struct toy_color b, float t);
struct toy_color toy_scale(struct toy_color color, float factor);

enum { TOY_LATTICE = 256, TOY_GRAIN = 1 << 16 };

/* Random tables that every worker reads. */
struct toy_noise {
  float lattice[TOY_LATTICE * TOY_LATTICE]; /* uniform in [-1, 1] */
  float grain[TOY_GRAIN];                   /* nearly normal, variance 1 */
};

void toy_noise_fill(struct toy_noise *noise);

static inline float toy_floor(float x) { /* for |x| < 2^20; unlike floorf it vectorises without SSE4.1 */
  return (float)((int)(x + 1048576.0f) - 1048576);
}

static inline float toy_clamp(float x) {
  return x < 0 ? 0 : x > 1 ? 1 : x;
}

static inline float toy_mix(float a, float b, float t) {
  return a + (b - a) * t;
}

static inline float toy_step(float low, float high, float x) {
  float t = toy_clamp((x - low) / (high - low));
  return t * t * (3 - 2 * t);
}

/* Value noise in about [-1, 1], one lattice cell a unit, repeating after TOY_LATTICE units. */
static inline float toy_noise_at(const struct toy_noise *noise, float x, float y) {
  float fx = toy_floor(x), fy = toy_floor(y), tx = x - fx, ty = y - fy;
  int x0 = (int)fx & (TOY_LATTICE - 1), x1 = (x0 + 1) & (TOY_LATTICE - 1);
  const float *top = noise->lattice + ((int)fy & (TOY_LATTICE - 1)) * TOY_LATTICE;
  const float *bottom = noise->lattice + (((int)fy + 1) & (TOY_LATTICE - 1)) * TOY_LATTICE;
  tx = tx * tx * (3 - 2 * tx);
  ty = ty * ty * (3 - 2 * ty);
  return toy_mix(toy_mix(top[x0], top[x1], tx), toy_mix(bottom[x0], bottom[x1], tx), ty);
}

/* Scenes are the same to the bit on every machine, but libm's float functions are not: they differ between processors
 * and from what compilers compute beforehand. Those of double precision do, too, in digits that a float has not. */
static inline float toy_sin(float angle) {
  return (float)sin((double)angle);
}

static inline float toy_cos(float angle) {
  return (float)cos((double)angle);
}

static inline float toy_atan2(float y, float x) {
  return (float)atan2((double)y, (double)x);
}

static inline float toy_pow(float base, float exponent) {
  return (float)pow((double)base, (double)exponent);
}

static inline float toy_random(struct rng *rng, float low, float high) {
  return (float)rng_range(rng, low, high);
}

static inline bool toy_chance(struct rng *rng, float probability) {
  return toy_random(rng, 0, 1) < probability;
}

/* ---- drawings: draw.c ---------------------------------------------------------------------------------------- */

struct toy_point {
  float x, y;
};

enum toy_material { TOY_BODY, TOY_PLAIN, TOY_TRIM, TOY_DARK, TOY_LIGHT, TOY_GLASS, TOY_MATERIALS };

struct toy_part {
  int path_first, path_end;
  enum toy_material material;
  float relief; /* how far from its edge the part is rounded, local units; 0: flat */
  float opacity;
};

enum { TOY_POINTS = 6144, TOY_PATHS = 256, TOY_PARTS = 128 };

struct toy_drawing {
  struct toy_point points[TOY_POINTS];
  int path_end[TOY_PATHS]; /* one past the path's last point */
  struct toy_part parts[TOY_PARTS];
  int point_count, path_count, part_count;
};

struct toy_bounds {
  float x0, y0, x1, y1;
};

/* A path is a closed outline; several may gather before toy_fill makes them one part (a path inside another with the
 * opposite sense is a hole). Later parts cover earlier ones. */
void toy_clear(struct toy_drawing *drawing);
void toy_path(struct toy_drawing *drawing, const struct toy_point *points, int count);
void toy_curve(struct toy_drawing *drawing, const struct toy_point *points, int count);   /* smooth through points */
void toy_profile(struct toy_drawing *drawing, const struct toy_point *points, int count); /* smooth, and its mirror
                                                                                           * image about x = 0 */
void toy_ellipse(struct toy_drawing *drawing, float x, float y, float rx, float ry);
void toy_hole(struct toy_drawing *drawing, float x, float y, float radius);
void toy_box(struct toy_drawing *drawing, float x0, float y0, float x1, float y1, float radius);
void toy_stroke(struct toy_drawing *drawing, const struct toy_point *points, int count, float from, float to);
void toy_fill(struct toy_drawing *drawing, enum toy_material material, float relief);
void toy_glaze(struct toy_drawing *drawing, enum toy_material material, float opacity); /* flat and translucent */

struct toy_bounds toy_drawing_bounds(const struct toy_drawing *drawing);
void toy_drawing_move(struct toy_drawing *drawing, float scale, float angle, bool mirror);

/* Adds the paths [first, end), shifted, to cover[height][width] (zeroed before) as exact area coverage 0 .. 1. The
 * outline must lie inside with a pixel to spare on the right. */
void toy_raster(const struct toy_drawing *drawing, int first, int end, float dx, float dy, float *cover, int width,
                int height);

/* ---- shapes: shapes.c ---------------------------------------------------------------------------------------- */

enum toy_shape {
  TOY_BOTTLE,
  TOY_TOWER,
  TOY_CACTUS, /* tall */
  TOY_FISH,
  TOY_CAR,
  TOY_CATERPILLAR, /* wide */
  TOY_MUG,
  TOY_HOUSE,
  TOY_STAR,
  TOY_BALLOON,
  TOY_TEAPOT,
  TOY_GEAR, /* square */
  TOY_SHAPES
};

enum toy_group { TOY_SQUARE, TOY_TALL, TOY_WIDE };

const char *toy_shape_name(enum toy_shape shape);
enum toy_group toy_shape_group(enum toy_shape shape);
void toy_shape_draw(struct toy_drawing *drawing, enum toy_shape shape, struct rng *rng);

/* ---- textures: textures.c ------------------------------------------------------------------------------------ */

enum toy_texture {
  TOY_STRIPED,
  TOY_DOTTED,
  TOY_CHECKERED,
  TOY_WOODEN,
  TOY_MARBLE,
  TOY_SCALY,
  TOY_BRICK,
  TOY_KNITTED,
  TOY_TEXTURES
};

/* Where the texture lies: its coordinates, in periods, at pixel (0, 0) and their steps. */
struct toy_frame {
  float u, v, u_x, u_y, v_x, v_y;
  float pixels; /* in a period */
};

/* For pixels (x, y) .. (x + count - 1, y): the share 0 .. 1 of the second colour, and a factor for the light. */
void toy_texture_row(enum toy_texture texture, const struct toy_noise *noise, const struct toy_frame *frame, int x,
                     int y, int count, float *share, float *shade);
float toy_texture_period(enum toy_texture texture); /* local units */

/* ---- classes: toy.c ---------------------------------------------------------------------------------------------- */

struct toy_class {
  int id; /* COCO category id: sparse, as real data sets have them */
  enum toy_texture texture;
  enum toy_shape shape;
  const char *name;
};

extern const struct toy_class toy_classes[TOY_CATEGORIES]; /* in order of falling frequency */

int toy_class_draw(struct rng *rng); /* a class by its frequency */

/* ---- sprites: sprite.c --------------------------------------------------------------------------------------- */

struct toy_look {
  struct toy_color colors[TOY_MATERIALS];
  struct toy_color second; /* the texture's other colour */
  enum toy_texture texture;
  struct toy_frame frame; /* its u, v at the drawing's origin; the rest is made when rendering */
  float texture_scale, texture_angle;
  float light_x, light_y; /* unit vector towards the light */
  float gloss;
};

/* Pixels of one drawing: premultiplied colours, `a` 0 .. 1. */
struct toy_sprite {
  int width, height;
  float base; /* the row it stands on */
  float *r, *g, *b, *a;
  float *cover, *soft, *scratch, *row;
  void *memory;
  size_t capacity;
};

/* The drawing is left scaled and turned. */
int toy_sprite_render(struct toy_sprite *sprite, struct toy_drawing *drawing, const struct toy_look *look,
                      const struct toy_noise *noise, float scale, float angle, bool mirror, struct error *error);
void toy_sprite_free(struct toy_sprite *sprite);
void toy_blur(float *plane, float *scratch, int width, int height, int radius); /* two box passes, edges are zero */

/* ---- the canvas: canvas.c ------------------------------------------------------------------------------------ */

/* A picture in the making, with who owns each pixel (0: nobody). */
struct toy_canvas {
  int width, height;
  float *r, *g, *b;
  uint8_t *owner;
  float *half; /* three planes of half the size for the backdrop */
  int half_width, half_height;
  void *memory;
  size_t capacity;
};

/* A shadow is the sprite's own coverage, flattened towards its base and pushed aside, blurred. */
struct toy_shadow {
  float flatten, skew, dx, dy, blur, strength;
};

int toy_canvas_open(struct toy_canvas *canvas, int width, int height, struct error *error);
void toy_canvas_free(struct toy_canvas *canvas);
void toy_canvas_enlarge(struct toy_canvas *canvas); /* half -> r, g, b */
int toy_canvas_shadow(struct toy_canvas *canvas, const struct toy_sprite *sprite, int x, int y,
                      const struct toy_shadow *shadow, struct buffer *scratch, struct error *error);
void toy_canvas_sprite(struct toy_canvas *canvas, const struct toy_sprite *sprite, int x, int y, int owner);

/* How the finished scene is lit and seen. */
struct toy_grade {
  struct toy_color ambient, lamp;
  float lamp_x, lamp_y, lamp_radius; /* pixels */
  float vignette, grain, blur;
  uint32_t grain_offset;
};

void toy_canvas_develop(struct toy_canvas *canvas, const struct toy_grade *grade, const struct toy_noise *noise,
                        struct image *image);

/* ---- backdrops: backdrop.c ----------------------------------------------------------------------------------- */

enum toy_place { TOY_MEADOW, TOY_TABLE, TOY_FLATLAY, TOY_STUDIO, TOY_SHELF, TOY_SEA, TOY_PLACES };

enum toy_time { TOY_DAY, TOY_DUSK, TOY_NIGHT };

struct toy_palette {
  float hues[4]; /* turns; the first is the backdrop's */
};

/* What the backdrop tells the one who places objects. */
struct toy_stage {
  enum toy_place place;
  enum toy_time time;
  struct toy_palette palette;
  float horizon;   /* row where the ground begins */
  int level_count; /* shelves */
  float levels[4]; /* rows on which things stand */
  float light_x, light_y;
};

void toy_backdrop_paint(struct toy_canvas *canvas, struct toy_stage *stage, const struct toy_noise *noise,
                        struct rng *rng);

/* ---- scenes: clutter.c, scene.c -------------------------------------------------------------------------- */

enum { TOY_OBJECTS_MAX = 12 };

struct toy_box {
  int class; /* index into toy_classes */
  int x, y, w, h, area;
  bool crowd;
};

struct toy_scene {
  int width, height, box_count;
  struct toy_box boxes[TOY_OBJECTS_MAX];
};

/* Everything that a worker reuses from scene to scene. */
struct toy_studio {
  const struct toy_noise *noise;
  struct toy_canvas canvas;
  struct toy_sprite sprite;
  struct toy_drawing drawing;
  struct buffer shadow;
  struct image image;
};

/* Colours and the texture's place for one object. */
struct toy_look toy_look_choose(const struct toy_stage *stage, enum toy_texture texture, struct rng *rng);

int toy_scene_render(struct toy_studio *studio, uint64_t seed, int64_t index, struct toy_scene *scene,
                     struct error *error);
void toy_studio_free(struct toy_studio *studio);

/* Unlabelled things: under the objects, or in front of them. */
int toy_clutter_paint(struct toy_studio *studio, const struct toy_stage *stage, bool front, struct rng *rng,
                      struct error *error);

/* Paints the studio's sprite at (x, y) with the shadow that suits the stage. */
int toy_stage_paint(struct toy_studio *studio, const struct toy_stage *stage, int x, int y, float height, int owner,
                    struct error *error);

#endif
