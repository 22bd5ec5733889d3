/* bench/peak - what the processor's arithmetic could do at most. */
#ifndef JIGSAW_BENCH_PEAK_H
#define JIGSAW_BENCH_PEAK_H

#include "nn/backend.h"

/* FLOP/s of multiply-adds of that type, all operands in registers or AMX's tiles, on so many threads: the best of a few
 * tries. 0 where this is not known: without AVX-512, or in bf16 without AVX-512's bf16. */
double peak_flops(enum nn_dtype dtype, int threads);

#endif
