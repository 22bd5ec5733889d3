/* What a user should know of a data set, beyond its numbers. */
#include "core/dataset/internal.h"

#include <stdarg.h>

int dataset_note(struct dataset *dataset, struct error *error, const char *format, ...) {
  char text[1024];
  struct error line = {0}; /* made fit for a terminal as errors are */
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  void *notes = dataset->notes;
  int status = array_reserve(&notes, &dataset->note_capacity, dataset->note_count + 1, sizeof(*dataset->notes), error);
  dataset->notes = notes;
  if (status != 0) return -1;
  error_set(&line, "%s", text);
  const char *copy = arena_copy(&dataset->arena, line.message, strlen(line.message));
  if (copy == NULL) return error_memory(error, strlen(line.message));
  dataset->notes[dataset->note_count++] = copy;
  return 0;
}
