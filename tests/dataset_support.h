/* What the tests of the data set readers share. Include after tests/test_support.h. */
#ifndef JIGSAW_TESTS_DATASET_SUPPORT_H
#define JIGSAW_TESTS_DATASET_SUPPORT_H

#include "core/dataset/internal.h"

/* The folder of real data, or NULL: JIGSAW_TEST_DATA, or shared/data beside the repository. */
static inline const char *test_data(char path[1024]) {
  const char *given = getenv("JIGSAW_TEST_DATA");
  const char *base = strrchr(__FILE__, '/');
  snprintf(path, 1024, "%.*s/../../shared/data", (int)(base - __FILE__), __FILE__);
  if (given != NULL) snprintf(path, 1024, "%s", given);
  return folder_exists(path) ? path : NULL;
}

static inline void make_folder(const char *root, const char *name) {
  char path[512];
  struct error error = {0};
  snprintf(path, sizeof(path), "%s/%s", root, name);
  assert_ok(directory_create(path, &error), error);
}

static inline void make_bytes(const char *root, const char *name, const void *bytes, size_t size) {
  char path[512];
  struct error error = {0};
  snprintf(path, sizeof(path), "%s/%s", root, name);
  assert_ok(file_write_all(path, bytes, size, &error), error);
}

static inline void make_file(const char *root, const char *name, const char *text) {
  make_bytes(root, name, text, strlen(text));
}

/* Loading must fail with a message that holds `expected`. */
static inline int load_split(struct dataset *dataset, const char *path, const char *images, const char *split,
                             struct error *error) {
  struct dataset_options options = dataset_defaults();
  options.split = split;
  return dataset_load(dataset, path, images, &options, error);
}

static inline void assert_load_fails(const char *path, const char *images, const char *split, const char *expected) {
  struct dataset dataset;
  struct error error = {0};
  if (load_split(&dataset, path, images, split, &error) == 0) fail_msg("%s was accepted", path);
  if (strstr(error.message, expected) == NULL) fail_msg("%s\n  expected to hold  %s", error.message, expected);
  assert_true(dataset.images == NULL && dataset.boxes == NULL);
}

static inline bool has_note(const struct dataset *dataset, const char *text) {
  for (size_t i = 0; i < dataset->note_count; i++)
    if (strstr(dataset->notes[i], text) != NULL) return true;
  return false;
}

#endif
