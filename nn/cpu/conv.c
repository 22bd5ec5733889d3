#include "nn/cpu/conv.h"

#include <stdlib.h>
#include <string.h>

/* What a step holds from prepare to forget. Scratch memory is divided into `converted`, `gathered`, `blocked`, `packed`
 * (weights, or their gradient) and `plain`, of these sizes or 0, and what a call needs comes last. */
struct conv {
  char implementation[64];
  struct conv_call call;    /* the convolution, or the matrix product that it is */
  struct conv_call convert; /* DY to the precision of X */
  struct conv_call block;   /* X, or what was gathered of it, to the form that a product wants */
  struct conv_call unpack;  /* the weight gradient to its canonical form */
  struct conv_pack pack;
  size_t converted, gathered, blocked, packed, plain, last;
};

/* DY is converted where it does not have the precision of X. */
static enum nn_dtype dtype_out(const struct nn_step *step) {
  return step->op == NN_OP_CONV ? step->out[NN_Y]->dtype : conv_map_in(step)->dtype;
}

/* What a kernel sees at one position. */
static int64_t window(const struct nn_step *step) {
  return conv_map_in(step)->shape.c * step->conv.kernel * step->conv.kernel;
}

/* ---- supports ---------------------------------------------------------------------------------------------------- */

int cpu_conv_supports(const struct nn_device *device, const struct nn_step *step, struct error *error) {
  (void)device;
  char text[256];
  nn_step_describe(step, text, sizeof text);
  if (!conv_map_in(step) || !conv_map_out(step)) return error_set(error, "%s: operands are missing", text);
  enum nn_dtype in = conv_map_in(step)->dtype, out = conv_map_out(step)->dtype;
  bool known = in == NN_F32 || in == NN_BF16;
  if (!known || (out != in && !(in == NN_BF16 && out == NN_F32))) {
    return error_set(error, "%s: cpu convolves f32 to f32, and bf16 to bf16 or f32", text);
  }
  return nn_step_check(step, error) ? error_context(error, "%s: operands do not fit", text) : 0;
}

/* ---- prepare ----------------------------------------------------------------------------------------------------- */

/* Descriptions of the operands of one step: of a convolution, or of a matrix product a x b = y. */
struct descriptions {
  onednn_desc x, weights, canonical, bias, y, addend;
  onednn_desc rows; /* of a weight gradient's product: b as it lies, before it is packed */
  onednn_desc made; /* the weight gradient that a product makes, where it is not canonical */
  dnnl_primitive_attr_t attr;
  dnnl_post_ops_t post_ops;
};

static void descriptions_free(struct descriptions *d) {
  onednn_desc descs[] = {d->x, d->weights, d->canonical, d->bias, d->y, d->addend, d->rows, d->made};
  for (size_t i = 0; i < COUNT_OF(descs); i++) {
    if (descs[i]) dnnl_memory_desc_destroy(descs[i]);
  }
  if (d->post_ops) dnnl_post_ops_destroy(d->post_ops);
  if (d->attr) dnnl_primitive_attr_destroy(d->attr);
}

static int describe_finish(struct descriptions *d, const struct nn_step *step, struct error *error) {
  if (conv_attr_create(&d->attr, step->name, error)) return -1;
  if (step->op != NN_OP_CONV || (!step->relu && !step->in[NN_ADDEND])) return 0;
  if (ONEDNN(error, step->name, dnnl_post_ops_create, &d->post_ops)) return -1;
  if (conv_adds_in_place(step)) {
    if (ONEDNN(error, step->name, onednn_append_sum, d->post_ops)) return -1;
  } else if (d->addend &&
             ONEDNN(error, step->name, dnnl_post_ops_append_binary, d->post_ops, dnnl_binary_add, d->addend)) {
    return -1;
  }
  if (step->relu && ONEDNN(error, step->name, onednn_append_relu, d->post_ops)) return -1;
  return ONEDNN(error, step->name, dnnl_primitive_attr_set_post_ops, d->attr, d->post_ops);
}

static void describe_maps(struct descriptions *d, const struct nn_step *step) {
  const struct nn_conv *conv = &step->conv;
  struct nn_shape x = conv_map_in(step)->shape;
  dnnl_data_type_t dtype = conv_dtype(conv_map_in(step)->dtype);
  int64_t k = conv->kernel, g = conv->groups;
  int64_t grouped[] = {g, conv->out / g, x.c / g, k, k}, *dims = g > 1 ? grouped : grouped + 1;
  if (g == 1) grouped[1] = conv->out, grouped[2] = x.c;
  int rank = g > 1 ? 5 : 4;
  dnnl_data_type_t weights = step->op == NN_OP_CONV_BACKWARD_WEIGHTS ? dnnl_f32 : dtype;
  d->x = conv_desc_nhwc(x, conv_map_in(step)->dtype);
  d->y = conv_desc_nhwc(conv_map_out(step)->shape, dtype_out(step));
  d->weights = conv_desc(rank, dims, weights, dnnl_format_tag_any);
  d->canonical = conv_desc(rank, dims, dnnl_f32, g > 1 ? dnnl_goihw : dnnl_oihw);
  if (conv_has_bias(step)) d->bias = conv_desc(1, &conv->out, dnnl_f32, dnnl_a);
  if (step->in[NN_ADDEND] && !conv_adds_in_place(step))
    d->addend = conv_desc_nhwc(step->in[NN_ADDEND]->shape, step->in[NN_ADDEND]->dtype);
}

/* Y = X W^T, DX = DY W, DW = DY^T X, one row for every position, X being what the kernel sees there. */
static void describe_product(struct descriptions *d, const struct nn_step *step, bool packed) {
  struct nn_shape x = conv_map_in(step)->shape, y = conv_map_out(step)->shape;
  dnnl_data_type_t in = conv_dtype(conv_map_in(step)->dtype), out = conv_dtype(dtype_out(step));
  int64_t rows = y.n * y.h * y.w, wide = step->conv.out, seen = window(step);
  if (step->op == NN_OP_CONV) {
    d->x = conv_desc(2, (int64_t[]){rows, x.c}, in, dnnl_ab);
    d->weights = conv_desc(2, (int64_t[]){x.c, wide}, in, dnnl_format_tag_any);
    d->canonical = conv_desc(2, (int64_t[]){x.c, wide}, dnnl_f32, dnnl_ba);
    d->y = conv_desc(2, (int64_t[]){rows, wide}, out, dnnl_ab);
  } else if (step->op == NN_OP_CONV_BACKWARD_DATA) {
    d->x = conv_desc(2, (int64_t[]){rows, wide}, out, dnnl_ab);
    d->weights = conv_desc(2, (int64_t[]){wide, x.c}, out, dnnl_format_tag_any);
    d->canonical = conv_desc(2, (int64_t[]){wide, x.c}, dnnl_f32, dnnl_ab);
    d->y = conv_desc(2, (int64_t[]){rows, x.c}, in, dnnl_ab);
  } else {
    d->x = conv_desc(2, (int64_t[]){wide, rows}, out, dnnl_ba);
    d->rows = conv_desc(2, (int64_t[]){rows, seen}, in, dnnl_ab);
    d->weights = conv_desc(2, (int64_t[]){rows, seen}, in, packed ? dnnl_format_tag_any : dnnl_ab);
    d->y = conv_desc(2, (int64_t[]){wide, seen}, dnnl_f32, dnnl_ab);
    if (seen > x.c) {
      int64_t dims[] = {wide, x.c, step->conv.kernel, step->conv.kernel};
      d->made = conv_desc(4, dims, dnnl_f32, dnnl_ohwi);
      d->canonical = conv_desc(4, dims, dnnl_f32, dnnl_oihw);
    }
  }
  if (conv_has_bias(step)) d->bias = conv_desc(2, (int64_t[]){1, wide}, dnnl_f32, dnnl_ab);
  if (step->in[NN_ADDEND] && !conv_adds_in_place(step))
    d->addend = conv_desc(2, (int64_t[]){rows, wide}, conv_dtype(step->in[NN_ADDEND]->dtype), dnnl_ab);
}

/* The first that is not wrong here. */
static dnnl_status_t describe_convolution(dnnl_primitive_desc_t *desc, const struct cpu_context *context,
                                          const struct descriptions *d, const struct nn_step *step) {
  const struct nn_conv *conv = &step->conv;
  struct onednn_convolution convolution = {
      .kind = step->op == NN_OP_CONV                 ? dnnl_forward_training
              : step->op == NN_OP_CONV_BACKWARD_DATA ? dnnl_backward_data
                                                     : dnnl_backward_weights,
      .x = d->x,
      .weights = d->weights,
      .bias = d->bias,
      .y = d->y,
      .strides = {conv->stride, conv->stride},
      .dilates = {conv->dilation - 1, conv->dilation - 1},
      .pads = {conv->pad, conv->pad},
  };
  for (int number = 0;; number++) {
    dnnl_status_t status = onednn_convolution(desc, context->engine, &convolution, d->attr, number);
    if (status || !conv_is_wrong(onednn_implementation(*desc), step)) return status;
    dnnl_primitive_desc_destroy(*desc);
  }
}

/* The first, or where a matrix lies transposed and nothing is packed, gemm: it is faster then. */
static dnnl_status_t describe_matmul(dnnl_primitive_desc_t *desc, const struct cpu_context *context,
                                     const struct descriptions *d, bool gemm) {
  for (int number = 0; gemm; number++) {
    if (onednn_matmul(desc, context->engine, d->x, d->weights, d->bias, d->y, d->attr, number)) break;
    if (!strncmp(onednn_implementation(*desc), "gemm:", 5)) return dnnl_success;
    dnnl_primitive_desc_destroy(*desc);
  }
  return onednn_matmul(desc, context->engine, d->x, d->weights, d->bias, d->y, d->attr, 0);
}

static int describe(dnnl_primitive_desc_t *desc, const struct cpu_context *context, struct descriptions *d,
                    const struct nn_step *step, enum conv_form form, struct error *error) {
  bool product = form != CONV_AS_IT_IS, packed = form == CONV_AS_PACKED_PRODUCT;
  product ? describe_product(d, step, packed) : describe_maps(d, step);
  if (describe_finish(d, step, error)) return -1;
  dnnl_status_t status = product ? describe_matmul(desc, context, d, step->op == NN_OP_CONV_BACKWARD_WEIGHTS && !packed)
                                 : describe_convolution(desc, context, d, step);
  return onednn_check(status, product ? "matmul" : "convolution", step->name, error);
}

/* The arguments of the primitive, in the order in which the steps below give addresses. */
static int list_arguments(int arguments[CONV_OPERANDS], const struct nn_step *step, bool product) {
  int count = 0;
  if (product || step->op == NN_OP_CONV) {
    arguments[count++] = DNNL_ARG_SRC;
    arguments[count++] = DNNL_ARG_WEIGHTS;
    arguments[count++] = DNNL_ARG_DST;
  } else if (step->op == NN_OP_CONV_BACKWARD_DATA) {
    arguments[count++] = DNNL_ARG_DIFF_DST;
    arguments[count++] = DNNL_ARG_WEIGHTS;
    arguments[count++] = DNNL_ARG_DIFF_SRC;
  } else {
    arguments[count++] = DNNL_ARG_DIFF_DST;
    arguments[count++] = DNNL_ARG_SRC;
    arguments[count++] = DNNL_ARG_DIFF_WEIGHTS;
  }
  if (conv_has_bias(step)) arguments[count++] = DNNL_ARG_BIAS;
  if (step->in[NN_ADDEND] && !conv_adds_in_place(step)) {
    arguments[count++] = DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1;
  }
  return count;
}

static void *past(void *memory, size_t size) {
  return (char *)memory + size;
}

static size_t rounded(size_t size) {
  return (size + 63) / 64 * 64;
}

static size_t larger(size_t a, size_t b) {
  return a > b ? a : b;
}

static int prepare_convert(struct conv *conv, const struct cpu_context *context, const struct nn_step *step,
                           struct error *error) {
  struct nn_shape shape = conv_map_out(step)->shape;
  onednn_desc from = conv_desc_nhwc(shape, conv_map_out(step)->dtype), to = conv_desc_nhwc(shape, dtype_out(step));
  int result = -1;
  if (!from || !to) {
    error_set(error, "%s: oneDNN cannot describe the gradient", step->name);
  } else {
    result = conv_call_reorder(&conv->convert, context, from, to, step->name, error);
    conv->converted = rounded(dnnl_memory_desc_get_size(to));
  }
  if (from) dnnl_memory_desc_destroy(from);
  if (to) dnnl_memory_desc_destroy(to);
  return result;
}

static size_t gathered_size(const struct nn_step *step) {
  struct nn_shape y = conv_map_out(step)->shape;
  return rounded((size_t)(y.n * y.h * y.w * window(step)) * nn_dtype_size(conv_map_in(step)->dtype));
}

/* Where the weight gradient passes on its way to the parameter's block. */
static int prepare_gradient(struct conv *conv, const struct nn_device *device, const struct nn_step *step,
                            onednn_const_desc made, onednn_const_desc canonical, struct error *error) {
  if (canonical && !dnnl_memory_desc_equal(made, canonical)) {
    conv->packed = rounded(dnnl_memory_desc_get_size(made));
    if (conv_call_reorder(&conv->unpack, device->context, made, canonical, step->name, error)) return -1;
  }
  if (step->norm || step->accumulate) conv->plain = rounded((size_t)step->weight->count * sizeof(float));
  if (step->bias) {
    size_t sums = rounded((size_t)step->conv.out * sizeof(float));
    conv->last = sums + conv_column_sums_scratch(step->conv.out, device->threads);
  }
  return 0;
}

/* From rows as they lie to what the product takes. */
static int prepare_block(struct conv *conv, const struct cpu_context *context, const struct nn_step *step,
                         onednn_const_desc rows, onednn_const_desc wanted, struct error *error) {
  if (!rows || dnnl_memory_desc_equal(rows, wanted)) return 0;
  conv->blocked = rounded(dnnl_memory_desc_get_size(wanted));
  return conv_call_reorder(&conv->block, context, rows, wanted, step->name, error);
}

int conv_prepare(struct nn_device *device, struct nn_step *step, enum conv_form form, size_t *scratch,
                 struct error *error) {
  const struct cpu_context *context = device->context;
  bool product = form != CONV_AS_IT_IS;
  struct descriptions d = {0};
  dnnl_primitive_desc_t desc = NULL;
  struct conv *conv = calloc(1, sizeof *conv);
  if (!conv) return error_memory(error, sizeof *conv);
  step->state = conv;
  if (describe(&desc, context, &d, step, form, error)) goto failed;
  snprintf(conv->implementation, sizeof conv->implementation, "%s", onednn_implementation(desc));
  if (product && (step->conv.stride > 1 || step->conv.kernel > 1)) conv->gathered = gathered_size(step);
  if (conv_map_out(step)->dtype != dtype_out(step) && prepare_convert(conv, context, step, error)) goto failed;
  if (step->op == NN_OP_CONV_BACKWARD_WEIGHTS) {
    onednn_const_desc made = dnnl_primitive_desc_query_md(desc, dnnl_query_diff_weights_md, 0);
    onednn_const_desc wanted = dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    if (prepare_gradient(conv, device, step, product ? d.made : made, d.canonical, error)) goto failed;
    if (prepare_block(conv, context, step, d.rows, wanted, error)) goto failed;
  } else if (conv_pack_create(&conv->pack, context, step, d.canonical,
                              dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0), error)) {
    goto failed;
  }
  conv->packed += conv->pack.room;
  int arguments[CONV_OPERANDS];
  int count = list_arguments(arguments, step, product);
  int made = conv_call_create(&conv->call, context, desc, arguments, count, step->name, error);
  desc = NULL;
  if (made) goto failed;
  conv->last = larger(larger(conv->last, conv->call.scratch), larger(conv->convert.scratch, conv->unpack.scratch));
  conv->last = larger(conv->last, larger(conv->block.scratch, conv->pack.scratch));
  *scratch = conv->converted + conv->gathered + conv->blocked + conv->packed + conv->plain + conv->last;
  descriptions_free(&d);
  return 0;

failed:
  if (desc) dnnl_primitive_desc_destroy(desc);
  descriptions_free(&d);
  cpu_conv_forget(step);
  return -1;
}

int cpu_conv_prepare(struct nn_device *device, struct nn_step *step, size_t *scratch, struct error *error) {
  const struct cpu_context *context = device->context;
  if (step->conv.kernel == 1) step->conv.dilation = 1; /* which means nothing then, but not to every implementation */
  enum conv_form form = conv_form_of(step, context->amx);
  if (conv_prepare(device, step, form, scratch, error)) return -1;
  if (!conv_check(device, step, form, error)) return 0;
  cpu_conv_forget(step);
  return -1;
}

const char *cpu_conv_implementation(const struct nn_step *step) {
  const struct conv *conv = step->state;
  return conv->implementation;
}

void cpu_conv_forget(struct nn_step *step) {
  struct conv *conv = step->state;
  if (!conv) return;
  conv_call_free(&conv->call);
  conv_call_free(&conv->convert);
  conv_call_free(&conv->block);
  conv_call_free(&conv->unpack);
  conv_pack_free(&conv->pack);
  free(conv);
  step->state = NULL;
}

/* ---- run --------------------------------------------------------------------------------------------------------- */

/* What the kernel sees of an image at one position, whose first tap is at h, w; padding is 0. */
static void gather_window(const struct nn_conv *conv, struct nn_shape x, size_t size, const char *image, int64_t h,
                          int64_t w, char *to) {
  for (int64_t kh = h; kh < h + conv->kernel * conv->dilation; kh += conv->dilation) {
    for (int64_t kw = w; kw < w + conv->kernel * conv->dilation; kw += conv->dilation, to += size) {
      if (kh >= 0 && kh < x.h && kw >= 0 && kw < x.w) {
        memcpy(to, image + (size_t)(kh * x.w + kw) * size, size);
      } else {
        memset(to, 0, size);
      }
    }
  }
}

/* Every position's window, one after the other. */
static void gather(const struct nn_step *step, char *to) {
  struct nn_shape x = step->in[NN_X]->shape, y = conv_map_out(step)->shape;
  const struct nn_conv *conv = &step->conv;
  size_t element = nn_dtype_size(step->in[NN_X]->dtype), size = (size_t)x.c * element;
  const char *from = step->in[NN_X]->data;
#pragma omp parallel for
  for (int64_t row = 0; row < y.n * y.h; row++) {
    const char *image = from + (size_t)(row / y.h * x.h * x.w) * size;
    char *out = to + (size_t)(row * y.w * window(step)) * element;
    for (int64_t column = 0; column < y.w; column++, out += (size_t)window(step) * element) {
      gather_window(conv, x, size, image, row % y.h * conv->stride - conv->pad, column * conv->stride - conv->pad, out);
    }
  }
}

/* X as the call wants it: itself, or gathered into scratch memory, of which that part is taken. */
static void *take_windows(const struct conv *conv, const struct nn_step *step, void **scratch) {
  if (!conv->gathered) return step->in[NN_X]->data;
  void *windows = *scratch;
  gather(step, windows);
  *scratch = past(windows, conv->gathered);
  return windows;
}

static int run_forward(struct conv *conv, const struct cpu_context *context, const struct nn_step *step, void *scratch,
                       struct error *error) {
  void *x = take_windows(conv, step, &scratch);
  void *last = past(scratch, conv->packed);
  void *weights = conv_pack_weights(&conv->pack, context, step, scratch, last, error);
  if (!weights) return -1;
  void *memory[CONV_OPERANDS] = {x, weights, step->out[NN_Y]->data};
  int count = 3;
  if (conv_has_bias(step)) memory[count++] = conv->pack.bias ? conv->pack.bias : nn_value(step->params, step->bias);
  if (step->in[NN_ADDEND] && !conv_adds_in_place(step)) memory[count++] = step->in[NN_ADDEND]->data;
  return conv_call_run(&conv->call, context, memory, last, step->name, error);
}

static int run_data(struct conv *conv, const struct cpu_context *context, const struct nn_step *step, void *dy,
                    void *scratch, struct error *error) {
  void *last = past(scratch, conv->packed);
  void *weights = conv_pack_weights(&conv->pack, context, step, scratch, last, error);
  if (!weights) return -1;
  void *memory[] = {dy, weights, step->out[NN_DX]->data};
  return conv_call_run(&conv->call, context, memory, last, step->name, error);
}

static int run_weights(struct conv *conv, const struct nn_device *device, const struct nn_step *step, void *dy,
                       void *scratch, struct error *error) {
  void *x = take_windows(conv, step, &scratch), *blocked = scratch;
  scratch = past(scratch, conv->blocked);
  float *weight = nn_gradient(step->params, step->weight), *bias = nn_gradient(step->params, step->bias);
  void *last = past(scratch, conv->packed + conv->plain);
  if (weight) {
    float *plain = conv->plain ? past(scratch, conv->packed) : weight;
    if (conv->blocked) {
      if (conv_call_run(&conv->block, device->context, (void *[]){x, blocked}, last, step->name, error)) return -1;
      x = blocked;
    }
    void *memory[] = {dy, x, conv->packed ? scratch : plain};
    if (conv_call_run(&conv->call, device->context, memory, last, step->name, error)) return -1;
    if (conv->packed &&
        conv_call_run(&conv->unpack, device->context, (void *[]){scratch, plain}, last, step->name, error)) {
      return -1;
    }
    if (conv->plain) conv_gradient_store(step, plain, weight, step->weight->count / step->conv.out);
  }
  if (bias) {
    struct nn_shape y = conv_map_out(step)->shape;
    float *sums = last;
    conv_column_sums(dy, dtype_out(step), y.n * y.h * y.w, y.c, sums, past(last, rounded((size_t)y.c * sizeof *sums)),
                     device->threads);
    conv_gradient_store(step, sums, bias, 1);
  }
  return 0;
}

int cpu_conv_run(struct nn_device *device, struct nn_step *step, void *scratch, struct error *error) {
  struct conv *conv = step->state;
  const struct cpu_context *context = device->context;
  void *rest = past(scratch, conv->converted);
  if (step->op == NN_OP_CONV) return run_forward(conv, context, step, rest, error);
  void *dy = step->in[NN_DY]->data;
  if (conv->converted) {
    if (conv_call_run(&conv->convert, context, (void *[]){dy, scratch}, rest, step->name, error)) return -1;
    dy = scratch;
  }
  if (step->op == NN_OP_CONV_BACKWARD_DATA) return run_data(conv, context, step, dy, rest, error);
  return run_weights(conv, device, step, dy, rest, error);
}
