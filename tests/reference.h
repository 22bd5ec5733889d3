/* What tests hold the fast code against, written as plainly as can be: a full decode by libjpeg-turbo alone, and a full
 * resize in double precision. Include before tests/test_support.h. */
#ifndef JIGSAW_TESTS_REFERENCE_H
#define JIGSAW_TESTS_REFERENCE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/image.h"

#include <jpeglib.h>

static inline void *reference_memory(size_t size) {
  void *memory = calloc(1, size > 0 ? size : 1);
  if (!memory) abort();
  return memory;
}

static inline void reference_row(const struct jpeg_decompress_struct *source, const uint8_t *row, uint8_t *target) {
  if (source->output_components == 3) {
    memcpy(target, row, (size_t)source->output_width * 3);
    return;
  }
  for (size_t x = 0; x < source->output_width; x++) {
    double black = source->saw_Adobe_marker ? row[4 * x + 3] : 255 - row[4 * x + 3];
    for (size_t c = 0; c < 3; c++) {
      double ink = source->saw_Adobe_marker ? row[4 * x + c] : 255 - row[4 * x + c];
      target[3 * x + c] = (uint8_t)lround(ink * black / 255);
    }
  }
}

/* The pixels of a sound JPEG, as stored; free with image_free. */
static inline struct image reference_decode(const uint8_t *bytes, size_t size) {
  struct jpeg_decompress_struct source;
  struct jpeg_error_mgr manager;
  source.err = jpeg_std_error(&manager);
  jpeg_create_decompress(&source);
  jpeg_mem_src(&source, bytes, size);
  jpeg_read_header(&source, TRUE);
  source.out_color_space = source.num_components == 4 ? JCS_CMYK : JCS_RGB;
  jpeg_start_decompress(&source);
  struct image image = {(int)source.output_width, (int)source.output_height, NULL};
  image.pixels = reference_memory((size_t)image.width * (size_t)image.height * 3);
  uint8_t *row = reference_memory((size_t)image.width * 4);
  for (size_t y = 0; y < source.output_height; y++) {
    jpeg_read_scanlines(&source, &row, 1);
    reference_row(&source, row, image.pixels + y * (size_t)image.width * 3);
  }
  free(row);
  jpeg_finish_decompress(&source);
  jpeg_destroy_decompress(&source);
  return image;
}

/* One axis of a resize: `count` lines of `from` values each, `step` apart within a line, become `to` values. The weight
 * of source pixel j for output pixel i is the triangle around the centre of i, as wide as two source pixels, or as two
 * output pixels where it shrinks. Line l begins at source + l * pitch and goes to target + l * pitch_out. */
static inline void reference_axis(const double *source, double *target, int from, int to, size_t count, size_t step,
                                  size_t pitch, size_t pitch_out) {
  double scale = (double)from / to, support = scale > 1 ? scale : 1;
  double *weights = reference_memory((size_t)from * sizeof *weights);
  for (int i = 0; i < to; i++) {
    double center = (i + 0.5) * scale, sum = 0;
    int first = from, last = -1;
    for (int j = 0; j < from; j++) {
      weights[j] = fmax(0, 1 - fabs(j + 0.5 - center) / support);
      sum += weights[j];
      if (weights[j] > 0) last = j;
      if (j < first && weights[j] > 0) first = j;
    }
    for (size_t line = 0; line < count; line++) {
      double value = 0;
      for (int j = first; j <= last; j++) {
        value += weights[j] / sum * source[line * pitch + (size_t)j * step];
      }
      target[line * pitch_out + (size_t)i * step] = value;
    }
  }
  free(weights);
}

/* The whole picture resized to width x height: width * height * 3 numbers, not rounded; free with free. */
static inline double *reference_resize(const struct image *image, int width, int height) {
  size_t w = (size_t)image->width, h = (size_t)image->height, wide = (size_t)width, values = w * h * 3;
  double *source = reference_memory(values * sizeof *source);
  double *rows = reference_memory(wide * h * 3 * sizeof *rows);
  double *result = reference_memory(wide * (size_t)height * 3 * sizeof *result);
  for (size_t i = 0; i < values; i++) {
    source[i] = image->pixels[i];
  }
  for (size_t c = 0; c < 3; c++) {
    reference_axis(source + c, rows + c, image->width, width, h, 3, w * 3, wide * 3);
  }
  reference_axis(rows, result, image->height, height, wide * 3, wide * 3, 1, 1);
  free(rows);
  free(source);
  return result;
}

#endif
