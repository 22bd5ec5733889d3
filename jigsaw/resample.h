/* jigsaw/resample - resizing, of only the part that will be seen. The filter is the triangle, widened when it shrinks
 * (what Pillow calls BILINEAR), in fixed point. */
#ifndef JIGSAW_JIGSAW_RESAMPLE_H
#define JIGSAW_JIGSAW_RESAMPLE_H

#include "core/image/image.h"

/* A source of side `from` is resized to side `to`; of the result, pixels [start, start + count) are wanted. */
struct resample_axis {
  int from, to, start, count;
};

/* The source pixels that reach the wanted ones: [*first, *first + returned). */
int resample_span(const struct resample_axis *axis, int *first);

/* Reusable memory; belongs to one thread. Zero it to begin, free with resampler_free. */
struct resampler {
  struct buffer row, columns, rows, gather;
};

/* `part` holds just the source pixels of the two spans. Writes x->count x y->count pixels to `out`, whose rows are
 * `stride` bytes apart, mirrored when `flip`. */
int resample(struct resampler *resampler, const struct image *part, const struct resample_axis *x,
             const struct resample_axis *y, bool flip, uint8_t *out, size_t stride, struct error *error);
void resampler_free(struct resampler *resampler);

#endif
