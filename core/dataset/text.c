/* Lines, words and numbers in text that is not NUL-terminated and may hold anything. */
#include "core/dataset/internal.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct text text_of(const char *string) {
  return (struct text){string, strlen(string)};
}

static bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

struct text text_trim(struct text text) {
  while (text.size > 0 && is_space(text.data[0])) {
    text.data++;
    text.size--;
  }
  while (text.size > 0 && is_space(text.data[text.size - 1]))
    text.size--;
  return text;
}

struct text text_without_bom(struct text text) {
  if (text.size < 3 || memcmp(text.data, "\xEF\xBB\xBF", 3) != 0) return text;
  return (struct text){text.data + 3, text.size - 3};
}

/* A byte order mark, or a first character that leaves a zero byte. */
bool text_is_utf16(struct text text) {
  if (text.size < 4) return false;
  unsigned char a = (unsigned char)text.data[0], b = (unsigned char)text.data[1];
  if (a == 0xFF && b == 0xFE && text.data[2] == 0 && text.data[3] == 0) return false; /* UTF-32 */
  if ((a == 0xFF && b == 0xFE) || (a == 0xFE && b == 0xFF)) return true;
  return (a == 0) != (b == 0) && (text.data[2] == 0) == (a == 0) && (text.data[3] == 0) == (b == 0);
}

size_t utf8_put(uint8_t *out, uint32_t code) {
  static const uint8_t lead[] = {0, 0xC0, 0xE0, 0xF0};
  if (code < 0x80) {
    out[0] = (uint8_t)code;
    return 1;
  }
  size_t tail = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
  out[0] = (uint8_t)(lead[tail] | code >> (6 * tail));
  for (size_t i = 1; i <= tail; i++)
    out[i] = (uint8_t)(0x80 | (code >> (6 * (tail - i)) & 0x3F));
  return tail + 1;
}

int text_from_utf16(struct text text, const char *name, struct buffer *utf8, struct error *error) {
  const uint8_t *at = (const uint8_t *)text.data, *end = at + text.size / 2 * 2;
  size_t low = at[0] == 0xFF || at[1] == 0 ? 0 : 1; /* which of two bytes is the low one */
  if (at[low] == 0xFF && at[1 - low] == 0xFE) at += 2;
  if (text.size % 2 != 0) return error_set(error, "%s: UTF-16 of an odd number of bytes: is the file cut off?", name);
  if (buffer_reserve(utf8, (size_t)(end - at) / 2 * 3, error) != 0) return -1;
  for (utf8->size = 0; at < end; at += 2) {
    uint32_t code = at[low] | (uint32_t)at[1 - low] << 8;
    if (code >= 0xD800 && code < 0xDC00 && end - at >= 4) {
      uint32_t second = at[low + 2] | (uint32_t)at[3 - low] << 8;
      if (second >= 0xDC00 && second < 0xE000) {
        code = 0x10000 + ((code & 0x3FF) << 10) + (second & 0x3FF);
        at += 2;
      }
    }
    if (code >= 0xD800 && code < 0xE000) return error_set(error, "%s: broken UTF-16: save the file as UTF-8", name);
    utf8->size += utf8_put(utf8->data + utf8->size, code);
  }
  return 0;
}

static void text_drop(struct text *text, size_t count) {
  text->data += count;
  text->size -= count;
}

bool text_next_line(struct text *rest, struct text *line) {
  if (rest->size == 0) return false;
  const char *newline = memchr(rest->data, '\n', rest->size);
  size_t size = newline == NULL ? rest->size : (size_t)(newline - rest->data);
  *line = text_trim((struct text){rest->data, size});
  text_drop(rest, newline == NULL ? size : size + 1);
  return true;
}

bool text_next_word(struct text *rest, struct text *word) {
  *rest = text_trim(*rest);
  size_t size = 0;
  while (size < rest->size && !is_space(rest->data[size]))
    size++;
  *word = (struct text){rest->data, size};
  text_drop(rest, size);
  return size > 0;
}

bool text_has_commas_between(struct text line) {
  bool blank = false, any = false, inside = false;
  for (size_t i = 0; i < line.size; i++) {
    bool comma = line.data[i] == ',', last = i + 1 == line.size;
    blank |= is_space(line.data[i]);
    any |= comma;
    inside |= comma && !last && !is_space(line.data[i + 1]);
  }
  return any && !(blank && inside);
}

struct text_shown text_show(struct text text) {
  struct text_shown shown;
  size_t used = 0;
  for (size_t i = 0; i < text.size;) {
    if (used + 8 > sizeof(shown.string)) { /* room for an escape, dots and NUL */
      memcpy(shown.string + used, "...", 3);
      used += 3;
      break;
    }
    size_t harmless = utf8_harmless(text.data + i, text.size - i);
    if (harmless > 0 && text.data[i] != '"' && text.data[i] != '\\') {
      memcpy(shown.string + used, text.data + i, harmless);
      used += harmless;
      i += harmless;
    } else {
      used += (size_t)snprintf(shown.string + used, 5, "\\x%02x", (unsigned char)text.data[i++]);
    }
  }
  shown.string[used] = '\0';
  return shown;
}

/* ---- decimal numbers ---- */

/* mantissa * 10^exponent, of which `lost` says that digits other than 0 beyond the 19th are missing. */
struct decimal {
  bool negative, lost;
  uint64_t mantissa;
  int64_t exponent;
};

enum { EXPONENT_MAX = 1000000000 };

static int64_t exponent_read(const char *at, const char *end) {
  bool negative = at < end && *at == '-';
  int64_t exponent = 0;
  if (at < end && (*at == '-' || *at == '+')) at++;
  for (; at < end; at++) {
    if (exponent < EXPONENT_MAX) exponent = exponent * 10 + (*at - '0');
  }
  return negative ? -exponent : exponent;
}

static struct decimal decimal_read(struct text text) {
  const uint64_t full = UINT64_C(1000000000000000000); /* 19 digits */
  struct decimal decimal = {0};
  const char *at = text.data, *end = text.data + text.size;
  decimal.negative = at < end && *at == '-';
  if (at < end && (*at == '-' || *at == '+')) at++;
  bool fraction = false;
  for (; at < end; at++) {
    if (*at == '.') {
      fraction = true;
    } else if (!is_digit(*at)) {
      decimal.exponent += exponent_read(at + 1, end);
      break;
    } else if (decimal.mantissa < full) {
      decimal.mantissa = decimal.mantissa * 10 + (uint64_t)(*at - '0');
      decimal.exponent -= fraction;
    } else {
      decimal.lost |= *at != '0';
      decimal.exponent += !fraction;
    }
  }
  return decimal;
}

/* A double is decided by at most 767 digits and whether anything follows them. */
static void decimal_write_all_digits(struct text text, const struct decimal *decimal, char *out, size_t size) {
  enum { DIGITS = 800 };
  size_t count = 0;
  bool rest = false;
  out[count++] = decimal->negative ? '-' : '+';
  out[count++] = '.';
  for (size_t i = 0; i < text.size && (text.data[i] | 0x20) != 'e'; i++) {
    if (!is_digit(text.data[i]) || (count == 2 && text.data[i] == '0')) continue;
    if (count < DIGITS) {
      out[count++] = text.data[i];
    } else {
      rest |= text.data[i] != '0';
    }
  }
  if (rest) out[count++] = '1';
  snprintf(out + count, size - count, "e%" PRId64, decimal->exponent + 19);
}

double decimal_value(struct text text) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  struct decimal decimal = decimal_read(text);
  if (!decimal.lost && decimal.mantissa <= UINT64_C(1) << 53 && decimal.exponent >= -22 && decimal.exponent <= 22) {
    double value = (double)decimal.mantissa; /* both operands are exact: one rounding */
    value = decimal.exponent < 0 ? value / powers[-decimal.exponent] : value * powers[decimal.exponent];
    return decimal.negative ? -value : value;
  }
  char digits[900];
  if (decimal.lost) {
    decimal_write_all_digits(text, &decimal, digits, sizeof(digits));
  } else {
    snprintf(digits, sizeof(digits), "%s%" PRIu64 "e%" PRId64, decimal.negative ? "-" : "", decimal.mantissa,
             decimal.exponent);
  }
  locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* glibc's is a constant: this costs nothing */
  double value = strtod_l(digits, NULL, locale);
  freelocale(locale);
  return value;
}

bool decimal_integer(struct text text, int64_t *value) {
  struct decimal decimal = decimal_read(text);
  uint64_t mantissa = decimal.mantissa;
  *value = 0;
  if (mantissa == 0) return true;
  if (decimal.lost) return false;
  for (; decimal.exponent < 0 && mantissa % 10 == 0; decimal.exponent++)
    mantissa /= 10;
  if (decimal.exponent < 0) return false;
  for (; decimal.exponent > 0; decimal.exponent--) {
    if (mantissa > UINT64_MAX / 10) return false;
    mantissa *= 10;
  }
  uint64_t limit = (uint64_t)INT64_MAX + decimal.negative;
  if (mantissa > limit) return false;
  *value = decimal.negative ? (int64_t)(0 - mantissa) : (int64_t)mantissa;
  return true;
}

static size_t digits_at(struct text text, size_t at) {
  size_t count = 0;
  while (at + count < text.size && is_digit(text.data[at + count]))
    count++;
  return count;
}

/* [+-] digits [. digits] [e [+-] digits] with digits before or after the point. */
static bool decimal_valid(struct text text) {
  size_t at = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
  size_t whole = digits_at(text, at), fraction = 0;
  at += whole;
  if (at < text.size && text.data[at] == '.') {
    fraction = digits_at(text, at + 1);
    at += 1 + fraction;
  }
  if (whole + fraction == 0) return false;
  if (at == text.size) return true;
  if (text.data[at] != 'e' && text.data[at] != 'E') return false;
  at++;
  at += at < text.size && (text.data[at] == '-' || text.data[at] == '+');
  size_t exponent = digits_at(text, at);
  return exponent > 0 && at + exponent == text.size;
}

static bool word_equal(struct text text, const char *word) {
  return text.size == strlen(word) && strncasecmp(text.data, word, text.size) == 0;
}

bool text_number(struct text text, double *value) {
  if (decimal_valid(text)) {
    *value = decimal_value(text);
    return true;
  }
  bool negative = text.size > 0 && text.data[0] == '-';
  if (text.size > 0 && (negative || text.data[0] == '+')) text_drop(&text, 1);
  if (word_equal(text, "nan")) {
    *value = NAN;
    return true;
  }
  *value = negative ? -INFINITY : INFINITY;
  return word_equal(text, "inf") || word_equal(text, "infinity");
}
