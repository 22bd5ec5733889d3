/* COCO: every kind of bad file has its message, every truncation is noticed, and random files come back as written. */
#include "core/dataset/json.h"

#include <inttypes.h>
#include <math.h>

#include "tests/test_support.h"

#include "tests/coco_support.h"
#include "tests/dataset_support.h"

#define SKIPPED(value) "{\"x\":" value "," IMAGES "," CATEGORIES "," ANNOTATIONS("") "}"

static void test_bad_files(void **state) {
  (void)state;
  static const char *const cases[][2] = {
      {"", "f.json:1: the file is empty"},
      {"\xEF\xBB\xBF", "the file is empty"},
      {"  \n ", "f.json:2: the file ends where"},
      {"[]", "COCO instances JSON"},
      {"{}", "has \"images\": not here"},
      {"{" IMAGES "}", "no \"annotations\": is it the list of a test set"},
      {"{" IMAGES "," ANNOTATIONS("") "}", "no \"categories\""},
      {"{" IMAGES "," ANNOTATIONS("") ",\"categories\":[]}", "no \"categories\""},
      {"{" IMAGES "," ANNOTATIONS("") ",\"categories\":{}}", "expected an array of categories"},
      {WITH(ANNOTATIONS("")) "x", "nothing after the end"},
      {WITH(ANNOTATIONS("") ",\"images\":[]"), "\"images\" is given twice"},
      {WITH("\"annotations\":{}"), "expected an array of annotations, found \"{\""},
      {WITH("\"annotations\":[x]"), "expected an annotation, found \"x\""},
      {WITH(ANNOTATIONS(ANNOTATION("[1,2,3,4,]"))), "a comma before \"]\": take the comma out"},
      {WITH(ANNOTATIONS("\n" ANNOTATION("[1,2,3,4]") ",\n\n ")), "f.json:2: a comma before \"]\""},
      {WITH(ANNOTATIONS(ANNOTATION("[1 2,3,4]"))), "\",\" or \"]\""},
      {WITH(ANNOTATIONS(ANNOTATION("[01,2,3,4]"))), "\",\" or \"]\""},
      {WITH(ANNOTATIONS(ANNOTATION("[1.,2,3,4]"))), "expected a digit"},
      {WITH(ANNOTATIONS(ANNOTATION("[1e,2,3,4]"))), "expected a digit"},
      {WITH(ANNOTATIONS(ANNOTATION("[-,2,3,4]"))), "expected a digit"},
      {WITH(ANNOTATIONS(ANNOTATION("[-NaN,2,3,4]"))), "expected a digit"},
      {WITH(ANNOTATIONS(ANNOTATION("[nan,2,3,4]"))), "found \"nan\": JSON in Python's way has NaN"},
      {WITH(ANNOTATIONS(ANNOTATION("[None,2,3,4]"))), "that is Python, not JSON"},
      {WITH(ANNOTATIONS(ANNOTATION("[+1,2,3,4]"))), "expected a value"},
      {WITH(ANNOTATIONS("{\"bbox\":[1,2,3,4],\"bbox\":[1,2,3,4]}")), "\"bbox\" is given twice"},
      {"{" CATEGORIES
       "," ANNOTATIONS("") ",\"images\":[{\"id\":1,\"file_name\":\"a\"},\n{\"id\":1,\"file_name\":\"b\"}]}",
       "f.json:2: image id 1 is \"a\" and \"b\": give each picture its own id"},
      {"{" IMAGES "," ANNOTATIONS("") ",\"categories\":[{\"id\":0,\"name\":\"a\"},\n\n{\"id\":0,\"name\":\"b\"}]}",
       "f.json:3: category id 0 is \"a\" and \"b\": give each its own id"},
      {"{\"images\":[{\"id\":1}]," CATEGORIES "," ANNOTATIONS("") "}",
       "f.json:1: an image has no \"file_name\" and no \"coco_url\""},
      {"{\"images\":[{\"id\":1,\"file_name\":\"\",\"coco_url\":null}]," ANNOTATIONS("") "}",
       "an image has no \"file_name\""},
      {"{\"images\":[{\"file_name\":\"a\"}]}", "an image has no \"id\""},
      {"{\"images\":[{\"id\":null,\"file_name\":\"a\"}]}", "an image needs an id that is a number or text"},
      {"{\"images\":[{\"id\":NaN,\"file_name\":\"a\"}]}", "an image needs an id that is a number or text"},
      {"{\"images\":[{\"file_name\":[7]}]}", "expected a file_name in quotes"},
      {"{\"images\":[{\"id\":1,\"file_name\":\"../\"}]}", "\"../\" names no picture"},
      {"{\"images\":[{\"file_name\":\"a\\u0000b\"}]}", "a NUL (\\u0000) in a file_name"},
      {"{\"images\":[{\"file_name\":\"a\xff\"}]}", "f.json:1: a string is not UTF-8"},
      {"{\"images\":[{\"file_name\":\"a\xed\xa0\x80\"}]}", "f.json:1: a string is not UTF-8"},
      {"{\"images\":[{\"file_name\":\"\\ud800\"}]}", "half of a surrogate pair"},
      {"{\"images\":[{\"file_name\":\"\\ud800\\u0041\"}]}", "half of a surrogate pair"},
      {"{\"images\":[{\"file_name\":\"\\udc00\"}]}", "half of a surrogate pair"},
      {"{\"images\":[{\"file_name\":\"\\u12g4\"}]}", "four hexadecimal digits"},
      {"{\"images\":[{\"file_name\":\"\\x41\"}]}", "after a backslash"},
      {"{\"images\":[{\"file_name\":\"a\nb\"}]}", "no control character"},
      {"{\"categories\":[{\"id\":1,\"name\":null}]}", "expected a category's name in quotes"},
      {"{\"categories\":[{\"name\":\"a\"}]}", "a category has no \"id\""},
      {"{\"categories\":[{\"id\":1}]}", "a category has no \"name\""},
      {"{\"categories\":[{\"id\":1,\"name\":\"a\\u0000\"}]}", "a NUL (\\u0000) in a category's name"},
      {"{\"a\" 1}", "\":\" after a key"},
      {"{a:1}", "a key in quotes"},
      {"{'a':1}", "JSON has double quotes"},
      {"{// x\n\"a\":1}", "JSON has no comments"},
      {"{\"a\":1,}", "a comma before \"}\""},
      {"{,\"a\":1}", "a key in quotes"},
      /* what is skipped is checked as well */
      {SKIPPED("[1,2"), "\",\" or \"]\""},
      {SKIPPED("[1,2}"), "\",\" or \"]\""},
      {SKIPPED("{\"a\":[1}"), "\",\" or \"]\""},
      {SKIPPED("{\"a\":1]"), "\",\" or \"}\""},
      {SKIPPED("[1,,2]"), "a value"},
      {SKIPPED("[10.5, 20.5, 30.5, 40.5, 50.5,]"), "a comma before"},
      {SKIPPED("[10.5, 20.5, 030.5, 40.5, 50.5]"), "\",\" or \"]\""},
      {SKIPPED("[10.5, 20., 30.5, 40.5, 50.5]"), "a digit"},
      {SKIPPED("[10.5, 20.5.5, 30.5, 40.5, 50.5]"), "\",\" or \"]\""},
      {SKIPPED("[10.5, .5, 30.5, 40.5, 50.5, 60.5]"), "a value"},
      {SKIPPED("[10.5, -, 30.5, 40.5, 50.5, 60.5]"), "a digit"},
      {SKIPPED("[10.5, --1, 30.5, 40.5, 50.5, 60.5]"), "a digit"},
      {SKIPPED("[1 2]"), "\",\" or \"]\""},
      {SKIPPED("tru"), "expected true"},
      {SKIPPED("nul"), "expected null"},
      {SKIPPED("Infinit"), "expected Infinity"},
      {SKIPPED("'a'"), "a value"},
      {SKIPPED("\"\\q\""), "after a backslash"},
      {SKIPPED("\"\t\""), "no control character"},
      {SKIPPED("\"a long string, then \xc3(\""), "f.json:1: a string is not UTF-8"},
      {SKIPPED("[\"\\udfff\"]"), "half of a surrogate pair"},
      {SKIPPED("{\"a\":1,\"b\"}"), "\":\" after a key"},
      {SKIPPED("{1:2}"), "a key in quotes"},
      {SKIPPED("{\"a\":1,}"), "a comma before"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct dataset dataset;
    struct error error;
    if (parse(&dataset, cases[i][0], strlen(cases[i][0]), &error) == 0) fail_msg("accepted: %s", cases[i][0]);
    if (strstr(error.message, cases[i][1]) == NULL || strncmp(error.message, "f.json:", 7) != 0) {
      fail_msg("%s\n  gives  %s\n  expected to hold  %s", cases[i][0], error.message, cases[i][1]);
    }
    dataset_free(&dataset);
  }
}

static void test_depth(void **state) {
  (void)state;
  char text[512];
  for (int depth = JSON_DEPTH_MAX - 3; depth < JSON_DEPTH_MAX + 100; depth++) {
    struct dataset dataset;
    struct error error;
    int size =
        snprintf(text, sizeof(text), "{\"x\":%.*s1", depth,
                 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                 "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
    assert_int_not_equal(parse(&dataset, text, (size_t)size, &error), 0);
    assert_int_equal(strstr(error.message, "nested more than 64 deep") != NULL, depth >= JSON_DEPTH_MAX);
    dataset_free(&dataset);
  }
}

static void test_values(void **state) {
  (void)state;
  static const char text[] =
      "\xEF\xBB\xBF\r\n\t{\"annotations\":[{\"bbox\":[NaN,Infinity,-Infinity,1e999],\"category_id\":0,\"image_id\":-0},"
      "{\"segmentation\":{\"counts\":\"a\\\"]\",\"size\":[]},\"area\":NaN,\"iscrowd\":1,\"image_id\":12.0,"
      "\"category_id\":9223372036854775807,\"id\":1e3,\"bbox\":[-1.5E1,0.1,123456.789012,1e-400]}],"
      "\"categories\":[{\"id\":9223372036854775807,\"name\":\"\\u00e9\\ud83d\\ude00\\n\\/\"},{\"id\":0,\"name\":\"\"}],"
      "\"\\u0069mages\":[{\"id\":12,\"file_name\":\"./x/y\xC3\xA9.jpg\",\"width\":6.4e2,\"height\":0},"
      "{\"id\":0,\"file_name\":\"./x/y\xC3\xA9.jpg\"}]}  ";
  struct dataset dataset;
  struct error error;
  assert_ok(parse(&dataset, text, strlen(text), &error), error);
  assert_int_equal(dataset.format, DATASET_COCO);
  assert_int_equal(dataset.image_count, 2);
  assert_int_equal(dataset.category_count, 2);
  assert_int_equal(dataset.box_count, 2);
  assert_string_equal(dataset.categories[0].name, "\xC3\xA9\xF0\x9F\x98\x80\n/");
  assert_true(dataset.categories[0].id == INT64_MAX);
  assert_string_equal(dataset.images[0].file_name, "./x/y\xC3\xA9.jpg");
  assert_int_equal(dataset.images[0].width, 640);
  assert_int_equal(dataset.images[0].first_box, 0);
  assert_int_equal(dataset.images[1].first_box, 1);
  assert_int_equal(dataset.images[1].id, 0);
  const struct dataset_box *box = &dataset.boxes[0];
  assert_int_equal(box->id, 1000);
  assert_int_equal(box->flags, DATASET_CROWD);
  assert_int_equal(box->category, 0);
  assert_true(box->x == -15 && box->y == 0.1 && box->w == 123456.789012 && box->h == 0);
  box++;
  assert_int_equal(box->id, 1);
  assert_true(isnan(box->x) && box->y == INFINITY && box->w == -INFINITY && box->h == INFINITY);
  XXH128_hash_t hash = XXH3_128bits(text, strlen(text));
  assert_true(XXH128_isEqual(dataset.hash, hash));
  dataset_free(&dataset);
}

static void test_numbers(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 1, 0);
  for (int i = 0; i < 200000; i++) {
    char text[900];
    int digits = (int)rng_below(&rng, i % 100 == 0 ? 800 : 30) + 1, size = 0;
    int point = (int)rng_below(&rng, (uint64_t)digits + 1);
    if (rng_below(&rng, 2) == 0) text[size++] = '-';
    for (int d = 0; d < digits; d++) {
      if (d == point) text[size++] = '.';
      text[size++] = (char)('0' + (rng_below(&rng, 4) == 0 ? 0 : rng_below(&rng, 10)));
    }
    if (rng_below(&rng, 2) == 0) {
      size += snprintf(text + size, 20, "e%d", (int)rng_below(&rng, 700) - 350);
    }
    text[size] = '\0';
    double expected = strtod(text, NULL), value;
    assert_true(text_number((struct text){text, (size_t)size}, &value));
    if (memcmp(&expected, &value, sizeof(value)) != 0) fail_msg("%s read as %.17g, not %.17g", text, value, expected);
  }
  static const char *const halves[] = {/* exactly between two doubles, and just above */
                                       "9007199254740993",
                                       "9007199254740993.0000000000000000000000000000001",
                                       "1.00000000000000011102230246251565404236316680908203125",
                                       "2.2250738585072011e-308",
                                       "4.9406564584124654e-324",
                                       "1.7976931348623159e308"};
  for (size_t i = 0; i < COUNT_OF(halves); i++) {
    assert_true(decimal_value(text_of(halves[i])) == strtod(halves[i], NULL));
  }
  static const char *const bad[] = {"",   "-",    ".",     "1e",  "e1",  "1.2.3", "0x10",
                                    "1 ", "nanx", "infin", "--1", "1e+", "+"};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    double value;
    if (text_number(text_of(bad[i]), &value)) fail_msg("\"%s\" passed for a number", bad[i]);
  }
  int64_t integer;
  assert_true(decimal_integer(TEXT("-9223372036854775808"), &integer) && integer == INT64_MIN);
  assert_true(decimal_integer(TEXT("922337203685477580.7e1"), &integer) && integer == INT64_MAX);
  assert_true(decimal_integer(TEXT("0e99999999999"), &integer) && integer == 0);
  assert_true(decimal_integer(TEXT("1200e-2"), &integer) && integer == 12);
  assert_true(decimal_integer(TEXT("5.0000000000000000000000000000"), &integer) && integer == 5);
  assert_false(decimal_integer(TEXT("5.0000000000000000000000000001"), &integer));
  assert_false(decimal_integer(TEXT("1e-1"), &integer));
}

/* ---- random files ---- */

struct model {
  int64_t *images, *categories, *annotations; /* ids; annotations may be 0: leave it out */
  int *owner, *category, *crowd;
  double (*boxes)[4];
  int image_count, category_count, annotation_count;
};

static int64_t *random_ids(struct rng *rng, int count) {
  int64_t *ids = calloc((size_t)count + 1, sizeof(*ids));
  bool wide = rng_below(rng, 2) == 0;
  int64_t start = (int64_t)rng_below(rng, 1000) - 500;
  for (int i = 0; i < count; i++) { /* distinct: the position is the low part */
    ids[i] = wide ? (int64_t)((uint64_t)rng_u32(rng) << 32 | (uint32_t)i) : start + 7 * i;
  }
  return ids;
}

static struct model random_model(struct rng *rng, int images, int annotations) {
  struct model model = {.image_count = images, .annotation_count = annotations};
  model.category_count = (int)rng_below(rng, 90) + 1;
  model.images = random_ids(rng, images);
  model.categories = random_ids(rng, model.category_count);
  model.annotations = random_ids(rng, annotations);
  model.owner = calloc((size_t)annotations + 1, sizeof(int));
  model.category = calloc((size_t)annotations + 1, sizeof(int));
  model.crowd = calloc((size_t)annotations + 1, sizeof(int));
  model.boxes = calloc((size_t)annotations + 1, sizeof(*model.boxes));
  for (int i = 0; i < annotations; i++) {
    model.owner[i] = (int)rng_below(rng, (uint64_t)images);
    model.category[i] = (int)rng_below(rng, (uint64_t)model.category_count);
    model.crowd[i] = rng_below(rng, 10) == 0;
    for (int k = 0; k < 4; k++)
      model.boxes[i][k] = rng_range(rng, -10, 1000);
  }
  return model;
}

static void model_free(struct model *model) {
  free(model->images), free(model->categories), free(model->annotations);
  free(model->owner), free(model->category), free(model->crowd), free(model->boxes);
}

struct writer {
  struct buffer out;
  struct rng *rng;
  struct error error;
};

static void put(struct writer *writer, const char *format, ...) PRINTF_LIKE(2, 3);
static void put(struct writer *writer, const char *format, ...) {
  char text[256];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  assert_ok(buffer_append(&writer->out, text, (size_t)size, &writer->error), writer->error);
}

static void put_space(struct writer *writer) {
  static const char *const spaces[] = {"", "", "", " ", "\n", "\t", "\r\n", "                   ", "\n          "};
  put(writer, "%s", spaces[rng_below(writer->rng, COUNT_OF(spaces))]);
}

static void put_junk(struct writer *writer, int depth) {
  static const char *const junk[] = {
      "null", "true", "false", "NaN",      "-Infinity", "\"a\\\\\\\"b\"", "\"\\ud83d\\ude00\"",
      "-0",   "0.5",  "1E+9",  "12345678", "123.4567",  "1234567.8",      "\"\xC3\xA9 longer text\""};
  uint64_t kind = rng_below(writer->rng, depth > 0 ? 3 : 1);
  put_space(writer);
  if (kind == 0) {
    put(writer, "%s", junk[rng_below(writer->rng, COUNT_OF(junk))]);
  } else {
    uint64_t count = rng_below(writer->rng, 4);
    bool gap = rng_below(writer->rng, 2) == 0;
    put(writer, kind == 1 ? "[" : "{");
    for (uint64_t i = 0; i < count; i++) {
      put(writer, i > 0 ? "," : "");
      if (kind == 2) put(writer, "\"k%d\":", (int)i);
      put_junk(writer, depth - 1);
    }
    if (kind == 1 && count > 0) {
      for (uint64_t n = rng_below(writer->rng, 30); n > 0; n--) {
        put(writer, gap ? ", %.*f" : ",%.*f", (int)rng_below(writer->rng, 5), rng_range(writer->rng, -100, 1000));
      }
    }
    put_space(writer);
    put(writer, kind == 1 ? "]" : "}");
  }
  put_space(writer);
}

/* Writes the parts of an object in random order with junk between them. */
static void put_members(struct writer *writer, int count, void (*put_member)(struct writer *, int, const void *),
                        const void *context) {
  int order[8];
  put_space(writer);
  put(writer, "{");
  for (int i = 0; i < count; i++) {
    int j = (int)rng_below(writer->rng, (uint64_t)i + 1);
    order[i] = order[j];
    order[j] = i;
  }
  for (int i = 0; i < count; i++) {
    put(writer, i > 0 ? "," : "");
    if (rng_below(writer->rng, 3) == 0) {
      put_space(writer);
      put(writer, "\"extra%d\":", i);
      put_junk(writer, 3);
      put(writer, ",");
    }
    put_space(writer);
    put_member(writer, order[i], context);
    put_space(writer);
  }
  put(writer, "}");
  put_space(writer);
}

struct item {
  const struct model *model;
  int at;
};

static void put_image(struct writer *writer, int member, const void *context) {
  const struct item *item = context;
  if (member == 0) put(writer, "\"id\" :%" PRId64, item->model->images[item->at]);
  if (member == 1) put(writer, "\"file_name\": \"%d.jpg\"", item->at);
  if (member == 2) put(writer, "\"width\":%d", item->at % 1000);
}

static void put_category(struct writer *writer, int member, const void *context) {
  const struct item *item = context;
  put(writer, member == 0 ? "\"id\":%" PRId64 : "\"name\":\"c%" PRId64 "\"", item->model->categories[item->at]);
}

static void put_annotation(struct writer *writer, int member, const void *context) {
  const struct item *item = context;
  const struct model *model = item->model;
  const double *box = model->boxes[item->at];
  if (member == 0) put(writer, "\"id\":%" PRId64, model->annotations[item->at]);
  if (member == 1) put(writer, "\"image_id\":%" PRId64, model->images[model->owner[item->at]]);
  if (member == 2) put(writer, "\"category_id\":%" PRId64 ".0", model->categories[model->category[item->at]]);
  if (member == 3) put(writer, "\"iscrowd\":%d", model->crowd[item->at]);
  if (member == 4) {
    put(writer, "\"bbox\":[%.17g,%.17e, %.18g ,\n%.19g]", box[0], box[1], box[2], box[3]);
  }
}

static void put_section(struct writer *writer, int section, const void *context) {
  const struct model *model = context;
  static const char *const names[] = {"images", "categories", "annotations"};
  const int counts[] = {model->image_count, model->category_count, model->annotation_count}, members[] = {3, 2, 5};
  void (*const put_member[])(struct writer *, int, const void *) = {put_image, put_category, put_annotation};
  put(writer, "\"%s\":", names[section]);
  put_space(writer);
  put(writer, "[");
  put_space(writer);
  for (int i = 0; i < counts[section]; i++) {
    struct item item = {model, i};
    put(writer, i > 0 ? "," : "");
    put_members(writer, members[section], put_member[section], &item);
  }
  put(writer, "]");
}

static void check_model(const struct model *model, const struct dataset *dataset) {
  assert_int_equal(dataset->image_count, model->image_count);
  assert_int_equal(dataset->category_count, model->category_count);
  assert_int_equal(dataset->box_count, model->annotation_count);
  for (int i = 0; i < model->category_count; i++)
    assert_true(dataset->categories[i].id == model->categories[i]);
  int32_t *seen = calloc((size_t)model->image_count + 1, sizeof(*seen));
  for (int i = 0; i < model->annotation_count; i++) {
    const struct dataset_image *image = &dataset->images[model->owner[i]];
    const struct dataset_box *box = &dataset->boxes[image->first_box + seen[model->owner[i]]++];
    assert_true(box->id == model->annotations[i]);
    assert_int_equal(box->category, model->category[i]);
    assert_int_equal(box->flags, model->crowd[i] ? DATASET_CROWD : 0);
    assert_memory_equal(&box->x, model->boxes[i], sizeof(model->boxes[i]));
  }
  for (int i = 0; i < model->image_count; i++) {
    char name[32];
    snprintf(name, sizeof(name), "%d.jpg", i);
    assert_string_equal(dataset->images[i].file_name, name);
    assert_true(dataset->images[i].id == model->images[i]);
    assert_int_equal(dataset->images[i].width, i % 1000);
    assert_int_equal(dataset->images[i].height, 0);
    assert_int_equal(dataset->images[i].box_count, seen[i]);
  }
  free(seen);
}

static struct writer random_file(struct rng *rng, const struct model *model) {
  struct writer writer = {.rng = rng};
  put_members(&writer, 3, put_section, model);
  return writer;
}

static void test_random_files(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 2, 0);
  for (int i = 0; i < 200; i++) {
    struct model model = random_model(&rng, (int)rng_below(&rng, 40) + 1, (int)rng_below(&rng, 150));
    struct writer writer = random_file(&rng, &model);
    struct dataset dataset;
    struct error error;
    assert_ok(parse(&dataset, (const char *)writer.out.data, writer.out.size, &error), error);
    check_model(&model, &dataset);
    dataset_free(&dataset);
    buffer_free(&writer.out);
    model_free(&model);
  }
}

static void check_truncations(const char *data, size_t size, size_t step) {
  for (size_t cut = 0; cut < size; cut += step) {
    struct dataset dataset;
    struct error error;
    if (parse(&dataset, data, cut, &error) == 0) fail_msg("accepted when cut at byte %zu of %zu", cut, size);
    if (strstr(error.message, "the file ends where") == NULL && strstr(error.message, "expected") == NULL &&
        strstr(error.message, "UTF-8") == NULL && strstr(error.message, "\\u needs") == NULL &&
        strstr(error.message, "surrogate") == NULL && strstr(error.message, "is empty") == NULL) {
      fail_msg("cut at %zu: %s", cut, error.message);
    }
    dataset_free(&dataset);
  }
}

static void test_truncation(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 3, 0);
  struct model small = random_model(&rng, 3, 5), big = random_model(&rng, 100, 700);
  small.category_count = 2;
  for (int i = 0; i < small.annotation_count; i++)
    small.category[i] %= 2;
  struct writer file = random_file(&rng, &small);
  size_t size = file.out.size;
  while (size > 0 && file.out.data[size - 1] != '}')
    size--;
  check_truncations((const char *)file.out.data, size, 1);
  buffer_free(&file.out);
  file = random_file(&rng, &big);
  size = file.out.size;
  while (size > 0 && file.out.data[size - 1] != '}')
    size--;
  check_truncations((const char *)file.out.data, size, 1000);
  buffer_free(&file.out);
  model_free(&small);
  model_free(&big);
}

/* ---- releasing, hashing ---- */

struct released {
  char *data;
  size_t offset, size, calls;
};

/* Nothing before the offset may be read again: wipe it. */
static void wipe(void *context, size_t offset) {
  struct released *released = context;
  assert_true(offset >= released->offset && offset <= released->size);
  memset(released->data + released->offset, 0xFF, offset - released->offset);
  released->offset = offset;
  released->calls++;
}

static void test_release(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 4, 0);
  struct model model = random_model(&rng, 500, 9000);
  struct writer writer = random_file(&rng, &model);
  struct released released = {.data = (char *)writer.out.data, .size = writer.out.size};
  XXH128_hash_t hash = XXH3_128bits(writer.out.data, writer.out.size);
  struct dataset dataset = {0};
  struct error error = {0};
  assert_true(writer.out.size > 1 << 20);
  assert_ok(coco_parse(&dataset, released.data, released.size, "f.json", DATASET_XYWH, wipe, &released, &error), error);
  check_model(&model, &dataset);
  assert_true(released.offset == released.size);
  assert_true(released.calls >= released.size / (300 << 10));
  assert_true(XXH128_isEqual(dataset.hash, hash));
  dataset_free(&dataset);
  buffer_free(&writer.out);
  model_free(&model);
}

/* ---- files ---- */

static void test_shown(void **state) {
  (void)state;
  assert_string_equal(text_show((struct text){"a\"\xC3\xA9\n\xFF\xC3\xA9", 8}).string,
                      "a\\x22\xC3\xA9\\x0a\\xff\xC3\xA9");
  const struct text controls = {"\xC2\x9B\xE2\x80\xAE-", 6};
  assert_string_equal(text_show(controls).string, "\\xc2\\x9b\\xe2\\x80\\xae-");
}

static void check_images(const char *path, const char *images, const char *split, const char *expected) {
  struct dataset dataset;
  struct error error = {0};
  assert_ok(load_split(&dataset, path, images, split, &error), error);
  assert_int_equal(dataset.format, DATASET_COCO);
  if (strstr(dataset.images[0].folder, expected) == NULL)
    fail_msg("images in %s, not %s", dataset.images[0].folder, expected);
  dataset_free(&dataset);
}

static void test_folders(void **state) {
  (void)state;
  static const char text[] = WITH(ANNOTATIONS(ANNOTATION("[1,2,3,4]")));
  char root[64], path[128];
  test_scratch(root);
  assert_load_fails("/nowhere/at/all", NULL, NULL, "no such file or folder");
  assert_load_fails(root, NULL, NULL, "no annotations found");
  assert_load_fails(root, NULL, "val", "no annotations of a split \"val\"");
  make_folder(root, "annotations");
  make_file(root, "annotations/instances_train.json", text);
  assert_load_fails(root, NULL, NULL, "no folder \"train\" or \"images\"");
  make_folder(root, "images");
  check_images(root, NULL, NULL, "/images");
  make_folder(root, "train");
  check_images(root, NULL, NULL, "/train");
  make_file(root, "annotations/instances_val.json", text);
  make_file(root, "annotations/captions_val.json", "{}");
  assert_load_fails(root, NULL, NULL, "choose a split");
  check_images(root, NULL, "train", "/train");
  check_images(root, root, "val", root);
  assert_load_fails(root, NULL, "../val", "cannot be the name of a split");
  assert_load_fails(root, "/nowhere", "val", "the image folder is not there");
  snprintf(path, sizeof(path), "%s/annotations/instances_val.json", root);
  check_images(path, NULL, NULL, "/images");
  assert_load_fails(path, NULL, "val", "a file has no splits");
  test_scratch_remove(root);
}

static void test_real_data(void **state) {
  (void)state;
  static const struct {
    const char *folder, *split;
    int images, boxes, crowds;
  } cases[] = {{"coco128", NULL, 128, 939, 10},
               {"coco_tiny", "train2017", 80, 705, -1},
               {"coco_tiny", "val2017", 80, 815, -1},
               {"tiny_coco", "train2017", 50, 470, -1},
               {"tiny_coco", "val2017", 50, 382, -1}};
  char place[1024];
  const char *data = test_data(place);
  if (data == NULL) skip();
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    char path[2048];
    struct dataset dataset;
    struct error error = {0};
    int crowds = 0;
    snprintf(path, sizeof(path), "%s/%s", data, cases[i].folder);
    assert_ok(load_split(&dataset, path, NULL, cases[i].split, &error), error);
    for (int64_t j = 0; j < dataset.box_count; j++)
      crowds += (dataset.boxes[j].flags & DATASET_CROWD) != 0;
    assert_int_equal(dataset.image_count, cases[i].images);
    assert_int_equal(dataset.box_count, cases[i].boxes);
    if (cases[i].crowds >= 0) assert_int_equal(crowds, cases[i].crowds);
    dataset_free(&dataset);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bad_files), cmocka_unit_test(test_depth),        cmocka_unit_test(test_values),
      cmocka_unit_test(test_numbers),   cmocka_unit_test(test_random_files), cmocka_unit_test(test_truncation),
      cmocka_unit_test(test_release),   cmocka_unit_test(test_shown),        cmocka_unit_test(test_folders),
      cmocka_unit_test(test_real_data),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
