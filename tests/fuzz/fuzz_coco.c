/* Any bytes as a COCO file, with each meaning of a bbox: an error, or a data set whose every position is in range and
 * whose faults have a place. What is refused is looked at for what else it may be. */
#include "core/dataset/internal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct dataset dataset = {0};
  struct error error = {0};
  enum dataset_boxes form = (enum dataset_boxes)(size % 3);
  if (coco_parse(&dataset, (const char *)data, size, "fuzz", form, NULL, NULL, &error) == 0) {
    int64_t boxes = 0;
    for (int64_t i = 0; i < dataset.image_count; i++) {
      if (!dataset_name_safe(dataset.images[i].file_name) || dataset.images[i].first_box != boxes) abort();
      boxes += dataset.images[i].box_count;
    }
    if (boxes != dataset.box_count) abort();
    for (int64_t i = 0; i < dataset.box_count; i++) {
      if (dataset.boxes[i].category < 0 || dataset.boxes[i].category >= dataset.category_count) abort();
    }
    for (int i = 0; i < DATASET_FAULTS; i++) {
      if (dataset.faults[i].count > 0 && strncmp(dataset.faults[i].first, "fuzz:", 5) != 0) abort();
    }
  } else if (strncmp(error.message, "fuzz", 4) != 0) {
    abort();
  } else {
    (void)recognise((struct text){(const char *)data, size}, "fuzz");
  }
  dataset_free(&dataset);
  return 0;
}
