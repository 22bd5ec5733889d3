/* Which classes are left of a data set: renamed, made one, left out. */
#include "core/dataset/internal.h"

#include "tests/test_support.h"

#include "tests/dataset_support.h"

static int choose(struct dataset *dataset, struct option_list ignore, struct option_list rename, struct error *error) {
  static const char *const names[] = {"cat",   "dog", "person, sitting", "a=b",
                                      " owl ", "Dog", "traffic_light",   "Traffic Light"};
  *dataset = (struct dataset){0};
  struct dataset_image image = {.file_name = "a.jpg"};
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    assert_ok(build_category(dataset, (int64_t)i * 10, names[i], error), *error);
  }
  assert_ok(build_image(dataset, &image, error), *error);
  for (size_t i = 0; i < COUNT_OF(names); i++) {
    assert_ok(build_box(dataset, (struct dataset_box){.category = (int32_t)i}, error), *error);
  }
  return dataset_choose_classes(dataset, &ignore, &rename, error);
}

#define LIST(...)                                                                                                      \
  (struct option_list) {                                                                                               \
    {__VA_ARGS__}, COUNT_OF(((const char *[]){__VA_ARGS__}))                                                           \
  }
static const struct option_list none = {.count = 0};

static void test_ignored_classes(void **state) {
  (void)state;
  struct dataset dataset;
  struct error error = {0};
  assert_ok(choose(&dataset, LIST("person, sitting", "cat , owl"), none, &error), error);
  assert_int_equal(dataset.category_count, 5);
  assert_string_equal(dataset.categories[0].name, "dog");
  assert_string_equal(dataset.categories[1].name, "a=b");
  assert_int_equal(dataset.categories[1].id, 30);
  static const int32_t categories[] = {-1, 0, -1, 1, -1, 2, 3, 4};
  for (int i = 0; i < 8; i++) {
    assert_int_equal(dataset.boxes[i].category, categories[i]);
    assert_int_equal(dataset.boxes[i].flags, categories[i] < 0 ? DATASET_IGNORED : 0);
  }
  dataset_free(&dataset);
}

static void test_renamed_classes(void **state) {
  (void)state;
  struct dataset dataset;
  struct error error = {0};
  assert_ok(
      choose(&dataset, LIST("dog"), LIST("cat=animal, owl=animal,Dog=animal", "person, sitting=dog,a=b=b=a"), &error),
      error);
  assert_int_equal(dataset.category_count, 5);
  static const char *const names[] = {"animal", "dog", "b=a", "traffic_light", "Traffic Light"};
  for (int i = 0; i < 5; i++) {
    assert_string_equal(dataset.categories[i].name, names[i]);
  }
  static const int32_t categories[] = {0, -1, 1, 2, 0, 0, 3, 4};
  for (int i = 0; i < 8; i++) {
    assert_int_equal(dataset.boxes[i].category, categories[i]);
  }
  assert_true(has_note(&dataset, "\"traffic_light\" and \"Traffic Light\" differ only in case or spacing; "));
  dataset_free(&dataset);
  assert_ok(choose(&dataset, none, none, &error), error);
  assert_int_equal(dataset.note_count, 1);
  assert_true(has_note(&dataset, "(and 1 more such pairs)"));
  dataset_free(&dataset);
}

static void test_wrong_classes(void **state) {
  (void)state;
  static const struct {
    struct option_list ignore, rename;
    const char *message;
  } cases[] = {
      {.ignore = {{"cow"}, 1}, .message = "--ignore-classes: no class is called \"cow\"; there are cat, dog, "},
      {.ignore = {{"cat,CAT"}, 1}, .message = "\"CAT\"; did you mean \"cat\"? there are"},
      {.ignore = {{"traffic-light"}, 1}, .message = "did you mean \"traffic_light\"?"},
      {.ignore = {{"cat,dog,a=b,owl,Dog,traffic_light,Traffic Light", "person, sitting"}, 2},
       .message = "leaves no class"},
      {.rename = {{"cow=animal"}, 1}, .message = "--rename-classes: no class is called \"cow\""},
      {.rename = {{"cat"}, 1}, .message = "\"cat\" should be OLD=NEW"},
      {.rename = {{"cat="}, 1}, .message = "gets no name"},
      {.rename = {{"cat=a,cat=b"}, 1}, .message = "\"cat\" is renamed twice"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset dataset;
    struct error error = {0};
    assert_int_equal(choose(&dataset, cases[i].ignore, cases[i].rename, &error), -1);
    if (strstr(error.message, cases[i].message) == NULL) fail_msg("%s\n lacks %s", error.message, cases[i].message);
    dataset_free(&dataset);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_ignored_classes),
      cmocka_unit_test(test_renamed_classes),
      cmocka_unit_test(test_wrong_classes),
  };
  return cmocka_run_group_tests_name("classes", tests, NULL, NULL);
}
