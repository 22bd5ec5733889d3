/* jigsaw-gen --check: the written jigsaws are those that the samples and the recorded options make. */
#include <stdlib.h>
#include <string.h>

#include "jigsaw/generate.h"

/* Mean difference of two pictures whose encoders are of different versions of libjpeg, at most. */
#define SAME_PICTURE 2.0

struct artist {
  struct jig_scratch scratch;
  struct image canvas, drawn, found;
  struct buffer jpeg, file;
};

struct jigsaw_check {
  struct jig_assembler assembler;
  const struct jig_generate_options *options;
  const char *folder;
  struct progress *progress;
  struct artist *artists; /* one per worker */
  size_t memory;          /* that each may take to decode a picture */
  int64_t run;
};

static const cJSON *find(const cJSON *recorded, const char *name, bool text, struct error *error) {
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(recorded, name);
  if (text ? cJSON_IsString(item) : cJSON_IsNumber(item)) return item;
  error_set(error, "dataset.json: 'options' lacks '%s'", name);
  return NULL;
}

static int find_number(const cJSON *recorded, const char *name, double *value, struct error *error) {
  const cJSON *item = find(recorded, name, false, error);
  if (item) *value = item->valuedouble;
  return item ? 0 : -1;
}

int jig_recorded_options(const cJSON *recorded, struct jig_generate_options *options, struct error *error) {
  struct jig_assemble_options *assemble = &options->assemble;
  double seed, quality;
  const cJSON *template = find(recorded, "template", true, error), *jigsaws = NULL, *fit = NULL;
  if (template) jigsaws = find(recorded, "jigsaws", true, error);
  if (jigsaws) fit = find(recorded, "fit", true, error);
  if (!fit || find_number(recorded, "seed", &seed, error) || find_number(recorded, "jigsaw-quality", &quality, error) ||
      find_number(recorded, "scale-low", &assemble->scale_low, error) ||
      find_number(recorded, "scale-high", &assemble->scale_high, error) ||
      find_number(recorded, "flip", &assemble->flip, error) ||
      find_number(recorded, "repeat-max", &assemble->repeat_max, error) ||
      jig_template_parse(template->valuestring, &assemble->template, error)) {
    return -1;
  }
  assemble->fit = -1;
  for (int i = 0; jig_fit_names[i]; i++) {
    if (!strcmp(fit->valuestring, jig_fit_names[i])) assemble->fit = i;
  }
  if (assemble->fit < 0 || !(seed >= 0 && seed < 0x1p53) || !(quality >= 1 && quality <= 100)) {
    return error_set(error, "dataset.json: 'options' holds what jigsaw-gen does not accept");
  }
  assemble->seed = (uint64_t)seed;
  options->jigsaw_quality = (int64_t)quality;
  options->jigsaws = !strcmp(jigsaws->valuestring, "auto") ? -1 : strtoll(jigsaws->valuestring, NULL, 10);
  return 0;
}

/* Other bytes may be the work of another libjpeg; then the pictures must be all but the same. */
static int compare_pictures(struct artist *artist, size_t memory, struct error *error) {
  const struct buffer *jpeg = &artist->jpeg, *file = &artist->file;
  if (jpeg->size == file->size && memcmp(jpeg->data, file->data, file->size) == 0) return 0;
  if (image_decode(file->data, file->size, NULL, memory, &artist->found, error) ||
      image_decode(jpeg->data, jpeg->size, NULL, memory, &artist->drawn, error)) {
    return -1;
  }
  const struct image *drawn = &artist->drawn, *found = &artist->found;
  if (drawn->width != found->width || drawn->height != found->height) {
    return error_set(error, "%d x %d pixels instead of %d x %d", found->width, found->height, drawn->width,
                     drawn->height);
  }
  size_t bytes = (size_t)drawn->width * (size_t)drawn->height * 3;
  double sum = 0;
  for (size_t i = 0; i < bytes; i++) {
    sum += abs(drawn->pixels[i] - found->pixels[i]);
  }
  if (sum <= SAME_PICTURE * (double)bytes) return 0;
  return error_set(error, "is not the jigsaw that the samples make");
}

static int check_jigsaw(void *context, int worker, int64_t number, struct error *error) {
  struct jigsaw_check *check = context;
  struct artist *artist = &check->artists[worker];
  struct jig_tile tiles[JIG_REGIONS];
  char path[PATH_SIZE];
  jig_plan(&check->assembler, 0, number, tiles);
  if (path_format(path, error, "%s/jigsaws/images/%04lld/%08lld.jpg", check->folder, (long long)(number / check->run),
                  (long long)number) ||
      file_read(&artist->file, path, error) ||
      jig_render(&check->assembler, tiles, &artist->scratch, &artist->canvas, error) ||
      image_encode_jpeg(&artist->canvas, (int)check->options->jigsaw_quality, &artist->jpeg, error)) {
    return -1;
  }
  if (compare_pictures(artist, check->memory, error)) return error_context(error, "%s", path);
  progress_add(check->progress, 1);
  return 0;
}

static int check_annotations(const struct jigsaw_check *check, struct error *error) {
  char path[PATH_SIZE];
  XXH128_hash_t expected, found;
  if (path_format(path, error, "%s/jigsaws/annotations/instances.json", check->folder) ||
      jig_hash_jigsaws(check->assembler.store, check->options, &expected, error) || file_digest(path, &found, error)) {
    return -1;
  }
  if (XXH128_isEqual(expected, found)) return 0;
  return error_set(error, "%s: is not what the samples and dataset.json's options make", path);
}

static int check_all(struct jigsaw_check *check, int workers, int64_t count, struct error *error) {
  check->artists = calloc((size_t)workers, sizeof *check->artists);
  if (!check->artists) return error_memory(error, 0);
  progress_start(check->progress, check->progress->stream, "jigsaws", "img", count);
  int result = parallel_for(workers, count, check_jigsaw, check, error);
  progress_finish(check->progress);
  for (int i = 0; i < workers; i++) {
    struct artist *artist = &check->artists[i];
    jig_scratch_free(&artist->scratch);
    image_free(&artist->canvas);
    image_free(&artist->drawn);
    image_free(&artist->found);
    buffer_free(&artist->jpeg);
    buffer_free(&artist->file);
  }
  free(check->artists);
  return result;
}

int jig_check_jigsaws(const struct jig_store *store, const cJSON *recorded, const char *folder, int workers,
                      struct progress *progress, FILE *report, struct error *error) {
  struct jig_generate_options options = {.workers = workers};
  char path[PATH_SIZE];
  if (path_format(path, error, "%s/jigsaws", folder)) return -1;
  bool there = file_exists(path);
  if (!there && !cJSON_IsObject(recorded)) {
    fprintf(report, "  jigsaws   none\n");
    return 0;
  }
  if (jig_recorded_options(recorded, &options, error)) return -1;
  int64_t count = jig_jigsaw_count(store, &options);
  if (there != (count > 0)) {
    return error_set(error, "%s: %s, but by dataset.json's options there are %lld jigsaws", path,
                     there ? "is there" : "is missing", (long long)count);
  }
  if (count == 0) {
    fprintf(report, "  jigsaws   none\n");
    return 0;
  }
  struct jigsaw_check check = {.options = &options,
                               .folder = folder,
                               .progress = progress,
                               .memory = image_memory_share(workers),
                               .run = jig_run_length(count)};
  if (jig_assembler_init(&check.assembler, store, &options.assemble, error) || check_annotations(&check, error) ||
      check_all(&check, workers, count, error)) {
    return -1;
  }
  fprintf(report, "  jigsaws   %lld, all as the samples make them; annotations agree\n", (long long)count);
  return 0;
}
