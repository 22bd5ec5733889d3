/* Regions, soft labels, areas and pictures of fields that the test makes, and measurement on small networks. */
#include "erf/erf.h"

#include <math.h>

#include "tests/test_support.h"

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

/* ---- regions ---- */

static const struct erf_regions PAPER = {
    224, 32, 4, {{0, 0, 64, 64}, {64, 0, 160, 64}, {0, 64, 64, 160}, {64, 64, 160, 160}}};

/* A cross of borders at random places of the grid: 1, 2 or 4 regions. */
static struct erf_regions random_regions(struct rng *rng) {
  struct erf_regions regions = {.stride = 1 + below(rng, 8)};
  int side = 1 + below(rng, 9), size = side * regions.stride;
  int cut_x = below(rng, side) * regions.stride, cut_y = below(rng, side) * regions.stride;
  regions.size = size;
  for (int i = 0; i < 4; i++) {
    struct rect r = {i & 1 ? cut_x : 0, i & 2 ? cut_y : 0, i & 1 ? size - cut_x : cut_x, i & 2 ? size - cut_y : cut_y};
    if (r.w > 0 && r.h > 0) regions.rects[regions.count++] = r;
  }
  return regions;
}

struct bad_regions {
  struct erf_regions regions;
  const char *message;
};

static void test_bad_regions(void **state) {
  (void)state;
  static const struct bad_regions BAD[] = {
      {{224, 32, 4, {{0, 0, 60, 64}, {60, 0, 164, 64}, {0, 64, 60, 160}, {60, 64, 164, 160}}},
       "region 0: its right border, at 60, is not on the map's grid: cut the template at a multiple of 32"},
      {{224, 32, 2, {{0, 0, 224, 96}, {0, 100, 224, 124}}}, "region 1: its upper border, at 100"},
      {{224, 32, 1, {{0, 0, 224, 223}}}, "region 0: its lower border, at 223"},
      {{224, 32, 1, {{1, 0, 223, 224}}}, "region 0: its left border, at 1"},
      {{224, 32, 2, {{0, 0, 128, 224}, {96, 0, 128, 224}}}, "regions 0 and 1 overlap"},
      {{224, 32, 2, {{0, 0, 96, 224}, {128, 0, 96, 224}}}, "leave 7168 pixels"},
      {{224, 32, 1, {{0, 0, 224, 256}}}, "does not lie on the input"},
      {{224, 32, 1, {{32, 0, 2147483647, 224}}}, "does not lie on the input"},
      {{224, 32, 2, {{0, 0, 224, 224}, {0, 0, 0, 224}}}, "does not lie on the input"},
      {{224, 32, 2, {{0, 0, 224, 224}, {-32, 0, 32, 224}}}, "does not lie on the input"},
      {{224, 30, 1, {{0, 0, 224, 224}}}, "multiple of the map's stride"},
      {{224, 0, 1, {{0, 0, 224, 224}}}, "multiple of the map's stride"},
      {{0, 32, 1, {{0, 0, 0, 0}}}, "multiple of the map's stride"},
      {{224, 32, 0, {{0, 0, 224, 224}}}, "needs 1 to 8"},
      {{224, 32, 9, {{0, 0, 224, 224}}}, "needs 1 to 8"},
  };
  for (size_t i = 0; i < COUNT_OF(BAD); i++) {
    struct error error = {0};
    assert_int_equal(erf_regions_check(&BAD[i].regions, &error), -1);
    if (!strstr(error.message, BAD[i].message)) fail_msg("case %zu says: %s", i, error.message);
  }
}

static void test_regions(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 0, 0);
  for (int round = 0; round < 300; round++) {
    struct error error = {0};
    struct erf_regions regions = round ? random_regions(&rng) : PAPER;
    int side = regions.size / regions.stride;
    assert_ok(erf_regions_check(&regions, &error), error);
    for (int cell = 0; cell < side * side; cell++) {
      int region = erf_region_of(&regions, cell / side, cell % side);
      int x = cell % side * regions.stride, y = cell / side * regions.stride;
      struct rect r = regions.rects[region];
      assert_true(x >= r.x && x < r.x + r.w && y >= r.y && y < r.y + r.h);
    }
    assert_int_equal(erf_region_of(&regions, side, 0), -1);
    assert_int_equal(erf_region_of(&regions, 0, -1), -1);
    for (int region = 0; region < regions.count; region++) {
      int cell = erf_centre_cell(&regions, region);
      struct rect r = regions.rects[region];
      assert_int_equal(erf_region_of(&regions, cell / side, cell % side), region);
      assert_true(fabs((cell % side + 0.5) * regions.stride - (r.x + r.w / 2.0)) <= regions.stride / 2.0);
      assert_true(fabs((cell / side + 0.5) * regions.stride - (r.y + r.h / 2.0)) <= regions.stride / 2.0);
    }
  }
  static const int CENTRES[] = {8, 11, 29, 32}; /* (1, 1), (1, 4), (4, 1), (4, 4) */
  for (int region = 0; region < 4; region++) {
    assert_int_equal(erf_centre_cell(&PAPER, region), CENTRES[region]);
  }
}

/* ---- labels ---- */

/* Fields that a test makes, and the masses that follow from them. */
struct fields {
  struct erf_map map;
  float *values;
};

static struct fields no_fields(const struct erf_regions *regions) {
  int side = regions->size / regions->stride;
  size_t cells = (size_t)side * (size_t)side;
  struct fields fields = {.map = {.regions = *regions, .side = side}};
  fields.values = calloc(cells * (size_t)regions->size * (size_t)regions->size, sizeof(float));
  fields.map.masses = calloc(cells * (size_t)regions->count, sizeof(double));
  assert_true(fields.values && fields.map.masses);
  return fields;
}

static float *field_of(const struct fields *fields, int cell) {
  size_t size = (size_t)fields->map.regions.size;
  return fields->values + (size_t)cell * size * size;
}

static void sum_fields(struct fields *fields) {
  struct erf_map *map = &fields->map;
  for (int cell = 0; cell < map->side * map->side; cell++) {
    double masses[ERF_REGION_MAX];
    erf_masses(&map->regions, field_of(fields, cell), masses);
    memcpy(map->masses + cell * map->regions.count, masses, (size_t)map->regions.count * sizeof *masses);
  }
}

static void free_fields(struct fields *fields) {
  erf_map_free(&fields->map);
  free(fields->values);
}

/* A blob of any width around any place, with noise, over many magnitudes; or nothing; or only the cell's own region, or
 * all but that; or the same everywhere. */
static void random_field(struct rng *rng, const struct erf_regions *regions, int cell, float *field) {
  int size = regions->size, side = size / regions->stride, kind = below(rng, 8);
  struct rect own = regions->rects[erf_region_of(regions, cell / side, cell % side)];
  double x0 = rng_range(rng, 0, size), y0 = rng_range(rng, 0, size), width = size * pow(10, rng_range(rng, -1.5, 1));
  double unit = pow(10, rng_range(rng, -30, 10));
  for (int y = 0; y < size; y++) {
    for (int x = 0; x < size; x++) {
      bool inside = x >= own.x && x < own.x + own.w && y >= own.y && y < own.y + own.h;
      double value = unit * exp(-(pow(x - x0, 2) + pow(y - y0, 2)) / (width * width)) * rng_uniform(rng);
      if (kind == 0 || (kind == 1 && !inside) || (kind == 2 && inside)) value = 0;
      if (kind == 3) value = unit;
      field[y * size + x] = (float)value;
    }
  }
}

/* The paper's equations with their masks, pixel by pixel. */
static void direct_label(const struct erf_regions *regions, int cell, const float *field, double tau, double *label) {
  int size = regions->size, side = size / regions->stride, own = erf_region_of(regions, cell / side, cell % side);
  double total = 0, not_own = 0, masked[ERF_REGION_MAX] = {0};
  for (int y = 0; y < size; y++) {
    for (int x = 0; x < size; x++) {
      double g = field[y * size + x];
      int region = erf_region_of(regions, y / regions->stride, x / regions->stride);
      for (int i = 0; i < regions->count; i++) {
        masked[i] += g * (region == i);
      }
      total += g;
      not_own += g * (1 - (region == own));
    }
  }
  double weight = not_own > 0 ? fmax(tau, masked[own] / total) : 1;
  for (int i = 0; i < regions->count; i++) {
    label[i] = i == own ? weight : not_own > 0 ? (1 - weight) * masked[i] / not_own : 0;
  }
}

static void test_soft_labels(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 1, 0);
  for (int round = 0; round < 60; round++) {
    struct error error = {0};
    struct erf_regions regions = random_regions(&rng);
    struct fields fields = no_fields(&regions);
    struct erf_map map = fields.map;
    float table[81 * ERF_REGION_MAX];
    double tau = round % 3 == 0 ? 0.7 : round % 3 == 1 ? 1 : rng_uniform(&rng);
    for (int cell = 0; cell < map.side * map.side; cell++) {
      random_field(&rng, &regions, cell, field_of(&fields, cell));
    }
    sum_fields(&fields);
    assert_ok(erf_soft_labels(&map, tau, table, &error), error);
    for (int cell = 0; cell < map.side * map.side; cell++) {
      double label[ERF_REGION_MAX], sum = 0;
      direct_label(&regions, cell, field_of(&fields, cell), tau, label);
      int own = erf_region_of(&regions, cell / map.side, cell % map.side);
      for (int i = 0; i < regions.count; i++) {
        double weight = table[cell * regions.count + i];
        assert_true(weight >= 0 && fabs(weight - label[i]) <= 1e-6);
        assert_true(i != own || weight >= (float)tau);
        sum += weight;
      }
      assert_true(fabs(sum - 1) <= 1e-6);
      assert_true(fmax(tau, erf_inside(&map, cell)) - label[own] <= 1e-12);
    }
    free_fields(&fields);
  }
}

static void test_refused_labels(void **state) {
  (void)state;
  struct error error = {0};
  struct erf_regions regions = {16, 8, 1, {{0, 0, 16, 16}}};
  struct fields fields = no_fields(&regions);
  float table[16];
  static const double TAUS[] = {-0.1, 1.1, NAN};
  for (size_t i = 0; i < COUNT_OF(TAUS); i++) {
    assert_int_equal(erf_soft_labels(&fields.map, TAUS[i], table, &error), -1);
    assert_non_null(strstr(error.message, "tau"));
  }
  static const float VALUES[] = {NAN, INFINITY, -1};
  for (size_t i = 0; i < COUNT_OF(VALUES); i++) {
    field_of(&fields, 2)[77] = VALUES[i];
    sum_fields(&fields);
    assert_int_equal(erf_soft_labels(&fields.map, 0.7, table, &error), -1);
    assert_non_null(strstr(error.message, "cell 1, 0 is not finite"));
  }
  free_fields(&fields);
}

/* ---- area ---- */

static int descending(const void *a, const void *b) {
  float left = *(const float *)a, right = *(const float *)b;
  return (left < right) - (left > right);
}

static double sorted_area(float *field, int count, double share) {
  double total = 0, mass = 0;
  qsort(field, (size_t)count, sizeof *field, descending);
  for (int i = 0; i < count; i++) {
    total += field[i];
  }
  for (int i = 0; i < count; i++) {
    if (mass >= share * total * (1 - 1e-12)) return (double)i / count;
    mass += field[i];
  }
  return 1;
}

static void test_area(void **state) {
  (void)state;
  enum { SIZE = 40, COUNT = SIZE * SIZE };
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 2, 0);
  struct erf_regions regions = {SIZE, SIZE, 1, {{0, 0, SIZE, SIZE}}};
  float field[COUNT];
  for (int round = 0; round < 500; round++) {
    random_field(&rng, &regions, 0, field);
    if (round % 2) { /* few values: many ties */
      for (int i = 0; i < COUNT; i++) {
        field[i] = (float)(below(&rng, 1 + round % 5) * (round % 7));
      }
    }
    double share = round % 3 ? 0.9 : rng_uniform(&rng), area = erf_area(field, COUNT, share);
    for (int i = COUNT - 1; i > 0; i--) { /* the order of the pixels does not matter */
      int j = below(&rng, i + 1);
      float kept = field[i];
      field[i] = field[j], field[j] = kept;
    }
    assert_true(fabs(erf_area(field, COUNT, share) - area) <= 1e-12);
    double expected = sorted_area(field, COUNT, share);
    if (!(fabs(area - expected) <= 1e-12)) fail_msg("round %d: area %.9f, not %.9f", round, area, expected);
  }
  for (int i = 0; i < COUNT; i++) {
    field[i] = 0.1f;
  }
  assert_true(fabs(erf_area(field, COUNT, 0.9) - 0.9) <= 1e-12);
  assert_true(fabs(erf_area(field, COUNT, 1) - 1) <= 1e-12);
  memset(field, 0, COUNT * sizeof(float));
  assert_true(erf_area(field, COUNT, 0.9) == 0);
  field[33] = 1e-40f;
  assert_true(erf_area(field, COUNT, 0.9) == 1.0 / COUNT);
}

/* ---- pictures ---- */

static struct color pixel_of(const struct image *image, int x, int y) {
  const uint8_t *pixel = image->pixels + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
  return (struct color){pixel[0], pixel[1], pixel[2]};
}

static void assert_color(struct color color, int r, int g, int b) {
  if (color.r != r || color.g != g || color.b != b) {
    fail_msg("(%d, %d, %d) is not (%d, %d, %d)", color.r, color.g, color.b, r, g, b);
  }
}

static void test_pictures(void **state) {
  (void)state;
  struct error error = {0};
  struct image image = {0};
  int kept[] = {8, 11, 29, 32}; /* the centre cells */
  float *fields = calloc(4 * 224 * 224, sizeof *fields);
  assert_non_null(fields);
  struct erf_map map = {.regions = PAPER, .side = 7, .kept = kept, .kept_count = 4, .fields = fields};
  float *field = fields;
  assert_true(erf_field(&map, 8) == field && erf_field(&map, 32) == fields + 3 * 224 * 224 && !erf_field(&map, 9));
  field[10 * 224 + 20] = 8;
  field[100 * 224 + 200] = 2; /* half of the way: the root of a quarter */
  field[101 * 224 + 200] = NAN;
  assert_ok(erf_draw(field, 224, &image, &error), error);
  assert_true(image.width == 224 && image.height == 224);
  assert_color(pixel_of(&image, 20, 10), 253, 231, 37);
  assert_color(pixel_of(&image, 200, 100), 33, 144, 140);
  assert_color(pixel_of(&image, 200, 101), 68, 1, 84);
  assert_color(pixel_of(&image, 0, 0), 68, 1, 84);
  assert_ok(erf_draw(erf_field(&map, 11), 224, &image, &error), error); /* a field of nothing */
  assert_color(pixel_of(&image, 20, 10), 68, 1, 84);

  assert_ok(erf_draw_regions(&map, &image, &error), error);
  assert_true(image.width == 4 * 224 + 3 * 8 && image.height == 224);
  assert_color(pixel_of(&image, 20, 10), 253, 231, 37);
  for (int i = 0; i < 4; i++) {
    int left = i * 232, cell = erf_centre_cell(&PAPER, i);
    assert_true(pixel_of(&image, left + 64, 3).r > 150 && pixel_of(&image, left + 223, 64).r > 150); /* lines */
    assert_color(pixel_of(&image, left + cell % 7 * 32 + 1, cell / 7 * 32 + 1), 255, 255, 255);      /* the frame */
    assert_color(pixel_of(&image, left + 63, 223), 68, 1, 84);
  }
  map.kept_count = 3;
  assert_int_equal(erf_draw_regions(&map, &image, &error), -1);
  assert_non_null(strstr(error.message, "cell 32 was not kept"));
  image_free(&image);
  free(fields);
}

/* ---- measurement ---- */

/* A network with all that ERFs meet: strides, norms by running statistics, a residual sum, ReLUs, a max pool, a bias.
 */
struct network {
  struct nn_device device;
  struct nn_params params;
  struct nn_graph *graph;
  struct nn_workspace workspace;
  int size, side;
};

/* Normal values, scaled to keep magnitudes; those of norms are far from 0 and 1. */
static void randomise(struct network *network, struct rng *rng) {
  struct error error = {0};
  for (size_t i = 0; i < network->params.count; i++) {
    const struct nn_param *param = network->params.items[i];
    float *values = malloc((size_t)param->count * sizeof *values);
    assert_non_null(values);
    double scale = param->role == NN_WEIGHT ? sqrt(6.0 * (double)param->dims[0] / (double)param->count) : 1;
    for (int64_t k = 0; k < param->count; k++) {
      bool positive = param->role == NN_NORM_WEIGHT || param->role == NN_NORM_VARIANCE;
      values[k] = (float)(positive ? rng_range(rng, 0.5, 2) : scale * rng_range(rng, -1, 1));
    }
    assert_ok(nn_param_write(&network->params, param, network->params.values, values, &error), error);
    free(values);
  }
}

static void open_network(struct network *network, const char *device) {
  struct error error = {0};
  assert_ok(nn_device_open(&network->device, device, 0, &error), error);
  nn_params_init(&network->params);
  nn_workspace_init(&network->workspace, &network->device);
  network->graph = nn_graph_create(&network->params);
  assert_non_null(network->graph);
}

static void allocate_network(struct network *network, struct rng *rng) {
  struct error error = {0};
  assert_ok(nn_graph_error(network->graph, &error), error);
  assert_ok(nn_params_allocate(&network->params, &network->device, false, &error), error);
  randomise(network, rng);
}

static void close_network(struct network *network) {
  nn_graph_free(network->graph);
  nn_workspace_free(&network->workspace);
  nn_params_free(&network->params);
  nn_device_close(&network->device);
}

static void build_small(struct network *network, const char *device, struct rng *rng) {
  struct nn_conv conv = {.out = 8, .kernel = 3, .stride = 2, .pad = 1, .dilation = 1, .groups = 1};
  open_network(network, device);
  network->size = 24;
  network->side = 3;
  struct nn_graph *g = network->graph;
  int x = nn_input(g, "images", NN_ACTIVATION, 3);
  int trunk = nn_relu(g, nn_batch_norm(g, nn_conv(g, x, "conv1", conv), "bn1", NN_NORM_BATCH));
  conv.stride = 1;
  x = nn_batch_norm(g, nn_conv(g, trunk, "conv2", conv), "bn2", NN_NORM_BATCH);
  x = nn_max_pool(g, nn_relu(g, nn_add(g, x, trunk)), 3, 2, 1);
  conv.stride = 2, conv.bias = true, conv.out = 6;
  nn_output(g, nn_conv(g, x, "conv3", conv), "map");
  allocate_network(network, rng);
}

static float *random_images(struct rng *rng, int64_t count, int size) {
  int64_t values = count * size * size * 3;
  float *images = malloc((size_t)values * sizeof *images);
  assert_non_null(images);
  for (int64_t i = 0; i < values; i++) {
    images[i] = (float)rng_range(rng, -2, 2);
  }
  return images;
}

enum { CELLS_MAX = 64 };
static const int ALL_CELLS[CELLS_MAX] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                         16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
                                         32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
                                         48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63};

/* Two regions, all fields kept. */
static struct erf_probe probe_of(struct network *network, const float *images, int64_t count, int64_t copies) {
  int size = network->size, stride = size / network->side;
  return (struct erf_probe){.graph = network->graph,
                            .workspace = &network->workspace,
                            .input = "images",
                            .output = "map",
                            .precision = NN_F32,
                            .images = images,
                            .count = count,
                            .regions = {size, stride, 2, {{0, 0, stride, size}, {stride, 0, size - stride, size}}},
                            .kept = ALL_CELLS,
                            .kept_count = network->side * network->side,
                            .copies = copies};
}

static struct erf_map measure(struct network *network, const float *images, int64_t count, int64_t copies) {
  struct error error = {0};
  struct erf_map map = {0};
  struct erf_probe probe = probe_of(network, images, count, copies);
  assert_ok(erf_measure(&map, &probe, &error), error);
  assert_true(map.regions.size == network->size && map.side == network->side && map.images == count);
  return map;
}

static void assert_same_fields(const struct erf_map *a, const struct erf_map *b) {
  int64_t pixels = (int64_t)a->regions.size * a->regions.size;
  for (int cell = 0; cell < a->side * a->side; cell++) {
    const float *left = erf_field(a, cell), *right = erf_field(b, cell);
    double peak = 0;
    for (int64_t i = 0; i < pixels; i++) {
      peak = fmax(peak, left[i]);
    }
    for (int64_t i = 0; i < pixels; i++) {
      if (!(fabs(left[i] - right[i]) <= 1e-5 * peak)) fail_msg("cell %d: %g is not %g", cell, left[i], right[i]);
    }
  }
}

/* The channels of one cell, summed. */
static double cell_output(struct nn_program *program, const float *image, int cell, float *output) {
  struct error error = {0};
  struct nn_shape shape;
  double sum = 0;
  assert_ok(nn_program_bind(program, "images", image, &error), error);
  assert_ok(nn_program_forward(program, &error), error);
  assert_ok(nn_program_shape(program, "map", &shape, &error), error);
  assert_ok(nn_program_read(program, "map", output, &error), error);
  for (int64_t c = 0; c < shape.c; c++) {
    sum += output[cell * shape.c + c];
  }
  return sum;
}

/* The absolute slope at one value of the image; negative where the slopes to both sides differ, at a kink of a ReLU. */
static double slope(struct nn_program *program, float *value, const float *image, int cell, float *output) {
  const double STEP = 1.0 / 256;
  float kept = *value;
  double here = cell_output(program, image, cell, output);
  *value = (float)(kept + STEP);
  double right = (cell_output(program, image, cell, output) - here) / (*value - kept);
  *value = (float)(kept - STEP);
  double left = (here - cell_output(program, image, cell, output)) / (kept - *value);
  *value = kept;
  return fabs(left - right) <= 1e-3 * (fabs(left) + 1) ? fabs(left + right) / 2 : -1;
}

static void test_finite_differences(void **state) {
  (void)state;
  enum { PROBES = 400 };
  struct rng rng;
  struct error error = {0};
  struct network network;
  rng_init(&rng, test_seed(), RNG_TEST, 3, 0);
  build_small(&network, "ref", &rng);
  float *image = random_images(&rng, 1, network.size), output[9 * 6];
  struct erf_map map = measure(&network, image, 1, 4);
  struct nn_input_shape shape = {"images", {1, network.size, network.size, 3}};
  struct nn_compile_options options = {.precision = NN_F32, .shapes = &shape, .shape_count = 1};
  struct nn_program *program = NULL;
  assert_ok(nn_compile(&program, network.graph, &network.workspace, &options, &error), error);
  int compared = 0, seen = 0;
  for (int probe = 0; probe < PROBES; probe++) {
    int cell = below(&rng, 9), pixel = below(&rng, network.size * network.size);
    double expected = 0, found = erf_field(&map, cell)[pixel];
    bool smooth = true;
    for (int c = 0; c < 3 && smooth; c++) {
      double part = slope(program, &image[pixel * 3 + c], image, cell, output);
      smooth = part >= 0;
      expected += part;
    }
    compared += smooth;
    seen += smooth && expected > 0.01;
    if (smooth && !(fabs(found - expected) <= 2e-3 * (expected + 1))) {
      fail_msg("cell %d, pixel %d: %g, by differences %g", cell, pixel, found, expected);
    }
  }
  assert_true(compared > PROBES / 2 && seen > PROBES / 10);
  nn_program_free(program);
  erf_map_free(&map);
  free(image);
  close_network(&network);
}

static void check_copies(const char *device, struct rng *rng) {
  struct network network;
  build_small(&network, device, rng);
  float *images = random_images(rng, 3, network.size);
  struct erf_map all = measure(&network, images, 3, 9);
  static const int64_t COPIES[] = {0, 1, 2, 4, 5, 8, 20};
  for (size_t i = 0; i < COUNT_OF(COPIES); i++) {
    struct erf_map map = measure(&network, images, 3, COPIES[i]);
    assert_same_fields(&all, &map);
    assert_true(map.flops > 0);
    erf_map_free(&map);
  }
  struct erf_map again = measure(&network, images, 3, 9);
  assert_memory_equal(again.fields, all.fields, 9 * 24 * 24 * sizeof(float));
  assert_true(again.flops == all.flops);
  struct erf_map mean = measure(&network, images, 1, 9); /* of the three one by one */
  for (int image = 1; image < 3; image++) {
    struct erf_map one = measure(&network, images + image * 24 * 24 * 3, 1, 9);
    for (int i = 0; i < 9 * 24 * 24; i++) {
      mean.fields[i] += one.fields[i];
    }
    erf_map_free(&one);
  }
  for (int i = 0; i < 9 * 24 * 24; i++) {
    mean.fields[i] /= 3;
  }
  assert_same_fields(&all, &mean);
  erf_map_free(&mean);
  erf_map_free(&again);
  erf_map_free(&all);
  free(images);
  close_network(&network);
}

static void test_copies(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 4, 0);
  for (int round = 0; round < 3; round++) {
    check_copies("ref", &rng);
    check_copies("cpu", &rng);
  }
}

/* All cells at once would take twice the memory that may be taken. */
static void test_memory(void **state) {
  (void)state;
  struct rng rng;
  struct network network;
  rng_init(&rng, test_seed(), RNG_TEST, 5, 0);
  open_network(&network, "cpu");
  network.size = 128;
  network.side = 8;
  struct nn_graph *g = network.graph;
  int x = nn_input(g, "images", NN_ACTIVATION, 3);
  x = nn_conv(g, x, "conv1", (struct nn_conv){.out = 64, .kernel = 1, .stride = 1, .dilation = 1, .groups = 1});
  x = nn_relu(g, nn_batch_norm(g, x, "bn1", NN_NORM_BATCH));
  nn_output(g, nn_max_pool(g, x, 16, 16, 0), "map");
  allocate_network(&network, &rng);
  float *image = random_images(&rng, 1, network.size);
  struct erf_map map = measure(&network, image, 1, 0);
  int64_t one_pass = 2 * 3 * 64 * 128 * 128; /* forward, and as much backward for each cell */
  assert_true(network.workspace.size > 64 << 20 && network.workspace.size <= 256 << 20);
  assert_true(map.flops > 65 * one_pass && map.flops < 75 * one_pass);
  struct erf_map few = measure(&network, image, 1, 7);
  assert_same_fields(&map, &few);
  erf_map_free(&few);
  erf_map_free(&map);
  free(image);
  close_network(&network);
}

static void write_values(struct network *network, const char *name, float value) {
  struct error error = {0};
  const struct nn_param *param = nn_params_find(&network->params, name);
  assert_non_null(param);
  float *values = malloc((size_t)param->count * sizeof *values);
  assert_non_null(values);
  for (int64_t i = 0; i < param->count; i++) {
    values[i] = value;
  }
  assert_ok(nn_param_write(&network->params, param, network->params.values, values, &error), error);
  free(values);
}

/* Masses are the sums of the fields, whichever of these are kept. */
static void test_kept(void **state) {
  (void)state;
  struct rng rng;
  struct network network;
  rng_init(&rng, test_seed(), RNG_TEST, 7, 0);
  build_small(&network, "cpu", &rng);
  float *images = random_images(&rng, 2, network.size);
  for (int64_t copies = 1; copies <= 9; copies += 4) {
    struct error error = {0};
    struct erf_map all = measure(&network, images, 2, copies), few = {0};
    static const int KEPT[] = {7, 2};
    struct erf_probe probe = probe_of(&network, images, 2, copies);
    probe.kept = KEPT;
    probe.kept_count = 2;
    assert_ok(erf_measure(&few, &probe, &error), error);
    assert_memory_equal(few.masses, all.masses, 9 * 2 * sizeof(double));
    for (int cell = 0; cell < 9; cell++) {
      double masses[ERF_REGION_MAX];
      erf_masses(&probe.regions, erf_field(&all, cell), masses);
      assert_memory_equal(masses, all.masses + cell * 2, 2 * sizeof(double));
      assert_true((erf_field(&few, cell) != NULL) == (cell == 2 || cell == 7));
      if (erf_field(&few, cell)) assert_memory_equal(erf_field(&few, cell), erf_field(&all, cell), 24 * 24 * 4);
    }
    probe.kept_count = 0;
    assert_ok(erf_measure(&few, &probe, &error), error);
    assert_memory_equal(few.masses, all.masses, 9 * 2 * sizeof(double));
    assert_null(erf_field(&few, 2));
    erf_map_free(&few);
    erf_map_free(&all);
  }
  free(images);
  close_network(&network);
}

/* What was measured before stays. */
static void test_stopped(void **state) {
  (void)state;
  struct rng rng;
  struct error error = {0};
  struct network network;
  volatile sig_atomic_t stop = 0;
  rng_init(&rng, test_seed(), RNG_TEST, 8, 0);
  build_small(&network, "cpu", &rng);
  float *images = random_images(&rng, 1, network.size);
  struct erf_map map = measure(&network, images, 1, 0), kept = map;
  struct erf_probe probe = probe_of(&network, images, 1, 0);
  probe.stop = &stop;
  stop = 1;
  assert_int_equal(erf_measure(&map, &probe, &error), NN_STOPPED);
  assert_true(map.masses == kept.masses && map.fields == kept.fields);
  stop = 0;
  struct erf_map again = {0};
  assert_ok(erf_measure(&again, &probe, &error), error);
  assert_memory_equal(again.masses, map.masses, 9 * 2 * sizeof(double));
  erf_map_free(&again);
  erf_map_free(&map);
  free(images);
  close_network(&network);
}

struct refusal {
  const char *input, *output, *message;
  int64_t count, copies;
  int size, stride;
};

static void test_refused_measurements(void **state) {
  (void)state;
  struct error error = {0};
  struct rng rng;
  struct network network;
  rng_init(&rng, test_seed(), RNG_TEST, 6, 0);
  build_small(&network, "ref", &rng);
  float *images = random_images(&rng, 1, 40);
  struct erf_map map = measure(&network, images, 1, 0), kept = map;
  static const struct refusal REFUSALS[] = {
      {"images", "nothing", "'nothing'", 1, 0, 24, 8},
      {"nothing", "map", "'images'", 1, 0, 24, 8},
      {"images", "map", "needs an image", 0, 0, 24, 8},
      {"images", "map", "needs an image", 1, -1, 24, 8},
      {"images", "map", "needs a multiple", 1, 1, 0, 8},
      {"images", "map", "up to 4096", 1, 1, 5000, 8},
      {"images", "map", "4 x 4 cells on an input of 25 x 25 pixels: the regions need 5 x 5", 1, 1, 25, 5},
      {"images", "map", "3 x 3 cells on an input of 24 x 24 pixels: the regions need 6 x 6", 1, 1, 24, 4},
  };
  for (size_t i = 0; i < COUNT_OF(REFUSALS); i++) {
    const struct refusal *r = &REFUSALS[i];
    struct erf_probe probe = probe_of(&network, images, r->count, r->copies);
    probe.input = r->input, probe.output = r->output;
    probe.regions = (struct erf_regions){r->size, r->stride, 1, {{0, 0, r->size, r->size}}};
    assert_int_equal(erf_measure(&map, &probe, &error), -1);
    if (!strstr(error.message, r->message)) fail_msg("case %zu says: %s", i, error.message);
  }
  struct erf_probe probe = probe_of(&network, images, 1, 0);
  write_values(&network, "bn1.weight", NAN);
  assert_int_equal(erf_measure(&map, &probe, &error), -1);
  assert_non_null(strstr(error.message, "not finite"));
  assert_true(map.fields == kept.fields && map.images == 1); /* it stays */

  write_values(&network, "bn1.weight", 1);
  write_values(&network, "conv3.weight", 0); /* the output does not depend on the input */
  assert_ok(erf_measure(&map, &probe, &error), error);
  float table[18];
  assert_ok(erf_soft_labels(&map, 0.7, table, &error), error);
  for (int cell = 0; cell < 9; cell++) {
    int own = cell % 3 > 0;
    assert_true(table[cell * 2 + own] == 1 && table[cell * 2 + 1 - own] == 0);
    assert_true(erf_area(erf_field(&map, cell), 24 * 24, 0.9) == 0 && erf_inside(&map, cell) == 1);
  }
  erf_map_free(&map);
  free(images);
  close_network(&network);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bad_regions),          cmocka_unit_test(test_regions), cmocka_unit_test(test_soft_labels),
      cmocka_unit_test(test_refused_labels),       cmocka_unit_test(test_area),    cmocka_unit_test(test_pictures),
      cmocka_unit_test(test_finite_differences),   cmocka_unit_test(test_copies),  cmocka_unit_test(test_memory),
      cmocka_unit_test(test_refused_measurements), cmocka_unit_test(test_kept),    cmocka_unit_test(test_stopped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
