/* Paths, each with a number, found by hashing. */
#include <stdlib.h>

#include "core/dataset/internal.h"

struct path_slot {
  const char *path; /* NULL: free */
  size_t size;
  int64_t value;
};

static struct path_slot *table_slot(const struct path_table *table, struct text path) {
  size_t at = XXH3_64bits(path.data, path.size) & table->mask;
  while (table->slots[at].path != NULL &&
         !text_equal((struct text){table->slots[at].path, table->slots[at].size}, path))
    at = (at + 1) & table->mask;
  return &table->slots[at];
}

int64_t path_table_find(const struct path_table *table, struct text path) {
  if (table->count == 0) return -1;
  const struct path_slot *slot = table_slot(table, path);
  return slot->path == NULL ? -1 : slot->value;
}

static int table_grow(struct path_table *table, struct error *error) {
  struct path_table grown = {.mask = table->slots == NULL ? 255 : table->mask * 2 + 1, .count = table->count};
  grown.slots = calloc(grown.mask + 1, sizeof(*grown.slots));
  if (grown.slots == NULL) return error_memory(error, (grown.mask + 1) * sizeof(*grown.slots));
  for (size_t i = 0; table->slots != NULL && i <= table->mask; i++) {
    const struct path_slot *old = &table->slots[i];
    if (old->path != NULL) *table_slot(&grown, (struct text){old->path, old->size}) = *old;
  }
  free(table->slots);
  *table = grown;
  return 0;
}

int path_table_add(struct path_table *table, struct text path, int64_t value, struct error *error) {
  if ((table->slots == NULL || table->count > table->mask / 2) && table_grow(table, error) != 0) return -1;
  struct path_slot *slot = table_slot(table, path);
  if (slot->path != NULL) return 0;
  *slot = (struct path_slot){path.data, path.size, value};
  table->count++;
  return 0;
}

void path_table_free(struct path_table *table) {
  free(table->slots);
  *table = (struct path_table){0};
}
