/* nn/backend - one table of functions per backend, and the steps that programs consist of.
 *
 * A step is one operation on operands whose shapes and types are settled. The compiler (nn/compile.c and its parts)
 * writes steps; a backend says whether it supports one, prepares it once, and runs it many times. Everything above this
 * table is written once for all backends.
 *
 * Steps read in[slot] and write out[slot]; slots that an operation does not use, or may do without, are NULL. Operands
 * are dense NHWC. An activation, and its gradient, has the program's precision; logits of a loss, statistics and
 * losses are float32. Where a step reads a gradient (DY) and something that the forward pass saved (X, Y, SAVED), DY
 * may have `copies` times the batch: image i of the gradient belongs to image i / copies of what was saved.
 */
#ifndef JIGSAW_NN_BACKEND_H
#define JIGSAW_NN_BACKEND_H

#include "nn/graph.h"

enum nn_slot {
  NN_X,       /* forward input */
  NN_Y,       /* forward output */
  NN_ADDEND,  /* added before the ReLU */
  NN_SAVED,   /* kept by the forward step for its backward step, see each */
  NN_DY,      /* gradient of the loss with respect to Y */
  NN_DY2,     /* a second one, to be added to DY */
  NN_DX,      /* with respect to X */
  NN_DADDEND, /* with respect to ADDEND */
  NN_LABEL,
  NN_MIX,
  NN_SCALE,
  NN_SLOTS
};

/* z -> relu?(z + ADDEND?) is written "finish" below: `relu` and in[NN_ADDEND] say which parts there are. */
enum nn_op {
  NN_OP_CONV, /* Y = finish(norm?(conv(X, weight) + bias?)); norm: by running statistics, to be folded into the weights:
               * gamma / sqrt(variance + eps) (conv - mean) + beta. A linear layer is a convolution of kernel 1. Y may
               * be float32 when X is bf16 (logits). */
  NN_OP_CONV_BACKWARD_DATA,    /* DY -> DX, through the same norm. DY may be float32 when DX is bf16. */
  NN_OP_CONV_BACKWARD_WEIGHTS, /* X, DY -> gradients of weight and bias, those that are trainable; norm: scaled by it.
                                * DY may be float32 when X is bf16. Never with copies. */

  NN_OP_NORM, /* Y = finish(norm(X)) by step->norm->kind. Batch: over n, h, w of each channel, the biased variance;
               * `training` also updates the running statistics as PyTorch does (unbiased variance, momentum
               * 0.1, count + 1). Frozen, or batch when not `training`: by running statistics. Group: over h, w
               * and the group's channels for each image. SAVED, unless NULL: (1, 1, 2, channels) or
               * (n, 1, 2, groups) float32, the means and then 1 / sqrt(variance + eps). Running statistics
               * have no SAVED. Y may overlay X. */
  NN_OP_NORM_BACKWARD, /* g = (DY + DY2?) where Y > 0 (`relu`; without ADDEND, in[NN_Y] is NULL and the sign is that of
                        * norm(X), recomputed), else DY + DY2?. DADDEND = g, if wanted. DX from g, X, SAVED; gradients
                        * of gamma and beta where trainable. Overlays allowed: DX on DY, DADDEND on DY2. */
  NN_OP_NORM_AGAIN, /* Y = relu?(norm(X)), bit for bit as the forward step made it, by SAVED or running statistics, none
                     * of which change: for a backward step that reads Y, so that the forward pass need not keep it */

  NN_OP_RELU,          /* Y = max(X, 0), NaN stays NaN; may overlay */
  NN_OP_RELU_BACKWARD, /* DX = DY + DY2? where Y > 0, else 0; DX may overlay DY */
  NN_OP_ADD,           /* Y = finish(X) with ADDEND; Y may overlay X or ADDEND. Also sums gradients. */

  NN_OP_MAX_POOL,          /* padding never wins. SAVED, unless NULL: u8, shape of Y, the winner's place in its window
                            * (row * kernel + column), the first of equals; kernel <= 16 */
  NN_OP_MAX_POOL_BACKWARD, /* DY, SAVED -> DX */
  NN_OP_AVERAGE_POOL,      /* padding counts as zeros */
  NN_OP_AVERAGE_POOL_BACKWARD,
  NN_OP_GLOBAL_POOL, /* the mean over h, w */
  NN_OP_GLOBAL_POOL_BACKWARD,
  NN_OP_REGION_POOL, /* Y[n,0,r,c] = sum_hw MIX[0,h,w,r] X[n,h,w,c] */
  NN_OP_REGION_POOL_BACKWARD,

  NN_OP_UPSAMPLE,          /* nn_upsample in nn/graph.h */
  NN_OP_UPSAMPLE_BACKWARD, /* DX is the sum over what each of its cells was copied to */
  NN_OP_COPY_IN,           /* Y[..., channel + c] = X[..., c]: one part of a concatenation; the rest of Y stays */
  NN_OP_COPY_OUT,          /* DX[..., c] = DY[..., channel + c]: its gradient */

  NN_OP_CROSS_ENTROPY, /* nn_cross_entropy in nn/graph.h. X (f32 logits), LABEL, MIX, SCALE -> Y (one float32) and,
                        * unless NULL, DX: the gradient of the loss with respect to the logits (program's precision) */
  NN_OPS
};

static inline bool nn_op_is_conv(enum nn_op op) {
  return op == NN_OP_CONV || op == NN_OP_CONV_BACKWARD_DATA || op == NN_OP_CONV_BACKWARD_WEIGHTS;
}

const char *nn_op_name(enum nn_op op); /* "conv", "conv backward data", ... */

struct nn_operand {
  struct nn_shape shape;
  enum nn_dtype dtype;
  void *data; /* set before the step runs; may differ from run to run */
};

struct nn_norm_layer {
  enum nn_norm kind;
  const struct nn_param *gamma, *beta, *mean, *variance, *batches; /* group: the last three are NULL */
  int64_t groups;
  double eps, momentum;
};

/* Whether a norm goes by its running statistics. */
static inline bool nn_norm_running(const struct nn_norm_layer *norm, bool training) {
  return norm->kind == NN_NORM_FROZEN || (norm->kind == NN_NORM_BATCH && !training);
}

struct nn_pool {
  int kernel, stride, pad;
};

/* How many windows of a convolution or pool fit along an axis; 0 if none does. */
static inline int64_t nn_windows(int64_t in, int kernel, int stride, int pad, int dilation) {
  int64_t room = in + 2 * (int64_t)pad - (int64_t)dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

struct nn_step {
  enum nn_op op;
  const char *name; /* of the layer, for messages and the profile */
  struct nn_operand *in[NN_SLOTS], *out[NN_SLOTS];
  struct nn_params *params;
  const struct nn_param *weight, *bias;
  struct nn_conv conv;
  const struct nn_norm_layer *norm; /* conv: NULL when nothing is folded */
  struct nn_pool pool;
  int64_t channel; /* COPY_IN, COPY_OUT */
  bool relu;
  bool training;   /* statistics are the batch's, and parameters change from run to run */
  bool accumulate; /* gradients of parameters are added to what is there */
  void *state;     /* the backend's, from prepare to release */
};

/* One update of SGD, as torch.optim.SGD (dampening 0): g = gradient_scale * gradient + weight_decay * value;
 * momentum = g on the first step, else mu * momentum + g; value -= lr * (nesterov ? g + mu * momentum : momentum).
 * The first step starts from momentum 0, which is the same. */
struct nn_sgd {
  double lr, mu, weight_decay, gradient_scale;
  bool nesterov;
};

struct nn_backend {
  const char *name;

  int (*open)(struct nn_device *device, struct error *error); /* sets context and description; may lower threads */
  void (*close)(struct nn_device *device);
  int (*supports_precision)(const struct nn_device *device, enum nn_dtype precision, struct error *error);

  void *(*allocate)(struct nn_device *device, size_t size); /* zeroed, 64-byte aligned; NULL when memory is out */
  void (*release)(struct nn_device *device, void *memory);
  int (*upload)(struct nn_device *device, void *to, const void *host, size_t size, struct error *error);
  int (*download)(struct nn_device *device, void *host, const void *from, size_t size, struct error *error);
  int (*clear)(struct nn_device *device, void *memory, size_t size, struct error *error); /* to zero */

  /* 0 when the step can run on this device; else the error says what is not supported. Operands have no data yet. */
  int (*supports)(const struct nn_device *device, const struct nn_step *step, struct error *error);
  /* Makes step->state; `*scratch` is the device memory that a run needs besides the operands (shared by all steps). */
  int (*prepare)(struct nn_device *device, struct nn_step *step, size_t *scratch, struct error *error);
  int (*run)(struct nn_device *device, struct nn_step *step, void *scratch, struct error *error);
  void (*forget)(struct nn_device *device, struct nn_step *step); /* frees step->state */

  int (*sgd)(struct nn_device *device, const struct nn_sgd *sgd, float *value, const float *gradient, float *momentum,
             int64_t count, struct error *error);
  /* The sum of squares in double, the same for the same count whatever the number of threads. */
  int (*square_sum)(struct nn_device *device, const float *values, int64_t count, double *sum, struct error *error);
};

extern const struct nn_backend nn_backend_ref;
extern const struct nn_backend nn_backend_cpu;

/* What all backends ask of a step: the operands that its operation needs, and types, shapes and parameters that fit
 * each other. A backend's `supports` begins with it. */
int nn_step_check(const struct nn_step *step, struct error *error);

/* What all backends ask of the labels of a loss, which are data: each is an index into the logits, or negative. */
int nn_labels_check(const struct nn_step *step, struct error *error);

/* nn/host.c: for backends whose memory is the host's. */
void *nn_host_allocate(struct nn_device *device, size_t size);
void nn_host_release(struct nn_device *device, void *memory);
int nn_host_clear(struct nn_device *device, void *memory, size_t size, struct error *error);
int nn_host_copy(struct nn_device *device, void *to, const void *from, size_t size, struct error *error);

/* Used by backends for messages: "conv layer1.0.conv1: 16x56x56x64 f32 -> ...". */
void nn_step_describe(const struct nn_step *step, char *text, size_t size);

static inline float *nn_value(const struct nn_params *params, const struct nn_param *param) {
  return param ? params->values + param->offset : NULL;
}

/* Where a parameter's gradient goes; NULL when it is not wanted. */
static inline float *nn_gradient(const struct nn_params *params, const struct nn_param *param) {
  return param && param->trainable && params->gradients ? params->gradients + param->offset : NULL;
}

#endif
