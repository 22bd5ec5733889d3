/* What COCO files hold that no textbook shows: each is read, or left out and counted by its reason with its place. */
#include "core/dataset/dataset.h"

#include "tests/test_support.h"

#include "tests/coco_support.h"
#include "tests/dataset_support.h"

static void read_text(struct dataset *dataset, const char *text, enum dataset_boxes boxes) {
  struct error error;
  if (parse_boxes(dataset, text, strlen(text), boxes, &error) != 0) fail_msg("%s\n  gives  %s", text, error.message);
}

/* ---- annotations that are left out ---- */

static void test_left_out(void **state) {
  (void)state;
  static const struct {
    const char *annotation;
    enum dataset_fault fault;
    const char *first;
    bool incomplete; /* it is known in which image */
  } cases[] = {
      {"{\"image_id\":1,\"category_id\":3}", DATASET_NO_BOX, "f.json:3: annotation number 2 has no bbox", true},
      {"{\"image_id\":1,\"category_id\":3,\"id\":77}", DATASET_NO_BOX, "f.json:3: annotation 77 has no bbox", true},
      {"null", DATASET_BAD_VALUE, "f.json:3: annotation number 2 is null, not an object", false},
      {"[1, 2]", DATASET_BAD_VALUE, "annotation number 2 is an array, not an object", false},
      {"3", DATASET_BAD_VALUE, "annotation number 2 is a number, not an object", false},
      {ANNOTATION("null"), DATASET_NO_BOX, "has a bbox that is null, not [x, y, width, height]", true},
      {ANNOTATION("[]"), DATASET_NO_BOX, "has an empty bbox", true},
      {ANNOTATION("{}"), DATASET_BAD_BOX, "has a bbox that is an object", true},
      {ANNOTATION("\"1,2,3,4\""), DATASET_BAD_BOX, "has a bbox that is text", true},
      {ANNOTATION("true"), DATASET_BAD_BOX, "has a bbox that is true or false", true},
      {ANNOTATION("[1,2,3]"), DATASET_BAD_BOX, "has a bbox of 3 numbers", true},
      {ANNOTATION("[1,2,3,4,5]"), DATASET_BAD_BOX, "has a bbox of 5 numbers", true},
      {ANNOTATION("[1,2,\nnull,4]"), DATASET_BAD_BOX, "f.json:4: annotation number 2 has null in its bbox", true},
      {ANNOTATION("[1,2,\"x\",4]"), DATASET_BAD_BOX, "has text in its bbox", true},
      {ANNOTATION("[[1,2],[3,4]]"), DATASET_BAD_BOX, "has an array in its bbox", true},
      {"{\"category_id\":3,\"bbox\":[1,2,3,4]}", DATASET_NO_IMAGE, "has no image_id", false},
      {"{\"image_id\":null,\"category_id\":3,\"bbox\":[1,2,3,4]}", DATASET_NO_IMAGE, "has an image_id that is neither",
       false},
      {"{\"image_id\":2,\"category_id\":3,\"bbox\":[1,2,3,4],\"id\":5}", DATASET_NO_IMAGE,
       "f.json:3: annotation 5 has image_id 2, which is not among the images", false},
      {"{\"image_id\":\"x\\n\",\"category_id\":3,\"bbox\":[1,2,3,4]}", DATASET_NO_IMAGE,
       "has image_id \"x\\x0a\", which is not", false},
      {"{\"image_id\":1,\"bbox\":[1,2,3,4]}", DATASET_NO_CATEGORY, "has no category_id", true},
      {"{\"image_id\":1,\"category_id\":[3],\"bbox\":[1,2,3,4]}", DATASET_NO_CATEGORY, "a category_id that is neither",
       true},
      {"{\"image_id\":1,\"category_id\":0,\"bbox\":[1,2,3,4]}", DATASET_NO_CATEGORY,
       "has category_id 0, which is not among the categories", true},
      {"{\"image_id\":1,\"category_id\":3,\"bbox\":[1,2,3,4],\"iscrowd\":[]}", DATASET_BAD_VALUE,
       "has iscrowd that is not 0 or 1", true},
      {"{\"image_id\":1,\"category_id\":3,\"bbox\":[1,2,3,4],\"ignore\":\"maybe\"}", DATASET_BAD_VALUE,
       "has ignore that is not 0 or 1", true},
      {"{\"image_id\":1,\"category_id\":3,\"bbox\":null,\"segmentation\":\"x\"}", DATASET_BAD_BOX,
       "a segmentation that is neither polygons nor RLE", true},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[1024];
    struct dataset dataset;
    /* Twice, between two that are fine. */
    snprintf(text, sizeof(text),
             "{" IMAGES ",\n" CATEGORIES ",\"annotations\":[" ANNOTATION("[1,2,3,4]") ",\n%s,\n%s,\n%s]}",
             cases[i].annotation, cases[i].annotation, ANNOTATION("[5,6,7,8]"));
    read_text(&dataset, text, DATASET_XYWH);
    const struct dataset_fault_count *fault = &dataset.faults[cases[i].fault];
    if (fault->count != 2 || dataset_fault_total(&dataset) != 2 || strstr(fault->first, cases[i].first) == NULL)
      fail_msg("%s\n  counted %d of %d, first %s", text, (int)fault->count, (int)dataset_fault_total(&dataset),
               fault->first);
    assert_int_equal(dataset.box_count, 2);
    assert_true(dataset.boxes[0].x == 1 && dataset.boxes[1].x == 5);
    assert_int_equal(dataset.boxes[1].id, 4);
    assert_int_equal(dataset.images[0].incomplete, cases[i].incomplete);
    dataset_free(&dataset);
  }
}

static void test_limit(void **state) {
  (void)state;
  char root[64], path[128];
  struct dataset dataset;
  struct error error = {0};
  struct dataset_options options = dataset_defaults();
  static const char good[] = ANNOTATION("[1,2,3,4]") ",", bad[] = ANNOTATION("null") ",";
  struct buffer text = {0};
  test_scratch(root);
  snprintf(path, sizeof(path), "%s/f.json", root);
  for (int goods = 0; goods < 200; goods += 99) {
    for (int bads = 1; bads < 30; bads += 9) {
      text.size = 0;
      assert_ok(buffer_printf(&text, &error, "{" IMAGES "," CATEGORIES ",\"annotations\":["), error);
      for (int i = 0; i < goods; i++)
        assert_ok(buffer_append(&text, good, sizeof(good) - 1, &error), error);
      for (int i = 0; i < bads; i++)
        assert_ok(buffer_append(&text, bad, sizeof(bad) - 1, &error), error);
      text.data[text.size - 1] = ']';
      assert_ok(buffer_append(&text, "}", 1, &error), error);
      make_bytes(root, "f.json", text.data, text.size);
      for (int percent = 0; percent <= 20; percent += 10) {
        options.max_bad_annotations = percent;
        bool fits = goods > 0 && ((percent > 0 && bads <= 10) || bads * 100 <= (goods + bads) * percent);
        int status = dataset_load(&dataset, path, root, &options, &error);
        assert_int_equal(status == 0, fits);
        if (status != 0) {
          char expected[64];
          if (goods > 0) snprintf(expected, sizeof(expected), "%d of %d annotations cannot", bads, goods + bads);
          if (goods == 0) snprintf(expected, sizeof(expected), "none of the %d annotations can", bads);
          if (strstr(error.message, expected) == NULL || strstr(error.message, "f.json:1") == NULL)
            fail_msg("%s\n  expected to hold  %s", error.message, expected);
        }
        if (status == 0) dataset_free(&dataset);
      }
    }
  }
  buffer_free(&text);
  test_scratch_remove(root);
}

/* ---- values in odd spellings ---- */

static void test_flags(void **state) {
  (void)state;
  static const struct {
    const char *members;
    bool crowd;
  } cases[] = {
      {"\"iscrowd\":0", false},
      {"\"iscrowd\":1", true},
      {"\"iscrowd\":false", false},
      {"\"iscrowd\":true", true},
      {"\"iscrowd\":null", false},
      {"\"iscrowd\":\"0\"", false},
      {"\"iscrowd\":\"1\"", true},
      {"\"iscrowd\":1.0", true},
      {"\"iscrowd\":\"false\"", false},
      {"\"iscrowd\":\"True\"", true},
      {"\"iscrowd\":\"no\"", false},
      {"\"iscrowd\":\"\"", false},
      {"\"ignore\":1", true},
      {"\"ignore\":true", true},
      {"\"ignore\":0", false},
      {"\"ignore\":null", false},
      {"\"ignore\":1,\"iscrowd\":0", true},
      {"\"iscrowd\":1,\"ignore\":0", true},
      {"\"x\":1", false},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[512];
    struct dataset dataset;
    snprintf(text, sizeof(text), WITH(ANNOTATIONS("{\"image_id\":1,\"category_id\":3,\"bbox\":[1,2,3,4],%s}")),
             cases[i].members);
    read_text(&dataset, text, DATASET_XYWH);
    assert_int_equal(dataset.box_count, 1);
    if ((dataset.boxes[0].flags == DATASET_CROWD) != cases[i].crowd) fail_msg("%s", text);
    dataset_free(&dataset);
  }
}

static void test_sizes(void **state) {
  (void)state;
  static const struct {
    const char *value;
    int pixels;
  } cases[] = {{"640", 640},     {"6.4e2", 640}, {"\"640\"", 640}, {"null", 0}, {"0", 0},     {"-1", 0},
               {"640.5", 0},     {"NaN", 0},     {"1e30", 0},      {"\"\"", 0}, {"[640]", 0}, {"2147483647", INT32_MAX},
               {"2147483648", 0}};
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[512];
    struct dataset dataset;
    snprintf(text, sizeof(text),
             "{\"images\":[{\"id\":1,\"file_name\":\"a\",\"width\":%s,\"height\":%s}]," CATEGORIES
             "," ANNOTATIONS("") "}",
             cases[i].value, cases[i].value);
    read_text(&dataset, text, DATASET_XYWH);
    assert_int_equal(dataset.images[0].width, cases[i].pixels);
    assert_int_equal(dataset.images[0].height, cases[i].pixels);
    dataset_free(&dataset);
  }
}

static void check_box(const char *text, enum dataset_boxes boxes, double x, double y, double w, double h) {
  struct dataset dataset;
  read_text(&dataset, text, boxes);
  if (dataset.box_count != 1) fail_msg("%s\n  left out: %s", text, dataset.faults[DATASET_BAD_BOX].first);
  const struct dataset_box *box = &dataset.boxes[0];
  if (!(box->x == x && box->y == y && box->w == w && box->h == h))
    fail_msg("%s\n  gives %g %g %g %g, not %g %g %g %g", text, box->x, box->y, box->w, box->h, x, y, w, h);
  dataset_free(&dataset);
}

#define SIZED(bbox)                                                                                                    \
  "{\"images\":[{\"id\":1,\"file_name\":\"a\",\"width\":200,\"height\":100}]," CATEGORIES                              \
  "," ANNOTATIONS(ANNOTATION(bbox)) "}"

static void test_box_forms(void **state) {
  (void)state;
  check_box(SIZED("[10,20,30,50]"), DATASET_XYWH, 10, 20, 30, 50);
  check_box(SIZED("[10,20,30,50]"), DATASET_XYXY, 10, 20, 20, 30);
  check_box(SIZED("[0.25,0.5,0.125,0.25]"), DATASET_RELATIVE, 50, 50, 25, 25);
  check_box(SIZED("[0.25,0.5,0.375,0.75]"), DATASET_RELATIVE_XYXY, 50, 50, 25, 25);
  check_box(SIZED("[\"10\",\" 20.5 \",\"3e1\",50]"), DATASET_XYWH, 10, 20.5, 30, 50);
  /* Polygons are corners already, and relative as boxes are. */
  check_box(SIZED("null,\"segmentation\":[[10,20,30,20,30,50]]"), DATASET_XYXY, 10, 20, 20, 30);
  check_box(SIZED("[],\"segmentation\":[[0.25,0.5,0.375,0.75]]"), DATASET_RELATIVE, 50, 50, 25, 25);
  struct dataset dataset;
  read_text(&dataset, WITH(ANNOTATIONS(ANNOTATION("[0.1,0.1,0.1,0.1]"))), DATASET_RELATIVE);
  assert_int_equal(dataset.box_count, 1); /* waits for the picture */
  assert_int_equal(dataset.boxes[0].flags, DATASET_PARTS);
  assert_true(dataset.boxes[0].x == 0.1);
  dataset_free(&dataset);
}

/* ---- segmentations ---- */

#define MASK(segmentation) WITH(ANNOTATIONS("{\"image_id\":1,\"category_id\":3,\"segmentation\":" segmentation "}"))

static void test_polygons(void **state) {
  (void)state;
  check_box(MASK("[[10,20,30,20,30,50]]"), DATASET_XYWH, 10, 20, 20, 30);
  check_box(MASK("[[10,20,30,20,30,50],[5,60,6,61]]"), DATASET_XYWH, 5, 20, 25, 41);
  check_box(MASK("[10,20,30,20,30,50]"), DATASET_XYWH, 10, 20, 20, 30);
  check_box(MASK("[[[10,20],[30,20],[30,50]]]"), DATASET_XYWH, 10, 20, 20, 30);
  check_box(WITH(ANNOTATIONS("{\"segmentation\":[[1,2,3,4]],\"image_id\":1,\"bbox\":[9,9,9,9],\"category_id\":3}")),
            DATASET_XYWH, 9, 9, 9, 9);
}

/* A bbox without area is as good as none, where the segmentation has one. */
#define BOX_AND_MASK(bbox, segmentation)                                                                               \
  WITH(ANNOTATIONS("{\"image_id\":1,\"category_id\":3,\"bbox\":" bbox ",\"segmentation\":" segmentation "}"))

static void test_empty_boxes(void **state) {
  (void)state;
  check_box(BOX_AND_MASK("[0,0,0,0]", "[[10,20,30,20,30,50]]"), DATASET_XYWH, 10, 20, 20, 30);
  check_box(BOX_AND_MASK("[-1,-1,-1,-1]", "[[10,20,30,20,30,50]]"), DATASET_XYXY, 10, 20, 20, 30);
  check_box(BOX_AND_MASK("[0,0,0,0]", "{\"size\":[4,3],\"counts\":[5,2,5]}"), DATASET_RELATIVE, 1, 1, 1, 2);
  check_box(BOX_AND_MASK("[1,2,0,4]", "[]"), DATASET_XYWH, 1, 2, 0, 4);
  check_box(BOX_AND_MASK("[1,2,0,4]", "[[5,5]]"), DATASET_XYWH, 1, 2, 0, 4);
  check_box(BOX_AND_MASK("[1,2,0,4]", "\"x\""), DATASET_XYWH, 1, 2, 0, 4);
}

/* Masks of 4 x 3: columns first. */
static void test_runs(void **state) {
  (void)state;
  check_box(MASK("{\"size\":[4,3],\"counts\":[5,2,5]}"), DATASET_XYWH, 1, 1, 1, 2);
  check_box(MASK("{\"counts\":[5,2,5],\"size\":[4,3]}"), DATASET_XYWH, 1, 1, 1, 2);
  check_box(MASK("{\"size\":[4,3],\"counts\":[3,2,7]}"), DATASET_XYWH, 0, 0, 2, 4);
  check_box(MASK("{\"size\":[4,3],\"counts\":[0,12]}"), DATASET_XYWH, 0, 0, 3, 4);
  check_box(MASK("{\"size\":[4,3],\"counts\":[1,1,0,0,6,1,3]}"), DATASET_XYWH, 0, 0, 3, 2);
  check_box(MASK("{\"size\":[4,3],\"counts\":\"525\"}"), DATASET_XYWH, 1, 1, 1, 2);
  /* 3, 1, 2, then 0 + 1, -1 + 2 */
  check_box(MASK("{\"size\":[4,3],\"counts\":\"3120O\"}"), DATASET_XYWH, 0, 2, 2, 2);
}

static void test_bad_masks(void **state) {
  (void)state;
  static const struct {
    const char *segmentation;
    enum dataset_fault fault;
  } cases[] = {
      {"null", DATASET_NO_BOX},
      {"[]", DATASET_NO_BOX},
      {"[[]]", DATASET_NO_BOX},
      {"{\"size\":[4,3],\"counts\":[12]}", DATASET_NO_BOX},
      {"{\"size\":[4,3],\"counts\":[]}", DATASET_NO_BOX},
      {"{\"size\":[4,3],\"counts\":\"\"}", DATASET_NO_BOX},
      {"[[1,2,3]]", DATASET_BAD_BOX},
      {"[[1,2,3,NaN]]", DATASET_BAD_BOX},
      {"[[1,2,3,1e999]]", DATASET_BAD_BOX},
      {"[[1,2,null,4]]", DATASET_BAD_BOX},
      {"[{\"x\":1}]", DATASET_BAD_BOX},
      {"\"mask.png\"", DATASET_BAD_BOX},
      {"7", DATASET_BAD_BOX},
      {"{}", DATASET_BAD_BOX},
      {"{\"counts\":[5,2,5]}", DATASET_BAD_BOX},
      {"{\"size\":[4],\"counts\":[5,2,5]}", DATASET_BAD_BOX},
      {"{\"size\":[4,-3],\"counts\":[5,2,5]}", DATASET_BAD_BOX},
      {"{\"size\":[4,99999999999],\"counts\":[5,2,5]}", DATASET_BAD_BOX},
      {"{\"size\":[4,3],\"counts\":null}", DATASET_BAD_BOX},
      {"{\"size\":[4,3],\"counts\":[5,8]}", DATASET_BAD_BOX},
      {"{\"size\":[4,3],\"counts\":[-5,8]}", DATASET_BAD_BOX},
      {"{\"size\":[4,3],\"counts\":[5,2.5]}", DATASET_BAD_BOX},
      {"{\"size\":[4,3],\"counts\":[5,NaN]}", DATASET_BAD_BOX},
      {"{\"size\":[4,3],\"counts\":[5,9223372036854775807]}", DATASET_BAD_BOX},
      {"{\"size\":[4,3],\"counts\":\"5P\"}", DATASET_BAD_BOX}, /* cut in a number */
      {"{\"size\":[4,3],\"counts\":\"5~\"}", DATASET_BAD_BOX}, /* no such character */
      {"{\"size\":[4,3],\"counts\":\"5 \"}", DATASET_BAD_BOX},
      {"{\"size\":[4,3],\"counts\":\"52O\"}", DATASET_BAD_BOX}, /* a run of -1 */
      {"{\"size\":[4,3],\"counts\":\"PPPPPPPPPPPPPPPPPPPP1\"}", DATASET_BAD_BOX},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[512];
    struct dataset dataset;
    snprintf(text, sizeof(text), MASK("%s"), cases[i].segmentation);
    read_text(&dataset, text, DATASET_XYWH);
    if (dataset.faults[cases[i].fault].count != 1) fail_msg("%s", text);
    assert_int_equal(dataset.box_count, 0);
    dataset_free(&dataset);
  }
}

/* ---- ids ---- */

#define ITEM(image, category, rest) "{\"image_id\":" image ",\"category_id\":" category ",\"bbox\":[1,2,3,4]" rest "}"

static void test_ids(void **state) {
  (void)state;
  static const char text[] =
      "{\"annotations\":[" ITEM("\"a\\u0062\"", "\"7\"", ",\"id\":\"x\"") "," ITEM("5.0", "7", ",\"id\":9") "," ITEM(
          "\"5\"", "1e20", "") "," ITEM("99999999999999999999", "100000000000000000000.5",
                                        "") "," ITEM("\"05\"", "7",
                                                     "") "],"
                                                         "\"images\":[{\"id\":\"ab\",\"file_name\":\"0\"},{\"id\":5,"
                                                         "\"file_name\":\"1\"},{\"id\":"
                                                         "\"99999999999999999999\",\"file_name\":\"2\"}],"
                                                         "\"categories\":[{\"id\":7,\"name\":\"c\"},{\"id\":1e20,"
                                                         "\"name\":\"d\"},{\"id\":100000000000000000000.5,"
                                                         "\"name\":\"e\"}]}";
  struct dataset dataset;
  read_text(&dataset, text, DATASET_XYWH);
  assert_int_equal(dataset.box_count, 4);
  assert_int_equal(dataset.faults[DATASET_NO_IMAGE].count, 1);
  assert_non_null(strstr(dataset.faults[DATASET_NO_IMAGE].first, "has image_id \"05\""));
  static const int counts[] = {1, 2, 1}, categories[] = {0, 0, 1, 2}, ids[] = {1, 9, 3, 4};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(dataset.images[i].id, i + 1); /* not all of them are whole numbers */
    assert_int_equal(dataset.categories[i].id, i + 1);
    assert_int_equal(dataset.images[i].box_count, counts[i]);
  }
  for (int i = 0; i < 4; i++) {
    assert_int_equal(dataset.boxes[i].category, categories[i]);
    assert_int_equal(dataset.boxes[i].id, ids[i]);
  }
  dataset_free(&dataset);
}

/* Whole numbers in quotes are those numbers: nothing is renumbered. */
static void test_quoted_ids(void **state) {
  (void)state;
  struct dataset dataset;
  read_text(&dataset,
            "{\"images\":[{\"id\":\"-12\",\"file_name\":\"0\"}],\"categories\":[{\"id\":\"0\",\"name\":\"c\"}],"
            "\"annotations\":[" ITEM("-12", "\"0\"", "") "]}",
            DATASET_XYWH);
  assert_int_equal(dataset.images[0].id, -12);
  assert_int_equal(dataset.categories[0].id, 0);
  assert_int_equal(dataset.box_count, 1);
  dataset_free(&dataset);
}

static void test_many_texts(void **state) {
  (void)state;
  enum { COUNT = 5000 };
  struct buffer text = {0};
  struct error error = {0};
  struct dataset dataset;
  assert_ok(buffer_printf(&text, &error, "{" CATEGORIES ",\"images\":["), error);
  for (int i = 0; i < COUNT; i++)
    assert_ok(buffer_printf(&text, &error, "%s{\"id\":\"i%d\",\"file_name\":\"%d\"}", i > 0 ? "," : "", i, i), error);
  assert_ok(buffer_printf(&text, &error, "],\"annotations\":["), error);
  for (int i = 0; i < COUNT; i++) {
    assert_ok(buffer_printf(&text, &error, "%s{\"image_id\":\"i%d\",\"category_id\":3,\"bbox\":[%d,0,1,1]}",
                            i > 0 ? "," : "", COUNT - 1 - i, i),
              error);
  }
  assert_ok(buffer_printf(&text, &error, "]}"), error);
  assert_ok(parse(&dataset, (const char *)text.data, text.size, &error), error);
  assert_int_equal(dataset.box_count, COUNT);
  for (int i = 0; i < COUNT; i++)
    assert_true(dataset.images[i].box_count == 1 && dataset.boxes[i].x == COUNT - 1 - i);
  dataset_free(&dataset);
  buffer_free(&text);
}

static void test_annotation_ids(void **state) {
  (void)state;
  static const struct {
    const char *ids[3];
    int64_t expected[3];
  } cases[] = {
      {{"5", "-7", "900000000000"}, {5, -7, 900000000000}},
      {{"0", "0", "0"}, {1, 2, 3}},
      {{"7", "8", "7.0"}, {1, 2, 3}},
      {{"7", "\"x\"", "9"}, {7, 2, 9}},
      {{"7", "null", "2"}, {1, 2, 3}}, /* the second would be 2 as well */
      {{"-9223372036854775808", "9223372036854775807", "0"}, {INT64_MIN, INT64_MAX, 0}},
      {{"-9223372036854775808", "9223372036854775807", "9223372036854775807"}, {1, 2, 3}},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[512];
    struct dataset dataset;
    snprintf(text, sizeof(text),
             WITH(ANNOTATIONS(
                 ITEM("1", "3", ",\"id\":%s") "," ITEM("1", "3", ",\"id\":%s") "," ITEM("1", "3", ",\"id\":%s"))),
             cases[i].ids[0], cases[i].ids[1], cases[i].ids[2]);
    read_text(&dataset, text, DATASET_XYWH);
    for (int j = 0; j < 3; j++)
      if (dataset.boxes[j].id != cases[i].expected[j]) fail_msg("case %d: box %d", (int)i, j);
    assert_int_equal(dataset_fault_total(&dataset), 0);
    dataset_free(&dataset);
  }
}

/* ---- lists ---- */

static void test_listed_twice(void **state) {
  (void)state;
  struct dataset dataset;
  read_text(
      &dataset,
      "{\"images\":[{\"id\":1,\"file_name\":\"a\"},{\"id\":2,\"file_name\":\"b\"},\n{\"id\":1,\"file_name\":\"a\"},"
      "{\"id\":3,\"file_name\":\"c\"},{\"id\":2,\"file_name\":\"b\"}],\"annotations\":[" ITEM("3", "4", "") "," ITEM(
          "1", "5", "") "],\"categories\":[{\"id\":5,\"name\":\"x\"},{\"id\":5,\"name\":\"x\"},{\"id\":4,\"name\":"
                        "\"y\"}]}",
      DATASET_XYWH);
  assert_int_equal(dataset.image_count, 3);
  assert_int_equal(dataset.category_count, 2);
  assert_int_equal(dataset.box_count, 2);
  assert_string_equal(dataset.images[2].file_name, "c");
  assert_int_equal(dataset.images[2].box_count, 1);
  assert_int_equal(dataset.boxes[0].category, 0);
  assert_int_equal(dataset.boxes[1].category, 1);
  assert_int_equal(dataset.faults[DATASET_REPEATED].count, 3);
  assert_string_equal(dataset.faults[DATASET_REPEATED].first, "f.json:2: image 1 is listed again");
  assert_int_equal(dataset_fault_total(&dataset), 0);
  dataset_free(&dataset);
}

/* Classes counted from 0 here and from 1 there. */
static void test_shifted_categories(void **state) {
  (void)state;
  static const struct {
    int used[3];
    const char *words; /* NULL: it is read */
  } cases[] = {
      {{0, 1, 2},
       "1 annotations have category_id 0, which is not among the categories, and none has 3, the id of \"c\""},
      {{4, 2, 3},
       "1 annotations have category_id 4, which is not among the categories, and none has 1, the id of \"a\""},
      {{0, 0, 2}, "2 annotations have category_id 0"},
      {{0, 1, 3}, NULL}, /* 0 is something else */
      {{4, 1, 3}, NULL},
      {{0, 1, 4}, NULL},
      {{9, 1, 2}, NULL},
      {{1, 1, 2}, NULL},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char text[1024];
    struct dataset dataset;
    struct error error;
    size_t size = (size_t)snprintf(text, sizeof(text),
                                   "{" IMAGES ",\"categories\":[{\"id\":2,\"name\":\"b\"},{\"id\":3,\"name\":\"c\"},"
                                   "{\"id\":1,\"name\":\"a\"}],\"annotations\":[");
    for (int k = 0; k < 3; k++) {
      size +=
          (size_t)snprintf(text + size, sizeof(text) - size, "%s{\"image_id\":1,\"category_id\":%d,\"bbox\":[1,2,3,4]}",
                           k == 0 ? "" : ",", cases[i].used[k]);
    }
    size += (size_t)snprintf(text + size, sizeof(text) - size, "]}");
    int status = parse(&dataset, text, size, &error);
    if (cases[i].words == NULL) {
      assert_ok(status, error);
    } else {
      assert_int_equal(status, -1);
      if (strstr(error.message, cases[i].words) == NULL) fail_msg("%s", error.message);
    }
    dataset_free(&dataset);
  }
}

/* A name may be a number; an image that has none is left out where others have. */
static void test_odd_names(void **state) {
  (void)state;
  struct dataset dataset;
  read_text(&dataset,
            "{\"images\":[{\"id\":1,\"file_name\":7},{\"id\":2},{\"id\":3,\"file_name\":null}]," CATEGORIES
            ",\"annotations\":[" ANNOTATION("[1,2,3,4]") ",{\"image_id\":2,\"category_id\":3,\"bbox\":[1,2,3,4]}]}",
            DATASET_XYWH);
  assert_int_equal(dataset.image_count, 1);
  assert_string_equal(dataset.images[0].file_name, "7");
  assert_int_equal(dataset.box_count, 1);
  assert_int_equal(dataset.faults[DATASET_NO_IMAGE].count, 1);
  assert_int_equal(dataset.note_count, 1);
  assert_non_null(
      strstr(dataset.notes[0], "an image has no \"file_name\" and no \"coco_url\": left out, as 2 of 3 are"));
  dataset_free(&dataset);
}

/* No categories: each is called by its id, numbers first. */
static void test_unnamed_categories(void **state) {
  (void)state;
  static const char *const none[] = {"", ",\"categories\":[]", ",\"categories\":null"};
  for (size_t i = 0; i < COUNT_OF(none); i++) {
    char text[1024];
    struct dataset dataset;
    snprintf(text, sizeof(text),
             "{" IMAGES ",\"annotations\":[" ITEM("1", "\"dog\"", "") "," ITEM("1", "12", "") "," ITEM(
                 "1", "-3", "") "," ITEM("1", "\"cat\"", "") "," ITEM("1", "12", "") "]%s}",
             none[i]);
    read_text(&dataset, text, DATASET_XYWH);
    static const char *const names[] = {"-3", "12", "cat", "dog"};
    static const int categories[] = {3, 1, 0, 2, 1};
    assert_int_equal(dataset.category_count, 4);
    for (int j = 0; j < 4; j++)
      assert_string_equal(dataset.categories[j].name, names[j]);
    for (int j = 0; j < 5; j++)
      assert_int_equal(dataset.boxes[j].category, categories[j]);
    assert_int_equal(dataset.note_count, 1);
    assert_non_null(strstr(dataset.notes[0], "its 4 classes are called by their category_ids"));
    dataset_free(&dataset);
  }
}

static void test_addresses(void **state) {
  (void)state;
  struct dataset dataset;
  read_text(&dataset,
            "{\"images\":[{\"id\":1,\"coco_url\":\"http://h/train2017/1.jpg\"},"
            "{\"id\":2,\"file_name\":\"2.jpg\",\"coco_url\":\"http://h/x/y.jpg\"},"
            "{\"id\":3,\"coco_url\":\"http://h/x/y.jpg\",\"file_name\":\"3.jpg\"},"
            "{\"id\":4,\"file_name\":null,\"coco_url\":\"http://h/4.jpg\"},"
            "{\"id\":5,\"file_name\":\"images\\\\5.jpg\"}]," CATEGORIES "," ANNOTATIONS("") "}",
            DATASET_XYWH);
  static const char *const names[] = {"train2017/1.jpg", "2.jpg", "3.jpg", "4.jpg", "images/5.jpg"};
  for (int i = 0; i < 5; i++)
    assert_string_equal(dataset.images[i].file_name, names[i]);
  dataset_free(&dataset);
}

/* ---- UTF-16 ---- */

static void test_utf16(void **state) {
  (void)state;
  static const uint16_t name[] = {'a', 0xE9, 0x20AC, 0xD83D, 0xDE00};
  for (int form = 0; form < 4; form++) { /* bit 0: high byte first; bit 1: byte order mark */
    uint8_t bytes[1024];
    size_t size = 0, at = 0;
    static const char text[] = "{\"images\":[{\"id\":1,\"file_name\":\"@\"}]," CATEGORIES "," ANNOTATIONS("") "}";
    uint16_t units[512];
    if ((form & 2) != 0) units[at++] = 0xFEFF;
    for (size_t i = 0; text[i] != '\0'; i++) {
      if (text[i] != '@') units[at++] = (uint16_t)text[i];
      for (size_t j = 0; text[i] == '@' && j < COUNT_OF(name); j++)
        units[at++] = name[j];
    }
    for (size_t i = 0; i < at; i++) {
      bytes[size++] = (uint8_t)((form & 1) != 0 ? units[i] >> 8 : units[i]);
      bytes[size++] = (uint8_t)((form & 1) != 0 ? units[i] : units[i] >> 8);
    }
    struct dataset dataset;
    struct error error;
    assert_ok(parse(&dataset, (const char *)bytes, size, &error), error);
    assert_string_equal(dataset.images[0].file_name, "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    dataset_free(&dataset);
    assert_int_not_equal(parse(&dataset, (const char *)bytes, size - 1, &error), 0);
    assert_non_null(strstr(error.message, "cut off"));
    dataset_free(&dataset);
    bytes[size - 2] = (form & 1) != 0 ? 0xDC : 0;
    bytes[size - 1] = (form & 1) != 0 ? 0 : 0xDC;
    assert_int_not_equal(parse(&dataset, (const char *)bytes, size, &error), 0);
    assert_non_null(strstr(error.message, "UTF-16"));
    dataset_free(&dataset);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_left_out),     cmocka_unit_test(test_limit),
      cmocka_unit_test(test_flags),        cmocka_unit_test(test_sizes),
      cmocka_unit_test(test_box_forms),    cmocka_unit_test(test_polygons),
      cmocka_unit_test(test_runs),         cmocka_unit_test(test_bad_masks),
      cmocka_unit_test(test_ids),          cmocka_unit_test(test_quoted_ids),
      cmocka_unit_test(test_many_texts),   cmocka_unit_test(test_annotation_ids),
      cmocka_unit_test(test_listed_twice), cmocka_unit_test(test_unnamed_categories),
      cmocka_unit_test(test_addresses),    cmocka_unit_test(test_utf16),
      cmocka_unit_test(test_empty_boxes),  cmocka_unit_test(test_shifted_categories),
      cmocka_unit_test(test_odd_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
