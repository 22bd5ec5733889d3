#include "jigsaw/generate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/dataset/shard.h"

/* An image that cannot be used, and why. */
struct broken_image {
  int64_t image;
  char *reason;
};

/* All of them, over all workers. */
struct broken {
  pthread_mutex_t lock;
  struct broken_image *items;
  size_t count, capacity;
};

/* Everything the tasks of jig_write_shards and jig_dry_run share. */
struct generation {
  const struct dataset *dataset;
  const struct jig_generate_options *options;
  const char *folder;
  struct progress *progress;
  struct jig_quota quota;
  struct jig_extractor *extractors; /* one per worker */
  struct buffer *texts;             /* KEY.json of the sample in hand, one per worker */
  struct jig_totals *dry;           /* one per worker; NULL when writing */
  int64_t images_per_shard;
  struct broken broken;
  bool gave_up; /* there are too many of them */
};

/* What one shard gathers before it is written. */
struct draft {
  struct shard_writer shard;
  struct jig_index_head head;
  struct jig_record *records;
  size_t capacity;
  struct buffer text;
  XXH3_state_t *source_hash;
  int64_t image; /* in hand */
  struct generation *work;
  int worker;
};

int64_t jig_run_length(int64_t items) {
  int64_t length = (items + 63) / 64;
  return length < 16 ? 16 : length > 1024 ? 1024 : length;
}

int64_t jig_run_count(int64_t items) {
  int64_t length = jig_run_length(items);
  return (items + length - 1) / length;
}

static int add_broken(struct broken *broken, int64_t image, const char *reason, size_t size, struct error *error) {
  void *items = broken->items;
  char *copy = strndup(reason, size);
  if (!copy) return error_memory(error, size);
  int result = array_reserve(&items, &broken->capacity, broken->count + 1, sizeof *broken->items, error);
  broken->items = items;
  if (result) {
    free(copy);
    return -1;
  }
  broken->items[broken->count++] = (struct broken_image){image, copy};
  return 0;
}

static int compare_broken(const void *a, const void *b) {
  const struct broken_image *x = a, *y = b;
  return x->image < y->image ? -1 : x->image > y->image;
}

/* A line each, in the images' order. */
static int list_broken(struct broken *broken, struct buffer *text, struct error *error) {
  if (broken->count > 0) qsort(broken->items, broken->count, sizeof *broken->items, compare_broken);
  for (size_t i = 0; i < broken->count; i++) {
    if (buffer_printf(text, error, "%s\n", broken->items[i].reason)) return -1;
  }
  return 0;
}

static bool too_many(int64_t broken, int64_t images, double max_bad) {
  return (double)broken * 100 > (double)images * max_bad;
}

/* Keeps the reason why `image` is broken; fails when there are too many, but for a dry run. */
static int tolerate_broken(struct generation *work, int64_t image, const char *reason, size_t size,
                           struct error *error) {
  struct broken *broken = &work->broken;
  int64_t images = work->dataset->image_count;
  pthread_mutex_lock(&broken->lock);
  int result = add_broken(broken, image, reason, size, error);
  if (result == 0 && !work->dry && too_many((int64_t)broken->count, images, work->options->max_bad)) {
    result = error_set(error, "too many broken images"); /* jig_write_shards says it better */
    work->gave_up = true;
  }
  pthread_mutex_unlock(&broken->lock);
  return result;
}

int jig_check_broken(const struct jig_totals *totals, double max_bad, struct error *error) {
  if (!too_many(totals->images_broken, totals->images, max_bad)) return 0;
  return error_set(error, "%lld of %lld images are broken, more than the %g %% that --max-bad allows; the first: %.*s",
                   (long long)totals->images_broken, (long long)totals->images, max_bad,
                   (int)strcspn((const char *)totals->broken.data, "\n"), (const char *)totals->broken.data);
}

/* Lists what was met in FOLDER/broken.txt, and says so. Workers come in any order: what is named is the first of those
 * that were met. */
static int give_up(struct generation *work, struct error *error) {
  char path[PATH_SIZE];
  struct buffer text = {0};
  int result = list_broken(&work->broken, &text, error);
  if (result == 0) result = path_format(path, error, "%s/broken.txt", work->folder);
  if (result == 0) result = file_write_all(path, text.data, text.size, error);
  if (result == 0) {
    error_set(error,
              "%zu of %lld images are broken so far, more than the %g %% that --max-bad allows (%s lists them); mend "
              "them and begin anew (--overwrite), or raise --max-bad to leave them out. The first: %s",
              work->broken.count, (long long)work->dataset->image_count, work->options->max_bad, path,
              work->broken.items[0].reason);
  }
  buffer_free(&text);
  return -1;
}

static int32_t label_of(const struct generation *work, const struct jig_sample *sample) {
  if (sample->category >= 0) return sample->category;
  return work->options->background ? (int32_t)work->dataset->category_count : -1;
}

static struct jig_record make_record(const struct generation *work, const struct jig_extractor *extractor,
                                     int64_t image, size_t number, const struct jig_crop *crop) {
  const struct jig_sample *sample = &extractor->samples.items[number];
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

static int add_sample(void *context, const struct jig_extractor *extractor, size_t number, const struct jig_crop *crop,
                      struct error *error) {
  struct draft *draft = context;
  struct generation *work = draft->work;
  struct buffer *text = &work->texts[draft->worker];
  void *records = draft->records;
  if (array_reserve(&records, &draft->capacity, draft->head.record_count + 1, sizeof(struct jig_record), error)) {
    return -1;
  }
  draft->records = records;
  struct jig_record *record = &draft->records[draft->head.record_count];
  *record = make_record(work, extractor, draft->image, number, crop);
  const struct dataset_image *entry = &work->dataset->images[draft->image];
  int32_t category = extractor->samples.items[number].category;
  const struct dataset_category *named = category >= 0 ? &work->dataset->categories[category] : NULL;
  if (jig_describe_sample(record, named, entry->file_name, entry->set, text, error)) return -1;
  char name[64];
  uint64_t ignored;
  snprintf(name, sizeof name, JIG_KEY ".jpg", (long long)draft->image, number);
  if (shard_add(&draft->shard, name, crop->bytes, crop->size, &record->offset, error)) return -1;
  snprintf(name, sizeof name, JIG_KEY ".json", (long long)draft->image, number);
  if (shard_add(&draft->shard, name, text->data, text->size, &ignored, error)) return -1;
  draft->head.record_count++;
  return 0;
}

static void count_orientation(const struct jig_extractor *extractor, int64_t *turned, int64_t *upright) {
  *turned += extractor->info.orientation > 1;
  *upright += extractor->orientation > 1;
}

static int add_image(struct generation *work, struct draft *draft, const struct file_mark *mark, int64_t image,
                     struct error *error) {
  struct jig_extractor *extractor = &work->extractors[draft->worker];
  struct jig_index_head *head = &draft->head;
  struct error reason = {0};
  uint64_t records = head->record_count;
  draft->image = image;
  switch (jig_extract(extractor, work->dataset, image, &work->options->extract, jig_quota_more(&work->quota, image),
                      add_sample, draft, &head->counts, &reason)) {
  case JIG_EXTRACT_FATAL:
    *error = reason;
    return -1;
  case JIG_EXTRACT_BROKEN:
    head->images_broken++;
    head->record_count = records;
    if (shard_rewind(&draft->shard, mark, error)) return -1;
    if (buffer_printf(&draft->text, error, "%s\n", reason.message)) return -1;
    return tolerate_broken(work, image, reason.message, strlen(reason.message), error);
  case JIG_EXTRACT_OK:
    break;
  }
  head->images_without_samples += extractor->samples.count == 0;
  count_orientation(extractor, &head->images_turned, &head->images_upright);
  head->image_bytes += (int64_t)extractor->file.size;
  XXH3_128bits_update(draft->source_hash, extractor->file.data, extractor->file.size);
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

static int add_images(struct generation *work, struct draft *draft, int64_t first, int64_t last, struct error *error) {
  struct file_mark mark = {0};
  int result = 0;
  for (int64_t image = first; result == 0 && image < last; image++) {
    result = shard_mark(&draft->shard, &mark, error);
    if (result == 0) result = add_image(work, draft, &mark, image, error);
    if (result == 0) progress_add(work->progress, 1);
  }
  file_mark_free(&mark);
  return result;
}

static int fill_shard(struct generation *work, struct draft *draft, int64_t first, int64_t last, const char *tar,
                      const char *index, struct error *error) {
  if (shard_create(&draft->shard, tar, error)) return -1;
  if (add_images(work, draft, first, last, error)) {
    shard_abandon(&draft->shard);
    return -1;
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

/* The lines of an index's text: one for each broken image. */
static int64_t count_lines(const struct file_map *index) {
  const struct jig_index_head *head = (const struct jig_index_head *)(const void *)index->data;
  const uint8_t *end = index->data + index->size;
  int64_t lines = 0;
  for (const uint8_t *at = end - head->text_size; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) {
    lines++;
  }
  return lines;
}

/* The broken images of a shard that an earlier run made. */
static int recall_broken(struct generation *work, const struct file_map *index, int64_t first, struct error *error) {
  const struct jig_index_head *head = (const struct jig_index_head *)(const void *)index->data;
  const char *end = (const char *)index->data + index->size, *line = end - head->text_size;
  for (int64_t i = 0; i < head->images_broken; i++) {
    const char *newline = memchr(line, '\n', (size_t)(end - line));
    if (tolerate_broken(work, first, line, (size_t)(newline - line), error)) return -1;
    line = newline + 1;
  }
  return 0;
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
    *reused = head->shard_size == shard.size && head->images == images && count_lines(&map) == head->images_broken;
    if (*reused) result = recall_broken(work, &map, first, error);
  }
  file_map_close(&shard);
  file_map_close(&map);
  return result;
}

static int make_shard(void *context, int worker, int64_t number, struct error *error) {
  struct generation *work = context;
  struct draft draft = {.source_hash = XXH3_createState(), .work = work, .worker = worker};
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
    result = fill_shard(work, &draft, first, last, tar, index, error);
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
  jig_quota_free(&work->quota);
  for (size_t i = 0; i < work->broken.count; i++) {
    free(work->broken.items[i].reason);
  }
  free(work->broken.items);
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
  return jig_quota_plan(&work->quota, work->dataset, &work->options->extract, work->options->workers, error);
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
  if (work.gave_up) result = give_up(&work, error);
  generation_free(&work);
  return result;
}

static int plan_image(void *context, int worker, int64_t image, struct error *error) {
  struct generation *work = context;
  struct jig_extractor *extractor = &work->extractors[worker];
  struct jig_totals *totals = &work->dry[worker];
  struct error reason = {0};
  enum jig_extract_result result =
      jig_extract(extractor, work->dataset, image, &work->options->extract, jig_quota_more(&work->quota, image), NULL,
                  NULL, &totals->counts, &reason);
  progress_add(work->progress, 1);
  totals->images++;
  if (result == JIG_EXTRACT_BROKEN) {
    totals->images_broken++;
    return tolerate_broken(work, image, reason.message, strlen(reason.message), error);
  }
  if (result == JIG_EXTRACT_FATAL) {
    *error = reason;
    return -1;
  }
  totals->images_without_samples += extractor->samples.count == 0;
  count_orientation(extractor, &totals->images_turned, &totals->images_upright);
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
  if (result == 0) result = list_broken(&work.broken, &totals->broken, error);
  generation_free(&work);
  return result;
}
