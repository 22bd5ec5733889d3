/* PASCAL VOC documents and folders. */
#include "core/dataset/voc.h"

#include <math.h>

#include "tests/test_support.h"

#include "tests/dataset_support.h"

/* One more document, exactly as long as it is, so that reading beyond it is seen. */
static void parse_bytes(struct dataset *dataset, const void *bytes, size_t size) {
  struct error error = {0};
  char *copy = malloc(size + 1);
  memcpy(copy, bytes, size);
  assert_ok(voc_parse(dataset, copy, size, "some/f.xml", &error), error);
  free(copy);
}

static void parse(struct dataset *dataset, const char *text) {
  parse_bytes(dataset, text, strlen(text));
}

#define BOX(a, b, c, d) "<bndbox><xmin>" a "</xmin><ymin>" b "</ymin><xmax>" c "</xmax><ymax>" d "</ymax></bndbox>"
#define OBJECT(inside) "<annotation>\n<object>" inside "</object></annotation>"
#define SOUND "<object><name>sound</name>" BOX("1", "1", "2", "2") "</object>"

/* What cannot be read as a whole leaves nothing behind but its count. */
static void test_bad_documents(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "some/f.xml:1: no element found: is the file cut off?"},
      {"<annotation>" SOUND, "no element found"},
      {"<annotation>" SOUND "\n</b>", "some/f.xml:2: mismatched tag"},
      {"<annotation/>x", "junk after"},
      {"\n\n<annotations/>", "some/f.xml:3: expected <annotation>, found <annotations>"},
      {"<!DOCTYPE a [<!ENTITY x \"y\">]><annotation/>", "declares the entity \"x\""},
      {"<!DOCTYPE a [<!ENTITY % x \"y\">]><annotation/>", "declares the entity \"x\""},
      {"<!DOCTYPE a [<!ENTITY x SYSTEM \"/etc/passwd\">]><annotation>&x;</annotation>", "declares the entity \"x\""},
      {"<?xml version=\"1.0\" encoding=\"klingon\"?><annotation><a>\xff</a></annotation>",
       "some/f.xml: the encoding \"klingon\" is not known"},
      {"<annotation><name>a<b</name></annotation>", "not well-formed"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset dataset = {0};
    parse(&dataset, "<annotation>" SOUND "</annotation>");
    parse(&dataset, cases[i][0]);
    if (dataset.faults[DATASET_BAD_FILE].count != 1 || dataset_fault_total(&dataset) != 1)
      fail_msg("accepted: %s", cases[i][0]);
    const char *first = dataset.faults[DATASET_BAD_FILE].first;
    if (strstr(first, cases[i][1]) == NULL || strncmp(first, "some/f.xml:", 11) != 0) {
      fail_msg("%s\n  gives  %s\n  expected to hold  %s", cases[i][0], first, cases[i][1]);
    }
    assert_true(dataset.image_count == 1 && dataset.box_count == 1 && dataset.category_count == 1);
    parse(&dataset, "<annotation>" SOUND "</annotation>");
    assert_true(dataset.image_count == 2 && dataset.box_count == 2 && dataset.boxes[1].category == 0);
    dataset_free(&dataset);
  }
}

/* An object that cannot be used is counted, with its place; the others are read, and there is no background. */
static void test_bad_objects(void **state) {
  (void)state;
  static const struct {
    const char *text, *message;
    enum dataset_fault fault;
  } cases[] = {
      {"", "some/f.xml:2: <object> without <name>", DATASET_NO_CATEGORY},
      {"<name>a</name>", "<object> without <bndbox>", DATASET_NO_BOX},
      {BOX("1", "1", "2", "2"), "<object> without <name>", DATASET_NO_CATEGORY},
      {"<name>a</name><bndbox/>", "<bndbox> without <xmin>", DATASET_BAD_BOX},
      {"<name>a</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>1</xmax></bndbox>", "without <ymax>", DATASET_BAD_BOX},
      {"<name>a</name><part><name>b</name>" BOX("1", "1", "2", "2") "</part>", "<object> without <bndbox>",
       DATASET_NO_BOX},
      {"<name> </name>" BOX("1", "1", "2", "2"), "<name> is empty", DATASET_NO_CATEGORY},
      {"<name>a</name><name>b</name>" BOX("1", "1", "2", "2"), "a second <name> in one <object>", DATASET_BAD_VALUE},
      {"<name>a</name>" BOX("1", "1", "2", "2") BOX("1", "1", "2", "2"), "a second <bndbox>", DATASET_BAD_BOX},
      {"<name>a</name>" BOX("one", "1", "2", "2"), "<xmin> must be a number, not \"one\"", DATASET_BAD_BOX},
      {"<name>a</name>\n" BOX("1", "", "2", "2"), "some/f.xml:3: <ymin> must be a number, not \"\"", DATASET_BAD_BOX},
      {"<name>a</name>" BOX("1", "1", "2,5", "2"), "<xmax> must be a number, not \"2,5\"", DATASET_BAD_BOX},
      {"<name>a</name>" BOX("1", "1", "2", "0x2"), "<ymax> must be a number", DATASET_BAD_BOX},
      {"<name>caf\xe9</name>" BOX("1", "1", "2", "2"), "is not in the encoding of the document", DATASET_BAD_VALUE},
      {"<name>a</name><robndbox><cx>1</cx></robndbox>", "<robndbox> without <cy>", DATASET_BAD_BOX},
      {"<name>a</name><polygon><x1>1</x1></polygon>", "<polygon> without two points", DATASET_BAD_BOX},
      {"<name>a</name><polygon><x1>1</x1><y1>q</y1></polygon>", "<point> must be a number, not \"q\"", DATASET_BAD_BOX},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset dataset = {0};
    char text[1024];
    snprintf(text, sizeof(text), "<annotation>\n<object>%s</object>" SOUND "</annotation>", cases[i].text);
    parse(&dataset, text);
    const struct dataset_fault_count *count = &dataset.faults[cases[i].fault];
    if (count->count != 1 || dataset_fault_total(&dataset) != 1) fail_msg("counted otherwise: %s", cases[i].text);
    if (strstr(count->first, cases[i].message) == NULL || strncmp(count->first, "some/f.xml:", 11) != 0) {
      fail_msg("%s\n  gives  %s\n  expected to hold  %s", cases[i].text, count->first, cases[i].message);
    }
    assert_int_equal(dataset.box_count, 1);
    assert_int_equal(dataset.category_count, 1);
    assert_true(dataset.images[0].incomplete);
    dataset_free(&dataset);
  }
}

static void test_limits(void **state) {
  (void)state;
  struct buffer text = {0};
  struct dataset dataset = {0};
  struct error error = {0};
  assert_ok(buffer_printf(&text, &error, "<annotation>"), error);
  for (int i = 0; i < 100; i++)
    assert_ok(buffer_printf(&text, &error, "<a>"), error);
  parse(&dataset, (const char *)text.data);
  assert_non_null(strstr(dataset.faults[DATASET_BAD_FILE].first, "nested more than 64 deep"));
  dataset_free(&dataset);
  text.size = 0;
  assert_ok(buffer_printf(&text, &error, "<annotation><filename>%09999d", 0), error);
  parse(&dataset, (const char *)text.data);
  assert_non_null(strstr(dataset.faults[DATASET_BAD_FILE].first, "<filename> holds more than 4096 bytes"));
  dataset_free(&dataset);
  buffer_free(&text);
}

/* The name and the first box of a document that has just these. */
static void check_object(const char *text, const char *name, double x, double y, double w, double h, uint32_t flags) {
  struct dataset dataset = {0};
  parse(&dataset, text);
  if (dataset_fault_total(&dataset) != 0 || dataset.box_count != 1) fail_msg("%s is not taken", text);
  assert_string_equal(dataset.categories[0].name, name);
  const struct dataset_box *box = dataset.boxes;
  bool equal = fabs(box->x - x) < 1e-9 && fabs(box->y - y) < 1e-9 && fabs(box->w - w) < 1e-9 && fabs(box->h - h) < 1e-9;
  if (!equal) fail_msg("%s: %g %g %g %g", text, box->x, box->y, box->w, box->h);
  assert_int_equal(box->flags, flags);
  assert_false(dataset.images[0].incomplete);
  dataset_free(&dataset);
}

#define POLYGON(inside) OBJECT("<name>a</name><polygon>" inside "</polygon>")
#define ROTATED(angle)                                                                                                 \
  OBJECT("<type>robndbox</type><name>a</name><robndbox><cx>50</cx><cy>40</cy><w>20</w><h>10</h><angle>" angle          \
         "</angle></robndbox>")

static void test_shapes(void **state) {
  (void)state;
  check_object(POLYGON("<x1>24</x1><y1>40</y1><x2>104</x2><y2>80</y2>"), "a", 24, 40, 80, 40, 0); /* Roboflow */
  check_object(POLYGON("<username>me</username><pt><x>9</x><y>2</y></pt><pt><x>1</x><y>5</y></pt>"), "a", 1, 2, 8, 3,
               0);
  check_object(OBJECT("<name>a</name><points>1.5,2;3,4; 2,9</points>"), "a", 1.5, 2, 1.5, 7, 0);
  check_object(OBJECT("<name>a</name><points><point>1,2</point><point>3, 4</point></points>"), "a", 1, 2, 2, 2, 0);
  check_object(OBJECT("<name>a</name><segm><box><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>3</ymax></box></segm>"),
               "a", 0, 0, 2, 3, 0);
  check_object(OBJECT("<name>a</name>" BOX("1", "1", "2", "3") "<polygon><x1>7</x1><y1>8</y1></polygon>"), "a", 0, 0, 2,
               3, 0);
  check_object(ROTATED("0"), "a", 40, 35, 20, 10, 0);
  check_object(ROTATED("90"), "a", 45, 30, 10, 20, 0); /* degrees */
  check_object(ROTATED("0.7853981633974483"), "a", 50 - 7.5 * sqrt(2), 40 - 7.5 * sqrt(2), 15 * sqrt(2), 15 * sqrt(2),
               0);
  check_object(
      "<Annotation><Object><Name>a</Name><BndBox><XMin>5</XMin><YMin>6</YMin><Xmax>7</Xmax><YMAX>8</YMAX></BndBox>"
      "</Object></Annotation>",
      "a", 4, 5, 3, 3, 0);
  check_object("<annotation><objects><object><possibleresult><name>a</name></possibleresult>" BOX(
                   "1", "1", "2", "2") "</object></objects></annotation>",
               "a", 0, 0, 2, 2, 0);
  check_object(OBJECT("<name>a</name>" BOX("56", "25", "17", "72")), "a", 55, 24, -38, 48, 0); /* as it stands */
  check_object(OBJECT("<name>a</name>" BOX(
                   "1", "1", "2",
                   "2") "</object><object><name>b</name><deleted>1</deleted><polygon><pt><x>1</x></pt></polygon>"),
               "a", 0, 0, 2, 2, 0);
}

static void test_difficult(void **state) {
  (void)state;
  static const char *const easy[] = {"0", "", " 0 ", "0.0", "Unspecified", "False", "no", "?"};
  static const char *const difficult[] = {"1", " 1\n", "True", "true", "yes", "1.0", "2"};
  for (size_t i = 0; i < COUNT_OF(easy) + COUNT_OF(difficult); i++) {
    char text[256];
    bool hard = i >= COUNT_OF(easy);
    snprintf(text, sizeof(text), OBJECT("<name>a</name><difficult>%s</difficult>" BOX("1", "1", "2", "2")),
             hard ? difficult[i - COUNT_OF(easy)] : easy[i]);
    check_object(text, "a", 0, 0, 2, 2, hard ? DATASET_DIFFICULT : 0);
  }
  check_object(OBJECT("<name>a</name><difficult/>" BOX("1", "1", "2", "2")), "a", 0, 0, 2, 2, 0);
}

#define ENCODED(encoding, name)                                                                                        \
  "<?xml version=\"1.0\" encoding='" encoding "' ?>" OBJECT("<name>" name "</name>" BOX("1", "1", "2", "2"))

static void test_encodings(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {ENCODED("gb2312", "\xC3\xA8"), "\xE7\x8C\xAB"},
      {ENCODED("GBK", "\x82\x6E"), "\xE4\xBF\xB7"},
      {ENCODED("Windows-1252", "\x80"), "\xE2\x82\xAC"},
      {ENCODED("cp1251", "\xEA"), "\xD0\xBA"},
      {ENCODED("latin1", "\xE9"), "\xC3\xA9"},
      {ENCODED("ISO_8859-15", "\xA4"), "\xE2\x82\xAC"},
      {ENCODED("Shift_JIS", "\x94\x4C"), "\xE7\x8C\xAB"},
      {ENCODED("big5", "\xBF\xDF"), "\xE8\xB2\x93"},
      {ENCODED("euc-kr", "\xB0\xED"), "\xEA\xB3\xA0"},
      {ENCODED("utf8", "\xC3\xA9"), "\xC3\xA9"},
      {ENCODED("ascii", "\xC3\xA9"), "\xC3\xA9"},
      {ENCODED("utf-16", "a"), "a"}, /* .NET says so */
      {ENCODED("klingon", "a"), "a"},
      {ENCODED("klingon", "\xC3\xA9"), "\xC3\xA9"},
      {"\xEF\xBB\xBF\n\n" ENCODED("UTF-8", "a"), "a"},
      {"garbage\r\n" ENCODED("UTF-8", "a"), "a"},
      {OBJECT("<name>a & b&c;&amp;&#100;&lt;</name>" BOX("1", "1", "2", "2")), "a & b&c;&d<"},
      {OBJECT("<!-- & --><name>a<![CDATA[ & ]]></name>&" BOX("1", "1", "2", "2")), "a &"},
      {OBJECT("<path>C:\\Jos\xE9\x01</path><name>a</name>" BOX("1", "1", "2", "2")), "a"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++)
    check_object(cases[i][0], cases[i][1], 0, 0, 2, 2, 0);
  char wide[1024];
  const char *narrow = ENCODED("utf-8", "\xE9");
  for (size_t i = 0; i <= strlen(narrow); i++) { /* UTF-16, big-endian, without a mark */
    wide[2 * i] = '\0';
    wide[2 * i + 1] = narrow[i];
  }
  struct dataset dataset = {0};
  parse_bytes(&dataset, wide, 2 * strlen(narrow));
  assert_int_equal(dataset.box_count, 1);
  assert_string_equal(dataset.categories[0].name, "\xC3\xA9");
  dataset_free(&dataset);
}

static void test_file_names(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"<filename>a.jpg</filename>", "a.jpg"},
      {"<filename>a/b.jpg</filename>", "a/b.jpg"},
      {"<filename>a\\b.jpg</filename>", "a/b.jpg"},
      {"<filename>C:\\Users\\me\\p0.jpg</filename>", "p0.jpg"},
      {"<filename>/home/me/p0.jpg</filename>", "p0.jpg"},
      {"<filename>../p0.jpg</filename>", "p0.jpg"},
      {"<filename/>", "f.jpg"},
      {"<filename/><path>D:\\x\\q.png</path>", "q.png"},
      {"<filename>..</filename>", "f.jpg"},
      {"<filename>caf\xE9.jpg</filename>", "f.jpg"},
      {"<filename>a&b.jpg</filename>", "a&b.jpg"},
      {"", "f.jpg"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset dataset = {0};
    char text[256];
    snprintf(text, sizeof(text), "<annotation>%s<size><width>-1</width><height/></size></annotation>", cases[i][0]);
    parse(&dataset, text);
    assert_int_equal(dataset.image_count, 1);
    assert_string_equal(dataset.images[0].file_name, cases[i][1]);
    assert_true(dataset.images[0].width == 0 && dataset.images[0].height == 0); /* not known */
    dataset_free(&dataset);
  }
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
  struct dataset dataset = {0};
  struct error error;
  parse(&dataset, example);
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
    assert_ok(voc_parse(&dataset, copy, cut, "f.xml", &error), error);
    if (dataset.faults[DATASET_BAD_FILE].count != 1) fail_msg("accepted when cut at byte %zu", cut);
    assert_true(dataset.image_count == 0 && dataset.box_count == 0);
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

/* Loading gives these images and one fault of a kind, with this message. */
static void check_fault(const char *path, const char *split, const char *expected, const char *message) {
  struct dataset dataset;
  struct error error = {0};
  int64_t faults = 0;
  check_folder(path, NULL, split, expected);
  assert_ok(load_split(&dataset, path, NULL, split, &error), error);
  for (int fault = 0; fault < DATASET_FAULTS; fault++) {
    faults += dataset.faults[fault].count;
    if (dataset.faults[fault].count > 0 && strstr(dataset.faults[fault].first, message) == NULL)
      fail_msg("%s\n  expected to hold  %s", dataset.faults[fault].first, message);
  }
  assert_int_equal(faults, 1);
  dataset_free(&dataset);
}

static void test_folders(void **state) {
  (void)state;
  char root[64], path[128];
  test_scratch(root);
  make_folder(root, "Annotations");
  assert_load_fails(root, NULL, NULL, "no annotations found");
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
  assert_load_fails(root, NULL, "val", "no split \"val\": neither ImageSets/Main/val.txt");
  make_folder(root, "ImageSets/Main");
  make_file(root, "ImageSets/Main/val.txt", "c\r\n\nb\n");
  make_file(root, "ImageSets/Main/dog_val.txt", "a  1\nb -1\nc 0");
  make_file(root, "ImageSets/Main/no_val.txt", "a -1\n");
  assert_load_fails(root, NULL, "vall", "a folder vall of documents; there are dog_val, no_val, val");
  make_file(root, "ImageSets/Main/bad_val.txt", "a 1\nb 2\n");
  make_file(root, "ImageSets/Main/out_val.txt", "../a\n");
  make_file(root, "ImageSets/Main/gone_val.txt", "nobody\n");
  check_folder(root, NULL, "val", "gone.jpg=0ant b.jpg=2zebra ");
  check_folder(path, NULL, "dog_val", "a.PNG=1dog gone.jpg=0ant ");
  assert_load_fails(root, NULL, "no_val", "the list is empty");
  check_fault(root, "bad_val", "a.PNG=1dog ", "bad_val.txt:2: there is no document for \"b 2\"");
  check_folder(root, NULL, "out_val", "a.PNG=1dog ");
  assert_load_fails(root, NULL, "gone_val", "gone_val.txt:1: there is no document for \"nobody\"");
  make_file(root, "ImageSets/Main/test.txt",
            "b.jpg\nJPEGImages/a.PNG Annotations/a.xml\n/home/me/JPEGImages/c.jpg\n./d.XML\na\n");
  check_folder(root, NULL, "test", "b.jpg=2zebra a.PNG=1dog gone.jpg=0ant d.jpg=1dog ");
  make_file(root, "valid.txt", "c\n"); /* another name of val, in another place */
  struct error error = {0};
  snprintf(path, sizeof(path), "%s/ImageSets/Main/val.txt", root);
  assert_ok(file_remove_tree(path, &error), error);
  check_folder(root, NULL, "val", "gone.jpg=0ant ");
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

/* Folders as Kaggle, Roboflow and VOCdevkit have them. */
static void test_other_folders(void **state) {
  (void)state;
  char root[64], path[128];
  test_scratch(root);
  make_folder(root, "k/annotations/sub");
  make_folder(root, "k/images");
  make_document(root, "k/annotations/x.xml", "", "b");
  make_document(root, "k/annotations/sub/y.xml", "whatever.png", "a");
  make_file(root, "k/images/x.webp", "");
  make_file(root, "k/images/y.jpg", "");
  snprintf(path, sizeof(path), "%s/k", root);
  check_folder(path, NULL, NULL, "y.jpg=0a x.webp=1b ");
  snprintf(path, sizeof(path), "%s/k/annotations/", root);
  check_folder(path, NULL, NULL, "y.jpg=0a x.webp=1b ");

  make_folder(root, "r/train"); /* documents beside pictures, in a folder for each split */
  make_folder(root, "r/valid");
  make_document(root, "r/train/x.xml", "x.jpg", "b");
  make_document(root, "r/valid/x.xml", "x.jpg", "a");
  make_file(root, "r/train/x.jpg", "");
  make_file(root, "r/valid/x.jpg", "");
  snprintf(path, sizeof(path), "%s/r", root);
  check_folder(path, NULL, NULL, "train/x.jpg=1b valid/x.jpg=0a ");
  check_folder(path, NULL, "train", "train/x.jpg=1b ");
  check_folder(path, NULL, "val", "valid/x.jpg=0a ");

  make_folder(root, "devkit/VOC2007/Annotations");
  make_folder(root, "devkit/VOC2007/JPEGImages");
  make_folder(root, "devkit/VOC2007/SegmentationClass");
  make_document(root, "devkit/VOC2007/Annotations/x.xml", "x.jpg", "b");
  make_file(root, "devkit/VOC2007/JPEGImages/x.jpg", "");
  make_file(root, "devkit/VOC2007/SegmentationClass/x.png", "");
  snprintf(path, sizeof(path), "%s/devkit", root);
  check_folder(path, NULL, NULL, "VOC2007/JPEGImages/x.jpg=0b ");

  make_folder(root, "l/labels"); /* named as YOLO's are */
  make_folder(root, "l/images");
  make_document(root, "l/labels/x.xml", "x.jpg", "b");
  make_file(root, "l/images/x.jpg", "");
  snprintf(path, sizeof(path), "%s/l", root);
  check_folder(path, NULL, NULL, "x.jpg=0b ");

  make_folder(root, "o/Annotations"); /* a folder of another name, but not the masks */
  make_folder(root, "o/a_masks");
  make_folder(root, "o/frames");
  make_document(root, "o/Annotations/x.xml", "x.jpg", "b");
  make_file(root, "o/a_masks/x.png", "");
  make_file(root, "o/frames/x.jpeg", "");
  snprintf(path, sizeof(path), "%s/o", root);
  check_folder(path, NULL, NULL, "x.jpeg=0b ");
  test_scratch_remove(root);
}

/* The picture that is called like the document is taken, also where <filename> is another that is there. */
static void test_renamed(void **state) {
  (void)state;
  char root[64];
  test_scratch(root);
  make_document(root, "p0.xml", "p1.jpg", "b");
  make_document(root, "p1.xml", "gone.jpg", "b");
  make_document(root, "p2.xml", "p2.png", "b");
  make_document(root, "p3.xml", "other.jpg", "b");
  make_document(root, "p4.xml", "other", "b");
  make_file(root, "p0.jpg", "");
  make_file(root, "p1.jpg", "");
  make_file(root, "p2.jpg", "");
  make_file(root, "p2.png", "");
  make_file(root, "other.jpg", "");
  check_fault(root, NULL, "p0.jpg=0b p1.jpg=0b p2.png=0b other.jpg=0b other.jpg=0b ",
              "p0.xml: <filename> is p1.jpg, which is there, too; taken for p0.jpg");
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
      cmocka_unit_test(test_bad_documents), cmocka_unit_test(test_bad_objects),     cmocka_unit_test(test_limits),
      cmocka_unit_test(test_shapes),        cmocka_unit_test(test_difficult),       cmocka_unit_test(test_encodings),
      cmocka_unit_test(test_file_names),    cmocka_unit_test(test_values),          cmocka_unit_test(test_truncation),
      cmocka_unit_test(test_folders),       cmocka_unit_test(test_many_categories), cmocka_unit_test(test_loose_files),
      cmocka_unit_test(test_other_folders), cmocka_unit_test(test_renamed),         cmocka_unit_test(test_real_data),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
