#include "core/base/base.h"
#include "nn/backbone/backbone.h"
#include "test_support.h"

/* What torchvision's documentation says of its networks, less their classifiers. */
struct fact {
  const char *arch;
  int64_t elements; /* trained */
  int64_t channels[6];
};

static const struct fact FACTS[] = {
    {"resnet18", 11689512 - 513000, {0, 0, 64, 128, 256, 512}},
    {"resnet34", 21797672 - 513000, {0, 0, 64, 128, 256, 512}},
    {"resnet50", 25557032 - 2049000, {0, 0, 256, 512, 1024, 2048}},
    {"resnet101", 44549160 - 2049000, {0, 0, 256, 512, 1024, 2048}},
    {"resnet152", 60192808 - 2049000, {0, 0, 256, 512, 1024, 2048}},
    {"resnext50_32x4d", 25028904 - 2049000, {0, 0, 256, 512, 1024, 2048}},
    {"resnext101_32x8d", 88791336 - 2049000, {0, 0, 256, 512, 1024, 2048}},
    {"resnext101_64x4d", 83455272 - 2049000, {0, 0, 256, 512, 1024, 2048}},
    {"wide_resnet50_2", 68883240 - 2049000, {0, 0, 256, 512, 1024, 2048}},
    {"vgg11", 132863336 - 123642856, {0, 0, 128, 256, 512, 512}},
    {"vgg13", 133047848 - 123642856, {0, 0, 128, 256, 512, 512}},
    {"vgg16", 138357544 - 123642856, {0, 0, 128, 256, 512, 512}},
    {"vgg19", 143667240 - 123642856, {0, 0, 128, 256, 512, 512}},
    {"vgg11_bn", 132868840 - 123642856, {0, 0, 128, 256, 512, 512}},
    {"vgg13_bn", 133053736 - 123642856, {0, 0, 128, 256, 512, 512}},
    {"vgg16_bn", 138365992 - 123642856, {0, 0, 128, 256, 512, 512}},
    {"vgg19_bn", 143678248 - 123642856, {0, 0, 128, 256, 512, 512}},
};

struct network {
  struct nn_params params;
  struct nn_graph *graph;
  struct backbone backbone;
};

static int build(struct network *network, const char *arch, enum nn_norm norm, bool zero, struct error *error) {
  nn_params_init(&network->params);
  network->graph = nn_graph_create(&network->params);
  assert_non_null(network->graph);
  int images = nn_input(network->graph, "images", NN_ACTIVATION, 3);
  return backbone_build(network->graph, images, arch, norm, zero, &network->backbone, error);
}

static void drop(struct network *network) {
  nn_graph_free(network->graph);
  nn_params_free(&network->params);
}

static void check_initial(const struct nn_param *param) {
  static const struct nn_initial EXPECTED[] = {
      [NN_WEIGHT] = {NN_KAIMING_NORMAL_FAN_OUT, 0},
      [NN_BIAS] = {NN_CONSTANT, 0},
      [NN_NORM_WEIGHT] = {NN_CONSTANT, 1},
      [NN_NORM_BIAS] = {NN_CONSTANT, 0},
      [NN_NORM_MEAN] = {NN_CONSTANT, 0},
      [NN_NORM_VARIANCE] = {NN_CONSTANT, 1},
      [NN_NORM_BATCHES] = {NN_CONSTANT, 0},
  };
  assert_int_equal(param->initial.kind, EXPECTED[param->role].kind);
  assert_true(param->initial.a == EXPECTED[param->role].a);
}

static void test_sizes(void **state) {
  (void)state;
  for (size_t i = 0; i < COUNT_OF(FACTS); i++) {
    const struct fact *fact = &FACTS[i];
    struct network network;
    struct error error;
    enum nn_norm norm;
    assert_string_equal(backbone_names[i], fact->arch);
    assert_ok(backbone_default_norm(fact->arch, &norm, &error), error);
    assert_ok(build(&network, fact->arch, norm, false, &error), error);
    assert_int_equal(nn_params_trainable(&network.params), fact->elements);
    assert_int_equal(network.backbone.channels, fact->channels[5]);
    for (int stage = 2; stage <= 5; stage++) {
      assert_int_equal(nn_channels(network.graph, network.backbone.stages[stage]), fact->channels[stage]);
    }
    for (size_t k = 0; k < network.params.count; k++) {
      check_initial(network.params.items[k]);
    }
    drop(&network);
  }
  assert_null(backbone_names[COUNT_OF(FACTS)]);
}

/* The trained elements do not depend on the norm, but for a frozen one, of which nothing is trained. */
static void test_norms(void **state) {
  (void)state;
  for (size_t i = 0; backbone_names[i]; i++) {
    const char *arch = backbone_names[i];
    struct network network;
    struct error error;
    enum nn_norm usual;
    assert_ok(backbone_default_norm(arch, &usual, &error), error);
    for (enum nn_norm norm = NN_NORM_NONE; norm <= NN_NORM_GROUP; norm++) {
      int result = build(&network, arch, norm, false, &error);
      assert_int_equal(result, (norm == NN_NORM_NONE) == (usual == NN_NORM_NONE) ? 0 : -1);
      if (result) assert_non_null(strstr(error.message, arch));
      int64_t norms = 0, statistics = 0;
      for (size_t k = 0; k < network.params.count; k++) {
        const struct nn_param *param = network.params.items[k];
        bool affine = param->role == NN_NORM_WEIGHT || param->role == NN_NORM_BIAS;
        if (affine) norms += param->count;
        if (affine) assert_int_equal(param->trainable, norm != NN_NORM_FROZEN);
        statistics += param->role == NN_NORM_MEAN || param->role == NN_NORM_VARIANCE;
      }
      if (!result) {
        assert_int_equal(statistics > 0, norm == NN_NORM_BATCH || norm == NN_NORM_FROZEN);
        int64_t expected = FACTS[i].elements - (norm == NN_NORM_FROZEN ? norms : 0);
        assert_int_equal(nn_params_trainable(&network.params), expected);
      }
      drop(&network);
    }
  }
}

static void test_unknown(void **state) {
  (void)state;
  struct network network;
  struct error error;
  enum nn_norm norm;
  assert_int_equal(build(&network, "resnet19", NN_NORM_BATCH, false, &error), -1);
  assert_non_null(strstr(error.message, "resnet19"));
  assert_non_null(strstr(error.message, "vgg19_bn"));
  assert_int_equal(backbone_default_norm("", &norm, &error), -1);
  drop(&network);
}

static double initial_gamma(const struct network *network, const char *name) {
  const struct nn_param *param = nn_params_find(&network->params, name);
  assert_non_null(param);
  assert_int_equal(param->initial.kind, NN_CONSTANT);
  return param->initial.a;
}

static void test_zero_init_residual(void **state) {
  (void)state;
  struct network network;
  struct error error;
  assert_ok(build(&network, "resnet18", NN_NORM_GROUP, true, &error), error);
  assert_true(initial_gamma(&network, "layer4.1.bn2.weight") == 0);
  assert_true(initial_gamma(&network, "layer4.1.bn1.weight") == 1);
  drop(&network);
  assert_ok(build(&network, "resnet50", NN_NORM_BATCH, true, &error), error);
  assert_true(initial_gamma(&network, "layer1.0.bn3.weight") == 0);
  assert_true(initial_gamma(&network, "layer1.0.bn2.weight") == 1);
  assert_true(initial_gamma(&network, "layer1.0.downsample.1.weight") == 1);
  drop(&network);
}

/* A graph that has failed before keeps its message. */
static void test_failed_graph(void **state) {
  (void)state;
  for (size_t i = 0; backbone_names[i]; i++) {
    struct nn_params params;
    struct backbone backbone;
    struct error error;
    enum nn_norm norm;
    nn_params_init(&params);
    struct nn_graph *graph = nn_graph_create(&params);
    assert_non_null(graph);
    int images = nn_input(graph, "nothing", NN_ACTIVATION, 0);
    assert_ok(backbone_default_norm(backbone_names[i], &norm, &error), error);
    assert_int_equal(backbone_build(graph, images, backbone_names[i], norm, true, &backbone, &error), -1);
    assert_non_null(strstr(error.message, "nothing"));
    nn_graph_free(graph);
    nn_params_free(&params);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sizes),        cmocka_unit_test(test_norms),
      cmocka_unit_test(test_unknown),      cmocka_unit_test(test_zero_init_residual),
      cmocka_unit_test(test_failed_graph),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
