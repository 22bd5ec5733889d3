/* Looking at every picture of a source before any is needed. */
#include "pretrain/source_parts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct check {
  const struct source *source;
  struct progress *progress;
  struct source_scratch **scratch; /* one a worker */
  struct image *canvas;
  size_t memory;        /* that each may take */
  pthread_mutex_t lock; /* of faults */
  struct source_faults *faults;
};

static int add_fault(struct check *check, const struct source_picture *picture, const struct error *reason,
                     struct error *error) {
  struct source_faults *faults = check->faults;
  pthread_mutex_lock(&check->lock);
  void *items = faults->items;
  int result = array_reserve(&items, &faults->capacity, faults->count + 1, sizeof *faults->items, error);
  faults->items = items;
  const char *message = arena_copy(&faults->arena, reason->message, strlen(reason->message));
  if (result == 0 && !message) result = error_memory(error, strlen(reason->message));
  if (result == 0) {
    faults->items[faults->count++] = (struct source_fault){source_picture_key(picture), message};
  }
  pthread_mutex_unlock(&check->lock);
  return result;
}

/* What the machine could not do is no fault of the picture's. */
static int check_one(void *context, int worker, int64_t item, struct error *error) {
  struct check *check = context;
  const struct source_picture *picture = &check->source->pictures[item];
  struct error reason;
  if (source_check_picture(check->source, picture, check->memory, check->scratch[worker], &check->canvas[worker],
                           &reason)) {
    if (reason.machine) {
      *error = reason;
      return -1;
    }
    if (add_fault(check, picture, &reason, error)) return -1;
  }
  progress_add(check->progress, 1);
  return 0;
}

int source_check(const struct source *source, int workers, struct progress *progress, struct source_faults *faults,
                 struct error *error) {
  struct check check = {
      .source = source, .progress = progress, .memory = image_memory_share(workers), .faults = faults};
  int result = 0;
  pthread_mutex_init(&check.lock, NULL);
  check.scratch = calloc((size_t)workers, sizeof(struct source_scratch *));
  check.canvas = calloc((size_t)workers, sizeof *check.canvas);
  if (!check.scratch || !check.canvas) result = error_memory(error, (size_t)workers * sizeof *check.canvas);
  for (int i = 0; result == 0 && i < workers; i++) {
    result = source_scratch_create(&check.scratch[i], error);
  }
  if (result == 0) result = parallel_for(workers, (int64_t)source->picture_count, check_one, &check, error);
  for (int i = 0; check.scratch && check.canvas && i < workers; i++) {
    source_scratch_free(check.scratch[i]);
    image_free(&check.canvas[i]);
  }
  free(check.scratch);
  free(check.canvas);
  pthread_mutex_destroy(&check.lock);
  return result;
}

void source_faults_free(struct source_faults *faults) {
  free(faults->items);
  arena_free(&faults->arena);
  *faults = (struct source_faults){0};
}
