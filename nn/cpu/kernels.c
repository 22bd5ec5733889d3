/* The table of kernels of one instruction set. */
#include "nn/cpu/kernels_internal.h"

static size_t scratch_of(const struct nn_step *step, int threads) {
  switch (step->op) {
  case NN_OP_NORM:
  case NN_OP_NORM_BACKWARD:
  case NN_OP_NORM_AGAIN:
    return KERNEL(norm_scratch)(step, threads);
  case NN_OP_MAX_POOL:
  case NN_OP_MAX_POOL_BACKWARD:
  case NN_OP_AVERAGE_POOL:
  case NN_OP_AVERAGE_POOL_BACKWARD:
  case NN_OP_UPSAMPLE_BACKWARD:
    return KERNEL(pool_scratch)(step, threads);
  case NN_OP_CROSS_ENTROPY:
    return KERNEL(cross_entropy_scratch)(step, threads);
  default:
    return 0;
  }
}

const struct cpu_kernels NN_KERNELS = {
    .run =
        {
            [NN_OP_NORM] = KERNEL(norm),
            [NN_OP_NORM_BACKWARD] = KERNEL(norm_backward),
            [NN_OP_NORM_AGAIN] = KERNEL(norm_again),
            [NN_OP_RELU] = KERNEL(relu),
            [NN_OP_RELU_BACKWARD] = KERNEL(relu_backward),
            [NN_OP_ADD] = KERNEL(add),
            [NN_OP_MAX_POOL] = KERNEL(max_pool),
            [NN_OP_MAX_POOL_BACKWARD] = KERNEL(max_pool_backward),
            [NN_OP_AVERAGE_POOL] = KERNEL(average_pool),
            [NN_OP_AVERAGE_POOL_BACKWARD] = KERNEL(average_pool_backward),
            [NN_OP_GLOBAL_POOL] = KERNEL(global_pool),
            [NN_OP_GLOBAL_POOL_BACKWARD] = KERNEL(global_pool_backward),
            [NN_OP_REGION_POOL] = KERNEL(region_pool),
            [NN_OP_REGION_POOL_BACKWARD] = KERNEL(region_pool_backward),
            [NN_OP_UPSAMPLE] = KERNEL(upsample),
            [NN_OP_UPSAMPLE_BACKWARD] = KERNEL(upsample_backward),
            [NN_OP_COPY_IN] = KERNEL(copy_in),
            [NN_OP_COPY_OUT] = KERNEL(copy_out),
            [NN_OP_CROSS_ENTROPY] = KERNEL(cross_entropy),
        },
    .scratch = scratch_of,
    .sgd = KERNEL(sgd),
    .square_sum = KERNEL(square_sum),
};
