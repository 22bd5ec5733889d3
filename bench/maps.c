/* How near the cpu backend's kernels come to the bandwidth of memory: each operation on the shapes of ResNet-50, beside
 * a plain copy of as many bytes by as many threads. "Bytes" are what the mathematics has to move: operands of a single
 * pass, and those of both passes where statistics have to be known first.
 *
 *   bench_maps [THREADS [BATCH]] */
#include "nn/cpu/cpu.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { EVICT = 64 << 20, SLOTS = 8 };

struct bench {
  struct nn_device device;
  struct nn_params params;
  struct nn_param param[5];
  struct nn_norm_layer norm;
  struct nn_operand operands[SLOTS];
  void *scratch;
  float *from, *to; /* of the copy */
};

static int fail(const struct error *error) {
  fprintf(stderr, "bench_maps: %s\n", error->message);
  return 1;
}

static struct nn_operand *operand(struct bench *b, int slot, enum nn_dtype dtype, struct nn_shape shape) {
  b->operands[slot].shape = shape;
  b->operands[slot].dtype = dtype;
  return &b->operands[slot];
}

static double bytes_of(const struct nn_operand *o) {
  return o ? (double)nn_count(o->shape) * (double)nn_dtype_size(o->dtype) : 0;
}

/* ---- time ---- */

/* Leaves nothing of the operands in the caches, as in training, where much lies between two uses. */
static void evict(const struct bench *b) {
  memset(b->to, 0, EVICT);
}

/* With one thread the time that it has run, for other programs may be running, too. */
static double seconds_now(const struct bench *b) {
  struct timespec now;
  if (b->device.threads > 1) return clock_seconds();
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Whether the best of several repeats is found: some, and more while they are short, for other programs interfere. */
static bool enough(int repeats, double started) {
  return repeats >= 5 && clock_seconds() - started > 0.3;
}

static double copy_once(const struct bench *b, double bytes) {
  int64_t count = (int64_t)(bytes / 2 / sizeof(float));
  const float *from = b->from;
  float *to = b->to;
  evict(b);
  double started = seconds_now(b);
#pragma omp parallel for simd schedule(static) num_threads(b->device.threads)
  for (int64_t i = 0; i < count; i++) {
    to[i] = from[i] * 1.5f; /* a multiplication, lest it becomes memcpy with its uncached stores */
  }
  return seconds_now(b) - started;
}

static int run_once(const struct bench *b, struct nn_step *step, double *seconds, struct error *error) {
  struct nn_device *device = (struct nn_device *)&b->device;
  evict(b);
  double started = seconds_now(b);
  if (device->backend->run(device, step, b->scratch, error)) return -1;
  *seconds = seconds_now(b) - started;
  return 0;
}

static void line(const char *what, const char *shape, double bytes, double seconds, double copy) {
  printf("%-26s %-21s %7.2f ms  %6.2f GB/s  copy %6.2f GB/s  %4.0f %%\n", what, shape, 1e3 * seconds,
         bytes / seconds / 1e9, bytes / copy / 1e9, 100 * copy / seconds);
  fflush(stdout);
}

/* The operation and the copy take turns; the best of each counts. */
static int measure(struct bench *b, struct nn_step *step, const char *what, double bytes) {
  struct error error;
  const struct nn_backend *backend = b->device.backend;
  size_t scratch;
  double best = 1e30, copy = 1e30, begun = clock_seconds();
  step->name = what;
  step->params = &b->params;
  if (backend->supports(&b->device, step, &error) || backend->prepare(&b->device, step, &scratch, &error)) {
    return fail(&error);
  }
  for (int repeat = 0; !enough(repeat, begun); repeat++) {
    double seconds, beside = copy_once(b, bytes);
    if (run_once(b, step, &seconds, &error)) return fail(&error);
    if (seconds < best) best = seconds;
    if (beside < copy) copy = beside;
  }
  backend->forget(&b->device, step);
  const struct nn_operand *x = step->in[NN_X] ? step->in[NN_X] : step->in[NN_DY];
  char shape[64];
  snprintf(shape, sizeof shape, "%-4s %4lldx%-4lld %4lld",
           nn_dtype_name(step->out[NN_DX] ? step->out[NN_DX]->dtype : x->dtype), (long long)x->shape.h,
           (long long)x->shape.w, (long long)x->shape.c);
  line(what, shape, bytes, best, copy);
  return 0;
}

/* ---- operations ---- */

static int norms(struct bench *b, enum nn_dtype dtype, struct nn_shape shape, bool addend) {
  struct nn_operand *x = operand(b, 0, dtype, shape), *y = operand(b, 1, dtype, shape);
  struct nn_operand *other = addend ? operand(b, 2, dtype, shape) : NULL, *dy = operand(b, 3, dtype, shape);
  struct nn_operand *dx = operand(b, 4, dtype, shape), *dother = addend ? operand(b, 5, dtype, shape) : NULL;
  struct nn_operand *saved = operand(b, 6, NN_F32, (struct nn_shape){1, 1, 2, shape.c});
  double size = bytes_of(x);
  struct nn_step step = {.op = NN_OP_NORM, .norm = &b->norm, .relu = true, .training = true};
  for (int i = 0; i < 4; i++) {
    b->param[i].count = shape.c;
  }
  step.in[NN_X] = x, step.in[NN_ADDEND] = other, step.out[NN_Y] = y, step.out[NN_SAVED] = saved;
  if (measure(b, &step, addend ? "norm + add + relu" : "norm + relu", size * (addend ? 4 : 3))) return 1;
  step = (struct nn_step){.op = NN_OP_NORM_BACKWARD, .norm = &b->norm, .relu = true, .training = true};
  step.in[NN_X] = x, step.in[NN_Y] = addend ? y : NULL, step.in[NN_DY] = dy, step.in[NN_SAVED] = saved;
  step.out[NN_DX] = dx, step.out[NN_DADDEND] = dother;
  if (addend) step.in[NN_DY2] = operand(b, 7, dtype, shape);
  /* X, DY -> sums; X, DY -> DX. With an addend X, Y, DY, DY2 -> g; X, g -> DX. */
  return measure(b, &step, addend ? "norm backward, 2 paths" : "norm backward", size * (addend ? 8 : 5));
}

static int points(struct bench *b, enum nn_dtype dtype, struct nn_shape shape) {
  struct nn_operand *x = operand(b, 0, dtype, shape), *y = operand(b, 1, dtype, shape);
  struct nn_step step = {.op = NN_OP_RELU};
  double size = bytes_of(x);
  step.in[NN_X] = x, step.out[NN_Y] = y;
  if (measure(b, &step, "relu", 2 * size)) return 1;
  step.op = NN_OP_ADD, step.relu = true, step.in[NN_ADDEND] = operand(b, 2, dtype, shape);
  if (measure(b, &step, "add + relu", 3 * size)) return 1;
  step = (struct nn_step){.op = NN_OP_RELU_BACKWARD};
  step.in[NN_Y] = y, step.in[NN_DY] = x, step.out[NN_DX] = operand(b, 2, dtype, shape);
  return measure(b, &step, "relu backward", 3 * size);
}

static int pools(struct bench *b, enum nn_dtype dtype, int64_t n) {
  struct nn_shape large = {n, 112, 112, 64}, small = {n, 56, 56, 64}, last = {n, 7, 7, 2048}, vector = {n, 1, 1, 2048};
  struct nn_operand *x = operand(b, 0, dtype, large), *y = operand(b, 1, dtype, small);
  struct nn_operand *saved = operand(b, 2, NN_U8, small);
  struct nn_step step = {.op = NN_OP_MAX_POOL, .pool = {3, 2, 1}};
  double bytes = bytes_of(x) + bytes_of(y) + bytes_of(saved);
  step.in[NN_X] = x, step.out[NN_Y] = y, step.out[NN_SAVED] = saved;
  if (measure(b, &step, "max pool 3, stride 2", bytes)) return 1;
  step = (struct nn_step){.op = NN_OP_MAX_POOL_BACKWARD, .pool = {3, 2, 1}};
  step.in[NN_DY] = y, step.in[NN_SAVED] = saved, step.out[NN_DX] = x;
  if (measure(b, &step, "max pool backward", bytes)) return 1;
  step = (struct nn_step){.op = NN_OP_GLOBAL_POOL};
  step.in[NN_X] = operand(b, 0, dtype, last), step.out[NN_Y] = operand(b, 1, dtype, vector);
  if (measure(b, &step, "global pool", bytes_of(step.in[NN_X]))) return 1;
  step = (struct nn_step){.op = NN_OP_GLOBAL_POOL_BACKWARD};
  step.in[NN_DY] = operand(b, 1, dtype, vector), step.out[NN_DX] = operand(b, 0, dtype, last);
  return measure(b, &step, "global pool backward", bytes_of(step.out[NN_DX]));
}

static int losses(struct bench *b, enum nn_dtype dtype, int64_t n) {
  struct nn_shape map = {n, 7, 7, 1000};
  struct nn_step step = {.op = NN_OP_CROSS_ENTROPY};
  struct nn_operand *labels = operand(b, 1, NN_I32, (struct nn_shape){n, 1, 1, 4});
  step.in[NN_X] = operand(b, 0, NN_F32, map), step.in[NN_LABEL] = labels;
  memset(labels->data, 0, (size_t)bytes_of(labels));
  step.in[NN_MIX] = operand(b, 2, NN_F32, (struct nn_shape){1, 7, 7, 4});
  step.in[NN_SCALE] = operand(b, 3, NN_F32, (struct nn_shape){1, 7, 7, 1});
  step.out[NN_Y] = operand(b, 4, NN_F32, (struct nn_shape){1, 1, 1, 1}), step.out[NN_DX] = operand(b, 5, dtype, map);
  return measure(b, &step, "cross entropy", bytes_of(step.in[NN_X]) + bytes_of(step.out[NN_DX]));
}

/* 25.6 million parameters: 3 values are read and 2 written. */
static int updates(struct bench *b) {
  const int64_t count = 25557032 / 2; /* half of them, which says as much */
  const struct nn_sgd sgd = {0.01, 0.9, 1e-4, 1, false};
  struct error error;
  double best[3] = {1e30, 1e30, 1e30}, most = 2e8, sum, begun = clock_seconds();
  for (int repeat = 0; !enough(repeat, begun); repeat++) {
    double copy = copy_once(b, most);
    evict(b);
    double started = seconds_now(b);
    if (b->device.backend->sgd(&b->device, &sgd, b->operands[0].data, b->operands[1].data, b->operands[2].data, count,
                               &error)) {
      return fail(&error);
    }
    double middle = seconds_now(b);
    if (b->device.backend->square_sum(&b->device, b->operands[1].data, count, &sum, &error)) return fail(&error);
    double ended = seconds_now(b);
    if (middle - started < best[0]) best[0] = middle - started;
    if (ended - middle < best[1]) best[1] = ended - middle;
    if (copy < best[2]) best[2] = copy;
  }
  for (int i = 0; i < 2; i++) {
    double bytes = (i == 0 ? 20.0 : 4.0) * (double)count;
    line(i == 0 ? "sgd" : "sum of squares", "f32", bytes, best[i], best[2] * bytes / most);
  }
  return 0;
}

static int prepare(struct bench *b, int threads, int64_t largest) {
  static const char *const names[] = {"gamma", "beta", "mean", "variance", "batches"};
  struct error error;
  if (nn_device_open(&b->device, "cpu", threads, &error)) return fail(&error);
  printf("%s\n", b->device.description);
  b->params.elements = 5 * 2048;
  for (int i = 0; i < SLOTS + 2; i++) {
    int64_t count = i < SLOTS ? largest : 4 * largest; /* a copy moves as many bytes as 8 operands have */
    float *memory = nn_device_allocate(&b->device, (size_t)count * sizeof(float), &error);
    if (!memory) return fail(&error);
    for (int64_t k = 0; i < SLOTS && k < largest; k++) {
      memory[k] = 1;
    }
    if (i < SLOTS) b->operands[i].data = memory;
    if (i == SLOTS) b->from = memory;
    if (i == SLOTS + 1) b->to = memory;
  }
  b->params.values = nn_device_allocate(&b->device, 5 * 2048 * sizeof(float), &error);
  b->params.gradients = nn_device_allocate(&b->device, 5 * 2048 * sizeof(float), &error);
  b->scratch = nn_device_allocate(&b->device, 1 << 26, &error);
  if (!b->params.values || !b->params.gradients || !b->scratch) return fail(&error);
  for (int i = 0; i < 5; i++) {
    b->param[i] = (struct nn_param){.name = names[i], .count = 1, .offset = i * 2048, .trainable = i < 2};
  }
  b->norm = (struct nn_norm_layer){
      NN_NORM_BATCH, &b->param[0], &b->param[1], &b->param[2], &b->param[3], &b->param[4], 1, 1e-5, 0.1};
  return 0;
}

static void release(struct bench *b) {
  for (int i = 0; i < SLOTS; i++) {
    nn_device_free(&b->device, b->operands[i].data);
  }
  nn_device_free(&b->device, b->from);
  nn_device_free(&b->device, b->to);
  nn_device_free(&b->device, b->params.values);
  nn_device_free(&b->device, b->params.gradients);
  nn_device_free(&b->device, b->scratch);
  nn_device_close(&b->device);
}

int main(int argc, char **argv) {
  int threads = argc > 1 ? atoi(argv[1]) : 0;
  int64_t n = argc > 2 ? atoi(argv[2]) : 16;
  struct bench b = {0};
  if (argc > 3 || threads < 0 || n < 1 || n > 256) {
    fprintf(stderr, "usage: bench_maps [THREADS [BATCH]]\n");
    return 2;
  }
  const struct nn_shape shapes[] = {{n, 112, 112, 64}, {n, 56, 56, 64},   {n, 56, 56, 256}, {n, 28, 28, 128},
                                    {n, 28, 28, 512},  {n, 14, 14, 1024}, {n, 7, 7, 512},   {n, 7, 7, 2048}};
  int64_t largest = n * 112 * 112 * 64; /* elements of all but the optimizer's */
  int failed = prepare(&b, threads, largest > EVICT / 4 ? largest : EVICT / 4);
  for (int half = 1; !failed && half >= 0; half--) {
    enum nn_dtype dtype = half ? NN_BF16 : NN_F32;
    for (size_t i = 0; !failed && i < COUNT_OF(shapes); i++) {
      failed = norms(&b, dtype, shapes[i], false) || (shapes[i].c >= 256 && norms(&b, dtype, shapes[i], true));
    }
    failed = failed || points(&b, dtype, shapes[2]) || pools(&b, dtype, n) || losses(&b, dtype, n);
  }
  failed = failed || updates(&b);
  release(&b);
  return failed;
}
