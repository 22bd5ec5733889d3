/* YOLO: a text file a picture, one box a line, relative to the picture; so pictures are probed for their sizes. */
#include "core/dataset/yolo.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/image/image.h"

/* ---- how the folders are laid out ---- */

static const char *const list_suffixes[] = {".txt", NULL};

static char *join3(struct yolo *yolo, const char *a, const char *b, const char *c) {
  char *path = path_in(&yolo->arena, a, b, yolo->error);
  return path == NULL ? NULL : path_in(&yolo->arena, path, c, yolo->error);
}

/* The first of `paths` that is a folder. */
static const char *first_folder(const char *const *paths, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (folder_exists(paths[i])) return paths[i];
  }
  return NULL;
}

/* Sets the folder of labels or the list of a split by one of its names, if it is there. */
static int find_split(struct yolo *yolo, const char *split) {
  char name[256];
  if (snprintf(name, sizeof(name), "%s.txt", split) >= (int)sizeof(name)) {
    return error_set(yolo->error, "the name of the split is too long: %.40s...", split);
  }
  const char *root = yolo->root;
  const char *folders[] = {join3(yolo, root, "labels", split), join3(yolo, root, "Labels", split),
                           join3(yolo, root, split, "labels"), join3(yolo, root, split, "Labels"),
                           path_in(&yolo->arena, root, split, yolo->error)};
  const char *lists[] = {path_in(&yolo->arena, root, name, yolo->error), join3(yolo, root, "..", name)};
  for (size_t i = 0; i < COUNT_OF(folders); i++)
    if (folders[i] == NULL) return -1;
  if (!lists[0] || !lists[1]) return -1;
  yolo->labels = first_folder(folders, COUNT_OF(folders));
  for (size_t i = 0; i < COUNT_OF(lists) && yolo->labels == NULL && yolo->list == NULL; i++) {
    if (file_exists(lists[i])) yolo->list = lists[i];
  }
  return 0;
}

/* Where the labels are, by the names of the folders; a split that is not there leaves them unset. */
static int find_labels(struct yolo *yolo) {
  static const char *const names[] = {"val", "valid", "validation"};
  if (yolo->split != NULL) {
    if (find_split(yolo, yolo->split) != 0) return -1;
    bool alias = strcmp(yolo_split(yolo->split), "val") == 0;
    for (size_t i = 0; alias && i < COUNT_OF(names) && yolo->labels == NULL && yolo->list == NULL; i++)
      if (find_split(yolo, names[i]) != 0) return -1;
    if (yolo->labels != NULL || yolo->list == NULL) return 0;
  }
  const char *below[] = {path_in(&yolo->arena, yolo->root, "labels", yolo->error),
                         path_in(&yolo->arena, yolo->root, "Labels", yolo->error)};
  if (!below[0] || !below[1]) return -1;
  yolo->labels = first_folder(below, COUNT_OF(below));
  if (yolo->labels == NULL) yolo->labels = yolo->root;
  return 0;
}

/* The folder of pictures that belongs to the labels. */
static const char *find_images(struct yolo *yolo) {
  if (yolo->images == NULL) {
    const char *beside = yolo_replace_part(&yolo->arena, yolo->labels, "labels", "images");
    return beside != NULL && folder_exists(beside) ? beside : yolo->labels;
  }
  if (yolo->split == NULL) return yolo->images;
  const char *below = path_in(&yolo->arena, yolo->images, name_base(yolo->labels), yolo->error);
  const char *split = below == NULL ? NULL : path_in(&yolo->arena, yolo->images, yolo->split, yolo->error);
  if (split == NULL) return NULL;
  return folder_exists(split) ? split : folder_exists(below) ? below : yolo->images;
}

/* ---- pictures in a folder of any name ---- */

/* How many of the pictures below a folder have the name of a label. */
static int count_matches(struct yolo *yolo, const char *folder, size_t *matches) {
  struct name_list list;
  struct buffer path = {0};
  *matches = 0;
  if (folder_list(folder, true, picture_suffixes, &yolo->arena, &list, yolo->error) != 0) return -1;
  int status = 0;
  for (size_t i = 0; i < list.count && status == 0; i++) {
    struct text stem = {list.names[i], name_stem(list.names[i])};
    if (path_build(&path, yolo->labels, stem, "", yolo->error) == NULL) status = -1;
    if (status == 0 && path_table_find(&yolo->stems, (struct text){(const char *)path.data, path.size - 1}) >= 0)
      ++*matches;
  }
  name_list_free(&list);
  buffer_free(&path);
  return status;
}

/* Of the folders beside the labels, the one with the most pictures of their names; NULL when there is none. */
static int discover_images(struct yolo *yolo, const char **images) {
  const char *part = yolo_find_part(yolo->labels, "labels"), *own = part == NULL ? name_base(yolo->labels) : part;
  const char *below = part == NULL || part[strlen("labels")] == '\0' ? NULL : part + strlen("labels/");
  struct text parent = {yolo->labels,
                        own - yolo->labels > 1 ? (size_t)(own - yolo->labels) - 1 : (size_t)(own - yolo->labels)};
  struct text taken = {own, strcspn(own, "/")};
  const char *folder = parent.size == 0 ? "." : yolo_copy(yolo, parent);
  char **names;
  size_t count, most = 0;
  *images = NULL;
  if (folder == NULL || directory_list(folder, &yolo->arena, &names, &count, yolo->error) != 0) return -1;
  for (size_t i = 0; i < count; i++) {
    size_t matches = 0;
    if (names[i][0] == '.' || text_equal(text_of(names[i]), taken)) continue;
    const char *beside = path_in(&yolo->arena, folder, names[i], yolo->error);
    const char *split = beside == NULL || below == NULL ? beside : path_in(&yolo->arena, beside, below, yolo->error);
    if (split == NULL) return -1;
    if (!folder_exists(beside)) continue;
    const char *candidate = folder_exists(split) ? split : beside;
    if (count_matches(yolo, candidate, &matches) != 0) return -1;
    if (matches <= most) continue;
    most = matches;
    *images = candidate;
  }
  return 0;
}

/* ---- collecting ---- */

static int fail_unlabelled(struct yolo *yolo, const char *images) {
  char example[600] = "";
  if (yolo->picture_count == 0)
    return error_set(yolo->error, "%s: there are no pictures: name their folder (--images)", images);
  snprintf(example, sizeof(example), " (%s)", yolo->pictures[0].name);
  return error_set(yolo->error,
                   "%s: none of the %zu pictures%s in %s has a label file there: are these the right folders "
                   "(--images)? If the data set has splits, choose one (--split)",
                   yolo->labels != NULL ? yolo->labels : yolo->root, yolo->picture_count, example, images);
}

/* By what the folders are called, or hold. */
static int collect_from_folders(struct yolo *yolo) {
  size_t labelled;
  if (yolo->list != NULL) return yolo_add_list(yolo, yolo->list);
  const char *images = find_images(yolo);
  bool named = yolo->split != NULL || strcmp(yolo->labels, yolo->root) == 0; /* and not guessed below the root */
  yolo->apart = images != NULL && strcmp(images, yolo->labels) != 0 && named;
  bool part = yolo->images != NULL && !named; /* of the pictures: the other labels are no strays */
  if (part && yolo_list_labels(yolo, yolo->labels, true, false) != 0) return -1;
  if (images == NULL || yolo_add_folder(yolo, images, yolo->labels) != 0) return -1;
  if (yolo->images != NULL || yolo_match_labels(yolo, &labelled) != 0 || labelled > 0) return 0;
  const char *found;
  if (yolo_list_labels(yolo, yolo->labels, true, true) != 0 || discover_images(yolo, &found) != 0) return -1;
  if (found == NULL) return 0;
  yolo->picture_count = 0;
  return yolo_add_folder(yolo, found, yolo->labels);
}

static int fail_split(struct yolo *yolo) {
  for (size_t i = 0; i < yolo->data.entry_count; i++) {
    const struct yolo_entry *entry = &yolo->data.entries[i];
    if (yolo->split != NULL && strcmp(yolo_split(yolo->split), entry->split) != 0) continue;
    return error_set(yolo->error,
                     "%s: %s: \"%s\" is no folder or list of pictures that is there: correct that path (or \"path\")",
                     yolo->annotations, entry->split, entry->path);
  }
  return error_set(yolo->error, "%s: no split \"%s\": expected a folder labels/%s, %s/labels or %s, or a list %s.txt",
                   yolo->annotations, yolo->split, yolo->split, yolo->split, yolo->split, yolo->split);
}

static int collect_pictures(struct yolo *yolo) {
  size_t used = 0, labelled = 0;
  bool file = !folder_exists(yolo->annotations);
  const char *images = yolo->images != NULL ? yolo->images : yolo->root;
  if (file && name_has_suffix(yolo->annotations, list_suffixes)) {
    if (yolo_add_list(yolo, yolo->annotations) != 0) return -1;
  } else {
    bool described = yolo->data.entry_count > 0 && (file || yolo->images == NULL);
    if (described && yolo_add_entries(yolo, &used) != 0) return -1;
    if (used > 0) {
      yolo->labels = NULL; /* they are found from the pictures */
    } else {
      if (yolo->labels == NULL || (file && described)) return fail_split(yolo);
      if (collect_from_folders(yolo) != 0) return -1;
      images = find_images(yolo);
    }
  }
  if (yolo_match_labels(yolo, &labelled) != 0) return -1;
  if (labelled == 0 && yolo_match_bases(yolo, &labelled) != 0) return -1;
  return labelled == 0 ? fail_unlabelled(yolo, images) : yolo_count_strays(yolo);
}

/* ---- reading ---- */

static int probe_picture(void *context, int worker, int64_t item, struct error *error) {
  (void)worker;
  const struct yolo *yolo = context;
  struct picture *picture = &yolo->pictures[item];
  const struct dataset_image image = {.folder = picture->folder, .file_name = picture->name};
  struct image_info info;
  bool known;
  if (picture_probe(&image, &info, &known, error) != 0) return -1;
  if (!known) return 0;
  bool turned = info.orientation >= 5;
  picture->width = turned ? info.height : info.width;
  picture->height = turned ? info.width : info.height;
  return 0;
}

static int read_labels(struct yolo *yolo, struct yolo_form *form, XXH3_state_t *hash) {
  struct buffer file = {0};
  int status = 0;
  for (size_t i = 0; i < yolo->picture_count && status == 0; i++) {
    const struct picture *picture = &yolo->pictures[i];
    const char *label = picture->label < 0 ? NULL : yolo->labels_found[picture->label].path;
    file.size = 0;
    if (label != NULL && file_read(&file, label, yolo->error) != 0) {
      status = -1;
      break;
    }
    if (hash != NULL) {
      XXH3_128bits_update(hash, picture->name, strlen(picture->name) + 1);
      XXH3_128bits_update(hash, file.data, file.size);
    }
    struct dataset_image image = {
        .file_name = picture->name, .folder = picture->folder, .width = picture->width, .height = picture->height};
    status = yolo_parse(yolo->dataset, (const char *)file.data, file.size, label != NULL ? label : picture->folder,
                        &image, form, yolo->error);
  }
  buffer_free(&file);
  return status;
}

/* What long lines are can only be told when all have been seen; then they are read again, if they are no polygons. */
static int read_all(struct yolo *yolo, XXH3_state_t *hash) {
  static const char *const what[] = {[YOLO_SCORED_POLYGONS] = "polygons with a confidence",
                                     [YOLO_TRACKS] = "boxes with a confidence and the number of a track",
                                     [YOLO_KEYPOINTS_2] = "boxes with keypoints x y",
                                     [YOLO_KEYPOINTS_3] = "boxes with keypoints x y visible"};
  struct dataset *dataset = yolo->dataset;
  struct dataset_fault_count faults[DATASET_FAULTS];
  struct yolo_form form = {.keypoints = yolo->data.keypoints, .dimensions = yolo->data.dimensions};
  form.numbered = dataset->category_count == 0;
  memcpy(faults, dataset->faults, sizeof(faults));
  if (read_labels(yolo, &form, hash) != 0) return -1;
  if (form.numbered && dataset->category_count > 0 &&
      dataset_note(dataset, yolo->error,
                   "%s: no class names (classes.txt, data.yaml): the classes are called \"class 0\" and so on",
                   yolo->annotations) != 0) {
    return -1;
  }
  form.lines_are = form.keypoints > 0 ? YOLO_POLYGONS : yolo_form_decide(&form);
  if (form.lines_are == YOLO_POLYGONS) return 0;
  int64_t lines = form.lines;
  memcpy(dataset->faults, faults, sizeof(faults));
  dataset->image_count = dataset->box_count = 0;
  if (read_labels(yolo, &form, NULL) != 0) return -1;
  return dataset_note(dataset, yolo->error, "%s: %" PRId64 " lines with more than a box are taken for %s",
                      yolo->annotations, lines, what[form.lines_are]);
}

static const char *without_slashes(struct yolo *yolo, const char *path) {
  size_t size = strlen(path);
  while (size > 1 && path[size - 1] == '/')
    size--;
  return yolo_copy(yolo, (struct text){path, size});
}

static int load(struct yolo *yolo, const char *annotations, const char *images, XXH3_state_t *hash) {
  yolo->annotations = without_slashes(yolo, annotations);
  if (yolo->annotations == NULL) return -1;
  if (images != NULL && (yolo->images = without_slashes(yolo, images)) == NULL) return -1;
  bool file = !folder_exists(yolo->annotations);
  yolo->root = !file                                               ? yolo->annotations
               : name_base(yolo->annotations) == yolo->annotations ? "."
                                                                   : yolo_copy(yolo, name_folder(yolo->annotations));
  if (yolo->root == NULL || find_labels(yolo) != 0) return -1;
  if (yolo_describe(yolo->dataset, yolo->annotations, yolo->labels, &yolo->arena, &yolo->data, hash, yolo->error) != 0)
    return -1;
  if (collect_pictures(yolo) != 0) return -1;
  if (parallel_for(processor_count(), (int64_t)yolo->picture_count, probe_picture, yolo, yolo->error) != 0) return -1;
  return read_all(yolo, hash);
}

/* The names of pictures outlive the reading; those of their folders are there once each. */
static int keep_names(struct yolo *yolo) {
  struct dataset *dataset = yolo->dataset;
  const char *before = NULL, *copy = NULL;
  for (int64_t i = 0; i < dataset->image_count; i++) {
    struct dataset_image *image = &dataset->images[i];
    if (copy == NULL || image->folder != before) {
      before = image->folder;
      copy = arena_copy(&dataset->arena, before, strlen(before));
    }
    image->folder = copy;
    image->file_name = arena_copy(&dataset->arena, image->file_name, strlen(image->file_name));
    if (copy == NULL || image->file_name == NULL) return error_memory(yolo->error, PATH_SIZE);
  }
  return 0;
}

static void yolo_free(struct yolo *yolo) {
  free(yolo->data.entries);
  free(yolo->pictures);
  free(yolo->labels_found);
  path_table_free(&yolo->stems);
  path_table_free(&yolo->listed);
  path_table_free(&yolo->known);
  arena_free(&yolo->arena);
}

int yolo_load(struct dataset *dataset, const char *annotations, const char *images, const char *split,
              struct error *error) {
  struct yolo yolo = {.dataset = dataset, .error = error, .split = split};
  XXH3_state_t *hash = XXH3_createState();
  if (hash == NULL) return error_memory(error, sizeof(XXH128_hash_t));
  XXH3_128bits_reset(hash);
  int status = load(&yolo, annotations, images, hash);
  if (status == 0) dataset->hash = XXH3_128bits_digest(hash);
  if (status == 0) status = keep_names(&yolo);
  XXH3_freeState(hash);
  yolo_free(&yolo);
  return status;
}
