/* All steps but convolutions: what the kernels leave to check, and the call of the right one. */
#include "nn/cpu/cpu.h"

int cpu_map_supports(const struct nn_device *device, const struct nn_step *step, struct error *error) {
  const struct cpu_context *context = device->context;
  if (nn_step_check(step, error)) return -1;
  if (context->kernels->run[step->op]) return 0;
  return error_set(error, "%s %s: not an operation on maps", nn_op_name(step->op), step->name);
}

int cpu_map_prepare(struct nn_device *device, struct nn_step *step, size_t *scratch, struct error *error) {
  const struct cpu_context *context = device->context;
  (void)error;
  *scratch = context->kernels->scratch(step, device->threads);
  return 0;
}

int cpu_map_run(struct nn_device *device, struct nn_step *step, void *scratch, struct error *error) {
  const struct cpu_context *context = device->context;
  if (step->op == NN_OP_CROSS_ENTROPY && nn_labels_check(step, error)) return -1;
  context->kernels->run[step->op](step, scratch, device->threads);
  return 0;
}

void cpu_map_forget(struct nn_step *step) {
  (void)step; /* nothing is kept between runs */
}
