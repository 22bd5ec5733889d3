/* Checkpoints: what is loaded has the bits that were saved; damage, kills and full disks lose at most the newest one.
 */
#include "nn/checkpoint.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/test_support.h"

#include "tests/weights_support.h"

enum { CLASSES = 25, KEPT = 2 };

struct session {
  char folder[80];
  struct model model;
  float history[10], table[3];
  struct checkpoint_array arrays[2];
  struct checkpoint checkpoint;
};

static void session_open(struct session *session, const char *folder, struct rng *rng, int64_t classes) {
  *session = (struct session){0};
  snprintf(session->folder, sizeof session->folder, "%s", folder);
  model_open(&session->model, rng, classes, true, true);
  session->arrays[0] = (struct checkpoint_array){"history", session->history, COUNT_OF(session->history)};
  session->arrays[1] = (struct checkpoint_array){"table", session->table, COUNT_OF(session->table)};
  session->checkpoint.arrays = session->arrays;
  session->checkpoint.array_count = COUNT_OF(session->arrays);
}

static int save(struct session *session, int64_t iteration, struct error *error) {
  cJSON *notes = cJSON_CreateObject();
  cJSON_AddStringToObject(notes, "text", "a \"b\"\n\xC3\xA9");
  cJSON_AddNumberToObject(notes, "at", (double)iteration);
  session->checkpoint.iteration = iteration;
  session->history[0] = (float)iteration;
  int status = checkpoint_save(session->folder, &session->model.params, &session->checkpoint, notes, KEPT, error);
  cJSON_Delete(notes);
  return status;
}

/* What `load` returns besides iterations. */
enum { NONE = -1, FAILED = -2, DAMAGED = -3 };

/* Loads into a fresh run and returns the iteration; `skipped` (64 KiB) are its lines. */
static int64_t load(const char *folder, struct session *session, char *skipped, struct error *error) {
  struct buffer lines = {0};
  cJSON *notes;
  session_open(session, folder, NULL, CLASSES);
  enum checkpoint_result result =
      checkpoint_load(folder, &session->model.params, &session->checkpoint, &notes, &lines, error);
  if (skipped) snprintf(skipped, 65536, "%.*s", (int)lines.size, lines.data ? (const char *)lines.data : "");
  if (result == CHECKPOINT_LOADED) {
    assert_true(cJSON_GetObjectItem(notes, "at")->valuedouble == (double)session->checkpoint.iteration);
    assert_string_equal(cJSON_GetObjectItem(notes, "text")->valuestring, "a \"b\"\n\xC3\xA9");
    assert_true(session->history[0] == (float)session->checkpoint.iteration);
  }
  if (result != CHECKPOINT_LOADED) assert_null(notes);
  cJSON_Delete(notes);
  buffer_free(&lines);
  if (result == CHECKPOINT_LOADED) return session->checkpoint.iteration;
  return result == CHECKPOINT_NONE ? NONE : result == CHECKPOINT_DAMAGED ? DAMAGED : FAILED;
}

/* Names in the folder, joined by spaces. */
static const char *names_in(const char *folder, char *text, size_t size) {
  struct arena arena = {0};
  struct error error;
  char **names;
  size_t count, used = 0;
  assert_ok(directory_list(folder, &arena, &names, &count, &error), error);
  text[0] = '\0';
  for (size_t i = 0; i < count; i++) {
    used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? " " : "", names[i]);
  }
  arena_free(&arena);
  return text;
}

static void checkpoint_file(char path[PATH_SIZE], const char *folder, int64_t iteration) {
  struct error error;
  assert_ok(path_format(path, &error, "%s/%09lld.safetensors", folder, (long long)iteration), error);
}

static void overwrite(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

static void test_round_trip(void **state) {
  struct rng *rng = *state;
  struct session a, b;
  struct error error;
  char folder[64], names[512];
  session_open(&a, test_scratch(folder), rng, CLASSES);
  assert_int_equal(load(folder, &b, NULL, &error), NONE);
  model_close(&b.model);
  for (int64_t iteration = 0; iteration <= 2000; iteration += 500) {
    for (size_t i = 0; i < COUNT_OF(a.table); i++) {
      a.table[i] = (float)rng_uniform(rng);
    }
    fill_block(rng, &a.model.params, a.model.params.values);
    assert_ok(save(&a, iteration, &error), error);
    assert_int_equal(load(folder, &b, NULL, &error), iteration);
    assert_same_values(&a.model, a.model.params.values, &b.model, b.model.params.values, false);
    assert_same_values(&a.model, a.model.params.momenta, &b.model, b.model.params.momenta, true);
    assert_memory_equal(a.table, b.table, sizeof a.table);
    model_close(&b.model);
  }
  assert_string_equal(names_in(folder, names, sizeof names), "000001500.safetensors 000002000.safetensors");
  assert_ok(save(&a, 12345678901, &error), error); /* of more digits than names have: still the newest */
  assert_int_equal(load(folder, &b, NULL, &error), 12345678901);
  model_close(&b.model);
  model_close(&a.model);
  test_scratch_remove(folder);
}

/* NaNs, infinities, subnormals and -0 pass too. */
static void test_every_bit(void **state) {
  struct rng *rng = *state;
  struct session a, b;
  struct error error;
  char folder[64];
  session_open(&a, test_scratch(folder), rng, CLASSES);
  const struct nn_param *param = nn_params_find(&a.model.params, "fc.weight");
  const uint32_t bits[] = {0x7FC00001, 0x7F800000, 0xFF800000, 1, 0x80000000};
  float values[CLASSES * 5] = {0};
  memcpy(values, bits, sizeof bits);
  assert_ok(nn_param_write(&a.model.params, param, a.model.params.values, values, &error), error);
  assert_ok(save(&a, 1, &error), error);
  assert_int_equal(load(folder, &b, NULL, &error), 1);
  assert_true(same_values(&a.model, a.model.params.values, &b.model, b.model.params.values, "fc.weight"));
  model_close(&b.model);
  model_close(&a.model);
  test_scratch_remove(folder);
}

/* The newest file cut off or changed anywhere: the one before it is taken up, or the change cannot matter. */
static void test_damage(void **state) {
  struct rng *rng = *state;
  static char skipped[65536];
  struct session a, b;
  struct error error;
  struct buffer good = {0};
  char folder[64], path[PATH_SIZE];
  session_open(&a, test_scratch(folder), rng, CLASSES);
  assert_ok(save(&a, 10, &error), error);
  assert_ok(save(&a, 20, &error), error);
  checkpoint_file(path, folder, 20);
  assert_ok(file_read(&good, path, &error), error);
  for (int round = 0; round < 300; round++) {
    uint8_t *bytes = malloc(good.size);
    assert_non_null(bytes);
    memcpy(bytes, good.data, good.size);
    size_t size = good.size, at = (size_t)rng_below(rng, round % 2 ? size : 1600);
    if (round % 3 == 0) {
      size = at;
    } else if (round % 3 == 1) {
      bytes[at] ^= (uint8_t)(1 + rng_below(rng, 255));
    } else {
      memset(bytes + at, 0, size - at < 64 ? size - at : 64);
    }
    bool changed = size != good.size || memcmp(bytes, good.data, size) != 0;
    overwrite(path, bytes, size);
    free(bytes);
    if (!changed) continue;
    int64_t iteration = load(folder, &b, skipped, &error);
    if (iteration == 20) { /* a character of the header that means nothing */
      assert_same_values(&a.model, a.model.params.values, &b.model, b.model.params.values, false);
      assert_same_values(&a.model, a.model.params.momenta, &b.model, b.model.params.momenta, true);
    } else {
      if (iteration != 10) fail_msg("%s", error.message);
      assert_non_null(strstr(skipped, "/000000020.safetensors: "));
      assert_true(skipped[strlen(skipped) - 1] == '\n');
    }
    model_close(&b.model);
  }
  buffer_free(&good);
  model_close(&a.model);
  test_scratch_remove(folder);
}

static void test_passed_by(void **state) {
  struct rng *rng = *state;
  static char skipped[65536];
  struct session a, b;
  struct error error;
  char folder[64], path[PATH_SIZE], renamed[PATH_SIZE], names[512];
  session_open(&a, test_scratch(folder), rng, CLASSES);
  assert_ok(save(&a, 100, &error), error);
  checkpoint_file(path, folder, 300);
  overwrite(path, "not a checkpoint", 16);
  checkpoint_file(path, folder, 200);
  overwrite(path, "\2\0\0\0\0\0\0\0{}", 10);
  assert_int_equal(load(folder, &b, skipped, &error), 100);
  assert_non_null(strstr(skipped, "000000200.safetensors: not a checkpoint\n"));
  assert_true(strstr(skipped, "000000300") < strstr(skipped, "000000200"));
  model_close(&b.model);

  checkpoint_file(path, folder, 100);
  checkpoint_file(renamed, folder, 400);
  assert_int_equal(rename(path, renamed), 0);
  assert_int_equal(load(folder, &b, skipped, &error), DAMAGED);
  assert_non_null(strstr(skipped, "000000400.safetensors: renamed: it is of iteration 100\n"));
  model_close(&b.model);

  /* What was passed by goes when the run has come beyond it, and so does what a kill left half written. */
  assert_ok(path_format(path, &error, "%s/000000500.safetensors.tmp", folder), error);
  overwrite(path, "half", 4);
  assert_ok(path_format(path, &error, "%s/notes.tmp", folder), error);
  overwrite(path, "not ours", 8);
  assert_ok(save(&a, 150, &error), error);
  assert_string_equal(names_in(folder, names, sizeof names), "000000150.safetensors notes.tmp");
  model_close(&a.model);
  test_scratch_remove(folder);
}

/* None of several is whole: that is not the same as none, and all stay where they are. */
static void test_all_damaged(void **state) {
  struct rng *rng = *state;
  struct session a, b;
  struct error error;
  char folder[64], path[PATH_SIZE], names[512];
  session_open(&a, test_scratch(folder), rng, CLASSES);
  assert_ok(checkpoint_newest(folder, path, &error), error);
  assert_string_equal(path, "");
  for (int64_t iteration = 10; iteration <= 20; iteration += 10) {
    assert_ok(save(&a, iteration, &error), error);
    checkpoint_file(path, folder, iteration);
    assert_int_equal(truncate(path, 1 + (off_t)rng_below(rng, 1000)), 0);
  }
  assert_int_equal(load(folder, &b, NULL, &error), DAMAGED);
  assert_non_null(strstr(error.message, "(000000020.safetensors, 000000010.safetensors)"));
  assert_string_equal(names_in(folder, names, sizeof names), "000000010.safetensors 000000020.safetensors");
  char newest[PATH_SIZE];
  assert_ok(checkpoint_newest(folder, newest, &error), error);
  assert_string_equal(newest, path);
  model_close(&b.model);
  model_close(&a.model);
  test_scratch_remove(folder);
}

/* A file whose reading fails (process memory at address 0: EIO) says nothing about what it holds: nothing older is
 * taken in its place, which the next save would make final. */
static void test_machine_at_fault(void **state) {
  struct rng *rng = *state;
  static char skipped[65536];
  struct session a, b;
  struct error error;
  char folder[64], path[PATH_SIZE];
  session_open(&a, test_scratch(folder), rng, CLASSES);
  assert_ok(save(&a, 10, &error), error);
  checkpoint_file(path, folder, 20);
  assert_int_equal(symlink("/proc/self/mem", path), 0);
  assert_int_equal(load(folder, &b, skipped, &error), FAILED);
  assert_string_equal(skipped, "");
  assert_true(error.machine);
  model_close(&b.model);
  model_close(&a.model);
  test_scratch_remove(folder);
}

static void refuse_load(const char *folder, struct session *session, const char *words) {
  struct buffer lines = {0};
  struct error error = {0};
  cJSON *notes;
  int status = checkpoint_load(folder, &session->model.params, &session->checkpoint, &notes, &lines, &error);
  assert_int_equal(status, -1);
  assert_null(notes);
  if (!strstr(error.message, words)) fail_msg("said \"%s\", not \"%s\"", error.message, words);
  buffer_free(&lines);
}

static void test_misfits(void **state) {
  struct rng *rng = *state;
  struct session a, other;
  struct model before;
  struct error error;
  char folder[64];
  session_open(&a, test_scratch(folder), rng, CLASSES);
  assert_ok(save(&a, 5, &error), error);

  struct rng same = *rng;
  session_open(&other, folder, rng, 80);
  model_open(&before, &same, 80, true, true);
  refuse_load(folder, &other, "000000005.safetensors: fc.weight is [25, 5] in the checkpoint, [80, 5] now");
  assert_same_values(&before, before.params.values, &other.model, other.model.params.values, false);
  model_close(&before);
  model_close(&other.model);

  session_open(&other, folder, NULL, CLASSES);
  nn_params_freeze(&other.model.params, "conv1.");
  refuse_load(folder, &other, "of which only");
  other.checkpoint.array_count = 1;
  refuse_load(folder, &other, "of which only");
  model_close(&other.model);

  session_open(&other, folder, NULL, CLASSES);
  other.arrays[1].key = "tables";
  refuse_load(folder, &other, "state:tables is not in the checkpoint");
  other.arrays[1].key = "table";
  other.arrays[1].count = 2;
  refuse_load(folder, &other, "state:table is [3] in the checkpoint, [2] now");
  model_close(&other.model);
  model_close(&a.model);
  test_scratch_remove(folder);
}

/* In a child, whose files may not become larger than half a checkpoint: as on a full disk, a write fails half way. */
static void test_full_disk(void **state) {
  struct rng *rng = *state;
  struct session a, b;
  struct error error = {0};
  char folder[64], names[512];
  session_open(&a, test_scratch(folder), rng, CLASSES);
  assert_ok(save(&a, 10, &error), error);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    const struct rlimit limit = {4000, 4000};
    signal(SIGXFSZ, SIG_IGN);
    int failed = setrlimit(RLIMIT_FSIZE, &limit) || save(&a, 20, &error) == 0;
    _exit(failed || !strstr(error.message, "000000020.safetensors: cannot write"));
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  assert_string_equal(names_in(folder, names, sizeof names), "000000010.safetensors");
  assert_int_equal(load(folder, &b, NULL, &error), 10);
  model_close(&b.model);
  model_close(&a.model);
  test_scratch_remove(folder);
}

/* Saving again and again, killed at random: there is always a whole checkpoint, and nothing is passed by. */
static void test_kill(void **state) {
  struct rng *rng = *state;
  static char skipped[65536];
  struct session a, b;
  struct error error;
  char folder[64];
  int64_t reached = 0;
  session_open(&a, test_scratch(folder), rng, CLASSES);
  assert_ok(save(&a, 0, &error), error);
  for (int round = 0; round < 25; round++) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      for (int64_t iteration = reached + 1;; iteration++) {
        if (save(&a, iteration, &error)) _exit(1);
      }
    }
    usleep((useconds_t)rng_below(rng, 20000));
    int status;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    int64_t iteration = load(folder, &b, skipped, &error);
    assert_true(iteration >= reached);
    assert_string_equal(skipped, "");
    assert_same_values(&a.model, a.model.params.values, &b.model, b.model.params.values, false);
    model_close(&b.model);
    reached = iteration;
  }
  model_close(&a.model);
  test_scratch_remove(folder);
}

static void test_bad_folders(void **state) {
  struct rng *rng = *state;
  struct session a, b;
  struct error error;
  char folder[64], path[PATH_SIZE], inner[80];
  session_open(&a, test_scratch(folder), rng, CLASSES);
  snprintf(inner, sizeof inner, "%s/new", folder);
  assert_int_equal(load(inner, &b, NULL, &error), NONE);
  model_close(&b.model);
  snprintf(a.folder, sizeof a.folder, "%s", inner);
  assert_ok(save(&a, 1, &error), error); /* makes the folder */
  a.arrays[0].count = 0;
  assert_int_equal(save(&a, 2, &error), -1);
  assert_int_equal(save(&a, -1, &error), -1);
  a.arrays[0].count = COUNT_OF(a.history);
  checkpoint_file(path, inner, 1);
  assert_int_equal(unlink(path), 0);
  assert_ok(directory_create(path, &error), error); /* cannot be read: not the same as damaged */
  assert_int_equal(load(inner, &b, NULL, &error), FAILED);
  model_close(&b.model);
  model_close(&a.model);
  test_scratch_remove(folder);
}

int main(void) {
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 0, 0);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_prestate(test_round_trip, &rng),  cmocka_unit_test_prestate(test_every_bit, &rng),
      cmocka_unit_test_prestate(test_damage, &rng),      cmocka_unit_test_prestate(test_passed_by, &rng),
      cmocka_unit_test_prestate(test_all_damaged, &rng), cmocka_unit_test_prestate(test_machine_at_fault, &rng),
      cmocka_unit_test_prestate(test_misfits, &rng),     cmocka_unit_test_prestate(test_full_disk, &rng),
      cmocka_unit_test_prestate(test_kill, &rng),        cmocka_unit_test_prestate(test_bad_folders, &rng),
  };
  return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
