#include "bench/peak.h"

#include <omp.h>

#include "nn/cpu/cpu.h"
#include "nn/cpu/onednn.h"

enum { TRIES = 5, TURNS = 4000000, CHAINS = 14, TILE_TURNS = 400000, TILE_CHAINS = 6 };

#if defined(__x86_64__)

#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

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

static void multiply_f32(void) {
  int64_t turns = TURNS;
  __asm__ volatile(LOOP("vfmadd231ps %%zmm14, %%zmm15, ") : "+r"(turns)::CLOBBERED);
}

static void multiply_bf16(void) {
  int64_t turns = TURNS;
  __asm__ volatile(LOOP("vdpbf16ps %%zmm14, %%zmm15, ") : "+r"(turns)::CLOBBERED);
}

/* Tiles 0 to 5 are sums, 6 and 7 what is multiplied: all of 16 rows of 64 bytes. The shapes are constant, for gcc 12
 * takes the instruction to read their first 8 bytes only, and would not write the others. */
__attribute__((target("amx-tile,amx-bf16"))) static void multiply_tiles(void) {
  static const struct {
    uint8_t palette, first_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
  } shapes = {1, 0, {0}, {64, 64, 64, 64, 64, 64, 64, 64}, {16, 16, 16, 16, 16, 16, 16, 16}};
  _tile_loadconfig(&shapes);
  _tile_zero(6);
  _tile_zero(7);
  for (int64_t turn = 0; turn < TILE_TURNS; turn++) {
    _tile_dpbf16ps(0, 6, 7);
    _tile_dpbf16ps(1, 6, 7);
    _tile_dpbf16ps(2, 6, 7);
    _tile_dpbf16ps(3, 6, 7);
    _tile_dpbf16ps(4, 6, 7);
    _tile_dpbf16ps(5, 6, 7);
  }
  _tile_release();
}

/* Linux lets a process use tiles once it has asked, since they make its signal frames and switches larger. */
static bool may_use_tiles(void) {
  enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
  return cpu_has_isa(dnnl_cpu_isa_avx512_core_amx) && !syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA);
}

static double fastest(void (*multiply)(void), double products, int threads) {
  double best = 0;
  for (int i = 0; i < TRIES; i++) {
    double started = omp_get_wtime();
#pragma omp parallel num_threads(threads)
    multiply();
    double flops = 2 * products * threads / (omp_get_wtime() - started);
    if (flops > best) best = flops;
  }
  return best;
}

double peak_flops(enum nn_dtype dtype, int threads) {
  if (dtype == NN_F32 && cpu_has_isa(dnnl_cpu_isa_avx512_core)) {
    return fastest(multiply_f32, 16.0 * CHAINS * TURNS, threads);
  }
  if (dtype == NN_BF16 && may_use_tiles()) {
    return fastest(multiply_tiles, 16.0 * 16 * 32 * TILE_CHAINS * TILE_TURNS, threads);
  }
  if (dtype == NN_BF16 && cpu_has_isa(dnnl_cpu_isa_avx512_core_bf16)) {
    return fastest(multiply_bf16, 32.0 * CHAINS * TURNS, threads);
  }
  return 0;
}

#else

double peak_flops(enum nn_dtype dtype, int threads) {
  (void)dtype, (void)threads;
  return 0;
}

#endif
