#include "nn/optimizer.h"

#include <math.h>

#include "nn/backend.h"

static double decay_of(const struct nn_param *param, const struct nn_sgd_options *options) {
  return options->decay_all || param->role == NN_WEIGHT ? options->weight_decay : 0;
}

static bool updated(const struct nn_param *param) {
  return param->trainable && param->has_gradient;
}

/* Updated parameters that follow each other with equal weight decay are updated as one: what pads them in between is
 * zero in all three blocks and stays so. */
struct span {
  int64_t offset, count;
  double weight_decay;
};

/* The first span at or after item `*next`; false: there is none. */
static bool next_span(const struct nn_params *params, const struct nn_sgd_options *options, size_t *next,
                      struct span *span) {
  while (*next < params->count && !updated(params->items[*next])) {
    ++*next;
  }
  if (*next == params->count) return false;
  const struct nn_param *first = params->items[*next], *last = first;
  span->weight_decay = decay_of(first, options);
  for (++*next; *next < params->count; ++*next) {
    const struct nn_param *param = params->items[*next];
    if (!updated(param) || decay_of(param, options) != span->weight_decay) break;
    last = param;
  }
  span->offset = first->offset;
  span->count = last->offset + last->count - first->offset;
  return true;
}

static int compute_norm(const struct nn_params *params, const struct nn_sgd_options *options, double *norm,
                        struct error *error) {
  struct nn_device *device = params->device;
  struct span span;
  double sum = 0, part;
  for (size_t next = 0; next_span(params, options, &next, &span); sum += part) {
    if (device->backend->square_sum(device, params->gradients + span.offset, span.count, &part, error)) return -1;
  }
  *norm = sqrt(sum);
  return isfinite(*norm) ? 0 : error_set(error, "the norm of the gradient is %g", *norm);
}

int nn_sgd_step(struct nn_params *params, const struct nn_sgd_options *options, double lr, double *gradient_norm,
                struct error *error) {
  struct nn_device *device = params->device;
  struct nn_sgd sgd = {.lr = lr, .mu = options->momentum, .gradient_scale = 1, .nesterov = options->nesterov};
  struct span span;
  double norm;
  if (!params->gradients) return error_set(error, "these parameters have no gradients: not allocated for training");
  if (gradient_norm || options->clip > 0) {
    if (compute_norm(params, options, &norm, error)) return -1;
    if (gradient_norm) *gradient_norm = norm;
    if (options->clip > 0) sgd.gradient_scale = fmin(1, options->clip / (norm + 1e-6));
  }
  params->version++;
  for (size_t next = 0; next_span(params, options, &next, &span);) {
    sgd.weight_decay = span.weight_decay;
    if (device->backend->sgd(device, &sgd, params->values + span.offset, params->gradients + span.offset,
                             params->momenta + span.offset, span.count, error))
      return -1;
  }
  for (size_t i = 0; i < params->count; i++)
    params->items[i]->has_gradient = false;
  return 0;
}
