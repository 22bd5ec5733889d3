#include "nn/statistics.h"

#include <math.h>
#include <stdlib.h>

static bool is_statistic(const struct nn_param *param) {
  return param->role == NN_NORM_MEAN || param->role == NN_NORM_VARIANCE || param->role == NN_NORM_BATCHES;
}

/* Room for all running statistics; at least one float. */
static float *allocate(const struct nn_params *params, struct error *error) {
  size_t count = 1;
  for (size_t i = 0; i < params->count; i++) {
    if (is_statistic(params->items[i])) count += (size_t)params->items[i]->count;
  }
  float *values = calloc(count, sizeof *values);
  if (!values) error_memory(error, count * sizeof *values);
  return values;
}

/* All running statistics to `values`, or from there. */
static int move(struct nn_params *params, float *values, bool write, struct error *error) {
  for (size_t i = 0; i < params->count; i++) {
    const struct nn_param *param = params->items[i];
    if (!is_statistic(param)) continue;
    int result = write ? nn_param_write(params, param, params->values, values, error)
                       : nn_param_read(params, param, params->values, values, error);
    if (result) return -1;
    values += param->count;
  }
  return 0;
}

int nn_statistics_begin(struct nn_statistics *before, struct nn_params *params, struct error *error) {
  before->values = allocate(params, error);
  float *zeros = before->values ? allocate(params, error) : NULL;
  int result = zeros && move(params, before->values, false, error) == 0 ? move(params, zeros, true, error) : -1;
  free(zeros);
  if (result) nn_statistics_free(before);
  return result;
}

int nn_statistics_settle(struct nn_params *params, int64_t passes, struct error *error) {
  double weight = 1 - pow(1 - NN_NORM_MOMENTUM, (double)passes);
  float *values = allocate(params, error), *at = values;
  int result = values ? move(params, values, false, error) : -1;
  for (size_t i = 0; result == 0 && i < params->count; i++) {
    const struct nn_param *param = params->items[i];
    bool sum = param->role == NN_NORM_MEAN || param->role == NN_NORM_VARIANCE;
    for (int64_t k = 0; sum && k < param->count; k++) {
      at[k] = (float)(at[k] / weight);
    }
    if (is_statistic(param)) at += param->count;
  }
  if (result == 0) result = move(params, values, true, error);
  free(values);
  return result;
}

int nn_statistics_restore(struct nn_statistics *before, struct nn_params *params, struct error *error) {
  int result = move(params, before->values, true, error);
  nn_statistics_free(before);
  return result;
}

void nn_statistics_free(struct nn_statistics *before) {
  free(before->values);
  before->values = NULL;
}
