/* What nn_step_check refuses: random steps of every operation are right, and each with one thing changed is not. */
#include "nn/backend.h"

#include "tests/test_support.h"

#include "tests/nn_support.h"

#include "tests/nn_cases.h"

/* Whether an extent may have another value, alone. */
static bool is_free(const struct nn_step *step, int slot, int extent) {
  bool large = slot == (is_backward(step->op) && step->op != NN_OP_CONV_BACKWARD_WEIGHTS ? NN_DX : NN_X);
  bool windows = step->op <= NN_OP_CONV_BACKWARD_WEIGHTS ||
                 (step->op >= NN_OP_MAX_POOL && step->op <= NN_OP_AVERAGE_POOL_BACKWARD);
  bool rows = extent == 1 || extent == 2;
  bool global = step->op == NN_OP_GLOBAL_POOL || step->op == NN_OP_GLOBAL_POOL_BACKWARD;
  if ((windows || global) && large && rows) return true; /* a window may leave some out */
  if (step->op == NN_OP_UPSAMPLE || step->op == NN_OP_UPSAMPLE_BACKWARD) return rows;
  if (step->op == NN_OP_COPY_IN || step->op == NN_OP_COPY_OUT) return extent == 3; /* while there is room */
  if (step->op == NN_OP_CROSS_ENTROPY) return (slot == NN_X && extent == 3) || (slot == NN_MIX && extent == 0);
  bool saved = slot == NN_X || slot == NN_Y || slot == NN_SAVED; /* copies */
  return is_backward(step->op) && saved && extent == 0;
}

static void expect_refused(const struct nn_step *step, const char *what) {
  struct error error = {0};
  if (nn_step_check(step, &error) == 0) {
    fail_msg("%s: %s is not refused", nn_op_name(step->op), what);
  }
  if (!strstr(error.message, nn_op_name(step->op))) fail_msg("'%s' does not name the operation", error.message);
}

static void refuse_operand(struct nn_step *step, struct nn_operand **operand, int slot) {
  struct nn_operand *kept = *operand, good = *kept;
  char what[64];
  for (int extent = 0; extent < 4; extent++) {
    int64_t *extents[] = {&kept->shape.n, &kept->shape.h, &kept->shape.w, &kept->shape.c};
    snprintf(what, sizeof what, "extent %d of slot %d", extent, slot);
    *extents[extent] = 0;
    expect_refused(step, what);
    *extents[extent] = INT64_MAX / 3;
    expect_refused(step, what);
    *kept = good;
    (*extents[extent])++;
    if (!is_free(step, slot, extent)) expect_refused(step, what);
    *kept = good;
  }
  snprintf(what, sizeof what, "type of slot %d", slot);
  kept->dtype = good.dtype == NN_I32 ? NN_F32 : NN_I32;
  expect_refused(step, what);
  *kept = good;
}

static void refuse_operands(struct op_instance *instance) {
  struct nn_step *step = &instance->step;
  struct nn_operand extra = {{1, 1, 1, 1}, NN_F32, NULL};
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    struct nn_operand **places[] = {&step->in[slot], &step->out[slot]};
    for (int direction = IN; direction < DIRECTIONS; direction++) {
      struct nn_operand *operand = *places[direction];
      if (operand && !instance->from->same_addend) refuse_operand(step, places[direction], slot);
      bool never = (slot == NN_LABEL || slot == NN_SCALE) && step->op != NN_OP_CROSS_ENTROPY;
      if (operand || !never) continue;
      *places[direction] = &extra;
      expect_refused(step, "an operand of another operation");
      *places[direction] = NULL;
    }
  }
  struct nn_operand *needed[] = {step->in[NN_X], step->in[NN_DY]};
  step->in[NN_X] = step->in[NN_DY] = NULL;
  expect_refused(step, "no input");
  step->in[NN_X] = needed[0], step->in[NN_DY] = needed[1];
}

static void refuse_options(struct op_instance *instance) {
  struct nn_step *step = &instance->step, good = *step;
  bool conv = step->op <= NN_OP_CONV_BACKWARD_WEIGHTS;
  bool pool = step->op >= NN_OP_MAX_POOL && step->op <= NN_OP_AVERAGE_POOL_BACKWARD;
  int *const numbers[] = {&step->conv.kernel, &step->conv.stride, &step->conv.dilation, &step->pool.kernel,
                          &step->pool.stride, &step->conv.pad,    &step->pool.pad};
  for (int i = 0; i < (int)COUNT_OF(numbers); i++) {
    bool of_pool = i == 3 || i == 4 || i == 6;
    if (!(of_pool ? pool : conv)) continue;
    *numbers[i] = -1;
    expect_refused(step, "a negative number");
    *numbers[i] = 1 << 30;
    bool ends = i != 1 && i != 2 && i != 4; /* a huge stride sees one window, and one tap has no dilation */
    if (ends) expect_refused(step, "a huge number");
    *step = good;
  }
  if (step->op == NN_OP_COPY_IN || step->op == NN_OP_COPY_OUT) {
    step->channel = -1;
    expect_refused(step, "a negative channel");
    step->channel = nn_count((step->op == NN_OP_COPY_IN ? step->out[NN_Y] : step->in[NN_DY])->shape);
    expect_refused(step, "a channel beyond the end");
    *step = good;
  }
  if (!conv) return;
  step->conv.groups = 0;
  expect_refused(step, "no group");
  step->conv.groups = 1 << 20;
  expect_refused(step, "more groups than channels");
  *step = good;
  step->weight = NULL;
  expect_refused(step, "no weight");
  step->weight = step->norm ? step->norm->gamma : instance->params.items[0];
  if (step->weight->count != good.weight->count) expect_refused(step, "a weight of another layer");
  *step = good;
}

static void refuse_norm(struct op_instance *instance) {
  struct nn_norm_layer *norm = &instance->norm, good = *norm;
  norm->kind = NN_NORM_NONE;
  expect_refused(&instance->step, "no kind of norm");
  *norm = good;
  norm->eps = NAN;
  expect_refused(&instance->step, "an eps of NaN");
  *norm = good;
  norm->gamma = NULL;
  expect_refused(&instance->step, "no gamma");
  *norm = good;
  if (norm->kind == NN_NORM_GROUP) {
    norm->groups = 0;
  } else {
    norm->variance = NULL;
  }
  expect_refused(&instance->step, "no groups or no variance");
  *norm = good;
}

static void test_refused(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct nn_device ref;
  struct error error;
  assert_ok(nn_device_open(&ref, "ref", 1, &error), error);
  for (int op = 0; op < NN_OPS; op++) {
    for (uint64_t round = 0; round < 40; round++) {
      struct rng rng;
      rng_init(&rng, seed, RNG_TEST, 400 + (uint32_t)op, round);
      struct case_maker maker = {&rng, &ref, NN_F32, false};
      struct op_case c;
      struct op_instance instance;
      case_make(&c, op, &maker);
      op_open(&instance, &c, &ref, false);
      refuse_operands(&instance);
      refuse_options(&instance);
      if (c.normed) refuse_norm(&instance);
      op_close(&instance);
      case_free(&c);
    }
  }
  nn_device_close(&ref);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
