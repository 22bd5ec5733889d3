/* safetensors files: what we write we read, what is damaged is refused with the reason, and numbers of every type come
 * out as float32. */
#include "nn/safetensors.h"

#include <inttypes.h>
#include <math.h>

#include "tests/test_support.h"

enum { TENSORS_MAX = 12, ROUNDS = 60 };

/* ---- files made by hand ---- */

/* A file of this header and `data` bytes 0, 1, 2, ... */
static uint8_t *make_file(const char *header, size_t data, size_t *size) {
  uint64_t length = strlen(header);
  *size = sizeof length + (size_t)length + data;
  uint8_t *file = malloc(*size);
  assert_non_null(file);
  memcpy(file, &length, sizeof length);
  memcpy(file + sizeof length, header, (size_t)length);
  for (size_t i = 0; i < data; i++) {
    file[sizeof length + length + i] = (uint8_t)i;
  }
  return file;
}

static int parse(const char *header, size_t data, struct error *error) {
  struct safetensors file;
  size_t size;
  uint8_t *bytes = make_file(header, data, &size);
  int status = safetensors_parse(&file, bytes, size, "name", error);
  safetensors_close(&file);
  free(bytes);
  return status;
}

#define TENSOR(name, dtype, shape, offsets)                                                                            \
  "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" offsets "]}"

static void test_damage(void **state) {
  (void)state;
  static const struct {
    const char *header;
    size_t data;
    const char *words; /* of the message */
  } cases[] = {
      {"", 0, "a header of 0 bytes"},
      {"{", 0, "a header of 1 bytes"},
      {"[]", 0, "does not begin with a brace"},
      {" {}", 0, "does not begin with a brace"},
      {"{}x", 0, "nothing after the end"},
      {"{\"a\"", 0, "is it cut off"},
      {"{\"a\":1}", 0, "a tensor in braces"},
      {"{\"a\":{}}", 0, "tensor \"a\": no \"dtype\""},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", 0, "no \"data_offsets\""},
      {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 0, "\"dtype\" is given twice"},
      {"{\"a\":{\"kind\":\"F32\"}}", 0, "unknown field \"kind\""},
      {"{\"a\":{\"dtype\":32}}", 0, "the name of a type"},
      {"{\"a\":{\"shape\":7}}", 0, "a shape in brackets"},
      {"{\"a\":{\"shape\":null}}", 0, "a shape in brackets"},
      {"{" TENSOR("a", "F33", "1", "0,4") "}", 4, "unknown type \"F33\""},
      {"{" TENSOR("a", "f32", "1", "0,4") "}", 4, "unknown type \"f32\""},
      {"{" TENSOR("a", "F32", "-1", "0,4") "}", 4, "not negative"},
      {"{" TENSOR("a", "F32", "-0", "0,0") "}", 0, "not negative"},
      {"{" TENSOR("a", "F32", "1.0", "0,4") "}", 4, "must be a whole number"},
      {"{" TENSOR("a", "F32", "1.5", "0,6") "}", 6, "not a whole number"},
      {"{" TENSOR("a", "F32", "1e0", "0,4") "}", 4, "must be a whole number"},
      {"{" TENSOR("a", "F32", "01", "0,4") "}", 4, "expected"},
      {"{" TENSOR("a", "F32", "NaN", "0,4") "}", 4, "not a whole number"},
      {"{" TENSOR("a", "F32", "\"1\"", "0,4") "}", 4, "found text in quotes"},
      {"{" TENSOR("a", "F32", "1,", "0,4") "}", 4, "a comma before"},
      {"{" TENSOR("a", "F32", "9223372036854775808", "0,4") "}", 4, "not a whole number of 64 bits"},
      {"{" TENSOR("a", "F32", "4294967296,4294967296", "0,4") "}", 4, "the shape is too large"},
      {"{" TENSOR("a", "F32", "4294967296,1073741824", "0,0") "}", 0, "the shape is too large"},
      {"{" TENSOR("a", "F32", "4294967296,4294967296,0", "0,0") "}", 0, "the shape is too large"},
      {"{" TENSOR("a", "F32", "1,1,1,1,1,1,1,1,1", "0,4") "}", 4, "more than 8 dimensions"},
      {"{" TENSOR("a", "F32", "2", "0,4") "}", 4, "type and shape make 8 bytes, the offsets 4"},
      {"{" TENSOR("a", "F32", "1", "0,8") "}", 8, "type and shape make 4 bytes, the offsets 8"},
      {"{" TENSOR("a", "F4", "3", "0,1") "}", 1, "type and shape make 2 bytes"},
      {"{" TENSOR("a", "F32", "1", "4,0") "}", 4, "offsets 4 to 0"},
      {"{" TENSOR("a", "F32", "1", "0,4") "}", 3, "outside of the 3 bytes"},
      {"{" TENSOR("a", "F32", "1", "9223372036854775807,9223372036854775807") "}", 4, "outside of the 4 bytes"},
      {"{" TENSOR("a", "F32", "1", "0") "}", 4, "must be two offsets"},
      {"{" TENSOR("a", "F32", "1", "0,4,4") "}", 4, "more than two offsets"},
      {"{" TENSOR("a", "F32", "1", "0,4") "}", 5, "1 bytes after the last tensor"},
      {"{}", 1, "1 bytes after the last tensor"},
      {"{" TENSOR("a", "U8", "4", "0,4") "," TENSOR("b", "U8", "4", "3,7") "}", 7, "\"b\": overlaps"},
      {"{" TENSOR("a", "U8", "4", "0,4") "," TENSOR("b", "U8", "4", "0,4") "}", 4, "overlaps"},
      {"{" TENSOR("a", "U8", "4", "0,4") "," TENSOR("b", "U8", "0", "2,2") "}", 4, "\"b\": overlaps"},
      {"{" TENSOR("b", "U8", "4", "5,9") "," TENSOR("a", "U8", "4", "0,4") "}", 9, "\"b\": there is a hole"},
      {"{" TENSOR("a", "U8", "4", "1,5") "}", 5, "\"a\": there is a hole"},
      {"{" TENSOR("a", "U8", "4", "0,4") "," TENSOR("a", "U8", "4", "4,8") "}", 8, "two have this name"},
      {"{" TENSOR("a", "U8", "4", "0,4") "," TENSOR("\\u0061", "U8", "4", "4,8") "}", 8, "two have this name"},
      {"{" TENSOR("a\\u0000b", "U8", "4", "0,4") "}", 4, "NUL"},
      {"{" TENSOR("a\xFF", "U8", "4", "0,4") "}", 4, "UTF-8"},
      {"{\"__metadata__\":{\"a\":1}}", 0, "a text in quotes, as all metadata are"},
      {"{\"__metadata__\":{\"a\":{}}}", 0, "a text in quotes"},
      {"{\"__metadata__\":[]}", 0, "metadata in braces"},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "metadata are given twice"},
      {"{\"__metadata__\":{\"a\":\"b\",\"a\":\"b\"}}", 0, "metadata \"a\" are given twice"},
      {"{\"__metadata__\":{\"a\":\"\\u0000\"}}", 0, "NUL"},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct error error = {0};
    if (parse(cases[i].header, cases[i].data, &error) == 0) fail_msg("accepted: %s", cases[i].header);
    if (!strstr(error.message, cases[i].words) || strncmp(error.message, "name: ", 6) != 0) {
      fail_msg("%s: said \"%s\", not \"%s\"", cases[i].header, error.message, cases[i].words);
    }
  }
}

static void test_sound(void **state) {
  (void)state;
  static const struct {
    const char *header;
    size_t data;
  } cases[] = {
      {"{}", 0},
      {"{}  \n", 0},
      {"{\"__metadata__\":{}}", 0},
      {"{" TENSOR("", "U8", "", "0,1") "}", 1},
      {"{ \"a\" : {\"shape\": [ 2 , 1 ], \"data_offsets\" : [0, 8], \"dtype\":\"F32\"}}", 8},
      {"{" TENSOR("b", "U8", "4", "4,8") "," TENSOR("a", "U8", "4", "0,4") "}", 8},
      {"{" TENSOR("a", "U8", "0,9223372036854775807", "4,4") "," TENSOR("b", "U8", "4", "0,4") "}", 4},
      {"{" TENSOR("a", "U8", "4", "0,4") "," TENSOR("b", "F64", "0", "0,0") "}", 4},
      {"{" TENSOR("a", "F4", "4", "0,2") "," TENSOR("b", "F6_E2M3", "4", "2,5") "}", 5},
      {"{" TENSOR("a", "C64", "1", "0,8") "}", 8},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct error error = {0};
    if (parse(cases[i].header, cases[i].data, &error)) fail_msg("%s: %s", cases[i].header, error.message);
  }
}

/* Every length that the first eight bytes may claim, and every place to cut a file off. */
static void test_lengths(void **state) {
  (void)state;
  static const char header[] = "{" TENSOR("a", "F32", "2", "0,8") "}";
  static const uint64_t claims[] = {0, 1, 1000, 100000001, UINT32_MAX, INT64_MAX, UINT64_MAX - 7, UINT64_MAX};
  struct safetensors file;
  struct error error;
  size_t size;
  uint8_t *bytes = make_file(header, 8, &size);
  for (size_t cut = 0; cut < size; cut++) {
    uint8_t *part = malloc(cut > 0 ? cut : 1);
    assert_non_null(part);
    memcpy(part, bytes, cut);
    assert_int_equal(safetensors_parse(&file, part, cut, "cut", &error), -1);
    free(part);
  }
  for (size_t i = 0; i < COUNT_OF(claims); i++) {
    memcpy(bytes, &claims[i], sizeof claims[i]);
    assert_int_equal(safetensors_parse(&file, bytes, size, "claim", &error), -1);
    assert_non_null(strstr(error.message, "claim: a header of "));
  }
  free(bytes);
}

/* However deep, and however long: an error, and soon. */
static void test_bombs(void **state) {
  (void)state;
  enum { SIZE = 1 << 20 };
  static const char *const starts[] = {"{\"__metadata__\":{\"a\":", "{\"a\":{\"shape\":", "{\"a\":"};
  char *header = malloc(SIZE + 1);
  assert_non_null(header);
  for (size_t i = 0; i < COUNT_OF(starts); i++) {
    for (int bracket = 0; bracket < 2; bracket++) {
      struct error error = {0};
      size_t used = strlen(starts[i]);
      memset(header, bracket ? '[' : '{', SIZE);
      header[SIZE] = '\0';
      memcpy(header, starts[i], used);
      assert_int_equal(parse(header, 4, &error), -1);
    }
  }
  free(header);
}

/* Random damage to a good file is refused or changes nothing that matters; it never crashes. */
static void test_random_damage(void **state) {
  struct rng *rng = *state;
  static const char header[] =
      "{\"__metadata__\":{\"k\":\"text\"}," TENSOR("b", "I64", "", "24,32") "," TENSOR("a", "F32", "2,3", "0,24") "}";
  static const char spice[] = "{}[]\",:0123456789eE.-\\u \xFF";
  size_t size;
  for (int round = 0; round < 20000; round++) {
    struct safetensors file;
    struct error error;
    uint8_t *bytes = make_file(header, 32, &size);
    for (uint64_t i = rng_below(rng, 3) + 1; i > 0; i--) {
      bytes[8 + rng_below(rng, sizeof header - 1)] = (uint8_t)spice[rng_below(rng, sizeof spice - 1)];
    }
    if (safetensors_parse(&file, bytes, size, "damaged", &error) == 0) {
      assert_int_equal(file.count, 2);
      assert_int_equal(file.entries[0].size + file.entries[1].size, 32);
      safetensors_close(&file);
    }
    free(bytes);
  }
}

/* ---- numbers ---- */

static float half_value(unsigned half) {
  int exponent = (int)(half >> 10 & 31);
  float fraction = (float)(half & 1023) / 1024, value;
  if (exponent == 31) {
    value = (half & 1023) != 0 ? NAN : INFINITY;
  } else {
    value = exponent == 0 ? ldexpf(fraction, -14) : ldexpf(1 + fraction, exponent - 15);
  }
  return half & 0x8000 ? -value : value;
}

static void check_value(enum safetensors_dtype dtype, const void *bytes, float expected) {
  uint8_t unaligned[16];
  struct safetensors_entry entry = {"x", dtype, 0, {0}, 1, unaligned + 1, safetensors_dtype_size(dtype)};
  struct error error;
  float value;
  memcpy(unaligned + 1, bytes, entry.size);
  assert_ok(safetensors_floats(&entry, 0, 1, &value, &error), error);
  if (memcmp(&value, &expected, sizeof value) != 0 && !(isnan(value) && isnan(expected))) {
    fail_msg("%s: %a, not %a", safetensors_dtype_name(dtype), (double)value, (double)expected);
  }
}

static void test_numbers(void **state) {
  struct rng *rng = *state;
  for (unsigned bits = 0; bits < 65536; bits++) {
    uint16_t half = (uint16_t)bits;
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    check_value(SAFETENSORS_F16, &half, half_value(bits));
    check_value(SAFETENSORS_BF16, &half, value);
    check_value(SAFETENSORS_I16, &half, (float)(int16_t)half);
  }
  for (int i = 0; i < 256; i++) {
    uint8_t byte = (uint8_t)i;
    check_value(SAFETENSORS_I8, &byte, (float)(int8_t)byte);
    check_value(SAFETENSORS_U8, &byte, (float)i);
    check_value(SAFETENSORS_BOOL, &byte, i > 0 ? 1 : 0);
  }
  for (int round = 0; round < 10000; round++) {
    uint32_t bits = rng_u32(rng);
    int32_t small = (int32_t)rng_u32(rng);
    int64_t large = (int64_t)((uint64_t)rng_u32(rng) << 32 | rng_u32(rng));
    double real = ldexp(rng_range(rng, -1, 1), (int)rng_below(rng, 300) - 150);
    float value;
    memcpy(&value, &bits, sizeof value);
    check_value(SAFETENSORS_F32, &bits, value);
    check_value(SAFETENSORS_I32, &small, (float)small);
    check_value(SAFETENSORS_I64, &large, (float)large);
    check_value(SAFETENSORS_F64, &real, (float)real);
  }
}

/* ---- written and read ---- */

struct tensor {
  char name[32];
  enum safetensors_dtype dtype;
  int rank;
  int64_t dims[SAFETENSORS_RANK_MAX];
  size_t size;
  uint8_t *data;
};

static struct tensor random_tensor(struct rng *rng, int index) {
  static const char *const marks[] = {"", "\"", "\\", "\n", "\x7F", "\xC3\xA9", "\xF0\x9F\x90\x88", "."};
  struct tensor tensor = {.dtype = (enum safetensors_dtype)rng_below(rng, SAFETENSORS_OTHER)};
  snprintf(tensor.name, sizeof tensor.name, "%s%d%s", marks[rng_below(rng, COUNT_OF(marks))], index,
           marks[rng_below(rng, COUNT_OF(marks))]);
  tensor.rank = (int)rng_below(rng, SAFETENSORS_RANK_MAX + 1);
  tensor.size = safetensors_dtype_size(tensor.dtype);
  for (int axis = 0; axis < tensor.rank; axis++) {
    tensor.dims[axis] = rng_below(rng, 20) == 0 ? 0 : 1 + (int64_t)rng_below(rng, 4);
    tensor.size *= (size_t)tensor.dims[axis];
  }
  tensor.data = malloc(tensor.size + 1);
  assert_non_null(tensor.data);
  for (size_t i = 0; i < tensor.size; i++) {
    tensor.data[i] = (uint8_t)rng_u32(rng);
  }
  return tensor;
}

static int by_element_size(const void *a, const void *b) {
  size_t x = safetensors_dtype_size(((const struct tensor *)a)->dtype);
  size_t y = safetensors_dtype_size(((const struct tensor *)b)->dtype);
  return (x < y) - (x > y);
}

static void write_tensors(struct rng *rng, const char *path, const struct tensor *tensors, size_t count) {
  struct safetensors_writer *writer;
  struct error error;
  assert_ok(safetensors_create(&writer, path, &error), error);
  assert_ok(safetensors_note(writer, "key \"1\"", "line\nand \xC3\xA9", &error), error);
  for (size_t i = 0; i < count; i++) {
    assert_ok(safetensors_declare(writer, tensors[i].name, tensors[i].dtype, tensors[i].rank, tensors[i].dims, &error),
              error);
  }
  assert_ok(safetensors_note(writer, "", "", &error), error);
  for (size_t i = 0; i < count; i++) {
    for (size_t at = 0; at < tensors[i].size;) {
      size_t piece = 1 + (size_t)rng_below(rng, tensors[i].size - at);
      assert_ok(safetensors_write(writer, tensors[i].data + at, piece, &error), error);
      at += piece;
    }
  }
  assert_false(file_exists(path));
  XXH128_hash_t hash;
  struct file_map map;
  assert_ok(safetensors_commit(writer, &hash, &error), error);
  assert_ok(file_map_open(&map, path, &error), error);
  assert_true(XXH128_isEqual(hash, XXH3_128bits(map.data, map.size)));
  file_map_close(&map);
}

static void check_tensors(const char *path, const struct tensor *tensors, size_t count) {
  struct safetensors file;
  struct error error;
  assert_ok(safetensors_open(&file, path, &error), error);
  assert_int_equal(file.count, count);
  assert_int_equal(file.metadata_count, 2);
  assert_string_equal(safetensors_metadata(&file, "key \"1\""), "line\nand \xC3\xA9");
  assert_string_equal(safetensors_metadata(&file, ""), "");
  assert_null(safetensors_metadata(&file, "key"));
  assert_null(safetensors_find(&file, "none"));
  for (size_t i = 0; i < count; i++) {
    const struct safetensors_entry *entry = safetensors_find(&file, tensors[i].name);
    assert_non_null(entry);
    assert_int_equal(entry->dtype, tensors[i].dtype);
    assert_int_equal(entry->rank, tensors[i].rank);
    assert_int_equal(entry->size, tensors[i].size);
    assert_memory_equal(entry->dims, tensors[i].dims, sizeof tensors[i].dims);
    assert_memory_equal(entry->data, tensors[i].data, tensors[i].size);
    size_t offset = (size_t)(entry->data - file.map.data);
    assert_int_equal(offset % safetensors_dtype_size(entry->dtype), 0);
  }
  safetensors_close(&file);
}

static void test_round_trip(void **state) {
  struct rng *rng = *state;
  char folder[64], path[PATH_SIZE];
  struct error error;
  test_scratch(folder);
  for (int round = 0; round < ROUNDS; round++) {
    struct tensor tensors[TENSORS_MAX];
    size_t count = (size_t)rng_below(rng, TENSORS_MAX + 1);
    assert_ok(path_format(path, &error, "%s/%d.safetensors", folder, round), error);
    for (size_t i = 0; i < count; i++) {
      tensors[i] = random_tensor(rng, (int)i);
    }
    if (count > 0) qsort(tensors, count, sizeof *tensors, by_element_size);
    write_tensors(rng, path, tensors, count);
    check_tensors(path, tensors, count);
    for (size_t i = 0; i < count; i++) {
      free(tensors[i].data);
    }
  }
  test_scratch_remove(folder);
}

static void refuse(int status, const struct error *error, const char *words) {
  assert_int_equal(status, -1);
  if (!strstr(error->message, words)) fail_msg("said \"%s\", not \"%s\"", error->message, words);
}

static void test_writer_errors(void **state) {
  (void)state;
  char folder[64], path[PATH_SIZE];
  struct safetensors_writer *writer;
  struct error error;
  const int64_t one[] = {1}, huge[] = {INT64_MAX, 4}, negative[] = {-1};
  assert_ok(path_format(path, &error, "%s/a.safetensors", test_scratch(folder)), error);
  assert_ok(safetensors_create(&writer, path, &error), error);
  assert_ok(safetensors_declare(writer, "a", SAFETENSORS_F32, 1, one, &error), error);
  assert_ok(safetensors_note(writer, "a", "b", &error), error);
  refuse(safetensors_declare(writer, "a", SAFETENSORS_F32, 1, one, &error), &error, "two named");
  refuse(safetensors_note(writer, "a", "b", &error), &error, "two named");
  refuse(safetensors_note(writer, "n", "\xFF", &error), &error, "not UTF-8");
  refuse(safetensors_declare(writer, "\xFF", SAFETENSORS_F32, 1, one, &error), &error, "not UTF-8");
  refuse(safetensors_declare(writer, "__metadata__", SAFETENSORS_F32, 1, one, &error), &error, "cannot be stored");
  refuse(safetensors_declare(writer, "h", SAFETENSORS_F32, 2, huge, &error), &error, "cannot be stored");
  refuse(safetensors_declare(writer, "n", SAFETENSORS_F32, 1, negative, &error), &error, "cannot be stored");
  refuse(safetensors_declare(writer, "o", SAFETENSORS_OTHER, 1, one, &error), &error, "cannot be stored");
  refuse(safetensors_declare(writer, "r", SAFETENSORS_U8, SAFETENSORS_RANK_MAX + 1, one, &error), &error, "cannot be");
  refuse(safetensors_declare(writer, "b", SAFETENSORS_I64, 1, one, &error), &error, "larger elements first");
  refuse(safetensors_write(writer, "12345", 5, &error), &error, "more data");
  assert_ok(safetensors_write(writer, "123", 3, &error), error);
  refuse(safetensors_declare(writer, "late", SAFETENSORS_U8, 1, one, &error), &error, "after the data");
  refuse(safetensors_commit(writer, NULL, &error), &error, "1 bytes of data were not given");
  assert_ok(safetensors_create(&writer, path, &error), error);
  safetensors_abandon(writer);
  safetensors_abandon(NULL);
  char **names;
  struct arena arena = {0};
  size_t count;
  assert_ok(directory_list(folder, &arena, &names, &count, &error), error);
  assert_int_equal(count, 0);
  arena_free(&arena);
  test_scratch_remove(folder);
  assert_int_equal(safetensors_create(&writer, path, &error), -1);
}

int main(void) {
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 0, 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_damage),
      cmocka_unit_test(test_sound),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_bombs),
      cmocka_unit_test_prestate(test_random_damage, &rng),
      cmocka_unit_test_prestate(test_numbers, &rng),
      cmocka_unit_test_prestate(test_round_trip, &rng),
      cmocka_unit_test(test_writer_errors),
  };
  return cmocka_run_group_tests_name("safetensors", tests, NULL, NULL);
}
