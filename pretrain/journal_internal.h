/* What the parts of the journal share: journal.c the log, events.c TensorBoard's file, plot.c the picture. */
#ifndef JIGSAW_PRETRAIN_JOURNAL_INTERNAL_H
#define JIGSAW_PRETRAIN_JOURNAL_INTERNAL_H

#include "pretrain/journal.h"

/* One line of a log, its newline included where there is one. `json` (the caller's to free) is NULL for what is not a
 * whole JSON object with an iteration. */
struct log_line {
  const char *bytes;
  size_t size;
  cJSON *json;
  int64_t iteration;
};

/* The line at `*at`, which moves on to the next; false at the end. */
bool log_next(const struct buffer *log, size_t *at, struct log_line *line);

/* Appends all of `bytes` to the file, or, on failure, leaves it as long as it was. */
int log_append(int fd, const char *path, const struct buffer *bytes, struct error *error);

/* TensorBoard's event file of one attempt. */
struct events {
  char path[PATH_SIZE];
  int fd;
  struct buffer records; /* scratch */
};

/* Tells TensorBoard that what earlier files have after `iteration` is void. */
int events_open(struct events *events, const char *folder, int64_t iteration, struct error *error);
int events_write(struct events *events, int64_t iteration, const struct journal_number *numbers, size_t count,
                 struct error *error);
void events_close(struct events *events);

#endif
