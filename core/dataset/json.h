/* A pull parser for JSON in memory (RFC 8259, and NaN, Infinity, -Infinity where a number may stand, since Python
 * writes them). It is strict about all it passes, skipped values included: what it accepts is well-formed. Duplicate
 * keys are the caller's business.
 *
 *   json_open(&json, data, size, "file.json", &error);
 *   json_object(&json);
 *   while ((more = json_next_member(&json, &key)) > 0)  one value must be read or skipped per turn
 *     json_skip(&json);
 *   json_finish(&json);                                 nothing but white space may follow
 *   json_close(&json);
 *
 * Functions return 0, or -1 with a message "FILE:LINE: what was expected".
 */
#ifndef JIGSAW_CORE_DATASET_JSON_H
#define JIGSAW_CORE_DATASET_JSON_H

#include "core/dataset/internal.h"

#define JSON_DEPTH_MAX 64

struct json {
  const char *begin, *at, *end;
  const char *name;
  struct error *error;
  struct buffer decoded; /* the last string that had escapes */
  int depth;
  bool fresh; /* just inside '{' or '[': no comma yet */

  /* Called when more than `mark` is behind: see json_watch. */
  const char *mark;
  void (*passed)(void *context, const char *at);
  void *context;
};

void json_open(struct json *json, const char *data, size_t size, const char *name, struct error *error);
void json_close(struct json *json);
int json_finish(struct json *json);

/* Calls passed(context, at) once the parser is beyond `mark`, between two values; it may set the next mark. */
void json_watch(struct json *json, const char *mark, void (*passed)(void *context, const char *at), void *context);

/* `what` is what the value is called in messages. */
int json_object(struct json *json, const char *what);
int json_array(struct json *json, const char *what);

/* 1: at the next value; 0: that was the end; -1: error. Text stays as it is until the next string is read. */
int json_next_member(struct json *json, struct text *key);
int json_next_element(struct json *json);

int json_number(struct json *json, const char *what, double *value); /* NaN and infinities included */
int json_integer(struct json *json, const char *what, int64_t *value);
int json_string(struct json *json, const char *what, struct text *text);      /* UTF-8; may hold NUL (\u0000) */
int json_number_text(struct json *json, const char *what, struct text *text); /* as it is written */
bool json_whole(struct text number, int64_t *value); /* 12.0 and 1e3 too; false: not of 64 bits */
int json_skip(struct json *json);

/* Where the next value begins, white space passed. Mostly there is none: values are asked for this millions of times.
 */
const char *json_pass_space(const struct json *json);
static inline const char *json_next_value(const struct json *json) {
  return json->at < json->end && (unsigned char)*json->at > ' ' ? json->at : json_pass_space(json);
}

static inline size_t json_offset(const struct json *json) {
  return (size_t)(json_next_value(json) - json->begin);
}

/* How it begins: { [ " t f n, 0 for a number, NUL at the end of the file, or what should not be there. */
static inline char json_peek(struct json *json) {
  json->at = json_next_value(json);
  if (json->at == json->end) return '\0';
  char first = *json->at;
  return (first >= '0' && first <= '9') || first == '-' || first == 'N' || first == 'I' ? '0' : first;
}

/* ":LINE", to follow the name of the file; ":LINE, byte N" in a line that is too long to look through; ": byte N"
 * behind what is no text. Reads the file from its start. */
struct json_place {
  char text[64];
};
struct json_place json_place(const struct json *json, size_t offset);
int json_fail(struct json *json, size_t offset, const char *format, ...) PRINTF_LIKE(3, 4);

#endif
