/* The optimizer's update, and the norm of gradients. */
#include "nn/cpu/kernels_internal.h"

struct update {
  float scale, decay, mu, lr;
};

INLINED void update_span(struct update u, float *value, const float *gradient, float *momentum, struct span span,
                         bool nesterov) {
  SIMD for (int64_t i = span.first; i < span.last; i++) {
    float g = u.scale * gradient[i] + u.decay * value[i];
    float m = u.mu * momentum[i] + g;
    momentum[i] = m;
    value[i] -= u.lr * (nesterov ? g + u.mu * m : m);
  }
}

void KERNEL(sgd)(const struct nn_sgd *sgd, float *value, const float *gradient, float *momentum, int64_t count,
                 int threads) {
  const struct update u = {(float)sgd->gradient_scale, (float)sgd->weight_decay, (float)sgd->mu, (float)sgd->lr};
  const bool nesterov = sgd->nesterov;
#pragma omp parallel num_threads(useful_threads(count, threads))
  {
    struct span span = span_of(count, 64, omp_get_thread_num(), omp_get_num_threads());
    FOLD(ahead, nesterov, update_span(u, value, gradient, momentum, span, ahead))
  }
}

static double square_sum_of(const float *values, struct span span) {
  double total = 0;
  for (int64_t first = span.first; first < span.last; first += 256) {
    const float *block = values + first;
    int64_t count = smaller(256, span.last - first);
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) {
      sum += (double)block[i] * block[i];
    }
    total += sum;
  }
  return total;
}

double KERNEL(square_sum)(const float *values, int64_t count, int threads) {
  enum { PARTS = 256 }; /* more than threads, and always as many: so the order of summation is always the same */
  double parts[PARTS], sum = 0;
#pragma omp parallel for schedule(static) num_threads(useful_threads(count, threads))
  for (int part = 0; part < PARTS; part++) {
    parts[part] = square_sum_of(values, span_of(count, 64, part, PARTS));
  }
  for (int part = 0; part < PARTS; part++) {
    sum += parts[part];
  }
  return sum;
}
