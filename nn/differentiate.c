/* The backward pass: chains in reverse order, each from the gradients of its output to those of its operands.
 *
 * A gradient that arrives twice (a residual block's input) is not summed by a step of its own where the next step takes
 * two: norms and ReLUs do. Where a gradient passes unchanged (a sum's), it is shared, never copied.
 */
#include "nn/internal.h"

static struct nn_shape gradient_shape(const struct nn_compiler *c, int node) {
  struct nn_shape shape = c->places[node].shape;
  shape.n *= c->program->options.copies;
  return shape;
}

static struct nn_value *new_gradient(struct nn_compiler *c, int node) {
  return nn_value_new(c, gradient_shape(c, node), c->program->options.precision);
}

/* Sums the two gradients of a node into one. */
static int merge(struct nn_compiler *c, int node) {
  struct nn_place *place = &c->places[node];
  if (!place->gradients[1]) return 0;
  struct nn_value *sum = new_gradient(c, node);
  if (!sum) return -1;
  struct nn_step step = {.op = NN_OP_ADD,
                         .name = c->graph->nodes[node].name,
                         .in = {[NN_X] = &place->gradients[0]->operand, [NN_ADDEND] = &place->gradients[1]->operand},
                         .out[NN_Y] = &sum->operand};
  place->gradients[0] = sum;
  place->gradients[1] = NULL;
  return nn_step_add(c, &step);
}

static int contribute(struct nn_compiler *c, int node, struct nn_value *gradient) {
  struct nn_place *place = &c->places[node];
  if (!place->matters) return 0;
  if (merge(c, node)) return -1;
  place->gradients[place->gradients[0] ? 1 : 0] = gradient;
  return 0;
}

/* A gradient of an operand that a step is about to write; NULL without a failure when nobody wants it. */
static int operand_gradient(struct nn_compiler *c, int node, struct nn_value **gradient) {
  *gradient = NULL;
  if (node < 0 || !c->places[node].matters) return 0;
  *gradient = new_gradient(c, node);
  return *gradient ? 0 : -1;
}

static struct nn_operand *of(struct nn_value *value) {
  return value ? &value->operand : NULL;
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

static size_t param_position(const struct nn_compiler *c, const struct nn_param *param) {
  size_t i = 0;
  while (c->graph->params->items[i] != param)
    i++;
  return i;
}

/* Layers may share a parameter: the first step that writes a gradient replaces it, the following ones add to it. */
static int set_accumulate(struct nn_compiler *c, struct nn_step *step, const struct nn_param *first,
                          const struct nn_param *second) {
  const struct nn_param *params[] = {first, second};
  int before = -1;
  for (int i = 0; i < 2; i++) {
    if (!nn_trained(c, params[i])) continue;
    bool *written = &c->written[param_position(c, params[i])];
    if (before >= 0 && before != *written) {
      return error_set(c->error, "layer '%s' shares one of its parameters, but not the other", step->name);
    }
    before = *written;
    *written = true;
  }
  step->accumulate = before == 1 || c->program->options.accumulate;
  return 0;
}

/* ---- chains ------------------------------------------------------------------------------------------------------ */

/* Through the ReLU at the end of a chain; `*gradient` is one value afterwards. */
static int backward_relu(struct nn_compiler *c, int head, struct nn_value **gradient) {
  struct nn_place *last = &c->places[c->places[head].last];
  if (!c->places[head].relu && c->graph->nodes[head].kind != NN_KIND_RELU) {
    if (merge(c, c->places[head].last)) return -1;
    *gradient = last->gradients[0];
    return 0;
  }
  *gradient = new_gradient(c, c->places[head].last);
  if (!*gradient) return -1;
  struct nn_step step = {
      .op = NN_OP_RELU_BACKWARD,
      .name = c->graph->nodes[head].name,
      .in = {[NN_Y] = of(last->value), [NN_DY] = of(last->gradients[0]), [NN_DY2] = of(last->gradients[1])},
      .out[NN_DX] = of(*gradient)};
  return nn_step_add(c, &step);
}

/* Whether the backward pass shall make the node's value again from what the norm has to keep anyway: its input. Bytes
 * are cheap where a convolution follows, and the memory is worth it: a sixth of what a ResNet-50 keeps, half of a VGG.
 * An output lives to the end in any case, and of a sum the addend would have to be kept instead. */
static bool made_again(const struct nn_compiler *c, int i) {
  int head = c->places[i].head;
  return c->graph->nodes[head].kind == NN_KIND_NORM && c->places[head].addend < 0 && !c->graph->nodes[i].output &&
         c->places[i].matters;
}

/* The value of a node for a backward step that reads it. */
static int recall(struct nn_compiler *c, int i, struct nn_operand **x) {
  struct nn_place *place = &c->places[i], *head = &c->places[place->head];
  *x = of(place->again ? place->again : place->value);
  if (place->again || !made_again(c, i)) return 0;
  const struct nn_node *norm = &c->graph->nodes[place->head];
  place->again = nn_value_new(c, place->shape, place->value->operand.dtype);
  if (!place->again) return -1;
  *x = of(place->again);
  struct nn_step step = {.op = NN_OP_NORM_AGAIN,
                         .name = norm->name,
                         .in = {[NN_X] = of(c->places[norm->operands[0]].value), [NN_SAVED] = of(head->saved)},
                         .out[NN_Y] = *x,
                         .norm = &norm->norm,
                         .relu = head->relu,
                         .training = c->program->options.training};
  return nn_step_add(c, &step);
}

static int backward_conv(struct nn_compiler *c, int head) {
  const struct nn_node *node = &c->graph->nodes[head];
  const struct nn_place *place = &c->places[head];
  struct nn_value *gradient, *dx;
  if (backward_relu(c, head, &gradient)) return -1;
  if (place->addend >= 0 && contribute(c, place->addend, gradient)) return -1;
  struct nn_step step = {.name = node->name,
                         .weight = node->weight,
                         .bias = node->bias,
                         .conv = node->conv,
                         .norm = place->folded,
                         .training = c->program->options.training,
                         .in[NN_DY] = of(gradient)};
  if (nn_trained(c, node->weight) || nn_trained(c, node->bias)) {
    step.op = NN_OP_CONV_BACKWARD_WEIGHTS;
    if (recall(c, node->operands[0], &step.in[NN_X])) return -1;
    if (set_accumulate(c, &step, node->weight, node->bias) || nn_step_add(c, &step)) return -1;
  }
  if (operand_gradient(c, node->operands[0], &dx)) return -1;
  if (!dx) return 0;
  step.op = NN_OP_CONV_BACKWARD_DATA;
  step.accumulate = false;
  step.in[NN_X] = NULL;
  step.out[NN_DX] = of(dx);
  return nn_step_add(c, &step) ? -1 : contribute(c, node->operands[0], dx);
}

static const struct nn_param *untrained_param(struct nn_compiler *c, const struct nn_param *param) {
  struct nn_param *copy = arena_alloc(&c->program->arena, sizeof *copy);
  if (!copy) return NULL;
  *copy = *param;
  copy->trainable = false;
  return copy;
}

/* The layer as a backward step shall see it: a program without gradients of parameters must not write any. */
static const struct nn_norm_layer *norm_of_step(struct nn_compiler *c, const struct nn_norm_layer *norm) {
  if (c->program->options.parameter_gradients) return norm;
  struct nn_norm_layer *copy = arena_alloc(&c->program->arena, sizeof *copy);
  if (copy) {
    *copy = *norm;
    copy->gamma = untrained_param(c, norm->gamma);
    copy->beta = untrained_param(c, norm->beta);
  }
  if (copy && copy->gamma && copy->beta) return copy;
  error_memory(c->error, sizeof *copy);
  return NULL;
}

static int backward_norm(struct nn_compiler *c, int head) {
  const struct nn_node *node = &c->graph->nodes[head];
  struct nn_place *place = &c->places[head], *last = &c->places[place->last];
  struct nn_value *dx, *daddend;
  const struct nn_norm_layer *norm = norm_of_step(c, &node->norm);
  if (!norm) return -1;
  if (operand_gradient(c, place->addend, &daddend)) return -1;
  dx = new_gradient(c, node->operands[0]); /* written even when only the parameters' gradients matter */
  if (!dx) return -1;
  struct nn_step step = {.op = NN_OP_NORM_BACKWARD,
                         .name = node->name,
                         .in = {[NN_X] = of(c->places[node->operands[0]].value),
                                [NN_Y] = place->relu && place->addend >= 0 ? of(last->value) : NULL,
                                [NN_SAVED] = of(place->saved),
                                [NN_DY] = of(last->gradients[0]),
                                [NN_DY2] = of(last->gradients[1])},
                         .out = {[NN_DX] = of(dx), [NN_DADDEND] = of(daddend)},
                         .norm = norm,
                         .relu = place->relu,
                         .training = c->program->options.training};
  if (set_accumulate(c, &step, node->norm.gamma, node->norm.beta) || nn_step_add(c, &step)) return -1;
  if (daddend && contribute(c, place->addend, daddend)) return -1;
  return contribute(c, node->operands[0], dx);
}

static int backward_sum(struct nn_compiler *c, int head) {
  const struct nn_node *node = &c->graph->nodes[head];
  struct nn_value *gradient;
  if (backward_relu(c, head, &gradient)) return -1;
  for (int i = 0; i < node->operand_count; i++) {
    if (contribute(c, node->operands[i], gradient)) return -1;
  }
  return 0;
}

static int backward_concat(struct nn_compiler *c, int i) {
  const struct nn_node *node = &c->graph->nodes[i];
  if (merge(c, i)) return -1;
  struct nn_step step = {.op = NN_OP_COPY_OUT, .name = node->name, .in[NN_DY] = of(c->places[i].gradients[0])};
  for (int k = 0; k < node->operand_count; k++) {
    struct nn_value *dx;
    if (operand_gradient(c, node->operands[k], &dx)) return -1;
    step.out[NN_DX] = of(dx);
    if (dx && (nn_step_add(c, &step) || contribute(c, node->operands[k], dx))) return -1;
    step.channel += c->places[node->operands[k]].shape.c;
  }
  return 0;
}

static const enum nn_op map_ops[] = {
    [NN_KIND_MAX_POOL] = NN_OP_MAX_POOL_BACKWARD,       [NN_KIND_AVERAGE_POOL] = NN_OP_AVERAGE_POOL_BACKWARD,
    [NN_KIND_GLOBAL_POOL] = NN_OP_GLOBAL_POOL_BACKWARD, [NN_KIND_REGION_POOL] = NN_OP_REGION_POOL_BACKWARD,
    [NN_KIND_UPSAMPLE] = NN_OP_UPSAMPLE_BACKWARD,
};

/* Pools and the like: one gradient in, one out. */
static int backward_map(struct nn_compiler *c, int i) {
  const struct nn_node *node = &c->graph->nodes[i];
  struct nn_value *dx;
  if (merge(c, i) || operand_gradient(c, node->operands[0], &dx)) return -1;
  if (!dx) return 0;
  struct nn_step step = {.op = map_ops[node->kind],
                         .name = node->name,
                         .pool = node->pool,
                         .in = {[NN_DY] = of(c->places[i].gradients[0]), [NN_SAVED] = of(c->places[i].saved)},
                         .out[NN_DX] = of(dx)};
  if (node->kind == NN_KIND_REGION_POOL) step.in[NN_MIX] = of(c->places[node->operands[1]].value);
  return nn_step_add(c, &step) ? -1 : contribute(c, node->operands[0], dx);
}

static int backward_chain(struct nn_compiler *c, int head) {
  switch (c->graph->nodes[head].kind) {
  case NN_KIND_CONV:
    return backward_conv(c, head);
  case NN_KIND_NORM:
    return backward_norm(c, head);
  case NN_KIND_RELU:
  case NN_KIND_ADD:
    return backward_sum(c, head);
  case NN_KIND_CONCAT:
    return backward_concat(c, head);
  case NN_KIND_CROSS_ENTROPY:
    return contribute(c, c->graph->nodes[head].operands[0], c->places[head].loss_gradient);
  case NN_KIND_INPUT:
    return 0;
  default:
    return backward_map(c, head);
  }
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int begin(struct nn_compiler *c) {
  struct nn_program *program = c->program;
  if (!program->options.seed) return 0;
  int seed = nn_find_output(c->graph, program->options.seed);
  if (!c->places[seed].matters) {
    return error_set(c->error, "output '%s' does not depend on what a gradient is wanted of", program->options.seed);
  }
  program->seed_gradient = new_gradient(c, seed);
  if (!program->seed_gradient) return -1;
  program->seed_gradient->external = true;
  return contribute(c, seed, program->seed_gradient);
}

static int finish(struct nn_compiler *c) {
  const char *wanted = c->program->options.input_gradient;
  if (!wanted) return 0;
  int input = nn_find_output(c->graph, wanted);
  if (!c->places[input].gradients[0]) {
    return error_set(c->error, "nothing that gradients start from depends on input '%s'", wanted);
  }
  return merge(c, input) ? -1 : nn_name_value(c, wanted, ".gradient", c->places[input].gradients[0]);
}

int nn_differentiate(struct nn_compiler *c) {
  if (!c->program->options.parameter_gradients && !c->program->options.input_gradient) return 0;
  if (begin(c)) return -1;
  for (int i = (int)c->graph->count - 1; i >= 0; i--) {
    const struct nn_place *place = &c->places[i];
    bool loss = c->graph->nodes[i].kind == NN_KIND_CROSS_ENTROPY && place->loss_gradient;
    if (c->places[place->head].last != i || !place->matters) continue;
    if (!loss && !place->gradients[0]) continue;
    if (backward_chain(c, place->head)) return -1;
  }
  return finish(c);
}
