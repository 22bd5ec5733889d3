/* Where the time goes: most of a COCO file is polygons, which are skipped. Words of eight bytes are looked at at once,
 * to find the end of a number (skip_plain_numbers) or of a string (scan_string); all else goes byte by byte. */
#include "core/dataset/json.h"

#include <endian.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#define BYTES(value) (UINT64_C(0x0101010101010101) * (value))

/* First byte lowest, so that counting trailing zeros counts bytes. */
static inline uint64_t load_word(const char *at) {
  uint64_t word;
  memcpy(&word, at, sizeof(word));
  return le64toh(word);
}

/* The top bit of every byte that is not '0' .. '9'; no carry passes from byte to byte. */
static inline uint64_t bytes_not_digit(uint64_t word) {
  uint64_t value = word ^ BYTES('0');
  return (((value & BYTES(0x7F)) + BYTES(0x76)) | value) & BYTES(0x80);
}

/* Flags bytes that end the plain run of a string: quote, backslash, control, not ASCII. Only the lowest flag counts: a
 * borrow may have made those above it. */
static inline uint64_t bytes_not_plain(uint64_t word) {
  uint64_t quote = word ^ BYTES('"'), backslash = word ^ BYTES('\\');
  uint64_t found = (quote - BYTES(1)) & ~quote;
  found |= (backslash - BYTES(1)) & ~backslash;
  found |= (word - BYTES(0x20)) & ~word;
  return (found | word) & BYTES(0x80);
}

static inline unsigned first_byte(uint64_t flags) {
  return (unsigned)__builtin_ctzll(flags) >> 3;
}

static inline bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static inline const char *skip_space(const char *at, const char *end) {
  if (at < end && (unsigned char)*at > ' ') return at;
  for (;;) {
    while (end - at >= 8 && load_word(at) == BYTES(' '))
      at += 8;
    if (at == end || (*at != ' ' && *at != '\n' && *at != '\r' && *at != '\t')) return at;
    at++;
  }
}

/* ---- errors ---- */

struct json_place json_place(const struct json *json, size_t offset) {
  enum { LONG_LINE = 512 }; /* in which a line number finds nothing */
  const char *at = json->begin, *end = at + offset, *newline;
  size_t line = 1;
  for (; (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; line++)
    at = newline + 1;
  struct json_place place;
  if (memchr(json->begin, '\0', offset) != NULL) { /* no text: JSON inside of something else */
    snprintf(place.text, sizeof(place.text), ": byte %zu", offset);
    return place;
  }
  int used = snprintf(place.text, sizeof(place.text), ":%zu", line);
  if (end - at > LONG_LINE) snprintf(place.text + used, sizeof(place.text) - (size_t)used, ", byte %zu", offset);
  return place;
}

int json_fail(struct json *json, size_t offset, const char *format, ...) {
  char message[768];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  return error_set(json->error, "%s%s: %s", json->name, json_place(json, offset).text, message);
}

/* Of the number or word at `at`, for messages; 1 if there is neither. */
static size_t word_size(const char *at, const char *end) {
  size_t size = 0;
  while (size < 24 && at + size < end) {
    char c = at[size], letter = (char)(c | 0x20);
    if (!is_digit(c) && !(letter >= 'a' && letter <= 'z') && c != '+' && c != '-' && c != '.') break;
    size++;
  }
  return size > 0 ? size : 1;
}

static const char *before_space(const char *begin, const char *at) {
  while (at > begin && (at[-1] == ' ' || at[-1] == '\n' || at[-1] == '\r' || at[-1] == '\t'))
    at--;
  return at;
}

/* What people write who do not write JSON. */
static const char *hint_for(struct text found) {
  if (text_equal(found, TEXT("'")))
    return ": JSON has double quotes (Python's json.dump writes it, str and print do not)";
  if (text_equal(found, TEXT("None")) || text_equal(found, TEXT("True")) || text_equal(found, TEXT("False")))
    return ": that is Python, not JSON (json.dump writes it, str and print do not)";
  if (text_equal(found, TEXT("nan")) || text_equal(found, TEXT("inf")))
    return ": JSON in Python's way has NaN and Infinity";
  if (text_equal(found, TEXT("/")) || text_equal(found, TEXT("#"))) return ": JSON has no comments";
  return "";
}

static int fail_expected(struct json *json, const char *at, const char *what) {
  size_t offset = (size_t)(at - json->begin);
  if (at == json->end && json->end == text_without_bom((struct text){json->begin, offset}).data)
    return json_fail(json, offset, "the file is empty");
  if (at == json->end) return json_fail(json, offset, "the file ends where %s should follow: is it cut off?", what);
  if (*at == '"') return json_fail(json, offset, "expected %s, found text in quotes", what);
  if (*at == '}' || *at == ']') {
    const char *before = before_space(json->begin, at);
    if (before > json->begin && before[-1] == ',')
      return json_fail(json, (size_t)(before - 1 - json->begin), "a comma before \"%c\": take the comma out", *at);
  }
  struct text found = {at, word_size(at, json->end)};
  return json_fail(json, offset, "expected %s, found \"%s\"%s", what, text_show(found).string, hint_for(found));
}

static int fail_depth(struct json *json, const char *at) {
  return json_fail(json, (size_t)(at - json->begin), "nested more than %d deep", JSON_DEPTH_MAX);
}

/* ---- scanning: from the start of a token to its end, or NULL and an error ---- */

static const char *scan_word(struct json *json, const char *at, const char *word) {
  size_t size = strlen(word);
  for (size_t i = 0; i < size; i++) {
    if (at + i < json->end && at[i] == word[i]) continue;
    fail_expected(json, at + i == json->end ? json->end : at, word);
    return NULL;
  }
  return at + size;
}

static const char *scan_digits(struct json *json, const char *at) {
  const char *end = json->end;
  if (at == end || !is_digit(*at)) {
    fail_expected(json, at, "a digit");
    return NULL;
  }
  while (at < end && is_digit(*at))
    at++;
  return at;
}

static const char *scan_number(struct json *json, const char *at) {
  const char *end = json->end;
  if (at < end && *at == 'N') return scan_word(json, at, "NaN");
  if (at < end && *at == '-') at++;
  if (at < end && *at == 'I') return scan_word(json, at, "Infinity");
  if (at < end && *at == '0') {
    at++;
  } else if ((at = scan_digits(json, at)) == NULL) {
    return NULL;
  }
  if (at < end && *at == '.' && (at = scan_digits(json, at + 1)) == NULL) return NULL;
  if (at == end || (*at != 'e' && *at != 'E')) return at;
  at++;
  if (at < end && (*at == '-' || *at == '+')) at++;
  return scan_digits(json, at);
}

static int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  c |= 0x20;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The code unit of "\uXXXX" at `at`, or -1. */
static int32_t unicode_escape(const char *at, const char *end) {
  if (end - at < 6 || at[0] != '\\' || at[1] != 'u') return -1;
  int32_t unit = 0;
  for (int i = 2; i < 6; i++) {
    int digit = hex_digit(at[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

static bool is_surrogate(int32_t unit, int32_t first) {
  return unit >= first && unit < first + 0x400;
}

static const char *scan_escape(struct json *json, const char *at) {
  if (json->end - at < 2) {
    fail_expected(json, json->end, "the rest of a string");
    return NULL;
  }
  if (at[1] != 'u') {
    if (at[1] != '\0' && strchr("\"\\/bfnrt", at[1]) != NULL) return at + 2;
    fail_expected(json, at + 1, "one of \"\\/bfnrtu after a backslash");
    return NULL;
  }
  int32_t unit = unicode_escape(at, json->end);
  size_t offset = (size_t)(at - json->begin);
  if (unit < 0) {
    json_fail(json, offset, "\\u needs four hexadecimal digits");
    return NULL;
  }
  if (!is_surrogate(unit, 0xD800) && !is_surrogate(unit, 0xDC00)) return at + 6;
  if (is_surrogate(unit, 0xD800) && is_surrogate(unicode_escape(at + 6, json->end), 0xDC00)) return at + 12;
  json_fail(json, offset, "half of a surrogate pair in a string");
  return NULL;
}

/* Bytes from `at` on that are not plain, up to one that is: UTF-8. */
static const char *scan_utf8(struct json *json, const char *at) {
  const char *end = at;
  size_t offset;
  while (end < json->end && (unsigned char)*end >= 0x80)
    end++;
  if (utf8_valid(at, (size_t)(end - at), &offset)) return end;
  json_fail(json, (size_t)(at - json->begin) + offset, "a string is not UTF-8: save the file as UTF-8");
  return NULL;
}

static const char *scan_string(struct json *json, const char *at, const char *what, bool *escaped) {
  const char *end = json->end;
  if (at == end || *at != '"') {
    fail_expected(json, at, what);
    return NULL;
  }
  at++;
  while (at != NULL) {
    while (end - at >= 8) {
      uint64_t found = bytes_not_plain(load_word(at));
      at += found == 0 ? 8 : first_byte(found);
      if (found != 0) break;
    }
    if (at == end) {
      fail_expected(json, at, "the rest of a string");
      return NULL;
    }
    if (*at == '"') return at + 1;
    if (*at == '\\') {
      *escaped = true;
      at = scan_escape(json, at);
    } else if ((unsigned char)*at >= 0x80) {
      at = scan_utf8(json, at);
    } else if ((unsigned char)*at < 0x20) {
      fail_expected(json, at, "no control character inside a string");
      return NULL;
    } else {
      at++;
    }
  }
  return NULL;
}

static const char *scan_scalar(struct json *json, const char *at) {
  bool escaped;
  if (at < json->end) {
    switch (*at) {
    case '"':
      return scan_string(json, at, "a string", &escaped);
    case 't':
      return scan_word(json, at, "true");
    case 'f':
      return scan_word(json, at, "false");
    case 'n':
      return scan_word(json, at, "null");
    default:
      if (is_digit(*at) || *at == '-' || *at == 'N' || *at == 'I') return scan_number(json, at);
    }
  }
  fail_expected(json, at, "a value");
  return NULL;
}

/* A key and its colon. */
static const char *scan_key(struct json *json, const char *at, bool *escaped, struct text *key) {
  const char *after = scan_string(json, at, "a key in quotes", escaped);
  if (after == NULL) return NULL;
  *key = (struct text){at + 1, (size_t)(after - at) - 2};
  at = skip_space(after, json->end);
  if (at == json->end || *at != ':') {
    fail_expected(json, at, "\":\" after a key");
    return NULL;
  }
  return at + 1;
}

/* ---- skipping ---- */

/* Passes "12.34, 5, -6.7, " as far as each number fits into eight bytes; stops in front of a value of any other kind.
 * `gap` is how far apart number and number were last: were it looked up each time, every step would wait for it. */
static const char *skip_plain_numbers(const char *at, const char *end) {
  size_t gap = 1;
  while (end - at >= 16) {
    const char *number = at;
    if (__builtin_expect(*number == '-', 0)) number++;
    uint64_t other = bytes_not_digit(load_word(number));
    if (other == 0) break;
    unsigned size = first_byte(other);
    if (size == 0 || (*number == '0' && size > 1)) break;
    if (number[size] == '.') {
      other &= other - 1;
      if (other == 0 || first_byte(other) == size + 1) break;
      size = first_byte(other);
    }
    if (number[size] != ',') break;
    at = number + size + gap;
    if (gap == 1 ? *at != ' ' : at[-1] == ' ') continue;
    gap = gap == 1 ? 2 : 1;
    at = number + size + gap;
  }
  return at;
}

static inline void tell_passed(struct json *json, const char *at) {
  if (at > json->mark) json->passed(json->context, at);
}

int json_skip(struct json *json) {
  const char *at = json->at, *end = json->end;
  uint64_t objects = 0; /* a bit for each level that was entered here, innermost lowest: 1 object, 0 array */
  int depth = 0;
  struct text key;
  bool escaped;
  do {
    at = skip_space(at, end);
    if (at < end && (*at == '[' || *at == '{')) {
      if (json->depth + depth == JSON_DEPTH_MAX) return fail_depth(json, at);
      objects = objects << 1 | (*at == '{');
      depth++;
      at = skip_space(at + 1, end);
      if (at == end || *at != ((objects & 1) != 0 ? '}' : ']')) {
        at = (objects & 1) != 0 ? scan_key(json, at, &escaped, &key) : skip_plain_numbers(at, end);
        if (at == NULL) return -1;
        continue;
      }
    } else if ((at = scan_scalar(json, at)) == NULL) {
      return -1;
    }
    while (depth > 0) { /* after a value, or in front of the end of an empty object or array */
      bool object = (objects & 1) != 0;
      at = skip_space(at, end);
      if (at < end && *at == (object ? '}' : ']')) {
        at++;
        depth--;
        objects >>= 1;
        tell_passed(json, at);
      } else if (at < end && *at == ',') {
        at = object ? scan_key(json, skip_space(at + 1, end), &escaped, &key) : at + 1;
        if (at == NULL) return -1;
        break;
      } else {
        return fail_expected(json, at, object ? "\",\" or \"}\"" : "\",\" or \"]\"");
      }
    }
  } while (depth > 0);
  json->at = at;
  return 0;
}

/* ---- pulling ---- */

void json_open(struct json *json, const char *data, size_t size, const char *name, struct error *error) {
  struct text text = text_without_bom((struct text){data, size});
  *json = (struct json){.begin = data, .at = text.data, .end = data + size, .name = name, .error = error};
  json->mark = json->end;
}

void json_close(struct json *json) {
  buffer_free(&json->decoded);
  *json = (struct json){0};
}

int json_finish(struct json *json) {
  json->at = skip_space(json->at, json->end);
  return json->at == json->end ? 0 : fail_expected(json, json->at, "nothing after the end of the JSON value");
}

void json_watch(struct json *json, const char *mark, void (*passed)(void *context, const char *at), void *context) {
  json->mark = mark;
  json->passed = passed;
  json->context = context;
}

const char *json_pass_space(const struct json *json) {
  return skip_space(json->at, json->end);
}

static int enter(struct json *json, char bracket, const char *what) {
  json->at = skip_space(json->at, json->end);
  if (json->at == json->end || *json->at != bracket) return fail_expected(json, json->at, what);
  if (json->depth == JSON_DEPTH_MAX) return fail_depth(json, json->at);
  json->at++;
  json->depth++;
  json->fresh = true;
  return 0;
}

int json_object(struct json *json, const char *what) {
  return enter(json, '{', what);
}

int json_array(struct json *json, const char *what) {
  return enter(json, '[', what);
}

static int next(struct json *json, char bracket, const char *expected) {
  bool fresh = json->fresh;
  tell_passed(json, json->at);
  json->fresh = false;
  json->at = skip_space(json->at, json->end);
  if (json->at < json->end && *json->at == bracket) {
    json->at++;
    json->depth--;
    return 0;
  }
  if (fresh) return 1;
  if (json->at == json->end || *json->at != ',') return fail_expected(json, json->at, expected);
  json->at = skip_space(json->at + 1, json->end);
  return 1;
}

int json_next_element(struct json *json) {
  return next(json, ']', "\",\" or \"]\"");
}

/* What scan_string has passed, without its escapes; never longer than the source. */
static int decode(struct json *json, struct text *text) {
  const char *at = text->data, *end = at + text->size;
  if (buffer_reserve(&json->decoded, text->size, json->error) != 0) return -1;
  char *start = (char *)json->decoded.data, *out = start;
  while (at < end) {
    if (*at != '\\') {
      *out++ = *at++;
    } else if (at[1] != 'u') {
      static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
      *out++ = to[strchr(from, at[1]) - from];
      at += 2;
    } else {
      uint32_t code = (uint32_t)unicode_escape(at, end);
      at += 6;
      if (is_surrogate((int32_t)code, 0xD800)) {
        code = 0x10000 + ((code & 0x3FF) << 10) + ((uint32_t)unicode_escape(at, end) & 0x3FF);
        at += 6;
      }
      out += utf8_put((uint8_t *)out, code);
    }
  }
  *text = (struct text){start, (size_t)(out - start)};
  return 0;
}

int json_next_member(struct json *json, struct text *key) {
  int more = next(json, '}', "\",\" or \"}\"");
  if (more <= 0) return more;
  bool escaped = false;
  const char *after = scan_key(json, json->at, &escaped, key);
  if (after == NULL || (escaped && decode(json, key) != 0)) return -1;
  json->at = skip_space(after, json->end);
  return 1;
}

int json_string(struct json *json, const char *what, struct text *text) {
  bool escaped = false;
  json->at = skip_space(json->at, json->end);
  if (json->at == json->end || *json->at != '"') return fail_expected(json, json->at, what);
  const char *after = scan_string(json, json->at, what, &escaped);
  if (after == NULL) return -1;
  *text = (struct text){json->at + 1, (size_t)(after - json->at) - 2};
  json->at = after;
  return escaped ? decode(json, text) : 0;
}

int json_number_text(struct json *json, const char *what, struct text *text) {
  json->at = skip_space(json->at, json->end);
  const char *at = json->at;
  if (at == json->end || !(is_digit(*at) || *at == '-' || *at == 'N' || *at == 'I')) {
    return fail_expected(json, at, what);
  }
  json->at = scan_number(json, at);
  if (json->at == NULL) return -1;
  *text = (struct text){at, (size_t)(json->at - at)};
  return 0;
}

int json_number(struct json *json, const char *what, double *value) {
  struct text text;
  if (json_number_text(json, what, &text) != 0) return -1;
  char last = text.data[text.size - 1]; // NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult): set on success
  if (last == 'N') {
    *value = NAN;
  } else if (last == 'y') {
    *value = text.data[0] == '-' ? -INFINITY : INFINITY;
  } else {
    *value = decimal_value(text);
  }
  return 0;
}

bool json_whole(struct text number, int64_t *value) {
  char last =
      number.data[number.size - 1]; // NOLINT(clang-analyzer-core.UndefinedBinaryOperatorResult): a number's text
  return last <= '9' && decimal_integer(number, value); /* else it is NaN or Infinity */
}

int json_integer(struct json *json, const char *what, int64_t *value) {
  struct text text;
  size_t offset = json_offset(json);
  if (json_number_text(json, what, &text) != 0) return -1;
  if (json_whole(text, value)) return 0;
  return json_fail(json, offset, "expected %s, found %s, which is not a whole number of 64 bits", what,
                   text_show(text).string);
}
