/* The trial of a primitive: a small problem like the step's, by the same implementation and by plain loops. Operands
 * are small whole numbers, so that sums are exact in any order; behind them, in the scratch memory and where the result
 * goes there is NaN. */
#include "nn/cpu/conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct trial {
  struct nn_device *device;
  struct nn_params params;
  struct nn_operand operands[3], plain[3]; /* X, Y, ADDEND: as the step has them, and in float32 */
  struct nn_step step, plain_step;
  void *scratch;
};

static void whole_numbers(const struct nn_operand *operand, uint32_t salt) {
  for (int64_t i = 0; i < nn_count(operand->shape); i++) {
    float value = (float)((((uint32_t)i + salt) * 2654435761u >> 16) % 5) - 2;
    if (operand->dtype == NN_BF16) {
      ((uint16_t *)operand->data)[i] = nn_bf16_from_f32(value);
    } else {
      ((float *)operand->data)[i] = value;
    }
  }
}

static int64_t limited(int64_t value, int64_t most) {
  return value < most ? value : most;
}

/* Channels fill a vector or two, and so many positions that the middle of the map sees no padding. */
static void shapes_like(const struct nn_step *step, struct nn_conv *conv, struct nn_shape *x, struct nn_shape *y) {
  int64_t groups = limited(step->conv.groups, 2);
  int side = conv->dilation * (conv->kernel - 1) + 1 + 5 * conv->stride;
  *x = (struct nn_shape){2, side + 2, side + 1, groups * limited(conv_map_in(step)->shape.c / step->conv.groups, 32)};
  conv->out = groups * limited(step->conv.out / step->conv.groups, 32);
  conv->groups = groups;
  *y = (struct nn_shape){2, nn_windows(x->h, conv->kernel, conv->stride, conv->pad, conv->dilation),
                         nn_windows(x->w, conv->kernel, conv->stride, conv->pad, conv->dilation), conv->out};
}

static int make_params(struct trial *trial, const struct nn_step *like, int64_t in, struct error *error) {
  const struct nn_conv *conv = &trial->step.conv;
  int64_t dims[] = {conv->out, in / conv->groups, conv->kernel, conv->kernel};
  struct nn_initial unset = {0};
  struct nn_param *weight = nn_params_declare(&trial->params, "weight", NN_WEIGHT, 4, dims, unset, error);
  if (!weight) return -1;
  trial->step.weight = weight;
  if (conv_has_bias(like)) {
    trial->step.bias = nn_params_declare(&trial->params, "bias", NN_BIAS, 1, dims, unset, error);
    if (!trial->step.bias) return -1;
  }
  if (nn_params_allocate(&trial->params, trial->device, true, error)) return -1;
  struct nn_operand values = {{1, 1, 1, trial->params.elements}, NN_F32, trial->params.values};
  whole_numbers(&values, 1);
  trial->params.version++;
  return 0;
}

static int make_operands(struct trial *trial, struct error *error) {
  for (int i = 0; i < 3; i++) {
    trial->plain[i] = (struct nn_operand){trial->operands[i].shape, NN_F32, NULL};
    struct nn_operand *both[] = {&trial->operands[i], &trial->plain[i]};
    for (int j = 0; j < 2; j++) {
      size_t size = (size_t)nn_count(both[j]->shape) * nn_dtype_size(both[j]->dtype);
      both[j]->data = nn_device_allocate(trial->device, size + 64, error);
      if (!both[j]->data) return -1;
      memset(both[j]->data, 0xff, size + 64);
      whole_numbers(both[j], (uint32_t)i * 1000);
    }
  }
  return 0;
}

/* The operand that a slot of the step has, if it has one. */
static struct nn_operand *operand_for(struct nn_operand operands[3], const struct nn_step *like, enum nn_slot slot) {
  bool is_in = slot == NN_X || slot == NN_DX;
  if (slot == NN_ADDEND) return conv_adds_in_place(like) ? &operands[1] : &operands[2];
  return &operands[is_in ? 0 : 1];
}

static void fill_slots(struct nn_step *step, const struct nn_step *like, struct nn_operand operands[3]) {
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    if (like->in[slot]) step->in[slot] = operand_for(operands, like, (enum nn_slot)slot);
    if (like->out[slot]) step->out[slot] = operand_for(operands, like, (enum nn_slot)slot);
  }
}

static int trial_make(struct trial *trial, struct nn_device *device, const struct nn_step *like, struct error *error) {
  *trial = (struct trial){.device = device};
  nn_params_init(&trial->params);
  struct nn_step *step = &trial->step;
  *step = (struct nn_step){.op = like->op,
                           .name = like->name,
                           .params = &trial->params,
                           .conv = like->conv,
                           .relu = like->relu,
                           .training = true};
  struct nn_shape x, y;
  shapes_like(like, &step->conv, &x, &y);
  const struct nn_operand *addend = like->in[NN_ADDEND];
  trial->operands[0] = (struct nn_operand){x, conv_map_in(like)->dtype, NULL};
  trial->operands[1] = (struct nn_operand){y, conv_map_out(like)->dtype, NULL};
  trial->operands[2] = (struct nn_operand){y, addend ? addend->dtype : NN_F32, NULL};
  if (make_params(trial, like, x.c, error) || make_operands(trial, error)) return -1;
  trial->plain_step = *step;
  fill_slots(step, like, trial->operands);
  fill_slots(&trial->plain_step, like, trial->plain);
  return 0;
}

static void trial_free(struct trial *trial) {
  for (int i = 0; i < 3; i++) {
    nn_device_free(trial->device, trial->operands[i].data);
    nn_device_free(trial->device, trial->plain[i].data);
  }
  nn_device_free(trial->device, trial->scratch);
  cpu_conv_forget(&trial->step);
  nn_params_free(&trial->params);
}

/* What a step computes, as an operand. */
static struct nn_operand result_of(const struct nn_step *step) {
  if (step->op == NN_OP_CONV) return *step->out[NN_Y];
  if (step->op == NN_OP_CONV_BACKWARD_DATA) return *step->out[NN_DX];
  return (struct nn_operand){{1, 1, 1, step->weight->count}, NN_F32, step->params->gradients + step->weight->offset};
}

static void spoil(const struct nn_step *step) {
  struct nn_operand result = result_of(step);
  if (conv_adds_in_place(step)) return;
  memset(result.data, 0xff, (size_t)nn_count(result.shape) * nn_dtype_size(result.dtype));
}

int64_t conv_first_difference(const struct nn_operand *got, const float *want) {
  bool bf16 = got->dtype == NN_BF16;
  for (int64_t i = 0; i < nn_count(got->shape); i++) {
    float value = bf16 ? nn_f32_from_bf16(((uint16_t *)got->data)[i]) : ((const float *)got->data)[i];
    if (!(fabsf(value - want[i]) <= fabsf(want[i]) * (bf16 ? 0x1p-7f : 1e-5f))) return i;
  }
  return -1;
}

/* 0: right; 1: wrong; -1: could not be tried. The gradient of a weight has one place for both. */
static int trial_run(struct trial *trial, size_t scratch, struct error *error) {
  const struct cpu_context *context = trial->device->context;
  struct nn_operand result = result_of(&trial->plain_step);
  int64_t count = nn_count(result.shape);
  spoil(&trial->plain_step);
  if (context->oracle->run(trial->device, &trial->plain_step, NULL, error)) return -1;
  float *want = malloc((size_t)count * sizeof *want);
  trial->scratch = nn_device_allocate(trial->device, scratch + 64, error);
  if (!want || !trial->scratch) {
    free(want);
    return error_memory(error, scratch + (size_t)count * sizeof *want);
  }
  memcpy(want, result.data, (size_t)count * sizeof *want);
  memset(trial->scratch, 0xff, scratch + 64);
  spoil(&trial->step);
  int failed = cpu_conv_run(trial->device, &trial->step, trial->scratch, error);
  result = result_of(&trial->step);
  int64_t place = failed ? -1 : conv_first_difference(&result, want);
  free(want);
  return failed ? -1 : place >= 0;
}

static int blame(const struct nn_step *step, const char *implementation, struct error *error) {
  const dnnl_version_t *version = dnnl_version();
  return error_set(
      error,
      "%s: oneDNN %d.%d.%d's %s computes a wrong %s on this processor, compared with plain loops: use f32, "
      "or an older instruction set (set DNNL_MAX_CPU_ISA to AVX512_CORE_BF16, AVX512_CORE or AVX2), and "
      "report it with the output of lscpu",
      step->name, version->major, version->minor, version->patch, implementation, nn_op_name(step->op));
}

static bool is_known(const struct conv_kinds *kinds, const char *implementation, enum nn_op op) {
  for (int i = 0; i < kinds->count; i++) {
    if (kinds->items[i].op == op && !strcmp(kinds->items[i].name, implementation)) return true;
  }
  return false;
}

static void remember(struct conv_kinds *kinds, const char *implementation, enum nn_op op) {
  if (kinds->count == COUNT_OF(kinds->items)) return;
  struct conv_kind *kind = &kinds->items[kinds->count++];
  kind->op = op;
  snprintf(kind->name, sizeof kind->name, "%s", implementation);
}

int conv_check(struct nn_device *device, const struct nn_step *step, enum conv_form form, struct error *error) {
  struct cpu_context *context = device->context;
  const char *implementation = cpu_conv_implementation(step);
  if (!conv_caught_as(implementation, step->op) || is_known(&context->right, implementation, step->op)) return 0;
  struct trial trial;
  size_t scratch = 0;
  int result = trial_make(&trial, device, step, error);
  bool same = result == 0 && !conv_prepare(device, &trial.step, form, &scratch, error) &&
              !strcmp(cpu_conv_implementation(&trial.step), implementation);
  if (same) result = trial_run(&trial, scratch, error);
  if (same && result == 0) remember(&context->right, implementation, step->op);
  if (result > 0) result = blame(step, implementation, error);
  trial_free(&trial);
  return result;
}
