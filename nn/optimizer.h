/* nn/optimizer - stochastic gradient descent, and how the learning rate goes.
 */
#ifndef JIGSAW_NN_OPTIMIZER_H
#define JIGSAW_NN_OPTIMIZER_H

#include "nn/params.h"

struct nn_sgd_options {
  double momentum; /* 0.9 */
  bool nesterov;
  double weight_decay; /* 1e-4 */
  bool decay_all;      /* also norms and biases, which otherwise are excluded */
  double clip;         /* largest global L2 norm of the gradient; 0: no clipping */
};

/* One update of all that is trained and has a gradient, as torch.optim.SGD after torch.nn.utils.clip_grad_norm_
 * (coefficient min(1, clip / (norm + 1e-6))); what has none keeps its value and its momentum, as with a .grad of None.
 * Afterwards nothing has a gradient. `*gradient_norm` (may be NULL) is the norm before clipping; it is computed only
 * when asked for or clipped. A norm that is not finite is an error before anything has changed. */
int nn_sgd_step(struct nn_params *params, const struct nn_sgd_options *options, double lr, double *gradient_norm,
                struct error *error);

enum nn_schedule_kind { NN_SCHEDULE_COSINE, NN_SCHEDULE_STEP };

/* The rate of iteration i = 0 .. iterations - 1. Warm-up is linear: start at i = 0, base at i = warmup. Then cosine
 * goes to 0 at i = iterations: base / 2 (1 + cos(pi (i - warmup) / (iterations - warmup))); steps multiply base by
 * `factor` at each boundary <= i. */
struct nn_schedule {
  enum nn_schedule_kind kind;
  double start, base;
  int64_t warmup, iterations;
  int64_t boundaries[8];
  int boundary_count;
  double factor;
};

int nn_schedule_check(const struct nn_schedule *schedule, struct error *error);
double nn_schedule_rate(const struct nn_schedule *schedule, int64_t iteration);

#endif
