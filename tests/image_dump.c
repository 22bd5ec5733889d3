/* image_dump FILE...: for each, a line "WIDTH HEIGHT ORIENTATION" and the decoded RGB bytes on stdout, or the line "-
 * REASON". Run by tests/python/test_images_compatible.py. */
#include <stdio.h>

#include "core/image/image.h"

static int dump(const char *path, struct error *error) {
  struct buffer file = {0};
  struct image_info info;
  struct image image = {0};
  int result = file_read(&file, path, error);
  if (result == 0) result = image_probe(file.data, file.size, &info, error);
  if (result == 0) result = image_decode(file.data, file.size, NULL, image_memory_share(1), &image, error);
  if (result == 0) {
    printf("%d %d %d\n", info.width, info.height, info.orientation);
    fwrite(image.pixels, 3, (size_t)image.width * (size_t)image.height, stdout);
  }
  buffer_free(&file);
  image_free(&image);
  return result;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    struct error error = {0};
    if (dump(argv[i], &error)) printf("- %s\n", error.message);
  }
  return fflush(stdout) == 0 ? 0 : 1;
}
