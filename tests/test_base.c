#include "core/base/base.h"

#include <errno.h>
#include <math.h>

#include "tests/test_support.h"

static uint64_t seed;

/* The known answers published with Random123. */
static void test_philox_known_answers(void **state) {
  (void)state;
  static const struct {
    uint32_t counter[4], key[2], out[4];
  } cases[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    uint32_t out[4];
    philox4x32(cases[i].key, cases[i].counter, out);
    assert_memory_equal(out, cases[i].out, sizeof out);
  }
}

static void test_rng_streams(void **state) {
  (void)state;
  struct rng a, b, c;
  rng_init(&a, seed, RNG_TEST, 0, 7);
  rng_init(&b, seed, RNG_TEST, 0, 7);
  rng_init(&c, seed, RNG_TEST, 0, 8);
  int same = 0;
  double sum = 0;
  for (int i = 0; i < 10000; i++) {
    double x = rng_uniform(&a);
    assert_true(x >= 0 && x < 1);
    assert_true(x == rng_uniform(&b));
    same += x == rng_uniform(&c);
    sum += x;
  }
  assert_int_equal(same, 0);
  assert_true(sum > 4850 && sum < 5150); /* five standard deviations */
  int histogram[5] = {0};
  for (int i = 0; i < 50000; i++) {
    histogram[rng_below(&a, 5)]++;
  }
  for (int i = 0; i < 5; i++) {
    assert_in_range(histogram[i], 9500, 10500);
  }
}

static void test_permutation(void **state) {
  (void)state;
  static const uint64_t counts[] = {1, 2, 3, 4, 5, 16, 17, 100, 1000, 4097};
  for (size_t c = 0; c < COUNT_OF(counts); c++) {
    uint64_t n = counts[c], moved = 0;
    char *seen = calloc(n, 1);
    for (uint64_t i = 0; i < n; i++) {
      uint64_t j = rng_permute(seed, 1, c, n, i);
      assert_true(j < n);
      assert_false(seen[j]);
      seen[j] = 1;
      moved += j != rng_permute(seed, 1, c + 1, n, i);
    }
    if (n >= 100) assert_true(moved > n * 9 / 10);
    free(seen);
  }
}

static void test_utf8(void **state) {
  (void)state;
  size_t offset = 0;
  assert_true(utf8_valid("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\xa7\xa9", 14, NULL));
  static const char *const bad[] = {"ab\xff", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80", "ab\xe2\x82"};
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    assert_false(utf8_valid(bad[i], strlen(bad[i]), &offset));
    assert_int_equal(offset, 2);
  }
}

static void test_file_is_whole_or_absent(void **state) {
  (void)state;
  char folder[64], path[128], temporary[160];
  struct error error = {0};
  struct file_writer writer;
  snprintf(path, sizeof path, "%s/file", test_scratch(folder));
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  assert_ok(file_create(&writer, path, &error), error);
  assert_ok(file_printf(&writer, &error, "%d bytes", 10), error);
  assert_false(file_exists(path));
  file_abandon(&writer);
  assert_false(file_exists(path) || file_exists(temporary));

  size_t size = 3 << 20;
  uint8_t *bytes = malloc(size);
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 1, 0);
  for (size_t i = 0; i < size; i++) {
    bytes[i] = (uint8_t)rng_u32(&rng);
  }
  assert_ok(file_create(&writer, path, &error), error);
  for (size_t done = 0; done < size;) {
    size_t chunk = rng_below(&rng, 600000);
    if (chunk > size - done) chunk = size - done;
    assert_ok(file_write(&writer, bytes + done, chunk, &error), error);
    done += chunk;
  }
  XXH128_hash_t hash = file_hash(&writer);
  assert_ok(file_commit(&writer, &error), error);
  assert_false(file_exists(temporary));
  struct file_map map;
  struct buffer buffer = {0};
  assert_ok(file_map_open(&map, path, &error), error);
  assert_ok(file_read(&buffer, path, &error), error);
  assert_int_equal(map.size, size);
  assert_int_equal(buffer.size, size);
  assert_memory_equal(map.data, bytes, size);
  assert_memory_equal(buffer.data, bytes, size);
  assert_true(XXH128_isEqual(hash, XXH3_128bits(bytes, size)));
  file_map_close(&map);
  buffer_free(&buffer);
  free(bytes);
  test_scratch_remove(folder);
}

static void test_missing_and_unwritable(void **state) {
  (void)state;
  struct error error = {0};
  struct file_map map;
  struct file_writer writer;
  assert_int_equal(file_map_open(&map, "/nonexistent/file", &error), -1);
  assert_non_null(strstr(error.message, "/nonexistent/file: cannot open: No such file or directory; check the path"));
  assert_int_equal(file_create(&writer, "/dev/null/file", &error), -1);
  assert_non_null(strstr(error.message, "/dev/null/file.tmp: cannot create"));
  assert_int_equal(directory_create("/dev/null/folder", &error), -1);
  assert_non_null(strstr(error.message, "cannot create the folder"));
  assert_int_equal(file_map_open(&map, "/tmp", &error), -1);
}

static void test_harmless_text(void **state) {
  (void)state;
  static const struct {
    const char *text, *tame;
  } TEXTS[] = {
      {"plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\xA7\xA9", "plain \xC3\xA9 \xE2\x82\xAC \xF0\x9F\xA7\xA9"},
      {"a\nb\tc\x1B[31m\x7F", "a?b?c?[31m?"},
      {"\xC2\x80\xC2\x9B\xC2\xA0", "??\xC2\xA0"},                            /* C1, and what comes next */
      {"\xE2\x80\xAE\xE2\x81\xA6\xD8\x9C\xE2\x80\x8F\xE2\x80\xA8", "?????"}, /* turning, and a line separator */
      {"\xE2\x80\xAF\xE2\x81\xA5", "\xE2\x80\xAF\xE2\x81\xA5"},              /* their neighbours */
      {"\xFF\x80\xC3", "???"},                                               /* no UTF-8 */
      {"\x9B", "?"},
      {"", ""},
  };
  for (size_t i = 0; i < COUNT_OF(TEXTS); i++) {
    char text[64];
    struct error error;
    strcpy(text, TEXTS[i].text);
    text_tame(text);
    assert_string_equal(text, TEXTS[i].tame);
    error_set(&error, "%s", TEXTS[i].text);
    assert_string_equal(error.message, TEXTS[i].tame);
  }
  assert_int_equal(utf8_harmless("x", 0), 0);
  assert_int_equal(utf8_harmless("\xE2\x82\xAC", 2), 0);
  assert_int_equal(utf8_harmless("\xE2\x82\xAC", 3), 3);
}

/* Going back, within what is pending and beyond it, leaves the bytes and the hash of what stays. */
static void test_rewind(void **state) {
  (void)state;
  struct rng rng;
  char folder[64], path[96];
  struct error error = {0};
  test_scratch(folder);
  snprintf(path, sizeof path, "%s/file", folder);
  rng_init(&rng, seed, RNG_TEST, 7, 0);
  for (int round = 0; round < 40; round++) {
    struct file_writer writer;
    struct file_mark mark = {0};
    struct buffer expected = {0}, found = {0};
    assert_ok(file_create(&writer, path, &error), error);
    for (int step = 0; step < 12; step++) {
      size_t before = expected.size, size = rng_below(&rng, rng_below(&rng, 2) ? 1000 : 600000);
      uint8_t *bytes = malloc(size + 1);
      assert_non_null(bytes);
      memset(bytes, (int)rng_below(&rng, 256), size);
      assert_ok(file_mark_set(&mark, &writer, &error), error);
      assert_ok(file_write(&writer, bytes, size, &error), error);
      assert_ok(buffer_append(&expected, bytes, size, &error), error);
      if (rng_below(&rng, 2)) {
        assert_ok(file_rewind(&writer, &mark, &error), error);
        expected.size = before;
      }
      free(bytes);
    }
    XXH128_hash_t hash = file_hash(&writer), plain = XXH3_128bits(expected.data, expected.size);
    assert_int_equal(writer.size, expected.size);
    assert_true(XXH128_isEqual(hash, plain));
    assert_ok(file_commit(&writer, &error), error);
    assert_ok(file_read(&found, path, &error), error);
    assert_int_equal(found.size, expected.size);
    assert_memory_equal(found.data, expected.data, found.size);
    file_mark_free(&mark);
    buffer_free(&expected);
    buffer_free(&found);
  }
  test_scratch_remove(folder);
}

static void test_switch(void **state) {
  (void)state;
  static const struct {
    const char *words[4];
    int value;
  } CASES[] = {
      {{"t", "--turn"}, 1},         {{"t", "--turn", "--other"}, 1}, {{"t", "--no-turn"}, 2},
      {{"t", "--turn", "auto"}, 0}, {{"t", "--turn=off"}, 2},        {{"t", "--turn", "on"}, 1},
      {{"t", "--turn", "7"}, -1},   {{"t", "--turn=yes"}, -1},
  };
  for (size_t i = 0; i < COUNT_OF(CASES); i++) {
    int turn = 0, count = 0;
    bool other = false;
    const struct option table[] = {
        {OPTION_SWITCH, "turn", &turn, NULL, "turn", 0, 0, option_switch},
        {OPTION_FLAG, "other", &other, NULL, "other", 0, 0, NULL},
    };
    char *words[5] = {0};
    struct error error;
    for (; count < 4 && CASES[i].words[count]; count++) {
      words[count] = (char *)(uintptr_t)CASES[i].words[count];
    }
    enum options_result result = options_parse(table, COUNT_OF(table), count, words, &error);
    assert_int_equal(result, CASES[i].value < 0 ? OPTIONS_ERROR : OPTIONS_OK);
    if (CASES[i].value >= 0) assert_int_equal(turn, CASES[i].value);
  }
}

/* What the machine did says nothing about a file's content; what is missing does. */
static void test_whose_error(void **state) {
  (void)state;
  struct error error = {.machine = true};
  error_set(&error, "damaged");
  assert_false(error.machine);
  static const int machine[] = {EMFILE, ENFILE, ENOMEM, EIO, EACCES, ENOSPC}, path[] = {ENOENT, ENOTDIR, ELOOP, EISDIR};
  for (size_t i = 0; i < COUNT_OF(machine); i++) {
    errno = machine[i];
    error_system(&error, "x");
    error_context(&error, "y");
    assert_true(error.machine);
  }
  for (size_t i = 0; i < COUNT_OF(path); i++) {
    errno = path[i];
    error_system(&error, "x");
    error_context(&error, "y");
    assert_false(error.machine);
  }
  error_memory(&error, 1);
  assert_true(error.machine);
}

static void test_folders(void **state) {
  (void)state;
  char root[64], path[128];
  struct error error = {0};
  struct arena arena = {0};
  char **names;
  size_t count;
  snprintf(path, sizeof path, "%s/a/b/c/", test_scratch(root));
  assert_ok(directory_create(path, &error), error);
  assert_ok(directory_create(path, &error), error);
  for (int i = 3; i > 0; i--) {
    snprintf(path, sizeof path, "%s/a/%d", root, i);
    assert_ok(file_write_all(path, "x", 1, &error), error);
  }
  snprintf(path, sizeof path, "%s/a", root);
  assert_ok(directory_list(path, &arena, &names, &count, &error), error);
  assert_int_equal(count, 4);
  assert_string_equal(names[0], "1");
  assert_string_equal(names[3], "b");
  assert_string_equal(path_join(&arena, "x/", "y"), "x/y");
  assert_string_equal(path_join(&arena, "", "y"), "y");
  arena_free(&arena);
  test_scratch_remove(root);
  assert_false(file_exists(root));
}

static int count_item(void *context, int worker, int64_t item, struct error *error) {
  atomic_int *seen = context;
  (void)worker;
  atomic_fetch_add(&seen[item], 1);
  return item == 700 || item == 900 ? error_set(error, "item %d", (int)item) : 0;
}

static void test_parallel(void **state) {
  (void)state;
  for (int workers = 1; workers <= 7; workers += 3) {
    atomic_int seen[1000] = {0};
    struct error error = {0};
    assert_ok(parallel_for(workers, 700, count_item, seen, &error), error);
    for (int i = 0; i < 700; i++) {
      assert_int_equal(seen[i], 1);
    }
    assert_int_equal(parallel_for(workers, 1000, count_item, seen, &error), -1);
    assert_string_equal(error.message, "item 700");
  }
}

static void test_options(void **state) {
  (void)state;
  bool flag = true;
  int64_t number = 5;
  double real = 0.5;
  const char *text = NULL;
  int choice = 0;
  int64_t steps = OPTION_AUTO;
  double rate = NAN;
  struct option_list list = {{NULL}, 0};
  static const char *const choices[] = {"red", "green", NULL};
  const struct option table[] = {
      {OPTION_SECTION, "Things", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_FLAG, "flag", &flag, NULL, "a flag", 0, 0, NULL},
      {OPTION_INT, "number", &number, "N", "a number", 1, 10, NULL},
      {OPTION_REAL, "real", &real, "R", "a real", 0, 1, NULL},
      {OPTION_TEXT, "text", &text, "TEXT", "a text", 0, 0, NULL},
      {OPTION_CHOICE, "choice", &choice, NULL, "a choice", 0, 0, choices},
      {OPTION_AUTO_INT, "steps", &steps, "N", "steps", 1, 10, NULL},
      {OPTION_AUTO_REAL, "rate", &rate, "X", "a rate", 0, 1, NULL},
      {OPTION_LIST, "ignore-things", &list, "A,B", "leave these out (skip, drop)", 0, 0, NULL},
  };
  struct error error = {0};
  char *good[] = {
      "tool",  "--no-flag",       "--number=3", "--number=7",         "--real", "0.25", "--text", "--odd", "--choice",
      "green", "--ignore-things", "a",          "--ignore-things=b,c"};
  assert_int_equal(options_parse(table, COUNT_OF(table), (int)COUNT_OF(good), good, &error), OPTIONS_OK);
  assert_false(flag);
  assert_int_equal(number, 7);
  assert_true(real == 0.25);
  assert_string_equal(text, "--odd");
  assert_int_equal(choice, 1);
  cJSON *json = options_json(table, COUNT_OF(table));
  char *printed = cJSON_PrintUnformatted(json);
  assert_string_equal(
      printed, "{\"flag\":false,\"number\":7,\"real\":0.25,\"text\":\"--odd\",\"choice\":\"green\",\"steps\":null,"
               "\"rate\":null,\"ignore-things\":[\"a\",\"b,c\"]}");
  cJSON_free(printed);
  cJSON_Delete(json);

  char *given[] = {"tool", "--steps", "auto", "--rate", "0", "--steps", "3"};
  assert_int_equal(options_parse(table, COUNT_OF(table), (int)COUNT_OF(given), given, &error), OPTIONS_OK);
  assert_true(steps == 3 && rate == 0);
  char *automatic[] = {"tool", "--steps", "auto", "--rate=auto"};
  assert_int_equal(options_parse(table, COUNT_OF(table), (int)COUNT_OF(automatic), automatic, &error), OPTIONS_OK);
  assert_true(steps == OPTION_AUTO && isnan(rate));

  static const struct {
    char *words[4];
    const char *message;
  } bad[] = {
      {{"--steps", "0"}, "--steps: 0 is not in 1 .. 10, nor auto"},
      {{"--rate", "automatic"}, "--rate: 'automatic' is not a number, nor auto"},
      {{"--ignore-things", "a", "b"}, "one by one: --ignore-things a --ignore-things b"},
      {{"--number", "3", "4"}, "'4' is not an option; --number takes one value"},
      {{"--flag", "4"}, "'4' is not an option; see --help"},
      {{"--numbr", "3"}, "unknown option '--numbr'; did you mean --number?"},
      {{"-number", "3"}, "unknown option '-number'; did you mean --number?"},
      {{"--Number=3"}, "unknown option '--Number=3'; did you mean --number?"},
      {{"--ignore_things", "3"}, "did you mean --ignore-things?"},
      {{"--skip-things", "a"}, "unknown option '--skip-things'; did you mean --ignore-things?"},
      {{"--drop", "a"}, "did you mean --ignore-things?"},
      {{"--no-flags"}, "did you mean --no-flag?"},
      {{"--zzzz"}, "unknown option '--zzzz'; see --help"},
      {{"--text", "--number", "3"}, "--text needs a value"},
      {{"--number", "11"}, "--number: 11 is not in 1 .. 10"},
      {{"--number", "x"}, "not a whole number"},
      {{"--number", "99999999999999999999"}, "not a whole"},
      {{"--real", "nan"}, "not a number"},
      {{"--real", "1.5"}, "not in 0 .. 1"},
      {{"--choice", "blue"}, "not one of red|green"},
      {{"--what", "1"}, "unknown option '--what'"},
      {{"--no-number", "1"}, "unknown option"},
      {{"word", "1"}, "'word' is not an option"},
      {{"--flag=1", "1"}, "takes no value"},
      {{"--flag", "--text"}, "--text needs a value"},
  };
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    char *words[5] = {"tool"};
    int count = 1;
    while (count < 5 && bad[i].words[count - 1]) {
      words[count] = bad[i].words[count - 1];
      count++;
    }
    assert_int_equal(options_parse(table, COUNT_OF(table), count, words, &error), OPTIONS_ERROR);
    if (!strstr(error.message, bad[i].message)) fail_msg("'%s' lacks '%s'", error.message, bad[i].message);
  }
  list.count = OPTION_LIST_MAX;
  char *many[] = {"tool", "--ignore-things", "a"};
  assert_int_equal(options_parse(table, COUNT_OF(table), 3, many, &error), OPTIONS_ERROR);
  assert_non_null(strstr(error.message, "more than 256 times"));

  char *help[] = {"tool", "--help"};
  assert_int_equal(options_parse(table, COUNT_OF(table), 2, help, &error), OPTIONS_HELP);
}

int main(void) {
  seed = test_seed();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_philox_known_answers),
      cmocka_unit_test(test_rng_streams),
      cmocka_unit_test(test_permutation),
      cmocka_unit_test(test_utf8),
      cmocka_unit_test(test_file_is_whole_or_absent),
      cmocka_unit_test(test_missing_and_unwritable),
      cmocka_unit_test(test_whose_error),
      cmocka_unit_test(test_harmless_text),
      cmocka_unit_test(test_rewind),
      cmocka_unit_test(test_switch),
      cmocka_unit_test(test_folders),
      cmocka_unit_test(test_parallel),
      cmocka_unit_test(test_options),
  };
  return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
