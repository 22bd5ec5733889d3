/* Every distinct convolution of ResNet-50 and ResNet-18, alone: forward, data gradient and weight gradient by each of
 * oneDNN's implementations (channels last and in blocks of its own choice; a matrix product for kernel 1), and as
 * nn/cpu does it, with packing of fresh weights and gradients in canonical form included. Of weight gradients there is
 * a contestant that packs X first, as nn/cpu does where there is AMX; in brackets is what nn/cpu's rule took.
 *
 *   bench_conv [--batch 16] [--threads N] [--precision f32|bf16] [--seconds 0.3] [--all]
 *
 * Contestants take turns; the best time of each counts. "limit" is the sum of the best contestants, weighted by how
 * often a layer occurs; "arithmetic" is what their multiply-adds would take from registers (peak.h). One thread is
 * timed by its own processor time, so that other work on the machine counts less.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/peak.h"
#include "nn/cpu/conv.h"

enum { CONTESTANTS = 32, OPERANDS = 3 };

struct layer {
  int64_t in, out;
  int kernel, stride, size;
  int count[2]; /* in ResNet-50 and -18 */
};

static const struct layer layers[] = {
    {3, 64, 7, 2, 224, {1, 1}},    {64, 64, 1, 1, 56, {1, 0}},    {64, 64, 3, 1, 56, {3, 4}},
    {64, 256, 1, 1, 56, {4, 0}},   {256, 64, 1, 1, 56, {2, 0}},   {256, 128, 1, 1, 56, {1, 0}},
    {128, 128, 3, 2, 56, {1, 0}},  {128, 512, 1, 1, 28, {4, 0}},  {256, 512, 1, 2, 56, {1, 0}},
    {512, 128, 1, 1, 28, {3, 0}},  {128, 128, 3, 1, 28, {3, 3}},  {512, 256, 1, 1, 28, {1, 0}},
    {256, 256, 3, 2, 28, {1, 0}},  {256, 1024, 1, 1, 14, {6, 0}}, {512, 1024, 1, 2, 28, {1, 0}},
    {1024, 256, 1, 1, 14, {5, 0}}, {256, 256, 3, 1, 14, {5, 3}},  {1024, 512, 1, 1, 14, {1, 0}},
    {512, 512, 3, 2, 14, {1, 0}},  {512, 2048, 1, 1, 7, {3, 0}},  {1024, 2048, 1, 2, 14, {1, 0}},
    {2048, 512, 1, 1, 7, {2, 0}},  {512, 512, 3, 1, 7, {2, 3}},   {2048, 1000, 1, 1, 1, {1, 0}},
    {64, 128, 3, 2, 56, {0, 1}},   {64, 128, 1, 2, 56, {0, 1}},   {128, 256, 3, 2, 28, {0, 1}},
    {128, 256, 1, 2, 28, {0, 1}},  {256, 512, 3, 2, 14, {0, 1}},  {256, 512, 1, 2, 14, {0, 1}},
    {512, 1000, 1, 1, 1, {0, 1}},
};

static const enum nn_op kinds[] = {NN_OP_CONV, NN_OP_CONV_BACKWARD_DATA, NN_OP_CONV_BACKWARD_WEIGHTS};

struct contestant {
  char name[64];
  dnnl_primitive_t packing, primitive; /* packing: NULL where nothing is packed, or for nothing */
  dnnl_exec_arg_t rows[2], operands[OPERANDS];
  double best;
};

struct bench {
  int64_t batch, threads;
  double seconds;
  bool all;
  struct nn_device device;
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  const struct layer *layer;
  enum nn_op kind;
  enum nn_dtype dtype;
  struct nn_shape x, y;
  struct contestant contestants[CONTESTANTS];
  int count;
};

static onednn_desc describe(int rank, dnnl_dims_t dims, enum nn_dtype dtype, dnnl_format_tag_t tag) {
  onednn_desc desc;
  return dnnl_memory_desc_create_with_tag(&desc, rank, dims, dtype == NN_BF16 ? dnnl_bf16 : dnnl_f32, tag) ? NULL
                                                                                                           : desc;
}

/* Numbers of either type that do not overflow: each half of a word is about +-1 as bf16. */
static void fill(void *memory, size_t size) {
  uint32_t state = 1;
  for (size_t i = 0; i + 1 < size; i += 2) {
    state = state * 1664525u + 1013904223u;
    uint16_t value = (uint16_t)(0x3f00u | (state >> 16 & 0x807fu));
    memcpy((char *)memory + i, &value, sizeof value);
  }
}

static int enter(struct bench *bench, dnnl_primitive_desc_t desc, const int arguments[OPERANDS], const char *prefix,
                 struct error *error) {
  const char *name = onednn_implementation(desc);
  bool slow = !strncmp(name, "ref", 3) || strstr(name, "sse41") || bench->count == CONTESTANTS;
  struct contestant *made = &bench->contestants[slow ? 0 : bench->count++];
  int result = 0;
  if (slow) goto done;
  *made = (struct contestant){.best = 1e9};
  snprintf(made->name, sizeof made->name, "%s%s", prefix, name);
  result = ONEDNN(error, prefix, dnnl_primitive_create, &made->primitive, desc);
  for (int i = 0; result == 0 && i < OPERANDS; i++) {
    onednn_const_desc operand = dnnl_primitive_desc_query_md(desc, dnnl_query_exec_arg_md, arguments[i]);
    made->operands[i].arg = arguments[i];
    result = ONEDNN(error, prefix, dnnl_memory_create, &made->operands[i].memory, operand, bench->engine,
                    DNNL_MEMORY_ALLOCATE);
    void *memory = NULL;
    if (result == 0) result = ONEDNN(error, prefix, dnnl_memory_get_data_handle, made->operands[i].memory, &memory);
    if (result == 0) fill(memory, dnnl_memory_desc_get_size(operand));
  }

done:
  dnnl_primitive_desc_destroy(desc);
  return result;
}

static int enter_convolutions(struct bench *bench, bool blocked, struct error *error) {
  static const int arguments[][OPERANDS] = {{DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
                                            {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
                                            {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
  static const dnnl_prop_kind_t props[] = {dnnl_forward_training, dnnl_backward_data, dnnl_backward_weights};
  const struct layer *l = bench->layer;
  int kind = bench->kind == NN_OP_CONV ? 0 : bench->kind == NN_OP_CONV_BACKWARD_DATA ? 1 : 2, result = 0;
  dnnl_dim_t pad = l->kernel / 2;
  dnnl_format_tag_t tag = blocked ? dnnl_format_tag_any : dnnl_nhwc;
  onednn_desc x = describe(4, (dnnl_dims_t){bench->x.n, bench->x.c, bench->x.h, bench->x.w}, bench->dtype, tag);
  onednn_desc y = describe(4, (dnnl_dims_t){bench->y.n, bench->y.c, bench->y.h, bench->y.w}, bench->dtype, tag);
  onednn_desc weights = describe(4, (dnnl_dims_t){l->out, l->in, l->kernel, l->kernel},
                                 kind == 2 ? NN_F32 : bench->dtype, dnnl_format_tag_any);
  struct onednn_convolution convolution = {props[kind], x,         weights, NULL, y, {l->stride, l->stride},
                                           {0, 0},      {pad, pad}};
  dnnl_primitive_desc_t desc;
  for (int i = 0; result == 0 && !onednn_convolution(&desc, bench->engine, &convolution, NULL, i); i++) {
    result = enter(bench, desc, arguments[kind], blocked ? "blocked " : "", error);
  }
  dnnl_memory_desc_destroy(x);
  dnnl_memory_desc_destroy(y);
  dnnl_memory_desc_destroy(weights);
  return result;
}

enum weights { PLAIN, PACKED, PACKING }; /* as they come; packed for nothing; packed first */

/* Has the last contestant pack what `rows` describes first. */
static int enter_packing(struct bench *bench, onednn_const_desc rows, struct error *error) {
  struct contestant *made = &bench->contestants[bench->count - 1];
  onednn_const_desc packed;
  dnnl_primitive_desc_t desc;
  made->rows[0].arg = DNNL_ARG_FROM, made->rows[1] = made->operands[1], made->rows[1].arg = DNNL_ARG_TO;
  if (ONEDNN(error, "packing", dnnl_memory_get_memory_desc, made->operands[1].memory, &packed)) return -1;
  if (ONEDNN(error, "packing", dnnl_reorder_primitive_desc_create, &desc, rows, bench->engine, packed, bench->engine,
             NULL)) {
    return -1;
  }
  int result = ONEDNN(error, "packing", dnnl_primitive_create, &made->packing, desc);
  dnnl_primitive_desc_destroy(desc);
  if (result == 0) {
    result =
        ONEDNN(error, "packing", dnnl_memory_create, &made->rows[0].memory, rows, bench->engine, DNNL_MEMORY_ALLOCATE);
  }
  void *memory = NULL;
  if (result == 0) result = ONEDNN(error, "packing", dnnl_memory_get_data_handle, made->rows[0].memory, &memory);
  if (result == 0) fill(memory, dnnl_memory_desc_get_size(rows));
  return result;
}

/* Y = X W, DX = DY W^T, DW = DY^T X. */
static int enter_products(struct bench *bench, enum weights weights, struct error *error) {
  static const int arguments[OPERANDS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST};
  dnnl_dim_t rows = bench->y.n * bench->y.h * bench->y.w, in = bench->layer->in, out = bench->layer->out;
  enum nn_dtype dtype = bench->dtype;
  bool plain = weights == PLAIN;
  onednn_desc a, b, y, lying = describe(2, (dnnl_dims_t){rows, in}, dtype, dnnl_ab);
  int result = 0;
  if (bench->kind == NN_OP_CONV) {
    a = describe(2, (dnnl_dims_t){rows, in}, dtype, dnnl_ab);
    b = describe(2, (dnnl_dims_t){in, out}, dtype, plain ? dnnl_ba : dnnl_format_tag_any);
    y = describe(2, (dnnl_dims_t){rows, out}, dtype, dnnl_ab);
  } else if (bench->kind == NN_OP_CONV_BACKWARD_DATA) {
    a = describe(2, (dnnl_dims_t){rows, out}, dtype, dnnl_ab);
    b = describe(2, (dnnl_dims_t){out, in}, dtype, plain ? dnnl_ab : dnnl_format_tag_any);
    y = describe(2, (dnnl_dims_t){rows, in}, dtype, dnnl_ab);
  } else {
    a = describe(2, (dnnl_dims_t){out, rows}, dtype, dnnl_ba);
    b = describe(2, (dnnl_dims_t){rows, in}, dtype, plain ? dnnl_ab : dnnl_format_tag_any);
    y = describe(2, (dnnl_dims_t){out, in}, NN_F32, dnnl_ab);
  }
  dnnl_primitive_desc_t desc;
  for (int i = 0; result == 0 && !onednn_matmul(&desc, bench->engine, a, b, NULL, y, NULL, i); i++) {
    static const char *const prefixes[] = {"product ", "packed product ", "packing, product "};
    int before = bench->count;
    result = enter(bench, desc, arguments, prefixes[weights], error);
    if (result == 0 && weights == PACKING && bench->count > before) result = enter_packing(bench, lying, error);
  }
  dnnl_memory_desc_destroy(lying);
  dnnl_memory_desc_destroy(a);
  dnnl_memory_desc_destroy(b);
  dnnl_memory_desc_destroy(y);
  return result;
}

/* ---- nn/cpu ------------------------------------------------------------------------------------------------------ */

struct ours {
  struct nn_params params;
  struct nn_operand x, y;
  struct nn_step step;
  void *scratch;
  double best;
};

static int ours_make(struct ours *ours, struct bench *bench, struct error *error) {
  const struct layer *l = bench->layer;
  int64_t dims[] = {l->out, l->in, l->kernel, l->kernel};
  size_t scratch = 0;
  *ours = (struct ours){.best = 1e9, .x = {bench->x, bench->dtype, NULL}, .y = {bench->y, bench->dtype, NULL}};
  nn_params_init(&ours->params);
  struct nn_param *weight =
      nn_params_declare(&ours->params, "weight", NN_WEIGHT, 4, dims, (struct nn_initial){NN_CONSTANT, 1}, error);
  if (!weight || nn_params_allocate(&ours->params, &bench->device, true, error)) return -1;
  struct nn_operand *operands[] = {&ours->x, &ours->y};
  for (int i = 0; i < 2; i++) {
    size_t size = (size_t)nn_count(operands[i]->shape) * nn_dtype_size(bench->dtype);
    operands[i]->data = nn_device_allocate(&bench->device, size, error);
    if (!operands[i]->data) return -1;
    fill(operands[i]->data, size);
  }
  struct nn_step *step = &ours->step;
  *step = (struct nn_step){.op = bench->kind,
                           .name = "conv",
                           .params = &ours->params,
                           .weight = weight,
                           .conv = {l->out, l->kernel, l->stride, l->kernel / 2, 1, 1, false}};
  bool forward = bench->kind == NN_OP_CONV, data = bench->kind == NN_OP_CONV_BACKWARD_DATA;
  *(data ? &step->out[NN_DX] : &step->in[NN_X]) = &ours->x;
  *(forward ? &step->out[NN_Y] : &step->in[NN_DY]) = &ours->y;
  if (bench->device.backend->prepare(&bench->device, step, &scratch, error)) return -1;
  ours->scratch = nn_device_allocate(&bench->device, scratch, error);
  return ours->scratch ? 0 : -1;
}

static void ours_free(struct ours *ours, struct bench *bench) {
  bench->device.backend->forget(&bench->device, &ours->step);
  nn_device_free(&bench->device, ours->scratch);
  nn_device_free(&bench->device, ours->x.data);
  nn_device_free(&bench->device, ours->y.data);
  nn_params_free(&ours->params);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static double now(const struct bench *bench) {
  struct timespec time;
  clock_gettime(bench->device.threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int run_contestant(struct bench *bench, struct contestant *c, struct error *error) {
  double started = now(bench);
  if (c->packing && ONEDNN(error, c->name, dnnl_primitive_execute, c->packing, bench->stream, 2, c->rows)) return -1;
  if (ONEDNN(error, c->name, dnnl_primitive_execute, c->primitive, bench->stream, OPERANDS, c->operands)) return -1;
  if (ONEDNN(error, c->name, dnnl_stream_wait, bench->stream)) return -1;
  double seconds = now(bench) - started;
  if (seconds < c->best) c->best = seconds;
  return 0;
}

static int run_ours(struct bench *bench, struct ours *ours, struct error *error) {
  ours->params.version++;
  double started = now(bench);
  if (bench->device.backend->run(&bench->device, &ours->step, ours->scratch, error)) return -1;
  double seconds = now(bench) - started;
  if (seconds < ours->best) ours->best = seconds;
  return 0;
}

/* Rounds in which everyone runs once; those that are far behind drop out. The index of the best, or -1. */
static int measure(struct bench *bench, struct ours *ours, struct error *error) {
  int best = 0;
  double until = 0;
  for (int round = 0; round < 4 || now(bench) < until; round++) {
    if (round == 2) until = now(bench) + bench->seconds;
    if (run_ours(bench, ours, error)) return -1;
    for (int i = 0; i < bench->count; i++) {
      struct contestant *c = &bench->contestants[i];
      if (round > 1 && c->best > 1.5 * bench->contestants[best].best) continue;
      if (run_contestant(bench, c, error)) return -1;
      if (c->best < bench->contestants[best].best) best = i;
    }
  }
  return best;
}

static void leave(struct bench *bench) {
  for (int i = 0; i < bench->count; i++) {
    struct contestant *c = &bench->contestants[i];
    for (int j = 0; j < OPERANDS; j++) {
      if (c->operands[j].memory) dnnl_memory_destroy(c->operands[j].memory);
    }
    if (c->rows[0].memory) dnnl_memory_destroy(c->rows[0].memory);
    if (c->packing) dnnl_primitive_destroy(c->packing);
    if (c->primitive) dnnl_primitive_destroy(c->primitive);
  }
  bench->count = 0;
}

static double layer_flops(const struct bench *bench) {
  return 2.0 * (double)nn_count(bench->y) * (double)(bench->layer->in * bench->layer->kernel * bench->layer->kernel);
}

static int bench_layer(struct bench *bench, double *limit, double *own, struct error *error) {
  const struct layer *l = bench->layer;
  int64_t size = (l->size - 1) / l->stride + 1;
  bench->x = (struct nn_shape){bench->batch, l->size, l->size, l->in};
  bench->y = (struct nn_shape){bench->batch, size, size, l->out};
  struct ours ours;
  int result = ours_make(&ours, bench, error);
  for (int blocked = 0; result == 0 && blocked < 2; blocked++) {
    result = enter_convolutions(bench, blocked, error);
  }
  for (int weights = PLAIN; result == 0 && l->kernel == 1 && weights <= PACKING; weights++) {
    if (weights == PACKING && bench->kind != NN_OP_CONV_BACKWARD_WEIGHTS) break;
    result = enter_products(bench, (enum weights)weights, error);
  }
  int best = result ? -1 : measure(bench, &ours, error);
  if (best >= 0) {
    double flops = layer_flops(bench);
    static const char *const forms[] = {"", "product ", "packing, product "};
    const struct cpu_context *context = bench->device.context;
    enum conv_form form = conv_form_of(&ours.step, context->amx);
    *limit = bench->contestants[best].best, *own = ours.best;
    printf("%4lld -> %4lld k%d s%d %3d  %-21s %8.2f ms %6.0f GFLOP/s  limit %8.2f  %4.0f %%  %s (%s%s)\n",
           (long long)l->in, (long long)l->out, l->kernel, l->stride, l->size, nn_op_name(bench->kind), *own * 1e3,
           flops / *own * 1e-9, *limit * 1e3, *limit / *own * 100, bench->contestants[best].name, forms[form],
           cpu_conv_implementation(&ours.step));
    for (int i = 0; bench->all && i < bench->count; i++) {
      printf("    %8.2f  %s\n", bench->contestants[i].best * 1e3, bench->contestants[i].name);
    }
    fflush(stdout);
  }
  leave(bench);
  ours_free(&ours, bench);
  return best < 0 ? -1 : 0;
}

static int bench_all(struct bench *bench, struct error *error) {
  double limits[3][2] = {{0}}, own[3][2] = {{0}}, flops[2] = {0};
  double peak = peak_flops(bench->dtype, bench->device.threads);
  for (size_t i = 0; i < COUNT_OF(layers); i++) {
    bench->layer = &layers[i];
    for (int kind = 0; kind < 3; kind++) {
      double limit = 0, seconds = 0;
      bench->kind = kinds[kind];
      if (layers[i].in == 3 && bench->kind == NN_OP_CONV_BACKWARD_DATA) continue; /* nobody asks for it */
      if (bench_layer(bench, &limit, &seconds, error)) return -1;
      for (int net = 0; net < 2; net++) {
        limits[kind][net] += limit * layers[i].count[net];
        own[kind][net] += seconds * layers[i].count[net];
        flops[net] += layer_flops(bench) * layers[i].count[net];
      }
    }
  }
  for (int net = 0; net < 2; net++) {
    double total = 0, limit = 0;
    for (int kind = 0; kind < 3; kind++) {
      printf("ResNet-%s %s %-21s ours %7.1f ms, limit %7.1f ms, %3.0f %%\n", net ? "18" : "50",
             nn_dtype_name(bench->dtype), nn_op_name(kinds[kind]), own[kind][net] * 1e3, limits[kind][net] * 1e3,
             limits[kind][net] / own[kind][net] * 100);
      total += own[kind][net], limit += limits[kind][net];
    }
    printf("ResNet-%s %s %-21s ours %7.1f ms, limit %7.1f ms, %3.0f %%\n", net ? "18" : "50",
           nn_dtype_name(bench->dtype), "all", total * 1e3, limit * 1e3, limit / total * 100);
    if (peak == 0) continue;
    printf("ResNet-%s %s %-21s %.1f ms at %.0f GFLOP/s\n", net ? "18" : "50", nn_dtype_name(bench->dtype), "arithmetic",
           flops[net] / peak * 1e3, peak * 1e-9);
  }
  return 0;
}

int main(int argc, char **argv) {
  static const char *const precisions[] = {"f32", "bf16", NULL};
  struct bench bench = {.batch = 16, .seconds = 0.3};
  int precision = 1;
  const struct option options[] = {
      {.kind = OPTION_INT,
       .name = "batch",
       .value = &bench.batch,
       .argument = "N",
       .help = "images",
       .low = 1,
       .high = 4096},
      {.kind = OPTION_INT,
       .name = "threads",
       .value = &bench.threads,
       .argument = "N",
       .help = "0: all processors",
       .low = 0,
       .high = 4096},
      {.kind = OPTION_CHOICE,
       .name = "precision",
       .value = &precision,
       .help = "of activations",
       .choices = precisions},
      {.kind = OPTION_REAL,
       .name = "seconds",
       .value = &bench.seconds,
       .argument = "S",
       .help = "for each layer",
       .low = 0,
       .high = 1000},
      {.kind = OPTION_FLAG, .name = "all", .value = &bench.all, .help = "print every contestant"},
  };
  struct error error = {0};
  enum options_result parsed = options_parse(options, COUNT_OF(options), argc, argv, &error);
  if (parsed == OPTIONS_HELP) options_help(options, COUNT_OF(options), stdout);
  if (parsed == OPTIONS_ERROR) fprintf(stderr, "bench_conv: %s\n", error.message);
  if (parsed != OPTIONS_OK) return parsed == OPTIONS_ERROR ? 2 : 0;
  bench.dtype = precision ? NN_BF16 : NN_F32;
  int result = nn_device_open(&bench.device, "cpu", (int)bench.threads, &error);
  if (result == 0) printf("%s, batch %lld\n", bench.device.description, (long long)bench.batch);
  if (result == 0) result = nn_device_supports(&bench.device, bench.dtype, &error);
  if (result == 0) result = ONEDNN(&error, "bench", dnnl_engine_create, &bench.engine, dnnl_cpu, 0);
  if (result == 0) {
    result = ONEDNN(&error, "bench", dnnl_stream_create, &bench.stream, bench.engine, dnnl_stream_default_flags);
  }
  if (result == 0) result = bench_all(&bench, &error);
  if (bench.stream) dnnl_stream_destroy(bench.stream);
  if (bench.engine) dnnl_engine_destroy(bench.engine);
  nn_device_close(&bench.device);
  if (result) fprintf(stderr, "bench_conv: %s\n", error.message);
  return result ? 1 : 0;
}
