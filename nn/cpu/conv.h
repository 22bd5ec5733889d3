/* nn/cpu/conv - inside the convolutions of the cpu backend.
 *
 *   conv.c            the three steps: what each prepares and runs
 *   conv_rules.c      which are made matrix products, and which implementations are passed by
 *   conv_check.c      the trial of an implementation that was ever caught, before it is used
 *   conv_call.c       one oneDNN primitive with its operands
 *   conv_weights.c    packed copies of weights with a norm folded in; weight gradients in canonical form
 */
#ifndef JIGSAW_NN_CPU_CONV_H
#define JIGSAW_NN_CPU_CONV_H

#include "nn/cpu/cpu.h"
#include "nn/cpu/onednn.h"

/* X and Y, or their gradients. */
static inline const struct nn_operand *conv_map_in(const struct nn_step *step) {
  return step->op == NN_OP_CONV_BACKWARD_DATA ? step->out[NN_DX] : step->in[NN_X];
}

static inline const struct nn_operand *conv_map_out(const struct nn_step *step) {
  return step->op == NN_OP_CONV ? step->out[NN_Y] : step->in[NN_DY];
}

static inline bool conv_has_bias(const struct nn_step *step) {
  return step->op == NN_OP_CONV && (step->bias || step->norm);
}

/* An addend that is the output itself is summed in place, since a convolution may write partial sums first. */
static inline bool conv_adds_in_place(const struct nn_step *step) {
  return step->in[NN_ADDEND] && step->in[NN_ADDEND] == step->out[NN_Y];
}

/* ---- conv_rules.c ------------------------------------------------------------------------------------------------ */

enum conv_form {
  CONV_AS_IT_IS,
  CONV_AS_PRODUCT,        /* a matrix product, with a row for every position */
  CONV_AS_PACKED_PRODUCT, /* a weight gradient's, X being put into the form that the product wants first */
};

/* How a step is done where there are AMX's tiles or not; by rule, since a choice by the clock would not give the same
 * bits every time. bench/conv.c measures each choice. A product is faster than oneDNN's convolution
 *   - on a vector, for convolutions are made for maps;
 *   - for a weight gradient that is large and has few rows, since it needs no unpacking, and in float32 for all of
 *     kernel 1; with tiles, which oneDNN's weight gradients of kernel 1 do not use, packed for all of kernel 1;
 *   - with a stride, in float32, and for a data gradient to more channels.
 * Where a kernel or a stride is larger than 1, what it sees has to be gathered first. */
enum conv_form conv_form_of(const struct nn_step *step, bool amx);

/* An implementation that was seen to give wrong results for some steps. */
struct conv_caught {
  const char *name; /* how it begins */
  enum nn_op op;
  bool (*wrong)(const struct nn_step *step); /* for which, as far as is known; where in doubt, wrong */
};

/* NULL: it never was. */
const struct conv_caught *conv_caught_as(const char *implementation, enum nn_op op);
bool conv_is_wrong(const char *implementation, const struct nn_step *step);

/* ---- conv.c, conv_check.c ---------------------------------------------------------------------------------------- */

/* cpu_conv_prepare in that form, unchecked. */
int conv_prepare(struct nn_device *device, struct nn_step *step, enum conv_form form, size_t *scratch,
                 struct error *error);

/* Compares a prepared step's implementation, if it was ever caught, with the device's oracle: once for each kind of
 * step on a device, in a few milliseconds, on a small problem like the step's. An error says that it is wrong on this
 * processor and what to do. Where oneDNN has it not for small problems, nothing is known and nothing said. */
int conv_check(struct nn_device *device, const struct nn_step *step, enum conv_form form, struct error *error);

/* Where a result is not what it should be, within two roundings to its type; -1: nowhere. */
int64_t conv_first_difference(const struct nn_operand *got, const float *want);

/* ---- conv_call.c ------------------------------------------------------------------------------------------------- */

enum { CONV_OPERANDS = 5 };

/* A primitive and the memory objects it is called with; all zero: none. */
struct conv_call {
  dnnl_primitive_t primitive;
  dnnl_exec_arg_t operands[CONV_OPERANDS + 1];
  int count;
  size_t scratch; /* bytes that a run needs; its operand is the last */
};

/* Makes the call of `desc`, which it destroys in any case, with these arguments (DNNL_ARG_...). */
int conv_call_create(struct conv_call *call, const struct cpu_context *context, dnnl_primitive_desc_t desc,
                     const int arguments[], int count, const char *layer, struct error *error);
/* `memory` has an address for each argument, in the same order. */
int conv_call_run(const struct conv_call *call, const struct cpu_context *context, void *const memory[], void *scratch,
                  const char *layer, struct error *error);
void conv_call_free(struct conv_call *call);

/* A copy from one form to another; its operands: from, to. */
int conv_call_reorder(struct conv_call *call, const struct cpu_context *context, onednn_const_desc from,
                      onednn_const_desc to, const char *layer, struct error *error);

/* Attributes as every primitive here has them: scratch memory is the caller's. */
int conv_attr_create(dnnl_primitive_attr_t *attr, const char *layer, struct error *error);

onednn_desc conv_desc(int rank, const int64_t dims[], dnnl_data_type_t dtype, dnnl_format_tag_t tag); /* NULL: bad */
onednn_desc conv_desc_nhwc(struct nn_shape shape, enum nn_dtype dtype);
dnnl_data_type_t conv_dtype(enum nn_dtype dtype);

/* ---- conv_weights.c ---------------------------------------------------------------------------------------------- */

/* A layer's weights in the form that a primitive wants, and its bias. In training the parameters change before every
 * run, so that the weights are packed for each, in scratch memory; else they are kept until the parameters change. */
struct conv_pack {
  struct conv_call reorder;
  void *weights;    /* NULL in training */
  float *bias;      /* the norm's part, NULL without norm */
  size_t room;      /* bytes that a run needs for the weights, 0 where they are kept */
  size_t scratch;   /* and to pack them */
  uint64_t version; /* of the parameters that are packed; 0: none */
};

int conv_pack_create(struct conv_pack *pack, const struct cpu_context *context, const struct nn_step *step,
                     onednn_const_desc canonical, onednn_const_desc packed, struct error *error);
/* The packed weights, perhaps in `room`; NULL after a failure. */
void *conv_pack_weights(struct conv_pack *pack, const struct cpu_context *context, const struct nn_step *step,
                        void *room, void *scratch, struct error *error);
void conv_pack_free(struct conv_pack *pack);

/* What a folded norm multiplies output channel `channel` by. */
float conv_norm_scale(const struct nn_step *step, int64_t channel);

/* to[row][...] (+)= scale of the row * from[row][...], rows being output channels. */
void conv_gradient_store(const struct nn_step *step, const float *from, float *to, int64_t row);

/* Sums of the columns of y (rows x columns); `scratch`: conv_column_sums_scratch bytes. */
void conv_column_sums(const void *y, enum nn_dtype dtype, int64_t rows, int64_t columns, float *sums, void *scratch,
                      int threads);
size_t conv_column_sums_scratch(int64_t columns, int threads);

#endif
