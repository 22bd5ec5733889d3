#include "core/base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#undef error_set /* what base.h tells the analyser */
#undef error_system
#undef error_context
#undef error_memory

/* Names of files may hold anything: a message stays one line, and commands no terminal. */
PRINTF_LIKE(2, 0) static void write_message(struct error *error, const char *format, va_list arguments) {
  vsnprintf(error->message, sizeof error->message, format, arguments);
  for (char *at = error->message; *at; at++) {
    if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = '?';
  }
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
  return code != ENOENT && code != ENOTDIR && code != EISDIR && code != ELOOP && code != ENAMETOOLONG;
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
  return -1;
}

int error_memory(struct error *error, size_t bytes) {
  error_set(error, "out of memory (%zu bytes asked for)", bytes);
  error->machine = true;
  return -1;
}

bool size_muladd(size_t a, size_t b, size_t c, size_t *result) {
  return !__builtin_mul_overflow(a, b, result) && !__builtin_add_overflow(*result, c, result);
}

/* The length of the well-formed sequence at `s` (Unicode 15, table 3-7), or 0. */
static size_t utf8_sequence(const unsigned char *s, size_t left) {
  unsigned char c = s[0];
  if (c < 0x80) return c != 0;
  size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
  if (c < 0xc2 || c > 0xf4 || left < length) return 0;
  unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
  unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
  if (s[1] < low || s[1] > high) return 0;
  for (size_t i = 2; i < length; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
  }
  return length;
}

bool utf8_valid(const char *bytes, size_t size, size_t *offset) {
  for (size_t i = 0; i < size;) {
    size_t length = utf8_sequence((const unsigned char *)bytes + i, size - i);
    if (length == 0) {
      if (offset) *offset = i;
      return false;
    }
    i += length;
  }
  return true;
}
