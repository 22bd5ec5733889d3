/* A finished backbone under another library's names. The file is its own model: its tensors are declared as parameters.
 */
#include <string.h>

#include "pretrain/pretrain.h"

static int declare(struct nn_params *params, const struct safetensors *file, struct error *error) {
  for (size_t i = 0; i < file->count; i++) {
    const struct safetensors_entry *entry = &file->entries[i];
    const char *dot = strrchr(entry->name, '.');
    bool batches = dot && !strcmp(dot, ".num_batches_tracked");
    struct nn_initial zero = {NN_CONSTANT, 0};
    if (entry->rank > 4) return error_set(error, "tensor '%s' has rank %d", entry->name, entry->rank);
    if (!nn_params_declare(params, entry->name, batches ? NN_NORM_BATCHES : NN_WEIGHT, entry->rank, entry->dims, zero,
                           error)) {
      return -1;
    }
  }
  return 0;
}

static int export_file(const char *from, const char *to, enum weights_layout layout, struct nn_device *device,
                       struct nn_params *params, struct safetensors *file, struct error *error) {
  struct weights_match match = {0};
  if (safetensors_open(file, from, error) || declare(params, file, error)) return -1;
  const char *arch = safetensors_metadata(file, "arch");
  if (!arch) return error_set(error, "%s: not written by jigsaw-pretrain: no 'arch' in its metadata", from);
  int result = nn_device_open(device, "ref", 1, error);
  if (result == 0) result = nn_params_allocate(params, device, false, error);
  if (result == 0) result = weights_load(params, from, &match, error);
  if (result == 0) result = weights_save(params, to, arch, layout, NULL, file->metadata, file->metadata_count, error);
  weights_match_free(&match);
  return result;
}

int pretrain_export(const char *run, enum weights_layout layout, char path[PATH_SIZE], struct error *error) {
  char from[PATH_SIZE];
  struct nn_device device = {0};
  struct nn_params params;
  struct safetensors file = {0};
  nn_params_init(&params);
  int result = path_format(from, error, "%s/backbone.safetensors", run);
  if (result == 0) result = path_format(path, error, "%s/backbone.%s.safetensors", run, weights_layout_names[layout]);
  if (result == 0) result = export_file(from, path, layout, &device, &params, &file, error);
  nn_params_free(&params);
  nn_device_close(&device);
  safetensors_close(&file);
  return result;
}
