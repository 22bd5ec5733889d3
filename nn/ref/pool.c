#include <math.h>
#include <string.h>

#include "nn/ref/ref.h"

/* ---- windows ---- */

/* An element of the pooled map, and the window of the large map that it stands for. */
struct window {
  int64_t n, y, x, c; /* the first row and column, which may be padding */
};

static struct window window_of(const struct nn_pool *pool, const struct nn_shape *pooled, int64_t at) {
  int64_t column = at / pooled->c % pooled->w, row = at / pooled->c / pooled->w % pooled->h;
  return (struct window){at / pooled->c / pooled->w / pooled->h, row * pool->stride - pool->pad,
                         column * pool->stride - pool->pad, at % pooled->c};
}

/* Where a place (row * kernel + column) of the window lies; -1 for padding. */
static int64_t place_at(const struct nn_pool *pool, const struct window *window, int64_t place,
                        const struct nn_shape *large) {
  int64_t y = window->y + place / pool->kernel, x = window->x + place % pool->kernel;
  if (y < 0 || y >= large->h || x < 0 || x >= large->w) return -1;
  return ref_at(large, window->n, y, x, window->c);
}

void ref_max_pool(const struct nn_step *step) {
  const struct nn_shape *x = &step->in[NN_X]->shape, *y = &step->out[NN_Y]->shape;
  const float *values = ref_in(step, NN_X);
  uint8_t *saved = step->out[NN_SAVED] ? step->out[NN_SAVED]->data : NULL;
  for (int64_t at = 0; at < nn_count(*y); at++) {
    struct window window = window_of(&step->pool, y, at);
    int64_t winner = -1, area = (int64_t)step->pool.kernel * step->pool.kernel;
    float best = 0;
    for (int64_t place = 0; place < area; place++) {
      int64_t from = place_at(&step->pool, &window, place, x);
      if (from < 0) continue;
      bool wins = winner < 0 || values[from] > best || (isnan(values[from]) && !isnan(best)); /* NaN stays visible */
      if (!wins) continue;
      winner = place;
      best = values[from];
    }
    ref_out(step, NN_Y)[at] = best;
    if (saved) saved[at] = (uint8_t)winner;
  }
}

void ref_max_pool_backward(const struct nn_step *step) {
  const struct nn_shape *dx = &step->out[NN_DX]->shape, *dy = &step->in[NN_DY]->shape;
  const uint8_t *saved = step->in[NN_SAVED]->data;
  int64_t image = dy->h * dy->w * dy->c, copies = ref_copies(step, NN_SAVED);
  memset(ref_out(step, NN_DX), 0, (size_t)nn_count(*dx) * sizeof(float));
  for (int64_t at = 0; at < nn_count(*dy); at++) {
    struct window window = window_of(&step->pool, dy, at);
    int64_t to = place_at(&step->pool, &window, saved[at / image / copies * image + at % image], dx);
    if (to >= 0) ref_out(step, NN_DX)[to] += ref_in(step, NN_DY)[at];
  }
}

void ref_average_pool(const struct nn_step *step) {
  const struct nn_shape *x = &step->in[NN_X]->shape, *y = &step->out[NN_Y]->shape;
  int64_t area = (int64_t)step->pool.kernel * step->pool.kernel;
  for (int64_t at = 0; at < nn_count(*y); at++) {
    struct window window = window_of(&step->pool, y, at);
    double sum = 0;
    for (int64_t place = 0; place < area; place++) {
      int64_t from = place_at(&step->pool, &window, place, x);
      if (from >= 0) sum += ref_in(step, NN_X)[from];
    }
    ref_out(step, NN_Y)[at] = (float)(sum / (double)area);
  }
}

void ref_average_pool_backward(const struct nn_step *step) {
  const struct nn_shape *dx = &step->out[NN_DX]->shape, *dy = &step->in[NN_DY]->shape;
  int64_t area = (int64_t)step->pool.kernel * step->pool.kernel;
  memset(ref_out(step, NN_DX), 0, (size_t)nn_count(*dx) * sizeof(float));
  for (int64_t at = 0; at < nn_count(*dy); at++) {
    struct window window = window_of(&step->pool, dy, at);
    for (int64_t place = 0; place < area; place++) {
      int64_t to = place_at(&step->pool, &window, place, dx);
      if (to >= 0) ref_out(step, NN_DX)[to] += (float)(ref_in(step, NN_DY)[at] / (double)area);
    }
  }
}

/* ---- regions ---- */

/* The weight of a position in a region; without a table there is one region, of which all positions are equal parts. */
static double region_weight(const struct nn_step *step, const struct nn_shape *map, int64_t hw, int64_t region) {
  const struct nn_operand *mix = step->in[NN_MIX];
  return mix ? ((const float *)mix->data)[hw * mix->shape.c + region] : 1 / (double)(map->h * map->w);
}

void ref_region_pool(const struct nn_step *step) {
  const struct nn_shape *x = &step->in[NN_X]->shape, *y = &step->out[NN_Y]->shape;
  for (int64_t n = 0; n < y->n; n++) {
    for (int64_t region = 0; region < y->w; region++) {
      for (int64_t c = 0; c < y->c; c++) {
        double sum = 0;
        for (int64_t hw = 0; hw < x->h * x->w; hw++)
          sum += region_weight(step, x, hw, region) * ref_in(step, NN_X)[ref_at(x, n, 0, hw, c)];
        ref_out(step, NN_Y)[ref_at(y, n, 0, region, c)] = (float)sum;
      }
    }
  }
}

void ref_region_pool_backward(const struct nn_step *step) {
  const struct nn_shape *dx = &step->out[NN_DX]->shape, *dy = &step->in[NN_DY]->shape;
  for (int64_t n = 0; n < dx->n; n++) {
    for (int64_t hw = 0; hw < dx->h * dx->w; hw++) {
      for (int64_t c = 0; c < dx->c; c++) {
        double sum = 0;
        for (int64_t region = 0; region < dy->w; region++)
          sum += region_weight(step, dx, hw, region) * ref_in(step, NN_DY)[ref_at(dy, n, 0, region, c)];
        ref_out(step, NN_DX)[ref_at(dx, n, 0, hw, c)] = (float)sum;
      }
    }
  }
}
