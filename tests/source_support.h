/* Sources of images for tests. Include after tests/test_support.h. */
#ifndef JIGSAW_TESTS_SOURCE_SUPPORT_H
#define JIGSAW_TESTS_SOURCE_SUPPORT_H

#include "pretrain/source.h"

#include "tests/store_support.h"

static inline struct source_options source_defaults(uint64_t seed, double held_out) {
  return (struct source_options){.seed = seed, .assemble = jig_assemble_defaults(), .held_out = held_out};
}

static inline struct source *open_source(const char *folder, bool classify, enum source_part part,
                                         const struct source_options *options) {
  struct source *source;
  struct error error;
  assert_ok(source_open(&source, folder, classify, part, options, &error), error);
  return source;
}

/* Makes FOLDER/store of so many toy scenes; `path` is where it is. */
static inline void make_toy_store(char path[96], const char *folder, int scenes, uint64_t store_seed) {
  struct jig_generate_options generate = store_options(store_seed);
  write_toy_store(folder, scenes, &generate);
  snprintf(path, 96, "%s/store", folder);
}

/* Noise with a slope, as PNG or as JPEG of high quality. */
static inline void write_picture(struct rng *rng, const char *path, int width, int height) {
  struct image image = {0};
  struct buffer bytes = {0};
  struct error error;
  size_t length = strlen(path);
  assert_ok(image_alloc(&image, width, height, &error), error);
  for (int i = 0; i < width * height * 3; i++) {
    image.pixels[i] = (uint8_t)(i / 3 % width * 200 / width + (int)rng_below(rng, 50));
  }
  if (!strcmp(path + length - 3, "png")) {
    assert_ok(image_encode_png(&image, &bytes, &error), error);
  } else {
    assert_ok(image_encode_jpeg(&image, 95, &bytes, &error), error);
  }
  write_bytes(path, bytes.data, bytes.size);
  buffer_free(&bytes);
  image_free(&image);
}

/* FOLDER/CLASS/NNN.jpg, .png in turn: `each` pictures of `classes` classes. */
static inline void write_class_folders(struct rng *rng, const char *folder, int classes, int each) {
  char path[PATH_SIZE];
  struct error error;
  for (int label = 0; label < classes; label++) {
    snprintf(path, sizeof path, "%s/class_%c", folder, 'a' + label);
    assert_ok(directory_create(path, &error), error);
    for (int i = 0; i < each; i++) {
      snprintf(path, sizeof path, "%s/class_%c/%03d.%s", folder, 'a' + label, i, i % 2 ? "png" : "jpg");
      write_picture(rng, path, 20 + (int)rng_below(rng, 120), 20 + (int)rng_below(rng, 120));
    }
  }
}

#endif
