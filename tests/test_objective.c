/* Tables of the objectives, what is refused, and the score; losses are compared with the paper's equations in
 * tests/python/test_objective_paper.py. */
#include "pretrain/objective.h"

#include <math.h>

#include "tests/test_support.h"

enum { ROUNDS = 300, SCORES = 200 };

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

/* A template of side x side cells, cut after `cut` of them. */
struct grid {
  int side, cut, stride;
};

static struct grid random_objective(struct rng *rng, struct objective *objective) {
  static const int STRIDES[] = {1, 7, 16, 32};
  struct error error;
  struct grid grid = {.side = 2 + below(rng, 9), .stride = STRIDES[below(rng, COUNT_OF(STRIDES))]};
  enum objective_kind kind = (enum objective_kind)below(rng, 4);
  grid.cut = 1 + below(rng, grid.side - 1);
  assert_ok(objective_init(objective, kind, grid.side * grid.stride, grid.cut * grid.stride, grid.stride,
                           2 + below(rng, 20), &error),
            error);
  return grid;
}

static int region_at(const struct grid *grid, int row, int column) {
  return 2 * (row >= grid->cut) + (column >= grid->cut);
}

static void expect_near(double a, double b) {
  if (!(fabs(a - b) <= 1e-6)) fail_msg("%.9g is not %.9g", a, b);
}

/* Every position's label is a mixture of weight 1, all positions together weigh 1, every region weighs the same (in
 * global and classify: what its area says), and a cell speaks for its own region only. */
static void test_tables(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < ROUNDS; round++) {
    struct rng rng;
    struct objective objective;
    rng_init(&rng, seed, RNG_TEST, 0, round);
    struct grid grid = random_objective(&rng, &objective);
    int regions = objective.regions.count;
    assert_int_equal(regions, objective.kind == OBJECTIVE_CLASSIFY ? 1 : 4);
    assert_int_equal(objective.side, grid.side);
    int64_t positions = objective.mix.h * objective.mix.w;
    double all = 0, weights[4] = {0};
    for (int64_t i = 0; i < positions; i++) {
      double sum = 0;
      for (int r = 0; r < regions; r++) {
        double mix = objective.mix_table[i * regions + r];
        sum += mix;
        weights[r] += mix * objective.scale_table[i];
        bool own = objective.kind != OBJECTIVE_ERF ||
                   r == region_at(&grid, (int)(i / objective.mix.w), (int)(i % objective.mix.w));
        assert_true(own || mix == 0);
      }
      expect_near(sum, 1);
      all += objective.scale_table[i];
    }
    expect_near(all, 1);
    int edge[2] = {grid.cut, grid.side - grid.cut};
    for (int r = 0; r < regions && regions == 4; r++) {
      double area = (double)edge[r & 1] * edge[r >> 1] / (grid.side * grid.side);
      expect_near(weights[r], objective.kind == OBJECTIVE_GLOBAL ? area : 0.25);
    }
    assert_true((objective.kind == OBJECTIVE_BLOCK) == (objective.pool_table != NULL));
    for (int cell = 0; objective.pool_table && cell < grid.side * grid.side; cell++) {
      for (int r = 0; r < 4; r++) {
        bool inside = r == region_at(&grid, cell / grid.side, cell % grid.side);
        expect_near(objective.pool_table[cell * 4 + r], inside ? 1.0 / (edge[r & 1] * edge[r >> 1]) : 0);
      }
    }
    objective_free(&objective);
    objective_free(&objective);
  }
}

/* The paper's template at the paper's stride. */
static void test_the_paper(void **state) {
  (void)state;
  struct objective objective;
  struct error error;
  assert_ok(objective_init(&objective, OBJECTIVE_GLOBAL, 224, 64, 32, 81, &error), error);
  for (int region = 0; region < 4; region++) {
    expect_near(objective.mix_table[region], (double[]){4, 10, 10, 25}[region] / 49);
  }
  objective_free(&objective);
  assert_ok(objective_init(&objective, OBJECTIVE_ERF, 224, 64, 32, 81, &error), error);
  expect_near(objective.scale_table[0], 1.0 / (4 * 4));
  expect_near(objective.scale_table[6], 1.0 / (4 * 10));
  expect_near(objective.scale_table[48], 1.0 / (4 * 25));
  float table[49 * 4];
  for (size_t i = 0; i < COUNT_OF(table); i++) {
    table[i] = (float)i;
  }
  objective_set_table(&objective, table);
  assert_memory_equal(objective.mix_table, table, sizeof table);
  objective_free(&objective);
}

static void test_refused(void **state) {
  (void)state;
  static const struct {
    int size, cut, stride, classes;
    const char *words;
  } ROWS[] = {
      {224, 70, 32, 5, "a template of 224:70 at stride 32: the cut must be a multiple of the stride"},
      {224, 70, 32, 5, "cut at 64"},
      {224, 90, 32, 5, "cut at 96"},
      {224, 8, 32, 5, "cut at 32"},
      {32, 8, 32, 5, "too small for a network of stride 32"},
      {230, 64, 32, 5, "230 x 230 pixels: at stride 32 a side must be a multiple of it"},
      {8192, 64, 32, 5, "up to 4096"},
      {-224, 0, 32, 5, "-224 x -224"},
      {224, 64, 0, 5, "at stride 0"},
      {224, 224, 32, 5, "needs 0 < cut < size"},
      {224, -32, 32, 5, "needs 0 < cut < size"},
      {224, 64, 32, 1, "1 classes: an objective needs at least 2"},
  };
  for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
    struct objective objective;
    struct error error;
    int result =
        objective_init(&objective, OBJECTIVE_ERF, ROWS[i].size, ROWS[i].cut, ROWS[i].stride, ROWS[i].classes, &error);
    assert_int_equal(result, -1);
    if (!strstr(error.message, ROWS[i].words)) fail_msg("'%s' lacks '%s'", error.message, ROWS[i].words);
    objective_free(&objective);
  }
}

static void test_graph(void **state) {
  (void)state;
  for (int kind = 0; objective_names[kind]; kind++) {
    struct objective objective;
    struct error error;
    struct nn_params params;
    struct nn_input_shape shapes[4];
    nn_params_init(&params);
    struct nn_graph *graph = nn_graph_create(&params);
    assert_non_null(graph);
    int features = nn_input(graph, "features", NN_ACTIVATION, 24);
    assert_ok(objective_init(&objective, (enum objective_kind)kind, 224, 64, 32, 6, &error), error);
    assert_ok(objective_build(&objective, graph, features, "classifier", &error), error);
    const struct nn_param *weight = nn_params_find(&params, "classifier.weight");
    const struct nn_param *bias = nn_params_find(&params, "classifier.bias");
    assert_true(params.count == 2 && weight && bias);
    assert_true(weight->rank == 2 && weight->dims[0] == 6 && weight->dims[1] == 24 && bias->dims[0] == 6);
    size_t count = objective_shapes(&objective, 5, shapes);
    assert_int_equal(count, kind == OBJECTIVE_BLOCK ? 4 : 3);
    for (size_t i = 0; i < count; i++) {
      assert_int_equal(nn_channels(graph, nn_find_output(graph, shapes[i].input)), shapes[i].shape.c);
      assert_int_equal(shapes[i].shape.n, i == 0 ? 5 : 1);
    }
    assert_int_equal(nn_channels(graph, nn_find_output(graph, "logits")), 6);
    assert_int_equal(nn_channels(graph, nn_find_output(graph, "loss")), 1);
    assert_int_equal(objective_build(&objective, graph, -1, "other", &error), -1);
    objective_free(&objective);
    nn_graph_free(graph);
    nn_params_free(&params);
  }
}

/* The class with the largest sum of log-probabilities, one by one. */
static int plain_prediction(const struct objective *objective, const struct grid *grid, const float *logits,
                            int region) {
  double sums[32] = {0};
  for (int64_t i = 0; i < objective->logits.h * objective->logits.w; i++) {
    const float *z = logits + i * objective->classes;
    int of = region;
    if (objective->kind == OBJECTIVE_ERF) of = region_at(grid, (int)i / grid->side, (int)i % grid->side);
    if (objective->kind == OBJECTIVE_BLOCK) of = (int)i;
    double total = 0;
    for (int c = 0; c < objective->classes; c++) {
      total += exp(z[c]);
    }
    for (int c = 0; c < objective->classes && of == region; c++) {
      sums[c] += z[c] - log(total);
    }
  }
  int best = 0;
  for (int c = 1; c < objective->classes; c++) {
    if (sums[c] > sums[best]) best = c;
  }
  return best;
}

static void test_score(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  for (uint64_t round = 0; round < SCORES; round++) {
    struct rng rng;
    struct error error;
    struct objective objective;
    struct objective_score score;
    rng_init(&rng, seed, RNG_TEST, 1, round);
    struct grid grid = random_objective(&rng, &objective);
    int regions = objective.regions.count, images = 1 + below(&rng, 5), largest = 0;
    int64_t count = images * nn_count(objective.logits), correct = 0, counted = 0, by_class = 0;
    int edge[2] = {grid.cut, grid.side - grid.cut};
    for (int r = 1; r < 4; r++) {
      if (edge[r & 1] * edge[r >> 1] > edge[largest & 1] * edge[largest >> 1]) largest = r;
    }
    float *logits = calloc((size_t)count, sizeof *logits);
    int32_t labels[5 * 4];
    assert_non_null(logits);
    for (int64_t i = 0; i < count; i++) {
      logits[i] = (float)rng_range(&rng, -4, 4);
    }
    for (int i = 0; i < images * regions; i++) {
      int image = i / regions, region = i % regions;
      int predicted = plain_prediction(&objective, &grid, logits + image * nn_count(objective.logits), region);
      labels[i] = below(&rng, 2) ? predicted : below(&rng, objective.classes + 2) - 1;
      bool asked = objective.kind != OBJECTIVE_GLOBAL || region == largest;
      asked = asked && labels[i] >= 0 && labels[i] < objective.classes;
      counted += asked;
      correct += asked && labels[i] == predicted;
    }
    assert_ok(objective_score_init(&score, &objective, &error), error);
    assert_true(objective_accuracy(&score) == 0);
    for (int twice = 0; twice < 2; twice++) {
      objective_score_clear(&score);
      objective_score_add(&score, &objective, logits, labels, 1);
      objective_score_add(&score, &objective, logits + nn_count(objective.logits), labels + regions, images - 1);
    }
    expect_near(objective_accuracy(&score), counted ? (double)correct / (double)counted : 0);
    for (int c = 0; c < objective.classes; c++) {
      assert_true(score.class_correct[c] <= score.class_count[c]);
      by_class += score.class_count[c];
    }
    assert_int_equal(by_class, counted);
    free(logits);
    objective_score_free(&score);
    objective_free(&objective);
  }
}

/* A network that has diverged is never right. */
static void test_score_of_nan(void **state) {
  (void)state;
  struct objective objective;
  struct objective_score score;
  struct error error;
  const float logits[3] = {NAN, NAN, NAN};
  const int32_t label = 0;
  assert_ok(objective_init(&objective, OBJECTIVE_CLASSIFY, 64, 0, 32, 3, &error), error);
  assert_ok(objective_score_init(&score, &objective, &error), error);
  objective_score_add(&score, &objective, logits, &label, 1);
  assert_int_equal(score.region_count[0], 1);
  assert_int_equal(score.region_correct[0], 0);
  objective_score_free(&score);
  objective_free(&objective);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tables), cmocka_unit_test(test_the_paper), cmocka_unit_test(test_refused),
      cmocka_unit_test(test_graph),  cmocka_unit_test(test_score),     cmocka_unit_test(test_score_of_nan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
