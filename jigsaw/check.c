/* jigsaw-gen --check: nothing in a finished store is taken on trust. */
#include <stdlib.h>
#include <string.h>

#include "core/dataset/shard.h"
#include "jigsaw/generate.h"

struct check {
  const struct jig_store *store;
  const cJSON *shards; /* of dataset.json */
  struct dataset jigsaws;
  const char *folder;
  struct progress *progress;
  struct image *images; /* one per worker */
  size_t memory;        /* that each may take to decode one */
};

/* Walks a shard: members come in pairs, KEY.jpg and KEY.json, in the order of the index. */
struct walk {
  const struct jig_store *store;
  int64_t next, last; /* store index */
  struct file_map tar;
  bool jpeg_seen;
  char key[64];
};

static int check_numbers(const cJSON *json, const char *name, const int32_t expected[4], struct error *error) {
  const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, name);
  for (int i = 0; i < 4; i++) {
    const cJSON *item = cJSON_GetArrayItem(list, i);
    if (!cJSON_IsNumber(item) || item->valueint != expected[i]) {
      return error_set(error, "'%s' is not what the index says", name);
    }
  }
  return 0;
}

static int check_json(const struct jig_record *record, const uint8_t *bytes, size_t size, struct error *error) {
  cJSON *json = cJSON_ParseWithLength((const char *)bytes, size);
  const cJSON *label = cJSON_GetObjectItemCaseSensitive(json, "label");
  int result = 0;
  if (!cJSON_IsNumber(label) || label->valueint != record->label) {
    result = error_set(error, "'label' is not what the index says");
  }
  if (result == 0) result = check_numbers(json, "source", record->source, error);
  if (result == 0) result = check_numbers(json, "rect", record->inner, error);
  cJSON_Delete(json);
  return result;
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
    memcpy(walk->key, name, length);
    walk->key[length] = '\0';
    walk->jpeg_seen = true;
    return 0;
  }
  if (strcmp(dot, ".json") != 0 || strlen(walk->key) != length || memcmp(walk->key, name, length) != 0) {
    return error_set(error, "member %s does not follow %s.jpg as its .json", name, walk->key);
  }
  if (check_json(record, bytes, size, error)) return error_context(error, "member %s", name);
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
  struct walk walk = {.store = check->store, .next = first, .last = last, .tar = tar};
  if (check_hash(shard, "xxh128", tar, error) == 0 &&
      check_hash(shard, "index_xxh128", jig_store_index(check->store, number), error) == 0 &&
      shard_walk(tar.data, tar.size, check_member, &walk, error) == 0) {
    if (walk.next == walk.last && !walk.jpeg_seen) return check_crops(check, worker, first, last, error);
    error_set(error, "it ends before its index does");
  }
  return error_context(error, "%s/shards/%06lld.tar", check->folder, (long long)number);
}

static int check_jigsaw(void *context, int worker, int64_t number, struct error *error) {
  struct check *check = context;
  const struct dataset_image *entry = &check->jigsaws.images[number];
  struct image *image = &check->images[worker];
  struct buffer file = {0};
  char path[PATH_SIZE];
  int result = path_format(path, error, "%s/jigsaws/images/%s", check->folder, entry->file_name);
  if (result == 0) result = file_read(&file, path, error);
  if (result == 0 && (result = image_decode(file.data, file.size, NULL, check->memory, image, error)))
    error_context(error, "%s", path);
  if (result == 0 && (image->width != entry->width || image->height != entry->height)) {
    result = error_set(error, "%s: %d x %d pixels, annotated as %d x %d", path, image->width, image->height,
                       entry->width, entry->height);
  }
  buffer_free(&file);
  progress_add(check->progress, 1);
  return result;
}

static int check_jigsaws(struct check *check, int workers, FILE *report, struct error *error) {
  struct dataset *jigsaws = &check->jigsaws;
  char path[PATH_SIZE];
  if (path_format(path, error, "%s/jigsaws", check->folder)) return -1;
  if (!file_exists(path)) {
    fprintf(report, "  jigsaws   none\n");
    return 0;
  }
  if (path_format(path, error, "%s/jigsaws/annotations/instances.json", check->folder)) return -1;
  const struct dataset_options coco = {.format = DATASET_COCO};
  if (dataset_load(jigsaws, path, check->folder, &coco, error)) return -1;
  progress_start(check->progress, check->progress->stream, "jigsaws", "img", jigsaws->image_count);
  int result = parallel_for(workers, jigsaws->image_count, check_jigsaw, check, error);
  progress_finish(check->progress);
  if (result == 0) {
    fprintf(report, "  jigsaws   %lld images, all decode; %lld tiles annotated\n", (long long)jigsaws->image_count,
            (long long)jigsaws->box_count);
  }
  dataset_free(jigsaws);
  return result;
}

int jig_check(const char *folder, int workers, struct progress *progress, FILE *report, struct error *error) {
  struct check check = {.folder = folder, .progress = progress, .memory = image_memory_share(workers)};
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
  if (result == 0) {
    fprintf(report, "  shards    %lld, checksums and indices agree\n  samples   %lld, all decode\n",
            (long long)jig_store_shard_count(store), (long long)jig_store_count(store));
    result = check_jigsaws(&check, workers, report, error);
  }
  for (int i = 0; check.images && i < workers; i++) {
    image_free(&check.images[i]);
  }
  free(check.images);
  cJSON_Delete(json);
  jig_store_close(store);
  return result;
}
