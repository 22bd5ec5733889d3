#include "bench/peak.h"

#include <omp.h>

#include "nn/cpu/cpu.h"
#include "nn/cpu/onednn.h"

enum { TRIES = 5, TURNS = 4000000, CHAINS = 14 };

#if defined(__x86_64__)

/* One instruction on each of CHAINS sums, which are enough to hide its latency. */
#define EACH(instruction)                                                                                              \
  instruction "%%zmm0\n" instruction "%%zmm1\n" instruction "%%zmm2\n" instruction "%%zmm3\n" instruction              \
              "%%zmm4\n" instruction "%%zmm5\n" instruction "%%zmm6\n" instruction "%%zmm7\n" instruction              \
              "%%zmm8\n" instruction "%%zmm9\n" instruction "%%zmm10\n" instruction "%%zmm11\n" instruction            \
              "%%zmm12\n" instruction "%%zmm13\n"
#define ZERO "vxorps %%xmm14, %%xmm14, %%xmm14\nvxorps %%xmm15, %%xmm15, %%xmm15\n"
#define LOOP(instruction) ZERO "1:\n" EACH(instruction) "dec %0\njnz 1b\n"
#define CLOBBERED                                                                                                      \
  "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12",     \
      "xmm13", "xmm14", "xmm15"

static void multiply_add(enum nn_dtype dtype) {
  int64_t turns = TURNS;
  if (dtype == NN_BF16) {
    __asm__ volatile(LOOP("vdpbf16ps %%zmm14, %%zmm15, ") : "+r"(turns)::CLOBBERED);
  } else {
    __asm__ volatile(LOOP("vfmadd231ps %%zmm14, %%zmm15, ") : "+r"(turns)::CLOBBERED);
  }
}

double peak_flops(enum nn_dtype dtype, int threads) {
  bool known = dtype == NN_BF16
                   ? cpu_has_isa(dnnl_cpu_isa_avx512_core_bf16) && !cpu_has_isa(dnnl_cpu_isa_avx512_core_amx)
                   : cpu_has_isa(dnnl_cpu_isa_avx512_core);
  double best = 0, products = dtype == NN_BF16 ? 32 : 16; /* of one instruction */
  for (int i = 0; known && i < TRIES; i++) {
    double started = omp_get_wtime();
#pragma omp parallel num_threads(threads)
    multiply_add(dtype);
    double flops = 2 * products * CHAINS * (double)TURNS * threads / (omp_get_wtime() - started);
    if (flops > best) best = flops;
  }
  return best;
}

#else

double peak_flops(enum nn_dtype dtype, int threads) {
  (void)dtype, (void)threads;
  return 0;
}

#endif
