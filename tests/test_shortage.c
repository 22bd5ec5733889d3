/* nn: memory that ends, at every allocation; and programs that get in each other's way in a shared workspace. */
#include <math.h>

#include "nn/backend.h"
#include "nn/optimizer.h"
#include "nn/program.h"
#include "tests/test_support.h"

enum { BATCH = 2, SIZE = 12, CLASSES = 4 };

static const char *const DEVICES[] = {"ref", "cpu"};

/* ---- allocations that fail --------------------------------------------------------------------------------------- */

/* The linker sends our libraries' allocations here. When `left` is 0 the next one fails, below that none does. */
static int left = -1;

static bool fails(void) {
  return left >= 0 && left-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_malloc(size_t size) {
  return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size) {
  return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size) {
  return fails() ? NULL : __real_realloc(memory, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
  return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

/* ---- a model of two networks ------------------------------------------------------------------------------------- */

/* Both end in the layer "fc" and a loss; "deep" has a second layer before it, which "plain" does not. */
struct model {
  struct nn_device device;
  struct nn_params params;
  struct nn_workspace workspace;
  struct nn_graph *deep, *plain;
  float images[2 * BATCH * SIZE * SIZE * 3];
  int32_t labels[2 * BATCH];
};

static const float ONE = 1;

static int layer(struct nn_graph *g, int x, const char *name) {
  char norm[32];
  snprintf(norm, sizeof norm, "%s.norm", name);
  x = nn_conv(g, x, name, (struct nn_conv){.out = 8, .kernel = 3, .stride = 1, .pad = 1, .dilation = 1, .groups = 1});
  return nn_relu(g, nn_batch_norm(g, x, norm, NN_NORM_BATCH));
}

static int build(struct nn_graph **graph, struct nn_params *params, bool deep, struct error *error) {
  struct nn_graph *g = *graph = nn_graph_create(params);
  if (!g) return error_memory(error, 1);
  int x = nn_input(g, "images", NN_ACTIVATION, 3), labels = nn_input(g, "labels", NN_LABELS, 1);
  int mix = nn_input(g, "mix", NN_FLOATS, 1), scale = nn_input(g, "scale", NN_FLOATS, 1);
  x = nn_max_pool(g, layer(g, x, "first"), 2, 2, 0);
  if (deep) x = layer(g, x, "second");
  x = nn_linear(g, nn_global_pool(g, nn_output(g, x, "features")), "fc", CLASSES, true);
  nn_output(g, nn_cross_entropy(g, x, labels, mix, scale), "loss");
  return nn_graph_error(g, error);
}

static int model_open(struct model *m, const char *device, struct error *error) {
  *m = (struct model){0};
  nn_params_init(&m->params);
  if (nn_device_open(&m->device, device, 2, error)) return -1;
  nn_workspace_init(&m->workspace, &m->device);
  for (size_t i = 0; i < COUNT_OF(m->images); i++)
    m->images[i] = (float)(i * 7919 % 1000) / 1000;
  if (build(&m->deep, &m->params, true, error) || build(&m->plain, &m->params, false, error)) return -1;
  if (nn_params_allocate(&m->params, &m->device, true, error)) return -1;
  return nn_params_initialise(&m->params, 1, error);
}

static void model_close(struct model *m) {
  nn_graph_free(m->deep);
  nn_graph_free(m->plain);
  nn_workspace_free(&m->workspace);
  nn_params_free(&m->params);
  nn_device_close(&m->device);
}

static int model_compile(struct model *m, struct nn_program **program, const struct nn_graph *graph, int64_t batch,
                         bool accumulate, struct error *error) {
  const struct nn_input_shape shapes[] = {
      {"images", {batch, SIZE, SIZE, 3}}, {"labels", {batch, 1, 1, 1}}, {"mix", {1, 1, 1, 1}}, {"scale", {1, 1, 1, 1}}};
  const struct nn_compile_options options = {.training = true,
                                             .parameter_gradients = true,
                                             .accumulate = accumulate,
                                             .input_gradient = "images",
                                             .shapes = shapes,
                                             .shape_count = COUNT_OF(shapes)};
  if (nn_compile(program, graph, &m->workspace, &options, error)) return -1;
  return nn_program_bind(*program, "images", m->images, error) ||
                 nn_program_bind(*program, "labels", m->labels, error) ||
                 nn_program_bind(*program, "mix", &ONE, error) || nn_program_bind(*program, "scale", &ONE, error)
             ? -1
             : 0;
}

static int step(struct model *m, struct nn_program *program, double lr, struct error *error) {
  const struct nn_sgd_options sgd = {.momentum = 0.9, .weight_decay = 0.1, .decay_all = true};
  return nn_program_forward(program, error) || nn_program_backward(program, error) ||
                 nn_sgd_step(&m->params, &sgd, lr, NULL, error)
             ? -1
             : 0;
}

static void expect(int result, const struct error *error, const char *part) {
  assert_int_equal(result, -1);
  if (!strstr(error->message, part)) fail_msg("'%s' lacks '%s'", error->message, part);
}

/* ---- the tests --------------------------------------------------------------------------------------------------- */

static int train_once(const char *device, struct error *error) {
  struct model m;
  struct nn_program *deep = NULL, *plain = NULL;
  int result = model_open(&m, device, error);
  if (result == 0) result = model_compile(&m, &plain, m.plain, BATCH, false, error);
  if (result == 0) result = model_compile(&m, &deep, m.deep, 2 * BATCH, true, error);
  if (result == 0) result = step(&m, plain, 0.1, error);
  if (result == 0) result = step(&m, deep, 0.1, error);
  nn_program_free(plain);
  nn_program_free(deep);
  model_close(&m);
  return result;
}

/* Whichever allocation fails is an error with a message, and everything is given back (sanitizers see to that). */
static void test_every_allocation(void **state) {
  (void)state;
  for (size_t d = 0; d < COUNT_OF(DEVICES); d++) {
    struct error error = {0};
    int result = -1, failed = 0;
    for (int n = 0; result; n++, failed++) {
      error.message[0] = '\0';
      left = n;
      result = train_once(DEVICES[d], &error);
      bool reached = left < 0;
      left = -1;
      if (result && !error.message[0]) fail_msg("%s: allocation %d fails without a message", DEVICES[d], n);
      if (result && !reached) fail_msg("%s: %s", DEVICES[d], error.message);
      if (!result && reached) result = -1; /* done without, which is as well */
    }
    print_message("%s: %d allocations\n", DEVICES[d], failed);
    assert_true(failed > 20);
  }
}

/* A larger program that gets no memory leaves the other as it was, between its passes too. */
static struct nn_backend starved;
static int device_left;

static void *starved_allocate(struct nn_device *device, size_t size) {
  return device_left-- > 0 ? nn_host_allocate(device, size) : NULL;
}

static void test_failed_compile(void **state) {
  (void)state;
  for (size_t d = 0; d < COUNT_OF(DEVICES); d++) {
    struct model m;
    struct error error = {0};
    struct nn_program *small, *large;
    float loss, again, *kept;
    assert_ok(model_open(&m, DEVICES[d], &error), error);
    assert_ok(model_compile(&m, &small, m.deep, BATCH, false, &error), error);
    assert_ok(nn_program_forward(small, &error), error);
    assert_ok(nn_program_read(small, "loss", &loss, &error), error);
    assert_ok(nn_program_backward(small, &error), error);
    size_t size = (size_t)m.params.elements * sizeof(float);
    kept = malloc(size);
    assert_non_null(kept);
    memcpy(kept, m.params.gradients, size);
    assert_ok(nn_program_forward(small, &error), error);
    starved = *m.device.backend;
    starved.allocate = starved_allocate;
    m.device.backend = &starved;
    int failed = 0;
    for (device_left = 0; model_compile(&m, &large, m.deep, 2 * BATCH, false, &error); device_left = ++failed) {
      expect(-1, &error, "memory");
      assert_null(large);
      if (failed) continue;
      memset(m.params.gradients, 0, size);
      assert_ok(nn_program_backward(small, &error), error);
      assert_memory_equal(m.params.gradients, kept, size);
    }
    assert_true(failed > 0);
    assert_ok(nn_program_forward(small, &error), error);
    assert_ok(nn_program_read(small, "loss", &again, &error), error);
    assert_true(loss == again);
    nn_program_free(small);
    nn_program_free(large);
    free(kept);
    model_close(&m);
  }
}

/* All three blocks or none: it can be tried again. */
static void test_failed_parameters(void **state) {
  (void)state;
  struct nn_device device;
  struct nn_params params;
  struct nn_graph *graph;
  struct error error = {0};
  nn_params_init(&params);
  assert_ok(nn_device_open(&device, "ref", 1, &error), error);
  assert_ok(build(&graph, &params, true, &error), error);
  starved = *device.backend;
  starved.allocate = starved_allocate;
  device.backend = &starved;
  for (int n = 0; n < 3; n++) {
    device_left = n;
    expect(nn_params_allocate(&params, &device, true, &error), &error, "memory");
    assert_true(!params.values && !params.gradients && !params.momenta);
  }
  device_left = 3;
  assert_ok(nn_params_allocate(&params, &device, true, &error), error);
  assert_true(params.values && params.gradients && params.momenta);
  nn_graph_free(graph);
  nn_params_free(&params);
  nn_device_close(&device);
}

/* What another program has overwritten, or memory that was given back, is not taken for a program's own. */
static void test_workspace_is_lost(void **state) {
  (void)state;
  for (size_t d = 0; d < COUNT_OF(DEVICES); d++) {
    struct model m;
    struct error error = {0};
    struct nn_program *a, *b;
    float loss, first, gradient[BATCH * SIZE * SIZE * 3];
    assert_ok(model_open(&m, DEVICES[d], &error), error);
    assert_ok(model_compile(&m, &a, m.plain, BATCH, false, &error), error);
    expect(nn_program_backward(a, &error), &error, "without its forward pass");
    expect(nn_program_read(a, "loss", &loss, &error), &error, "before it is computed");
    assert_ok(nn_program_forward(a, &error), error);
    assert_ok(nn_program_read(a, "loss", &first, &error), error);
    expect(nn_program_read(a, "images.gradient", gradient, &error), &error, "before it is computed");
    uint64_t version = m.workspace.version;
    assert_ok(model_compile(&m, &b, m.deep, 2 * BATCH, false, &error), error);
    assert_true(m.workspace.version != version);
    expect(nn_program_backward(a, &error), &error, "is gone");
    expect(nn_program_read(a, "loss", &loss, &error), &error, "after another program has run");

    assert_ok(nn_program_forward(a, &error), error);
    assert_ok(nn_program_forward(b, &error), error);
    expect(nn_program_backward(a, &error), &error, "is gone");
    expect(nn_program_read(a, "loss", &loss, &error), &error, "after another program has run");
    assert_ok(nn_program_backward(b, &error), error);
    expect(nn_program_backward(b, &error), &error, "used up");

    assert_ok(nn_program_forward(a, &error), error);
    nn_program_free(b);
    assert_ok(nn_program_backward(a, &error), error);
    assert_ok(nn_program_read(a, "images.gradient", gradient, &error), error);
    assert_ok(nn_program_read(a, "loss", &loss, &error), error);
    assert_true(loss == first);
    nn_program_free(a);
    model_close(&m);
  }
}

static void copy_block(const struct model *m, const struct nn_param *param, const float *block, float *to) {
  struct error error;
  assert_ok(nn_param_read(&m->params, param, block, to, &error), error);
}

/* A parameter that the last program does not use keeps value and momentum, as PyTorch's without .grad; and what is
 * added to no gradient is that gradient. */
static void test_unused_parameters(void **state) {
  (void)state;
  enum { LARGEST = 8 * 8 * 9 };
  for (size_t d = 0; d < COUNT_OF(DEVICES); d++) {
    struct model m;
    struct error error = {0};
    struct nn_program *deep, *plain, *added;
    float before[2][8][LARGEST], after[LARGEST];
    assert_ok(model_open(&m, DEVICES[d], &error), error);
    assert_ok(model_compile(&m, &deep, m.deep, BATCH, false, &error), error);
    assert_ok(model_compile(&m, &plain, m.plain, BATCH, false, &error), error);
    assert_ok(model_compile(&m, &added, m.deep, BATCH, true, &error), error);
    assert_ok(step(&m, deep, 0.1, &error), error);
    float *blocks[] = {m.params.values, m.params.momenta};
    size_t unused = 0, used = 0;
    struct nn_param *params[8];
    for (size_t i = 0; i < m.params.count; i++) {
      struct nn_param *param = m.params.items[i];
      if (!param->trainable) continue;
      assert_true(used < COUNT_OF(params) && param->count <= LARGEST);
      for (int b = 0; b < 2; b++)
        copy_block(&m, param, blocks[b], before[b][used]);
      params[used++] = param;
    }
    assert_ok(step(&m, plain, 0.1, &error), error);
    for (size_t i = 0; i < used; i++) {
      bool second = strncmp(params[i]->name, "second", 6) == 0;
      for (int b = 0; b < 2; b++) {
        copy_block(&m, params[i], blocks[b], after);
        bool same = memcmp(after, before[b][i], (size_t)params[i]->count * sizeof *after) == 0;
        if (same != second) fail_msg("%s: %s %s", DEVICES[d], params[i]->name, same ? "is kept" : "has changed");
      }
      unused += second;
    }
    assert_int_equal(unused, 3);

    /* Twice the same pass: the second has its gradient for itself only where the first was applied. */
    for (size_t i = 0; i < used; i++)
      assert_false(params[i]->has_gradient);
    assert_ok(nn_program_forward(added, &error), error);
    assert_ok(nn_program_backward(added, &error), error);
    for (size_t i = 0; i < used; i++)
      copy_block(&m, params[i], m.params.gradients, before[0][i]);
    assert_ok(nn_program_forward(deep, &error), error);
    assert_ok(nn_program_backward(deep, &error), error);
    for (size_t i = 0; i < used; i++) {
      copy_block(&m, params[i], m.params.gradients, after);
      for (int64_t k = 0; k < params[i]->count; k++) {
        if (!(fabsf(after[k] - before[0][i][k]) <= 1e-5f)) fail_msg("%s: %s", DEVICES[d], params[i]->name);
      }
    }
    nn_program_free(deep);
    nn_program_free(plain);
    nn_program_free(added);
    model_close(&m);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_allocation),  cmocka_unit_test(test_failed_compile),
      cmocka_unit_test(test_failed_parameters), cmocka_unit_test(test_workspace_is_lost),
      cmocka_unit_test(test_unused_parameters),
  };
  return cmocka_run_group_tests_name("shortage", tests, NULL, NULL);
}
