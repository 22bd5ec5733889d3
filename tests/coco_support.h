/* What the tests of COCO files share. Include after tests/test_support.h. */
#ifndef JIGSAW_TESTS_COCO_SUPPORT_H
#define JIGSAW_TESTS_COCO_SUPPORT_H

#include "core/dataset/internal.h"

#define IMAGES "\"images\":[{\"id\":1,\"file_name\":\"a.jpg\"}]"
#define CATEGORIES "\"categories\":[{\"id\":3,\"name\":\"cat\"}]"
#define ANNOTATION(bbox) "{\"image_id\":1,\"category_id\":3,\"bbox\":" bbox "}"
#define ANNOTATIONS(items) "\"annotations\":[" items "]"
#define WITH(section) "{" IMAGES "," CATEGORIES "," section "}"

static inline int parse_boxes(struct dataset *dataset, const char *data, size_t size, enum dataset_boxes boxes,
                              struct error *error) {
  *dataset = (struct dataset){0};
  *error = (struct error){0};
  /* Exactly as many bytes as there are, so that a sanitizer sees every byte too many. */
  char *copy = malloc(size > 0 ? size : 1);
  memcpy(copy, data, size);
  int status = coco_parse(dataset, copy, size, "f.json", boxes, NULL, NULL, error);
  free(copy);
  return status;
}

static inline int parse(struct dataset *dataset, const char *data, size_t size, struct error *error) {
  return parse_boxes(dataset, data, size, DATASET_XYWH, error);
}

#endif
