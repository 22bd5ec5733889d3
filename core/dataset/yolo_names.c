/* The class names of a YOLO data set: a list, one name a line, or those of a YAML; and finding them. */
#include <stdlib.h>

#include "core/dataset/yolo.h"

int yolo_names_parse(struct dataset *dataset, struct text file, const char *name, struct error *error) {
  struct text rest = text_trim(text_without_bom(file)), line;
  if (rest.size == 0) return error_set(error, "%s: no class names: write one a line", name);
  for (int number = 1; text_next_line(&rest, &line); number++) {
    char source[512];
    snprintf(source, sizeof(source), "%s:%d", name, number);
    if (line.size == 0) return error_set(error, "%s: an empty class name", source);
    const char *copy = build_name(dataset, line, source, error);
    if (copy == NULL || build_category(dataset, dataset->category_count, copy, error) != 0) return -1;
  }
  return 0;
}

/* ---- finding the files ---- */

static const char *const yaml_suffixes[] = {".yaml", ".yml", NULL};

struct search {
  struct dataset *dataset;
  struct arena *arena;
  struct yolo_data *data;
  XXH3_state_t *hash;
  struct error *error;
  struct buffer file, utf8;
};

static int read_text(struct search *search, const char *path, struct text *text) {
  if (file_read(&search->file, path, search->error) != 0) return -1;
  *text = (struct text){(const char *)search->file.data, search->file.size};
  if (!text_is_utf16(*text)) return 0;
  if (text_from_utf16(*text, path, &search->utf8, search->error) != 0) return -1;
  *text = (struct text){(const char *)search->utf8.data, search->utf8.size};
  return 0;
}

/* The first of these names that is a file in `folder`; NULL when there is none. */
static int find_usual(struct search *search, const char *folder, const char *const *names, size_t count,
                      const char **found) {
  *found = NULL;
  for (size_t i = 0; i < count; i++) {
    const char *path = path_in(search->arena, folder, names[i], search->error);
    if (path == NULL) return -1;
    if (!file_exists(path)) continue;
    *found = path;
    return 0;
  }
  return 0;
}

/* The list of class names in `folder`; NULL when there is none. */
static int find_list(struct search *search, const char *folder, const char **found) {
  static const char *const usual[] = {"classes.txt", "obj.names"};
  static const char *const suffixes[] = {".names", "_darknet.labels", NULL};
  struct name_list list;
  if (find_usual(search, folder, usual, COUNT_OF(usual), found) != 0) return -1;
  if (*found != NULL) return 0;
  if (folder_list(folder, false, suffixes, search->arena, &list, search->error) != 0) return -1;
  const char *only = list.count == 1 ? list.names[0] : NULL;
  size_t count = list.count;
  name_list_free(&list);
  if (count > 1) {
    return error_set(search->error, "%s: %zu files *.names: which one lists the classes? Copy it to classes.txt",
                     folder, count);
  }
  if (only != NULL) *found = path_in(search->arena, folder, only, search->error);
  return only != NULL && *found == NULL ? -1 : 0;
}

/* Whether a YAML of any name describes a data set: it has names of classes, or their number. */
static int describes(struct search *search, const char *path) {
  struct dataset scratch = {0};
  struct yolo_data data = {0};
  struct error ignored = {0};
  struct text text;
  if (read_text(search, path, &text) != 0) return -1;
  int status = yolo_yaml_parse(&scratch, text, path, search->arena, &data, &ignored);
  bool names = status == 0 && scratch.category_count > 0;
  free(data.entries);
  dataset_free(&scratch);
  return names;
}

/* The YAML in `folder` that describes the data set: one of the usual names, or the only one that does. */
static int find_yaml(struct search *search, const char *folder, const char **found) {
  static const char *const usual[] = {"data.yaml", "data.yml", "dataset.yaml", "dataset.yml"};
  struct name_list list;
  if (find_usual(search, folder, usual, COUNT_OF(usual), found) != 0) return -1;
  if (*found != NULL) return 0;
  if (folder_list(folder, false, yaml_suffixes, search->arena, &list, search->error) != 0) return -1;
  int status = 0;
  for (size_t i = 0; i < list.count && status == 0; i++) {
    const char *path = path_in(search->arena, folder, list.names[i], search->error);
    int names = path == NULL ? -1 : describes(search, path);
    if (names < 0) status = -1;
    if (names <= 0) continue;
    if (*found != NULL) {
      status = error_set(search->error, "%s: %s and %s both name classes: give the one that counts (--annotations)",
                         folder, name_base(*found), list.names[i]);
    }
    *found = path;
  }
  name_list_free(&list);
  return status;
}

/* ---- reading them ---- */

static int read_names(struct search *search, const char *path) {
  struct text text;
  if (read_text(search, path, &text) != 0) return -1;
  XXH3_128bits_update(search->hash, text.data, text.size);
  return yolo_names_parse(search->dataset, text, path, search->error);
}

/* With its class names unless others are known; its pictures count when it is at the root of the data. */
static int read_yaml(struct search *search, const char *path, bool root) {
  struct dataset ignored = {0};
  struct text text;
  if (read_text(search, path, &text) != 0) return -1;
  XXH3_128bits_update(search->hash, text.data, text.size);
  bool named = search->dataset->category_count > 0;
  int status =
      yolo_yaml_parse(named ? &ignored : search->dataset, text, path, search->arena, search->data, search->error);
  dataset_free(&ignored);
  if (!root) {
    search->data->entry_count = 0;
    search->data->path = NULL;
  }
  return status;
}

/* obj.data, and the file of names that it names: beside it, whatever folders are in front. */
static int read_darknet(struct search *search, const char *path, const char *folder) {
  struct text text;
  if (read_text(search, path, &text) != 0) return -1;
  XXH3_128bits_update(search->hash, text.data, text.size);
  if (yolo_darknet_parse(text, path, search->arena, search->data, search->error) != 0) return -1;
  const char *rest = search->data->names;
  while (rest != NULL) {
    const char *names = path_in(search->arena, rest[0] == '/' ? "" : folder, rest, search->error);
    if (names == NULL) return -1;
    if (file_exists(names)) return read_names(search, names);
    rest = strchr(rest, '/');
    if (rest != NULL) rest++;
  }
  return 0;
}

static int search_folders(struct search *search, const char *folder, const char *labels, bool described) {
  const char *parent = path_in(search->arena, folder, "..", search->error);
  const char *above_labels = path_in(search->arena, labels, "..", search->error);
  const char *grandparent = parent == NULL ? NULL : path_in(search->arena, parent, "..", search->error);
  if (grandparent == NULL || above_labels == NULL) return -1;
  const char *folders[] = {folder, labels, above_labels, parent, grandparent};
  const char *yaml = NULL;
  for (size_t i = 0; i < COUNT_OF(folders); i++) {
    const char *list = NULL;
    bool named = search->dataset->category_count > 0;
    if (!folder_exists(folders[i])) continue;
    if (!named && find_list(search, folders[i], &list) != 0) return -1;
    if (list != NULL && read_names(search, list) != 0) return -1;
    if (described || yaml != NULL) continue;
    if (find_yaml(search, folders[i], &yaml) != 0) return -1;
    if (yaml != NULL && read_yaml(search, yaml, i == 0) != 0) return -1;
  }
  return 0;
}

int yolo_describe(struct dataset *dataset, const char *annotations, const char *labels, struct arena *arena,
                  struct yolo_data *data, XXH3_state_t *hash, struct error *error) {
  static const char *const darknet_suffixes[] = {".data", NULL};
  struct search search = {dataset, arena, data, hash, error, {0}, {0}};
  const char *folder = annotations;
  bool yaml = false;
  int status = 0;
  if (!folder_exists(annotations)) {
    size_t size = (size_t)(name_base(annotations) - annotations);
    folder = size == 0 ? "." : arena_copy(arena, annotations, size > 1 ? size - 1 : 1);
    yaml = name_has_suffix(annotations, yaml_suffixes);
    if (folder == NULL) status = error_memory(error, size);
    if (status == 0 && yaml) status = read_yaml(&search, annotations, true);
    if (status == 0 && name_has_suffix(annotations, darknet_suffixes))
      status = read_darknet(&search, annotations, folder);
  }
  if (status == 0) status = search_folders(&search, folder, labels == NULL ? folder : labels, yaml);
  buffer_free(&search.file);
  buffer_free(&search.utf8);
  return status;
}
