/* Prints a data set as lines of tab-separated fields, for comparison with other readers. */
#include "core/dataset/dataset.h"

#include <inttypes.h>
#include <string.h>

static void dump(const struct dataset *dataset) {
  char hash[33];
  hash_hex(dataset->hash, hash);
  printf("dataset\t%d\t%s\t%s\n", (int)dataset->format, hash,
         dataset->image_count > 0 ? dataset->images[0].folder : "");
  for (int64_t i = 0; i < dataset->category_count; i++) {
    printf("category\t%" PRId64 "\t%s\n", dataset->categories[i].id, dataset->categories[i].name);
  }
  for (int64_t i = 0; i < dataset->image_count; i++) {
    const struct dataset_image *image = &dataset->images[i];
    printf("image\t%" PRId64 "\t%s\t%d\t%d\t%" PRId32 "\n", image->id, image->file_name, image->width, image->height,
           image->box_count);
    for (int64_t j = image->first_box; j < image->first_box + image->box_count; j++) {
      const struct dataset_box *box = &dataset->boxes[j];
      printf("box\t%" PRId64 "\t%" PRId64 "\t%.17g\t%.17g\t%.17g\t%.17g\t%" PRIu32 "\n", box->id,
             dataset->categories[box->category].id, (double)box->x, (double)box->y, (double)box->w, (double)box->h,
             box->flags);
    }
  }
}

static const char *argument(int argc, char **argv, int at) {
  return at < argc && strcmp(argv[at], "-") != 0 ? argv[at] : NULL;
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s ANNOTATIONS [IMAGES|- [SPLIT|-]]\n", argv[0]);
    return 2;
  }
  struct dataset dataset;
  struct error error = {0};
  struct dataset_options options = dataset_defaults();
  options.split = argument(argc, argv, 3);
  int status = dataset_load(&dataset, argv[1], argument(argc, argv, 2), &options, &error);
  if (status != 0) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  dump(&dataset);
  dataset_free(&dataset);
  return 0;
}
