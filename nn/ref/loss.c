#include <math.h>

#include "nn/ref/ref.h"

/* The mixture of labels at one position of an image. */
struct mixture {
  const int32_t *labels;
  const float *mix;
  int64_t count;
  double scale; /* of the position, 1/n included */
};

static struct mixture mixture_at(const struct nn_step *step, int64_t n, int64_t hw) {
  const struct nn_shape *x = &step->in[NN_X]->shape, *mix = &step->in[NN_MIX]->shape;
  int64_t count = mix->c, table = mix->n == 1 ? 0 : n;
  return (struct mixture){(const int32_t *)step->in[NN_LABEL]->data + n * count,
                          ref_in(step, NN_MIX) + ref_at(mix, table, 0, hw, 0), count,
                          ref_in(step, NN_SCALE)[hw] / (double)x->n};
}

static double log_sum_exp(const float *z, int64_t classes) {
  double largest = z[0], sum = 0;
  for (int64_t k = 1; k < classes; k++)
    largest = fmax(largest, z[k]);
  if (isinf(largest)) return largest;
  for (int64_t k = 0; k < classes; k++)
    sum += exp(z[k] - largest);
  return largest + log(sum);
}

static double loss_of(const struct mixture *mixture, const float *z, double log_sum) {
  double loss = 0;
  for (int64_t r = 0; r < mixture->count; r++) {
    if (mixture->labels[r] >= 0) loss += mixture->mix[r] * (log_sum - z[mixture->labels[r]]);
  }
  return mixture->scale * loss;
}

/* d CE(z, y) / d z[k] = softmax(z)[k] - [k = y] */
static double gradient_of(const struct mixture *mixture, double softmax, int64_t k) {
  double gradient = 0;
  for (int64_t r = 0; r < mixture->count; r++) {
    if (mixture->labels[r] >= 0) gradient += mixture->mix[r] * (softmax - (mixture->labels[r] == k));
  }
  return mixture->scale * gradient;
}

int ref_cross_entropy(const struct nn_step *step, struct error *error) {
  const struct nn_shape *x = &step->in[NN_X]->shape;
  float *dx = ref_out(step, NN_DX);
  double loss = 0;
  if (nn_labels_check(step, error)) return -1;
  for (int64_t n = 0; n < x->n; n++) {
    for (int64_t hw = 0; hw < x->h * x->w; hw++) {
      struct mixture mixture = mixture_at(step, n, hw);
      int64_t at = ref_at(x, n, 0, hw, 0);
      const float *z = ref_in(step, NN_X) + at;
      double log_sum = log_sum_exp(z, x->c);
      loss += loss_of(&mixture, z, log_sum);
      for (int64_t k = 0; k < x->c && dx; k++)
        dx[at + k] = (float)gradient_of(&mixture, exp(z[k] - log_sum), k);
    }
  }
  *ref_out(step, NN_Y) = (float)loss;
  return 0;
}
