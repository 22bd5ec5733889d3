/* Small models for tests of weight files. Include after tests/test_support.h. */
#ifndef JIGSAW_TESTS_WEIGHTS_SUPPORT_H
#define JIGSAW_TESTS_WEIGHTS_SUPPORT_H

#include "nn/params.h"

/* The beginning of a ResNet and a classifier, all random, on the reference device. */
struct model {
  struct nn_device device;
  struct nn_params params;
};

static inline void fill_block(struct rng *rng, struct nn_params *params, float *block) {
  struct error error;
  for (size_t i = 0; i < params->count; i++) {
    const struct nn_param *param = params->items[i];
    float *values = malloc((size_t)param->count * sizeof *values);
    assert_non_null(values);
    for (int64_t j = 0; j < param->count; j++) {
      values[j] = param->role == NN_NORM_BATCHES ? (float)rng_below(rng, 1000) : (float)rng_range(rng, -1, 1);
    }
    assert_ok(nn_param_write(params, param, block, values, &error), error);
    free(values);
  }
}

static inline void model_open(struct model *model, struct rng *rng, int64_t classes, bool norm, bool training) {
  const struct {
    const char *name;
    enum nn_role role;
    int rank;
    int64_t dims[4];
    bool norm;
  } list[] = {
      {"conv1.weight", NN_WEIGHT, 4, {4, 3, 7, 7}, false},
      {"bn1.weight", NN_NORM_WEIGHT, 1, {4}, true},
      {"bn1.bias", NN_NORM_BIAS, 1, {4}, true},
      {"bn1.running_mean", NN_NORM_MEAN, 1, {4}, true},
      {"bn1.running_var", NN_NORM_VARIANCE, 1, {4}, true},
      {"bn1.num_batches_tracked", NN_NORM_BATCHES, 0, {0}, true},
      {"layer1.0.conv1.weight", NN_WEIGHT, 4, {5, 3, 3, 3}, false},
      {"fc.weight", NN_WEIGHT, 2, {classes, 5}, false},
      {"fc.bias", NN_BIAS, 1, {classes}, false},
  };
  struct error error;
  *model = (struct model){0};
  assert_ok(nn_device_open(&model->device, "ref", 1, &error), error);
  nn_params_init(&model->params);
  for (size_t i = 0; i < COUNT_OF(list); i++) {
    struct nn_initial initial = {NN_CONSTANT, 0};
    if (list[i].norm && !norm) continue;
    if (!nn_params_declare(&model->params, list[i].name, list[i].role, list[i].rank, list[i].dims, initial, &error)) {
      fail_msg("%s", error.message);
    }
  }
  assert_ok(nn_params_allocate(&model->params, &model->device, training, &error), error);
  if (!rng) return;
  fill_block(rng, &model->params, model->params.values);
  if (training) fill_block(rng, &model->params, model->params.momenta);
}

static inline void model_close(struct model *model) {
  nn_params_free(&model->params);
  nn_device_close(&model->device);
}

static inline float *model_values(const struct model *model, const struct nn_param *param, const float *block) {
  struct error error;
  float *values = malloc((size_t)param->count * sizeof *values);
  assert_non_null(values);
  assert_ok(nn_param_read(&model->params, param, block, values, &error), error);
  return values;
}

/* Whether a parameter of one model has the very bits of the one of this name in another. */
static inline bool same_values(const struct model *a, const float *block_a, const struct model *b, const float *block_b,
                               const char *name) {
  const struct nn_param *x = nn_params_find(&a->params, name), *y = nn_params_find(&b->params, name);
  if (x->count != y->count) return false;
  float *values_x = model_values(a, x, block_a), *values_y = model_values(b, y, block_b);
  bool same = memcmp(values_x, values_y, (size_t)x->count * sizeof *values_x) == 0;
  free(values_x);
  free(values_y);
  return same;
}

static inline void assert_same_values(const struct model *a, const float *block_a, const struct model *b,
                                      const float *block_b, bool trained_only) {
  for (size_t i = 0; i < a->params.count; i++) {
    const struct nn_param *param = a->params.items[i];
    if (trained_only && !param->trainable) continue;
    if (!same_values(a, block_a, b, block_b, param->name)) fail_msg("%s differs", param->name);
  }
}

#endif
