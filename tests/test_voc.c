/* PASCAL VOC documents and folders. */
#include "core/dataset/internal.h"

#include <math.h>

#include "tests/test_support.h"

#include "tests/dataset_support.h"

static int parse(struct dataset *dataset, const char *text, struct error *error) {
  *dataset = (struct dataset){0};
  *error = (struct error){0};
  size_t size = strlen(text);
  char *copy = malloc(size + 1);
  memcpy(copy, text, size);
  int status = voc_parse(dataset, copy, size, "some/f.xml", error);
  free(copy);
  return status;
}

#define BOX(a, b, c, d) "<bndbox><xmin>" a "</xmin><ymin>" b "</ymin><xmax>" c "</xmax><ymax>" d "</ymax></bndbox>"
#define OBJECT(inside) "<annotation>\n<object>" inside "</object></annotation>"

static void test_bad_documents(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "no element found"},
      {"<annotation>", "no element found"},
      {"<annotation></b>", "line 1, column 15: mismatched tag"},
      {"<annotation/>x", "line 1, column 14: junk after"},
      {"<annotations/>", "expected <annotation>, found <annotations>"},
      {OBJECT(""), "<object> without <name>"},
      {OBJECT("<name>a</name>"), "<object> without <bndbox>"},
      {OBJECT(BOX("1", "1", "2", "2")), "line 2, column"},
      {OBJECT("<name>a</name><bndbox/>"), "<bndbox> without <xmin>"},
      {OBJECT("<name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>1</xmax></bndbox>"), "without <ymax>"},
      {OBJECT("<name>a</name><part><name>b</name>" BOX("1", "1", "2", "2") "</part>"), "<object> without <bndbox>"},
      {OBJECT("<name> </name>" BOX("1", "1", "2", "2")), "<name> is empty"},
      {OBJECT("<name>a</name><name>b</name>"), "a second <name> in one <object>"},
      {OBJECT("<name>a</name>" BOX("1", "1", "2", "2") BOX("1", "1", "2", "2")), "a second <bndbox>"},
      {OBJECT("<name>a</name>" BOX("one", "1", "2", "2")), "<xmin> must be a number, not \"one\""},
      {OBJECT("<name>a</name>" BOX("1", "", "2", "2")), "<ymin> must be a number, not \"\""},
      {OBJECT("<name>a</name>" BOX("1", "1", "2,5", "2")), "<xmax> must be a number, not \"2,5\""},
      {OBJECT("<name>a</name>" BOX("1", "1", "2", "0x2")), "<ymax> must be a number"},
      {OBJECT("<difficult>yes</difficult>"), "<difficult> must be 0 or 1, not \"yes\""},
      {"<annotation><size><width>-1</width></size></annotation>", "<width> cannot be \"-1\""},
      {"<annotation><size><height>1.5</height></size></annotation>", "<height> cannot be \"1.5\""},
      {"<annotation><size><height>nan</height></size></annotation>", "<height> cannot be \"nan\""},
      {"<annotation><size><width>w</width></size></annotation>", "<width> must be a number"},
      {"<annotation><filename>../x.jpg</filename></annotation>", "unsafe file name \"../x.jpg\""},
      {"<annotation><filename></filename></annotation>", "unsafe file name \"\""},
      {"<annotation><filename>a</filename><filename>a</filename></annotation>", "a second <filename>"},
      {"<annotation><filename>a\xff</filename></annotation>", "not well-formed"},
      {"<!DOCTYPE a [<!ENTITY x \"y\">]><annotation/>", "declares the entity \"x\""},
      {"<!DOCTYPE a [<!ENTITY % x \"y\">]><annotation/>", "declares the entity \"x\""},
      {"<!DOCTYPE a [<!ENTITY x SYSTEM \"/etc/passwd\">]><annotation>&x;</annotation>", "declares the entity \"x\""},
      {"<annotation><filename>&x;</filename></annotation>", "undefined entity"},
      {"<?xml version=\"1.0\" encoding=\"utf-17\"?><annotation/>", "unknown encoding"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset dataset;
    struct error error;
    if (parse(&dataset, cases[i][0], &error) == 0) fail_msg("accepted: %s", cases[i][0]);
    if (strstr(error.message, cases[i][1]) == NULL || strncmp(error.message, "some/f.xml: line ", 17) != 0) {
      fail_msg("%s\n  gives  %s\n  expected to hold  %s", cases[i][0], error.message, cases[i][1]);
    }
    dataset_free(&dataset);
  }
}

static void test_limits(void **state) {
  (void)state;
  struct buffer text = {0};
  struct dataset dataset;
  struct error error = {0};
  assert_ok(buffer_printf(&text, &error, "<annotation>"), error);
  for (int i = 0; i < 100; i++)
    assert_ok(buffer_printf(&text, &error, "<a>"), error);
  assert_int_equal(parse(&dataset, (const char *)text.data, &error), -1);
  assert_non_null(strstr(error.message, "nested more than 64 deep"));
  dataset_free(&dataset);
  text.size = 0;
  assert_ok(buffer_printf(&text, &error, "<annotation><filename>%09999d", 0), error);
  assert_int_equal(parse(&dataset, (const char *)text.data, &error), -1);
  assert_non_null(strstr(error.message, "<filename> holds more than 4096 bytes"));
  dataset_free(&dataset);
  buffer_free(&text);
}

static const char example[] =
    "\xEF\xBB\xBF<?xml version=\"1.0\"?>\n<annotation>\n<name>not this</name><filename> "
    "a/b&amp;\xC3\xA9.png\n</filename>"
    "<size><width>500</width><height>375.0</height><depth>3</depth></size>"
    "<object><part><name>head</name>" BOX("7", "7", "8", "8") "<difficult>1</difficult></part><name>dog</name>" BOX(
        "1", "1", "500", "375") "<difficult>1</difficult></object>"
                                "<object>" BOX(" 48.5\n", "nan", "1e2",
                                               "inf") "<name><![CDATA[cat]]></name></object>"
                                                      "<object><name>dog</name><difficult>0</difficult>" BOX(
                                                          "10", "20", "10", "20") "</object><x:y/></annotation>";

static void test_values(void **state) {
  (void)state;
  struct dataset dataset;
  struct error error;
  assert_ok(parse(&dataset, example, &error), error);
  assert_int_equal(dataset.format, DATASET_VOC);
  assert_int_equal(dataset.image_count, 1);
  assert_int_equal(dataset.box_count, 3);
  assert_int_equal(dataset.category_count, 2);
  assert_string_equal(dataset.categories[0].name, "dog");
  assert_string_equal(dataset.images[0].file_name, "a/b&\xC3\xA9.png");
  assert_int_equal(dataset.images[0].width, 500);
  assert_int_equal(dataset.images[0].height, 375);
  assert_int_equal(dataset.images[0].box_count, 3);
  const struct dataset_box *box = dataset.boxes;
  assert_true(box[0].x == 0 && box[0].y == 0 && box[0].w == 500 && box[0].h == 375);
  assert_int_equal(box[0].flags, DATASET_DIFFICULT);
  assert_true(box[1].x == 47.5f && isnan(box[1].y) && box[1].w == 52.5f && isnan(box[1].h));
  assert_int_equal(box[1].category, 1);
  assert_int_equal(box[1].flags, 0);
  assert_true(box[2].x == 9 && box[2].y == 19 && box[2].w == 1 && box[2].h == 1 && box[2].id == 3);
  assert_ok(voc_parse(&dataset, "<annotation/>", 13, "/x/y.z.xml", &error), error);
  assert_string_equal(dataset.images[1].file_name, "y.z.jpg");
  assert_int_equal(dataset.images[1].id, 2);
  assert_int_equal(dataset.images[1].first_box, 3);
  dataset_free(&dataset);
}

static void test_truncation(void **state) {
  (void)state;
  for (size_t cut = 0; cut < sizeof(example) - 1; cut++) {
    struct dataset dataset = {0};
    struct error error = {0};
    char *copy = malloc(cut + 1);
    memcpy(copy, example, cut);
    if (voc_parse(&dataset, copy, cut, "f.xml", &error) == 0) fail_msg("accepted when cut at byte %zu", cut);
    free(copy);
    dataset_free(&dataset);
  }
}

static void make_document(const char *root, const char *name, const char *file_name, const char *category) {
  char text[512];
  snprintf(
      text, sizeof(text),
      "<annotation><filename>%s</filename><object><name>%s</name>" BOX("1", "1", "2", "2") "</object></annotation>",
      file_name, category);
  make_file(root, name, text);
}

static void check_folder(const char *path, const char *images, const char *split, const char *expected) {
  struct dataset dataset;
  struct error error = {0};
  char found[512] = "";
  assert_ok(load_split(&dataset, path, images, split, &error), error);
  assert_int_equal(dataset.format, DATASET_VOC);
  for (int64_t i = 0; i < dataset.image_count; i++) {
    const struct dataset_image *image = &dataset.images[i];
    assert_int_equal(image->id, i + 1);
    assert_int_equal(image->box_count, 1);
    const struct dataset_category *category = &dataset.categories[dataset.boxes[image->first_box].category];
    size_t used = strlen(found);
    snprintf(found + used, sizeof(found) - used, "%s=%d%s ", image->file_name, (int)category->id, category->name);
  }
  assert_string_equal(found, expected);
  dataset_free(&dataset);
}

static void test_folders(void **state) {
  (void)state;
  char root[64], path[128];
  test_scratch(root);
  make_folder(root, "Annotations");
  assert_load_fails(root, NULL, NULL, "no .xml files");
  make_document(root, "Annotations/b.xml", "b.jpg", "zebra");
  make_document(root, "Annotations/a.xml", "elsewhere.jpg", "dog");
  make_document(root, "Annotations/c.xml", "gone.jpg", "ant");
  make_document(root, "Annotations/d.XML", "d.jpg", "dog");
  make_file(root, "Annotations/notes.txt", "nothing");
  make_folder(root, "JPEGImages");
  make_file(root, "JPEGImages/b.jpg", "");
  make_file(root, "JPEGImages/a.PNG", "");
  check_folder(root, NULL, NULL, "a.PNG=1dog b.jpg=2zebra gone.jpg=0ant d.jpg=1dog ");
  snprintf(path, sizeof(path), "%s/Annotations", root);
  check_folder(path, NULL, NULL, "a.PNG=1dog b.jpg=2zebra gone.jpg=0ant d.jpg=1dog ");
  check_folder(root, path, NULL, "elsewhere.jpg=1dog b.jpg=2zebra gone.jpg=0ant d.jpg=1dog ");
  assert_load_fails(root, NULL, "val", "ImageSets/Main/val.txt");
  make_folder(root, "ImageSets/Main");
  make_file(root, "ImageSets/Main/val.txt", "c\r\n\nb\n");
  make_file(root, "ImageSets/Main/dog_val.txt", "a  1\nb -1\nc 0");
  make_file(root, "ImageSets/Main/no_val.txt", "a -1\n");
  make_file(root, "ImageSets/Main/bad_val.txt", "a 1\nb 2\n");
  make_file(root, "ImageSets/Main/out_val.txt", "../a\n");
  make_file(root, "ImageSets/Main/gone_val.txt", "nobody\n");
  check_folder(root, NULL, "val", "gone.jpg=0ant b.jpg=2zebra ");
  check_folder(path, NULL, "dog_val", "a.PNG=1dog gone.jpg=0ant ");
  assert_load_fails(root, NULL, "no_val", "the list is empty");
  assert_load_fails(root, NULL, "bad_val", "bad_val.txt:2: expected a name");
  assert_load_fails(root, NULL, "out_val", "out_val.txt:1: \"../a\" cannot be the name");
  assert_load_fails(root, NULL, "gone_val", "nobody.xml");
  make_file(root, "Annotations/e\xff.xml", "<annotation/>");
  assert_load_fails(root, NULL, NULL, "\"e\\xff.xml\" is not UTF-8");
  test_scratch_remove(root);
}

/* Names are found by a table that grows; ids are positions until they are sorted, and after. */
static void test_many_categories(void **state) {
  (void)state;
  struct dataset dataset = {0};
  struct error error = {0};
  char name[32];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 10000; i++) {
      int32_t category;
      snprintf(name, sizeof(name), "%d", (i * 7919) % 10000);
      assert_ok(build_category_named(&dataset, text_of(name), "f", &category, &error), error);
      assert_string_equal(dataset.categories[category].name, name);
      if (round < 2) assert_int_equal(category, i);
    }
    if (round == 1) assert_ok(build_sort_categories(&dataset, &error), error);
  }
  assert_int_equal(dataset.category_count, 10000);
  int32_t category;
  assert_int_equal(build_category_named(&dataset, TEXT("x"), "f:3", &category, &error), -1);
  assert_non_null(strstr(error.message, "f:3: \"x\" would be category 10001"));
  dataset_free(&dataset);
}

static void test_loose_files(void **state) {
  (void)state;
  char root[64];
  test_scratch(root);
  make_document(root, "x.xml", "x.jpg", "b");
  make_document(root, "y.xml", "y.jpg", "a");
  make_file(root, "x.png", "");
  check_folder(root, NULL, NULL, "x.png=1b y.jpg=0a ");
  test_scratch_remove(root);
}

static void test_real_data(void **state) {
  (void)state;
  static const struct {
    const char *folder, *split;
    int images, boxes;
  } cases[] = {{"groceries", NULL, 3956 + 977, 11609},
               {"groceries", "train", 3956, -1},
               {"groceries", "val", 977, -1},
               {"groceries_png", NULL, 75, -1}};
  char place[1024];
  const char *data = test_data(place);
  if (data == NULL) skip();
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char path[2048];
    struct dataset dataset;
    struct error error = {0};
    snprintf(path, sizeof(path), "%s/%s", data, cases[i].folder);
    assert_ok(load_split(&dataset, path, NULL, cases[i].split, &error), error);
    assert_int_equal(dataset.image_count, cases[i].images);
    assert_int_equal(dataset.category_count, 25);
    if (cases[i].boxes >= 0) assert_int_equal(dataset.box_count, cases[i].boxes);
    for (int64_t j = 0; j < dataset.image_count; j += 97) {
      snprintf(path, sizeof(path), "%s/%s", dataset.images[j].folder, dataset.images[j].file_name);
      assert_true(file_exists(path));
      assert_int_equal(dataset.images[j].width, 224);
    }
    dataset_free(&dataset);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bad_documents), cmocka_unit_test(test_limits),    cmocka_unit_test(test_values),
      cmocka_unit_test(test_truncation),    cmocka_unit_test(test_folders),   cmocka_unit_test(test_many_categories),
      cmocka_unit_test(test_loose_files),   cmocka_unit_test(test_real_data),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
