/* Reading. The header is taken in strictly, piece by piece; then it is looked at as a whole: by offset the tensors must
 * tile the data, and by name no two may be the same. The strictness is at least that of the reference implementation,
 * so that a file means the same to everybody who accepts it. */
#include "nn/safetensors.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/dataset/json.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors files are little-endian, and mapped");

/* Of the enumeration, and behind it those that are of no use to us. */
static const struct {
  const char *name;
  unsigned bits;
} dtypes[] = {
    [SAFETENSORS_F32] = {"F32", 32},
    [SAFETENSORS_F16] = {"F16", 16},
    [SAFETENSORS_BF16] = {"BF16", 16},
    [SAFETENSORS_F64] = {"F64", 64},
    [SAFETENSORS_I64] = {"I64", 64},
    [SAFETENSORS_I32] = {"I32", 32},
    [SAFETENSORS_I16] = {"I16", 16},
    [SAFETENSORS_I8] = {"I8", 8},
    [SAFETENSORS_U8] = {"U8", 8},
    [SAFETENSORS_BOOL] = {"BOOL", 8},
    [SAFETENSORS_OTHER] = {"U16", 16},
    {"U32", 32},
    {"U64", 64},
    {"C64", 64},
    {"F8_E4M3", 8},
    {"F8_E5M2", 8},
    {"F8_E8M0", 8},
    {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8},
    {"F6_E2M3", 6},
    {"F6_E3M2", 6},
    {"F4", 4},
};

const char *safetensors_dtype_name(enum safetensors_dtype dtype) {
  return dtype == SAFETENSORS_OTHER ? "other" : dtypes[dtype].name;
}

size_t safetensors_dtype_size(enum safetensors_dtype dtype) {
  return dtype == SAFETENSORS_OTHER ? 0 : dtypes[dtype].bits / 8;
}

struct reader {
  struct safetensors *file;
  struct json json;
  const char *name;
  struct error *error;
  const uint8_t *data; /* behind the header */
  size_t size;
  size_t entry_capacity, metadata_capacity;
};

PRINTF_LIKE(3, 4)
static int fail_tensor(const struct reader *reader, const char *tensor, const char *format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return error_set(reader->error, "%s: tensor \"%s\": %s", reader->name, text_show(text_of(tensor)).string, message);
}

/* Names and notes are C strings from here on. */
static int copy_text(struct reader *reader, struct text text, const char **copy) {
  if (memchr(text.data, '\0', text.size) != NULL) {
    return json_fail(&reader->json, json_offset(&reader->json), "text with a NUL character");
  }
  *copy = arena_copy(&reader->file->arena, text.data, text.size);
  return *copy == NULL ? error_memory(reader->error, text.size) : 0;
}

/* A number that is written as the reference writes it, digits only: not 12.0 and not 1e3. */
static int read_natural(struct reader *reader, const char *what, int64_t *value) {
  struct json *json = &reader->json;
  size_t offset = json_offset(json);
  if (json_integer(json, what, value)) return -1;
  for (const char *at = json->begin + offset; at < json->at; at++) {
    if (*at < '0' || *at > '9') return json_fail(json, offset, "%s must be a whole number, not negative", what);
  }
  return 0;
}

/* ---- one tensor ---- */

static int read_dtype(struct reader *reader, struct safetensors_entry *entry, unsigned *bits) {
  struct text text;
  if (json_string(&reader->json, "the name of a type", &text)) return -1;
  for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
    if (!text_equal(text, text_of(dtypes[i].name))) continue;
    entry->dtype = i < SAFETENSORS_OTHER ? (enum safetensors_dtype)i : SAFETENSORS_OTHER;
    *bits = dtypes[i].bits;
    return 0;
  }
  return fail_tensor(reader, entry->name, "unknown type \"%s\"", text_show(text).string);
}

static int read_shape(struct reader *reader, struct safetensors_entry *entry) {
  struct json *json = &reader->json;
  int more;
  if (json_array(json, "a shape in brackets")) return -1;
  while ((more = json_next_element(json)) > 0) {
    if (entry->rank == SAFETENSORS_RANK_MAX) {
      return fail_tensor(reader, entry->name, "more than %d dimensions", SAFETENSORS_RANK_MAX);
    }
    if (read_natural(reader, "a dimension", &entry->dims[entry->rank++])) return -1;
  }
  return more;
}

static int read_offsets(struct reader *reader, struct safetensors_entry *entry) {
  struct json *json = &reader->json;
  int64_t offsets[2];
  int count = 0, more;
  if (json_array(json, "two offsets in brackets")) return -1;
  while ((more = json_next_element(json)) > 0) {
    if (count == 2) return fail_tensor(reader, entry->name, "more than two offsets");
    if (read_natural(reader, "an offset", &offsets[count++])) return -1;
  }
  if (more < 0) return -1;
  if (count != 2) return fail_tensor(reader, entry->name, "data_offsets must be two offsets");
  if (offsets[0] > offsets[1] || (uint64_t)offsets[1] > reader->size) {
    return fail_tensor(reader, entry->name, "offsets %" PRId64 " to %" PRId64 " are outside of the %zu bytes of data",
                       offsets[0], offsets[1], reader->size);
  }
  entry->data = reader->data + offsets[0];
  entry->size = (size_t)(offsets[1] - offsets[0]);
  return 0;
}

/* The size must be that of type and shape, which also bounds the shape by the file. */
static int check_size(struct reader *reader, struct safetensors_entry *entry, unsigned bits) {
  size_t count = 1, total = 0;
  bool fits = true;
  for (int i = 0; i < entry->rank; i++) {
    fits = fits && size_muladd(count, (size_t)entry->dims[i], 0, &count);
  }
  fits = fits && count <= INT64_MAX && size_muladd(count, bits, 0, &total);
  if (!fits) return fail_tensor(reader, entry->name, "the shape is too large");
  if (total % 8 != 0 || total / 8 != entry->size) {
    return fail_tensor(reader, entry->name, "type and shape make %zu bytes, the offsets %zu", (total + 7) / 8,
                       entry->size);
  }
  entry->count = (int64_t)count;
  return 0;
}

static int read_tensor(struct reader *reader, struct text key) {
  static const char *const fields[] = {"dtype", "shape", "data_offsets"};
  struct json *json = &reader->json;
  struct safetensors_entry entry = {0};
  unsigned seen = 0, bits = 0;
  int more;
  if (copy_text(reader, key, &entry.name) || json_object(json, "a tensor in braces")) return -1;
  while ((more = json_next_member(json, &key)) > 0) {
    size_t field = 0;
    while (field < COUNT_OF(fields) && !text_equal(key, text_of(fields[field])))
      field++;
    if (field == COUNT_OF(fields)) {
      return fail_tensor(reader, entry.name, "unknown field \"%s\"", text_show(key).string);
    }
    if ((seen >> field & 1)) return fail_tensor(reader, entry.name, "\"%s\" is given twice", fields[field]);
    seen |= 1U << field;
    int status = field == 0   ? read_dtype(reader, &entry, &bits)
                 : field == 1 ? read_shape(reader, &entry)
                              : read_offsets(reader, &entry);
    if (status != 0) return -1;
  }
  if (more < 0) return -1;
  for (size_t field = 0; field < COUNT_OF(fields); field++) {
    if ((seen >> field & 1) == 0) return fail_tensor(reader, entry.name, "no \"%s\"", fields[field]);
  }
  if (check_size(reader, &entry, bits)) return -1;
  struct safetensors *file = reader->file;
  void *entries = file->entries;
  if (array_reserve(&entries, &reader->entry_capacity, file->count + 1, sizeof entry, reader->error)) return -1;
  file->entries = entries;
  file->entries[file->count++] = entry;
  return 0;
}

/* ---- the header ---- */

static int read_metadata(struct reader *reader) {
  struct safetensors *file = reader->file;
  struct json *json = &reader->json;
  struct text text;
  int more;
  if (json_object(json, "metadata in braces")) return -1;
  while ((more = json_next_member(json, &text)) > 0) {
    struct safetensors_text note;
    if (copy_text(reader, text, &note.key)) return -1;
    if (json_string(json, "a text in quotes, as all metadata are,", &text)) return -1;
    if (copy_text(reader, text, &note.text)) return -1;
    void *notes = file->metadata;
    size_t count = file->metadata_count;
    if (array_reserve(&notes, &reader->metadata_capacity, count + 1, sizeof note, reader->error)) return -1;
    file->metadata = notes;
    file->metadata[file->metadata_count++] = note;
  }
  return more;
}

static int read_header(struct reader *reader) {
  struct json *json = &reader->json;
  struct text key;
  bool metadata = false;
  int more;
  if (*json->at != '{') return json_fail(json, json_offset(json), "the header does not begin with a brace");
  if (json_object(json, "the header")) return -1;
  while ((more = json_next_member(json, &key)) > 0) {
    if (!text_equal(key, TEXT(SAFETENSORS_METADATA))) {
      if (read_tensor(reader, key)) return -1;
    } else if (metadata) {
      return json_fail(json, json_offset(json), "metadata are given twice");
    } else {
      metadata = true;
      if (read_metadata(reader)) return -1;
    }
  }
  return more < 0 ? -1 : json_finish(json);
}

/* ---- the whole ---- */

static int compare_places(const void *a, const void *b) {
  const struct safetensors_entry *x = a, *y = b;
  if (x->data != y->data) return x->data < y->data ? -1 : 1;
  return (x->size > y->size) - (x->size < y->size);
}

static int compare_names(const void *a, const void *b) {
  return strcmp((*(const struct safetensors_entry *const *)a)->name,
                (*(const struct safetensors_entry *const *)b)->name);
}

static int compare_keys(const void *a, const void *b) {
  return strcmp(((const struct safetensors_text *)a)->key, ((const struct safetensors_text *)b)->key);
}

static int check_tiling(const struct reader *reader) {
  struct safetensors *file = reader->file;
  const uint8_t *end = reader->data;
  if (file->count > 0) qsort(file->entries, file->count, sizeof *file->entries, compare_places);
  for (size_t i = 0; i < file->count; i++) {
    const struct safetensors_entry *entry = &file->entries[i];
    if (entry->data < end) return fail_tensor(reader, entry->name, "overlaps the tensor before it");
    if (entry->data > end) return fail_tensor(reader, entry->name, "there is a hole in front of it");
    end += entry->size;
  }
  size_t left = (size_t)(reader->data + reader->size - end);
  return left == 0 ? 0 : error_set(reader->error, "%s: %zu bytes after the last tensor", reader->name, left);
}

static int check_unique(const struct reader *reader) {
  struct safetensors *file = reader->file;
  file->by_name = calloc(file->count + 1, sizeof(void *));
  if (!file->by_name) return error_memory(reader->error, file->count * sizeof(void *));
  for (size_t i = 0; i < file->count; i++) {
    file->by_name[i] = &file->entries[i];
  }
  qsort(file->by_name, file->count, sizeof(void *), compare_names);
  for (size_t i = 1; i < file->count; i++) {
    if (compare_names(&file->by_name[i - 1], &file->by_name[i]) == 0) {
      return fail_tensor(reader, file->by_name[i]->name, "two have this name");
    }
  }
  if (file->metadata_count > 0) qsort(file->metadata, file->metadata_count, sizeof *file->metadata, compare_keys);
  for (size_t i = 1; i < file->metadata_count; i++) {
    if (compare_keys(&file->metadata[i - 1], &file->metadata[i]) == 0) {
      return error_set(reader->error, "%s: metadata \"%s\" are given twice", reader->name,
                       text_show(text_of(file->metadata[i].key)).string);
    }
  }
  return 0;
}

int safetensors_parse(struct safetensors *file, const uint8_t *data, size_t size, const char *name,
                      struct error *error) {
  struct reader reader = {.file = file, .name = name, .error = error};
  uint64_t length;
  *file = (struct safetensors){0};
  if (size < sizeof length)
    return error_set(error, "%s: %zu bytes are no safetensors file: is it cut off?", name, size);
  memcpy(&length, data, sizeof length);
  if (length < 2 || length > SAFETENSORS_HEADER_MAX || length > size - sizeof length) {
    return error_set(error, "%s: a header of %" PRIu64 " bytes in a file of %zu: it is cut off, or no safetensors file",
                     name, length, size);
  }
  reader.data = data + sizeof length + length;
  reader.size = size - sizeof length - (size_t)length;
  /* Opened at the start of the file, so that messages count from there. */
  json_open(&reader.json, (const char *)data, sizeof length + (size_t)length, name, error);
  reader.json.at = (const char *)data + sizeof length;
  int status = read_header(&reader);
  json_close(&reader.json);
  if (status == 0) status = check_tiling(&reader);
  if (status == 0) status = check_unique(&reader);
  if (status != 0) safetensors_close(file);
  return status;
}

int safetensors_open(struct safetensors *file, const char *path, struct error *error) {
  struct file_map map;
  *file = (struct safetensors){0};
  if (file_map_open(&map, path, error)) return -1;
  if (safetensors_parse(file, map.data, map.size, path, error)) {
    file_map_close(&map);
    return -1;
  }
  file->map = map;
  return 0;
}

void safetensors_close(struct safetensors *file) {
  free(file->entries);
  free(file->by_name);
  free(file->metadata);
  arena_free(&file->arena);
  file_map_close(&file->map);
  *file = (struct safetensors){0};
}

const struct safetensors_entry *safetensors_find(const struct safetensors *file, const char *name) {
  struct safetensors_entry wanted = {.name = name}, *key = &wanted;
  if (file->count == 0) return NULL;
  struct safetensors_entry *const *found = bsearch(&key, file->by_name, file->count, sizeof(void *), compare_names);
  return found == NULL ? NULL : *found;
}

const char *safetensors_metadata(const struct safetensors *file, const char *key) {
  struct safetensors_text wanted = {.key = key};
  if (file->metadata_count == 0) return NULL;
  const struct safetensors_text *found =
      bsearch(&wanted, file->metadata, file->metadata_count, sizeof wanted, compare_keys);
  return found == NULL ? NULL : found->text;
}
