/* network_run - a backbone, global pooling, a linear classifier and cross-entropy, run on given weights and pictures;
 * what Python compares with torchvision. Everything it is given and everything it finds are safetensors.
 *
 *   --weights FILE   every parameter; without it they get their initial values
 *   --data FILE      images (n, h, w, 3) and labels (n); without it only the parameters are written
 *   --out FILE       C2 .. C5 (n, h, w, c), logits, loss and "gradient:NAME" of the first pass; "losses" of the first
 * pass and of one after each of --steps updates, "norms" of the updates' gradients; "value:NAME" at the end
 */
#include <stdlib.h>
#include <string.h>

#include "nn/backbone/backbone.h"
#include "nn/optimizer.h"
#include "nn/program.h"
#include "nn/weights.h"

enum { CLASSIFIER_DEFAULT, CLASSIFIER_NORMAL, CLASSIFIER_UNIFORM };
enum { STEPS_MAX = 1000 };

struct settings {
  const char *arch, *weights, *data, *out, *device;
  int norm, precision, classifier;
  int64_t threads, classes, seed, steps;
  bool zero_init_residual, training;
  double lr;
  struct nn_sgd_options sgd;
};

/* One tensor to be written; its values are in the arena of the network. */
struct result {
  const char *name;
  int rank;
  int64_t dims[4];
  int64_t count;
  float *values;
};

struct network {
  struct arena arena;
  struct nn_device device;
  struct nn_params params;
  struct nn_graph *graph;
  struct nn_workspace workspace;
  struct nn_program *program;
  struct safetensors data;
  float *images;
  uint16_t *images_bf16;
  int32_t *labels;
  struct nn_shape shape;
  struct result *results;
  size_t result_count, result_capacity;
};

static void close_network(struct network *network) {
  nn_program_free(network->program);
  nn_workspace_free(&network->workspace);
  nn_graph_free(network->graph);
  nn_params_free(&network->params);
  nn_device_close(&network->device);
  safetensors_close(&network->data);
  free(network->results);
  arena_free(&network->arena);
}

static void *take(struct network *network, int64_t count, size_t size, struct error *error) {
  void *memory = arena_alloc(&network->arena, (size_t)count * size);
  if (!memory) error_memory(error, (size_t)count * size);
  return memory;
}

/* ---- the network ------------------------------------------------------------------------------------------------- */

static const char *classifier_name(const struct settings *settings) {
  return backbone_classifier(settings->arch);
}

static int build_graph(struct network *network, const struct settings *settings, struct error *error) {
  static const struct nn_initial INITIALS[] = {
      [CLASSIFIER_NORMAL] = {NN_NORMAL, 0.01},
      [CLASSIFIER_UNIFORM] = {NN_UNIFORM, 0.05},
  };
  static const char *const STAGES[] = {NULL, NULL, "C2", "C3", "C4", "C5"};
  struct nn_graph *g = network->graph = nn_graph_create(&network->params);
  if (!g) return error_memory(error, 0);
  struct backbone backbone;
  char weight[32];
  int images = nn_input(g, "images", NN_ACTIVATION, 3);
  if (backbone_build(g, images, settings->arch, (enum nn_norm)settings->norm, settings->zero_init_residual, &backbone,
                     error)) {
    return -1;
  }
  for (int stage = 2; stage <= 5; stage++) {
    nn_output(g, backbone.stages[stage], STAGES[stage]);
  }
  int pooled = nn_global_pool(g, backbone.stages[5]);
  int logits = nn_output(g, nn_linear(g, pooled, classifier_name(settings), settings->classes, true), "logits");
  if (settings->classifier != CLASSIFIER_DEFAULT) {
    snprintf(weight, sizeof weight, "%s.weight", classifier_name(settings));
    nn_initial_set(g, weight, INITIALS[settings->classifier]);
  }
  int labels = nn_input(g, "labels", NN_LABELS, 1), mix = nn_input(g, "mix", NN_FLOATS, 1);
  nn_output(g, nn_cross_entropy(g, logits, labels, mix, nn_input(g, "scale", NN_FLOATS, 1)), "loss");
  return nn_graph_error(g, error);
}

static int load_weights(struct network *network, const char *path, struct error *error) {
  struct weights_match match = {0};
  int result = weights_load(&network->params, path, &match, error);
  if (result == 0 && match.missing_count + match.extra_count + match.shapes_count) {
    result = error_set(error, "%s: %zu tensors missing, %zu extra, %zu of other shapes; first: %s", path,
                       match.missing_count, match.extra_count, match.shapes_count,
                       match.missing_count ? match.missing[0]
                       : match.extra_count ? match.extra[0]
                                           : match.shapes[0]);
  }
  weights_match_free(&match);
  return result;
}

static int load_data(struct network *network, const char *path, struct error *error) {
  if (safetensors_open(&network->data, path, error)) return -1;
  const struct safetensors_entry *images = safetensors_find(&network->data, "images");
  const struct safetensors_entry *labels = safetensors_find(&network->data, "labels");
  if (!images || images->rank != 4 || images->dims[3] != 3 || !labels || labels->count != images->dims[0]) {
    return error_set(error, "%s: needs images (n, h, w, 3) and labels (n)", path);
  }
  network->shape = (struct nn_shape){images->dims[0], images->dims[1], images->dims[2], 3};
  network->images = take(network, images->count, sizeof(float), error);
  network->images_bf16 = take(network, images->count, sizeof(uint16_t), error);
  network->labels = take(network, labels->count, sizeof(int32_t), error);
  float *numbers = take(network, labels->count, sizeof(float), error);
  if (!network->images || !network->images_bf16 || !network->labels || !numbers) return -1;
  if (safetensors_floats(images, 0, images->count, network->images, error)) return -1;
  if (safetensors_floats(labels, 0, labels->count, numbers, error)) return -1;
  for (int64_t i = 0; i < images->count; i++) {
    network->images_bf16[i] = nn_bf16_from_f32(network->images[i]);
  }
  for (int64_t i = 0; i < labels->count; i++) {
    network->labels[i] = (int32_t)numbers[i];
  }
  return 0;
}

static int compile(struct network *network, const struct settings *settings, struct error *error) {
  static const float ONE = 1;
  bool bf16 = settings->precision == NN_BF16;
  struct nn_input_shape shapes[] = {{"images", network->shape},
                                    {"labels", {network->shape.n, 1, 1, 1}},
                                    {"mix", {1, 1, 1, 1}},
                                    {"scale", {1, 1, 1, 1}}};
  struct nn_compile_options options = {.precision = (enum nn_dtype)settings->precision,
                                       .training = settings->training,
                                       .parameter_gradients = true,
                                       .shapes = shapes,
                                       .shape_count = COUNT_OF(shapes)};
  const void *images = bf16 ? (const void *)network->images_bf16 : network->images;
  if (nn_compile(&network->program, network->graph, &network->workspace, &options, error)) return -1;
  if (nn_program_bind(network->program, "images", images, error)) return -1;
  if (nn_program_bind(network->program, "labels", network->labels, error)) return -1;
  if (nn_program_bind(network->program, "mix", &ONE, error)) return -1;
  return nn_program_bind(network->program, "scale", &ONE, error);
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static struct result *add_result(struct network *network, const char *prefix, const char *name, int rank,
                                 const int64_t dims[], struct error *error) {
  size_t size = strlen(prefix) + strlen(name) + 1;
  char *text = take(network, (int64_t)size, 1, error);
  if (!text || array_reserve((void **)&network->results, &network->result_capacity, network->result_count + 1,
                             sizeof *network->results, error)) {
    return NULL;
  }
  snprintf(text, size, "%s%s", prefix, name);
  struct result result = {.name = text, .rank = rank, .count = 1};
  for (int i = 0; i < rank; i++) {
    result.dims[i] = dims[i];
    result.count *= dims[i];
  }
  result.values = take(network, result.count, sizeof(float), error);
  if (!result.values) return NULL;
  network->results[network->result_count] = result;
  return &network->results[network->result_count++];
}

static int keep_output(struct network *network, const char *name, struct error *error) {
  struct nn_shape shape;
  if (nn_program_shape(network->program, name, &shape, error)) return -1;
  struct result *result = add_result(network, "", name, 4, (int64_t[]){shape.n, shape.h, shape.w, shape.c}, error);
  return result ? nn_program_read(network->program, name, result->values, error) : -1;
}

static int keep_parameters(struct network *network, const char *prefix, const float *block, bool all,
                           struct error *error) {
  for (size_t i = 0; i < network->params.count; i++) {
    const struct nn_param *param = network->params.items[i];
    if (!all && !param->trainable) continue;
    struct result *result = add_result(network, prefix, param->name, param->rank, param->dims, error);
    if (!result || nn_param_read(&network->params, param, block, result->values, error)) return -1;
  }
  return 0;
}

static int write_results(const struct network *network, const char *path, struct error *error) {
  struct safetensors_writer *writer;
  if (safetensors_create(&writer, path, error)) return -1;
  for (size_t i = 0; i < network->result_count; i++) {
    const struct result *result = &network->results[i];
    if (safetensors_declare(writer, result->name, SAFETENSORS_F32, result->rank, result->dims, error)) goto failed;
  }
  for (size_t i = 0; i < network->result_count; i++) {
    const struct result *result = &network->results[i];
    if (safetensors_write(writer, result->values, (size_t)result->count * sizeof(float), error)) goto failed;
  }
  return safetensors_commit(writer, NULL, error);
failed:
  safetensors_abandon(writer);
  return -1;
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

static int run_pass(struct network *network, float *loss, struct error *error) {
  if (nn_program_forward(network->program, error) || nn_program_backward(network->program, error)) return -1;
  return nn_program_read(network->program, "loss", loss, error);
}

static int run_steps(struct network *network, const struct settings *settings, struct error *error) {
  static const char *const OUTPUTS[] = {"C2", "C3", "C4", "C5", "logits", "loss"};
  float losses[STEPS_MAX + 1], norms[STEPS_MAX];
  if (run_pass(network, &losses[0], error)) return -1;
  for (size_t i = 0; i < COUNT_OF(OUTPUTS); i++) {
    if (keep_output(network, OUTPUTS[i], error)) return -1;
  }
  if (keep_parameters(network, "gradient:", network->params.gradients, false, error)) return -1;
  for (int64_t step = 0; step < settings->steps; step++) {
    double norm;
    if (nn_sgd_step(&network->params, &settings->sgd, settings->lr, &norm, error)) return -1;
    norms[step] = (float)norm;
    if (run_pass(network, &losses[step + 1], error)) return -1;
  }
  struct result *kept = add_result(network, "", "losses", 1, (int64_t[]){settings->steps + 1}, error);
  if (!kept) return -1;
  memcpy(kept->values, losses, (size_t)kept->count * sizeof(float));
  if (settings->steps == 0) return 0;
  kept = add_result(network, "", "norms", 1, (int64_t[]){settings->steps}, error);
  if (!kept) return -1;
  memcpy(kept->values, norms, (size_t)kept->count * sizeof(float));
  return 0;
}

static int run_network(struct network *network, const struct settings *settings, struct error *error) {
  if (nn_device_open(&network->device, settings->device, (int)settings->threads, error)) return -1;
  nn_params_init(&network->params);
  nn_workspace_init(&network->workspace, &network->device);
  if (build_graph(network, settings, error)) return -1;
  if (nn_params_allocate(&network->params, &network->device, true, error)) return -1;
  if (nn_params_initialise(&network->params, (uint64_t)settings->seed, error)) return -1;
  if (settings->weights && load_weights(network, settings->weights, error)) return -1;
  if (settings->data) {
    if (load_data(network, settings->data, error) || compile(network, settings, error)) return -1;
    if (run_steps(network, settings, error)) return -1;
  }
  if (keep_parameters(network, "value:", network->params.values, true, error)) return -1;
  return write_results(network, settings->out, error);
}

int main(int argc, char **argv) {
  nn_wait_briefly(argv);
  static const char *const NORMS[] = {"none", "bn", "frozen", "gn", NULL}, *const PRECISIONS[] = {"f32", "bf16", NULL},
                           *const CLASSIFIERS[] = {"default", "normal", "uniform", NULL};
  struct settings s = {.arch = "resnet18", .device = "cpu", .norm = NN_NORM_BATCH, .classes = 10, .lr = 0.1};
  const struct option table[] = {
      {OPTION_TEXT, "arch", &s.arch, "NAME", "the backbone", 0, 0, NULL},
      {OPTION_CHOICE, "norm", &s.norm, NULL, "its norm layers", 0, 0, NORMS},
      {OPTION_FLAG, "zero-init-residual", &s.zero_init_residual, NULL, "blocks begin as identities", 0, 0, NULL},
      {OPTION_INT, "classes", &s.classes, "N", "of the classifier", 1, 1e6, NULL},
      {OPTION_CHOICE, "classifier", &s.classifier, NULL, "how its weights begin", 0, 0, CLASSIFIERS},
      {OPTION_TEXT, "device", &s.device, "NAME", "cpu or ref", 0, 0, NULL},
      {OPTION_INT, "threads", &s.threads, "N", "0: all processors", 0, 1024, NULL},
      {OPTION_CHOICE, "precision", &s.precision, NULL, "of activations", 0, 0, PRECISIONS},
      {OPTION_FLAG, "training", &s.training, NULL, "batch statistics", 0, 0, NULL},
      {OPTION_TEXT, "weights", &s.weights, "FILE", "parameters", 0, 0, NULL},
      {OPTION_TEXT, "data", &s.data, "FILE", "images and labels", 0, 0, NULL},
      {OPTION_TEXT, "out", &s.out, "FILE", "results", 0, 0, NULL},
      {OPTION_INT, "seed", &s.seed, "N", "of initial values", 0, 9e15, NULL},
      {OPTION_INT, "steps", &s.steps, "N", "updates", 0, STEPS_MAX, NULL},
      {OPTION_REAL, "lr", &s.lr, "X", "learning rate", 0, 0, NULL},
      {OPTION_REAL, "momentum", &s.sgd.momentum, "X", "", 0, 0, NULL},
      {OPTION_FLAG, "nesterov", &s.sgd.nesterov, NULL, "", 0, 0, NULL},
      {OPTION_REAL, "weight-decay", &s.sgd.weight_decay, "X", "", 0, 0, NULL},
      {OPTION_FLAG, "decay-all", &s.sgd.decay_all, NULL, "also norms and biases", 0, 0, NULL},
      {OPTION_REAL, "clip", &s.sgd.clip, "X", "largest norm of the gradient", 0, 0, NULL},
  };
  struct error error = {0};
  struct network network = {0};
  enum options_result parsed = options_parse(table, COUNT_OF(table), argc, argv, &error);
  if (parsed == OPTIONS_HELP) options_help(table, COUNT_OF(table), stdout);
  if (parsed == OPTIONS_HELP || parsed == OPTIONS_VERSION) return 0;
  int result = parsed == OPTIONS_ERROR ? -1 : 0;
  if (!result && !s.out) result = error_set(&error, "--out is missing");
  if (!result) result = run_network(&network, &s, &error);
  if (result) fprintf(stderr, "network_run: %s\n", error.message);
  close_network(&network);
  return result ? 1 : 0;
}
