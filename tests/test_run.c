/* Output folders: what is taken up, what is refused, what goes. */
#include "core/base/base.h"

#include "tests/test_support.h"

static const char *const products[] = {"product", NULL};

/* {"seed": 1, ...}: an identity. */
static cJSON *identity_of(const char *text) {
  cJSON *identity = cJSON_Parse(text);
  assert_non_null(identity);
  return identity;
}

static void leave_product(const char *folder) {
  char path[PATH_SIZE];
  struct error error;
  assert_ok(path_format(path, &error, "%s/product", folder), error);
  assert_ok(file_write_all(path, "x", 1, &error), error);
}

static bool has_product(const char *folder) {
  char path[PATH_SIZE];
  struct error error;
  assert_ok(path_format(path, &error, "%s/product", folder), error);
  return file_exists(path);
}

/* One attempt, which leaves a product, and maybe reaches its end. */
static void attempt(const char *folder, const char *identity, bool overwrite, bool finish) {
  struct run run;
  struct error error;
  assert_ok(run_open(&run, folder, "tool", identity_of(identity), overwrite, products, &error), error);
  assert_false(run.finished);
  leave_product(folder);
  if (finish) assert_ok(run_finish(&run, &error), error);
  run_close(&run);
}

static void refuse(const char *folder, const char *identity, const char *const *words) {
  struct run run;
  struct error error = {0};
  assert_int_equal(run_open(&run, folder, "tool", identity_of(identity), false, products, &error), -1);
  assert_true(run.differs);
  for (; *words; words++) {
    if (!strstr(error.message, *words)) fail_msg("\"%s\" is not in: %s", *words, error.message);
  }
  assert_true(has_product(folder));
}

#define REFUSED(folder, identity, ...) refuse(folder, identity, (const char *const[]){__VA_ARGS__, NULL})

/* Options more, fewer or other; null is the same as not given. */
static void test_identities(void **state) {
  (void)state;
  char folder[64];
  test_scratch(folder);
  attempt(folder, "{\"seed\": 1, \"lr\": null, \"flip\": true, \"init-xxh128\": \"12\"}", false, false);
  attempt(folder, "{\"flip\": true, \"init-xxh128\": \"12\", \"seed\": 1}", false, false);
  REFUSED(folder, "{\"seed\": 2, \"flip\": true, \"init-xxh128\": \"12\"}", "with --seed 1, not with --seed 2", folder);
  REFUSED(folder, "{\"seed\": 1, \"flip\": false, \"init-xxh128\": \"12\"}", "with --flip, not with --no-flip");
  REFUSED(folder, "{\"seed\": 1, \"flip\": true, \"init-xxh128\": \"13\"}", "other contents of --init;");
  REFUSED(folder, "{\"seed\": 1, \"flip\": true}", "with --init, not without --init;", "--overwrite");
  REFUSED(folder, "{\"seed\": 1, \"flip\": true, \"init-xxh128\": \"12\", \"data-xxh128\": \"1\"}",
          "without --data, not with --data;");
  REFUSED(folder, "{\"seed\": 1, \"flip\": true, \"init-xxh128\": \"12\", \"lr\": 0}",
          "without --lr, not with --lr 0;");
  test_scratch_remove(folder);
}

/* --overwrite takes away other work only: a job that is started again with it comes to its end, and stays there. */
static void test_overwrite(void **state) {
  (void)state;
  struct run run;
  struct error error;
  char folder[64];
  test_scratch(folder);
  attempt(folder, "{\"seed\": 1}", false, true);
  attempt(folder, "{\"seed\": 2}", true, false);
  assert_ok(run_open(&run, folder, "tool", identity_of("{\"seed\": 2}"), true, products, &error), error);
  assert_false(run.finished);
  assert_true(has_product(folder));
  assert_ok(run_finish(&run, &error), error);
  run_close(&run);
  assert_ok(run_open(&run, folder, "tool", identity_of("{\"seed\": 2}"), true, products, &error), error);
  assert_true(run.finished && has_product(folder));
  run_close(&run);
  assert_ok(run_open(&run, folder, "tool", identity_of("{\"seed\": 3}"), true, products, &error), error);
  assert_false(run.finished || has_product(folder));
  run_close(&run);
  test_scratch_remove(folder);
}

/* Every attempt leaves what it ran on, also one that was killed after it had begun. */
static void test_attempts(void **state) {
  (void)state;
  static const char *const devices[] = {"first", "second", "third"};
  char folder[64], path[PATH_SIZE];
  struct error error;
  cJSON *json;
  test_scratch(folder);
  for (size_t i = 0; i < COUNT_OF(devices); i++) {
    struct run run;
    cJSON *facts = cJSON_CreateObject();
    assert_non_null(cJSON_AddStringToObject(facts, "device", devices[i]));
    assert_ok(run_open(&run, folder, "tool", identity_of("{}"), false, products, &error), error);
    assert_ok(run_attempt(&run, facts, &error), error);
    assert_ok(path_format(path, &error, "%s/run.json", folder), error);
    assert_ok(file_read_json(path, &json, &error), error);
    const cJSON *attempts = cJSON_GetObjectItem(json, "attempts");
    assert_int_equal(cJSON_GetArraySize(attempts), i + 1);
    double seconds = 0;
    for (size_t k = 0; k <= i; k++) {
      const cJSON *one = cJSON_GetArrayItem(attempts, (int)k);
      assert_string_equal(cJSON_GetObjectItem(one, "device")->valuestring, devices[k]);
      assert_int_equal(strlen(cJSON_GetObjectItem(one, "started_at")->valuestring), strlen("2026-01-01T00:00:00Z"));
      seconds += cJSON_GetObjectItem(one, "seconds")->valuedouble;
    }
    double wall = cJSON_GetObjectItem(json, "wall_seconds")->valuedouble;
    assert_true(wall >= seconds * 0.999 && wall <= seconds + 0.001);
    cJSON_Delete(json);
    run_close(&run);
  }
  test_scratch_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_identities),
      cmocka_unit_test(test_overwrite),
      cmocka_unit_test(test_attempts),
  };
  return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
