/* jigsaw-gen --check: nothing in a finished store is taken on trust. */
#include <stdlib.h>
#include <string.h>

#include "core/dataset/shard.h"
#include "jigsaw/generate.h"

struct check {
  const struct jig_store *store;
  const cJSON *shards; /* of dataset.json */
  const char *folder;
  struct progress *progress;
  struct image *images; /* one per worker */
};

/* Walks a shard: members come in pairs, KEY.jpg and KEY.json, in the order of the index. */
struct walk {
  const struct jig_store *store;
  int64_t first, next, last; /* store index */
  uint32_t image;            /* of the sample in hand, and its number there */
  size_t number;
  struct file_map tar;
  bool jpeg_seen;
  char key[64];
};

/* All that a sample's KEY.json says follows from its record and its category, but for the name of the file. */
static int check_json(const struct walk *walk, const struct jig_record *record, const uint8_t *bytes, size_t size,
                      struct error *error) {
  struct dataset_category named = {0};
  struct buffer text = {0};
  if (!record->negative && (record->label < 0 || record->label >= jig_store_category_count(walk->store))) {
    return error_set(error, "has no category of the store");
  }
  if (!record->negative) {
    const struct jig_category *category = jig_store_category(walk->store, record->label);
    named = (struct dataset_category){.id = category->id, .name = category->name};
  }
  cJSON *json = cJSON_ParseWithLength((const char *)bytes, size);
  const cJSON *file = cJSON_GetObjectItemCaseSensitive(json, "file_name");
  const cJSON *set = cJSON_GetObjectItemCaseSensitive(json, "set"); /* these two only KEY.json has */
  int result = cJSON_IsString(file) ? 0 : error_set(error, "has no 'file_name'");
  if (result == 0) {
    result = jig_describe_sample(record, record->negative ? NULL : &named, file->valuestring,
                                 cJSON_IsNumber(set) ? set->valueint : 0, &text, error);
  }
  if (result == 0 && (text.size != size || memcmp(text.data, bytes, size) != 0)) {
    result = error_set(error, "is not what the index and dataset.json say");
  }
  cJSON_Delete(json);
  buffer_free(&text);
  return result;
}

/* Samples are named by their image, and numbered in it from 0. */
static void expected_key(struct walk *walk, const struct jig_record *record, char key[64]) {
  if (walk->next == walk->first || record->image != walk->image) walk->number = 0;
  walk->image = record->image;
  snprintf(key, 64, JIG_KEY, (long long)record->image, walk->number++);
}

static int check_member(void *context, const char *name, const uint8_t *bytes, size_t size, struct error *error) {
  struct walk *walk = context;
  const char *dot = strchr(name, '.');
  size_t length = dot ? (size_t)(dot - name) : 0;
  if (walk->next == walk->last || length == 0 || length >= sizeof walk->key) {
    return error_set(error, "member %s is not in the index", name);
  }
  const struct jig_record *record = jig_store_record(walk->store, walk->next);
  if (!walk->jpeg_seen) {
    if (strcmp(dot, ".jpg") != 0 || bytes != walk->tar.data + record->offset || size != record->size) {
      return error_set(error, "member %s is not where the index says", name);
    }
    expected_key(walk, record, walk->key);
    if (strlen(walk->key) != length || memcmp(walk->key, name, length) != 0) {
      return error_set(error, "member %s should be called %s.jpg", name, walk->key);
    }
    walk->jpeg_seen = true;
    return 0;
  }
  if (strcmp(dot, ".json") != 0 || strlen(walk->key) != length || memcmp(walk->key, name, length) != 0) {
    return error_set(error, "member %s does not follow %s.jpg as its .json", name, walk->key);
  }
  if (check_json(walk, record, bytes, size, error)) return error_context(error, "member %s", name);
  walk->jpeg_seen = false;
  walk->next++;
  return 0;
}

static int check_hash(const cJSON *shard, const char *name, struct file_map map, struct error *error) {
  char hex[33];
  const cJSON *expected = cJSON_GetObjectItemCaseSensitive(shard, name);
  hash_hex(XXH3_128bits(map.data, map.size), hex);
  if (cJSON_IsString(expected) && !strcmp(expected->valuestring, hex)) return 0;
  return error_set(error, "its %s is %s, not the one that dataset.json records: the file has changed", name, hex);
}

static int check_crops(struct check *check, int worker, int64_t first, int64_t last, struct error *error) {
  for (int64_t i = first; i < last; i++) {
    if (jig_store_decode(check->store, i, NULL, &check->images[worker], error)) return -1;
    progress_add(check->progress, 1);
  }
  return 0;
}

static int check_shard(void *context, int worker, int64_t number, struct error *error) {
  struct check *check = context;
  const cJSON *shard = cJSON_GetArrayItem(check->shards, (int)number);
  struct file_map tar = jig_store_tar(check->store, number);
  int64_t first = jig_store_first(check->store, number);
  int64_t last = first + (int64_t)jig_store_head(check->store, number)->record_count;
  struct walk walk = {.store = check->store, .first = first, .next = first, .last = last, .tar = tar};
  if (check_hash(shard, "xxh128", tar, error) == 0 &&
      check_hash(shard, "index_xxh128", jig_store_index(check->store, number), error) == 0 &&
      shard_walk(tar.data, tar.size, check_member, &walk, error) == 0) {
    if (walk.next == walk.last && !walk.jpeg_seen) return check_crops(check, worker, first, last, error);
    error_set(error, "it ends before its index does");
  }
  return error_context(error, "%s/shards/%06lld.tar", check->folder, (long long)number);
}

/* The categories and the hash as dataset.json has them: what cannot be made from the shards. */
static int read_head(const struct jig_store *store, const cJSON *json, struct dataset *head, struct error *error) {
  const cJSON *hash = cJSON_GetObjectItemCaseSensitive(json, "annotations_xxh128");
  unsigned long long high, low;
  head->category_count = jig_store_category_count(store);
  head->categories = calloc((size_t)head->category_count + 1, sizeof *head->categories);
  if (!head->categories) return error_memory(error, 0);
  for (int64_t i = 0; i < head->category_count; i++) {
    const struct jig_category *category = jig_store_category(store, (int32_t)i);
    head->categories[i] = (struct dataset_category){.id = category->id, .name = category->name};
  }
  if (!cJSON_IsString(hash) || sscanf(hash->valuestring, "%16llx%16llx", &high, &low) != 2) {
    return error_set(error, "'annotations_xxh128' is not 32 hexadecimal digits");
  }
  head->hash = (XXH128_hash_t){.high64 = high, .low64 = low};
  return 0;
}

/* Names the first part of `found` that is not as it should be. */
static int compare_documents(const cJSON *found, const cJSON *expected, struct error *error) {
  const cJSON *item;
  if (cJSON_Compare(found, expected, true)) return 0;
  cJSON_ArrayForEach(item, expected) {
    const cJSON *other = cJSON_GetObjectItemCaseSensitive(found, item->string);
    if (!cJSON_Compare(item, other, true)) return error_set(error, "'%s' is not what the shards say", item->string);
  }
  return error_set(error, "holds more than it should");
}

/* What the run recorded must be what the store says of itself. */
static int check_record(const char *folder, const cJSON *json, struct error *error) {
  char path[PATH_SIZE];
  cJSON *run;
  if (path_format(path, error, "%s/run.json", folder)) return -1;
  if (file_read_json(path, &run, error)) return -1;
  const cJSON *recorded = cJSON_GetObjectItemCaseSensitive(run, "options");
  const cJSON *options = cJSON_GetObjectItemCaseSensitive(json, "options");
  const cJSON *hash = cJSON_GetObjectItemCaseSensitive(recorded, "annotations-xxh128");
  const cJSON *own = cJSON_GetObjectItemCaseSensitive(json, "annotations_xxh128");
  int result = 0;
  if (!cJSON_Compare(recorded, options, true) || !cJSON_Compare(hash, own, true)) {
    result = error_set(error, "%s: its options are not those of dataset.json", path);
  }
  cJSON_Delete(run);
  return result;
}

static int check_broken_list(const char *folder, const struct buffer *broken, struct error *error) {
  char path[PATH_SIZE];
  struct buffer file = {0};
  if (path_format(path, error, "%s/broken.txt", folder)) return -1;
  if (broken->size == 0 && !file_exists(path)) return 0;
  int result = file_read(&file, path, error);
  if (result == 0 && (file.size != broken->size || memcmp(file.data, broken->data, file.size) != 0)) {
    result = error_set(error, "%s: is not what the shards say", path);
  }
  buffer_free(&file);
  return result;
}

/* dataset.json, made again from the shards. */
static int check_dataset_json(const struct jig_store *store, const char *folder, const cJSON *json,
                              struct error *error) {
  struct dataset head = {0};
  struct jig_totals totals = {0};
  const cJSON *options = cJSON_GetObjectItemCaseSensitive(json, "options");
  const cJSON *label = cJSON_GetObjectItemCaseSensitive(json, "background_label");
  const cJSON *background = cJSON_GetObjectItemCaseSensitive(options, "background");
  bool labelled = background ? cJSON_IsTrue(background) : !cJSON_IsNull(label);
  cJSON *expected = NULL;
  int result = read_head(store, json, &head, error);
  if (result == 0) {
    expected = jig_describe_store(&head, labelled, folder, jig_store_shard_count(store),
                                  cJSON_IsNull(options) ? NULL : options, &totals, error);
    result = expected ? compare_documents(json, expected, error) : -1;
  }
  if (result != 0) error_context(error, "%s/dataset.json", folder);
  if (result == 0 && jig_run_count(totals.images) != jig_store_shard_count(store)) {
    result = error_set(error, "%s: %lld shards cannot be those of %lld images", folder,
                       (long long)jig_store_shard_count(store), (long long)totals.images);
  }
  if (result == 0) result = check_broken_list(folder, &totals.broken, error);
  if (result == 0 && cJSON_IsObject(options)) result = check_record(folder, json, error);
  jig_totals_free(&totals);
  free(head.categories);
  cJSON_Delete(expected);
  return result;
}

int jig_check(const char *folder, int workers, struct progress *progress, FILE *report, struct error *error) {
  struct check check = {.folder = folder, .progress = progress};
  struct jig_store *store = NULL;
  cJSON *json = NULL;
  char path[PATH_SIZE];
  int result = jig_store_open(&store, folder, error);
  if (result == 0) result = path_format(path, error, "%s/dataset.json", folder);
  if (result == 0) result = file_read_json(path, &json, error);
  if (result == 0 && !(check.images = calloc((size_t)workers, sizeof *check.images))) result = error_memory(error, 0);
  if (result == 0) {
    jig_store_share(store, workers);
    check.store = store;
    check.shards = cJSON_GetObjectItemCaseSensitive(json, "shards");
    progress_start(progress, progress->stream, "checking", "samples", jig_store_count(store));
    result = parallel_for(workers, jig_store_shard_count(store), check_shard, &check, error);
    progress_finish(progress);
  }
  if (result == 0) result = check_dataset_json(store, folder, json, error);
  if (result == 0) {
    fprintf(report, "  shards    %lld, checksums, indices and dataset.json agree\n  samples   %lld, all decode\n",
            (long long)jig_store_shard_count(store), (long long)jig_store_count(store));
    const cJSON *options = cJSON_GetObjectItemCaseSensitive(json, "options");
    result = jig_check_jigsaws(store, options, folder, workers, progress, report, error);
  }
  for (int i = 0; check.images && i < workers; i++) {
    image_free(&check.images[i]);
  }
  free(check.images);
  cJSON_Delete(json);
  jig_store_close(store);
  return result;
}
