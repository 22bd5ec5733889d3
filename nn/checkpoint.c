#include "nn/checkpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nn/weights.h"

static const char suffix[] = ".safetensors", temporary[] = ".safetensors.tmp";

/* ---- what there is in the folder ---- */

struct listing {
  struct arena arena;
  int64_t *iterations; /* of what looks like checkpoints, oldest first */
  size_t count;
  char **leftovers; /* what a kill left half written */
  size_t leftover_count;
};

static int checkpoint_path(char path[PATH_SIZE], const char *folder, int64_t iteration, struct error *error) {
  return path_format(path, error, "%s/%09" PRId64 "%s", folder, iteration, suffix);
}

/* The number in front of `ending`, or -1 for any other name. */
static int64_t iteration_of(const char *name, const char *ending) {
  char canonical[64];
  char *end;
  errno = 0;
  long long iteration = strtoll(name, &end, 10);
  if (errno || iteration < 0 || strcmp(end, ending) != 0) return -1;
  snprintf(canonical, sizeof canonical, "%09lld%s", iteration, ending);
  return strcmp(name, canonical) ? -1 : iteration;
}

static int compare_iterations(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static int list_folder(struct listing *listing, const char *folder, struct error *error) {
  char **names;
  size_t count;
  *listing = (struct listing){0};
  if (access(folder, F_OK)) return errno == ENOENT ? 0 : error_system(error, "%s: cannot look into it", folder);
  if (directory_list(folder, &listing->arena, &names, &count, error)) return -1;
  listing->iterations = arena_alloc(&listing->arena, count * sizeof *listing->iterations + 1);
  listing->leftovers = arena_alloc(&listing->arena, count * sizeof(char *) + 1);
  if (!listing->iterations || !listing->leftovers) return error_memory(error, count * sizeof *listing->iterations);
  for (size_t i = 0; i < count; i++) {
    int64_t iteration = iteration_of(names[i], suffix);
    if (iteration >= 0) listing->iterations[listing->count++] = iteration;
    if (iteration_of(names[i], temporary) >= 0) listing->leftovers[listing->leftover_count++] = names[i];
  }
  if (listing->count > 0) {
    qsort(listing->iterations, listing->count, sizeof *listing->iterations, compare_iterations);
  }
  return 0;
}

static int remove_file(const char *path, struct error *error) {
  return !unlink(path) || errno == ENOENT ? 0 : error_system(error, "%s: cannot remove", path);
}

/* ---- what a checkpoint consists of ---- */

struct item {
  const char *name;
  int rank;
  const int64_t *dims;
  int64_t count;
  const struct nn_param *param; /* NULL: an array of the caller's */
  float *block;                 /* of the parameter */
  float *array;
};

struct items {
  struct arena arena;
  struct item *list;
  size_t count;
  float *scratch; /* the largest parameter */
};

static int add_item(struct items *items, const char *prefix, const char *name, struct item item, struct error *error) {
  char *text = arena_alloc(&items->arena, strlen(prefix) + strlen(name) + 1);
  if (!text) return error_memory(error, strlen(name));
  item.name = strcat(strcpy(text, prefix), name);
  items->list[items->count++] = item;
  return 0;
}

static int items_of_params(struct items *items, const struct nn_params *params, struct error *error) {
  for (size_t i = 0; i < params->count; i++) {
    const struct nn_param *param = params->items[i];
    struct item item = {.rank = param->rank, .dims = param->dims, .count = param->count, .param = param};
    item.block = params->values;
    if (add_item(items, "", param->name, item, error)) return -1;
    item.block = params->momenta;
    if (param->trainable && params->momenta && add_item(items, "momentum:", param->name, item, error)) return -1;
  }
  return 0;
}

static int items_of_arrays(struct items *items, const struct checkpoint *checkpoint, struct error *error) {
  for (size_t i = 0; i < checkpoint->array_count; i++) {
    const struct checkpoint_array *array = &checkpoint->arrays[i];
    if (array->count < 1) return error_set(error, "state \"%s\" of a checkpoint is empty", array->key);
    struct item item = {.rank = 1, .dims = &array->count, .count = array->count, .array = array->values};
    if (add_item(items, "state:", array->key, item, error)) return -1;
  }
  return 0;
}

static void items_free(struct items *items) {
  arena_free(&items->arena);
  free(items->scratch);
  *items = (struct items){0};
}

static int items_of(struct items *items, const struct nn_params *params, const struct checkpoint *checkpoint,
                    struct error *error) {
  size_t bytes = (2 * params->count + checkpoint->array_count + 1) * sizeof *items->list;
  int64_t largest = 1;
  *items = (struct items){0};
  for (size_t i = 0; i < params->count; i++) {
    if (params->items[i]->count > largest) largest = params->items[i]->count;
  }
  items->scratch = malloc((size_t)largest * sizeof *items->scratch);
  items->list = arena_alloc(&items->arena, bytes);
  int status = items->scratch && items->list ? 0 : error_memory(error, bytes);
  if (!status) status = items_of_params(items, params, error);
  if (!status) status = items_of_arrays(items, checkpoint, error);
  if (status) items_free(items);
  return status;
}

/* The item's floats: the array, or the parameter's copied from the device. */
static const float *item_read(const struct items *items, const struct nn_params *params, const struct item *item,
                              struct error *error) {
  if (!item->param) return item->array;
  return nn_param_read(params, item->param, item->block, items->scratch, error) ? NULL : items->scratch;
}

/* ---- the hash: of everything that is stored, so that no damage goes unseen ---- */

static XXH3_state_t *hash_begin(const char *iteration, const char *notes, struct error *error) {
  XXH3_state_t *hash = XXH3_createState();
  if (!hash) {
    error_memory(error, 0);
    return NULL;
  }
  XXH3_128bits_reset(hash);
  XXH3_128bits_update(hash, iteration, strlen(iteration) + 1);
  XXH3_128bits_update(hash, notes, strlen(notes) + 1);
  return hash;
}

static void hash_tensor(XXH3_state_t *hash, const char *name, int rank, const int64_t dims[], const void *data,
                        size_t size) {
  XXH3_128bits_update(hash, name, strlen(name) + 1);
  XXH3_128bits_update(hash, dims, (size_t)rank * sizeof *dims);
  XXH3_128bits_update(hash, data, size);
}

static void hash_end(XXH3_state_t *hash, char hex[33]) {
  hash_hex(XXH3_128bits_digest(hash), hex);
  XXH3_freeState(hash);
}

static int hash_items(const struct items *items, const struct nn_params *params, const char *iteration,
                      const char *notes, char hex[33], struct error *error) {
  XXH3_state_t *hash = hash_begin(iteration, notes, error);
  int status = hash ? 0 : -1;
  for (size_t i = 0; !status && i < items->count; i++) {
    const struct item *item = &items->list[i];
    const float *values = item_read(items, params, item, error);
    if (!values) {
      status = -1;
    } else {
      hash_tensor(hash, item->name, item->rank, item->dims, values, (size_t)item->count * sizeof *values);
    }
  }
  if (hash) hash_end(hash, hex);
  return status;
}

static int hash_file(const struct safetensors *file, const char *iteration, const char *notes, char hex[33],
                     struct error *error) {
  XXH3_state_t *hash = hash_begin(iteration, notes, error);
  if (!hash) return -1;
  for (size_t i = 0; i < file->count; i++) {
    const struct safetensors_entry *entry = &file->entries[i];
    hash_tensor(hash, entry->name, entry->rank, entry->dims, entry->data, entry->size);
  }
  hash_end(hash, hex);
  return 0;
}

/* ---- saving ---- */

static int write_items(struct safetensors_writer *writer, const struct items *items, const struct nn_params *params,
                       struct error *error) {
  for (size_t i = 0; i < items->count; i++) {
    const struct item *item = &items->list[i];
    if (safetensors_declare(writer, item->name, SAFETENSORS_F32, item->rank, item->dims, error)) return -1;
  }
  for (size_t i = 0; i < items->count; i++) {
    const struct item *item = &items->list[i];
    const float *values = item_read(items, params, item, error);
    if (!values || safetensors_write(writer, values, (size_t)item->count * sizeof *values, error)) return -1;
  }
  return 0;
}

static int write_checkpoint(const char *path, const struct nn_params *params, const struct items *items,
                            int64_t iteration, const char *notes, struct error *error) {
  struct safetensors_writer *writer;
  char number[32], hash[33];
  snprintf(number, sizeof number, "%" PRId64, iteration);
  if (hash_items(items, params, number, notes, hash, error)) return -1;
  if (safetensors_create(&writer, path, error)) return -1;
  if (safetensors_note(writer, "iteration", number, error) || safetensors_note(writer, "notes", notes, error) ||
      safetensors_note(writer, "xxh3-128", hash, error) || write_items(writer, items, params, error)) {
    safetensors_abandon(writer);
    return -1;
  }
  return safetensors_commit(writer, NULL, error);
}

/* First of all, so that they take no room on a disk that is nearly full. */
static int remove_leftovers(const struct listing *listing, const char *folder, struct error *error) {
  char path[PATH_SIZE];
  for (size_t i = 0; i < listing->leftover_count; i++) {
    if (path_format(path, error, "%s/%s", folder, listing->leftovers[i]) || remove_file(path, error)) return -1;
  }
  return 0;
}

/* What is later than the checkpoint just saved had been passed by as damaged. */
static int remove_older(const struct listing *listing, const char *folder, int64_t saved, int keep,
                        struct error *error) {
  char path[PATH_SIZE];
  int kept = 1;
  for (size_t i = listing->count; i-- > 0;) {
    int64_t iteration = listing->iterations[i];
    if (iteration == saved || (iteration < saved && kept++ < keep)) continue;
    if (checkpoint_path(path, folder, iteration, error) || remove_file(path, error)) return -1;
  }
  return 0;
}

int checkpoint_save(const char *folder, const struct nn_params *params, const struct checkpoint *checkpoint,
                    const cJSON *notes, int keep, struct error *error) {
  struct listing listing = {0};
  struct items items = {0};
  char path[PATH_SIZE], *text = notes ? cJSON_PrintUnformatted(notes) : strdup("null");
  int status = text ? 0 : error_memory(error, 0);
  if (!status && checkpoint->iteration < 0) status = error_set(error, "a checkpoint of a negative iteration");
  if (!status) status = directory_create(folder, error);
  if (!status) status = list_folder(&listing, folder, error);
  if (!status) status = remove_leftovers(&listing, folder, error);
  if (!status) status = items_of(&items, params, checkpoint, error);
  if (!status) status = checkpoint_path(path, folder, checkpoint->iteration, error);
  if (!status) status = write_checkpoint(path, params, &items, checkpoint->iteration, text, error);
  if (!status) status = remove_older(&listing, folder, checkpoint->iteration, keep, error);
  items_free(&items);
  arena_free(&listing.arena);
  free(text);
  return status;
}

/* ---- loading ---- */

/* Whether the file is what was written: 0, or -1 and a message about the damage. `*notes` is set on success. */
static int check_whole(const struct safetensors *file, const char *path, int64_t iteration, cJSON **notes,
                       struct error *error) {
  const char *number = safetensors_metadata(file, "iteration"), *text = safetensors_metadata(file, "notes");
  const char *expected = safetensors_metadata(file, "xxh3-128");
  char name[32], hash[33];
  if (!number || !text || !expected) return error_set(error, "%s: not a checkpoint", path);
  if (hash_file(file, number, text, hash, error)) return -1;
  for (size_t i = 0; i < file->count; i++) {
    if (file->entries[i].dtype != SAFETENSORS_F32) return error_set(error, "%s: damaged: not all is F32", path);
  }
  if (strcmp(hash, expected) != 0) return error_set(error, "%s: damaged: its hash is not what it says", path);
  snprintf(name, sizeof name, "%" PRId64, iteration);
  if (strcmp(name, number) != 0) return error_set(error, "%s: renamed: it is of iteration %s", path, number);
  *notes = cJSON_Parse(text); /* they are as they were written */
  return *notes ? 0 : error_memory(error, strlen(text));
}

static int fail_shape(const char *path, const struct item *item, const struct safetensors_entry *entry,
                      struct error *error) {
  char before[WEIGHTS_SHAPE_SIZE], now[WEIGHTS_SHAPE_SIZE];
  weights_shape_text(before, entry->rank, entry->dims);
  weights_shape_text(now, item->rank, item->dims);
  return error_set(
      error,
      "%s: %s is %s in the checkpoint, %s now: begun with other classes or another network; choose another "
      "folder",
      path, item->name, before, now);
}

static int check_fit(const struct safetensors *file, const char *path, const struct items *items, struct error *error) {
  const struct item *missing = NULL;
  for (size_t i = 0; i < items->count; i++) {
    const struct item *item = &items->list[i];
    const struct safetensors_entry *entry = safetensors_find(file, item->name);
    bool same = entry && entry->rank == item->rank;
    for (int axis = 0; same && axis < item->rank; axis++) {
      same = entry->dims[axis] == item->dims[axis];
    }
    if (entry && !same) return fail_shape(path, item, entry, error);
    if (!entry && !missing) missing = item;
  }
  if (missing) {
    return error_set(error, "%s: %s is not in the checkpoint: begun with another network; choose another folder", path,
                     missing->name);
  }
  if (file->count == items->count) return 0;
  return error_set(error, "%s: holds %zu tensors, of which only %zu are of this network; choose another folder", path,
                   file->count, items->count);
}

static int restore(const struct safetensors *file, const struct items *items, struct nn_params *params,
                   struct error *error) {
  for (size_t i = 0; i < items->count; i++) {
    const struct item *item = &items->list[i];
    float *values = item->param ? items->scratch : item->array;
    if (safetensors_floats(safetensors_find(file, item->name), 0, item->count, values, error)) return -1;
    if (item->param && nn_param_write(params, item->param, item->block, values, error)) return -1;
  }
  return 0;
}

/* The file is read, not mapped: an I/O error is then an error, and no signal. */
static enum checkpoint_result load_one(const char *path, int64_t iteration, struct nn_params *params,
                                       const struct items *items, cJSON **notes, struct error *error) {
  struct buffer bytes = {0};
  struct safetensors file = {0};
  enum checkpoint_result result = CHECKPOINT_FAILED;
  if (file_read(&bytes, path, error)) goto done;
  if (safetensors_parse(&file, bytes.data, bytes.size, path, error) ||
      check_whole(&file, path, iteration, notes, error)) {
    result = error->machine ? CHECKPOINT_FAILED : CHECKPOINT_DAMAGED;
    goto done;
  }
  if (check_fit(&file, path, items, error) || restore(&file, items, params, error)) goto done;
  result = CHECKPOINT_LOADED;
done:
  safetensors_close(&file);
  buffer_free(&bytes);
  return result;
}

static enum checkpoint_result name_damaged(const struct listing *listing, const char *folder, struct error *error) {
  char names[512] = "";
  size_t used = 0;
  for (size_t i = listing->count; i-- > 0 && used < sizeof names;) {
    int64_t iteration = listing->iterations[i];
    used += (size_t)snprintf(names + used, sizeof names - used, "%s%09" PRId64 "%s", used > 0 ? ", " : "", iteration,
                             suffix);
  }
  error_set(error, "%s: no checkpoint in it is whole (%s)", folder, names);
  return CHECKPOINT_DAMAGED;
}

static enum checkpoint_result load_newest(const struct listing *listing, const char *folder, struct nn_params *params,
                                          const struct items *items, struct checkpoint *checkpoint, cJSON **notes,
                                          struct buffer *skipped, struct error *error) {
  char path[PATH_SIZE];
  for (size_t i = listing->count; i-- > 0;) {
    int64_t iteration = listing->iterations[i];
    if (checkpoint_path(path, folder, iteration, error)) return CHECKPOINT_FAILED;
    enum checkpoint_result result = load_one(path, iteration, params, items, notes, error);
    if (result == CHECKPOINT_LOADED) checkpoint->iteration = iteration;
    if (result != CHECKPOINT_DAMAGED) return result;
    if (buffer_printf(skipped, error, "%s\n", error->message)) return CHECKPOINT_FAILED;
  }
  return listing->count > 0 ? name_damaged(listing, folder, error) : CHECKPOINT_NONE;
}

enum checkpoint_result checkpoint_load(const char *folder, struct nn_params *params, struct checkpoint *checkpoint,
                                       cJSON **notes, struct buffer *skipped, struct error *error) {
  struct listing listing;
  struct items items = {0};
  enum checkpoint_result result = CHECKPOINT_FAILED;
  *notes = NULL;
  if (list_folder(&listing, folder, error) == 0 && items_of(&items, params, checkpoint, error) == 0) {
    result = load_newest(&listing, folder, params, &items, checkpoint, notes, skipped, error);
  }
  if (result != CHECKPOINT_LOADED) {
    cJSON_Delete(*notes);
    *notes = NULL;
  }
  items_free(&items);
  arena_free(&listing.arena);
  return result;
}

int checkpoint_newest(const char *folder, char path[PATH_SIZE], struct error *error) {
  struct listing listing;
  path[0] = '\0';
  int status = list_folder(&listing, folder, error);
  if (!status && listing.count > 0) {
    status = checkpoint_path(path, folder, listing.iterations[listing.count - 1], error);
  }
  arena_free(&listing.arena);
  return status;
}
