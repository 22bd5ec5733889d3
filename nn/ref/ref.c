#include "nn/ref/ref.h"

static int open_device(struct nn_device *device, struct error *error) {
  (void)error;
  device->threads = 1;
  snprintf(device->description, sizeof device->description, "ref: plain C loops, float32, 1 thread");
  return 0;
}

static void close_device(struct nn_device *device) {
  (void)device;
}

static int supports_precision(const struct nn_device *device, enum nn_dtype precision, struct error *error) {
  (void)device;
  if (precision == NN_F32) return 0;
  return error_set(error, "device ref computes in f32, not in %s", nn_dtype_name(precision));
}

/* ---- steps ---- */

static ref_operation *const operations[NN_OPS] = {
    [NN_OP_CONV] = ref_conv,
    [NN_OP_CONV_BACKWARD_DATA] = ref_conv_backward_data,
    [NN_OP_CONV_BACKWARD_WEIGHTS] = ref_conv_backward_weights,
    [NN_OP_NORM] = ref_norm,
    [NN_OP_NORM_BACKWARD] = ref_norm_backward,
    [NN_OP_NORM_AGAIN] = ref_norm_again,
    [NN_OP_RELU] = ref_relu,
    [NN_OP_RELU_BACKWARD] = ref_relu_backward,
    [NN_OP_ADD] = ref_add,
    [NN_OP_MAX_POOL] = ref_max_pool,
    [NN_OP_MAX_POOL_BACKWARD] = ref_max_pool_backward,
    [NN_OP_AVERAGE_POOL] = ref_average_pool,
    [NN_OP_AVERAGE_POOL_BACKWARD] = ref_average_pool_backward,
    [NN_OP_GLOBAL_POOL] = ref_region_pool,
    [NN_OP_GLOBAL_POOL_BACKWARD] = ref_region_pool_backward,
    [NN_OP_REGION_POOL] = ref_region_pool,
    [NN_OP_REGION_POOL_BACKWARD] = ref_region_pool_backward,
    [NN_OP_UPSAMPLE] = ref_upsample,
    [NN_OP_UPSAMPLE_BACKWARD] = ref_upsample_backward,
    [NN_OP_COPY_IN] = ref_copy_in,
    [NN_OP_COPY_OUT] = ref_copy_out,
};

static int supports(const struct nn_device *device, const struct nn_step *step, struct error *error) {
  if (nn_step_check(step, error)) return -1;
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    bool bf16 =
        (step->in[slot] && step->in[slot]->dtype == NN_BF16) || (step->out[slot] && step->out[slot]->dtype == NN_BF16);
    if (bf16 && supports_precision(device, NN_BF16, error)) {
      return error_context(error, "%s %s", nn_op_name(step->op), step->name);
    }
  }
  return 0;
}

static int prepare(struct nn_device *device, struct nn_step *step, size_t *scratch, struct error *error) {
  (void)device, (void)error;
  step->state = NULL;
  *scratch = 0;
  return 0;
}

static int run(struct nn_device *device, struct nn_step *step, void *scratch, struct error *error) {
  (void)device, (void)scratch;
  if (step->op == NN_OP_CROSS_ENTROPY) return ref_cross_entropy(step, error);
  operations[step->op](step);
  return 0;
}

static void forget(struct nn_device *device, struct nn_step *step) {
  (void)device;
  step->state = NULL;
}

/* ---- the optimizer ---- */

static int update(struct nn_device *device, const struct nn_sgd *sgd, float *value, const float *gradient,
                  float *momentum, int64_t count, struct error *error) {
  (void)device, (void)error;
  for (int64_t i = 0; i < count; i++) {
    double g = sgd->gradient_scale * gradient[i] + sgd->weight_decay * value[i];
    double m = sgd->mu * momentum[i] + g;
    momentum[i] = (float)m;
    value[i] = (float)(value[i] - sgd->lr * (sgd->nesterov ? g + sgd->mu * m : m));
  }
  return 0;
}

static int square_sum(struct nn_device *device, const float *values, int64_t count, double *sum, struct error *error) {
  (void)device, (void)error;
  *sum = 0;
  for (int64_t i = 0; i < count; i++)
    *sum += (double)values[i] * values[i];
  return 0;
}

const struct nn_backend nn_backend_ref = {
    .name = "ref",
    .open = open_device,
    .close = close_device,
    .supports_precision = supports_precision,
    .allocate = nn_host_allocate,
    .release = nn_host_release,
    .upload = nn_host_copy,
    .download = nn_host_copy,
    .clear = nn_host_clear,
    .supports = supports,
    .prepare = prepare,
    .run = run,
    .forget = forget,
    .sgd = update,
    .square_sum = square_sum,
};
