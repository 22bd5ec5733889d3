#include "jigsaw/resample.h"

#include <math.h>
#include <string.h>

/* Weights are fixed-point. Scales of 0.8 .. 1.5 need two or three taps, whose weights fit an int16 for speed; where
 * there are more, each is smaller and has more bits. 255 times all of them together fits an int32 either way. */
enum { FEW_TAPS = 3, FEW_BITS = 14, MANY_BITS = 22 };

/* The source pixels of one output pixel: first .. first + count - 1; the weights follow the struct. */
struct taps {
  int first, count;
  int32_t weights[];
};

static int weight_bits(const struct taps *taps) {
  return taps->count <= FEW_TAPS ? FEW_BITS : MANY_BITS;
}

static double axis_scale(const struct resample_axis *axis) {
  return (double)axis->from / axis->to;
}

static double axis_support(const struct resample_axis *axis) {
  double scale = axis_scale(axis);
  return scale > 1 ? scale : 1;
}

static void tap_bounds(const struct resample_axis *axis, int pixel, int *first, int *last) {
  double support = axis_support(axis), center = (pixel + 0.5) * axis_scale(axis);
  double low = center - support + 0.5, high = center + support + 0.5;
  *first = low > 0 ? (int)low : 0;
  *last = high < axis->from ? (int)high : axis->from;
}

int resample_span(const struct resample_axis *axis, int *first) {
  int ignored, last;
  tap_bounds(axis, axis->start, first, &ignored);
  tap_bounds(axis, axis->start + axis->count - 1, &ignored, &last);
  return last - *first;
}

/* Bytes from one struct taps to the next. */
static size_t taps_stride(const struct resample_axis *axis) {
  size_t most = (size_t)(2 * axis_support(axis)) + 2;
  return sizeof(struct taps) + most * sizeof(int32_t);
}

static const struct taps *taps_at(const struct buffer *buffer, size_t stride, int pixel) {
  return (const struct taps *)(const void *)(buffer->data + (size_t)pixel * stride);
}

static double tap_weight(const struct resample_axis *axis, int pixel, int tap) {
  double center = (pixel + 0.5) * axis_scale(axis);
  return fmax(0, 1 - fabs(tap + 0.5 - center) / axis_support(axis));
}

/* Running sums are rounded, not weights: what one weight loses its neighbour gains, however small they are, and all
 * make exactly one: flat stays flat. */
static void fill_taps(const struct resample_axis *axis, int pixel, int origin, struct taps *taps) {
  double sum = 0, reached = 0;
  int first, last, given = 0;
  tap_bounds(axis, pixel, &first, &last);
  taps->first = first - origin;
  taps->count = last - first;
  for (int i = 0; i < taps->count; i++) {
    sum += tap_weight(axis, pixel, first + i);
  }
  for (int i = 0; i < taps->count; i++) {
    reached += tap_weight(axis, pixel, first + i);
    int rounded = (int)lrint(reached / sum * (1 << weight_bits(taps)));
    taps->weights[i] = rounded - given;
    given = rounded;
  }
}

static int make_taps(const struct resample_axis *axis, struct buffer *buffer, struct error *error) {
  size_t stride = taps_stride(axis), bytes;
  int origin;
  resample_span(axis, &origin);
  if (!size_muladd(stride, (size_t)axis->count, 0, &bytes)) return error_memory(error, SIZE_MAX);
  if (buffer_reserve(buffer, bytes, error)) return -1;
  for (int i = 0; i < axis->count; i++) {
    struct taps *taps = (struct taps *)(void *)(buffer->data + (size_t)i * stride);
    fill_taps(axis, axis->start + i, origin, taps);
  }
  return 0;
}

/* One output row at source width. The loops over `i` are what the compiler vectorises. */
static void blend_rows(const uint8_t *restrict top, size_t width, const struct taps *taps, uint8_t *restrict out) {
  const int32_t *weights = taps->weights;
  if (taps->count == 1) {
    memcpy(out, top, width);
  } else if (taps->count == 2) {
    int32_t a = (int16_t)weights[0], b = (int16_t)weights[1];
    for (size_t i = 0; i < width; i++) {
      out[i] = (uint8_t)((top[i] * a + top[width + i] * b + (1 << (FEW_BITS - 1))) >> FEW_BITS);
    }
  } else if (taps->count == 3) {
    int32_t a = (int16_t)weights[0], b = (int16_t)weights[1], c = (int16_t)weights[2];
    for (size_t i = 0; i < width; i++) {
      int32_t sum = top[i] * a + top[width + i] * b + top[2 * width + i] * c;
      out[i] = (uint8_t)((sum + (1 << (FEW_BITS - 1))) >> FEW_BITS);
    }
  } else {
    for (size_t i = 0; i < width; i++) {
      int32_t sum = 1 << (MANY_BITS - 1);
      for (int k = 0; k < taps->count; k++) {
        sum += top[(size_t)k * width + i] * weights[k];
      }
      out[i] = (uint8_t)(sum >> MANY_BITS);
    }
  }
}

static void blend_pixel(const uint8_t *restrict source, const struct taps *taps, uint8_t *restrict out) {
  int bits = weight_bits(taps);
  int32_t r = 1 << (bits - 1), g = r, b = r;
  for (int k = 0; k < taps->count; k++) {
    int32_t weight = taps->weights[k];
    r += source[3 * k] * weight;
    g += source[3 * k + 1] * weight;
    b += source[3 * k + 2] * weight;
  }
  out[0] = (uint8_t)(r >> bits);
  out[1] = (uint8_t)(g >> bits);
  out[2] = (uint8_t)(b >> bits);
}

int resample(struct resampler *resampler, const struct image *part, const struct resample_axis *x,
             const struct resample_axis *y, bool flip, uint8_t *out, size_t stride, struct error *error) {
  size_t width = (size_t)part->width * 3, column_stride = taps_stride(x), row_stride = taps_stride(y);
  if (make_taps(x, &resampler->columns, error) || make_taps(y, &resampler->rows, error)) return -1;
  if (buffer_reserve(&resampler->row, width, error)) return -1;
  for (int j = 0; j < y->count; j++) {
    const struct taps *rows = taps_at(&resampler->rows, row_stride, j);
    blend_rows(part->pixels + (size_t)rows->first * width, width, rows, resampler->row.data);
    uint8_t *target = out + (size_t)j * stride;
    for (int i = 0; i < x->count; i++) {
      const struct taps *columns = taps_at(&resampler->columns, column_stride, i);
      int column = flip ? x->count - 1 - i : i;
      blend_pixel(resampler->row.data + 3 * (size_t)columns->first, columns, target + 3 * (size_t)column);
    }
  }
  return 0;
}

void resampler_free(struct resampler *resampler) {
  buffer_free(&resampler->row);
  buffer_free(&resampler->columns);
  buffer_free(&resampler->rows);
}
