/* Running a program, and what goes in and out of it. */
#include <stdlib.h>
#include <string.h>

#include "nn/internal.h"

static const struct nn_named_value *find(const struct nn_program *program, const char *name, struct error *error) {
  for (size_t i = 0; i < program->name_count; i++) {
    if (!strcmp(program->names[i].name, name)) return &program->names[i];
  }
  error_set(error, "the program has no input or output '%s'", name);
  return NULL;
}

int nn_program_bind(struct nn_program *program, const char *input, const void *data, struct error *error) {
  const struct nn_named_value *named = find(program, input, error);
  if (!named) return -1;
  if (!named->value->external) return error_set(error, "'%s' is an output", input);
  named->value->operand.data = (void *)(uintptr_t)data; /* inputs are never written */
  return 0;
}

int nn_program_bind_gradient(struct nn_program *program, const void *data, struct error *error) {
  if (!program->seed_gradient) return error_set(error, "the program's backward pass starts from its losses");
  program->seed_gradient->operand.data = (void *)(uintptr_t)data;
  return 0;
}

enum nn_dtype nn_program_dtype(const struct nn_program *program, const char *name) {
  struct error ignored;
  const struct nn_named_value *named = find(program, name, &ignored);
  return named ? named->value->operand.dtype : NN_F32;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

/* Points every operand into the workspace, which may have moved since the last run. */
static void resolve(struct nn_program *program) {
  if (program->resolved == program->workspace->version) return;
  for (size_t i = 0; i < program->value_count; i++) {
    struct nn_value *value = program->values[i];
    if (!value->external) value->operand.data = (char *)program->workspace->memory + value->offset;
  }
  program->resolved = program->workspace->version;
}

static int check_bound(const struct nn_program *program, bool backward, struct error *error) {
  for (size_t i = 0; i < program->name_count; i++) {
    const struct nn_named_value *named = &program->names[i];
    if (named->value->external && !named->value->operand.data) {
      return error_set(error, "input '%s' of the program is not bound", named->name);
    }
  }
  if (backward && program->seed_gradient && !program->seed_gradient->operand.data) {
    return error_set(error, "the gradient that the backward pass starts from is not bound");
  }
  return 0;
}

static int run_steps(struct nn_program *program, size_t first, size_t end, struct error *error) {
  struct nn_device *device = program->workspace->device;
  const volatile sig_atomic_t *stop = program->options.stop;
  for (size_t i = first; i < end; i++) {
    if (stop && *stop) return NN_STOPPED;
    const struct nn_value *scratch = program->scratches[i];
    double started = program->profiling ? clock_seconds() : 0;
    if (device->backend->run(device, &program->steps[i], scratch ? scratch->operand.data : NULL, error)) {
      return error_context(error, "%s of layer '%s'", nn_op_name(program->steps[i].op), program->steps[i].name);
    }
    if (program->profiling) program->seconds[i] += clock_seconds() - started;
  }
  program->done = end;
  program->workspace->holder = program;
  return 0;
}

static bool holds_workspace(const struct nn_program *program) {
  return program->workspace->holder == program;
}

/* Gradients that are added to begin at zero. */
static int clear_gradients(struct nn_program *program, struct error *error) {
  struct nn_device *device = program->workspace->device;
  for (size_t i = 0; program->options.accumulate && i < program->written_count; i++) {
    const struct nn_param *param = program->written[i];
    float *gradient = program->graph->params->gradients + param->offset;
    if (param->has_gradient) continue;
    if (device->backend->clear(device, gradient, (size_t)param->count * sizeof *gradient, error)) return -1;
  }
  return 0;
}

int nn_program_forward(struct nn_program *program, struct error *error) {
  if (check_bound(program, false, error)) return -1;
  resolve(program);
  program->workspace->holder = NULL;
  program->forward_runs += program->profiling;
  return run_steps(program, 0, program->forward_count, error);
}

int nn_program_backward(struct nn_program *program, struct error *error) {
  if (program->forward_count == program->step_count) return error_set(error, "the program has no backward pass");
  if (check_bound(program, true, error)) return -1;
  if (!holds_workspace(program) || program->done != program->forward_count) {
    return error_set(error, "a backward pass without its forward pass: what that left in the workspace is %s",
                     holds_workspace(program) ? "used up" : "gone");
  }
  if (clear_gradients(program, error)) return -1;
  program->workspace->holder = NULL;
  program->backward_runs += program->profiling;
  int result = run_steps(program, program->forward_count, program->step_count, error);
  if (result) return result;
  for (size_t i = 0; i < program->written_count; i++)
    program->written[i]->has_gradient = true;
  return 0;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

int nn_program_shape(const struct nn_program *program, const char *name, struct nn_shape *shape, struct error *error) {
  const struct nn_named_value *named = find(program, name, error);
  if (!named) return -1;
  *shape = named->value->operand.shape;
  return 0;
}

int nn_program_read(struct nn_program *program, const char *name, float *host, struct error *error) {
  const struct nn_named_value *named = find(program, name, error);
  if (!named) return -1;
  const struct nn_operand *operand = &named->value->operand;
  if (operand->dtype != NN_F32 && operand->dtype != NN_BF16) return error_set(error, "'%s' holds no numbers", name);
  if (!named->value->external && (!holds_workspace(program) || named->value->first >= (int)program->done)) {
    return error_set(error, "'%s' is read before it is computed, or after another program has run", name);
  }
  if (!operand->data) return error_set(error, "input '%s' of the program is not bound", name);
  int64_t count = nn_count(operand->shape);
  size_t size = (size_t)count * nn_dtype_size(operand->dtype);
  /* bf16 goes to the upper half of the memory and is widened from its start. */
  bool wide = operand->dtype == NN_F32;
  uint16_t *halves = (uint16_t *)(void *)host + (wide ? 0 : count);
  if (nn_device_download(program->workspace->device, wide ? (void *)host : (void *)halves, operand->data, size,
                         error)) {
    return -1;
  }
  for (int64_t i = 0; i < count && !wide; i++) {
    uint16_t half;
    memcpy(&half, halves + i, sizeof half);
    float value = nn_f32_from_bf16(half);
    memcpy(host + i, &value, sizeof value);
  }
  return 0;
}

/* ---- facts ------------------------------------------------------------------------------------------------------- */

int64_t nn_step_flops(const struct nn_step *step) {
  const struct nn_operand *y = step->op == NN_OP_CONV ? step->out[NN_Y] : step->in[NN_DY];
  if (!nn_op_is_conv(step->op)) return 0;
  return 2 * nn_count(y->shape) * (step->weight->count / step->conv.out);
}

struct nn_program_facts nn_program_facts(const struct nn_program *program) {
  struct nn_program_facts facts = {.activation_bytes = (int64_t)program->size, .steps = (int64_t)program->step_count};
  for (size_t i = 0; i < program->step_count; i++) {
    int64_t flops = nn_step_flops(&program->steps[i]);
    if (i < program->forward_count) {
      facts.forward_flops += flops;
    } else {
      facts.backward_flops += flops;
    }
    if (program->scratches[i] && (int64_t)program->scratches[i]->size > facts.scratch_bytes) {
      facts.scratch_bytes = (int64_t)program->scratches[i]->size;
    }
  }
  for (size_t i = 0; i < program->value_count; i++) {
    if (!program->values[i]->external) facts.unplanned_bytes += (int64_t)program->values[i]->size;
  }
  return facts;
}

void nn_program_profile(struct nn_program *program, bool on) {
  program->profiling = on;
}
