/* core/dataset - detection data sets as one structure, whatever they were: COCO instances JSON, PASCAL VOC XML, YOLO
 * text files; and the built-in toy scenes.
 *
 * Readers keep every box as it stands in the file, broken ones too (empty, outside the image, NaN), so that whoever
 * uses the boxes can count what it leaves out. What makes the file as a whole doubtful is an error: malformed syntax,
 * wrong types, duplicate or unknown ids, file names that leave the image folder or are not UTF-8. Messages name the
 * file and the place (byte offset or line) and say what to do.
 */
#ifndef JIGSAW_CORE_DATASET_H
#define JIGSAW_CORE_DATASET_H

#include "core/base/base.h"

struct dataset_category {
  int64_t id; /* as in the file: sparse, any start, 0 included. VOC, YOLO: position in the list of names */
  const char *name;
};

enum { DATASET_CROWD = 1, DATASET_DIFFICULT = 2 };

struct dataset_box {
  int64_t id;       /* annotation id; VOC, YOLO, or absent in COCO: position in the data set, from 1 */
  float x, y, w, h; /* pixels, top-left corner and size, as written: may be NaN, infinite, negative or outside */
  int32_t category; /* index into categories */
  uint32_t flags;   /* DATASET_CROWD, DATASET_DIFFICULT */
};

struct dataset_image {
  int64_t id;            /* COCO: as in the file; VOC, YOLO: position in the data set, from 1 */
  const char *file_name; /* relative to the image folder, safe to join with it */
  int width, height;     /* as annotated; 0 when the annotations do not say */
  int32_t box_count;
  int64_t first_box; /* boxes of an image are contiguous and in file order */
};

enum dataset_format { DATASET_AUTO, DATASET_COCO, DATASET_VOC, DATASET_YOLO };

struct dataset {
  enum dataset_format format;
  struct dataset_category *categories;
  struct dataset_image *images; /* file order (COCO), split or name order (VOC, YOLO) */
  struct dataset_box *boxes;
  int64_t category_count, image_count, box_count;
  XXH128_hash_t hash; /* XXH3-128 over the annotation bytes, in reading order */
  struct arena arena; /* names */
  char *image_folder; /* where file_name is relative to; in the arena */
};

/* Reads `annotations` (a COCO file, or a folder) with the pictures in `images`.
 *   format  DATASET_AUTO: a .json file is COCO; a folder with Annotations/ or *.xml is VOC; a folder with *.txt (or
 *           labels/) is YOLO; a folder with annotations/instances_SPLIT.json (or one instances_*.json) is COCO.
 *   images  may be NULL for VOC (JPEGImages beside Annotations, or the XML's own folder) and YOLO (labels -> images).
 *   split   NULL: everything. COCO: picks instances_SPLIT.json. VOC: ImageSets/Main/SPLIT.txt. YOLO: the SPLIT folder
 *           below labels/ and images/, or SPLIT.txt with a list of images. */
int dataset_load(struct dataset *dataset, enum dataset_format format, const char *annotations, const char *images,
                 const char *split, struct error *error);
void dataset_free(struct dataset *dataset);

/* The parsers, on memory; `name` is for messages. coco_parse calls `release(context, offset)`, when given, now and then
 * to say that bytes before `offset` are done with, so that a mapped file need not stay resident. */
int coco_parse(struct dataset *dataset, const char *data, size_t size, const char *name,
               void (*release)(void *context, size_t offset), void *context, struct error *error);

/* One VOC XML document: appends an image and its boxes, and categories not yet known. */
int voc_parse(struct dataset *dataset, const char *data, size_t size, const char *name, struct error *error);

/* One YOLO label file for a picture of width x height: "class cx cy w h" per line, relative to the picture; or "class
 * x1 y1 x2 y2 x3 y3 ..." polygons, of which the bounding box counts. Appends an image and its boxes. */
int yolo_parse(struct dataset *dataset, const char *data, size_t size, const char *name, const char *file_name,
               int width, int height, struct error *error);

/* False when joining `name` to a folder could leave it: absolute, "..", NUL, empty. */
bool dataset_name_safe(const char *name);

/* ---- toy.c: scenes that need no download ------------------------------------------------------------------------- */

/* Renders `count` scenes (same seed, same bytes) as FOLDER/images/NNNNNN.jpg and FOLDER/annotations/instances.json
 * (COCO, file_name relative to FOLDER/images). TOY_CATEGORIES classes told apart by shape and texture together, some
 * square, some tall, some wide, with clutter, occlusion, lighting and scale variation. */
#define TOY_CATEGORIES 24
int toy_write(const char *folder, int64_t count, uint64_t seed, int workers, struct progress *progress,
              struct error *error);

#endif
