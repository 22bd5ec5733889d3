/* The loader alone: jigsaws a second of one core (processor time of all threads), and how much of that is decoding.
 *
 *   bench_loader STORE [JIGSAWS [REPEATS]]     1024, 5
 *
 * The stages do the same jigsaws and take turns; medians are printed. "decode" only decodes what will be seen of each
 * sample, "assemble" makes canvases of it, "loader" hands out normalised batches of 32 made by one worker. */
#include <stdlib.h>
#include <time.h>

#include "jigsaw/assemble.h"
#include "pretrain/loader.h"

enum { BATCH = 32, REPEATS_MAX = 99 };
enum stage { DECODE, ASSEMBLE, LOADER_F32, LOADER_BF16, STAGES };
static const char *const stage_names[STAGES] = {"decode", "assemble", "loader f32", "loader bf16"};

struct bench {
  struct jig_store *store;
  struct jig_assembler assembler;
  struct source *source;
  int64_t jigsaws;
};

static int run_assembler(const struct bench *bench, bool decode, struct error *error) {
  struct jig_scratch scratch = {0};
  struct image canvas = {0};
  int result = 0;
  for (int64_t i = 0; result == 0 && i < bench->jigsaws; i++) {
    struct jig_tile tiles[JIG_REGIONS];
    jig_plan(&bench->assembler, 0, i, tiles);
    if (!decode) result = jig_render(&bench->assembler, tiles, &scratch, &canvas, error);
    for (int region = 0; decode && result == 0 && region < JIG_REGIONS; region++) {
      struct resample_axis x, y;
      result = jig_tile_decode(&bench->assembler, &tiles[region], &x, &y, &scratch.part, error);
    }
  }
  image_free(&canvas);
  jig_scratch_free(&scratch);
  return result;
}

static int run_loader(const struct bench *bench, bool bf16, struct error *error) {
  struct loader_options options = {.batch = BATCH, .workers = 1, .ahead = 2, .bf16 = bf16};
  const struct loader_batch *batch;
  struct loader *loader;
  double waited = 0;
  int result = loader_open(&loader, bench->source, &options, error);
  for (int64_t i = 0; result == 0 && i < bench->jigsaws / BATCH; i++) {
    result = loader_next(loader, &batch, &waited, error);
  }
  loader_close(loader);
  return result;
}

static int run_stage(const struct bench *bench, enum stage stage, double *seconds, struct error *error) {
  clock_t started = clock();
  int result = stage < LOADER_F32 ? run_assembler(bench, stage == DECODE, error)
                                  : run_loader(bench, stage == LOADER_BF16, error);
  *seconds = (double)(clock() - started) / CLOCKS_PER_SEC;
  return result;
}

static int compare_seconds(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static int run(struct bench *bench, const char *folder, int repeats, struct error *error) {
  static double seconds[STAGES][REPEATS_MAX];
  struct source_options options = {.assemble = jig_assemble_defaults()};
  if (jig_store_open(&bench->store, folder, error) ||
      jig_assembler_init(&bench->assembler, bench->store, &options.assemble, error) ||
      source_open(&bench->source, folder, false, SOURCE_TRAINING, &options, error)) {
    return -1;
  }
  for (int i = 0; i < repeats; i++) {
    for (int stage = 0; stage < STAGES; stage++) {
      if (run_stage(bench, stage, &seconds[stage][i], error)) return -1;
    }
  }
  for (int stage = 0; stage < STAGES; stage++) {
    qsort(seconds[stage], (size_t)repeats, sizeof seconds[stage][0], compare_seconds);
    double median = seconds[stage][repeats / 2], decode = seconds[DECODE][repeats / 2];
    printf("%-12s %8.1f jigsaws/s %8.3f ms/jigsaw   decoding %3.0f %%\n", stage_names[stage],
           (double)bench->jigsaws / median, 1e3 * median / (double)bench->jigsaws, 100 * decode / median);
  }
  return 0;
}

int main(int argc, char **argv) {
  struct error error = {0};
  struct bench bench = {.jigsaws = argc > 2 ? strtoll(argv[2], NULL, 10) / BATCH * BATCH : 1024};
  int64_t repeats = argc > 3 ? strtoll(argv[3], NULL, 10) : 5;
  if (argc < 2 || argc > 4 || bench.jigsaws < BATCH || repeats < 1 || repeats > REPEATS_MAX) {
    fprintf(stderr, "usage: bench_loader STORE [JIGSAWS [REPEATS]]\n");
    return 2;
  }
  int result = run(&bench, argv[1], (int)repeats, &error);
  if (result != 0) fprintf(stderr, "%s\n", error.message);
  source_close(bench.source);
  jig_store_close(bench.store);
  return result == 0 ? 0 : 1;
}
