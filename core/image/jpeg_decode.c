/* JPEG: header, EXIF orientation, and decoding of rectangles by libjpeg-turbo. */
#include "core/image/internal.h"

#include <string.h>

/* ---- EXIF orientation ---- */

/* Walks the marker segments before the first scan, in place of having libjpeg keep megabytes of APP1. */
static int find_orientation(const uint8_t *data, size_t size) {
  enum { APP1 = 0xe1, SOS = 0xda };
  for (size_t at = 2; size - at >= 4;) {
    unsigned marker = data[at + 1];
    if (data[at] != 0xff || marker == SOS) return 1;
    if (marker == 0xff) {
      at++;
      continue;
    }
    size_t length = (size_t)data[at + 2] << 8 | data[at + 3];
    if (length < 2 || length > size - at - 2) return 1;
    const uint8_t *body = data + at + 4;
    if (marker == APP1 && length >= 8 && memcmp(body, "Exif\0\0", 6) == 0) {
      return exif_orientation(body + 6, length - 8);
    }
    at += 2 + length;
  }
  return 1;
}

/* ---- reading ---- */

/* What lives through a longjmp is kept out of the function that calls setjmp. */
struct jpeg_reader {
  struct jpeg_guard guard;
  struct jpeg_decompress_struct source;
  const uint8_t *data;
  size_t size;
  const struct rect *part;
  size_t memory;
  struct image *image;
};

static int reader_header(struct jpeg_reader *reader) {
  struct jpeg_decompress_struct *source = &reader->source;
  jpeg_create_decompress(source);
  jpeg_guard_limit_scans(&reader->guard, source);
  jpeg_mem_src(source, reader->data, reader->size);
  jpeg_read_header(source, TRUE);
  return image_check_size(source->image_width, source->image_height, reader->guard.error);
}

/* libjpeg smooths blocks of progressive files whose refinement is incomplete, looking two blocks around. Its row
 * skipping and column cropping do not keep those neighbours. */
static bool reader_smooths(const struct jpeg_reader *reader) {
  const struct jpeg_decompress_struct *source = &reader->source;
  if (!source->progressive_mode || !source->coef_bits) return false;
  for (int component = 0; component < source->num_components; component++) {
    for (int i = 0; i < DCTSIZE2; i++) {
      if (source->coef_bits[component][i] != 0) return true;
    }
  }
  return false;
}

/* A component that no scan carried is painted grey without a warning. */
static int reader_check_components(const struct jpeg_reader *reader) {
  for (int i = 0; i < reader->source.num_components; i++) {
    if (reader->source.comp_info[i].component_needed && !reader->source.comp_info[i].quant_table) {
      return error_set(reader->guard.error,
                       "JPEG: data is lost: no scan holds colour component %d; fetch the file again", i + 1);
    }
  }
  return 0;
}

/* Has only the columns around `area` transformed, with one more iMCU on each side because fancy upsampling mixes in the
 * neighbours and treats the first and last column it sees as edges of the picture. Returns the first column kept. */
static int reader_crop(struct jpeg_reader *reader, const struct rect *area) {
  struct jpeg_decompress_struct *source = &reader->source;
  int64_t margin = (int64_t)source->max_h_samp_factor * DCTSIZE, width = source->output_width;
  int64_t left = area->x - margin, right = (int64_t)area->x + area->w + margin;
  if (left < 0) left = 0;
  if (right > width) right = width;
  if (area->w == width || (left == 0 && right == width)) return 0;
  JDIMENSION offset = (JDIMENSION)left, count = (JDIMENSION)(right - left);
  jpeg_crop_scanline(source, &offset, &count);
  return (int)offset;
}

/* Adobe programs store CMYK inverted, 255 meaning no ink, and say so by their marker. */
static void inks_to_rgb(uint8_t *target, const uint8_t *inks, int width, bool inverted) {
  uint8_t flip = inverted ? 0 : 255;
  for (int x = 0; x < width; x++, target += 3, inks += 4) {
    for (int c = 0; c < 3; c++) {
      target[c] = scale_byte(inks[c] ^ flip, inks[3] ^ flip);
    }
  }
}

enum { ROWS = 16 };

/* Reads the rows of `area`, straight into the picture where libjpeg's row is the picture's row. Else through rows that
 * begin at an odd address: aligned ones libjpeg-turbo writes past the caches, and reading them back would wait for
 * memory. */
static int reader_rows(struct jpeg_reader *reader, const struct rect *area, int left) {
  struct jpeg_decompress_struct *source = &reader->source;
  struct image *image = reader->image;
  bool inks = source->out_color_space == JCS_CMYK;
  bool direct = !inks && source->output_width == (JDIMENSION)area->w;
  JSAMPARRAY scratch = source->mem->alloc_sarray(
      (j_common_ptr)source, JPOOL_IMAGE, source->output_width * (JDIMENSION)source->output_components + 1, ROWS);
  int bottom = area->y + area->h;
  for (int y = (int)source->output_scanline; y < bottom;) {
    JSAMPROW rows[ROWS];
    bool wanted = y >= area->y;
    int count = (wanted ? bottom : area->y) - y;
    if (count > ROWS) count = ROWS;
    uint8_t *target = wanted ? image->pixels + (size_t)(y - area->y) * (size_t)area->w * 3 : NULL;
    for (int i = 0; i < count; i++) {
      rows[i] = direct && wanted ? target + (size_t)i * (size_t)area->w * 3 : scratch[i] + 1;
    }
    int done = (int)jpeg_read_scanlines(source, rows, (JDIMENSION)count);
    if (done < 1) return error_set(reader->guard.error, "JPEG: decoding stopped at row %d", y);
    for (int i = 0; wanted && !direct && i < done; i++) {
      const uint8_t *first = scratch[i] + 1 + (size_t)(area->x - left) * (size_t)source->output_components;
      if (inks) {
        inks_to_rgb(target + (size_t)i * (size_t)area->w * 3, first, area->w, source->saw_Adobe_marker);
      } else {
        image_put_row(image, y - area->y + i, first, 3);
      }
    }
    y += done;
  }
  return 0;
}

static int reader_decode(struct jpeg_reader *reader) {
  struct jpeg_decompress_struct *source = &reader->source;
  struct error *error = reader->guard.error;
  struct rect area;
  if (reader_header(reader)) return -1;
  if (image_check_part(reader->part, (int)source->image_width, (int)source->image_height, &area, error)) return -1;
  bool whole = source->progressive_mode || jpeg_has_multiple_scans(source); /* libjpeg keeps all coefficients */
  if (whole && jpeg_guard_coefficients(source, reader->size, reader->memory, error)) return -1;
  if (image_check_memory(&area, 0, reader->memory, error)) return -1;
  if (image_resize(reader->image, area.w, area.h, error)) return -1;

  bool inks = source->jpeg_color_space == JCS_CMYK || source->jpeg_color_space == JCS_YCCK;
  source->out_color_space = inks ? JCS_CMYK : JCS_RGB;
  source->dct_method = JDCT_ISLOW;
  source->do_fancy_upsampling = TRUE;
  jpeg_start_decompress(source);
  if (reader_check_components(reader)) return -1;

  int left = 0;
  if (!reader_smooths(reader)) {
    left = reader_crop(reader, &area);
    jpeg_skip_scanlines(source, (JDIMENSION)area.y);
  }
  if (reader_rows(reader, &area, left)) return -1;
  return jpeg_guard_check(&reader->guard);
}

/* Either runs to its end or stops in a longjmp; the caller cleans up. */
static int reader_run(struct jpeg_reader *reader, int (*work)(struct jpeg_reader *)) {
  if (setjmp(reader->guard.escape) != 0) return -1;
  return work(reader);
}

int jpeg_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error) {
  struct jpeg_reader reader = {.data = data, .size = size};
  reader.source.err = jpeg_guard_init(&reader.guard, error);
  int status = reader_run(&reader, reader_header);
  if (status == 0) {
    *info = (struct image_info){
        .format = IMAGE_JPEG,
        .width = (int)reader.source.image_width,
        .height = (int)reader.source.image_height,
        .orientation = find_orientation(data, size),
    };
  }
  jpeg_destroy_decompress(&reader.source);
  return status;
}

int jpeg_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
                struct error *error) {
  struct jpeg_reader reader = {.data = data, .size = size, .part = part, .memory = memory, .image = image};
  reader.source.err = jpeg_guard_init(&reader.guard, error);
  int status = reader_run(&reader, reader_decode);
  jpeg_destroy_decompress(&reader.source);
  return status;
}
