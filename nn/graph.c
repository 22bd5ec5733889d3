#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "nn/internal.h"

struct nn_graph *nn_graph_create(struct nn_params *params) {
  struct nn_graph *graph = calloc(1, sizeof *graph);
  if (graph) graph->params = params;
  return graph;
}

void nn_graph_free(struct nn_graph *graph) {
  if (!graph) return;
  free(graph->nodes);
  arena_free(&graph->arena);
  free(graph);
}

int nn_graph_error(const struct nn_graph *graph, struct error *error) {
  if (graph->failed) *error = graph->error;
  return graph->failed ? -1 : 0;
}

int64_t nn_channels(const struct nn_graph *graph, int node) {
  return node >= 0 && (size_t)node < graph->count ? graph->nodes[node].channels : 0;
}

/* ---- adding nodes ------------------------------------------------------------------------------------------------ */

static int PRINTF_LIKE(2, 3) fail(struct nn_graph *g, const char *format, ...) {
  if (g->failed) return -1;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(g->error.message, sizeof g->error.message, format, arguments);
  va_end(arguments);
  g->failed = true;
  return -1;
}

static int fail_with(struct nn_graph *g, const struct error *error) {
  return fail(g, "%s", error->message);
}

static const char *keep_text(struct nn_graph *g, const char *text) {
  const char *copy = arena_copy(&g->arena, text, strlen(text));
  if (!copy) fail(g, "out of memory");
  return copy;
}

/* Takes the node over if the graph has not failed and its operands are nodes. */
static int append(struct nn_graph *g, struct nn_node node) {
  struct error error;
  if (g->failed) return -1;
  for (int i = 0; i < node.operand_count; i++) {
    if (node.operands[i] < 0 || (size_t)node.operands[i] >= g->count) return fail(g, "an operand is not a node");
  }
  if (!node.name) node.name = g->nodes[node.operands[0]].name;
  if (array_reserve((void **)&g->nodes, &g->capacity, g->count + 1, sizeof *g->nodes, &error)) {
    return fail_with(g, &error);
  }
  g->nodes[g->count] = node;
  return (int)g->count++;
}

static int append_unary(struct nn_graph *g, enum nn_kind kind, int x) {
  return append(g, (struct nn_node){.kind = kind, .operands = {x}, .operand_count = 1, .channels = nn_channels(g, x)});
}

static const struct nn_param *declare(struct nn_graph *g, const char *layer, const char *suffix, enum nn_role role,
                                      int rank, const int64_t dims[], struct nn_initial initial) {
  char name[256];
  struct error error;
  if (g->failed) return NULL;
  if ((size_t)snprintf(name, sizeof name, "%s.%s", layer, suffix) >= sizeof name) {
    fail(g, "the name of layer '%s' is too long", layer);
    return NULL;
  }
  const struct nn_param *param = nn_params_declare(g->params, name, role, rank, dims, initial, &error);
  if (!param) fail_with(g, &error);
  return param;
}

/* ---- inputs and outputs ------------------------------------------------------------------------------------------ */

int nn_find_output(const struct nn_graph *graph, const char *name) {
  for (size_t i = 0; i < graph->count; i++) {
    const struct nn_node *node = &graph->nodes[i];
    if (node->output && !strcmp(node->output, name)) return (int)i;
    if (node->kind == NN_KIND_INPUT && !strcmp(node->name, name)) return (int)i;
  }
  return -1;
}

int nn_input(struct nn_graph *g, const char *name, enum nn_input_kind kind, int64_t channels) {
  if (nn_find_output(g, name) >= 0) return fail(g, "there are two inputs or outputs named '%s'", name);
  if (channels < 1) return fail(g, "input '%s' has no channels", name);
  return append(
      g, (struct nn_node){.kind = NN_KIND_INPUT, .name = keep_text(g, name), .input_kind = kind, .channels = channels});
}

int nn_output(struct nn_graph *g, int node, const char *name) {
  if (g->failed || node < 0) return -1;
  if (nn_find_output(g, name) >= 0) return fail(g, "there are two inputs or outputs named '%s'", name);
  if (g->nodes[node].output) return fail(g, "output '%s' is output '%s' already", name, g->nodes[node].output);
  g->nodes[node].output = keep_text(g, name);
  return node;
}

/* ---- layers with parameters -------------------------------------------------------------------------------------- */

int nn_conv(struct nn_graph *g, int x, const char *name, struct nn_conv conv) {
  int64_t in = nn_channels(g, x);
  if (g->failed || x < 0) return -1;
  if (conv.out < 1 || conv.kernel < 1 || conv.stride < 1 || conv.pad < 0 || conv.dilation < 1 || conv.groups < 1) {
    return fail(g, "layer '%s': kernel, stride, dilation, groups and outputs of a convolution are at least 1", name);
  }
  if (in % conv.groups || conv.out % conv.groups) {
    return fail(g, "layer '%s': %lld groups do not divide %lld inputs and %lld outputs", name, (long long)conv.groups,
                (long long)in, (long long)conv.out);
  }
  int64_t dims[] = {conv.out, in / conv.groups, conv.kernel, conv.kernel};
  struct nn_node node = {.kind = NN_KIND_CONV,
                         .name = keep_text(g, name),
                         .operands = {x},
                         .operand_count = 1,
                         .channels = conv.out,
                         .conv = conv};
  node.weight = declare(g, name, "weight", NN_WEIGHT, 4, dims, (struct nn_initial){NN_KAIMING_NORMAL_FAN_OUT, 0});
  if (conv.bias) node.bias = declare(g, name, "bias", NN_BIAS, 1, dims, (struct nn_initial){NN_CONSTANT, 0});
  return append(g, node);
}

int nn_linear(struct nn_graph *g, int x, const char *name, int64_t out, bool bias) {
  int64_t in = nn_channels(g, x);
  if (g->failed || x < 0) return -1;
  if (out < 1) return fail(g, "layer '%s' has no outputs", name);
  int64_t dims[] = {out, in};
  struct nn_node node = {.kind = NN_KIND_CONV,
                         .name = keep_text(g, name),
                         .operands = {x},
                         .operand_count = 1,
                         .channels = out,
                         .conv = {.out = out, .kernel = 1, .stride = 1, .dilation = 1, .groups = 1, .bias = bias}};
  struct nn_initial bias_initial = {NN_BIAS_UNIFORM, (double)in};
  node.weight = declare(g, name, "weight", NN_WEIGHT, 2, dims, (struct nn_initial){NN_KAIMING_UNIFORM_SQRT5, 0});
  if (bias) node.bias = declare(g, name, "bias", NN_BIAS, 1, dims, bias_initial);
  return append(g, node);
}

static int append_norm(struct nn_graph *g, int x, const char *name, struct nn_norm_layer norm) {
  if (g->failed || x < 0) return -1;
  int64_t dims[] = {nn_channels(g, x)};
  struct nn_initial one = {NN_CONSTANT, 1}, zero = {NN_CONSTANT, 0};
  norm.gamma = declare(g, name, "weight", NN_NORM_WEIGHT, 1, dims, one);
  norm.beta = declare(g, name, "bias", NN_NORM_BIAS, 1, dims, zero);
  norm.eps = 1e-5;
  if (norm.kind != NN_NORM_GROUP) {
    norm.momentum = NN_NORM_MOMENTUM;
    norm.mean = declare(g, name, "running_mean", NN_NORM_MEAN, 1, dims, zero);
    norm.variance = declare(g, name, "running_var", NN_NORM_VARIANCE, 1, dims, one);
    norm.batches = declare(g, name, "num_batches_tracked", NN_NORM_BATCHES, 0, NULL, zero);
  }
  return append(g, (struct nn_node){.kind = NN_KIND_NORM,
                                    .name = keep_text(g, name),
                                    .operands = {x},
                                    .operand_count = 1,
                                    .channels = dims[0],
                                    .norm = norm});
}

int nn_batch_norm(struct nn_graph *g, int x, const char *name, enum nn_norm kind) {
  if (kind != NN_NORM_BATCH && kind != NN_NORM_FROZEN) return fail(g, "layer '%s' is no batch norm", name);
  int node = append_norm(g, x, name, (struct nn_norm_layer){.kind = kind, .groups = 1});
  if (node >= 0 && kind == NN_NORM_FROZEN) {
    char prefix[256];
    snprintf(prefix, sizeof prefix, "%s.", name);
    nn_params_freeze(g->params, prefix);
  }
  return node;
}

int nn_group_norm(struct nn_graph *g, int x, const char *name, int64_t groups) {
  if (groups < 1 || nn_channels(g, x) % groups) {
    return fail(g, "layer '%s': %lld groups do not divide %lld channels", name, (long long)groups,
                (long long)nn_channels(g, x));
  }
  return append_norm(g, x, name, (struct nn_norm_layer){.kind = NN_NORM_GROUP, .groups = groups});
}

void nn_initial_set(struct nn_graph *g, const char *parameter, struct nn_initial initial) {
  struct nn_param *param = nn_params_find(g->params, parameter);
  if (param) {
    param->initial = initial;
  } else {
    fail(g, "there is no parameter '%s' to set the initial value of", parameter);
  }
}

/* ---- layers without ---------------------------------------------------------------------------------------------- */

int nn_relu(struct nn_graph *g, int x) {
  return append_unary(g, NN_KIND_RELU, x);
}

int nn_add(struct nn_graph *g, int a, int b) {
  if (!g->failed && nn_channels(g, a) != nn_channels(g, b)) {
    return fail(g, "a sum of %lld and %lld channels", (long long)nn_channels(g, a), (long long)nn_channels(g, b));
  }
  return append(
      g, (struct nn_node){.kind = NN_KIND_ADD, .operands = {a, b}, .operand_count = 2, .channels = nn_channels(g, a)});
}

static int append_pool(struct nn_graph *g, enum nn_kind kind, int x, struct nn_pool pool) {
  if (pool.kernel < 1 || pool.stride < 1 || pool.pad < 0 || 2 * pool.pad > pool.kernel) {
    return fail(g, "a pool of kernel %d, stride %d and padding %d", pool.kernel, pool.stride, pool.pad);
  }
  int node = append_unary(g, kind, x);
  if (node >= 0) g->nodes[node].pool = pool;
  return node;
}

int nn_max_pool(struct nn_graph *g, int x, int kernel, int stride, int pad) {
  return append_pool(g, NN_KIND_MAX_POOL, x, (struct nn_pool){kernel, stride, pad});
}

int nn_average_pool(struct nn_graph *g, int x, int kernel, int stride, int pad) {
  return append_pool(g, NN_KIND_AVERAGE_POOL, x, (struct nn_pool){kernel, stride, pad});
}

int nn_global_pool(struct nn_graph *g, int x) {
  return append_unary(g, NN_KIND_GLOBAL_POOL, x);
}

int nn_region_pool(struct nn_graph *g, int x, int weights) {
  return append(
      g, (struct nn_node){
             .kind = NN_KIND_REGION_POOL, .operands = {x, weights}, .operand_count = 2, .channels = nn_channels(g, x)});
}

int nn_upsample(struct nn_graph *g, int x, int like) {
  return append(
      g, (struct nn_node){
             .kind = NN_KIND_UPSAMPLE, .operands = {x, like}, .operand_count = 2, .channels = nn_channels(g, x)});
}

int nn_concat(struct nn_graph *g, const int nodes[], size_t count) {
  struct nn_node node = {.kind = NN_KIND_CONCAT, .operand_count = (int)count};
  if (count < 1 || count > NN_OPERANDS_MAX) return fail(g, "a concatenation has 1 to %d parts", NN_OPERANDS_MAX);
  for (size_t i = 0; i < count; i++) {
    node.operands[i] = nodes[i];
    node.channels += nn_channels(g, nodes[i]);
  }
  return append(g, node);
}

/* ---- losses ------------------------------------------------------------------------------------------------------ */

int nn_cross_entropy(struct nn_graph *g, int logits, int labels, int mix, int scale) {
  if (!g->failed && nn_channels(g, labels) != nn_channels(g, mix)) {
    return fail(g, "%lld labels are mixed by %lld weights", (long long)nn_channels(g, labels),
                (long long)nn_channels(g, mix));
  }
  return append(g, (struct nn_node){.kind = NN_KIND_CROSS_ENTROPY,
                                    .operands = {logits, labels, mix, scale},
                                    .operand_count = 4,
                                    .channels = 1});
}
