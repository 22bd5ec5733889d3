/* YOLO label files, class names, and the ways their folders are laid out. */
#include "core/dataset/internal.h"
#include "core/image/image.h"

#include <math.h>

#include "tests/test_support.h"

#include "tests/dataset_support.h"

static int parse(struct dataset *dataset, const char *text, struct error *error) {
  static const char names[] = "cat\ndog\n";
  *dataset = (struct dataset){0};
  *error = (struct error){0};
  assert_ok(yolo_names_parse(dataset, text_of(names), "names", error), *error);
  size_t size = strlen(text);
  char *copy = malloc(size + 1);
  memcpy(copy, text, size);
  int status = yolo_parse(dataset, copy, size, "f.txt", "x/f.jpg", 200, 100, error);
  free(copy);
  return status;
}

static void test_bad_labels(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"2 .5 .5 .1 .1", "f.txt:1: class 2 is not one of 0 .. 1"},
      {"\n\r\n-1 .5 .5 .1 .1", "f.txt:3: class -1"},
      {"0.5 .5 .5 .1 .1", "class 0.5"},
      {"nan .5 .5 .1 .1", "class nan"},
      {"1e99 .5 .5 .1 .1", "class 1e99"},
      {"cat .5 .5 .1 .1", "class \"cat\" is not a number"},
      {"0", "f.txt:1: 0 numbers after the class"},
      {"0 .5", "1 numbers"},
      {"0 .5 .5 .1", "3 numbers"},
      {"0 .5 .5 .1 .1\n0 .5 .5 .1 .1 .9", "f.txt:2: 5 numbers"},
      {"0 1 2 3 4 5 6 7", "7 numbers"},
      {"0 .5 .5 .1 x", "\"x\" is not a number"},
      {"0 .5 .5 .1 0,1", "\"0,1\" is not a number"},
      {"0 .5 .5 .1 \x01", "\"\\x01\" is not a number"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset dataset;
    struct error error;
    if (parse(&dataset, cases[i][0], &error) == 0) fail_msg("accepted: %s", cases[i][0]);
    if (strstr(error.message, cases[i][1]) == NULL || strncmp(error.message, "f.txt:", 6) != 0) {
      fail_msg("%s\n  gives  %s\n  expected to hold  %s", cases[i][0], error.message, cases[i][1]);
    }
    dataset_free(&dataset);
  }
}

static void test_values(void **state) {
  (void)state;
  struct dataset dataset;
  struct error error;
  assert_ok(parse(&dataset,
                  "\xEF\xBB\xBF"
                  "0 0.5 0.5 0.25 0.5\r\n1.0\tnan .25 +.5e0 5e-1\n\n"
                  "  1 .1 .2 .3 .9 .25 .1  \n0 0 0 1 1 nan .5",
                  &error),
            error);
  assert_int_equal(dataset.format, DATASET_YOLO);
  assert_int_equal(dataset.image_count, 1);
  assert_int_equal(dataset.box_count, 4);
  assert_string_equal(dataset.images[0].file_name, "x/f.jpg");
  const struct dataset_box *box = dataset.boxes;
  assert_true(box[0].x == 75 && box[0].y == 25 && box[0].w == 50 && box[0].h == 50 && box[0].id == 1);
  assert_true(isnan(box[1].x) && box[1].y == 0 && box[1].h == 50 && box[1].category == 1);
  assert_true(fabs(box[2].x - 20) < 1e-9 && fabs(box[2].y - 10) < 1e-9 && fabs(box[2].w - 40) < 1e-9 &&
              fabs(box[2].h - 80) < 1e-9);
  assert_true(isnan(box[3].x) && isnan(box[3].w) && box[3].y == 0 && box[3].h == 100);
  assert_ok(yolo_parse(&dataset, "0 .5 .5 .5 .5", 13, "g.txt", "g.jpg", 0, 0, &error), error);
  assert_true(isnan(dataset.boxes[4].x) && isnan(dataset.boxes[4].h));
  assert_int_equal(dataset.images[1].first_box, 4);
  assert_int_equal(yolo_parse(&dataset, "", 0, "g.txt", "../g.jpg", 0, 0, &error), -1);
  assert_non_null(strstr(error.message, "unsafe file name"));
  dataset_free(&dataset);
}

static void check_names(int (*parse_names)(struct dataset *, struct text, const char *, struct error *),
                        const char *text, const char *expected) {
  struct dataset dataset = {0};
  struct error error = {0};
  char found[256] = "";
  int status = parse_names(&dataset, text_of(text), "n", &error);
  for (int64_t i = 0; status == 0 && i < dataset.category_count; i++) {
    assert_int_equal(dataset.categories[i].id, i);
    strcat(strcat(found, dataset.categories[i].name), "|");
  }
  const char *result = status == 0 ? found : error.message;
  if (strstr(result, expected) == NULL) fail_msg("%s\n  gives  %s\n  expected  %s", text, result, expected);
  dataset_free(&dataset);
}

static void test_names(void **state) {
  (void)state;
  check_names(yolo_names_parse,
              "\xEF\xBB\xBF"
              "a b\r\nc\n\n",
              "a b|c|");
  check_names(yolo_names_parse, "a", "a|");
  check_names(yolo_names_parse, "\n \n", "no class names");
  check_names(yolo_names_parse, "a\n\nb", "n:2: an empty class name");
  check_names(yolo_names_parse, "a\nb\xff", "n:2: the name \"b\\xff\" is not UTF-8");
  check_names(yolo_yaml_parse, "nc: 2\nnames: [a, 'b c']\n", "a|b c|");
  check_names(yolo_yaml_parse, "names:\n- a\n- \"\\u00e9\"\n", "a|\xC3\xA9|");
  check_names(yolo_yaml_parse, "names:\n  1: b\n  0: a\n", "a|b|");
  check_names(yolo_yaml_parse, "x: &n [a, b]\nnames: *n\n", "a|b|");
  check_names(yolo_yaml_parse, "x: 1\n", "n:1: \"names\" must be a list");
  check_names(yolo_yaml_parse, "", "\"names\" must be a list");
  check_names(yolo_yaml_parse, "[names]", "\"names\" must be a list");
  check_names(yolo_yaml_parse, "a: b\nnames: x\n", "n:2: \"names\" must be a list");
  check_names(yolo_yaml_parse, "names: [a, [b]]\n", "must be a list");
  check_names(yolo_yaml_parse, "names: []\n", "\"names\" is empty");
  check_names(yolo_yaml_parse, "names: [a, '']\n", "an empty class name");
  check_names(yolo_yaml_parse, "names: {0: a, 2: b}\n", "each of the keys 0 .. 1 once");
  check_names(yolo_yaml_parse, "names: {0: a, 0: b}\n", "each of the keys 0 .. 1 once");
  check_names(yolo_yaml_parse, "names: {0: a, nan: b}\n", "each of the keys 0 .. 1 once");
  check_names(yolo_yaml_parse, "names: {0: a, .5: b}\n", "each of the keys 0 .. 1 once");
  check_names(yolo_yaml_parse, "names: {a: 0}\n", "must be a list of names or a map");
  check_names(yolo_yaml_parse, "a: 1\nnames: [a\n", "n:3: ");
  check_names(yolo_yaml_parse, "names: [*x]\n", "n:");
}

/* ---- folders ---- */

static void make_picture(const char *root, const char *name, int width, int height) {
  struct image image = {0};
  struct buffer file = {0};
  struct error error = {0};
  assert_ok(image_alloc(&image, width, height, &error), error);
  int status = name_has_suffix(name, (const char *const[]){".png", NULL})
                   ? image_encode_png(&image, &file, &error)
                   : image_encode_jpeg(&image, 90, &file, &error);
  assert_ok(status, error);
  make_bytes(root, name, file.data, file.size);
  image_free(&image);
  buffer_free(&file);
}

/* Lists images as "NAME:WIDTHxHEIGHT:BOXES", the first box's right edge included. */
static void check_folder(const char *path, const char *images, const char *split, const char *expected) {
  struct dataset dataset;
  struct error error = {0};
  char found[1024] = "";
  assert_ok(load_split(&dataset, path, images, split, &error), error);
  assert_int_equal(dataset.format, DATASET_YOLO);
  for (int64_t i = 0; i < dataset.image_count; i++) {
    const struct dataset_image *image = &dataset.images[i];
    size_t used = strlen(found);
    snprintf(found + used, sizeof(found) - used, "%s:%dx%d:%d ", image->file_name, image->width, image->height,
             (int)image->box_count);
    for (int64_t j = image->first_box; j < image->first_box + image->box_count; j++) {
      const struct dataset_box *box = &dataset.boxes[j];
      if (image->width == 0) assert_true(isnan(box->x) && isnan(box->y) && isnan(box->w) && isnan(box->h));
      if (image->width > 0) assert_true(box->x == 0 && box->w == (float)image->width);
    }
  }
  assert_string_equal(found, expected);
  dataset_free(&dataset);
}

static const char whole[] = "0 .5 .5 1 1\n";

static void test_parallel_folders(void **state) {
  (void)state;
  char root[64], path[128];
  test_scratch(root);
  make_folder(root, "images/train");
  make_folder(root, "images/val");
  make_folder(root, "labels/train");
  make_folder(root, "labels/val");
  make_file(root, "labels/train/a.txt", whole);
  make_picture(root, "images/train/a.jpg", 40, 30);
  assert_load_fails(root, NULL, NULL, "no class names");
  make_file(root, "labels/classes.txt", "cat"); /* where LabelImg puts it */
  check_folder(root, NULL, "train", "a.jpg:40x30:1 ");
  check_folder(root, NULL, NULL, "train/a.jpg:40x30:1 ");
  make_file(root, "data.yaml", "names: [cat, dog]"); /* this one counts then */
  make_picture(root, "images/train/b.PNG", 20, 10);
  make_file(root, "images/train/broken.jpg", "not a picture");
  make_file(root, "labels/train/broken.txt", whole);
  make_file(root, "labels/train/orphan.txt", whole);
  make_picture(root, "images/val/c.b.jpg", 8, 8);
  make_picture(root, "images/val/c.jpg", 9, 9);
  make_file(root, "labels/val/c.b.txt", whole);
  const char *train = "a.jpg:40x30:1 b.PNG:20x10:0 broken.jpg:0x0:1 orphan.jpg:0x0:1 ";
  check_folder(root, NULL, "train", train);
  check_folder(root, NULL, "val", "c.b.jpg:8x8:1 c.jpg:9x9:0 ");
  check_folder(root, NULL, NULL,
               "train/a.jpg:40x30:1 train/b.PNG:20x10:0 train/broken.jpg:0x0:1 train/orphan.jpg:0x0:1 "
               "val/c.b.jpg:8x8:1 val/c.jpg:9x9:0 ");
  snprintf(path, sizeof(path), "%s/labels", root);
  check_folder(path, NULL, "train", train);
  snprintf(path, sizeof(path), "%s/labels/train/", root);
  check_folder(path, NULL, NULL, train);
  char images[128];
  snprintf(images, sizeof(images), "%s/images", root);
  check_folder(root, images, "val", "c.b.jpg:8x8:1 c.jpg:9x9:0 ");
  snprintf(images, sizeof(images), "%s/images/val", root);
  assert_load_fails(path, images, NULL, "none of the 2 pictures in");
  assert_load_fails(root, NULL, "test", "no split \"test\"");
  make_file(root, "test.txt", "./images/train/a.jpg\nimages/val/c.b.jpg\r\n\nimages/val/gone.jpg\n");
  check_folder(root, NULL, "test", "images/train/a.jpg:40x30:1 images/val/c.b.jpg:8x8:1 images/val/gone.jpg:0x0:0 ");
  make_file(root, "bad.txt", "images/train/a.jpg\n/images/b.jpg\n");
  assert_load_fails(root, NULL, "bad", "bad.txt:2: unsafe file name \"/images/b.jpg\"");
  make_file(root, "labels/val/c.txt", "7 .5 .5 1 1\n");
  assert_load_fails(root, NULL, "val", "labels/val/c.txt:1: class 7 is not one of 0 .. 1");
  make_file(root, "images/val/\xff.jpg", "");
  assert_load_fails(root, NULL, "val", "\"\\xff.jpg\" is not UTF-8");
  test_scratch_remove(root);
}

static void test_folder_per_split(void **state) {
  (void)state;
  char root[64];
  test_scratch(root);
  make_folder(root, "train/images");
  make_folder(root, "train/labels");
  make_file(root, "data.yaml", "names: {0: cat}");
  make_picture(root, "train/images/a.png", 4, 3);
  make_file(root, "train/labels/a.txt", whole);
  check_folder(root, NULL, "train", "a.png:4x3:1 ");
  test_scratch_remove(root);
}

static void test_flat_folder(void **state) {
  (void)state;
  char root[64], path[128];
  test_scratch(root);
  make_folder(root, "obj");
  make_picture(root, "obj/a.jpg", 4, 3);
  make_picture(root, "obj/b.png", 5, 3);
  make_file(root, "obj/notes.txt", "my notes\n");
  make_file(root, "obj/b.txt", whole);
  snprintf(path, sizeof(path), "%s/obj", root);
  make_file(root, "x.names", "cat\n");
  make_file(root, "y.names", "cat\n");
  assert_load_fails(path, NULL, NULL, "which one lists the classes");
  make_file(root, "obj.names", "cat\n");
  check_folder(path, NULL, NULL, "a.jpg:4x3:0 b.png:5x3:1 ");
  make_file(root, "obj/classes.txt", "cat\ndog\n");
  check_folder(path, NULL, NULL, "a.jpg:4x3:0 b.png:5x3:1 ");
  make_folder(root, "obj/store");
  make_picture(root, "obj/store/jigsaw.jpg", 4, 3);
  make_file(root, "obj/store/run.json", "{}"); /* our own output is no input */
  check_folder(path, NULL, NULL, "a.jpg:4x3:0 b.png:5x3:1 ");
  make_file(root, "train.txt", "obj/b.png\n");
  check_folder(path, NULL, "train", "obj/b.png:5x3:1 ");
  struct error error = {0};
  snprintf(path, sizeof(path), "%s/obj/b.txt", root);
  assert_ok(file_remove_tree(path, &error), error);
  snprintf(path, sizeof(path), "%s/obj", root);
  assert_load_fails(path, NULL, NULL, "none of the 2 pictures");
  test_scratch_remove(root);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bad_labels),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_parallel_folders),
      cmocka_unit_test(test_folder_per_split),
      cmocka_unit_test(test_flat_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
