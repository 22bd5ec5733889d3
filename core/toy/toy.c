/* The classes of the toy data set, and its writing: scenes in parallel, each keyed by its index alone; the annotations
 * last. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/toy/internal.h"

enum { JPEG_QUALITY = 90, SCENES_MAX = 999999 };

/* Every shape has two textures, every texture at least two shapes, so that neither tells the class. */
const struct toy_class toy_classes[TOY_CATEGORIES] = {
    {1, TOY_STRIPED, TOY_FISH, "striped fish"},
    {2, TOY_DOTTED, TOY_STAR, "dotted star"},
    {3, TOY_BRICK, TOY_HOUSE, "brick house"},
    {5, TOY_CHECKERED, TOY_TOWER, "checkered tower"},
    {6, TOY_MARBLE, TOY_MUG, "marble mug"},
    {7, TOY_WOODEN, TOY_CAR, "wooden car"},
    {8, TOY_KNITTED, TOY_CACTUS, "knitted cactus"},
    {10, TOY_CHECKERED, TOY_BALLOON, "checkered balloon"},
    {11, TOY_DOTTED, TOY_CATERPILLAR, "dotted caterpillar"},
    {13, TOY_STRIPED, TOY_BOTTLE, "striped bottle"},
    {14, TOY_SCALY, TOY_TEAPOT, "scaly teapot"},
    {15, TOY_WOODEN, TOY_GEAR, "wooden gear"},
    {17, TOY_BRICK, TOY_TOWER, "brick tower"},
    {18, TOY_SCALY, TOY_FISH, "scaly fish"},
    {19, TOY_KNITTED, TOY_STAR, "knitted star"},
    {20, TOY_STRIPED, TOY_BALLOON, "striped balloon"},
    {22, TOY_CHECKERED, TOY_CAR, "checkered car"},
    {23, TOY_DOTTED, TOY_CACTUS, "dotted cactus"},
    {25, TOY_WOODEN, TOY_HOUSE, "wooden house"},
    {27, TOY_SCALY, TOY_MUG, "scaly mug"},
    {28, TOY_KNITTED, TOY_CATERPILLAR, "knitted caterpillar"},
    {31, TOY_MARBLE, TOY_BOTTLE, "marble bottle"},
    {32, TOY_DOTTED, TOY_TEAPOT, "dotted teapot"},
    {33, TOY_MARBLE, TOY_GEAR, "marble gear"},
};

/* A long tail: weight 1 / (rank + 4), so that the first class is some seven times as frequent as the last. */
static double class_weight(int rank) {
  return 1.0 / (rank + 4.0);
}

int toy_class_draw(struct rng *rng) {
  double total = 0;
  for (int i = 0; i < TOY_CATEGORIES; i++) {
    total += class_weight(i);
  }
  double left = rng_range(rng, 0, total);
  for (int i = 0; i + 1 < TOY_CATEGORIES; i++) {
    left -= class_weight(i);
    if (left < 0) {
      return i;
    }
  }
  return TOY_CATEGORIES - 1;
}

struct worker {
  struct toy_studio studio;
  struct buffer jpeg;
};

struct job {
  const char *images;
  uint64_t seed;
  struct worker *workers;
  struct toy_scene *scenes;
  struct progress *progress;
};

static int write_scene(void *context, int worker, int64_t item, struct error *error) {
  struct job *job = context;
  struct worker *w = &job->workers[worker];
  struct arena arena = {0};
  char name[32];
  snprintf(name, sizeof(name), "%06" PRId64 ".jpg", item + 1);
  const char *path = path_join(&arena, job->images, name);
  int failed = path ? 0 : error_memory(error, sizeof(name));
  failed = failed || toy_scene_render(&w->studio, job->seed, item, &job->scenes[item], error);
  failed = failed || image_encode_jpeg(&w->studio.image, JPEG_QUALITY, &w->jpeg, error);
  failed = failed || file_write_all(path, w->jpeg.data, w->jpeg.size, error);
  if (!failed && job->progress) {
    progress_add(job->progress, 1);
  }
  arena_free(&arena);
  return failed ? -1 : 0;
}

static int write_images(struct file_writer *file, const struct toy_scene *scenes, int64_t count, struct error *error) {
  for (int64_t i = 0; i < count; i++) {
    if (file_printf(file, error,
                    "%s{\"id\": %" PRId64 ", \"file_name\": \"%06" PRId64 ".jpg\", \"width\": %d, \"height\": %d}",
                    i > 0 ? ",\n" : "", i + 1, i + 1, scenes[i].width, scenes[i].height)) {
      return -1;
    }
  }
  return 0;
}

static int write_categories(struct file_writer *file, struct error *error) {
  for (int i = 0; i < TOY_CATEGORIES; i++) {
    const struct toy_class *class = &toy_classes[i];
    if (file_printf(file, error, "%s{\"id\": %d, \"name\": \"%s\", \"supercategory\": \"%s\"}", i > 0 ? ",\n" : "",
                    class->id, class->name, toy_shape_name(class->shape))) {
      return -1;
    }
  }
  return 0;
}

static int write_boxes(struct file_writer *file, const struct toy_scene *scenes, int64_t count, struct error *error) {
  int64_t id = 0;
  for (int64_t i = 0; i < count; i++) {
    for (int k = 0; k < scenes[i].box_count; k++) {
      const struct toy_box *box = &scenes[i].boxes[k];
      id++;
      if (file_printf(file, error,
                      "%s{\"id\": %" PRId64 ", \"image_id\": %" PRId64
                      ", \"category_id\": %d, \"bbox\": [%d.00, %d.00, "
                      "%d.00, %d.00], \"area\": %d, \"iscrowd\": %d, \"segmentation\": []}",
                      id > 1 ? ",\n" : "", id, i + 1, toy_classes[box->class].id, box->x, box->y, box->w, box->h,
                      box->area, box->crowd)) {
        return -1;
      }
    }
  }
  return 0;
}

static const char opening[] = "{\n\"info\": {\"description\": \"Jigsaw toy scenes, seed ";

/* Toy scenes may be rendered again; the annotations of others must not be lost. */
static int check_annotations(const char *path, struct error *error) {
  struct file_map map;
  if (!file_exists(path)) return 0;
  if (file_map_open(&map, path, error)) return -1;
  bool own = map.size > strlen(opening) && memcmp(map.data, opening, strlen(opening)) == 0;
  file_map_close(&map);
  return own ? 0 : error_set(error, "%s: there already, and not of toy scenes; choose another folder", path);
}

static int write_annotations(const char *path, const struct toy_scene *scenes, int64_t count, uint64_t seed,
                             struct error *error) {
  struct file_writer file;
  if (file_create(&file, path, error)) {
    return -1;
  }
  if (file_printf(&file, error, "%s%" PRIu64 "\", \"version\": \"1\"},\n", opening, seed) ||
      file_printf(&file, error, "\"images\": [\n") || write_images(&file, scenes, count, error) ||
      file_printf(&file, error, "\n],\n\"categories\": [\n") || write_categories(&file, error) ||
      file_printf(&file, error, "\n],\n\"annotations\": [\n") || write_boxes(&file, scenes, count, error) ||
      file_printf(&file, error, "\n]\n}\n")) {
    file_abandon(&file);
    return -1;
  }
  return file_commit(&file, error);
}

int toy_write(const char *folder, int64_t count, uint64_t seed, int workers, struct progress *progress,
              struct error *error) {
  if (count < 1 || count > SCENES_MAX) {
    return error_set(error, "%" PRId64 " toy scenes: ask for 1 to %d", count, SCENES_MAX);
  }
  int result = -1;
  workers = workers < 1 ? 1 : (int64_t)workers > count ? (int)count : workers;
  struct arena arena = {0};
  struct toy_noise *noise = malloc(sizeof(*noise));
  struct job job = {.seed = seed, .progress = progress};
  job.workers = calloc((size_t)workers, sizeof(*job.workers));
  job.scenes = calloc((size_t)count, sizeof(*job.scenes));
  job.images = path_join(&arena, folder, "images");
  const char *annotations = path_join(&arena, folder, "annotations");
  const char *json = path_join(&arena, folder, "annotations/instances.json");
  if (!noise || !job.workers || !job.scenes || !job.images || !annotations || !json) {
    error_memory(error, (size_t)count * sizeof(*job.scenes) + (size_t)workers * sizeof(*job.workers));
    goto done;
  }
  toy_noise_fill(noise);
  for (int i = 0; i < workers; i++) {
    job.workers[i].studio.noise = noise;
  }
  if (check_annotations(json, error) || directory_create(job.images, error) || directory_create(annotations, error) ||
      parallel_for(workers, count, write_scene, &job, error) ||
      write_annotations(json, job.scenes, count, seed, error)) {
    goto done;
  }
  result = 0;
done:
  for (int i = 0; job.workers && i < workers; i++) {
    toy_studio_free(&job.workers[i].studio);
    buffer_free(&job.workers[i].jpeg);
  }
  free(job.scenes);
  free(job.workers);
  free(noise);
  arena_free(&arena);
  return result;
}
