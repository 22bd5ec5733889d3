/* Names in folders, and paths made of them. */
#include "core/dataset/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { FOLDER_DEPTH_MAX = 16 };

/* Written by our tools into whatever folder they fill: a store inside a data set is no part of it. */
static const char product_mark[] = "run.json";

const char *const picture_suffixes[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff",
                                        ".bmp", ".gif",  ".tga", ".ppm",  ".pgm", ".pnm",  NULL};

bool name_has_suffix(const char *name, const char *const *suffixes) {
  size_t size = strlen(name);
  for (; *suffixes != NULL; suffixes++) {
    size_t tail = strlen(*suffixes);
    if (size > tail && strcasecmp(name + size - tail, *suffixes) == 0) return true;
  }
  return false;
}

const char *name_base(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

struct text name_folder(const char *path) {
  const char *base = name_base(path);
  return (struct text){path, base - path > 1 ? (size_t)(base - path) - 1 : (size_t)(base - path)};
}

size_t name_stem(const char *name) {
  const char *dot = strrchr(name_base(name), '.');
  return dot == NULL ? strlen(name) : (size_t)(dot - name);
}

bool folder_exists(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

char *path_in(struct arena *arena, const char *folder, const char *name, struct error *error) {
  char *path = path_join(arena, folder, name);
  if (path == NULL) error_memory(error, strlen(folder) + strlen(name) + 2);
  return path;
}

const char *path_build(struct buffer *path, const char *folder, struct text stem, const char *suffix,
                       struct error *error) {
  path->size = 0;
  if (buffer_append(path, folder, strlen(folder), error) != 0 || buffer_append(path, "/", 1, error) != 0 ||
      buffer_append(path, stem.data, stem.size, error) != 0 ||
      buffer_append(path, suffix, strlen(suffix) + 1, error) != 0) {
    return NULL;
  }
  return (const char *)path->data;
}

const char *path_clean(struct arena *arena, struct text written, struct error *error) {
  char *path = arena_copy(arena, written.data, written.size), *out = path;
  if (path == NULL) {
    error_memory(error, written.size);
    return NULL;
  }
  for (char *at = path; (at = strchr(at, '\\')) != NULL;)
    *at = '/';
  if (path[0] == '/') out++;
  for (const char *part = path + strspn(path, "/"); *part != '\0';) {
    size_t size = strcspn(part, "/"), after = size + strspn(part + size, "/");
    if (!(size == 1 && part[0] == '.')) {
      if (out > path && out[-1] != '/') *out++ = '/';
      memmove(out, part, size);
      out += size;
    }
    part += after;
  }
  *out = '\0';
  return path;
}

const char *path_without(const char *path, size_t parts) {
  for (; parts > 0 && *path != '\0'; parts--) {
    path += strspn(path, "/");
    path += strcspn(path, "/");
    path += strspn(path, "/");
  }
  return path;
}

struct walk {
  const char *root;
  const char *const *suffixes;
  bool recursive;
  struct arena *arena;
  struct name_list *list;
  struct error *error;
};

static int list_add(struct name_list *list, char *name, struct error *error) {
  void *items = list->names;
  int status = array_reserve(&items, &list->capacity, list->count + 1, sizeof(*list->names), error);
  list->names = items;
  if (status == 0) list->names[list->count++] = name;
  return status;
}

/* The type that the folder tells costs no look at the entry. */
static bool entry_is_folder(const struct dirent *entry, DIR *directory) {
  struct stat status;
  if (entry->d_type != DT_LNK && entry->d_type != DT_UNKNOWN) return entry->d_type == DT_DIR;
  return fstatat(dirfd(directory), entry->d_name, &status, 0) == 0 && S_ISDIR(status.st_mode);
}

/* Takes what is wanted of one folder, and sets `folders` to those that are in it. */
static int walk_entries(struct walk *walk, const char *below, const char *folder, struct name_list *folders) {
  DIR *directory = opendir(folder);
  if (directory == NULL) return error_system(walk->error, "%s: cannot list", folder);
  int status = 0;
  for (struct dirent *entry; status == 0 && (errno = 0, entry = readdir(directory)) != NULL;) {
    const char *name = entry->d_name;
    bool wanted = name_has_suffix(name, walk->suffixes);
    if (name[0] == '.' || (!wanted && !walk->recursive)) continue;
    bool is_folder = (!wanted || entry->d_type == DT_DIR) && entry_is_folder(entry, directory);
    if (is_folder ? !walk->recursive : !wanted) continue;
    if (!is_folder && !utf8_valid(name, strlen(name), NULL)) {
      status = error_set(walk->error, "%s: the file name \"%s\" is not UTF-8: rename the file", folder,
                         text_show(text_of(name)).string);
      break;
    }
    char *copy = below[0] == '\0' ? arena_copy(walk->arena, name, strlen(name)) : path_join(walk->arena, below, name);
    status = copy == NULL ? error_memory(walk->error, strlen(name))
                          : list_add(is_folder ? folders : walk->list, copy, walk->error);
  }
  if (status == 0 && errno != 0) status = error_system(walk->error, "%s: cannot list", folder);
  closedir(directory);
  return status;
}

static int walk_folder(struct walk *walk, const char *below, int depth);

/* What is below folder `name`, unless it is a product. */
static int walk_below(struct walk *walk, const char *name, int depth) {
  const char *path = path_in(walk->arena, walk->root, name, walk->error);
  const char *mark = path == NULL ? NULL : path_in(walk->arena, path, product_mark, walk->error);
  if (mark == NULL) return -1;
  if (file_exists(mark)) return 0;
  if (depth == FOLDER_DEPTH_MAX) {
    return error_set(walk->error, "%s: folders more than %d deep: is there a link to a parent?", path, depth);
  }
  return walk_folder(walk, name, depth + 1);
}

static int walk_folder(struct walk *walk, const char *below, int depth) {
  const char *folder = below[0] == '\0' ? walk->root : path_in(walk->arena, walk->root, below, walk->error);
  struct name_list folders = {0};
  int status = folder == NULL ? -1 : walk_entries(walk, below, folder, &folders);
  for (size_t i = 0; i < folders.count && status == 0; i++)
    status = walk_below(walk, folders.names[i], depth);
  name_list_free(&folders);
  return status;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

int folder_list(const char *folder, bool recursive, const char *const *suffixes, struct arena *arena,
                struct name_list *list, struct error *error) {
  *list = (struct name_list){0};
  struct walk walk = {folder, suffixes, recursive, arena, list, error};
  if (walk_folder(&walk, "", 1) != 0) {
    name_list_free(list);
    return -1;
  }
  if (list->count > 1) qsort(list->names, list->count, sizeof(*list->names), compare_names);
  return 0;
}

void name_list_free(struct name_list *list) {
  free(list->names);
  *list = (struct name_list){0};
}
