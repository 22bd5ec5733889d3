#include "core/base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

enum { TICK_SECONDS = 5 };

struct run_mutex {
  pthread_mutex_t lock;
};

static int lock_folder(struct run *run, struct error *error) {
  run->lock = open(run->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (run->lock < 0) return error_system(error, "%s: cannot open", run->folder);
  if (flock(run->lock, LOCK_EX | LOCK_NB) == 0) return 0;
  if (errno == EWOULDBLOCK) return error_set(error, "%s: another run is working in this folder", run->folder);
  return error_system(error, "%s: cannot lock", run->folder);
}

static int remove_entry(const struct run *run, const char *name, struct error *error) {
  char path[PATH_SIZE];
  return path_format(path, error, "%s/%s", run->folder, name) || file_remove_tree(path, error) ? -1 : 0;
}

/* DONE goes first and the record last: killed half way, the folder is an unfinished one of this tool's. */
static int remove_products(const struct run *run, const char *const *products, struct error *error) {
  if (remove_entry(run, "DONE", error)) return -1;
  for (size_t i = 0; products[i]; i++) {
    if (remove_entry(run, products[i], error)) return -1;
  }
  return remove_entry(run, "run.json", error);
}

/* The length of OPTION in a name "OPTION-xxh128", which stands for the contents of a file; else 0. */
static size_t content_of(const char *name) {
  static const char suffix[] = "-xxh128";
  size_t length = strlen(name), tail = sizeof suffix - 1;
  return length > tail && !strcmp(name + length - tail, suffix) ? length - tail : 0;
}

static bool is_given(const cJSON *item) {
  return item && !cJSON_IsNull(item);
}

/* How an option was given: "with --seed 7", "with --no-exif", "without --init". */
static void describe_option(const cJSON *item, const char *name, char *text, size_t size) {
  size_t option = content_of(name);
  if (!is_given(item) || option > 0) {
    snprintf(text, size, "%s --%.*s", is_given(item) ? "with" : "without", (int)(option ? option : strlen(name)), name);
    return;
  }
  char *value = cJSON_IsBool(item) ? NULL : cJSON_PrintUnformatted(item);
  snprintf(text, size, "with --%s%s%s%s", cJSON_IsFalse(item) ? "no-" : "", name, value ? " " : "", value ? value : "");
  cJSON_free(value);
}

static int compare_option(const struct run *run, const cJSON *earlier, const cJSON *now, const char *name,
                          struct error *error) {
  char before[256], wanted[256];
  if (is_given(earlier) == is_given(now) && (!is_given(now) || cJSON_Compare(earlier, now, true))) return 0;
  describe_option(earlier, name, before, sizeof before);
  describe_option(now, name, wanted, sizeof wanted);
  if (content_of(name) > 0 && is_given(earlier) && is_given(now)) {
    return error_set(error,
                     "%s was begun with other contents of --%.*s; choose another folder, or --overwrite to begin anew",
                     run->folder, (int)content_of(name), name);
  }
  return error_set(error, "%s was begun %s, not %s; choose another folder, or --overwrite to begin anew", run->folder,
                   before, wanted);
}

/* Both ways: an option that is not given any more is a difference, too. */
static int compare_identity(const struct run *run, const cJSON *earlier, const cJSON *identity, struct error *error) {
  const cJSON *item;
  cJSON_ArrayForEach(item, identity) {
    const cJSON *other = cJSON_GetObjectItemCaseSensitive(earlier, item->string);
    if (compare_option(run, other, item, item->string, error)) return -1;
  }
  cJSON_ArrayForEach(item, earlier) {
    const cJSON *other = cJSON_GetObjectItemCaseSensitive(identity, item->string);
    if (compare_option(run, item, other, item->string, error)) return -1;
  }
  return 0;
}

/* Without a record, the folder must be empty but for what a run leaves that is killed before it has one. */
static int check_empty(const struct run *run, const char *tool, struct error *error) {
  struct arena arena = {0};
  char **names;
  size_t count;
  int result = directory_list(run->folder, &arena, &names, &count, error);
  if (result == 0 && count > 0 && !(count == 1 && !strcmp(names[0], "run.json.tmp"))) {
    result =
        error_set(error, "%s: not empty (%s), and not begun by %s; choose another folder", run->folder, names[0], tool);
  }
  arena_free(&arena);
  return result;
}

/* The record of an earlier attempt of this tool's; *json stays NULL when there was none. */
static int read_earlier(const struct run *run, const char *tool, cJSON **json, struct error *error) {
  char path[PATH_SIZE];
  *json = NULL;
  if (path_format(path, error, "%s/run.json", run->folder)) return -1;
  if (!file_exists(path)) return check_empty(run, tool, error);
  if (file_read_json(path, json, error)) return -1;
  const cJSON *name = cJSON_GetObjectItemCaseSensitive(*json, "tool");
  const cJSON *seconds = cJSON_GetObjectItemCaseSensitive(*json, "wall_seconds");
  if (cJSON_IsString(name) && !strcmp(name->valuestring, tool) && cJSON_IsNumber(seconds)) return 0;
  return error_set(error, "%s: not a record of %s; choose another folder", path, tool);
}

/* Fails, and says why, unless the earlier work was the same. */
static int check_same(const struct run *run, const char *tool, const cJSON *earlier, const cJSON *identity,
                      struct error *error) {
  const cJSON *version = cJSON_GetObjectItemCaseSensitive(earlier, "version");
  if (!cJSON_IsString(version) || strcmp(version->valuestring, JIGSAW_VERSION) != 0) {
    return error_set(error, "%s was begun by another version of %s; choose another folder, or --overwrite", run->folder,
                     tool);
  }
  return compare_identity(run, cJSON_GetObjectItemCaseSensitive(earlier, "options"), identity, error);
}

static void take_up(struct run *run, cJSON *earlier) {
  run->seconds_before = cJSON_GetObjectItemCaseSensitive(earlier, "wall_seconds")->valuedouble;
  cJSON_DeleteItemFromObjectCaseSensitive(earlier, "finished_at");
  run->json = earlier;
}

static int write_record(struct run *run, struct error *error) {
  char path[PATH_SIZE];
  double here = clock_seconds() - run->started, wall = run->seconds_before + here;
  cJSON *attempt = cJSON_GetObjectItemCaseSensitive(run->attempt, "seconds");
  if (attempt) cJSON_SetNumberValue(attempt, here);
  cJSON_SetNumberValue(cJSON_GetObjectItemCaseSensitive(run->json, "wall_seconds"), wall);
  cJSON_SetNumberValue(cJSON_GetObjectItemCaseSensitive(run->json, "device_seconds"), wall);
  run->last_written = clock_seconds();
  return path_format(path, error, "%s/run.json", run->folder) ? -1 : file_write_json(path, run->json, error);
}

static int begin_record(struct run *run, const char *tool, cJSON **identity, struct error *error) {
  run->json = cJSON_CreateObject();
  if (!cJSON_AddStringToObject(run->json, "tool", tool) ||
      !cJSON_AddStringToObject(run->json, "version", JIGSAW_VERSION) ||
      !cJSON_AddNumberToObject(run->json, "wall_seconds", 0) ||
      !cJSON_AddNumberToObject(run->json, "device_seconds", 0) ||
      !cJSON_AddItemToObject(run->json, "options", *identity)) {
    return error_memory(error, 0);
  }
  *identity = NULL;
  return write_record(run, error);
}

int run_open(struct run *run, const char *folder, const char *tool, cJSON *identity, bool overwrite,
             const char *const *products, struct error *error) {
  char done[PATH_SIZE];
  bool differs = false;
  cJSON *earlier = NULL;
  *run = (struct run){.lock = -1, .started = clock_seconds()};
  int result = identity ? path_format(run->folder, error, "%s", folder) : error_memory(error, 0);
  if (result == 0) result = path_format(done, error, "%s/DONE", folder);
  if (result == 0 && !(run->mutex = calloc(1, sizeof *run->mutex))) result = error_memory(error, sizeof *run->mutex);
  if (result == 0) pthread_mutex_init(&run->mutex->lock, NULL);
  if (result == 0) result = directory_create(folder, error);
  if (result == 0) result = lock_folder(run, error);
  if (result == 0) result = read_earlier(run, tool, &earlier, error);
  if (result == 0 && earlier) differs = check_same(run, tool, earlier, identity, error) != 0;
  if (differs && overwrite) {
    cJSON_Delete(earlier);
    earlier = NULL;
    result = remove_products(run, products, error);
  } else if (differs) {
    result = -1;
  }
  if (result == 0 && earlier) {
    take_up(run, earlier);
    earlier = NULL;
  } else if (result == 0) {
    result = begin_record(run, tool, &identity, error);
  }
  if (result == 0) run->finished = file_exists(done);
  cJSON_Delete(earlier);
  cJSON_Delete(identity);
  if (result != 0) {
    cJSON_Delete(run->json);
    run->json = NULL;
    run_close(run);
    run->differs = differs && !overwrite;
  }
  return result;
}

static void format_now(char date[32]) {
  time_t now = time(NULL);
  struct tm utc;
  strftime(date, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
}

int run_attempt(struct run *run, cJSON *facts, struct error *error) {
  char date[32];
  cJSON *attempts = cJSON_GetObjectItemCaseSensitive(run->json, "attempts");
  if (!attempts) attempts = cJSON_AddArrayToObject(run->json, "attempts");
  format_now(date);
  if (!attempts || !facts || !cJSON_AddStringToObject(facts, "started_at", date) ||
      !cJSON_AddNumberToObject(facts, "seconds", 0) || !cJSON_AddItemToArray(attempts, facts)) {
    cJSON_Delete(facts);
    return error_memory(error, 0);
  }
  run->attempt = facts;
  return write_record(run, error);
}

void run_tick(struct run *run) {
  struct error ignored;
  pthread_mutex_lock(&run->mutex->lock);
  if (clock_seconds() - run->last_written > TICK_SECONDS) write_record(run, &ignored);
  pthread_mutex_unlock(&run->mutex->lock);
}

int run_finish(struct run *run, struct error *error) {
  char path[PATH_SIZE], date[32];
  format_now(date);
  if (!cJSON_AddStringToObject(run->json, "finished_at", date)) return error_memory(error, 0);
  if (write_record(run, error)) return -1;
  if (path_format(path, error, "%s/DONE", run->folder) || file_write_all(path, "", 0, error)) return -1;
  run->finished = true;
  return 0;
}

void run_close(struct run *run) {
  struct error ignored;
  if (run->json && !run->finished) write_record(run, &ignored);
  if (run->mutex) pthread_mutex_destroy(&run->mutex->lock);
  if (run->lock >= 0) close(run->lock);
  free(run->mutex);
  cJSON_Delete(run->json);
  *run = (struct run){.lock = -1};
}
