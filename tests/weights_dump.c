/* What the tests against Python need of weight files:
 *
 *   weights_dump check FILE...                   a line for each: "ok", or the message
 *   weights_dump print FILE                      notes, and tensors with their values as float32
 *   weights_dump copy FILE OUT                   the same tensors and notes, written by us
 *   weights_dump load PARAMETERS FILE ARCH LAYOUT WITHOUT OUT
 *       declares the parameters of a text file (lines "NAME DIM DIM ..."), loads FILE into them, prints the report, and
 *       exports them to OUT without those whose names begin with WITHOUT
 */
#include "nn/weights.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int check(const char *path, struct error *error) {
  struct safetensors file;
  struct error found = {0};
  (void)error;
  bool good = safetensors_open(&file, path, &found) == 0;
  if (good) safetensors_close(&file);
  printf("%s\n", good ? "ok" : found.message);
  return 0;
}

static int print_tensor(const struct safetensors_entry *entry, struct error *error) {
  printf("tensor\t%s\t%s\t", entry->name, safetensors_dtype_name(entry->dtype));
  for (int i = 0; i < entry->rank; i++) {
    printf("%s%" PRId64, i > 0 ? "," : "", entry->dims[i]);
  }
  printf("\t");
  for (int64_t i = 0; entry->dtype != SAFETENSORS_OTHER && i < entry->count; i++) {
    float value;
    if (safetensors_floats(entry, i, 1, &value, error)) return -1;
    printf("%s%.9g", i > 0 ? "," : "", (double)value);
  }
  printf("\n");
  return 0;
}

static int print(const char *path, struct error *error) {
  struct safetensors file;
  if (safetensors_open(&file, path, error)) return -1;
  int status = 0;
  for (size_t i = 0; i < file.metadata_count; i++) {
    printf("note\t%s\t%s\n", file.metadata[i].key, file.metadata[i].text);
  }
  for (size_t i = 0; !status && i < file.count; i++) {
    status = print_tensor(&file.entries[i], error);
  }
  safetensors_close(&file);
  return status;
}

static int copy_all(const struct safetensors *file, struct safetensors_writer *writer, struct error *error) {
  for (size_t i = 0; i < file->metadata_count; i++) {
    if (safetensors_note(writer, file->metadata[i].key, file->metadata[i].text, error)) return -1;
  }
  for (size_t i = 0; i < file->count; i++) {
    const struct safetensors_entry *entry = &file->entries[i];
    if (safetensors_declare(writer, entry->name, entry->dtype, entry->rank, entry->dims, error)) return -1;
  }
  for (size_t i = 0; i < file->count; i++) {
    if (safetensors_write(writer, file->entries[i].data, file->entries[i].size, error)) return -1;
  }
  return 0;
}

static int copy(const char *path, const char *out, struct error *error) {
  struct safetensors file;
  struct safetensors_writer *writer;
  if (safetensors_open(&file, path, error)) return -1;
  int status = safetensors_create(&writer, out, error);
  if (!status) {
    status = copy_all(&file, writer, error);
    if (status) {
      safetensors_abandon(writer);
    } else {
      status = safetensors_commit(writer, NULL, error);
    }
  }
  safetensors_close(&file);
  return status;
}

static bool ends(const char *text, const char *end) {
  size_t size = strlen(text), tail = strlen(end);
  return size >= tail && !strcmp(text + size - tail, end);
}

static enum nn_role role_of(const char *name, int rank) {
  if (ends(name, "running_mean")) return NN_NORM_MEAN;
  if (ends(name, "running_var")) return NN_NORM_VARIANCE;
  if (ends(name, "num_batches_tracked")) return NN_NORM_BATCHES;
  return rank > 1 ? NN_WEIGHT : ends(name, "weight") ? NN_NORM_WEIGHT : NN_NORM_BIAS;
}

static int declare_all(struct nn_params *params, const char *path, struct error *error) {
  FILE *list = fopen(path, "r");
  char line[1024];
  int status = list ? 0 : error_system(error, "%s: cannot open", path);
  while (!status && fgets(line, sizeof line, list)) {
    char *rest, *name = strtok_r(line, " \n", &rest), *word;
    int64_t dims[4];
    int rank = 0;
    while (rank < 4 && (word = strtok_r(NULL, " \n", &rest))) {
      dims[rank++] = strtoll(word, NULL, 10);
    }
    struct nn_initial initial = {NN_CONSTANT, 0};
    if (!nn_params_declare(params, name, role_of(name, rank), rank, dims, initial, error)) status = -1;
  }
  if (list) fclose(list);
  return status;
}

static enum weights_layout layout_of(const char *name) {
  int layout = 0;
  while (weights_layout_names[layout + 1] && strcmp(weights_layout_names[layout], name) != 0) {
    layout++;
  }
  return (enum weights_layout)layout;
}

static int load(char **argv, struct error *error) {
  static const struct safetensors_text notes[] = {{"arch", "any"}, {"note", "\"\xC3\xBC\"\n"}};
  struct nn_device device;
  struct nn_params params;
  struct weights_match match = {0};
  struct buffer text = {0};
  nn_params_init(&params);
  if (nn_device_open(&device, "ref", 1, error)) return -1;
  int status = declare_all(&params, argv[0], error);
  if (!status) status = nn_params_allocate(&params, &device, false, error);
  if (!status) status = weights_load(&params, argv[1], &match, error);
  if (!status) status = weights_match_describe(&match, 5, true, &text, error);
  if (!status) printf("%s", (const char *)text.data);
  if (!status)
    status = weights_save(&params, argv[5], argv[2], layout_of(argv[3]), argv[4], notes, COUNT_OF(notes), error);
  weights_match_free(&match);
  buffer_free(&text);
  nn_params_free(&params);
  nn_device_close(&device);
  return status;
}

int main(int argc, char **argv) {
  struct error error = {0};
  const char *verb = argc > 1 ? argv[1] : "";
  int status = 2;
  if (!strcmp(verb, "check")) {
    for (int i = status = 2; i < argc; i++) {
      status = check(argv[i], &error);
    }
  } else if (!strcmp(verb, "print") && argc == 3) {
    status = print(argv[2], &error);
  } else if (!strcmp(verb, "copy") && argc == 4) {
    status = copy(argv[2], argv[3], &error);
  } else if (!strcmp(verb, "load") && argc == 8) {
    status = load(argv + 2, &error);
  }
  if (status) fprintf(stderr, "%s\n", status == 2 ? "usage: see weights_dump.c" : error.message);
  return status < 0 ? 1 : status;
}
