/* The cpu backend's kernels, norms apart, against naive loops in double, for every instruction set that this processor
 * has: random shapes, both types, several numbers of threads, copies of gradients, overlays, NaN and infinity. */
#include "nn/cpu/cpu.h"

#include <math.h>

#include "tests/test_support.h"

#include "tests/cpu_support.h"

/* ---- element by element ---- */

static void points(struct bench *b) {
  int64_t copies = 1 + below(b, 3), n = 1 + below(b, 4), h = 1 + below(b, 30), w = 1 + below(b, 30),
          c = 1 + below(b, 40);
  struct nn_operand *x = activation(b, n, h, w, c), *a = activation(b, n, h, w, c), *y = like(b, x);
  struct nn_operand *dy = activation(b, n * copies, h, w, c), *dy2 = below(b, 2) ? copy_of(b, dy) : NULL;
  int64_t count = nn_count(x->shape);
  set(x, below(b, count), NAN);
  set(x, below(b, count), -INFINITY);
  set(x, below(b, count), INFINITY);
  struct nn_step step = {.op = NN_OP_RELU};
  step.in[NN_X] = x, step.out[NN_Y] = y;
  run(b, &step);
  for (int64_t i = 0; i < count; i++)
    check(y, i, get(x, i) <= 0 ? 0 : get(x, i), 0, "relu");
  struct nn_operand *sum = copy_of(b, x);
  step = (struct nn_step){.op = NN_OP_ADD, .relu = below(b, 2)};
  step.in[NN_X] = sum, step.in[NN_ADDEND] = a, step.out[NN_Y] = sum;
  run(b, &step);
  for (int64_t i = 0; i < count; i++) {
    double expected = get(x, i) + get(a, i);
    check(sum, i, step.relu && expected <= 0 ? 0 : expected, 0, "add");
  }
  struct nn_operand *dx = copy_of(b, dy);
  step = (struct nn_step){.op = NN_OP_RELU_BACKWARD};
  step.in[NN_Y] = y, step.in[NN_DY] = dx, step.in[NN_DY2] = dy2, step.out[NN_DX] = dx;
  run(b, &step);
  int64_t image = count / n;
  for (int64_t i = 0; i < count * copies; i++) {
    double g = (dy2 ? 2 : 1) * get(dy, i);
    check(dx, i, get(y, i / image / copies * image + i % image) > 0 ? g : 0, 0, "relu backward");
  }
}

static void test_point(void **state) {
  (void)state;
  each(points, 18);
}

/* Rounding of every kind of float32: an addition of zero, compared bit by bit. */
static void rounding(struct bench *b) {
  enum { COUNT = 20000 };
  b->dtype = NN_BF16;
  struct nn_operand *y = make(b, NN_BF16, 1, 1, 1, COUNT);
  struct nn_operand *half = make(b, NN_BF16, 1, 1, 1, COUNT), *other = make(b, NN_BF16, 1, 1, 1, COUNT);
  for (int64_t i = 0; i < COUNT; i++) {
    ((uint16_t *)half->data)[i] = (uint16_t)rng_u32(&b->rng);
    ((uint16_t *)other->data)[i] = (uint16_t)(((uint16_t *)half->data)[i] + (int)rng_below(&b->rng, 3000) - 1500);
  }
  struct nn_step step = {.op = NN_OP_ADD};
  step.in[NN_X] = half, step.in[NN_ADDEND] = other, step.out[NN_Y] = y;
  run(b, &step);
  for (int64_t i = 0; i < COUNT; i++) {
    float expected = (float)get(half, i) + (float)get(other, i);
    uint16_t found = ((uint16_t *)y->data)[i];
    if (isnan(expected) ? !isnan(read_bf16(found)) : found != nearest_bf16(expected)) {
      fail_msg("%g + %g = %04x", get(half, i), get(other, i), found);
    }
  }
}

static void test_rounding(void **state) {
  (void)state;
  each(rounding, 3);
}

/* ---- pooling ---- */

struct cell {
  int64_t n, h, w, c;
};

static int64_t index_of(const struct nn_operand *operand, struct cell at) {
  struct nn_shape s = operand->shape;
  return ((at.n * s.h + at.h) * s.w + at.w) * s.c + at.c;
}

/* One window, the naive way: its sum, its maximum and where that is; adds to what the gradients shall be. */
struct pooled {
  struct nn_operand *x, *y, *mean, *saved, *dy, *dx, *dx_mean;
  struct nn_pool pool;
  double *won, *shares; /* by element of DX */
};

static void check_window(const struct pooled *p, struct cell at, int64_t copies) {
  struct cell source = {at.n / copies, at.h, at.w, at.c}, won = {0};
  int area = p->pool.kernel * p->pool.kernel, winner = -1;
  double best = -INFINITY, sum = 0, dy = get(p->dy, index_of(p->dy, at));
  for (int place = 0; place < area; place++) {
    struct cell in = {source.n, at.h * p->pool.stride - p->pool.pad + place / p->pool.kernel,
                      at.w * p->pool.stride - p->pool.pad + place % p->pool.kernel, at.c};
    if (in.h < 0 || in.h >= p->x->shape.h || in.w < 0 || in.w >= p->x->shape.w) continue;
    double value = get(p->x, index_of(p->x, in));
    bool wins = winner < 0 || value > best || (isnan(value) && !isnan(best));
    sum += value;
    in.n = at.n;
    p->shares[index_of(p->dx, in)] += dy / area;
    if (wins) best = value, winner = place, won = in;
  }
  p->won[index_of(p->dx, won)] += dy;
  check(p->y, index_of(p->y, source), best, 0, "max pool");
  check(p->mean, index_of(p->y, source), sum / area, 4, "average pool");
  assert_int_equal((int)get(p->saved, index_of(p->y, source)), winner);
}

static void run_pools(struct bench *b, const struct pooled *p) {
  struct nn_step step = {.op = NN_OP_MAX_POOL, .pool = p->pool};
  step.in[NN_X] = p->x, step.out[NN_Y] = p->y, step.out[NN_SAVED] = p->saved;
  run(b, &step);
  step.op = NN_OP_AVERAGE_POOL, step.out[NN_Y] = p->mean, step.out[NN_SAVED] = NULL;
  run(b, &step);
  step = (struct nn_step){.op = NN_OP_MAX_POOL_BACKWARD, .pool = p->pool};
  step.in[NN_DY] = p->dy, step.in[NN_SAVED] = p->saved, step.out[NN_DX] = p->dx;
  run(b, &step);
  step.op = NN_OP_AVERAGE_POOL_BACKWARD, step.in[NN_SAVED] = NULL, step.out[NN_DX] = p->dx_mean;
  run(b, &step);
}

static void pools(struct bench *b) {
  struct nn_pool pool = {below(b, 8) ? 1 + (int)below(b, 5) : 16, 1 + (int)below(b, 4), 0};
  pool.pad = (int)below(b, pool.kernel / 2 + 1);
  int64_t n = 1 + below(b, 3), h = pool.kernel + below(b, 20), w = pool.kernel + below(b, 20), c = 1 + below(b, 70);
  int64_t rows = (h + 2 * pool.pad - pool.kernel) / pool.stride + 1;
  int64_t columns = (w + 2 * pool.pad - pool.kernel) / pool.stride + 1, copies = 1 + below(b, 3);
  struct pooled p = {.x = activation(b, n, h, w, c), .y = make(b, b->dtype, n, rows, columns, c), .pool = pool};
  p.mean = like(b, p.y), p.saved = make(b, NN_U8, n, rows, columns, c);
  p.dy = activation(b, n * copies, rows, columns, c);
  p.dx = make(b, b->dtype, n * copies, h, w, c), p.dx_mean = like(b, p.dx);
  for (int64_t i = 0; i < nn_count(p.x->shape); i++)
    set(p.x, i, round(get(p.x, i) * 2)); /* many are equal */
  set(p.x, below(b, nn_count(p.x->shape)), NAN);
  run_pools(b, &p);
  int64_t count = nn_count(p.dx->shape);
  p.won = calloc((size_t)count * 2, sizeof *p.won);
  assert_non_null(p.won);
  p.shares = p.won + count;
  for (int64_t i = 0; i < nn_count(p.dy->shape); i++) {
    struct cell at = {i / c / columns / rows, i / c / columns % rows, i / c % columns, i % c};
    check_window(&p, at, copies);
  }
  for (int64_t i = 0; i < count; i++) {
    check(p.dx, i, p.won[i], 30, "max pool backward");
    check(p.dx_mean, i, p.shares[i], 4, "average pool backward");
  }
  free(p.won);
}

static void test_pools(void **state) {
  (void)state;
  each(pools, 24);
}

static void global_pools(struct bench *b) {
  int64_t n = 1 + below(b, 4), h = 1 + below(b, 15), w = 1 + below(b, 15), c = 1 + below(b, 700);
  struct nn_operand *x = activation(b, n, h, w, c), *y = make(b, b->dtype, n, 1, 1, c);
  struct nn_operand *dy = activation(b, n, 1, 1, c), *dx = like(b, x);
  struct nn_step step = {.op = NN_OP_GLOBAL_POOL};
  step.in[NN_X] = x, step.out[NN_Y] = y;
  run(b, &step);
  step = (struct nn_step){.op = NN_OP_GLOBAL_POOL_BACKWARD};
  step.in[NN_DY] = dy, step.out[NN_DX] = dx;
  run(b, &step);
  for (int64_t i = 0; i < n * c; i++) {
    double sum = 0;
    for (int64_t cell = 0; cell < h * w; cell++)
      sum += get(x, (i / c * h * w + cell) * c + i % c);
    check(y, i, sum / (double)(h * w), 1, "global pool");
  }
  for (int64_t i = 0; i < nn_count(x->shape); i++)
    check(dx, i, get(dy, i / c / (h * w) * c + i % c) / (double)(h * w), 0, "global pool backward");
}

static void region_pools(struct bench *b) {
  int64_t n = 1 + below(b, 4), h = 1 + below(b, 15), w = 1 + below(b, 15), c = 1 + below(b, 500), r = 1 + below(b, 5);
  struct nn_operand *x = activation(b, n, h, w, c), *mix = fill(b, make(b, NN_F32, 1, h, w, r), 0, 1);
  struct nn_operand *y = make(b, b->dtype, n, 1, r, c), *dy = activation(b, n, 1, r, c), *dx = like(b, x);
  struct nn_step step = {.op = NN_OP_REGION_POOL};
  step.in[NN_X] = x, step.in[NN_MIX] = mix, step.out[NN_Y] = y;
  run(b, &step);
  step = (struct nn_step){.op = NN_OP_REGION_POOL_BACKWARD};
  step.in[NN_DY] = dy, step.in[NN_MIX] = mix, step.out[NN_DX] = dx;
  run(b, &step);
  for (int64_t i = 0; i < n * r * c; i++) {
    double sum = 0;
    for (int64_t cell = 0; cell < h * w; cell++)
      sum += get(mix, cell * r + i / c % r) * get(x, (i / c / r * h * w + cell) * c + i % c);
    check(y, i, sum, 40, "region pool");
  }
  for (int64_t i = 0; i < nn_count(x->shape); i++) {
    int64_t image = i / c / (h * w), cell = i / c % (h * w);
    double sum = 0;
    for (int64_t k = 0; k < r; k++)
      sum += get(mix, cell * r + k) * get(dy, (image * r + k) * c + i % c);
    check(dx, i, sum, 4, "region pool backward");
  }
}

static void test_whole_maps(void **state) {
  (void)state;
  each(global_pools, 18);
  each(region_pools, 18);
}

/* ---- copies ---- */

static void upsampling(struct bench *b) {
  int64_t n = 1 + below(b, 3), h = 1 + below(b, 9), w = 1 + below(b, 9), c = 1 + below(b, 50);
  struct nn_operand *x = activation(b, n, h, w, c), *dx = like(b, x);
  int64_t rows = 1 + below(b, 25), columns = 1 + below(b, 25);
  struct nn_operand *y = make(b, b->dtype, n, rows, columns, c), *dy = activation(b, n, rows, columns, c);
  double *sums = calloc((size_t)nn_count(x->shape), sizeof *sums);
  assert_non_null(sums);
  struct nn_step step = {.op = NN_OP_UPSAMPLE};
  step.in[NN_X] = x, step.out[NN_Y] = y;
  run(b, &step);
  step = (struct nn_step){.op = NN_OP_UPSAMPLE_BACKWARD};
  step.in[NN_DY] = dy, step.out[NN_DX] = dx;
  run(b, &step);
  for (int64_t i = 0; i < nn_count(y->shape); i++) {
    struct cell at = {i / c / columns / rows, i / c / columns % rows * h / rows, i / c % columns * w / columns, i % c};
    check(y, i, get(x, index_of(x, at)), 0, "upsample");
    sums[index_of(x, at)] += get(dy, i);
  }
  for (int64_t i = 0; i < nn_count(x->shape); i++)
    check(dx, i, sums[i], 30, "upsample backward");
  free(sums);
}

static void copying(struct bench *b) {
  int64_t n = 1 + below(b, 3), h = 1 + below(b, 9), w = 1 + below(b, 9), c = 1 + below(b, 50), more = below(b, 50);
  struct nn_operand *part = activation(b, n, h, w, c), *whole = activation(b, n, h, w, c + more);
  struct nn_operand *before = copy_of(b, whole), *back = like(b, part);
  struct nn_step step = {.op = NN_OP_COPY_IN, .channel = below(b, more + 1)};
  step.in[NN_X] = part, step.out[NN_Y] = whole;
  run(b, &step);
  for (int64_t i = 0; i < nn_count(whole->shape); i++) {
    int64_t channel = i % (c + more) - step.channel;
    bool inside = channel >= 0 && channel < c;
    check(whole, i, inside ? get(part, i / (c + more) * c + channel) : get(before, i), 0, "copy in");
  }
  step = (struct nn_step){.op = NN_OP_COPY_OUT, .channel = step.channel};
  step.in[NN_DY] = whole, step.out[NN_DX] = back;
  run(b, &step);
  assert_memory_equal(back->data, part->data, (size_t)nn_count(part->shape) * nn_dtype_size(b->dtype));
}

static void test_copies(void **state) {
  (void)state;
  each(upsampling, 18);
  each(copying, 18);
}

/* ---- loss ---- */

/* The loss of one row, and what it may be off by; checks the row's gradient. */
static double row_loss(const struct nn_step *step, int64_t row, double *size) {
  const struct nn_operand *z = step->in[NN_X], *mix = step->in[NN_MIX], *dx = step->out[NN_DX];
  int64_t cells = z->shape.h * z->shape.w, c = z->shape.c, r = mix->shape.c, cell = row % cells;
  const int32_t *label = (const int32_t *)step->in[NN_LABEL]->data + row / cells * r;
  double highest = -INFINITY, sum = 0, weight = 0, loss = 0;
  double scale = get(step->in[NN_SCALE], cell) / (double)z->shape.n;
  int64_t first_mix = (mix->shape.n == 1 ? cell : row) * r;
  for (int64_t k = 0; k < c; k++)
    highest = fmax(highest, get(z, row * c + k));
  for (int64_t k = 0; k < c; k++)
    sum += exp(get(z, row * c + k) - highest);
  for (int64_t i = 0; i < r; i++) {
    if (label[i] < 0) continue;
    double cost = log(sum) + highest - get(z, row * c + label[i]);
    weight += get(mix, first_mix + i);
    loss += scale * get(mix, first_mix + i) * cost;
    *size += fabs(scale * get(mix, first_mix + i)) * (fabs(highest) + cost);
  }
  for (int64_t k = 0; dx && k < c; k++) {
    double gradient = weight * exp(get(z, row * c + k) - highest) / sum;
    for (int64_t i = 0; i < r; i++) {
      if (label[i] == k) gradient -= get(mix, first_mix + i);
    }
    check(dx, row * c + k, scale * gradient, fabs(scale), "gradient of the loss");
  }
  return loss;
}

static void losses(struct bench *b) {
  int64_t n = 1 + below(b, 5), h = 1 + below(b, 8), w = 1 + below(b, 8), c = 2 + below(b, 300), r = 1 + below(b, 5);
  struct nn_step step = {.op = NN_OP_CROSS_ENTROPY};
  double loss = 0, size = 0;
  step.in[NN_X] = fill(b, make(b, NN_F32, n, h, w, c), 0, below(b, 3) ? 3 : 60);
  step.in[NN_LABEL] = make(b, NN_I32, n, 1, 1, r);
  step.in[NN_MIX] = fill(b, make(b, NN_F32, below(b, 2) ? 1 : n, h, w, r), 0.5, 0.2);
  step.in[NN_SCALE] = fill(b, make(b, NN_F32, 1, h, w, 1), 1, 0.3);
  step.out[NN_Y] = make(b, NN_F32, 1, 1, 1, 1), step.out[NN_DX] = below(b, 4) ? make(b, b->dtype, n, h, w, c) : NULL;
  for (int64_t i = 0; i < n * r; i++)
    ((int32_t *)step.in[NN_LABEL]->data)[i] = (int32_t)below(b, c + 1) - 1;
  run(b, &step);
  for (int64_t row = 0; row < n * h * w; row++)
    loss += row_loss(&step, row, &size);
  check(step.out[NN_Y], 0, loss, size, "loss");
}

static void test_loss(void **state) {
  (void)state;
  each(losses, 30);
}

static void test_loss_bad(void **state) {
  (void)state;
  struct bench b = {.device = {.threads = 1}, .context = {.kernels = &nn_kernels_base}};
  struct error error;
  char scratch[4096];
  b.device.context = &b.context;
  rng_init(&b.rng, test_seed(), RNG_TEST, 11, 0);
  struct nn_operand *z = fill(&b, make(&b, NN_F32, 2, 1, 1, 4), 0, 1), *y = make(&b, NN_F32, 1, 1, 1, 1);
  struct nn_operand *mix = make(&b, NN_F32, 1, 1, 1, 1), *labels = make(&b, NN_I32, 2, 1, 1, 1);
  struct nn_step step = {.op = NN_OP_CROSS_ENTROPY, .name = "loss"};
  set(mix, 0, 1);
  step.in[NN_X] = z, step.in[NN_LABEL] = labels, step.in[NN_MIX] = step.in[NN_SCALE] = mix, step.out[NN_Y] = y;
  ((int32_t *)labels->data)[0] = 3, ((int32_t *)labels->data)[1] = 4;
  assert_int_equal(cpu_map_run(&b.device, &step, scratch, &error), -1);
  assert_non_null(strstr(error.message, "label 4"));
  ((int32_t *)labels->data)[1] = -1;
  assert_ok(cpu_map_run(&b.device, &step, scratch, &error), error);
  assert_true(isfinite(get(y, 0)));
  set(z, 1, NAN);
  assert_ok(cpu_map_run(&b.device, &step, scratch, &error), error);
  assert_true(isnan(get(y, 0)));
  set(z, 1, INFINITY);
  assert_ok(cpu_map_run(&b.device, &step, scratch, &error), error);
  assert_true(!isfinite(get(y, 0)));
  finish(&b);
}

/* ---- the optimizer ---- */

static void updates(struct bench *b) {
  int64_t count = 1 + below(b, 40000);
  struct nn_operand *value = fill(b, make(b, NN_F32, 1, 1, 1, count), 0, 1), *value_before = copy_of(b, value);
  struct nn_operand *momentum = fill(b, like(b, value), 0, 1), *momentum_before = copy_of(b, momentum);
  struct nn_operand *gradient = fill(b, like(b, value), 0, 1);
  struct nn_sgd sgd = {rng_uniform(&b->rng), rng_uniform(&b->rng), 0.01, 0.5, below(b, 2)};
  const struct cpu_kernels *kernels = b->context.kernels;
  kernels->sgd(&sgd, value->data, gradient->data, momentum->data, count, b->device.threads);
  double sum = 0;
  for (int64_t i = 0; i < count; i++) {
    double g = sgd.gradient_scale * get(gradient, i) + sgd.weight_decay * get(value_before, i);
    double m = sgd.mu * get(momentum_before, i) + g;
    check(momentum, i, m, 1, "momentum");
    check(value, i, get(value_before, i) - sgd.lr * (sgd.nesterov ? g + sgd.mu * m : m), 1, "value");
    sum += get(gradient, i) * get(gradient, i);
  }
  double found = kernels->square_sum(gradient->data, count, b->device.threads);
  assert_true(fabs(found - sum) <= 1e-12 * sum);
  assert_true(kernels->square_sum(gradient->data, count, 7) == found);
}

static void test_updates(void **state) {
  (void)state;
  each(updates, 18);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_point),      cmocka_unit_test(test_rounding), cmocka_unit_test(test_pools),
      cmocka_unit_test(test_whole_maps), cmocka_unit_test(test_copies),   cmocka_unit_test(test_loss),
      cmocka_unit_test(test_loss_bad),   cmocka_unit_test(test_updates),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
