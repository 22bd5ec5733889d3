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

/* Where the pictures of ROOT/annotations/instances_SPLIT.json usually are. */
static const char *coco_find_images(struct arena *arena, const char *file, struct error *error) {
  const char *base = name_base(file);
  size_t prefix = strlen("instances_");
  bool named = strncmp(base, "instances_", prefix) == 0 && name_stem(base) > prefix;
  const char *folder = base == file ? "." : arena_copy(arena, file, (size_t)(base - file));
  char *split = named ? arena_copy(arena, base + prefix, name_stem(base) - prefix) : arena_copy(arena, "images", 6);
  if (folder == NULL || split == NULL) {
    error_memory(error, strlen(file));
    return NULL;
  }
  static const char *const patterns[] = {"../images", "images", ".."};
  for (size_t i = COUNT_OF(patterns); i-- > 0;) { /* the split's own folder first */
    const char *path = path_in(arena, folder, patterns[i], error);
    if (path == NULL || (path = path_in(arena, path, split, error)) == NULL) return NULL;
    if (folder_exists(path)) return path;
  }
  for (size_t i = 0; i < 2; i++) {
    const char *path = path_in(arena, folder, patterns[i], error);
    if (path == NULL || folder_exists(path)) return path;
  }
  error_set(error, "%s: no folder \"%s\" or \"images\" beside it: say where the pictures are", file, split);
  return NULL;
}

static int coco_load(struct dataset *dataset, const char *path, const char *images, struct error *error) {
  struct mapped mapped = {.page = (size_t)sysconf(_SC_PAGESIZE)};
  const char *folder = images != NULL ? images : coco_find_images(&dataset->arena, path, error);
  if (folder == NULL) return -1;
  if (file_map_open(&mapped.map, path, error) != 0) return -1;
  int status = coco_parse(dataset, (const char *)mapped.map.data, mapped.map.size, path, release_pages, &mapped, error);
  file_map_close(&mapped.map);
  return status == 0 ? build_folder(dataset, folder, error) : -1;
}

/* ---- what a folder holds ---- */

static const char *const json_suffixes[] = {".json", NULL};
static const char *const xml_suffixes[] = {".xml", NULL};
static const char *const txt_suffixes[] = {".txt", NULL};
static const char *const yolo_suffixes[] = {".yaml", ".yml", ".data", ".txt",
                                            NULL}; /* files that describe a data set */

/* 1: `folder` holds such a file, 0: no, -1: error. */
static int holds(const char *folder, bool recursive, const char *const *suffixes, struct error *error) {
  struct arena arena = {0};
  struct name_list list;
  int status = folder_list(folder, recursive, suffixes, &arena, &list, error);
  if (status == 0) status = list.count > 0;
  if (status >= 0) name_list_free(&list);
  arena_free(&arena);
  return status;
}

/* Sets *file to instances_SPLIT.json, or the only instances*.json, in FOLDER/annotations or FOLDER; NULL when there is
 * none. */
static int coco_find(struct arena *arena, const char *annotations, const char *split, const char **file,
                     struct error *error) {
  *file = NULL;
  const char *below = path_in(arena, annotations, "annotations", error);
  if (below == NULL) return -1;
  const char *folder = folder_exists(below) ? below : annotations, *found = NULL;
  struct name_list list;
  if (folder_list(folder, false, json_suffixes, arena, &list, error) != 0) return -1;
  size_t matches = 0, prefix = strlen("instances");
  for (size_t i = 0; i < list.count; i++) {
    const char *name = list.names[i];
    if (strncmp(name, "instances", prefix) != 0) continue;
    struct text rest = {name + prefix, name_stem(name) - prefix};
    bool wanted = split == NULL || (rest.size > 0 && rest.data[0] == '_' &&
                                    text_equal((struct text){rest.data + 1, rest.size - 1}, text_of(split)));
    if (!wanted) continue;
    found = name;
    matches++;
  }
  name_list_free(&list);
  if (matches > 1) return error_set(error, "%s: several files instances_*.json: choose a split", folder);
  if (matches == 0) return 0;
  *file = path_in(arena, folder, found, error);
  return *file == NULL ? -1 : 0;
}

static int detect_folder(const char *annotations, const char *split, enum dataset_format *format, struct error *error) {
  struct arena arena = {0};
  const char *file = NULL;
  *format = DATASET_AUTO;
  const char *below = path_in(&arena, annotations, "Annotations", error);
  int status = below == NULL ? -1 : folder_exists(below) ? 1 : holds(annotations, false, xml_suffixes, error);
  if (status > 0) *format = DATASET_VOC;
  if (status == 0) {
    status = coco_find(&arena, annotations, split, &file, error);
    if (file != NULL) *format = DATASET_COCO;
  }
  if (status == 0 && *format == DATASET_AUTO) {
    status = holds(annotations, true, txt_suffixes, error);
    if (status > 0) *format = DATASET_YOLO;
  }
  arena_free(&arena);
  if (status < 0) return -1;
  if (*format != DATASET_AUTO) return 0;
  if (split != NULL) return error_set(error, "%s: no annotations of a split \"%s\" found", annotations, split);
  return error_set(error,
                   "%s: no annotations found: neither instances_*.json (COCO), nor *.xml (VOC), nor *.txt (YOLO)",
                   annotations);
}

static int coco_load_folder(struct dataset *dataset, const char *annotations, const char *images, const char *split,
                            struct error *error) {
  const char *file;
  if (coco_find(&dataset->arena, annotations, split, &file, error) != 0) return -1;
  if (file != NULL) return coco_load(dataset, file, images, error);
  return error_set(error, "%s: no %s%s.json there or in annotations/ below it", annotations,
                   split == NULL ? "instances" : "instances_", split == NULL ? "*" : split);
}

/* ---- loading ---- */

static int load(struct dataset *dataset, enum dataset_format format, const char *annotations, const char *images,
                const char *split, struct error *error) {
  if (images != NULL && !folder_exists(images)) return error_set(error, "%s: the image folder is not there", images);
  if (split != NULL && !dataset_name_safe(split))
    return error_set(error, "\"%s\" cannot be the name of a split", split);
  if (!folder_exists(annotations)) {
    if (format != DATASET_COCO && file_exists(annotations) && name_has_suffix(annotations, yolo_suffixes))
      return yolo_load(dataset, annotations, images, split, error);
    bool json = name_has_suffix(annotations, json_suffixes);
    if (!file_exists(annotations)) return error_set(error, "%s: no such file or folder", annotations);
    if (format == DATASET_AUTO && !json) {
      return error_set(
          error,
          "%s: neither a folder nor a .json file: VOC and YOLO data sets are given as their folder; COCO in a file "
          "of this name needs --format coco",
          annotations);
    }
    if (format == DATASET_VOC || format == DATASET_YOLO) {
      return error_set(error, "%s: VOC and YOLO annotations are folders: name the one that this file is in",
                       annotations);
    }
    if (split != NULL) return error_set(error, "%s: a file has no splits: name the folder, or no split", annotations);
    return coco_load(dataset, annotations, images, error);
  }
  if (format == DATASET_AUTO && detect_folder(annotations, split, &format, error) != 0) return -1;
  switch (format) {
  case DATASET_VOC:
    return voc_load(dataset, annotations, images, split, error);
  case DATASET_YOLO:
    return yolo_load(dataset, annotations, images, split, error);
  default:
    return coco_load_folder(dataset, annotations, images, split, error);
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
  int status = load(dataset, (enum dataset_format)options->format, annotations, images, options->split, error);
  if (status == 0) status = dataset_check_faults(dataset, annotations, options->max_bad_annotations, error);
  if (status != 0) dataset_free(dataset);
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
