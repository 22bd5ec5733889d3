#include "jigsaw/generate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/dataset/shard.h"

/* Images that cannot be used, over all workers. */
struct broken {
  pthread_mutex_t lock;
  int64_t count, first; /* first: position of the lowest so far */
  struct error reason;  /* why that one is */
};

/* Everything the tasks of jig_write_shards and jig_dry_run share. */
struct generation {
  const struct dataset *dataset;
  const struct jig_generate_options *options;
  const char *folder;
  struct progress *progress;
  struct jig_extractor *extractors; /* one per worker */
  struct buffer *texts;             /* KEY.json of the sample in hand, one per worker */
  struct jig_totals *dry;           /* one per worker; NULL when writing */
  int64_t images_per_shard;
  struct broken broken;
};

/* What one shard gathers before it is written. */
struct draft {
  struct shard_writer shard;
  struct jig_index_head head;
  struct jig_record *records;
  size_t capacity;
  struct buffer text;
  XXH3_state_t *source_hash;
};

int64_t jig_run_length(int64_t items) {
  int64_t length = (items + 63) / 64;
  return length < 16 ? 16 : length > 1024 ? 1024 : length;
}

int64_t jig_run_count(int64_t items) {
  int64_t length = jig_run_length(items);
  return (items + length - 1) / length;
}

/* Counts `more` broken images, of which `image` was the first; fails when there are too many. Workers come in any
 * order: what is named is the first of those that were met. */
static int tolerate_broken(struct generation *work, int64_t image, const struct error *reason, int64_t more,
                           struct error *error) {
  struct broken *broken = &work->broken;
  int64_t images = work->dataset->image_count;
  int result = 0;
  pthread_mutex_lock(&broken->lock);
  if (broken->count == 0 || image < broken->first) {
    broken->first = image;
    broken->reason = *reason;
  }
  broken->count += more;
  if ((double)broken->count * 100 > (double)images * work->options->max_bad) {
    result = error_set(error,
                       "%lld of %lld images are broken so far, more than the %g %% that --max-bad allows; mend them "
                       "and begin anew (--overwrite), or raise --max-bad to leave them out. The first: %s",
                       (long long)broken->count, (long long)images, work->options->max_bad, broken->reason.message);
  }
  pthread_mutex_unlock(&broken->lock);
  return result;
}

static int32_t label_of(const struct generation *work, const struct jig_sample *sample) {
  if (sample->category >= 0) return sample->category;
  return work->options->background ? (int32_t)work->dataset->category_count : -1;
}

/* KEY.json: what docs/FORMATS.md lists. */
static int describe_sample(const struct generation *work, const struct dataset_image *image,
                           const struct jig_sample *sample, const struct jig_record *record, struct buffer *text,
                           struct error *error) {
  text->size = 0;
  const struct dataset_category *category = sample->category >= 0 ? &work->dataset->categories[sample->category] : NULL;
  if (buffer_printf(text, error, "{\"label\":%d,\"category\":", record->label)) return -1;
  if (buffer_json_string(text, category ? category->name : "background", error)) return -1;
  if (category && buffer_printf(text, error, ",\"category_id\":%lld,\"annotation_id\":%lld", (long long)category->id,
                                (long long)record->annotation_id)) {
    return -1;
  }
  if (image->set > 0 && buffer_printf(text, error, ",\"set\":%d", image->set)) return -1;
  if (buffer_printf(text, error, ",\"group\":\"%c\",\"image_id\":%lld,\"file_name\":", jig_group_letters[record->group],
                    (long long)image->id) ||
      buffer_json_string(text, image->file_name, error) ||
      buffer_printf(text, error, ",\"source\":[%d,%d,%d,%d],\"rect\":[%d,%d,%d,%d],\"orientation\":%d",
                    record->source[0], record->source[1], record->source[2], record->source[3], record->inner[0],
                    record->inner[1], record->inner[2], record->inner[3], record->orientation)) {
    return -1;
  }
  if (category && buffer_printf(text, error, ",\"bbox\":[%.9g,%.9g,%.9g,%.9g]", record->box[0], record->box[1],
                                record->box[2], record->box[3])) {
    return -1;
  }
  return buffer_append(text, "}", 1, error);
}

static struct jig_record make_record(const struct generation *work, const struct jig_extractor *extractor,
                                     int64_t image, size_t number) {
  const struct jig_sample *sample = &extractor->samples.items[number];
  const struct jig_crop *crop = &extractor->crop[number];
  struct jig_record record = {
      .size = (uint32_t)crop->size,
      .label = label_of(work, sample),
      .image_id = work->dataset->images[image].id,
      .annotation_id = sample->annotation_id,
      .inner = {crop->inner.x, crop->inner.y, crop->inner.w, crop->inner.h},
      .source = {sample->rect.x, sample->rect.y, sample->rect.w, sample->rect.h},
      .image = (uint32_t)image,
      .group = (uint8_t)jig_group_of(sample->rect.w, sample->rect.h),
      .orientation = (uint8_t)extractor->orientation,
      .negative = sample->category < 0,
  };
  for (int i = 0; i < 4; i++) {
    record.box[i] = (float)sample->box[i];
  }
  return record;
}

static int add_sample(struct generation *work, struct draft *draft, const struct jig_extractor *extractor,
                      struct buffer *text, int64_t image, size_t number, struct error *error) {
  void *records = draft->records;
  if (array_reserve(&records, &draft->capacity, draft->head.record_count + 1, sizeof(struct jig_record), error)) {
    return -1;
  }
  draft->records = records;
  struct jig_record *record = &draft->records[draft->head.record_count];
  *record = make_record(work, extractor, image, number);
  const struct dataset_image *entry = &work->dataset->images[image];
  if (describe_sample(work, entry, &extractor->samples.items[number], record, text, error)) return -1;
  char name[64];
  uint64_t ignored;
  snprintf(name, sizeof name, "%09lld_%04zu.jpg", (long long)image, number);
  const uint8_t *bytes = extractor->crops.data + extractor->crop[number].offset;
  if (shard_add(&draft->shard, name, bytes, record->size, &record->offset, error)) return -1;
  snprintf(name, sizeof name, "%09lld_%04zu.json", (long long)image, number);
  if (shard_add(&draft->shard, name, text->data, text->size, &ignored, error)) return -1;
  draft->head.record_count++;
  return 0;
}

static int add_image(struct generation *work, struct draft *draft, int worker, int64_t image, struct error *error) {
  struct jig_extractor *extractor = &work->extractors[worker];
  struct error reason = {0};
  switch (jig_extract(extractor, work->dataset, image, &work->options->extract, false, &draft->head.counts, &reason)) {
  case JIG_EXTRACT_FATAL:
    *error = reason;
    return -1;
  case JIG_EXTRACT_BROKEN:
    draft->head.images_broken++;
    if (buffer_printf(&draft->text, error, "%s\n", reason.message)) return -1;
    return tolerate_broken(work, image, &reason, 1, error);
  case JIG_EXTRACT_OK:
    break;
  }
  draft->head.images_without_samples += extractor->samples.count == 0;
  draft->head.image_bytes += (int64_t)extractor->file.size;
  XXH3_128bits_update(draft->source_hash, extractor->file.data, extractor->file.size);
  for (size_t i = 0; i < extractor->samples.count; i++) {
    if (add_sample(work, draft, extractor, &work->texts[worker], image, i, error)) return -1;
  }
  return 0;
}

/* The index goes last: a shard is there when its index is. */
static int write_index(struct draft *draft, const char *path, struct error *error) {
  struct file_writer file;
  struct jig_index_head *head = &draft->head;
  XXH128_hash_t source = XXH3_128bits_digest(draft->source_hash);
  memcpy(head->magic, "JIGIDX2\n", 8);
  head->text_size = draft->text.size;
  head->source_hash[0] = source.low64;
  head->source_hash[1] = source.high64;
  if (file_create(&file, path, error)) return -1;
  if (file_write(&file, head, sizeof *head, error) ||
      file_write(&file, draft->records, head->record_count * sizeof(struct jig_record), error) ||
      file_write(&file, draft->text.data, draft->text.size, error)) {
    file_abandon(&file);
    return -1;
  }
  return file_commit(&file, error);
}

static int fill_shard(struct generation *work, struct draft *draft, int worker, int64_t first, int64_t last,
                      const char *tar, const char *index, struct error *error) {
  if (shard_create(&draft->shard, tar, error)) return -1;
  for (int64_t image = first; image < last; image++) {
    if (add_image(work, draft, worker, image, error)) {
      shard_abandon(&draft->shard);
      return -1;
    }
    progress_add(work->progress, 1);
  }
  int64_t size;
  XXH128_hash_t hash;
  draft->head.images = last - first;
  if (shard_commit(&draft->shard, &size, &hash, error)) return -1;
  draft->head.shard_size = (uint64_t)size;
  draft->head.shard_hash[0] = hash.low64;
  draft->head.shard_hash[1] = hash.high64;
  return write_index(draft, index, error);
}

/* Whether an earlier run finished this shard; its broken images count, too. */
static int reuse_shard(struct generation *work, const char *tar, const char *index, int64_t first, int64_t images,
                       bool *reused, struct error *error) {
  struct file_map map, shard = {0};
  struct error ignored;
  *reused = false;
  if (!file_exists(index) || file_map_open(&map, index, &ignored)) return 0;
  int result = 0;
  if (jig_index_check(map.data, map.size, index, &ignored) == 0 && file_map_open(&shard, tar, &ignored) == 0) {
    const struct jig_index_head *head = (const struct jig_index_head *)(const void *)map.data;
    *reused = head->shard_size == shard.size && head->images == images;
    if (*reused && head->images_broken > 0) {
      struct error reason = {0};
      const char *text = (const char *)map.data + (map.size - head->text_size);
      const char *end = memchr(text, '\n', head->text_size);
      if (end) error_set(&reason, "%.*s", (int)(end - text), text);
      result = tolerate_broken(work, first, &reason, head->images_broken, error);
    }
  }
  file_map_close(&shard);
  file_map_close(&map);
  return result;
}

static int make_shard(void *context, int worker, int64_t number, struct error *error) {
  struct generation *work = context;
  struct draft draft = {.source_hash = XXH3_createState()};
  int64_t first = number * work->images_per_shard, last = first + work->images_per_shard;
  if (last > work->dataset->image_count) last = work->dataset->image_count;
  char tar[PATH_SIZE], index[PATH_SIZE];
  bool reused = false;
  int result = draft.source_hash ? 0 : error_memory(error, 0);
  if (result == 0) result = path_format(tar, error, "%s/shards/%06lld.tar", work->folder, (long long)number);
  if (result == 0) result = path_format(index, error, "%s/shards/%06lld.idx", work->folder, (long long)number);
  if (result == 0) result = reuse_shard(work, tar, index, first, last - first, &reused, error);
  if (result == 0 && reused) progress_skip(work->progress, last - first);
  if (result == 0 && !reused) {
    XXH3_128bits_reset(draft.source_hash);
    result = fill_shard(work, &draft, worker, first, last, tar, index, error);
  }
  XXH3_freeState(draft.source_hash);
  buffer_free(&draft.text);
  free(draft.records);
  if (work->options->run) run_tick(work->options->run);
  return result;
}

static void generation_free(struct generation *work) {
  for (int i = 0; i < work->options->workers; i++) {
    if (work->extractors) jig_extractor_free(&work->extractors[i]);
    if (work->texts) buffer_free(&work->texts[i]);
  }
  free(work->extractors);
  free(work->texts);
  pthread_mutex_destroy(&work->broken.lock);
}

static int generation_init(struct generation *work, struct error *error) {
  size_t workers = (size_t)work->options->workers;
  work->images_per_shard = jig_run_length(work->dataset->image_count);
  work->extractors = calloc(workers, sizeof *work->extractors);
  work->texts = calloc(workers, sizeof *work->texts);
  if (!work->extractors || !work->texts) return error_memory(error, workers * sizeof *work->extractors);
  for (size_t i = 0; i < workers; i++) {
    if (jig_extractor_init(&work->extractors[i], work->options->workers, error)) return -1;
  }
  return 0;
}

int jig_write_shards(const struct dataset *dataset, const struct jig_generate_options *options, const char *folder,
                     struct progress *progress, struct error *error) {
  struct generation work = {.dataset = dataset,
                            .options = options,
                            .folder = folder,
                            .progress = progress,
                            .broken = {.lock = PTHREAD_MUTEX_INITIALIZER}};
  char shards[PATH_SIZE];
  int result = path_format(shards, error, "%s/shards", folder);
  if (result == 0) result = directory_create(shards, error);
  if (result == 0) result = generation_init(&work, error);
  if (result == 0)
    result = parallel_for(options->workers, jig_run_count(dataset->image_count), make_shard, &work, error);
  generation_free(&work);
  return result;
}

static int plan_image(void *context, int worker, int64_t image, struct error *error) {
  struct generation *work = context;
  struct jig_extractor *extractor = &work->extractors[worker];
  struct jig_totals *totals = &work->dry[worker];
  struct error reason = {0};
  enum jig_extract_result result =
      jig_extract(extractor, work->dataset, image, &work->options->extract, true, &totals->counts, &reason);
  progress_add(work->progress, 1);
  totals->images++;
  if (result == JIG_EXTRACT_BROKEN) {
    totals->images_broken++;
    return tolerate_broken(work, image, &reason, 1, error);
  }
  if (result == JIG_EXTRACT_FATAL) {
    *error = reason;
    return -1;
  }
  totals->images_without_samples += extractor->samples.count == 0;
  totals->samples += (int64_t)extractor->samples.count;
  for (size_t i = 0; i < extractor->samples.count; i++) {
    const struct jig_sample *sample = &extractor->samples.items[i];
    enum jig_group group = jig_group_of(sample->rect.w, sample->rect.h);
    int32_t label = sample->category >= 0 ? sample->category : totals->label_count - 1;
    totals->groups[group]++;
    totals->labels[label][group]++;
  }
  return 0;
}

int jig_dry_run(const struct dataset *dataset, const struct jig_generate_options *options, struct progress *progress,
                struct jig_totals *totals, struct error *error) {
  struct generation work = {
      .dataset = dataset, .options = options, .progress = progress, .broken = {.lock = PTHREAD_MUTEX_INITIALIZER}};
  struct jig_totals *dry = calloc((size_t)options->workers, sizeof *dry);
  work.dry = dry;
  int result = dry ? jig_totals_init(totals, dataset, error) : error_memory(error, 0);
  for (int i = 0; result == 0 && i < options->workers; i++) {
    result = jig_totals_init(&dry[i], dataset, error);
  }
  if (result == 0) result = generation_init(&work, error);
  if (result == 0) result = parallel_for(options->workers, dataset->image_count, plan_image, &work, error);
  for (int i = 0; dry && i < options->workers; i++) {
    if (result == 0) jig_totals_add(totals, &dry[i]);
    jig_totals_free(&dry[i]);
  }
  free(dry);
  generation_free(&work);
  return result;
}
