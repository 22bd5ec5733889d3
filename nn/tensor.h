/* nn/tensor - element types and shapes.
 *
 * Every activation has four extents and lies in memory as NHWC, densely: image n, row h, column w, channel c, the
 * channel running fastest. A vector of features is a map of 1 x 1.
 */
#ifndef JIGSAW_NN_TENSOR_H
#define JIGSAW_NN_TENSOR_H

#include "core/base/base.h"

enum nn_dtype {
  NN_F32,
  NN_BF16, /* the upper half of a float32, rounded to nearest even */
  NN_I32,
  NN_U8,
};

struct nn_shape {
  int64_t n, h, w, c;
};

static inline int64_t nn_count(struct nn_shape shape) {
  return shape.n * shape.h * shape.w * shape.c;
}

static inline size_t nn_dtype_size(enum nn_dtype dtype) {
  return dtype == NN_BF16 ? 2 : dtype == NN_U8 ? 1 : 4;
}

const char *nn_dtype_name(enum nn_dtype dtype); /* "f32", "bf16", "i32", "u8" */

/* One value. NaN stays NaN. */
uint16_t nn_bf16_from_f32(float value);
float nn_f32_from_bf16(uint16_t value);

#endif
