/* Pictures that cannot be used: all are looked at before the first step, left out, counted and listed. */
#include <stdlib.h>
#include <string.h>

#include "pretrain/trainer.h"

enum { SHOWN = 20, KEY_DIGITS = 16 };

static int compare_keys(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static int compare_messages(const void *a, const void *b) {
  return strcmp(((const struct source_fault *)a)->message, ((const struct source_fault *)b)->message);
}

void trainer_forget_broken(struct trainer *t) {
  free(t->broken.keys);
  buffer_free(&t->broken.text);
  t->broken.keys = NULL;
  t->broken.count = t->broken.found = 0;
}

/* ---- of an earlier attempt --------------------------------------------------------------------------------------- */

/* Each line begins with a key. */
static int read_keys(struct broken *broken, const struct buffer *list, struct error *error) {
  size_t bytes = (list->size / KEY_DIGITS + 1) * sizeof *broken->keys;
  if (!(broken->keys = malloc(bytes))) return error_memory(error, bytes);
  for (size_t at = 0; at + KEY_DIGITS < list->size; at++) {
    const char *line = (const char *)list->data + at, *end = memchr(line, '\n', list->size - at);
    char digits[KEY_DIGITS + 1] = "", *stop;
    memcpy(digits, line, KEY_DIGITS);
    uint64_t key = strtoull(digits, &stop, 16);
    if (*stop == '\0') broken->keys[broken->count++] = key;
    if (!end) break;
    at = (size_t)(end - (const char *)list->data);
  }
  if (broken->count > 0) qsort(broken->keys, broken->count, sizeof *broken->keys, compare_keys);
  return 0;
}

/* Whether the folder is ours to go on in is run_open's to say, later. */
static int read_recorded(struct trainer *t) {
  char path[PATH_SIZE];
  struct error ignored;
  cJSON *json;
  if (path_format(path, t->error, "%s/run.json", t->options.out)) return -1;
  if (!file_exists(path) || file_read_json(path, &json, &ignored)) return 0;
  const cJSON *options = cJSON_GetObjectItemCaseSensitive(json, "options");
  const cJSON *digest = cJSON_GetObjectItemCaseSensitive(options, "data-xxh128");
  if (cJSON_IsString(digest)) snprintf(t->broken.recorded, sizeof t->broken.recorded, "%s", digest->valuestring);
  cJSON_Delete(json);
  return 0;
}

int trainer_read_broken(struct trainer *t) {
  char path[PATH_SIZE];
  struct buffer list = {0};
  if (read_recorded(t) || path_format(path, t->error, "%s/broken.txt", t->options.out)) return -1;
  if (!*t->broken.recorded || !file_exists(path)) return 0;
  int result = file_read(&list, path, t->error);
  if (result == 0) result = read_keys(&t->broken, &list, t->error);
  buffer_free(&list);
  return result;
}

bool trainer_same_data(const struct trainer *t) {
  char hex[33];
  hash_hex(source_digest(t->training), hex);
  return !strcmp(hex, t->broken.recorded);
}

/* ---- of this one ------------------------------------------------------------------------------------------------- */

static void show(const struct source_faults *faults, FILE *stream) {
  for (size_t i = 0; i < faults->count && i < SHOWN; i++) {
    fprintf(stream, "broken: %s\n", faults->items[i].message);
  }
  if (faults->count > SHOWN) fprintf(stream, "broken: and %zu more\n", faults->count - SHOWN);
}

static int take(struct broken *broken, const struct source_faults *faults, struct error *error) {
  size_t bytes = faults->count * sizeof *broken->keys;
  if (!(broken->keys = malloc(bytes))) return error_memory(error, bytes);
  for (size_t i = 0; i < faults->count; i++) {
    const struct source_fault *fault = &faults->items[i];
    broken->keys[broken->count++] = fault->key;
    if (buffer_printf(&broken->text, error, "%016llx  %s\n", (unsigned long long)fault->key, fault->message)) return -1;
  }
  qsort(broken->keys, broken->count, sizeof *broken->keys, compare_keys);
  broken->found = faults->count;
  return 0;
}

static int judge_faults(struct trainer *t, struct source_faults *faults) {
  long long images = trainer_epoch(t), count = (long long)faults->count;
  if (count == 0) return 0;
  qsort(faults->items, faults->count, sizeof *faults->items, compare_messages);
  if (t->options.chatter) show(faults, t->options.chatter);
  if ((double)count * 100 <= (double)images * t->options.max_bad) return take(&t->broken, faults, t->error);
  return error_set(
      t->error,
      "%lld of %lld pictures are broken, more than the %g %% that --max-bad allows; mend or remove them, or "
      "raise --max-bad to leave them out. The first: %s",
      count, images, t->options.max_bad, faults->items[0].message);
}

int trainer_find_broken(struct trainer *t) {
  struct source *const parts[] = {t->training, t->held_out};
  struct source_faults faults = {0};
  struct progress progress;
  int result = 0;
  if (source_kind(t->training) == SOURCE_STORE) return 0; /* has checksums, and was made from pictures that are whole */
  progress_start(&progress, t->options.chatter, "checking", "img", trainer_epoch(t));
  for (size_t i = 0; result == 0 && i < COUNT_OF(parts); i++) {
    if (parts[i]) result = source_check(parts[i], t->options.threads, &progress, &faults, t->error);
  }
  if (result == 0) progress_finish(&progress);
  if (result == 0) result = judge_faults(t, &faults);
  source_faults_free(&faults);
  return result;
}

int trainer_write_broken(struct trainer *t) {
  char path[PATH_SIZE];
  if (t->broken.found == 0) return 0;
  if (path_format(path, t->error, "%s/broken.txt", t->options.out)) return -1;
  return file_write_all(path, t->broken.text.data, t->broken.text.size, t->error);
}
