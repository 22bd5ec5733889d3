/* Text that came from outside, and what may be shown of it. */
#include "core/base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

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

static uint32_t code_point(const unsigned char *s, size_t length) {
  if (length == 1) return s[0];
  uint32_t code = s[0] & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; i++) {
    code = code << 6 | (s[i] & 0x3fu);
  }
  return code;
}

size_t utf8_harmless(const char *text, size_t left) {
  if (left == 0) return 0;
  size_t length = utf8_sequence((const unsigned char *)text, left);
  if (length == 0) return 0;
  uint32_t code = code_point((const unsigned char *)text, length);
  bool control = code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029;
  bool turns = code == 0x061c || code == 0x200e || code == 0x200f || (code >= 0x202a && code <= 0x202e) ||
               (code >= 0x2066 && code <= 0x2069);
  return control || turns ? 0 : length;
}

void text_tame(char *text) {
  char *to = text;
  for (size_t left = strlen(text); left > 0;) {
    size_t harmless = utf8_harmless(text, left), length = harmless;
    if (harmless == 0 && (length = utf8_sequence((const unsigned char *)text, left)) == 0) length = 1;
    if (harmless > 0) {
      memmove(to, text, length);
      to += length;
    } else {
      *to++ = '?';
    }
    text += length;
    left -= length;
  }
  *to = '\0';
}

void line_print(FILE *stream, const char *format, ...) {
  char text[8192];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  text_tame(text);
  fprintf(stream, "%s\n", text);
}

int stdout_close(struct error *error) {
  errno = 0;
  bool lost = fflush(stdout) != 0 || ferror(stdout);
  int code = errno;
  if (fclose(stdout) && errno != EBADF && !lost) { /* EBADF: it was never open, and nothing was printed */
    lost = true;
    code = errno;
  }
  static const char what[] = "standard output: not all could be written";
  if (!lost) return 0;
  errno = code;
  if (code) return error_system(error, "%s", what);
  error_set(error, "%s", what); /* it was lost earlier, and why is not known any more */
  error->machine = true;
  return -1;
}
