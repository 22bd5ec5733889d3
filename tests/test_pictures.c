/* Pictures that are not where the annotations say. */
#include "core/dataset/internal.h"

#include <sys/stat.h>

#include "tests/test_support.h"

#include "tests/dataset_support.h"

static char scratch[64], images[80];

static int set_up(void **state) {
  (void)state;
  test_scratch(scratch);
  snprintf(images, sizeof(images), "%s/images", scratch);
  make_folder(scratch, "images");
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  test_scratch_remove(scratch);
  return 0;
}

/* Writes a file and the folders it is in. */
static void make_picture(const char *name) {
  char folder[256];
  snprintf(folder, sizeof(folder), "%.*s", (int)(name_base(name) - name), name);
  make_folder(scratch, folder);
  make_file(scratch, name, name);
}

static void make_dataset(struct dataset *dataset, const char *const *names, size_t count) {
  struct error error = {0};
  *dataset = (struct dataset){0};
  for (size_t i = 0; i < count; i++) {
    struct dataset_image image = {.id = (int64_t)i + 1, .file_name = names[i]};
    assert_ok(build_image(dataset, &image, &error), error);
  }
  assert_ok(build_folder(dataset, images, &error), error);
}

static int find(struct dataset *dataset, double max_missing, XXH128_hash_t *hash, struct error *error) {
  char annotations[96];
  snprintf(annotations, sizeof(annotations), "%s/c.json", scratch);
  const struct dataset_source source = {annotations, NULL, NULL, 0};
  return dataset_find_pictures(dataset, &source, 3, max_missing, hash, error);
}

/* One wanted name, with some files there. */
static void test_one_at_a_time(void **state) {
  static const struct {
    const char *wanted, *there[3], *found; /* found: NULL when it must stay missing */
  } cases[] = {
      {"a.jpg", {"images/a.jpg"}, "a.jpg"},
      {"images/a.jpg", {"images/a.jpg"}, "a.jpg"},
      {"images\\a.jpg", {"images/a.jpg"}, "a.jpg"},
      {"set/images/a.jpg", {"images/a.jpg"}, "a.jpg"},
      {"a.jpg", {"images/job1/sub/a.jpg"}, "job1/sub/a.jpg"},
      {"sub/a.jpg", {"images/job1/sub/a.jpg", "images/job1/a.jpg"}, "job1/sub/a.jpg"},
      {"job1\\a.jpg", {"images/job1/a.jpg", "images/job2/a.jpg"}, "job1/a.jpg"},
      {"Job1/A.JPG", {"images/job1/a.jpg", "images/job2/a.jpg"}, "job1/a.jpg"},
      {"a b.jpg", {"images/a%20b.jpg"}, "a%20b.jpg"},
      {"x%2Fa%20b.jpg", {"images/x/a b.jpg"}, "x/a b.jpg"},
      {"100%.jpg", {"images/s/100%.jpg"}, "s/100%.jpg"},
      {" a.jpg\n", {"images/a.jpg"}, "a.jpg"},
      {"e\xcc\x81.jpg", {"images/\xc3\xa9.jpg"}, "\xc3\xa9.jpg"}, /* NFD, NFC */
      {"\xc3\x89T\xc3\x89.jpg", {"images/e\xcc\x81te\xcc\x81.JPG"}, "e\xcc\x81te\xcc\x81.JPG"},
      {"\xea\xb0\x80.jpg", {"images/\xe1\x84\x80\xe1\x85\xa1.jpg"}, "\xe1\x84\x80\xe1\x85\xa1.jpg"}, /* Hangul */
      {"a.jpg", {"images/a.jpeg"}, "a.jpeg"},
      {"a.jpg", {"images/a.webp"}, "a.webp"},
      {"sub/a.jpg", {"images/sub/a.tif"}, "sub/a.tif"},
      {"a", {"images/a.png"}, "a.png"},
      {"a.v2", {"images/a.v2.png", "images/a.v1.png"}, "a.v2.png"},
      {"a.heic", {"images/a.jpg"}, "a.jpg"},
      {"a.jpg", {"images/s/a.jpeg", "images/a.png"}, "s/a.jpeg"}, /* the format tells more than the folder */
      {"a.jpg", {"images/masks/a.png"}, NULL},                    /* masks lie beside */
      {"a.jpg", {"images/s/a.jpg", "images/t/a.jpg"}, NULL},      /* which? */
      {"train/a.jpg", {"images/val/a.jpg"}, NULL},                /* another part of the data set */
      {"train/images/a.jpg", {"images/val/images/a.jpg"}, NULL},
      {"a.jpg", {"images/.trash/a.jpg"}, NULL},
      {"a.jpg", {"images/store/a.jpg", "images/store/run.json"}, NULL}, /* a product of ours */
      {"a.jpg", {"images/aa.jpg", "images/a.jpg.txt"}, NULL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset dataset;
    struct error error = {0};
    XXH128_hash_t hash;
    set_up(state);
    for (size_t k = 0; k < 3 && cases[i].there[k] != NULL; k++)
      make_picture(cases[i].there[k]);
    make_dataset(&dataset, &cases[i].wanted, 1);
    int status = find(&dataset, 0, &hash, &error);
    const char *name = dataset.images[0].file_name;
    if (cases[i].found != NULL) {
      if (status != 0) fail_msg("%s: %s", cases[i].wanted, error.message);
      if (strcmp(name, cases[i].found) != 0) fail_msg("%s became %s", cases[i].wanted, name);
      bool same = strcmp(cases[i].wanted, cases[i].found) == 0;
      assert_int_equal(dataset.note_count, !same);
      if (!same) assert_true(has_note(&dataset, "1 picture is not where the annotations say, but found below"));
    } else {
      if (status == 0) fail_msg("%s was found as %s", cases[i].wanted, name);
      assert_string_equal(name, cases[i].wanted);
      assert_non_null(strstr(error.message, "1 of 1 pictures are missing from "));
    }
    dataset_free(&dataset);
    tear_down(state);
  }
}

/* Where names repeat from folder to folder, a name that happens to be in one only proves nothing. */
static void test_names_that_repeat(void **state) {
  (void)state;
  static const char *const names[] = {"1.jpg", "2.jpg", "sub\\3.jpg"};
  struct dataset dataset;
  struct error error = {0};
  XXH128_hash_t hash;
  make_picture("images/train/1.jpg");
  make_picture("images/val/1.jpg");
  make_picture("images/val/2.jpg");
  make_picture("images/sub/3.jpg");
  make_dataset(&dataset, names, 3);
  assert_ok(find(&dataset, 70, &hash, &error), error);
  assert_string_equal(dataset.images[1].file_name, "2.jpg");
  assert_string_equal(dataset.images[2].file_name, "sub/3.jpg");
  assert_true(has_note(&dataset, "1 missing picture has namesakes in several folders"));
  assert_true(has_note(&dataset, "2 of 3 pictures are missing from "));
  assert_true(has_note(&dataset, "images/val has 2 of these names: try --images "));
  assert_int_equal(find(&dataset, 60, &hash, &error), -1);
  assert_non_null(strstr(error.message, "2 of 3 pictures are missing"));
  assert_non_null(strstr(error.message, "more than the 60 % that --max-bad allows"));
  dataset_free(&dataset);
}

/* A picture can be only one image's. */
static void test_rivals(void **state) {
  (void)state;
  static const char *const names[] = {"a/1.jpg", "b/1.jpg", "2.jpg", "c/2.jpg", "d/3.jpg", "d/3.jpg"};
  struct dataset dataset;
  struct error error = {0};
  XXH128_hash_t hash;
  make_picture("images/1.jpg");
  make_picture("images/2.jpg");
  make_picture("images/3.jpg");
  make_dataset(&dataset, names, 6);
  assert_ok(find(&dataset, -1, &hash, &error), error);
  for (int i = 0; i < 4; i++) {
    assert_string_equal(dataset.images[i].file_name, names[i]);
  }
  assert_string_equal(dataset.images[4].file_name, "3.jpg");
  assert_string_equal(dataset.images[5].file_name, "3.jpg");
  assert_true(has_note(&dataset, "1 image repeats the picture of another image, the first \"3.jpg\" (ids 5 and 6)"));
  assert_true(has_note(&dataset, "3 of 6 pictures are missing"));
  dataset_free(&dataset);
}

/* Where no name fits, one that is there shows how they differ. */
static void test_what_is_there(void **state) {
  (void)state;
  static const char *const wanted[] = {"name-that-no-neighbour-has.jpg"};
  static const char *const words[] = {"is --images right (it holds none)?",
                                      "is --images right (it holds 2, as b.jpg)?"};
  for (int i = 0; i < 2; i++) {
    struct dataset dataset;
    struct error error = {0};
    XXH128_hash_t hash;
    set_up(state);
    make_picture("images/a.txt");
    if (i == 1) make_picture("images/c.png");
    if (i == 1) make_picture("images/s/b.jpg");
    make_dataset(&dataset, wanted, 1);
    assert_int_equal(find(&dataset, 0, &hash, &error), -1);
    if (strstr(error.message, words[i]) == NULL) fail_msg("%s", error.message);
    dataset_free(&dataset);
    tear_down(state);
  }
}

static void test_the_folder_that_would_fit(void **state) {
  (void)state;
  static const char *const names[] = {"1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"};
  static const char *const places[][2] = {
      {"other/deep", "/other/deep has 5 of these names"},
      {"images2", "/images2 has 5 of these names"},
      {"images", NULL},
  };
  for (size_t i = 0; i < COUNT_OF(places); i++) {
    struct dataset dataset;
    struct error error = {0};
    XXH128_hash_t hash;
    set_up(state);
    for (size_t k = 0; k < COUNT_OF(names); k++) {
      char name[64];
      snprintf(name, sizeof(name), "%s/%s", places[i][0], names[k]);
      make_picture(name);
    }
    make_picture("elsewhere/2.jpg");
    make_picture("images2/1.png"); /* the same name, once more */
    make_dataset(&dataset, names, COUNT_OF(names));
    int status = find(&dataset, 100, &hash, &error);
    assert_int_equal(status, places[i][1] == NULL ? 0 : -1);
    if (places[i][1] != NULL && strstr(error.message, places[i][1]) == NULL) fail_msg("%s", error.message);
    if (places[i][1] != NULL) assert_non_null(strstr(error.message, "5 of 5 pictures are missing from "));
    dataset_free(&dataset);
    tear_down(state);
  }
  set_up(state);
}

static void test_hash(void **state) {
  (void)state;
  static const char *const names[] = {"1.jpg", "2.jpg"};
  struct dataset dataset;
  struct error error = {0};
  XXH128_hash_t first, again, other;
  make_picture("images/1.jpg");
  make_picture("images/2.jpg");
  make_dataset(&dataset, names, 2);
  assert_ok(find(&dataset, 0, &first, &error), error);
  assert_ok(find(&dataset, 0, &again, &error), error);
  assert_true(XXH128_isEqual(first, again));
  make_file(images, "2.jpg", "of another size than before");
  assert_ok(find(&dataset, 0, &other, &error), error);
  assert_false(XXH128_isEqual(first, other));
  char path[128];
  snprintf(path, sizeof(path), "%s/2.jpg", images);
  assert_int_equal(unlink(path), 0);
  assert_ok(find(&dataset, 50, &again, &error), error);
  assert_false(XXH128_isEqual(first, again) || XXH128_isEqual(other, again));
  dataset_free(&dataset);
}

/* Links may lead in circles, to other names of one picture, and to nothing. */
static void test_links(void **state) {
  (void)state;
  static const char *const names[] = {"a.jpg", "b.jpg", "c.jpg"};
  struct dataset dataset;
  struct error error = {0};
  XXH128_hash_t hash;
  char path[160];
  make_picture("images/deep/a.jpg");
  make_picture("far/b.jpg");
  snprintf(path, sizeof(path), "%s/deep/up", images);
  assert_int_equal(symlink("..", path), 0);
  snprintf(path, sizeof(path), "%s/far", images);
  assert_int_equal(symlink("../far", path), 0);
  snprintf(path, sizeof(path), "%s/c.jpg", images);
  assert_int_equal(symlink("nowhere.jpg", path), 0);
  make_dataset(&dataset, names, 3);
  assert_ok(find(&dataset, 40, &hash, &error), error);
  assert_string_equal(dataset.images[0].file_name, "deep/a.jpg");
  assert_string_equal(dataset.images[1].file_name, "far/b.jpg");
  assert_true(has_note(&dataset, "1 of 3 pictures are missing"));
  dataset_free(&dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_one_at_a_time),
      cmocka_unit_test_setup_teardown(test_names_that_repeat, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_rivals, set_up, tear_down),
      cmocka_unit_test(test_what_is_there),
      cmocka_unit_test_teardown(test_the_folder_that_would_fit, tear_down),
      cmocka_unit_test_setup_teardown(test_hash, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_links, set_up, tear_down),
  };
  return cmocka_run_group_tests_name("pictures", tests, NULL, NULL);
}
