/* Any bytes as a VOC document. */
#include "core/dataset/dataset.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct dataset dataset = {0};
  struct error error = {0};
  if (voc_parse(&dataset, (const char *)data, size, "fuzz.xml", &error) == 0) {
    if (dataset.image_count != (dataset.faults[DATASET_BAD_FILE].count == 0)) abort();
    if (dataset.image_count == 0 && (dataset.box_count != 0 || dataset.category_count != 0)) abort();
    if (dataset.image_count == 1) {
      if (!dataset_name_safe(dataset.images[0].file_name)) abort();
      if (dataset.images[0].box_count != dataset.box_count) abort();
      if (dataset_fault_total(&dataset) > 0 && !dataset.images[0].incomplete) abort();
    }
    for (int64_t i = 0; i < dataset.box_count; i++) {
      if (dataset.boxes[i].category < 0 || dataset.boxes[i].category >= dataset.category_count) abort();
    }
    for (int fault = 0; fault < DATASET_FAULTS; fault++) {
      const struct dataset_fault_count *count = &dataset.faults[fault];
      if (count->count > 0 && strncmp(count->first, "fuzz.xml:", 9) != 0) abort();
    }
  } else if (strncmp(error.message, "fuzz.xml:", 9) != 0) {
    abort();
  }
  dataset_free(&dataset);
  return 0;
}
