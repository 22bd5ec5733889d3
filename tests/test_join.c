/* Several sources as one data set. */
#include "core/dataset/internal.h"

#include "tests/test_support.h"

#include "tests/dataset_support.h"

static char scratch[64];

static int set_up(void **state) {
  (void)state;
  test_scratch(scratch);
  make_folder(scratch, "images");
  make_file(scratch, "a.json",
            "{\"images\":[{\"id\":1,\"file_name\":\"a.jpg\"},{\"id\":2,\"file_name\":\"b.jpg\"}],"
            "\"categories\":[{\"id\":5,\"name\":\"cat\"},{\"id\":6,\"name\":\"dog\"}],\"annotations\":["
            "{\"id\":1,\"image_id\":2,\"category_id\":6,\"bbox\":[1,2,3,4]},"
            "{\"id\":2,\"image_id\":1,\"category_id\":5,\"bbox\":[5,6,7,8]},"
            "{\"id\":3,\"image_id\":1,\"category_id\":5}]}");
  make_file(scratch, "b.json", /* the same ids for other things */
            "{\"images\":[{\"id\":1,\"file_name\":\"c.jpg\"}],"
            "\"categories\":[{\"id\":5,\"name\":\"owl\"},{\"id\":6,\"name\":\"cat\"}],"
            "\"annotations\":[{\"id\":1,\"image_id\":1,\"category_id\":6,\"bbox\":[9,9,9,9]},"
            "{\"id\":2,\"image_id\":1,\"category_id\":5,\"bbox\":[8,8,8,8]},"
            "{\"id\":4,\"image_id\":1,\"category_id\":5}]}");
  make_file(scratch, "c.json", /* numbered as in a.json */
            "{\"images\":[{\"id\":1,\"file_name\":\"c.jpg\"}],"
            "\"categories\":[{\"id\":6,\"name\":\"dog\"},{\"id\":7,\"name\":\"owl\"}],"
            "\"annotations\":[{\"id\":1,\"image_id\":1,\"category_id\":7,\"bbox\":[9,9,9,9]}]}");
  make_file(scratch, "twice.json",
            "{\"images\":[{\"id\":1,\"file_name\":\"c.jpg\"}],\"categories\":[{\"id\":3,\"name\":\"cat\"},"
            "{\"id\":1,\"name\":\"dog\"},{\"id\":2,\"name\":\"cat\"},{\"id\":0,\"name\":\"owl\"}],"
            "\"annotations\":[{\"id\":1,\"image_id\":1,\"category_id\":2,\"bbox\":[9,9,9,9]},"
            "{\"id\":2,\"image_id\":1,\"category_id\":0,\"bbox\":[9,9,9,9]}]}");
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  test_scratch_remove(scratch);
  return 0;
}

static int load(struct dataset *dataset, const char *first, const char *second, struct error *error) {
  static char paths[2][128], images[128];
  snprintf(paths[0], sizeof(paths[0]), "%s/%s", scratch, first);
  snprintf(paths[1], sizeof(paths[1]), "%s/%s", scratch, second == NULL ? "" : second);
  snprintf(images, sizeof(images), "%s/images", scratch);
  struct dataset_source sources[] = {{paths[0], images, NULL, 0}, {paths[1], images, NULL, 0}};
  return dataset_load_all(dataset, sources, second == NULL ? 1 : 2, NULL, error);
}

static void test_one(void **state) {
  (void)state;
  struct dataset alone, all;
  struct error error = {0};
  char path[128], images[128];
  snprintf(path, sizeof(path), "%s/a.json", scratch);
  snprintf(images, sizeof(images), "%s/images", scratch);
  assert_ok(dataset_load(&alone, path, images, NULL, &error), error);
  assert_ok(load(&all, "a.json", NULL, &error), error);
  assert_true(XXH128_isEqual(alone.hash, all.hash));
  assert_int_equal(all.images[0].set, 0);
  assert_int_equal(all.note_count, 0);
  dataset_free(&alone);
  dataset_free(&all);
}

static void test_two(void **state) {
  (void)state;
  struct dataset all, reversed;
  struct error error = {0};
  assert_ok(load(&all, "a.json", "b.json", &error), error);
  assert_int_equal(all.image_count, 3);
  assert_int_equal(all.box_count, 4);
  assert_int_equal(all.category_count, 3);
  static const char *const names[] = {"cat", "dog", "owl"};
  for (int i = 0; i < 3; i++) {
    assert_string_equal(all.categories[i].name, names[i]);
    assert_int_equal(all.categories[i].id, i + 1);
  }
  static const struct {
    int64_t id, first_box;
    const char *file_name;
    int32_t set, boxes;
  } images[] = {{1, 0, "a.jpg", 1, 1}, {2, 1, "b.jpg", 1, 1}, {1, 2, "c.jpg", 2, 2}};
  for (int i = 0; i < 3; i++) {
    const struct dataset_image *image = &all.images[i];
    assert_string_equal(image->file_name, images[i].file_name);
    assert_true(image->id == images[i].id && image->first_box == images[i].first_box && image->set == images[i].set &&
                image->box_count == images[i].boxes);
    assert_non_null(strstr(image->folder, "/images"));
  }
  static const int32_t categories[] = {0, 1, 0, 2};
  static const int64_t ids[] = {2, 1, 1, 2};
  static const double x[] = {5, 1, 9, 8};
  for (int i = 0; i < 4; i++) {
    assert_true(all.boxes[i].category == categories[i] && all.boxes[i].id == ids[i] && all.boxes[i].x == x[i]);
  }
  assert_true(has_note(&all, "a.json: coco, 2 images, 2 boxes, 2 classes"));
  assert_true(has_note(&all, "new ids, 1 to 3"));
  assert_int_equal(all.faults[DATASET_NO_BOX].count, 2);
  assert_non_null(strstr(all.faults[DATASET_NO_BOX].first, "a.json"));
  assert_true(all.images[0].incomplete && !all.images[1].incomplete && all.images[2].incomplete);
  assert_ok(load(&reversed, "b.json", "a.json", &error), error);
  assert_false(XXH128_isEqual(all.hash, reversed.hash));
  dataset_free(&reversed);
  dataset_free(&all);
}

static void test_ids_that_agree_stay(void **state) {
  (void)state;
  struct dataset all;
  struct error error = {0};
  assert_ok(load(&all, "a.json", "c.json", &error), error);
  static const int64_t ids[] = {5, 6, 7};
  assert_int_equal(all.category_count, 3);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(all.categories[i].id, ids[i]);
  }
  assert_false(has_note(&all, "new ids"));
  dataset_free(&all);
}

static void test_one_name_is_one_class(void **state) {
  (void)state;
  struct dataset all;
  struct error error = {0};
  assert_ok(load(&all, "twice.json", NULL, &error), error);
  assert_int_equal(all.category_count, 3);
  assert_int_equal(all.categories[0].id, 3);
  assert_int_equal(all.boxes[0].category, 0);
  assert_int_equal(all.boxes[1].category, 2);
  assert_true(has_note(&all, "twice.json: 2 classes are called \"cat\" (ids 3, 2)"));
  dataset_free(&all);
}

static void test_failures(void **state) {
  (void)state;
  struct dataset all;
  struct error error = {0};
  assert_int_equal(load(&all, "a.json", "none.json", &error), -1);
  assert_non_null(strstr(error.message, "none.json: no such file"));
  assert_int_equal(load(&all, "a.json,b.json", NULL, &error), -1);
  assert_non_null(strstr(error.message, "a.json --annotations b.json"));
  assert_null(all.images);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one),
      cmocka_unit_test(test_two),
      cmocka_unit_test(test_ids_that_agree_stay),
      cmocka_unit_test(test_one_name_is_one_class),
      cmocka_unit_test(test_failures),
  };
  return cmocka_run_group_tests_name("join", tests, set_up, tear_down);
}
