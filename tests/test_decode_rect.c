/* Rectangles of JPEG pictures equal, bit for bit, the same rectangles of a plain full decode. */
#include <fts.h>
#include <math.h>
#include <stdio.h>
#include <sys/stat.h>

#include <jpeglib.h>

#include "tests/image_support.h"
#include "tests/reference.h"

enum { IMAGES = 1500, RECTANGLES = 8 };

static bool chance(struct rng *rng, double probability) {
  return rng_uniform(rng) < probability;
}

/* ---- random files ---- */

struct recipe {
  int width, height, components, quality, restart;
  J_COLOR_SPACE space;
  int h[4], v[4];
  bool progressive, incomplete, arithmetic, separate_scans;
};

static const char *recipe_text(const struct recipe *recipe, char text[256]) {
  int used = snprintf(text, 256, "%d x %d, space %d, quality %d, restart %d,%s%s%s%s sampling", recipe->width,
                      recipe->height, (int)recipe->space, recipe->quality, recipe->restart,
                      recipe->progressive ? " progressive" : "", recipe->incomplete ? " incomplete" : "",
                      recipe->arithmetic ? " arithmetic" : "", recipe->separate_scans ? " separate scans" : "");
  for (int i = 0; i < recipe->components; i++) {
    used += snprintf(text + used, 256 - (size_t)used, " %dx%d", recipe->h[i], recipe->v[i]);
  }
  return text;
}

static void random_sampling(struct rng *rng, struct recipe *recipe) {
  static const int USUAL[][2] = {{1, 1}, {2, 1}, {1, 2}, {2, 2}, {4, 1}, {1, 4}, {4, 2}, {2, 4}, {3, 1}, {1, 3}};
  static const int ODD[][8] = {
      {2, 2, 1, 2, 2, 1, 2, 2}, {2, 2, 2, 1, 2, 1, 2, 1}, {1, 1, 2, 2, 1, 1, 1, 1},
      {2, 1, 2, 1, 2, 1, 2, 1}, {4, 2, 2, 1, 1, 1, 1, 1}, {1, 2, 1, 1, 1, 2, 1, 2},
  };
  if (recipe->components > 1 && chance(rng, 0.2)) {
    const int *odd = ODD[below(rng, COUNT_OF(ODD))];
    for (int i = 0; i < 4; i++) {
      recipe->h[i] = odd[2 * i];
      recipe->v[i] = odd[2 * i + 1];
    }
  } else {
    const int *usual = USUAL[below(rng, chance(rng, 0.7) ? 4 : COUNT_OF(USUAL))];
    for (int i = 0; i < 4; i++) {
      bool full = i % 3 == 0; /* luma, or cyan and black */
      recipe->h[i] = full ? usual[0] : 1;
      recipe->v[i] = full ? usual[1] : 1;
    }
  }
  int blocks = 0;
  for (int i = 0; i < recipe->components; i++) {
    blocks += recipe->h[i] * recipe->v[i];
  }
  if (blocks <= 10) return; /* the most that one interleaved MCU may hold */
  for (int i = 0; i < 4; i++) {
    recipe->h[i] = i % 3 == 0 ? 2 : 1;
    recipe->v[i] = 1;
  }
}

static struct recipe random_recipe(struct rng *rng) {
  static const J_COLOR_SPACE SPACES[] = {JCS_YCbCr, JCS_GRAYSCALE, JCS_RGB, JCS_CMYK, JCS_YCCK};
  struct recipe recipe = {.quality = 1 + below(rng, 100)};
  int longest = chance(rng, 0.1) ? 400 : chance(rng, 0.3) ? 20 : 120;
  recipe.width = 1 + below(rng, longest);
  recipe.height = 1 + below(rng, longest);
  recipe.space = chance(rng, 0.7) ? JCS_YCbCr : SPACES[below(rng, COUNT_OF(SPACES))];
  recipe.components = recipe.space == JCS_GRAYSCALE ? 1 : recipe.space == JCS_CMYK || recipe.space == JCS_YCCK ? 4 : 3;
  if (chance(rng, 0.3)) recipe.restart = 1 + below(rng, 20);
  recipe.progressive = chance(rng, 0.25);
  recipe.incomplete = recipe.progressive && chance(rng, 0.5);
  recipe.arithmetic = chance(rng, 0.1);
  recipe.separate_scans = !recipe.progressive && chance(rng, 0.1);
  random_sampling(rng, &recipe);
  return recipe;
}

/* A smooth wave with noise on top, so that every upsampling weight shows. */
static void paint(struct rng *rng, uint8_t *row, int y, int width, int components, double noise) {
  for (int x = 0; x < width; x++) {
    for (int c = 0; c < components; c++) {
      double value = 128 + 90 * sin(x * 0.11 + c) * cos(y * 0.07 * (c + 1)) + noise * (rng_uniform(rng) - 0.5);
      *row++ = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
  }
}

static int make_scans(struct rng *rng, const struct recipe *recipe, jpeg_scan_info *scans) {
  int count = 0;
  for (int i = 0; i < recipe->components; i++) {
    scans[count++] = (jpeg_scan_info){1, {i}, 0, recipe->progressive ? 0 : 63, 0, 0};
  }
  if (!recipe->progressive) return count;
  for (int i = 0; i < recipe->components; i++) {
    int last = 1 + below(rng, 63);
    if (chance(rng, 0.7)) scans[count++] = (jpeg_scan_info){1, {i}, 1, last, 0, below(rng, 3)};
  }
  return count;
}

/* Free *bytes with free. */
static void encode(struct rng *rng, const struct recipe *recipe, uint8_t **bytes, unsigned long *size) {
  static const J_COLOR_SPACE INPUT[5] = {0, JCS_GRAYSCALE, 0, JCS_RGB, JCS_CMYK};
  struct jpeg_compress_struct target;
  struct jpeg_error_mgr manager;
  jpeg_scan_info scans[8];
  target.err = jpeg_std_error(&manager);
  jpeg_create_compress(&target);
  *bytes = NULL;
  jpeg_mem_dest(&target, bytes, size);
  target.image_width = (JDIMENSION)recipe->width;
  target.image_height = (JDIMENSION)recipe->height;
  target.input_components = recipe->components;
  target.in_color_space = INPUT[recipe->components];
  jpeg_set_defaults(&target);
  jpeg_set_colorspace(&target, recipe->space);
  jpeg_set_quality(&target, recipe->quality, TRUE);
  target.restart_interval = (unsigned)recipe->restart;
  target.arith_code = recipe->arithmetic;
  target.optimize_coding = !recipe->arithmetic;
  for (int i = 0; i < recipe->components; i++) {
    target.comp_info[i].h_samp_factor = recipe->h[i];
    target.comp_info[i].v_samp_factor = recipe->v[i];
  }
  if (recipe->progressive && !recipe->incomplete) {
    jpeg_simple_progression(&target);
  } else if (recipe->progressive || recipe->separate_scans) {
    target.num_scans = make_scans(rng, recipe, scans);
    target.scan_info = scans;
  }
  jpeg_start_compress(&target, TRUE);
  uint8_t *row = malloc((size_t)recipe->width * 4);
  assert_non_null(row);
  double noise = rng_range(rng, 0, 250);
  for (int y = 0; y < recipe->height; y++) {
    paint(rng, row, y, recipe->width, recipe->components, noise);
    jpeg_write_scanlines(&target, &row, 1);
  }
  free(row);
  jpeg_finish_compress(&target);
  jpeg_destroy_compress(&target);
}

/* ---- properties ---- */

static int random_edge(struct rng *rng, int length) {
  int block = 8 << below(rng, 3), position = below(rng, length + 1);
  if (chance(rng, 0.3)) position = position / block * block;
  if (chance(rng, 0.1)) position = 0;
  if (chance(rng, 0.1)) position = length;
  return position;
}

static struct rect random_part(struct rng *rng, int width, int height) {
  for (;;) {
    int left = random_edge(rng, width), right = random_edge(rng, width);
    int top = random_edge(rng, height), bottom = random_edge(rng, height);
    if (chance(rng, 0.2)) left = 0, right = width;
    if (left < right && top < bottom) return (struct rect){left, top, right - left, bottom - top};
  }
}

/* The first pixel of `part` that differs, as y * width + x within the part; -1 when none does. */
static int first_difference(const struct image *whole, struct rect part, const struct image *cut) {
  if (cut->width != part.w || cut->height != part.h) return 0;
  for (int y = 0; y < part.h; y++) {
    const uint8_t *expected = whole->pixels + ((size_t)(part.y + y) * (size_t)whole->width + (size_t)part.x) * 3;
    const uint8_t *found = cut->pixels + (size_t)y * (size_t)cut->width * 3;
    for (int x = 0; x < part.w; x++) {
      if (memcmp(expected + x * 3, found + x * 3, 3) != 0) return y * part.w + x;
    }
  }
  return -1;
}

static void check_rect(const uint8_t *bytes, size_t size, const struct image *whole, struct rect part,
                       struct image *cut, const char *what) {
  struct error error;
  if (image_decode(bytes, size, &part, image_memory_share(1), cut, &error)) fail_msg("%s: %s", what, error.message);
  int at = first_difference(whole, part, cut);
  if (at >= 0) {
    fail_msg("%s: rectangle (%d, %d, %d x %d) differs at (%d, %d)", what, part.x, part.y, part.w, part.h, at % part.w,
             at / part.w);
  }
}

static void test_rectangles_equal(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct image cut = {0};
  for (int i = 0; i < IMAGES; i++) {
    struct rng rng;
    char text[256];
    uint8_t *bytes;
    unsigned long size;
    rng_init(&rng, seed, RNG_TEST, 0, (uint64_t)i);
    struct recipe recipe = random_recipe(&rng);
    encode(&rng, &recipe, &bytes, &size);
    struct image whole = reference_decode(bytes, size);
    struct rect all = {0, 0, recipe.width, recipe.height};
    check_rect(bytes, size, &whole, all, &cut, recipe_text(&recipe, text));
    for (int j = 0; j < RECTANGLES; j++) {
      check_rect(bytes, size, &whole, random_part(&rng, recipe.width, recipe.height), &cut, text);
    }
    image_free(&whole);
    free(bytes);
  }
  image_free(&cut);
}

/* Whatever remains of a file, a decode that succeeds gives the pixels of the whole file; and the whole picture cannot
 * succeed. */
static void test_truncation_is_noticed(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct image cut = {0};
  int succeeded = 0;
  for (int i = 0; i < IMAGES / 3; i++) {
    struct rng rng;
    struct error error;
    char text[256];
    uint8_t *bytes;
    unsigned long size;
    rng_init(&rng, seed, RNG_TEST, 1, (uint64_t)i);
    struct recipe recipe = random_recipe(&rng);
    recipe.arithmetic = false; /* whose decoder takes missing bytes for zeros, as the standard has it */
    encode(&rng, &recipe, &bytes, &size);
    struct image whole = reference_decode(bytes, size);
    recipe_text(&recipe, text);
    size_t kept = chance(&rng, 0.2) ? size - 3 : (size_t)below(&rng, (int)size - 2);
    bool sequential = !recipe.progressive && !recipe.separate_scans;
    if (sequential && kept > 0 && bytes[kept - 1] != 0xff && chance(&rng, 0.5)) {
      bytes[kept++] = 0xff; /* an end marker where data should be */
      bytes[kept++] = JPEG_EOI;
    }
    /* A copy of its own size, so that the sanitizer sees a read beyond. */
    uint8_t *rest = malloc(kept > 0 ? kept : 1);
    assert_non_null(rest);
    memcpy(rest, bytes, kept);
    if (image_decode(rest, kept, NULL, image_memory_share(1), &cut, &error) == 0)
      fail_msg("%s: %zu of %lu bytes pass", text, kept, size);
    assert_true(strlen(error.message) > 0);
    for (int j = 0; j < 4; j++) {
      struct rect part = random_part(&rng, recipe.width, recipe.height);
      if (image_decode(rest, kept, &part, image_memory_share(1), &cut, &error) != 0) continue;
      succeeded++;
      if (first_difference(&whole, part, &cut) >= 0) fail_msg("%s: %zu of %lu bytes pass, wrong", text, kept, size);
    }
    free(rest);
    image_free(&whole);
    free(bytes);
  }
  assert_true(succeeded > 0);
  image_free(&cut);
}

/* ---- real pictures ---- */

struct gallery {
  uint64_t seed;
  char **paths;
  struct scratch {
    struct buffer bytes;
    struct image whole, cut;
  } scratch[2];
};

/* Every picture decodes, and a rectangle of it equals; JPEGs are compared with the plain decode. */
static int check_file(void *context, int worker, int64_t item, struct error *error) {
  struct gallery *gallery = context;
  struct scratch *scratch = &gallery->scratch[worker];
  const char *path = gallery->paths[item];
  struct image_info info;
  struct rng rng;
  rng_init(&rng, gallery->seed, RNG_TEST, 2, (uint64_t)item);
  if (file_read(&scratch->bytes, path, error)) return -1;
  const uint8_t *bytes = scratch->bytes.data;
  size_t size = scratch->bytes.size;
  if (image_probe(bytes, size, &info, error)) return error_context(error, "%s", path);
  struct rect part = random_part(&rng, info.width, info.height), all = {0, 0, info.width, info.height};
  if (image_decode(bytes, size, NULL, image_memory_share(1), &scratch->whole, error))
    return error_context(error, "%s", path);
  if (image_decode(bytes, size, &part, image_memory_share(1), &scratch->cut, error))
    return error_context(error, "%s", path);
  if (first_difference(&scratch->whole, part, &scratch->cut) >= 0) return error_set(error, "%s: rectangle", path);
  if (info.format != IMAGE_JPEG || chance(&rng, 0.8)) return 0;
  struct image plain = reference_decode(bytes, size);
  int at = first_difference(&plain, all, &scratch->whole);
  image_free(&plain);
  return at < 0 ? 0 : error_set(error, "%s: differs from the plain decode", path);
}

static bool is_picture(const char *path) {
  const char *dot = strrchr(path, '.');
  return dot && (strcmp(dot, ".jpg") == 0 || strcmp(dot, ".png") == 0);
}

static void test_real_pictures(void **state) {
  (void)state;
  const char *folder = getenv("JIGSAW_TEST_DATA");
  char beside[4096];
  snprintf(beside, sizeof beside, "%.*s../../shared/data", (int)(strlen(__FILE__) - strlen("test_decode_rect.c")),
           __FILE__);
  if (!folder) folder = beside;
  if (!file_exists(folder)) skip();

  struct gallery gallery = {.seed = test_seed()};
  struct arena arena = {0};
  struct error error = {0};
  size_t count = 0, capacity = 0;
  char *roots[2] = {(char *)folder, NULL};
  FTS *tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
  assert_non_null(tree);
  for (FTSENT *entry; (entry = fts_read(tree));) {
    if (entry->fts_info != FTS_F || !is_picture(entry->fts_path)) continue;
    void *paths = gallery.paths;
    assert_ok(array_reserve(&paths, &capacity, count + 1, sizeof *gallery.paths, &error), error);
    gallery.paths = paths;
    gallery.paths[count++] = arena_copy(&arena, entry->fts_path, strlen(entry->fts_path));
  }
  fts_close(tree);
  assert_ok(parallel_for(COUNT_OF(gallery.scratch), (int64_t)count, check_file, &gallery, &error), error);
  print_message("%zu real pictures\n", count);
  for (size_t i = 0; i < COUNT_OF(gallery.scratch); i++) {
    buffer_free(&gallery.scratch[i].bytes);
    image_free(&gallery.scratch[i].whole);
    image_free(&gallery.scratch[i].cut);
  }
  free(gallery.paths);
  arena_free(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rectangles_equal),
      cmocka_unit_test(test_truncation_is_noticed),
      cmocka_unit_test(test_real_pictures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
