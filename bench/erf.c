/* Measuring receptive fields: what it costs against training, and how far the soft labels depend on the images.
 *
 *   bench_erf time DEVICE PRECISION ARCH
 *     seconds of a training step at batch 16 and of a measurement, and the part of training time that measuring takes
 *   bench_erf spread STORE ARCH WEIGHTS|- IMAGES
 *     deviation of the soft-label table between sets of 1, 2, 4 ... images
 *   bench_erf calibrate STORE ARCH IMAGES BATCHES
 *     deviation of a new network's table, of so many images, by the running statistics of 0, 1, 2, 4 ... batches of 16
 *     from that by those of all
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "erf/erf.h"
#include "jigsaw/assemble.h"
#include "nn/backbone/backbone.h"
#include "nn/optimizer.h"
#include "nn/statistics.h"
#include "nn/weights.h"

enum {
  SIZE = 224,
  STRIDE = 32,
  SIDE = SIZE / STRIDE,
  CELLS = SIDE * SIDE,
  VALUES = SIZE * SIZE * 3,
  ENTRIES = CELLS * JIG_REGIONS
};
enum { BATCH = 16, CLASSES = 81, INTERVAL = 5000, IMAGES = 32 };
#define TAU 0.7

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

static const struct erf_regions regions = {
    SIZE, STRIDE, JIG_REGIONS, {{0, 0, 64, 64}, {64, 0, 160, 64}, {0, 64, 64, 160}, {64, 64, 160, 160}}};

static int measure(struct model *model, enum nn_dtype precision, const void *images, int64_t count, struct erf_map *map,
                   struct error *error) {
  struct erf_probe probe = {.graph = model->features,
                            .workspace = &model->workspace,
                            .input = "images",
                            .output = "features",
                            .precision = precision,
                            .images = images,
                            .count = count,
                            .regions = regions};
  return erf_measure(map, &probe, error);
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
  int result = measure(model, precision, images, IMAGES, map, error);
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

/* The table from the masses of images first .. first + count - 1. */
static int make_table(const double *masses, int64_t first, int64_t count, float *table, struct error *error) {
  double sums[ENTRIES] = {0};
  struct erf_map map = {.regions = regions, .side = SIDE, .images = count, .masses = sums};
  for (int64_t i = 0; i < count * ENTRIES; i++) {
    sums[i % ENTRIES] += masses[first * ENTRIES + i];
  }
  return erf_soft_labels(&map, TAU, table, error);
}

/* Over the disjoint sets of `count` images: the deviation of each entry from that of all; its root mean square, and the
 * largest. */
static int print_spread(const double *masses, int64_t images, int64_t count, struct error *error) {
  float all[ENTRIES], table[ENTRIES];
  double square[ENTRIES] = {0}, mean = 0, largest = 0;
  int64_t sets = images / count;
  if (make_table(masses, 0, images, all, error)) return -1;
  for (int64_t set = 0; set < sets; set++) {
    if (make_table(masses, set * count, count, table, error)) return -1;
    for (int i = 0; i < ENTRIES; i++) {
      square[i] += pow((double)table[i] - all[i], 2) / (double)sets;
    }
  }
  for (int i = 0; i < ENTRIES; i++) {
    mean += square[i] / ENTRIES;
    largest = fmax(largest, sqrt(square[i]));
  }
  printf("%4lld images: %.5f root mean square, %.5f the largest entry's\n", (long long)count, sqrt(mean), largest);
  return 0;
}

/* What both look at: a network, and jigsaws of a store. */
struct look {
  struct model model;
  struct jig_store *store;
  struct jig_assembler assembler;
  struct jig_scratch scratch;
  struct image canvas;
};

static int open_look(struct look *look, const char *store, const char *arch, const char *weights, struct error *error) {
  struct jig_assemble_options options = jig_assemble_defaults();
  if (jig_store_open(&look->store, store, error)) return -1;
  if (jig_assembler_init(&look->assembler, look->store, &options, error)) return -1;
  return open_model(&look->model, "cpu", arch, weights, error);
}

static void close_look(struct look *look) {
  image_free(&look->canvas);
  jig_scratch_free(&look->scratch);
  jig_store_close(look->store);
  close_model(&look->model);
}

static int run_spread(char **argv, struct error *error) {
  struct look look = {0};
  struct erf_map map = {0};
  int64_t count = atoll(argv[5]);
  float *pixels = aligned_alloc(64, VALUES * sizeof *pixels);
  double *masses = malloc((size_t)count * ENTRIES * sizeof *masses);
  int result = pixels && masses ? open_look(&look, argv[2], argv[3], argv[4], error) : error_memory(error, VALUES);
  for (int64_t i = 0; result == 0 && i < count; i++) {
    result = render(&look.assembler, i, &look.scratch, &look.canvas, pixels, error);
    if (result == 0) result = measure(&look.model, NN_F32, pixels, 1, &map, error);
    if (result == 0) memcpy(masses + i * ENTRIES, map.masses, ENTRIES * sizeof *masses);
  }
  for (int64_t set = 1; result == 0 && set <= count / 2; set *= 2) {
    result = print_spread(masses, count, set, error);
  }
  erf_map_free(&map);
  close_look(&look);
  free(masses);
  free(pixels);
  return result;
}

/* ---- calibrate ---- */

/* Of BATCH jigsaws each. */
static int run_passes(struct look *look, struct nn_program *program, float *pixels, int64_t passes,
                      struct error *error) {
  for (int64_t pass = 0; pass < passes; pass++) {
    for (int i = 0; i < BATCH; i++) {
      int64_t index = (pass * BATCH + i) % look->assembler.epoch_length;
      if (render(&look->assembler, index, &look->scratch, &look->canvas, pixels + (size_t)i * VALUES, error)) return -1;
    }
    if (nn_program_bind(program, "images", pixels, error) || nn_program_forward(program, error)) return -1;
  }
  return 0;
}

/* The table by the statistics of so many passes; 0: those of a new network. */
static int calibrated_table(struct look *look, struct nn_program *program, float *pixels, const float *measured,
                            int64_t images, int64_t passes, float *table, struct error *error) {
  struct model *model = &look->model;
  struct nn_statistics before = {0};
  struct erf_map map = {0};
  int result = passes ? nn_statistics_begin(&before, &model->params, error) : 0;
  if (result == 0) result = run_passes(look, program, pixels, passes, error);
  if (result == 0 && passes) result = nn_statistics_settle(&model->params, passes, error);
  if (result == 0) result = measure(model, NN_F32, measured, images, &map, error);
  if (result == 0) result = erf_soft_labels(&map, TAU, table, error);
  if (before.values && nn_statistics_restore(&before, &model->params, error)) result = -1;
  erf_map_free(&map);
  return result;
}

static void print_deviation(int64_t passes, const float *table, const float *reference) {
  double square = 0, largest = 0;
  for (int i = 0; i < ENTRIES; i++) {
    double deviation = fabs((double)table[i] - reference[i]);
    square += deviation * deviation / ENTRIES;
    largest = fmax(largest, deviation);
  }
  printf("%3lld passes of %d: %.5f root mean square, %.5f the largest entry's\n", (long long)passes, BATCH,
         sqrt(square), largest);
}

static int run_calibrate(char **argv, struct error *error) {
  int64_t images = atoll(argv[4]), passes = atoll(argv[5]);
  struct look look = {0};
  struct nn_program *program = NULL;
  float reference[ENTRIES], table[ENTRIES];
  float *pixels = aligned_alloc(64, BATCH * VALUES * sizeof *pixels);
  float *measured = aligned_alloc(64, (size_t)images * VALUES * sizeof *measured);
  int result = pixels && measured ? open_look(&look, argv[2], argv[3], "-", error) : error_memory(error, VALUES);
  for (int64_t i = 0; result == 0 && i < images; i++) { /* the last of the epoch: the first are calibrated with */
    result = render(&look.assembler, look.assembler.epoch_length - 1 - i, &look.scratch, &look.canvas,
                    measured + (size_t)i * VALUES, error);
  }
  struct nn_input_shape shape = {"images", {BATCH, SIZE, SIZE, 3}};
  struct nn_compile_options options = {.precision = NN_F32, .training = true, .shapes = &shape, .shape_count = 1};
  if (result == 0) result = nn_compile(&program, look.model.features, &look.model.workspace, &options, error);
  if (result == 0) result = calibrated_table(&look, program, pixels, measured, images, passes, reference, error);
  for (int64_t few = 0; result == 0 && few < passes; few += few ? few : 1) {
    result = calibrated_table(&look, program, pixels, measured, images, few, table, error);
    if (result == 0) print_deviation(few, table, reference);
  }
  nn_program_free(program);
  close_look(&look);
  free(measured);
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
  } else if (argc == 6 && !strcmp(argv[1], "calibrate")) {
    result = run_calibrate(argv, &error);
  } else {
    fprintf(stderr,
            "usage: bench_erf time DEVICE PRECISION ARCH | spread STORE ARCH WEIGHTS|- IMAGES | calibrate STORE "
            "ARCH IMAGES BATCHES\n");
    return 2;
  }
  if (result) fprintf(stderr, "bench_erf: %s\n", error.message);
  return result ? 1 : 0;
}
