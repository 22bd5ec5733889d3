/* The cpu backend's convolutions against plain loops in double, for random shapes. Every output is compared within a
 * bound relative to the sum of the absolute values of its terms. Behind operands and scratch, and in the scratch, there
 * is NaN: reading it shows in the result, writing it is seen. */
#include <math.h>

#include "nn/cpu/conv.h"
#include "tests/test_support.h"

enum { GUARD = 64 };

static uint64_t seed;
static struct nn_device device;

struct problem {
  struct nn_shape x;
  struct nn_conv conv;
  enum nn_dtype in, out; /* of X and DX; of Y and DY */
  bool norm, relu, addend, in_place, accumulate;
  int round; /* of the random numbers */
};

/* A layer with its parameters, operands in float32 and on the device, and what the plain loops make of them. */
struct layer {
  struct problem p;
  struct nn_shape y;
  struct nn_params params;
  struct nn_norm_layer norm;
  struct nn_param *weight, *bias;
  struct nn_operand ox, oy, oaddend;
  float *x, *dy, *addend; /* host, rounded to the operand's type */
};

static float draw(struct rng *rng) {
  return (float)rng_range(rng, -1, 1);
}

static float round_to(float value, enum nn_dtype dtype) {
  return dtype == NN_BF16 ? nn_f32_from_bf16(nn_bf16_from_f32(value)) : value;
}

static void *guarded(size_t size) {
  uint8_t *memory = device.backend->allocate(&device, size + GUARD);
  assert_non_null(memory);
  memset(memory + size, 0xff, GUARD);
  return memory;
}

static void check_guard(const void *memory, size_t size) {
  for (int i = 0; i < GUARD; i++) {
    assert_int_equal(((const uint8_t *)memory)[size + (size_t)i], 0xff);
  }
}

static size_t operand_size(const struct nn_operand *operand) {
  return (size_t)nn_count(operand->shape) * nn_dtype_size(operand->dtype);
}

static void operand_set(struct nn_operand *operand, const float *values) {
  for (int64_t i = 0; i < nn_count(operand->shape); i++) {
    if (operand->dtype == NN_BF16) {
      ((uint16_t *)operand->data)[i] = nn_bf16_from_f32(values[i]);
    } else {
      ((float *)operand->data)[i] = values[i];
    }
  }
}

static float operand_get(const struct nn_operand *operand, int64_t i) {
  return operand->dtype == NN_BF16 ? nn_f32_from_bf16(((const uint16_t *)operand->data)[i])
                                   : ((const float *)operand->data)[i];
}

static float *random_values(int64_t count, enum nn_dtype dtype, struct rng *rng) {
  float *values = malloc((size_t)count * sizeof *values);
  assert_non_null(values);
  for (int64_t i = 0; i < count; i++) {
    values[i] = round_to(draw(rng), dtype);
  }
  return values;
}

static struct nn_operand operand_make(struct nn_shape shape, enum nn_dtype dtype) {
  struct nn_operand operand = {.shape = shape, .dtype = dtype};
  operand.data = guarded(operand_size(&operand));
  return operand;
}

static struct nn_param *declare(struct layer *layer, const char *name, enum nn_role role, int rank,
                                const int64_t dims[]) {
  struct error error = {0};
  struct nn_param *param = nn_params_declare(&layer->params, name, role, rank, dims, (struct nn_initial){0}, &error);
  if (!param) fail_msg("%s", error.message);
  param->trainable = role == NN_WEIGHT || role == NN_BIAS;
  return param;
}

static void set_params(struct layer *layer, struct rng *rng) {
  for (size_t i = 0; i < layer->params.count; i++) {
    const struct nn_param *param = layer->params.items[i];
    for (int64_t j = 0; j < param->count; j++) {
      float value = draw(rng);
      layer->params.values[param->offset + j] = param->role == NN_NORM_VARIANCE ? value * value + 0.5f : value;
      layer->params.gradients[param->offset + j] = draw(rng);
    }
  }
  layer->params.version++;
}

static void layer_make(struct layer *layer, const struct problem *problem, struct rng *rng) {
  *layer = (struct layer){.p = *problem};
  const struct nn_conv *conv = &problem->conv;
  struct nn_shape x = problem->x;
  int64_t span = conv->dilation * (conv->kernel - 1) + 1;
  layer->y = (struct nn_shape){x.n, (x.h + 2 * conv->pad - span) / conv->stride + 1,
                               (x.w + 2 * conv->pad - span) / conv->stride + 1, conv->out};
  nn_params_init(&layer->params);
  int64_t dims[] = {conv->out, x.c / conv->groups, conv->kernel, conv->kernel};
  bool linear = conv->kernel == 1 && x.h * x.w == 1 && conv->groups == 1;
  layer->weight = declare(layer, "conv.weight", NN_WEIGHT, linear ? 2 : 4, dims);
  if (conv->bias) layer->bias = declare(layer, "conv.bias", NN_BIAS, 1, dims);
  layer->norm = (struct nn_norm_layer){.kind = NN_NORM_FROZEN, .eps = 1e-5};
  layer->norm.gamma = declare(layer, "bn.weight", NN_NORM_WEIGHT, 1, dims);
  layer->norm.beta = declare(layer, "bn.bias", NN_NORM_BIAS, 1, dims);
  layer->norm.mean = declare(layer, "bn.running_mean", NN_NORM_MEAN, 1, dims);
  layer->norm.variance = declare(layer, "bn.running_var", NN_NORM_VARIANCE, 1, dims);
  struct error error = {0};
  assert_ok(nn_params_allocate(&layer->params, &device, true, &error), error);
  set_params(layer, rng);
  layer->x = random_values(nn_count(x), problem->in, rng);
  layer->dy = random_values(nn_count(layer->y), problem->out, rng);
  layer->addend = random_values(nn_count(layer->y), problem->in_place ? problem->out : problem->in, rng);
  layer->ox = operand_make(x, problem->in);
  layer->oy = operand_make(layer->y, problem->out);
  layer->oaddend = operand_make(layer->y, problem->in);
  operand_set(&layer->oaddend, layer->addend);
}

static void layer_free(struct layer *layer) {
  check_guard(layer->ox.data, operand_size(&layer->ox));
  check_guard(layer->oy.data, operand_size(&layer->oy));
  nn_device_free(&device, layer->ox.data);
  nn_device_free(&device, layer->oy.data);
  nn_device_free(&device, layer->oaddend.data);
  nn_params_free(&layer->params);
  free(layer->x);
  free(layer->dy);
  free(layer->addend);
}

static struct nn_step layer_step(struct layer *layer, enum nn_op op) {
  struct nn_step step = {.op = op,
                         .name = "conv",
                         .params = &layer->params,
                         .weight = layer->weight,
                         .bias = layer->bias,
                         .conv = layer->p.conv,
                         .norm = layer->p.norm ? &layer->norm : NULL,
                         .accumulate = layer->p.accumulate};
  if (op == NN_OP_CONV) {
    step.in[NN_X] = &layer->ox;
    step.out[NN_Y] = &layer->oy;
    step.relu = layer->p.relu;
    if (layer->p.addend) step.in[NN_ADDEND] = layer->p.in_place ? &layer->oy : &layer->oaddend;
  } else {
    step.in[NN_DY] = &layer->oy;
    if (op == NN_OP_CONV_BACKWARD_DATA) step.out[NN_DX] = &layer->ox;
    if (op == NN_OP_CONV_BACKWARD_WEIGHTS) step.in[NN_X] = &layer->ox;
  }
  return step;
}

static void run_step(struct nn_step *step, int times) {
  struct error error = {0};
  size_t scratch_size = 0;
  assert_ok(device.backend->supports(&device, step, &error), error);
  assert_ok(device.backend->prepare(&device, step, &scratch_size, &error), error);
  void *scratch = guarded(scratch_size);
  for (int i = 0; i < times; i++) {
    memset(scratch, 0xff, scratch_size); /* NaN: what other steps left there must not matter */
    assert_ok(device.backend->run(&device, step, scratch, &error), error);
  }
  check_guard(scratch, scratch_size);
  nn_device_free(&device, scratch);
  device.backend->forget(&device, step);
  assert_null(step->state);
}

/* ---- the plain loops --------------------------------------------------------------------------------------------- */

static double norm_scale(const struct layer *layer, int64_t channel) {
  if (!layer->p.norm) return 1;
  double variance = nn_value(&layer->params, layer->norm.variance)[channel];
  return nn_value(&layer->params, layer->norm.gamma)[channel] / sqrt(variance + layer->norm.eps);
}

/* Calls visit for every product x[i] * weight[k] that y[o] sums. */
typedef void visit_term(struct layer *layer, int64_t i, int64_t k, int64_t o, double *sums, double *sizes);

static void visit_terms(struct layer *layer, visit_term *visit, double *sums, double *sizes) {
  struct nn_shape x = layer->p.x, y = layer->y;
  const struct nn_conv *c = &layer->p.conv;
  int64_t in = x.c / c->groups, out = c->out / c->groups;
  for (int64_t o = 0; o < nn_count(y); o++) {
    int64_t channel = o % y.c, column = o / y.c % y.w, row = o / (y.c * y.w) % y.h, image = o / (y.c * y.w * y.h);
    for (int64_t k = 0; k < in * c->kernel * c->kernel; k++) {
      int64_t kw = k % c->kernel, kh = k / c->kernel % c->kernel, part = k / (c->kernel * c->kernel);
      int64_t h = row * c->stride - c->pad + kh * c->dilation, w = column * c->stride - c->pad + kw * c->dilation;
      if (h < 0 || h >= x.h || w < 0 || w >= x.w) continue;
      int64_t i = ((image * x.h + h) * x.w + w) * x.c + channel / out * in + part;
      visit(layer, i, channel * in * c->kernel * c->kernel + k, o, sums, sizes);
    }
  }
}

static void add_term(double *sums, double *sizes, int64_t at, double term) {
  sums[at] += term;
  sizes[at] += fabs(term);
}

static double weight_at(const struct layer *layer, int64_t k, int64_t o) {
  return nn_value(&layer->params, layer->weight)[k] * norm_scale(layer, o % layer->y.c);
}

static void forward_term(struct layer *layer, int64_t i, int64_t k, int64_t o, double *sums, double *sizes) {
  add_term(sums, sizes, o, layer->x[i] * weight_at(layer, k, o));
}

static void data_term(struct layer *layer, int64_t i, int64_t k, int64_t o, double *sums, double *sizes) {
  add_term(sums, sizes, i, layer->dy[o] * weight_at(layer, k, o));
}

static void weights_term(struct layer *layer, int64_t i, int64_t k, int64_t o, double *sums, double *sizes) {
  add_term(sums, sizes, k, layer->x[i] * (double)layer->dy[o] * norm_scale(layer, o % layer->y.c));
}

static void finish_forward(struct layer *layer, double *sums, double *sizes) {
  for (int64_t o = 0; o < nn_count(layer->y); o++) {
    int64_t channel = o % layer->y.c;
    double scale = norm_scale(layer, channel);
    if (layer->bias) add_term(sums, sizes, o, scale * nn_value(&layer->params, layer->bias)[channel]);
    if (layer->p.norm) {
      add_term(sums, sizes, o, -scale * nn_value(&layer->params, layer->norm.mean)[channel]);
      add_term(sums, sizes, o, nn_value(&layer->params, layer->norm.beta)[channel]);
    }
    if (layer->p.addend) add_term(sums, sizes, o, layer->addend[o]);
    if (layer->p.relu && sums[o] < 0) sums[o] = 0;
  }
}

static void compare(const struct layer *layer, const char *what, int64_t i, double got, double want, double size,
                    double tolerance) {
  const struct problem *p = &layer->p;
  if (fabs(got - want) <= tolerance * size + 1e-30) return;
  fail_msg("%s[%lld] is %g, not %g (terms sum to %g): %lldx%lldx%lldx%lld out %lld kernel %d stride %d pad %d dilation "
           "%d groups %lld %s -> %s%s%s%s%s%s%s",
           what, (long long)i, got, want, size, (long long)p->x.n, (long long)p->x.h, (long long)p->x.w,
           (long long)p->x.c, (long long)p->conv.out, p->conv.kernel, p->conv.stride, p->conv.pad, p->conv.dilation,
           (long long)p->conv.groups, nn_dtype_name(p->in), nn_dtype_name(p->out), p->conv.bias ? " bias" : "",
           p->norm ? " norm" : "", p->addend ? " addend" : "", p->in_place ? " in place" : "", p->relu ? " relu" : "",
           p->accumulate ? " accumulate" : "");
}

/* ---- the three steps --------------------------------------------------------------------------------------------- */

/* Sums are float32; each rounding to bf16, of `roundings`, is off by half a unit in the last of 8 bits. */
static double tolerance(const struct problem *p, int roundings) {
  return 1e-5 + (p->in == NN_BF16 ? roundings * 0x1p-8 * 1.01 : 0);
}

static double *zeros(int64_t count) {
  double *values = calloc((size_t)count, sizeof *values);
  assert_non_null(values);
  return values;
}

static void check_forward(struct layer *layer) {
  int64_t count = nn_count(layer->y);
  double *sums = zeros(count), *sizes = zeros(count);
  visit_terms(layer, forward_term, sums, sizes);
  finish_forward(layer, sums, sizes);
  operand_set(&layer->ox, layer->x);
  operand_set(&layer->oy, layer->addend);
  struct nn_step step = layer_step(layer, NN_OP_CONV);
  run_step(&step, layer->p.in_place ? 1 : 2);
  for (int64_t i = 0; i < count; i++) {
    compare(layer, "Y", i, operand_get(&layer->oy, i), sums[i], sizes[i], tolerance(&layer->p, 2));
  }
  free(sums);
  free(sizes);
}

static void check_data(struct layer *layer) {
  int64_t count = nn_count(layer->p.x);
  double *sums = zeros(count), *sizes = zeros(count);
  visit_terms(layer, data_term, sums, sizes);
  operand_set(&layer->oy, layer->dy);
  struct nn_step step = layer_step(layer, NN_OP_CONV_BACKWARD_DATA);
  run_step(&step, 2);
  for (int64_t i = 0; i < count; i++) {
    compare(layer, "DX", i, operand_get(&layer->ox, i), sums[i], sizes[i],
            tolerance(&layer->p, layer->p.in != layer->p.out ? 3 : 2));
  }
  free(sums);
  free(sizes);
}

static void check_weights(struct layer *layer) {
  int64_t count = layer->weight->count;
  double *sums = zeros(count), *sizes = zeros(count);
  double *bias = zeros(layer->y.c), *bias_sizes = zeros(layer->y.c);
  float *weight_gradient = nn_gradient(&layer->params, layer->weight);
  float *bias_gradient = nn_gradient(&layer->params, layer->bias);
  visit_terms(layer, weights_term, sums, sizes);
  for (int64_t o = 0; o < nn_count(layer->y); o++) {
    int64_t channel = o % layer->y.c;
    add_term(bias, bias_sizes, channel, layer->dy[o] * norm_scale(layer, channel));
  }
  for (int64_t i = 0; layer->p.accumulate && i < count; i++) {
    add_term(sums, sizes, i, weight_gradient[i]);
  }
  for (int64_t i = 0; layer->p.accumulate && bias_gradient && i < layer->y.c; i++) {
    add_term(bias, bias_sizes, i, bias_gradient[i]);
  }
  operand_set(&layer->ox, layer->x);
  operand_set(&layer->oy, layer->dy);
  struct nn_step step = layer_step(layer, NN_OP_CONV_BACKWARD_WEIGHTS);
  run_step(&step, layer->p.accumulate ? 1 : 2);
  double allowed = tolerance(&layer->p, layer->p.in != layer->p.out);
  for (int64_t i = 0; i < count; i++) {
    compare(layer, "DW", i, weight_gradient[i], sums[i], sizes[i], allowed);
  }
  for (int64_t i = 0; bias_gradient && i < layer->y.c; i++) {
    compare(layer, "DB", i, bias_gradient[i], bias[i], bias_sizes[i], allowed);
  }
  free(sums);
  free(sizes);
  free(bias);
  free(bias_sizes);
}

static void check_problem(const struct problem *problem) {
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 1, (uint64_t)problem->round);
  struct layer layer;
  layer_make(&layer, problem, &rng);
  check_forward(&layer);
  check_data(&layer);
  check_weights(&layer);
  layer_free(&layer);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static bool has_bf16(void) {
  struct error error = {0};
  return nn_device_supports(&device, NN_BF16, &error) == 0;
}

static void draw_flags(struct problem *p, struct rng *rng) {
  p->in = has_bf16() && rng_below(rng, 2) ? NN_BF16 : NN_F32;
  p->out = rng_below(rng, 5) ? p->in : NN_F32;
  p->conv.bias = rng_below(rng, 2);
  p->norm = rng_below(rng, 3) == 0;
  p->relu = rng_below(rng, 2);
  p->addend = rng_below(rng, 3) == 0;
  p->in_place = p->addend && rng_below(rng, 3) == 0;
  p->accumulate = rng_below(rng, 2);
}

static int64_t draw_channels(struct rng *rng) {
  static const int64_t common[] = {1, 3, 16, 17, 32, 48, 64, 100};
  return rng_below(rng, 2) ? common[rng_below(rng, COUNT_OF(common))] : 1 + (int64_t)rng_below(rng, 40);
}

static void test_random_shapes(void **state) {
  (void)state;
  for (int round = 0; round < 100; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0, (uint64_t)round);
    struct problem p = {.round = round};
    draw_flags(&p, &rng);
    struct nn_conv *conv = &p.conv;
    conv->kernel = rng_below(&rng, 2) ? 1 : 1 + (int)rng_below(&rng, 5);
    conv->stride = 1 + (int)rng_below(&rng, 3);
    conv->dilation = 1 + (int)rng_below(&rng, 2);
    conv->pad = (int)rng_below(&rng, (uint64_t)conv->kernel + 1);
    conv->groups = rng_below(&rng, 3) ? 1 : 1 + (int64_t)rng_below(&rng, 4);
    int64_t span = conv->dilation * (conv->kernel - 1) + 1, least = span > 2 * conv->pad ? span - 2 * conv->pad : 1;
    p.x = (struct nn_shape){1 + (int64_t)rng_below(&rng, 3), least + (int64_t)rng_below(&rng, 9),
                            least + (int64_t)rng_below(&rng, 9), draw_channels(&rng)};
    conv->out = draw_channels(&rng);
    if (conv->groups > 1) p.x.c *= conv->groups, conv->out *= conv->groups;
    if (rng_below(&rng, 8) == 0) conv->groups = conv->out = p.x.c; /* depthwise */
    if (nn_count(p.x) * conv->out / conv->groups * conv->kernel * conv->kernel > 20000000) continue;
    check_problem(&p);
  }
}

static void test_linear(void **state) {
  (void)state;
  for (int round = 0; round < 40; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 2, (uint64_t)round);
    struct problem p = {.round = round};
    draw_flags(&p, &rng);
    p.conv.kernel = p.conv.stride = p.conv.dilation = 1;
    p.conv.groups = 1;
    p.conv.out = 1 + (int64_t)rng_below(&rng, 100);
    p.x = (struct nn_shape){1 + (int64_t)rng_below(&rng, 40), 1, 1, 1 + (int64_t)rng_below(&rng, 300)};
    check_problem(&p);
  }
}

/* Shapes as they are in networks, small batches. */
static void test_network_shapes(void **state) {
  (void)state;
  static const struct problem problems[] = {
      {.x = {1, 40, 36, 3}, .conv = {64, 7, 2, 3, 1, 1, false}},
      {.x = {2, 14, 14, 64}, .conv = {64, 3, 1, 1, 1, 1, false}},
      {.x = {2, 14, 14, 128}, .conv = {64, 1, 1, 0, 1, 1, false}},
      {.x = {1, 15, 15, 64}, .conv = {128, 1, 2, 0, 1, 1, false}},
      {.x = {2, 14, 14, 64}, .conv = {64, 3, 2, 1, 1, 1, true}},
      {.x = {1, 9, 9, 128}, .conv = {128, 3, 1, 1, 1, 32, false}},
      {.x = {1, 9, 9, 64}, .conv = {64, 3, 1, 2, 2, 1, false}},
      {.x = {3, 7, 7, 256}, .conv = {96, 1, 1, 0, 1, 1, true}},
      {.x = {2, 9, 8, 256}, .conv = {128, 1, 2, 0, 1, 1, false}},
      {.x = {1, 6, 7, 128}, .conv = {160, 3, 2, 1, 1, 1, false}},
      {.x = {1, 9, 7, 128}, .conv = {130, 2, 3, 1, 2, 1, true}},
      {.x = {2, 1, 2, 16}, .conv = {48, 2, 2, 1, 2, 1, true}, .addend = true, .in_place = true},
      {.x = {2, 1, 2, 16}, .conv = {48, 2, 2, 1, 2, 1, true}, .addend = true},
      {.x = {2, 1, 2, 16}, .conv = {48, 2, 2, 1, 2, 1, true}},
      {.x = {1, 1, 1, 38}, .conv = {38, 1, 3, 0, 1, 38, false}, .norm = true, .addend = true, .relu = true},
  };
  for (size_t i = 0; i < COUNT_OF(problems); i++) {
    for (int dtype = 0; dtype < (has_bf16() ? 2 : 1); dtype++) {
      struct problem p = problems[i];
      p.round = (int)i;
      p.in = p.out = dtype ? NN_BF16 : NN_F32;
      check_problem(&p);
    }
  }
}

/* Shapes that some implementation got wrong, on some processor: dilation, kernels of 1 with it, maps narrower than the
 * stride, single columns; and what is like them. */
static void test_wrong_elsewhere(void **state) {
  (void)state;
  static const struct problem problems[] = {
      {.x = {2, 9, 6, 200}, .conv = {2, 5, 1, 4, 2, 2, false}},
      {.x = {1, 6, 2, 100}, .conv = {1, 2, 1, 1, 2, 1, false}},
      {.x = {3, 4, 9, 76}, .conv = {64, 1, 1, 0, 2, 2, false}},
      {.x = {3, 2, 1, 48}, .conv = {25, 5, 3, 2, 1, 1, false}},
      {.x = {1, 6, 1, 16}, .conv = {3, 2, 2, 1, 1, 1, false}},
      {.x = {2, 7, 7, 64}, .conv = {32, 3, 1, 2, 2, 1, true}},
      {.x = {1, 12, 12, 32}, .conv = {32, 3, 1, 2, 2, 1, true}},
      {.x = {2, 8, 1, 32}, .conv = {32, 3, 1, 1, 1, 1, false}},
      {.x = {2, 1, 8, 32}, .conv = {32, 3, 1, 1, 1, 1, false}},
      {.x = {2, 1, 1, 48}, .conv = {32, 3, 2, 1, 1, 1, false}},
      {.x = {2, 6, 2, 32}, .conv = {48, 3, 3, 1, 1, 1, false}},
      {.x = {1, 5, 5, 64}, .conv = {64, 3, 1, 3, 3, 2, false}},
      {.x = {1, 8, 8, 48}, .conv = {32, 1, 2, 0, 3, 1, false}},
      {.x = {2, 2, 1, 64}, .conv = {64, 7, 2, 3, 1, 1, false}},
  };
  for (size_t i = 0; i < COUNT_OF(problems); i++) {
    for (int dtype = 0; dtype < (has_bf16() ? 2 : 1); dtype++) {
      struct problem p = problems[i];
      p.round = 100 + (int)i;
      p.in = p.out = dtype ? NN_BF16 : NN_F32;
      check_problem(&p);
    }
  }
}

/* Weight gradients of kernel 1 as they are made with AMX, which is right, if not fast, on every processor with bf16. */
static void test_packed_products(void **state) {
  (void)state;
  static const struct problem problems[] = {
      {.x = {2, 14, 14, 128}, .conv = {64, 1, 1, 0, 1, 1, false}},
      {.x = {3, 7, 7, 256}, .conv = {96, 1, 1, 0, 1, 1, true}},
      {.x = {2, 9, 8, 256}, .conv = {128, 1, 2, 0, 1, 1, false}},
      {.x = {1, 15, 15, 64}, .conv = {128, 1, 2, 0, 1, 1, true}, .accumulate = true},
      {.x = {1, 9, 7, 65}, .conv = {33, 1, 1, 0, 1, 1, true}},
      {.x = {1, 5, 3, 1}, .conv = {1, 1, 1, 0, 1, 1, true}},
      {.x = {3, 5, 3, 31}, .conv = {257, 1, 3, 0, 1, 1, false}, .norm = true},
      {.x = {16, 1, 1, 300}, .conv = {100, 1, 1, 0, 1, 1, true}},
      {.x = {33, 1, 1, 300}, .conv = {100, 1, 1, 0, 1, 1, true}},
  };
  struct cpu_context *context = device.context;
  bool amx = context->amx;
  if (!has_bf16()) skip();
  context->amx = true;
  for (size_t i = 0; i < COUNT_OF(problems); i++) {
    for (int logits = 0; logits < 2; logits++) {
      struct problem p = problems[i];
      p.round = 200 + (int)i;
      p.in = NN_BF16, p.out = logits ? NN_F32 : NN_BF16;
      check_problem(&p);
    }
  }
  context->amx = amx;
}

/* Packed weights follow the parameters when, and only when, their version changes. */
static void test_version(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 3, 0);
  struct problem p = {.x = {1, 5, 5, 16}, .conv = {16, 3, 1, 1, 1, 1, true}, .norm = true};
  struct layer layer;
  layer_make(&layer, &p, &rng);
  operand_set(&layer.ox, layer.x);
  struct nn_step step = layer_step(&layer, NN_OP_CONV);
  struct error error = {0};
  size_t scratch_size = 0;
  assert_ok(device.backend->prepare(&device, &step, &scratch_size, &error), error);
  void *scratch = guarded(scratch_size);
  assert_ok(device.backend->run(&device, &step, scratch, &error), error);
  float before = operand_get(&layer.oy, 0);
  for (int64_t i = 0; i < layer.weight->count; i++) {
    nn_value(&layer.params, layer.weight)[i] *= 2;
  }
  assert_ok(device.backend->run(&device, &step, scratch, &error), error);
  assert_true(operand_get(&layer.oy, 0) == before);
  layer.params.version++;
  assert_ok(device.backend->run(&device, &step, scratch, &error), error);
  assert_false(operand_get(&layer.oy, 0) == before);
  nn_device_free(&device, scratch);
  device.backend->forget(&device, &step);
  layer_free(&layer);
}

/* The same bits every time. */
static void test_repeatable(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 4, 0);
  for (int dtype = 0; dtype < (has_bf16() ? 2 : 1); dtype++) {
    for (int kernel = 1; kernel <= 3; kernel += 2) {
      struct problem p = {.x = {4, 28, 28, 64}, .conv = {80, kernel, 1, kernel / 2, 1, 1, true}};
      p.in = p.out = dtype ? NN_BF16 : NN_F32;
      struct layer layer;
      layer_make(&layer, &p, &rng);
      operand_set(&layer.ox, layer.x);
      operand_set(&layer.oy, layer.dy);
      size_t size = (size_t)layer.weight->count * sizeof(float);
      float *gradient = nn_gradient(&layer.params, layer.weight), *first = malloc(size);
      assert_non_null(first);
      for (int round = 0; round < 5; round++) {
        struct nn_step step = layer_step(&layer, NN_OP_CONV_BACKWARD_WEIGHTS);
        run_step(&step, 1);
        if (round == 0) memcpy(first, gradient, size);
        assert_memory_equal(first, gradient, size);
      }
      free(first);
      layer_free(&layer);
    }
  }
}

static void test_frozen_weight(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 5, 0);
  struct problem p = {.x = {2, 5, 5, 8}, .conv = {12, 3, 1, 1, 1, 1, true}};
  struct layer layer;
  layer_make(&layer, &p, &rng);
  layer.weight->trainable = false;
  float before = layer.params.gradients[layer.weight->offset];
  operand_set(&layer.ox, layer.x);
  operand_set(&layer.oy, layer.dy);
  struct nn_step step = layer_step(&layer, NN_OP_CONV_BACKWARD_WEIGHTS);
  run_step(&step, 1);
  assert_true(layer.params.gradients[layer.weight->offset] == before);
  layer_free(&layer);
}

static void test_refuses(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 6, 0);
  struct problem p = {.x = {2, 5, 5, 8}, .conv = {12, 3, 1, 1, 1, 1, true}};
  struct layer layer;
  layer_make(&layer, &p, &rng);
  struct nn_step step = layer_step(&layer, NN_OP_CONV);
  struct error error = {0};
  layer.oy.shape.h++;
  assert_int_equal(device.backend->supports(&device, &step, &error), -1);
  assert_non_null(strstr(error.message, "do not fit"));
  layer.oy.shape.h--;
  layer.ox.dtype = NN_U8;
  assert_int_equal(device.backend->supports(&device, &step, &error), -1);
  assert_non_null(strstr(error.message, "bf16 to bf16 or f32"));
  layer.ox.dtype = NN_F32;
  assert_int_equal(device.backend->supports_precision(&device, NN_I32, &error), -1);
  layer_free(&layer);
}

static int open_device(void **state) {
  (void)state;
  seed = test_seed();
  struct error error = {0};
  assert_ok(nn_device_open(&device, "cpu", 0, &error), error);
  printf("%s\n", device.description);
  return 0;
}

static int close_device(void **state) {
  (void)state;
  nn_device_close(&device);
  return 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_shapes),   cmocka_unit_test(test_linear),
      cmocka_unit_test(test_network_shapes),  cmocka_unit_test(test_version),
      cmocka_unit_test(test_repeatable),      cmocka_unit_test(test_frozen_weight),
      cmocka_unit_test(test_refuses),         cmocka_unit_test(test_wrong_elsewhere),
      cmocka_unit_test(test_packed_products),

  };
  return cmocka_run_group_tests(tests, open_device, close_device);
}
