#include "jigsaw/extract.h"

#include <string.h>

enum { JPEG_SIDE_MAX = 65500 }; /* libjpeg's */

int jig_extractor_init(struct jig_extractor *extractor, int workers, struct error *error) {
  size_t memory = image_memory_share(workers);
  *extractor = (struct jig_extractor){.cutter = jpeg_cutter_new(memory), .memory = memory};
  return extractor->cutter ? 0 : error_memory(error, 0);
}

void jig_extractor_free(struct jig_extractor *extractor) {
  buffer_free(&extractor->file);
  jig_samples_free(&extractor->samples);
  jpeg_cutter_free(extractor->cutter);
  image_free(&extractor->picture);
  image_free(&extractor->part);
  buffer_free(&extractor->encoded);
  *extractor = (struct jig_extractor){0};
}

/* Whose fault it is that a picture gives no crops. */
static enum jig_extract_result blame(const struct error *error) {
  return error->machine ? JIG_EXTRACT_FATAL : JIG_EXTRACT_BROKEN;
}

static enum jig_extract_result explain(enum jig_extract_result result, struct error *error) {
  if (error->machine) error_hint(error, "that is no fault of the picture's: the same command takes the work up again");
  return result;
}

/* Where sample `i` lies in the picture as stored. */
static struct rect stored_part(const struct jig_extractor *extractor, size_t i) {
  const struct image_info *info = &extractor->info;
  return rect_unorient(extractor->samples.items[i].rect, extractor->orientation, info->width, info->height);
}

/* Who gets the crops. */
struct taker {
  jig_take_crop *take;
  void *context;
  bool failed;
};

/* Hands extractor->encoded over as the crop of sample `i`. */
static int hand_over(const struct jig_extractor *extractor, struct taker *taker, size_t i, struct rect inner,
                     struct error *error) {
  const struct jig_crop crop = {extractor->encoded.data, extractor->encoded.size, inner};
  taker->failed = taker->take(taker->context, extractor, i, &crop, error) != 0;
  return taker->failed ? -1 : 0;
}

/* Losslessly, without decoding; only down to the last row that a sample needs. */
static enum jig_extract_result cut_jpeg(struct jig_extractor *extractor, struct taker *taker, struct error *error) {
  const struct jig_samples *samples = &extractor->samples;
  const struct buffer *file = &extractor->file;
  int rows = 0;
  for (size_t i = 0; i < samples->count; i++) {
    struct rect part = stored_part(extractor, i);
    if (part.y + part.h > rows) rows = part.y + part.h;
  }
  if (jpeg_cutter_open(extractor->cutter, file->data, file->size, rows, error)) return blame(error);
  for (size_t i = 0; i < samples->count; i++) {
    struct rect inner;
    if (jpeg_cutter_cut(extractor->cutter, stored_part(extractor, i), &extractor->encoded, &inner, error)) {
      return blame(error);
    }
    if (hand_over(extractor, taker, i, inner, error)) return JIG_EXTRACT_FATAL;
  }
  return JIG_EXTRACT_OK;
}

/* Other formats are decoded and each crop is encoded, once. */
static enum jig_extract_result encode_crops(struct jig_extractor *extractor, struct taker *taker, int quality,
                                            struct error *error) {
  const struct jig_samples *samples = &extractor->samples;
  const struct buffer *file = &extractor->file;
  if (image_decode(file->data, file->size, NULL, extractor->memory, &extractor->picture, error)) return blame(error);
  for (size_t i = 0; i < samples->count; i++) {
    struct rect part = stored_part(extractor, i), inner = {0, 0, part.w, part.h};
    if (part.w > JPEG_SIDE_MAX || part.h > JPEG_SIDE_MAX) {
      error_set(error, "a sample of %d x %d pixels is larger than a JPEG can be", part.w, part.h);
      return JIG_EXTRACT_BROKEN;
    }
    if (image_alloc(&extractor->part, part.w, part.h, error)) return JIG_EXTRACT_FATAL;
    draw_image(&extractor->part, -part.x, -part.y, &extractor->picture);
    if (image_encode_jpeg(&extractor->part, quality, &extractor->encoded, error) ||
        hand_over(extractor, taker, i, inner, error)) {
      return JIG_EXTRACT_FATAL;
    }
  }
  return JIG_EXTRACT_OK;
}

/* The orientation that the boxes of an image call for. */
static int choose_orientation(const struct dataset_image *entry, const struct image_info *info, int exif) {
  bool turned = info->orientation >= 5, known = entry->width > 0 && entry->height > 0;
  bool only_turned =
      turned && known && info->width != info->height && entry->width == info->height && entry->height == info->width;
  bool upright = exif == JIG_EXIF_ON || (exif == JIG_EXIF_AUTO && (entry->upright || only_turned));
  return upright ? info->orientation : 1;
}

static int check_size(const struct dataset_image *entry, const struct image_info *info, int width, int height,
                      struct error *error) {
  if (entry->width <= 0 || entry->height <= 0 || (entry->width == width && entry->height == height)) return 0;
  bool turned = entry->width == height && entry->height == width;
  const char *advice = !turned                  ? ""
                       : info->orientation >= 5 ? "; --exif auto takes the boxes as the size tells"
                                                : "; its EXIF orientation does not explain that (--exif)";
  return error_set(error, "%d x %d pixels, but annotated as %d x %d%s", width, height, entry->width, entry->height,
                   advice);
}

/* Reads the header of the picture in memory: what it is, how it is to be turned, and how large it then is. */
static int read_header(const uint8_t *data, size_t size, const struct dataset_image *entry, int exif,
                       struct image_info *info, int *orientation, int *width, int *height, struct error *error) {
  if (image_probe(data, size, info, error)) return -1;
  *orientation = choose_orientation(entry, info, exif);
  bool turned = *orientation >= 5;
  *width = turned ? info->height : info->width;
  *height = turned ? info->width : info->height;
  return check_size(entry, info, *width, *height, error);
}

enum jig_extract_result jig_measure(const struct dataset *dataset, int64_t image,
                                    const struct jig_extract_options *options, int *width, int *height,
                                    struct error *error) {
  char path[PATH_SIZE];
  struct file_map header = {0};
  struct image_info info;
  int orientation;
  if (dataset_image_path(&dataset->images[image], path, error) || file_map_open(&header, path, error)) {
    return explain(blame(error), error);
  }
  int status = read_header(header.data, header.size, &dataset->images[image], options->exif, &info, &orientation, width,
                           height, error);
  file_map_close(&header);
  if (status == 0) return JIG_EXTRACT_OK;
  error_context(error, "%s", path);
  return explain(blame(error), error);
}

static enum jig_extract_result extract_file(struct jig_extractor *extractor, const uint8_t *data, size_t size,
                                            const struct dataset *dataset, int64_t image,
                                            const struct jig_extract_options *options, int64_t more,
                                            struct taker *taker, struct jig_sample_counts *counts,
                                            struct error *error) {
  int width, height;
  if (read_header(data, size, &dataset->images[image], options->exif, &extractor->info, &extractor->orientation, &width,
                  &height, error)) {
    return blame(error);
  }
  if (jig_sample_image(dataset, image, width, height, &options->sample, more, &extractor->samples, counts, error)) {
    return JIG_EXTRACT_FATAL;
  }
  if (!taker->take || extractor->samples.count == 0) return JIG_EXTRACT_OK;
  if (extractor->info.format == IMAGE_JPEG) return cut_jpeg(extractor, taker, error);
  return encode_crops(extractor, taker, (int)options->quality, error);
}

enum jig_extract_result jig_extract(struct jig_extractor *extractor, const struct dataset *dataset, int64_t image,
                                    const struct jig_extract_options *options, int64_t more, jig_take_crop *take,
                                    void *context, struct jig_sample_counts *counts, struct error *error) {
  struct taker taker = {take, context, false};
  char path[PATH_SIZE];
  struct file_map header = {0};
  struct jig_sample_counts own = {0};
  extractor->file.size = 0;
  if (dataset_image_path(&dataset->images[image], path, error) ||
      (take ? file_read(&extractor->file, path, error) : file_map_open(&header, path, error))) {
    return explain(blame(error), error);
  }
  const uint8_t *data = take ? extractor->file.data : header.data;
  size_t size = take ? extractor->file.size : header.size;
  enum jig_extract_result result =
      extract_file(extractor, data, size, dataset, image, options, more, &taker, &own, error);
  file_map_close(&header);
  if (result == JIG_EXTRACT_OK) {
    jig_sample_counts_add(counts, &own);
    return result;
  }
  if (taker.failed) return result; /* that is about another file */
  error_context(error, "%s", path);
  return explain(result, error);
}
