/* Writing. The header is gathered while tensors are declared and goes out with the first data. */
#include "nn/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct names {
  const char **items;
  size_t count, capacity;
};

struct safetensors_writer {
  struct file_writer file;
  struct arena arena;
  struct names tensors, notes;
  struct buffer tensor_text, note_text; /* what stands between the braces */
  size_t size, written;                 /* bytes of data: declared, and given */
  bool begun;                           /* the header is written */
};

static void writer_free(struct safetensors_writer *writer) {
  free(writer->tensors.items);
  free(writer->notes.items);
  buffer_free(&writer->tensor_text);
  buffer_free(&writer->note_text);
  arena_free(&writer->arena);
  free(writer);
}

int safetensors_create(struct safetensors_writer **writer, const char *path, struct error *error) {
  *writer = calloc(1, sizeof **writer);
  if (!*writer) return error_memory(error, sizeof **writer);
  if (file_create(&(*writer)->file, path, error) == 0) return 0;
  writer_free(*writer);
  *writer = NULL;
  return -1;
}

static int add_name(struct safetensors_writer *writer, struct names *names, const char *name, struct error *error) {
  if (writer->begun) return error_set(error, "%s: \"%s\" comes after the data", writer->file.path, name);
  if (!utf8_valid(name, strlen(name), NULL)) {
    return error_set(error, "%s: the name \"%s\" is not UTF-8", writer->file.path, name);
  }
  for (size_t i = 0; i < names->count; i++) {
    if (!strcmp(names->items[i], name)) return error_set(error, "%s: two named \"%s\"", writer->file.path, name);
  }
  void *items = names->items;
  if (array_reserve(&items, &names->capacity, names->count + 1, sizeof *names->items, error)) return -1;
  names->items = items;
  const char *copy = arena_copy(&writer->arena, name, strlen(name));
  if (!copy) return error_memory(error, strlen(name));
  names->items[names->count++] = copy;
  return 0;
}

/* "NAME": with a comma before it where one is needed. */
static int put_key(struct buffer *text, const char *name, struct error *error) {
  if (text->size > 0 && buffer_append(text, ",", 1, error)) return -1;
  return buffer_json_string(text, name, error) ? -1 : buffer_append(text, ":", 1, error);
}

static int put_tensor(struct buffer *text, enum safetensors_dtype dtype, int rank, const int64_t dims[], size_t begin,
                      size_t end, struct error *error) {
  if (buffer_printf(text, error, "{\"dtype\":\"%s\",\"shape\":[", safetensors_dtype_name(dtype))) return -1;
  for (int i = 0; i < rank; i++) {
    if (buffer_printf(text, error, "%s%" PRId64, i > 0 ? "," : "", dims[i])) return -1;
  }
  return buffer_printf(text, error, "],\"data_offsets\":[%zu,%zu]}", begin, end);
}

int safetensors_declare(struct safetensors_writer *writer, const char *name, enum safetensors_dtype dtype, int rank,
                        const int64_t dims[], struct error *error) {
  size_t element = safetensors_dtype_size(dtype), size = element, end;
  bool fits = element > 0 && rank >= 0 && rank <= SAFETENSORS_RANK_MAX && strcmp(name, SAFETENSORS_METADATA) != 0;
  for (int i = 0; fits && i < rank; i++) {
    fits = dims[i] >= 0 && size_muladd(size, (size_t)dims[i], 0, &size);
  }
  if (!fits || !size_muladd(size, 1, writer->size, &end) || end > INT64_MAX) {
    return error_set(error, "%s: a tensor \"%s\" of this type and shape cannot be stored", writer->file.path, name);
  }
  if (writer->size % element != 0) {
    return error_set(error, "%s: \"%s\" would not be aligned: declare types of larger elements first",
                     writer->file.path, name);
  }
  if (add_name(writer, &writer->tensors, name, error) || put_key(&writer->tensor_text, name, error) ||
      put_tensor(&writer->tensor_text, dtype, rank, dims, writer->size, end, error)) {
    return -1;
  }
  writer->size = end;
  return 0;
}

int safetensors_note(struct safetensors_writer *writer, const char *key, const char *text, struct error *error) {
  if (!utf8_valid(text, strlen(text), NULL)) {
    return error_set(error, "%s: the text of \"%s\" is not UTF-8", writer->file.path, key);
  }
  if (add_name(writer, &writer->notes, key, error) || put_key(&writer->note_text, key, error)) return -1;
  return buffer_json_string(&writer->note_text, text, error);
}

static int write_header(struct safetensors_writer *writer, struct error *error) {
  static const char before[] = "{\"" SAFETENSORS_METADATA "\":{", spaces[8] = "       ";
  struct buffer text = {0};
  int status = -1;
  writer->begun = true;
  if (writer->notes.count > 0) {
    if (buffer_append(&text, before, sizeof before - 1, error) ||
        buffer_append(&text, writer->note_text.data, writer->note_text.size, error) ||
        buffer_append(&text, "},", writer->tensors.count > 0 ? 2 : 1, error)) {
      goto done;
    }
  } else if (buffer_append(&text, "{", 1, error)) {
    goto done;
  }
  if (buffer_append(&text, writer->tensor_text.data, writer->tensor_text.size, error) ||
      buffer_append(&text, "}", 1, error) || buffer_append(&text, spaces, -text.size % 8, error)) {
    goto done;
  }
  if (text.size > SAFETENSORS_HEADER_MAX) {
    error_set(error, "%s: a header of %zu bytes is too large", writer->file.path, text.size);
    goto done;
  }
  uint64_t length = text.size;
  if (file_write(&writer->file, &length, sizeof length, error)) goto done;
  status = file_write(&writer->file, text.data, text.size, error);
done:
  buffer_free(&text);
  return status;
}

int safetensors_write(struct safetensors_writer *writer, const void *bytes, size_t size, struct error *error) {
  if (size > writer->size - writer->written) {
    return error_set(error, "%s: more data than was declared", writer->file.path);
  }
  if (!writer->begun && write_header(writer, error)) return -1;
  writer->written += size;
  return file_write(&writer->file, bytes, size, error);
}

int safetensors_commit(struct safetensors_writer *writer, XXH128_hash_t *hash, struct error *error) {
  int status = safetensors_write(writer, "", 0, error);
  if (status == 0 && writer->written < writer->size) {
    status =
        error_set(error, "%s: %zu bytes of data were not given", writer->file.path, writer->size - writer->written);
  }
  if (status == 0 && hash != NULL) *hash = file_hash(&writer->file);
  if (status == 0) {
    status = file_commit(&writer->file, error);
  } else {
    file_abandon(&writer->file);
  }
  writer_free(writer);
  return status;
}

void safetensors_abandon(struct safetensors_writer *writer) {
  if (!writer) return;
  file_abandon(&writer->file);
  writer_free(writer);
}
