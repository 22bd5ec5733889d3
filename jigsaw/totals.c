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

static cJSON *number(int64_t value) {
  return cJSON_CreateNumber((double)value);
}

/* What is put into a container that could not be made fails, too: memory is out either way. */
static int add_group(cJSON *container, const char *name, cJSON **group, struct error *error) {
  *group = cJSON_CreateObject();
  return json_add(container, name, *group, error);
}

static int add_shard_entry(cJSON *list, const char *name, const struct file_map *index, struct error *error) {
  const struct jig_index_head *head = (const struct jig_index_head *)(const void *)index->data;
  cJSON *shard;
  return add_group(list, NULL, &shard, error) || json_add(shard, "file", cJSON_CreateString(name), error) ||
         json_add(shard, "samples", number((int64_t)head->record_count), error) ||
         json_add(shard, "bytes", number((int64_t)head->shard_size), error) ||
         json_add(shard, "xxh128", hash_json((XXH128_hash_t){head->shard_hash[0], head->shard_hash[1]}), error) ||
         json_add(shard, "index_xxh128", hash_json(XXH3_128bits(index->data, index->size)), error);
}

/* One shard's line in dataset.json, and its numbers into the totals. */
static int take_shard(const char *folder, int64_t shard, struct jig_totals *totals, XXH3_state_t *images, cJSON *list,
                      struct error *error) {
  char name[64], path[PATH_SIZE];
  struct file_map index;
  snprintf(name, sizeof name, "shards/%06lld.tar", (long long)shard);
  if (path_format(path, error, "%s/shards/%06lld.idx", folder, (long long)shard)) return -1;
  if (file_map_open(&index, path, error)) return -1;
  int result = jig_index_check(index.data, index.size, path, error);
  if (result == 0 && (result = add_shard(totals, &index, error))) error_context(error, "%s", path);
  if (result == 0) result = add_shard_entry(list, name, &index, error) ? -1 : 0;
  if (result == 0) {
    const struct jig_index_head *head = (const struct jig_index_head *)(const void *)index.data;
    XXH3_128bits_update(images, head->source_hash, sizeof head->source_hash);
  }
  file_map_close(&index);
  return result;
}

static int add_groups(cJSON *container, const char *name, const int64_t groups[JIG_GROUPS], struct error *error) {
  cJSON *object;
  if (add_group(container, name, &object, error)) return -1;
  for (int group = 0; group < JIG_GROUPS; group++) {
    char letter[2] = {jig_group_letters[group], '\0'};
    if (json_add(object, letter, number(groups[group]), error)) return -1;
  }
  return 0;
}

static int add_categories(cJSON *json, const struct dataset *dataset, const struct jig_totals *totals,
                          struct error *error) {
  cJSON *list = cJSON_CreateArray(), *category;
  if (json_add(json, "categories", list, error)) return -1;
  for (int64_t i = 0; i < dataset->category_count; i++) {
    if (add_group(list, NULL, &category, error) || json_add(category, "label", number(i), error) ||
        json_add(category, "id", number(dataset->categories[i].id), error) ||
        json_add(category, "name", cJSON_CreateString(dataset->categories[i].name), error) ||
        add_groups(category, "samples", totals->labels[i], error)) {
      return -1;
    }
  }
  return 0;
}

static int add_boxes(cJSON *json, const struct jig_sample_counts *counts, struct error *error) {
  cJSON *boxes, *dropped;
  if (add_group(json, "boxes", &boxes, error) || add_group(boxes, "dropped", &dropped, error)) return -1;
  for (int i = 0; i < JIG_DROPS; i++) {
    if (json_add(dropped, jig_drop_names[i], number(counts->dropped[i]), error)) return -1;
  }
  return json_add(boxes, "annotated", number(counts->boxes), error) ||
                 json_add(boxes, "positives", number(counts->positives), error) ||
                 json_add(boxes, "clipped", number(counts->clipped), error) ||
                 json_add(boxes, "negatives", number(counts->negatives), error) ||
                 json_add(boxes, "negatives_made_up", number(counts->negatives_made_up), error) ||
                 json_add(boxes, "negatives_given_up", number(counts->negatives_given_up), error)
             ? -1
             : 0;
}

static int add_images(cJSON *json, const struct jig_totals *totals, struct error *error) {
  cJSON *images;
  return add_group(json, "images", &images, error) || json_add(images, "annotated", number(totals->images), error) ||
                 json_add(images, "broken", number(totals->images_broken), error) ||
                 json_add(images, "with_orientation", number(totals->images_turned), error) ||
                 json_add(images, "taken_upright", number(totals->images_upright), error) ||
                 json_add(images, "without_samples", number(totals->images_without_samples), error) ||
                 json_add(images, "bytes", number(totals->image_bytes), error)
             ? -1
             : 0;
}

static int add_all(cJSON *json, const struct dataset *dataset, bool background, const struct jig_totals *totals,
                   const cJSON *recorded, XXH128_hash_t images, struct error *error) {
  bool labelled = background && totals->counts.negatives > 0;
  return json_add(json, "format", cJSON_CreateString("jigsaw sample store 2"), error) ||
                 add_categories(json, dataset, totals, error) ||
                 json_add(json, "background_label", labelled ? number(dataset->category_count) : cJSON_CreateNull(),
                          error) ||
                 json_add(json, "samples", number(totals->samples), error) ||
                 add_groups(json, "groups", totals->groups, error) || add_boxes(json, &totals->counts, error) ||
                 add_images(json, totals, error) ||
                 json_add(json, "options", recorded ? cJSON_Duplicate(recorded, true) : cJSON_CreateNull(), error) ||
                 json_add(json, "annotations_xxh128", hash_json(dataset->hash), error) ||
                 json_add(json, "images_xxh128", hash_json(images), error)
             ? -1
             : 0;
}

cJSON *jig_describe_store(const struct dataset *dataset, bool background, const char *folder, int64_t shards,
                          const cJSON *recorded, struct jig_totals *totals, struct error *error) {
  if (jig_totals_init(totals, dataset, error)) return NULL;
  XXH3_state_t *images = XXH3_createState();
  cJSON *json = cJSON_CreateObject(), *list = cJSON_CreateArray();
  int result = images ? 0 : error_memory(error, 0);
  if (images) XXH3_128bits_reset(images);
  for (int64_t i = 0; result == 0 && i < shards; i++) {
    result = take_shard(folder, i, totals, images, list, error);
  }
  if (result == 0) {
    result = add_all(json, dataset, background, totals, recorded, XXH3_128bits_digest(images), error);
  }
  if (result == 0) {
    result = json_add(json, "shards", list, error);
  } else {
    cJSON_Delete(list);
  }
  XXH3_freeState(images);
  if (result == 0) return json;
  cJSON_Delete(json);
  return NULL;
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
  char path[PATH_SIZE];
  int64_t shards = jig_run_count(dataset->image_count);
  cJSON *json = jig_describe_store(dataset, options->background, folder, shards, recorded, totals, error);
  int result = json ? write_broken(folder, &totals->broken, error) : -1;
  if (result == 0) result = path_format(path, error, "%s/dataset.json", folder);
  if (result == 0) result = file_write_json(path, json, error);
  cJSON_Delete(json);
  return result;
}
