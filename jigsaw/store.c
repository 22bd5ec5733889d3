#include "jigsaw/store.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct jig_record) == 88, "the record is a file format");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "index files are little-endian and mapped");

struct store_shard {
  struct file_map index, tar;
  const struct jig_index_head *head;
  const struct jig_record *records;
  int64_t first; /* store index of records[0] */
};

struct jig_store {
  struct arena arena;
  struct store_shard *shards;
  int64_t shard_count, count;
  struct jig_category *categories;
  int32_t category_count, background;
  size_t memory; /* that decoding a crop may take */
  uint32_t *groups[JIG_GROUPS];
  int64_t group_counts[JIG_GROUPS];
};

static int check_record(const struct jig_record *record, uint64_t shard_size, struct error *error) {
  const int32_t *inner = record->inner, *source = record->source;
  if (record->offset > shard_size || record->size > shard_size - record->offset) {
    return error_set(error, "its bytes lie outside the shard");
  }
  bool turned = record->orientation >= 5;
  if (record->orientation < 1 || record->orientation > 8 || inner[0] < 0 || inner[1] < 0 || inner[2] < 1 ||
      inner[3] < 1 || inner[2] > 65535 || inner[3] > 65535 || inner[0] > 65535 || inner[1] > 65535 ||
      source[2] != inner[turned ? 3 : 2] || source[3] != inner[turned ? 2 : 3]) {
    return error_set(error, "its rectangles do not fit each other");
  }
  if (record->group != jig_group_of(source[2], source[3])) return error_set(error, "its group is not that of its size");
  return 0;
}

int jig_index_check(const uint8_t *data, size_t size, const char *name, struct error *error) {
  struct jig_index_head head;
  size_t expected;
  if (size < sizeof head) return error_set(error, "%s: too short for an index", name);
  memcpy(&head, data, sizeof head);
  if (memcmp(head.magic, "JIGIDX2\n", 8) != 0) return error_set(error, "%s: not an index of this version", name);
  if (!size_muladd(head.record_count, sizeof(struct jig_record), sizeof head, &expected) ||
      !size_muladd(head.text_size, 1, expected, &expected) || expected != size) {
    return error_set(error, "%s: %zu bytes do not match its %llu records", name, size,
                     (unsigned long long)head.record_count);
  }
  for (uint64_t i = 0; i < head.record_count; i++) {
    struct jig_record record;
    memcpy(&record, data + sizeof head + i * sizeof record, sizeof record);
    if (check_record(&record, head.shard_size, error)) {
      return error_context(error, "%s: record %llu", name, (unsigned long long)i);
    }
  }
  return 0;
}

static int open_shard(struct jig_store *store, const char *folder, int64_t number, struct error *error) {
  struct store_shard *shard = &store->shards[number];
  char name[64];
  snprintf(name, sizeof name, "shards/%06lld.idx", (long long)number);
  const char *index = path_join(&store->arena, folder, name);
  snprintf(name, sizeof name, "shards/%06lld.tar", (long long)number);
  const char *tar = path_join(&store->arena, folder, name);
  if (!index || !tar) return error_memory(error, sizeof name);
  if (file_map_open(&shard->index, index, error) || file_map_open(&shard->tar, tar, error)) return -1;
  if (jig_index_check(shard->index.data, shard->index.size, index, error)) return -1;
  shard->head = (const struct jig_index_head *)(const void *)shard->index.data;
  shard->records = (const struct jig_record *)(const void *)(shard->index.data + sizeof *shard->head);
  if (shard->head->shard_size != shard->tar.size) {
    return error_set(error, "%s: %zu bytes, but its index says %llu; run jigsaw-gen --check on the store", tar,
                     shard->tar.size, (unsigned long long)shard->head->shard_size);
  }
  shard->first = store->count;
  store->count += (int64_t)shard->head->record_count;
  return 0;
}

static int read_category(struct jig_store *store, const char *path, const cJSON *item, struct error *error) {
  const cJSON *id = cJSON_GetObjectItemCaseSensitive(item, "id");
  const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
  if (!cJSON_IsNumber(id) || !cJSON_IsString(name)) return error_set(error, "%s: a category lacks id or name", path);
  double value = id->valuedouble;
  if (!(fabs(value) < 0x1p53 && value == floor(value))) {
    return error_set(error, "%s: category id %g is not a whole number below 2^53", path, value);
  }
  char *copy = arena_copy(&store->arena, name->valuestring, strlen(name->valuestring));
  if (!copy) return error_memory(error, strlen(name->valuestring));
  store->categories[store->category_count++] = (struct jig_category){.id = (int64_t)value, .name = copy};
  return 0;
}

/* Categories, the background label and the number of shards. */
static int read_dataset_json(struct jig_store *store, const char *path, const cJSON *json, struct error *error) {
  const cJSON *categories = cJSON_GetObjectItemCaseSensitive(json, "categories");
  const cJSON *background = cJSON_GetObjectItemCaseSensitive(json, "background_label");
  const cJSON *shards = cJSON_GetObjectItemCaseSensitive(json, "shards");
  int count = cJSON_GetArraySize(categories), shard_count = cJSON_GetArraySize(shards);
  if (!cJSON_IsArray(categories) || !cJSON_IsArray(shards) || count < 1) {
    return error_set(error, "%s: needs the lists 'categories' and 'shards'", path);
  }
  if (!cJSON_IsNull(background) && !(cJSON_IsNumber(background) && background->valuedouble == count)) {
    return error_set(error, "%s: 'background_label' is neither null nor the number of categories", path);
  }
  store->categories = calloc((size_t)count, sizeof *store->categories);
  store->shards = calloc((size_t)shard_count + 1, sizeof *store->shards);
  if (!store->categories || !store->shards) return error_memory(error, (size_t)count * sizeof *store->categories);
  store->background = cJSON_IsNumber(background) ? count : -1;
  store->shard_count = shard_count;
  const cJSON *item;
  cJSON_ArrayForEach(item, categories) {
    if (read_category(store, path, item, error)) return -1;
  }
  return 0;
}

static int collect_groups(struct jig_store *store, struct error *error) {
  if (store->count > UINT32_MAX) return error_set(error, "the store has more than 2^32 samples");
  for (int64_t s = 0; s < store->shard_count; s++) {
    for (uint64_t i = 0; i < store->shards[s].head->record_count; i++) {
      const struct jig_record *record = &store->shards[s].records[i];
      if (record->label < -1 || record->label >= jig_store_labels(store) ||
          (record->label == -1 && store->background != -1)) {
        return error_set(error, "shard %lld: sample %llu has the unknown label %d", (long long)s, (unsigned long long)i,
                         record->label);
      }
      store->group_counts[record->group]++;
    }
  }
  int64_t filled[JIG_GROUPS] = {0};
  for (int group = 0; group < JIG_GROUPS; group++) {
    size_t bytes = (size_t)(store->group_counts[group] + 1) * sizeof(uint32_t);
    if (!(store->groups[group] = malloc(bytes))) return error_memory(error, bytes);
  }
  for (int64_t i = 0; i < store->count; i++) {
    int group = jig_store_record(store, i)->group;
    store->groups[group][filled[group]++] = (uint32_t)i;
  }
  return 0;
}

static int open_files(struct jig_store *store, const char *folder, bool finished, struct error *error) {
  const char *done = path_join(&store->arena, folder, "DONE");
  const char *path = path_join(&store->arena, folder, "dataset.json");
  if (!done || !path) return error_memory(error, strlen(folder));
  if (finished && !file_exists(done)) {
    if (!file_exists(folder)) return error_set(error, "%s: no such folder", folder);
    return error_set(error, "%s: not a finished sample store (no DONE file); run jigsaw-gen to its end first", folder);
  }
  cJSON *json = NULL;
  if (file_read_json(path, &json, error)) return -1;
  int result = read_dataset_json(store, path, json, error);
  cJSON_Delete(json);
  for (int64_t i = 0; result == 0 && i < store->shard_count; i++) {
    result = open_shard(store, folder, i, error);
  }
  return result ? result : collect_groups(store, error);
}

static int open_store(struct jig_store **store, const char *folder, bool finished, struct error *error) {
  struct jig_store *opened = calloc(1, sizeof *opened);
  *store = NULL;
  if (!opened) return error_memory(error, sizeof *opened);
  jig_store_share(opened, 1);
  if (open_files(opened, folder, finished, error)) {
    jig_store_close(opened);
    return -1;
  }
  *store = opened;
  return 0;
}

int jig_store_open(struct jig_store **store, const char *folder, struct error *error) {
  return open_store(store, folder, true, error);
}

int jig_store_open_unfinished(struct jig_store **store, const char *folder, struct error *error) {
  return open_store(store, folder, false, error);
}

void jig_store_close(struct jig_store *store) {
  if (!store) return;
  for (int64_t i = 0; i < store->shard_count; i++) {
    file_map_close(&store->shards[i].index);
    file_map_close(&store->shards[i].tar);
  }
  for (int group = 0; group < JIG_GROUPS; group++) {
    free(store->groups[group]);
  }
  free(store->shards);
  free(store->categories);
  arena_free(&store->arena);
  free(store);
}

int64_t jig_store_count(const struct jig_store *store) {
  return store->count;
}

/* The last shard that begins at or before `index`. */
static const struct store_shard *shard_of(const struct jig_store *store, int64_t index) {
  int64_t low = 0, high = store->shard_count - 1;
  while (low < high) {
    int64_t middle = low + (high - low + 1) / 2;
    if (store->shards[middle].first <= index) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return &store->shards[low];
}

const struct jig_record *jig_store_record(const struct jig_store *store, int64_t index) {
  const struct store_shard *shard = shard_of(store, index);
  return &shard->records[index - shard->first];
}

int64_t jig_store_shard_count(const struct jig_store *store) {
  return store->shard_count;
}

const struct jig_index_head *jig_store_head(const struct jig_store *store, int64_t shard) {
  return store->shards[shard].head;
}

int64_t jig_store_first(const struct jig_store *store, int64_t shard) {
  return store->shards[shard].first;
}

struct file_map jig_store_tar(const struct jig_store *store, int64_t shard) {
  return store->shards[shard].tar;
}

struct file_map jig_store_index(const struct jig_store *store, int64_t shard) {
  return store->shards[shard].index;
}

int32_t jig_store_category_count(const struct jig_store *store) {
  return store->category_count;
}

const struct jig_category *jig_store_category(const struct jig_store *store, int32_t label) {
  return &store->categories[label];
}

int32_t jig_store_background(const struct jig_store *store) {
  return store->background;
}

int32_t jig_store_labels(const struct jig_store *store) {
  return store->category_count + (store->background >= 0);
}

const char *jig_store_label_name(const struct jig_store *store, int32_t label) {
  if (label < 0) return "none";
  return label < store->category_count ? store->categories[label].name : "background";
}

int64_t jig_store_group_count(const struct jig_store *store, enum jig_group group) {
  return store->group_counts[group];
}

int64_t jig_store_group_item(const struct jig_store *store, enum jig_group group, int64_t position) {
  return store->groups[group][position];
}

void jig_store_jpeg(const struct jig_store *store, int64_t index, const uint8_t **bytes, size_t *size) {
  const struct store_shard *shard = shard_of(store, index);
  const struct jig_record *record = &shard->records[index - shard->first];
  *bytes = shard->tar.data + record->offset;
  *size = record->size;
}

void jig_store_share(struct jig_store *store, int workers) {
  store->memory = image_memory_share(workers);
}

int jig_store_decode(const struct jig_store *store, int64_t index, const struct rect *part, struct image *image,
                     struct error *error) {
  const struct jig_record *record = jig_store_record(store, index);
  const uint8_t *bytes;
  size_t size;
  jig_store_jpeg(store, index, &bytes, &size);
  struct rect wanted = part ? *part : (struct rect){0, 0, record->source[2], record->source[3]};
  wanted = rect_unorient(wanted, record->orientation, record->inner[2], record->inner[3]);
  wanted.x += record->inner[0];
  wanted.y += record->inner[1];
  if (image_decode(bytes, size, &wanted, store->memory, image, error)) {
    return error_context(error, "sample %lld", (long long)index);
  }
  return image_orient(image, record->orientation, error);
}
