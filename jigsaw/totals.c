/* What a store holds, added up: for dataset.json and for the summary. */
#include <stdlib.h>
#include <string.h>

#include "jigsaw/generate.h"

int jig_totals_init(struct jig_totals *totals, const struct dataset *dataset, struct error *error) {
  *totals = (struct jig_totals){.label_count = (int32_t)dataset->category_count + 1};
  totals->labels = calloc((size_t)totals->label_count, sizeof *totals->labels);
  return totals->labels ? 0 : error_memory(error, (size_t)totals->label_count * sizeof *totals->labels);
}

void jig_totals_add(struct jig_totals *total, const struct jig_totals *more) {
  total->images += more->images;
  total->images_without_samples += more->images_without_samples;
  total->images_broken += more->images_broken;
  total->images_turned += more->images_turned;
  total->images_upright += more->images_upright;
  total->samples += more->samples;
  jig_sample_counts_add(&total->counts, &more->counts);
  for (int group = 0; group < JIG_GROUPS; group++) {
    total->groups[group] += more->groups[group];
    for (int32_t label = 0; label < total->label_count; label++) {
      total->labels[label][group] += more->labels[label][group];
    }
  }
}

void jig_totals_free(struct jig_totals *totals) {
  free(totals->labels);
  buffer_free(&totals->broken);
  *totals = (struct jig_totals){0};
}

static int add_shard(struct jig_totals *totals, const struct file_map *index, struct error *error) {
  const struct jig_index_head *head = (const struct jig_index_head *)(const void *)index->data;
  const struct jig_record *records = (const struct jig_record *)(const void *)(index->data + sizeof *head);
  totals->images += head->images;
  totals->images_without_samples += head->images_without_samples;
  totals->images_broken += head->images_broken;
  totals->images_turned += head->images_turned;
  totals->images_upright += head->images_upright;
  totals->image_bytes += head->image_bytes;
  totals->samples += (int64_t)head->record_count;
  totals->store_bytes += (int64_t)(head->shard_size + index->size);
  jig_sample_counts_add(&totals->counts, &head->counts);
  for (uint64_t i = 0; i < head->record_count; i++) {
    int32_t label = records[i].negative ? totals->label_count - 1 : records[i].label;
    if (label < 0 || label >= totals->label_count) return error_set(error, "a record has the unknown label %d", label);
    totals->groups[records[i].group]++;
    totals->labels[label][records[i].group]++;
  }
  struct buffer *broken = &totals->broken;
  if (buffer_append(broken, index->data + (index->size - head->text_size), head->text_size, error)) return -1;
  bool ended = broken->size == 0 || broken->data[broken->size - 1] == '\n';
  return ended ? 0 : buffer_append(broken, "\n", 1, error);
}

static cJSON *hash_json(XXH128_hash_t hash) {
  char hex[33];
  hash_hex(hash, hex);
  return cJSON_CreateString(hex);
}

/* One shard's line in dataset.json, and its numbers into the totals. */
static int take_shard(const char *folder, int64_t number, struct jig_totals *totals, XXH3_state_t *images, cJSON *list,
                      struct error *error) {
  char name[64], path[PATH_SIZE];
  struct file_map index;
  snprintf(name, sizeof name, "shards/%06lld.tar", (long long)number);
  if (path_format(path, error, "%s/shards/%06lld.idx", folder, (long long)number)) return -1;
  if (file_map_open(&index, path, error)) return -1;
  int result = jig_index_check(index.data, index.size, path, error);
  if (result == 0 && (result = add_shard(totals, &index, error))) error_context(error, "%s", path);
  if (result == 0) {
    const struct jig_index_head *head = (const struct jig_index_head *)(const void *)index.data;
    cJSON *shard = cJSON_CreateObject();
    cJSON_AddStringToObject(shard, "file", name);
    cJSON_AddNumberToObject(shard, "samples", (double)head->record_count);
    cJSON_AddNumberToObject(shard, "bytes", (double)head->shard_size);
    cJSON_AddItemToObject(shard, "xxh128", hash_json((XXH128_hash_t){head->shard_hash[0], head->shard_hash[1]}));
    cJSON_AddItemToObject(shard, "index_xxh128", hash_json(XXH3_128bits(index.data, index.size)));
    if (!cJSON_AddItemToArray(list, shard)) result = error_memory(error, 0);
    XXH3_128bits_update(images, head->source_hash, sizeof head->source_hash);
  }
  file_map_close(&index);
  return result;
}

static cJSON *groups_json(const int64_t groups[JIG_GROUPS]) {
  cJSON *object = cJSON_CreateObject();
  for (int group = 0; group < JIG_GROUPS; group++) {
    char letter[2] = {jig_group_letters[group], '\0'};
    cJSON_AddNumberToObject(object, letter, (double)groups[group]);
  }
  return object;
}

static cJSON *categories_json(const struct dataset *dataset, const struct jig_totals *totals) {
  cJSON *list = cJSON_CreateArray();
  for (int64_t i = 0; i < dataset->category_count; i++) {
    cJSON *category = cJSON_CreateObject();
    cJSON_AddNumberToObject(category, "label", (double)i);
    cJSON_AddNumberToObject(category, "id", (double)dataset->categories[i].id);
    cJSON_AddStringToObject(category, "name", dataset->categories[i].name);
    cJSON_AddItemToObject(category, "samples", groups_json(totals->labels[i]));
    cJSON_AddItemToArray(list, category);
  }
  return list;
}

static cJSON *boxes_json(const struct jig_sample_counts *counts) {
  cJSON *object = cJSON_CreateObject(), *dropped = cJSON_AddObjectToObject(object, "dropped");
  cJSON_AddNumberToObject(object, "annotated", (double)counts->boxes);
  cJSON_AddNumberToObject(object, "positives", (double)counts->positives);
  cJSON_AddNumberToObject(object, "clipped", (double)counts->clipped);
  for (int i = 0; i < JIG_DROPS; i++) {
    cJSON_AddNumberToObject(dropped, jig_drop_names[i], (double)counts->dropped[i]);
  }
  cJSON_AddNumberToObject(object, "negatives", (double)counts->negatives);
  cJSON_AddNumberToObject(object, "negatives_given_up", (double)counts->negatives_given_up);
  cJSON_AddNumberToObject(object, "negatives_made_up", (double)counts->negatives_made_up);
  return object;
}

static cJSON *images_json(const struct jig_totals *totals) {
  cJSON *object = cJSON_CreateObject();
  cJSON_AddNumberToObject(object, "annotated", (double)totals->images);
  cJSON_AddNumberToObject(object, "broken", (double)totals->images_broken);
  cJSON_AddNumberToObject(object, "with_orientation", (double)totals->images_turned);
  cJSON_AddNumberToObject(object, "taken_upright", (double)totals->images_upright);
  cJSON_AddNumberToObject(object, "without_samples", (double)totals->images_without_samples);
  cJSON_AddNumberToObject(object, "bytes", (double)totals->image_bytes);
  return object;
}

/* FOLDER/broken.txt, when there is anything to list; what an attempt left there that gave up is gone then. */
static int write_broken(const char *folder, const struct buffer *broken, struct error *error) {
  char path[PATH_SIZE];
  if (path_format(path, error, "%s/broken.txt", folder)) return -1;
  if (broken->size > 0) return file_write_all(path, broken->data, broken->size, error);
  return file_remove_tree(path, error);
}

int jig_write_dataset_json(const struct dataset *dataset, const struct jig_generate_options *options,
                           const char *folder, const cJSON *recorded, struct jig_totals *totals, struct error *error) {
  if (jig_totals_init(totals, dataset, error)) return -1;
  XXH3_state_t *images = XXH3_createState();
  cJSON *json = cJSON_CreateObject(), *shards = cJSON_CreateArray();
  int result = images && json && shards ? 0 : error_memory(error, 0);
  if (images) XXH3_128bits_reset(images);
  int64_t count = jig_run_count(dataset->image_count);
  for (int64_t i = 0; result == 0 && i < count; i++) {
    result = take_shard(folder, i, totals, images, shards, error);
  }
  if (result == 0) result = write_broken(folder, &totals->broken, error);
  if (result == 0) {
    bool background = options->background && totals->counts.negatives > 0;
    cJSON_AddStringToObject(json, "format", "jigsaw sample store 2");
    cJSON_AddItemToObject(json, "categories", categories_json(dataset, totals));
    cJSON_AddItemToObject(json, "background_label",
                          background ? cJSON_CreateNumber((double)dataset->category_count) : cJSON_CreateNull());
    cJSON_AddNumberToObject(json, "samples", (double)totals->samples);
    cJSON_AddItemToObject(json, "groups", groups_json(totals->groups));
    cJSON_AddItemToObject(json, "boxes", boxes_json(&totals->counts));
    cJSON_AddItemToObject(json, "images", images_json(totals));
    cJSON_AddItemToObject(json, "options", cJSON_Duplicate(recorded, true));
    cJSON_AddItemToObject(json, "annotations_xxh128", hash_json(dataset->hash));
    cJSON_AddItemToObject(json, "images_xxh128", hash_json(XXH3_128bits_digest(images)));
    cJSON_AddItemToObject(json, "shards", shards);
    shards = NULL;
    char path[PATH_SIZE];
    result = path_format(path, error, "%s/dataset.json", folder);
    if (result == 0) result = file_write_json(path, json, error);
  }
  cJSON_Delete(shards);
  cJSON_Delete(json);
  XXH3_freeState(images);
  return result;
}
