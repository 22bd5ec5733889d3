/* YOLO label files, class names, and the ways their folders are laid out. */
#include "core/dataset/yolo.h"
#include "core/image/image.h"

#include <math.h>

#include "tests/test_support.h"

#include "tests/dataset_support.h"

static const struct dataset_image picture = {.file_name = "x/f.jpg", .width = 200, .height = 100};

static void begin(struct dataset *dataset) {
  struct error error = {0};
  *dataset = (struct dataset){0};
  assert_ok(yolo_names_parse(dataset, TEXT("cat\ndog\n"), "names", &error), error);
}

/* One more file; exactly as long as the text, so that reading beyond it is seen. */
static void parse_bytes(struct dataset *dataset, const char *text, size_t size, struct yolo_form *form) {
  struct error error = {0};
  char *copy = malloc(size + 1);
  memcpy(copy, text, size);
  assert_ok(yolo_parse(dataset, copy, size, "f.txt", &picture, form, &error), error);
  free(copy);
}

static void parse(struct dataset *dataset, const char *text, struct yolo_form *form) {
  parse_bytes(dataset, text, strlen(text), form);
}

/* Names for numbers, commas for blanks. */
static void test_written_otherwise(void **state) {
  (void)state;
  static const char *const texts[] = {"dog .5 .5 .5 .5", "1,.5,.5,.5,.5", "1, .5, .5, .5, .5",
                                      "dog, .5, .5, .5, .5, .9\r\n", "1\t.5\t.5\t.5\t.5"};
  for (size_t i = 0; i < COUNT_OF(texts); i++) {
    struct dataset dataset;
    struct yolo_form form = {0};
    begin(&dataset);
    parse(&dataset, texts[i], &form);
    if (dataset.box_count != 1 || dataset_fault_total(&dataset) != 0) fail_msg("not read: %s", texts[i]);
    const struct dataset_box *box = &dataset.boxes[0];
    assert_true(box->category == 1 && box->x == 50 && box->y == 25 && box->w == 100 && box->h == 50);
    dataset_free(&dataset);
  }
}

/* What cannot be used is counted, with its place; the rest of the file is read. */
static void test_bad_labels(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
    enum dataset_fault fault;
  } cases[] = {
      {"2 .5 .5 .1 .1", "f.txt:1: class 2 is not one of 0 .. 1", DATASET_NO_CATEGORY},
      {"\n\r\n-1 .5 .5 .1 .1", "f.txt:3: class -1", DATASET_NO_CATEGORY},
      {"0.5 .5 .5 .1 .1", "f.txt:1: class 0.5", DATASET_NO_CATEGORY},
      {"nan .5 .5 .1 .1", "f.txt:1: class nan", DATASET_NO_CATEGORY},
      {"1e99 .5 .5 .1 .1", "f.txt:1: class 1e99", DATASET_NO_CATEGORY},
      {"2 .5 .5 .1 .1",
       "f.txt:1: class 2 is not one of 0 .. 1: does the list of names belong to these labels, or do they "
       "count from 1?",
       DATASET_NO_CATEGORY},
      {"3 .5 .5 .1 .1", "f.txt:1: class 3 is not one of 0 .. 1: does the list of names belong to these labels?",
       DATASET_NO_CATEGORY},
      {"Cat .5 .5 .1 .1", "f.txt:1: class \"Cat\" is not a number, nor in a list of names", DATASET_BAD_VALUE},
      {"0 0,5 0,5 0,1 0,1", "f.txt:1: \"0,5\" is not a number: write a point for a decimal comma", DATASET_BAD_VALUE},
      {"0,.5,,.1,.1", "f.txt:1: \"\" is not a number", DATASET_BAD_VALUE},
      {"0,0,200,100,1,1,0,0", "f.txt:1: class \"0,0,200,100,1,1,0,0\" is not a number", DATASET_BAD_VALUE},
      {"0", "f.txt:1: 0 numbers after the class", DATASET_BAD_BOX},
      {"0 .5", "f.txt:1: 1 numbers", DATASET_BAD_BOX},
      {"0 .5 .5 .1", "f.txt:1: 3 numbers", DATASET_BAD_BOX},
      {"0 .5 .5 .1 .1 1.57", "f.txt:1: the fifth number 1.57 is no confidence", DATASET_BAD_BOX},
      {"0 .5 .5 .1 .1 -.5", "f.txt:1: the fifth number -0.5 is no confidence", DATASET_BAD_BOX},
      {"0 .5 .5 .1 .1 nan", "f.txt:1: the fifth number nan is no confidence", DATASET_BAD_BOX},
      {"0 1 2 3 4 5 6 7", "f.txt:1: 7 numbers", DATASET_BAD_BOX},
      {"0 .5 .5 .1 x", "f.txt:1: \"x\" is not a number", DATASET_BAD_VALUE},
      {"0 .5 .5 .1 0,1", "f.txt:1: \"0,1\" is not a number", DATASET_BAD_VALUE},
      {"0 .5 .5 .1 \x01", "f.txt:1: \"\\x01\" is not a number", DATASET_BAD_VALUE},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset dataset;
    struct yolo_form form = {0};
    begin(&dataset);
    char text[128];
    snprintf(text, sizeof(text), "%s\n1 .5 .5 .5 .5\n", cases[i].text);
    parse(&dataset, text, &form);
    const struct dataset_fault_count *count = &dataset.faults[cases[i].fault];
    if (count->count != 1 || dataset_fault_total(&dataset) != 1) fail_msg("counted otherwise: %s", cases[i].text);
    if (strncmp(count->first, cases[i].message, strlen(cases[i].message)) != 0) {
      fail_msg("%s\n  gives  %s\n  expected to begin with  %s", cases[i].text, count->first, cases[i].message);
    }
    assert_int_equal(dataset.box_count, 1);
    assert_true(dataset.images[0].incomplete);
    dataset_free(&dataset);
  }
}

static void test_values(void **state) {
  (void)state;
  struct dataset dataset;
  struct yolo_form form = {0};
  struct error error;
  begin(&dataset);
  parse(&dataset,
        "\xEF\xBB\xBF"
        "0 0.5 0.5 0.25 0.5\r\n1.0\tnan .25 +.5e0 5e-1\n\n"
        "  1 .1 .2 .3 .9 .25 .1  \n0 0 0 1 1 nan .5\n0 .5 .5 .5 .5 .87\n1 .5 .5 .5 .5 0.87 \n0 .5 .5 -.5 .5",
        &form);
  assert_int_equal(dataset.format, DATASET_YOLO);
  assert_int_equal(dataset.image_count, 1);
  assert_int_equal(dataset.box_count, 7);
  assert_string_equal(dataset.images[0].file_name, "x/f.jpg");
  assert_false(dataset.images[0].incomplete);
  const struct dataset_box *box = dataset.boxes;
  assert_true(box[0].x == 75 && box[0].y == 25 && box[0].w == 50 && box[0].h == 50 && box[0].id == 1);
  assert_true(isnan(box[1].x) && box[1].y == 0 && box[1].h == 50 && box[1].category == 1);
  assert_true(fabs(box[2].x - 20) < 1e-9 && fabs(box[2].y - 10) < 1e-9 && fabs(box[2].w - 40) < 1e-9 &&
              fabs(box[2].h - 80) < 1e-9);
  assert_true(isnan(box[3].x) && isnan(box[3].w) && box[3].y == 0 && box[3].h == 100);
  assert_true(box[4].x == 50 && box[4].w == 100 && box[5].category == 1); /* a confidence behind it */
  assert_true(box[6].w == -100);                                          /* as it stands */
  struct dataset_image other = {.file_name = "g.jpg"};
  assert_ok(yolo_parse(&dataset, "0 .5 .5 .5 .5", 13, "g.txt", &other, &form, &error), error);
  assert_true(isnan(dataset.boxes[7].x) && isnan(dataset.boxes[7].h));
  assert_int_equal(dataset.images[1].first_box, 7);
  assert_int_equal(dataset.images[1].id, 2);
  other.file_name = "../g.jpg";
  assert_int_equal(yolo_parse(&dataset, "", 0, "g.txt", &other, &form, &error), -1);
  assert_non_null(strstr(error.message, "unsafe file name"));
  dataset_free(&dataset);
}

static void test_repeated(void **state) {
  (void)state;
  struct dataset dataset;
  struct yolo_form form = {0};
  begin(&dataset);
  parse(&dataset, "0 .5 .5 .5 .5\n1 .5 .5 .5 .5\n0 .5 .5 .5 .5\n0 .5 .5 .5 .25\n0 .5 .5 .5 .5\n", &form);
  assert_int_equal(dataset.box_count, 3);
  assert_int_equal(dataset.images[0].box_count, 3);
  assert_true(dataset.boxes[1].category == 1 && dataset.boxes[1].id == 2 && dataset.boxes[2].h == 25);
  assert_int_equal(dataset.faults[DATASET_REPEATED].count, 2);
  assert_string_equal(dataset.faults[DATASET_REPEATED].first, "f.txt: box 3 (class \"cat\") is there already");
  assert_int_equal(dataset_fault_total(&dataset), 0);
  assert_false(dataset.images[0].incomplete);
  struct buffer many = {0}; /* by sorting, in another way */
  struct error error;
  for (int i = 0; i < 300; i++)
    assert_ok(buffer_printf(&many, &error, "0 .5 .5 .5 .%d\n", 1 + i % 97), error);
  parse_bytes(&dataset, (const char *)many.data, strlen((const char *)many.data), &form);
  assert_int_equal(dataset.images[1].box_count, 97 - 9); /* .1 = .10, ..., .5 = .50, and so on */
  for (int i = 0; i < dataset.images[1].box_count; i++) {
    assert_int_equal(dataset.boxes[3 + i].id, 4 + i);
    for (int k = 0; k < i; k++)
      assert_true(dataset.boxes[3 + i].h != dataset.boxes[3 + k].h);
  }
  assert_true(fabs(dataset.boxes[3].h - 10) < 1e-9 && fabs(dataset.boxes[4].h - 20) < 1e-9); /* the first of each */
  buffer_free(&many);
  dataset_free(&dataset);
}

static void test_encodings(void **state) {
  (void)state;
  static const char little[] = "\xFF\xFE"
                               "0\0 \0.\0005\0 \0.\0005\0 \0001\0 \0001\0\n";
  static const char big[] = "\0000\0 \0.\0005\0 \0.\0005\0 \0001\0 \0001\0\n";
  struct dataset dataset;
  struct yolo_form form = {0};
  begin(&dataset);
  parse_bytes(&dataset, little, sizeof(little), &form);
  parse_bytes(&dataset, big, sizeof(big) - 1, &form);
  assert_int_equal(dataset.box_count, 2);
  assert_true(dataset.boxes[0].w == 200 && dataset.boxes[1].w == 200);
  assert_int_equal(dataset_fault_total(&dataset), 0);
  parse_bytes(&dataset, "0 .5 .5 1 1\n\0\0\0", 15, &form);
  assert_int_equal(dataset.faults[DATASET_BAD_FILE].count, 1);
  assert_true(dataset.images[2].incomplete && dataset.images[2].box_count == 0);
  dataset_free(&dataset);
}

static void test_numbered(void **state) {
  (void)state;
  struct dataset dataset = {0};
  struct yolo_form form = {.numbered = true};
  parse(&dataset, "3 .5 .5 .5 .5\n0 .5 .5 .5 .5\n10000 .5 .5 .5 .5\n", &form);
  assert_int_equal(dataset.category_count, 4);
  assert_string_equal(dataset.categories[3].name, "class 3");
  assert_int_equal(dataset.boxes[0].category, 3);
  assert_int_equal(dataset.faults[DATASET_NO_CATEGORY].count, 1);
  dataset_free(&dataset);
}

/* ---- what lines of many numbers are ---- */

/* The lines are taken for `expected`, and read so give boxes of this width in pixels, or faults where it is 0. */
static void check_lines(const char *text, enum yolo_lines expected, double width) {
  struct dataset dataset;
  struct yolo_form form = {0};
  begin(&dataset);
  parse(&dataset, text, &form);
  form.lines_are = yolo_form_decide(&form);
  if (form.lines_are != expected) fail_msg("%s\n  is taken for %d instead of %d", text, form.lines_are, expected);
  dataset_free(&dataset);
  begin(&dataset);
  parse(&dataset, text, &form);
  for (int64_t i = 0; i < dataset.box_count; i++) {
    if (!(fabs(dataset.boxes[i].w - width) < 1e-9)) fail_msg("%s\n  gives a width of %g", text, dataset.boxes[i].w);
  }
  if ((dataset_fault_total(&dataset) > 0) != (width == 0))
    fail_msg("%s: %d faults", text, (int)dataset_fault_total(&dataset));
  dataset_free(&dataset);
}

static void test_lines(void **state) {
  (void)state;
  check_lines("0 .5 .5 .5 .5\n0 .5 .5 .5 .25 .9", YOLO_POLYGONS, 100);
  /* Keypoints with 0, 1, 2 for their visibility: an odd count, an even one, several counts. */
  check_lines("0 .5 .5 .5 .5 .4 .4 2", YOLO_KEYPOINTS_3, 100);
  check_lines("0 .5 .5 .5 .5 .4 .4 2 .3 .4 1 .9 .9 2 0 0 0", YOLO_KEYPOINTS_3, 100);
  check_lines("0 .5 .5 .5 .5 .4 .4 2 .6 .6 0\n1 .5 .5 .5 .25 .4 .4 2\n0 .5 .5 .5 .1", YOLO_KEYPOINTS_3, 100);
  /* Keypoints of two numbers: always as many, always in the box. */
  check_lines("0 .5 .5 .5 .5 .4 .4\n0 .6 .5 .5 .5 .4 .4\n0 .5 .6 .5 .5 0 0", YOLO_KEYPOINTS_2, 100);
  /* Polygons: a few that could be keypoints, one that cannot, four corners, different counts, one around the picture.
   */
  check_lines("0 .3 .3 .4 .4 .5 .5", YOLO_POLYGONS, 40);
  check_lines("0 .4 .4 .5 .5 .6 .6\n0 .3 .3 .4 .4 .5 .5\n0 .7 .1 .9 .1 .8 .5", YOLO_POLYGONS, 40);
  check_lines("0 .5 .5 .5 .6 .4 .6 .4 .5\n0 .6 .5 .6 .6 .5 .6 .5 .5\n0 .5 .6 .5 .7 .4 .7 .4 .6\n", YOLO_POLYGONS, 20);
  check_lines("0 .4 .4 .5 .5 .6 .6\n0 .3 .3 .4 .4 .5 .5 .4 .3 .4 .3\n0 .4 .3 .5 .4 .6 .5", YOLO_POLYGONS, 40);
  check_lines("0 0 0 1 0 1 1 0 1 0 0", YOLO_POLYGONS, 200);
  /* With a confidence: only where the counts show that these are no keypoints. */
  check_lines("0 .3 .1 .9 .1 .8 .5 .99\n1 .9 .1 .3 .1 .8 .5 .8 .6 .97", YOLO_SCORED_POLYGONS, 120);
  check_lines("0 .3 .1 .9 .1 .8 .5 .99\n1 .9 .1 .3 .1 .8 .5 .97", YOLO_POLYGONS, 0);
  check_lines("0 .3 .1 .9 .1 .9 .5 .3 .5 .99\n1 .9 .1 .3 .1 .3 .5 .9 .5 .97", YOLO_SCORED_POLYGONS, 120);
  check_lines("0 .5 .5 .5 .5 .4 .4 .6 .6 .99\n1 .5 .5 .5 .25 .4 .4 .6 .6 .97", YOLO_POLYGONS, 0);
  /* A confidence and the number of a track. */
  check_lines("0 .5 .5 .5 .5 .9 1\n1 .5 .5 .5 .5 .8 2", YOLO_TRACKS, 100);
  check_lines("0 .5 .5 .5 .5 17\n", YOLO_POLYGONS, 100);
}

/* With kpt_shape there is nothing to find out. */
static void test_keypoints(void **state) {
  (void)state;
  struct dataset dataset;
  struct yolo_form form = {.keypoints = 2, .dimensions = 2};
  begin(&dataset);
  parse(&dataset,
        "0 .5 .5 .25 .5 .1 .1 .9 .9\n0 .5 .5 .25 .6 .1 .1 .9 .9 .77\n0 .5 .5 .25 .7\n0 .5 .5 .25 .8 .1 .1\n"
        "0 .5 .5 .25 .8 .1 .1 .1 .2 .3 .4\n",
        &form);
  assert_int_equal(dataset.box_count, 3);
  for (int i = 0; i < 3; i++)
    assert_true(dataset.boxes[i].x == 75 && dataset.boxes[i].w == 50);
  assert_int_equal(dataset.faults[DATASET_BAD_BOX].count, 2);
  assert_non_null(
      strstr(dataset.faults[DATASET_BAD_BOX].first, "f.txt:4: 6 numbers after the class; with kpt_shape [2, 2]"));
  dataset_free(&dataset);
}

static int parse_yaml(struct dataset *dataset, struct text file, const char *name, struct error *error) {
  struct arena arena = {0};
  struct yolo_data data = {0};
  int status = yolo_yaml_parse(dataset, file, name, &arena, &data, error);
  free(data.entries);
  arena_free(&arena);
  return status;
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
  check_names(parse_yaml, "nc: 2\nnames: [a, 'b c']\n", "a|b c|");
  check_names(parse_yaml, "names:\n- a\n- \"\\u00e9\"\n", "a|\xC3\xA9|");
  check_names(parse_yaml, "names:\n  1: b\n  0: a\n", "a|b|");
  check_names(parse_yaml, "x: &n [a, b]\nnames: *n\n", "a|b|");
  check_names(parse_yaml, "nc: 3\n", "class 0|class 1|class 2|");
  check_names(parse_yaml, "nc: x\n", "n:1: \"nc\" must be the number of classes");
  check_names(parse_yaml, "nc: 1e9\n", "n:1: \"nc\" must be the number of classes");
  check_names(parse_yaml, "names: [a]\nkpt_shape: [17]\n", "n:2: \"kpt_shape\" must be [number");
  check_names(parse_yaml, "names: [a]\nkpt_shape: [17, 4]\n", "n:2: \"kpt_shape\" must be [number");
  check_names(parse_yaml, "names: [a]\ntrain: {a: b}\n", "n:2: a split must be a folder");
  check_names(parse_yaml, "names: [a]\ntrain: \"a\\0b\"\n", "n:2: a path that is not UTF-8");
  check_names(parse_yaml, "a: b\nnames: x\n", "n:2: \"names\" must be a list");
  check_names(parse_yaml, "names: [a, [b]]\n", "must be a list");
  check_names(parse_yaml, "names: []\n", "\"names\" is empty");
  check_names(parse_yaml, "names: [a, '']\n", "an empty class name");
  check_names(parse_yaml, "names: {0: a, 2: b}\n", "each of the keys 0 .. 1 once");
  check_names(parse_yaml, "names: {0: a, 0: b}\n", "each of the keys 0 .. 1 once");
  check_names(parse_yaml, "names: {0: a, nan: b}\n", "each of the keys 0 .. 1 once");
  check_names(parse_yaml, "names: {0: a, .5: b}\n", "each of the keys 0 .. 1 once");
  check_names(parse_yaml, "names: {a: 0}\n", "must be a list of names or a map");
  check_names(parse_yaml, "a: 1\nnames: [a\n", "n:3: ");
  check_names(parse_yaml, "names: [*x]\n", "n:");
}

static void test_yaml(void **state) {
  (void)state;
  static const char text[] =
      "path: ../x\ntrain: a\nval: [b, 'c d']\ntest:\nvalidation: ~\nkpt_shape: [17, 3]\nnames: [x]\n";
  struct dataset dataset = {0};
  struct arena arena = {0};
  struct yolo_data data = {0};
  struct error error = {0};
  assert_ok(yolo_yaml_parse(&dataset, text_of(text), "n", &arena, &data, &error), error);
  assert_string_equal(data.path, "../x");
  assert_int_equal(data.entry_count, 3);
  const char *const expected[][2] = {{"train", "a"}, {"val", "b"}, {"val", "c d"}};
  for (size_t i = 0; i < COUNT_OF(expected); i++) {
    assert_string_equal(data.entries[i].split, expected[i][0]);
    assert_string_equal(data.entries[i].path, expected[i][1]);
  }
  assert_true(data.keypoints == 17 && data.dimensions == 3);
  free(data.entries);
  data = (struct yolo_data){0};
  assert_ok(
      yolo_darknet_parse(TEXT("classes = 2\n# no\ntrain=data/train.txt\n valid = v.txt\nnames = n\nbackup = b/\n"), "n",
                         &arena, &data, &error),
      error);
  assert_string_equal(data.names, "n");
  assert_int_equal(data.entry_count, 2);
  assert_string_equal(data.entries[1].split, "val");
  assert_int_equal(yolo_darknet_parse(TEXT("a = b\nx\n"), "n", &arena, &data, &error), -1);
  assert_string_equal(error.message, "n:2: expected KEY = VALUE");
  free(data.entries);
  arena_free(&arena);
  dataset_free(&dataset);
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

static void check_faults(const char *path, const char *split, enum dataset_fault fault, int64_t count,
                         const char *expected) {
  struct dataset dataset;
  struct error error = {0};
  assert_ok(load_split(&dataset, path, NULL, split, &error), error);
  assert_int_equal(dataset.faults[fault].count, count);
  const char *first = dataset.faults[fault].first;
  if (strstr(first, expected) == NULL) fail_msg("%s\n  expected to hold  %s", first, expected);
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
  check_folder(root, NULL, NULL, "train/a.jpg:40x30:1 "); /* without names classes are numbered */
  make_file(root, "labels/classes.txt", "cat");           /* where LabelImg puts it */
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
  const char *train = "a.jpg:40x30:1 b.PNG:20x10:0 broken.jpg:0x0:1 ";
  check_folder(root, NULL, "train", train);
  check_folder(root, NULL, "val", "c.b.jpg:8x8:1 c.jpg:9x9:0 ");
  check_folder(root, NULL, NULL,
               "train/a.jpg:40x30:1 train/b.PNG:20x10:0 train/broken.jpg:0x0:1 "
               "val/c.b.jpg:8x8:1 val/c.jpg:9x9:0 ");
  snprintf(path, sizeof(path), "%s/labels", root);
  check_folder(path, NULL, "train", train);
  snprintf(path, sizeof(path), "%s/labels/train/", root);
  check_folder(path, NULL, NULL, train);
  char images[128];
  snprintf(images, sizeof(images), "%s/images", root);
  check_folder(root, images, "val", "c.b.jpg:8x8:1 c.jpg:9x9:0 ");
  snprintf(images, sizeof(images), "%s/images/val", root);
  assert_load_fails(path, images, NULL, "none of the 2 pictures (c.b.jpg) in");
  check_folder(root, images, NULL, "c.b.jpg:8x8:1 c.jpg:9x9:0 "); /* a part of the pictures, found from the root */
  assert_load_fails(root, NULL, "test", "no split \"test\"");
  make_file(root, "test.txt", "./images/train/a.jpg\nimages/val/c.b.jpg\r\n\nimages/val/gone.jpg\n");
  check_folder(root, NULL, "test", "images/train/a.jpg:40x30:1 images/val/c.b.jpg:8x8:1 images/val/gone.jpg:0x0:0 ");
  make_file(root, "bad.txt", "images/train/a.jpg\nimages/..\n");
  assert_load_fails(root, NULL, "bad", "bad.txt:2: \"images/..\" cannot be the name of a picture");
  make_file(root, "labels/val/c.txt", "7 .5 .5 1 1\n");
  check_faults(root, "val", DATASET_NO_CATEGORY, 1, "labels/val/c.txt:1: class 7 is not one of 0 .. 1");
  check_faults(root, "train", DATASET_STRAY, 1, "labels/train/orphan.txt: there is no picture of that name");
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

/* What Roboflow, Ultralytics and CVAT write. */
static void test_described(void **state) {
  (void)state;
  char root[64], path[128];
  test_scratch(root);
  static const char *const splits[] = {"train", "valid", "test"};
  for (size_t i = 0; i < COUNT_OF(splits); i++) {
    char name[64];
    snprintf(name, sizeof(name), "%s/images", splits[i]);
    make_folder(root, name);
    snprintf(name, sizeof(name), "%s/labels", splits[i]);
    make_folder(root, name);
    snprintf(name, sizeof(name), "%s/images/%zu.png", splits[i], i);
    make_picture(root, name, 4, 3);
    snprintf(name, sizeof(name), "%s/labels/%zu.txt", splits[i], i);
    make_file(root, name, whole);
  }
  make_file(root, "README.roboflow.txt", "made elsewhere\n");
  make_file(root, "data.yaml", "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnames: [cat]\n");
  snprintf(path, sizeof(path), "%s/data.yaml", root);
  const char *const places[] = {root, path};
  for (size_t i = 0; i < COUNT_OF(places); i++) {
    check_folder(places[i], NULL, NULL, "0.png:4x3:1 1.png:4x3:1 2.png:4x3:1 ");
    check_folder(places[i], NULL, "train", "0.png:4x3:1 ");
    check_folder(places[i], NULL, "val", "1.png:4x3:1 ");
    check_folder(places[i], NULL, "validation", "1.png:4x3:1 ");
  }
  make_file(root, "data.yaml", "names: [cat]\n"); /* by the folders alone, too */
  check_folder(root, NULL, "val", "1.png:4x3:1 ");
  check_folder(root, NULL, NULL, "test/images/2.png:4x3:1 train/images/0.png:4x3:1 valid/images/1.png:4x3:1 ");
  /* A list of folders, a root of another machine, a file of another name, one folder in two splits. */
  make_file(root, "data.yaml",
            "path: /home/me/set\ntrain: [./train/images/, 'test\\images']\nval: train/images\nnc: 1\n");
  check_folder(root, NULL, "train", "0.png:4x3:1 2.png:4x3:1 ");
  check_folder(path, NULL, NULL, "0.png:4x3:1 2.png:4x3:1 ");
  make_file(root, "data.yaml", "train: /content/set/train/images\nval: list.txt\nnames: [cat]\n");
  make_file(root, "list.txt", "/content/set/valid/images/1.png\n.\\test\\images\\2.png\r\n");
  check_folder(root, NULL, "train", "0.png:4x3:1 ");
  check_folder(root, NULL, "val", "valid/images/1.png:4x3:1 test/images/2.png:4x3:1 ");
  make_file(root, "data.yaml", "train: train/images\ntest: gone/images\nnames: [cat]\n"); /* what is missing is said */
  struct dataset dataset;
  struct error error = {0};
  assert_ok(load_split(&dataset, root, NULL, NULL, &error), error);
  assert_int_equal(dataset.image_count, 1);
  assert_int_equal(dataset.note_count, 1);
  assert_non_null(strstr(dataset.notes[0], "test: \"gone/images\" is not there: left out"));
  dataset_free(&dataset);
  make_file(root, "data.yaml", "train: nowhere\nnames: [cat]\n");
  assert_load_fails(path, NULL, NULL, "data.yaml: train: \"nowhere\" is no folder or list of pictures");
  assert_load_fails(path, NULL, "val", "data.yaml: no split \"val\"");
  check_folder(root, NULL, "val", "1.png:4x3:1 "); /* of a folder, the others still count */
  test_scratch_remove(root);
}

static void test_other_names(void **state) {
  (void)state;
  char root[64], path[128];
  test_scratch(root);
  make_folder(root, "labels");
  make_folder(root, "photos");
  make_folder(root, "others");
  make_file(root, "coco128.yaml", "train: photos\nnames: [cat]\n"); /* any name does */
  make_file(root, "train.yaml", "lr: 0.1\nepochs: 3\n");            /* but not any content */
  for (int i = 0; i < 3; i++) {
    char name[32];
    snprintf(name, sizeof(name), "photos/P%d.png", i);
    make_picture(root, name, 4, 3);
  }
  make_picture(root, "others/x.png", 5, 5);
  make_file(root, "labels/P0.TXT", whole);
  make_file(root, "labels/P1.png.txt", whole);
  make_file(root, "labels/p2.txt", whole);
  const char *expected = "P0.png:4x3:1 P1.png:4x3:1 P2.png:4x3:1 ";
  check_folder(root, NULL, NULL, expected);
  snprintf(path, sizeof(path), "%s/labels", root);
  check_folder(path, NULL, NULL, expected);
  make_file(root, "other.yaml", "names: [dog]\n");
  assert_load_fails(root, NULL, NULL, "coco128.yaml and other.yaml both name classes");
  test_scratch_remove(root);
}

/* Folders in capitals; pictures deeper than labels, or labels deeper than pictures; nothing where names are ambiguous.
 */
static void test_other_depths(void **state) {
  (void)state;
  char root[64], path[128];
  test_scratch(root);
  make_folder(root, "a/Images/train");
  make_folder(root, "a/Labels/train");
  make_picture(root, "a/Images/train/x.png", 4, 3);
  make_file(root, "a/Labels/train/x.txt", whole);
  make_file(root, "a/notes.json", "{\"categories\": [{\"id\": 0, \"name\": \"cat\"}], \"info\": {}}");
  snprintf(path, sizeof(path), "%s/a", root);
  check_folder(path, NULL, NULL, "train/x.png:4x3:1 ");
  check_folder(path, NULL, "train", "x.png:4x3:1 ");

  make_folder(root, "b/images/p");
  make_folder(root, "b/images/q");
  make_folder(root, "b/labels");
  make_picture(root, "b/images/p/x.png", 4, 3);
  make_picture(root, "b/images/q/y.png", 5, 3);
  make_picture(root, "b/images/p/z.png", 4, 3);
  make_picture(root, "b/images/q/z.png", 5, 3);
  make_file(root, "b/labels/z.txt", whole);
  snprintf(path, sizeof(path), "%s/b", root);
  assert_load_fails(path, NULL, NULL, "none of the 4 pictures");
  make_file(root, "b/labels/x.txt", whole);
  make_file(root, "b/labels/y.txt", whole);
  struct dataset dataset;
  struct error error = {0};
  assert_ok(load_split(&dataset, path, NULL, NULL, &error), error);
  assert_true(has_note(&dataset, "2 pictures have their labels in another folder, found by name; the first: p/x.png"));
  dataset_free(&dataset);
  check_folder(path, NULL, NULL, "p/x.png:4x3:1 p/z.png:4x3:0 q/y.png:5x3:1 q/z.png:5x3:0 ");

  make_folder(root, "c/images");
  make_folder(root, "c/labels/p");
  make_file(root, "c/labels/p/x.txt", whole);
  snprintf(path, sizeof(path), "%s/c", root);
  assert_load_fails(path, NULL, NULL, "there are no pictures: name their folder");
  make_picture(root, "c/images/x.png", 4, 3);
  check_folder(path, NULL, NULL, "x.png:4x3:1 ");
  snprintf(path, sizeof(path), "%s/c/images", root);
  assert_load_fails(path, NULL, NULL, "only pictures, no annotations");
  snprintf(path, sizeof(path), "%s/c/labels/p/x.txt", root);
  assert_load_fails(path, NULL, NULL, "is a label file: name the folder");
  make_file(root, "c/list.txt", "images/x.png\nlabels/p/x.txt\n");
  snprintf(path, sizeof(path), "%s/c/list.txt", root);
  assert_load_fails(path, NULL, NULL, "list.txt:2: \"labels/p/x.txt\" is no picture");
  make_file(root, "c/data.yaml", "path: \"C:\\Users\"\n");
  snprintf(path, sizeof(path), "%s/c/data.yaml", root);
  assert_load_fails(path, NULL, NULL, "write / or single quotes");
  make_file(root, "c/data.yaml", "names:\n\t0: cat\n");
  assert_load_fails(path, NULL, NULL, "a tab?");
  test_scratch_remove(root);
}

static void test_darknet(void **state) {
  (void)state;
  char root[64], path[128], up[160];
  test_scratch(root);
  make_folder(root, "obj_train_data");
  make_picture(root, "obj_train_data/a.png", 4, 3);
  make_picture(root, "obj_train_data/b.png", 5, 3);
  make_file(root, "obj_train_data/a.txt", whole);
  make_file(root, "obj_train_data/b.txt", whole);
  make_file(root, "obj.names", "cat\n");
  make_file(root, "obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = backup/\n");
  make_file(root, "train.txt", "data/obj_train_data/b.png\ndata/obj_train_data/a.png\n");
  const char *listed = "obj_train_data/b.png:5x3:1 obj_train_data/a.png:4x3:1 ";
  check_folder(root, NULL, "train", listed);
  snprintf(path, sizeof(path), "%s/obj.data", root);
  check_folder(path, NULL, NULL, listed);
  snprintf(path, sizeof(path), "%s/train.txt", root);
  check_folder(path, NULL, NULL, listed);
  snprintf(up, sizeof(up), "../%s/obj_train_data/b.png\nC:\\data\\obj_train_data\\a.png\n", name_base(root));
  make_file(root, "up.txt", up);
  check_folder(root, NULL, "up", "b.png:5x3:1 obj_train_data/a.png:4x3:1 ");
  test_scratch_remove(root);
}

/* Long lines are read a second time once it is known what they are; faults do not count twice. */
static void test_poses(void **state) {
  (void)state;
  char root[64];
  test_scratch(root);
  make_folder(root, "images");
  make_folder(root, "labels");
  make_picture(root, "images/a.png", 100, 100);
  make_picture(root, "images/b.png", 100, 100);
  make_file(root, "labels/a.txt", "0 .5 .5 .5 .5 .4 .4 2 .3 .3 0\n9 .5 .5 .5 .5\n");
  make_file(root, "labels/b.txt", "0 .5 .5 .5 .5 .4 .4 2 .6 .6 1\n0 .5 .5 .5 .5 .4 .4 2 .6 .6 1\n");
  make_file(root, "labels/c.txt", whole);
  make_file(root, "classes.txt", "cat\n");
  struct dataset dataset;
  struct error error = {0};
  assert_ok(load_split(&dataset, root, NULL, NULL, &error), error);
  assert_int_equal(dataset.image_count, 2);
  assert_int_equal(dataset.box_count, 2);
  for (int i = 0; i < 2; i++)
    assert_true(dataset.boxes[i].x == 25 && dataset.boxes[i].w == 50);
  assert_int_equal(dataset.faults[DATASET_NO_CATEGORY].count, 1);
  assert_int_equal(dataset.faults[DATASET_REPEATED].count, 1);
  assert_int_equal(dataset.faults[DATASET_STRAY].count, 1);
  assert_int_equal(dataset.note_count, 1);
  assert_non_null(strstr(dataset.notes[0], "3 lines with more than a box are taken for boxes with keypoints"));
  dataset_free(&dataset);
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
      cmocka_unit_test(test_written_otherwise),
      cmocka_unit_test(test_values),
      cmocka_unit_test(test_repeated),
      cmocka_unit_test(test_encodings),
      cmocka_unit_test(test_numbered),
      cmocka_unit_test(test_lines),
      cmocka_unit_test(test_keypoints),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_yaml),
      cmocka_unit_test(test_parallel_folders),
      cmocka_unit_test(test_folder_per_split),
      cmocka_unit_test(test_described),
      cmocka_unit_test(test_other_names),
      cmocka_unit_test(test_other_depths),
      cmocka_unit_test(test_darknet),
      cmocka_unit_test(test_poses),
      cmocka_unit_test(test_flat_folder),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
