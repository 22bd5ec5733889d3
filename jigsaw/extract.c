#include "jigsaw/extract.h"

#include <stdlib.h>

enum { JPEG_SIDE_MAX = 65500 }; /* libjpeg's */

int jig_extractor_init(struct jig_extractor *extractor, int workers, struct error *error) {
  size_t memory = image_memory_share(workers);
  *extractor = (struct jig_extractor){.cutter = jpeg_cutter_new(memory), .memory = memory};
  return extractor->cutter ? 0 : error_memory(error, 0);
}

void jig_extractor_free(struct jig_extractor *extractor) {
  buffer_free(&extractor->file);
  jig_samples_free(&extractor->samples);
  free(extractor->crop);
  buffer_free(&extractor->crops);
  jpeg_cutter_free(extractor->cutter);
  image_free(&extractor->picture);
  image_free(&extractor->part);
  buffer_free(&extractor->encoded);
  *extractor = (struct jig_extractor){0};
}

/* Appends extractor->encoded as the crop of sample `i`. */
static int keep_crop(struct jig_extractor *extractor, size_t i, struct rect inner, struct error *error) {
  extractor->crop[i] = (struct jig_crop){extractor->crops.size, extractor->encoded.size, inner};
  return buffer_append(&extractor->crops, extractor->encoded.data, extractor->encoded.size, error);
}

/* Where sample `i` lies in the picture as stored. */
static struct rect stored_part(const struct jig_extractor *extractor, const struct image_info *info, size_t i) {
  return rect_unorient(extractor->samples.items[i].rect, extractor->orientation, info->width, info->height);
}

/* Losslessly, without decoding; only down to the last row that a sample needs. */
static enum jig_extract_result cut_jpeg(struct jig_extractor *extractor, const struct image_info *info,
                                        struct error *error) {
  const struct jig_samples *samples = &extractor->samples;
  int rows = 0;
  for (size_t i = 0; i < samples->count; i++) {
    struct rect part = stored_part(extractor, info, i);
    if (part.y + part.h > rows) rows = part.y + part.h;
  }
  const struct buffer *file = &extractor->file;
  if (jpeg_cutter_open(extractor->cutter, file->data, file->size, rows, error)) return JIG_EXTRACT_BROKEN;
  for (size_t i = 0; i < samples->count; i++) {
    struct rect part = stored_part(extractor, info, i), inner;
    if (jpeg_cutter_cut(extractor->cutter, part, &extractor->encoded, &inner, error)) return JIG_EXTRACT_BROKEN;
    if (keep_crop(extractor, i, inner, error)) return JIG_EXTRACT_FATAL;
  }
  return JIG_EXTRACT_OK;
}

/* Other formats are decoded and each crop is encoded, once. */
static enum jig_extract_result encode_crops(struct jig_extractor *extractor, const struct image_info *info, int quality,
                                            struct error *error) {
  const struct jig_samples *samples = &extractor->samples;
  const struct buffer *file = &extractor->file;
  if (image_decode(file->data, file->size, NULL, extractor->memory, &extractor->picture, error))
    return JIG_EXTRACT_BROKEN;
  for (size_t i = 0; i < samples->count; i++) {
    struct rect part = stored_part(extractor, info, i), inner = {0, 0, part.w, part.h};
    if (part.w > JPEG_SIDE_MAX || part.h > JPEG_SIDE_MAX) {
      error_set(error, "a sample of %d x %d pixels is larger than a JPEG can be", part.w, part.h);
      return JIG_EXTRACT_BROKEN;
    }
    if (image_alloc(&extractor->part, part.w, part.h, error)) return JIG_EXTRACT_FATAL;
    draw_image(&extractor->part, -part.x, -part.y, &extractor->picture);
    if (image_encode_jpeg(&extractor->part, quality, &extractor->encoded, error) ||
        keep_crop(extractor, i, inner, error)) {
      return JIG_EXTRACT_FATAL;
    }
  }
  return JIG_EXTRACT_OK;
}

static int check_size(const struct dataset_image *entry, int width, int height, struct error *error) {
  if (entry->width <= 0 || entry->height <= 0 || (entry->width == width && entry->height == height)) return 0;
  bool turned = entry->width == height && entry->height == width;
  return error_set(error, "%d x %d pixels, but annotated as %d x %d%s", width, height, entry->width, entry->height,
                   turned ? "; if the boxes belong to the turned picture, use --exif" : "");
}

static enum jig_extract_result extract_file(struct jig_extractor *extractor, const uint8_t *data, size_t size,
                                            const struct dataset *dataset, int64_t image,
                                            const struct jig_extract_options *options, bool plan_only,
                                            struct jig_sample_counts *counts, struct error *error) {
  struct image_info info;
  if (image_probe(data, size, &info, error)) return JIG_EXTRACT_BROKEN;
  extractor->orientation = options->exif ? info.orientation : 1;
  bool turned = extractor->orientation >= 5;
  int width = turned ? info.height : info.width, height = turned ? info.width : info.height;
  if (check_size(&dataset->images[image], width, height, error)) return JIG_EXTRACT_BROKEN;
  if (jig_sample_image(dataset, image, width, height, &options->sample, &extractor->samples, counts, error)) {
    return JIG_EXTRACT_FATAL;
  }
  if (plan_only || extractor->samples.count == 0) return JIG_EXTRACT_OK;
  void *crops = extractor->crop;
  int result =
      array_reserve(&crops, &extractor->crop_capacity, extractor->samples.count, sizeof(struct jig_crop), error);
  extractor->crop = crops;
  if (result) return JIG_EXTRACT_FATAL;
  if (info.format == IMAGE_JPEG) return cut_jpeg(extractor, &info, error);
  return encode_crops(extractor, &info, (int)options->quality, error);
}

enum jig_extract_result jig_extract(struct jig_extractor *extractor, const struct dataset *dataset, int64_t image,
                                    const struct jig_extract_options *options, bool plan_only,
                                    struct jig_sample_counts *counts, struct error *error) {
  struct arena arena = {0};
  struct file_map header = {0};
  struct jig_sample_counts own = {0};
  enum jig_extract_result result;
  extractor->crops.size = 0;
  extractor->file.size = 0;
  const char *path = path_join(&arena, dataset->images[image].folder, dataset->images[image].file_name);
  if (!path) {
    result = error_memory(error, 0);
  } else if (plan_only ? file_map_open(&header, path, error) : file_read(&extractor->file, path, error)) {
    result = JIG_EXTRACT_BROKEN;
  } else {
    const uint8_t *data = plan_only ? header.data : extractor->file.data;
    size_t size = plan_only ? header.size : extractor->file.size;
    result = extract_file(extractor, data, size, dataset, image, options, plan_only, &own, error);
    if (result != JIG_EXTRACT_OK) error_context(error, "%s", path);
  }
  if (result == JIG_EXTRACT_OK) jig_sample_counts_add(counts, &own);
  file_map_close(&header);
  arena_free(&arena);
  return result;
}
