#include <math.h>

#include "core/base/base.h"
#include "nn/backend.h"
#include "nn/optimizer.h"
#include "test_support.h"

static const char *const DEVICES[] = {"ref", "cpu"};

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

/* ---- SGD --------------------------------------------------------------------------------------------------------- */

/* A model of nothing but parameters, and what it should be, in double. */
struct model {
  struct nn_device device;
  struct nn_params params;
  double *values, *gradients, *momenta; /* by offset */
};

static double random_float(struct rng *rng) {
  return (float)rng_range(rng, -1, 1);
}

/* Uploads one block of a parameter from the model in double. */
static void write_block(struct model *model, const struct nn_param *param, float *block, const double *from) {
  struct error error;
  float *host = malloc((size_t)param->count * sizeof *host);
  assert_non_null(host);
  for (int64_t i = 0; i < param->count; i++) {
    host[i] = (float)from[param->offset + i];
  }
  assert_ok(nn_param_write(&model->params, param, block, host, &error), error);
  free(host);
}

/* Gradients of what is not trained are NaN: nobody may read them. */
static void set_gradients(struct model *model, struct rng *rng, double size) {
  for (size_t i = 0; i < model->params.count; i++) {
    const struct nn_param *param = model->params.items[i];
    for (int64_t k = 0; k < param->count; k++) {
      model->gradients[param->offset + k] = param->trainable ? (float)(size * random_float(rng)) : NAN;
    }
    write_block(model, param, model->params.gradients, model->gradients);
    model->params.items[i]->has_gradient = true;
  }
}

static void open_model(struct model *model, const char *device, struct rng *rng) {
  struct error error;
  nn_params_init(&model->params);
  assert_ok(nn_device_open(&model->device, device, 1 + below(rng, 3), &error), error);
  int count = 1 + below(rng, 40);
  for (int i = 0; i < count; i++) {
    char name[32];
    enum nn_role role = below(rng, NN_NORM_BATCHES + 1);
    int64_t dims[] = {1 + below(rng, 300), 1 + below(rng, 50)};
    int rank = role == NN_NORM_BATCHES ? 0 : role == NN_WEIGHT ? 2 : 1;
    snprintf(name, sizeof name, "parameter%d", i);
    struct nn_param *param =
        nn_params_declare(&model->params, name, role, rank, dims, (struct nn_initial){NN_CONSTANT, 0}, &error);
    assert_non_null(param);
    if (below(rng, 6) == 0) param->trainable = false;
  }
  assert_ok(nn_params_allocate(&model->params, &model->device, true, &error), error);
  size_t elements = (size_t)model->params.elements;
  model->values = calloc(elements, sizeof(double));
  model->gradients = calloc(elements, sizeof(double));
  model->momenta = calloc(elements, sizeof(double));
  assert_true(model->values && model->gradients && model->momenta);
  for (size_t i = 0; i < model->params.count; i++) {
    const struct nn_param *param = model->params.items[i];
    for (int64_t k = 0; k < param->count; k++) {
      model->values[param->offset + k] = random_float(rng);
    }
    write_block(model, param, model->params.values, model->values);
  }
}

static void close_model(struct model *model) {
  nn_params_free(&model->params);
  nn_device_close(&model->device);
  free(model->values);
  free(model->gradients);
  free(model->momenta);
}

static double expected_norm(const struct model *model) {
  double sum = 0;
  for (size_t i = 0; i < model->params.count; i++) {
    const struct nn_param *param = model->params.items[i];
    for (int64_t k = 0; param->trainable && k < param->count; k++) {
      sum += model->gradients[param->offset + k] * model->gradients[param->offset + k];
    }
  }
  return sqrt(sum);
}

/* torch.optim.SGD's documentation, line by line. */
static void expected_step(struct model *model, const struct nn_sgd_options *options, double lr) {
  double coefficient = options->clip > 0 ? fmin(1, options->clip / (expected_norm(model) + 1e-6)) : 1;
  for (size_t i = 0; i < model->params.count; i++) {
    const struct nn_param *param = model->params.items[i];
    bool decays = options->decay_all || param->role == NN_WEIGHT;
    for (int64_t k = param->offset; param->trainable && k < param->offset + param->count; k++) {
      double g = coefficient * model->gradients[k];
      if (decays) g += options->weight_decay * model->values[k];
      model->momenta[k] = options->momentum * model->momenta[k] + g;
      model->values[k] -= lr * (options->nesterov ? g + options->momentum * model->momenta[k] : model->momenta[k]);
    }
  }
}

/* Values and momenta stay near 1 in size, so that a few roundings to float32 make less than 1e-5. */
static void check_block(const struct model *model, const struct nn_param *param, const float *block,
                        const double *expected) {
  struct error error;
  float *host = malloc((size_t)param->count * sizeof *host);
  assert_non_null(host);
  assert_ok(nn_param_read(&model->params, param, block, host, &error), error);
  for (int64_t i = 0; i < param->count; i++) {
    double wanted = expected[param->offset + i];
    if (!(fabs(host[i] - wanted) <= 1e-5)) fail_msg("%s[%lld]: %g, not %g", param->name, (long long)i, host[i], wanted);
  }
  free(host);
}

static void check_model(const struct model *model) {
  for (size_t i = 0; i < model->params.count; i++) {
    const struct nn_param *param = model->params.items[i];
    check_block(model, param, model->params.values, model->values);
    check_block(model, param, model->params.momenta, model->momenta);
  }
}

static struct nn_sgd_options random_options(struct rng *rng) {
  return (struct nn_sgd_options){
      .momentum = below(rng, 4) ? rng_range(rng, 0, 0.95) : 0,
      .nesterov = below(rng, 2),
      .weight_decay = below(rng, 4) ? rng_range(rng, 0, 0.1) : 0,
      .decay_all = below(rng, 2),
      .clip = below(rng, 2) ? rng_range(rng, 0, 10) : 0,
  };
}

static void test_steps(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 60; round++) {
    struct rng rng;
    struct model model;
    struct error error;
    rng_init(&rng, seed, RNG_TEST, 1, round);
    open_model(&model, DEVICES[round % COUNT_OF(DEVICES)], &rng);
    struct nn_sgd_options options = random_options(&rng);
    for (int step = 0; step < 5; step++) {
      double lr = rng_range(&rng, 0, 0.2), norm = -1, *wanted = below(&rng, 2) ? &norm : NULL;
      uint64_t version = model.params.version;
      set_gradients(&model, &rng, exp(rng_range(&rng, -6, 0)));
      expected_step(&model, &options, lr);
      assert_ok(nn_sgd_step(&model.params, &options, lr, wanted, &error), error);
      assert_true(model.params.version != version);
      if (wanted) assert_true(fabs(norm - expected_norm(&model)) <= 1e-9 * norm);
      check_model(&model);
    }
    close_model(&model);
  }
}

/* One bad gradient: the step fails when it looks at the norm, and then leaves everything as it was. */
static void test_bad_gradient(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 20; round++) {
    struct rng rng;
    struct model model;
    struct error error = {0};
    rng_init(&rng, seed, RNG_TEST, 2, round);
    open_model(&model, DEVICES[round % COUNT_OF(DEVICES)], &rng);
    struct nn_sgd_options options = {.momentum = 0.9, .weight_decay = 0.1, .clip = below(&rng, 2)};
    set_gradients(&model, &rng, 1);
    const struct nn_param *param = model.params.items[below(&rng, (int)model.params.count)];
    model.gradients[param->offset + below(&rng, (int)param->count)] = round % 4 < 2 ? NAN : INFINITY;
    write_block(&model, param, model.params.gradients, model.gradients);
    uint64_t version = model.params.version;
    double norm;
    if (param->trainable) {
      assert_int_equal(nn_sgd_step(&model.params, &options, 0.1, &norm, &error), -1);
      assert_non_null(strstr(error.message, "norm"));
      assert_int_equal(model.params.version, version);
      check_model(&model);
    } else {
      assert_ok(nn_sgd_step(&model.params, &options, 0.1, &norm, &error), error);
    }
    close_model(&model);
  }
}

static void test_not_for_training(void **state) {
  (void)state;
  struct nn_device device;
  struct nn_params params;
  struct error error = {0};
  nn_params_init(&params);
  assert_ok(nn_device_open(&device, "ref", 1, &error), error);
  int64_t dims[] = {3};
  struct nn_initial zero = {NN_CONSTANT, 0};
  assert_non_null(nn_params_declare(&params, "bias", NN_BIAS, 1, dims, zero, &error));
  assert_ok(nn_params_allocate(&params, &device, false, &error), error);
  assert_int_equal(nn_sgd_step(&params, &(struct nn_sgd_options){.momentum = 0.9}, 0.1, NULL, &error), -1);
  assert_non_null(strstr(error.message, "training"));
  nn_params_free(&params);
  nn_device_close(&device);
}

/* ---- schedules --------------------------------------------------------------------------------------------------- */

static void assert_rate(const struct nn_schedule *schedule, int64_t iteration, double expected) {
  double rate = nn_schedule_rate(schedule, iteration);
  if (!(fabs(rate - expected) <= 1e-12 * fmax(schedule->base, schedule->start))) {
    fail_msg("iteration %lld: %g, not %g", (long long)iteration, rate, expected);
  }
}

/* The paper's: 0.2 -> 0.8 over 1,250 iterations, then cosine to 0 at 64,000. */
static void test_known_rates(void **state) {
  (void)state;
  struct nn_schedule cosine = {
      .kind = NN_SCHEDULE_COSINE, .start = 0.2, .base = 0.8, .warmup = 1250, .iterations = 64000};
  assert_rate(&cosine, 0, 0.2);
  assert_rate(&cosine, 625, 0.5);
  assert_rate(&cosine, 1250, 0.8);
  assert_rate(&cosine, 1250 + 62750 / 2, 0.4);
  assert_true(nn_schedule_rate(&cosine, 63999) > 0 && nn_schedule_rate(&cosine, 63999) < 1e-8);
  struct nn_schedule step = {.kind = NN_SCHEDULE_STEP,
                             .base = 0.02,
                             .warmup = 500,
                             .iterations = 90000,
                             .boundaries = {60000, 80000},
                             .boundary_count = 2,
                             .factor = 0.1};
  assert_rate(&step, 0, 0);
  assert_rate(&step, 250, 0.01);
  assert_rate(&step, 59999, 0.02);
  assert_rate(&step, 60000, 0.002);
  assert_rate(&step, 80000, 0.0002);
  assert_rate(&step, 89999, 0.0002);
}

static double direct_rate(const struct nn_schedule *s, int64_t i) {
  if (i < s->warmup) return (1 - (double)i / (double)s->warmup) * s->start + (double)i / (double)s->warmup * s->base;
  if (s->kind == NN_SCHEDULE_COSINE) {
    double turn = (double)(i - s->warmup) / (double)(s->iterations - s->warmup);
    return s->base * pow(cos(acos(-1) / 2 * turn), 2);
  }
  int passed = 0;
  for (int k = 0; k < s->boundary_count; k++) {
    passed += s->boundaries[k] <= i;
  }
  return s->base * pow(s->factor, passed);
}

static struct nn_schedule random_schedule(struct rng *rng) {
  struct nn_schedule schedule = {.kind = below(rng, 2),
                                 .start = rng_range(rng, 0, 1),
                                 .base = rng_range(rng, 0, 1),
                                 .iterations = 1 + below(rng, 1000),
                                 .factor = rng_range(rng, 0, 1.5)};
  schedule.warmup = below(rng, 3) ? below(rng, (int)schedule.iterations + 1) : 0;
  schedule.boundary_count = below(rng, (int)COUNT_OF(schedule.boundaries) + 1);
  for (int i = 0; i < schedule.boundary_count; i++) {
    int64_t before = i ? schedule.boundaries[i - 1] + 1 : schedule.warmup;
    schedule.boundaries[i] = before + below(rng, 200);
  }
  return schedule;
}

static void test_random_rates(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < 500; round++) {
    struct rng rng;
    struct error error;
    rng_init(&rng, seed, RNG_TEST, 3, round);
    struct nn_schedule schedule = random_schedule(&rng);
    assert_ok(nn_schedule_check(&schedule, &error), error);
    for (int64_t i = 0; i < schedule.iterations; i++) {
      assert_rate(&schedule, i, direct_rate(&schedule, i));
    }
  }
}

static void test_refused_schedules(void **state) {
  (void)state;
  struct nn_schedule good = {.kind = NN_SCHEDULE_STEP,
                             .base = 1,
                             .warmup = 10,
                             .iterations = 100,
                             .boundaries = {10, 50},
                             .boundary_count = 2,
                             .factor = 0.1};
  struct nn_schedule bad[16];
  int count = 0;
  struct error error;
  assert_ok(nn_schedule_check(&good, &error), error);
#define BAD(field, value) (bad[count] = good, bad[count++].field = (value))
  BAD(base, NAN);
  BAD(base, -1);
  BAD(start, INFINITY);
  BAD(start, -1e-9);
  BAD(warmup, -1);
  BAD(warmup, 101);
  BAD(iterations, 0);
  BAD(factor, NAN);
  BAD(factor, -0.1);
  BAD(boundary_count, -1);
  BAD(boundary_count, 9);
  BAD(boundaries[0], 9);
  BAD(boundaries[1], 10);
#undef BAD
  for (int i = 0; i < count; i++) {
    if (nn_schedule_check(&bad[i], &error) == 0) fail_msg("bad schedule %d is taken", i);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_steps),       cmocka_unit_test(test_bad_gradient), cmocka_unit_test(test_not_for_training),
      cmocka_unit_test(test_known_rates), cmocka_unit_test(test_random_rates), cmocka_unit_test(test_refused_schedules),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
