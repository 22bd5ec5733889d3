/* Pooling of whole maps: the mean over all cells, or weighted sums over regions, and their gradients. */
#include "nn/cpu/kernels_internal.h"

enum { CHANNELS = 256 }; /* that a thread sums at a time, in its innermost cache */

/* Work is cut into (image, run of channels), so that one image keeps all threads busy, too. */
struct piece {
  int64_t image, channel, count;
};

static int64_t runs_of(int64_t channels) {
  return (channels + CHANNELS - 1) / CHANNELS;
}

static struct piece piece_of(int64_t item, int64_t channels) {
  int64_t runs = runs_of(channels), channel = item % runs * CHANNELS;
  return (struct piece){item / runs, channel, smaller(CHANNELS, channels - channel)};
}

/* sum = all cells, those of a block in float32, blocks in double. */
INLINED void sum_cells(double *sum, const void *x, int64_t cells, int64_t stride, int64_t count, bool bf16) {
  enum { BLOCK = 64 };
  for (int64_t c = 0; c < count; c++) {
    sum[c] = 0;
  }
  for (int64_t first = 0; first < cells; first += BLOCK) {
    float block[CHANNELS] = {0};
    int64_t last = smaller(first + BLOCK, cells);
    for (int64_t cell = first; cell < last; cell++) {
      SIMD for (int64_t c = 0; c < count; c++) {
        block[c] += load(x, cell * stride + c, bf16);
      }
    }
    SIMD for (int64_t c = 0; c < count; c++) {
      sum[c] += block[c];
    }
  }
}

static void global_pool_span(const struct nn_step *step, struct span items) {
  struct nn_shape x = step->in[NN_X]->shape;
  int64_t cells = x.h * x.w;
  for (int64_t item = items.first; item < items.last; item++) {
    struct piece p = piece_of(item, x.c);
    double sum[CHANNELS];
    const void *from = at(step->in[NN_X], p.image * cells * x.c + p.channel);
    void *to = at(step->out[NN_Y], p.image * x.c + p.channel);
    FOLD(
        bf16, step->in[NN_X]->dtype == NN_BF16, sum_cells(sum, from, cells, x.c, p.count, bf16);
        for (int64_t c = 0; c < p.count; c++) { store(to, c, (float)(sum[c] / (double)cells), bf16); })
  }
}

void KERNEL(global_pool)(const struct nn_step *step, void *scratch, int threads) {
  struct nn_shape x = step->in[NN_X]->shape;
  (void)scratch;
  run_spans(global_pool_span, step, x.n * runs_of(x.c), 1, useful_threads(nn_count(x), threads));
}

INLINED void spread(void *dx, const void *dy, int64_t cells, int64_t stride, int64_t count, bool bf16) {
  float mean[CHANNELS];
  for (int64_t c = 0; c < count; c++) {
    mean[c] = load(dy, c, bf16) / (float)cells;
  }
  for (int64_t cell = 0; cell < cells; cell++) {
    SIMD for (int64_t c = 0; c < count; c++) {
      store(dx, cell * stride + c, mean[c], bf16);
    }
  }
}

static void global_pool_backward_span(const struct nn_step *step, struct span items) {
  struct nn_shape dx = step->out[NN_DX]->shape;
  int64_t cells = dx.h * dx.w;
  for (int64_t item = items.first; item < items.last; item++) {
    struct piece p = piece_of(item, dx.c);
    const void *from = at(step->in[NN_DY], p.image * dx.c + p.channel);
    void *to = at(step->out[NN_DX], p.image * cells * dx.c + p.channel);
    FOLD(bf16, step->in[NN_DY]->dtype == NN_BF16, spread(to, from, cells, dx.c, p.count, bf16))
  }
}

void KERNEL(global_pool_backward)(const struct nn_step *step, void *scratch, int threads) {
  struct nn_shape dx = step->out[NN_DX]->shape;
  (void)scratch;
  run_spans(global_pool_backward_span, step, dx.n * runs_of(dx.c), 1, useful_threads(nn_count(dx), threads));
}

/* to = sum over i of weight[i * weight_stride] * from[i], rows of channels `stride` apart. */
INLINED void weighted_sum(void *to, const void *from, const float *weight, int64_t weight_stride, int64_t terms,
                          int64_t stride, int64_t count, bool bf16) {
  float sum[CHANNELS] = {0};
  for (int64_t i = 0; i < terms; i++) {
    float w = weight[i * weight_stride];
    SIMD for (int64_t c = 0; c < count; c++) {
      sum[c] += w * load(from, i * stride + c, bf16);
    }
  }
  SIMD for (int64_t c = 0; c < count; c++) {
    store(to, c, sum[c], bf16);
  }
}

static void region_pool_span(const struct nn_step *step, struct span items) {
  struct nn_shape x = step->in[NN_X]->shape;
  int64_t cells = x.h * x.w, regions = step->in[NN_MIX]->shape.c;
  for (int64_t item = items.first; item < items.last; item++) {
    struct piece p = piece_of(item, x.c);
    const void *from = at(step->in[NN_X], p.image * cells * x.c + p.channel);
    for (int64_t r = 0; r < regions; r++) {
      const float *mix = (const float *)step->in[NN_MIX]->data + r;
      void *to = at(step->out[NN_Y], (p.image * regions + r) * x.c + p.channel);
      FOLD(bf16, step->in[NN_X]->dtype == NN_BF16, weighted_sum(to, from, mix, regions, cells, x.c, p.count, bf16))
    }
  }
}

void KERNEL(region_pool)(const struct nn_step *step, void *scratch, int threads) {
  struct nn_shape x = step->in[NN_X]->shape;
  (void)scratch;
  run_spans(region_pool_span, step, x.n * runs_of(x.c), 1, useful_threads(nn_count(x), threads));
}

static void region_pool_backward_span(const struct nn_step *step, struct span items) {
  struct nn_shape dx = step->out[NN_DX]->shape;
  int64_t cells = dx.h * dx.w, regions = step->in[NN_MIX]->shape.c;
  for (int64_t item = items.first; item < items.last; item++) {
    struct piece p = piece_of(item, dx.c);
    const void *from = at(step->in[NN_DY], p.image * regions * dx.c + p.channel);
    for (int64_t cell = 0; cell < cells; cell++) {
      const float *mix = (const float *)step->in[NN_MIX]->data + cell * regions;
      void *to = at(step->out[NN_DX], (p.image * cells + cell) * dx.c + p.channel);
      FOLD(bf16, step->in[NN_DY]->dtype == NN_BF16, weighted_sum(to, from, mix, 1, regions, dx.c, p.count, bf16))
    }
  }
}

void KERNEL(region_pool_backward)(const struct nn_step *step, void *scratch, int threads) {
  struct nn_shape dx = step->out[NN_DX]->shape;
  (void)scratch;
  run_spans(region_pool_backward_span, step, dx.n * runs_of(dx.c), 1, useful_threads(nn_count(dx), threads));
}
