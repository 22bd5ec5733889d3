/* The cpu backend's kernels against naive loops in double, for every instruction set that this processor has: random
 * shapes, both types, several numbers of threads, copies of gradients, overlays, large means, NaN and infinity. */
#include "nn/cpu/cpu.h"

#include <math.h>

#include "tests/test_support.h"

enum { THREADS = 3, PARAMS = 5 };

/* Operands that a test made, so that they can be freed, and a guard after each that no kernel may touch. */
struct bench {
  struct rng rng;
  struct nn_device device;
  struct cpu_context context;
  enum nn_dtype dtype;
  struct nn_operand operands[16];
  size_t count;
  struct nn_params params;
  struct nn_param param[PARAMS];
  struct nn_norm_layer norm;
};

static const struct cpu_kernels *kernels_of(size_t level) {
#if defined(__x86_64__)
  if (level == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &nn_kernels_avx2;
  if (level == 2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return &nn_kernels_avx512;
#endif
  return level == 0 ? &nn_kernels_base : NULL;
}

static int64_t below(struct bench *b, int64_t count) {
  return (int64_t)rng_below(&b->rng, (uint64_t)count);
}

static double normal(struct rng *rng) {
  double u = 1 - rng_uniform(rng), v = rng_uniform(rng);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* ---- elements ---- */

static float read_bf16(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* The nearest bf16, by trying its two neighbours. */
static uint16_t nearest_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint16_t low = (uint16_t)(bits >> 16), high = (uint16_t)(low + 1);
  if (isnan(value)) return low | 0x40;
  uint32_t rest = bits & 0xffff;
  return rest < 0x8000 || (rest == 0x8000 && low % 2 == 0) ? low : high;
}

static double get(const struct nn_operand *operand, int64_t i) {
  if (operand->dtype == NN_F32) return ((const float *)operand->data)[i];
  return operand->dtype == NN_BF16 ? read_bf16(((const uint16_t *)operand->data)[i])
                                   : ((const uint8_t *)operand->data)[i];
}

static void set(struct nn_operand *operand, int64_t i, double value) {
  if (operand->dtype == NN_F32) {
    ((float *)operand->data)[i] = (float)value;
  } else {
    ((uint16_t *)operand->data)[i] = nearest_bf16((float)value);
  }
}

/* What `value` becomes in the operand's type, and how far from it a result may be: a unit of that type, and the error
 * of float32 sums of magnitude `size`. */
static void check(const struct nn_operand *operand, int64_t i, double value, double size, const char *what) {
  double found = get(operand, i), unit = operand->dtype == NN_BF16 ? 1.0 / 256 : 1.2e-7;
  if (isnan(value) && isnan(found)) return;
  if (found == value) return;
  if (!(fabs(found - value) <= unit * fabs(value) + 2e-6 * size + 1e-37)) {
    fail_msg("%s: element %lld is %.9g instead of %.9g (size %g)", what, (long long)i, found, value, size);
  }
}

/* ---- operands and steps ---- */

static const char GUARD[] = "not to be written";

static struct nn_operand *make(struct bench *b, enum nn_dtype dtype, int64_t n, int64_t h, int64_t w, int64_t c) {
  struct nn_operand *operand = &b->operands[b->count++];
  assert_true(b->count <= COUNT_OF(b->operands));
  *operand = (struct nn_operand){{n, h, w, c}, dtype, NULL};
  size_t size = (size_t)nn_count(operand->shape) * nn_dtype_size(dtype);
  operand->data = malloc(size + sizeof GUARD);
  assert_non_null(operand->data);
  memset(operand->data, 0x7f, size);
  memcpy((char *)operand->data + size, GUARD, sizeof GUARD);
  return operand;
}

static struct nn_operand *like(struct bench *b, const struct nn_operand *operand) {
  struct nn_shape s = operand->shape;
  return make(b, operand->dtype, s.n, s.h, s.w, s.c);
}

static struct nn_operand *fill(struct bench *b, struct nn_operand *operand, double mean, double deviation) {
  for (int64_t i = 0; i < nn_count(operand->shape); i++) {
    set(operand, i, mean + deviation * normal(&b->rng));
  }
  return operand;
}

static struct nn_operand *activation(struct bench *b, int64_t n, int64_t h, int64_t w, int64_t c) {
  return fill(b, make(b, b->dtype, n, h, w, c), 0, 1);
}

static struct nn_operand *copy_of(struct bench *b, const struct nn_operand *operand) {
  struct nn_operand *copy = like(b, operand);
  memcpy(copy->data, operand->data, (size_t)nn_count(operand->shape) * nn_dtype_size(operand->dtype));
  return copy;
}

static void finish(struct bench *b) {
  for (size_t i = 0; i < b->count; i++) {
    struct nn_operand *operand = &b->operands[i];
    size_t size = (size_t)nn_count(operand->shape) * nn_dtype_size(operand->dtype);
    assert_memory_equal((char *)operand->data + size, GUARD, sizeof GUARD);
    free(operand->data);
  }
  b->count = 0;
  free(b->params.values);
  free(b->params.gradients);
  b->params = (struct nn_params){0};
}

static void run(struct bench *b, struct nn_step *step) {
  struct error error;
  size_t size = 0;
  step->name = "test";
  assert_ok(cpu_map_supports(&b->device, step, &error), error);
  assert_ok(cpu_map_prepare(&b->device, step, &size, &error), error);
  void *scratch = aligned_alloc(64, size / 64 * 64 + 64);
  assert_non_null(scratch);
  memset(scratch, 0x7f, size);
  assert_ok(cpu_map_run(&b->device, step, scratch, &error), error);
  cpu_map_forget(step);
  free(scratch);
}

/* Calls `test` for each instruction set, type and number of threads. */
static void each(void (*test)(struct bench *b), int rounds) {
  struct bench b = {0};
  uint64_t seed = test_seed();
  for (size_t level = 0; level < 3; level++) {
    b.context.kernels = kernels_of(level);
    b.device.context = &b.context;
    for (int round = 0; b.context.kernels && round < rounds; round++) {
      rng_init(&b.rng, seed, RNG_TEST, (uint32_t)level, (uint64_t)round);
      b.device.threads = 1 + round % THREADS;
      b.dtype = round / THREADS % 2 ? NN_BF16 : NN_F32;
      test(&b);
      finish(&b);
    }
  }
}

/* ---- norms ---- */

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

static void norm_forward(struct bench *b) {
  int64_t groups;
  struct nn_operand *x = random_map(b, &groups);
  enum nn_norm kind = NN_NORM_BATCH + (enum nn_norm)below(b, 3);
  bool training = below(b, 2), offset = b->dtype == NN_F32 && below(b, 2);
  make_norm(b, kind, x->shape.c, groups);
  if (offset) fill(b, x, 1000, 1);
  struct nn_operand *addend = below(b, 2) ? activation(b, x->shape.n, x->shape.h, x->shape.w, x->shape.c) : NULL;
  struct nn_operand *kept = copy_of(b, x), *y = below(b, 2) ? x : like(b, x);
  bool own = kind == NN_NORM_GROUP || (kind == NN_NORM_BATCH && training);
  struct nn_operand *saved = own ? make_saved(b, x) : NULL;
  struct nn_step step = {.op = NN_OP_NORM, .params = &b->params, .norm = &b->norm, .training = training};
  step.relu = below(b, 2);
  step.in[NN_X] = x, step.in[NN_ADDEND] = addend, step.out[NN_Y] = y, step.out[NN_SAVED] = saved;
  float *mean = b->params.values + b->param[2].offset, *variance = b->params.values + b->param[3].offset;
  float mean_before = mean[0], variance_before = variance[0];
  struct moments first = moments_of(b, kept, training, 0, 0);
  int64_t image = x->shape.h * x->shape.w * x->shape.c, count = image * x->shape.n;
  double size = 4, *expected = malloc((size_t)count * sizeof *expected);
  assert_non_null(expected);
  for (int64_t n = 0; n < x->shape.n; n++) {
    for (int64_t c = 0; c < x->shape.c; c++) {
      struct moments m = moments_of(b, kept, training, n, c);
      double gamma = b->params.values[c], beta = b->params.values[b->param[1].offset + c];
      if (offset) size = fmax(size, 200 * fabs(gamma) * m.inverse); /* the mean is a float32 */
      for (int64_t i = n * image + c; i < (n + 1) * image; i += x->shape.c) {
        expected[i] = (get(kept, i) - m.mean) * m.inverse * gamma + beta + (addend ? get(addend, i) : 0);
        if (step.relu && expected[i] <= 0) expected[i] = 0;
      }
    }
  }
  run(b, &step);
  for (int64_t i = 0; i < count; i++)
    check(y, i, expected[i], size, "norm");
  if (saved) check(saved, 0, first.mean, 1 + fabs(first.mean), "mean");
  if (kind == NN_NORM_BATCH && training) {
    double rows = (double)(count / x->shape.c);
    assert_true(fabs(mean[0] - (0.9 * mean_before + 0.1 * first.mean)) < 1e-5 * (1 + fabs(first.mean)));
    assert_true(fabs(variance[0] - (0.9 * variance_before + 0.1 * first.variance * rows / (rows - 1))) < 1e-4);
    assert_true(b->params.values[b->param[4].offset] == 1);
  }
  free(expected);
}

static void test_norm(void **state) {
  (void)state;
  each(norm_forward, 60);
}

struct pass {
  struct nn_operand *x, *y, *dy, *dy2, *saved;
  bool relu, training;
};

/* The masked gradient at an element of DY, and the normalised input there. */
static double gradient_at(const struct bench *b, const struct pass *p, int64_t i, double *normalised) {
  struct nn_shape s = p->dy->shape;
  int64_t image = s.h * s.w * s.c, n = i / image, copies = s.n / p->x->shape.n;
  int64_t from = n / copies * image + i % image, c = i % s.c, width = s.c / b->norm.groups;
  double mean, inverse;
  if (p->saved) {
    int64_t at = b->norm.kind == NN_NORM_GROUP ? n / copies * 2 * b->norm.groups + c / width : c;
    mean = get(p->saved, at), inverse = get(p->saved, at + p->saved->shape.c);
  } else {
    mean = nn_value(&b->params, b->norm.mean)[c];
    inverse = (float)(1 / sqrt(nn_value(&b->params, b->norm.variance)[c] + 1e-5));
  }
  *normalised = (get(p->x, from) - mean) * inverse;
  double g = get(p->dy, i) + (p->dy2 ? get(p->dy2, i) : 0);
  float scale = b->params.values[c] * (float)inverse;
  float z = ((float)get(p->x, from) - (float)mean) * scale + b->params.values[b->param[1].offset + c];
  bool passes = p->y ? get(p->y, from) > 0 : z > 0;
  return p->relu && !passes ? 0 : g;
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

static void norm_backward(struct bench *b) {
  int64_t groups;
  struct nn_operand *x = random_map(b, &groups);
  struct nn_shape s = x->shape;
  enum nn_norm kind = NN_NORM_BATCH + (enum nn_norm)below(b, 3);
  struct pass p = {.x = x, .relu = below(b, 3), .training = below(b, 2)};
  bool own = kind == NN_NORM_GROUP || (kind == NN_NORM_BATCH && p.training), keep = below(b, 2);
  int64_t copies = kind == NN_NORM_BATCH && p.training ? 1 : 1 + below(b, 3);
  make_norm(b, kind, s.c, groups);
  b->param[0].trainable = b->param[1].trainable = below(b, 3);
  if (own) {
    p.saved = make_saved(b, x);
    struct nn_operand *y = like(b, x);
    struct nn_step forward = {.op = NN_OP_NORM, .params = &b->params, .norm = &b->norm, .training = p.training};
    forward.in[NN_X] = x, forward.out[NN_Y] = y, forward.out[NN_SAVED] = p.saved;
    run(b, &forward);
  }
  p.y = p.relu && (keep || below(b, 2)) ? activation(b, s.n, s.h, s.w, s.c) : NULL;
  struct nn_operand *dy = activation(b, s.n * copies, s.h, s.w, s.c);
  struct nn_operand *dy2 = below(b, 2) ? activation(b, s.n * copies, s.h, s.w, s.c) : NULL;
  p.dy = copy_of(b, dy), p.dy2 = dy2 ? copy_of(b, dy2) : NULL;
  struct nn_step step = {.op = NN_OP_NORM_BACKWARD, .params = &b->params, .norm = &b->norm, .relu = p.relu};
  step.training = p.training, step.accumulate = below(b, 2);
  step.in[NN_X] = x, step.in[NN_Y] = p.y, step.in[NN_DY] = dy, step.in[NN_DY2] = dy2, step.in[NN_SAVED] = p.saved;
  step.out[NN_DX] = below(b, 2) ? dy : like(b, dy);
  if (keep) step.out[NN_DADDEND] = dy2 && below(b, 2) ? dy2 : like(b, dy);
  float before[2] = {b->params.gradients[0], b->params.gradients[b->param[1].offset]};
  run(b, &step);
  int64_t image = s.h * s.w * s.c;
  for (int probe = 0; probe < 60; probe++) {
    int64_t i = below(b, image * s.n * copies), c = i % s.c;
    double sum, product, normalised, g = gradient_at(b, &p, i, &normalised), gamma = b->params.values[c];
    double inverse =
        p.saved ? get(p.saved, (kind == NN_NORM_GROUP ? i / image / copies * 2 * groups + c / (s.c / groups) : c) +
                                   p.saved->shape.c)
                : 1 / sqrt(nn_value(&b->params, b->norm.variance)[c] + 1e-5);
    bool kept = keep && b->dtype == NN_BF16 && (own || b->param[0].trainable);
    double dx_g = kept ? read_bf16(nearest_bf16((float)g)) : g, dx = gamma * dx_g * inverse; /* by way of DADDEND */
    if (own) {
      double count = sums_for(b, &p, i / image, c, &sum, &product);
      dx = inverse * (gamma * dx_g - sum / count - normalised * product / count);
    }
    check(step.out[NN_DX], i, dx, 8 * inverse, "norm backward");
    if (keep) check(step.out[NN_DADDEND], i, g, 1, "gradient of the addend");
  }
  double beta = step.accumulate ? before[1] : 0, gamma = step.accumulate ? before[0] : 0, normalised;
  for (int64_t i = 0; i < image * s.n * copies; i += s.c) {
    double g = gradient_at(b, &p, i, &normalised);
    beta += g, gamma += g * normalised;
  }
  double size = sqrt((double)(image * s.n * copies / s.c)) * 8;
  struct nn_operand parameters = {{1, 1, 1, 1}, NN_F32, b->params.gradients};
  bool trained = b->param[0].trainable;
  check(&parameters, 0, trained ? gamma : before[0], size, "gradient of gamma");
  parameters.data = b->params.gradients + b->param[1].offset;
  check(&parameters, 0, trained ? beta : before[1], size, "gradient of beta");
}

static void test_norm_backward(void **state) {
  (void)state;
  each(norm_backward, 120);
}

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

/* ---- element by element ---- */

static void test_point_of(struct bench *b) {
  int64_t copies = 1 + below(b, 3), n = 1 + below(b, 4), h = 1 + below(b, 30), w = 1 + below(b, 30),
          c = 1 + below(b, 40);
  struct nn_operand *x = activation(b, n, h, w, c), *a = activation(b, n, h, w, c), *y = like(b, x);
  struct nn_operand *dy = activation(b, n * copies, h, w, c), *dy2 = below(b, 2) ? copy_of(b, dy) : NULL;
  int64_t count = nn_count(x->shape);
  set(x, below(b, count), NAN);
  set(x, below(b, count), -INFINITY);
  set(x, below(b, count), INFINITY);
  struct nn_step step = {.op = NN_OP_RELU};
  step.in[NN_X] = x, step.out[NN_Y] = y;
  run(b, &step);
  for (int64_t i = 0; i < count; i++)
    check(y, i, get(x, i) <= 0 ? 0 : get(x, i), 0, "relu");
  struct nn_operand *sum = copy_of(b, x);
  step = (struct nn_step){.op = NN_OP_ADD, .relu = below(b, 2)};
  step.in[NN_X] = sum, step.in[NN_ADDEND] = a, step.out[NN_Y] = sum;
  run(b, &step);
  for (int64_t i = 0; i < count; i++) {
    double expected = get(x, i) + get(a, i);
    check(sum, i, step.relu && expected <= 0 ? 0 : expected, 0, "add");
  }
  struct nn_operand *dx = copy_of(b, dy);
  step = (struct nn_step){.op = NN_OP_RELU_BACKWARD};
  step.in[NN_Y] = y, step.in[NN_DY] = dx, step.in[NN_DY2] = dy2, step.out[NN_DX] = dx;
  run(b, &step);
  int64_t image = count / n;
  for (int64_t i = 0; i < count * copies; i++) {
    double g = (dy2 ? 2 : 1) * get(dy, i);
    check(dx, i, get(y, i / image / copies * image + i % image) > 0 ? g : 0, 0, "relu backward");
  }
}

static void test_point(void **state) {
  (void)state;
  each(test_point_of, 30);
}

/* Rounding of every kind of float32: an addition of zero, compared bit by bit. */
static void test_rounding_of(struct bench *b) {
  enum { COUNT = 20000 };
  b->dtype = NN_BF16;
  struct nn_operand *logits = make(b, NN_F32, 1, 1, 1, COUNT), *y = make(b, NN_BF16, 1, 1, 1, COUNT);
  struct nn_operand *half = make(b, NN_BF16, 1, 1, 1, COUNT), *other = make(b, NN_BF16, 1, 1, 1, COUNT);
  (void)logits;
  for (int64_t i = 0; i < COUNT; i++) {
    ((uint16_t *)half->data)[i] = (uint16_t)rng_u32(&b->rng);
    ((uint16_t *)other->data)[i] = (uint16_t)(((uint16_t *)half->data)[i] + (int)rng_below(&b->rng, 3000) - 1500);
  }
  struct nn_step step = {.op = NN_OP_ADD};
  step.in[NN_X] = half, step.in[NN_ADDEND] = other, step.out[NN_Y] = y;
  run(b, &step);
  for (int64_t i = 0; i < COUNT; i++) {
    float expected = (float)get(half, i) + (float)get(other, i);
    uint16_t found = ((uint16_t *)y->data)[i];
    if (isnan(expected) ? !isnan(read_bf16(found)) : found != nearest_bf16(expected)) {
      fail_msg("%g + %g = %04x", get(half, i), get(other, i), found);
    }
  }
}

static void test_rounding(void **state) {
  (void)state;
  each(test_rounding_of, 3);
}

/* ---- pooling ---- */

struct cell {
  int64_t n, h, w, c;
};

static int64_t index_of(const struct nn_operand *operand, struct cell at) {
  struct nn_shape s = operand->shape;
  return ((at.n * s.h + at.h) * s.w + at.w) * s.c + at.c;
}

static void pools(struct bench *b) {
  struct nn_pool pool = {1 + (int)below(b, 5), 1 + (int)below(b, 4), 0};
  if (below(b, 8) == 0) pool.kernel = 16;
  pool.pad = (int)below(b, pool.kernel / 2 + 1);
  int64_t n = 1 + below(b, 3), h = pool.kernel + below(b, 20), w = pool.kernel + below(b, 20), c = 1 + below(b, 70);
  int64_t rows = (h + 2 * pool.pad - pool.kernel) / pool.stride + 1;
  int64_t columns = (w + 2 * pool.pad - pool.kernel) / pool.stride + 1, copies = 1 + below(b, 3);
  struct nn_operand *x = activation(b, n, h, w, c), *y = make(b, b->dtype, n, rows, columns, c), *mean = like(b, y);
  struct nn_operand *saved = make(b, NN_U8, n, rows, columns, c), *dy = activation(b, n * copies, rows, columns, c);
  struct nn_operand *dx = make(b, b->dtype, n * copies, h, w, c), *dx_mean = like(b, dx);
  for (int64_t i = 0; i < nn_count(x->shape); i++)
    set(x, i, round(get(x, i) * 2)); /* many are equal */
  set(x, below(b, nn_count(x->shape)), NAN);
  struct nn_step step = {.op = NN_OP_MAX_POOL, .pool = pool};
  step.in[NN_X] = x, step.out[NN_Y] = y, step.out[NN_SAVED] = saved;
  run(b, &step);
  step.op = NN_OP_AVERAGE_POOL, step.out[NN_Y] = mean, step.out[NN_SAVED] = NULL;
  run(b, &step);
  struct nn_step backward = {.op = NN_OP_MAX_POOL_BACKWARD, .pool = pool};
  backward.in[NN_DY] = dy, backward.in[NN_SAVED] = saved, backward.out[NN_DX] = dx;
  run(b, &backward);
  backward.op = NN_OP_AVERAGE_POOL_BACKWARD, backward.in[NN_SAVED] = NULL, backward.out[NN_DX] = dx_mean;
  run(b, &backward);
  double *sums = calloc((size_t)nn_count(dx->shape) * 2, sizeof *sums), *means = sums + nn_count(dx->shape);
  assert_non_null(sums);
  for (int64_t i = 0; i < nn_count(dy->shape); i++) {
    struct cell at = {i / c / columns / rows, i / c / columns % rows, i / c % columns, i % c};
    struct cell source = at;
    source.n /= copies;
    double best = -INFINITY, sum = 0;
    int winner = -1;
    for (int place = 0; place < pool.kernel * pool.kernel; place++) {
      struct cell in = {source.n, at.h * pool.stride - pool.pad + place / pool.kernel,
                        at.w * pool.stride - pool.pad + place % pool.kernel, at.c};
      if (in.h < 0 || in.h >= h || in.w < 0 || in.w >= w) continue;
      double value = get(x, index_of(x, in));
      sum += value;
      if (winner < 0 || value > best || (isnan(value) && !isnan(best))) best = value, winner = place;
      in.n = at.n;
      means[index_of(dx, in)] += get(dy, i) / (pool.kernel * pool.kernel);
    }
    check(y, index_of(y, source), best, 0, "max pool");
    check(mean, index_of(y, source), sum / (pool.kernel * pool.kernel), 4, "average pool");
    assert_int_equal((int)get(saved, index_of(y, source)), winner);
    struct cell won = {at.n, at.h * pool.stride - pool.pad + winner / pool.kernel,
                       at.w * pool.stride - pool.pad + winner % pool.kernel, at.c};
    sums[index_of(dx, won)] += get(dy, i);
  }
  for (int64_t i = 0; i < nn_count(dx->shape); i++) {
    check(dx, i, sums[i], 30, "max pool backward");
    check(dx_mean, i, means[i], 4, "average pool backward");
  }
  free(sums);
}

static void test_pools(void **state) {
  (void)state;
  each(pools, 60);
}

static void whole_maps(struct bench *b) {
  int64_t n = 1 + below(b, 4), h = 1 + below(b, 15), w = 1 + below(b, 15), c = 1 + below(b, 700), r = 1 + below(b, 5);
  struct nn_operand *x = activation(b, n, h, w, c), *mix = fill(b, make(b, NN_F32, 1, h, w, r), 0, 1);
  struct nn_operand *mean = make(b, b->dtype, n, 1, 1, c), *regions = make(b, b->dtype, n, 1, r, c);
  struct nn_operand *dy = activation(b, n, 1, 1, c), *dx = like(b, x);
  struct nn_operand *dy_regions = activation(b, n, 1, r, c), *dx_regions = like(b, x);
  struct nn_step step = {.op = NN_OP_GLOBAL_POOL};
  step.in[NN_X] = x, step.out[NN_Y] = mean;
  run(b, &step);
  step.op = NN_OP_REGION_POOL, step.in[NN_MIX] = mix, step.out[NN_Y] = regions;
  run(b, &step);
  step = (struct nn_step){.op = NN_OP_GLOBAL_POOL_BACKWARD};
  step.in[NN_DY] = dy, step.out[NN_DX] = dx;
  run(b, &step);
  step.op = NN_OP_REGION_POOL_BACKWARD, step.in[NN_MIX] = mix, step.in[NN_DY] = dy_regions,
  step.out[NN_DX] = dx_regions;
  run(b, &step);
  for (int64_t i = 0; i < n * c; i++) {
    double sum = 0;
    for (int64_t cell = 0; cell < h * w; cell++)
      sum += get(x, (i / c * h * w + cell) * c + i % c);
    check(mean, i, sum / (double)(h * w), 1, "global pool");
    for (int64_t k = 0; k < r; k++) {
      sum = 0;
      for (int64_t cell = 0; cell < h * w; cell++)
        sum += get(mix, cell * r + k) * get(x, (i / c * h * w + cell) * c + i % c);
      check(regions, (i / c * r + k) * c + i % c, sum, 40, "region pool");
    }
  }
  for (int64_t i = 0; i < nn_count(x->shape); i++) {
    int64_t image = i / c / (h * w), cell = i / c % (h * w);
    double sum = 0;
    for (int64_t k = 0; k < r; k++)
      sum += get(mix, cell * r + k) * get(dy_regions, (image * r + k) * c + i % c);
    check(dx, i, get(dy, image * c + i % c) / (double)(h * w), 0, "global pool backward");
    check(dx_regions, i, sum, 4, "region pool backward");
  }
}

static void test_whole_maps(void **state) {
  (void)state;
  each(whole_maps, 30);
}

/* ---- copies ---- */

static void upsampling(struct bench *b) {
  int64_t n = 1 + below(b, 3), h = 1 + below(b, 9), w = 1 + below(b, 9), c = 1 + below(b, 50);
  struct nn_operand *x = activation(b, n, h, w, c), *dx = like(b, x);
  int64_t rows = 1 + below(b, 25), columns = 1 + below(b, 25);
  struct nn_operand *y = make(b, b->dtype, n, rows, columns, c), *dy = activation(b, n, rows, columns, c);
  double *sums = calloc((size_t)nn_count(x->shape), sizeof *sums);
  assert_non_null(sums);
  struct nn_step step = {.op = NN_OP_UPSAMPLE};
  step.in[NN_X] = x, step.out[NN_Y] = y;
  run(b, &step);
  step = (struct nn_step){.op = NN_OP_UPSAMPLE_BACKWARD};
  step.in[NN_DY] = dy, step.out[NN_DX] = dx;
  run(b, &step);
  for (int64_t i = 0; i < nn_count(y->shape); i++) {
    struct cell at = {i / c / columns / rows, i / c / columns % rows * h / rows, i / c % columns * w / columns, i % c};
    check(y, i, get(x, index_of(x, at)), 0, "upsample");
    sums[index_of(x, at)] += get(dy, i);
  }
  for (int64_t i = 0; i < nn_count(x->shape); i++)
    check(dx, i, sums[i], 30, "upsample backward");
  free(sums);
}

static void copying(struct bench *b) {
  int64_t n = 1 + below(b, 3), h = 1 + below(b, 9), w = 1 + below(b, 9), c = 1 + below(b, 50), more = below(b, 50);
  struct nn_operand *part = activation(b, n, h, w, c), *whole = activation(b, n, h, w, c + more);
  struct nn_operand *before = copy_of(b, whole), *back = like(b, part);
  struct nn_step step = {.op = NN_OP_COPY_IN, .channel = below(b, more + 1)};
  step.in[NN_X] = part, step.out[NN_Y] = whole;
  run(b, &step);
  for (int64_t i = 0; i < nn_count(whole->shape); i++) {
    int64_t channel = i % (c + more) - step.channel;
    bool inside = channel >= 0 && channel < c;
    check(whole, i, inside ? get(part, i / (c + more) * c + channel) : get(before, i), 0, "copy in");
  }
  step = (struct nn_step){.op = NN_OP_COPY_OUT, .channel = step.channel};
  step.in[NN_DY] = whole, step.out[NN_DX] = back;
  run(b, &step);
  assert_memory_equal(back->data, part->data, (size_t)nn_count(part->shape) * nn_dtype_size(b->dtype));
}

static void test_copies(void **state) {
  (void)state;
  each(upsampling, 30);
  each(copying, 30);
}

/* ---- loss ---- */

static void losses(struct bench *b) {
  int64_t n = 1 + below(b, 5), h = 1 + below(b, 8), w = 1 + below(b, 8), c = 2 + below(b, 300), r = 1 + below(b, 5);
  double spread = below(b, 3) ? 3 : 60;
  struct nn_operand *z = fill(b, make(b, NN_F32, n, h, w, c), 0, spread), *y = make(b, NN_F32, 1, 1, 1, 1);
  struct nn_operand *mix = fill(b, make(b, NN_F32, below(b, 2) ? 1 : n, h, w, r), 0.5, 0.2);
  struct nn_operand *scale = fill(b, make(b, NN_F32, 1, h, w, 1), 1, 0.3), *labels = make(b, NN_I32, n, 1, 1, r);
  struct nn_operand *dx = below(b, 4) ? make(b, b->dtype, n, h, w, c) : NULL;
  int32_t *label = labels->data;
  double loss = 0, magnitude = 0;
  for (int64_t i = 0; i < n * r; i++)
    label[i] = (int32_t)below(b, c + 1) - 1;
  struct nn_step step = {.op = NN_OP_CROSS_ENTROPY};
  step.in[NN_X] = z, step.in[NN_LABEL] = labels, step.in[NN_MIX] = mix, step.in[NN_SCALE] = scale;
  step.out[NN_Y] = y, step.out[NN_DX] = dx;
  run(b, &step);
  for (int64_t row = 0; row < n * h * w; row++) {
    int64_t cell = row % (h * w), image = row / (h * w);
    double highest = -INFINITY, sum = 0, weight = 0, share = get(scale, cell) / (double)n;
    for (int64_t k = 0; k < c; k++)
      highest = fmax(highest, get(z, row * c + k));
    for (int64_t k = 0; k < c; k++)
      sum += exp(get(z, row * c + k) - highest);
    for (int64_t k = 0; k < r; k++) {
      int32_t chosen = label[image * r + k];
      double m = get(mix, (mix->shape.n == 1 ? cell : row) * r + k);
      if (chosen < 0) continue;
      weight += m;
      loss += share * m * (log(sum) + highest - get(z, row * c + chosen));
      magnitude += fabs(share * m) * spread;
    }
    for (int64_t k = 0; dx && k < c; k++) {
      double gradient = weight * exp(get(z, row * c + k) - highest) / sum;
      for (int64_t i = 0; i < r; i++) {
        if (label[image * r + i] == k) gradient -= get(mix, (mix->shape.n == 1 ? cell : row) * r + i);
      }
      check(dx, row * c + k, share * gradient, fabs(share), "gradient of the loss");
    }
  }
  check(y, 0, loss, magnitude, "loss");
}

static void test_loss(void **state) {
  (void)state;
  each(losses, 60);
}

static void test_loss_bad(void **state) {
  (void)state;
  struct bench b = {.device = {.threads = 1}, .context = {.kernels = &nn_kernels_base}};
  struct error error;
  char scratch[4096];
  b.device.context = &b.context;
  rng_init(&b.rng, test_seed(), RNG_TEST, 11, 0);
  struct nn_operand *z = fill(&b, make(&b, NN_F32, 2, 1, 1, 4), 0, 1), *y = make(&b, NN_F32, 1, 1, 1, 1);
  struct nn_operand *mix = make(&b, NN_F32, 1, 1, 1, 1), *labels = make(&b, NN_I32, 2, 1, 1, 1);
  struct nn_step step = {.op = NN_OP_CROSS_ENTROPY, .name = "loss"};
  set(mix, 0, 1);
  step.in[NN_X] = z, step.in[NN_LABEL] = labels, step.in[NN_MIX] = step.in[NN_SCALE] = mix, step.out[NN_Y] = y;
  ((int32_t *)labels->data)[0] = 3, ((int32_t *)labels->data)[1] = 4;
  assert_int_equal(cpu_map_run(&b.device, &step, scratch, &error), -1);
  assert_non_null(strstr(error.message, "label 4"));
  ((int32_t *)labels->data)[1] = -1;
  assert_ok(cpu_map_run(&b.device, &step, scratch, &error), error);
  assert_true(isfinite(get(y, 0)));
  set(z, 1, NAN);
  assert_ok(cpu_map_run(&b.device, &step, scratch, &error), error);
  assert_true(isnan(get(y, 0)));
  set(z, 1, INFINITY);
  assert_ok(cpu_map_run(&b.device, &step, scratch, &error), error);
  assert_true(!isfinite(get(y, 0)));
  finish(&b);
}

/* ---- the optimizer ---- */

static void updates(struct bench *b) {
  int64_t count = 1 + below(b, 40000);
  struct nn_operand *value = fill(b, make(b, NN_F32, 1, 1, 1, count), 0, 1), *value_before = copy_of(b, value);
  struct nn_operand *momentum = fill(b, like(b, value), 0, 1), *momentum_before = copy_of(b, momentum);
  struct nn_operand *gradient = fill(b, like(b, value), 0, 1);
  struct nn_sgd sgd = {rng_uniform(&b->rng), rng_uniform(&b->rng), 0.01, 0.5, below(b, 2)};
  const struct cpu_kernels *kernels = b->context.kernels;
  kernels->sgd(&sgd, value->data, gradient->data, momentum->data, count, b->device.threads);
  double sum = 0;
  for (int64_t i = 0; i < count; i++) {
    double g = sgd.gradient_scale * get(gradient, i) + sgd.weight_decay * get(value_before, i);
    double m = sgd.mu * get(momentum_before, i) + g;
    check(momentum, i, m, 1, "momentum");
    check(value, i, get(value_before, i) - sgd.lr * (sgd.nesterov ? g + sgd.mu * m : m), 1, "value");
    sum += get(gradient, i) * get(gradient, i);
  }
  double found = kernels->square_sum(gradient->data, count, b->device.threads);
  assert_true(fabs(found - sum) <= 1e-12 * sum);
  assert_true(kernels->square_sum(gradient->data, count, 7) == found);
}

static void test_updates(void **state) {
  (void)state;
  each(updates, 30);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_norm),     cmocka_unit_test(test_norm_backward), cmocka_unit_test(test_norm_large_mean),
      cmocka_unit_test(test_norm_nan), cmocka_unit_test(test_point),         cmocka_unit_test(test_rounding),
      cmocka_unit_test(test_pools),    cmocka_unit_test(test_whole_maps),    cmocka_unit_test(test_copies),
      cmocka_unit_test(test_loss),     cmocka_unit_test(test_loss_bad),      cmocka_unit_test(test_updates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
