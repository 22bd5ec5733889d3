#include <math.h>
#include <string.h>

#include "nn/ref/ref.h"

/* ---- element by element ---- */

void ref_relu(const struct nn_step *step) {
  for (int64_t at = 0; at < nn_count(step->in[NN_X]->shape); at++) {
    float x = ref_in(step, NN_X)[at];
    ref_out(step, NN_Y)[at] = x <= 0 ? 0 : x;
  }
}

void ref_relu_backward(const struct nn_step *step) {
  const struct nn_shape *y = &step->in[NN_Y]->shape;
  const float *dy2 = ref_in(step, NN_DY2);
  int64_t image = y->h * y->w * y->c;
  for (int64_t at = 0; at < nn_count(step->in[NN_DY]->shape); at++) {
    int64_t source = at / image / ref_copies(step, NN_Y) * image + at % image;
    float g = ref_in(step, NN_DY)[at] + (dy2 ? dy2[at] : 0);
    ref_out(step, NN_DX)[at] = ref_in(step, NN_Y)[source] > 0 ? g : 0;
  }
}

void ref_add(const struct nn_step *step) {
  for (int64_t at = 0; at < nn_count(step->in[NN_X]->shape); at++)
    ref_out(step, NN_Y)[at] = ref_finish(step, at, ref_in(step, NN_X)[at]);
}

/* ---- nearest neighbour ---- */

/* The element of the small map that an element of the large one is a copy of. */
static int64_t copied_from(const struct nn_shape *small, const struct nn_shape *large, int64_t at) {
  int64_t c = at % large->c, w = at / large->c % large->w, h = at / large->c / large->w % large->h;
  int64_t n = at / large->c / large->w / large->h;
  return ref_at(small, n, h * small->h / large->h, w * small->w / large->w, c);
}

void ref_upsample(const struct nn_step *step) {
  const struct nn_shape *x = &step->in[NN_X]->shape, *y = &step->out[NN_Y]->shape;
  for (int64_t at = 0; at < nn_count(*y); at++)
    ref_out(step, NN_Y)[at] = ref_in(step, NN_X)[copied_from(x, y, at)];
}

void ref_upsample_backward(const struct nn_step *step) {
  const struct nn_shape *dx = &step->out[NN_DX]->shape, *dy = &step->in[NN_DY]->shape;
  memset(ref_out(step, NN_DX), 0, (size_t)nn_count(*dx) * sizeof(float));
  for (int64_t at = 0; at < nn_count(*dy); at++)
    ref_out(step, NN_DX)[copied_from(dx, dy, at)] += ref_in(step, NN_DY)[at];
}

/* ---- parts of a concatenation ---- */

static int64_t whole_at(const struct nn_step *step, const struct nn_shape *part, const struct nn_shape *whole,
                        int64_t at) {
  return at / part->c * whole->c + step->channel + at % part->c;
}

void ref_copy_in(const struct nn_step *step) {
  const struct nn_shape *x = &step->in[NN_X]->shape, *y = &step->out[NN_Y]->shape;
  for (int64_t at = 0; at < nn_count(*x); at++)
    ref_out(step, NN_Y)[whole_at(step, x, y, at)] = ref_in(step, NN_X)[at];
}

void ref_copy_out(const struct nn_step *step) {
  const struct nn_shape *dx = &step->out[NN_DX]->shape, *dy = &step->in[NN_DY]->shape;
  for (int64_t at = 0; at < nn_count(*dx); at++)
    ref_out(step, NN_DX)[at] = ref_in(step, NN_DY)[whole_at(step, dx, dy, at)];
}
