/* Seconds of training steps, on made-up images: forward, backward and SGD of a network with 1,000 classes, the same
 * work as bench/train_torch.py.
 *
 *     bench_train ARCH BATCH f32|bf16 STEPS THREADS [profile]
 *
 * Prints a line of JSON: the seconds of each step after the first three, and the largest resident set in MiB. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "nn/backbone/backbone.h"
#include "nn/optimizer.h"
#include "nn/program.h"

enum { SIZE = 224, CLASSES = 1000, WARM_UP = 3 };

struct bench {
  struct nn_device device;
  struct nn_params params;
  struct nn_workspace workspace;
  struct nn_graph *graph;
  struct nn_program *program;
  void *images;
  int32_t *labels;
};

static int build(struct bench *b, const char *arch, struct error *error) {
  struct backbone backbone;
  enum nn_norm norm;
  b->graph = nn_graph_create(&b->params);
  int images = nn_input(b->graph, "images", NN_ACTIVATION, 3), labels = nn_input(b->graph, "labels", NN_LABELS, 1);
  int mix = nn_input(b->graph, "mix", NN_FLOATS, 1), scale = nn_input(b->graph, "scale", NN_FLOATS, 1);
  if (backbone_default_norm(arch, &norm, error)) return -1;
  if (backbone_build(b->graph, images, arch, norm, false, &backbone, error)) return -1;
  int logits = nn_linear(b->graph, nn_global_pool(b->graph, backbone.stages[5]), "fc", CLASSES, true);
  nn_output(b->graph, nn_cross_entropy(b->graph, logits, labels, mix, scale), "loss");
  if (nn_params_allocate(&b->params, &b->device, true, error)) return -1;
  return nn_params_initialise(&b->params, 1, error);
}

static int compile(struct bench *b, int64_t batch, enum nn_dtype precision, struct error *error) {
  static const float one = 1;
  const struct nn_input_shape shapes[] = {
      {"images", {batch, SIZE, SIZE, 3}}, {"labels", {batch, 1, 1, 1}}, {"mix", {1, 1, 1, 1}}, {"scale", {1, 1, 1, 1}}};
  const struct nn_compile_options options = {.precision = precision,
                                             .training = true,
                                             .parameter_gradients = true,
                                             .shapes = shapes,
                                             .shape_count = COUNT_OF(shapes)};
  if (nn_compile(&b->program, b->graph, &b->workspace, &options, error)) return -1;
  return nn_program_bind(b->program, "images", b->images, error) ||
                 nn_program_bind(b->program, "labels", b->labels, error) ||
                 nn_program_bind(b->program, "mix", &one, error) || nn_program_bind(b->program, "scale", &one, error)
             ? -1
             : 0;
}

static int make_data(struct bench *b, int64_t batch, enum nn_dtype precision, struct error *error) {
  struct rng rng;
  int64_t count = batch * SIZE * SIZE * 3;
  b->images = aligned_alloc(64, (size_t)count * nn_dtype_size(precision));
  b->labels = calloc((size_t)batch, sizeof *b->labels);
  if (!b->images || !b->labels) return error_memory(error, (size_t)count);
  rng_init(&rng, 1, RNG_TEST, 0, 0);
  for (int64_t i = 0; i < count; i++) {
    float value = (float)rng_range(&rng, -2, 2);
    if (precision == NN_F32) {
      ((float *)b->images)[i] = value;
    } else {
      ((uint16_t *)b->images)[i] = nn_bf16_from_f32(value);
    }
  }
  for (int64_t i = 0; i < batch; i++)
    b->labels[i] = (int32_t)rng_below(&rng, CLASSES);
  return 0;
}

static int step(struct bench *b, struct error *error) {
  const struct nn_sgd_options sgd = {.momentum = 0.9, .weight_decay = 1e-4};
  float loss;
  if (nn_program_forward(b->program, error) || nn_program_read(b->program, "loss", &loss, error)) return -1;
  return nn_program_backward(b->program, error) || nn_sgd_step(&b->params, &sgd, 0.01, NULL, error) ? -1 : 0;
}

static int run(struct bench *b, char **argv, bool profile, struct error *error) {
  int64_t batch = atoll(argv[2]), steps = atoll(argv[4]);
  enum nn_dtype precision = strcmp(argv[3], "bf16") ? NN_F32 : NN_BF16;
  nn_params_init(&b->params);
  if (nn_device_open(&b->device, "cpu", atoi(argv[5]), error)) return -1;
  nn_workspace_init(&b->workspace, &b->device);
  if (build(b, argv[1], error) || make_data(b, batch, precision, error) || compile(b, batch, precision, error))
    return -1;
  printf("{\"seconds\": [");
  for (int64_t i = 0; i < steps + WARM_UP; i++) {
    double started = clock_seconds();
    if (i == WARM_UP) nn_program_profile(b->program, profile);
    if (step(b, error)) return -1;
    if (i >= WARM_UP) printf("%s%.5f", i > WARM_UP ? ", " : "", clock_seconds() - started);
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  printf("], \"peak_mib\": %.0f}\n", (double)usage.ru_maxrss / 1024);
  if (profile) nn_program_profile_print(b->program, stderr);
  return 0;
}

int main(int argc, char **argv) {
  nn_wait_briefly(argv);
  struct bench bench = {0};
  struct error error = {0};
  if (argc < 6) {
    fprintf(stderr, "usage: bench_train ARCH BATCH f32|bf16 STEPS THREADS [profile]\n");
    return 2;
  }
  int result = run(&bench, argv, argc > 6, &error);
  if (result) fprintf(stderr, "bench_train: %s\n", error.message);
  nn_program_free(bench.program);
  nn_graph_free(bench.graph);
  nn_workspace_free(&bench.workspace);
  nn_params_free(&bench.params);
  nn_device_close(&bench.device);
  free(bench.images);
  free(bench.labels);
  return result ? 1 : 0;
}
