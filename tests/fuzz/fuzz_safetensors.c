/* The first byte chooses: 'f' a safetensors file; anything else: the header of one, whose length is right and behind
 * which some data lie. What is accepted has its tensors side by side in the data, each found by its name and readable.
 */
#include "nn/safetensors.h"

#include <stdlib.h>
#include <string.h>

enum { DATA = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool truth) {
  if (!truth) __builtin_trap();
}

static void check_values(const struct safetensors_entry *entry) {
  struct error error = {0};
  float value;
  if (entry->count == 0) return;
  int first = safetensors_floats(entry, 0, 1, &value, &error);
  int last = safetensors_floats(entry, entry->count - 1, 1, &value, &error);
  expect(first == last && (first == 0) == (entry->dtype != SAFETENSORS_OTHER));
  expect(safetensors_floats(entry, entry->count, 1, &value, &error) != 0);
}

static void check_file(const struct safetensors *file, const uint8_t *data, size_t size) {
  const uint8_t *end = file->count > 0 ? file->entries[0].data : data + size;
  for (size_t i = 0; i < file->count; i++) {
    const struct safetensors_entry *entry = &file->entries[i];
    int64_t product = 1;
    for (int axis = 0; axis < entry->rank; axis++) {
      expect(entry->dims[axis] >= 0);
      product *= entry->dims[axis];
    }
    expect(entry->data == end && entry->count == product && safetensors_find(file, entry->name) == entry);
    if (entry->dtype != SAFETENSORS_OTHER) {
      expect(entry->size == (size_t)product * safetensors_dtype_size(entry->dtype));
    }
    check_values(entry);
    end += entry->size;
  }
  expect(end == data + size);
  for (size_t i = 0; i < file->metadata_count; i++) {
    expect(safetensors_metadata(file, file->metadata[i].key) == file->metadata[i].text);
  }
}

static void parse(const uint8_t *data, size_t size) {
  struct safetensors file;
  struct error error = {0};
  if (safetensors_parse(&file, data, size, "fuzz", &error) == 0) {
    check_file(&file, data, size);
    safetensors_close(&file);
  } else {
    expect(!strncmp(error.message, "fuzz: ", 6) && file.entries == NULL);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  uint64_t length = size - 1;
  size_t total = data[0] == 'f' ? size - 1 : sizeof length + size - 1 + DATA;
  uint8_t *file = malloc(total > 0 ? total : 1); /* of its exact size, so that reading beyond it is seen */
  if (!file) return 0;
  if (data[0] == 'f') {
    memcpy(file, data + 1, total);
  } else {
    memcpy(file, &length, sizeof length);
    memcpy(file + sizeof length, data + 1, size - 1);
    memset(file + sizeof length + size - 1, 0x5A, DATA);
  }
  parse(file, total);
  free(file);
  return 0;
}
