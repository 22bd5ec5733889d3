/* The built-in toy scenes: the same bytes whoever renders them, sound annotations, and classes that neither shape nor
 * texture alone can tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/dataset/dataset.h"
#include "core/toy/internal.h"

/* ---- a folder that goes away with the test ---- */

struct fixture {
  char folder[64];
  struct error error;
};

static int fixture_open(void **state) {
  struct fixture *f = calloc(1, sizeof(*f));
  *state = f;
  snprintf(f->folder, sizeof(f->folder), "/tmp/test_toy_XXXXXX");
  return mkdtemp(f->folder) ? 0 : -1;
}

static int fixture_close(void **state) {
  struct fixture *f = *state;
  int failed = file_remove_tree(f->folder, &f->error);
  free(f);
  return failed;
}

static uint64_t fresh_seed(void) {
  const char *given = getenv("JIGSAW_TEST_SEED");
  uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)(clock_seconds() * 1e6);
  print_message("JIGSAW_TEST_SEED=%llu\n", (unsigned long long)seed);
  return seed;
}

#define OK(call)                                                                                                       \
  do {                                                                                                                 \
    if (call) {                                                                                                        \
      fail_msg("%s: %s", #call, f->error.message);                                                                     \
    }                                                                                                                  \
  } while (0)

/* A hash over the names and bytes of everything in FOLDER/images and of the annotations. */
static XXH128_hash_t folder_hash(struct fixture *f, const char *folder) {
  struct arena arena = {0};
  struct buffer bytes = {0};
  char **names;
  size_t count;
  XXH3_state_t *state = XXH3_createState();
  assert_non_null(state);
  XXH3_128bits_reset(state);
  char *images = path_join(&arena, folder, "images");
  OK(directory_list(images, &arena, &names, &count, &f->error));
  for (size_t i = 0; i < count; i++) {
    OK(file_read(&bytes, path_join(&arena, images, names[i]), &f->error));
    XXH3_128bits_update(state, names[i], strlen(names[i]));
    XXH3_128bits_update(state, bytes.data, bytes.size);
  }
  OK(file_read(&bytes, path_join(&arena, folder, "annotations/instances.json"), &f->error));
  XXH3_128bits_update(state, bytes.data, bytes.size);
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  buffer_free(&bytes);
  arena_free(&arena);
  return hash;
}

static XXH128_hash_t hash_of(struct fixture *f, uint64_t seed, int workers) {
  struct arena arena = {0};
  char name[64];
  snprintf(name, sizeof(name), "seed%llu-%d", (unsigned long long)seed, workers);
  char *folder = path_join(&arena, f->folder, name);
  OK(toy_write(folder, 9, seed, workers, NULL, &f->error));
  XXH128_hash_t hash = folder_hash(f, folder);
  arena_free(&arena);
  return hash;
}

static void test_same_bytes_for_any_workers(void **state) {
  struct fixture *f = *state;
  uint64_t seed = fresh_seed();
  XXH128_hash_t one = hash_of(f, seed, 1), two = hash_of(f, seed, 2), three = hash_of(f, seed, 3);
  assert_true(XXH128_isEqual(one, two));
  assert_true(XXH128_isEqual(one, three));
  assert_false(XXH128_isEqual(one, hash_of(f, seed + 1, 2)));
}

/* A scene is its index's alone: a longer data set begins with the same files. */
/* On every machine, by every compiler: pixels and boxes, summed up. */
static void test_the_same_everywhere(void **state) {
  (void)state;
  struct toy_noise *noise = malloc(sizeof *noise);
  assert_non_null(noise);
  toy_noise_fill(noise);
  struct toy_studio studio = {.noise = noise};
  XXH3_state_t *hash = XXH3_createState();
  struct error error;
  char hex[33];
  assert_non_null(hash);
  XXH3_128bits_reset(hash);
  for (int64_t i = 0; i < 40; i++) {
    struct toy_scene scene;
    assert_int_equal(toy_scene_render(&studio, 7, i, &scene, &error), 0);
    XXH3_128bits_update(hash, studio.image.pixels, (size_t)studio.image.width * (size_t)studio.image.height * 3);
    for (int k = 0; k < scene.box_count; k++) {
      const struct toy_box *box = &scene.boxes[k];
      const int numbers[] = {box->class, box->x, box->y, box->w, box->h, box->area, box->crowd};
      XXH3_128bits_update(hash, numbers, sizeof numbers);
    }
  }
  hash_hex(XXH3_128bits_digest(hash), hex);
  assert_string_equal(hex, "a83f8581645aa7690c2f5a60e4715ff4");
  XXH3_freeState(hash);
  toy_studio_free(&studio);
  free(noise);
}

static void test_scenes_do_not_depend_on_count(void **state) {
  struct fixture *f = *state;
  struct arena arena = {0};
  struct buffer a = {0}, b = {0};
  char *few = path_join(&arena, f->folder, "few"), *many = path_join(&arena, f->folder, "many");
  OK(toy_write(few, 2, 11, 1, NULL, &f->error));
  OK(toy_write(many, 5, 11, 2, NULL, &f->error));
  OK(file_read(&a, path_join(&arena, few, "images/000002.jpg"), &f->error));
  OK(file_read(&b, path_join(&arena, many, "images/000002.jpg"), &f->error));
  assert_int_equal(a.size, b.size);
  assert_memory_equal(a.data, b.data, a.size);
  buffer_free(&a);
  buffer_free(&b);
  arena_free(&arena);
}

static double number(const cJSON *object, const char *name) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
  if (!cJSON_IsNumber(item)) {
    fail_msg("\"%s\" is missing or no number", name);
  }
  return item->valuedouble;
}

static void test_annotations_are_coco(void **state) {
  struct fixture *f = *state;
  enum { SCENES = 24 };
  struct arena arena = {0};
  struct progress progress = {0};
  char *folder = path_join(&arena, f->folder, "coco");
  cJSON *json = NULL;
  progress_start(&progress, NULL, "rendering", "img", SCENES);
  OK(toy_write(folder, SCENES, fresh_seed(), 2, &progress, &f->error));
  assert_int_equal(atomic_load(&progress.done), SCENES);
  OK(file_read_json(path_join(&arena, folder, "annotations/instances.json"), &json, &f->error));
  const cJSON *images = cJSON_GetObjectItemCaseSensitive(json, "images"), *item;
  assert_int_equal(cJSON_GetArraySize(images), SCENES);
  cJSON_ArrayForEach(item, images) {
    struct buffer bytes = {0};
    struct image image = {0};
    char *path = path_join(&arena, path_join(&arena, folder, "images"),
                           cJSON_GetObjectItemCaseSensitive(item, "file_name")->valuestring);
    OK(file_read(&bytes, path, &f->error));
    OK(image_decode(bytes.data, bytes.size, NULL, image_memory_share(1), &image, &f->error));
    assert_int_equal(image.width, (int)number(item, "width"));
    assert_int_equal(image.height, (int)number(item, "height"));
    image_free(&image);
    buffer_free(&bytes);
  }
  const cJSON *categories = cJSON_GetObjectItemCaseSensitive(json, "categories");
  assert_int_equal(cJSON_GetArraySize(categories), TOY_CATEGORIES);
  int id = 0;
  cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "annotations")) {
    const cJSON *image = cJSON_GetArrayItem(images, (int)number(item, "image_id") - 1);
    const cJSON *bbox = cJSON_GetObjectItemCaseSensitive(item, "bbox");
    double box[4];
    assert_int_equal(cJSON_GetArraySize(bbox), 4);
    for (int k = 0; k < 4; k++) {
      box[k] = cJSON_GetArrayItem(bbox, k)->valuedouble;
    }
    assert_int_equal((int)number(item, "id"), ++id);
    assert_true(box[0] >= 0 && box[1] >= 0 && box[2] >= 8 && box[3] >= 8);
    assert_true(box[0] + box[2] <= number(image, "width") && box[1] + box[3] <= number(image, "height"));
    assert_true(number(item, "area") > 0 && number(item, "area") <= box[2] * box[3]);
  }
  assert_true(id > 0);
  cJSON_Delete(json);
  arena_free(&arena);
}

/* ---- what a data set of some size holds ---- */

struct tally {
  struct toy_studio studio[2];
  uint64_t seed;
  struct toy_scene scenes[400];
};

static int tally_scene(void *context, int worker, int64_t item, struct error *error) {
  struct tally *tally = context;
  return toy_scene_render(&tally->studio[worker], tally->seed, item, &tally->scenes[item], error);
}

static void test_statistics(void **state) {
  struct fixture *f = *state;
  struct toy_noise *noise = malloc(sizeof(*noise));
  struct tally *tally = calloc(1, sizeof(*tally));
  assert_true(noise && tally);
  toy_noise_fill(noise);
  tally->studio[0].noise = tally->studio[1].noise = noise;
  tally->seed = fresh_seed();
  OK(parallel_for(2, COUNT_OF(tally->scenes), tally_scene, tally, &f->error));
  int classes[TOY_CATEGORIES] = {0}, tall = 0, wide = 0, boxes = 0, crowds = 0, empty = 0;
  for (size_t i = 0; i < COUNT_OF(tally->scenes); i++) {
    const struct toy_scene *scene = &tally->scenes[i];
    empty += scene->box_count == 0;
    for (int k = 0; k < scene->box_count; k++) {
      struct toy_box box = scene->boxes[k];
      assert_true(box.x >= 0 && box.y >= 0 && box.w >= 8 && box.h >= 8);
      assert_true(box.x + box.w <= scene->width && box.y + box.h <= scene->height);
      crowds += box.crowd;
      if (!box.crowd) {
        classes[box.class]++;
        boxes++;
        tall += 2 * box.w < box.h;
        wide += 2 * box.w > 3 * box.h;
      }
    }
  }
  print_message("%d boxes: %d tall, %d wide; %d crowds, %d scenes without any\n", boxes, tall, wide, crowds, empty);
  for (int i = 0; i < TOY_CATEGORIES; i++) {
    if (classes[i] == 0) {
      fail_msg("no %s in %zu scenes", toy_classes[i].name, COUNT_OF(tally->scenes));
    }
  }
  assert_true(boxes > 800);
  assert_true(100 * tall >= 15 * boxes && 100 * wide >= 15 * boxes && 100 * (boxes - tall - wide) >= 15 * boxes);
  assert_true(empty > 0);
  toy_studio_free(&tally->studio[0]);
  toy_studio_free(&tally->studio[1]);
  free(tally);
  free(noise);
}

static void test_class_needs_shape_and_texture(void **state) {
  (void)state;
  int shapes[TOY_SHAPES] = {0}, textures[TOY_TEXTURES] = {0}, groups[3] = {0};
  for (int i = 0; i < TOY_CATEGORIES; i++) {
    const struct toy_class *class = &toy_classes[i];
    shapes[class->shape]++;
    textures[class->texture]++;
    groups[toy_shape_group(class->shape)]++;
    for (int k = 0; k < i; k++) {
      assert_true(toy_classes[k].id < class->id);
      assert_false(toy_classes[k].shape == class->shape && toy_classes[k].texture == class->texture);
    }
  }
  for (int i = 0; i < TOY_SHAPES; i++) {
    assert_true(shapes[i] >= 2);
  }
  for (int i = 0; i < TOY_TEXTURES; i++) {
    assert_true(textures[i] >= 2);
  }
  assert_int_equal(groups[TOY_SQUARE], TOY_CATEGORIES / 2);
  assert_int_equal(groups[TOY_TALL], TOY_CATEGORIES / 4);
  assert_int_equal(groups[TOY_WIDE], TOY_CATEGORIES / 4);
}

/* Every drawing a shape can make keeps its group's proportions and fits the fixed arrays. */
static void test_shapes_keep_their_group(void **state) {
  (void)state;
  struct toy_drawing *drawing = malloc(sizeof(*drawing));
  assert_non_null(drawing);
  uint64_t seed = fresh_seed();
  for (int shape = 0; shape < TOY_SHAPES; shape++) {
    for (uint64_t i = 0; i < 300; i++) {
      struct rng rng;
      rng_init(&rng, seed, RNG_TEST, (uint32_t)shape, i);
      toy_shape_draw(drawing, (enum toy_shape)shape, &rng);
      struct toy_bounds b = toy_drawing_bounds(drawing);
      float ratio = (b.x1 - b.x0) / (b.y1 - b.y0);
      enum toy_group group = toy_shape_group((enum toy_shape)shape);
      bool holds = group == TOY_TALL ? ratio < 0.5f : group == TOY_WIDE ? ratio > 1.5f : ratio > 0.5f && ratio < 1.5f;
      if (!holds) {
        fail_msg("%s: width / height is %g", toy_shape_name((enum toy_shape)shape), (double)ratio);
      }
    }
  }
  free(drawing);
}

/* Coverage is exact: the sum over the pixels is the polygon's area. */
static void test_raster_area(void **state) {
  (void)state;
  enum { SIZE = 64 };
  struct toy_drawing *drawing = malloc(sizeof(*drawing));
  float *cover = malloc(SIZE * SIZE * sizeof(*cover));
  assert_true(drawing && cover);
  struct rng rng;
  rng_init(&rng, fresh_seed(), RNG_TEST, 100, 0);
  for (int round = 0; round < 200; round++) {
    struct toy_point p[3];
    for (int i = 0; i < 3; i++) {
      p[i] = (struct toy_point){toy_random(&rng, 1, SIZE - 3), toy_random(&rng, 1, SIZE - 3)};
    }
    toy_clear(drawing);
    toy_path(drawing, p, 3);
    memset(cover, 0, SIZE * SIZE * sizeof(*cover));
    toy_raster(drawing, 0, 1, 0, 0, cover, SIZE, SIZE);
    double sum = 0, area = 0.5 * ((p[1].x - p[0].x) * (p[2].y - p[0].y) - (p[2].x - p[0].x) * (p[1].y - p[0].y));
    area = area < 0 ? -area : area;
    for (int i = 0; i < SIZE * SIZE; i++) {
      sum += (double)cover[i];
    }
    if (!(sum > area - 0.05 && sum < area + 0.05)) {
      fail_msg("triangle of area %g covers %g", area, sum);
    }
  }
  free(cover);
  free(drawing);
}

static void test_refuses_counts(void **state) {
  struct fixture *f = *state;
  assert_int_equal(toy_write(f->folder, 0, 1, 1, NULL, &f->error), -1);
  assert_non_null(strstr(f->error.message, "1 to"));
  assert_int_equal(toy_write(f->folder, 1000000, 1, 1, NULL, &f->error), -1);
}

static void test_spares_what_is_not_its_own(void **state) {
  struct fixture *f = *state;
  struct arena arena = {0};
  const char *path = path_join(&arena, f->folder, "annotations/instances.json");
  OK(toy_write(f->folder, 1, 1, 1, NULL, &f->error));
  OK(toy_write(f->folder, 2, 1, 1, NULL, &f->error));
  OK(file_write_all(path, "{}", 2, &f->error));
  assert_int_equal(toy_write(f->folder, 1, 1, 1, NULL, &f->error), -1);
  assert_non_null(strstr(f->error.message, "instances.json: there already"));
  arena_free(&arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_class_needs_shape_and_texture),
      cmocka_unit_test(test_shapes_keep_their_group),
      cmocka_unit_test(test_raster_area),
      cmocka_unit_test(test_the_same_everywhere),
      cmocka_unit_test_setup_teardown(test_refuses_counts, fixture_open, fixture_close),
      cmocka_unit_test_setup_teardown(test_spares_what_is_not_its_own, fixture_open, fixture_close),
      cmocka_unit_test_setup_teardown(test_same_bytes_for_any_workers, fixture_open, fixture_close),
      cmocka_unit_test_setup_teardown(test_scenes_do_not_depend_on_count, fixture_open, fixture_close),
      cmocka_unit_test_setup_teardown(test_annotations_are_coco, fixture_open, fixture_close),
      cmocka_unit_test_setup_teardown(test_statistics, fixture_open, fixture_close),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
