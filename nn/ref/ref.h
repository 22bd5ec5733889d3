/* nn/ref - the backend that says what the operations of nn/backend.h mean: one obvious loop for each, float32 operands,
 * sums in double. The other backends are tested against it.
 */
#ifndef JIGSAW_NN_REF_H
#define JIGSAW_NN_REF_H

#include "nn/backend.h"

typedef void ref_operation(const struct nn_step *step);

ref_operation ref_conv, ref_conv_backward_data, ref_conv_backward_weights;
ref_operation ref_norm, ref_norm_backward, ref_norm_again;
ref_operation ref_relu, ref_relu_backward, ref_add;
ref_operation ref_max_pool, ref_max_pool_backward, ref_average_pool, ref_average_pool_backward;
ref_operation ref_region_pool, ref_region_pool_backward; /* the global pools too */
ref_operation ref_upsample, ref_upsample_backward, ref_copy_in, ref_copy_out;

/* The only one that can fail: labels are data. */
int ref_cross_entropy(const struct nn_step *step, struct error *error);

/* ---- what the files share ---- */

static inline const float *ref_in(const struct nn_step *step, enum nn_slot slot) {
  return step->in[slot] ? step->in[slot]->data : NULL;
}

static inline float *ref_out(const struct nn_step *step, enum nn_slot slot) {
  return step->out[slot] ? step->out[slot]->data : NULL;
}

/* Where an element lies. */
static inline int64_t ref_at(const struct nn_shape *shape, int64_t n, int64_t h, int64_t w, int64_t c) {
  return ((n * shape->h + h) * shape->w + w) * shape->c + c;
}

/* How many gradients there are for each image of the forward pass. */
static inline int64_t ref_copies(const struct nn_step *step, enum nn_slot saved) {
  return step->in[NN_DY]->shape.n / step->in[saved]->shape.n;
}

/* relu?(z + ADDEND?) for element `at`; NaN stays NaN. */
static inline float ref_finish(const struct nn_step *step, int64_t at, double z) {
  const float *addend = ref_in(step, NN_ADDEND);
  if (addend) z += addend[at];
  return step->relu && z <= 0 ? 0 : (float)z;
}

/* Writes or adds element `at` of a parameter's gradient, if that is wanted. */
static inline void ref_give_gradient(const struct nn_step *step, const struct nn_param *param, int64_t at, double g) {
  float *gradient = nn_gradient(step->params, param);
  if (gradient) gradient[at] = (float)(step->accumulate ? gradient[at] + g : g);
}

#endif
