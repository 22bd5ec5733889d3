/* The first byte chooses: 'l' a label file, which is read a second time for what its lines were found to be; 'k' one
 * with keypoints; '#' one without class names; 'n' a list of class names; 'y' a data.yaml; 'd' an obj.data. */
#include "core/dataset/yolo.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse_labels(struct dataset *dataset, struct text text, int kind, struct error *error) {
  const struct dataset_image picture = {.file_name = "fuzz.jpg", .width = 640, .height = 480};
  const struct text names = TEXT("cat\ndog\nbird\n");
  struct yolo_form form = {.numbered = kind == '#'};
  if (kind == 'k') form.keypoints = 2, form.dimensions = 3;
  if (kind != '#' && yolo_names_parse(dataset, names, "names", error) != 0) abort();
  if (yolo_parse(dataset, text.data, text.size, "fuzz", &picture, &form, error) != 0) return -1;
  form.lines_are = yolo_form_decide(&form);
  if (yolo_parse(dataset, text.data, text.size, "fuzz", &picture, &form, error) != 0) return -1;
  if (dataset->images[0].box_count + dataset->images[1].box_count != dataset->box_count) abort();
  return 0;
}

static int parse(struct dataset *dataset, struct text text, int kind, struct error *error) {
  struct arena arena = {0};
  struct yolo_data described = {0};
  int status = kind == 'n'   ? yolo_names_parse(dataset, text, "fuzz", error)
               : kind == 'y' ? yolo_yaml_parse(dataset, text, "fuzz", &arena, &described, error)
               : kind == 'd' ? yolo_darknet_parse(text, "fuzz", &arena, &described, error)
                             : parse_labels(dataset, text, kind, error);
  free(described.entries);
  arena_free(&arena);
  return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  struct dataset dataset = {0};
  struct error error = {0};
  struct text text = {(const char *)data + 1, size - 1};
  if (parse(&dataset, text, data[0], &error) == 0) {
    for (int64_t i = 0; i < dataset.box_count; i++) {
      if (dataset.boxes[i].category < 0 || dataset.boxes[i].category >= dataset.category_count) abort();
    }
  } else if (strncmp(error.message, "fuzz:", 5) != 0) {
    abort();
  }
  dataset_free(&dataset);
  return 0;
}
