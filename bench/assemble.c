/* Assembly from a store, single-threaded.
 *
 *   bench_assemble render STORE N     makes jigsaws 0 .. N - 1 of epoch 0; prints seconds
 *   bench_assemble decode STORE N     only decodes the stored crops that they use, whole, with libjpeg-turbo; seconds
 *   bench_assemble plan STORE N       prints a line per tile, for bench/assemble.py to do the same work with Pillow:
 *                                     jigsaw shard offset size rect(4) scaled(2) crop(2) flip placed(4) */
#include <stdlib.h>
#include <string.h>

#include "jigsaw/assemble.h"

static int render(const struct jig_assembler *assembler, int64_t count, struct error *error) {
  struct jig_scratch scratch = {0};
  struct image canvas = {0};
  int result = 0;
  for (int64_t i = 0; result == 0 && i < count; i++) {
    struct jig_tile tiles[JIG_REGIONS];
    jig_plan(assembler, 0, i, tiles);
    result = jig_render(assembler, tiles, &scratch, &canvas, error);
  }
  image_free(&canvas);
  jig_scratch_free(&scratch);
  return result;
}

static int decode(const struct jig_assembler *assembler, int64_t count, struct error *error) {
  struct image image = {0};
  int result = 0;
  for (int64_t i = 0; result == 0 && i < count; i++) {
    struct jig_tile tiles[JIG_REGIONS];
    jig_plan(assembler, 0, i, tiles);
    for (int region = 0; result == 0 && region < JIG_REGIONS; region++) {
      const uint8_t *bytes;
      size_t size;
      jig_store_jpeg(assembler->store, tiles[region].sample, &bytes, &size);
      result = image_decode(bytes, size, NULL, image_memory_share(1), &image, error);
    }
  }
  image_free(&image);
  return result;
}

static int64_t shard_of(const struct jig_store *store, int64_t sample) {
  int64_t shard = jig_store_shard_count(store) - 1;
  while (jig_store_first(store, shard) > sample)
    shard--;
  return shard;
}

static int plan(const struct jig_assembler *assembler, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    struct jig_tile tiles[JIG_REGIONS];
    jig_plan(assembler, 0, i, tiles);
    for (int region = 0; region < JIG_REGIONS; region++) {
      const struct jig_tile *tile = &tiles[region];
      const struct jig_record *record = jig_store_record(assembler->store, tile->sample);
      printf("%lld %lld %llu %u %d %d %d %d %d %d %d %d %d %d %d %d %d\n", (long long)i,
             (long long)shard_of(assembler->store, tile->sample), (unsigned long long)record->offset, record->size,
             record->inner[0], record->inner[1], record->inner[2], record->inner[3], tile->scaled_w, tile->scaled_h,
             tile->crop_x, tile->crop_y, tile->flip, tile->placed.x, tile->placed.y, tile->placed.w, tile->placed.h);
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  struct error error = {0};
  struct jig_store *store = NULL;
  struct jig_assembler assembler;
  struct jig_assemble_options options = jig_assemble_defaults();
  if (argc != 4) {
    fprintf(stderr, "usage: bench_assemble render|decode|plan STORE N\n");
    return 2;
  }
  int64_t count = strtoll(argv[3], NULL, 10);
  int result = jig_store_open(&store, argv[2], &error);
  if (result == 0) result = jig_assembler_init(&assembler, store, &options, &error);
  double started = clock_seconds();
  if (result == 0 && !strcmp(argv[1], "plan")) {
    result = plan(&assembler, count);
  } else if (result == 0) {
    result = strcmp(argv[1], "decode") ? render(&assembler, count, &error) : decode(&assembler, count, &error);
    printf("%.6f\n", clock_seconds() - started);
  }
  if (result != 0) fprintf(stderr, "%s\n", error.message);
  jig_store_close(store);
  return result == 0 ? 0 : 1;
}
