/* Measuring receptive fields: what it costs against training, and how far the soft labels depend on the images.
 *
 *   bench_erf time DEVICE PRECISION ARCH            seconds of a training step at batch 16 and of a measurement, and
 * the part of training time that measuring takes bench_erf spread STORE ARCH WEIGHTS|- IMAGES    deviation of the
 * soft-label table between sets of 1, 2, 4 ... images
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "erf/erf.h"
#include "jigsaw/assemble.h"
#include "nn/backbone/backbone.h"
#include "nn/optimizer.h"
#include "nn/weights.h"

enum { SIZE = 224, STRIDE = 32, SIDE = SIZE / STRIDE, CELLS = SIDE * SIDE, VALUES = SIZE * SIZE * 3 };
enum { BATCH = 16, CLASSES = 81, INTERVAL = 5000, IMAGES = 32 };

/* One set of parameters and two graphs on it: to the features, and to the loss. */
struct model {
  struct nn_device device;
  struct nn_params params;
  struct nn_graph *features, *training;
  struct nn_workspace workspace;
};

static int build(struct nn_graph *g, const char *arch, bool training, struct error *error) {
  struct backbone backbone;
  enum nn_norm norm;
  if (backbone_default_norm(arch, &norm, error)) return -1;
  int images = nn_input(g, "images", NN_ACTIVATION, 3);
  if (backbone_build(g, images, arch, norm, false, &backbone, error)) return -1;
  int features = nn_output(g, backbone.stages[5], "features");
  if (training) {
    int logits = nn_linear(g, features, "fc", CLASSES, true);
    int labels = nn_input(g, "labels", NN_LABELS, JIG_REGIONS), mix = nn_input(g, "mix", NN_FLOATS, JIG_REGIONS);
    nn_output(g, nn_cross_entropy(g, logits, labels, mix, nn_input(g, "scale", NN_FLOATS, 1)), "loss");
  }
  return nn_graph_error(g, error);
}

static int open_model(struct model *model, const char *device, const char *arch, const char *weights,
                      struct error *error) {
  struct weights_match match = {0};
  if (nn_device_open(&model->device, device, 0, error)) return -1;
  nn_params_init(&model->params);
  nn_workspace_init(&model->workspace, &model->device);
  model->features = nn_graph_create(&model->params);
  model->training = nn_graph_create(&model->params);
  if (!model->features || !model->training) return error_memory(error, 1);
  if (build(model->features, arch, false, error) || build(model->training, arch, true, error)) return -1;
  if (nn_params_allocate(&model->params, &model->device, true, error)) return -1;
  if (nn_params_initialise(&model->params, 1, error)) return -1;
  int result = strcmp(weights, "-") ? weights_load(&model->params, weights, &match, error) : 0;
  weights_match_free(&match);
  return result;
}

static void close_model(struct model *model) {
  nn_graph_free(model->features);
  nn_graph_free(model->training);
  nn_workspace_free(&model->workspace);
  nn_params_free(&model->params);
  nn_device_close(&model->device);
}

/* ---- time ---- */

static int training_step(struct model *model, struct nn_program *program, struct error *error) {
  struct nn_sgd_options sgd = {.momentum = 0.9, .weight_decay = 1e-4};
  if (nn_program_forward(program, error) || nn_program_backward(program, error)) return -1;
  return nn_sgd_step(&model->params, &sgd, 1e-3, NULL, error);
}

/* Seconds of a step, the best of a few after a warm-up. */
static int time_training(struct model *model, enum nn_dtype precision, const void *images, double *best,
                         struct error *error) {
  int32_t labels[BATCH * JIG_REGIONS] = {0};
  float mix[CELLS * JIG_REGIONS], scale[CELLS];
  for (int i = 0; i < CELLS * JIG_REGIONS; i++) {
    mix[i] = 1.0f / JIG_REGIONS;
    scale[i / JIG_REGIONS] = 1.0f / CELLS;
  }
  struct nn_input_shape shapes[] = {{"images", {BATCH, SIZE, SIZE, 3}},
                                    {"labels", {BATCH, 1, 1, JIG_REGIONS}},
                                    {"mix", {1, SIDE, SIDE, JIG_REGIONS}},
                                    {"scale", {1, SIDE, SIDE, 1}}};
  struct nn_compile_options options = {.precision = precision,
                                       .training = true,
                                       .parameter_gradients = true,
                                       .shapes = shapes,
                                       .shape_count = COUNT_OF(shapes)};
  struct nn_program *program;
  if (nn_compile(&program, model->training, &model->workspace, &options, error)) return -1;
  int result = nn_program_bind(program, "images", images, error) || nn_program_bind(program, "labels", labels, error) ||
                       nn_program_bind(program, "mix", mix, error) || nn_program_bind(program, "scale", scale, error)
                   ? -1
                   : 0;
  *best = INFINITY;
  for (int step = 0; result == 0 && step < 6; step++) {
    double started = clock_seconds();
    result = training_step(model, program, error);
    if (step) *best = fmin(*best, clock_seconds() - started);
  }
  nn_program_free(program);
  return result;
}

static int time_measurement(struct model *model, enum nn_dtype precision, const void *images, double *seconds,
                            struct erf_map *map, struct error *error) {
  double started = clock_seconds();
  int result = erf_measure(map, model->features, &model->workspace, "images", "features", precision, images, IMAGES,
                           SIZE, 0, error);
  *seconds = clock_seconds() - started;
  return result;
}

static int run_time(char **argv, struct error *error) {
  enum nn_dtype precision = strcmp(argv[3], "bf16") ? NN_F32 : NN_BF16;
  struct model model = {0};
  struct erf_map map = {0};
  struct rng rng;
  double step = 0, seconds = 0;
  void *images = aligned_alloc(64, (size_t)IMAGES * VALUES * sizeof(float));
  rng_init(&rng, 1, RNG_TEST, 0, 0);
  for (int i = 0; images && i < IMAGES * VALUES; i++) {
    float value = (float)rng_range(&rng, -2, 2);
    if (precision == NN_BF16) {
      ((uint16_t *)images)[i] = nn_bf16_from_f32(value);
    } else {
      ((float *)images)[i] = value;
    }
  }
  int result = images ? open_model(&model, argv[2], argv[4], "-", error) : error_memory(error, VALUES);
  if (result == 0) result = time_training(&model, precision, images, &step, error);
  size_t before = model.workspace.size;
  if (result == 0) result = time_measurement(&model, precision, images, &seconds, &map, error);
  if (result == 0) {
    printf("%s %s: step of %d: %.3f s; measurement with %d images: %.1f s, %.1f TFLOP (%.0f GFLOP/s)\n", argv[4],
           argv[3], BATCH, step, IMAGES, seconds, (double)map.flops / 1e12, (double)map.flops / seconds / 1e9);
    printf("every %d steps: %.2f %% of training time; workspace %zu MiB, before %zu MiB\n", INTERVAL,
           100 * seconds / (INTERVAL * step + seconds), model.workspace.size >> 20, before >> 20);
  }
  erf_map_free(&map);
  close_model(&model);
  free(images);
  return result;
}

/* ---- spread ---- */

/* Soft labels need the mass of a field in whole cells of the input only, so a field shrinks to SIDE x SIDE sums. */
static const struct erf_regions shrunk = {SIDE, 1, 4, {{0, 0, 2, 2}, {2, 0, 5, 2}, {0, 2, 2, 5}, {2, 2, 5, 5}}};

static void shrink(const struct erf_map *map, float *sums) {
  memset(sums, 0, CELLS * CELLS * sizeof *sums);
  for (int i = 0; i < CELLS * SIZE * SIZE; i++) {
    int cell = i / (SIZE * SIZE), y = i / SIZE % SIZE, x = i % SIZE;
    sums[cell * CELLS + y / STRIDE * SIDE + x / STRIDE] += map->fields[i];
  }
}

static int render(const struct jig_assembler *assembler, int64_t index, struct jig_scratch *scratch,
                  struct image *canvas, float *pixels, struct error *error) {
  static const float MEAN[] = {0.485f, 0.456f, 0.406f}, DEVIATION[] = {0.229f, 0.224f, 0.225f};
  struct jig_tile tiles[JIG_REGIONS];
  jig_plan(assembler, 0, index, tiles);
  if (jig_render(assembler, tiles, scratch, canvas, error)) return -1;
  for (int i = 0; i < VALUES; i++) {
    pixels[i] = ((float)canvas->pixels[i] / 255 - MEAN[i % 3]) / DEVIATION[i % 3];
  }
  return 0;
}

/* The table from images first .. first + count - 1. */
static int make_table(const float *sums, int64_t first, int64_t count, float *table, struct error *error) {
  float mean[CELLS * CELLS] = {0};
  struct erf_map map = {.size = SIDE, .side = SIDE, .images = count, .fields = mean};
  for (int64_t i = 0; i < count * CELLS * CELLS; i++) {
    mean[i % (CELLS * CELLS)] += sums[first * CELLS * CELLS + i] / (float)count;
  }
  return erf_soft_labels(&map, &shrunk, 0.7, table, error);
}

/* Over the disjoint sets of `count` images: the deviation of each entry from that of all; its root mean square, and the
 * largest. */
static int print_spread(const float *sums, int64_t images, int64_t count, struct error *error) {
  float all[CELLS * JIG_REGIONS], table[CELLS * JIG_REGIONS];
  double square[CELLS * JIG_REGIONS] = {0}, mean = 0, largest = 0;
  int64_t sets = images / count;
  if (make_table(sums, 0, images, all, error)) return -1;
  for (int64_t set = 0; set < sets; set++) {
    if (make_table(sums, set * count, count, table, error)) return -1;
    for (int i = 0; i < CELLS * JIG_REGIONS; i++) {
      square[i] += pow((double)table[i] - all[i], 2) / (double)sets;
    }
  }
  for (int i = 0; i < CELLS * JIG_REGIONS; i++) {
    mean += square[i] / (CELLS * JIG_REGIONS);
    largest = fmax(largest, sqrt(square[i]));
  }
  printf("%4lld images: %.5f root mean square, %.5f the largest entry's\n", (long long)count, sqrt(mean), largest);
  return 0;
}

static int run_spread(char **argv, struct error *error) {
  struct model model = {0};
  struct erf_map map = {0};
  struct jig_store *store = NULL;
  struct jig_assembler assembler;
  struct jig_assemble_options options = jig_assemble_defaults();
  struct jig_scratch scratch = {0};
  struct image canvas = {0};
  int64_t count = atoll(argv[5]);
  float *pixels = malloc(VALUES * sizeof *pixels), *sums = malloc((size_t)count * CELLS * CELLS * sizeof *sums);
  int result = pixels && sums ? jig_store_open(&store, argv[2], error) : error_memory(error, (size_t)count);
  if (result == 0) result = jig_assembler_init(&assembler, store, &options, error);
  if (result == 0) result = open_model(&model, "cpu", argv[3], argv[4], error);
  for (int64_t i = 0; result == 0 && i < count; i++) {
    result = render(&assembler, i, &scratch, &canvas, pixels, error);
    if (result == 0) {
      result =
          erf_measure(&map, model.features, &model.workspace, "images", "features", NN_F32, pixels, 1, SIZE, 0, error);
    }
    if (result == 0) shrink(&map, sums + i * CELLS * CELLS);
  }
  for (int64_t set = 1; result == 0 && set <= count / 2; set *= 2) {
    result = print_spread(sums, count, set, error);
  }
  image_free(&canvas);
  jig_scratch_free(&scratch);
  jig_store_close(store);
  erf_map_free(&map);
  close_model(&model);
  free(sums);
  free(pixels);
  return result;
}

int main(int argc, char **argv) {
  nn_wait_briefly(argv);
  struct error error = {0};
  int result;
  if (argc == 5 && !strcmp(argv[1], "time")) {
    result = run_time(argv, &error);
  } else if (argc == 6 && !strcmp(argv[1], "spread")) {
    result = run_spread(argv, &error);
  } else {
    fprintf(stderr, "usage: bench_erf time DEVICE PRECISION ARCH | spread STORE ARCH WEIGHTS|- IMAGES\n");
    return 2;
  }
  if (result) fprintf(stderr, "bench_erf: %s\n", error.message);
  return result ? 1 : 0;
}
