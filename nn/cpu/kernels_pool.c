/* Pooling by windows. A window's cells are pointers to rows of channels; one loop along the channels then serves every
 * kernel, stride and border. */
#include "nn/cpu/kernels_internal.h"

#include <math.h>
#include <string.h>

enum { TAPS = 256, GROUP = 3 }; /* cells of a window, at most; how many are compared at a time */

/* Per thread: sums or maxima, and the places of those. */
size_t KERNEL(pool_scratch)(const struct nn_step *step, int threads) {
  const struct nn_operand *any = step->in[NN_X] ? step->in[NN_X] : step->in[NN_DY];
  return (size_t)threads * (size_t)padded(any->shape.c) * 2 * sizeof(float);
}

struct window {
  int count;
  int32_t place[TAPS + GROUP]; /* row * kernel + column */
  int64_t cell[TAPS + GROUP];  /* position in the image: h * width + w */
};

/* The cells of output (row, column) that lie inside the image. */
static void window_of(struct window *window, const struct nn_pool *pool, struct nn_shape in, int64_t row,
                      int64_t column) {
  window->count = 0;
  for (int i = 0; i < pool->kernel; i++) {
    int64_t h = row * pool->stride - pool->pad + i;
    for (int j = 0; j < pool->kernel; j++) {
      int64_t w = column * pool->stride - pool->pad + j;
      if (h < 0 || h >= in.h || w < 0 || w >= in.w) continue;
      window->place[window->count] = i * pool->kernel + j;
      window->cell[window->count++] = h * in.w + w;
    }
  }
}

/* The outputs whose windows hold input (row, column), and its place in each: `window` the other way. */
static void windows_with(struct window *window, const struct nn_pool *pool, struct nn_shape out, int64_t row,
                         int64_t column) {
  window->count = 0;
  for (int i = pool->kernel - 1; i >= 0; i--) {
    int64_t h = row + pool->pad - i;
    if (h < 0 || h % pool->stride != 0 || h / pool->stride >= out.h) continue;
    for (int j = pool->kernel - 1; j >= 0; j--) {
      int64_t w = column + pool->pad - j;
      if (w < 0 || w % pool->stride != 0 || w / pool->stride >= out.w) continue;
      window->place[window->count] = i * pool->kernel + j;
      window->cell[window->count++] = h / pool->stride * out.w + w / pool->stride;
    }
  }
}

/* ---- maximum ----------------------------------------------------------------------------------------------------- */

/* Compares GROUP more cells with the best so far; `start`: the first of them is the best so far. */
INLINED void compare(float *best, int32_t *winner, const void *x, const int64_t *cell, const int32_t *place,
                     int64_t channels, bool bf16, bool start) {
  SIMD for (int64_t c = 0; c < channels; c++) {
    float high = start ? load(x, cell[0] * channels + c, bf16) : best[c];
    int32_t at_high = start ? place[0] : winner[c];
    for (int i = start ? 1 : 0; i < GROUP; i++) {
      float value = load(x, cell[i] * channels + c, bf16);
      bool wins = (value > high) | ((value != value) & (high == high)); /* the first NaN wins, too */
      high = wins ? value : high;
      at_high = wins ? place[i] : at_high;
    }
    best[c] = high;
    winner[c] = at_high;
  }
}

INLINED void max_of(void *y, uint8_t *saved, const void *x, struct window *window, float *best, int32_t *winner,
                    int64_t channels, bool bf16) {
  for (int i = 0; i < GROUP; i++) { /* one that is there already never wins */
    window->place[window->count + i] = window->place[0];
    window->cell[window->count + i] = window->cell[0];
  }
  compare(best, winner, x, window->cell, window->place, channels, bf16, true);
  for (int i = GROUP; i < window->count; i += GROUP) {
    compare(best, winner, x, window->cell + i, window->place + i, channels, bf16, false);
  }
  SIMD for (int64_t c = 0; c < channels; c++) {
    store(y, c, best[c], bf16);
  }
  for (int64_t c = 0; saved && c < channels; c++) {
    saved[c] = (uint8_t)winner[c];
  }
}

/* ---- one row of cells after the other ---------------------------------------------------------------------------- */

/* Calls `cell` for each position of an output map; scratch holds 2 padded rows of channels per thread. */
struct walk {
  const struct nn_step *step;
  struct nn_shape over, other; /* the map that is written, and the one that is read */
  float *sum;                  /* this thread's */
  int32_t *winner;
  struct window window;
};

typedef void walk_cell(struct walk *walk, int64_t n, int64_t h, int64_t w, int64_t written);

static void walk_cells(const struct nn_step *step, const struct nn_operand *over, const struct nn_operand *other,
                       void *scratch, int threads, walk_cell *cell) {
  struct nn_shape shape = over->shape;
#pragma omp parallel num_threads(useful_threads(nn_count(shape), threads))
  {
    struct walk walk = {.step = step, .over = shape, .other = other->shape};
    struct span rows = span_of(shape.n * shape.h, 1, omp_get_thread_num(), omp_get_num_threads());
    walk.sum = (float *)scratch + omp_get_thread_num() * 2 * padded(shape.c);
    walk.winner = (int32_t *)(walk.sum + padded(shape.c));
    for (int64_t row = rows.first; row < rows.last; row++) {
      for (int64_t w = 0; w < shape.w; w++) {
        cell(&walk, row / shape.h, row % shape.h, w, (row * shape.w + w) * shape.c);
      }
    }
  }
}

/* Image n of the map that is read. */
static const void *image_of(const struct nn_operand *operand, int64_t n) {
  return at(operand, n * operand->shape.h * operand->shape.w * operand->shape.c);
}

static void max_cell(struct walk *walk, int64_t n, int64_t h, int64_t w, int64_t written) {
  const struct nn_step *step = walk->step;
  const void *x = image_of(step->in[NN_X], n);
  void *y = at(step->out[NN_Y], written);
  uint8_t *saved = at(step->out[NN_SAVED], written);
  window_of(&walk->window, &step->pool, walk->other, h, w);
  FOLD(bf16, step->in[NN_X]->dtype == NN_BF16,
       max_of(y, saved, x, &walk->window, walk->sum, walk->winner, walk->over.c, bf16))
}

void KERNEL(max_pool)(const struct nn_step *step, void *scratch, int threads) {
  walk_cells(step, step->out[NN_Y], step->in[NN_X], scratch, threads, max_cell);
}

INLINED void add_won(float *sum, const void *dy, const uint8_t *saved, int32_t place, int64_t channels, bool bf16) {
  SIMD for (int64_t c = 0; c < channels; c++) {
    sum[c] += saved[c] == place ? load(dy, c, bf16) : 0;
  }
}

INLINED void store_scaled(void *to, const float *sum, float scale, int64_t channels, bool bf16) {
  SIMD for (int64_t c = 0; c < channels; c++) {
    store(to, c, sum[c] * scale, bf16);
  }
}

static void max_backward_cell(struct walk *walk, int64_t n, int64_t h, int64_t w, int64_t written) {
  const struct nn_step *step = walk->step;
  int64_t channels = walk->over.c, copies = walk->over.n / step->in[NN_SAVED]->shape.n;
  const uint8_t *saved = image_of(step->in[NN_SAVED], n / copies);
  int64_t first = n * walk->other.h * walk->other.w * channels;
  windows_with(&walk->window, &step->pool, walk->other, h, w);
  memset(walk->sum, 0, (size_t)channels * sizeof *walk->sum);
  for (int i = 0; i < walk->window.count; i++) {
    int64_t cell = walk->window.cell[i] * channels;
    const void *dy = at(step->in[NN_DY], first + cell);
    int32_t place = walk->window.place[i];
    FOLD(bf16, step->in[NN_DY]->dtype == NN_BF16, add_won(walk->sum, dy, saved + cell, place, channels, bf16))
  }
  void *dx = at(step->out[NN_DX], written);
  FOLD(bf16, step->in[NN_DY]->dtype == NN_BF16, store_scaled(dx, walk->sum, 1, channels, bf16))
}

void KERNEL(max_pool_backward)(const struct nn_step *step, void *scratch, int threads) {
  walk_cells(step, step->out[NN_DX], step->in[NN_DY], scratch, threads, max_backward_cell);
}

/* ---- average ----------------------------------------------------------------------------------------------------- */

INLINED void add_row(float *sum, const void *from, int64_t channels, bool bf16) {
  SIMD for (int64_t c = 0; c < channels; c++) {
    sum[c] += load(from, c, bf16);
  }
}

/* Both directions: the sum of the window's cells of one map, over kernel^2, into the other. */
static void average_window(struct walk *walk, const struct nn_operand *from, void *to, int64_t n) {
  const struct nn_pool *pool = &walk->step->pool;
  int64_t channels = walk->over.c, first = n * walk->other.h * walk->other.w * channels;
  float scale = 1 / (float)(pool->kernel * pool->kernel);
  memset(walk->sum, 0, (size_t)channels * sizeof *walk->sum);
  for (int i = 0; i < walk->window.count; i++) {
    const void *cell = at(from, first + walk->window.cell[i] * channels);
    FOLD(bf16, from->dtype == NN_BF16, add_row(walk->sum, cell, channels, bf16))
  }
  FOLD(bf16, from->dtype == NN_BF16, store_scaled(to, walk->sum, scale, channels, bf16))
}

static void average_cell(struct walk *walk, int64_t n, int64_t h, int64_t w, int64_t written) {
  window_of(&walk->window, &walk->step->pool, walk->other, h, w);
  average_window(walk, walk->step->in[NN_X], at(walk->step->out[NN_Y], written), n);
}

void KERNEL(average_pool)(const struct nn_step *step, void *scratch, int threads) {
  walk_cells(step, step->out[NN_Y], step->in[NN_X], scratch, threads, average_cell);
}

static void average_backward_cell(struct walk *walk, int64_t n, int64_t h, int64_t w, int64_t written) {
  windows_with(&walk->window, &walk->step->pool, walk->other, h, w);
  average_window(walk, walk->step->in[NN_DY], at(walk->step->out[NN_DX], written), n);
}

void KERNEL(average_pool_backward)(const struct nn_step *step, void *scratch, int threads) {
  walk_cells(step, step->out[NN_DX], step->in[NN_DY], scratch, threads, average_backward_cell);
}

/* ---- upsampling: its gradient is a sum over a window, too -------------------------------------------------------- */

/* The first of `out` positions that copies from `in` position i: floor(position * in / out) = i. */
static int64_t first_copy(int64_t i, int64_t in, int64_t out) {
  return (i * out + in - 1) / in;
}

static void upsample_backward_cell(struct walk *walk, int64_t n, int64_t h, int64_t w, int64_t written) {
  const struct nn_step *step = walk->step;
  struct nn_shape dx = walk->over, dy = walk->other;
  int64_t bottom = first_copy(h + 1, dx.h, dy.h), right = first_copy(w + 1, dx.w, dy.w);
  memset(walk->sum, 0, (size_t)dx.c * sizeof *walk->sum);
  for (int64_t y = first_copy(h, dx.h, dy.h); y < bottom; y++) {
    for (int64_t x = first_copy(w, dx.w, dy.w); x < right; x++) {
      const void *from = at(step->in[NN_DY], ((n * dy.h + y) * dy.w + x) * dy.c);
      FOLD(bf16, step->in[NN_DY]->dtype == NN_BF16, add_row(walk->sum, from, dy.c, bf16))
    }
  }
  void *to = at(step->out[NN_DX], written);
  FOLD(bf16, step->in[NN_DY]->dtype == NN_BF16, store_scaled(to, walk->sum, 1, dx.c, bf16))
}

void KERNEL(upsample_backward)(const struct nn_step *step, void *scratch, int threads) {
  walk_cells(step, step->out[NN_DX], step->in[NN_DY], scratch, threads, upsample_backward_cell);
}
