/* The cpu backend's norms against naive loops in double: statistics of either kind, copies of gradients, overlays,
 * large means, NaN and infinity. */
#include "nn/cpu/cpu.h"

#include <math.h>

#include "tests/test_support.h"

#include "tests/cpu_support.h"

/* ---- the layer, and its statistics ---- */

static void make_norm(struct bench *b, enum nn_norm kind, int64_t channels, int64_t groups) {
  static const char *const names[PARAMS] = {"gamma", "beta", "mean", "variance", "batches"};
  int64_t size = (channels + 15) / 16 * 16;
  b->params = (struct nn_params){.elements = PARAMS * size};
  b->params.values = calloc((size_t)(PARAMS * size), sizeof(float));
  b->params.gradients = calloc((size_t)(PARAMS * size), sizeof(float));
  assert_true(b->params.values && b->params.gradients);
  for (int i = 0; i < PARAMS; i++) {
    b->param[i] = (struct nn_param){.name = names[i], .count = i < 4 ? channels : 1, .offset = i * size};
    b->param[i].trainable = i < 2;
  }
  for (int64_t c = 0; c < channels; c++) {
    b->params.values[c] = (float)(1 + 0.5 * normal(&b->rng));
    b->params.values[size + c] = (float)normal(&b->rng);
    b->params.values[2 * size + c] = (float)normal(&b->rng);
    b->params.values[3 * size + c] = (float)rng_range(&b->rng, 0.1, 2);
    b->params.gradients[c] = (float)normal(&b->rng);
    b->params.gradients[size + c] = (float)normal(&b->rng);
  }
  bool group = kind == NN_NORM_GROUP;
  const struct nn_param *p = b->param;
  b->norm = (struct nn_norm_layer){
      kind, p, p + 1, group ? NULL : p + 2, group ? NULL : p + 3, group ? NULL : p + 4, groups, 1e-5, 0.1};
}

struct moments {
  double mean, variance, inverse;
};

/* Of everything that is normalised together with channel c of image n. */
static struct moments moments_of(const struct bench *b, const struct nn_operand *x, bool training, int64_t n,
                                 int64_t c) {
  struct nn_shape s = x->shape;
  int64_t cells = s.h * s.w, first = 0, last = s.n, low = c, high = c + 1;
  if (b->norm.kind == NN_NORM_FROZEN || (b->norm.kind == NN_NORM_BATCH && !training)) {
    double mean = nn_value(&b->params, b->norm.mean)[c], variance = nn_value(&b->params, b->norm.variance)[c];
    return (struct moments){mean, variance, 1 / sqrt(variance + 1e-5)};
  }
  if (b->norm.kind == NN_NORM_GROUP) {
    int64_t width = s.c / b->norm.groups;
    first = n, last = n + 1, low = c / width * width, high = low + width;
  }
  double sum = 0, square = 0, count = (double)((last - first) * cells * (high - low));
  for (int64_t row = first * cells; row < last * cells; row++) {
    for (int64_t k = low; k < high; k++)
      sum += get(x, row * s.c + k);
  }
  double mean = sum / count;
  for (int64_t row = first * cells; row < last * cells; row++) {
    for (int64_t k = low; k < high; k++)
      square += (get(x, row * s.c + k) - mean) * (get(x, row * s.c + k) - mean);
  }
  return (struct moments){mean, square / count, 1 / sqrt(square / count + 1e-5)};
}

static struct nn_operand *make_saved(struct bench *b, const struct nn_operand *x) {
  bool group = b->norm.kind == NN_NORM_GROUP;
  return make(b, NN_F32, group ? x->shape.n : 1, 1, 2, group ? b->norm.groups : x->shape.c);
}

static struct nn_operand *random_map(struct bench *b, int64_t *groups) {
  int64_t width = 1 + below(b, 7);
  *groups = 1 + below(b, 40);
  return activation(b, 1 + below(b, 9), 1 + below(b, 12), 2 + below(b, 12), width * *groups);
}

/* ---- forward ---- */

/* What the step shall compute of `x`. How far float32 may be from it: the mean is one, too. */
static double *expected_norm(const struct bench *b, const struct nn_step *step, const struct nn_operand *x,
                             double *size) {
  struct nn_shape s = x->shape;
  const struct nn_operand *addend = step->in[NN_ADDEND];
  int64_t image = s.h * s.w * s.c;
  double *expected = malloc((size_t)nn_count(s) * sizeof *expected);
  assert_non_null(expected);
  *size = 4;
  for (int64_t n = 0; n < s.n; n++) {
    for (int64_t c = 0; c < s.c; c++) {
      struct moments m = moments_of(b, x, step->training, n, c);
      double gamma = b->params.values[c], beta = b->params.values[b->param[1].offset + c];
      *size = fmax(*size, 0.2 * fabs(m.mean * gamma) * m.inverse);
      for (int64_t i = n * image + c; i < (n + 1) * image; i += s.c) {
        expected[i] = (get(x, i) - m.mean) * m.inverse * gamma + beta + (addend ? get(addend, i) : 0);
        if (step->relu && expected[i] <= 0) expected[i] = 0;
      }
    }
  }
  return expected;
}

/* Of channel 0. */
static void check_running(const struct bench *b, float mean_before, float variance_before, struct moments m,
                          double rows) {
  double mean = nn_value(&b->params, b->norm.mean)[0], variance = nn_value(&b->params, b->norm.variance)[0];
  assert_true(fabs(mean - (0.9 * mean_before + 0.1 * m.mean)) < 1e-5 * (1 + fabs(m.mean)));
  assert_true(fabs(variance - (0.9 * variance_before + 0.1 * m.variance * rows / (rows - 1))) < 1e-4);
  assert_true(nn_value(&b->params, b->norm.batches)[0] == 1);
}

static void norm_forward(struct bench *b) {
  int64_t groups;
  struct nn_operand *x = random_map(b, &groups);
  struct nn_shape s = x->shape;
  enum nn_norm kind = NN_NORM_BATCH + (enum nn_norm)below(b, 3);
  struct nn_step step = {.op = NN_OP_NORM, .params = &b->params, .norm = &b->norm, .relu = below(b, 2)};
  step.training = below(b, 2);
  make_norm(b, kind, s.c, groups);
  if (b->dtype == NN_F32 && below(b, 2)) fill(b, x, 1000, 1);
  struct nn_operand *before = copy_of(b, x);
  step.in[NN_X] = x, step.in[NN_ADDEND] = below(b, 2) ? activation(b, s.n, s.h, s.w, s.c) : NULL;
  step.out[NN_Y] = below(b, 2) ? x : like(b, x);
  if (!nn_norm_running(&b->norm, step.training)) step.out[NN_SAVED] = make_saved(b, x);
  float mean = b->params.values[b->param[2].offset], variance = b->params.values[b->param[3].offset];
  struct moments first = moments_of(b, before, step.training, 0, 0);
  double size, *expected = expected_norm(b, &step, before, &size);
  run(b, &step);
  for (int64_t i = 0; i < nn_count(s); i++)
    check(step.out[NN_Y], i, expected[i], size, "norm");
  if (step.out[NN_SAVED]) check(step.out[NN_SAVED], 0, first.mean, 1 + fabs(first.mean), "mean");
  if (kind == NN_NORM_BATCH && step.training) check_running(b, mean, variance, first, (double)(s.n * s.h * s.w));
  free(expected);
}

static void test_norm(void **state) {
  (void)state;
  each(norm_forward, 48);
}

/* ---- backward ---- */

/* A step, and the gradients as they were before it, for DX and DADDEND may overlay them. */
struct pass {
  struct nn_step step;
  struct nn_operand *dy, *dy2;
  int64_t copies;
};

/* Mean and inverse that the forward pass had for channel c of image n of the gradient. */
static struct moments kept_moments(const struct bench *b, const struct pass *p, int64_t n, int64_t c) {
  const struct nn_operand *saved = p->step.in[NN_SAVED];
  if (!saved) {
    double variance = nn_value(&b->params, b->norm.variance)[c];
    return (struct moments){nn_value(&b->params, b->norm.mean)[c], variance, (float)(1 / sqrt(variance + 1e-5))};
  }
  int64_t width = p->dy->shape.c / b->norm.groups;
  int64_t at = b->norm.kind == NN_NORM_GROUP ? n / p->copies * 2 * b->norm.groups + c / width : c;
  return (struct moments){get(saved, at), 0, get(saved, at + saved->shape.c)};
}

/* The masked gradient at an element of DY, and the normalised input there. */
static double gradient_at(const struct bench *b, const struct pass *p, int64_t i, double *normalised) {
  struct nn_shape s = p->dy->shape;
  const struct nn_operand *x = p->step.in[NN_X], *y = p->step.in[NN_Y];
  int64_t image = s.h * s.w * s.c, n = i / image, from = n / p->copies * image + i % image, c = i % s.c;
  struct moments m = kept_moments(b, p, n, c);
  double g = get(p->dy, i) + (p->dy2 ? get(p->dy2, i) : 0);
  float scale = b->params.values[c] * (float)m.inverse;
  float z = ((float)get(x, from) - (float)m.mean) * scale + b->params.values[b->param[1].offset + c];
  bool passes = y ? get(y, from) > 0 : z > 0;
  *normalised = (get(x, from) - m.mean) * m.inverse;
  return p->step.relu && !passes ? 0 : g;
}

/* The sums of g and g x^ that DX of channel c of image n subtracts, weighted by gamma, and over how many elements. */
static double sums_for(const struct bench *b, const struct pass *p, int64_t n, int64_t c, double *sum,
                       double *product) {
  struct nn_shape s = p->dy->shape;
  int64_t cells = s.h * s.w, width = s.c / b->norm.groups, first = 0, last = s.n, low = c, high = c + 1;
  if (b->norm.kind == NN_NORM_GROUP) first = n, last = n + 1, low = c / width * width, high = low + width;
  *sum = *product = 0;
  for (int64_t row = first * cells; row < last * cells; row++) {
    for (int64_t k = low; k < high; k++) {
      double normalised, g = gradient_at(b, p, row * s.c + k, &normalised) * b->params.values[k];
      *sum += g, *product += g * normalised;
    }
  }
  return (double)((last - first) * cells * (high - low));
}

/* One element of DX, and of DADDEND. By way of DADDEND g is rounded before DX is computed. */
static void check_element(const struct bench *b, const struct pass *p, int64_t i) {
  struct nn_shape s = p->dy->shape;
  const struct nn_operand *daddend = p->step.out[NN_DADDEND];
  bool own = p->step.in[NN_SAVED], rounded = daddend && b->dtype == NN_BF16 && (own || b->param[0].trainable);
  int64_t n = i / (s.h * s.w * s.c), c = i % s.c;
  double sum, product, normalised, g = gradient_at(b, p, i, &normalised);
  double inverse = kept_moments(b, p, n, c).inverse, dx = rounded ? read_bf16(nearest_bf16((float)g)) : g;
  dx *= inverse * b->params.values[c];
  if (own) {
    double count = sums_for(b, p, n, c, &sum, &product);
    dx -= inverse * (sum + normalised * product) / count;
  }
  check(p->step.out[NN_DX], i, dx, 8 * inverse, "norm backward");
  if (daddend) check(daddend, i, g, 1, "gradient of the addend");
}

/* Of channel 0. */
static void check_parameters(const struct bench *b, const struct pass *p, const float before[2]) {
  struct nn_shape s = p->dy->shape;
  bool trained = b->param[0].trainable, adds = !trained || p->step.accumulate;
  double gamma = adds ? before[0] : 0, beta = adds ? before[1] : 0, size = 8 * sqrt((double)(s.n * s.h * s.w));
  for (int64_t i = 0; trained && i < nn_count(s); i += s.c) {
    double normalised, g = gradient_at(b, p, i, &normalised);
    beta += g, gamma += g * normalised;
  }
  struct nn_operand gradient = {{1, 1, 1, 1}, NN_F32, b->params.gradients};
  check(&gradient, 0, gamma, size, "gradient of gamma");
  gradient.data = b->params.gradients + b->param[1].offset;
  check(&gradient, 0, beta, size, "gradient of beta");
}

static struct nn_operand *forward_statistics(struct bench *b, struct nn_operand *x, bool training) {
  struct nn_step step = {.op = NN_OP_NORM, .params = &b->params, .norm = &b->norm, .training = training};
  if (nn_norm_running(&b->norm, training)) return NULL;
  step.in[NN_X] = x, step.out[NN_Y] = like(b, x), step.out[NN_SAVED] = make_saved(b, x);
  run(b, &step);
  return step.out[NN_SAVED];
}

static struct pass random_pass(struct bench *b) {
  int64_t groups;
  struct nn_operand *x = random_map(b, &groups);
  struct nn_shape s = x->shape;
  struct pass p = {.step = {.op = NN_OP_NORM_BACKWARD, .params = &b->params, .norm = &b->norm}};
  enum nn_norm kind = NN_NORM_BATCH + (enum nn_norm)below(b, 3);
  bool keep = below(b, 2);
  make_norm(b, kind, s.c, groups);
  b->param[0].trainable = b->param[1].trainable = below(b, 3);
  p.step.relu = below(b, 3), p.step.training = below(b, 2), p.step.accumulate = below(b, 2);
  p.copies = kind == NN_NORM_BATCH && p.step.training ? 1 : 1 + below(b, 3);
  struct nn_operand *dy = activation(b, s.n * p.copies, s.h, s.w, s.c);
  struct nn_operand *dy2 = below(b, 2) ? activation(b, s.n * p.copies, s.h, s.w, s.c) : NULL;
  p.dy = copy_of(b, dy), p.dy2 = dy2 ? copy_of(b, dy2) : NULL;
  p.step.in[NN_X] = x, p.step.in[NN_SAVED] = forward_statistics(b, x, p.step.training);
  p.step.in[NN_Y] = p.step.relu && (keep || below(b, 2)) ? activation(b, s.n, s.h, s.w, s.c) : NULL;
  p.step.in[NN_DY] = dy, p.step.in[NN_DY2] = dy2;
  p.step.out[NN_DX] = below(b, 2) ? dy : like(b, dy);
  if (keep) p.step.out[NN_DADDEND] = dy2 && below(b, 2) ? dy2 : like(b, dy);
  return p;
}

static void norm_backward(struct bench *b) {
  struct pass p = random_pass(b);
  const float before[2] = {b->params.gradients[0], b->params.gradients[b->param[1].offset]};
  run(b, &p.step);
  for (int probe = 0; probe < 60; probe++) {
    check_element(b, &p, below(b, nn_count(p.dy->shape)));
  }
  check_parameters(b, &p, before);
}

static void test_norm_backward(void **state) {
  (void)state;
  each(norm_backward, 72);
}

/* ---- hard input ---- */

/* A mean 10^4 times the deviation, and a first row that is far from the rest. */
static void test_norm_large_mean(void **state) {
  (void)state;
  struct bench b = {.device = {.threads = 2}, .dtype = NN_F32};
  rng_init(&b.rng, test_seed(), RNG_TEST, 9, 0);
  b.device.context = &b.context;
  for (size_t level = 0; level < 3; level++) {
    b.context.kernels = kernels_of(level);
    if (!b.context.kernels) continue;
    struct nn_operand *x = fill(&b, make(&b, NN_F32, 4, 64, 64, 5), 10000, 1), *y = like(&b, x);
    for (int64_t c = 0; c < 5; c++)
      set(x, c, c * 100);
    make_norm(&b, NN_NORM_BATCH, 5, 5);
    struct nn_operand *saved = make_saved(&b, x);
    struct nn_step step = {.op = NN_OP_NORM, .params = &b.params, .norm = &b.norm, .training = true};
    step.in[NN_X] = x, step.out[NN_Y] = y, step.out[NN_SAVED] = saved;
    run(&b, &step);
    for (int64_t c = 0; c < 5; c++) {
      struct moments m = moments_of(&b, x, true, 0, c);
      check(saved, c, m.mean, 1, "mean");
      check(saved, 5 + c, m.inverse, m.inverse, "inverse deviation");
    }
    finish(&b);
  }
}

/* What the backward pass makes again is what the forward pass had, bit for bit. */
static void norm_again(struct bench *b) {
  int64_t groups;
  struct nn_operand *x = random_map(b, &groups);
  struct nn_step step = {.op = NN_OP_NORM, .params = &b->params, .norm = &b->norm, .relu = below(b, 2)};
  step.training = below(b, 2);
  make_norm(b, NN_NORM_BATCH + (enum nn_norm)below(b, 3), x->shape.c, groups);
  step.in[NN_X] = x, step.out[NN_Y] = like(b, x);
  if (!nn_norm_running(&b->norm, step.training)) step.out[NN_SAVED] = make_saved(b, x);
  run(b, &step);
  float batches = b->norm.batches ? *nn_value(&b->params, b->norm.batches) : 0;
  struct nn_step again = step;
  again.op = NN_OP_NORM_AGAIN;
  again.in[NN_SAVED] = step.out[NN_SAVED], again.out[NN_SAVED] = NULL;
  again.out[NN_Y] = like(b, x);
  run(b, &again);
  assert_memory_equal(step.out[NN_Y]->data, again.out[NN_Y]->data,
                      (size_t)nn_count(x->shape) * nn_dtype_size(b->dtype));
  if (b->norm.batches) assert_true(*nn_value(&b->params, b->norm.batches) == batches);
}

static void test_norm_again(void **state) {
  (void)state;
  each(norm_again, 48);
}

/* The same bits again, and a NaN or infinity spoils its channel and no other. */
static void test_norm_nan(void **state) {
  (void)state;
  struct bench b = {.device = {.threads = 2}};
  rng_init(&b.rng, test_seed(), RNG_TEST, 10, 0);
  b.device.context = &b.context;
  for (size_t level = 0; level < 6; level++) {
    b.context.kernels = kernels_of(level / 2);
    b.dtype = level % 2 ? NN_BF16 : NN_F32;
    if (!b.context.kernels) continue;
    struct nn_operand *x = activation(&b, 3, 30, 30, 21), *y = like(&b, x), *again = like(&b, x);
    set(x, 5 + 21 * below(&b, 2700), NAN);
    set(x, 7 + 21 * below(&b, 2700), INFINITY);
    make_norm(&b, NN_NORM_BATCH, 21, 21);
    struct nn_step step = {.op = NN_OP_NORM, .params = &b.params, .norm = &b.norm, .training = true, .relu = true};
    step.in[NN_X] = x, step.out[NN_Y] = y, step.out[NN_SAVED] = make_saved(&b, x);
    run(&b, &step);
    for (int64_t i = 0; i < nn_count(x->shape); i++)
      assert_int_equal(isnan(get(y, i)) != 0, i % 21 == 5 || i % 21 == 7);
    step.out[NN_Y] = again;
    run(&b, &step);
    assert_memory_equal(y->data, again->data, (size_t)nn_count(x->shape) * nn_dtype_size(b.dtype));
    finish(&b);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_norm),       cmocka_unit_test(test_norm_backward), cmocka_unit_test(test_norm_large_mean),
      cmocka_unit_test(test_norm_again), cmocka_unit_test(test_norm_nan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
