/* Sources that are lists of picture files: which of them belong to a part, and in which order they come. */
#include "pretrain/source_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PERMUTE_PICTURES = 16 }; /* stream of rng_permute; the assembler's decks are 0 to 2 */

int source_add_picture(struct source *source, const char *name, const int32_t labels[JIG_REGIONS],
                       struct error *error) {
  char path[PATH_SIZE];
  struct stat status;
  if (path_format(path, error, "%s/%s", source->pictures_folder, name)) return -1;
  if (stat(path, &status)) return error_system(error, "%s: cannot read", path);
  if (!S_ISREG(status.st_mode)) return error_set(error, "%s: not a regular file", path);
  void *items = source->pictures;
  int result =
      array_reserve(&items, &source->picture_capacity, source->picture_count + 1, sizeof *source->pictures, error);
  source->pictures = items;
  if (result != 0) return -1;
  struct source_picture picture = {.name = arena_copy(&source->arena, name, strlen(name))};
  if (!picture.name) return error_memory(error, strlen(name) + 1);
  memcpy(picture.labels, labels, sizeof picture.labels);
  source->pictures[source->picture_count++] = picture;
  int64_t size = status.st_size;
  XXH3_128bits_update(source->hash, name, strlen(name) + 1);
  XXH3_128bits_update(source->hash, &size, sizeof size);
  return 0;
}

int source_pick_pictures(struct source *source, struct error *error) {
  bool *used = calloc((size_t)source->classes, sizeof *used);
  if (!used) return error_memory(error, (size_t)source->classes);
  size_t kept = 0;
  for (size_t i = 0; i < source->picture_count; i++) {
    const struct source_picture *picture = &source->pictures[i];
    if (!source_takes(source, XXH64(picture->name, strlen(picture->name), 0))) continue;
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

int source_read_picture(const struct source *source, uint32_t epoch, int64_t index, struct buffer *file,
                        const struct source_picture **picture, struct error *error) {
  uint64_t position = (uint64_t)index;
  if (source->part == SOURCE_TRAINING) {
    position = rng_permute(source->options.seed, PERMUTE_PICTURES, epoch, source->picture_count, position);
  }
  *picture = &source->pictures[position];
  char path[PATH_SIZE];
  if (path_format(path, error, "%s/%s", source->pictures_folder, (*picture)->name)) return -1;
  return file_read(file, path, error);
}

int source_blame_picture(const struct source *source, const struct source_picture *picture, struct error *error) {
  return error_context(error, "%s/%s", source->pictures_folder, picture->name);
}
