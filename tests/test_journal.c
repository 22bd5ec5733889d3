/* The journal of a run: what an interrupted and resumed run leaves is what an uninterrupted one leaves, byte for byte;
 * and whatever a log holds can be drawn. */
#include "pretrain/journal.h"

#include <math.h>
#include <signal.h>

#include "tests/test_support.h"

#include <sys/resource.h>
#include <sys/stat.h>

enum { LINES = 60, ROUNDS = 40, DRAWINGS = 60 };

static const char *const NAMES[] = {"loss", "accuracy", "lr", "held_out/loss", "held_out/accuracy", "erf/area_0"};

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

static void in_folder(char path[96], const char *folder, const char *name) {
  snprintf(path, 96, "%s/%s", folder, name);
}

static void read_file(struct buffer *bytes, const char *folder, const char *name) {
  char path[96];
  struct error error;
  in_folder(path, folder, name);
  assert_ok(file_read(bytes, path, &error), error);
}

static void write_file(const struct buffer *bytes, const char *folder, const char *name) {
  char path[96];
  struct error error;
  in_folder(path, folder, name);
  assert_ok(file_write_all(path, bytes->data, bytes->size, &error), error);
}

static struct journal *open_journal(const char *folder, int64_t iteration) {
  struct journal *journal;
  struct error error;
  assert_ok(journal_open(&journal, folder, iteration, &error), error);
  return journal;
}

/* Line `index` of the run that `seed` makes: several lines may have one iteration. */
static int64_t write_numbers(struct journal *journal, uint64_t seed, int index) {
  struct journal_number numbers[COUNT_OF(NAMES)];
  struct rng rng;
  struct error error;
  rng_init(&rng, seed, RNG_TEST, 1, (uint64_t)index);
  size_t count = (size_t)below(&rng, COUNT_OF(NAMES) + 1);
  for (size_t i = 0; i < count; i++) {
    double value = pow(10, rng_range(&rng, -12, 12));
    numbers[i] = (struct journal_number){NAMES[i], rng_uniform(&rng) < 0.1 ? NAN : value};
  }
  int64_t iteration = (int64_t)index / 2 * 50;
  if (journal) assert_ok(journal_write(journal, iteration, index * 0.7, numbers, count, &error), error);
  return iteration;
}

/* A line of no log, or one that looks like a log's. */
static void add_garbage(struct rng *rng, struct buffer *log) {
  static const char *const LINES_OF_NONE[] = {"\n",
                                              "[1, 2]\n",
                                              "{\"iteration\": \"5\"}\n",
                                              "{\"iteration\": 0.5}\n",
                                              "{\"iteration\": -3}\n",
                                              "{\"iteration\": 1e300}\n",
                                              "{\"loss\": 1}\n",
                                              "{\"iteration\": 0} {}\n",
                                              "{\"iteration\": 0, \"loss\": nan}\n",
                                              "null\n",
                                              "{\"iteration\": 0"};
  struct error error;
  if (rng_uniform(rng) < 0.5) {
    const char *line = LINES_OF_NONE[below(rng, COUNT_OF(LINES_OF_NONE))];
    assert_ok(buffer_append(log, line, strlen(line), &error), error);
    if (line[strlen(line) - 1] != '\n') assert_ok(buffer_append(log, "\n", 1, &error), error);
    return;
  }
  for (int size = below(rng, 100); size > 0; size--) {
    uint8_t byte = (uint8_t)rng_u32(rng);
    if (byte != '\n') assert_ok(buffer_append(log, &byte, 1, &error), error);
  }
  assert_ok(buffer_append(log, "\n", 1, &error), error);
}

/* What a kill, a full disk and a clumsy editor leave: garbage between lines, and a torn last one. */
static void damage_log(struct rng *rng, const char *folder) {
  struct buffer log = {0}, damaged = {0};
  struct error error;
  read_file(&log, folder, "log.jsonl");
  for (size_t at = 0; at < log.size;) {
    if (rng_uniform(rng) < 0.2) add_garbage(rng, &damaged);
    size_t end = at;
    while (log.data[end++] != '\n') {
    }
    assert_ok(buffer_append(&damaged, log.data + at, end - at, &error), error);
    at = end;
  }
  static const char torn[] = "{\"iteration\": 0, \"loss\": 1.25";
  assert_ok(buffer_append(&damaged, torn, (size_t)below(rng, sizeof torn), &error), error);
  write_file(&damaged, folder, "log.jsonl");
  buffer_free(&log);
  buffer_free(&damaged);
}

static void expect_log(const char *folder, const struct buffer *expected) {
  struct buffer log = {0};
  read_file(&log, folder, "log.jsonl");
  assert_int_equal(log.size, expected->size);
  assert_memory_equal(log.data, expected->data, log.size);
  buffer_free(&log);
}

static void test_resume(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct buffer whole = {0};
  for (uint64_t round = 0; round < ROUNDS; round++) {
    char one[64], other[64];
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0, round);
    struct journal *journal = open_journal(test_scratch(one), -1);
    for (int i = 0; i < LINES; i++) {
      write_numbers(journal, seed + round, i);
    }
    journal_close(journal);
    read_file(&whole, one, "log.jsonl");

    test_scratch(other);
    int64_t iteration = -1;
    for (int written = 0; written < LINES;) {
      journal = open_journal(other, iteration);
      int first = 0, stop;
      while (first < LINES && write_numbers(NULL, seed, first) <= iteration) {
        first++;
      }
      stop = first + below(&rng, LINES);
      for (written = first; written < LINES && written <= stop; written++) {
        write_numbers(journal, seed + round, written);
      }
      journal_close(journal);
      if (written < LINES) damage_log(&rng, other);
      bool anew = written < 2 || rng_uniform(&rng) < 0.2; /* both lines of `iteration` are there */
      iteration = anew ? -1 : (int64_t)below(&rng, written / 2) * 50 + below(&rng, 2);
    }
    expect_log(other, &whole);
    test_scratch_remove(one);
    test_scratch_remove(other);
  }
  buffer_free(&whole);
}

/* At every byte where a log can be cut: lines that are whole stay, one that lacks only its newline gets it. */
static void test_torn_line(void **state) {
  (void)state;
  char folder[64];
  struct buffer whole = {0}, log = {0};
  uint64_t seed = test_seed();
  struct journal *journal = open_journal(test_scratch(folder), -1);
  for (int i = 0; i < 8; i++) {
    write_numbers(journal, seed, i);
  }
  journal_close(journal);
  read_file(&whole, folder, "log.jsonl");
  size_t line = 0;
  for (size_t size = 0; size <= whole.size; size++) {
    struct buffer cut = {.data = whole.data, .size = size};
    write_file(&cut, folder, "log.jsonl");
    journal_close(open_journal(folder, 1000));
    if (size > 0 && whole.data[size - 1] == '\n') line = size;
    if (size < whole.size && whole.data[size] == '\n') line = size + 1;
    read_file(&log, folder, "log.jsonl");
    assert_int_equal(log.size, line);
    assert_memory_equal(log.data, whole.data, line);
  }
  buffer_free(&whole);
  buffer_free(&log);
  test_scratch_remove(folder);
}

static void test_untouched(void **state) {
  (void)state;
  char folder[64], path[96];
  struct stat before, after;
  struct journal *journal = open_journal(test_scratch(folder), -1);
  for (int i = 0; i < LINES; i++) {
    write_numbers(journal, 1, i);
  }
  journal_close(journal);
  in_folder(path, folder, "log.jsonl");
  assert_int_equal(stat(path, &before), 0);
  journal_close(open_journal(folder, 1 << 20));
  assert_int_equal(stat(path, &after), 0);
  assert_int_equal(before.st_ino, after.st_ino);
  assert_int_equal(before.st_size, after.st_size);
  test_scratch_remove(folder);
}

static void test_a_line(void **state) {
  (void)state;
  char folder[64];
  struct error error;
  struct buffer log = {0};
  struct journal_number numbers[] = {{"loss", 0.1f}, {"a \"b\"\n", -INFINITY}, {"lr", 1e-5}, {"n", NAN}};
  struct journal *journal = open_journal(test_scratch(folder), -1);
  assert_ok(journal_write(journal, INT64_C(1) << 40, 12.34567, numbers, COUNT_OF(numbers), &error), error);
  static const char expected[] = "{\"iteration\": 1099511627776, \"seconds\": 12.346, \"loss\": 0.100000001, "
                                 "\"a \\\"b\\\"\\u000a\": null, \"lr\": 1e-05, \"n\": null}\n";
  read_file(&log, folder, "log.jsonl"); /* before it is closed */
  assert_int_equal(log.size, strlen(expected));
  assert_memory_equal(log.data, expected, log.size);
  journal_close(journal);
  buffer_free(&log);
  test_scratch_remove(folder);
}

/* The disk is full at every possible byte: an error, no torn line, and the next line is fine once there is room. */
static void test_full_disk(void **state) {
  (void)state;
  char folder[64];
  struct error error;
  struct rlimit unlimited, limit;
  struct buffer before = {0}, after = {0};
  struct journal_number numbers[] = {{"loss", 1.5}, {"accuracy", 0.25}};
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &unlimited), 0);
  signal(SIGXFSZ, SIG_IGN);
  struct journal *journal = open_journal(test_scratch(folder), -1);
  for (int room = 0; room < 60; room++) {
    read_file(&before, folder, "log.jsonl");
    limit = unlimited;
    limit.rlim_cur = before.size + (rlim_t)room;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int result = journal_write(journal, room, 1, numbers, COUNT_OF(numbers), &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    assert_int_equal(result, -1);
    assert_non_null(strstr(error.message, "cannot write"));
    read_file(&after, folder, "log.jsonl");
    assert_int_equal(after.size, before.size);
    assert_ok(journal_write(journal, room, 1, numbers, COUNT_OF(numbers), &error), error);
  }
  journal_close(journal);
  buffer_free(&before);
  buffer_free(&after);
  test_scratch_remove(folder);
}

static void test_bad_folders(void **state) {
  (void)state;
  char folder[64], path[96];
  struct journal *journal;
  struct error error;
  in_folder(path, test_scratch(folder), "nowhere");
  assert_int_equal(journal_open(&journal, path, -1, &error), -1);
  assert_null(journal);
  assert_non_null(strstr(error.message, "nowhere/log.jsonl"));
  assert_int_equal(journal_draw(path, "title", &error), -1);
  assert_non_null(strstr(error.message, "nowhere/log.jsonl"));
  in_folder(path, folder, "log.jsonl");
  assert_ok(directory_create(path, &error), error);
  assert_int_equal(journal_open(&journal, folder, -1, &error), -1);
  assert_non_null(strstr(error.message, "not a regular file"));
  journal_close(NULL);
  test_scratch_remove(folder);
}

/* Any numbers, in any order of iterations. */
static void random_log(struct rng *rng, struct buffer *log) {
  struct error error;
  double magnitude = rng_range(rng, 0, 40), share = rng_uniform(rng);
  int lines = below(rng, 5) ? below(rng, 40) : below(rng, 4000);
  long long iteration = 0;
  for (int i = 0; i < lines; i++) {
    if (rng_uniform(rng) < 0.05) add_garbage(rng, log);
    iteration += below(rng, 3) ? 10 : (long long)rng_below(rng, 1000000000) - 1000;
    iteration = iteration < 0 ? 0 : iteration;
    assert_ok(buffer_printf(log, &error, "{\"iteration\": %lld", iteration), error);
    for (size_t k = 0; k < COUNT_OF(NAMES); k++) {
      double value = pow(10, rng_range(rng, -magnitude, magnitude)) * (rng_uniform(rng) < 0.1 ? -1 : 1);
      if (rng_uniform(rng) < 0.1) value = 0;
      if (rng_uniform(rng) < share) assert_ok(buffer_printf(log, &error, ", \"%s\": %g", NAMES[k], value), error);
    }
    assert_ok(buffer_append(log, "}\n", 2, &error), error);
  }
}

/* Always a picture, with coordinates that are numbers and lie near it. */
static void test_draw(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  char folder[64];
  struct buffer log = {0}, svg = {0};
  test_scratch(folder);
  for (uint64_t round = 0; round < DRAWINGS; round++) {
    struct rng rng;
    struct error error;
    rng_init(&rng, seed, RNG_TEST, 2, round);
    log.size = 0;
    random_log(&rng, &log);
    write_file(&log, folder, "log.jsonl");
    assert_ok(journal_draw(folder, "a <title> & \x01\xff", &error), error);
    read_file(&svg, folder, "loss.svg");
    assert_ok(buffer_append(&svg, "", 1, &error), error);
    const char *text = (const char *)svg.data;
    if (strstr(text, "nan") || strstr(text, "inf")) fail_msg("round %d draws what is no number", (int)round);
    assert_true(strlen(text) == svg.size - 1 && strstr(text, "</svg>\n") == text + svg.size - 8);
    for (const char *at = text; (at = strstr(at, " d=\"M")); at++) {
      double x, y;
      assert_int_equal(sscanf(at + 5, "%lf %lf", &x, &y), 2);
      assert_true(x >= 0 && x <= 1000 && y >= -400 && y <= 900);
    }
  }
  buffer_free(&log);
  buffer_free(&svg);
  test_scratch_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_resume), cmocka_unit_test(test_torn_line), cmocka_unit_test(test_untouched),
      cmocka_unit_test(test_a_line), cmocka_unit_test(test_full_disk), cmocka_unit_test(test_bad_folders),
      cmocka_unit_test(test_draw),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
