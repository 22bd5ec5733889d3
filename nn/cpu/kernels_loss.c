/* Soft-label cross-entropy of float32 logits and, in the same pass, its gradient. A row is a position. */
#include "nn/cpu/kernels_internal.h"

#include <math.h>

/* e^x for x <= 0 within 2 units in the last place; below -87 it is 0. As libm's expf, but loops over it become
 * vectors. NaN stays NaN. */
INLINED float exponential(float x) {
  const float round = 12582912; /* 1.5 * 2^23: a sum with it has no fraction, and the integer in its lowest bits */
  float clamped = x < -87 ? -87 : x;
  union float_bits power = {.value = clamped * 1.44269504f + round};
  float n = power.value - round;
  float r = clamped - n * 0.693359375f + n * 2.12194440e-4f; /* x - n ln 2, ln 2 in two parts */
  float e = 1 / 5040.f;
  power.bits = (power.bits + 127) << 23; /* 2^n */
  e = e * r + 1 / 720.f;
  e = e * r + 1 / 120.f;
  e = e * r + 1 / 24.f;
  e = e * r + 1 / 6.f;
  e = e * r + 0.5f;
  e = e * r * r + r + 1;
  return x < -87 ? 0 : e * power.value;
}

/* A double for each row's loss, and a row of floats for each thread. */
size_t KERNEL(cross_entropy_scratch)(const struct nn_step *step, int threads) {
  struct nn_shape x = step->in[NN_X]->shape;
  size_t losses = (size_t)padded(x.n * x.h * x.w) * sizeof(double);
  return losses + (size_t)threads * (size_t)padded(x.c) * sizeof(float);
}

/* e = exp(z - max z); the sum of it, and the logarithm of the sum of exp z. */
static double exponentials(float *e, const float *z, int64_t classes, double *log_sum) {
  float highest = -INFINITY;
  double sum = 0;
#pragma omp simd reduction(max : highest)
  for (int64_t c = 0; c < classes; c++) {
    highest = z[c] > highest ? z[c] : highest;
  }
#pragma omp simd reduction(+ : sum)
  for (int64_t c = 0; c < classes; c++) {
    e[c] = exponential(z[c] - highest);
    sum += e[c];
  }
  *log_sum = highest + log(sum); // cppcheck-suppress invalidFunctionArg ; at least 1: there are classes
  return sum;
}

/* The labels of a row: how much each counts, and what they cost. */
struct labels {
  const int32_t *label;
  const float *mix;
  int64_t count;
};

/* The loss of a row over its scale; the gradient, if wanted, times `scale`. */
static double row_loss(float *e, void *dx, const float *z, int64_t classes, const struct labels *labels, double scale,
                       bool bf16) {
  double log_sum, sum = exponentials(e, z, classes, &log_sum), loss = 0, weight = 0;
  for (int64_t r = 0; r < labels->count; r++) {
    if (labels->label[r] < 0) continue;
    weight += labels->mix[r];
    loss += labels->mix[r] * (log_sum - z[labels->label[r]]);
  }
  if (!dx) return loss;
  float share = (float)(weight * scale / sum);
  SIMD for (int64_t c = 0; c < classes; c++) {
    e[c] *= share;
  }
  for (int64_t r = 0; r < labels->count; r++) {
    if (labels->label[r] >= 0) e[labels->label[r]] -= (float)(labels->mix[r] * scale);
  }
  FOLD(
      half, bf16, SIMD for (int64_t c = 0; c < classes; c++) { store(dx, c, e[c], half); })
  return loss;
}

static void loss_rows(const struct nn_step *step, double *losses, float *e, struct span rows) {
  struct nn_shape x = step->in[NN_X]->shape, mix = step->in[NN_MIX]->shape;
  const struct nn_operand *dx = step->out[NN_DX];
  int64_t cells = x.h * x.w;
  for (int64_t row = rows.first; row < rows.last; row++) {
    int64_t image = row / cells, cell = row % cells;
    struct labels labels = {
        .label = (const int32_t *)step->in[NN_LABEL]->data + image * mix.c,
        .mix = (const float *)step->in[NN_MIX]->data + (mix.n == 1 ? cell : row) * mix.c,
        .count = mix.c,
    };
    double scale = ((const float *)step->in[NN_SCALE]->data)[cell] / (double)x.n;
    const float *z = (const float *)step->in[NN_X]->data + row * x.c;
    losses[row] = scale * row_loss(e, at(dx, row * x.c), z, x.c, &labels, scale, dx && dx->dtype == NN_BF16);
  }
}

void KERNEL(cross_entropy)(const struct nn_step *step, void *scratch, int threads) {
  struct nn_shape x = step->in[NN_X]->shape;
  int64_t rows = x.n * x.h * x.w;
  double *losses = scratch, sum = 0;
  void *floats = losses + padded(rows);
#pragma omp parallel num_threads(useful_threads(nn_count(x), threads))
  {
    float *e = (float *)floats + omp_get_thread_num() * padded(x.c);
    loss_rows(step, losses, e, span_of(rows, 1, omp_get_thread_num(), omp_get_num_threads()));
  }
  for (int64_t row = 0; row < rows; row++) {
    sum += losses[row];
  }
  *(float *)step->out[NN_Y]->data = (float)sum;
}
