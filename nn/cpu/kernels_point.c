/* Element by element: ReLU, sums, and the gradient of a ReLU. */
#include "nn/cpu/kernels_internal.h"

enum { GRAIN = 1024 };

INLINED void relu_elements(void *y, const void *x, int64_t count, bool bf16) {
  SIMD for (int64_t i = 0; i < count; i++) {
    store(y, i, relu_of(load(x, i, bf16)), bf16);
  }
}

static void relu_span(const struct nn_step *step, struct span span) {
  const void *x = at(step->in[NN_X], span.first);
  void *y = at(step->out[NN_Y], span.first);
  FOLD(bf16, step->in[NN_X]->dtype == NN_BF16, relu_elements(y, x, span.last - span.first, bf16))
}

void KERNEL(relu)(const struct nn_step *step, void *scratch, int threads) {
  int64_t count = nn_count(step->in[NN_X]->shape);
  (void)scratch;
  run_spans(relu_span, step, count, GRAIN, useful_threads(count, threads));
}

INLINED void add_elements(void *y, const void *a, const void *b, int64_t count, bool bf16, bool relu) {
  SIMD for (int64_t i = 0; i < count; i++) {
    float sum = load(a, i, bf16) + load(b, i, bf16);
    store(y, i, relu ? relu_of(sum) : sum, bf16);
  }
}

static void add_span(const struct nn_step *step, struct span span) {
  const void *a = at(step->in[NN_X], span.first), *b = at(step->in[NN_ADDEND], span.first);
  void *y = at(step->out[NN_Y], span.first);
  FOLD(bf16, step->in[NN_X]->dtype == NN_BF16,
       FOLD(relu, step->relu, add_elements(y, a, b, span.last - span.first, bf16, relu)))
}

void KERNEL(add)(const struct nn_step *step, void *scratch, int threads) {
  int64_t count = nn_count(step->in[NN_X]->shape);
  (void)scratch;
  run_spans(add_span, step, count, GRAIN, useful_threads(count, threads));
}

INLINED void mask_elements(void *dx, const void *dy, const void *dy2, const void *y, int64_t count, bool bf16,
                           bool second) {
  SIMD for (int64_t i = 0; i < count; i++) {
    float g = load(dy, i, bf16);
    if (second) g += load(dy2, i, bf16);
    store(dx, i, load(y, i, bf16) > 0 ? g : 0, bf16);
  }
}

/* A run of elements that stays within one image of the gradient when that has copies. */
static void mask_run(const struct nn_step *step, struct span span, int64_t y_first) {
  const void *dy = at(step->in[NN_DY], span.first), *dy2 = at(step->in[NN_DY2], span.first);
  const void *y = at(step->in[NN_Y], y_first);
  void *dx = at(step->out[NN_DX], span.first);
  FOLD(bf16, step->in[NN_DY]->dtype == NN_BF16,
       FOLD(second, dy2 != NULL, mask_elements(dx, dy, dy2, y, span.last - span.first, bf16, second)))
}

static void relu_backward_span(const struct nn_step *step, struct span span) {
  int64_t total = nn_count(step->in[NN_DY]->shape), saved = nn_count(step->in[NN_Y]->shape);
  int64_t image = total / step->in[NN_DY]->shape.n, copies = total / saved;
  while (span.first < span.last) {
    struct span run = span;
    int64_t n = run.first / image;
    if (copies > 1) run.last = smaller(run.last, (n + 1) * image);
    mask_run(step, run, copies > 1 ? run.first - (n - n / copies) * image : run.first);
    span.first = run.last;
  }
}

void KERNEL(relu_backward)(const struct nn_step *step, void *scratch, int threads) {
  int64_t count = nn_count(step->in[NN_DY]->shape);
  (void)scratch;
  run_spans(relu_backward_span, step, count, GRAIN, useful_threads(count, threads));
}
