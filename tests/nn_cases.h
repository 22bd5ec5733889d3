/* Random cases of every operation: shapes with odd ends, options, optional operands, overlays, copies; and data that
 * leave no doubt about the answer (no variance of almost 0, no sign that rounding could change). Include after
 * tests/nn_support.h. */
#ifndef JIGSAW_TESTS_NN_CASES_H
#define JIGSAW_TESTS_NN_CASES_H

/* `small`: for finite differences. */
struct case_maker {
  struct rng *rng;
  struct nn_device *ref;
  enum nn_dtype precision;
  bool small;
};

static inline int64_t pick(const struct case_maker *maker, int64_t low, int64_t high) { /* inclusive */
  return low + (int64_t)rng_below(maker->rng, (uint64_t)(high - low + 1));
}

static inline bool chance(const struct case_maker *maker, double p) {
  return rng_uniform(maker->rng) < p;
}

static inline struct nn_shape random_shape(const struct case_maker *maker) {
  static const int64_t CHANNELS[] = {1, 2, 3, 5, 8, 15, 16, 17, 24, 32, 33, 48, 64, 67};
  if (maker->small)
    return (struct nn_shape){pick(maker, 1, 2), pick(maker, 1, 4), pick(maker, 1, 4), pick(maker, 1, 4)};
  return (struct nn_shape){chance(maker, 0.4) ? 1 : pick(maker, 2, 4), pick(maker, 1, 9), pick(maker, 1, 9),
                           CHANNELS[rng_below(maker->rng, COUNT_OF(CHANNELS))]};
}

static inline bool is_backward(enum nn_op op) {
  return op == NN_OP_CONV_BACKWARD_DATA || op == NN_OP_CONV_BACKWARD_WEIGHTS || op == NN_OP_NORM_BACKWARD ||
         op == NN_OP_RELU_BACKWARD || op == NN_OP_MAX_POOL_BACKWARD || op == NN_OP_AVERAGE_POOL_BACKWARD ||
         op == NN_OP_GLOBAL_POOL_BACKWARD || op == NN_OP_REGION_POOL_BACKWARD || op == NN_OP_UPSAMPLE_BACKWARD ||
         op == NN_OP_COPY_OUT;
}

/* Gradients of as many copies as the finite differences do not take. */
static inline struct nn_shape copies_of(const struct case_maker *maker, struct nn_shape saved) {
  if (!maker->small && chance(maker, 0.4)) saved.n *= pick(maker, 2, 3);
  return saved;
}

/* ---- convolutions ---- */

static inline int64_t pooled(int64_t in, int64_t extent, int64_t stride, int64_t pad) {
  return in + 2 * pad < extent ? 0 : (in + 2 * pad - extent) / stride + 1;
}

static inline void conv_shapes(struct op_case *c, const struct case_maker *maker, struct nn_shape *x,
                               struct nn_shape *y) {
  static const int KERNELS[] = {1, 1, 1, 2, 3, 3, 3, 5, 7};
  struct nn_conv *conv = &c->step.conv;
  do {
    *x = random_shape(maker);
    conv->kernel = KERNELS[rng_below(maker->rng, COUNT_OF(KERNELS))];
    conv->stride = chance(maker, 0.5) ? 1 : (int)pick(maker, 2, 3);
    conv->pad = chance(maker, 0.5) ? conv->kernel / 2 : (int)pick(maker, 0, conv->kernel - 1);
    conv->dilation = chance(maker, 0.75) ? 1 : (int)pick(maker, 2, 3);
    conv->groups = chance(maker, 0.6) ? 1 : pick(maker, 2, maker->small ? 3 : 8);
    int64_t out = random_shape(maker).c;
    if (conv->groups > 1) {
      x->c = conv->groups * (maker->small || chance(maker, 0.3) ? pick(maker, 1, 2) : pick(maker, 3, 8));
      out = conv->groups * (maker->small || chance(maker, 0.3) ? pick(maker, 1, 2) : pick(maker, 3, 8));
    }
    conv->out = out;
    int64_t extent = conv->dilation * (conv->kernel - 1) + 1;
    *y = (struct nn_shape){x->n, pooled(x->h, extent, conv->stride, conv->pad),
                           pooled(x->w, extent, conv->stride, conv->pad), out};
  } while (y->h < 1 || y->w < 1);
}

static inline void norm_params(struct op_case *c, const struct case_maker *maker, int64_t channels, double natural) {
  for (int i = GAMMA; i <= BETA; i++) {
    case_param(c, i, 1, &channels, natural);
    c->params[i].trainable = chance(maker, 0.8);
  }
  c->normed = true;
  c->norm.eps = 1e-5;
  c->norm.momentum = 0.1;
  if (c->norm.kind == NN_NORM_GROUP) return;
  case_param(c, MEAN, 1, &channels, 5);
  case_param(c, VARIANCE, 1, &channels, 2);
  case_param(c, BATCHES, 0, NULL, 1);
}

static inline void conv_case(struct op_case *c, const struct case_maker *maker) {
  struct nn_shape x, y;
  conv_shapes(c, maker, &x, &y);
  const struct nn_conv *conv = &c->step.conv;
  double taps = (double)conv->kernel * conv->kernel, scale = 1;
  c->step.training = chance(maker, 0.5);
  if (chance(maker, 0.4)) {
    c->norm.kind = !c->step.training && chance(maker, 0.6) ? NN_NORM_BATCH : NN_NORM_FROZEN;
    norm_params(c, maker, y.c, 1);
    scale = 2;
  }
  bool linear = conv->kernel == 1 && conv->groups == 1 && conv->stride == 1 && conv->pad == 0;
  double positions = scale * sqrt((double)(y.n * y.h * y.w)) + 1;
  case_param(c, WEIGHT, linear && chance(maker, 0.5) ? 2 : 4,
             (int64_t[]){y.c, x.c / conv->groups, conv->kernel, conv->kernel}, positions);
  if (chance(maker, 0.5)) case_param(c, BIAS, 1, &y.c, positions);
  c->params[WEIGHT].trainable = chance(maker, 0.8);
  c->params[BIAS].trainable = chance(maker, 0.8);
  enum nn_dtype dtype = chance(maker, 0.15) ? NN_F32 : maker->precision;
  if (c->step.op == NN_OP_CONV) {
    double natural = scale * (sqrt(taps * (double)(x.c / conv->groups)) + 1) + 1;
    case_use(c, IN, NN_X, x, maker->precision, 1);
    c->step.relu = !maker->small && chance(maker, 0.5);
    bool addend = dtype == maker->precision && chance(maker, 0.4);
    if (addend) case_use(c, IN, NN_ADDEND, y, dtype, 1);
    case_use(c, OUT, NN_Y, y, dtype, natural);
  } else if (c->step.op == NN_OP_CONV_BACKWARD_DATA) {
    case_use(c, IN, NN_DY, y, dtype, 1);
    case_use(c, OUT, NN_DX, x, maker->precision, scale * sqrt(taps * (double)(y.c / conv->groups)) + 1);
  } else {
    c->step.accumulate = chance(maker, 0.3);
    case_use(c, IN, NN_X, x, maker->precision, 1);
    case_use(c, IN, NN_DY, y, maker->precision, 1);
  }
}

/* ---- norms ---- */

static inline bool has_saved(const struct op_case *c) {
  return !nn_norm_running(&c->norm, c->step.training);
}

static inline struct nn_shape saved_shape(const struct op_case *c, struct nn_shape x) {
  bool group = c->norm.kind == NN_NORM_GROUP;
  return (struct nn_shape){group ? x.n : 1, 1, 2, group ? c->norm.groups : x.c};
}

/* Enough values in each set that none has a variance of almost 0. */
static inline void norm_shapes(struct op_case *c, const struct case_maker *maker, struct nn_shape *x) {
  int64_t size;
  c->norm.kind = chance(maker, 0.35) ? NN_NORM_GROUP : chance(maker, 0.7) ? NN_NORM_BATCH : NN_NORM_FROZEN;
  c->step.training = chance(maker, 0.6);
  do {
    *x = random_shape(maker);
    c->norm.groups = pick(maker, 1, x->c);
    if (x->c % c->norm.groups) c->norm.groups = 1;
    size = x->h * x->w * (c->norm.kind == NN_NORM_GROUP ? x->c / c->norm.groups : x->n);
  } while (size < 6 || (maker->small && nn_count(*x) > 40));
}

static inline void norm_case(struct op_case *c, const struct case_maker *maker) {
  struct nn_shape x;
  norm_shapes(c, maker, &x);
  c->step.relu = chance(maker, 0.5);
  bool addend = chance(maker, 0.5);
  case_use(c, IN, NN_X, x, maker->precision, 1);
  if (c->step.op == NN_OP_NORM) {
    norm_params(c, maker, x.c, 1);
    if (addend) case_use(c, IN, NN_ADDEND, x, maker->precision, 1);
    case_use(c, OUT, NN_Y, x, maker->precision, 5);
    if (has_saved(c) && chance(maker, 0.7)) case_use(c, OUT, NN_SAVED, saved_shape(c, x), NN_F32, 1);
    if (chance(maker, 0.4)) c->operands[OUT][NN_Y].overlay = 1 + NN_X;
    return;
  }
  if (c->step.op == NN_OP_NORM_AGAIN) {
    norm_params(c, maker, x.c, 1);
    if (has_saved(c)) case_use(c, IN, NN_SAVED, saved_shape(c, x), NN_F32, 1);
    case_use(c, OUT, NN_Y, x, maker->precision, 5);
    return;
  }
  bool batch = c->norm.kind == NN_NORM_BATCH && c->step.training;
  struct nn_shape dy = batch ? x : copies_of(maker, x);
  norm_params(c, maker, x.c, 4 * sqrt((double)(dy.n * dy.h * dy.w)));
  c->step.accumulate = chance(maker, 0.3);
  if (has_saved(c)) case_use(c, IN, NN_SAVED, saved_shape(c, x), NN_F32, 1);
  case_use(c, IN, NN_DY, dy, maker->precision, 1);
  if (chance(maker, 0.4)) case_use(c, IN, NN_DY2, dy, maker->precision, 1);
  if (addend && c->step.relu) case_use(c, IN, NN_Y, x, maker->precision, 1);
  case_use(c, OUT, NN_DX, dy, maker->precision, maker->small ? 1 : 30);
  if (chance(maker, 0.4)) c->operands[OUT][NN_DX].overlay = 1 + NN_DY;
  if (!addend || chance(maker, 0.3)) return;
  case_use(c, OUT, NN_DADDEND, dy, maker->precision, 1);
  if (c->operands[IN][NN_DY2].present && chance(maker, 0.5)) c->operands[OUT][NN_DADDEND].overlay = 1 + NN_DY2;
}

/* ---- maps ---- */

static inline void point_case(struct op_case *c, const struct case_maker *maker) {
  struct nn_shape x = random_shape(maker);
  if (c->step.op == NN_OP_RELU_BACKWARD) {
    struct nn_shape dy = copies_of(maker, x);
    case_use(c, IN, NN_Y, x, maker->precision, 1);
    case_use(c, IN, NN_DY, dy, maker->precision, 1);
    if (chance(maker, 0.5)) case_use(c, IN, NN_DY2, dy, maker->precision, 1);
    case_use(c, OUT, NN_DX, dy, maker->precision, 1);
    if (chance(maker, 0.5)) c->operands[OUT][NN_DX].overlay = 1 + NN_DY;
    return;
  }
  case_use(c, IN, NN_X, x, maker->precision, 1);
  if (c->step.op == NN_OP_ADD) {
    c->same_addend = chance(maker, 0.1);
    if (!c->same_addend) case_use(c, IN, NN_ADDEND, x, maker->precision, 1);
    c->step.relu = chance(maker, 0.5);
  }
  case_use(c, OUT, NN_Y, x, maker->precision, 1);
  if (chance(maker, 0.5)) {
    bool on_addend = c->operands[IN][NN_ADDEND].present && chance(maker, 0.5);
    c->operands[OUT][NN_Y].overlay = 1 + (on_addend ? NN_ADDEND : NN_X);
  }
}

static inline void pool_case(struct op_case *c, const struct case_maker *maker) {
  struct nn_pool *pool = &c->step.pool;
  struct nn_shape x, y;
  bool max = c->step.op == NN_OP_MAX_POOL || c->step.op == NN_OP_MAX_POOL_BACKWARD;
  do {
    x = random_shape(maker);
    pool->kernel = (int)(chance(maker, 0.9) ? pick(maker, 1, 4) : pick(maker, 5, max ? 16 : 20));
    pool->stride = (int)pick(maker, 1, 4);
    pool->pad = (int)pick(maker, 0, pool->kernel / 2);
    y = (struct nn_shape){x.n, pooled(x.h, pool->kernel, pool->stride, pool->pad),
                          pooled(x.w, pool->kernel, pool->stride, pool->pad), x.c};
  } while (y.h < 1 || y.w < 1);
  if (!is_backward(c->step.op)) {
    case_use(c, IN, NN_X, x, maker->precision, 1);
    case_use(c, OUT, NN_Y, y, maker->precision, 1);
    if (max && chance(maker, 0.7)) case_use(c, OUT, NN_SAVED, y, NN_U8, 1);
    return;
  }
  int64_t overlap = (pool->kernel + pool->stride - 1) / pool->stride;
  if (max) {
    case_use(c, IN, NN_SAVED, y, NN_U8, 1);
    y = copies_of(maker, y);
    x.n = y.n;
  }
  case_use(c, IN, NN_DY, y, maker->precision, 1);
  case_use(c, OUT, NN_DX, x, maker->precision, max ? (double)(overlap * overlap) : 1);
}

static inline void region_case(struct op_case *c, const struct case_maker *maker) {
  bool global = c->step.op == NN_OP_GLOBAL_POOL || c->step.op == NN_OP_GLOBAL_POOL_BACKWARD;
  struct nn_shape x = random_shape(maker), y = {x.n, 1, global ? 1 : pick(maker, 1, 5), x.c};
  bool backward = is_backward(c->step.op);
  if (!global) case_use(c, IN, NN_MIX, (struct nn_shape){1, x.h, x.w, y.w}, NN_F32, 1);
  case_use(c, IN, backward ? NN_DY : NN_X, backward ? y : x, maker->precision, 1);
  case_use(c, OUT, backward ? NN_DX : NN_Y, backward ? x : y, maker->precision, global ? 1 : (double)(x.h * x.w));
}

static inline void copy_case(struct op_case *c, const struct case_maker *maker) {
  struct nn_shape part = random_shape(maker), whole = part;
  bool upsample = c->step.op == NN_OP_UPSAMPLE || c->step.op == NN_OP_UPSAMPLE_BACKWARD;
  if (upsample) {
    whole.h = pick(maker, 1, 12);
    whole.w = pick(maker, 1, 12);
  } else {
    c->step.channel = pick(maker, 0, 40);
    whole.c += c->step.channel + pick(maker, 0, 40);
  }
  if (c->step.op == NN_OP_COPY_IN || c->step.op == NN_OP_UPSAMPLE) {
    case_use(c, IN, NN_X, part, maker->precision, 1);
    case_use(c, OUT, NN_Y, whole, maker->precision, 1);
  } else {
    double copied = (double)((whole.h / part.h + 1) * (whole.w / part.w + 1));
    case_use(c, IN, NN_DY, whole, maker->precision, 1);
    case_use(c, OUT, NN_DX, part, maker->precision, upsample ? copied : 1);
  }
}

static inline void loss_case(struct op_case *c, const struct case_maker *maker) {
  struct nn_shape x = random_shape(maker);
  int64_t labels = chance(maker, 0.2) ? x.c : pick(maker, 1, 4);
  case_use(c, IN, NN_X, x, NN_F32, 1);
  case_use(c, IN, NN_LABEL, (struct nn_shape){x.n, 1, 1, labels}, NN_I32, 1);
  case_use(c, IN, NN_MIX, (struct nn_shape){chance(maker, 0.5) ? 1 : x.n, x.h, x.w, labels}, NN_F32, 1);
  case_use(c, IN, NN_SCALE, (struct nn_shape){1, x.h, x.w, 1}, NN_F32, 1);
  case_use(c, OUT, NN_Y, (struct nn_shape){1, 1, 1, 1}, NN_F32, 1);
  if (maker->small || chance(maker, 0.7)) case_use(c, OUT, NN_DX, x, maker->precision, (double)labels);
}

static inline void case_make(struct op_case *c, enum nn_op op, const struct case_maker *maker) {
  *c = (struct op_case){.step = {.op = op, .name = "test"}, .precision = maker->precision};
  c->gradients = maker->small || chance(maker, 0.9);
  if (op <= NN_OP_CONV_BACKWARD_WEIGHTS) {
    conv_case(c, maker);
  } else if (op <= NN_OP_NORM_AGAIN) {
    norm_case(c, maker);
  } else if (op <= NN_OP_ADD) {
    point_case(c, maker);
  } else if (op <= NN_OP_AVERAGE_POOL_BACKWARD) {
    pool_case(c, maker);
  } else if (op <= NN_OP_REGION_POOL_BACKWARD) {
    region_case(c, maker);
  } else if (op <= NN_OP_COPY_OUT) {
    copy_case(c, maker);
  } else {
    loss_case(c, maker);
  }
  static const int BOUND[] = {NN_X, NN_DY, NN_LABEL, NN_MIX, NN_SCALE}; /* may be memory of the program's caller */
  for (size_t i = 0; i < COUNT_OF(BOUND) && !maker->small; i++)
    c->operands[IN][BOUND[i]].shifted = chance(maker, 0.2);
}

/* ---- data ---- */

static inline void draw(const struct case_maker *maker, struct case_operand *operand, double low, double high) {
  for (int64_t i = 0; operand->present && i < nn_count(operand->shape); i++) {
    float value = (float)rng_range(maker->rng, low, high);
    operand->values[i] = operand->dtype == NN_BF16 ? nn_f32_from_bf16(nn_bf16_from_f32(value)) : value;
  }
}

static inline void draw_param(const struct case_maker *maker, struct case_param *param, double low, double high) {
  for (int64_t i = 0; param->present && i < param->count; i++) {
    param->values[i] = (float)rng_range(maker->rng, low, high);
    param->gradient[i] = (float)rng_range(maker->rng, -1, 1);
  }
}

/* Weights are such that bf16 has them: how a backend rounds is seen with folded norms only. */
static inline void draw_params(const struct case_maker *maker, struct op_case *c) {
  draw_param(maker, &c->params[WEIGHT], -1, 1);
  for (int64_t i = 0; maker->precision == NN_BF16 && i < c->params[WEIGHT].count; i++)
    c->params[WEIGHT].values[i] = nn_f32_from_bf16(nn_bf16_from_f32(c->params[WEIGHT].values[i]));
  draw_param(maker, &c->params[BIAS], -1, 1);
  draw_param(maker, &c->params[GAMMA], 0.5, 1.5);
  for (int64_t i = 0; i < c->params[GAMMA].count; i++) {
    if (chance(maker, 0.25)) c->params[GAMMA].values[i] *= -1;
  }
  draw_param(maker, &c->params[BETA], -1, 1);
  draw_param(maker, &c->params[MEAN], -0.5, 0.5);
  draw_param(maker, &c->params[VARIANCE], 0.5, 2);
  if (c->params[BATCHES].present) c->params[BATCHES].values[0] = (float)pick(maker, 0, 1000);
}

static inline void draw_labels(const struct case_maker *maker, struct op_case *c) {
  const struct case_operand *x = &c->operands[IN][NN_X];
  struct case_operand *labels = &c->operands[IN][NN_LABEL];
  for (int64_t i = 0; labels->present && i < nn_count(labels->shape); i++)
    labels->values[i] = (float)pick(maker, chance(maker, 0.2) ? -2 : 0, x->shape.c - 1);
}

/* Max pools want ties, or for finite differences values that are far apart. */
static inline void draw_pooled(const struct case_maker *maker, struct case_operand *x) {
  int64_t count = nn_count(x->shape);
  uint64_t seed = rng_u32(maker->rng);
  bool ties = !maker->small && chance(maker, 0.5);
  draw(maker, x, -1, 1);
  for (int64_t i = 0; i < count && (ties || maker->small); i++) {
    uint64_t place = rng_permute(seed, 0, 0, (uint64_t)count, (uint64_t)i);
    x->values[i] = ties ? (float)pick(maker, -3, 3) : 2 * (float)place / (float)count - 1;
  }
}

/* ---- the forward pass that a backward step belongs to ---- */

static inline enum nn_op forward_of(enum nn_op op) {
  if (op == NN_OP_CONV_BACKWARD_WEIGHTS) return NN_OP_CONV;
  if (op == NN_OP_NORM_AGAIN) return NN_OP_NORM;
  return is_backward(op) ? op - 1 : op;
}

/* Same options and parameters; X, if `c` has none, and ADDEND are left to draw. */
static inline void forward_make(struct op_case *forward, const struct op_case *c) {
  const struct case_operand *in = c->operands[IN];
  *forward = *c;
  forward->arena = (struct arena){0};
  forward->step.op = forward_of(c->step.op);
  memset(forward->operands, 0, sizeof forward->operands);
  struct nn_shape x = in[NN_X].present ? in[NN_X].shape : c->operands[OUT][NN_DX].shape;
  struct nn_shape y = in[NN_DY].present ? in[NN_DY].shape : x;
  int saved = c->step.op == NN_OP_MAX_POOL_BACKWARD ? NN_SAVED : c->step.op == NN_OP_RELU_BACKWARD ? NN_Y : NN_X;
  if (in[saved].present) x.n = y.n = in[saved].shape.n;
  struct case_operand *own = case_use(forward, IN, NN_X, x, NN_F32, 1);
  if (in[NN_X].present) own->values = in[NN_X].values;
  if (in[NN_MIX].present) forward->operands[IN][NN_MIX] = in[NN_MIX];
  case_use(forward, OUT, NN_Y, y, NN_F32, 1);
  if (c->step.op == NN_OP_MAX_POOL_BACKWARD) case_use(forward, OUT, NN_SAVED, y, NN_U8, 1);
  if (forward->step.op != NN_OP_NORM) return;
  if (in[NN_Y].present || c->operands[OUT][NN_DADDEND].present) case_use(forward, IN, NN_ADDEND, y, NN_F32, 1);
  if (has_saved(c)) case_use(forward, OUT, NN_SAVED, saved_shape(c, x), NN_F32, 1);
}

static inline void forward_run(const struct case_maker *maker, const struct op_case *forward) {
  struct op_instance instance;
  op_open(&instance, forward, maker->ref, true);
  op_fill(&instance);
  op_run(&instance);
  op_output(&instance, NN_Y, forward->operands[OUT][NN_Y].values);
  if (forward->operands[OUT][NN_SAVED].present) op_output(&instance, NN_SAVED, forward->operands[OUT][NN_SAVED].values);
  op_close(&instance);
}

/* Whether statistics are far from 0 / 0, and no value before the ReLU is so near 0 that its sign could be another. */
static inline bool unambiguous(const struct case_maker *maker, const struct op_case *forward) {
  const struct case_operand *saved = &forward->operands[OUT][NN_SAVED], *y = &forward->operands[OUT][NN_Y];
  for (int64_t i = 0; saved->present && i < nn_count(saved->shape); i++) {
    bool inverse = i / saved->shape.c % 2;
    if (inverse && !(saved->values[i] <= (maker->small ? 4 : 10))) return false;
  }
  for (int64_t i = 0; forward->step.relu && i < nn_count(y->shape); i++) {
    if (!(fabsf(y->values[i]) >= (maker->small ? 0.05f : 2e-5f))) return false;
  }
  return true;
}

static inline void copy_values(struct case_operand *to, const struct case_operand *from) {
  if (to->present) memcpy(to->values, from->values, (size_t)nn_count(to->shape) * sizeof(float));
}

/* X of a norm, and with it what the forward pass would have left for the backward step. */
static inline void draw_norm(const struct case_maker *maker, struct op_case *c, struct op_case *forward) {
  struct case_operand *y = &c->operands[IN][NN_Y];
  for (int tries = 0; tries < 5000; tries++) {
    bool far = has_saved(c) && !maker->small && chance(maker, 0.3);
    double offset = far ? rng_range(maker->rng, -4, 4) : 0;
    double spread = rng_range(maker->rng, 1, 2);
    draw(maker, &c->operands[IN][NN_X], offset - spread, offset + spread);
    draw_param(maker, &c->params[BETA], -1, 1);
    draw(maker, &forward->operands[IN][NN_ADDEND], -2, 2);
    bool relu = forward->step.relu;
    forward->step.relu = false;
    forward_run(maker, forward);
    forward->step.relu = relu;
    if (!unambiguous(maker, forward)) continue;
    copy_values(&c->operands[IN][NN_SAVED], &forward->operands[OUT][NN_SAVED]);
    copy_values(y, &forward->operands[OUT][NN_Y]);
    for (int64_t i = 0; y->present && i < nn_count(y->shape); i++)
      y->values[i] = fmaxf(y->values[i], 0);
    return;
  }
  fail_msg("found no data without doubtful signs");
}

/* New data for all inputs and parameters. `forward` (to be freed by case_free) becomes the forward step, with data, of
 * a backward one. */
static inline void case_draw(struct op_case *c, struct op_case *forward, const struct case_maker *maker) {
  for (int slot = 0; slot < NN_SLOTS; slot++)
    draw(maker, &c->operands[IN][slot], slot == NN_MIX || slot == NN_SCALE ? 0 : -1, 1);
  draw_params(maker, c);
  draw_labels(maker, c);
  if (c->step.op == NN_OP_MAX_POOL) draw_pooled(maker, &c->operands[IN][NN_X]);
  if (c->step.op == NN_OP_COPY_IN) draw(maker, &c->operands[OUT][NN_Y], -1, 1);
  *forward = (struct op_case){0};
  if (!is_backward(c->step.op) && forward_of(c->step.op) != NN_OP_NORM) return;
  forward_make(forward, c);
  if (!c->operands[IN][NN_X].present) draw(maker, &forward->operands[IN][NN_X], -1, 1);
  if (forward->step.op == NN_OP_NORM) {
    draw_norm(maker, c, forward);
  } else if (forward->step.op == NN_OP_MAX_POOL) {
    draw_pooled(maker, &forward->operands[IN][NN_X]);
    forward_run(maker, forward);
    copy_values(&c->operands[IN][NN_SAVED], &forward->operands[OUT][NN_SAVED]);
  } else if (forward->step.op == NN_OP_RELU) {
    struct case_operand *x = &forward->operands[IN][NN_X];
    for (int64_t i = 0; i < nn_count(x->shape); i++) {
      x->values[i] += x->values[i] < 0 ? -0.1f : 0.1f;
      c->operands[IN][NN_Y].values[i] = fmaxf(x->values[i], 0);
    }
  }
}

static inline void case_free(struct op_case *c) {
  arena_free(&c->arena);
}

#endif
