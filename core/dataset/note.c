/* What a user should know of a data set, beyond its numbers. */
#include "core/dataset/internal.h"

#include <stdarg.h>

int dataset_note(struct dataset *dataset, struct error *error, const char *format, ...) {
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  void *notes = dataset->notes;
  int status = array_reserve(&notes, &dataset->note_capacity, dataset->note_count + 1, sizeof(*dataset->notes), error);
  dataset->notes = notes;
  if (status != 0) return -1;
  const char *copy = arena_copy(&dataset->arena, text, strlen(text));
  if (copy == NULL) return error_memory(error, strlen(text));
  dataset->notes[dataset->note_count++] = copy;
  return 0;
}
