/* Loading by name, with a report of what did not fit; saving under the names of a layout. */
#include "nn/weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/dataset/json.h"

/* Room for the largest parameter. */
static float *scratch_new(const struct nn_params *params, struct error *error) {
  int64_t count = 1;
  for (size_t i = 0; i < params->count; i++) {
    if (params->items[i]->count > count) count = params->items[i]->count;
  }
  float *scratch = malloc((size_t)count * sizeof *scratch);
  if (!scratch) error_memory(error, (size_t)count * sizeof *scratch);
  return scratch;
}

/* ---- loading ---- */

int weights_shape_text(char text[WEIGHTS_SHAPE_SIZE], int rank, const int64_t dims[]) {
  int used = snprintf(text, WEIGHTS_SHAPE_SIZE, "[");
  for (int i = 0; i < rank; i++) {
    used += snprintf(text + used, (size_t)(WEIGHTS_SHAPE_SIZE - used), "%s%" PRId64, i > 0 ? ", " : "", dims[i]);
  }
  return used + snprintf(text + used, (size_t)(WEIGHTS_SHAPE_SIZE - used), "]");
}

static int add_name(struct weights_match *match, const char **names, size_t *count, const char *name,
                    struct error *error) {
  struct text_shown shown = text_show(text_of(name));
  const char *copy = arena_copy(&match->arena, shown.string, strlen(shown.string));
  if (!copy) return error_memory(error, strlen(name));
  names[(*count)++] = copy;
  return 0;
}

/* A tensor that has the parameter's name, but cannot be its values. */
static int add_misfit(struct weights_match *match, const struct nn_param *param, const struct safetensors_entry *entry,
                      struct error *error) {
  char model[WEIGHTS_SHAPE_SIZE], file[WEIGHTS_SHAPE_SIZE], line[3 * WEIGHTS_SHAPE_SIZE];
  weights_shape_text(model, param->rank, param->dims);
  weights_shape_text(file, entry->rank, entry->dims);
  const char *type = entry->dtype == SAFETENSORS_OTHER ? " of a type that cannot be used" : "";
  snprintf(line, sizeof line, "%s: file %s%s, model %s", param->name, file, type, model);
  return add_name(match, match->shapes, &match->shapes_count, line, error);
}

static int match_param(struct nn_params *params, const struct nn_param *param, const struct safetensors_entry *entry,
                       float *scratch, struct weights_match *match, struct error *error) {
  if (!entry) {
    if (param->role == NN_NORM_BATCHES) return 0;
    return add_name(match, match->missing, &match->missing_count, param->name, error);
  }
  if (!weights_same_shape(param, entry) || entry->dtype == SAFETENSORS_OTHER)
    return add_misfit(match, param, entry, error);
  if (safetensors_floats(entry, 0, entry->count, scratch, error)) return -1;
  if (nn_param_write(params, param, params->values, scratch, error)) return -1;
  return add_name(match, match->matched, &match->matched_count, param->name, error);
}

static const char **names_new(struct weights_match *match, size_t count, struct error *error) {
  const char **names = arena_alloc(&match->arena, (count + 1) * sizeof(char *));
  if (!names) error_memory(error, count * sizeof(char *));
  return names;
}

/* A checkpoint of our own has more than weights. */
static bool is_state(const struct safetensors *file, const char *name) {
  if (!safetensors_metadata(file, "xxh3-128")) return false;
  return !strncmp(name, "momentum:", 9) || !strncmp(name, "state:", 6);
}

static int match_params(struct nn_params *params, const struct safetensors *file, const struct weights_naming *naming,
                        bool *used, struct weights_match *match, struct error *error) {
  float *scratch = scratch_new(params, error);
  int status = scratch ? 0 : -1;
  for (size_t i = 0; !status && i < params->count; i++) {
    const struct nn_param *param = params->items[i];
    const struct safetensors_entry *entry = weights_naming_entry(naming, file, param->name);
    if (entry) used[entry - file->entries] = true;
    status = match_param(params, param, entry, scratch, match, error);
  }
  free(scratch);
  return status;
}

static int match_file(struct nn_params *params, const struct safetensors *file, const char *path,
                      struct weights_match *match, struct error *error) {
  struct weights_naming naming;
  bool *used = arena_alloc(&match->arena, file->count + 1);
  if (!used) return error_memory(error, file->count);
  memset(used, 0, file->count + 1);
  if (weights_naming_find(&naming, params, file, path, error)) return -1;
  match->naming = naming.title;
  match->prefix = arena_copy(&match->arena, naming.prefix, naming.prefix_size);
  if (!match->prefix) return error_memory(error, naming.prefix_size);
  if (!(match->matched = names_new(match, params->count, error)) ||
      !(match->missing = names_new(match, params->count, error)) ||
      !(match->shapes = names_new(match, params->count, error)) ||
      !(match->extra = names_new(match, file->count, error))) {
    return -1;
  }
  int status = match_params(params, file, &naming, used, match, error);
  for (size_t i = 0; !status && i < file->count; i++) {
    const char *name = file->entries[i].name;
    if (!used[i] && !is_state(file, name)) status = add_name(match, match->extra, &match->extra_count, name, error);
  }
  return status;
}

int weights_load(struct nn_params *params, const char *path, struct weights_match *match, struct error *error) {
  struct file_map map;
  struct safetensors file;
  struct error foreign;
  *match = (struct weights_match){0};
  if (file_map_open(&map, path, error)) return -1;
  int status = safetensors_parse(&file, map.data, map.size, path, error);
  if (status && weights_foreign(map.data, map.size, path, &foreign)) *error = foreign;
  if (!status) {
    status = match_file(params, &file, path, match, error);
    safetensors_close(&file);
  }
  file_map_close(&map);
  if (status) weights_match_free(match);
  return status;
}

void weights_match_free(struct weights_match *match) {
  arena_free(&match->arena);
  *match = (struct weights_match){0};
}

/* How lists look in lines, and in one line. */
struct style {
  const char *begin, *name, *next, *more, *end;
};

static int describe_names(const char *title, const char *const *names, size_t count, size_t limit,
                          const struct style *style, struct buffer *text, struct error *error) {
  if (count == 0) return 0;
  if (buffer_printf(text, error, "%s%s:", style->begin, title)) return -1;
  for (size_t i = 0; i < count && i < limit; i++) {
    if (buffer_printf(text, error, "%s%s", i > 0 ? style->next : style->name, names[i])) return -1;
  }
  if (count > limit && buffer_printf(text, error, "%s%zu more", style->more, count - limit)) return -1;
  return buffer_printf(text, error, "%s", style->end);
}

int weights_match_describe(const struct weights_match *match, size_t limit, bool lines, struct buffer *text,
                           struct error *error) {
  static const struct style in_lines = {"", "\n  ", "\n  ", "\n  and ", "\n"},
                            in_line = {"; ", " ", ", ", ", and ", ""};
  const struct style *style = lines ? &in_lines : &in_line;
  if (buffer_printf(text, error, "%zu tensors matched", match->matched_count)) return -1;
  if (strcmp(match->naming, "torchvision") != 0 && buffer_printf(text, error, " by %s's names", match->naming))
    return -1;
  if (*match->prefix && buffer_printf(text, error, " behind \"%s\"", text_show(text_of(match->prefix)).string))
    return -1;
  if (buffer_printf(text, error, ", %zu are missing, %zu are extra, %zu have another shape%s", match->missing_count,
                    match->extra_count, match->shapes_count, style->end) ||
      describe_names("missing in the file", match->missing, match->missing_count, limit, style, text, error) ||
      describe_names("extra in the file", match->extra, match->extra_count, limit, style, text, error)) {
    return -1;
  }
  return describe_names("of another shape", match->shapes, match->shapes_count, limit, style, text, error);
}

/* ---- saving ---- */

struct saving {
  const struct nn_params *params;
  struct safetensors_writer *writer;
  const char *arch, *without;
  enum weights_layout layout;
  bool group_norm;
  float *scratch;
};

/* By name, since whoever declares the tensors of a file as they come knows no roles. */
static bool has_running_mean(const struct nn_params *params) {
  static const char end[] = ".running_mean";
  for (size_t i = 0; i < params->count; i++) {
    const char *name = params->items[i]->name;
    size_t length = strlen(name);
    if (length >= sizeof end - 1 && !strcmp(name + length - (sizeof end - 1), end)) return true;
  }
  return false;
}

static int declare(struct saving *saving, const struct nn_param *param, struct error *error) {
  char name[WEIGHTS_NAME_SIZE];
  enum safetensors_dtype dtype = param->role == NN_NORM_BATCHES ? SAFETENSORS_I64 : SAFETENSORS_F32;
  if (weights_rename(param->name, saving->arch, saving->layout, saving->group_norm, name, sizeof name, error)) {
    return -1;
  }
  return safetensors_declare(saving->writer, name, dtype, param->rank, param->dims, error);
}

static int write_values(struct saving *saving, const struct nn_param *param, struct error *error) {
  float *values = saving->scratch;
  if (nn_param_read(saving->params, param, saving->params->values, values, error)) return -1;
  if (param->role != NN_NORM_BATCHES) {
    return safetensors_write(saving->writer, values, (size_t)param->count * sizeof *values, error);
  }
  for (int64_t i = 0; i < param->count; i++) {
    int64_t batches = values[i] >= 0 && values[i] < 0x1p62F ? (int64_t)values[i] : 0;
    if (safetensors_write(saving->writer, &batches, sizeof batches, error)) return -1;
  }
  return 0;
}

/* int64 before float32: each type is aligned. */
static int for_each_saved(struct saving *saving,
                          int (*visit)(struct saving *saving, const struct nn_param *param, struct error *error),
                          struct error *error) {
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < saving->params->count; i++) {
      const struct nn_param *param = saving->params->items[i];
      if ((param->role == NN_NORM_BATCHES) != (pass == 0)) continue;
      if (saving->without && !strncmp(param->name, saving->without, strlen(saving->without))) continue;
      if (visit(saving, param, error)) return -1;
    }
  }
  return 0;
}

int weights_save(const struct nn_params *params, const char *path, const char *arch, enum weights_layout layout,
                 const char *without, const struct safetensors_text *notes, size_t note_count, struct error *error) {
  struct saving saving = {.params = params, .arch = arch, .without = without, .layout = layout};
  saving.group_norm = !has_running_mean(params);
  int status = -1;
  if (!(saving.scratch = scratch_new(params, error))) return -1;
  if (safetensors_create(&saving.writer, path, error)) goto done;
  for (size_t i = 0; i < note_count; i++) {
    if (safetensors_note(saving.writer, notes[i].key, notes[i].text, error)) goto done;
  }
  if (for_each_saved(&saving, declare, error) || for_each_saved(&saving, write_values, error)) goto done;
  status = safetensors_commit(saving.writer, NULL, error);
  saving.writer = NULL;
done:
  safetensors_abandon(saving.writer);
  free(saving.scratch);
  return status;
}
