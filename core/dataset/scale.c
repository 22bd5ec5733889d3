/* Boxes in parts of pictures whose size only the pictures say. */
#include "core/dataset/internal.h"

#include <math.h>

static int scale_image(void *context, int worker, int64_t number, struct error *error) {
  struct dataset *dataset = context;
  const struct dataset_image *image = &dataset->images[number];
  struct dataset_box *boxes = &dataset->boxes[image->first_box];
  struct image_info info;
  double width = NAN, height = NAN;
  bool probed = false, known = false;
  (void)worker;
  for (int32_t i = 0; i < image->box_count; i++) {
    if ((boxes[i].flags & DATASET_PARTS) == 0) continue;
    if (!probed && picture_probe(image, &info, &known, error) != 0) return -1;
    if (!probed && known) {
      width = info.width;
      height = info.height;
    }
    probed = true;
    boxes[i].x *= width;
    boxes[i].y *= height;
    boxes[i].w *= width;
    boxes[i].h *= height;
    boxes[i].flags &= ~(uint32_t)DATASET_PARTS;
  }
  return 0;
}

int scale_parts(struct dataset *dataset, int workers, struct error *error) {
  for (int64_t i = 0; i < dataset->box_count; i++)
    if ((dataset->boxes[i].flags & DATASET_PARTS) != 0)
      return parallel_for(workers, dataset->image_count, scale_image, dataset, error);
  return 0;
}
