/* The initial values of parameters: PyTorch's distributions, from our own bits. With SEED and NAME of the parameter,
 *
 *   key      the lower and the upper 32 bits of SEED
 *   counter  (k, 6 << 24, lower, upper), the last two being the halves of XXH64(NAME, seed 0)
 *   w[4k .. 4k+3] = Philox4x32-10(key, counter), k = 0, 1, ...
 *   u[i] = ((w[2i] >> 5) 2^26 + (w[2i+1] >> 6)) 2^-53, in [0, 1)
 *
 *   uniform of bound b               v[i] = b (2 u[i] - 1)
 *   normal of standard deviation s   v[2i] = s r cos(t), v[2i+1] = s r sin(t), r = sqrt(-2 ln(1 - u[2i])), t = 2 pi
 * u[2i+1]
 *
 * in double, in the order written, rounded to float32 at the end; elements are numbered in PyTorch's layout. The only
 * freedom is in the last bit of the C library's logarithm, sine and cosine, which hardly ever reaches a float32. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "nn/params.h"

static void fill_constant(float *values, int64_t count, double constant) {
  for (int64_t i = 0; i < count; i++) {
    values[i] = (float)constant;
  }
}

static void fill_uniform(struct rng *rng, float *values, int64_t count, double bound) {
  for (int64_t i = 0; i < count; i++) {
    values[i] = (float)(bound * (2 * rng_uniform(rng) - 1));
  }
}

static void fill_normal(struct rng *rng, float *values, int64_t count, double deviation) {
  static const double TWO_PI = 6.283185307179586;
  for (int64_t i = 0; i < count; i += 2) {
    double radius = sqrt(-2 * log(1 - rng_uniform(rng))), angle = TWO_PI * rng_uniform(rng);
    values[i] = (float)(deviation * radius * cos(angle));
    if (i + 1 < count) values[i + 1] = (float)(deviation * radius * sin(angle));
  }
}

/* PyTorch counts dims[1] and dims[0] times the kernel's area, in grouped convolutions too. */
static double fan(const struct nn_param *param, int axis) {
  double fan = 1;
  for (int i = 0; i < param->rank; i++) {
    if (i != 1 - axis) fan *= (double)param->dims[i];
  }
  return fan;
}

static int fill(const struct nn_param *param, uint64_t seed, float *values, struct error *error) {
  struct nn_initial initial = param->initial;
  struct rng rng;
  bool fans = initial.kind == NN_KAIMING_NORMAL_FAN_OUT || initial.kind == NN_KAIMING_UNIFORM_SQRT5;
  if (fans && param->rank < 2) return error_set(error, "%s: a vector cannot begin as Kaiming's", param->name);
  rng_init(&rng, seed, RNG_INITIALISE, 0, XXH64(param->name, strlen(param->name), 0));
  switch (initial.kind) {
  case NN_CONSTANT:
    fill_constant(values, param->count, initial.a);
    break;
  case NN_NORMAL:
    fill_normal(&rng, values, param->count, initial.a);
    break;
  case NN_UNIFORM:
    fill_uniform(&rng, values, param->count, initial.a);
    break;
  case NN_KAIMING_NORMAL_FAN_OUT:
    fill_normal(&rng, values, param->count, sqrt(2 / fan(param, 0)));
    break;
  case NN_KAIMING_UNIFORM_SQRT5:
    fill_uniform(&rng, values, param->count, 1 / sqrt(fan(param, 1)));
    break;
  case NN_BIAS_UNIFORM:
    fill_uniform(&rng, values, param->count, 1 / sqrt(initial.a));
    break;
  }
  return 0;
}

int nn_params_initialise(struct nn_params *params, uint64_t seed, struct error *error) {
  int64_t largest = 0;
  for (size_t i = 0; i < params->count; i++) {
    if (params->items[i]->count > largest) largest = params->items[i]->count;
  }
  float *values = malloc((size_t)(largest + 1) * sizeof *values);
  if (!values) return error_memory(error, (size_t)(largest + 1) * sizeof *values);
  int result = 0;
  for (size_t i = 0; i < params->count && result == 0; i++) {
    const struct nn_param *param = params->items[i];
    result = fill(param, seed, values, error);
    if (result == 0) result = nn_param_write(params, param, params->values, values, error);
  }
  free(values);
  return result;
}
