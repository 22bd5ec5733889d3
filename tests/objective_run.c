/* objective_run KIND SIZE CUT STRIDE CLASSES CHANNELS IMAGES TABLE: an objective's head and loss on given features, by
 * the ref backend; what Python compares with the paper's equations.
 *
 * Standard input: features (n, side, side, channels), weight, bias, labels (int32; n, regions) and, if TABLE is 1, the
 * table of erf's soft labels. Standard output: the loss, logits, gradients of features, weight and bias; then, as
 * float32 too, the score's region_correct, region_count, class_correct and class_count. */
#include "pretrain/objective.h"

#include <stdlib.h>
#include <string.h>

struct setup {
  struct arena arena;
  struct objective objective;
  struct objective_score score;
  struct nn_device device;
  struct nn_params params;
  struct nn_graph *graph;
  struct nn_workspace workspace;
  struct nn_program *program;
  struct nn_shape features;
};

static int parse(struct setup *setup, char **argv, struct error *error) {
  int kind = 0, stride = atoi(argv[4]);
  while (objective_names[kind] && strcmp(objective_names[kind], argv[1]) != 0) {
    kind++;
  }
  if (!objective_names[kind]) return error_set(error, "no objective '%s'", argv[1]);
  if (objective_init(&setup->objective, (enum objective_kind)kind, atoi(argv[2]), atoi(argv[3]), stride, atoi(argv[5]),
                     error)) {
    return -1;
  }
  int side = setup->objective.side;
  setup->features = (struct nn_shape){atoll(argv[7]), side, side, atoll(argv[6])};
  return objective_score_init(&setup->score, &setup->objective, error);
}

static int build(struct setup *setup, struct error *error) {
  struct nn_input_shape shapes[5] = {{"features", setup->features}};
  size_t count = 1 + objective_shapes(&setup->objective, setup->features.n, shapes + 1);
  struct nn_compile_options options = {.training = true,
                                       .parameter_gradients = true,
                                       .input_gradient = "features",
                                       .shapes = shapes,
                                       .shape_count = count};
  if (nn_device_open(&setup->device, "ref", 1, error)) return -1;
  nn_workspace_init(&setup->workspace, &setup->device);
  setup->graph = nn_graph_create(&setup->params);
  if (!setup->graph) return error_memory(error, 0);
  int features = nn_input(setup->graph, "features", NN_ACTIVATION, setup->features.c);
  if (objective_build(&setup->objective, setup->graph, features, "fc", error)) return -1;
  if (nn_params_allocate(&setup->params, &setup->device, true, error)) return -1;
  return nn_compile(&setup->program, setup->graph, &setup->workspace, &options, error);
}

static void *read_items(struct setup *setup, int64_t count, struct error *error) {
  void *items = arena_alloc(&setup->arena, (size_t)count * 4);
  if (!items) {
    error_memory(error, (size_t)count * 4);
  } else if (fread(items, 4, (size_t)count, stdin) != (size_t)count) {
    error_set(error, "the input ends too early");
    items = NULL;
  }
  return items;
}

static int read_param(struct setup *setup, const char *name, struct error *error) {
  const struct nn_param *param = nn_params_find(&setup->params, name);
  const float *values = read_items(setup, param->count, error);
  return values ? nn_param_write(&setup->params, param, setup->params.values, values, error) : -1;
}

static int run(struct setup *setup, const int32_t **labels, bool table, struct error *error) {
  const struct objective *objective = &setup->objective;
  const float *features = read_items(setup, nn_count(setup->features), error);
  if (!features || read_param(setup, "fc.weight", error) || read_param(setup, "fc.bias", error)) return -1;
  *labels = read_items(setup, setup->features.n * objective->regions.count, error);
  const float *weights = table ? read_items(setup, nn_count(objective->mix), error) : NULL;
  if (!*labels || (table && !weights)) return -1;
  if (objective_bind(objective, setup->program, error)) return -1;
  if (weights) objective_set_table(&setup->objective, weights);
  if (nn_program_bind(setup->program, "features", features, error)) return -1;
  if (nn_program_bind(setup->program, "labels", *labels, error)) return -1;
  return nn_program_forward(setup->program, error) || nn_program_backward(setup->program, error) ? -1 : 0;
}

static int print_output(struct setup *setup, const char *name, float **values, struct error *error) {
  struct nn_shape shape;
  if (nn_program_shape(setup->program, name, &shape, error)) return -1;
  size_t count = (size_t)nn_count(shape);
  *values = arena_alloc(&setup->arena, count * 4);
  if (!*values) return error_memory(error, count * 4);
  if (nn_program_read(setup->program, name, *values, error)) return -1;
  return fwrite(*values, 4, count, stdout) == count ? 0 : error_system(error, "cannot write");
}

static int print_gradient(struct setup *setup, const char *name, struct error *error) {
  const struct nn_param *param = nn_params_find(&setup->params, name);
  float *values = arena_alloc(&setup->arena, (size_t)param->count * 4);
  if (!values) return error_memory(error, (size_t)param->count * 4);
  if (nn_param_read(&setup->params, param, setup->params.gradients, values, error)) return -1;
  return fwrite(values, 4, (size_t)param->count, stdout) == (size_t)param->count ? 0
                                                                                 : error_system(error, "cannot write");
}

static void print_counts(const int64_t *counts, int count) {
  for (int i = 0; i < count; i++) {
    float value = (float)counts[i];
    fwrite(&value, 4, 1, stdout);
  }
}

static int print(struct setup *setup, const int32_t *labels, struct error *error) {
  float *loss, *logits, *gradient;
  if (print_output(setup, "loss", &loss, error) || print_output(setup, "logits", &logits, error)) return -1;
  if (print_output(setup, "features.gradient", &gradient, error)) return -1;
  if (print_gradient(setup, "fc.weight", error) || print_gradient(setup, "fc.bias", error)) return -1;
  struct objective_score *score = &setup->score;
  objective_score_add(score, &setup->objective, logits, labels, setup->features.n);
  print_counts(score->region_correct, score->regions);
  print_counts(score->region_count, score->regions);
  print_counts(score->class_correct, score->classes);
  print_counts(score->class_count, score->classes);
  return 0;
}

int main(int argc, char **argv) {
  nn_wait_briefly(argv);
  struct setup setup = {0};
  struct error error = {0};
  const int32_t *labels = NULL;
  nn_params_init(&setup.params);
  int result = argc == 9 ? 0 : error_set(&error, "needs 8 arguments");
  if (result == 0) result = parse(&setup, argv, &error);
  if (result == 0) result = build(&setup, &error);
  if (result == 0) result = run(&setup, &labels, atoi(argv[8]), &error);
  if (result == 0) result = print(&setup, labels, &error);
  nn_program_free(setup.program);
  nn_workspace_free(&setup.workspace);
  nn_graph_free(setup.graph);
  nn_params_free(&setup.params);
  nn_device_close(&setup.device);
  objective_score_free(&setup.score);
  objective_free(&setup.objective);
  arena_free(&setup.arena);
  if (result) fprintf(stderr, "objective_run: %s\n", error.message);
  return result ? 1 : 0;
}
