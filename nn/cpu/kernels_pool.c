/* Pooling by windows. A window's cells are pointers to rows of channels; one loop along the channels then serves every
 * kernel, stride and border. */
#include "nn/cpu/kernels_internal.h"

#include <math.h>
#include <string.h>

enum { CELLS = 256, GROUP = 3, PAIR = 2 }; /* of a window, at most; how many are taken at a time */

/* Per thread: sums or maxima, and the places of those. */
size_t KERNEL(pool_scratch)(const struct nn_step *step, int threads) {
  const struct nn_operand *any = step->in[NN_X] ? step->in[NN_X] : step->in[NN_DY];
  return (size_t)threads * (size_t)padded(any->shape.c) * 2 * sizeof(float);
}

/* Cells of the map that is read, for one of the map that is written. */
struct window {
  int count;
  int32_t place[CELLS + GROUP]; /* row * kernel + column, in the window of the pooled map */
  int64_t cell[CELLS + GROUP];  /* position in the image: h * width + w */
};

/* The positions in [0, extent) that the window of pooled position i covers. */
static struct span covered(const struct nn_pool *pool, int64_t extent, int64_t i) {
  int64_t start = i * pool->stride - pool->pad;
  return (struct span){start > 0 ? start : 0, smaller(start + pool->kernel, extent)};
}

/* The pooled positions in [0, extent) whose windows cover position i. */
static struct span covering(const struct nn_pool *pool, int64_t extent, int64_t i) {
  unsigned stride = (unsigned)pool->stride;
  int64_t before = i + pool->pad - pool->kernel; /* the last start that is too early */
  return (struct span){before < 0 ? 0 : (uint32_t)before / stride + 1,
                       smaller((uint32_t)(i + pool->pad) / stride + 1, extent)};
}

static void add_cell(struct window *window, int64_t cell, int64_t place) {
  window->cell[window->count] = cell;
  window->place[window->count++] = (int32_t)place;
}

/* What pooled (row, column) is made of. */
static void window_of(struct window *window, const struct nn_pool *pool, struct nn_shape in, int64_t row,
                      int64_t column) {
  struct span rows = covered(pool, in.h, row), columns = covered(pool, in.w, column);
  window->count = 0;
  for (int64_t h = rows.first; h < rows.last; h++) {
    int64_t place = (h - row * pool->stride + pool->pad) * pool->kernel - column * pool->stride + pool->pad;
    for (int64_t w = columns.first; w < columns.last; w++) {
      add_cell(window, h * in.w + w, place + w);
    }
  }
}

/* What (row, column) is part of, and its place there. */
static void windows_with(struct window *window, const struct nn_pool *pool, struct nn_shape pooled, int64_t row,
                         int64_t column) {
  struct span rows = covering(pool, pooled.h, row), columns = covering(pool, pooled.w, column);
  window->count = 0;
  for (int64_t h = rows.first; h < rows.last; h++) {
    int64_t place = (row + pool->pad - h * pool->stride) * pool->kernel + column + pool->pad;
    for (int64_t w = columns.first; w < columns.last; w++) {
      add_cell(window, h * pooled.w + w, place - w * pool->stride);
    }
  }
}

/* Fills up the last group with cells that count for nothing: their place says so. */
static void fill_group(struct window *window, int32_t place) {
  int64_t cell = window->count > 0 ? window->cell[0] : 0;
  for (int i = 0; i < GROUP; i++) {
    window->place[window->count + i] = place;
    window->cell[window->count + i] = cell;
  }
}

/* ---- maximum ----------------------------------------------------------------------------------------------------- */

struct best {
  float value;
  int32_t place;
};

/* The first NaN wins, too. */
INLINED struct best better(struct best best, float value, int32_t place) {
  bool wins = value > best.value || (value != value && best.value == best.value);
  return (struct best){wins ? value : best.value, wins ? place : best.place};
}

/* Compares a group of cells with the best of those before, of which there are none at the `start`; what is best at the
 * `end` goes to Y and SAVED. */
INLINED void compare(float *value, int32_t *winner, void *y, uint8_t *saved, const void *x, const int64_t *cell,
                     const int32_t *place, int64_t channels, bool bf16, bool start, bool end) {
  int64_t first = cell[0] * channels, second = cell[1] * channels, third = cell[2] * channels;
  int32_t first_place = place[0], second_place = place[1], third_place = place[2];
  SIMD for (int64_t c = 0; c < channels; c++) {
    struct best best = {load(x, first + c, bf16), first_place};
    if (!start) best = better((struct best){value[c], winner[c]}, best.value, first_place);
    best = better(best, load(x, second + c, bf16), second_place);
    best = better(best, load(x, third + c, bf16), third_place);
    if (end) store(y, c, best.value, bf16);
    if (!end) value[c] = best.value;
    winner[c] = best.place;
  }
  if (!end || !saved) return;
  SIMD for (int64_t c = 0; c < channels; c++) {
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
    walk.winner = (int32_t *)scratch + (omp_get_thread_num() * 2 + 1) * padded(shape.c);
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
  struct window *window = &walk->window;
  window_of(window, &step->pool, walk->other, h, w);
  fill_group(window, window->place[0]); /* the first again never wins */
  for (int i = 0; i < window->count; i += GROUP) {
    FOLD(bf16, step->in[NN_X]->dtype == NN_BF16,
         FOLD(start, i == 0,
              FOLD(end, i + GROUP >= window->count,
                   compare(walk->sum, walk->winner, y, saved, x, window->cell + i, window->place + i, walk->over.c,
                           bf16, start, end))))
  }
}

void KERNEL(max_pool)(const struct nn_step *step, void *scratch, int threads) {
  walk_cells(step, step->out[NN_Y], step->in[NN_X], scratch, threads, max_cell);
}

/* ---- sums over windows: all other directions --------------------------------------------------------------------- */

INLINED float won(const void *dy, const uint8_t *saved, int64_t i, int32_t place, bool bf16) {
  return saved[i] == place ? load(dy, i, bf16) : 0;
}

/* Adds the gradients of those of a group of windows that the cell has won. */
INLINED void add_won(float *sum, void *dx, const void *dy, const uint8_t *saved, const int64_t *cell,
                     const int32_t *place, int64_t channels, bool bf16, bool start, bool end) {
  int64_t first = cell[0] * channels, second = cell[1] * channels;
  int32_t first_place = place[0], second_place = place[1];
  SIMD for (int64_t c = 0; c < channels; c++) {
    float s = start ? 0 : sum[c];
    s += won(dy, saved, first + c, first_place, bf16) + won(dy, saved, second + c, second_place, bf16);
    if (end) store(dx, c, s, bf16);
    if (!end) sum[c] = s;
  }
}

static void max_backward_cell(struct walk *walk, int64_t n, int64_t h, int64_t w, int64_t written) {
  const struct nn_step *step = walk->step;
  int64_t copies = walk->over.n / step->in[NN_SAVED]->shape.n;
  const void *dy = image_of(step->in[NN_DY], n);
  const uint8_t *saved = image_of(step->in[NN_SAVED], n / copies);
  void *dx = at(step->out[NN_DX], written);
  struct window *window = &walk->window;
  windows_with(window, &step->pool, walk->other, h, w);
  fill_group(window, -1);
  for (int i = 0; i == 0 || i < window->count; i += PAIR) {
    FOLD(bf16, step->in[NN_DY]->dtype == NN_BF16,
         FOLD(start, i == 0,
              FOLD(end, i + PAIR >= window->count,
                   add_won(walk->sum, dx, dy, saved, window->cell + i, window->place + i, walk->over.c, bf16, start,
                           end))))
  }
}

void KERNEL(max_pool_backward)(const struct nn_step *step, void *scratch, int threads) {
  walk_cells(step, step->out[NN_DX], step->in[NN_DY], scratch, threads, max_backward_cell);
}

INLINED void store_scaled(void *to, const float *sum, float scale, int64_t channels, bool bf16) {
  SIMD for (int64_t c = 0; c < channels; c++) {
    store(to, c, sum[c] * scale, bf16);
  }
}

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
