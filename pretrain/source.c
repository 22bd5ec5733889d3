#include "pretrain/source_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- what a folder is -------------------------------------------------------------------------------------------- */

static int folder_holds(const char *folder, const char *name, bool *holds, struct error *error) {
  char path[PATH_SIZE];
  if (path_format(path, error, "%s/%s", folder, name)) return -1;
  *holds = file_exists(path);
  return 0;
}

static int find_kind(const char *folder, bool classify, enum source_kind *kind, struct error *error) {
  bool store, shards, annotations, images;
  if (!file_exists(folder)) return error_set(error, "%s: no such folder", folder);
  if (folder_holds(folder, "dataset.json", &store, error) || folder_holds(folder, "shards", &shards, error) ||
      folder_holds(folder, "annotations/instances.json", &annotations, error) ||
      folder_holds(folder, "images", &images, error)) {
    return -1;
  }
  bool jigsaws = annotations && images;
  if (classify) {
    *kind = SOURCE_FOLDERS;
    if (!store && !shards && !jigsaws) return 0;
    return error_set(error,
                     "%s: this is a %s; to classify whole images, give a folder of class folders (CLASS/picture)",
                     folder, jigsaws ? "data set of jigsaws or of boxes" : "sample store");
  }
  *kind = jigsaws && !store ? SOURCE_JIGSAWS : SOURCE_STORE;
  if (store || shards || jigsaws) return 0;
  return error_set(
      error,
      "%s: neither a sample store nor a jigsaw data set (annotations/instances.json and images/); make one "
      "with jigsaw-gen",
      folder);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static int check_options(const struct source_options *options, struct error *error) {
  if (!(options->held_out >= 0 && options->held_out < 1)) {
    return error_set(error, "share held out %g: needs 0 <= share < 1", options->held_out);
  }
  return 0;
}

static int open_kind(struct source *source, struct error *error) {
  switch (source->kind) {
  case SOURCE_STORE:
    return source_open_store(source, error);
  case SOURCE_JIGSAWS:
    return source_open_jigsaws(source, error);
  default:
    return source_open_folders(source, error);
  }
}

static int fill_source(struct source *source, const char *folder, bool classify, struct error *error) {
  if (check_options(&source->options, error) || find_kind(folder, classify, &source->kind, error)) return -1;
  source->folder = arena_copy(&source->arena, folder, strlen(folder));
  source->hash = XXH3_createState();
  if (!source->folder || !source->hash) return error_memory(error, strlen(folder));
  XXH3_128bits_reset(source->hash);
  if (open_kind(source, error)) return -1;
  for (int label = 0; label < source->classes; label++) {
    XXH3_128bits_update(source->hash, source->class_names[label], strlen(source->class_names[label]) + 1);
  }
  return 0;
}

int source_open(struct source **source, const char *folder, bool classify, enum source_part part,
                const struct source_options *options, struct error *error) {
  *source = NULL;
  struct source *opened = calloc(1, sizeof *opened);
  if (!opened) return error_memory(error, sizeof *opened);
  opened->part = part;
  opened->options = *options;
  opened->options.assemble.seed = options->seed;
  if (fill_source(opened, folder, classify, error)) {
    source_close(opened);
    return -1;
  }
  *source = opened;
  return 0;
}

void source_close(struct source *source) {
  if (!source) return;
  jig_subset_free(&source->subset);
  jig_store_close(source->store);
  free(source->pictures);
  XXH3_freeState(source->hash);
  arena_free(&source->arena);
  free(source);
}

int source_set_classes(struct source *source, int64_t count, struct error *error) {
  if (count < 2 || count > INT32_MAX) {
    return error_set(error, "%s: it has %lld class%s, and a network needs two or more to tell apart", source->folder,
                     (long long)count, count == 1 ? "" : "es");
  }
  size_t bytes = (size_t)count * sizeof *source->class_names;
  source->class_names = arena_alloc(&source->arena, bytes);
  source->classes = (int)count;
  return source->class_names ? 0 : error_memory(error, bytes);
}

bool source_takes(const struct source *source, uint64_t key) {
  struct rng rng;
  rng_init(&rng, source->options.seed, RNG_HOLD_OUT, 0, key);
  bool held_out = rng_uniform(&rng) < source->options.held_out;
  return held_out == (source->part == SOURCE_HELD_OUT);
}

int source_check_part(const struct source *source, int64_t count, const bool *used, struct error *error) {
  double share = source->options.held_out;
  if (count == 0 && (share > 0 || source->part == SOURCE_HELD_OUT)) {
    return error_set(error, "%s: --held-out %g leaves nothing %s; --held-out 0 trains with all there is",
                     source->folder, share, source->part == SOURCE_HELD_OUT ? "in the held-out part" : "to train on");
  }
  if (count == 0) return error_set(error, "%s: there is nothing to train on", source->folder);
  int first = -1, classes = 0;
  for (int label = 0; label < source->classes; label++) {
    if (used[label] && classes++ == 0) first = label;
  }
  if (classes > 1 || source->part == SOURCE_HELD_OUT) return 0;
  return error_set(error, "%s: all there is to train on is of one class (%s); two or more are needed%s", source->folder,
                   first < 0 ? "none" : source->class_names[first],
                   share > 0 ? ", which may be in what is held out (--held-out 0: nothing)" : "");
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

enum source_kind source_kind(const struct source *source) {
  return source->kind;
}

enum source_part source_part(const struct source *source) {
  return source->part;
}

int64_t source_epoch_length(const struct source *source) {
  return source->epoch_length;
}

int source_size(const struct source *source) {
  return source->size;
}

int source_cut(const struct source *source) {
  return source->cut;
}

int source_regions(const struct source *source) {
  return source->regions;
}

int source_classes(const struct source *source) {
  return source->classes;
}

const char *source_class_name(const struct source *source, int label) {
  return label >= 0 && label < source->classes ? source->class_names[label] : "none";
}

XXH128_hash_t source_digest(const struct source *source) {
  return XXH3_128bits_digest(source->hash);
}

/* A run.json of jigsaw-gen's, if there is one. */
static int read_preparation(const char *path, cJSON **json, struct error *error) {
  if (!file_exists(path)) return 0;
  if (file_read_json(path, json, error)) return -1;
  const cJSON *tool = cJSON_GetObjectItemCaseSensitive(*json, "tool");
  if (cJSON_IsString(tool) && !strcmp(tool->valuestring, "jigsaw-gen")) return 0;
  cJSON_Delete(*json);
  *json = NULL;
  return 0;
}

int source_preparation(const struct source *source, cJSON **json, struct error *error) {
  char path[PATH_SIZE];
  *json = NULL;
  if (source->kind == SOURCE_FOLDERS) return 0;
  if (path_format(path, error, "%s/run.json", source->folder) || read_preparation(path, json, error)) return -1;
  if (*json || source->kind == SOURCE_STORE) return 0;
  if (path_format(path, error, "%s/../run.json", source->folder)) return -1; /* STORE/jigsaws: the store's */
  return read_preparation(path, json, error);
}

/* ---- rendering --------------------------------------------------------------------------------------------------- */

int source_scratch_create(struct source_scratch **scratch, struct error *error) {
  *scratch = calloc(1, sizeof **scratch);
  return *scratch ? 0 : error_memory(error, sizeof **scratch);
}

void source_scratch_free(struct source_scratch *scratch) {
  if (!scratch) return;
  jig_scratch_free(&scratch->jig);
  buffer_free(&scratch->file);
  free(scratch);
}

int source_render(const struct source *source, uint32_t epoch, int64_t index, struct source_scratch *scratch,
                  struct image *canvas, int32_t *labels, struct error *error) {
  if (source->part == SOURCE_HELD_OUT) epoch = 0;
  switch (source->kind) {
  case SOURCE_STORE:
    return source_render_store(source, epoch, index, scratch, canvas, labels, error);
  case SOURCE_JIGSAWS:
    return source_render_jigsaw(source, epoch, index, scratch, canvas, labels, error);
  default:
    return source_render_folder(source, epoch, index, scratch, canvas, labels, error);
  }
}
