/* The picture of an image: where it is, and what its header says. */
#include "core/dataset/internal.h"

#include <string.h>

int dataset_image_path(const struct dataset_image *image, char path[PATH_SIZE], struct error *error) {
  size_t length = strlen(image->folder);
  const char *slash = length == 0 || image->folder[length - 1] == '/' ? "" : "/";
  return path_format(path, error, "%s%s%s", image->folder, slash, image->file_name);
}

int picture_probe(const struct dataset_image *image, struct image_info *info, bool *known, struct error *error) {
  char path[PATH_SIZE];
  struct file_map map;
  struct error failed = {0};
  *known = false;
  if (dataset_image_path(image, path, &failed) == 0 && file_map_open(&map, path, &failed) == 0) {
    *known = image_probe(map.data, map.size, info, &failed) == 0;
    file_map_close(&map);
  }
  if (!failed.machine) return 0;
  *error = failed;
  return -1;
}
