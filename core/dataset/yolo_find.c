/* The label files of a YOLO data set, and which picture each belongs to. */
#include <stdlib.h>
#include <strings.h>

#include <utf8proc.h>

#include "core/dataset/yolo.h"

static const char *const label_suffixes[] = {".txt", NULL};

/* ---- listing them ---- */

const char *yolo_copy(struct yolo *yolo, struct text text) {
  const char *copy = arena_copy(&yolo->arena, text.data, text.size);
  if (copy == NULL) error_memory(yolo->error, text.size);
  return copy;
}

static int add_label(struct yolo *yolo, const char *path, bool stray_counts) {
  void *items = yolo->labels_found;
  int status =
      array_reserve(&items, &yolo->label_capacity, yolo->label_count + 1, sizeof(*yolo->labels_found), yolo->error);
  yolo->labels_found = items;
  if (status != 0) return -1;
  struct text stem = {path, name_stem(path)};
  yolo->labels_found[yolo->label_count] = (struct label){.path = path, .stray_counts = stray_counts};
  return path_table_add(&yolo->stems, stem, (int64_t)yolo->label_count++, yolo->error);
}

int yolo_list_labels(struct yolo *yolo, const char *folder, bool recursive, bool stray_counts) {
  struct name_list list;
  if (path_table_find(&yolo->listed, text_of(folder)) >= 0) return 0;
  if (path_table_add(&yolo->listed, text_of(folder), 0, yolo->error) != 0) return -1;
  if (!folder_exists(folder)) return 0;
  if (folder_list(folder, recursive, label_suffixes, &yolo->arena, &list, yolo->error) != 0) return -1;
  int status = 0;
  for (size_t i = 0; i < list.count && status == 0; i++) {
    const char *path = path_in(&yolo->arena, folder, list.names[i], yolo->error);
    status = path == NULL ? -1 : path_table_add(&yolo->listed, name_folder(path), 0, yolo->error);
    if (status == 0) status = add_label(yolo, path, stray_counts);
  }
  name_list_free(&list);
  return status;
}

const char *yolo_find_part(const char *path, const char *part) {
  size_t size = strlen(part);
  for (const char *at = path + strlen(path); at-- > path;) {
    bool begins = at == path || at[-1] == '/';
    if (begins && strncasecmp(at, part, size) == 0 && (at[size] == '/' || at[size] == '\0')) return at;
  }
  return NULL;
}

const char *yolo_replace_part(struct arena *arena, const char *path, const char *from, const char *to) {
  const char *at = yolo_find_part(path, from);
  if (at == NULL) return NULL;
  size_t total = strlen(path) + strlen(to) + 1;
  char *replaced = arena_alloc(arena, total);
  if (replaced == NULL) return NULL;
  snprintf(replaced, total, "%.*s%s%s", (int)(at - path), path, to, at + strlen(from));
  if (at[0] == from[0] - 'a' + 'A') replaced[at - path] = (char)(to[0] - 'a' + 'A');
  return replaced;
}

/* The folder of labels that belongs to a folder of pictures: images/ is labels/ there, or else one of the last folders
 * is. NULL when there is none. */
static const char *labels_beside(struct yolo *yolo, const char *pictures) {
  enum { TRIED = 3 };
  const char *replaced = yolo_replace_part(&yolo->arena, pictures, "images", "labels");
  if (replaced != NULL) return folder_exists(replaced) ? replaced : NULL;
  struct buffer path = {0};
  const char *end = pictures + strlen(pictures), *found = NULL;
  for (int i = 0; i < TRIED && found == NULL && end > pictures; i++) {
    const char *start = end;
    while (start > pictures && start[-1] != '/')
      start--;
    path.size = 0;
    if (buffer_printf(&path, yolo->error, "%.*slabels%s", (int)(start - pictures), pictures, end) != 0) break;
    if (folder_exists((const char *)path.data) && strcmp((const char *)path.data, pictures) != 0) {
      found = arena_copy(&yolo->arena, (const char *)path.data, strlen((const char *)path.data));
    }
    end = start > pictures ? start - 1 : pictures;
  }
  buffer_free(&path);
  return found;
}

/* Where the labels of the pictures in one folder may be. */
struct label_folders {
  struct text pictures;
  const char *folders[3];
  size_t count;
};

static int find_label_folders(struct yolo *yolo, const struct picture *picture, const char *path,
                              struct label_folders *found) {
  struct text folder = name_folder(path), below = name_folder(picture->name);
  if (found->count > 0 && text_equal(found->pictures, folder)) return 0;
  const char *own = yolo_copy(yolo, folder), *inner = yolo_copy(yolo, below);
  if (own == NULL || inner == NULL) return -1;
  *found = (struct label_folders){.pictures = text_of(own)};
  if (yolo->labels != NULL) {
    const char *given = below.size == 0 ? yolo->labels : path_in(&yolo->arena, yolo->labels, inner, yolo->error);
    if (given == NULL) return -1;
    found->folders[found->count++] = given;
  }
  if (!yolo->apart) {
    const char *beside = labels_beside(yolo, own);
    if (beside != NULL) found->folders[found->count++] = beside;
    found->folders[found->count++] = own;
  }
  for (size_t i = 0; i < found->count; i++)
    if (yolo_list_labels(yolo, found->folders[i], false, false) != 0) return -1;
  return 0;
}

/* In the buffer, so that names can be compared as some systems do: without letter case, accents in one form. */
static int fold(struct buffer *path, struct error *error) {
  utf8proc_uint8_t *folded = NULL;
  utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD;
  utf8proc_ssize_t size = utf8proc_map(path->data, (utf8proc_ssize_t)path->size, &folded, how);
  if (size == UTF8PROC_ERROR_NOMEM) return error_memory(error, path->size);
  if (size < 0) return 0; /* not UTF-8: as it is */
  path->size = 0;
  int status = buffer_append(path, folded, (size_t)size, error);
  free(folded);
  return status;
}

/* The label of a picture in one of the folders: STEM.txt, or NAME.txt; -1: none, -2: error. */
static int64_t look_up(struct yolo *yolo, const struct path_table *table, bool folded, const char *name,
                       const struct label_folders *folders, struct buffer *path) {
  for (size_t i = 0; i < folders->count; i++) {
    for (int whole = 0; whole < 2; whole++) {
      struct text stem = {name, whole ? strlen(name) : name_stem(name)};
      if (path_build(path, folders->folders[i], stem, "", yolo->error) == NULL) return -2;
      path->size--; /* without the NUL */
      if (folded && fold(path, yolo->error) != 0) return -2;
      int64_t found = path_table_find(table, (struct text){(const char *)path->data, path->size});
      if (found >= 0) return found;
    }
  }
  return -1;
}

static const char *picture_path(struct yolo *yolo, const struct picture *picture, struct buffer *path) {
  return path_build(path, picture->folder, text_of(picture->name), "", yolo->error);
}

/* Gives each picture its label; in a second pass, those that are left their labels in another letter case. */
static int match_labels(struct yolo *yolo, const struct path_table *table, bool folded) {
  struct label_folders folders = {0};
  struct buffer path = {0};
  int status = 0;
  for (size_t i = 0; i < yolo->picture_count && status == 0; i++) {
    struct picture *picture = &yolo->pictures[i];
    if (picture->label >= 0) continue;
    const char *whole = picture_path(yolo, picture, &path);
    status = whole == NULL ? -1 : find_label_folders(yolo, picture, whole, &folders);
    if (status != 0) break;
    picture->label = look_up(yolo, table, folded, name_base(picture->name), &folders, &path);
    if (picture->label == -2) status = -1;
    if (picture->label >= 0) yolo->labels_found[picture->label].used = true;
  }
  buffer_free(&path);
  return status;
}

static int match_folded(struct yolo *yolo) {
  struct path_table table = {0};
  struct buffer path = {0};
  int status = 0;
  for (size_t i = 0; i < yolo->label_count && status == 0; i++) {
    const struct label *label = &yolo->labels_found[i];
    if (label->used) continue;
    path.size = 0;
    status = buffer_append(&path, label->path, name_stem(label->path), yolo->error);
    if (status == 0) status = fold(&path, yolo->error);
    const char *stem = status != 0 ? NULL : yolo_copy(yolo, (struct text){(const char *)path.data, path.size});
    status = stem == NULL ? -1 : path_table_add(&table, (struct text){stem, path.size}, (int64_t)i, yolo->error);
  }
  if (status == 0 && table.count > 0) status = match_labels(yolo, &table, true);
  path_table_free(&table);
  buffer_free(&path);
  return status;
}

int yolo_match_labels(struct yolo *yolo, size_t *labelled) {
  if (match_labels(yolo, &yolo->stems, false) != 0 || match_folded(yolo) != 0) return -1;
  *labelled = 0;
  for (size_t i = 0; i < yolo->picture_count; i++)
    *labelled += yolo->pictures[i].label >= 0;
  return 0;
}

static struct text base_stem(const char *path) {
  const char *base = name_base(path);
  return (struct text){base, name_stem(base)};
}

/* Adds a path's base name, or to `several` if it is there already. */
static int add_base(struct yolo *yolo, struct path_table *once, struct path_table *several, const char *path,
                    size_t number) {
  struct text base = base_stem(path);
  return path_table_add(path_table_find(once, base) < 0 ? once : several, base, (int64_t)number, yolo->error);
}

int yolo_match_bases(struct yolo *yolo, size_t *labelled) {
  struct path_table labels = {0}, pictures = {0}, several = {0};
  const struct picture *first = NULL;
  int status = 0;
  *labelled = 0;
  for (size_t i = 0; i < yolo->label_count && status == 0; i++)
    status = add_base(yolo, &labels, &several, yolo->labels_found[i].path, i);
  for (size_t i = 0; i < yolo->picture_count && status == 0; i++)
    status = add_base(yolo, &pictures, &several, yolo->pictures[i].name, i);
  for (size_t i = 0; i < yolo->picture_count && status == 0; i++) {
    struct picture *picture = &yolo->pictures[i];
    struct text base = base_stem(picture->name);
    if (path_table_find(&several, base) >= 0 || (picture->label = path_table_find(&labels, base)) < 0) continue;
    yolo->labels_found[picture->label].used = true;
    if (first == NULL) first = picture;
    ++*labelled;
  }
  if (status == 0 && first != NULL) {
    status = dataset_note(yolo->dataset, yolo->error,
                          "%zu pictures have their labels in another folder, found by name; the first: %s has %s",
                          *labelled, first->name, yolo->labels_found[first->label].path);
  }
  path_table_free(&labels);
  path_table_free(&pictures);
  path_table_free(&several);
  return status;
}

/* What tools put beside the labels. */
static bool is_no_label(const char *path) {
  return strcmp(name_base(path), "classes.txt") == 0 || name_is_note(path);
}

int yolo_count_strays(struct yolo *yolo) {
  for (size_t i = 0; i < yolo->label_count; i++) {
    const struct label *label = &yolo->labels_found[i];
    if (label->used || !label->stray_counts || is_no_label(label->path)) continue;
    if (dataset_fault(yolo->dataset, DATASET_STRAY, yolo->error, "%s: there is no picture of that name", label->path) !=
        0)
      return -1;
  }
  return 0;
}

/* ---- pictures ---- */

int yolo_add_picture(struct yolo *yolo, const char *folder, const char *name) {
  const char *path = path_in(&yolo->arena, folder, name, yolo->error);
  if (path == NULL) return -1;
  size_t before = yolo->known.count;
  if (path_table_add(&yolo->known, text_of(path), 0, yolo->error) != 0) return -1;
  if (yolo->known.count == before) return 0;
  void *items = yolo->pictures;
  int status =
      array_reserve(&items, &yolo->picture_capacity, yolo->picture_count + 1, sizeof(*yolo->pictures), yolo->error);
  yolo->pictures = items;
  if (status == 0)
    yolo->pictures[yolo->picture_count++] = (struct picture){.folder = folder, .name = name, .label = -1};
  return status;
}

int yolo_add_folder(struct yolo *yolo, const char *folder, const char *labels) {
  struct name_list list;
  if (labels == NULL) labels = labels_beside(yolo, folder);
  if (labels != NULL && strcmp(labels, folder) != 0 && yolo_list_labels(yolo, labels, true, true) != 0) return -1;
  if (folder_list(folder, true, picture_suffixes, &yolo->arena, &list, yolo->error) != 0) return -1;
  int status = 0;
  for (size_t i = 0; i < list.count && status == 0; i++)
    status = yolo_add_picture(yolo, folder, list.names[i]);
  name_list_free(&list);
  return status;
}
