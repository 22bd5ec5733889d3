/* What tests/python/test_erf_autograd.py compares with numpy and PyTorch.
 *
 *   erf_run labels FIELDS SIZE STRIDE TAU X,Y,W,H ...     the raw float32 fields of all cells; a line per cell: its
 * soft label, the area of 90 %, the share inside its region erf_run measure ARCH WEIGHTS IMAGES COUNT SIZE DEVICE
 * PRECISION COPIES OUT WEIGHTS: safetensors; IMAGES: raw, COUNT x SIZE x SIZE x 3, in PRECISION; OUT: raw float32
 * fields. Prints the FLOPs. */
#include <stdlib.h>
#include <string.h>

#include "erf/erf.h"
#include "nn/backbone/backbone.h"
#include "nn/weights.h"

enum { STRIDE = 32 };

static int labels(int argc, char **argv, struct error *error) {
  struct erf_regions regions = {.size = atoi(argv[3]), .stride = atoi(argv[4])};
  struct buffer fields = {0};
  float *table = NULL;
  for (int i = 6; i < argc && regions.count < ERF_REGION_MAX; i++) {
    struct rect *r = &regions.rects[regions.count++];
    if (sscanf(argv[i], "%d,%d,%d,%d", &r->x, &r->y, &r->w, &r->h) != 4) return error_set(error, "%s", argv[i]);
  }
  int result = erf_regions_check(&regions, error);
  if (result == 0) result = file_read(&fields, argv[2], error);
  if (result == 0) {
    int side = regions.size / regions.stride, cells = side * side;
    int64_t pixels = (int64_t)regions.size * regions.size;
    struct erf_map map = {.regions = regions, .side = side};
    size_t wanted = (size_t)cells * (size_t)pixels * sizeof(float);
    table = malloc((size_t)(cells * regions.count) * sizeof *table);
    map.masses = malloc((size_t)(cells + ERF_REGION_MAX) * (size_t)regions.count * sizeof *map.masses);
    if (!table || !map.masses || fields.size != wanted) result = error_set(error, "%s: not %zu bytes", argv[2], wanted);
    for (int cell = 0; result == 0 && cell < cells; cell++) {
      double masses[ERF_REGION_MAX];
      erf_masses(&regions, (float *)(void *)fields.data + cell * pixels, masses);
      memcpy(map.masses + cell * regions.count, masses, (size_t)regions.count * sizeof *masses);
    }
    if (result == 0) result = erf_soft_labels(&map, atof(argv[5]), table, error);
    for (int cell = 0; result == 0 && cell < cells; cell++) {
      for (int i = 0; i < regions.count; i++) {
        printf("%.9g ", table[cell * regions.count + i]);
      }
      const float *field = (float *)(void *)fields.data + cell * pixels;
      printf("%.17g %.17g\n", erf_area(field, pixels, 0.9), erf_inside(&map, cell));
    }
    erf_map_free(&map);
  }
  free(table);
  buffer_free(&fields);
  return result;
}

struct model {
  struct nn_device device;
  struct nn_params params;
  struct nn_graph *graph;
  struct nn_workspace workspace;
};

static int open_model(struct model *model, const char *arch, const char *weights, const char *device,
                      struct error *error) {
  struct backbone backbone;
  struct weights_match match = {0};
  enum nn_norm norm;
  if (nn_device_open(&model->device, device, 0, error)) return -1;
  nn_params_init(&model->params);
  nn_workspace_init(&model->workspace, &model->device);
  model->graph = nn_graph_create(&model->params);
  if (!model->graph || backbone_default_norm(arch, &norm, error)) return -1;
  int images = nn_input(model->graph, "images", NN_ACTIVATION, 3);
  if (backbone_build(model->graph, images, arch, norm, false, &backbone, error)) return -1;
  nn_output(model->graph, backbone.stages[5], "c5");
  if (nn_graph_error(model->graph, error)) return -1;
  if (nn_params_allocate(&model->params, &model->device, false, error)) return -1;
  int result = weights_load(&model->params, weights, &match, error);
  if (result == 0 && match.missing_count) result = error_set(error, "%s: lacks %s", weights, match.missing[0]);
  weights_match_free(&match);
  return result;
}

static int measure(char **argv, struct error *error) {
  struct model model = {0};
  struct erf_map map = {0};
  struct buffer images = {0};
  int64_t count = atoll(argv[5]);
  int size = atoi(argv[6]);
  enum nn_dtype precision = strcmp(argv[8], "bf16") ? NN_F32 : NN_BF16;
  int result = open_model(&model, argv[2], argv[3], argv[7], error);
  if (result == 0) result = file_read(&images, argv[4], error);
  if (result == 0 && images.size != (size_t)(count * size * size * 3) * nn_dtype_size(precision)) {
    result = error_set(error, "%s: has %zu bytes", argv[4], images.size);
  }
  int cells = size / STRIDE * (size / STRIDE), *kept = calloc((size_t)cells + 1, sizeof *kept);
  for (int i = 0; kept && i < cells; i++) {
    kept[i] = i;
  }
  if (result == 0) {
    struct erf_probe probe = {.graph = model.graph,
                              .workspace = &model.workspace,
                              .input = "images",
                              .output = "c5",
                              .precision = precision,
                              .images = images.data,
                              .count = count,
                              .regions = {size, STRIDE, 1, {{0, 0, size, size}}},
                              .kept = kept,
                              .kept_count = cells,
                              .copies = atoll(argv[9])};
    result = erf_measure(&map, &probe, error);
  }
  free(kept);
  if (result == 0) {
    size_t values = (size_t)cells * (size_t)size * (size_t)size;
    result = file_write_all(argv[10], map.fields, values * sizeof(float), error);
    printf("%lld\n", (long long)map.flops);
  }
  buffer_free(&images);
  erf_map_free(&map);
  nn_graph_free(model.graph);
  nn_workspace_free(&model.workspace);
  nn_params_free(&model.params);
  nn_device_close(&model.device);
  return result;
}

int main(int argc, char **argv) {
  nn_wait_briefly(argv);
  struct error error = {0};
  int result;
  if (argc >= 7 && !strcmp(argv[1], "labels")) {
    result = labels(argc, argv, &error);
  } else if (argc == 11 && !strcmp(argv[1], "measure")) {
    result = measure(argv, &error);
  } else {
    fprintf(stderr, "usage: erf_run labels|measure ..., see tests/erf_run.c\n");
    return 2;
  }
  if (result) fprintf(stderr, "erf_run: %s\n", error.message);
  return result ? 1 : 0;
}
