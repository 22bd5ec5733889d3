/* The first byte chooses: 'l' a label file, 'n' a list of class names, 'y' a data.yaml. */
#include "core/dataset/internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse(struct dataset *dataset, struct text text, int kind, struct error *error) {
  if (kind == 'n') return yolo_names_parse(dataset, text, "fuzz", error);
  if (kind == 'y') return yolo_yaml_parse(dataset, text, "fuzz", error);
  const struct text names = TEXT("cat\ndog\nbird\n");
  if (yolo_names_parse(dataset, names, "names", error) != 0) abort();
  return yolo_parse(dataset, text.data, text.size, "fuzz", "fuzz.jpg", 640, 480, error);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  struct dataset dataset = {0};
  struct error error = {0};
  struct text text = {(const char *)data + 1, size - 1};
  if (parse(&dataset, text, data[0], &error) == 0) {
    if (dataset.category_count == 0) abort();
    for (int64_t i = 0; i < dataset.box_count; i++) {
      if (dataset.boxes[i].category < 0 || dataset.boxes[i].category >= dataset.category_count) abort();
    }
  } else if (strncmp(error.message, "fuzz:", 5) != 0) {
    abort();
  }
  dataset_free(&dataset);
  return 0;
}
