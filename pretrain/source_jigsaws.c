/* Written jigsaws (docs/FORMATS.md): pictures, and a COCO file with one annotation a tile. */
#include "pretrain/source_parts.h"

#include <string.h>

#include "core/dataset/json.h"

/* ---- the template ------------------------------------------------------------------------------------------------ */

static int read_rectangle(struct json *json, int64_t rectangle[4]) {
  int count = 0, more;
  if (json_array(json, "a tile's region, [x, y, w, h]")) return -1;
  while ((more = json_next_element(json)) > 0) {
    int64_t value;
    size_t offset = json_offset(json);
    if (json_integer(json, "a whole number", &value)) return -1;
    if (count == 4) return json_fail(json, offset, "a region has more than four numbers");
    rectangle[count++] = value;
  }
  if (more == 0 && count < 4) return json_fail(json, json_offset(json), "a region has fewer than four numbers");
  return more;
}

/* The region of the first annotation, if it has one. 1: found, 0: not, -1: error. */
static int find_region(struct json *json, int64_t region[4]) {
  struct text key;
  int more;
  if (json_object(json, "an object")) return -1;
  while ((more = json_next_member(json, &key)) > 0) {
    if (!text_equal(key, TEXT("annotations"))) {
      if (json_skip(json)) return -1;
      continue;
    }
    if (json_array(json, "the list of annotations") || (more = json_next_element(json)) < 0) return -1;
    if (more == 0) return 0;
    if (json_object(json, "an annotation")) return -1;
    while ((more = json_next_member(json, &key)) > 0) {
      if (text_equal(key, TEXT("region"))) return read_rectangle(json, region) ? -1 : 1;
      if (json_skip(json)) return -1;
    }
    return more;
  }
  return more;
}

/* Every tile names its region, and every region tells where the template is cut. */
static int read_cut(const char *path, int *cut, struct error *error) {
  struct file_map map;
  struct json json;
  int64_t region[4] = {0};
  if (file_map_open(&map, path, error)) return -1;
  json_open(&json, (const char *)map.data, map.size, path, error);
  int found = find_region(&json, region);
  if (found > 0) {
    int64_t at = region[0] > 0 ? region[0] : region[2];
    *cut = at > 0 && at <= 4096 ? (int)at : 0;
  }
  json_close(&json);
  file_map_close(&map);
  if (found == 0) {
    return error_set(error,
                     "%s: not the annotations of a jigsaw data set (the first has no \"region\"); make one with "
                     "jigsaw-gen",
                     path);
  }
  return found > 0 ? 0 : -1;
}

/* ---- labels ------------------------------------------------------------------------------------------------------ */

static bool box_inside(const struct dataset_box *box, const struct rect *region) {
  return box->x >= (float)region->x && box->y >= (float)region->y && box->w > 0 && box->h > 0 &&
         box->x + box->w <= (float)(region->x + region->w) && box->y + box->h <= (float)(region->y + region->h);
}

/* A region without annotation (negatives of a store without background) has the label -1. */
static int tile_labels(const struct source *source, const struct dataset *dataset, const struct dataset_image *image,
                       int32_t labels[JIG_REGIONS], struct error *error) {
  const struct jig_template template = {source->size, source->cut};
  memset(labels, -1, JIG_REGIONS * sizeof *labels);
  for (int64_t i = image->first_box; i < image->first_box + image->box_count; i++) {
    const struct dataset_box *box = &dataset->boxes[i];
    int region = 0;
    while (region < JIG_REGIONS) {
      struct rect area = jig_region(&template, region);
      if (box_inside(box, &area)) break;
      region++;
    }
    if (region == JIG_REGIONS) {
      return error_set(error, "annotation %lld of %s lies in no region of the template %d:%d", (long long)box->id,
                       image->file_name, source->size, source->cut);
    }
    if (labels[region] >= 0) {
      return error_set(error, "annotation %lld of %s is the second in its region of the template %d:%d",
                       (long long)box->id, image->file_name, source->size, source->cut);
    }
    labels[region] = box->category;
  }
  return 0;
}

static int add_jigsaws(struct source *source, const struct dataset *dataset, struct error *error) {
  for (int64_t i = 0; i < dataset->image_count; i++) {
    const struct dataset_image *image = &dataset->images[i];
    int32_t labels[JIG_REGIONS];
    if (image->width != source->size || image->height != source->size) {
      return error_set(error, "%s is %d x %d, others %d x %d: jigsaws are square and all of one size", image->file_name,
                       image->width, image->height, source->size, source->size);
    }
    if (tile_labels(source, dataset, image, labels, error)) return -1;
    if (source_add_picture(source, image->file_name, labels, error)) return -1;
  }
  return 0;
}

/* ---- opening and rendering --------------------------------------------------------------------------------------- */

static int take_dataset(struct source *source, const struct dataset *dataset, const char *path, struct error *error) {
  if (dataset->image_count == 0) return error_set(error, "%s: there are no jigsaws in it", path);
  if (source_set_classes(source, dataset->category_count, error)) return -1;
  for (int label = 0; label < source->classes; label++) {
    const char *name = dataset->categories[label].name;
    source->class_names[label] = arena_copy(&source->arena, name, strlen(name));
    if (!source->class_names[label]) return error_memory(error, strlen(name) + 1);
  }
  source->size = dataset->images[0].width;
  source->regions = JIG_REGIONS;
  if (read_cut(path, &source->cut, error)) return -1;
  if (!(source->cut > 0 && source->cut < source->size && source->size <= 4096)) {
    return error_set(error, "%s: template %d:%d: needs 0 < cut < size <= 4096", path, source->size, source->cut);
  }
  XXH3_128bits_update(source->hash, &dataset->hash, sizeof dataset->hash);
  if (add_jigsaws(source, dataset, error)) return error_context(error, "%s", path);
  return source_pick_pictures(source, error);
}

int source_open_jigsaws(struct source *source, struct error *error) {
  struct dataset dataset = {0};
  const char *path = path_join(&source->arena, source->folder, "annotations/instances.json");
  source->pictures_folder = path_join(&source->arena, source->folder, "images");
  if (!path || !source->pictures_folder) return error_memory(error, strlen(source->folder) + 32);
  const struct dataset_options coco = {.format = DATASET_COCO};
  if (dataset_load(&dataset, path, source->pictures_folder, &coco, error)) return -1;
  int result = take_dataset(source, &dataset, path, error);
  dataset_free(&dataset);
  return result;
}

int source_check_jigsaw(const struct source *source, const struct image *canvas, struct error *error) {
  if (canvas->width == source->size && canvas->height == source->size) return 0;
  return error_set(error, "%d x %d pixels, annotated as %d x %d", canvas->width, canvas->height, source->size,
                   source->size);
}

int source_render_jigsaw(const struct source *source, uint32_t epoch, int64_t index, struct source_scratch *scratch,
                         struct image *canvas, int32_t *labels, struct error *error) {
  const struct source_picture *picture;
  const struct buffer *file = &scratch->file;
  if (source_read_picture(source, epoch, index, &scratch->file, &picture, error)) return -1;
  memcpy(labels, picture->labels, sizeof picture->labels);
  size_t memory = image_memory_share(source->options.workers);
  if (image_decode(file->data, file->size, NULL, memory, canvas, error) || source_check_jigsaw(source, canvas, error)) {
    return source_blame_picture(source, picture, error);
  }
  return 0;
}
