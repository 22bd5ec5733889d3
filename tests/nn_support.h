/* One step on random data, as a case that any device can run: memory between guards that must stay untouched, inputs
 * that must stay as they were, and a comparison of all that was written with what `ref` makes of the same data.
 * Include after nn/backend.h and tests/test_support.h. */
#ifndef JIGSAW_TESTS_NN_SUPPORT_H
#define JIGSAW_TESTS_NN_SUPPORT_H

#include <math.h>

enum { IN, OUT, DIRECTIONS };
enum { GUARD = 256, GUARD_BYTE = 0xff /* NaN as float32 and as bf16: what reads or leaves it is seen */ };
enum { WEIGHT, BIAS, GAMMA, BETA, MEAN, VARIANCE, BATCHES, CASE_PARAMS };

static const char *const CASE_PARAM_NAMES[CASE_PARAMS] = {"weight", "bias",     "gamma",  "beta",
                                                          "mean",   "variance", "batches"};

struct case_operand {
  bool present, shifted; /* shifted: aligned to one element only */
  struct nn_shape shape;
  enum nn_dtype dtype;
  int overlay;    /* an output on the memory of input overlay - 1; 0: its own memory */
  double natural; /* the size of what is summed up in an element: errors are relative to it too */
  float *values;  /* inputs, and what is in an output before */
};

struct case_param {
  bool present, trainable;
  int rank;
  int64_t dims[4], count;
  double natural; /* of its gradient or, for running statistics, its value */
  float *values, *gradient;
};

struct op_case {
  struct arena arena;
  struct nn_step step; /* op and options; the pointers are those of an instance */
  bool normed, gradients, same_addend;
  struct nn_norm_layer norm;
  enum nn_dtype precision;
  struct case_operand operands[DIRECTIONS][NN_SLOTS];
  struct case_param params[CASE_PARAMS];
};

static inline float *case_floats(struct op_case *c, int64_t count) {
  float *values = arena_alloc(&c->arena, (size_t)count * sizeof *values);
  assert_non_null(values);
  return values;
}

static inline struct case_operand *case_use(struct op_case *c, int direction, int slot, struct nn_shape shape,
                                            enum nn_dtype dtype, double natural) {
  struct case_operand *operand = &c->operands[direction][slot];
  *operand = (struct case_operand){.present = true, .shape = shape, .dtype = dtype, .natural = natural};
  operand->values = case_floats(c, nn_count(shape));
  for (int64_t i = 0; i < nn_count(shape); i++)
    operand->values[i] = NAN;
  return operand;
}

static inline void case_param(struct op_case *c, int which, int rank, const int64_t dims[], double natural) {
  struct case_param *param = &c->params[which];
  *param = (struct case_param){.present = true, .trainable = which <= BETA, .rank = rank, .count = 1};
  param->natural = natural;
  for (int i = 0; i < rank; i++) {
    param->dims[i] = dims[i];
    param->count *= dims[i];
  }
  param->values = case_floats(c, param->count);
  param->gradient = case_floats(c, param->count);
}

/* ---- elements ---- */

static inline void encode(enum nn_dtype dtype, const float *values, int64_t count, void *bytes) {
  for (int64_t i = 0; i < count; i++) {
    if (dtype == NN_F32) ((float *)bytes)[i] = values[i];
    if (dtype == NN_BF16) ((uint16_t *)bytes)[i] = nn_bf16_from_f32(values[i]);
    if (dtype == NN_I32) ((int32_t *)bytes)[i] = (int32_t)values[i];
    if (dtype == NN_U8) ((uint8_t *)bytes)[i] = values[i] >= 0 ? (uint8_t)values[i] : GUARD_BYTE;
  }
}

static inline void decode(enum nn_dtype dtype, const void *bytes, int64_t count, float *values) {
  for (int64_t i = 0; i < count; i++) {
    values[i] = dtype == NN_F32    ? ((const float *)bytes)[i]
                : dtype == NN_BF16 ? nn_f32_from_bf16(((const uint16_t *)bytes)[i])
                : dtype == NN_I32  ? (float)((const int32_t *)bytes)[i]
                                   : (float)((const uint8_t *)bytes)[i];
  }
}

/* ---- guarded memory ---- */

struct guarded {
  uint8_t *block; /* of the device */
  uint8_t *host;  /* what was put there */
  size_t size, lead;
};

static inline struct guarded guarded_new(struct nn_device *device, size_t size, size_t shift) {
  struct guarded memory = {.size = size, .lead = GUARD + shift};
  struct error error;
  size_t total = size + shift + 2 * GUARD;
  memory.host = malloc(total);
  memory.block = nn_device_allocate(device, total, &error);
  if (!memory.host || !memory.block) fail_msg("out of memory");
  memset(memory.host, GUARD_BYTE, total);
  assert_ok(nn_device_upload(device, memory.block, memory.host, total, &error), error);
  return memory;
}

static inline void guarded_free(struct nn_device *device, struct guarded *memory) {
  nn_device_free(device, memory->block);
  free(memory->host);
  *memory = (struct guarded){0};
}

/* Fails where the guards, or with `whole` anything, changed; `values` (host memory of `size` bytes) gets the middle. */
static inline void guarded_check(struct nn_device *device, const struct guarded *memory, bool whole, const char *name,
                                 void *values) {
  struct error error;
  size_t total = memory->size + memory->lead + GUARD;
  uint8_t *found = malloc(total);
  assert_non_null(found);
  assert_ok(nn_device_download(device, found, memory->block, total, &error), error);
  for (size_t i = 0; i < total; i++) {
    bool middle = i >= memory->lead && i < memory->lead + memory->size;
    if (found[i] == memory->host[i] || (middle && !whole)) continue;
    fail_msg("%s: wrote to byte %lld of %zu", name, (long long)i - (long long)memory->lead, memory->size);
  }
  if (values) memcpy(values, found + memory->lead, memory->size);
  free(found);
}

/* ---- a case on a device ---- */

struct op_instance {
  const struct op_case *from;
  struct nn_device *device;
  bool oracle; /* float32 wherever the case has bf16, and no overlays */
  struct nn_params params;
  struct nn_param *items[CASE_PARAMS];
  struct nn_step step;
  struct nn_norm_layer norm;
  struct nn_operand operands[DIRECTIONS][NN_SLOTS];
  struct guarded memory[DIRECTIONS][NN_SLOTS], scratch;
  float *values_before, *gradients_before; /* the whole blocks */
};

static inline enum nn_dtype instance_dtype(const struct op_instance *instance, const struct case_operand *operand) {
  return instance->oracle && operand->dtype == NN_BF16 ? NN_F32 : operand->dtype;
}

/* Between the parameters, and around them, are some that no step knows. */
static inline void declare_params(struct op_instance *instance, const struct op_case *c) {
  static const enum nn_role ROLES[CASE_PARAMS] = {NN_WEIGHT,    NN_BIAS,          NN_NORM_WEIGHT, NN_NORM_BIAS,
                                                  NN_NORM_MEAN, NN_NORM_VARIANCE, NN_NORM_BATCHES};
  struct error error;
  char name[32];
  for (int i = 0; i < CASE_PARAMS; i++) {
    const struct case_param *param = &c->params[i];
    snprintf(name, sizeof name, "guard%d", i);
    assert_non_null(
        nn_params_declare(&instance->params, name, NN_BIAS, 1, (int64_t[]){1 + i * 5}, (struct nn_initial){0}, &error));
    if (!param->present) continue;
    instance->items[i] = nn_params_declare(&instance->params, CASE_PARAM_NAMES[i], ROLES[i], param->rank, param->dims,
                                           (struct nn_initial){0}, &error);
    assert_non_null(instance->items[i]);
    if (!param->trainable) instance->items[i]->trainable = false;
  }
  assert_non_null(
      nn_params_declare(&instance->params, "last", NN_BIAS, 1, (int64_t[]){33}, (struct nn_initial){0}, &error));
  assert_ok(nn_params_allocate(&instance->params, instance->device, c->gradients, &error), error);
}

static inline void link_step(struct op_instance *instance, const struct op_case *c) {
  struct nn_step *step = &instance->step;
  *step = c->step;
  step->params = &instance->params;
  step->weight = instance->items[WEIGHT];
  step->bias = instance->items[BIAS];
  instance->norm = c->norm;
  instance->norm.gamma = instance->items[GAMMA];
  instance->norm.beta = instance->items[BETA];
  instance->norm.mean = instance->items[MEAN];
  instance->norm.variance = instance->items[VARIANCE];
  instance->norm.batches = instance->items[BATCHES];
  step->norm = c->normed ? &instance->norm : NULL;
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    for (int direction = IN; direction < DIRECTIONS; direction++) {
      const struct case_operand *operand = &c->operands[direction][slot];
      instance->operands[direction][slot] =
          (struct nn_operand){operand->shape, instance_dtype(instance, operand), NULL};
    }
    step->in[slot] = c->operands[IN][slot].present ? &instance->operands[IN][slot] : NULL;
    step->out[slot] = c->operands[OUT][slot].present ? &instance->operands[OUT][slot] : NULL;
  }
  if (c->same_addend) step->in[NN_ADDEND] = step->in[NN_X];
}

static inline void op_open(struct op_instance *instance, const struct op_case *c, struct nn_device *device,
                           bool oracle) {
  struct error error;
  size_t scratch = 0;
  *instance = (struct op_instance){.from = c, .device = device, .oracle = oracle};
  nn_params_init(&instance->params);
  declare_params(instance, c);
  link_step(instance, c);
  assert_ok(device->backend->supports(device, &instance->step, &error), error);
  assert_ok(device->backend->prepare(device, &instance->step, &scratch, &error), error);
  instance->scratch = guarded_new(device, scratch, 0);
  instance->values_before = malloc((size_t)instance->params.elements * sizeof(float));
  instance->gradients_before = malloc((size_t)instance->params.elements * sizeof(float));
  assert_true(instance->values_before && instance->gradients_before);
}

static inline void op_close(struct op_instance *instance) {
  struct nn_device *device = instance->device;
  device->backend->forget(device, &instance->step);
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    guarded_free(device, &instance->memory[IN][slot]);
    guarded_free(device, &instance->memory[OUT][slot]);
  }
  guarded_free(device, &instance->scratch);
  nn_params_free(&instance->params);
  free(instance->values_before);
  free(instance->gradients_before);
}

static inline void fill_params(struct op_instance *instance) {
  const struct op_case *c = instance->from;
  struct nn_params *params = &instance->params;
  struct error error;
  size_t size = (size_t)params->elements * sizeof(float);
  memset(instance->values_before, GUARD_BYTE, size);
  memset(instance->gradients_before, GUARD_BYTE, size);
  for (int i = 0; i < CASE_PARAMS; i++) {
    if (!instance->items[i]) continue;
    size_t bytes = (size_t)c->params[i].count * sizeof(float);
    memcpy(instance->values_before + instance->items[i]->offset, c->params[i].values, bytes);
    if (c->step.accumulate)
      memcpy(instance->gradients_before + instance->items[i]->offset, c->params[i].gradient, bytes);
  }
  assert_ok(nn_device_upload(instance->device, params->values, instance->values_before, size, &error), error);
  params->version++;
  if (!params->gradients) return;
  assert_ok(nn_device_upload(instance->device, params->gradients, instance->gradients_before, size, &error), error);
}

static inline void fill_operand(struct op_instance *instance, int direction, int slot) {
  const struct case_operand *operand = &instance->from->operands[direction][slot];
  struct guarded *memory = &instance->memory[direction][slot];
  struct error error;
  guarded_free(instance->device, memory);
  if (!operand->present) return;
  if (operand->overlay && !instance->oracle) {
    instance->operands[direction][slot].data = instance->operands[IN][operand->overlay - 1].data;
    return;
  }
  enum nn_dtype dtype = instance_dtype(instance, operand);
  size_t bytes = nn_dtype_size(dtype);
  *memory = guarded_new(instance->device, (size_t)nn_count(operand->shape) * bytes, operand->shifted ? bytes : 0);
  uint8_t *data = memory->block + memory->lead;
  if (!isnan(operand->values[0]) || direction == IN) {
    encode(dtype, operand->values, nn_count(operand->shape), memory->host + memory->lead);
  }
  assert_ok(nn_device_upload(instance->device, data, memory->host + memory->lead, memory->size, &error), error);
  instance->operands[direction][slot].data = data;
}

/* The case's data, in memory that is new each time. */
static inline void op_fill(struct op_instance *instance) {
  fill_params(instance);
  for (int direction = IN; direction < DIRECTIONS; direction++) {
    for (int slot = 0; slot < NN_SLOTS; slot++)
      fill_operand(instance, direction, slot);
  }
}

static inline void op_run(struct op_instance *instance) {
  struct error error;
  struct nn_device *device = instance->device;
  void *scratch = instance->scratch.block + instance->scratch.lead;
  assert_ok(device->backend->run(device, &instance->step, scratch, &error), error);
}

/* An output as float32. */
static inline void op_output(const struct op_instance *instance, int slot, float *values) {
  const struct nn_operand *operand = &instance->operands[OUT][slot];
  int64_t count = nn_count(operand->shape);
  struct error error;
  void *bytes = malloc((size_t)count * nn_dtype_size(operand->dtype));
  assert_non_null(bytes);
  size_t size = (size_t)count * nn_dtype_size(operand->dtype);
  assert_ok(nn_device_download(instance->device, bytes, operand->data, size, &error), error);
  decode(operand->dtype, bytes, count, values);
  free(bytes);
}

/* ---- comparison ---- */

static inline void case_describe(const struct op_case *c, const struct op_instance *instance, char text[1024]) {
  nn_step_describe(&instance->step, text, 512);
  size_t used = strlen(text);
  snprintf(text + used, 1024 - used,
           " [kernel %d stride %d pad %d dilation %d groups %d; pool %d %d %d; norm %d groups %d; relu %d training %d "
           "accumulate %d addend %d dy2 %d y %d daddend %d channel %d]",
           c->step.conv.kernel, c->step.conv.stride, c->step.conv.pad, c->step.conv.dilation, (int)c->step.conv.groups,
           c->step.pool.kernel, c->step.pool.stride, c->step.pool.pad, c->normed ? (int)c->norm.kind : -1,
           (int)c->norm.groups, c->step.relu, c->step.training, c->step.accumulate, c->operands[IN][NN_ADDEND].present,
           c->operands[IN][NN_DY2].present, c->operands[IN][NN_Y].present, c->operands[OUT][NN_DADDEND].present,
           (int)c->step.channel);
}

/* float32: sums of up to some thousand products in another order differ by a few units of 6e-8 of what is summed up.
 *
 * bf16: inputs are the same for both sides. Writing the result rounds once, by at most 2^-9 of it; a result may come
 * from one other rounded value (a convolution before its addend) of the natural size: 2^-8 covers both. A folded norm
 * also rounds each weight: errors of up to 2^-9 of each product, which mostly cancel; another 2^-8 of the natural size,
 * here three standard deviations of the sum, is more than ten of their sum's. */
static inline double tolerance(const struct op_case *c, enum nn_dtype dtype) {
  bool folded =
      c->normed && c->precision == NN_BF16 && (c->step.op == NN_OP_CONV || c->step.op == NN_OP_CONV_BACKWARD_DATA);
  if (dtype == NN_U8) return 0;
  return folded ? 0x1p-7 : dtype == NN_BF16 ? 0x1p-8 : 1e-5;
}

/* Gradients of parameters are sums in float32. But a norm may read the sum of DY and DY2 back as it was stored, in
 * bf16: each term is off by up to 2^-9 of it, and so is their sum of at most the natural size. */
static inline double param_tolerance(const struct op_case *c) {
  bool stored = c->precision == NN_BF16 && c->step.op == NN_OP_NORM_BACKWARD && c->operands[IN][NN_DY2].present;
  return stored ? 0x1p-9 : 1e-5;
}

static inline void compare(const struct op_case *c, const struct op_instance *instance, const char *name,
                           const float *found, const float *expected, int64_t count, double bound, double natural) {
  for (int64_t i = 0; i < count; i++) {
    if (fabs((double)found[i] - expected[i]) <= bound * (fabs((double)expected[i]) + natural)) continue;
    if (isnan(found[i]) && isnan(expected[i])) continue;
    char text[1024];
    case_describe(c, instance, text);
    fail_msg("%s: element %lld of %lld of %s is %.9g, not %.9g (bound %g, natural %g)", text, (long long)i,
             (long long)count, name, (double)found[i], (double)expected[i], bound, natural);
  }
}

static inline void compare_output(const struct op_instance *instance, const struct op_instance *reference, int slot) {
  const struct case_operand *operand = &instance->from->operands[OUT][slot];
  int64_t count = nn_count(operand->shape);
  char name[32];
  float *found = malloc((size_t)count * sizeof *found), *expected = malloc((size_t)count * sizeof *expected);
  assert_true(found && expected);
  snprintf(name, sizeof name, "out[%d]", slot);
  op_output(instance, slot, found);
  op_output(reference, slot, expected);
  compare(instance->from, instance, name, found, expected, count, tolerance(instance->from, operand->dtype),
          operand->natural);
  free(found);
  free(expected);
}

/* One block of all parameters: what the step writes agrees, the rest is as it was. */
static inline void compare_block(const struct op_instance *instance, const struct op_instance *reference,
                                 const float *block, const float *reference_block, const float *before,
                                 const bool written[CASE_PARAMS]) {
  size_t count = (size_t)instance->params.elements;
  struct error error;
  float *found = malloc(count * sizeof *found), *expected = malloc(count * sizeof *expected);
  bool *known = calloc(count, sizeof *known);
  assert_true(found && expected && known);
  assert_ok(nn_device_download(instance->device, found, block, count * sizeof *found, &error), error);
  assert_ok(nn_device_download(reference->device, expected, reference_block, count * sizeof *found, &error), error);
  for (int i = 0; i < CASE_PARAMS; i++) {
    const struct nn_param *param = instance->items[i];
    if (!param || !written[i]) continue;
    compare(instance->from, instance, param->name, found + param->offset, expected + param->offset, param->count,
            param_tolerance(instance->from), instance->from->params[i].natural);
    memset(known + param->offset, true, (size_t)param->count);
  }
  for (size_t i = 0; i < count; i++) {
    if (known[i] || !memcmp(&found[i], &before[i], sizeof *found)) continue;
    char text[1024];
    case_describe(instance->from, instance, text);
    fail_msg("%s: wrote to element %zu of the parameters' %s", text, i,
             block == instance->params.values ? "values" : "gradients");
  }
  free(found);
  free(expected);
  free(known);
}

static inline void compare_params(const struct op_instance *instance, const struct op_instance *reference) {
  const struct op_case *c = instance->from;
  bool updates = c->step.op == NN_OP_NORM && c->norm.kind == NN_NORM_BATCH && c->step.training;
  bool values[CASE_PARAMS] = {[MEAN] = updates, [VARIANCE] = updates, [BATCHES] = updates};
  bool weights = c->step.op == NN_OP_CONV_BACKWARD_WEIGHTS, norm = c->step.op == NN_OP_NORM_BACKWARD;
  bool gradients[CASE_PARAMS] = {[WEIGHT] = weights && c->params[WEIGHT].trainable,
                                 [BIAS] = weights && c->params[BIAS].trainable,
                                 [GAMMA] = norm && c->params[GAMMA].trainable,
                                 [BETA] = norm && c->params[BETA].trainable};
  compare_block(instance, reference, instance->params.values, reference->params.values, instance->values_before,
                values);
  if (!c->gradients) return;
  compare_block(instance, reference, instance->params.gradients, reference->params.gradients,
                instance->gradients_before, gradients);
}

/* After a run: nothing but outputs (and inputs that they overlay) has changed. */
static inline void check_untouched(const struct op_instance *instance) {
  bool overlaid[NN_SLOTS] = {false};
  char name[1200];
  case_describe(instance->from, instance, name);
  size_t used = strlen(name);
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    int overlay = instance->from->operands[OUT][slot].overlay;
    if (overlay && !instance->oracle) overlaid[overlay - 1] = true;
  }
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    snprintf(name + used, sizeof name - used, " in[%d]", slot);
    if (instance->memory[IN][slot].block) {
      guarded_check(instance->device, &instance->memory[IN][slot], !overlaid[slot], name, NULL);
    }
    snprintf(name + used, sizeof name - used, " out[%d]", slot);
    if (instance->memory[OUT][slot].block) {
      guarded_check(instance->device, &instance->memory[OUT][slot], false, name, NULL);
    }
  }
  snprintf(name + used, sizeof name - used, " scratch");
  guarded_check(instance->device, &instance->scratch, false, name, NULL);
}

#endif
