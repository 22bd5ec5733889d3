/* Lists of pictures, and paths that were written elsewhere. */
#include <stdlib.h>

#include "core/dataset/yolo.h"

static const char *const list_suffixes[] = {".txt", NULL};

/* ---- paths ---- */

/* Where a path that was written on another machine, or from another folder, lies here. */
struct bases {
  const char *folders[6];
  size_t count;
  size_t last_base, last_dropped; /* what fitted last is tried first */
};

static bool is_there(const char *path, bool picture) {
  if (picture) return file_exists(path);
  return folder_exists(path) || (name_has_suffix(path, list_suffixes) && file_exists(path));
}

/* Whether FOLDER/REST is there; sets the two. "images" alone, cut off a longer path, could be any. */
static int try_base(struct yolo *yolo, struct bases *bases, size_t base, size_t dropped, const char *written,
                    bool picture, const char **folder, const char **rest) {
  bool whole = base == bases->count; /* the path as it stands */
  *folder = whole ? "" : bases->folders[base];
  *rest = path_without(written, dropped);
  if ((*rest)[0] == '\0' || ((*rest)[0] == '/') != whole) return 0;
  if (dropped > 0 && strcmp(*rest, "images") == 0) return 0;
  struct buffer path = {0};
  int status = buffer_printf(&path, yolo->error, "%s%s%s", *folder, whole ? "" : "/", *rest);
  int found = status != 0 ? -1 : is_there((const char *)path.data, picture);
  buffer_free(&path);
  if (found > 0) {
    bases->last_base = base;
    bases->last_dropped = dropped;
  }
  return found;
}

/* 1: found, 0: not, -1: error. */
static int resolve(struct yolo *yolo, struct bases *bases, const char *written, bool picture, const char **folder,
                   const char **rest) {
  int found = try_base(yolo, bases, bases->last_base, bases->last_dropped, written, picture, folder, rest);
  if (found == 0) found = try_base(yolo, bases, bases->count, 0, written, picture, folder, rest);
  for (size_t dropped = 0; found == 0 && path_without(written, dropped)[0] != '\0'; dropped++) {
    for (size_t base = 0; found == 0 && base < bases->count; base++) {
      const char *from = dropped == 0 ? written + strspn(written, "/") : written;
      found = try_base(yolo, bases, base, dropped, from, picture, folder, rest);
    }
  }
  return found;
}

static int add_base(struct yolo *yolo, struct bases *bases, const char *folder, const char *below) {
  const char *path = below == NULL ? folder : path_in(&yolo->arena, folder, below, yolo->error);
  if (path == NULL) return -1;
  if (folder_exists(path)) bases->folders[bases->count++] = path;
  return 0;
}

/* Paths are relative to the given pictures, to `own` (the list's folder), to the root that the YAML names, to the
 * YAML's folder, to a folder of that root's name in or beside it. */
static int find_bases(struct yolo *yolo, const char *own, struct bases *bases) {
  *bases = (struct bases){0};
  const char *path = yolo->data.path == NULL ? NULL : path_clean(&yolo->arena, text_of(yolo->data.path), yolo->error);
  if (yolo->data.path != NULL && path == NULL) return -1;
  if (yolo->images != NULL && add_base(yolo, bases, yolo->images, NULL) != 0) return -1;
  if (own != NULL && add_base(yolo, bases, own, NULL) != 0) return -1;
  if (path != NULL && add_base(yolo, bases, path[0] == '/' ? path : yolo->root, path[0] == '/' ? NULL : path) != 0) {
    return -1;
  }
  if (add_base(yolo, bases, yolo->root, NULL) != 0) return -1;
  if (path != NULL && add_base(yolo, bases, yolo->root, name_base(path)) != 0) return -1;
  return own != NULL ? add_base(yolo, bases, yolo->root, "..") : 0;
}

/* ---- lists of pictures ---- */

static int add_listed(struct yolo *yolo, struct bases *bases, const char *own, const char *written) {
  const char *folder, *rest;
  int found = resolve(yolo, bases, written, true, &folder, &rest);
  if (found < 0) return -1;
  if (found == 0) { /* missing: whoever opens it will tell */
    folder = yolo->images != NULL ? yolo->images : own;
    rest = dataset_name_safe(written) ? written : name_base(written);
  }
  if (dataset_name_safe(rest)) return yolo_add_picture(yolo, folder, rest);
  const char *whole = path_in(&yolo->arena, folder, rest, yolo->error);
  const char *parent = whole == NULL ? NULL : yolo_copy(yolo, name_folder(whole));
  return parent == NULL ? -1 : yolo_add_picture(yolo, parent, name_base(rest));
}

/* What is no picture, in the words of people who gave a label file, or a list of them. */
static int check_line(struct yolo *yolo, const char *list, int number, struct text line) {
  static const char *const text_suffixes[] = {".txt", NULL};
  struct text rest = line, word;
  size_t words = 0, numbers = 0;
  double value;
  while (text_next_word(&rest, &word)) {
    words++;
    numbers += text_number(word, &value);
  }
  if (words >= 5 && numbers == words)
    return error_set(yolo->error, "%s is a label file: name the folder that it lies in, or that of the data set", list);
  char *name = arena_copy(&yolo->arena, line.data, line.size);
  if (name == NULL) return error_memory(yolo->error, line.size);
  if (!name_has_suffix(name, text_suffixes)) return 0;
  return error_set(yolo->error, "%s:%d: \"%s\" is no picture: list the pictures, their labels are found", list, number,
                   text_show(line).string);
}

int yolo_add_list(struct yolo *yolo, const char *list) {
  struct buffer file = {0}, utf8 = {0};
  struct bases bases;
  const char *own = name_base(list) == list ? "." : yolo_copy(yolo, name_folder(list));
  if (own == NULL || find_bases(yolo, own, &bases) != 0) return -1;
  int status = file_read(&file, list, yolo->error);
  struct text rest = {(const char *)file.data, file.size}, line;
  if (status == 0 && text_is_utf16(rest)) {
    status = text_from_utf16(rest, list, &utf8, yolo->error);
    rest = (struct text){(const char *)utf8.data, utf8.size};
  }
  rest = text_without_bom(rest);
  for (int number = 1; status == 0 && text_next_line(&rest, &line); number++) {
    if (line.size == 0) continue;
    if ((status = check_line(yolo, list, number, line)) != 0) break;
    const char *written = utf8_valid(line.data, line.size, NULL) ? path_clean(&yolo->arena, line, yolo->error) : NULL;
    if (written != NULL && name_base(written)[0] != '\0' && strcmp(name_base(written), "..") != 0) {
      status = add_listed(yolo, &bases, own, written);
    } else {
      status =
          error_set(yolo->error, "%s:%d: \"%s\" cannot be the name of a picture", list, number, text_show(line).string);
    }
  }
  buffer_free(&file);
  buffer_free(&utf8);
  return status;
}

/* ---- what the YAML lists ---- */

int yolo_add_entries(struct yolo *yolo, size_t *used) {
  struct bases bases;
  *used = 0;
  if (find_bases(yolo, NULL, &bases) != 0) return -1;
  for (size_t i = 0; i < yolo->data.entry_count; i++) {
    const struct yolo_entry *entry = &yolo->data.entries[i];
    const char *folder, *rest, *written = path_clean(&yolo->arena, text_of(entry->path), yolo->error);
    if (written == NULL) return -1;
    if (yolo->split != NULL && strcmp(yolo_split(yolo->split), entry->split) != 0) continue;
    bases.last_base = bases.last_dropped = 0;
    int found = resolve(yolo, &bases, written, false, &folder, &rest);
    if (found < 0) return -1;
    if (found == 0) {
      if (dataset_note(yolo->dataset, yolo->error, "%s: %s: \"%s\" is not there: left out", yolo->annotations,
                       entry->split, entry->path) != 0) {
        return -1;
      }
      continue;
    }
    const char *path = folder[0] == '\0' ? rest : path_in(&yolo->arena, folder, rest, yolo->error);
    if (path == NULL) return -1;
    if ((folder_exists(path) ? yolo_add_folder(yolo, path, NULL) : yolo_add_list(yolo, path)) != 0) return -1;
    ++*used;
  }
  return 0;
}
