/* Finding out what a path holds, and loading it. */
#include "core/dataset/internal.h"

#include <stdlib.h>
#include <string.h>

#include <sys/mman.h>
#include <unistd.h>

/* ---- COCO files ---- */

enum { RELEASE = 4 << 20 };

struct mapped {
  struct file_map map;
  size_t released, page;
};

/* Pages that were read leave this process; the system may still keep them cached. */
static void release_pages(void *context, size_t offset) {
  struct mapped *mapped = context;
  offset -= offset % mapped->page;
  if (offset < mapped->released + RELEASE) return;
  void *start = (void *)(uintptr_t)(mapped->map.data + mapped->released);
  (void)madvise(start, offset - mapped->released, MADV_DONTNEED);
  mapped->released = offset;
}

static int coco_load(struct dataset *dataset, const char *path, const char *images,
                     const struct dataset_options *options, struct error *error) {
  struct mapped mapped = {.page = (size_t)sysconf(_SC_PAGESIZE)};
  if (file_map_open(&mapped.map, path, error) != 0) return -1;
  int status = coco_parse(dataset, (const char *)mapped.map.data, mapped.map.size, path,
                          (enum dataset_boxes)options->boxes, release_pages, &mapped, error);
  file_map_close(&mapped.map);
  if (status == 0 && images == NULL) images = coco_find_images(dataset, path, error);
  return status == 0 && images != NULL ? build_folder(dataset, images, error) : -1;
}

/* ---- what a folder holds ---- */

static const char *const json_suffixes[] = {".json", NULL};
static const char *const xml_suffixes[] = {".xml", NULL};
static const char *const txt_suffixes[] = {".txt", NULL};
/* Files that describe a YOLO data set. */
static const char *const yolo_suffixes[] = {".yaml", ".yml", ".data", ".txt", NULL};

/* 1: `folder` holds such a file that is no mere note, 0: no, -1: error. */
static int holds(const char *folder, bool recursive, const char *const *suffixes, struct error *error) {
  struct arena arena = {0};
  struct name_list list;
  int status = folder_list(folder, recursive, suffixes, &arena, &list, error);
  if (status == 0) {
    for (size_t i = 0; i < list.count && status == 0; i++)
      status = !name_is_note(list.names[i]);
    name_list_free(&list);
  }
  arena_free(&arena);
  return status;
}

/* What only a YOLO data set has at its root. */
static int has_yolo_mark(struct arena *arena, const char *folder, struct error *error) {
  static const char *const marks[] = {".yaml", ".yml", ".data", ".names", NULL};
  static const char *const folders[] = {"labels", "Labels"};
  for (size_t i = 0; i < COUNT_OF(folders); i++) {
    const char *labels = path_in(arena, folder, folders[i], error);
    if (labels == NULL) return -1;
    if (!folder_exists(labels)) continue;
    int text = holds(labels, true, txt_suffixes, error), document = holds(labels, true, xml_suffixes, error);
    if (text < 0 || document < 0) return -1;
    return text > 0 || document == 0; /* some keep VOC's documents there */
  }
  return holds(folder, false, marks, error);
}

/* From what tells most to what tells least. */
static int detect_folder(const char *annotations, const char *split, enum dataset_format *format, struct error *error) {
  struct arena arena = {0};
  const char *file = NULL;
  *format = DATASET_VOC;
  const char *below = path_in(&arena, annotations, "Annotations", error);
  int found = below == NULL          ? -1
              : folder_exists(below) ? holds(below, true, xml_suffixes, error)
                                     : holds(annotations, false, xml_suffixes, error);
  if (found == 0) {
    *format = DATASET_COCO;
    found = coco_find(&arena, annotations, split, &file, error) != 0 ? -1 : file != NULL;
  }
  if (found == 0) {
    *format = DATASET_YOLO;
    found = has_yolo_mark(&arena, annotations, error);
  }
  if (found == 0) {
    *format = DATASET_VOC;
    found = holds(annotations, true, xml_suffixes, error);
  }
  if (found == 0) {
    *format = DATASET_YOLO;
    found = holds(annotations, true, txt_suffixes, error);
  }
  arena_free(&arena);
  if (found != 0) return found > 0 ? 0 : -1;
  *format = DATASET_AUTO;
  if (split != NULL) return error_set(error, "%s: no annotations of a split \"%s\" found", annotations, split);
  if (holds(annotations, true, picture_suffixes, error) > 0) {
    return error_set(error, "%s: only pictures, no annotations: name the folder of the annotations, or one with both",
                     annotations);
  }
  return error_set(error,
                   "%s: no annotations found: neither instances_*.json (COCO), nor *.xml (VOC), nor *.txt (YOLO)",
                   annotations);
}

static int coco_load_folder(struct dataset *dataset, const char *annotations, const char *images,
                            const struct dataset_options *options, struct error *error) {
  const char *file, *split = options->split;
  if (coco_find(&dataset->arena, annotations, split, &file, error) != 0) return -1;
  if (file != NULL) return coco_load(dataset, file, images, options, error);
  return error_set(error, "%s: no %s%s.json and no other COCO file there or below it", annotations,
                   split == NULL ? "instances" : "instances_", split == NULL ? "*" : split);
}

/* ---- loading ---- */

static int check_paths(const char *annotations, const char *images, const char *split, struct error *error) {
  if (images != NULL && !folder_exists(images)) {
    return error_set(error,
                     file_exists(images) ? "%s: a file, where the folder of the pictures should be (--images)"
                                         : "%s: the image folder is not there",
                     images);
  }
  if (split != NULL && !dataset_name_safe(split))
    return error_set(error, "\"%s\" cannot be the name of a split", split);
  if (!folder_exists(annotations) && !file_exists(annotations))
    return error_set(error, "%s: no such file or folder", annotations);
  return 0;
}

static int load_file(struct dataset *dataset, enum dataset_format format, const char *path, const char *images,
                     const struct dataset_options *options, struct error *error) {
  bool json = false; /* under a name that YOLO has */
  if (format == DATASET_AUTO && name_has_suffix(path, txt_suffixes)) {
    int coco = recognise_coco("", path, error);
    if (coco < 0) return -1;
    json = coco > 0;
  }
  if (format != DATASET_COCO && !json && name_has_suffix(path, yolo_suffixes))
    return yolo_load(dataset, path, images, options->split, error);
  if (format == DATASET_VOC || format == DATASET_YOLO)
    return error_set(error, "%s: VOC and YOLO annotations are folders: name the one that this file is in", path);
  if (format == DATASET_AUTO && !name_has_suffix(path, json_suffixes)) {
    int coco = recognise_coco("", path, error);
    if (coco < 0) return -1;
    if (coco == 0) {
      return error_set(
          error,
          "%s: neither a folder nor COCO's JSON: VOC and YOLO data sets are given as their folder, or with "
          "--format coco if it is COCO all the same",
          path);
    }
  }
  if (options->split != NULL) return error_set(error, "%s: a file has no splits: name the folder, or no split", path);
  return coco_load(dataset, path, images, options, error);
}

static int load(struct dataset *dataset, enum dataset_format *format, const char *annotations, const char *images,
                const struct dataset_options *options, struct error *error) {
  if (!folder_exists(annotations)) return load_file(dataset, *format, annotations, images, options, error);
  if (*format == DATASET_AUTO && detect_folder(annotations, options->split, format, error) != 0) return -1;
  switch (*format) {
  case DATASET_VOC:
    return voc_load(dataset, annotations, images, options->split, error);
  case DATASET_YOLO:
    return yolo_load(dataset, annotations, images, options->split, error);
  default:
    return coco_load_folder(dataset, annotations, images, options, error);
  }
}

struct dataset_options dataset_defaults(void) {
  return (struct dataset_options){.max_bad_annotations = 10};
}

int dataset_load(struct dataset *dataset, const char *annotations, const char *images,
                 const struct dataset_options *options, struct error *error) {
  struct dataset_options defaults = dataset_defaults();
  if (options == NULL) options = &defaults;
  *dataset = (struct dataset){0};
  enum dataset_format format = (enum dataset_format)options->format;
  if (check_paths(annotations, images, options->split, error) != 0) return -1;
  int status = load(dataset, &format, annotations, images, options, error);
  if (status == 0) status = dataset_check_faults(dataset, annotations, options->max_bad_annotations, error);
  for (int64_t i = 0; status == 0 && i < dataset->image_count; i++)
    dataset->images[i].upright = dataset->format == DATASET_YOLO;
  if (status != 0) {
    if (!error->machine) recognise_explain(annotations, format, error);
    dataset_free(dataset);
  }
  return status;
}

void dataset_free(struct dataset *dataset) {
  free(dataset->categories);
  free(dataset->images);
  free(dataset->boxes);
  free(dataset->named);
  free(dataset->notes);
  arena_free(&dataset->arena);
  *dataset = (struct dataset){0};
}
