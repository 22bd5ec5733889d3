/* From a graph to the steps of its forward pass. */
#include <stdlib.h>
#include <string.h>

#include "nn/internal.h"

struct nn_value *nn_value_new(struct nn_compiler *c, struct nn_shape shape, enum nn_dtype dtype) {
  struct nn_program *program = c->program;
  struct nn_value *value = arena_alloc(&program->arena, sizeof *value);
  if (!value) {
    error_memory(c->error, sizeof *value);
    return NULL;
  }
  *value = (struct nn_value){
      .operand = {shape, dtype, NULL}, .first = -1, .last = -1, .size = (size_t)nn_count(shape) * nn_dtype_size(dtype)};
  if (array_reserve((void **)&program->values, &program->value_capacity, program->value_count + 1,
                    sizeof(struct nn_value *), c->error)) {
    return NULL;
  }
  program->values[program->value_count++] = value;
  return value;
}

int nn_step_add(struct nn_compiler *c, const struct nn_step *step) {
  struct nn_program *program = c->program;
  int position = (int)program->step_count;
  if (array_reserve((void **)&program->steps, &program->step_capacity, program->step_count + 1, sizeof *step,
                    c->error)) {
    return -1;
  }
  program->steps[program->step_count] = *step;
  program->steps[program->step_count++].params = c->graph->params;
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    struct nn_value *in = (struct nn_value *)step->in[slot], *out = (struct nn_value *)step->out[slot];
    if (in) in->last = position;
    if (out) out->last = position;
    if (out && out->first < 0) out->first = position;
  }
  return 0;
}

int nn_name_value(struct nn_compiler *c, const char *name, const char *suffix, struct nn_value *value) {
  struct nn_program *program = c->program;
  char full[256];
  int length = snprintf(full, sizeof full, "%s%s", name, suffix);
  if (length < 0 || (size_t)length >= sizeof full) return error_set(c->error, "the name '%s' is too long", name);
  char *copy = arena_copy(&program->arena, full, (size_t)length);
  if (!copy) return error_memory(c->error, (size_t)length);
  if (array_reserve((void **)&program->names, &program->name_capacity, program->name_count + 1, sizeof *program->names,
                    c->error)) {
    return -1;
  }
  program->names[program->name_count++] = (struct nn_named_value){copy, value};
  return 0;
}

/* ---- forward steps ----------------------------------------------------------------------------------------------- */

static struct nn_operand *operand(const struct nn_compiler *c, int node) {
  return node < 0 ? NULL : &c->places[node].value->operand;
}

/* What the backward step of a norm or max pool will want to know. */
static int add_saved(struct nn_compiler *c, struct nn_place *head, struct nn_step *step) {
  const struct nn_norm_layer *norm = step->norm;
  struct nn_shape y = c->places[head->last].shape, shape = y;
  enum nn_dtype dtype = NN_U8;
  if (!c->places[head->last].matters) return 0;
  if (norm) {
    if (nn_norm_running(norm, step->training)) return 0;
    shape = norm->kind == NN_NORM_GROUP ? (struct nn_shape){y.n, 1, 2, norm->groups} : (struct nn_shape){1, 1, 2, y.c};
    dtype = NN_F32;
  }
  head->saved = nn_value_new(c, shape, dtype);
  if (!head->saved) return -1;
  step->out[NN_SAVED] = &head->saved->operand;
  return 0;
}

static int add_concat(struct nn_compiler *c, const struct nn_node *node, struct nn_operand *y) {
  struct nn_step step = {.op = NN_OP_COPY_IN, .name = node->name, .out[NN_Y] = y};
  for (int i = 0; i < node->operand_count; i++) {
    step.in[NN_X] = operand(c, node->operands[i]);
    if (nn_step_add(c, &step)) return -1;
    step.channel += step.in[NN_X]->shape.c;
  }
  return 0;
}

static int add_loss(struct nn_compiler *c, struct nn_place *place, struct nn_step *step, const struct nn_node *node) {
  step->in[NN_LABEL] = operand(c, node->operands[1]);
  step->in[NN_MIX] = operand(c, node->operands[2]);
  step->in[NN_SCALE] = operand(c, node->operands[3]);
  if (!place->matters) return 0;
  place->loss_gradient = nn_value_new(c, c->places[node->operands[0]].shape, c->program->options.precision);
  if (!place->loss_gradient) return -1;
  step->out[NN_DX] = &place->loss_gradient->operand;
  return 0;
}

static const enum nn_op forward_ops[] = {
    [NN_KIND_CONV] = NN_OP_CONV,
    [NN_KIND_NORM] = NN_OP_NORM,
    [NN_KIND_RELU] = NN_OP_RELU,
    [NN_KIND_ADD] = NN_OP_ADD,
    [NN_KIND_MAX_POOL] = NN_OP_MAX_POOL,
    [NN_KIND_AVERAGE_POOL] = NN_OP_AVERAGE_POOL,
    [NN_KIND_GLOBAL_POOL] = NN_OP_GLOBAL_POOL,
    [NN_KIND_REGION_POOL] = NN_OP_REGION_POOL,
    [NN_KIND_UPSAMPLE] = NN_OP_UPSAMPLE,
    [NN_KIND_CONCAT] = NN_OP_COPY_IN,
    [NN_KIND_CROSS_ENTROPY] = NN_OP_CROSS_ENTROPY,
};

/* The step of the chain that begins at `head`, into the value of its last node. */
static int add_forward(struct nn_compiler *c, int head) {
  const struct nn_node *node = &c->graph->nodes[head];
  struct nn_place *place = &c->places[head];
  struct nn_operand *y = operand(c, place->last);
  if (node->kind == NN_KIND_CONCAT) return add_concat(c, node, y);
  struct nn_step step = {.op = forward_ops[node->kind],
                         .name = node->name,
                         .in = {[NN_X] = operand(c, node->operands[0]), [NN_ADDEND] = operand(c, place->addend)},
                         .out[NN_Y] = y,
                         .weight = node->weight,
                         .bias = node->bias,
                         .conv = node->conv,
                         .norm = node->kind == NN_KIND_NORM ? &node->norm : place->folded,
                         .pool = node->pool,
                         .relu = place->relu,
                         .training = c->program->options.training};
  bool saves = node->kind == NN_KIND_NORM || node->kind == NN_KIND_MAX_POOL;
  if (saves && add_saved(c, place, &step)) return -1;
  if (node->kind == NN_KIND_REGION_POOL) step.in[NN_MIX] = operand(c, node->operands[1]);
  if (node->kind == NN_KIND_CROSS_ENTROPY && add_loss(c, place, &step, node)) return -1;
  return nn_step_add(c, &step);
}

static enum nn_dtype node_dtype(const struct nn_compiler *c, int i) {
  const struct nn_node *node = &c->graph->nodes[i];
  if (node->kind == NN_KIND_CROSS_ENTROPY || c->places[i].logits) return NN_F32;
  if (node->kind != NN_KIND_INPUT || node->input_kind == NN_ACTIVATION) return c->program->options.precision;
  return node->input_kind == NN_LABELS ? NN_I32 : NN_F32;
}

static int lower_forward(struct nn_compiler *c) {
  for (size_t i = 0; i < c->graph->count; i++) {
    const struct nn_node *node = &c->graph->nodes[i];
    struct nn_place *place = &c->places[i];
    if (c->places[place->head].last != (int)i) continue;
    place->value = nn_value_new(c, place->shape, node_dtype(c, (int)i));
    if (!place->value) return -1;
    place->value->external = node->kind == NN_KIND_INPUT;
    const char *name = node->kind == NN_KIND_INPUT ? node->name : node->output;
    if (name && nn_name_value(c, name, "", place->value)) return -1;
    if (node->kind != NN_KIND_INPUT && add_forward(c, place->head)) return -1;
  }
  c->program->forward_count = c->program->step_count;
  return 0;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

/* Scratch is memory that lives for one step. */
static int prepare_steps(struct nn_compiler *c) {
  struct nn_program *program = c->program;
  struct nn_device *device = program->workspace->device;
  const struct nn_backend *backend = device->backend;
  program->scratches = arena_alloc(&program->arena, (program->step_count + 1) * sizeof(struct nn_value *));
  program->seconds = arena_alloc(&program->arena, (program->step_count + 1) * sizeof(double));
  if (!program->scratches || !program->seconds) return error_memory(c->error, program->step_count);
  memset(program->seconds, 0, (program->step_count + 1) * sizeof(double));
  for (size_t i = 0; i < program->step_count; i++) {
    struct nn_step *step = &program->steps[i];
    size_t scratch = 0;
    program->scratches[i] = NULL;
    if (backend->supports(device, step, c->error) || backend->prepare(device, step, &scratch, c->error)) {
      return error_context(c->error, "device %s, layer '%s'", backend->name, step->name);
    }
    if (!scratch) continue;
    struct nn_value *value = nn_value_new(c, (struct nn_shape){1, 1, 1, (int64_t)scratch}, NN_U8);
    if (!value) return -1;
    value->first = value->last = (int)i;
    program->scratches[i] = value;
  }
  return 0;
}

/* Options outlive the call, so their texts and shapes are copied; the shapes are used only while compiling. */
static int copy_options(struct nn_compiler *c, const struct nn_compile_options *options) {
  struct nn_program *program = c->program;
  program->options = *options;
  if (program->options.copies < 1) program->options.copies = 1;
  const char **texts[] = {&program->options.seed, &program->options.input_gradient};
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    if (!*texts[i]) continue;
    *texts[i] = arena_copy(&program->arena, *texts[i], strlen(*texts[i]));
    if (!*texts[i]) return error_memory(c->error, 1);
  }
  return 0;
}

static int list_written(struct nn_compiler *c) {
  struct nn_program *program = c->program;
  const struct nn_params *params = c->graph->params;
  program->written = arena_alloc(&program->arena, (params->count + 1) * sizeof(struct nn_param *));
  if (!program->written) return error_memory(c->error, params->count);
  for (size_t i = 0; i < params->count; i++) {
    if (c->written[i]) program->written[program->written_count++] = params->items[i];
  }
  return 0;
}

static int compile(struct nn_compiler *c, const struct nn_compile_options *options) {
  struct nn_program *program = c->program;
  struct nn_device *device = program->workspace->device;
  if (nn_graph_error(c->graph, c->error) || copy_options(c, options)) return -1;
  if (options->precision != NN_F32 && options->precision != NN_BF16) {
    return error_set(c->error, "a program computes in f32 or bf16");
  }
  if (!c->graph->params->values) return error_set(c->error, "the model has no memory yet");
  if (options->parameter_gradients && !c->graph->params->gradients) {
    return error_set(c->error, "the model has no memory for gradients");
  }
  if (nn_device_supports(device, options->precision, c->error)) return -1;
  if (nn_infer(c) || lower_forward(c) || nn_differentiate(c) || list_written(c) || prepare_steps(c)) return -1;
  for (size_t i = 0; i < program->name_count; i++) /* readable to the end */
    program->names[i].value->last = (int)program->step_count;
  program->options.shapes = NULL;
  return nn_plan(program, c->error);
}

int nn_compile(struct nn_program **program, const struct nn_graph *graph, struct nn_workspace *workspace,
               const struct nn_compile_options *options, struct error *error) {
  struct nn_compiler c = {.graph = graph, .error = error};
  *program = NULL;
  c.program = calloc(1, sizeof *c.program);
  c.places = calloc(graph->count + 1, sizeof *c.places);
  c.written = calloc(graph->params->count + 1, sizeof *c.written);
  int result = -1;
  if (c.program) {
    c.program->graph = graph;
    c.program->workspace = workspace;
  }
  if (!c.program || !c.places || !c.written) {
    error_memory(error, graph->count * sizeof *c.places);
  } else {
    result = compile(&c, options);
  }
  free(c.places);
  free(c.written);
  if (result) {
    nn_program_free(c.program);
  } else {
    *program = c.program;
  }
  return result;
}

void nn_program_free(struct nn_program *program) {
  if (!program) return;
  struct nn_device *device = program->workspace->device;
  if (program->workspace->holder == program) program->workspace->holder = NULL;
  for (size_t i = 0; i < program->step_count; i++) {
    if (program->steps[i].state) device->backend->forget(device, &program->steps[i]);
  }
  free(program->steps);
  free(program->values);
  free(program->names);
  arena_free(&program->arena);
  free(program);
}
