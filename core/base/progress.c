#include "core/base/base.h"

#include <unistd.h>

static void format_duration(char *text, size_t size, double seconds) {
  long long s = (long long)(seconds + 0.5);
  if (s < 60) {
    snprintf(text, size, "%llds", s);
  } else if (s < 3600) {
    snprintf(text, size, "%lldm%02llds", s / 60, s % 60);
  } else {
    snprintf(text, size, "%lldh%02lldm", s / 3600, s / 60 % 60);
  }
}

static void progress_print(struct progress *progress, bool last) {
  double elapsed = clock_seconds() - progress->started;
  long long done = atomic_load(&progress->done);
  double rate = elapsed > 0 ? (double)(done - atomic_load(&progress->skipped)) / elapsed : 0;
  double percent = progress->total > 0 ? 100.0 * (double)done / (double)progress->total : 100.0;
  char time[32];
  format_duration(time, sizeof time, last || !(rate > 0) ? elapsed : (double)(progress->total - done) / rate);
  /* One call, so that lines of several threads never mix. */
  fprintf(progress->stream, "%s%-10s %3.0f%%  %lld/%lld %s  %.0f %s/s  %s %s%s", progress->terminal ? "\r\033[K" : "",
          progress->label, percent, done, (long long)progress->total, progress->unit, rate, progress->unit,
          last ? "took" : "eta", last || rate > 0 ? time : "?", progress->terminal && !last ? "" : "\n");
  fflush(progress->stream);
}

void progress_start(struct progress *progress, FILE *stream, const char *label, const char *unit, int64_t total) {
  *progress = (struct progress){.stream = stream, .label = label, .unit = unit, .total = total};
  progress->started = clock_seconds();
  progress->terminal = stream && isatty(fileno(stream));
  progress->interval = progress->terminal ? 0.2 : 10.0;
  atomic_store(&progress->next, progress->started + progress->interval);
}

void progress_add(struct progress *progress, int64_t done) {
  atomic_fetch_add(&progress->done, done);
  if (!progress->stream) return;
  double now = clock_seconds(), next = atomic_load(&progress->next);
  /* Whoever moves `next` forward prints; the others go on. */
  if (now >= next && atomic_compare_exchange_strong(&progress->next, &next, now + progress->interval)) {
    progress_print(progress, false);
  }
}

void progress_skip(struct progress *progress, int64_t done) {
  atomic_fetch_add(&progress->skipped, done);
  progress_add(progress, done);
}

void progress_finish(struct progress *progress) {
  if (progress->stream) progress_print(progress, true);
}
