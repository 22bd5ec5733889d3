/* What follows from the graph and the shapes of its inputs: the shape of every node, which nodes one step computes, and
 * which need gradients. */
#include <string.h>

#include "nn/internal.h"

static int input_shape(const struct nn_compiler *c, const struct nn_node *node, struct nn_shape *shape) {
  const struct nn_compile_options *options = &c->program->options;
  for (size_t i = 0; i < options->shape_count; i++) {
    if (strcmp(options->shapes[i].input, node->name) != 0) continue;
    *shape = options->shapes[i].shape;
    if (!shape->c) shape->c = node->channels;
    if (shape->c == node->channels && shape->n > 0 && shape->h > 0 && shape->w > 0) return 0;
    return error_set(c->error, "input '%s' of shape %lld x %lld x %lld x %lld: it has %lld channels", node->name,
                     (long long)shape->n, (long long)shape->h, (long long)shape->w, (long long)shape->c,
                     (long long)node->channels);
  }
  return error_set(c->error, "no shape is given for input '%s'", node->name);
}

static bool same_map(struct nn_shape a, struct nn_shape b) {
  return a.n == b.n && a.h == b.h && a.w == b.w;
}

static int cross_entropy_shape(const struct nn_compiler *c, const struct nn_node *node, struct nn_shape *shape) {
  struct nn_shape logits = c->places[node->operands[0]].shape, labels = c->places[node->operands[1]].shape,
                  mix = c->places[node->operands[2]].shape, scale = c->places[node->operands[3]].shape;
  bool labels_fit = labels.n == logits.n && labels.h == 1 && labels.w == 1;
  bool mix_fits = (mix.n == 1 || mix.n == logits.n) && mix.h == logits.h && mix.w == logits.w;
  bool scale_fits = scale.n == 1 && scale.h == logits.h && scale.w == logits.w && scale.c == 1;
  *shape = (struct nn_shape){1, 1, 1, 1};
  if (labels_fit && mix_fits && scale_fits) return 0;
  return error_set(c->error, "the loss of %lld x %lld x %lld logits: %s of another shape", (long long)logits.n,
                   (long long)logits.h, (long long)logits.w,
                   !labels_fit ? "labels"
                   : !mix_fits ? "mix"
                               : "scale");
}

static int node_shape(const struct nn_compiler *c, const struct nn_node *node, struct nn_shape *shape) {
  if (node->kind == NN_KIND_INPUT) return input_shape(c, node, shape);
  struct nn_shape x = c->places[node->operands[0]].shape;
  struct nn_shape second = node->operand_count > 1 ? c->places[node->operands[1]].shape : x;
  *shape = (struct nn_shape){x.n, x.h, x.w, node->channels};
  switch (node->kind) {
  case NN_KIND_CONV:
    shape->h = nn_windows(x.h, node->conv.kernel, node->conv.stride, node->conv.pad, node->conv.dilation);
    shape->w = nn_windows(x.w, node->conv.kernel, node->conv.stride, node->conv.pad, node->conv.dilation);
    break;
  case NN_KIND_MAX_POOL:
  case NN_KIND_AVERAGE_POOL:
    shape->h = nn_windows(x.h, node->pool.kernel, node->pool.stride, node->pool.pad, 1);
    shape->w = nn_windows(x.w, node->pool.kernel, node->pool.stride, node->pool.pad, 1);
    break;
  case NN_KIND_GLOBAL_POOL:
    shape->h = shape->w = 1;
    break;
  case NN_KIND_REGION_POOL:
    if (second.n != 1 || second.h != x.h || second.w != x.w) {
      return error_set(c->error, "the weights of a region pool are %lld x %lld cells, the map %lld x %lld",
                       (long long)second.h, (long long)second.w, (long long)x.h, (long long)x.w);
    }
    shape->h = 1;
    shape->w = second.c;
    break;
  case NN_KIND_UPSAMPLE:
    shape->h = second.h;
    shape->w = second.w;
    break;
  case NN_KIND_ADD:
  case NN_KIND_CONCAT:
    for (int i = 1; i < node->operand_count; i++) {
      if (same_map(x, c->places[node->operands[i]].shape)) continue;
      return error_set(c->error, "layer '%s': maps of different sizes are put together", node->name);
    }
    break;
  case NN_KIND_CROSS_ENTROPY:
    return cross_entropy_shape(c, node, shape);
  default:
    break;
  }
  if (shape->h > 0 && shape->w > 0) return 0;
  return error_set(c->error, "layer '%s': a map of %lld x %lld is smaller than the window; give larger inputs",
                   node->name, (long long)x.h, (long long)x.w);
}

/* ---- chains ------------------------------------------------------------------------------------------------------ */

bool nn_trained(const struct nn_compiler *c, const struct nn_param *param) {
  return param && param->trainable && c->program->options.parameter_gradients;
}

/* The head of the chain that ends at node x and that another node may join; -1: there is none. */
static int open_chain(const struct nn_compiler *c, int x) {
  const struct nn_place *place = &c->places[x];
  if (place->users != 1 || c->graph->nodes[x].output) return -1;
  const struct nn_place *head = &c->places[place->head];
  enum nn_kind kind = c->graph->nodes[place->head].kind;
  bool fusing = kind == NN_KIND_CONV || kind == NN_KIND_NORM || kind == NN_KIND_ADD;
  return fusing && head->last == x && !head->relu ? place->head : -1;
}

static void join(struct nn_compiler *c, int node, int head) {
  c->places[node].head = head;
  c->places[head].last = node;
}

static void fuse(struct nn_compiler *c, int i) {
  const struct nn_node *node = &c->graph->nodes[i];
  c->places[i].head = c->places[i].last = i;
  c->places[i].addend = -1;
  if (node->kind == NN_KIND_NORM) {
    int head = open_chain(c, node->operands[0]);
    bool folds = nn_norm_running(&node->norm, c->program->options.training) && !nn_trained(c, node->norm.gamma) &&
                 !nn_trained(c, node->norm.beta);
    if (!folds || head < 0 || head != node->operands[0] || c->graph->nodes[head].kind != NN_KIND_CONV) return;
    c->places[head].folded = &node->norm;
    join(c, i, head);
  } else if (node->kind == NN_KIND_ADD) {
    for (int k = 0; k < 2; k++) {
      int head = open_chain(c, node->operands[k]);
      if (head < 0 || c->graph->nodes[head].kind == NN_KIND_ADD || c->places[head].addend >= 0) continue;
      c->places[head].addend = node->operands[1 - k];
      join(c, i, head);
      return;
    }
    c->places[i].addend = node->operands[1];
  } else if (node->kind == NN_KIND_RELU) {
    int head = open_chain(c, node->operands[0]);
    if (head < 0) return;
    c->places[head].relu = true;
    join(c, i, head);
  }
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static void mark_varying(struct nn_compiler *c, int i) {
  const struct nn_node *node = &c->graph->nodes[i];
  const char *wanted = c->program->options.input_gradient;
  bool varies = nn_trained(c, node->weight) || nn_trained(c, node->bias) || nn_trained(c, node->norm.gamma) ||
                nn_trained(c, node->norm.beta);
  if (node->kind == NN_KIND_INPUT) varies = wanted && !strcmp(wanted, node->name);
  for (int k = 0; k < node->operand_count; k++)
    varies |= c->places[node->operands[k]].varies;
  c->places[i].varies = varies;
}

static void mark_mattering(struct nn_compiler *c, int seed) {
  for (int i = (int)c->graph->count - 1; i >= 0; i--) {
    const struct nn_node *node = &c->graph->nodes[i];
    struct nn_place *place = &c->places[i];
    if (i == seed || (seed < 0 && node->kind == NN_KIND_CROSS_ENTROPY)) place->matters = true;
    place->matters &= place->varies;
    if (!place->matters) continue;
    int count =
        node->kind == NN_KIND_UPSAMPLE || node->kind == NN_KIND_REGION_POOL || node->kind == NN_KIND_CROSS_ENTROPY
            ? 1
            : node->operand_count;
    for (int k = 0; k < count; k++)
      c->places[node->operands[k]].matters = true;
  }
}

static int mark_gradients(struct nn_compiler *c) {
  const struct nn_compile_options *options = &c->program->options;
  int seed = -1;
  if (!options->parameter_gradients && !options->input_gradient) return 0;
  if (options->seed) {
    seed = nn_find_output(c->graph, options->seed);
    if (seed < 0) return error_set(c->error, "there is no output '%s' for gradients to start from", options->seed);
  }
  if (options->copies > 1 && (options->training || options->parameter_gradients || !options->seed)) {
    return error_set(c->error, "several gradients for one forward pass: only from a seed, and not in training");
  }
  if (options->input_gradient) {
    int input = nn_find_output(c->graph, options->input_gradient);
    if (input < 0 || c->graph->nodes[input].kind != NN_KIND_INPUT) {
      return error_set(c->error, "there is no input '%s' to find the gradient of", options->input_gradient);
    }
  }
  for (size_t i = 0; i < c->graph->count; i++)
    mark_varying(c, (int)i);
  mark_mattering(c, seed);
  return 0;
}

/* Logits are float32 in every precision: the layer before the loss writes them so. */
static int mark_logits(struct nn_compiler *c) {
  for (size_t i = 0; i < c->graph->count; i++) {
    const struct nn_node *node = &c->graph->nodes[i];
    if (node->kind != NN_KIND_CROSS_ENTROPY) continue;
    struct nn_place *logits = &c->places[node->operands[0]];
    logits->logits = true;
    if (c->program->options.precision == NN_F32 || c->graph->nodes[logits->head].kind == NN_KIND_CONV) continue;
    return error_set(c->error, "in bf16 the logits of a loss must come from a linear layer or a convolution");
  }
  return 0;
}

int nn_infer(struct nn_compiler *c) {
  const struct nn_graph *graph = c->graph;
  for (size_t i = 0; i < graph->count; i++) {
    const struct nn_node *node = &graph->nodes[i];
    if (node_shape(c, node, &c->places[i].shape)) return -1;
    for (int k = 0; k < node->operand_count; k++)
      c->places[node->operands[k]].users++;
  }
  for (size_t i = 0; i < graph->count; i++)
    fuse(c, (int)i);
  return mark_gradients(c) || mark_logits(c) ? -1 : 0;
}
