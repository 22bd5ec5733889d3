/* Several data sets as one. */
#include "core/dataset/internal.h"

#include <inttypes.h>
#include <stdlib.h>

/* A list of files behind one option is the commonest way to ask for several. */
static int explain_list(const char *annotations, struct error *error) {
  const char *comma = strchr(annotations, ',');
  if (comma == NULL || file_exists(annotations)) return -1;
  return error_set(error,
                   "%s: no such file or folder; several are given one by one: --annotations %.*s --annotations %s",
                   annotations, (int)(comma - annotations), annotations, comma + 1);
}

static int load_source(struct dataset *dataset, struct dataset_source *source, const struct dataset_options *options,
                       struct error *error) {
  struct dataset_options own = *options;
  own.split = source->split;
  if (dataset_load(dataset, source->annotations, source->images, &own, error) != 0)
    return explain_list(source->annotations, error);
  source->format = dataset->format;
  int status = classes_unite(dataset, source->annotations, error);
  if (status != 0) dataset_free(dataset);
  return status;
}

static int append_categories(struct dataset *all, const struct dataset *part, struct error *error) {
  for (int64_t i = 0; i < part->category_count; i++)
    if (build_category(all, part->categories[i].id, part->categories[i].name, error) != 0) return -1;
  return 0;
}

static int append_images(struct dataset *all, const struct dataset *part, int32_t set, struct error *error) {
  int32_t first_category = (int32_t)(all->category_count - part->category_count);
  for (int64_t i = 0; i < part->image_count; i++) {
    struct dataset_image image = part->images[i];
    image.set = set;
    if (build_image(all, &image, error) != 0) return -1;
    for (int32_t k = 0; k < part->images[i].box_count; k++) {
      struct dataset_box box = part->boxes[part->images[i].first_box + k];
      int64_t id = box.id;
      box.category += first_category;
      if (build_box(all, box, error) != 0) return -1;
      all->boxes[all->box_count - 1].id = id;
    }
  }
  return 0;
}

static int append_reports(struct dataset *all, const struct dataset *part, struct error *error) {
  for (int fault = 0; fault < DATASET_FAULTS; fault++) {
    if (all->faults[fault].count == 0) all->faults[fault].first = part->faults[fault].first;
    all->faults[fault].count += part->faults[fault].count;
  }
  for (size_t i = 0; i < part->note_count; i++)
    if (dataset_note(all, error, "%s", part->notes[i]) != 0) return -1;
  return 0;
}

static int append(struct dataset *all, struct dataset *part, const struct dataset_source *source, int32_t set,
                  struct error *error) {
  static const char *const formats[] = {
      [DATASET_AUTO] = "?", [DATASET_COCO] = "coco", [DATASET_VOC] = "voc", [DATASET_YOLO] = "yolo"};
  int status = dataset_note(all, error, "%s: %s, %" PRId64 " images, %" PRId64 " boxes, %" PRId64 " classes",
                            source->annotations, formats[part->format], part->image_count, part->box_count,
                            part->category_count);
  if (status == 0) status = append_categories(all, part, error);
  if (status == 0) status = append_images(all, part, set, error);
  if (status == 0) status = append_reports(all, part, error);
  arena_join(&all->arena, &part->arena);
  return status;
}

int dataset_load_all(struct dataset *dataset, struct dataset_source *sources, size_t count,
                     const struct dataset_options *options, struct error *error) {
  struct dataset_options defaults = dataset_defaults();
  if (options == NULL) options = &defaults;
  if (count == 1) return load_source(dataset, sources, options, error);
  *dataset = (struct dataset){0};
  XXH3_state_t *hash = XXH3_createState();
  int status = hash == NULL ? error_memory(error, 0) : 0;
  if (hash != NULL) XXH3_128bits_reset(hash);
  for (size_t i = 0; status == 0 && i < count; i++) {
    struct dataset part;
    if ((status = load_source(&part, &sources[i], options, error)) != 0) break;
    if (i == 0) dataset->format = part.format;
    XXH128_canonical_t bytes;
    XXH128_canonicalFromHash(&bytes, part.hash);
    XXH3_128bits_update(hash, &bytes, sizeof(bytes));
    status = append(dataset, &part, &sources[i], (int32_t)i + 1, error);
    dataset_free(&part);
  }
  if (status == 0) {
    dataset->hash = XXH3_128bits_digest(hash);
    status = classes_unite(dataset, NULL, error);
  }
  XXH3_freeState(hash);
  if (status != 0) dataset_free(dataset);
  return status;
}
