/* What every backend may rely on: the operands that an operation needs are there, and their types, shapes and
 * parameters fit each other as nn/backend.h says. */
#include "nn/backend.h"

#define BIT(slot) (1u << (slot))

static const char *const slot_names[NN_SLOTS] = {
    [NN_X] = "X",         [NN_Y] = "Y",     [NN_ADDEND] = "ADDEND", [NN_SAVED] = "SAVED",
    [NN_DY] = "DY",       [NN_DY2] = "DY2", [NN_DX] = "DX",         [NN_DADDEND] = "DADDEND",
    [NN_LABEL] = "LABEL", [NN_MIX] = "MIX", [NN_SCALE] = "SCALE",
};

/* ---- which operands ---- */

struct signature {
  unsigned in, in_optional, out, out_optional;
};

static const struct signature signatures[NN_OPS] = {
    [NN_OP_CONV] = {BIT(NN_X), BIT(NN_ADDEND), BIT(NN_Y), 0},
    [NN_OP_CONV_BACKWARD_DATA] = {BIT(NN_DY), 0, BIT(NN_DX), 0},
    [NN_OP_CONV_BACKWARD_WEIGHTS] = {BIT(NN_X) | BIT(NN_DY), 0, 0, 0},
    [NN_OP_NORM] = {BIT(NN_X), BIT(NN_ADDEND), BIT(NN_Y), BIT(NN_SAVED)},
    [NN_OP_NORM_BACKWARD] = {BIT(NN_X) | BIT(NN_DY), BIT(NN_DY2) | BIT(NN_Y) | BIT(NN_SAVED), BIT(NN_DX),
                             BIT(NN_DADDEND)},
    [NN_OP_NORM_AGAIN] = {BIT(NN_X), BIT(NN_SAVED), BIT(NN_Y), 0},
    [NN_OP_RELU] = {BIT(NN_X), 0, BIT(NN_Y), 0},
    [NN_OP_RELU_BACKWARD] = {BIT(NN_Y) | BIT(NN_DY), BIT(NN_DY2), BIT(NN_DX), 0},
    [NN_OP_ADD] = {BIT(NN_X) | BIT(NN_ADDEND), 0, BIT(NN_Y), 0},
    [NN_OP_MAX_POOL] = {BIT(NN_X), 0, BIT(NN_Y), BIT(NN_SAVED)},
    [NN_OP_MAX_POOL_BACKWARD] = {BIT(NN_DY) | BIT(NN_SAVED), 0, BIT(NN_DX), 0},
    [NN_OP_AVERAGE_POOL] = {BIT(NN_X), 0, BIT(NN_Y), 0},
    [NN_OP_AVERAGE_POOL_BACKWARD] = {BIT(NN_DY), 0, BIT(NN_DX), 0},
    [NN_OP_GLOBAL_POOL] = {BIT(NN_X), 0, BIT(NN_Y), 0},
    [NN_OP_GLOBAL_POOL_BACKWARD] = {BIT(NN_DY), 0, BIT(NN_DX), 0},
    [NN_OP_REGION_POOL] = {BIT(NN_X) | BIT(NN_MIX), 0, BIT(NN_Y), 0},
    [NN_OP_REGION_POOL_BACKWARD] = {BIT(NN_DY) | BIT(NN_MIX), 0, BIT(NN_DX), 0},
    [NN_OP_UPSAMPLE] = {BIT(NN_X), 0, BIT(NN_Y), 0},
    [NN_OP_UPSAMPLE_BACKWARD] = {BIT(NN_DY), 0, BIT(NN_DX), 0},
    [NN_OP_COPY_IN] = {BIT(NN_X), 0, BIT(NN_Y), 0},
    [NN_OP_COPY_OUT] = {BIT(NN_DY), 0, BIT(NN_DX), 0},
    [NN_OP_CROSS_ENTROPY] = {BIT(NN_X) | BIT(NN_LABEL) | BIT(NN_MIX) | BIT(NN_SCALE), 0, BIT(NN_Y), BIT(NN_DX)},
};

static int check_operand(const struct nn_operand *operand, const char *direction, int slot, unsigned needed,
                         unsigned optional, struct error *error) {
  if (!operand) {
    return needed & BIT(slot) ? error_set(error, "needs %s[%s]", direction, slot_names[slot]) : 0;
  }
  if (!((needed | optional) & BIT(slot))) return error_set(error, "has no %s[%s]", direction, slot_names[slot]);
  const struct nn_shape *shape = &operand->shape;
  size_t bytes = nn_dtype_size(operand->dtype);
  bool fits = shape->n >= 1 && shape->h >= 1 && shape->w >= 1 && shape->c >= 1 &&
              size_muladd(bytes, (size_t)shape->n, 0, &bytes) && size_muladd(bytes, (size_t)shape->h, 0, &bytes) &&
              size_muladd(bytes, (size_t)shape->w, 0, &bytes) && size_muladd(bytes, (size_t)shape->c, 0, &bytes) &&
              bytes <= PTRDIFF_MAX;
  if (fits) return 0;
  return error_set(error, "%s of %lldx%lldx%lldx%lld is empty or too large", slot_names[slot], (long long)shape->n,
                   (long long)shape->h, (long long)shape->w, (long long)shape->c);
}

static int check_operands(const struct nn_step *step, struct error *error) {
  const struct signature *signature = &signatures[step->op];
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    if (check_operand(step->in[slot], "in", slot, signature->in, signature->in_optional, error)) return -1;
    if (check_operand(step->out[slot], "out", slot, signature->out, signature->out_optional, error)) return -1;
  }
  return 0;
}

/* ---- of which types ---- */

/* A slot whose type does not depend on the program's precision. */
static bool fixed_dtype(enum nn_op op, int slot, enum nn_dtype *dtype) {
  bool loss = op == NN_OP_CROSS_ENTROPY && (slot == NN_X || slot == NN_Y);
  if (slot == NN_LABEL) {
    *dtype = NN_I32;
  } else if (slot == NN_SAVED) {
    *dtype = op == NN_OP_MAX_POOL || op == NN_OP_MAX_POOL_BACKWARD ? NN_U8 : NN_F32;
  } else if (slot == NN_MIX || slot == NN_SCALE || loss) {
    *dtype = NN_F32;
  } else {
    return false;
  }
  return true;
}

/* Logits and their gradient may be float32 where the rest is bf16; what is added to them may be either. */
static enum nn_dtype precision_of(const struct nn_step *step, int slot) {
  const struct nn_operand *x = step->in[NN_X], *dx = step->out[NN_DX];
  const struct nn_operand *logits = !nn_op_is_conv(step->op) ? NULL
                                    : step->op == NN_OP_CONV ? step->out[NN_Y]
                                                             : step->in[NN_DY];
  bool wide = logits && logits->dtype == NN_F32 && (slot == NN_Y || slot == NN_DY);
  if (wide) return NN_F32;
  if (slot == NN_ADDEND && logits && logits->dtype == step->in[NN_ADDEND]->dtype) return logits->dtype;
  return dx && (!x || step->op == NN_OP_CROSS_ENTROPY) ? dx->dtype : x ? x->dtype : NN_F32;
}

static int check_dtype(const struct nn_step *step, const struct nn_operand *operand, int slot, struct error *error) {
  enum nn_dtype dtype;
  if (!operand) return 0;
  if (!fixed_dtype(step->op, slot, &dtype)) {
    dtype = precision_of(step, slot);
    if (dtype != NN_F32 && dtype != NN_BF16) {
      return error_set(error, "computes in f32 or bf16, not in %s", nn_dtype_name(dtype));
    }
  }
  if (operand->dtype == dtype) return 0;
  return error_set(error, "%s is %s instead of %s", slot_names[slot], nn_dtype_name(operand->dtype),
                   nn_dtype_name(dtype));
}

static int check_dtypes(const struct nn_step *step, struct error *error) {
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    if (check_dtype(step, step->in[slot], slot, error) || check_dtype(step, step->out[slot], slot, error)) return -1;
  }
  return 0;
}

/* ---- of which shapes ---- */

/* The operand, input or output, in a slot. */
static const struct nn_operand *operand_in(const struct nn_step *step, int slot) {
  return step->in[slot] ? step->in[slot] : step->out[slot];
}

static int expect(const struct nn_step *step, int slot, struct nn_shape shape, struct error *error) {
  const struct nn_operand *operand = operand_in(step, slot);
  if (!operand) return 0;
  const struct nn_shape *found = &operand->shape;
  if (found->n == shape.n && found->h == shape.h && found->w == shape.w && found->c == shape.c) return 0;
  return error_set(error, "%s is %lldx%lldx%lldx%lld instead of %lldx%lldx%lldx%lld", slot_names[slot],
                   (long long)found->n, (long long)found->h, (long long)found->w, (long long)found->c,
                   (long long)shape.n, (long long)shape.h, (long long)shape.w, (long long)shape.c);
}

static int expect_all(const struct nn_step *step, unsigned slots, struct nn_shape shape, struct error *error) {
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    if (slots & BIT(slot) && expect(step, slot, shape, error)) return -1;
  }
  return 0;
}

/* The batch of what the forward pass saved, of which the batch of the gradient is a multiple. */
static int expect_copies(const struct nn_step *step, int saved, struct error *error) {
  int64_t images = step->in[saved]->shape.n, gradients = step->in[NN_DY]->shape.n;
  if (gradients % images == 0) return 0;
  return error_set(error, "a batch of %lld gradients is not a multiple of the %lld images in %s", (long long)gradients,
                   (long long)images, slot_names[saved]);
}

static int conv_shapes(const struct nn_step *step, int small_slot, int large_slot, struct error *error) {
  const struct nn_conv *conv = &step->conv;
  struct nn_shape x = operand_in(step, large_slot)->shape;
  if (conv->kernel < 1 || conv->stride < 1 || conv->pad < 0 || conv->dilation < 1) {
    return error_set(error, "kernel %d, stride %d, pad %d, dilation %d: needs at least 1, 1, 0, 1", conv->kernel,
                     conv->stride, conv->pad, conv->dilation);
  }
  if (conv->groups < 1 || conv->out < 1 || x.c % conv->groups != 0 || conv->out % conv->groups != 0) {
    return error_set(error, "%lld input and %lld output channels cannot be %lld groups", (long long)x.c,
                     (long long)conv->out, (long long)conv->groups);
  }
  struct nn_shape y = {x.n, nn_windows(x.h, conv->kernel, conv->stride, conv->pad, conv->dilation),
                       nn_windows(x.w, conv->kernel, conv->stride, conv->pad, conv->dilation), conv->out};
  return expect_all(step, BIT(small_slot) | BIT(NN_ADDEND), y, error);
}

static int pool_shapes(const struct nn_step *step, int small_slot, int large_slot, struct error *error) {
  const struct nn_pool *pool = &step->pool;
  bool max = step->op == NN_OP_MAX_POOL || step->op == NN_OP_MAX_POOL_BACKWARD;
  struct nn_shape x = operand_in(step, large_slot)->shape;
  if (pool->kernel < 1 || pool->stride < 1 || pool->pad < 0 || pool->pad > pool->kernel / 2) {
    return error_set(error, "kernel %d, stride %d, pad %d: needs at least 1, 1, 0 and a pad of at most half the kernel",
                     pool->kernel, pool->stride, pool->pad);
  }
  if (max && pool->kernel > 16) return error_set(error, "kernel %d is larger than 16", pool->kernel);
  struct nn_shape y = {x.n, nn_windows(x.h, pool->kernel, pool->stride, pool->pad, 1),
                       nn_windows(x.w, pool->kernel, pool->stride, pool->pad, 1), x.c};
  if (expect(step, small_slot, y, error)) return -1;
  if (step->in[NN_SAVED]) {
    if (expect_copies(step, NN_SAVED, error)) return -1;
    y.n = step->in[NN_SAVED]->shape.n;
  }
  return expect(step, NN_SAVED, y, error);
}

static struct nn_shape statistics_shape(const struct nn_step *step, struct nn_shape x) {
  bool group = step->norm->kind == NN_NORM_GROUP;
  return (struct nn_shape){group ? x.n : 1, 1, 2, group ? step->norm->groups : x.c};
}

static int norm_shapes(const struct nn_step *step, struct error *error) {
  struct nn_shape x = step->in[NN_X]->shape;
  if (nn_norm_running(step->norm, step->training) && operand_in(step, NN_SAVED)) {
    return error_set(error, "running statistics have no SAVED");
  }
  if (step->norm->kind == NN_NORM_BATCH && step->training && x.n * x.h * x.w < 2) {
    return error_set(error, "batch statistics in training need more than one value per channel: a larger batch or map");
  }
  if (expect(step, NN_SAVED, statistics_shape(step, x), error)) return -1;
  if (step->op == NN_OP_NORM) return expect_all(step, BIT(NN_Y) | BIT(NN_ADDEND), x, error);
  if (!nn_norm_running(step->norm, step->training) && !step->in[NN_SAVED]) return error_set(error, "needs in[SAVED]");
  if (step->op == NN_OP_NORM_AGAIN) return expect(step, NN_Y, x, error);
  if (step->relu && step->out[NN_DADDEND] && !step->in[NN_Y]) {
    return error_set(error, "needs in[Y], since with an ADDEND the sign before the ReLU is not that of norm(X)");
  }
  if (expect_copies(step, NN_X, error) || expect(step, NN_Y, x, error)) return -1;
  if (step->norm->kind == NN_NORM_BATCH && step->training && step->in[NN_DY]->shape.n != x.n) {
    return error_set(error, "copies of gradients through batch statistics are not defined");
  }
  x.n = step->in[NN_DY]->shape.n;
  return expect_all(step, BIT(NN_DY) | BIT(NN_DY2) | BIT(NN_DX) | BIT(NN_DADDEND), x, error);
}

static int relu_backward_shapes(const struct nn_step *step, struct error *error) {
  struct nn_shape y = step->in[NN_Y]->shape;
  if (expect_copies(step, NN_Y, error)) return -1;
  y.n = step->in[NN_DY]->shape.n;
  return expect_all(step, BIT(NN_DY) | BIT(NN_DY2) | BIT(NN_DX), y, error);
}

/* One map for each region, or one for all. */
static int region_shapes(const struct nn_step *step, int small_slot, int large_slot, struct error *error) {
  struct nn_shape x = operand_in(step, large_slot)->shape;
  int64_t regions =
      step->op == NN_OP_GLOBAL_POOL || step->op == NN_OP_GLOBAL_POOL_BACKWARD ? 1 : step->in[NN_MIX]->shape.c;
  if (expect(step, NN_MIX, (struct nn_shape){1, x.h, x.w, regions}, error)) return -1;
  return expect(step, small_slot, (struct nn_shape){x.n, 1, regions, x.c}, error);
}

static int upsample_shapes(const struct nn_step *step, int small_slot, int large_slot, struct error *error) {
  struct nn_shape x = operand_in(step, small_slot)->shape, y = operand_in(step, large_slot)->shape;
  x.h = y.h, x.w = y.w;
  return expect(step, large_slot, x, error);
}

static int copy_shapes(const struct nn_step *step, int part_slot, int whole_slot, struct error *error) {
  struct nn_shape part = operand_in(step, part_slot)->shape, whole = operand_in(step, whole_slot)->shape;
  if (step->channel < 0 || step->channel > whole.c - part.c) {
    return error_set(error, "%lld channels from channel %lld are not within %lld", (long long)part.c,
                     (long long)step->channel, (long long)whole.c);
  }
  part.c = whole.c;
  return expect(step, whole_slot, part, error);
}

static int loss_shapes(const struct nn_step *step, struct error *error) {
  struct nn_shape x = step->in[NN_X]->shape;
  int64_t labels = step->in[NN_LABEL]->shape.c;
  int64_t tables = step->in[NN_MIX]->shape.n == 1 ? 1 : x.n;
  if (expect(step, NN_LABEL, (struct nn_shape){x.n, 1, 1, labels}, error) ||
      expect(step, NN_MIX, (struct nn_shape){tables, x.h, x.w, labels}, error) ||
      expect(step, NN_SCALE, (struct nn_shape){1, x.h, x.w, 1}, error) ||
      expect(step, NN_Y, (struct nn_shape){1, 1, 1, 1}, error)) {
    return -1;
  }
  return expect(step, NN_DX, x, error);
}

static int check_shapes(const struct nn_step *step, struct error *error) {
  switch (step->op) {
  case NN_OP_CONV:
    return conv_shapes(step, NN_Y, NN_X, error);
  case NN_OP_CONV_BACKWARD_DATA:
    return conv_shapes(step, NN_DY, NN_DX, error);
  case NN_OP_CONV_BACKWARD_WEIGHTS:
    return conv_shapes(step, NN_DY, NN_X, error);
  case NN_OP_NORM:
  case NN_OP_NORM_BACKWARD:
  case NN_OP_NORM_AGAIN:
    return norm_shapes(step, error);
  case NN_OP_RELU:
  case NN_OP_ADD:
    return expect_all(step, BIT(NN_Y) | BIT(NN_ADDEND), step->in[NN_X]->shape, error);
  case NN_OP_RELU_BACKWARD:
    return relu_backward_shapes(step, error);
  case NN_OP_MAX_POOL:
  case NN_OP_AVERAGE_POOL:
    return pool_shapes(step, NN_Y, NN_X, error);
  case NN_OP_MAX_POOL_BACKWARD:
  case NN_OP_AVERAGE_POOL_BACKWARD:
    return pool_shapes(step, NN_DY, NN_DX, error);
  case NN_OP_GLOBAL_POOL:
  case NN_OP_REGION_POOL:
    return region_shapes(step, NN_Y, NN_X, error);
  case NN_OP_GLOBAL_POOL_BACKWARD:
  case NN_OP_REGION_POOL_BACKWARD:
    return region_shapes(step, NN_DY, NN_DX, error);
  case NN_OP_UPSAMPLE:
    return upsample_shapes(step, NN_X, NN_Y, error);
  case NN_OP_UPSAMPLE_BACKWARD:
    return upsample_shapes(step, NN_DX, NN_DY, error);
  case NN_OP_COPY_IN:
    return copy_shapes(step, NN_X, NN_Y, error);
  case NN_OP_COPY_OUT:
    return copy_shapes(step, NN_DX, NN_DY, error);
  case NN_OP_CROSS_ENTROPY:
    return loss_shapes(step, error);
  case NN_OPS:
    break;
  }
  return error_set(error, "unknown operation");
}

/* ---- with which parameters ---- */

static int check_param(const struct nn_step *step, const struct nn_param *param, const char *role, int64_t count,
                       struct error *error) {
  if (!param) return error_set(error, "needs a parameter for its %s", role);
  if (!step->params) return error_set(error, "has no parameters to take its %s from", role);
  if (param->count != count) {
    return error_set(error, "%s has %lld elements instead of %lld", param->name, (long long)param->count,
                     (long long)count);
  }
  if (param->offset >= 0 && param->count <= step->params->elements - param->offset) return 0;
  return error_set(error, "%s is not among the parameters", param->name);
}

static int check_norm(const struct nn_step *step, int64_t channels, struct error *error) {
  const struct nn_norm_layer *norm = step->norm;
  if (!(norm->eps >= 0 && norm->momentum >= 0 && norm->momentum <= 1)) {
    return error_set(error, "eps %g, momentum %g: needs eps >= 0 and momentum in [0, 1]", norm->eps, norm->momentum);
  }
  if (check_param(step, norm->gamma, "gamma", channels, error)) return -1;
  if (check_param(step, norm->beta, "beta", channels, error)) return -1;
  if (norm->kind == NN_NORM_GROUP) {
    if (norm->groups >= 1 && channels % norm->groups == 0) return 0;
    return error_set(error, "%lld channels cannot be %lld groups", (long long)channels, (long long)norm->groups);
  }
  if (check_param(step, norm->mean, "running mean", channels, error)) return -1;
  if (check_param(step, norm->variance, "running variance", channels, error)) return -1;
  bool counts = step->op == NN_OP_NORM && norm->kind == NN_NORM_BATCH && step->training;
  return counts ? check_param(step, norm->batches, "count of batches", 1, error) : 0;
}

static bool known_norm(enum nn_norm kind) {
  return kind == NN_NORM_BATCH || kind == NN_NORM_FROZEN || kind == NN_NORM_GROUP;
}

/* Before the shapes, which depend on the kind of norm and on the groups of channels. */
static int check_layer(const struct nn_step *step, struct error *error) {
  const struct nn_norm_layer *norm = step->norm;
  bool is_norm = step->op == NN_OP_NORM || step->op == NN_OP_NORM_BACKWARD || step->op == NN_OP_NORM_AGAIN;
  if (is_norm && !norm) return error_set(error, "needs a norm");
  if (norm && !known_norm(norm->kind)) return error_set(error, "unknown kind of norm %d", (int)norm->kind);
  if (norm && !is_norm && norm->kind == NN_NORM_GROUP) return error_set(error, "a group norm cannot be folded");
  return is_norm ? check_norm(step, step->in[NN_X]->shape.c, error) : 0;
}

static int check_conv(const struct nn_step *step, struct error *error) {
  const struct nn_conv *conv = &step->conv;
  int64_t in = operand_in(step, step->op == NN_OP_CONV_BACKWARD_DATA ? NN_DX : NN_X)->shape.c / conv->groups;
  size_t count = (size_t)conv->kernel;
  if (!size_muladd(count, (size_t)conv->kernel, 0, &count) || !size_muladd(count, (size_t)in, 0, &count) ||
      !size_muladd(count, (size_t)conv->out, 0, &count) || count > PTRDIFF_MAX) {
    return error_set(error, "the weight is too large");
  }
  if (check_param(step, step->weight, "weight", (int64_t)count, error)) return -1;
  if (step->bias && check_param(step, step->bias, "bias", conv->out, error)) return -1;
  return step->norm ? check_norm(step, conv->out, error) : 0;
}

int nn_step_check(const struct nn_step *step, struct error *error) {
  if ((unsigned)step->op >= NN_OPS) return error_set(error, "unknown operation %d", (int)step->op);
  if (check_operands(step, error) || check_dtypes(step, error) || check_layer(step, error) ||
      check_shapes(step, error) || (nn_op_is_conv(step->op) && check_conv(step, error))) {
    return error_context(error, "%s %s", nn_op_name(step->op), step->name ? step->name : "");
  }
  return 0;
}

int nn_labels_check(const struct nn_step *step, struct error *error) {
  const struct nn_operand *labels = step->in[NN_LABEL];
  const int32_t *label = labels->data;
  int64_t classes = step->in[NN_X]->shape.c;
  for (int64_t i = 0; i < nn_count(labels->shape); i++) {
    if (label[i] < classes) continue;
    return error_set(error, "%s: label %d of image %lld is not one of %lld classes", step->name, (int)label[i],
                     (long long)(i / labels->shape.c), (long long)classes);
  }
  return 0;
}
