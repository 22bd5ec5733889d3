/* Sample stores for tests. Include after tests/test_support.h. */
#ifndef JIGSAW_TESTS_STORE_SUPPORT_H
#define JIGSAW_TESTS_STORE_SUPPORT_H

#include "core/toy/toy.h"
#include "jigsaw/generate.h"

static inline struct jig_generate_options store_options(uint64_t seed) {
  struct jig_generate_options options = {.extract = {.sample = jig_sample_defaults(), .quality = 100},
                                         .assemble = jig_assemble_defaults(),
                                         .background = true,
                                         .jigsaw_quality = 90,
                                         .workers = 2};
  options.extract.sample.seed = options.assemble.seed = seed;
  return options;
}

/* Plainly, without syncing: tests write many small files. */
static inline void write_bytes(const char *path, const void *bytes, size_t size) {
  FILE *file = fopen(path, "wb");
  assert_non_null(file);
  assert_int_equal(fwrite(bytes, 1, size, file), size);
  assert_int_equal(fclose(file), 0);
}

/* What jigsaw-gen records of its options, as far as --check asks. */
static inline cJSON *recorded_options(const struct dataset *dataset, const struct jig_generate_options *options) {
  const struct jig_assemble_options *assemble = &options->assemble;
  char template[32], jigsaws[32] = "auto", hash[33];
  snprintf(template, sizeof template, "%d:%d", assemble->template.size, assemble->template.cut);
  if (options->jigsaws >= 0) snprintf(jigsaws, sizeof jigsaws, "%lld", (long long)options->jigsaws);
  hash_hex(dataset->hash, hash);
  cJSON *recorded = cJSON_CreateObject();
  assert_true(cJSON_AddNumberToObject(recorded, "seed", (double)assemble->seed) &&
              cJSON_AddStringToObject(recorded, "template", template) &&
              cJSON_AddStringToObject(recorded, "fit", jig_fit_names[assemble->fit]) &&
              cJSON_AddStringToObject(recorded, "jigsaws", jigsaws) &&
              cJSON_AddStringToObject(recorded, "annotations-xxh128", hash) &&
              cJSON_AddNumberToObject(recorded, "scale-low", assemble->scale_low) &&
              cJSON_AddNumberToObject(recorded, "scale-high", assemble->scale_high) &&
              cJSON_AddNumberToObject(recorded, "flip", assemble->flip) &&
              cJSON_AddNumberToObject(recorded, "repeat-max", assemble->repeat_max) &&
              cJSON_AddNumberToObject(recorded, "jigsaw-quality", (double)options->jigsaw_quality) &&
              cJSON_AddBoolToObject(recorded, "background", options->background));
  return recorded;
}

static inline void write_store(const struct dataset *dataset, const struct jig_generate_options *options,
                               const char *folder) {
  struct progress progress;
  struct jig_totals totals;
  struct error error;
  char path[PATH_SIZE];
  progress_start(&progress, NULL, "sampling", "img", dataset->image_count);
  assert_ok(jig_write_shards(dataset, options, folder, &progress, &error), error);
  assert_int_equal(progress.done, dataset->image_count);
  cJSON *record = cJSON_CreateObject(), *recorded = recorded_options(dataset, options);
  assert_ok(jig_write_dataset_json(dataset, options, folder, recorded, &totals, &error), error);
  assert_ok(json_add(record, "options", recorded, &error), error);
  assert_ok(path_format(path, &error, "%s/run.json", folder), error);
  assert_ok(file_write_json(path, record, &error), error);
  cJSON_Delete(record);
  jig_totals_free(&totals);
  assert_ok(path_format(path, &error, "%s/DONE", folder), error);
  write_bytes(path, "", 0);
}

/* FOLDER/scenes and, of them, FOLDER/store. */
static inline void write_toy_store(const char *folder, int64_t scenes, const struct jig_generate_options *options) {
  struct dataset dataset;
  struct error error;
  char path[PATH_SIZE], store[PATH_SIZE];
  assert_ok(path_format(path, &error, "%s/scenes", folder), error);
  assert_ok(path_format(store, &error, "%s/store", folder), error);
  assert_ok(toy_write(path, scenes, options->extract.sample.seed, options->workers, NULL, &error), error);
  assert_ok(dataset_load(&dataset, path, NULL, NULL, &error), error);
  write_store(&dataset, options, store);
  dataset_free(&dataset);
}

static inline struct jig_store *open_store(const char *folder) {
  struct jig_store *store;
  struct error error;
  assert_ok(jig_store_open(&store, folder, &error), error);
  return store;
}

static inline int check_store(const char *folder, struct error *error) {
  struct progress progress = {0};
  FILE *nowhere = fopen("/dev/null", "w");
  assert_non_null(nowhere);
  int result = jig_check(folder, 2, &progress, nowhere, error);
  fclose(nowhere);
  return result;
}

#endif
