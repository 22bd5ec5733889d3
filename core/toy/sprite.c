/* Sprites: a drawing turned into pixels. Each part is rastered, its coverage blurred into a height from whose slope
 * come bevel and gloss, and laid over the parts before it, which it shades a little. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/toy/internal.h"

enum { PLANES = 7, MARGIN = 3 };

static int sprite_reserve(struct toy_sprite *sprite, int width, int height, struct error *error) {
  size_t area = (size_t)width * (size_t)height, bytes = (area * PLANES + 8 * (size_t)width) * sizeof(float);
  if (bytes > sprite->capacity) {
    free(sprite->memory);
    sprite->capacity = 0;
    sprite->memory = malloc(bytes + bytes / 4);
    if (!sprite->memory) {
      return error_memory(error, bytes);
    }
    sprite->capacity = bytes + bytes / 4;
  }
  float *plane = sprite->memory;
  float **planes[PLANES] = {&sprite->r,     &sprite->g,    &sprite->b,      &sprite->a,
                            &sprite->cover, &sprite->soft, &sprite->scratch};
  for (int i = 0; i < PLANES; i++) {
    *planes[i] = plane + (size_t)i * area;
  }
  sprite->row = plane + PLANES * area;
  sprite->width = width;
  sprite->height = height;
  memset(sprite->memory, 0, 4 * area * sizeof(float));
  return 0;
}

void toy_sprite_free(struct toy_sprite *sprite) {
  free(sprite->memory);
  *sprite = (struct toy_sprite){0};
}

static void blur_row(const float *from, float *to, int width, int radius) {
  float scale = 1.0f / (float)(2 * radius + 1), sum = 0;
  for (int x = 0; x < radius && x < width; x++) {
    sum += from[x];
  }
  for (int x = 0; x < width; x++) {
    sum += x + radius < width ? from[x + radius] : 0;
    to[x] = sum * scale;
    sum -= x >= radius ? from[x - radius] : 0;
  }
}

/* Sums down the columns; `sum` is one row of scratch. */
static void blur_columns(const float *restrict from, float *restrict to, float *restrict sum, int width, int height,
                         int radius) {
  float scale = 1.0f / (float)(2 * radius + 1);
  memset(sum, 0, (size_t)width * sizeof(float));
  for (int y = -radius; y < height; y++) {
    const float *restrict enter = y + radius < height ? from + (ptrdiff_t)(y + radius) * width : NULL;
    for (int x = 0; enter && x < width; x++) {
      sum[x] += enter[x];
    }
    if (y >= 0) {
      float *row = to + (ptrdiff_t)y * width;
      for (int x = 0; x < width; x++) {
        row[x] = sum[x] * scale;
      }
    }
    const float *restrict leave = y >= radius ? from + (ptrdiff_t)(y - radius) * width : NULL;
    for (int x = 0; leave && x < width; x++) {
      sum[x] -= leave[x];
    }
  }
}

/* `scratch` holds width * height + width floats. */
void toy_blur(float *plane, float *scratch, int width, int height, int radius) {
  float *sum = scratch + (ptrdiff_t)width * height;
  for (int y = 0; y < height; y++) {
    float *row = plane + (ptrdiff_t)y * width, *across = scratch + (ptrdiff_t)y * width;
    blur_row(row, sum, width, radius);
    blur_row(sum, across, width, radius);
  }
  blur_columns(scratch, plane, sum, width, height, radius);
  memcpy(scratch, plane, (size_t)width * (size_t)height * sizeof(float));
  blur_columns(scratch, plane, sum, width, height, radius);
}

/* A part on its way into the sprite: a rectangle of the sprite with its own coverage and height. */
struct layer {
  int x, y, width, height;
  float radius; /* of the relief, pixels; 0: flat */
  const struct toy_part *part;
};

static struct layer layer_of(const struct toy_sprite *sprite, const struct toy_drawing *drawing,
                             const struct toy_part *part, float dx, float dy, float scale) {
  int from = part->path_first > 0 ? drawing->path_end[part->path_first - 1] : 0;
  int to = drawing->path_end[part->path_end - 1];
  struct toy_bounds b = {1e9f, 1e9f, -1e9f, -1e9f};
  for (int i = from; i < to; i++) {
    struct toy_point p = drawing->points[i];
    b = (struct toy_bounds){fminf(b.x0, p.x), fminf(b.y0, p.y), fmaxf(b.x1, p.x), fmaxf(b.y1, p.y)};
  }
  float radius = part->relief * scale;
  int pad = radius > 0 ? (int)(1.5f * radius) + 2 : 0;
  int x0 = (int)(b.x0 + dx) - pad - 1, y0 = (int)(b.y0 + dy) - pad - 1;
  int x1 = (int)(b.x1 + dx) + pad + MARGIN, y1 = (int)(b.y1 + dy) + pad + MARGIN;
  x0 = x0 < 0 ? 0 : x0;
  y0 = y0 < 0 ? 0 : y0;
  x1 = x1 > sprite->width ? sprite->width : x1;
  y1 = y1 > sprite->height ? sprite->height : y1;
  return (struct layer){x0, y0, x1 - x0, y1 - y0, radius, part};
}

/* What lies under a part with relief gets a little of its shadow, away from the light. */
static void layer_shade_below(struct toy_sprite *sprite, const struct layer *layer, const struct toy_look *look) {
  int ox = (int)lrintf(-look->light_x * layer->radius), oy = (int)lrintf(-look->light_y * layer->radius);
  for (int y = 0; y < layer->height; y++) {
    if (y - oy < 0 || y - oy >= layer->height) {
      continue;
    }
    int from = ox > 0 ? ox : 0, to = ox < 0 ? layer->width + ox : layer->width;
    const float *soft = sprite->soft + (ptrdiff_t)(y - oy) * layer->width - ox;
    ptrdiff_t at = (ptrdiff_t)(layer->y + y) * sprite->width + layer->x;
    float *r = sprite->r + at, *g = sprite->g + at, *b = sprite->b + at;
    for (int x = from; x < to; x++) {
      float keep = 1 - 0.5f * soft[x];
      r[x] *= keep;
      g[x] *= keep;
      b[x] *= keep;
    }
  }
}

/* Light on a row of relief: `shade` is multiplied, `shine` is added white. */
static void layer_light(const struct toy_sprite *sprite, const struct layer *layer, const struct toy_look *look, int y,
                        float *shade, float *shine) {
  const float *soft = sprite->soft + (ptrdiff_t)y * layer->width;
  const float *above = y > 0 ? soft - layer->width : soft, *below = y + 1 < layer->height ? soft + layer->width : soft;
  float lx = -look->light_x * layer->radius, ly = -look->light_y * layer->radius, gloss = look->gloss;
  shine[0] = shine[layer->width - 1] = 0;
  for (int x = 1; x + 1 < layer->width; x++) {
    float slope = lx * (soft[x + 1] - soft[x - 1]) + ly * (below[x] - above[x]), height = soft[x];
    float glint = slope - 0.28f > 0 ? slope - 0.28f : 0;
    float tilt = slope > 0 ? slope / (1 + 0.6f * slope) : slope / (1 - 0.5f * slope);
    shade[x] *= (1 + 0.62f * tilt) * (0.74f + 0.26f * height);
    shine[x] = gloss * glint * glint * height * height;
  }
}

static void layer_blend(struct toy_sprite *sprite, const struct layer *layer, int y, struct toy_color first,
                        struct toy_color second, const float *restrict share, const float *restrict shade,
                        const float *restrict shine) {
  const float *restrict cover = sprite->cover + (ptrdiff_t)y * layer->width;
  ptrdiff_t at = (ptrdiff_t)(layer->y + y) * sprite->width + layer->x;
  float *restrict r = sprite->r + at, *restrict g = sprite->g + at, *restrict b = sprite->b + at;
  float *restrict a = sprite->a + at;
  float opacity = layer->part->opacity;
  for (int x = 0; x < layer->width; x++) {
    float c = cover[x] * opacity, rest = 1 - c;
    r[x] = r[x] * rest + c * (shade[x] * (first.r + (second.r - first.r) * share[x]) + shine[x]);
    g[x] = g[x] * rest + c * (shade[x] * (first.g + (second.g - first.g) * share[x]) + shine[x]);
    b[x] = b[x] * rest + c * (shade[x] * (first.b + (second.b - first.b) * share[x]) + shine[x]);
    a[x] = a[x] * rest + c;
  }
}

static void layer_paint(struct toy_sprite *sprite, const struct layer *layer, const struct toy_look *look,
                        const struct toy_frame *frame, const struct toy_noise *noise) {
  enum toy_material material = layer->part->material;
  struct toy_color first = look->colors[material], second = material == TOY_BODY ? look->second : first;
  float *share = sprite->row, *shade = share + sprite->width, *shine = shade + sprite->width;
  float middle_x = 0.5f * (float)sprite->width, middle_y = 0.5f * (float)sprite->height;
  float form = 0.3f / (middle_x + middle_y);
  for (int y = 0; y < layer->height; y++) {
    if (material == TOY_BODY) {
      toy_texture_row(look->texture, noise, frame, layer->x, layer->y + y, layer->width, share, shade);
    } else {
      for (int x = 0; x < layer->width; x++) {
        share[x] = 0;
        shade[x] = 1;
      }
    }
    float start =
        1 + form * (look->light_x * ((float)layer->x - middle_x) + look->light_y * ((float)(layer->y + y) - middle_y));
    for (int x = 0; x < layer->width; x++) {
      shade[x] *= start + form * look->light_x * (float)x;
      shine[x] = 0;
    }
    if (layer->radius > 0) {
      layer_light(sprite, layer, look, y, shade, shine);
    }
    layer_blend(sprite, layer, y, first, second, share, shade, shine);
  }
}

static struct toy_frame frame_of(const struct toy_look *look, float x, float y, float scale, float angle, bool mirror) {
  float period = scale * look->texture_scale * toy_texture_period(look->texture);
  float turn = angle + look->texture_angle, c = toy_cos(turn) / period, s = toy_sin(turn) / period;
  struct toy_frame frame = {0, 0, c, s, -s, c, period};
  if (mirror) {
    frame.u_x = -frame.u_x;
    frame.u_y = -frame.u_y;
  }
  frame.u = look->frame.u - frame.u_x * x - frame.u_y * y;
  frame.v = look->frame.v - frame.v_x * x - frame.v_y * y;
  return frame;
}

int toy_sprite_render(struct toy_sprite *sprite, struct toy_drawing *drawing, const struct toy_look *look,
                      const struct toy_noise *noise, float scale, float angle, bool mirror, struct error *error) {
  toy_drawing_move(drawing, scale, angle, mirror);
  struct toy_bounds bounds = toy_drawing_bounds(drawing);
  float dx = (float)MARGIN - floorf(bounds.x0), dy = (float)MARGIN - floorf(bounds.y0);
  int width = (int)ceilf(bounds.x1 + dx) + 2 * MARGIN, height = (int)ceilf(bounds.y1 + dy) + 2 * MARGIN;
  if (sprite_reserve(sprite, width, height, error)) {
    return -1;
  }
  sprite->base = bounds.y1 + dy;
  struct toy_frame frame = frame_of(look, dx, dy, scale, angle, mirror);
  for (int i = 0; i < drawing->part_count; i++) {
    const struct toy_part *part = &drawing->parts[i];
    struct layer layer = layer_of(sprite, drawing, part, dx, dy, scale);
    size_t area = (size_t)layer.width * (size_t)layer.height;
    memset(sprite->cover, 0, area * sizeof(float));
    toy_raster(drawing, part->path_first, part->path_end, dx - (float)layer.x, dy - (float)layer.y, sprite->cover,
               layer.width, layer.height);
    if (layer.radius > 0) {
      int radius = (int)(0.5f * layer.radius + 0.5f);
      memcpy(sprite->soft, sprite->cover, area * sizeof(float));
      toy_blur(sprite->soft, sprite->scratch, layer.width, layer.height, radius > 1 ? radius : 1);
      layer_shade_below(sprite, &layer, look);
    }
    layer_paint(sprite, &layer, look, &frame, noise);
  }
  return 0;
}
