#include "core/base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#undef error_set /* what base.h tells the analyser */
#undef error_system
#undef error_context
#undef error_memory

/* Names of files may hold anything. */
PRINTF_LIKE(2, 0) static void write_message(struct error *error, const char *format, va_list arguments) {
  vsnprintf(error->message, sizeof error->message, format, arguments);
  text_tame(error->message);
}

int error_set(struct error *error, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  write_message(error, format, arguments);
  va_end(arguments);
  error->machine = false;
  return -1;
}

static const char *system_hint(int code) {
  switch (code) {
  case ENOSPC:
  case EDQUOT:
    return "; free some space there or choose another folder, then run the same command again";
  case EACCES:
  case EPERM:
  case EROFS:
    return "; check the permissions or choose another folder";
  case ENOENT:
    return "; check the path";
  case ENOTDIR:
    return "; part of the path is a file: choose another folder";
  case EMFILE:
  case ENFILE:
    return "; raise the limit on open files (ulimit -n)";
  default:
    return "";
  }
}

/* What is wrong with a path is a fact about what was asked for. */
static bool is_machine(int code) {
  return code != ENOENT && code != ENOTDIR && code != EISDIR && code != ELOOP && code != ENAMETOOLONG &&
         code != ENXIO && code != ENODEV; /* a socket or a device where a file should be */
}

int error_system(struct error *error, const char *format, ...) {
  int code = errno;
  va_list arguments;
  va_start(arguments, format);
  write_message(error, format, arguments);
  va_end(arguments);
  size_t used = strlen(error->message);
  snprintf(error->message + used, sizeof error->message - used, ": %s%s", strerror(code), system_hint(code));
  error->machine = is_machine(code);
  return -1;
}

int error_context(struct error *error, const char *format, ...) {
  struct error inner = *error;
  va_list arguments;
  va_start(arguments, format);
  write_message(error, format, arguments);
  va_end(arguments);
  size_t used = strlen(error->message);
  snprintf(error->message + used, sizeof error->message - used, ": %s", inner.message);
  text_tame(error->message); /* what was cut off may have been half a character */
  return -1;
}

int error_memory(struct error *error, size_t bytes) {
  error_set(error, "out of memory (%zu bytes asked for)", bytes);
  error->machine = true;
  return -1;
}

void error_hint(struct error *error, const char *text) {
  size_t used = strlen(error->message);
  snprintf(error->message + used, sizeof error->message - used, "; %s", text);
}

bool size_muladd(size_t a, size_t b, size_t c, size_t *result) {
  return !__builtin_mul_overflow(a, b, result) && !__builtin_add_overflow(*result, c, result);
}
