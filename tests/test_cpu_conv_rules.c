/* What the cpu backend decides by rule about convolutions, asked for processors that need not be here: the form, and
 * the implementations that are passed by. */
#include <math.h>

#include "nn/cpu/conv.h"
#include "tests/test_support.h"

enum { FORWARD = NN_OP_CONV, DATA = NN_OP_CONV_BACKWARD_DATA, WEIGHTS = NN_OP_CONV_BACKWARD_WEIGHTS };

struct layer {
  struct nn_operand x, y, addend;
  struct nn_step step;
};

/* n h w of X, in -> out channels. */
static void layer_make(struct layer *layer, int op, enum nn_dtype dtype, const int64_t x[4], struct nn_conv conv) {
  *layer = (struct layer){.step = {.op = (enum nn_op)op, .name = "conv", .conv = conv}};
  layer->x = (struct nn_operand){{x[0], x[1], x[2], x[3]}, dtype, NULL};
  layer->y = (struct nn_operand){{x[0], nn_windows(x[1], conv.kernel, conv.stride, conv.pad, conv.dilation),
                                  nn_windows(x[2], conv.kernel, conv.stride, conv.pad, conv.dilation), conv.out},
                                 dtype,
                                 NULL};
  layer->addend = layer->y;
  *(op == DATA ? &layer->step.out[NN_DX] : &layer->step.in[NN_X]) = &layer->x;
  *(op == FORWARD ? &layer->step.out[NN_Y] : &layer->step.in[NN_DY]) = &layer->y;
}

static void test_forms(void **state) {
  (void)state;
  static const struct {
    int op;
    enum nn_dtype dtype;
    int64_t x[4];
    struct nn_conv conv;
    enum conv_form plain, amx;
  } cases[] = {
      /* Weight gradients of ResNet-50: all of kernel 1 are packed products with tiles, also strided ones and vectors.
       */
      {WEIGHTS, NN_BF16, {16, 56, 56, 64}, {64, 1, 1, 0, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_PACKED_PRODUCT},
      {WEIGHTS, NN_BF16, {16, 56, 56, 64}, {256, 1, 1, 0, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_PACKED_PRODUCT},
      {WEIGHTS, NN_BF16, {16, 56, 56, 256}, {128, 1, 1, 0, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_PACKED_PRODUCT},
      {WEIGHTS, NN_BF16, {16, 56, 56, 256}, {512, 1, 2, 0, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_PACKED_PRODUCT},
      {WEIGHTS, NN_BF16, {16, 7, 7, 2048}, {512, 1, 1, 0, 1, 1, false}, CONV_AS_PRODUCT, CONV_AS_PACKED_PRODUCT},
      {WEIGHTS, NN_BF16, {16, 1, 1, 2048}, {1000, 1, 1, 0, 1, 1, true}, CONV_AS_PRODUCT, CONV_AS_PACKED_PRODUCT},
      {WEIGHTS, NN_BF16, {16, 14, 14, 512}, {512, 3, 2, 1, 1, 1, false}, CONV_AS_PRODUCT, CONV_AS_IT_IS},
      {WEIGHTS, NN_BF16, {16, 14, 14, 256}, {256, 3, 1, 1, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_IT_IS},
      {WEIGHTS, NN_BF16, {16, 224, 224, 3}, {64, 7, 2, 3, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_IT_IS},
      {WEIGHTS, NN_BF16, {16, 56, 56, 128}, {128, 3, 1, 1, 1, 32, false}, CONV_AS_IT_IS, CONV_AS_IT_IS},
      {WEIGHTS, NN_BF16, {16, 56, 56, 128}, {128, 1, 1, 0, 1, 32, false}, CONV_AS_IT_IS, CONV_AS_IT_IS},
      /* Tiles do not multiply float32. */
      {WEIGHTS, NN_F32, {16, 56, 56, 64}, {64, 1, 1, 0, 1, 1, false}, CONV_AS_PRODUCT, CONV_AS_PRODUCT},
      {WEIGHTS, NN_F32, {16, 56, 56, 128}, {128, 3, 2, 1, 1, 1, false}, CONV_AS_PRODUCT, CONV_AS_PRODUCT},
      {WEIGHTS, NN_F32, {16, 14, 14, 256}, {256, 3, 1, 1, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_IT_IS},
      {FORWARD, NN_F32, {16, 56, 56, 256}, {512, 1, 2, 0, 1, 1, false}, CONV_AS_PRODUCT, CONV_AS_PRODUCT},
      {FORWARD, NN_BF16, {16, 56, 56, 256}, {512, 1, 2, 0, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_IT_IS},
      {FORWARD, NN_BF16, {16, 1, 1, 2048}, {1000, 1, 1, 0, 1, 1, true}, CONV_AS_PRODUCT, CONV_AS_PRODUCT},
      {DATA, NN_F32, {16, 56, 56, 256}, {64, 1, 1, 0, 1, 1, false}, CONV_AS_PRODUCT, CONV_AS_PRODUCT},
      {DATA, NN_F32, {16, 56, 56, 64}, {256, 1, 1, 0, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_IT_IS},
      {DATA, NN_BF16, {16, 56, 56, 256}, {64, 1, 1, 0, 1, 1, false}, CONV_AS_IT_IS, CONV_AS_IT_IS},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct layer layer;
    layer_make(&layer, cases[i].op, cases[i].dtype, cases[i].x, cases[i].conv);
    enum conv_form plain = conv_form_of(&layer.step, false), amx = conv_form_of(&layer.step, true);
    if (plain == cases[i].plain && amx == cases[i].amx) continue;
    fail_msg("case %zu is made as form %d, and %d with AMX", i, (int)plain, (int)amx);
  }
}

static void test_passed_by(void **state) {
  (void)state;
  static const struct {
    const char *implementation;
    int op;
    int64_t x[4];
    struct nn_conv conv;
    bool wrong;
  } cases[] = {
      /* As the networks have it: the fast path. */
      {"jit:avx512_core_amx_bf16", WEIGHTS, {16, 224, 224, 3}, {64, 7, 2, 3, 1, 1, false}, false},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {16, 56, 56, 64}, {64, 3, 1, 1, 1, 1, false}, false},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {16, 56, 56, 128}, {128, 3, 2, 1, 1, 1, false}, false},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {16, 56, 56, 128}, {128, 3, 1, 1, 1, 32, false}, false},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {16, 7, 7, 512}, {512, 3, 1, 1, 1, 1, false}, false},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {16, 7, 7, 512}, {512, 1, 1, 0, 1, 1, false}, false},
      {"jit:avx512_core_amx", WEIGHTS, {16, 56, 56, 64}, {64, 3, 1, 1, 1, 1, false}, false},
      /* As it was seen to be wrong. */
      {"jit:avx512_core_amx_bf16", WEIGHTS, {2, 9, 6, 200}, {2, 5, 1, 4, 2, 2, false}, true},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {1, 6, 2, 100}, {1, 2, 1, 1, 2, 1, false}, true},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {3, 4, 9, 76}, {64, 1, 1, 0, 2, 2, false}, true},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {3, 2, 1, 48}, {25, 5, 3, 2, 1, 1, false}, true},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {1, 6, 1, 16}, {3, 2, 2, 1, 1, 1, false}, true},
      /* And where nobody knows. */
      {"jit:avx512_core_amx_bf16", WEIGHTS, {2, 40, 40, 64}, {64, 3, 1, 2, 2, 1, false}, true},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {2, 40, 40, 64}, {64, 3, 3, 1, 1, 1, false}, true},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {2, 40, 6, 64}, {64, 3, 1, 1, 1, 1, false}, true},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {2, 6, 40, 64}, {64, 3, 1, 1, 1, 1, false}, true},
      {"jit:avx512_core_amx_bf16", WEIGHTS, {2, 40, 40, 64}, {64, 9, 1, 4, 1, 1, false}, true},
      {"jit:avx512_core_amx", WEIGHTS, {2, 40, 40, 64}, {64, 3, 1, 2, 2, 1, false}, true},
      /* Only its weight gradient. */
      {"jit:avx512_core_amx_bf16", FORWARD, {2, 9, 6, 200}, {2, 5, 1, 4, 2, 2, false}, false},
      {"jit:avx512_core_amx_bf16", DATA, {2, 9, 6, 200}, {2, 5, 1, 4, 2, 2, false}, false},
      /* The others, with AMX and without. */
      {"jit_bf16:avx512_core_bf16", WEIGHTS, {3, 4, 1, 48}, {16, 3, 2, 1, 1, 1, false}, true},
      {"jit_bf16:avx512_core_bf16", WEIGHTS, {3, 4, 2, 48}, {16, 3, 2, 1, 1, 1, false}, false},
      {"brgconv:avx512_core_amx_bf16", FORWARD, {2, 9, 9, 72}, {64, 3, 1, 1, 1, 1, false}, true},
      {"brgconv:avx512_core_bf16", FORWARD, {2, 9, 9, 64}, {64, 1, 2, 0, 1, 1, false}, true},
      {"brgconv:avx512_core_bf16", FORWARD, {2, 9, 9, 64}, {64, 3, 2, 1, 1, 1, false}, false},
      {"brgconv_1x1:avx512_core_amx_bf16", FORWARD, {2, 9, 9, 72}, {64, 1, 1, 0, 1, 1, false}, false},
      {"jit_bf16_1x1:avx512_core_bf16", FORWARD, {2, 9, 9, 33}, {64, 1, 1, 0, 1, 1, false}, true},
      {"jit_bf16_1x1:avx512_core_bf16", DATA, {2, 9, 9, 64}, {33, 1, 1, 0, 1, 1, false}, true},
      {"jit_bf16_1x1:avx512_core_bf16", DATA, {2, 9, 9, 33}, {64, 1, 1, 0, 1, 1, false}, false},
      {"x64:gemm:jit", FORWARD, {2, 9, 9, 64}, {64, 3, 1, 1, 1, 1, false}, false},
  };
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    struct layer layer;
    layer_make(&layer, cases[i].op, NN_BF16, cases[i].x, cases[i].conv);
    if (conv_is_wrong(cases[i].implementation, &layer.step) == cases[i].wrong) continue;
    fail_msg("case %zu: %s %s", i, cases[i].implementation, cases[i].wrong ? "is used" : "is passed by");
  }
}

static void test_addends(void **state) {
  (void)state;
  struct layer layer;
  layer_make(&layer, FORWARD, NN_BF16, (int64_t[]){2, 9, 9, 64}, (struct nn_conv){64, 3, 1, 1, 1, 1, true});
  layer.step.in[NN_ADDEND] = &layer.addend;
  assert_true(conv_is_wrong("x64:gemm:jit", &layer.step));
  assert_true(conv_is_wrong("brdgmm_dw:avx512_core_amx_bf16", &layer.step));
  assert_false(conv_is_wrong("brgconv:avx512_core_bf16", &layer.step));
  layer.step.in[NN_ADDEND] = &layer.y;
  assert_false(conv_is_wrong("x64:gemm:jit", &layer.step));
  layer.step.conv.pad = 3; /* its corners see nothing */
  assert_true(conv_is_wrong("brgconv:avx512_core_bf16", &layer.step));
}

/* ---- trials ------------------------------------------------------------------------------------------------------ */

static int lies; /* which number the oracle changes; -1: none, it only counts its calls */
static int asked;

static int lying_run(struct nn_device *unused, struct nn_step *step, void *scratch, struct error *error) {
  if (nn_backend_ref.run(unused, step, scratch, error)) return -1;
  asked++;
  struct nn_operand *result = step->op == NN_OP_CONV ? step->out[NN_Y] : step->out[NN_DX];
  float *values = result ? result->data : nn_gradient(step->params, step->weight);
  if (lies >= 0) values[lies] += 1 + fabsf(values[lies]) / 32;
  return 0;
}

static int prepare_once(struct nn_device *own, struct nn_step *step, struct error *error) {
  size_t scratch;
  int result = own->backend->prepare(own, step, &scratch, error);
  if (result == 0) own->backend->forget(own, step);
  assert_null(step->state);
  return result;
}

/* One device's trials of a kind of step; how often the oracle was asked. */
static void check_trials(int op, bool bf16) {
  bool pointwise = op == DATA;
  struct nn_conv conv = {32, pointwise ? 1 : 3, 1, pointwise ? 0 : 1, 1, 1, false};
  struct nn_backend oracle = nn_backend_ref;
  struct nn_params params;
  struct nn_device own;
  struct error error = {0};
  struct layer layer;
  oracle.run = lying_run;
  assert_ok(nn_device_open(&own, "cpu", 0, &error), error);
  struct cpu_context *context = own.context;
  context->oracle = &oracle;
  layer_make(&layer, op, bf16 ? NN_BF16 : NN_F32, (int64_t[]){1, 9, 9, 32}, conv);
  nn_params_init(&params);
  int64_t dims[] = {32, 32, conv.kernel, conv.kernel};
  layer.step.params = &params, layer.step.training = true;
  layer.step.weight = nn_params_declare(&params, "weight", NN_WEIGHT, 4, dims, (struct nn_initial){0}, &error);
  assert_non_null(layer.step.weight);
  assert_ok(nn_params_allocate(&params, &own, true, &error), error);
  lies = 17, asked = 0;
  int result = prepare_once(&own, &layer.step, &error);
  assert_int_equal(result, asked ? -1 : 0);
  /* Other processors may have implementations that were never caught. */
  if (op == WEIGHTS && bf16 && cpu_has_isa(dnnl_cpu_isa_avx512_core_bf16)) assert_int_equal(asked, 1);
  if (asked) {
    assert_non_null(strstr(error.message, "conv: oneDNN "));
    assert_non_null(strstr(error.message, "computes a wrong conv"));
    assert_non_null(strstr(error.message, "DNNL_MAX_CPU_ISA"));
    lies = -1;
    for (int i = 0; i < 3; i++) {
      assert_ok(prepare_once(&own, &layer.step, &error), error);
    }
    assert_int_equal(asked, 2);
  } else {
    printf("%s in %s: was never caught\n", nn_op_name(layer.step.op), bf16 ? "bf16" : "f32");
  }
  nn_params_free(&params);
  nn_device_close(&own);
}

/* An implementation that was ever wrong is tried once on each device, before the first step runs with it; where it
 * differs from the oracle in a single number, nothing runs. */
static void test_trial(void **state) {
  (void)state;
  struct nn_device any;
  struct error error = {0};
  assert_ok(nn_device_open(&any, "cpu", 0, &error), error);
  bool has_bf16 = nn_device_supports(&any, NN_BF16, &error) == 0;
  nn_device_close(&any);
  for (int bf16 = 0; bf16 < (has_bf16 ? 2 : 1); bf16++) {
    check_trials(FORWARD, bf16);
    check_trials(DATA, bf16);
    check_trials(WEIGHTS, bf16);
  }
}

static void test_difference(void **state) {
  (void)state;
  float values[] = {1, -2, 0, 300}, want[] = {1, -2, 0, 300};
  uint16_t halves[4];
  struct nn_operand got = {{1, 1, 1, 4}, NN_F32, values};
  assert_int_equal(conv_first_difference(&got, want), -1);
  for (int i = 0; i < 4; i++) {
    for (int what = 0; what < 2; what++) {
      values[i] = what ? NAN : want[i] + 0.01f;
      assert_int_equal(conv_first_difference(&got, want), i);
    }
    values[i] = want[i];
  }
  got = (struct nn_operand){{1, 1, 1, 4}, NN_BF16, halves};
  for (int i = 0; i < 4; i++) {
    halves[i] = nn_bf16_from_f32(want[i]);
  }
  want[3] = 301;
  assert_int_equal(conv_first_difference(&got, want), -1);
  want[3] = 310;
  assert_int_equal(conv_first_difference(&got, want), 3);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_forms), cmocka_unit_test(test_passed_by),  cmocka_unit_test(test_addends),
      cmocka_unit_test(test_trial), cmocka_unit_test(test_difference),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
