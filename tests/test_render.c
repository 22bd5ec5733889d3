/* Rendered jigsaws against a plain full decode, a plain resize in double precision, a crop and a flip; and the boxes of
 * tiles against marks that can be seen. */
#include "tests/reference.h"

#include "jigsaw/assemble.h"

#include "tests/test_support.h"

#include "tests/store_support.h"

enum { SCENES = 24, JIGSAWS = 150, MARKED = 24, GARBAGE = 0x5a };

/* Half a level for each of two roundings, and some for weights of 14 bits. */
static const double TOLERANCE = 1.1;

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

static struct jig_assemble_options random_options(struct rng *rng) {
  static const struct jig_template TEMPLATES[] = {{224, 64}, {224, 64}, {448, 128}, {96, 32}, {33, 20}, {7, 3}};
  struct jig_assemble_options options = jig_assemble_defaults();
  options.seed = rng_u32(rng);
  options.fit = below(rng, JIG_FIT_RESIZE + 1);
  options.template = TEMPLATES[below(rng, COUNT_OF(TEMPLATES))];
  if (below(rng, 3) == 0) {
    options.scale_low = rng_range(rng, 0.05, 1);
    options.scale_high = rng_range(rng, 1, 3);
  }
  return options;
}

/* ---- against the reference ---- */

/* What the tile should show, not rounded; NAN where it should be exactly zero. */
static void expect_tile(const struct jig_store *store, const struct jig_tile *tile, int size, double *expected) {
  struct image sample = {0};
  struct error error;
  assert_ok(jig_store_decode(store, tile->sample, NULL, &sample, &error), error);
  double *scaled = reference_resize(&sample, tile->scaled_w, tile->scaled_h);
  const struct rect *placed = &tile->placed;
  for (int y = 0; y < placed->h; y++) {
    for (int x = 0; x < placed->w; x++) {
      int from = tile->crop_x + (tile->flip ? placed->w - 1 - x : x);
      const double *source = scaled + 3 * ((size_t)(tile->crop_y + y) * (size_t)tile->scaled_w + (size_t)from);
      memcpy(expected + 3 * ((size_t)(placed->y + y) * (size_t)size + (size_t)(placed->x + x)), source,
             3 * sizeof *source);
    }
  }
  free(scaled);
  image_free(&sample);
}

static void check_canvas(const struct jig_assembler *assembler, const struct jig_tile tiles[JIG_REGIONS],
                         const struct image *canvas) {
  int size = assembler->options.template.size;
  size_t values = (size_t)size * (size_t)size * 3;
  double *expected = reference_memory(values * sizeof *expected);
  assert_true(canvas->width == size && canvas->height == size);
  for (size_t i = 0; i < values; i++) {
    expected[i] = NAN;
  }
  for (int region = 0; region < JIG_REGIONS; region++) {
    expect_tile(assembler->store, &tiles[region], size, expected);
  }
  for (size_t i = 0; i < values; i++) {
    bool padding = isnan(expected[i]);
    if (padding ? canvas->pixels[i] == 0 : fabs(canvas->pixels[i] - expected[i]) <= TOLERANCE) continue;
    fail_msg("%d:%d, fit %d: pixel (%d, %d) is %d, not %g", size, assembler->options.template.cut,
             assembler->options.fit, (int)(i / 3) % size, (int)(i / 3) / size, canvas->pixels[i], expected[i]);
  }
  free(expected);
}

static void test_against_reference(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  char folder[64], path[96];
  struct jig_generate_options generate = store_options(seed);
  struct jig_scratch scratch = {0};
  struct image canvas = {0}, again = {0};
  test_scratch(folder);
  write_toy_store(folder, SCENES, &generate);
  snprintf(path, sizeof path, "%s/store", folder);
  struct jig_store *store = open_store(path);
  for (uint64_t i = 0; i < JIGSAWS; i++) {
    struct rng rng;
    struct error error;
    struct jig_assembler assembler;
    struct jig_tile tiles[JIG_REGIONS];
    rng_init(&rng, seed, RNG_TEST, 0, i);
    struct jig_assemble_options options = random_options(&rng);
    assert_ok(jig_assembler_init(&assembler, store, &options, &error), error);
    jig_plan(&assembler, (uint32_t)i, below(&rng, 1000), tiles);
    if (canvas.pixels) memset(canvas.pixels, GARBAGE, (size_t)canvas.width * (size_t)canvas.height * 3);
    assert_ok(jig_render(&assembler, tiles, &scratch, &canvas, &error), error);
    check_canvas(&assembler, tiles, &canvas);
    assert_ok(jig_render(&assembler, tiles, &scratch, &again, &error), error);
    assert_memory_equal(canvas.pixels, again.pixels, (size_t)canvas.width * (size_t)canvas.height * 3);
  }
  jig_store_close(store);
  jig_scratch_free(&scratch);
  image_free(&canvas);
  image_free(&again);
  test_scratch_remove(folder);
}

/* ---- boxes ---- */

/* Black pictures with one red box each, which is annotated. */
struct marks {
  char names[MARKED][16];
  struct dataset dataset;
  struct dataset_image images[MARKED];
  struct dataset_box boxes[MARKED];
  struct dataset_category category;
};

static void mark_pictures(struct rng *rng, const char *folder, struct marks *marks) {
  struct buffer png = {0};
  struct error error;
  char path[96];
  for (int i = 0; i < MARKED; i++) {
    struct image picture = {0};
    assert_ok(image_alloc(&picture, 300, 300, &error), error);
    struct rect red = {40 + below(rng, 30), 40 + below(rng, 30), 30 + below(rng, 120), 30 + below(rng, 120)};
    draw_fill(&picture, red, (struct color){255, 0, 0});
    assert_ok(image_encode_png(&picture, &png, &error), error);
    snprintf(marks->names[i], sizeof marks->names[i], "%d.png", i);
    snprintf(path, sizeof path, "%s/%s", folder, marks->names[i]);
    write_bytes(path, png.data, png.size);
    marks->images[i] =
        (struct dataset_image){.id = i, .file_name = marks->names[i], .folder = folder, .box_count = 1, .first_box = i};
    marks->boxes[i] =
        (struct dataset_box){.id = i + 1, .x = (float)red.x, .y = (float)red.y, .w = (float)red.w, .h = (float)red.h};
    image_free(&picture);
  }
  buffer_free(&png);
  marks->category = (struct dataset_category){.id = 1, .name = "red"};
  marks->dataset = (struct dataset){.categories = &marks->category,
                                    .images = marks->images,
                                    .boxes = marks->boxes,
                                    .category_count = 1,
                                    .image_count = MARKED,
                                    .box_count = MARKED};
}

/* The pixels of a region that are more red than black: their bounds as low x, low y, high x, high y. False if none. */
static bool find_red(const struct image *canvas, struct rect region, double bounds[4]) {
  bool found = false;
  for (int y = region.y; y < region.y + region.h; y++) {
    for (int x = region.x; x < region.x + region.w; x++) {
      if (canvas->pixels[3 * ((size_t)y * (size_t)canvas->width + (size_t)x)] < 128) continue;
      bounds[0] = found ? fmin(bounds[0], x) : x;
      bounds[1] = found ? fmin(bounds[1], y) : y;
      bounds[2] = found ? fmax(bounds[2], x + 1) : x + 1;
      bounds[3] = found ? fmax(bounds[3], y + 1) : y + 1;
      found = true;
    }
  }
  return found;
}

/* True when there was a box to compare. */
static bool check_box(const struct jig_assembler *assembler, const struct jig_tile *tile, const struct image *canvas) {
  double box[4], bounds[4];
  bool seen = find_red(canvas, tile->region, bounds), told = jig_tile_box(assembler, tile, box);
  const struct rect *placed = &tile->placed;
  if (jig_store_record(assembler->store, tile->sample)->negative) {
    assert_false(told);
    return false;
  }
  if (told) {
    assert_true(box[2] > 0 && box[3] > 0 && box[0] >= placed->x && box[1] >= placed->y);
    assert_true(box[0] + box[2] <= placed->x + placed->w + 1e-9 && box[1] + box[3] <= placed->y + placed->h + 1e-9);
  }
  if (!seen || !told) { /* at most a sliver */
    assert_true(!seen || bounds[2] - bounds[0] <= 1 || bounds[3] - bounds[1] <= 1);
    assert_true(!told || box[2] <= 1 || box[3] <= 1);
    return false;
  }
  const double ends[4] = {box[0], box[1], box[0] + box[2], box[1] + box[3]};
  for (int i = 0; i < 4; i++) {
    if (fabs(ends[i] - bounds[i]) > 1.01) fail_msg("side %d of a box is at %g, seen at %g", i, ends[i], bounds[i]);
  }
  return true;
}

static void test_boxes(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  char folder[64], path[96];
  struct rng rng;
  struct error error;
  struct jig_generate_options generate = store_options(seed);
  struct marks *marks = reference_memory(sizeof *marks);
  struct jig_scratch scratch = {0};
  struct image canvas = {0};
  int compared = 0;
  rng_init(&rng, seed, RNG_TEST, 1, 0);
  test_scratch(folder);
  mark_pictures(&rng, folder, marks);
  generate.extract.sample.negatives = 0.5;
  snprintf(path, sizeof path, "%s/store", folder);
  write_store(&marks->dataset, &generate, path);
  struct jig_store *store = open_store(path);
  for (int64_t i = 0; i < 2 * JIGSAWS; i++) {
    struct jig_assemble_options options = jig_assemble_defaults();
    struct jig_assembler assembler;
    struct jig_tile tiles[JIG_REGIONS];
    options.seed = seed;
    options.fit = i % 3;
    assert_ok(jig_assembler_init(&assembler, store, &options, &error), error);
    jig_plan(&assembler, 0, i, tiles);
    assert_ok(jig_render(&assembler, tiles, &scratch, &canvas, &error), error);
    for (int region = 0; region < JIG_REGIONS; region++) {
      compared += check_box(&assembler, &tiles[region], &canvas);
    }
  }
  assert_true(compared > JIGSAWS);
  jig_store_close(store);
  jig_scratch_free(&scratch);
  image_free(&canvas);
  test_scratch_remove(folder);
  free(marks);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_against_reference),
      cmocka_unit_test(test_boxes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
