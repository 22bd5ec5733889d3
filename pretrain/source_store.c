/* Sample stores: jigsaws are assembled as they are needed. */
#include "pretrain/source_parts.h"

#include <stdlib.h>

/* Samples without a class (negatives of a store without background) are left out: they have nothing to teach, and would
 * cover a region of the canvas. */
static bool take_sample(const struct jig_record *record, void *context) {
  return record->label >= 0 && source_takes(context, (uint64_t)record->image_id);
}

static int check_samples(const struct source *source, struct error *error) {
  bool *used = calloc((size_t)source->classes, sizeof *used);
  if (!used) return error_memory(error, (size_t)source->classes);
  int64_t count = 0;
  for (int group = 0; group < JIG_GROUPS; group++) {
    for (int64_t i = 0; i < source->subset.counts[group]; i++) {
      used[jig_store_record(source->store, source->subset.items[group][i])->label] = true;
    }
    count += source->subset.counts[group];
  }
  int result = source_check_part(source, count, used, error);
  free(used);
  return result;
}

int source_open_store(struct source *source, struct error *error) {
  if (jig_store_open(&source->store, source->folder, error)) return -1;
  jig_store_share(source->store, source->options.workers);
  const struct jig_store *store = source->store;
  if (jig_store_count(store) == 0) {
    return error_set(error, "%s: the store is empty; look at what jigsaw-gen said of the boxes that it left out",
                     source->folder);
  }
  if (source_set_classes(source, jig_store_labels(store), error)) return -1;
  for (int label = 0; label < source->classes; label++) {
    source->class_names[label] = jig_store_label_name(store, label);
  }
  if (jig_subset_init(&source->subset, store, take_sample, source, error) || check_samples(source, error)) return -1;

  struct jig_assemble_options options = source->options.assemble;
  options.subset = &source->subset;
  if (jig_assembler_init(&source->assembler, store, &options, error)) return -1;
  for (int64_t shard = 0; shard < jig_store_shard_count(store); shard++) {
    struct file_map index = jig_store_index(store, shard); /* holds the checksum of the shard, too */
    XXH3_128bits_update(source->hash, index.data, index.size);
  }
  source->size = options.template.size;
  source->cut = options.template.cut;
  source->regions = JIG_REGIONS;
  source->epoch_length = source->assembler.epoch_length;
  return 0;
}

int source_render_store(const struct source *source, uint32_t epoch, int64_t index, struct source_scratch *scratch,
                        struct image *canvas, int32_t *labels, struct error *error) {
  struct jig_tile tiles[JIG_REGIONS];
  jig_plan(&source->assembler, epoch, index, tiles);
  for (int region = 0; region < JIG_REGIONS; region++) {
    labels[region] = tiles[region].label;
  }
  if (jig_render(&source->assembler, tiles, &scratch->jig, canvas, error) == 0) return 0;
  return error_context(error, "%s (jigsaw-gen --check tells what is damaged)", source->folder);
}
