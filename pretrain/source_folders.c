/* Class folders: DIR/CLASS/picture, cropped as torchvision does for ImageNet. Like there, EXIF orientation is not
 * applied. */
#include "pretrain/source_parts.h"

#include <math.h>
#include <string.h>

#include "core/dataset/internal.h"

/* ---- listing ----------------------------------------------------------------------------------------------------- */

/* Who gives the folder of train/ and val/ has classes a folder deeper. */
static int fail_empty_class(const char *path, struct error *error) {
  struct arena names = {0};
  struct name_list list = {0};
  int result = folder_list(path, true, picture_suffixes, &names, &list, error);
  if (result == 0 && list.count > 0) {
    result = error_set(
        error, "%s: pictures only in folders below this class folder: are these the classes (--data %s)?", path, path);
  } else if (result == 0) {
    result =
        error_set(error, "%s: no pictures (*.jpg, *.png, ...) in this class folder; wanted is DIR/CLASS/picture", path);
  }
  name_list_free(&list);
  arena_free(&names);
  return result;
}

static int add_class(struct source *source, const char *name, int32_t label, struct error *error) {
  struct arena names = {0};
  struct name_list list = {0};
  const int32_t labels[JIG_REGIONS] = {label};
  char path[PATH_SIZE];
  int result = path_format(path, error, "%s/%s", source->folder, name);
  if (result == 0) result = folder_list(path, false, picture_suffixes, &names, &list, error);
  if (result == 0 && list.count == 0) result = fail_empty_class(path, error);
  for (size_t i = 0; result == 0 && i < list.count; i++) {
    result = path_format(path, error, "%s/%s", name, list.names[i]);
    if (result == 0) result = source_add_picture(source, path, labels, error);
  }
  name_list_free(&list);
  arena_free(&names);
  return result;
}

/* The folders among `names` move to its front. */
static int keep_folders(const struct source *source, char **names, size_t *count, struct error *error) {
  size_t kept = 0;
  char path[PATH_SIZE];
  for (size_t i = 0; i < *count; i++) {
    if (names[i][0] == '.') continue;
    if (path_format(path, error, "%s/%s", source->folder, names[i])) return -1;
    if (!folder_exists(path)) continue;
    if (!utf8_valid(names[i], strlen(names[i]), NULL)) {
      return error_set(error, "%s: the class folder \"%s\" is not UTF-8: rename it", source->folder,
                       text_show(text_of(names[i])).string);
    }
    names[kept++] = names[i];
  }
  *count = kept;
  return 0;
}

int source_open_folders(struct source *source, struct error *error) {
  char **names;
  size_t count;
  int size = source->options.assemble.template.size;
  if (!(size >= 1 && size <= 4096)) return error_set(error, "image size %d: needs 1 <= size <= 4096", size);
  source->size = size;
  source->regions = 1;
  source->pictures_folder = source->folder;
  if (directory_list(source->folder, &source->arena, &names, &count, error)) return -1;
  if (keep_folders(source, names, &count, error)) return -1;
  if (count == 0) return error_set(error, "%s: no class folders in it; wanted is DIR/CLASS/picture", source->folder);
  if (source_set_classes(source, (int64_t)count, error)) return -1;
  for (size_t label = 0; label < count; label++) {
    source->class_names[label] = names[label];
    if (add_class(source, names[label], (int32_t)label, error)) return -1;
  }
  return source_pick_pictures(source, error);
}

/* ---- cropping ---------------------------------------------------------------------------------------------------- */

/* torchvision.transforms.RandomResizedCrop.get_params; rint rounds halves to even, as Python does. */
struct rect source_random_crop(struct rng *rng, int width, int height) {
  static const double low = 3.0 / 4, high = 4.0 / 3;
  for (int attempt = 0; attempt < 10; attempt++) {
    double area = (double)width * height * rng_range(rng, 0.08, 1);
    double aspect = exp(rng_range(rng, log(low), log(high)));
    double w = rint(sqrt(area * aspect)), h = rint(sqrt(area / aspect));
    if (!(w >= 1 && w <= width && h >= 1 && h <= height)) continue;
    int y = (int)rng_below(rng, (uint64_t)(height - (int)h) + 1);
    int x = (int)rng_below(rng, (uint64_t)(width - (int)w) + 1);
    return (struct rect){x, y, (int)w, (int)h};
  }
  double aspect = (double)width / height;
  int w = aspect > high ? (int)rint(height * high) : width, h = aspect < low ? (int)rint(width / low) : height;
  return (struct rect){(width - w) / 2, (height - h) / 2, w, h};
}

/* What is shown of a picture: `crop`, resized and cut by the axes. */
struct view {
  struct rect crop;
  struct resample_axis x, y;
  bool flip;
};

static struct view training_view(const struct source *source, uint32_t epoch, int64_t index, int width, int height) {
  struct rng rng;
  rng_init(&rng, source->options.seed, RNG_CROP, epoch, (uint64_t)index);
  struct rect crop = source_random_crop(&rng, width, height);
  int size = source->size;
  return (struct view){crop, {crop.w, size, 0, size}, {crop.h, size, 0, size}, rng_uniform(&rng) < 0.5};
}

/* The middle of a side that is resized to `to`. */
static struct resample_axis middle(int from, int to, int size) {
  return (struct resample_axis){from, to, (int)rint((to - size) / 2.0), size};
}

/* Resize(size * 256 / 224) of the shorter side, then CenterCrop(size). */
static int held_out_view(const struct source *source, int width, int height, struct view *view, struct error *error) {
  int64_t shorter = (int64_t)floor(source->size * 256 / 224.0 + 0.5), least = width < height ? width : height;
  int64_t w = shorter * width / least, h = shorter * height / least;
  if (w > INT32_MAX || h > INT32_MAX) return error_set(error, "%d x %d pixels are too long and thin", width, height);
  *view = (struct view){.crop = {0, 0, width, height},
                        .x = middle(width, (int)w, source->size),
                        .y = middle(height, (int)h, source->size)};
  return 0;
}

int source_check_shape(const struct source *source, const struct image *picture, struct error *error) {
  struct view ignored;
  return held_out_view(source, picture->width, picture->height, &ignored, error);
}

static int render_view(const struct source *source, const struct view *view, struct source_scratch *scratch,
                       struct image *canvas, struct error *error) {
  size_t memory = image_memory_share(source->options.workers);
  struct rect visible;
  struct jig_scratch *jig = &scratch->jig;
  visible.w = resample_span(&view->x, &visible.x);
  visible.h = resample_span(&view->y, &visible.y);
  visible.x += view->crop.x;
  visible.y += view->crop.y;
  if (image_decode(scratch->file.data, scratch->file.size, &visible, memory, &jig->part, error)) return -1;
  return resample(&jig->resampler, &jig->part, &view->x, &view->y, view->flip, canvas->pixels,
                  (size_t)canvas->width * 3, error);
}

int source_render_folder(const struct source *source, uint32_t epoch, int64_t index, struct source_scratch *scratch,
                         struct image *canvas, int32_t *labels, struct error *error) {
  const struct source_picture *picture;
  struct image_info info;
  struct view view;
  int size = source->size;
  if (source_read_picture(source, epoch, index, &scratch->file, &picture, error)) return -1;
  if (canvas->width != size || canvas->height != size) {
    if (image_alloc(canvas, size, size, error)) return -1;
  }
  labels[0] = picture->labels[0];
  int result = image_probe(scratch->file.data, scratch->file.size, &info, error);
  if (result == 0 && source->part == SOURCE_TRAINING) {
    view = training_view(source, epoch, index, info.width, info.height);
  } else if (result == 0) {
    result = held_out_view(source, info.width, info.height, &view, error);
  }
  if (result == 0) result = render_view(source, &view, scratch, canvas, error);
  return result ? source_blame_picture(source, picture, error) : 0;
}
