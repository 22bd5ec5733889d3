#include <math.h>

#include "nn/ref/ref.h"

/* What a folded norm does to an output channel: y -> scale y + shift. */
struct fold {
  double scale, shift;
};

static struct fold fold_of(const struct nn_step *step, int64_t channel) {
  const struct nn_norm_layer *norm = step->norm;
  if (!norm) return (struct fold){1, 0};
  double variance = nn_value(step->params, norm->variance)[channel];
  double scale = nn_value(step->params, norm->gamma)[channel] / sqrt(variance + norm->eps);
  double mean = nn_value(step->params, norm->mean)[channel], beta = nn_value(step->params, norm->beta)[channel];
  return (struct fold){scale, beta - mean * scale};
}

/* The position of the input that a tap of the kernel sees, along one axis. */
static int64_t seen(const struct nn_conv *conv, int64_t out, int64_t tap) {
  return out * conv->stride - conv->pad + tap * conv->dilation;
}

/* The position of the output whose tap sees this input; false if none does. */
static bool seen_by(const struct nn_conv *conv, int64_t in, int64_t tap, int64_t extent, int64_t *out) {
  int64_t from = in + conv->pad - tap * conv->dilation;
  *out = from / conv->stride;
  return from >= 0 && from % conv->stride == 0 && *out < extent;
}

/* Where weight[o][0][0][0] is; one input channel further is kernel * kernel further. */
static int64_t filter_at(const struct nn_conv *conv, int64_t o, int64_t group_in) {
  return o * group_in * conv->kernel * conv->kernel;
}

static double dot(const struct nn_step *step, int64_t n, int64_t oy, int64_t ox, int64_t o) {
  const struct nn_conv *conv = &step->conv;
  const struct nn_shape *x = &step->in[NN_X]->shape;
  int64_t in = x->c / conv->groups, first = o / (conv->out / conv->groups) * in, area = conv->kernel * conv->kernel;
  const float *filter = nn_value(step->params, step->weight) + filter_at(conv, o, in);
  double sum = 0;
  for (int64_t ky = 0; ky < conv->kernel; ky++) {
    for (int64_t kx = 0; kx < conv->kernel; kx++) {
      int64_t iy = seen(conv, oy, ky), ix = seen(conv, ox, kx);
      if (iy < 0 || iy >= x->h || ix < 0 || ix >= x->w) continue;
      const float *cell = ref_in(step, NN_X) + ref_at(x, n, iy, ix, first);
      for (int64_t i = 0; i < in; i++)
        sum += (double)cell[i] * filter[i * area + ky * conv->kernel + kx];
    }
  }
  return sum;
}

void ref_conv(const struct nn_step *step) {
  const struct nn_shape *y = &step->out[NN_Y]->shape;
  const float *bias = nn_value(step->params, step->bias);
  for (int64_t o = 0; o < y->c; o++) {
    struct fold fold = fold_of(step, o);
    for (int64_t n = 0; n < y->n; n++) {
      for (int64_t oy = 0; oy < y->h; oy++) {
        for (int64_t ox = 0; ox < y->w; ox++) {
          double z = dot(step, n, oy, ox, o) + (bias ? bias[o] : 0);
          int64_t at = ref_at(y, n, oy, ox, o);
          ref_out(step, NN_Y)[at] = ref_finish(step, at, z * fold.scale + fold.shift);
        }
      }
    }
  }
}

/* The gradient of one element of the input: every output that saw it, through the weight that it saw it by. */
static double gather(const struct nn_step *step, int64_t n, int64_t iy, int64_t ix, int64_t c) {
  const struct nn_conv *conv = &step->conv;
  const struct nn_shape *dy = &step->in[NN_DY]->shape;
  int64_t in = step->out[NN_DX]->shape.c / conv->groups, out = conv->out / conv->groups, first = c / in * out;
  const float *weight = nn_value(step->params, step->weight);
  double sum = 0;
  for (int64_t ky = 0; ky < conv->kernel; ky++) {
    for (int64_t kx = 0; kx < conv->kernel; kx++) {
      int64_t oy, ox, tap = (c % in * conv->kernel + ky) * conv->kernel + kx;
      if (!seen_by(conv, iy, ky, dy->h, &oy) || !seen_by(conv, ix, kx, dy->w, &ox)) continue;
      const float *gradient = ref_in(step, NN_DY) + ref_at(dy, n, oy, ox, 0);
      for (int64_t o = first; o < first + out; o++)
        sum += fold_of(step, o).scale * gradient[o] * weight[filter_at(conv, o, in) + tap];
    }
  }
  return sum;
}

void ref_conv_backward_data(const struct nn_step *step) {
  const struct nn_shape *dx = &step->out[NN_DX]->shape;
  for (int64_t n = 0; n < dx->n; n++) {
    for (int64_t iy = 0; iy < dx->h; iy++) {
      for (int64_t ix = 0; ix < dx->w; ix++) {
        for (int64_t c = 0; c < dx->c; c++)
          ref_out(step, NN_DX)[ref_at(dx, n, iy, ix, c)] = (float)gather(step, n, iy, ix, c);
      }
    }
  }
}

/* The gradient of weight[o][i][ky][kx] before the norm: everything it was multiplied with. */
static double correlate(const struct nn_step *step, int64_t o, int64_t i, int64_t ky, int64_t kx) {
  const struct nn_conv *conv = &step->conv;
  const struct nn_shape *x = &step->in[NN_X]->shape, *dy = &step->in[NN_DY]->shape;
  int64_t c = o / (conv->out / conv->groups) * (x->c / conv->groups) + i;
  double sum = 0;
  for (int64_t n = 0; n < dy->n; n++) {
    for (int64_t oy = 0; oy < dy->h; oy++) {
      int64_t iy = seen(conv, oy, ky);
      if (iy < 0 || iy >= x->h) continue;
      for (int64_t ox = 0; ox < dy->w; ox++) {
        int64_t ix = seen(conv, ox, kx);
        if (ix < 0 || ix >= x->w) continue;
        sum += (double)ref_in(step, NN_X)[ref_at(x, n, iy, ix, c)] * ref_in(step, NN_DY)[ref_at(dy, n, oy, ox, o)];
      }
    }
  }
  return sum;
}

static double sum_channel(const struct nn_operand *operand, int64_t c) {
  const float *values = operand->data;
  double sum = 0;
  for (int64_t at = c; at < nn_count(operand->shape); at += operand->shape.c)
    sum += values[at];
  return sum;
}

void ref_conv_backward_weights(const struct nn_step *step) {
  const struct nn_conv *conv = &step->conv;
  int64_t in = step->in[NN_X]->shape.c / conv->groups;
  for (int64_t o = 0; o < conv->out; o++) {
    double scale = fold_of(step, o).scale;
    int64_t at = filter_at(conv, o, in);
    for (int64_t i = 0; i < in && nn_gradient(step->params, step->weight); i++) {
      for (int64_t ky = 0; ky < conv->kernel; ky++) {
        for (int64_t kx = 0; kx < conv->kernel; kx++)
          ref_give_gradient(step, step->weight, at++, scale * correlate(step, o, i, ky, kx));
      }
    }
    ref_give_gradient(step, step->bias, o, scale * sum_channel(step->in[NN_DY], o));
  }
}
