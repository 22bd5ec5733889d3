/* Annotations that cannot be used: counted by reason, and the first of each reason named. */
#include "core/dataset/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

enum { ALWAYS_TOLERATED = 10 };

const char *const dataset_fault_names[DATASET_FAULTS] = {
    [DATASET_NO_BOX] = "without a box",
    [DATASET_BAD_BOX] = "with a malformed box",
    [DATASET_NO_IMAGE] = "of an unknown image",
    [DATASET_NO_CATEGORY] = "of an unknown category",
    [DATASET_BAD_FILE] = "in unreadable files",
    [DATASET_STRAY] = "in stray files",
    [DATASET_BAD_VALUE] = "with a wrong value",
    [DATASET_REPEATED] = "given twice",
    [DATASET_RENAMED] = "for a picture of another name",
};

bool dataset_fault_harmless(int fault) {
  return fault == DATASET_REPEATED || fault == DATASET_RENAMED;
}

int dataset_fault(struct dataset *dataset, enum dataset_fault fault, struct error *error, const char *format, ...) {
  struct dataset_fault_count *count = &dataset->faults[fault];
  if (count->count++ > 0) return 0;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  count->first = arena_copy(&dataset->arena, text, strlen(text));
  return count->first == NULL ? error_memory(error, strlen(text)) : 0;
}

int64_t dataset_fault_total(const struct dataset *dataset) {
  int64_t total = 0;
  for (int fault = 0; fault < DATASET_FAULTS; fault++)
    if (!dataset_fault_harmless(fault)) total += dataset->faults[fault].count;
  return total;
}

int dataset_check_faults(const struct dataset *dataset, const char *name, double max_percent, struct error *error) {
  int64_t bad = dataset_fault_total(dataset), all = dataset->box_count + bad;
  bool few = max_percent > 0 && bad <= ALWAYS_TOLERATED && bad < all;
  if (bad == 0 || few || (double)bad * 100 <= (double)all * max_percent) return 0;
  int worst = 0;
  for (int fault = 0; fault < DATASET_FAULTS; fault++)
    if (!dataset_fault_harmless(fault) && dataset->faults[fault].count > dataset->faults[worst].count) worst = fault;
  const struct dataset_fault_count *most = &dataset->faults[worst];
  if (bad == all) {
    return error_set(error,
                     "%s: none of the %" PRId64 " annotations can be used; most (%" PRId64 ") are %s. The first: %s",
                     name, bad, most->count, dataset_fault_names[worst], most->first);
  }
  return error_set(error,
                   "%s: %" PRId64 " of %" PRId64 " annotations cannot be used, more than the %g %% that "
                   "--max-bad-annotations allows; most (%" PRId64 ") are %s. The first: %s",
                   name, bad, all, max_percent, most->count, dataset_fault_names[worst], most->first);
}
