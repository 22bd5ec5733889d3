/* The folders of a VOC data set: its documents, its lists of splits, its pictures. */
#include <stdlib.h>
#include <strings.h>

#include "core/dataset/voc.h"

static const char *const xml_suffixes[] = {".xml", NULL};

/* What people call the folders; the first is PASCAL's. */
static const char *const document_folders[] = {"Annotations", "annotations", "Annotation", "annotation", "annots",
                                               "xmls",        "xml",         "labels",     "Labels"};
static const char *const picture_folders[] = {"JPEGImages", "images", "Images", "JPEGimages", "jpegimages", "PNGImages",
                                              "image",      "Image",  "imgs",   "img",        "pictures",   "photos"};

static const char *join(struct arena *arena, const char *folder, const char *below, struct error *error) {
  if (below[0] == '\0') return folder;
  return folder[0] == '\0' ? below : path_in(arena, folder, below, error);
}

static const char *copy_text(struct arena *arena, struct text text, struct error *error) {
  const char *copy = arena_copy(arena, text.data, text.size);
  if (copy == NULL) error_memory(error, text.size);
  return copy;
}

/* ---- documents ---- */

/* `annotations` may be the root, with a folder of documents below it, that folder itself, or a folder of X.xml beside
 * X.png; documents may be deeper. */
static int find_documents(struct voc_set *set, const char *annotations, struct error *error) {
  for (size_t i = 0; i < COUNT_OF(document_folders); i++) {
    const char *below = path_in(&set->arena, annotations, document_folders[i], error);
    if (below == NULL) return -1;
    if (!folder_exists(below)) continue;
    if (folder_list(below, true, xml_suffixes, &set->arena, &set->documents, error) != 0) return -1;
    set->annotations = below;
    set->parent = annotations;
    if (set->documents.count > 0) return 0;
    name_list_free(&set->documents);
  }
  if (set->annotations == NULL) {
    set->annotations = annotations;
    set->parent = path_in(&set->arena, annotations, "..", error);
  }
  if (set->parent == NULL) return -1;
  if (folder_list(set->annotations, true, xml_suffixes, &set->arena, &set->documents, error) != 0) return -1;
  return set->documents.count > 0 ? 0 : error_set(error, "%s: no .xml files", set->annotations);
}

/* By their paths without ".xml"; and by their base names, those that several have excepted. */
static int index_documents(struct voc_set *set, struct error *error) {
  for (size_t i = 0; i < set->documents.count; i++) {
    const char *name = set->documents.names[i];
    struct text stem = {name, name_stem(name)};
    if (path_table_add(&set->by_name, stem, (int64_t)i, error) != 0) return -1;
  }
  for (size_t i = 0; i < set->documents.count; i++) {
    const char *name = set->documents.names[i], *base = name_base(name);
    struct text stem = {base, name_stem(base)};
    struct path_table *table = path_table_find(&set->by_base, stem) < 0 ? &set->by_base : &set->ambiguous;
    if (path_table_add(table, stem, (int64_t)i, error) != 0) return -1;
  }
  return 0;
}

/* ---- where pictures may be ---- */

static int add_root(struct voc_set *set, struct dataset *dataset, const char *folder, const char *below,
                    struct error *error) {
  const char *path = below == NULL ? arena_copy(&dataset->arena, folder, strlen(folder))
                                   : path_in(&dataset->arena, folder, below, error);
  if (path == NULL) return error_memory(error, strlen(folder));
  if (set->root_count < VOC_ROOTS_MAX && folder_exists(path)) set->roots[set->root_count++] = path;
  return 0;
}

/* A folder of masks has pictures of the same names, which are no pictures. */
static bool is_mask_folder(const char *name) {
  static const char *const words[] = {"seg", "mask", "label", "depth", "annot", "xml"};
  for (size_t i = 0; i < COUNT_OF(words); i++)
    if (strcasestr(name, words[i]) != NULL) return true;
  return false;
}

static int find_roots(struct voc_set *set, struct dataset *dataset, const char *images, struct error *error) {
  if (images != NULL) return add_root(set, dataset, images, NULL, error);
  for (size_t i = 0; i < COUNT_OF(picture_folders); i++)
    if (add_root(set, dataset, set->parent, picture_folders[i], error) != 0) return -1;
  bool usual = set->root_count > 0;
  if (add_root(set, dataset, set->annotations, NULL, error) != 0) return -1;
  if (usual || strcmp(set->annotations, set->parent) == 0) return 0;
  char **names;
  size_t count;
  if (directory_list(set->parent, &set->arena, &names, &count, error) != 0) return -1;
  for (size_t i = 0; i < count; i++) {
    if (names[i][0] == '.' || strcmp(names[i], name_base(set->annotations)) == 0 || is_mask_folder(names[i])) continue;
    if (add_root(set, dataset, set->parent, names[i], error) != 0) return -1;
  }
  return add_root(set, dataset, set->parent, NULL, error);
}

int voc_set_open(struct voc_set *set, struct dataset *dataset, const char *annotations, const char *images,
                 struct error *error) {
  *set = (struct voc_set){0};
  size_t size = strlen(annotations);
  while (size > 1 && annotations[size - 1] == '/')
    size--;
  const char *folder = copy_text(&set->arena, (struct text){annotations, size}, error);
  if (folder == NULL || find_documents(set, folder, error) != 0 || index_documents(set, error) != 0) return -1;
  return find_roots(set, dataset, images, error);
}

void voc_set_close(struct voc_set *set) {
  name_list_free(&set->documents);
  name_list_free(&set->names);
  path_table_free(&set->by_name);
  path_table_free(&set->by_base);
  path_table_free(&set->ambiguous);
  path_table_free(&set->listed);
  path_table_free(&set->pictures);
  arena_free(&set->arena);
  *set = (struct voc_set){0};
}

/* ---- splits ---- */

static int list_add(struct name_list *list, const char *name, struct error *error) {
  void *names = list->names;
  int status = array_reserve(&names, &list->capacity, list->count + 1, sizeof(*list->names), error);
  list->names = names;
  if (status == 0) list->names[list->count++] = (char *)(uintptr_t)name;
  return status;
}

/* The document that a line of a list means: "NAME", "NAME.jpg", "/somewhere/JPEGImages/NAME.jpg"; -1: none, -2: error.
 */
static int64_t find_document(struct voc_set *set, struct text written, struct error *error) {
  if (written.size == 0 || !utf8_valid(written.data, written.size, NULL)) return -1;
  const char *path = path_clean(&set->arena, written, error);
  if (path == NULL) return -2;
  bool suffix = name_has_suffix(path, xml_suffixes) || name_has_suffix(path, picture_suffixes);
  for (size_t dropped = 0; path_without(path, dropped)[0] != '\0'; dropped++) {
    const char *rest = path_without(path, dropped);
    int64_t found = path_table_find(&set->by_name, text_of(rest));
    if (found < 0 && suffix) found = path_table_find(&set->by_name, (struct text){rest, name_stem(rest)});
    if (found >= 0) return found;
  }
  const char *base = name_base(path);
  struct text stem = text_of(base);
  if (suffix && path_table_find(&set->by_base, stem) < 0) stem.size = name_stem(base);
  return path_table_find(&set->ambiguous, stem) < 0 ? path_table_find(&set->by_base, stem) : -1;
}

/* One line: a name; a name and 1, 0 or -1, which says that the class is not in the picture; a picture and its document.
 * Sets *wanted to false for a picture without the class. */
static int64_t read_line(struct voc_set *set, struct text line, bool *wanted, struct error *error) {
  size_t last = line.size;
  while (last > 0 && strchr(" \t", line.data[last - 1]) == NULL)
    last--;
  struct text word = {line.data + last, line.size - last}, before = text_trim((struct text){line.data, last});
  *wanted = before.size == 0 || !text_equal(word, TEXT("-1"));
  int64_t found = find_document(set, line, error);
  if (found != -1 || before.size == 0) return found;
  bool mark = text_equal(word, TEXT("-1")) || text_equal(word, TEXT("0")) || text_equal(word, TEXT("1"));
  if (mark) return find_document(set, before, error);
  bool document = word.size > 4 && strncasecmp(word.data + word.size - 4, ".xml", 4) == 0;
  return document ? find_document(set, word, error) : -1;
}

static int read_list(struct voc_set *set, struct dataset *dataset, const char *path, struct name_list *list,
                     struct error *error) {
  struct buffer file = {0};
  bool *taken = calloc(set->documents.count, sizeof(*taken));
  int status = taken == NULL ? error_memory(error, set->documents.count) : file_read(&file, path, error);
  struct text rest = text_without_bom((struct text){(const char *)file.data, file.size}), line;
  for (int number = 1; status == 0 && text_next_line(&rest, &line); number++) {
    bool wanted;
    if (line.size == 0) continue;
    int64_t found = read_line(set, line, &wanted, error);
    if (found == -2) {
      status = -1;
    } else if (found == -1) {
      if (wanted)
        status = dataset_fault(dataset, DATASET_BAD_FILE, error, "%s:%d: there is no document for \"%s\" in %s", path,
                               number, text_show(line).string, set->annotations);
    } else if (wanted && !taken[found]) {
      taken[found] = true;
      status = list_add(list, set->documents.names[found], error);
    }
  }
  if (status == 0 && list->count == 0) {
    const char *first = dataset->faults[DATASET_BAD_FILE].first;
    status = first == NULL ? error_set(error, "%s: the list is empty", path) : error_set(error, "%s", first);
  }
  free(taken);
  buffer_free(&file);
  return status;
}

static bool lies_in(const char *path, const char *folder) {
  size_t size = strlen(folder);
  for (const char *at = path; (at = strstr(at, folder)) != NULL; at++)
    if ((at == path || at[-1] == '/') && at[size] == '/') return true;
  return false;
}

/* The list or the folders of a split by one of its names; leaves the list empty when there are none. */
static int list_split(struct voc_set *set, struct dataset *dataset, const char *split, struct name_list *list,
                      struct error *error) {
  const char *const folders[][2] = {
      {set->parent, "ImageSets/Main"}, {set->parent, "ImageSets"}, {set->parent, ""}, {set->annotations, ""}};
  struct buffer path = {0};
  int status = 0;
  for (size_t i = 0; i < COUNT_OF(folders) && status == 0 && list->count == 0; i++) {
    const char *folder = join(&set->arena, folders[i][0], folders[i][1], error);
    const char *file = folder == NULL ? NULL : path_build(&path, folder, text_of(split), ".txt", error);
    status = file == NULL ? -1 : file_exists(file) ? read_list(set, dataset, file, list, error) : 0;
  }
  buffer_free(&path);
  if (status != 0 || list->count > 0) return status;
  for (size_t i = 0; i < set->documents.count && status == 0; i++)
    if (lies_in(set->documents.names[i], split)) status = list_add(list, set->documents.names[i], error);
  return status;
}

static int fail_split(struct voc_set *set, const char *split, struct error *error) {
  static const char *const text_suffixes[] = {".txt", NULL};
  enum { SHOWN = 8 };
  struct name_list list = {0};
  char names[600] = "";
  const char *folder = path_in(&set->arena, set->parent, "ImageSets/Main", error);
  if (folder == NULL) return -1;
  if (folder_exists(folder) && folder_list(folder, false, text_suffixes, &set->arena, &list, error) != 0) return -1;
  size_t used = 0;
  for (size_t i = 0; i < list.count && i < SHOWN; i++) {
    used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%.*s", i == 0 ? "; there are " : ", ",
                             (int)(name_stem(list.names[i]) < 60 ? name_stem(list.names[i]) : 60), list.names[i]);
  }
  if (list.count > SHOWN) snprintf(names + used, sizeof(names) - used, ", ...");
  name_list_free(&list);
  return error_set(error, "%s: no split \"%s\": neither ImageSets/Main/%s.txt nor a folder %s of documents%s",
                   set->parent, split, split, split, names);
}

int voc_set_list(struct voc_set *set, struct dataset *dataset, const char *split, struct name_list *list,
                 struct error *error) {
  static const char *const validation[] = {"val", "valid", "validation"};
  if (split == NULL) {
    for (size_t i = 0; i < set->documents.count; i++)
      if (list_add(list, set->documents.names[i], error) != 0) return -1;
    return 0;
  }
  if (list_split(set, dataset, split, list, error) != 0) return -1;
  bool any = false;
  for (size_t i = 0; i < COUNT_OF(validation); i++)
    any |= strcmp(split, validation[i]) == 0;
  for (size_t i = 0; any && i < COUNT_OF(validation) && list->count == 0; i++)
    if (list_split(set, dataset, validation[i], list, error) != 0) return -1;
  if (list->count > 0) return 0;
  return fail_split(set, split, error);
}

/* ---- the picture of a document ---- */

static int add_place(struct voc_set *set, const char *folder, const char *below, struct error *error) {
  const char *path = join(&set->arena, folder, below, error);
  if (path == NULL) return -1;
  if (set->place_count == VOC_PLACES_MAX || !folder_exists(path)) return 0;
  for (size_t i = 0; i < set->place_count; i++)
    if (strcmp(set->places[i].path, path) == 0) return 0;
  set->places[set->place_count++] = (struct voc_place){folder, below, path};
  return 0;
}

/* For VOC2007/Annotations/x.xml below the root: VOC2007/JPEGImages, by all the names that people use. */
static int add_siblings(struct voc_set *set, const char *root, const char *below, struct error *error) {
  for (size_t i = 0; i < COUNT_OF(document_folders); i++) {
    size_t size = strlen(document_folders[i]);
    for (const char *at = below; (at = strstr(at, document_folders[i])) != NULL; at += size) {
      if ((at > below && at[-1] != '/') || (at[size] != '/' && at[size] != '\0')) continue;
      for (size_t k = 0; k < COUNT_OF(picture_folders); k++) {
        size_t total = strlen(below) + strlen(picture_folders[k]) + 1;
        char *other = arena_alloc(&set->arena, total);
        if (other == NULL) return error_memory(error, total);
        snprintf(other, total, "%.*s%s%s", (int)(at - below), below, picture_folders[k], at + size);
        if (add_place(set, root, other, error) != 0) return -1;
      }
    }
  }
  return 0;
}

static int find_places(struct voc_set *set, const char *document, struct error *error) {
  struct text folder = name_folder(document);
  if (set->places_of != NULL && text_equal(folder, text_of(set->places_of))) return 0;
  const char *below = copy_text(&set->arena, folder, error);
  if (below == NULL) return -1;
  set->places_of = below;
  set->place_count = 0;
  for (size_t i = 0; i < set->root_count; i++) {
    const char *root = set->roots[i];
    if (add_place(set, root, below, error) != 0 || add_siblings(set, root, below, error) != 0 ||
        add_place(set, root, "", error) != 0) {
      return -1;
    }
  }
  return 0;
}

/* Adds the pictures in a folder, once, by their names and by their stems. */
static int list_pictures(struct voc_set *set, const char *folder, struct error *error) {
  struct name_list list;
  if (path_table_find(&set->listed, text_of(folder)) >= 0) return 0;
  if (path_table_add(&set->listed, text_of(folder), 0, error) != 0) return -1;
  if (folder_list(folder, false, picture_suffixes, &set->arena, &list, error) != 0) return -1;
  int status = 0;
  for (size_t i = 0; i < list.count && status == 0; i++) {
    const char *path = path_in(&set->arena, folder, list.names[i], error);
    int64_t number = (int64_t)set->names.count;
    status = path == NULL ? -1 : list_add(&set->names, name_base(path), error);
    if (status == 0) status = path_table_add(&set->pictures, text_of(path), number, error);
    if (status == 0) status = path_table_add(&set->pictures, (struct text){path, name_stem(path)}, number, error);
  }
  name_list_free(&list);
  return status;
}

/* Sets *place and *name to the picture that is called `wanted`, its ending included or not; 1: found, 0: not, -1. */
static int find_picture(struct voc_set *set, struct text wanted, struct voc_place *place, const char **name,
                        struct error *error) {
  struct buffer path = {0};
  int found = 0;
  for (size_t i = 0; i < set->place_count && found == 0; i++) {
    if (list_pictures(set, set->places[i].path, error) != 0 ||
        path_build(&path, set->places[i].path, wanted, "", error) == NULL) {
      found = -1;
      break;
    }
    int64_t number = path_table_find(&set->pictures, (struct text){(const char *)path.data, path.size - 1});
    if (number < 0) continue;
    *place = set->places[i];
    *name = set->names.names[number];
    found = 1;
  }
  buffer_free(&path);
  return found;
}

static int take_picture(struct voc_set *set, struct dataset *dataset, const struct voc_place *place, const char *name,
                        struct error *error) {
  struct dataset_image *image = &dataset->images[dataset->image_count - 1];
  const char *whole = join(&set->arena, place->below, name, error);
  image->folder = place->folder;
  image->file_name = whole == NULL ? NULL : copy_text(&dataset->arena, text_of(whole), error);
  return image->file_name == NULL ? -1 : 0;
}

int voc_set_picture(struct voc_set *set, struct dataset *dataset, const char *document, struct error *error) {
  struct dataset_image *image = &dataset->images[dataset->image_count - 1];
  const char *written = image->file_name, *own = name_base(document), *base = name_base(written);
  struct text stem = {own, name_stem(own)}, named = {base, name_stem(base)};
  struct voc_place place, other;
  const char *name, *other_name;
  image->folder = set->roots[0];
  if (find_places(set, document, error) != 0) return -1;
  /* The picture that is called like the document, exactly as <filename> says if it says so. */
  bool same = text_equal(stem, named);
  int found = same ? find_picture(set, text_of(base), &place, &name, error) : 0;
  if (found == 0) found = find_picture(set, stem, &place, &name, error);
  int elsewhere = found < 0 || same ? 0 : find_picture(set, text_of(base), &other, &other_name, error);
  if (elsewhere == 0 && !same && found == 0) elsewhere = find_picture(set, named, &other, &other_name, error);
  if (found < 0 || elsewhere < 0) return -1;
  if (found > 0) {
    if (take_picture(set, dataset, &place, name, error) != 0) return -1;
    if (elsewhere == 0) return 0;
    return dataset_fault(dataset, DATASET_RENAMED, error, "%s/%s: <filename> is %s, which is there, too; taken for %s",
                         set->annotations, document, text_show(text_of(written)).string, name);
  }
  for (size_t i = 0; i < set->root_count; i++) { /* with folders in <filename> */
    const char *path = path_in(&set->arena, set->roots[i], written, error);
    if (path == NULL) return -1;
    if (!file_exists(path)) continue;
    image->folder = set->roots[i];
    return 0;
  }
  return elsewhere > 0 ? take_picture(set, dataset, &other, other_name, error) : 0; /* or it is missing */
}
