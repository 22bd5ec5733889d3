/* Operations that only move elements. */
#include "nn/cpu/kernels_internal.h"

#include <string.h>

/* Each output row of positions: a row of X, its columns repeated. */
static void upsample_rows(const struct nn_step *step, struct span rows) {
  struct nn_shape x = step->in[NN_X]->shape, y = step->out[NN_Y]->shape;
  size_t size = (size_t)y.c * nn_dtype_size(step->in[NN_X]->dtype);
  for (int64_t row = rows.first; row < rows.last; row++) {
    int64_t from = (row / y.h * x.h + row % y.h * x.h / y.h) * x.w;
    for (int64_t w = 0; w < y.w; w++) {
      memcpy(at(step->out[NN_Y], (row * y.w + w) * y.c), at(step->in[NN_X], (from + w * x.w / y.w) * x.c), size);
    }
  }
}

void KERNEL(upsample)(const struct nn_step *step, void *scratch, int threads) {
  struct nn_shape y = step->out[NN_Y]->shape;
  (void)scratch;
  run_spans(upsample_rows, step, y.n * y.h, 1, useful_threads(nn_count(y), threads));
}

/* Channels from `from_channel` of each position to `to_channel` on, as many as the narrower has. */
static void copy_rows(const struct nn_operand *to, int64_t to_channel, const struct nn_operand *from,
                      int64_t from_channel, struct span rows) {
  int64_t channels = smaller(to->shape.c, from->shape.c);
  size_t size = (size_t)channels * nn_dtype_size(to->dtype);
  for (int64_t row = rows.first; row < rows.last; row++) {
    memcpy(at(to, row * to->shape.c + to_channel), at(from, row * from->shape.c + from_channel), size);
  }
}

static void copy_in_rows(const struct nn_step *step, struct span rows) {
  copy_rows(step->out[NN_Y], step->channel, step->in[NN_X], 0, rows);
}

static void copy_out_rows(const struct nn_step *step, struct span rows) {
  copy_rows(step->out[NN_DX], 0, step->in[NN_DY], step->channel, rows);
}

void KERNEL(copy_in)(const struct nn_step *step, void *scratch, int threads) {
  struct nn_shape x = step->in[NN_X]->shape;
  (void)scratch;
  run_spans(copy_in_rows, step, x.n * x.h * x.w, 1, useful_threads(nn_count(x), threads));
}

void KERNEL(copy_out)(const struct nn_step *step, void *scratch, int threads) {
  struct nn_shape dx = step->out[NN_DX]->shape;
  (void)scratch;
  run_spans(copy_out_rows, step, dx.n * dx.h * dx.w, 1, useful_threads(nn_count(dx), threads));
}
