/* bench_jpeg_cut FOLDER...: how fast jpeg_cutter is beside libjpeg, on one thread, over all *.jpg of the folders.
 *
 * Every round times three passes over all files in alternation, so that the machine's moods touch them alike: (i)
 * libjpeg reads all coefficients, (ii) jpeg_cutter_open, (iii) jpeg_cutter_open and CUTS random cuts of about 1/8 of
 * the picture. Prints the median over the rounds. */
#include <stdlib.h>
#include <string.h>

#include "core/image/internal.h"

enum { ROUNDS = 11, CUTS = 8, PASSES = 3 };

struct file {
  uint8_t *data;
  size_t size;
  struct image_info info;
};

struct bench {
  struct file *files;
  size_t count, capacity;
  size_t bytes;
  struct jpeg_cutter *cutter;
  struct buffer out;
  size_t cut_bytes;
};

static bool is_jpeg(const char *name) {
  size_t length = strlen(name);
  return length > 4 && strcmp(name + length - 4, ".jpg") == 0;
}

static int add_file(struct bench *bench, const char *path, struct error *error) {
  struct buffer buffer = {0};
  void *files = bench->files;
  struct image_info info;
  if (file_read(&buffer, path, error) || image_probe(buffer.data, buffer.size, &info, error) ||
      array_reserve(&files, &bench->capacity, bench->count + 1, sizeof(*bench->files), error)) {
    buffer_free(&buffer);
    return error_context(error, "%s", path);
  }
  bench->files = files;
  bench->files[bench->count++] = (struct file){.data = buffer.data, .size = buffer.size, .info = info};
  bench->bytes += buffer.size;
  return 0;
}

static int add_folder(struct bench *bench, const char *folder, struct error *error) {
  struct arena arena = {0};
  char **names = NULL;
  size_t count = 0;
  int status = directory_list(folder, &arena, &names, &count, error);
  for (size_t i = 0; status == 0 && i < count; i++) {
    if (!is_jpeg(names[i])) continue;
    const char *path = path_join(&arena, folder, names[i]);
    status = path == NULL ? error_memory(error, strlen(names[i])) : add_file(bench, path, error);
  }
  arena_free(&arena);
  return status;
}

static int read_coefficients(const struct file *file, struct error *error) {
  struct jpeg_guard guard;
  struct jpeg_decompress_struct source = {0};
  source.err = jpeg_guard_init(&guard, error);
  if (setjmp(guard.escape) != 0) {
    jpeg_destroy_decompress(&source);
    return -1;
  }
  jpeg_create_decompress(&source);
  jpeg_mem_src(&source, file->data, file->size);
  jpeg_read_header(&source, TRUE);
  jpeg_read_coefficients(&source);
  jpeg_destroy_decompress(&source);
  return jpeg_guard_check(&guard);
}

/* A box with 1/8 of the picture's area and a random shape and place. */
static struct rect random_box(struct rng *rng, int width, int height) {
  double shape = rng_range(rng, 0.5, 2.0), side = 0.35355339;
  struct rect box = {.w = (int)(width * side * shape), .h = (int)(height * side / shape)};
  if (box.w < 1) box.w = 1;
  if (box.h < 1) box.h = 1;
  box.x = (int)rng_below(rng, (uint64_t)(width - box.w + 1));
  box.y = (int)rng_below(rng, (uint64_t)(height - box.h + 1));
  return box;
}

static int cut_some(struct bench *bench, size_t index, struct error *error) {
  const struct file *file = &bench->files[index];
  int width = file->info.width, height = file->info.height;
  struct rng rng;
  rng_init(&rng, 1, RNG_TEST, 0, index);
  if (jpeg_cutter_open(bench->cutter, file->data, file->size, height, error)) return -1;
  for (int i = 0; i < CUTS; i++) {
    struct rect inner;
    if (jpeg_cutter_cut(bench->cutter, random_box(&rng, width, height), &bench->out, &inner, error)) return -1;
    bench->cut_bytes += bench->out.size;
  }
  return 0;
}

static int run_pass(struct bench *bench, int pass, double *seconds, struct error *error) {
  double start = clock_seconds();
  for (size_t i = 0; i < bench->count; i++) {
    const struct file *file = &bench->files[i];
    int status = pass == 0   ? read_coefficients(file, error)
                 : pass == 1 ? jpeg_cutter_open(bench->cutter, file->data, file->size, INT32_MAX, error)
                             : cut_some(bench, i, error);
    if (status != 0) return error_context(error, "file %zu", i);
  }
  *seconds = clock_seconds() - start;
  return 0;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void report(const struct bench *bench, double seconds[PASSES][ROUNDS]) {
  static const char *const label[PASSES] = {"libjpeg jpeg_read_coefficients", "jpeg_cutter_open",
                                            "jpeg_cutter_open + 8 cuts"};
  double median[PASSES];
  printf("%zu files, %.1f MB\n", bench->count, (double)bench->bytes / 1e6);
  for (int pass = 0; pass < PASSES; pass++) {
    qsort(seconds[pass], ROUNDS, sizeof(double), by_value);
    median[pass] = seconds[pass][ROUNDS / 2];
    printf("%-32s %8.0f images/s %7.1f MB/s  %5.2f x libjpeg\n", label[pass], (double)bench->count / median[pass],
           (double)bench->bytes / 1e6 / median[pass], median[0] / median[pass]);
  }
  double cuts = (double)bench->cut_bytes / ROUNDS, spent = median[2] - median[1];
  printf("%-32s %8.0f cuts/s   %7.1f MB/s written\n", "the cuts alone", (double)(bench->count * CUTS) / spent,
         cuts / 1e6 / spent);
}

int main(int argc, char **argv) {
  struct bench bench = {.cutter = jpeg_cutter_new(image_memory_share(1))};
  struct error error = {0};
  static double seconds[PASSES][ROUNDS];
  int status = bench.cutter == NULL ? error_set(&error, "out of memory") : 0;
  if (argc < 2) status = error_set(&error, "usage: %s FOLDER...", argv[0]);
  for (int i = 1; status == 0 && i < argc; i++) {
    status = add_folder(&bench, argv[i], &error);
  }
  if (status == 0 && bench.count == 0) status = error_set(&error, "no *.jpg in the folders given");
  for (int round = 0; status == 0 && round < ROUNDS; round++) {
    for (int pass = 0; status == 0 && pass < PASSES; pass++) {
      status = run_pass(&bench, pass, &seconds[pass][round], &error);
    }
  }
  if (status == 0) report(&bench, seconds);
  if (status != 0) fprintf(stderr, "bench_jpeg_cut: %s\n", error.message);
  for (size_t i = 0; i < bench.count; i++) {
    free(bench.files[i].data);
  }
  free(bench.files);
  buffer_free(&bench.out);
  jpeg_cutter_free(bench.cutter);
  return status == 0 ? 0 : 1;
}
