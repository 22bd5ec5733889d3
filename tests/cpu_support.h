/* What the tests of the cpu backend's kernels share: operands with guards, comparison with a result in double, and a
 * loop over instruction sets, types and numbers of threads. */
#ifndef JIGSAW_TESTS_CPU_SUPPORT_H
#define JIGSAW_TESTS_CPU_SUPPORT_H

#include "nn/cpu/cpu.h"

#include <math.h>

#include "tests/test_support.h"

enum { THREADS = 3, PARAMS = 5 };

/* Operands that a test made, so that they can be freed, and a guard after each that no kernel may touch. */
struct bench {
  struct rng rng;
  struct nn_device device;
  struct cpu_context context;
  enum nn_dtype dtype;
  struct nn_operand operands[16];
  size_t count;
  struct nn_params params;
  struct nn_param param[PARAMS];
  struct nn_norm_layer norm;
};

static inline const struct cpu_kernels *kernels_of(size_t level) {
#if defined(__x86_64__)
  if (level == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &nn_kernels_avx2;
  if (level == 2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")) return &nn_kernels_avx512;
  if (level == 3 && __builtin_cpu_supports("avx512bf16")) return &nn_kernels_avx512_bf16;
#endif
  return level == 0 ? &nn_kernels_base : NULL;
}

static inline int64_t below(struct bench *b, int64_t count) {
  return (int64_t)rng_below(&b->rng, (uint64_t)count);
}

static inline double normal(struct rng *rng) {
  double u = 1 - rng_uniform(rng), v = rng_uniform(rng);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* ---- elements ---- */

static inline float read_bf16(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* The nearest bf16, by trying its two neighbours. */
static inline uint16_t nearest_bf16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint16_t low = (uint16_t)(bits >> 16), high = (uint16_t)(low + 1);
  if (isnan(value)) return low | 0x40;
  uint32_t rest = bits & 0xffff;
  return rest < 0x8000 || (rest == 0x8000 && low % 2 == 0) ? low : high;
}

static inline double get(const struct nn_operand *operand, int64_t i) {
  if (operand->dtype == NN_F32) return ((const float *)operand->data)[i];
  return operand->dtype == NN_BF16 ? read_bf16(((const uint16_t *)operand->data)[i])
                                   : ((const uint8_t *)operand->data)[i];
}

static inline void set(struct nn_operand *operand, int64_t i, double value) {
  if (operand->dtype == NN_F32) {
    ((float *)operand->data)[i] = (float)value;
  } else {
    ((uint16_t *)operand->data)[i] = nearest_bf16((float)value);
  }
}

/* What `value` becomes in the operand's type, and how far from it a result may be: a unit of bf16 or a few of float32,
 * and the error of float32 sums of magnitude `size`. */
static inline void check(const struct nn_operand *operand, int64_t i, double value, double size, const char *what) {
  double found = get(operand, i), unit = operand->dtype == NN_BF16 ? 1.0 / 256 : 4e-7;
  if (isnan(value) && isnan(found)) return;
  if (found == value) return;
  if (!(fabs(found - value) <= unit * fabs(value) + 2e-6 * size + 1e-37)) {
    fail_msg("%s: element %lld is %.9g instead of %.9g (size %g)", what, (long long)i, found, value, size);
  }
}

/* ---- operands and steps ---- */

static const char GUARD[] = "not to be written";

static inline struct nn_operand *make(struct bench *b, enum nn_dtype dtype, int64_t n, int64_t h, int64_t w,
                                      int64_t c) {
  struct nn_operand *operand = &b->operands[b->count++];
  assert_true(b->count <= COUNT_OF(b->operands));
  *operand = (struct nn_operand){{n, h, w, c}, dtype, NULL};
  size_t size = (size_t)nn_count(operand->shape) * nn_dtype_size(dtype);
  operand->data = malloc(size + sizeof GUARD);
  assert_non_null(operand->data);
  memset(operand->data, 0x7f, size);
  memcpy((char *)operand->data + size, GUARD, sizeof GUARD);
  return operand;
}

static inline struct nn_operand *like(struct bench *b, const struct nn_operand *operand) {
  struct nn_shape s = operand->shape;
  return make(b, operand->dtype, s.n, s.h, s.w, s.c);
}

static inline struct nn_operand *fill(struct bench *b, struct nn_operand *operand, double mean, double deviation) {
  for (int64_t i = 0; i < nn_count(operand->shape); i++) {
    set(operand, i, mean + deviation * normal(&b->rng));
  }
  return operand;
}

static inline struct nn_operand *activation(struct bench *b, int64_t n, int64_t h, int64_t w, int64_t c) {
  return fill(b, make(b, b->dtype, n, h, w, c), 0, 1);
}

static inline struct nn_operand *copy_of(struct bench *b, const struct nn_operand *operand) {
  struct nn_operand *copy = like(b, operand);
  memcpy(copy->data, operand->data, (size_t)nn_count(operand->shape) * nn_dtype_size(operand->dtype));
  return copy;
}

static inline void finish(struct bench *b) {
  for (size_t i = 0; i < b->count; i++) {
    struct nn_operand *operand = &b->operands[i];
    size_t size = (size_t)nn_count(operand->shape) * nn_dtype_size(operand->dtype);
    assert_memory_equal((char *)operand->data + size, GUARD, sizeof GUARD);
    free(operand->data);
  }
  b->count = 0;
  free(b->params.values);
  free(b->params.gradients);
  b->params = (struct nn_params){0};
}

static inline void run(struct bench *b, struct nn_step *step) {
  struct error error;
  size_t size = 0;
  step->name = "test";
  assert_ok(cpu_map_supports(&b->device, step, &error), error);
  assert_ok(cpu_map_prepare(&b->device, step, &size, &error), error);
  void *scratch = aligned_alloc(64, size / 64 * 64 + 64);
  assert_non_null(scratch);
  memset(scratch, 0x7f, size);
  assert_ok(cpu_map_run(&b->device, step, scratch, &error), error);
  cpu_map_forget(step);
  free(scratch);
}

/* Calls `test` for each instruction set, type and number of threads. */
static inline void each(void (*test)(struct bench *b), int rounds) {
  struct bench b = {0};
  uint64_t seed = test_seed();
  for (size_t level = 0; level < 4; level++) {
    b.context.kernels = kernels_of(level);
    b.device.context = &b.context;
    for (int round = 0; b.context.kernels && round < rounds; round++) {
      rng_init(&b.rng, seed, RNG_TEST, (uint32_t)level, (uint64_t)round);
      b.device.threads = 1 + round % THREADS;
      b.dtype = round / THREADS % 2 ? NN_BF16 : NN_F32;
      test(&b);
      finish(&b);
    }
  }
}

#endif
