/* Sources that are lists of picture files: which of them belong to a part, and in which order they come. */
#include "pretrain/source_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PERMUTE_PICTURES = 16 }; /* stream of rng_permute; the assembler's decks are 0 to 2 */

/* A file that is not there, or none that could be a picture, is found when pictures are checked, or when its turn
 * comes; what could not be found out is not that. */
int source_add_picture(struct source *source, const char *name, const int32_t labels[JIG_REGIONS],
                       struct error *error) {
  char path[PATH_SIZE];
  struct stat status;
  if (path_format(path, error, "%s/%s", source->pictures_folder, name)) return -1;
  bool there = stat(path, &status) == 0;
  if (!there) error_system(error, "%s: cannot read", path);
  if (!there && error->machine) return -1;
  void *items = source->pictures;
  int result =
      array_reserve(&items, &source->picture_capacity, source->picture_count + 1, sizeof *source->pictures, error);
  source->pictures = items;
  if (result != 0) return -1;
  struct source_picture picture = {.name = arena_copy(&source->arena, name, strlen(name))};
  if (!picture.name) return error_memory(error, strlen(name) + 1);
  picture.size = there && S_ISREG(status.st_mode) ? status.st_size : -1;
  memcpy(picture.labels, labels, sizeof picture.labels);
  source->pictures[source->picture_count++] = picture;
  return 0;
}

uint64_t source_picture_key(const struct source_picture *picture) {
  return XXH64(picture->name, strlen(picture->name), 0);
}

static int compare_keys(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

static bool is_left_out(const struct source *source, uint64_t key) {
  const struct source_options *options = &source->options;
  return options->left_out_count > 0 &&
         bsearch(&key, options->left_out, options->left_out_count, sizeof key, compare_keys) != NULL;
}

int source_pick_pictures(struct source *source, struct error *error) {
  bool *used = calloc((size_t)source->classes, sizeof *used);
  if (!used) return error_memory(error, (size_t)source->classes);
  size_t kept = 0;
  for (size_t i = 0; i < source->picture_count; i++) {
    const struct source_picture *picture = &source->pictures[i];
    uint64_t key = source_picture_key(picture);
    if (is_left_out(source, key)) continue;
    XXH3_128bits_update(source->hash, picture->name, strlen(picture->name) + 1);
    XXH3_128bits_update(source->hash, &picture->size, sizeof picture->size);
    if (!source_takes(source, key)) continue;
    for (int region = 0; region < source->regions; region++) {
      if (picture->labels[region] >= 0) used[picture->labels[region]] = true;
    }
    source->pictures[kept++] = *picture;
  }
  source->picture_count = kept;
  source->epoch_length = (int64_t)kept;
  int result = source_check_part(source, source->epoch_length, used, error);
  free(used);
  return result;
}

static int read_picture(const struct source *source, const struct source_picture *picture, struct buffer *file,
                        struct error *error) {
  char path[PATH_SIZE];
  if (path_format(path, error, "%s/%s", source->pictures_folder, picture->name)) return -1;
  return file_read(file, path, error);
}

int source_read_picture(const struct source *source, uint32_t epoch, int64_t index, struct buffer *file,
                        const struct source_picture **picture, struct error *error) {
  uint64_t position = (uint64_t)index;
  if (source->part == SOURCE_TRAINING) {
    position = rng_permute(source->options.seed, PERMUTE_PICTURES, epoch, source->picture_count, position);
  }
  *picture = &source->pictures[position];
  return read_picture(source, *picture, file, error);
}

/* Decoded whole: what training crops of it is never more. */
int source_check_picture(const struct source *source, const struct source_picture *picture, size_t memory,
                         struct source_scratch *scratch, struct image *canvas, struct error *error) {
  const struct buffer *file = &scratch->file;
  if (read_picture(source, picture, &scratch->file, error)) return -1;
  int result = image_decode(file->data, file->size, NULL, memory, canvas, error);
  if (result == 0 && source->kind == SOURCE_JIGSAWS) result = source_check_jigsaw(source, canvas, error);
  if (result == 0 && source->kind == SOURCE_FOLDERS) result = source_check_shape(source, canvas, error);
  return result ? source_blame_picture(source, picture, error) : 0;
}

int source_blame_picture(const struct source *source, const struct source_picture *picture, struct error *error) {
  return error_context(error, "%s/%s", source->pictures_folder, picture->name);
}
