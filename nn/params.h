/* nn/params - the parameters of a model, shared by all graphs and programs that use it.
 *
 * A parameter has one canonical form, PyTorch's: float32, named "layer1.0.conv1.weight", convolution weights as
 * [out][in / groups][kernel][kernel], linear weights as [out][in], all others as vectors. Running statistics are
 * parameters that are not trained; the count of batches is held as a float32 here and written as an int64 there.
 *
 * Builders (nn/graph.h) declare parameters; nn_params_allocate then gives all of them memory on a device at once, in
 * three blocks (values, gradients, momenta) that the optimizer walks through. Backends keep packed copies of their own
 * and renew them when `version` has changed.
 */
#ifndef JIGSAW_NN_PARAMS_H
#define JIGSAW_NN_PARAMS_H

#include "nn/device.h"

enum nn_role {
  NN_WEIGHT,        /* of a convolution or linear layer */
  NN_BIAS,          /* of the same */
  NN_NORM_WEIGHT,   /* gamma */
  NN_NORM_BIAS,     /* beta */
  NN_NORM_MEAN,     /* running_mean */
  NN_NORM_VARIANCE, /* running_var */
  NN_NORM_BATCHES,  /* num_batches_tracked, a scalar (rank 0) */
};

/* How a value begins; as PyTorch's initialisers of the same names (nn/initialise.c says which bits). */
enum nn_initial_kind {
  NN_CONSTANT,               /* a */
  NN_NORMAL,                 /* mean 0, standard deviation a */
  NN_UNIFORM,                /* [-a, a) */
  NN_KAIMING_NORMAL_FAN_OUT, /* nonlinearity relu: normal of standard deviation sqrt(2 / fan_out) */
  NN_KAIMING_UNIFORM_SQRT5,  /* kaiming_uniform_(a = sqrt(5)), the default of nn.Conv2d and nn.Linear: 1 / sqrt(fan_in)
                              */
  NN_BIAS_UNIFORM,           /* the default of their biases: 1 / sqrt(fan_in), with fan_in given as a */
};

struct nn_initial {
  enum nn_initial_kind kind;
  double a;
};

struct nn_param {
  const char *name;
  enum nn_role role;
  int rank;
  int64_t dims[4];
  int64_t count;  /* the product of dims */
  int64_t offset; /* of its first element in each of the three blocks; a multiple of 16 */
  struct nn_initial initial;
  bool trainable; /* false: no gradient is computed and the optimizer passes it by; always so for running statistics */
  bool has_gradient; /* a backward pass has written it since the last update; without one the optimizer passes by */
};

struct nn_params {
  struct arena arena;
  struct nn_param **items; /* in order of declaration */
  size_t count, capacity;
  int64_t elements; /* of one block, padding included */
  struct nn_device *device;
  float *values, *gradients, *momenta; /* device memory; NULL before nn_params_allocate */
  uint64_t version;                    /* changes with every change of values */
};

void nn_params_init(struct nn_params *params);
void nn_params_free(struct nn_params *params);

/* Declares a parameter, or finds the one of that name; then role and dims must be the same. NULL on failure. */
struct nn_param *nn_params_declare(struct nn_params *params, const char *name, enum nn_role role, int rank,
                                   const int64_t dims[], struct nn_initial initial, struct error *error);
struct nn_param *nn_params_find(const struct nn_params *params, const char *name); /* NULL: none */
int64_t nn_params_trainable(const struct nn_params *params);                       /* elements */

/* Every parameter whose name begins with `prefix` is no longer trained. How many there were. */
size_t nn_params_freeze(struct nn_params *params, const char *prefix);

/* Gives memory to all parameters declared by now, zeroed; `training`: also for gradients and momenta. Afterwards
 * nothing new can be declared. A failure leaves none with memory. */
int nn_params_allocate(struct nn_params *params, struct nn_device *device, bool training, struct error *error);

/* Sets every value to its initial one: a function of the seed and the parameter's name alone. */
int nn_params_initialise(struct nn_params *params, uint64_t seed, struct error *error);

/* Whether every value is a finite number. */
int nn_params_finite(const struct nn_params *params, bool *finite, struct error *error);

/* Copies to and from the host, `param->count` floats. `block` is params->values, gradients or momenta. */
int nn_param_read(const struct nn_params *params, const struct nn_param *param, const float *block, float *host,
                  struct error *error);
int nn_param_write(struct nn_params *params, const struct nn_param *param, float *block, const float *host,
                   struct error *error);

#endif
