/* Calibrated running statistics are the data's, and calibration leaves no trace. */
#include "nn/statistics.h"

#include <math.h>

#include "nn/program.h"
#include "tests/test_support.h"

enum { BATCH = 3, SIZE = 5, CHANNELS = 4, VALUES = BATCH * SIZE * SIZE * CHANNELS };

struct network {
  struct nn_device device;
  struct nn_params params;
  struct nn_graph *graph;
  struct nn_workspace workspace;
  struct nn_program *program;
};

static void open_network(struct network *network, const char *device) {
  struct error error = {0};
  struct nn_input_shape shape = {"x", {BATCH, SIZE, SIZE, CHANNELS}};
  struct nn_compile_options options = {.precision = NN_F32, .training = true, .shapes = &shape, .shape_count = 1};
  assert_ok(nn_device_open(&network->device, device, 0, &error), error);
  nn_params_init(&network->params);
  nn_workspace_init(&network->workspace, &network->device);
  network->graph = nn_graph_create(&network->params);
  assert_non_null(network->graph);
  int x = nn_input(network->graph, "x", NN_ACTIVATION, CHANNELS);
  nn_output(network->graph, nn_batch_norm(network->graph, x, "bn", NN_NORM_BATCH), "y");
  assert_ok(nn_params_allocate(&network->params, &network->device, false, &error), error);
  assert_ok(nn_params_initialise(&network->params, 0, &error), error);
  assert_ok(nn_compile(&network->program, network->graph, &network->workspace, &options, &error), error);
}

static void close_network(struct network *network) {
  nn_program_free(network->program);
  nn_graph_free(network->graph);
  nn_workspace_free(&network->workspace);
  nn_params_free(&network->params);
  nn_device_close(&network->device);
}

static void read_values(const struct network *network, const char *name, float values[CHANNELS]) {
  struct error error = {0};
  const struct nn_param *param = nn_params_find(&network->params, name);
  assert_ok(nn_param_read(&network->params, param, network->params.values, values, &error), error);
}

static void run(struct network *network, struct rng *rng, float *x) {
  struct error error = {0};
  for (int i = 0; i < VALUES; i++) {
    x[i] = (float)rng_range(rng, i % CHANNELS - 3, 2 * i % CHANNELS);
  }
  assert_ok(nn_program_bind(network->program, "x", x, &error), error);
  assert_ok(nn_program_forward(network->program, &error), error);
}

/* Adds a batch's mean and unbiased variance of each channel, with a weight. */
static void add_moments(const float *x, double weight, double *means, double *variances) {
  const double count = VALUES / CHANNELS;
  for (int c = 0; c < CHANNELS; c++) {
    double sum = 0, squares = 0;
    for (int i = c; i < VALUES; i += CHANNELS) {
      sum += x[i];
    }
    for (int i = c; i < VALUES; i += CHANNELS) {
      squares += (x[i] - sum / count) * (x[i] - sum / count);
    }
    means[c] += weight * sum / count;
    variances[c] += weight * squares / (count - 1);
  }
}

static void check(const char *device, int passes, struct rng *rng) {
  struct network network;
  struct nn_statistics before = {0};
  struct error error = {0};
  float x[VALUES], mean[CHANNELS], variance[CHANNELS], batches[CHANNELS], values[CHANNELS];
  double means[CHANNELS] = {0}, variances[CHANNELS] = {0}, weights = 0;
  open_network(&network, device);
  run(&network, rng, x);
  read_values(&network, "bn.running_mean", mean);
  read_values(&network, "bn.running_var", variance);
  read_values(&network, "bn.num_batches_tracked", batches);
  assert_ok(nn_statistics_begin(&before, &network.params, &error), error);
  for (int pass = 0; pass < passes; pass++) {
    double weight = pow(1 - NN_NORM_MOMENTUM, passes - 1 - pass);
    run(&network, rng, x);
    add_moments(x, weight, means, variances);
    weights += weight;
  }
  assert_ok(nn_statistics_settle(&network.params, passes, &error), error);
  read_values(&network, "bn.running_mean", values);
  for (int c = 0; c < CHANNELS; c++) {
    assert_true(fabs(values[c] - means[c] / weights) <= 1e-5);
  }
  read_values(&network, "bn.running_var", values);
  for (int c = 0; c < CHANNELS; c++) {
    assert_true(fabs(values[c] - variances[c] / weights) <= 1e-5 * variances[c] / weights);
  }
  assert_ok(nn_statistics_restore(&before, &network.params, &error), error);
  assert_null(before.values);
  read_values(&network, "bn.running_mean", values);
  assert_memory_equal(values, mean, sizeof mean);
  read_values(&network, "bn.running_var", values);
  assert_memory_equal(values, variance, sizeof variance);
  read_values(&network, "bn.num_batches_tracked", values);
  assert_true(values[0] == batches[0] && values[0] == 1);
  close_network(&network);
}

static void test_calibration(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 0, 0);
  static const int PASSES[] = {1, 2, 7, 60};
  for (size_t i = 0; i < COUNT_OF(PASSES); i++) {
    check("ref", PASSES[i], &rng);
    check("cpu", PASSES[i], &rng);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_calibration)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
