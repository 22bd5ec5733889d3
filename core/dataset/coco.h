/* core/dataset, internal: a COCO file while it is read (coco.c), its masks (coco_mask.c), its ids (coco_ids.c). */
#ifndef JIGSAW_CORE_DATASET_COCO_H
#define JIGSAW_CORE_DATASET_COCO_H

#include "core/dataset/json.h"

/* In coco_item.flags, above those of dataset_box. */
enum {
  COCO_IMAGE_TEXT = 1 << 8,    /* `image` is the number of a text */
  COCO_CATEGORY_TEXT = 1 << 9, /* `category` likewise */
  COCO_RELATIVE = 1 << 10,     /* the box is in parts of the image's sides */
  COCO_NUMBERED = 1 << 11,     /* `id` is not the file's, but the position */
};

/* An annotation that may be used. */
struct coco_item {
  int64_t id, image, category; /* after resolving, image and category are positions */
  double box[4];
  size_t offset; /* in the file */
  uint32_t flags;
  uint32_t number; /* position in the file, from 1 */
};

struct coco_key {
  struct id id;
  size_t offset;
};

struct coco_keys {
  struct coco_key *keys;
  size_t count, capacity;
};

struct coco {
  struct json json;
  struct dataset *dataset;
  struct error *error;
  enum dataset_boxes boxes;
  struct coco_item *items;
  size_t item_count, item_capacity;
  uint32_t number;                     /* of annotations read, those left out included */
  struct coco_keys images, categories; /* one for each of the data set's */
  struct coco_keys incomplete;         /* images of which an annotation was left out */
  struct text_set texts;               /* ids that are not whole numbers */
  XXH3_state_t *hash;
  struct id unknown;     /* the category that is used but not listed, */
  int64_t unknown_count; /* if it is but one: in so many annotations; -1: several */
  int64_t nameless;      /* images */
  size_t first_nameless;
  const char *swept; /* what lies before is hashed and given back */
  void (*release)(void *context, size_t offset);
  void *context;
};

struct coco_id_shown {
  char string[180];
};
struct coco_id_shown coco_show_id(const struct coco *coco, struct id id);

/* Leaves an annotation out: counts it, and keeps "FILE:LINE: annotation 7 TEXT" when it is the first of its reason.
 * Finding the line takes long: only the first has one. */
int coco_leave_out(struct coco *coco, enum dataset_fault fault, const struct coco_item *item, size_t offset,
                   const char *format, ...) PRINTF_LIKE(5, 6);

int coco_add_key(struct coco *coco, struct coco_keys *keys, struct coco_key key);

/* When all is read: joins images that are listed twice, finds images and categories by their ids, and puts the boxes
 * into the data set. */
int coco_resolve(struct coco *coco);

enum coco_mask { COCO_MASK_ERROR = -1, COCO_MASK_NONE, COCO_MASK_BAD, COCO_MASK_POLYGON, COCO_MASK_RLE };

/* The corner and size of the box around the segmentation at `offset`, whose syntax was checked: polygons [[x, y, ...],
 * ...], or one [x, y, ...]; a run-length mask {"counts": [...] or "...", "size": [height, width]}. NONE: it is null or
 * empty. ERROR: memory is out. */
enum coco_mask coco_mask_box(const struct json *json, size_t offset, double box[4]);

#endif
