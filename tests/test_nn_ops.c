/* Every operation: `ref` against finite differences of itself, the other backends against `ref`. */
#include "nn/backend.h"

#include "tests/test_support.h"

#include "tests/nn_support.h"

#include "tests/nn_cases.h"

static void open_device(struct nn_device *device, const char *name, int threads) {
  struct error error;
  assert_ok(nn_device_open(device, name, threads, &error), error);
}

/* ---- finite differences ---- */

/* The scalar whose gradient is looked at: the sum of outputs, weighted by the gradient that the backward step gets. */
static double objective(struct op_instance *forward, const double *weights) {
  const struct nn_operand *y = forward->step.out[NN_Y];
  const float *values = y->data;
  double sum = 0;
  op_run(forward);
  for (int64_t i = 0; i < nn_count(y->shape); i++)
    sum += weights[i] * values[i];
  return sum;
}

/* The central difference of fourth order. */
static double difference(struct op_instance *forward, const double *weights, float *element, double h) {
  float start = *element;
  double sides[4];
  for (int i = 0; i < 4; i++) {
    static const int STEPS[] = {-2, -1, 1, 2};
    *element = (float)(start + STEPS[i] * h);
    sides[i] = objective(forward, weights);
  }
  *element = start;
  return (8 * (sides[2] - sides[1]) - (sides[3] - sides[0])) / (12 * h);
}

/* ReLUs and max pools are differentiable near the data, but not far. */
static void check_differences(struct op_instance *forward, const double *weights, float *elements,
                              const float *gradient, int64_t count, const char *name) {
  bool kinks = forward->step.relu || forward->step.op == NN_OP_MAX_POOL || forward->step.op == NN_OP_RELU;
  double h = kinks ? 2e-3 : 2e-2, bound = kinks ? 2e-3 : 3e-4, largest = 1;
  for (int64_t i = 0; i < count; i++)
    largest = fmax(largest, fabs((double)gradient[i]));
  for (int64_t i = 0; i < count; i++) {
    double expected = difference(forward, weights, &elements[i], h);
    if (fabs(gradient[i] - expected) <= bound * largest) continue;
    char text[1024];
    case_describe(forward->from, forward, text);
    fail_msg("%s: gradient %lld of %s is %.9g, not %.9g", text, (long long)i, name, (double)gradient[i], expected);
  }
}

static void check_param_differences(struct op_instance *forward, const struct op_instance *backward,
                                    const double *weights) {
  bool conv = backward->step.op == NN_OP_CONV_BACKWARD_WEIGHTS, norm = backward->step.op == NN_OP_NORM_BACKWARD;
  for (int i = conv ? WEIGHT : GAMMA; i <= (conv ? BIAS : BETA) && (conv || norm); i++) {
    const struct case_param *param = &backward->from->params[i];
    if (!param->present || !param->trainable) continue;
    float *gradient = backward->params.gradients + backward->items[i]->offset;
    for (int64_t k = 0; k < param->count && backward->step.accumulate; k++)
      gradient[k] -= param->gradient[k];
    check_differences(forward, weights, forward->params.values + forward->items[i]->offset, gradient, param->count,
                      CASE_PARAM_NAMES[i]);
  }
}

static void check_backward(const struct op_case *c, struct op_case *forward_case, struct nn_device *ref) {
  struct op_instance backward, forward;
  const float *dy2 = c->operands[IN][NN_DY2].present ? c->operands[IN][NN_DY2].values : NULL;
  int64_t count = nn_count(forward_case->operands[OUT][NN_Y].shape);
  double *weights = calloc((size_t)count, sizeof *weights);
  assert_non_null(weights);
  for (int64_t i = 0; i < count; i++) {
    weights[i] = c->step.op == NN_OP_CROSS_ENTROPY ? 1 : c->operands[IN][NN_DY].values[i] + (dy2 ? dy2[i] : 0);
    if (c->step.op == NN_OP_COPY_OUT) forward_case->operands[OUT][NN_Y].values[i] = 0;
  }
  op_open(&backward, c, ref, false);
  op_open(&forward, forward_case, ref, true);
  op_fill(&backward);
  op_fill(&forward);
  op_run(&backward);
  const struct nn_operand *x = forward.step.in[NN_X], *addend = forward.step.in[NN_ADDEND];
  const struct nn_operand *dx = backward.step.out[NN_DX], *daddend = backward.step.out[NN_DADDEND];
  if (dx) check_differences(&forward, weights, x->data, dx->data, nn_count(x->shape), "X");
  if (daddend) check_differences(&forward, weights, addend->data, daddend->data, nn_count(x->shape), "ADDEND");
  check_param_differences(&forward, &backward, weights);
  op_close(&backward);
  op_close(&forward);
  free(weights);
}

static void test_finite_differences(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct nn_device ref;
  open_device(&ref, "ref", 1);
  for (int op = 0; op < NN_OPS; op++) {
    if (!is_backward(op) && op != NN_OP_CROSS_ENTROPY) continue;
    for (uint64_t round = 0; round < 100; round++) {
      struct rng rng;
      rng_init(&rng, seed, RNG_TEST, (uint32_t)op, round);
      struct case_maker maker = {&rng, &ref, NN_F32, true};
      struct op_case c, forward;
      case_make(&c, op, &maker);
      case_draw(&c, &forward, &maker);
      check_backward(&c, op == NN_OP_CROSS_ENTROPY ? &c : &forward, &ref);
      case_free(&c);
      case_free(&forward);
    }
  }
  nn_device_close(&ref);
}

/* ---- known answers, computed in double by PyTorch ---- */

static void fill_values(float *values, int64_t count, int k) {
  for (int64_t i = 0; i < count; i++)
    values[i] = (float)(i * (37 + 2 * k) % 23 - 11) / 8;
}

static double digest(const float *values, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++)
    sum += (double)(i * 7 % 11 - 5) * values[i];
  return sum;
}

static void known_input(struct op_case *c, int slot, struct nn_shape shape, int k) {
  struct case_operand *operand = case_use(c, IN, slot, shape, slot == NN_LABEL ? NN_I32 : NN_F32, 1);
  fill_values(operand->values, nn_count(shape), k);
}

static void known_norm(struct op_case *c, int64_t channels) {
  c->normed = true;
  c->norm.eps = 1e-5;
  c->norm.momentum = 0.1;
  for (int i = GAMMA; i <= VARIANCE; i++) {
    case_param(c, i, 1, &channels, 1);
    fill_values(c->params[i].values, channels, i + 1);
  }
  for (int64_t i = 0; i < channels; i++)
    c->params[VARIANCE].values[i] = c->params[VARIANCE].values[i] * c->params[VARIANCE].values[i] + 0.5f;
  case_param(c, BATCHES, 0, NULL, 1);
  c->params[BATCHES].values[0] = 41;
}

static void known_conv(struct op_case *c, struct nn_shape x, struct nn_shape y, struct nn_conv conv, bool bias) {
  *c = (struct op_case){.step = {.op = NN_OP_CONV, .name = "known", .conv = conv}};
  known_input(c, NN_X, x, 0);
  case_param(c, WEIGHT, 4, (int64_t[]){conv.out, x.c / conv.groups, conv.kernel, conv.kernel}, 1);
  fill_values(c->params[WEIGHT].values, c->params[WEIGHT].count, 1);
  if (bias) {
    case_param(c, BIAS, 1, &conv.out, 1);
    fill_values(c->params[BIAS].values, conv.out, 2);
  }
  case_use(c, OUT, NN_Y, y, NN_F32, 1);
}

static void known_map(struct op_case *c, enum nn_op op, struct nn_shape y) {
  *c = (struct op_case){.step = {.op = op, .name = "known", .pool = {3, 2, 1}, .training = true}};
  known_input(c, NN_X, (struct nn_shape){2, 3, 4, 6}, 0);
  case_use(c, OUT, NN_Y, y, NN_F32, 1);
}

static void expect_known(struct op_case *c, double expected, const double running[3]) {
  struct nn_device ref;
  struct op_instance instance;
  open_device(&ref, "ref", 1);
  op_open(&instance, c, &ref, true);
  op_fill(&instance);
  op_run(&instance);
  struct case_operand *y = &c->operands[OUT][NN_Y];
  op_output(&instance, NN_Y, y->values);
  double found = digest(y->values, nn_count(y->shape));
  if (!(fabs(found - expected) <= 1e-4)) fail_msg("%s: %.9g, not %.9g", nn_op_name(c->step.op), found, expected);
  for (int i = 0; running && i < 3; i++) {
    const struct nn_param *param = instance.items[MEAN + i];
    found = digest(instance.params.values + param->offset, param->count);
    if (!(fabs(found - running[i]) <= 1e-5)) fail_msg("%s: %.9g, not %.9g", param->name, found, running[i]);
  }
  op_close(&instance);
  nn_device_close(&ref);
  case_free(c);
}

static void test_known_answers(void **state) {
  (void)state;
  struct op_case c;
  known_conv(&c, (struct nn_shape){2, 5, 6, 4}, (struct nn_shape){2, 2, 2, 6},
             (struct nn_conv){.out = 6, .kernel = 3, .stride = 2, .pad = 1, .dilation = 2, .groups = 2}, true);
  known_norm(&c, 6);
  c.norm.kind = NN_NORM_FROZEN;
  c.step.relu = true;
  known_input(&c, NN_ADDEND, c.operands[OUT][NN_Y].shape, 7);
  expect_known(&c, -19.440918812510287, NULL);
  known_conv(&c, (struct nn_shape){1, 7, 4, 3}, (struct nn_shape){1, 6, 3, 5},
             (struct nn_conv){.out = 5, .kernel = 2, .stride = 1, .pad = 0, .dilation = 1, .groups = 1}, false);
  expect_known(&c, 61.984375, NULL);
  const struct nn_shape whole = {2, 3, 4, 6}, half = {2, 2, 2, 6};
  known_map(&c, NN_OP_NORM, whole);
  known_norm(&c, 6);
  c.norm.kind = NN_NORM_BATCH;
  expect_known(&c, -38.454962456513684, (double[]){2.773958333333333, -8.869661458333336, -5 * 42});
  known_map(&c, NN_OP_NORM, whole);
  known_norm(&c, 6);
  c.norm.kind = NN_NORM_GROUP;
  c.norm.groups = 3;
  expect_known(&c, -41.25441173485494, NULL);
  known_map(&c, NN_OP_MAX_POOL, half);
  expect_known(&c, -5.875, NULL);
  known_map(&c, NN_OP_AVERAGE_POOL, half);
  expect_known(&c, -2.458333333333334, NULL);
  known_map(&c, NN_OP_UPSAMPLE, (struct nn_shape){2, 7, 5, 6});
  expect_known(&c, 19.125, NULL);
  c = (struct op_case){.step = {.op = NN_OP_CROSS_ENTROPY, .name = "known"}};
  known_input(&c, NN_X, (struct nn_shape){2, 2, 2, 4}, 0);
  known_input(&c, NN_LABEL, (struct nn_shape){2, 1, 1, 2}, 0);
  known_input(&c, NN_MIX, (struct nn_shape){2, 2, 2, 2}, 8);
  known_input(&c, NN_SCALE, (struct nn_shape){1, 2, 2, 1}, 9);
  memcpy(c.operands[IN][NN_LABEL].values, (float[]){0, 3, -1, 2}, 4 * sizeof(float));
  for (int i = 0; i < 16; i++)
    c.operands[IN][NN_MIX].values[i] = fabsf(c.operands[IN][NN_MIX].values[i]);
  for (int i = 0; i < 4; i++)
    c.operands[IN][NN_SCALE].values[i] = fabsf(c.operands[IN][NN_SCALE].values[i]);
  case_use(&c, OUT, NN_Y, (struct nn_shape){1, 1, 1, 1}, NN_F32, 1);
  expect_known(&c, -34.701247861691705, NULL);
}

/* Four values that all are the largest: the first place that is no padding wins. */
static void test_first_of_equals(void **state) {
  (void)state;
  struct op_case c;
  struct nn_device ref;
  struct op_instance instance;
  float places[48];
  static const float EXPECTED[] = {4, 3, 1, 0}; /* corners: row * 3 + column */
  open_device(&ref, "ref", 1);
  known_map(&c, NN_OP_MAX_POOL, (struct nn_shape){2, 2, 2, 6});
  memset(c.operands[IN][NN_X].values, 0, 2 * 3 * 4 * 6 * sizeof(float));
  case_use(&c, OUT, NN_SAVED, (struct nn_shape){2, 2, 2, 6}, NN_U8, 1);
  op_open(&instance, &c, &ref, true);
  op_fill(&instance);
  op_run(&instance);
  op_output(&instance, NN_SAVED, places);
  for (int i = 0; i < 48; i++)
    assert_true(places[i] == EXPECTED[i / 6 % 4]);
  op_close(&instance);
  case_free(&c);
  nn_device_close(&ref);
}

/* ---- copies ---- */

/* Repeats every image of what the forward pass saved. */
static void repeat(struct op_case *c, int slot, int64_t copies) {
  struct case_operand *operand = &c->operands[IN][slot];
  if (!operand->present || (slot == NN_SAVED && operand->shape.n == 1 && c->norm.kind == NN_NORM_BATCH)) return;
  int64_t image = nn_count(operand->shape) / operand->shape.n;
  float *values = case_floats(c, nn_count(operand->shape) * copies);
  for (int64_t i = 0; i < nn_count(operand->shape) * copies; i++)
    values[i] = operand->values[i / image / copies * image + i % image];
  operand->values = values;
  operand->shape.n *= copies;
}

static void test_copies(void **state) {
  (void)state;
  static const struct {
    enum nn_op op;
    int saved;
  } OPS[] = {{NN_OP_NORM_BACKWARD, NN_X}, {NN_OP_RELU_BACKWARD, NN_Y}, {NN_OP_MAX_POOL_BACKWARD, NN_SAVED}};
  uint64_t seed = test_seed();
  int with_copies = 0;
  struct nn_device ref;
  open_device(&ref, "ref", 1);
  for (uint64_t round = 0; round < 150; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 100, round);
    struct case_maker maker = {&rng, &ref, NN_F32, false};
    struct op_case c, forward, repeated;
    struct op_instance instance, reference;
    case_make(&c, OPS[round % COUNT_OF(OPS)].op, &maker);
    case_draw(&c, &forward, &maker);
    int64_t copies = c.operands[IN][NN_DY].shape.n / c.operands[IN][OPS[round % COUNT_OF(OPS)].saved].shape.n;
    with_copies += copies > 1;
    repeated = c;
    repeated.arena = (struct arena){0};
    repeat(&repeated, NN_X, copies);
    repeat(&repeated, NN_Y, copies);
    repeat(&repeated, NN_SAVED, copies);
    op_open(&instance, &c, &ref, false);
    op_open(&reference, &repeated, &ref, true);
    op_fill(&instance);
    op_fill(&reference);
    op_run(&instance);
    op_run(&reference);
    compare_output(&instance, &reference, NN_DX);
    if (c.operands[OUT][NN_DADDEND].present) compare_output(&instance, &reference, NN_DADDEND);
    compare_params(&instance, &reference);
    op_close(&instance);
    op_close(&reference);
    case_free(&c);
    case_free(&forward);
    case_free(&repeated);
  }
  assert_true(with_copies > 15);
  nn_device_close(&ref);
}

/* ---- a backend against ref ---- */

/* Twice, with other data in other memory: a step is prepared once and run many times. */
static void compare_case(struct op_case *c, const struct case_maker *maker, struct nn_device *device) {
  struct op_instance instance, reference;
  op_open(&instance, c, device, false);
  op_open(&reference, c, maker->ref, true);
  for (int run = 0; run < 2; run++) {
    struct op_case forward;
    case_draw(c, &forward, maker);
    op_fill(&instance);
    op_fill(&reference);
    op_run(&instance);
    op_run(&reference);
    check_untouched(&instance);
    for (int slot = 0; slot < NN_SLOTS; slot++) {
      if (c->operands[OUT][slot].present) compare_output(&instance, &reference, slot);
    }
    compare_params(&instance, &reference);
    case_free(&forward);
  }
  op_close(&instance);
  op_close(&reference);
}

static void compare_backend(const char *name, int threads, enum nn_dtype precision, uint64_t rounds) {
  uint64_t seed = test_seed();
  struct nn_device ref, device;
  struct error error;
  open_device(&ref, "ref", 1);
  open_device(&device, name, threads);
  bool supported = nn_device_supports(&device, precision, &error) == 0;
  if (!supported) printf("skipped: %s\n", error.message);
  const char *only = getenv("JIGSAW_TEST_OP"); /* the name of one operation */
  for (int op = 0; op < NN_OPS && supported; op++) {
    if (only && strcmp(only, nn_op_name(op)) != 0) continue;
    for (uint64_t round = 0; round < rounds; round++) {
      struct rng rng;
      rng_init(&rng, seed, RNG_TEST, 1000 + (uint32_t)op, round);
      struct case_maker maker = {&rng, &ref, precision, false};
      struct op_case c;
      case_make(&c, op, &maker);
      compare_case(&c, &maker, &device);
      case_free(&c);
    }
  }
  nn_device_close(&device);
  nn_device_close(&ref);
  if (!supported) skip();
}

static void test_ref_itself(void **state) { /* overlays, guards and parameters are the same for it */
  (void)state;
  compare_backend("ref", 1, NN_F32, 20);
}

static void test_cpu_f32(void **state) {
  (void)state;
  compare_backend("cpu", 0, NN_F32, 60);
}

static void test_cpu_bf16(void **state) {
  (void)state;
  compare_backend("cpu", 0, NN_BF16, 60);
}

static void test_cpu_one_thread(void **state) {
  (void)state;
  compare_backend("cpu", 1, NN_F32, 10);
}

/* ---- NaN ---- */

static void check_nan(struct nn_device *device, struct nn_device *ref, enum nn_op op, enum nn_dtype precision,
                      struct rng *rng) {
  struct case_maker maker = {rng, ref, precision, false};
  struct op_case c, forward;
  struct op_instance instance;
  case_make(&c, op, &maker);
  case_draw(&c, &forward, &maker);
  struct case_operand *x = &c.operands[IN][NN_X], *y = &c.operands[OUT][NN_Y];
  int64_t count = nn_count(x->shape), at = (int64_t)rng_below(rng, (uint64_t)count);
  x->values[at] = NAN;
  op_open(&instance, &c, device, false);
  op_fill(&instance);
  op_run(&instance);
  op_output(&instance, NN_Y, y->values);
  for (int64_t i = 0; i < count; i++) {
    if (isnan(y->values[i]) != (i == at)) fail_msg("%s: NaN at %lld", nn_op_name(op), (long long)i);
  }
  op_close(&instance);
  case_free(&c);
  case_free(&forward);
}

static void test_nan_stays(void **state) {
  (void)state;
  static const char *const NAMES[] = {"ref", "cpu"};
  uint64_t seed = test_seed();
  struct nn_device ref, device;
  struct error error;
  open_device(&ref, "ref", 1);
  for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
    open_device(&device, NAMES[i], 0);
    for (uint64_t round = 0; round < 40; round++) {
      struct rng rng;
      rng_init(&rng, seed, RNG_TEST, 200, round);
      enum nn_dtype precision = nn_device_supports(&device, NN_BF16, &error) == 0 && round % 2 ? NN_BF16 : NN_F32;
      check_nan(&device, &ref, NN_OP_RELU, precision, &rng);
      check_nan(&device, &ref, NN_OP_ADD, precision, &rng);
    }
    nn_device_close(&device);
  }
  nn_device_close(&ref);
}

/* ---- the optimizer's two ---- */

enum { VALUE, GRADIENT, MOMENTUM, BLOCKS };

static void sgd_expected(const struct nn_sgd *sgd, const float *before[BLOCKS], int64_t i, double expected[BLOCKS]) {
  double g = sgd->gradient_scale * before[GRADIENT][i] + sgd->weight_decay * before[VALUE][i];
  expected[GRADIENT] = before[GRADIENT][i];
  expected[MOMENTUM] = sgd->mu * before[MOMENTUM][i] + g;
  double step = sgd->nesterov ? g + sgd->mu * expected[MOMENTUM] : expected[MOMENTUM];
  expected[VALUE] = before[VALUE][i] - sgd->lr * step;
}

static void check_sgd(struct nn_device *device, int64_t count, struct rng *rng) {
  struct nn_sgd sgd = {rng_range(rng, 0, 1), rng_range(rng, 0, 1), rng_range(rng, 0, 0.1), rng_range(rng, 0, 2),
                       rng_u32(rng) % 2};
  struct guarded blocks[BLOCKS];
  const float *before[BLOCKS];
  float *at[BLOCKS], *found[BLOCKS];
  struct error error;
  for (int b = 0; b < BLOCKS; b++) {
    blocks[b] = guarded_new(device, (size_t)count * sizeof(float), 0);
    float *values = (float *)(void *)(blocks[b].host + GUARD);
    for (int64_t i = 0; i < count; i++)
      values[i] = (float)rng_range(rng, -1, 1);
    before[b] = values;
    at[b] = (float *)(void *)(blocks[b].block + GUARD);
    found[b] = malloc((size_t)count * sizeof(float) + 1);
    assert_non_null(found[b]);
    assert_ok(nn_device_upload(device, at[b], values, blocks[b].size, &error), error);
  }
  assert_ok(device->backend->sgd(device, &sgd, at[VALUE], at[GRADIENT], at[MOMENTUM], count, &error), error);
  for (int b = 0; b < BLOCKS; b++)
    guarded_check(device, &blocks[b], b == GRADIENT, "sgd", found[b]);
  for (int64_t i = 0; i < count; i++) {
    double expected[BLOCKS];
    sgd_expected(&sgd, before, i, expected);
    for (int b = 0; b < BLOCKS; b++) {
      if (fabs(found[b][i] - expected[b]) <= 1e-6 * (1 + fabs(expected[b]))) continue;
      fail_msg("sgd on %s: block %d, element %lld of %lld is %.9g, not %.9g", device->backend->name, b, (long long)i,
               (long long)count, (double)found[b][i], expected[b]);
    }
  }
  for (int b = 0; b < BLOCKS; b++) {
    guarded_free(device, &blocks[b]);
    free(found[b]);
  }
}

static double square_sum(struct nn_device *device, const float *values, int64_t count) {
  struct error error;
  double sum = NAN;
  struct guarded memory = guarded_new(device, (size_t)count * sizeof *values, 0);
  float *at = (float *)(void *)(memory.block + GUARD);
  assert_ok(nn_device_upload(device, at, values, memory.size, &error), error);
  assert_ok(device->backend->square_sum(device, at, count, &sum, &error), error);
  guarded_free(device, &memory);
  return sum;
}

/* Whatever the number of threads. */
static void check_square_sum(struct nn_device *devices[2], int64_t count, struct rng *rng) {
  double expected = 0;
  float *values = malloc((size_t)count * sizeof *values + 1);
  assert_non_null(values);
  for (int64_t i = 0; i < count; i++) {
    values[i] = (float)rng_range(rng, -1, 1);
    expected += (double)values[i] * values[i];
  }
  double sum = square_sum(devices[0], values, count), again = square_sum(devices[1], values, count);
  if (!(fabs(sum - expected) <= 1e-12 * expected * (double)(count + 1))) {
    fail_msg("the sum of %lld squares is %.17g, not %.17g", (long long)count, sum, expected);
  }
  assert_memory_equal(&sum, &again, sizeof sum);
  free(values);
}

static void test_optimizer_functions(void **state) {
  (void)state;
  static const char *const NAMES[] = {"ref", "cpu"};
  static const int64_t COUNTS[] = {1, 2, 15, 16, 17, 100, 1023, 4096, 70001, 200000};
  uint64_t seed = test_seed();
  for (size_t i = 0; i < COUNT_OF(NAMES); i++) {
    struct nn_device one, all;
    struct nn_device *devices[] = {&one, &all};
    open_device(&one, NAMES[i], 1);
    open_device(&all, NAMES[i], 3);
    for (size_t k = 0; k < COUNT_OF(COUNTS); k++) {
      struct rng rng;
      rng_init(&rng, seed, RNG_TEST, 300, k);
      check_sgd(&all, COUNTS[k], &rng);
      check_square_sum(devices, COUNTS[k], &rng);
    }
    nn_device_close(&one);
    nn_device_close(&all);
  }
}

/* ---- what ref refuses ---- */

/* Types that operations cannot have, and labels that are no class. */
static void test_refused_by_ref(void **state) {
  (void)state;
  struct rng rng;
  struct nn_device ref;
  struct error error;
  struct op_case c, forward;
  struct op_instance instance;
  rng_init(&rng, test_seed(), RNG_TEST, 500, 0);
  open_device(&ref, "ref", 1);
  assert_int_not_equal(nn_device_supports(&ref, NN_BF16, &error), 0);
  struct case_maker maker = {&rng, &ref, NN_F32, false};
  case_make(&c, NN_OP_RELU, &maker);
  op_open(&instance, &c, &ref, true);
  instance.operands[IN][NN_X].dtype = instance.operands[OUT][NN_Y].dtype = NN_BF16;
  assert_int_not_equal(ref.backend->supports(&ref, &instance.step, &error), 0);
  assert_non_null(strstr(error.message, "bf16"));
  op_close(&instance);
  case_free(&c);
  case_make(&c, NN_OP_CROSS_ENTROPY, &maker);
  case_draw(&c, &forward, &maker);
  c.operands[IN][NN_LABEL].values[0] = (float)c.operands[IN][NN_X].shape.c;
  op_open(&instance, &c, &ref, true);
  op_fill(&instance);
  assert_int_not_equal(ref.backend->run(&ref, &instance.step, NULL, &error), 0);
  assert_non_null(strstr(error.message, "label"));
  op_close(&instance);
  case_free(&c);
  nn_device_close(&ref);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_answers),
      cmocka_unit_test(test_first_of_equals),
      cmocka_unit_test(test_finite_differences),
      cmocka_unit_test(test_copies),
      cmocka_unit_test(test_refused_by_ref),
      cmocka_unit_test(test_ref_itself),
      cmocka_unit_test(test_nan_stays),
      cmocka_unit_test(test_cpu_f32),
      cmocka_unit_test(test_cpu_bf16),
      cmocka_unit_test(test_cpu_one_thread),
      cmocka_unit_test(test_optimizer_functions),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
