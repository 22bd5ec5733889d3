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

/* ---- columns of few taps ----------------------------------------------------------------------------------------- */

/* The taps of a row's pixels lie here and there. They are gathered side by side first, so that the multiplications can
 * be vectorised. Arrays are in the order of output bytes. */
struct gather {
  int count, taps;            /* pixels, and the taps of each: 2 or 3 */
  int32_t *starts;            /* of a pixel's first tap in the row, bytes */
  int16_t *weights[FEW_TAPS]; /* of the k-th tap; 0 where a pixel has fewer */
  uint8_t *bytes[FEW_TAPS];   /* the k-th tap */
};

enum { GATHER_STEP = 4, BEYOND = 3 * (FEW_TAPS - 1) + 1 }; /* bytes copied for a pixel; read beyond a row's end */

static int most_taps(const struct resample_axis *axis, const struct buffer *columns) {
  size_t stride = taps_stride(axis);
  int most = 0;
  for (int i = 0; i < axis->count; i++) {
    int count = taps_at(columns, stride, i)->count;
    if (count > most) most = count;
  }
  return most;
}

static int make_gather(struct gather *gather, const struct resample_axis *axis, bool flip, const struct buffer *columns,
                       struct buffer *memory, struct error *error) {
  size_t stride = taps_stride(axis), bytes = 3 * (size_t)axis->count, room;
  if (!size_muladd((size_t)axis->count, sizeof *gather->starts + FEW_TAPS * 3 * (sizeof(int16_t) + 1),
                   FEW_TAPS * GATHER_STEP, &room)) {
    return error_memory(error, SIZE_MAX);
  }
  if (buffer_reserve(memory, room, error)) return -1;
  gather->count = axis->count;
  gather->starts = (int32_t *)(void *)memory->data;
  for (int k = 0; k < FEW_TAPS; k++) {
    gather->weights[k] = (int16_t *)(void *)(gather->starts + axis->count) + (size_t)k * bytes;
    gather->bytes[k] = (uint8_t *)((int16_t *)(void *)(gather->starts + axis->count) + FEW_TAPS * bytes) +
                       (size_t)k * (bytes + GATHER_STEP);
  }
  for (int i = 0; i < axis->count; i++) {
    const struct taps *taps = taps_at(columns, stride, flip ? axis->count - 1 - i : i);
    gather->starts[i] = 3 * taps->first;
    for (int k = 0; k < FEW_TAPS; k++) {
      int16_t weight = k < taps->count ? (int16_t)taps->weights[k] : 0;
      for (int c = 0; c < 3; c++) {
        gather->weights[k][3 * i + c] = weight;
      }
    }
  }
  return 0;
}

/* Each copy has a byte too many, which the next overwrites. */
static void gather_tap(const struct gather *gather, int k, const uint8_t *row) {
  uint8_t *out = gather->bytes[k];
  row += 3 * (ptrdiff_t)k;
  for (int i = 0; i < gather->count; i++) {
    memcpy(out + 3 * (size_t)i, row + gather->starts[i], GATHER_STEP);
  }
}

static void blend_gathered(const struct gather *gather, const uint8_t *row, uint8_t *restrict out) {
  const int16_t *a = gather->weights[0], *b = gather->weights[1], *c = gather->weights[2];
  const uint8_t *first = gather->bytes[0], *second = gather->bytes[1], *third = gather->bytes[2];
  int bytes = 3 * gather->count;
  for (int k = 0; k < gather->taps; k++) {
    gather_tap(gather, k, row);
  }
  if (gather->taps == 2) {
    for (int i = 0; i < bytes; i++) {
      out[i] = (uint8_t)((first[i] * a[i] + second[i] * b[i] + (1 << (FEW_BITS - 1))) >> FEW_BITS);
    }
  } else {
    for (int i = 0; i < bytes; i++) {
      int32_t sum = first[i] * a[i] + second[i] * b[i] + third[i] * c[i];
      out[i] = (uint8_t)((sum + (1 << (FEW_BITS - 1))) >> FEW_BITS);
    }
  }
}

/* ---- all together ------------------------------------------------------------------------------------------------ */

static void blend_columns(const struct resample_axis *axis, const struct buffer *columns, bool flip, const uint8_t *row,
                          uint8_t *out) {
  size_t stride = taps_stride(axis);
  for (int i = 0; i < axis->count; i++) {
    const struct taps *taps = taps_at(columns, stride, i);
    blend_pixel(row + 3 * (size_t)taps->first, taps, out + 3 * (size_t)(flip ? axis->count - 1 - i : i));
  }
}

int resample(struct resampler *resampler, const struct image *part, const struct resample_axis *x,
             const struct resample_axis *y, bool flip, uint8_t *out, size_t stride, struct error *error) {
  size_t width = (size_t)part->width * 3, row_stride = taps_stride(y);
  struct gather gather = {0};
  if (make_taps(x, &resampler->columns, error) || make_taps(y, &resampler->rows, error)) return -1;
  if (buffer_reserve(&resampler->row, width + BEYOND, error)) return -1;
  memset(resampler->row.data + width, 0, BEYOND);
  int most = most_taps(x, &resampler->columns);
  bool few = most <= FEW_TAPS;
  gather.taps = most < FEW_TAPS ? 2 : FEW_TAPS;
  if (few && make_gather(&gather, x, flip, &resampler->columns, &resampler->gather, error)) return -1;
  for (int j = 0; j < y->count; j++) {
    const struct taps *rows = taps_at(&resampler->rows, row_stride, j);
    blend_rows(part->pixels + (size_t)rows->first * width, width, rows, resampler->row.data);
    if (few) {
      blend_gathered(&gather, resampler->row.data, out + (size_t)j * stride);
    } else {
      blend_columns(x, &resampler->columns, flip, resampler->row.data, out + (size_t)j * stride);
    }
  }
  return 0;
}

void resampler_free(struct resampler *resampler) {
  buffer_free(&resampler->row);
  buffer_free(&resampler->columns);
  buffer_free(&resampler->rows);
  buffer_free(&resampler->gather);
}
