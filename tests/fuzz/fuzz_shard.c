/* Arbitrary bytes as a tar shard, and as the index of one. Members lie inside the file, in order; records that pass the
 * check lie inside the shard that the head speaks of. */
#include "core/dataset/shard.h"
#include "jigsaw/store.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct walk {
  const uint8_t *at, *end; /* what members may still lie in */
};

static void expect(bool truth) {
  if (!truth) __builtin_trap();
}

static int visit(void *context, const char *name, const uint8_t *bytes, size_t size, struct error *error) {
  struct walk *walk = context;
  (void)error;
  expect(name != NULL && strlen(name) < SIZE_MAX);
  if (size == 0) return 0;
  expect(bytes >= walk->at && bytes <= walk->end && size <= (size_t)(walk->end - bytes));
  walk->at = bytes + size;
  return 0;
}

static void check_records(const uint8_t *data, size_t size) {
  struct jig_index_head head;
  struct jig_record record;
  memcpy(&head, data, sizeof head);
  expect(head.record_count <= size / sizeof record && head.text_size <= size);
  for (uint64_t i = 0; i < head.record_count; i++) {
    memcpy(&record, data + sizeof head + i * sizeof record, sizeof record);
    expect(record.offset + record.size >= record.offset && record.offset + record.size <= head.shard_size);
    expect(record.group < JIG_GROUPS && record.source[2] > 0 && record.source[3] > 0);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct walk walk = {data, data + size};
  struct error error = {0};
  if (shard_walk(data, size, visit, &walk, &error)) expect(error.message[0] != '\0');
  error.message[0] = '\0';
  if (jig_index_check(data, size, "input", &error) == 0) {
    check_records(data, size);
  } else {
    expect(error.message[0] != '\0');
  }
  return 0;
}
