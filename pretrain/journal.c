#include "pretrain/journal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct journal {
  char path[PATH_SIZE];
  int fd;
  struct buffer line; /* scratch */
  struct events events;
};

static cJSON *parse_line(const char *bytes, size_t size, int64_t *iteration) {
  const char *end = NULL;
  cJSON *json = cJSON_ParseWithLengthOpts(bytes, size, &end, false);
  size_t used = json ? (size_t)(end - bytes) : 0;
  while (used < size && (bytes[used] == ' ' || bytes[used] == '\r' || bytes[used] == '\n')) {
    used++;
  }
  const cJSON *number = cJSON_GetObjectItemCaseSensitive(json, "iteration");
  double value = cJSON_IsNumber(number) ? number->valuedouble : -1;
  bool whole = value >= 0 && value <= 0x1p53 && value == floor(value);
  if (!cJSON_IsObject(json) || used != size || !whole) {
    cJSON_Delete(json);
    return NULL;
  }
  *iteration = (int64_t)value;
  return json;
}

bool log_next(const struct buffer *log, size_t *at, struct log_line *line) {
  if (*at >= log->size) return false;
  const char *bytes = (const char *)log->data + *at;
  size_t left = log->size - *at;
  const char *newline = memchr(bytes, '\n', left);
  *line = (struct log_line){.bytes = bytes, .size = newline ? (size_t)(newline - bytes) + 1 : left};
  line->json = parse_line(line->bytes, line->size, &line->iteration);
  *at += line->size;
  return true;
}

int log_append(int fd, const char *path, const struct buffer *bytes, struct error *error) {
  struct stat status;
  if (fstat(fd, &status)) return error_system(error, "%s: cannot stat", path);
  for (size_t done = 0; done < bytes->size;) {
    ssize_t put = write(fd, bytes->data + done, bytes->size - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      error_system(error, "%s: cannot write", path);
      if (ftruncate(fd, status.st_size)) return error_context(error, "%s: ends in a torn line", path);
      return -1;
    }
    done += (size_t)put;
  }
  return 0;
}

/* The log without lines after `iteration` and without what is no line of a log; a log that needs no change is not
 * touched. A last line that lacks nothing but its newline is whole. */
static int take_up(const char *path, int64_t iteration, struct error *error) {
  struct buffer log = {0}, kept = {0};
  int result = -1;
  if (!file_exists(path)) return 0;
  if (file_read(&log, path, error)) goto done;
  struct log_line line;
  for (size_t at = 0; log_next(&log, &at, &line);) {
    bool keep = line.json && line.iteration <= iteration;
    cJSON_Delete(line.json);
    if (!keep) continue;
    if (buffer_append(&kept, line.bytes, line.size, error)) goto done;
    if (line.bytes[line.size - 1] != '\n' && buffer_append(&kept, "\n", 1, error)) goto done;
  }
  bool same = kept.size == log.size && (kept.size == 0 || memcmp(kept.data, log.data, kept.size) == 0);
  result = same ? 0 : file_write_all(path, kept.data, kept.size, error);
done:
  buffer_free(&log);
  buffer_free(&kept);
  return result;
}

int journal_open(struct journal **journal, const char *folder, int64_t iteration, struct error *error) {
  struct journal *opened = *journal = NULL;
  opened = malloc(sizeof *opened);
  if (!opened) return error_memory(error, sizeof *opened);
  *opened = (struct journal){.fd = -1, .events.fd = -1};
  if (path_format(opened->path, error, "%s/log.jsonl", folder)) goto failed;
  if (take_up(opened->path, iteration, error)) goto failed;
  opened->fd = open(opened->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (opened->fd < 0) {
    error_system(error, "%s: cannot open", opened->path);
    goto failed;
  }
  if (events_open(&opened->events, folder, iteration, error)) goto failed;
  *journal = opened;
  return 0;
failed:
  journal_close(opened);
  return -1;
}

void journal_close(struct journal *journal) {
  if (!journal) return;
  events_close(&journal->events);
  if (journal->fd >= 0) close(journal->fd);
  buffer_free(&journal->line);
  free(journal);
}

/* 9 digits tell any two float32 apart. */
static int add_number(struct buffer *line, const struct journal_number *number, struct error *error) {
  if (buffer_append(line, ", ", 2, error) || buffer_json_string(line, number->name, error)) return -1;
  if (!isfinite(number->value)) return buffer_append(line, ": null", 6, error);
  return buffer_printf(line, error, ": %.9g", number->value);
}

int journal_write(struct journal *journal, int64_t iteration, double seconds, const struct journal_number *numbers,
                  size_t count, struct error *error) {
  struct buffer *line = &journal->line;
  line->size = 0;
  if (buffer_printf(line, error, "{\"iteration\": %lld, \"seconds\": %.3f", (long long)iteration, seconds)) return -1;
  for (size_t i = 0; i < count; i++) {
    if (add_number(line, &numbers[i], error)) return -1;
  }
  if (buffer_append(line, "}\n", 2, error) || log_append(journal->fd, journal->path, line, error)) return -1;
  return events_write(&journal->events, iteration, numbers, count, error);
}
