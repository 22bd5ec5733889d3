#include "core/base/base.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct loop {
  parallel_task *task;
  void *context;
  int64_t items;
  atomic_llong next;
  pthread_mutex_t lock;
  int64_t failed_item; /* lowest so far; `items` while nothing failed */
  struct error *error;
};

struct loop_thread {
  struct loop *loop;
  int worker;
  pthread_t thread;
};

static void loop_work(struct loop *loop, int worker) {
  for (int64_t item; (item = atomic_fetch_add(&loop->next, 1)) < loop->items;) {
    struct error error = {0};
    if (loop->task(loop->context, worker, item, &error) == 0) continue;
    atomic_store(&loop->next, loop->items);
    pthread_mutex_lock(&loop->lock);
    if (item < loop->failed_item) {
      loop->failed_item = item;
      *loop->error = error;
    }
    pthread_mutex_unlock(&loop->lock);
  }
}

static void *loop_main(void *argument) {
  struct loop_thread *self = argument;
  loop_work(self->loop, self->worker);
  return NULL;
}

int parallel_for(int workers, int64_t items, parallel_task *task, void *context, struct error *error) {
  struct loop loop = {.task = task, .context = context, .items = items, .failed_item = items, .error = error};
  if (workers > items) workers = (int)items;
  if (workers < 1) workers = 1;
  struct loop_thread *threads = calloc((size_t)workers, sizeof *threads);
  if (!threads) return error_memory(error, (size_t)workers * sizeof *threads);
  pthread_mutex_init(&loop.lock, NULL);
  int started = 1; /* the caller is worker 0; threads that the system refuses are done without */
  while (started < workers) {
    threads[started] = (struct loop_thread){.loop = &loop, .worker = started};
    if (pthread_create(&threads[started].thread, NULL, loop_main, &threads[started])) break;
    started++;
  }
  loop_work(&loop, 0);
  for (int i = 1; i < started; i++) {
    pthread_join(threads[i].thread, NULL);
  }
  pthread_mutex_destroy(&loop.lock);
  free(threads);
  return loop.failed_item < items ? -1 : 0;
}

double clock_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}
