#include "nn/cpu/conv.h"

#include <string.h>

/* ---- a convolution, or a product --------------------------------------------------------------------------------- */

enum conv_form conv_form_of(const struct nn_step *step, bool amx) {
  struct nn_shape x = conv_map_in(step)->shape, y = conv_map_out(step)->shape;
  const struct nn_conv *conv = &step->conv;
  bool f32 = conv_map_in(step)->dtype == NN_F32, tiles = amx && !f32;
  bool pointwise = conv->kernel == 1 && conv->pad == 0, vector = x.h * x.w == 1;
  bool few_rows = y.n * y.h * y.w * 128 < x.c * y.c, product;
  if (conv->groups > 1) return CONV_AS_IT_IS;
  switch (step->op) {
  case NN_OP_CONV:
    product = pointwise && (vector || (f32 && conv->stride > 1));
    break;
  case NN_OP_CONV_BACKWARD_DATA:
    product = pointwise && conv->stride == 1 && (vector || (f32 && x.c > y.c));
    break;
  default:
    if (tiles) return pointwise ? CONV_AS_PACKED_PRODUCT : CONV_AS_IT_IS;
    product = few_rows ? pointwise || conv->stride > 1 : pointwise ? f32 : f32 && conv->stride > 1 && x.c >= 64;
  }
  return product ? CONV_AS_PRODUCT : CONV_AS_IT_IS;
}

/* ---- implementations that were caught ---------------------------------------------------------------------------- */

/* Whether the kernel sees nothing but padding somewhere: before the map, or with its taps on both sides of it. */
static bool sees_nothing(const struct nn_step *step) {
  const struct nn_conv *conv = &step->conv;
  struct nn_shape x = conv_map_in(step)->shape;
  return conv->pad > conv->dilation * (conv->kernel - 1) || x.h < conv->dilation || x.w < conv->dilation;
}

static bool addend_apart(const struct nn_step *step) {
  return step->in[NN_ADDEND] && !conv_adds_in_place(step);
}

static bool odd_inputs(const struct nn_step *step) {
  return conv_map_in(step)->shape.c / step->conv.groups % 2 != 0;
}

static bool odd_outputs(const struct nn_step *step) {
  return step->conv.out / step->conv.groups % 2 != 0;
}

static bool narrower_than_stride(const struct nn_step *step) {
  return conv_map_in(step)->shape.w < step->conv.stride;
}

static bool part_of_vector(const struct nn_step *step) {
  const struct nn_conv *conv = &step->conv;
  return conv_map_in(step)->shape.c / conv->groups % 16 || conv->kernel < conv->stride ||
         (conv_adds_in_place(step) && sees_nothing(step));
}

/* Not as the networks have it, which is all that was proven: kernels up to 7, strides 1 and 2, maps from 7 x 7 on. */
static bool unlike_networks(const struct nn_step *step) {
  const struct nn_conv *conv = &step->conv;
  struct nn_shape x = conv_map_in(step)->shape;
  return conv->dilation > 1 || conv->kernel > 7 || conv->stride > 2 || x.h < 7 || x.w < 7;
}

static bool nowhere(const struct nn_step *step) {
  (void)step;
  return false;
}

/* Found by tests with random shapes and NaN in and behind all memory:
 *   - 2.6's gemm reads the addend in the wrong order where channels are last, and brdgmm_dw that of a single position
 *     beyond the first 16 channels;
 *   - 2.6's brgconv multiplies what is left in its scratch by 0 where channels do not fill a vector or the stride jumps
 *     over some: NaN; and forgets the bias of sums in place where all that the kernel sees is padding;
 *   - jit_bf16's weight gradient, in 2.6 and 3.2, sums what is left there where the map is narrower than the stride;
 *   - jit_bf16_1x1 takes channels in pairs, and reads one number past the end of an odd number of them;
 *   - 2.6's weight gradient with AMX is wrong with dilation and on narrow maps;
 *   - its product with AMX is right as far as is known, but was chosen by figures from elsewhere. */
static const struct conv_caught caught[] = {
    {"gemm:", NN_OP_CONV, addend_apart},
    {"x64:gemm:", NN_OP_CONV, addend_apart},
    {"brdgmm", NN_OP_CONV, addend_apart},
    {"jit_bf16_1x1:", NN_OP_CONV, odd_inputs},
    {"brgconv:", NN_OP_CONV, part_of_vector},
    {"jit_bf16_1x1:", NN_OP_CONV_BACKWARD_DATA, odd_outputs},
    {"jit_bf16:", NN_OP_CONV_BACKWARD_WEIGHTS, narrower_than_stride},
    {"jit:avx512_core_amx", NN_OP_CONV_BACKWARD_WEIGHTS, unlike_networks},
    {"brg:avx512_core_amx", NN_OP_CONV_BACKWARD_WEIGHTS, nowhere},
};

const struct conv_caught *conv_caught_as(const char *implementation, enum nn_op op) {
  for (size_t i = 0; i < COUNT_OF(caught); i++) {
    bool same = op == caught[i].op && !strncmp(implementation, caught[i].name, strlen(caught[i].name));
    if (same) return &caught[i];
  }
  return NULL;
}

bool conv_is_wrong(const char *implementation, const struct nn_step *step) {
  const struct conv_caught *found = conv_caught_as(implementation, step->op);
  return found && found->wrong(step);
}
