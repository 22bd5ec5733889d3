#include "nn/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

#include <omp.h>

#include "nn/cpu/onednn.h"

bool cpu_has_isa(int isa) {
  return ((int)dnnl_get_effective_cpu_isa() & isa) == isa;
}

static const char *instruction_set(const struct cpu_kernels **kernels) {
  *kernels = &nn_kernels_base;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (cpu_has_isa(dnnl_cpu_isa_avx2) && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2")) {
    *kernels = &nn_kernels_avx2;
  }
  if (cpu_has_isa(dnnl_cpu_isa_avx512_core)) *kernels = &nn_kernels_avx512;
  if (cpu_has_isa(dnnl_cpu_isa_avx512_core_bf16)) *kernels = &nn_kernels_avx512_bf16;
  if (cpu_has_isa(dnnl_cpu_isa_avx512_core_amx)) return "AVX-512 with AMX";
  if (cpu_has_isa(dnnl_cpu_isa_avx512_core_bf16)) return "AVX-512 with bf16";
  if (cpu_has_isa(dnnl_cpu_isa_avx512_core)) return "AVX-512";
  if (cpu_has_isa(dnnl_cpu_isa_avx2)) return "AVX2";
  return "SSE";
#else
  return "portable kernels";
#endif
}

static void cpu_close(struct nn_device *device) {
  struct cpu_context *context = device->context;
  if (!context) return;
  if (context->stream) dnnl_stream_destroy(context->stream);
  if (context->engine) dnnl_engine_destroy(context->engine);
  free(context);
  device->context = NULL;
}

/* The number of OpenMP's threads, and whether it may choose fewer, belong to the calling thread. oneDNN's primitives
 * are made for one number, and wait for ever for those that do not come. */
static void use_threads(int threads) {
  omp_set_dynamic(0);
  omp_set_num_threads(threads);
}

/* How many threads a team really has: OMP_THREAD_LIMIT and other limits of OpenMP allow fewer. */
static int threads_granted(int wanted) {
  int granted = 1;
  use_threads(wanted);
#pragma omp parallel
#pragma omp single
  granted = omp_get_num_threads();
  return granted;
}

static void describe(struct nn_device *device, const char *set, int wanted) {
  const dnnl_version_t *version = dnnl_version();
  int length =
      snprintf(device->description, sizeof device->description, "cpu: oneDNN %d.%d.%d, %s, %d thread%s", version->major,
               version->minor, version->patch, set, device->threads, device->threads == 1 ? "" : "s");
  if (device->threads == wanted) return;
  snprintf(device->description + length, sizeof device->description - (size_t)length,
           " of %d, as OpenMP allows no more (OMP_THREAD_LIMIT?)", wanted);
}

static int cpu_open(struct nn_device *device, struct error *error) {
  struct cpu_context *context = calloc(1, sizeof *context);
  if (!context) return error_memory(error, sizeof *context);
  device->context = context;
  int wanted = device->threads;
  device->threads = threads_granted(wanted);
  const char *set = instruction_set(&context->kernels);
  context->amx = cpu_has_isa(dnnl_cpu_isa_avx512_core_amx);
  context->oracle = &nn_backend_ref;
  dnnl_engine_t engine = NULL;
  dnnl_stream_t stream = NULL;
  if (ONEDNN(error, "cpu", dnnl_engine_create, &engine, dnnl_cpu, 0)) goto failed;
  context->engine = engine;
  if (ONEDNN(error, "cpu", dnnl_stream_create, &stream, engine, dnnl_stream_default_flags)) goto failed;
  context->stream = stream;
  /* Programs keep their primitives, and the cache answers a request for a second implementation with the first. */
  if (ONEDNN(error, "cpu", dnnl_set_primitive_cache_capacity, 0)) goto failed;
  describe(device, set, wanted);
  return 0;

failed:
  cpu_close(device);
  return -1;
}

static int cpu_supports_precision(const struct nn_device *device, enum nn_dtype precision, struct error *error) {
  if (precision == NN_F32) return 0;
  if (precision != NN_BF16) return error_set(error, "cpu: computes in f32 or bf16, not %s", nn_dtype_name(precision));
  if (cpu_has_isa(dnnl_cpu_isa_avx512_core)) return 0;
  return error_set(error, "%s: oneDNN computes in bf16 from AVX-512 on; use f32 here", device->description);
}

/* By all threads in the order in which they will use it: see nn/host.c. */
static int cpu_upload(struct nn_device *device, void *to, const void *host, size_t size, struct error *error) {
  enum { PIECE = 1 << 16 };
  (void)error;
#pragma omp parallel for schedule(static) num_threads(device->threads) if (size > PIECE)
  for (size_t at = 0; at < size; at += PIECE) {
    memcpy((char *)to + at, (const char *)host + at, size - at < PIECE ? size - at : PIECE);
  }
  return 0;
}

static int cpu_supports(const struct nn_device *device, const struct nn_step *step, struct error *error) {
  return nn_op_is_conv(step->op) ? cpu_conv_supports(device, step, error) : cpu_map_supports(device, step, error);
}

static int cpu_prepare(struct nn_device *device, struct nn_step *step, size_t *scratch, struct error *error) {
  use_threads(device->threads);
  return nn_op_is_conv(step->op) ? cpu_conv_prepare(device, step, scratch, error)
                                 : cpu_map_prepare(device, step, scratch, error);
}

static int cpu_run(struct nn_device *device, struct nn_step *step, void *scratch, struct error *error) {
  use_threads(device->threads);
  return nn_op_is_conv(step->op) ? cpu_conv_run(device, step, scratch, error)
                                 : cpu_map_run(device, step, scratch, error);
}

static void cpu_forget(struct nn_device *device, struct nn_step *step) {
  (void)device;
  nn_op_is_conv(step->op) ? cpu_conv_forget(step) : cpu_map_forget(step);
}

static int cpu_sgd(struct nn_device *device, const struct nn_sgd *sgd, float *value, const float *gradient,
                   float *momentum, int64_t count, struct error *error) {
  (void)error;
  const struct cpu_context *context = device->context;
  context->kernels->sgd(sgd, value, gradient, momentum, count, device->threads);
  return 0;
}

static int cpu_square_sum(struct nn_device *device, const float *values, int64_t count, double *sum,
                          struct error *error) {
  (void)error;
  const struct cpu_context *context = device->context;
  *sum = context->kernels->square_sum(values, count, device->threads);
  return 0;
}

const struct nn_backend nn_backend_cpu = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .supports_precision = cpu_supports_precision,
    .allocate = nn_host_allocate,
    .release = nn_host_release,
    .upload = cpu_upload,
    .download = nn_host_copy,
    .clear = nn_host_clear,
    .supports = cpu_supports,
    .prepare = cpu_prepare,
    .run = cpu_run,
    .forget = cpu_forget,
    .sgd = cpu_sgd,
    .square_sum = cpu_square_sum,
};
