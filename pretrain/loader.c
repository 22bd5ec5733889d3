#include "pretrain/loader.h"

#include <pthread.h>
#include <stdlib.h>

#include "nn/tensor.h"

static const double channel_mean[3] = {0.485, 0.456, 0.406}, channel_deviation[3] = {0.229, 0.224, 0.225};

/* A batch in the ring. Batch b since the start lies in slot b % slots. */
struct slot {
  struct loader_batch batch;
  void *images; /* as in batch, to write to */
  int32_t *labels;
  int done; /* images in it */
};

struct worker {
  struct loader *loader;
  struct source_scratch *scratch;
  struct image canvas;
  pthread_t thread;
};

struct loader {
  const struct source *source;
  struct loader_options options;
  float table_f32[3 * 256]; /* of R, of G, of B */
  uint16_t table_bf16[3 * 256];
  size_t values; /* of an image */
  struct worker *workers;
  int worker_count; /* running threads */

  pthread_mutex_t lock; /* of all below */
  pthread_cond_t work, news;
  struct slot *slots;
  int slot_count;
  int64_t next_image;   /* that no worker has taken, counted from the first iteration */
  int64_t next_batch;   /* to hand out */
  int64_t released;     /* batches that the consumer is done with */
  int busy;             /* workers with an image in hand */
  int64_t failed_image; /* the lowest; INT64_MAX: none */
  struct error failure;
  bool stop;
};

/* ---- images into batches ----------------------------------------------------------------------------------------- */

static void make_tables(struct loader *loader) {
  for (int channel = 0; channel < 3; channel++) {
    for (int value = 0; value < 256; value++) {
      float normal = (float)((value / 255.0 - channel_mean[channel]) / channel_deviation[channel]);
      loader->table_f32[channel * 256 + value] = normal;
      loader->table_bf16[channel * 256 + value] = nn_bf16_from_f32(normal);
    }
  }
}

static void normalise_f32(const float *table, const uint8_t *restrict pixels, size_t values, float *restrict out) {
  for (size_t i = 0; i < values; i += 3) {
    out[i] = table[pixels[i]];
    out[i + 1] = table[256 + pixels[i + 1]];
    out[i + 2] = table[512 + pixels[i + 2]];
  }
}

static void normalise_bf16(const uint16_t *table, const uint8_t *restrict pixels, size_t values,
                           uint16_t *restrict out) {
  for (size_t i = 0; i < values; i += 3) {
    out[i] = table[pixels[i]];
    out[i + 1] = table[256 + pixels[i + 1]];
    out[i + 2] = table[512 + pixels[i + 2]];
  }
}

/* Makes image `image` since the first iteration, in its place. */
static int make_image(struct loader *loader, struct worker *worker, struct slot *slot, int64_t image,
                      struct error *error) {
  const struct loader_options *options = &loader->options;
  int64_t length = source_epoch_length(loader->source), place = image % options->batch;
  int64_t number = options->first_iteration * options->batch + image;
  int32_t *labels = slot->labels + place * source_regions(loader->source);
  if (source_render(loader->source, (uint32_t)(number / length), number % length, worker->scratch, &worker->canvas,
                    labels, error)) {
    return -1;
  }
  size_t start = (size_t)place * loader->values;
  if (options->bf16) {
    normalise_bf16(loader->table_bf16, worker->canvas.pixels, loader->values, (uint16_t *)slot->images + start);
  } else {
    normalise_f32(loader->table_f32, worker->canvas.pixels, loader->values, (float *)slot->images + start);
  }
  return 0;
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

static bool ring_full(const struct loader *loader) {
  return loader->next_image / loader->options.batch >= loader->released + loader->slot_count;
}

/* Images are taken in their order: when one fails, all before it have been taken. */
static void *worker_main(void *argument) {
  struct worker *worker = argument;
  struct loader *loader = worker->loader;
  pthread_mutex_lock(&loader->lock);
  for (;;) {
    while (!loader->stop && ring_full(loader)) {
      pthread_cond_wait(&loader->work, &loader->lock);
    }
    if (loader->stop || loader->failed_image != INT64_MAX) break;
    int64_t image = loader->next_image++;
    struct slot *slot = &loader->slots[image / loader->options.batch % loader->slot_count];
    struct error error = {0};
    loader->busy++;
    pthread_mutex_unlock(&loader->lock);
    int result = make_image(loader, worker, slot, image, &error);
    pthread_mutex_lock(&loader->lock);
    loader->busy--;
    if (result == 0) slot->done++;
    if (result != 0 && image < loader->failed_image) {
      loader->failed_image = image;
      loader->failure = error;
    }
    if (slot->done == loader->options.batch || loader->failed_image != INT64_MAX) pthread_cond_signal(&loader->news);
  }
  pthread_mutex_unlock(&loader->lock);
  return NULL;
}

/* Threads that the system refuses are done without, as long as there is one. */
static int start_workers(struct loader *loader, struct error *error) {
  for (int i = 0; i < loader->options.workers; i++) {
    struct worker *worker = &loader->workers[i];
    if (pthread_create(&worker->thread, NULL, worker_main, worker)) break;
    loader->worker_count++;
  }
  return loader->worker_count > 0 ? 0 : error_set(error, "the system refuses to start a thread for the loader");
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

static int check_options(const struct loader_options *options, struct error *error) {
  if (options->batch < 1 || options->workers < 1 || options->ahead < 1 || options->ahead > 1024 ||
      options->first_iteration < 0 || options->first_iteration > INT64_MAX / 2 / options->batch) {
    return error_set(error, "loader: batch %d, workers %d, ahead %d, first iteration %lld: out of range",
                     options->batch, options->workers, options->ahead, (long long)options->first_iteration);
  }
  return 0;
}

static int allocate_slot(const struct loader *loader, struct slot *slot, struct error *error) {
  size_t batch = (size_t)loader->options.batch, element = loader->options.bf16 ? 2 : 4, bytes;
  if (!size_muladd(loader->values * element, batch, 63, &bytes)) return error_memory(error, SIZE_MAX);
  size_t label_bytes = (batch * (size_t)source_regions(loader->source) * sizeof *slot->labels + 63) & ~(size_t)63;
  slot->images = aligned_alloc(64, bytes & ~(size_t)63);
  slot->labels = aligned_alloc(64, label_bytes);
  if (!slot->images || !slot->labels) return error_memory(error, bytes + label_bytes);
  slot->batch = (struct loader_batch){.images = slot->images, .labels = slot->labels};
  return 0;
}

static int allocate(struct loader *loader, struct error *error) {
  size_t size = (size_t)source_size(loader->source);
  loader->values = size * size * 3;
  loader->slot_count = loader->options.ahead + 1;
  loader->slots = calloc((size_t)loader->slot_count, sizeof *loader->slots);
  loader->workers = calloc((size_t)loader->options.workers, sizeof *loader->workers);
  if (!loader->slots || !loader->workers) return error_memory(error, sizeof *loader->workers);
  for (int i = 0; i < loader->slot_count; i++) {
    if (allocate_slot(loader, &loader->slots[i], error)) return -1;
  }
  for (int i = 0; i < loader->options.workers; i++) {
    loader->workers[i].loader = loader;
    if (source_scratch_create(&loader->workers[i].scratch, error)) return -1;
  }
  return 0;
}

int loader_open(struct loader **loader, const struct source *source, const struct loader_options *options,
                struct error *error) {
  *loader = NULL;
  if (check_options(options, error)) return -1;
  struct loader *opened = calloc(1, sizeof *opened);
  if (!opened) return error_memory(error, sizeof *opened);
  opened->source = source;
  opened->options = *options;
  opened->failed_image = INT64_MAX;
  pthread_mutex_init(&opened->lock, NULL);
  pthread_cond_init(&opened->work, NULL);
  pthread_cond_init(&opened->news, NULL);
  make_tables(opened);
  if (allocate(opened, error) || start_workers(opened, error)) {
    loader_close(opened);
    return -1;
  }
  *loader = opened;
  return 0;
}

void loader_close(struct loader *loader) {
  if (!loader) return;
  pthread_mutex_lock(&loader->lock);
  loader->stop = true;
  pthread_cond_broadcast(&loader->work);
  pthread_mutex_unlock(&loader->lock);
  for (int i = 0; i < loader->worker_count; i++) {
    pthread_join(loader->workers[i].thread, NULL);
  }
  for (int i = 0; loader->workers && i < loader->options.workers; i++) {
    source_scratch_free(loader->workers[i].scratch);
    image_free(&loader->workers[i].canvas);
  }
  for (int i = 0; loader->slots && i < loader->slot_count; i++) {
    free(loader->slots[i].images);
    free(loader->slots[i].labels);
  }
  free(loader->workers);
  free(loader->slots);
  pthread_cond_destroy(&loader->news);
  pthread_cond_destroy(&loader->work);
  pthread_mutex_destroy(&loader->lock);
  free(loader);
}

/* ---- the consumer ------------------------------------------------------------------------------------------------ */

/* An error ends the wait when it lies in this batch and nothing before it can fail any more. */
static bool batch_failed(const struct loader *loader) {
  return loader->failed_image / loader->options.batch <= loader->next_batch && loader->busy == 0;
}

int loader_next(struct loader *loader, const struct loader_batch **batch, double *waited, struct error *error) {
  int result = 0;
  pthread_mutex_lock(&loader->lock);
  if (loader->released < loader->next_batch) {
    loader->slots[loader->released++ % loader->slot_count].done = 0;
    pthread_cond_broadcast(&loader->work);
  }
  struct slot *slot = &loader->slots[loader->next_batch % loader->slot_count];
  if (slot->done < loader->options.batch && !batch_failed(loader)) {
    double started = clock_seconds();
    while (slot->done < loader->options.batch && !batch_failed(loader)) {
      pthread_cond_wait(&loader->news, &loader->lock);
    }
    *waited += clock_seconds() - started;
  }
  if (slot->done == loader->options.batch) {
    slot->batch.iteration = loader->options.first_iteration + loader->next_batch++;
    *batch = &slot->batch;
  } else {
    *error = loader->failure;
    result = -1;
  }
  pthread_mutex_unlock(&loader->lock);
  return result;
}
