/* What the kernels share: elements of either type, loops specialised by flags, and work shared out among threads. */
#ifndef JIGSAW_NN_CPU_KERNELS_INTERNAL_H
#define JIGSAW_NN_CPU_KERNELS_INTERNAL_H

#include <omp.h>
#include <string.h>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#include "nn/cpu/kernels.h"

/* The build compiles each file several times, with NN_KERNELS as the name of the table; KERNEL gives each function that
 * another file calls a name of its own, too. */
#define KERNEL_PASTE(table, name) table##_##name
#define KERNEL_EXPAND(table, name) KERNEL_PASTE(table, name)
#define KERNEL(name) KERNEL_EXPAND(NN_KERNELS, name)

cpu_kernel KERNEL(norm), KERNEL(norm_backward), KERNEL(norm_again);
cpu_kernel KERNEL(relu), KERNEL(relu_backward), KERNEL(add);
cpu_kernel KERNEL(max_pool), KERNEL(max_pool_backward), KERNEL(average_pool), KERNEL(average_pool_backward);
cpu_kernel KERNEL(global_pool), KERNEL(global_pool_backward), KERNEL(region_pool), KERNEL(region_pool_backward);
cpu_kernel KERNEL(upsample), KERNEL(upsample_backward), KERNEL(copy_in), KERNEL(copy_out);
cpu_kernel KERNEL(cross_entropy);
size_t KERNEL(norm_scratch)(const struct nn_step *step, int threads);
size_t KERNEL(pool_scratch)(const struct nn_step *step, int threads);
size_t KERNEL(cross_entropy_scratch)(const struct nn_step *step, int threads);
void KERNEL(sgd)(const struct nn_sgd *sgd, float *value, const float *gradient, float *momentum, int64_t count,
                 int threads);
double KERNEL(square_sum)(const float *values, int64_t count, int threads);

/* ---- elements ---------------------------------------------------------------------------------------------------- */

/* Loops are written once for both types: `bf16` is a constant wherever these are inlined. Vectors have no branches. */
#define INLINED static inline __attribute__((always_inline))
#define SIMD _Pragma("omp simd")

union float_bits {
  float value;
  uint32_t bits;
};

INLINED float load(const void *from, int64_t i, bool bf16) {
  union float_bits wide;
  if (!bf16) return ((const float *)from)[i];
  wide.bits = (uint32_t)((const uint16_t *)from)[i] << 16;
  return wide.value;
}

/* Rounds to nearest even. NaN is cut off instead: rounding could carry it over to zero. (What is stored was computed or
 * loaded as bf16, so that a NaN's upper half is one.) */
INLINED uint16_t bf16_from(float value) {
  union float_bits wide = {.value = value};
  uint32_t half = 0x7fff + ((wide.bits >> 16) & 1);
  return (uint16_t)((value == value ? wide.bits + half : wide.bits) >> 16);
}

INLINED void store(void *to, int64_t i, float value, bool bf16) {
  if (bf16) {
    ((uint16_t *)to)[i] = bf16_from(value);
  } else {
    ((float *)to)[i] = value;
  }
}

/* Stores of some numbers at once: a loop puts LANES of them, or fewer at the end of a row, and closes. In bf16 so many
 * are rounded by one instruction, where there is one, which takes what is too small for a normal number as 0; `lanes`
 * needs no memory then. */
enum { LANES = 32 };

INLINED void put(void *to, int64_t i, int64_t k, float value, float lanes[LANES], bool bf16) {
  if (bf16) {
    lanes[k] = value;
  } else {
    ((float *)to)[i + k] = value;
  }
}

INLINED void put_close(void *to, int64_t i, int64_t count, const float lanes[LANES], bool bf16) {
  if (!bf16) return;
#if defined(__AVX512BF16__)
  if (count == LANES) {
    __m512bh halves = _mm512_cvtne2ps_pbh(_mm512_loadu_ps(lanes + LANES / 2), _mm512_loadu_ps(lanes));
    memcpy((uint16_t *)to + i, &halves, sizeof halves);
    return;
  }
#endif
  SIMD for (int64_t k = 0; k < count; k++) {
    store(to, i + k, lanes[k], true);
  }
}

/* a b + c, rounded once where there is an instruction for it. */
INLINED float multiply_add(float a, float b, float c) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, c);
#else
  return a * b + c;
#endif
}

INLINED float relu_of(float value) {
  return value <= 0 ? 0 : value; /* NaN stays */
}

/* Element i of an activation that may be missing, of either type. */
INLINED void *at(const struct nn_operand *operand, int64_t i) {
  return operand ? (char *)operand->data + i * (int64_t)nn_dtype_size(operand->dtype) : NULL;
}

/* Compiles the statement twice, with `name` as a constant true and false: nested, a loop for each combination. */
#define FOLD(name, condition, ...)                                                                                     \
  if (condition) {                                                                                                     \
    enum { name = true };                                                                                              \
    __VA_ARGS__;                                                                                                       \
  } else {                                                                                                             \
    enum { name = false };                                                                                             \
    __VA_ARGS__;                                                                                                       \
  }

/* ---- threads ----------------------------------------------------------------------------------------------------- */

struct span {
  int64_t first, last; /* [first, last) */
};

static inline int64_t smaller(int64_t a, int64_t b) {
  return a < b ? a : b;
}

/* Part `part` of 0 .. items - 1, cut at multiples of `grain`. */
static inline struct span span_of(int64_t items, int64_t grain, int part, int parts) {
  int64_t grains = (items + grain - 1) / grain;
  return (struct span){smaller(items, grains * part / parts * grain),
                       smaller(items, grains * (part + 1) / parts * grain)};
}

/* Waking threads is not worth less than some tens of kilobytes. All or one: a team of another size than the last makes
 * libgomp end threads and begin them anew. */
static inline int useful_threads(int64_t elements, int threads) {
  return elements < 8192 ? 1 : threads;
}

typedef void span_task(const struct nn_step *step, struct span span);

static inline void run_spans(span_task *task, const struct nn_step *step, int64_t items, int64_t grain, int threads) {
#pragma omp parallel num_threads(threads) if (threads > 1)
  task(step, span_of(items, grain, omp_get_thread_num(), omp_get_num_threads()));
}

/* A length of floats or doubles that keeps neighbours on other cache lines, and out of step with pages: a load that is
 * a multiple of 4096 bytes from a recent store waits for it. */
static inline int64_t padded(int64_t count) {
  return (count + 15) / 16 * 16 + 80;
}

#endif
