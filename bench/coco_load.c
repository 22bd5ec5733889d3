/* Loads one COCO file and prints what it took: seconds, processor seconds, peak resident MiB, and what was in it. */
#include "core/dataset/dataset.h"

#include <inttypes.h>
#include <sys/resource.h>

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s INSTANCES.json\n", argv[0]);
    return 2;
  }
  struct dataset dataset;
  struct error error = {0};
  double started = clock_seconds();
  if (dataset_load(&dataset, argv[1], ".", NULL, &error) != 0) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  double seconds = clock_seconds() - started;
  struct rusage usage = {0};
  getrusage(RUSAGE_SELF, &usage);
  double processor = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  printf("%.6f %.6f %.1f %" PRId64 " %" PRId64 "\n", seconds, processor, (double)usage.ru_maxrss / 1024,
         dataset.image_count, dataset.box_count);
  dataset_free(&dataset);
  return 0;
}
