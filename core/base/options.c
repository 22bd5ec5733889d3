#include "core/base/base.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 36 };

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

static int parse_value(const struct option *option, const char *text, struct error *error) {
  switch (option->kind) {
  case OPTION_INT:
    return parse_int(option, text, error);
  case OPTION_REAL:
    return parse_real(option, text, error);
  case OPTION_CHOICE:
    return parse_choice(option, text, error);
  default:
    *(const char **)option->value = text;
    return 0;
  }
}

enum options_result options_parse(const struct option *table, size_t count, int argc, char **argv,
                                  struct error *error) {
  for (int i = 1; i < argc; i++) {
    const char *word = argv[i];
    if (!strcmp(word, "--help") || !strcmp(word, "-h")) return OPTIONS_HELP;
    if (!strcmp(word, "--version")) return OPTIONS_VERSION;
    if (strncmp(word, "--", 2) != 0) return error_set(error, "'%s' is not an option; see --help", word);
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const struct option *option = option_find(table, count, name, length);
    bool negated = false;
    if (!option && length > 3 && !strncmp(name, "no-", 3)) {
      option = option_find(table, count, name + 3, length - 3);
      negated = option && option->kind == OPTION_FLAG;
      if (!negated) option = NULL;
    }
    if (!option) return error_set(error, "unknown option '%s'; see --help", word);
    if (option->kind == OPTION_FLAG) {
      if (equals) return error_set(error, "--%s takes no value", option->name);
      *(bool *)option->value = !negated;
      continue;
    }
    const char *text = equals ? equals + 1 : i + 1 < argc ? argv[++i] : NULL;
    if (!text) return error_set(error, "--%s needs a value; see --help", option->name);
    if (parse_value(option, text, error)) return OPTIONS_ERROR;
  }
  return OPTIONS_OK;
}

static void print_default(const struct option *option, FILE *stream) {
  switch (option->kind) {
  case OPTION_INT:
    if (option_bounded(option) && (double)*(const int64_t *)option->value < option->low) break; /* off */
    fprintf(stream, " [%lld]", (long long)*(const int64_t *)option->value);
    break;
  case OPTION_REAL:
    fprintf(stream, " [%g]", *(const double *)option->value);
    break;
  case OPTION_CHOICE:
    fprintf(stream, " [%s]", option->choices[*(const int *)option->value]);
    break;
  case OPTION_FLAG:
    if (*(const bool *)option->value) fprintf(stream, " [on; --no-%s]", option->name);
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
    if (option->kind == OPTION_CHOICE) {
      choices_text(option, argument, sizeof argument);
    } else if (option->argument) {
      snprintf(argument, sizeof argument, "%s", option->argument);
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

cJSON *options_json(const struct option *table, size_t count) {
  cJSON *object = cJSON_CreateObject();
  bool complete = object;
  for (size_t i = 0; complete && i < count; i++) {
    const struct option *option = &table[i];
    const char *text;
    switch (option->kind) {
    case OPTION_SECTION:
      break;
    case OPTION_FLAG:
      complete = cJSON_AddBoolToObject(object, option->name, *(const bool *)option->value);
      break;
    case OPTION_INT:
      complete = cJSON_AddNumberToObject(object, option->name, (double)*(const int64_t *)option->value);
      break;
    case OPTION_REAL:
      complete = cJSON_AddNumberToObject(object, option->name, *(const double *)option->value);
      break;
    case OPTION_CHOICE:
      complete = cJSON_AddStringToObject(object, option->name, option->choices[*(const int *)option->value]);
      break;
    case OPTION_TEXT:
      text = *(const char *const *)option->value;
      complete =
          text ? cJSON_AddStringToObject(object, option->name, text) : cJSON_AddNullToObject(object, option->name);
      break;
    }
  }
  if (complete) return object;
  cJSON_Delete(object);
  return NULL;
}
