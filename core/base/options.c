#include "core/base/base.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HELP_COLUMN = 36 };

const char *const option_switch[] = {"auto", "on", "off", NULL};
enum { SWITCH_ON = 1, SWITCH_OFF = 2 };

static bool option_named(const struct option *option, const char *name, size_t length) {
  return option->kind != OPTION_SECTION && strlen(option->name) == length && !memcmp(option->name, name, length);
}

static const struct option *option_find(const struct option *table, size_t count, const char *name, size_t length) {
  for (size_t i = 0; i < count; i++) {
    if (option_named(&table[i], name, length)) return &table[i];
  }
  return NULL;
}

static bool option_bounded(const struct option *option) {
  return option->low != 0 || option->high != 0;
}

static int parse_int(const struct option *option, const char *text, struct error *error) {
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (end == text || *end || errno) return error_set(error, "--%s: '%s' is not a whole number", option->name, text);
  if (option_bounded(option) && !((double)value >= option->low && (double)value <= option->high)) {
    return error_set(error, "--%s: %lld is not in %.0f .. %.0f", option->name, value, option->low, option->high);
  }
  *(int64_t *)option->value = value;
  return 0;
}

static int parse_real(const struct option *option, const char *text, struct error *error) {
  char *end;
  double value = strtod(text, &end);
  if (end == text || *end || !isfinite(value))
    return error_set(error, "--%s: '%s' is not a number", option->name, text);
  if (option_bounded(option) && !(value >= option->low && value <= option->high)) {
    return error_set(error, "--%s: %g is not in %g .. %g", option->name, value, option->low, option->high);
  }
  *(double *)option->value = value;
  return 0;
}

static bool is_auto(const struct option *option) {
  if (option->kind == OPTION_AUTO_INT) return *(const int64_t *)option->value == OPTION_AUTO;
  return option->kind == OPTION_AUTO_REAL && isnan(*(const double *)option->value);
}

static int parse_auto(const struct option *option, const char *text, struct error *error) {
  bool whole = option->kind == OPTION_AUTO_INT;
  if (!strcmp(text, "auto")) {
    if (whole) *(int64_t *)option->value = OPTION_AUTO;
    if (!whole) *(double *)option->value = NAN;
    return 0;
  }
  if ((whole ? parse_int(option, text, error) : parse_real(option, text, error)) == 0) return 0;
  struct error said = *error;
  return error_set(error, "%s, nor auto", said.message);
}

static void choices_text(const struct option *option, char *text, size_t size) {
  text[0] = '\0';
  for (int i = 0; option->choices[i]; i++) {
    size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s", i ? "|" : "", option->choices[i]);
  }
}

static int parse_choice(const struct option *option, const char *text, struct error *error) {
  for (int i = 0; option->choices[i]; i++) {
    if (!strcmp(option->choices[i], text)) {
      *(int *)option->value = i;
      return 0;
    }
  }
  char list[256];
  choices_text(option, list, sizeof list);
  return error_set(error, "--%s: '%s' is not one of %s", option->name, text, list);
}

static int add_value(const struct option *option, const char *text, struct error *error) {
  struct option_list *list = option->value;
  if (list->count == OPTION_LIST_MAX) {
    return error_set(error, "--%s is given more than %d times", option->name, OPTION_LIST_MAX);
  }
  list->items[list->count++] = text;
  return 0;
}

static int parse_value(const struct option *option, const char *text, struct error *error) {
  switch (option->kind) {
  case OPTION_INT:
    return parse_int(option, text, error);
  case OPTION_REAL:
    return parse_real(option, text, error);
  case OPTION_AUTO_INT:
  case OPTION_AUTO_REAL:
    return parse_auto(option, text, error);
  case OPTION_CHOICE:
  case OPTION_SWITCH:
    return parse_choice(option, text, error);
  case OPTION_LIST:
    return add_value(option, text, error);
  default:
    *(const char **)option->value = text;
    return 0;
  }
}

/* ---- what was meant by an option that is not there ---- */

enum { NAME_MAX_SIZE = 64 };

/* Insertions, deletions and substitutions from one name to another, letters of either case being the same. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
  size_t row[NAME_MAX_SIZE + 1];
  if (a_length > NAME_MAX_SIZE || b_length > NAME_MAX_SIZE) return NAME_MAX_SIZE;
  for (size_t j = 0; j <= b_length; j++) {
    row[j] = j;
  }
  for (size_t i = 1; i <= a_length; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b_length; j++) {
      size_t change = diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);
      size_t skip = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      diagonal = row[j];
      row[j] = change < skip ? change : skip;
    }
  }
  return row[b_length];
}

/* Whether text, words between anything but letters and digits, has a word that begins like `word` or the reverse. */
static bool has_word(const char *text, const char *word, size_t length) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  while (*text) {
    size_t size = strspn(text, letters), shared = size < length ? size : length;
    if (shared >= 3 && !strncasecmp(text, word, shared)) return true;
    text += size;
    text += strcspn(text, letters);
  }
  return false;
}

/* 0: nothing speaks for it. Spelling tells more than a word in the name, and that more than one in the help. */
static size_t likeness(const struct option *option, const char *name, size_t length) {
  size_t distance = edit_distance(name, length, option->name, strlen(option->name)), points = 0;
  if (distance * 3 <= length) return 1000 - distance;
  for (size_t at = 0, size; at < length; at += size + 1) {
    size = strcspn(name + at, "-_=");
    if (size > length - at) size = length - at;
    points += has_word(option->name, name + at, size) ? 10 : has_word(option->help, name + at, size) ? 3 : 0;
  }
  return points;
}

static int unknown_option(const struct option *table, size_t count, const char *word, struct error *error) {
  const char *name = word + strspn(word, "-");
  size_t length = strcspn(name, "="), best = 0;
  const struct option *nearest = NULL;
  bool negated = length > 3 && !strncmp(name, "no-", 3), nearest_negated = false;
  for (size_t i = 0; i < count; i++) {
    if (table[i].kind == OPTION_SECTION) continue;
    bool off = negated && table[i].kind == OPTION_FLAG;
    size_t points = off ? likeness(&table[i], name + 3, length - 3) : likeness(&table[i], name, length);
    if (points <= best) continue;
    best = points;
    nearest = &table[i];
    nearest_negated = off;
  }
  if (!nearest) return error_set(error, "unknown option '%s'; see --help", word);
  return error_set(error, "unknown option '%s'; did you mean --%s%s? See --help", word, nearest_negated ? "no-" : "",
                   nearest->name);
}

/* A word where an option should be; `last` is the option before it, or NULL. */
static int stray_word(const struct option *table, size_t count, const struct option *last, const char *word,
                      struct error *error) {
  if (word[0] == '-' && word[1]) return unknown_option(table, count, word, error);
  if (!last || last->kind == OPTION_FLAG || last->kind == OPTION_SWITCH)
    return error_set(error, "'%s' is not an option; see --help", word);
  if (last->kind == OPTION_LIST) {
    const struct option_list *list = last->value;
    return error_set(error,
                     "'%s' is not an option; several values are given one by one: --%s %s --%s %s (and a value with "
                     "spaces in quotes)",
                     word, last->name, list->items[list->count - 1], last->name, word);
  }
  return error_set(error, "'%s' is not an option; --%s takes one value (with spaces: in quotes); see --help", word,
                   last->name);
}

/* ---- reading ---- */

/* The option that a word names, as far as "="; `negated` when it is --no-FLAG. */
static const struct option *option_of(const struct option *table, size_t count, const char *word, bool *negated) {
  *negated = false;
  if (strncmp(word, "--", 2) != 0) return NULL;
  const char *name = word + 2;
  size_t length = strcspn(name, "=");
  const struct option *option = option_find(table, count, name, length);
  if (option || length <= 3 || strncmp(name, "no-", 3) != 0) return option;
  option = option_find(table, count, name + 3, length - 3);
  *negated = option && (option->kind == OPTION_FLAG || option->kind == OPTION_SWITCH);
  return *negated ? option : NULL;
}

static bool switch_value(const char *word) {
  for (int i = 0; word && option_switch[i]; i++) {
    if (!strcmp(word, option_switch[i])) return true;
  }
  return false;
}

enum options_result options_parse(const struct option *table, size_t count, int argc, char **argv,
                                  struct error *error) {
  bool negated, ignored;
  const struct option *last = NULL;
  for (int i = 1; i < argc; i++) {
    const char *word = argv[i];
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) return OPTIONS_HELP;
    if (!strcmp(word, "--version")) return OPTIONS_VERSION;
    if (strncmp(word, "--", 2) != 0) return stray_word(table, count, last, word, error);
    const struct option *option = last = option_of(table, count, word, &negated);
    if (!option) return unknown_option(table, count, word, error);
    const char *equals = strchr(word, '=');
    if (option->kind == OPTION_FLAG) {
      if (equals) return error_set(error, "--%s takes no value", option->name);
      *(bool *)option->value = !negated;
      continue;
    }
    if (option->kind == OPTION_SWITCH && !equals && (negated || !switch_value(i + 1 < argc ? argv[i + 1] : NULL))) {
      *(int *)option->value = negated ? SWITCH_OFF : SWITCH_ON;
      continue;
    }
    const char *text = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
    if (!text || (!equals && option_of(table, count, text, &ignored))) {
      return error_set(error, "--%s needs a value; see --help", option->name);
    }
    if (parse_value(option, text, error)) return OPTIONS_ERROR;
  }
  return OPTIONS_OK;
}

static void print_default(const struct option *option, FILE *stream) {
  if (is_auto(option)) {
    fprintf(stream, " [auto]");
    return;
  }
  switch (option->kind) {
  case OPTION_INT:
  case OPTION_AUTO_INT:
    if (option_bounded(option) && (double)*(const int64_t *)option->value < option->low) break; /* off */
    fprintf(stream, " [%lld]", (long long)*(const int64_t *)option->value);
    break;
  case OPTION_REAL:
  case OPTION_AUTO_REAL:
    fprintf(stream, " [%g]", *(const double *)option->value);
    break;
  case OPTION_CHOICE:
  case OPTION_SWITCH:
    if (option->choices) fprintf(stream, " [%s]", option->choices[*(const int *)option->value]);
    break;
  case OPTION_FLAG:
    if (*(const bool *)option->value) fprintf(stream, " [on; --no-%s]", option->name);
    break;
  case OPTION_LIST:
    break;
  default:
    if (*(const char *const *)option->value) fprintf(stream, " [%s]", *(const char *const *)option->value);
  }
}

void options_help(const struct option *table, size_t count, FILE *stream) {
  for (size_t i = 0; i < count; i++) {
    const struct option *option = &table[i];
    if (option->kind == OPTION_SECTION) {
      fprintf(stream, "%s%s\n", i ? "\n" : "", option->name);
      continue;
    }
    char argument[256] = "";
    if (option->choices) {
      choices_text(option, argument, sizeof argument);
    } else if (option->argument) {
      bool automatic = option->kind == OPTION_AUTO_INT || option->kind == OPTION_AUTO_REAL;
      snprintf(argument, sizeof argument, "%s%s", option->argument, automatic ? "|auto" : "");
    }
    int width = fprintf(stream, "  --%s %s", option->name, argument);
    if (width > HELP_COLUMN - 2) {
      fputc('\n', stream);
      width = 0;
    }
    fprintf(stream, "%*s%s", HELP_COLUMN - width, "", option->help);
    print_default(option, stream);
    fputc('\n', stream);
  }
  fprintf(stream, "  %-*s%s\n  %-*s%s\n", HELP_COLUMN - 2, "--help", "this", HELP_COLUMN - 2, "--version", "which one");
}

enum options_result options_begin(const struct option *table, size_t count, const char *tool, const char *usage,
                                  int argc, char **argv, FILE *stream, struct error *error) {
  enum options_result result = argc == 1 ? OPTIONS_HELP : options_parse(table, count, argc, argv, error);
  if (result == OPTIONS_HELP) {
    fputs(usage, stream);
    options_help(table, count, stream);
  } else if (result == OPTIONS_VERSION) {
    fprintf(stream, "%s %s\n", tool, JIGSAW_VERSION);
  }
  return result;
}

/* The value as JSON: null for what is not given, or auto. */
static cJSON *value_json(const struct option *option) {
  const struct option_list *list = option->value;
  const char *text;
  if (is_auto(option)) return cJSON_CreateNull();
  switch (option->kind) {
  case OPTION_FLAG:
    return cJSON_CreateBool(*(const bool *)option->value);
  case OPTION_INT:
  case OPTION_AUTO_INT:
    return cJSON_CreateNumber((double)*(const int64_t *)option->value);
  case OPTION_REAL:
  case OPTION_AUTO_REAL:
    return cJSON_CreateNumber(*(const double *)option->value);
  case OPTION_LIST:
    return cJSON_CreateStringArray(list->items, (int)list->count);
  case OPTION_CHOICE:
  case OPTION_SWITCH:
    return cJSON_CreateString(option->choices[*(const int *)option->value]);
  default:
    text = *(const char *const *)option->value;
    return text ? cJSON_CreateString(text) : cJSON_CreateNull();
  }
}

cJSON *options_json(const struct option *table, size_t count) {
  cJSON *object = cJSON_CreateObject();
  bool complete = object;
  for (size_t i = 0; complete && i < count; i++) {
    if (table[i].kind == OPTION_SECTION) continue;
    cJSON *value = value_json(&table[i]);
    complete = value && cJSON_AddItemToObject(object, table[i].name, value);
    if (!complete) cJSON_Delete(value);
  }
  if (complete) return object;
  cJSON_Delete(object);
  return NULL;
}
