/* The limit for a lossless cutter on top of libjpeg: reading the coefficients of every image once (Huffman decoding),
 * and nothing else. Reads paths from standard input, one a line; prints seconds.
 *
 *   bench_entropy WORKERS < PATHS */
#include "core/base/base.h"

#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

struct bench {
  char **paths;
  struct buffer *files; /* one per worker */
};

static int read_coefficients(void *context, int worker, int64_t item, struct error *error) {
  struct bench *bench = context;
  struct buffer *file = &bench->files[worker];
  struct jpeg_decompress_struct jpeg;
  struct jpeg_error_mgr manager;
  if (file_read(file, bench->paths[item], error)) return -1;
  jpeg.err = jpeg_std_error(&manager); /* exits on broken files: a benchmark is run on whole ones */
  jpeg_create_decompress(&jpeg);
  jpeg_mem_src(&jpeg, file->data, file->size);
  jpeg_read_header(&jpeg, TRUE);
  jpeg_read_coefficients(&jpeg);
  jpeg_destroy_decompress(&jpeg);
  return 0;
}

int main(int argc, char **argv) {
  struct arena arena = {0};
  struct error error = {0};
  struct bench bench = {0};
  size_t capacity = 0;
  int64_t count = 0;
  char line[PATH_SIZE];
  int workers = argc == 2 ? atoi(argv[1]) : 0;
  if (workers < 1) {
    fprintf(stderr, "usage: bench_entropy WORKERS < PATHS\n");
    return 2;
  }
  while (fgets(line, sizeof line, stdin)) {
    void *paths = bench.paths;
    if (array_reserve(&paths, &capacity, (size_t)count + 1, sizeof(char *), &error)) return 1;
    bench.paths = paths;
    bench.paths[count++] = arena_copy(&arena, line, strcspn(line, "\n"));
  }
  bench.files = calloc((size_t)workers, sizeof *bench.files);
  if (!bench.files) return 1;
  double started = clock_seconds();
  int result = parallel_for(workers, count, read_coefficients, &bench, &error);
  printf("%.6f\n", clock_seconds() - started);
  if (result != 0) fprintf(stderr, "%s\n", error.message);
  for (int i = 0; i < workers; i++) {
    buffer_free(&bench.files[i]);
  }
  free(bench.files);
  free(bench.paths);
  arena_free(&arena);
  return result == 0 ? 0 : 1;
}
