/* Where in a folder the COCO file is, and where its pictures are. */
#include <string.h>

#include "core/dataset/internal.h"

static const char *const json_suffixes[] = {".json", NULL};
static const char roboflow_name[] = "_annotations.coco.json";

/* ---- the file ---- */

static bool is_letter(char c) {
  c |= 0x20;
  return c >= 'a' && c <= 'z';
}

/* Whether `split` stands in a path as a word: "train" in lvis_v1_train.json and train2017/all.json, not in trains.json.
 */
static bool has_word(const char *path, const char *split) {
  size_t size = strlen(split);
  for (const char *at = path; (at = strstr(at, split)) != NULL; at++) {
    if ((at == path || !is_letter(at[-1])) && !is_letter(at[size])) return true;
  }
  return false;
}

/* Roboflow calls val valid. */
static bool has_split(const char *path, const char *split) {
  if (has_word(path, split)) return true;
  if (strcmp(split, "val") == 0) return has_word(path, "valid") || has_word(path, "validation");
  return strcmp(split, "valid") == 0 && has_word(path, "val");
}

/* How far a file is below the folder; annotations/ is no depth. */
static int depth_of(const char *path) {
  int depth = 0;
  if (strncmp(path, "annotations/", strlen("annotations/")) == 0) depth--;
  for (const char *at = path; (at = strchr(at, '/')) != NULL; at++)
    depth++;
  return depth;
}

/* How much a name promises: the higher the better; 0: another split. Up to ANY_NAME it says nothing of COCO. */
enum { ANY_NAME = 1000, KIND = 1000 };

static int promise(const char *path, const char *split) {
  const char *base = name_base(path);
  size_t prefix = strlen("instances");
  bool instances = strncmp(base, "instances", prefix) == 0;
  struct text rest = {base + prefix, instances ? name_stem(base) - prefix : 0};
  int kind = instances ? 3 : strcmp(base, roboflow_name) == 0 ? 2 : 1;
  if (split != NULL) {
    bool exact =
        rest.size > 0 && rest.data[0] == '_' && text_equal((struct text){rest.data + 1, rest.size - 1}, text_of(split));
    if (exact) return 5 * KIND - depth_of(path);
    if (!has_split(path, split)) return 0;
  }
  return kind * KIND - depth_of(path);
}

/* Fills `best` with the files that promise most, when that is more than any name does; else with those of any name that
 * look like COCO. */
static int choose_files(const char *folder, const char *split, const struct name_list *list, struct name_list *best,
                        struct error *error) {
  enum { LOOKED_AT = 200 };
  int highest = 0, looked = 0;
  for (int pass = 0; pass < 2 && best->count == 0; pass++) {
    for (size_t i = 0; i < list->count; i++) {
      int value = promise(list->names[i], split);
      if (value < highest || value == 0 || (pass == 0) != (value > ANY_NAME)) continue;
      if (pass == 1) {
        if (name_is_note(list->names[i])) continue; /* Label Studio's notes.json beside YOLO labels */
        if (looked++ == LOOKED_AT) break;
        int coco = recognise_coco(folder, list->names[i], error);
        if (coco < 0) return -1;
        if (coco == 0) continue;
      }
      if (value > highest) best->count = 0;
      highest = value;
      void *items = best->names;
      int status = array_reserve(&items, &best->capacity, best->count + 1, sizeof(*best->names), error);
      best->names = items;
      if (status != 0) return -1;
      best->names[best->count++] = list->names[i];
    }
  }
  return 0;
}

static int fail_several(const char *folder, const struct name_list *files, struct error *error) {
  enum { SHOWN = 6 };
  char names[600] = "";
  size_t used = 0;
  for (size_t i = 0; i < files->count && i < SHOWN; i++) {
    used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%.80s", i > 0 ? ", " : "", files->names[i]);
  }
  return error_set(error, "%s: several COCO files (%s%s): choose a split (--split), or name the file itself", folder,
                   names, files->count > SHOWN ? ", ..." : "");
}

int coco_find(struct arena *arena, const char *folder, const char *split, const char **file, struct error *error) {
  struct name_list list, best = {0};
  *file = NULL;
  if (folder_list(folder, true, json_suffixes, arena, &list, error) != 0) return -1;
  int status = choose_files(folder, split, &list, &best, error);
  if (status == 0 && best.count > 1) status = fail_several(folder, &best, error);
  if (status == 0 && best.count == 1) {
    *file = path_in(arena, folder, best.names[0], error);
    status = *file == NULL ? -1 : 0;
  }
  name_list_free(&best);
  name_list_free(&list);
  return status;
}

/* ---- its pictures ---- */

/* Whether one of the first pictures lies there: 1, 0, or -1. */
static int holds_pictures(const struct dataset *dataset, const char *folder, struct error *error) {
  enum { TRIED = 8 };
  struct arena scratch = {0};
  int found = 0;
  for (int64_t i = 0; i < dataset->image_count && i < TRIED && found == 0; i++) {
    const char *path = path_in(&scratch, folder, dataset->images[i].file_name, error);
    found = path == NULL ? -1 : file_exists(path);
  }
  arena_free(&scratch);
  return found;
}

/* Whether there are pictures at all, however deep. */
static int holds_any_picture(const char *folder, struct error *error) {
  struct arena arena = {0};
  struct name_list list;
  if (folder_list(folder, true, picture_suffixes, &arena, &list, error) != 0) {
    arena_free(&arena);
    return -1;
  }
  int found = list.count > 0;
  name_list_free(&list);
  arena_free(&arena);
  return found;
}

const char *coco_find_images(struct dataset *dataset, const char *file, struct error *error) {
  struct arena *arena = &dataset->arena;
  const char *base = name_base(file);
  size_t prefix = strncmp(base, "instances_", strlen("instances_")) == 0 ? strlen("instances_") : 0;
  const char *own = base == file ? "." : arena_copy(arena, file, (size_t)(base - file - (base - file > 1)));
  const char *split = arena_copy(arena, base + prefix, name_stem(base) - prefix);
  if (own == NULL || split == NULL) {
    error_memory(error, strlen(file));
    return NULL;
  }
  /* The split's own folder first; last those that are taken only for what is in them. */
  const char *const parts[][2] = {
      {"..", split}, {"images", split}, {"../images", split}, {"../images", ""},  {"images", ""},        {"", ""},
      {"..", ""},    {"data", ""},      {"../data", ""},      {"JPEGImages", ""}, {"../JPEGImages", ""}, {"imgs", ""}};
  enum { NAMED = 5 };
  const char *named = NULL;
  for (size_t i = 0; i < COUNT_OF(parts); i++) {
    const char *path = own;
    for (int part = 0; part < 2; part++) {
      if (parts[i][part][0] != '\0' && (path = path_in(arena, path, parts[i][part], error)) == NULL) return NULL;
    }
    if (!folder_exists(path)) continue;
    int found = holds_pictures(dataset, path, error);
    if (found != 0) return found > 0 ? path : NULL;
    if (named == NULL && i < NAMED) named = path;
  }
  if (named != NULL) return named;
  int any = holds_any_picture(own, error); /* under other names, which whoever looks for them may find out */
  if (any != 0) return any > 0 ? own : NULL;
  error_set(error,
            "%s: no folder \"%s\" or \"images\" beside it, and its pictures are not there either: say where they are "
            "(--images)",
            file, split);
  return NULL;
}
