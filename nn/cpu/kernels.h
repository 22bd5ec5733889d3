/* nn/cpu/kernels - loops over memory, written once in plain C and compiled for several instruction sets. All of them
 * are limited by the bandwidth of memory, so that each touches its operands as few times as the mathematics needs.
 *
 * A kernel runs a step (nn/backend.h) whose operands have data, on `threads` threads. For the same number of threads
 * it computes the same bits every time. Activations are float32 or bf16, arithmetic and sums over blocks are float32,
 * and sums of blocks are double.
 */
#ifndef JIGSAW_NN_CPU_KERNELS_H
#define JIGSAW_NN_CPU_KERNELS_H

#include "nn/backend.h"

typedef void cpu_kernel(const struct nn_step *step, void *scratch, int threads);

struct cpu_kernels {
  cpu_kernel *run[NN_OPS];                                    /* NULL: convolutions, which are not done here */
  size_t (*scratch)(const struct nn_step *step, int threads); /* bytes that a run needs, aligned to 64 */
  void (*sgd)(const struct nn_sgd *sgd, float *value, const float *gradient, float *momentum, int64_t count,
              int threads);
  double (*square_sum)(const float *values, int64_t count, int threads); /* the same bits for any `threads` */
};

extern const struct cpu_kernels nn_kernels_base;
#if defined(__x86_64__)
extern const struct cpu_kernels nn_kernels_avx2;   /* x86-64-v3 */
extern const struct cpu_kernels nn_kernels_avx512; /* x86-64-v4 */
extern const struct cpu_kernels nn_kernels_avx512_bf16;
#endif

#endif
