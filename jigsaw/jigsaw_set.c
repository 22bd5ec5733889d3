/* The written jigsaw data set: images and a COCO JSON. Images are made in runs, one folder each, which is renamed when
 * it is complete; the annotations follow from the options alone and are written last, in one sweep. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jigsaw/generate.h"

struct jigsaw_worker {
  struct jig_scratch scratch;
  struct image canvas;
  struct buffer jpeg;
};

struct jigsaw_set {
  struct jig_assembler assembler;
  const struct jig_generate_options *options;
  const char *folder; /* FOLDER/jigsaws/images */
  struct progress *progress;
  struct jigsaw_worker *workers;
  int64_t count, run;
};

/* A plain file in a folder that does not count before it is renamed. */
static int write_plain(const char *path, const struct buffer *bytes, struct error *error) {
  FILE *file = fopen(path, "wb");
  if (!file) return error_system(error, "%s: cannot create", path);
  bool written = fwrite(bytes->data, 1, bytes->size, file) == bytes->size;
  int code = errno;
  if (fclose(file) && written) {
    written = false;
    code = errno;
  }
  errno = code;
  return written ? 0 : error_system(error, "%s: cannot write", path);
}

static int draw_run(struct jigsaw_set *set, struct jigsaw_worker *worker, const char *folder, int64_t first,
                    int64_t last, struct error *error) {
  struct jig_tile tiles[JIG_REGIONS];
  char path[PATH_SIZE];
  for (int64_t i = first; i < last; i++) {
    jig_plan(&set->assembler, 0, i, tiles);
    if (path_format(path, error, "%s/%08lld.jpg", folder, (long long)i) ||
        jig_render(&set->assembler, tiles, &worker->scratch, &worker->canvas, error) ||
        image_encode_jpeg(&worker->canvas, (int)set->options->jigsaw_quality, &worker->jpeg, error) ||
        write_plain(path, &worker->jpeg, error)) {
      return -1;
    }
    progress_add(set->progress, 1);
  }
  return 0;
}

/* All that was written below `folder` reaches the disk before its final name does. */
static int publish_folder(const char *temporary, const char *folder, struct error *error) {
  int fd = open(temporary, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return error_system(error, "%s: cannot open", temporary);
  int result = syncfs(fd) ? error_system(error, "%s: cannot sync", temporary) : 0;
  close(fd);
  if (result == 0 && rename(temporary, folder)) result = error_system(error, "%s: cannot rename", temporary);
  return result;
}

static int make_run(void *context, int worker, int64_t number, struct error *error) {
  struct jigsaw_set *set = context;
  int64_t first = number * set->run, last = first + set->run < set->count ? first + set->run : set->count;
  char folder[PATH_SIZE], temporary[PATH_SIZE];
  if (path_format(folder, error, "%s/%04lld", set->folder, (long long)number) ||
      path_format(temporary, error, "%s.tmp", folder)) {
    return -1;
  }
  if (file_exists(folder)) {
    progress_skip(set->progress, last - first);
    return 0;
  }
  if (file_remove_tree(temporary, error) || directory_create(temporary, error)) return -1;
  if (draw_run(set, &set->workers[worker], temporary, first, last, error) == 0 &&
      publish_folder(temporary, folder, error) == 0) {
    if (set->options->run) run_tick(set->options->run);
    return 0;
  }
  struct error ignored;
  file_remove_tree(temporary, &ignored);
  return -1;
}

/* Ids of categories are the data set's; background gets one more than the largest. */
static int64_t background_id(const struct jig_store *store) {
  int64_t largest = 0;
  for (int32_t i = 0; i < jig_store_category_count(store); i++) {
    if (jig_store_category(store, i)->id > largest) largest = jig_store_category(store, i)->id;
  }
  return largest + 1;
}

static int write_categories(struct file_writer *file, const struct jig_store *store, struct error *error) {
  struct buffer text = {0};
  int result = 0;
  for (int32_t label = 0; result == 0 && label < jig_store_labels(store); label++) {
    bool background = label == jig_store_background(store);
    int64_t id = background ? background_id(store) : jig_store_category(store, label)->id;
    text.size = 0;
    result = buffer_printf(&text, error, "%s\n{\"id\":%lld,\"name\":", label ? "," : "", (long long)id);
    if (result == 0) result = buffer_json_string(&text, jig_store_label_name(store, label), error);
    if (result == 0) result = buffer_append(&text, "}", 1, error);
    if (result == 0) result = file_write(file, text.data, text.size, error);
  }
  buffer_free(&text);
  return result;
}

static int write_image_entries(struct file_writer *file, const struct jigsaw_set *set, struct error *error) {
  int size = set->options->assemble.template.size;
  for (int64_t i = 0; i < set->count; i++) {
    if (file_printf(file, error, "%s\n{\"id\":%lld,\"file_name\":\"%04lld/%08lld.jpg\",\"width\":%d,\"height\":%d}",
                    i ? "," : "", (long long)i + 1, (long long)(i / set->run), (long long)i, size, size)) {
      return -1;
    }
  }
  return 0;
}

static int write_tile(struct file_writer *file, const struct jigsaw_set *set, const struct jig_tile *tile,
                      int64_t image, int region, bool first, struct error *error) {
  const struct jig_store *store = set->assembler.store;
  const struct jig_record *record = jig_store_record(store, tile->sample);
  const struct rect *p = &tile->placed, *r = &tile->region;
  int64_t category = record->negative ? background_id(store) : jig_store_category(store, record->label)->id;
  if (file_printf(file, error,
                  "%s\n{\"id\":%lld,\"image_id\":%lld,\"category_id\":%lld,\"bbox\":[%d,%d,%d,%d],\"area\":%d,"
                  "\"iscrowd\":0,\"segmentation\":[[%d,%d,%d,%d,%d,%d,%d,%d]],\"region\":[%d,%d,%d,%d],",
                  first ? "" : ",", (long long)(image * JIG_REGIONS + region + 1), (long long)image + 1,
                  (long long)category, p->x, p->y, p->w, p->h, p->w * p->h, p->x, p->y, p->x + p->w, p->y, p->x + p->w,
                  p->y + p->h, p->x, p->y + p->h, r->x, r->y, r->w, r->h)) {
    return -1;
  }
  char annotation[32] = "null";
  if (!record->negative) snprintf(annotation, sizeof annotation, "%lld", (long long)record->annotation_id);
  return file_printf(file, error,
                     "\"sample\":%lld,\"source\":{\"image_id\":%lld,\"annotation_id\":%s,\"bbox\":[%d,%d,%d,%d],"
                     "\"scaled\":[%d,%d],\"crop\":[%d,%d],\"flip\":%s}}",
                     (long long)tile->sample, (long long)record->image_id, annotation, record->source[0],
                     record->source[1], record->source[2], record->source[3], tile->scaled_w, tile->scaled_h,
                     tile->crop_x, tile->crop_y, tile->flip ? "true" : "false");
}

static int write_tiles(struct file_writer *file, const struct jigsaw_set *set, struct error *error) {
  bool first = true;
  for (int64_t i = 0; i < set->count; i++) {
    struct jig_tile tiles[JIG_REGIONS];
    jig_plan(&set->assembler, 0, i, tiles);
    for (int region = 0; region < JIG_REGIONS; region++) {
      if (tiles[region].label < 0) continue; /* negatives without a class */
      if (write_tile(file, set, &tiles[region], i, region, first, error)) return -1;
      first = false;
    }
  }
  return 0;
}

static int write_document(struct file_writer *file, const struct jigsaw_set *set, struct error *error) {
  return file_printf(file, error,
                     "{\"info\":{\"description\":\"Jigsaws: four samples an image, one annotation a tile\"},"
                     "\n\"categories\":[") ||
                 write_categories(file, set->assembler.store, error) || file_printf(file, error, "],\n\"images\":[") ||
                 write_image_entries(file, set, error) || file_printf(file, error, "],\n\"annotations\":[") ||
                 write_tiles(file, set, error) || file_printf(file, error, "]}\n")
             ? -1
             : 0;
}

static int write_annotations(const struct jigsaw_set *set, const char *folder, struct error *error) {
  char path[PATH_SIZE];
  struct file_writer file;
  if (path_format(path, error, "%s/jigsaws/annotations/instances.json", folder)) return -1;
  if (file_create(&file, path, error)) return -1;
  if (write_document(&file, set, error)) {
    file_abandon(&file);
    return -1;
  }
  return file_commit(&file, error);
}

static int set_open(struct jigsaw_set *set, const struct jig_store *store, const struct jig_generate_options *options,
                    struct error *error) {
  *set = (struct jigsaw_set){.options = options, .count = jig_jigsaw_count(store, options)};
  set->run = jig_run_length(set->count);
  return jig_assembler_init(&set->assembler, store, &options->assemble, error);
}

int jig_hash_jigsaws(const struct jig_store *store, const struct jig_generate_options *options, XXH128_hash_t *hash,
                     struct error *error) {
  struct jigsaw_set set;
  struct file_writer file;
  if (set_open(&set, store, options, error) || file_create_nowhere(&file, error)) return -1;
  int result = write_document(&file, &set, error);
  *hash = file_hash(&file);
  file_abandon(&file);
  return result;
}

int64_t jig_jigsaw_count(const struct jig_store *store, const struct jig_generate_options *options) {
  return options->jigsaws >= 0 ? options->jigsaws : jig_epoch_length(store);
}

int jig_write_jigsaws(const struct jig_store *store, const struct jig_generate_options *options, const char *folder,
                      struct progress *progress, int64_t *written, struct error *error) {
  struct jigsaw_set set;
  char images[PATH_SIZE], annotations[PATH_SIZE];
  *written = 0;
  if (set_open(&set, store, options, error)) return -1;
  if (set.count == 0) return 0;
  set.progress = progress;
  if (path_format(images, error, "%s/jigsaws/images", folder) ||
      path_format(annotations, error, "%s/jigsaws/annotations", folder)) {
    return -1;
  }
  set.folder = images;
  set.workers = calloc((size_t)options->workers, sizeof *set.workers);
  int result = set.workers ? 0 : error_memory(error, (size_t)options->workers * sizeof *set.workers);
  if (result == 0) result = directory_create(images, error);
  if (result == 0) result = directory_create(annotations, error);
  if (result == 0) {
    result = parallel_for(options->workers, jig_run_count(set.count), make_run, &set, error);
  }
  if (result == 0) result = directory_sync(images, error); /* the names that the runs were given */
  if (result == 0) result = write_annotations(&set, folder, error);
  for (int i = 0; set.workers && i < options->workers; i++) {
    jig_scratch_free(&set.workers[i].scratch);
    image_free(&set.workers[i].canvas);
    buffer_free(&set.workers[i].jpeg);
  }
  free(set.workers);
  if (result == 0) *written = set.count;
  return result;
}
