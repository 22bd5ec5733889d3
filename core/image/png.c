/* PNG by libpng: reading, whatever the colour type and bit depth, into 8-bit RGB; writing RGB. */
#include "core/image/internal.h"

#include <stdlib.h>
#include <string.h>

#include <png.h>

/* What lives through a longjmp is kept out of the function that calls setjmp. */
struct png_file {
  png_structp png;
  png_infop info;
  struct error *error;
  const uint8_t *data; /* reading: what is left */
  size_t size;
  const struct rect *part;
  size_t memory;
  struct image *image;
  uint8_t *scratch;
  struct buffer *out; /* writing */
  const struct image *picture;
};

static void png_failed(png_structp png, png_const_charp text) {
  struct png_file *file = png_get_error_ptr(png);
  error_set(file->error, "PNG: %s", text);
  file->error->machine = strstr(text, "memory") != NULL; /* libpng's and zlib's only mark */
  png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp text) {
  (void)png;
  (void)text;
}

/* Either runs to its end or stops in a longjmp; the caller cleans up. */
static int png_run(struct png_file *file, int (*work)(struct png_file *)) {
  if (setjmp(png_jmpbuf(file->png)) != 0) return -1;
  return work(file);
}

/* ---- reading ---- */

static void png_take(png_structp png, png_bytep target, size_t count) {
  struct png_file *file = png_get_io_ptr(png);
  if (count > file->size) png_error(png, "the file ends before its picture does; fetch it again");
  memcpy(target, file->data, count);
  file->data += count;
  file->size -= count;
}

static int read_header(struct png_file *file) {
  png_structp png = file->png;
  png_set_read_fn(png, file, png_take);
  png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  /* Text, colour profiles and the like never reach the pixels: not even parsing them is the smaller surface. */
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_read_info(png, file->info);
  return image_check_size(png_get_image_width(png, file->info), png_get_image_height(png, file->info), file->error);
}

/* Has libpng give 8-bit RGB. Returns the channels. */
static int set_transforms(struct png_file *file) {
  png_set_expand(file->png);
  png_set_strip_16(file->png);
  png_set_strip_alpha(file->png);
  png_set_gray_to_rgb(file->png);
  png_set_interlace_handling(file->png);
  png_read_update_info(file->png, file->info);
  return png_get_channels(file->png, file->info);
}

/* The passes of an interlaced picture build on each other, so that all of it is needed at once. */
static int read_interlaced(struct png_file *file, const struct rect *area, int channels) {
  size_t stride = png_get_rowbytes(file->png, file->info), height = png_get_image_height(file->png, file->info);
  size_t bytes;
  if (!size_muladd(stride, height, 0, &bytes)) return error_memory(file->error, SIZE_MAX);
  file->scratch = malloc(bytes);
  if (!file->scratch) return error_memory(file->error, bytes);
  for (int pass = 0; pass < PNG_INTERLACE_ADAM7_PASSES; pass++) {
    for (size_t y = 0; y < height; y++) {
      png_read_row(file->png, file->scratch + y * stride, NULL);
    }
  }
  for (int y = 0; y < area->h; y++) {
    const uint8_t *row = file->scratch + (size_t)(area->y + y) * stride;
    image_put_row(file->image, y, row + (size_t)area->x * (size_t)channels, channels);
  }
  return 0;
}

static int read_rows(struct png_file *file, const struct rect *area, int channels) {
  size_t stride = png_get_rowbytes(file->png, file->info);
  bool direct = channels == 3 && (png_uint_32)area->w == png_get_image_width(file->png, file->info);
  file->scratch = malloc(stride);
  if (!file->scratch) return error_memory(file->error, stride);
  for (int y = 0; y < area->y; y++) {
    png_read_row(file->png, file->scratch, NULL);
  }
  for (int y = 0; y < area->h; y++) {
    png_read_row(file->png, direct ? file->image->pixels + (size_t)y * stride : file->scratch, NULL);
    if (!direct) image_put_row(file->image, y, file->scratch + (size_t)area->x * (size_t)channels, channels);
  }
  return 0;
}

static int read_pixels(struct png_file *file) {
  if (read_header(file)) return -1;
  int width = (int)png_get_image_width(file->png, file->info),
      height = (int)png_get_image_height(file->png, file->info);
  struct rect area;
  if (image_check_part(file->part, width, height, &area, file->error)) return -1;
  bool interlaced = png_get_interlace_type(file->png, file->info) != PNG_INTERLACE_NONE;
  size_t besides = interlaced ? (size_t)width * (size_t)height * 4 : 0;
  if (image_check_memory(&area, besides, file->memory, file->error)) return -1;
  if (image_resize(file->image, area.w, area.h, file->error)) return -1;
  int channels = set_transforms(file);
  if (interlaced ? read_interlaced(file, &area, channels) : read_rows(file, &area, channels)) return -1;
  /* The checksum of the last chunk comes after the pixels. */
  if (interlaced || area.y + area.h == height) png_read_end(file->png, NULL);
  return 0;
}

static int read_file(struct png_file *file, int (*work)(struct png_file *)) {
  file->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, file, png_failed, png_warned);
  if (file->png) file->info = png_create_info_struct(file->png);
  return file->info ? png_run(file, work) : error_memory(file->error, 0);
}

static void close_reading(struct png_file *file) {
  png_destroy_read_struct(&file->png, &file->info, NULL);
  free(file->scratch);
}

/* The orientation in an eXIf chunk, wherever it stands: libpng would tell only of one before the pixels. */
static int find_orientation(const uint8_t *data, size_t size) {
  enum { SIGNATURE = 8, FRAME = 12 /* length, type, checksum */ };
  for (size_t at = SIGNATURE; size - at >= FRAME;) {
    size_t length = png_get_uint_32(data + at);
    if (length > size - at - FRAME) return 1;
    if (memcmp(data + at + 4, "eXIf", 4) == 0) return exif_orientation(data + at + 8, length);
    at += FRAME + length;
  }
  return 1;
}

int png_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error) {
  struct png_file file = {.data = data, .size = size, .error = error};
  int status = read_file(&file, read_header);
  if (status == 0) {
    *info = (struct image_info){
        .format = IMAGE_PNG,
        .width = (int)png_get_image_width(file.png, file.info),
        .height = (int)png_get_image_height(file.png, file.info),
        .orientation = find_orientation(data, size),
    };
  }
  close_reading(&file);
  return status;
}

int png_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
               struct error *error) {
  struct png_file file = {.data = data, .size = size, .part = part, .memory = memory, .image = image, .error = error};
  int status = read_file(&file, read_pixels);
  close_reading(&file);
  return status;
}

/* ---- writing ---- */

static void png_give(png_structp png, png_bytep bytes, size_t count) {
  struct png_file *file = png_get_io_ptr(png);
  if (buffer_append(file->out, bytes, count, file->error)) png_longjmp(png, 1);
}

static void png_flushed(png_structp png) {
  (void)png;
}

static int write_pixels(struct png_file *file) {
  const struct image *picture = file->picture;
  png_set_write_fn(file->png, file, png_give, png_flushed);
  png_set_user_limits(file->png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
  png_set_compression_level(file->png, 6);
  png_set_IHDR(file->png, file->info, (png_uint_32)picture->width, (png_uint_32)picture->height, 8, PNG_COLOR_TYPE_RGB,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(file->png, file->info);
  for (int y = 0; y < picture->height; y++) {
    png_write_row(file->png, picture->pixels + (size_t)y * (size_t)picture->width * 3);
  }
  png_write_end(file->png, NULL);
  return 0;
}

int image_encode_png(const struct image *image, struct buffer *out, struct error *error) {
  struct png_file file = {.picture = image, .out = out, .error = error};
  if (image_check_size(image->width, image->height, error)) return -1;
  out->size = 0;
  int status = -1;
  file.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &file, png_failed, png_warned);
  if (file.png) file.info = png_create_info_struct(file.png);
  if (file.info) {
    status = png_run(&file, write_pixels);
  } else {
    error_memory(error, 0);
  }
  png_destroy_write_struct(&file.png, &file.info);
  return status;
}
