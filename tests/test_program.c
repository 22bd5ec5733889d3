/* nn: compiling and running programs, on the ref device. */
#include <math.h>

#include "nn/internal.h"
#include "tests/test_support.h"

enum { BATCH = 3, SIZE = 19, CLASSES = 5, REGIONS = 2 };

/* A small network with everything that meets in a detector: residual blocks with and without a shortcut layer, a layer
 * that is used twice, group norm, a pyramid step, a concatenation, dense and pooled losses. */
struct model {
  struct nn_device device;
  struct nn_params params;
  struct nn_workspace workspace;
  struct nn_graph *graph;
  float *images, *mix, *scale, *pool, *pooled_mix, *pooled_scale;
  int32_t labels[BATCH * REGIONS];
};

static void test_rng(struct rng *rng) {
  rng_init(rng, test_seed(), RNG_TEST, 0, 0);
}

static int conv(struct nn_graph *g, int x, const char *name, int64_t out, int kernel, int stride) {
  return nn_conv(g, x, name,
                 (struct nn_conv){.out = out,
                                  .kernel = kernel,
                                  .stride = stride,
                                  .pad = kernel / 2,
                                  .dilation = 1,
                                  .groups = 1,
                                  .bias = kernel == 3});
}

/* Naming what lies between fused nodes keeps them apart. */
static int keep(struct nn_graph *g, int node, const char *name, bool apart) {
  return apart ? nn_output(g, node, name) : node;
}

static int block(struct nn_graph *g, int x, const char *prefix, int64_t out, int stride, enum nn_norm norm,
                 bool apart) {
  char name[64], kept[80];
  int y = x, shortcut = x;
  for (int i = 1; i <= 2; i++) {
    snprintf(name, sizeof name, "%s.conv%d", prefix, i);
    y = conv(g, y, name, out, i == 1 ? 3 : 1, i == 1 ? stride : 1);
    snprintf(kept, sizeof kept, "%s.kept", name);
    keep(g, y, kept, apart);
    snprintf(name, sizeof name, "%s.norm%d", prefix, i);
    y = norm == NN_NORM_GROUP ? nn_group_norm(g, y, name, 2) : nn_batch_norm(g, y, name, norm);
    snprintf(kept, sizeof kept, "%s.kept", name);
    keep(g, y, kept, apart);
    if (i == 1) y = nn_relu(g, y);
  }
  if (stride > 1 || nn_channels(g, x) != out) {
    snprintf(name, sizeof name, "%s.short", prefix);
    shortcut = conv(g, x, name, out, 1, stride);
  }
  y = nn_add(g, y, shortcut);
  snprintf(kept, sizeof kept, "%s.sum", prefix);
  return nn_relu(g, keep(g, y, kept, apart));
}

static void build(struct nn_graph *g, enum nn_norm norm, bool apart) {
  int x = nn_input(g, "images", NN_ACTIVATION, 3), labels = nn_input(g, "labels", NN_LABELS, REGIONS);
  int mix = nn_input(g, "mix", NN_FLOATS, REGIONS), scale = nn_input(g, "scale", NN_FLOATS, 1);
  int pool = nn_input(g, "pool", NN_FLOATS, REGIONS), pooled_mix = nn_input(g, "pooled_mix", NN_FLOATS, REGIONS);
  int pooled_scale = nn_input(g, "pooled_scale", NN_FLOATS, 1);
  x = nn_relu(g, keep(g, conv(g, x, "stem", 4, 3, 1), "stem.kept", apart));
  x = nn_max_pool(g, x, 3, 2, 1);
  x = block(g, x, "a", 4, 1, norm, apart);
  int fine = block(g, x, "b", 6, 2, norm, apart);
  int coarse = nn_average_pool(g, block(g, fine, "c", 6, 1, norm, apart), 2, 2, 0);
  int level = nn_add(g, nn_upsample(g, conv(g, coarse, "lateral", 4, 1, 1), fine), conv(g, fine, "lateral2", 4, 1, 1));
  int parts[] = {nn_relu(g, conv(g, level, "head", 4, 3, 1)), fine, nn_upsample(g, nn_global_pool(g, fine), fine)};
  int all = nn_concat(g, parts, 3);
  nn_output(g, all, "features");
  int logits = nn_output(g, nn_linear(g, all, "fc", CLASSES, true), "logits");
  nn_output(g, nn_cross_entropy(g, logits, labels, mix, scale), "loss");
  int pooled = nn_linear(g, nn_region_pool(g, all, pool), "fc", CLASSES, true); /* a layer used twice */
  nn_output(g, nn_cross_entropy(g, pooled, labels, pooled_mix, pooled_scale), "pooled_loss");
}

static float *random_floats(struct rng *rng, int64_t count, double low, double high) {
  float *values = malloc((size_t)count * sizeof *values);
  assert_non_null(values);
  for (int64_t i = 0; i < count; i++)
    values[i] = (float)rng_range(rng, low, high);
  return values;
}

enum { FINE = 5 /* cells a side where the losses are */ };

static void model_open(struct model *m, struct rng *rng, enum nn_norm norm, bool apart) {
  struct error error;
  memset(m, 0, sizeof *m);
  assert_ok(nn_device_open(&m->device, "ref", 1, &error), error);
  nn_params_init(&m->params);
  nn_workspace_init(&m->workspace, &m->device);
  m->graph = nn_graph_create(&m->params);
  build(m->graph, norm, apart);
  assert_ok(nn_graph_error(m->graph, &error), error);
  assert_ok(nn_params_allocate(&m->params, &m->device, true, &error), error);
  assert_ok(nn_params_initialise(&m->params, 7, &error), error);
  m->images = random_floats(rng, BATCH * SIZE * SIZE * 3, -1, 1);
  m->mix = random_floats(rng, FINE * FINE * REGIONS, 0, 1);
  m->scale = random_floats(rng, FINE * FINE, 0, 1);
  m->pool = random_floats(rng, FINE * FINE * REGIONS, 0, 1);
  m->pooled_mix = random_floats(rng, REGIONS * REGIONS, 0, 1);
  m->pooled_scale = random_floats(rng, REGIONS, 0, 1);
  for (int i = 0; i < BATCH * REGIONS; i++)
    m->labels[i] = (int32_t)rng_below(rng, CLASSES);
}

static void model_close(struct model *m) {
  nn_graph_free(m->graph);
  nn_workspace_free(&m->workspace);
  nn_params_free(&m->params);
  nn_device_close(&m->device);
  free(m->images);
  free(m->mix);
  free(m->scale);
  free(m->pool);
  free(m->pooled_mix);
  free(m->pooled_scale);
}

static struct nn_program *compile_model(struct model *m, struct nn_compile_options options) {
  struct error error;
  struct nn_program *program;
  const struct nn_input_shape shapes[] = {{"images", {BATCH, SIZE, SIZE, 3}},  {"labels", {BATCH, 1, 1, 0}},
                                          {"mix", {1, FINE, FINE, 0}},         {"scale", {1, FINE, FINE, 0}},
                                          {"pool", {1, FINE, FINE, 0}},        {"pooled_mix", {1, 1, REGIONS, 0}},
                                          {"pooled_scale", {1, 1, REGIONS, 0}}};
  options.shapes = shapes;
  options.shape_count = COUNT_OF(shapes);
  assert_ok(nn_compile(&program, m->graph, &m->workspace, &options, &error), error);
  const struct {
    const char *name;
    const void *data;
  } inputs[] = {{"images", m->images},
                {"labels", m->labels},
                {"mix", m->mix},
                {"scale", m->scale},
                {"pool", m->pool},
                {"pooled_mix", m->pooled_mix},
                {"pooled_scale", m->pooled_scale}};
  for (size_t i = 0; i < COUNT_OF(inputs); i++)
    assert_ok(nn_program_bind(program, inputs[i].name, inputs[i].data, &error), error);
  return program;
}

static double total_loss(struct nn_program *program) {
  struct error error;
  float loss, pooled;
  assert_ok(nn_program_forward(program, &error), error);
  assert_ok(nn_program_read(program, "loss", &loss, &error), error);
  assert_ok(nn_program_read(program, "pooled_loss", &pooled, &error), error);
  return (double)loss + (double)pooled;
}

/* ---- gradients against differences ------------------------------------------------------------------------------- */

/* Along a random direction of one parameter. The network has kinks, so the step is small, and the sum is over many. */
static void check_direction(struct model *m, struct nn_program *program, const struct nn_param *param, struct rng *rng,
                            double *error_sum, double *size_sum) {
  float *value = m->params.values + param->offset, *gradient = m->params.gradients + param->offset;
  float *before = malloc((size_t)param->count * sizeof *before), *step = malloc((size_t)param->count * sizeof *step);
  double expected = 0, losses[2], length = 3e-4;
  assert_non_null(before);
  assert_non_null(step);
  memcpy(before, value, (size_t)param->count * sizeof *before);
  for (int64_t i = 0; i < param->count; i++) {
    step[i] = (float)rng_range(rng, -1, 1);
    expected += (double)step[i] * (double)gradient[i];
  }
  for (int side = 0; side < 2; side++) {
    for (int64_t i = 0; i < param->count; i++)
      value[i] = before[i] + (side ? -1 : 1) * (float)length * step[i];
    m->params.version++;
    losses[side] = total_loss(program);
  }
  memcpy(value, before, (size_t)param->count * sizeof *before);
  m->params.version++;
  double found = (losses[0] - losses[1]) / (2 * length);
  *error_sum += fabs(found - expected);
  *size_sum += fabs(expected);
  free(before);
  free(step);
}

static void check_gradients(enum nn_norm norm, bool training) {
  struct model m;
  struct rng rng;
  struct error error;
  test_rng(&rng);
  model_open(&m, &rng, norm, false);
  struct nn_program *program =
      compile_model(&m, (struct nn_compile_options){.training = training, .parameter_gradients = true});
  total_loss(program);
  assert_ok(nn_program_backward(program, &error), error);
  float *kept = malloc((size_t)m.params.elements * sizeof *kept);
  memcpy(kept, m.params.gradients, (size_t)m.params.elements * sizeof *kept);
  double error_sum = 0, size_sum = 0;
  for (size_t i = 0; i < m.params.count; i++) {
    if (m.params.items[i]->trainable) check_direction(&m, program, m.params.items[i], &rng, &error_sum, &size_sum);
  }
  print_message("differences: %g of %g\n", error_sum, size_sum);
  assert_true(size_sum > 0.1);
  assert_true(error_sum <= 0.03 * size_sum);
  free(kept);
  nn_program_free(program);
  model_close(&m);
}

static void test_gradients(void **state) {
  (void)state;
  check_gradients(NN_NORM_BATCH, true);
  check_gradients(NN_NORM_BATCH, false);
  check_gradients(NN_NORM_GROUP, true);
  check_gradients(NN_NORM_FROZEN, true);
}

/* ---- fusion, memory ---------------------------------------------------------------------------------------------- */

/* Relative to the largest; a bias before a batch norm has a gradient of nothing but rounding. */
static double difference(const float *a, const float *b, int64_t count) {
  double worst = 0, size = 1e-2;
  for (int64_t i = 0; i < count; i++) {
    double d = fabs((double)a[i] - (double)b[i]);
    if (!(d <= worst)) worst = d;
    if (fabs((double)b[i]) > size) size = fabs((double)b[i]);
  }
  return worst / size;
}

/* The same network with every intermediate kept computes the same, in more steps. */
static void check_fusion(enum nn_norm norm, bool training) {
  struct model fused, apart;
  struct rng rng, again;
  struct error error;
  test_rng(&rng);
  again = rng;
  model_open(&fused, &rng, norm, false);
  model_open(&apart, &again, norm, true);
  struct nn_compile_options options = {.training = training, .parameter_gradients = true};
  struct nn_program *a = compile_model(&fused, options), *b = compile_model(&apart, options);
  assert_true(nn_program_facts(a).steps < nn_program_facts(b).steps);
  assert_true(nn_program_facts(a).forward_flops == nn_program_facts(b).forward_flops);
  assert_true(nn_program_facts(a).activation_bytes < nn_program_facts(a).unplanned_bytes / 2 + 100000);
  assert_true(fabs(total_loss(a) - total_loss(b)) <= 1e-5 * fabs(total_loss(b)));
  assert_ok(nn_program_backward(a, &error), error);
  assert_ok(nn_program_backward(b, &error), error);
  for (size_t i = 0; i < fused.params.count; i++) {
    const struct nn_param *p = fused.params.items[i], *q = nn_params_find(&apart.params, p->name);
    assert_non_null(q);
    assert_true(difference(fused.params.gradients + p->offset, apart.params.gradients + q->offset, p->count) <= 1e-3);
  }
  nn_program_free(a);
  nn_program_free(b);
  model_close(&fused);
  model_close(&apart);
}

static void test_fusion(void **state) {
  (void)state;
  check_fusion(NN_NORM_BATCH, true);
  check_fusion(NN_NORM_BATCH, false);
  check_fusion(NN_NORM_GROUP, true);
  check_fusion(NN_NORM_FROZEN, true);
}

static struct nn_program *training_program(struct model *m) {
  struct rng rng;
  test_rng(&rng);
  model_open(m, &rng, NN_NORM_BATCH, false);
  return compile_model(m, (struct nn_compile_options){.training = true, .parameter_gradients = true});
}

/* What a norm makes again for the backward pass is not kept from the forward pass to there. */
static void test_made_again(void **state) {
  (void)state;
  struct model m;
  struct nn_program *p = training_program(&m);
  int made_again = 0;
  for (size_t i = 0; i < p->step_count; i++) {
    if (p->steps[i].op != NN_OP_NORM_AGAIN) continue;
    assert_true(i >= p->forward_count);
    for (size_t k = 0; k < p->forward_count; k++) {
      if (p->steps[k].op != NN_OP_NORM || p->steps[k].in[NN_X] != p->steps[i].in[NN_X]) continue;
      const struct nn_value *y = (const struct nn_value *)p->steps[k].out[NN_Y];
      assert_true(y->last < (int)p->forward_count);
      made_again++;
    }
  }
  assert_true(made_again > 0);
  nn_program_free(p);
  model_close(&m);
}

/* No two values that live at the same time share memory, but for those that were laid over each other. */
static void test_plan(void **state) {
  (void)state;
  struct model m;
  struct nn_program *p = training_program(&m);
  int overlaid = 0, disjoint = 0;
  for (size_t i = 0; i < p->value_count; i++) {
    const struct nn_value *a = p->values[i];
    overlaid += a->under != NULL;
    if (a->external || a->first < 0) continue;
    assert_true(a->offset + a->size <= p->size);
    for (size_t k = 0; k < i; k++) {
      const struct nn_value *b = p->values[k];
      if (b->external || b->first < 0 || a->under || b->under) continue;
      bool together = a->first <= b->last && b->first <= a->last;
      bool touching = a->offset < b->offset + b->size && b->offset < a->offset + a->size;
      assert_false(together && touching);
      disjoint += together;
    }
  }
  assert_true(overlaid > 5 && disjoint > 100);
  nn_program_free(p);
  model_close(&m);
}

/* Programs of different needs in one workspace, which moves when the larger one comes. */
static void test_shared_workspace(void **state) {
  (void)state;
  struct model m;
  struct rng rng;
  test_rng(&rng);
  model_open(&m, &rng, NN_NORM_GROUP, false);
  struct nn_program *judge = compile_model(&m, (struct nn_compile_options){.training = false});
  double before = total_loss(judge);
  struct nn_program *step =
      compile_model(&m, (struct nn_compile_options){.training = true, .parameter_gradients = true});
  assert_true(total_loss(step) == before);
  assert_true(total_loss(judge) == before);
  nn_program_free(judge);
  nn_program_free(step);
  model_close(&m);
}

/* ---- several gradients for one forward pass ---------------------------------------------------------------------- */

static void check_copies(enum nn_norm norm) {
  struct model m;
  struct rng rng;
  struct error error;
  enum { COPIES = 4 };
  test_rng(&rng);
  model_open(&m, &rng, norm, false);
  struct nn_compile_options options = {.seed = "features", .input_gradient = "images", .copies = COPIES};
  struct nn_program *many = compile_model(&m, options);
  options.copies = 1;
  struct nn_program *one = compile_model(&m, options);
  struct nn_shape shape;
  assert_ok(nn_program_shape(one, "features", &shape, &error), error);
  int64_t image = nn_count(shape) / BATCH, pixels = SIZE * SIZE * 3;
  float *seed = random_floats(&rng, COPIES * nn_count(shape), -1, 1),
        *part = malloc((size_t)nn_count(shape) * sizeof *part);
  float *all = malloc((size_t)(COPIES * BATCH * pixels) * sizeof *all);
  float *single = malloc((size_t)(BATCH * pixels) * sizeof *single);
  assert_ok(nn_program_bind_gradient(many, seed, &error), error);
  assert_ok(nn_program_forward(many, &error), error);
  assert_ok(nn_program_backward(many, &error), error);
  assert_ok(nn_program_read(many, "images.gradient", all, &error), error);
  assert_ok(nn_program_bind_gradient(one, part, &error), error);
  for (int k = 0; k < COPIES; k++) {
    for (int n = 0; n < BATCH; n++)
      memcpy(part + n * image, seed + (n * COPIES + k) * image, (size_t)image * sizeof *part);
    assert_ok(nn_program_forward(one, &error), error);
    assert_ok(nn_program_backward(one, &error), error);
    assert_ok(nn_program_read(one, "images.gradient", single, &error), error);
    for (int n = 0; n < BATCH; n++)
      assert_true(difference(all + (n * COPIES + k) * pixels, single + n * pixels, pixels) <= 1e-4);
  }
  for (int64_t i = 0; i < m.params.elements; i++)
    assert_true(m.params.gradients[i] == 0); /* nobody asked for them */
  free(seed);
  free(part);
  free(all);
  free(single);
  nn_program_free(many);
  nn_program_free(one);
  model_close(&m);
}

static void test_copies(void **state) {
  (void)state;
  check_copies(NN_NORM_BATCH);
  check_copies(NN_NORM_GROUP);
}

/* ---- freezing, sharing, accumulating ----------------------------------------------------------------------------- */

static void test_frozen(void **state) {
  (void)state;
  struct model m;
  struct rng rng;
  struct error error;
  test_rng(&rng);
  model_open(&m, &rng, NN_NORM_BATCH, false);
  struct nn_compile_options options = {.training = true, .parameter_gradients = true};
  struct nn_program *all = compile_model(&m, options);
  assert_true(nn_params_freeze(&m.params, "stem") == 2 && nn_params_freeze(&m.params, "a.") == 7);
  struct nn_program *rest = compile_model(&m, options);
  assert_true(nn_program_facts(rest).backward_flops < nn_program_facts(all).backward_flops);
  assert_true(nn_program_facts(rest).activation_bytes < nn_program_facts(all).activation_bytes);
  memset(m.params.gradients, 0, (size_t)m.params.elements * sizeof(float));
  total_loss(rest);
  assert_ok(nn_program_backward(rest, &error), error);
  for (size_t i = 0; i < m.params.count; i++) {
    const struct nn_param *p = m.params.items[i];
    double sum = 0;
    for (int64_t k = 0; k < p->count; k++)
      sum += fabs((double)m.params.gradients[p->offset + k]);
    if (!p->trainable) assert_true(sum == 0);
    if (p->trainable && p->role == NN_WEIGHT) assert_true(sum > 0);
  }
  nn_program_free(all);
  nn_program_free(rest);
  model_close(&m);
}

static void test_accumulate(void **state) {
  (void)state;
  struct model m;
  struct rng rng;
  struct error error;
  test_rng(&rng);
  model_open(&m, &rng, NN_NORM_GROUP, false);
  struct nn_program *once =
      compile_model(&m, (struct nn_compile_options){.training = true, .parameter_gradients = true});
  struct nn_program *more =
      compile_model(&m, (struct nn_compile_options){.training = true, .parameter_gradients = true, .accumulate = true});
  total_loss(once);
  assert_ok(nn_program_backward(once, &error), error);
  float *first = malloc((size_t)m.params.elements * sizeof *first);
  memcpy(first, m.params.gradients, (size_t)m.params.elements * sizeof *first);
  total_loss(more);
  assert_ok(nn_program_backward(more, &error), error);
  for (int64_t i = 0; i < m.params.elements; i++)
    first[i] *= 2;
  assert_true(difference(m.params.gradients, first, m.params.elements) <= 1e-5);
  free(first);
  nn_program_free(once);
  nn_program_free(more);
  model_close(&m);
}

/* ---- what goes wrong --------------------------------------------------------------------------------------------- */

static void expect(int result, const struct error *error, const char *part) {
  assert_int_equal(result, -1);
  if (!strstr(error->message, part)) print_error("'%s' lacks '%s'\n", error->message, part);
  assert_non_null(strstr(error->message, part));
}

static void test_builder_errors(void **state) {
  (void)state;
  struct error error = {0};
  struct nn_params params;
  nn_params_init(&params);
  struct nn_graph *g = nn_graph_create(&params);
  int x = nn_input(g, "images", NN_ACTIVATION, 3);
  int y = nn_conv(g, x, "c", (struct nn_conv){.out = 4, .kernel = 3, .stride = 1, .dilation = 1, .groups = 2});
  assert_int_equal(y, -1);
  assert_int_equal(nn_relu(g, nn_batch_norm(g, y, "n", NN_NORM_BATCH)), -1); /* goes on, keeps the first message */
  expect(nn_graph_error(g, &error), &error, "layer 'c': 2 groups");
  nn_graph_free(g);
  g = nn_graph_create(&params);
  x = nn_input(g, "images", NN_ACTIVATION, 3);
  nn_add(g, x, nn_linear(g, x, "l", 5, false));
  expect(nn_graph_error(g, &error), &error, "3 and 5 channels");
  nn_graph_free(g);
  g = nn_graph_create(&params);
  nn_linear(g, nn_input(g, "other", NN_ACTIVATION, 4), "l", 5, false); /* the same name, another shape */
  expect(nn_graph_error(g, &error), &error, "'l.weight' is declared twice");
  nn_graph_free(g);
  nn_params_free(&params);
}

static void test_compile_errors(void **state) {
  (void)state;
  struct error error = {0};
  struct nn_device device;
  struct nn_params params;
  struct nn_workspace workspace;
  struct nn_program *program;
  assert_ok(nn_device_open(&device, "ref", 1, &error), error);
  nn_params_init(&params);
  nn_workspace_init(&workspace, &device);
  struct nn_graph *g = nn_graph_create(&params);
  int x = nn_input(g, "images", NN_ACTIVATION, 3);
  nn_output(g, conv(g, x, "big", 4, 9, 1), "y");
  struct nn_input_shape shape = {"images", {1, 4, 4, 0}};
  struct nn_compile_options options = {.shapes = &shape, .shape_count = 1};
  expect(nn_compile(&program, g, &workspace, &options, &error), &error, "no memory");
  assert_ok(nn_params_allocate(&params, &device, false, &error), error);
  options.shape_count = 0;
  expect(nn_compile(&program, g, &workspace, &options, &error), &error, "no shape is given for input 'images'");
  options.shape_count = 1;
  shape.shape.c = 4;
  expect(nn_compile(&program, g, &workspace, &options, &error), &error, "3 channels");
  shape.shape = (struct nn_shape){1, 0, 4, 3};
  expect(nn_compile(&program, g, &workspace, &options, &error), &error, "input 'images'");
  shape.shape = (struct nn_shape){1, 4, 4, 3};
  options.parameter_gradients = true;
  expect(nn_compile(&program, g, &workspace, &options, &error), &error, "no memory for gradients");
  options.parameter_gradients = false;
  options.precision = NN_BF16;
  expect(nn_compile(&program, g, &workspace, &options, &error), &error, "bf16");
  options.precision = NN_F32;
  options.input_gradient = "nothing";
  expect(nn_compile(&program, g, &workspace, &options, &error), &error, "'nothing'");
  options.input_gradient = "images";
  options.seed = "nowhere";
  expect(nn_compile(&program, g, &workspace, &options, &error), &error, "'nowhere'");
  options = (struct nn_compile_options){.shapes = &shape, .shape_count = 1};
  assert_ok(nn_compile(&program, g, &workspace, &options, &error), error);
  expect(nn_program_forward(program, &error), &error, "'images' of the program is not bound");
  expect(nn_program_backward(program, &error), &error, "no backward pass");
  expect(nn_program_bind(program, "y", &shape, &error), &error, "'y' is an output");
  nn_program_free(program);
  expect(nn_device_open(&device, "tpu", 1, &error), &error, "known here: cpu, ref");
  assert_ok(nn_device_open(&device, "ref", 1, &error), error);
  nn_graph_free(g);
  nn_workspace_free(&workspace);
  nn_params_free(&params);
  nn_device_close(&device);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients),      cmocka_unit_test(test_fusion),
      cmocka_unit_test(test_made_again),     cmocka_unit_test(test_plan),
      cmocka_unit_test(test_copies),         cmocka_unit_test(test_frozen),
      cmocka_unit_test(test_accumulate),     cmocka_unit_test(test_builder_errors),
      cmocka_unit_test(test_compile_errors), cmocka_unit_test(test_shared_workspace),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
