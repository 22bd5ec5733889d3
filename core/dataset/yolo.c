/* YOLO: a text file a picture, one box a line, relative to the picture; so pictures are probed for their sizes. */
#include "core/dataset/internal.h"
#include "core/image/image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- label files ---- */

struct extent {
  double low, high;
};

static void extent_add(struct extent *extent, double value) {
  if (isnan(value)) *extent = (struct extent){NAN, NAN};
  if (value < extent->low) extent->low = value;
  if (value > extent->high) extent->high = value;
}

/* The numbers after the class: 4 of a box, or the corners of a polygon. */
static int read_shape(struct text line, const char *source, struct extent extents[2], struct error *error) {
  double box[4] = {0};
  struct text word;
  int64_t count = 0;
  for (; text_next_word(&line, &word); count++) {
    double value;
    if (!text_number(word, &value)) {
      return error_set(error, "%s: \"%s\" is not a number", source, text_show(word).string);
    }
    if (count < 4) box[count] = value;
    extent_add(&extents[count % 2], value);
  }
  if (count < 4 || count == 5 || count % 2 != 0) {
    return error_set(
        error,
        "%s: %lld numbers after the class; a box has 4 (center x, center y, width, height), a polygon 6 or "
        "more in pairs",
        source, (long long)count);
  }
  for (int axis = 0; axis < 2 && count == 4; axis++) {
    extents[axis] = (struct extent){box[axis] - box[axis + 2] / 2, box[axis] + box[axis + 2] / 2};
  }
  return 0;
}

static int read_line(struct dataset *dataset, struct text line, const char *source, struct dataset_box *box,
                     struct error *error) {
  const struct dataset_image *image = &dataset->images[dataset->image_count - 1];
  struct extent extents[2] = {{INFINITY, -INFINITY}, {INFINITY, -INFINITY}};
  struct text word;
  double category;
  text_next_word(&line, &word);
  if (!text_number(word, &category)) {
    return error_set(error, "%s: class \"%s\" is not a number", source, text_show(word).string);
  }
  if (!(category >= 0 && category < (double)dataset->category_count && category == floor(category))) {
    return error_set(error, "%s: class %s is not one of 0 .. %lld: does the list of names belong to these labels?",
                     source, text_show(word).string, (long long)dataset->category_count - 1);
  }
  if (read_shape(line, source, extents, error) != 0) return -1;
  bool sized = image->width > 0 && image->height > 0;
  double width = sized ? image->width : NAN, height = sized ? image->height : NAN;
  *box = (struct dataset_box){
      .x = (extents[0].low * width),
      .y = (extents[1].low * height),
      .w = ((extents[0].high - extents[0].low) * width),
      .h = ((extents[1].high - extents[1].low) * height),
      .category = (int32_t)category,
  };
  return 0;
}

int yolo_parse(struct dataset *dataset, const char *data, size_t size, const char *name, const char *file_name,
               int width, int height, struct error *error) {
  struct dataset_image image = {.id = dataset->image_count + 1, .width = width, .height = height};
  image.file_name = build_file_name(dataset, text_of(file_name), name, error);
  if (image.file_name == NULL || build_image(dataset, &image, error) != 0) return -1;
  dataset->format = DATASET_YOLO;
  struct text rest = text_without_bom((struct text){data, size}), line;
  for (long long number = 1; text_next_line(&rest, &line); number++) {
    struct dataset_box box;
    char source[512];
    if (line.size == 0) continue;
    snprintf(source, sizeof(source), "%s:%lld", name, number);
    if (read_line(dataset, line, source, &box, error) != 0 || build_box(dataset, box, error) != 0) return -1;
  }
  return 0;
}

/* ---- folders ---- */

static const char *const label_suffixes[] = {".txt", NULL};

struct picture {
  const char *name;  /* relative to the image folder */
  const char *label; /* path, or NULL */
  int width, height; /* upright; 0 when the picture cannot be read */
};

struct yolo {
  struct arena arena;
  const char *labels, *images;
  const char *list; /* SPLIT.txt, or NULL: all pictures in `images` */
  struct picture *pictures;
  size_t count, capacity;
  struct error *error;
};

/* `path` with the last folder named `from` replaced; NULL when there is none or memory is out. */
static const char *replace_folder(struct arena *arena, const char *path, const char *from, const char *to) {
  size_t size = strlen(from);
  for (const char *at = path + strlen(path); at-- > path;) {
    bool begins = at == path || at[-1] == '/';
    if (!begins || strncmp(at, from, size) != 0 || (at[size] != '/' && at[size] != '\0')) continue;
    size_t total = strlen(path) + strlen(to) + 1;
    char *replaced = arena_alloc(arena, total);
    if (replaced != NULL) snprintf(replaced, total, "%.*s%s%s", (int)(at - path), path, to, at + size);
    return replaced;
  }
  return NULL;
}

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

static int find_split(struct yolo *yolo, const char *annotations, const char *split) {
  char name[256];
  if (snprintf(name, sizeof(name), "%s.txt", split) >= (int)sizeof(name)) {
    return error_set(yolo->error, "the name of the split is too long: %.40s...", split);
  }
  const char *folders[] = {join3(yolo, annotations, "labels", split), join3(yolo, annotations, split, "labels"),
                           path_in(&yolo->arena, annotations, split, yolo->error)};
  const char *lists[] = {path_in(&yolo->arena, annotations, name, yolo->error), join3(yolo, annotations, "..", name)};
  if (!folders[0] || !folders[1] || !folders[2] || !lists[0] || !lists[1]) return -1;
  yolo->labels = first_folder(folders, COUNT_OF(folders));
  for (size_t i = 0; i < COUNT_OF(lists) && yolo->labels == NULL && yolo->list == NULL; i++) {
    if (file_exists(lists[i])) yolo->list = lists[i];
  }
  if (yolo->labels != NULL || yolo->list != NULL) return 0;
  return error_set(yolo->error, "%s: no split \"%s\": expected a folder labels/%s, %s/labels or %s, or a list %s",
                   annotations, split, split, split, split, name);
}

static int find_folders(struct yolo *yolo, const char *annotations, const char *images, const char *split) {
  if (split != NULL && find_split(yolo, annotations, split) != 0) return -1;
  if (yolo->labels == NULL) {
    const char *below = path_in(&yolo->arena, annotations, "labels", yolo->error);
    if (below == NULL) return -1;
    yolo->labels = folder_exists(below) ? below : annotations;
  }
  yolo->images = images;
  if (yolo->list != NULL) {
    size_t folder = (size_t)(name_base(yolo->list) - yolo->list);
    if (images == NULL) yolo->images = arena_copy(&yolo->arena, yolo->list, folder - 1);
  } else if (images == NULL) {
    const char *beside = replace_folder(&yolo->arena, yolo->labels, "labels", "images");
    yolo->images = beside != NULL && folder_exists(beside) ? beside : yolo->labels;
  } else if (split != NULL) {
    const char *below = path_in(&yolo->arena, images, split, yolo->error);
    if (below == NULL) return -1;
    if (folder_exists(below)) yolo->images = below;
  }
  return yolo->images == NULL ? error_memory(yolo->error, 1) : 0;
}

static int add_picture(struct yolo *yolo, const char *name, const char *label) {
  void *items = yolo->pictures;
  int status = array_reserve(&items, &yolo->capacity, yolo->count + 1, sizeof(*yolo->pictures), yolo->error);
  yolo->pictures = items;
  if (status == 0) yolo->pictures[yolo->count++] = (struct picture){.name = name, .label = label};
  return status;
}

/* FOLDER/STEM.txt of a picture, kept in the arena when that file exists. */
static int find_label(struct yolo *yolo, const char *folder, struct text stem, struct buffer *path,
                      const char **label) {
  const char *candidate = path_build(path, folder, stem, ".txt", yolo->error);
  if (candidate == NULL) return -1;
  if (!file_exists(candidate)) return 0;
  *label = arena_copy(&yolo->arena, candidate, strlen(candidate));
  return *label == NULL ? error_memory(yolo->error, path->size) : 0;
}

static int list_pictures(struct yolo *yolo, struct buffer *path) {
  struct name_list list;
  if (folder_list(yolo->images, true, picture_suffixes, &yolo->arena, &list, yolo->error) != 0) return -1;
  int status = 0;
  for (size_t i = 0; i < list.count && status == 0; i++) {
    const char *label = NULL;
    struct text stem = {list.names[i], name_stem(list.names[i])};
    status = find_label(yolo, yolo->labels, stem, path, &label);
    if (status == 0) status = add_picture(yolo, list.names[i], label);
  }
  name_list_free(&list);
  return status;
}

static int compare_stems(const void *a, const void *b) {
  const char *left = ((const struct picture *)a)->name, *right = ((const struct picture *)b)->name;
  size_t left_size = name_stem(left), right_size = name_stem(right);
  int order = memcmp(left, right, left_size < right_size ? left_size : right_size);
  return order != 0 ? order : (left_size > right_size) - (left_size < right_size);
}

static int compare_pictures(const void *a, const void *b) {
  return strcmp(((const struct picture *)a)->name, ((const struct picture *)b)->name);
}

/* Labels whose picture is missing: they become pictures X.jpg, which whoever opens them will find missing. */
static int list_orphans(struct yolo *yolo) {
  struct name_list list;
  if (folder_list(yolo->labels, true, label_suffixes, &yolo->arena, &list, yolo->error) != 0) return -1;
  int status = 0;
  size_t found = yolo->count;
  if (found > 1) qsort(yolo->pictures, found, sizeof(*yolo->pictures), compare_stems);
  for (size_t i = 0; i < list.count && status == 0; i++) {
    struct picture key = {.name = list.names[i]};
    if (found > 0 && bsearch(&key, yolo->pictures, found, sizeof(key), compare_stems) != NULL) continue;
    if (strcmp(name_base(list.names[i]), "classes.txt") == 0) continue;
    size_t stem = name_stem(list.names[i]);
    char *name = arena_copy(&yolo->arena, list.names[i], stem + strlen(".jpg"));
    const char *label = path_in(&yolo->arena, yolo->labels, list.names[i], yolo->error);
    if (name != NULL) memcpy(name + stem, ".jpg", strlen(".jpg"));
    status = name == NULL ? error_memory(yolo->error, stem) : label == NULL ? -1 : add_picture(yolo, name, label);
  }
  name_list_free(&list);
  if (yolo->count > 1) qsort(yolo->pictures, yolo->count, sizeof(*yolo->pictures), compare_pictures);
  return status;
}

/* The label of a listed picture: with images/ replaced by labels/ in its path, or in the label folder. */
static int find_listed_label(struct yolo *yolo, const char *name, struct buffer *path, const char **label) {
  const char *picture = path_in(&yolo->arena, yolo->images, name, yolo->error);
  if (picture == NULL) return -1;
  const char *replaced = replace_folder(&yolo->arena, picture, "images", "labels");
  const char *whole = replaced == NULL ? picture : replaced;
  const char *base = name_base(whole);
  const char *folder = arena_copy(&yolo->arena, whole, (size_t)(base - whole) - 1);
  if (folder == NULL) return error_memory(yolo->error, strlen(whole));
  if (find_label(yolo, folder, (struct text){base, name_stem(base)}, path, label) != 0) return -1;
  if (*label != NULL) return 0;
  return find_label(yolo, yolo->labels, (struct text){name, name_stem(name)}, path, label);
}

static int read_list(struct yolo *yolo, struct buffer *path) {
  struct buffer file = {0};
  int status = file_read(&file, yolo->list, yolo->error);
  struct text rest = text_without_bom((struct text){(const char *)file.data, file.size}), line;
  for (int number = 1; status == 0 && text_next_line(&rest, &line); number++) {
    if (line.size == 0) continue;
    const char *label = NULL;
    char *name = arena_copy(&yolo->arena, line.data, line.size);
    if (name == NULL) {
      status = error_memory(yolo->error, line.size);
    } else if (!utf8_valid(line.data, line.size, NULL) || !dataset_name_safe(name)) {
      status =
          error_set(yolo->error, "%s:%d: unsafe file name \"%s\": write it relative to %s (or give the image folder)",
                    yolo->list, number, text_show(line).string, yolo->images);
    } else {
      while (strncmp(name, "./", 2) == 0)
        name += 2;
      status = find_listed_label(yolo, name, path, &label);
      if (status == 0) status = add_picture(yolo, name, label);
    }
  }
  buffer_free(&file);
  return status;
}

static int collect_pictures(struct yolo *yolo) {
  struct buffer path = {0};
  int status = yolo->list != NULL ? read_list(yolo, &path) : list_pictures(yolo, &path);
  buffer_free(&path);
  if (status != 0) return -1;
  size_t labelled = 0;
  for (size_t i = 0; i < yolo->count; i++)
    labelled += yolo->pictures[i].label != NULL;
  if (labelled == 0) {
    return error_set(yolo->error,
                     "%s: none of the %zu pictures in %s has a label file: are these the right folders? If the data "
                     "set has splits, choose one",
                     yolo->labels, yolo->count, yolo->images);
  }
  bool apart = yolo->list == NULL && strcmp(yolo->labels, yolo->images) != 0; /* else other .txt may lie around */
  return apart ? list_orphans(yolo) : 0;
}

static int probe_picture(void *context, int worker, int64_t item, struct error *error) {
  (void)worker, (void)error;
  const struct yolo *yolo = context;
  struct picture *picture = &yolo->pictures[item];
  struct error ignored = {0}; /* a picture that cannot be read keeps the size 0 x 0 */
  struct buffer path = {0};
  struct file_map map = {0};
  struct image_info info;
  const char *file = path_build(&path, yolo->images, text_of(picture->name), "", &ignored);
  if (file != NULL && file_map_open(&map, file, &ignored) == 0) {
    if (image_probe(map.data, map.size, &info, &ignored) == 0) {
      bool turned = info.orientation >= 5;
      picture->width = turned ? info.height : info.width;
      picture->height = turned ? info.width : info.height;
    }
    file_map_close(&map);
  }
  buffer_free(&path);
  return 0;
}

static int read_labels(struct yolo *yolo, struct dataset *dataset, XXH3_state_t *hash) {
  struct buffer file = {0};
  int status = 0;
  for (size_t i = 0; i < yolo->count && status == 0; i++) {
    const struct picture *picture = &yolo->pictures[i];
    file.size = 0;
    if (picture->label != NULL && file_read(&file, picture->label, yolo->error) != 0) {
      status = -1;
      break;
    }
    XXH3_128bits_update(hash, picture->name, strlen(picture->name) + 1);
    XXH3_128bits_update(hash, file.data, file.size);
    const char *source = picture->label != NULL ? picture->label : yolo->images;
    status = yolo_parse(dataset, (const char *)file.data, file.size, source, picture->name, picture->width,
                        picture->height, yolo->error);
  }
  buffer_free(&file);
  return status;
}

int yolo_load(struct dataset *dataset, const char *annotations, const char *images, const char *split,
              struct error *error) {
  struct yolo yolo = {.error = error};
  XXH3_state_t *hash = XXH3_createState();
  int status = -1;
  if (hash == NULL) return error_memory(error, sizeof(XXH128_hash_t));
  XXH3_128bits_reset(hash);
  if (find_folders(&yolo, annotations, images, split) != 0) goto done;
  if (yolo_names_load(dataset, annotations, yolo.labels, hash, error) != 0) goto done;
  if (collect_pictures(&yolo) != 0) goto done;
  if (parallel_for(processor_count(), (int64_t)yolo.count, probe_picture, &yolo, error) != 0) goto done;
  if (read_labels(&yolo, dataset, hash) != 0) goto done;
  dataset->hash = XXH3_128bits_digest(hash);
  status = build_folder(dataset, yolo.images, error);
done:
  XXH3_freeState(hash);
  free(yolo.pictures);
  arena_free(&yolo.arena);
  return status;
}
