/* Runs a fuzz target over the files of the folder given: what libFuzzer once found stays found. */
#include "core/base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
    return 2;
  }
  struct arena arena = {0};
  struct buffer buffer = {0};
  struct error error = {0};
  char **names = NULL;
  size_t count = 0;
  int status = directory_list(argv[1], &arena, &names, &count, &error);
  for (size_t i = 0; status == 0 && i < count; i++) {
    status = file_read(&buffer, path_join(&arena, argv[1], names[i]), &error);
    if (status == 0) LLVMFuzzerTestOneInput(buffer.data, buffer.size);
  }
  if (status == 0 && count == 0) status = error_set(&error, "%s: no inputs", argv[1]);
  if (status == 0) printf("%zu inputs\n", count);
  if (status != 0) fprintf(stderr, "%s\n", error.message);
  buffer_free(&buffer);
  arena_free(&arena);
  return status == 0 ? 0 : 1;
}
