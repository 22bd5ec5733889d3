/* TIFF by libtiff, whose RGBA interface knows every photometric interpretation, layout and compression that it was
 * built with: 8 and 16 bits, grey, palette, RGB, CMYK, YCbCr; strips and tiles. Of several pages the first counts. */
#include "core/image/internal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

enum { PROBE_MEMORY = 64 << 20 };

/* A file in memory, as libtiff's callbacks see it, and what they leave behind. */
struct tiff_file {
  TIFF *tiff;
  const uint8_t *data;
  size_t size;
  uint64_t at;
  size_t memory; /* for any of libtiff's own allocations */
  struct error *error;
  bool failed; /* the first error is the one to tell */
};

static tmsize_t tiff_read(thandle_t handle, void *target, tmsize_t count) {
  struct tiff_file *file = handle;
  size_t left = file->at < file->size ? file->size - (size_t)file->at : 0;
  size_t wanted = count > 0 ? (size_t)count : 0;
  if (wanted > left) wanted = left;
  if (wanted > 0) memcpy(target, file->data + file->at, wanted);
  file->at += wanted;
  return (tmsize_t)wanted;
}

static tmsize_t tiff_write(thandle_t handle, void *bytes, tmsize_t count) {
  (void)handle, (void)bytes, (void)count;
  return -1;
}

static toff_t tiff_seek(thandle_t handle, toff_t offset, int whence) {
  struct tiff_file *file = handle;
  file->at = offset + (whence == SEEK_CUR ? file->at : whence == SEEK_END ? file->size : 0);
  return file->at;
}

static int tiff_close(thandle_t handle) {
  (void)handle;
  return 0;
}

static toff_t tiff_size(thandle_t handle) {
  return ((struct tiff_file *)handle)->size;
}

__attribute__((format(printf, 4, 0))) static int tiff_failed(TIFF *tiff, void *context, const char *module,
                                                             const char *format, va_list arguments) {
  struct tiff_file *file = context;
  char text[256];
  (void)tiff, (void)module;
  vsnprintf(text, sizeof text, format, arguments);
  if (!file->failed) {
    error_set(file->error, "TIFF: %s", text);
    file->error->machine = strstr(text, "No space for") || strstr(text, "Out of memory"); /* its only mark */
  }
  file->failed = true;
  return 1; /* not to the global handler, which prints */
}

static int tiff_warned(TIFF *tiff, void *context, const char *module, const char *format, va_list arguments) {
  (void)tiff, (void)context, (void)module, (void)format, (void)arguments;
  return 1;
}

static int fail(struct tiff_file *file, const char *what) {
  return file->failed ? -1 : error_set(file->error, "TIFF: %s", what);
}

static int open_file(struct tiff_file *file) {
  TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
  if (!options) return error_memory(file->error, 0);
  TIFFOpenOptionsSetErrorHandlerExtR(options, tiff_failed, file);
  TIFFOpenOptionsSetWarningHandlerExtR(options, tiff_warned, file);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options, (tmsize_t)file->memory);
  file->tiff = TIFFClientOpenExt("memory", "rm", file, tiff_read, tiff_write, tiff_seek, tiff_close, tiff_size, NULL,
                                 NULL, options);
  TIFFOpenOptionsFree(options);
  return file->tiff ? 0 : fail(file, "the file cannot be read");
}

/* Samples that are no whole bytes' worth of colour would come out wrong or not at all: say which they are. */
static int read_header(struct tiff_file *file, struct image_info *info) {
  uint32_t width = 0, height = 0;
  uint16_t orientation = ORIENTATION_TOPLEFT, format = SAMPLEFORMAT_UINT, bits = 1;
  TIFFGetField(file->tiff, TIFFTAG_IMAGEWIDTH, &width);
  TIFFGetField(file->tiff, TIFFTAG_IMAGELENGTH, &height);
  TIFFGetField(file->tiff, TIFFTAG_ORIENTATION, &orientation);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_SAMPLEFORMAT, &format);
  TIFFGetFieldDefaulted(file->tiff, TIFFTAG_BITSPERSAMPLE, &bits);
  if (image_check_size(width, height, file->error)) return -1;
  if (format != SAMPLEFORMAT_UINT && format != SAMPLEFORMAT_VOID) {
    return error_set(file->error, "TIFF: samples of %d bits that are %s; convert it to 8 bits a channel", bits,
                     format == SAMPLEFORMAT_IEEEFP ? "floating point numbers" : "signed or complex numbers");
  }
  if (orientation < 1 || orientation > 8) orientation = 1;
  *info = (struct image_info){IMAGE_OTHER, (int)width, (int)height, orientation};
  return 0;
}

static void put_pixels(struct image *image, const struct rect *area, const uint32_t *raster, int width) {
  uint8_t *target = image->pixels;
  for (int y = 0; y < area->h; y++) {
    const uint32_t *row = raster + (size_t)(area->y + y) * (size_t)width + (size_t)area->x;
    for (int x = 0; x < area->w; x++, target += 3) {
      target[0] = (uint8_t)TIFFGetR(row[x]);
      target[1] = (uint8_t)TIFFGetG(row[x]);
      target[2] = (uint8_t)TIFFGetB(row[x]);
    }
  }
}

/* Alpha is dropped: said to be multiplied in already, the colours stay as they are. */
static void keep_colors(struct tiff_file *file) {
  uint16_t count = 0, *kinds = NULL, changed[16];
  if (!TIFFGetField(file->tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds) || count > COUNT_OF(changed)) return;
  for (int i = 0; i < count; i++) {
    changed[i] = kinds[i] == EXTRASAMPLE_UNASSALPHA ? EXTRASAMPLE_ASSOCALPHA : kinds[i];
  }
  if (count > 0) TIFFSetField(file->tiff, TIFFTAG_EXTRASAMPLES, count, changed);
}

/* All of the picture: libtiff's own offsets are wrong within bytes and within subsampled colours. */
static int read_pixels(struct tiff_file *file, const struct image_info *info, const struct rect *area,
                       struct image *image) {
  TIFFRGBAImage reader;
  char reason[1024] = "";
  size_t bytes = (size_t)info->width * (size_t)info->height * sizeof(uint32_t);
  uint32_t *raster = malloc(bytes);
  if (!raster) return error_memory(file->error, bytes);
  int result = -1;
  keep_colors(file);
  if (!TIFFRGBAImageBegin(&reader, file->tiff, 1, reason)) {
    fail(file, reason);
    goto done;
  }
  reader.req_orientation = (uint16_t)info->orientation; /* as stored */
  if (!TIFFRGBAImageGet(&reader, raster, (uint32_t)info->width, (uint32_t)info->height) || file->failed) {
    fail(file, "the picture is damaged or cut off; fetch the file again");
  } else {
    put_pixels(image, area, raster, info->width);
    result = 0;
  }
  TIFFRGBAImageEnd(&reader);
done:
  free(raster);
  return result;
}

int tiff_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error) {
  struct tiff_file file = {.data = data, .size = size, .memory = PROBE_MEMORY, .error = error};
  int result = open_file(&file);
  if (result == 0) result = read_header(&file, info);
  if (file.tiff) TIFFClose(file.tiff);
  return result;
}

int tiff_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
                struct error *error) {
  struct tiff_file file = {.data = data, .size = size, .memory = memory, .error = error};
  struct image_info info;
  struct rect area;
  int result = open_file(&file);
  if (result == 0) result = read_header(&file, &info);
  if (result == 0) result = image_check_part(part, info.width, info.height, &area, error);
  if (result == 0) {
    size_t raster = (size_t)info.width * (size_t)info.height * sizeof(uint32_t);
    result = image_check_memory(&area, raster, memory, error);
  }
  if (result == 0) result = image_resize(image, area.w, area.h, error);
  if (result == 0) result = read_pixels(&file, &info, &area, image);
  if (file.tiff) TIFFClose(file.tiff);
  return result;
}
