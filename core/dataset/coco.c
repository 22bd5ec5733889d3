/* COCO instances JSON. Sections come in any order, so ids are resolved when all are read: until then memory holds 64
 * bytes an annotation. Each byte is touched once: parsed, hashed while still in the cache, given back. */
#include "core/dataset/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SWEEP = 256 << 10, FIELDS_MAX = 5 };

struct annotation {
  int64_t id, image, category; /* ids; after resolving, image and category are positions */
  double box[4];
  uint32_t flags;
};

struct coco {
  struct json json;
  struct dataset *dataset;
  struct error *error;
  struct annotation *annotations;
  size_t annotation_count, annotation_capacity;
  XXH3_state_t *hash;
  const char *swept; /* what lies before is hashed and given back */
  void (*release)(void *context, size_t offset);
  void *context;
};

static void sweep(void *context, const char *at) {
  struct coco *coco = context;
  XXH3_128bits_update(coco->hash, coco->swept, (size_t)(at - coco->swept));
  coco->swept = at;
  if (coco->release != NULL) coco->release(coco->context, (size_t)(at - coco->json.begin));
  coco->json.mark = coco->json.end - at > SWEEP ? at + SWEEP : coco->json.end;
}

/* ---- one object of a section ---- */

#define FIELD(literal)                                                                                                 \
  { literal, sizeof(literal) - 1 }

struct fields {
  const char *object; /* what it is called in messages */
  struct text names[FIELDS_MAX];
  int required; /* the first so many must be there */
};

struct reading {
  const struct fields *fields;
  size_t offset; /* of the object */
  unsigned seen;
};

static int begin_object(struct json *json, struct reading *reading, const struct fields *fields) {
  *reading = (struct reading){.fields = fields, .offset = json_offset(json)};
  return json_object(json, fields->object);
}

/* The index of the next field that is known, others being skipped; FIELDS_MAX at the end of the object, -1 on error. */
static int next_field(struct json *json, struct reading *reading) {
  const struct fields *fields = reading->fields;
  struct text key;
  int more;
  while ((more = json_next_member(json, &key)) > 0) {
    int field = 0;
    while (field < FIELDS_MAX && fields->names[field].data != NULL && !text_equal(key, fields->names[field]))
      field++;
    if (field == FIELDS_MAX || fields->names[field].data == NULL) {
      if (json_skip(json) != 0) return -1;
      continue;
    }
    if ((reading->seen >> field & 1) != 0) {
      return json_fail(json, json_offset(json), "\"%s\" is given twice in %s", fields->names[field].data,
                       fields->object);
    }
    reading->seen |= 1U << field;
    return field;
  }
  if (more < 0) return -1;
  for (int field = 0; field < fields->required; field++) {
    if ((reading->seen >> field & 1) == 0) {
      return json_fail(json, reading->offset, "%s has no \"%s\"", fields->object, fields->names[field].data);
    }
  }
  return FIELDS_MAX;
}

/* A name for messages about the next value: "FILE: byte N". */
static void place(const struct json *json, char *source, size_t size) {
  snprintf(source, size, "%s: byte %zu", json->name, json_offset(json));
}

/* ---- sections ---- */

static int read_category(struct coco *coco) {
  static const struct fields fields = {"a category", {FIELD("id"), FIELD("name")}, 2};
  struct json *json = &coco->json;
  struct reading reading;
  struct text text;
  const char *name = NULL;
  int64_t id = 0;
  char source[512];
  if (begin_object(json, &reading, &fields) != 0) return -1;
  int field;
  while ((field = next_field(json, &reading)) < FIELDS_MAX) {
    if (field < 0) return -1;
    if (field == 0) {
      if (json_integer(json, "a category's id", &id) != 0) return -1;
    } else {
      place(json, source, sizeof(source));
      if (json_string(json, "a category's name in quotes", &text) != 0) return -1;
      if ((name = build_name(coco->dataset, text, source, coco->error)) == NULL) return -1;
    }
  }
  return build_category(coco->dataset, id, name, coco->error);
}

static int read_pixels(struct json *json, const char *what, int *pixels) {
  size_t offset = json_offset(json);
  int64_t value;
  if (json_integer(json, what, &value) != 0) return -1;
  if (value < 0 || value > INT32_MAX) return json_fail(json, offset, "%s cannot be %" PRId64, what, value);
  *pixels = (int)value;
  return 0;
}

static int read_image(struct coco *coco) {
  static const struct fields fields = {
      "an image", {FIELD("id"), FIELD("file_name"), FIELD("width"), FIELD("height")}, 2};
  struct json *json = &coco->json;
  struct reading reading;
  struct text text;
  struct dataset_image image = {0};
  char source[512];
  if (begin_object(json, &reading, &fields) != 0) return -1;
  int field, status = 0;
  while ((field = next_field(json, &reading)) < FIELDS_MAX) {
    switch (field) {
    case 0:
      status = json_integer(json, "an image's id", &image.id);
      break;
    case 1:
      place(json, source, sizeof(source));
      if (json_string(json, "a file_name in quotes", &text) != 0) return -1;
      image.file_name = build_file_name(coco->dataset, text, source, coco->error);
      status = image.file_name == NULL ? -1 : 0;
      break;
    case 2:
      status = read_pixels(json, "an image's width", &image.width);
      break;
    case 3:
      status = read_pixels(json, "an image's height", &image.height);
      break;
    default:
      return -1;
    }
    if (status != 0) return -1;
  }
  return build_image(coco->dataset, &image, coco->error);
}

static int read_bbox(struct json *json, double box[4]) {
  size_t offset = json_offset(json);
  int count = 0, more;
  if (json_array(json, "a bbox [x, y, width, height]") != 0) return -1;
  while ((more = json_next_element(json)) > 0) {
    double value;
    if (json_number(json, "a number in bbox", &value) != 0) return -1;
    if (count < 4) box[count] = value;
    count += count <= 4;
  }
  if (more < 0 || count == 4) return more;
  return json_fail(json, offset, "a bbox needs 4 numbers [x, y, width, height], but has %s%d",
                   count > 4 ? "more than " : "", count > 4 ? 4 : count);
}

static int read_crowd(struct json *json, uint32_t *flags) {
  size_t offset = json_offset(json);
  int64_t value;
  if (json_integer(json, "iscrowd, 0 or 1", &value) != 0) return -1;
  if (value != 0 && value != 1) return json_fail(json, offset, "iscrowd must be 0 or 1, not %" PRId64, value);
  *flags = value == 1 ? DATASET_CROWD : 0;
  return 0;
}

static int read_annotation(struct coco *coco) {
  static const struct fields fields = {
      "an annotation", {FIELD("image_id"), FIELD("category_id"), FIELD("bbox"), FIELD("id"), FIELD("iscrowd")}, 3};
  struct json *json = &coco->json;
  struct reading reading;
  struct annotation item = {.id = (int64_t)coco->annotation_count + 1};
  if (begin_object(json, &reading, &fields) != 0) return -1;
  int field, status = 0;
  while ((field = next_field(json, &reading)) < FIELDS_MAX) {
    switch (field) {
    case 0:
      status = json_integer(json, "an annotation's image_id", &item.image);
      break;
    case 1:
      status = json_integer(json, "an annotation's category_id", &item.category);
      break;
    case 2:
      status = read_bbox(json, item.box);
      break;
    case 3:
      status = json_integer(json, "an annotation's id", &item.id);
      break;
    case 4:
      status = read_crowd(json, &item.flags);
      break;
    default:
      return -1;
    }
    if (status != 0) return -1;
  }
  void *items = coco->annotations;
  status = array_reserve(&items, &coco->annotation_capacity, coco->annotation_count + 1, sizeof(item), coco->error);
  coco->annotations = items;
  if (status == 0) coco->annotations[coco->annotation_count++] = item;
  return status;
}

static int read_section(struct coco *coco, const char *what, int (*read_item)(struct coco *coco)) {
  int more;
  if (json_array(&coco->json, what) != 0) return -1;
  while ((more = json_next_element(&coco->json)) > 0) {
    if (read_item(coco) != 0) return -1;
  }
  return more;
}

static int read_document(struct coco *coco) {
  static const struct fields fields = {
      "the file, which must be COCO instances JSON,", {FIELD("images"), FIELD("annotations"), FIELD("categories")}, 3};
  struct json *json = &coco->json;
  struct reading reading = {.fields = &fields, .offset = json_offset(json)};
  if (json_object(json, "\"{\", the start of COCO instances JSON") != 0) return -1;
  int section, status = 0;
  while ((section = next_field(json, &reading)) < FIELDS_MAX) {
    if (section == 0) {
      status = read_section(coco, "an array of images", read_image);
    } else if (section == 1) {
      status = read_section(coco, "an array of annotations", read_annotation);
    } else if (section == 2) {
      status = read_section(coco, "an array of categories", read_category);
    } else {
      return -1;
    }
    if (status != 0) return -1;
  }
  return json_finish(json);
}

/* ---- ids to positions ---- */

/* A table of `count` ids that lie `stride` bytes apart, each of which must be new. */
static int index_ids(struct coco *coco, struct id_table *table, const void *first, size_t count, size_t stride,
                     const char *what) {
  if (id_table_open(table, (int64_t)count, coco->dataset->hash.low64, coco->error) != 0) return -1;
  for (size_t i = 0; i < count; i++) {
    int64_t id;
    memcpy(&id, (const char *)first + i * stride, sizeof(id));
    if (!id_table_add(table, id, (int64_t)i)) {
      return error_set(coco->error, "%s: %s id %" PRId64 " is used twice: give each its own", coco->json.name, what,
                       id);
    }
  }
  return 0;
}

static int resolve(struct coco *coco, const struct id_table *images, const struct id_table *categories) {
  for (size_t i = 0; i < coco->annotation_count; i++) {
    struct annotation *item = &coco->annotations[i];
    int64_t image = id_table_find(images, item->image), category = id_table_find(categories, item->category);
    if (image < 0 || category < 0) {
      return error_set(coco->error,
                       "%s: annotation %" PRId64 " has %s %" PRId64 ", which is not in the file: add it or leave the "
                       "annotation out",
                       coco->json.name, item->id, image < 0 ? "image_id" : "category_id",
                       image < 0 ? item->image : item->category);
    }
    item->image = image;
    item->category = category;
  }
  return 0;
}

static int resolve_ids(struct coco *coco) {
  struct dataset *dataset = coco->dataset;
  struct id_table images = {0}, categories = {0}, annotations = {0};
  int status = -1;
  if (index_ids(coco, &images, dataset->images, (size_t)dataset->image_count, sizeof(*dataset->images), "image") != 0) {
    goto done;
  }
  if (index_ids(coco, &categories, dataset->categories, (size_t)dataset->category_count, sizeof(*dataset->categories),
                "category") != 0) {
    goto done;
  }
  if (resolve(coco, &images, &categories) != 0) goto done;
  status = index_ids(coco, &annotations, coco->annotations, coco->annotation_count, sizeof(*coco->annotations),
                     "annotation");
done:
  id_table_close(&annotations);
  id_table_close(&categories);
  id_table_close(&images);
  return status;
}

/* Counting sort: boxes by image, in file order within each. */
static int group_boxes(struct coco *coco) {
  struct dataset *dataset = coco->dataset;
  size_t count = coco->annotation_count;
  if (count > INT32_MAX) return error_set(coco->error, "%s: more than %d annotations", coco->json.name, INT32_MAX);
  if (count == 0) return 0;
  dataset->boxes = malloc(count * sizeof(*dataset->boxes));
  if (dataset->boxes == NULL) return error_memory(coco->error, count * sizeof(*dataset->boxes));
  dataset->box_capacity = count;
  for (size_t i = 0; i < count; i++)
    dataset->images[coco->annotations[i].image].box_count++;
  for (int64_t i = 0; i < dataset->image_count; i++) {
    dataset->images[i].first_box = dataset->box_count;
    dataset->box_count += dataset->images[i].box_count;
    dataset->images[i].box_count = 0;
  }
  for (size_t i = 0; i < count; i++) {
    const struct annotation *item = &coco->annotations[i];
    struct dataset_image *image = &dataset->images[item->image];
    dataset->boxes[image->first_box + image->box_count++] = (struct dataset_box){
        .id = item->id,
        .x = item->box[0],
        .y = item->box[1],
        .w = item->box[2],
        .h = item->box[3],
        .category = (int32_t)item->category,
        .flags = item->flags,
    };
  }
  return 0;
}

int coco_parse(struct dataset *dataset, const char *data, size_t size, const char *name,
               void (*release)(void *context, size_t offset), void *context, struct error *error) {
  struct coco coco = {.dataset = dataset, .error = error, .swept = data, .release = release, .context = context};
  int status = -1;
  json_open(&coco.json, data, size, name, error);
  json_watch(&coco.json, size > SWEEP ? data + SWEEP : data + size, sweep, &coco);
  coco.hash = XXH3_createState();
  if (coco.hash == NULL) {
    error_memory(error, sizeof(XXH128_hash_t));
    goto done;
  }
  XXH3_128bits_reset(coco.hash);
  if (read_document(&coco) != 0) goto done;
  if (dataset->category_count == 0) {
    error_set(error, "%s: \"categories\" is empty: list the classes there", name);
    goto done;
  }
  sweep(&coco, data + size);
  dataset->hash = XXH3_128bits_digest(coco.hash);
  dataset->format = DATASET_COCO;
  if (resolve_ids(&coco) != 0) goto done;
  status = group_boxes(&coco);
done:
  free(coco.annotations);
  XXH3_freeState(coco.hash);
  json_close(&coco.json);
  return status;
}
