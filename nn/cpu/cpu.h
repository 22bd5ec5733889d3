/* nn/cpu - the backend for processors: oneDNN does convolutions (conv.c), our own kernels do everything that only moves
 * bytes (maps.c and kernels*.c). Threads are OpenMP's, oneDNN's and ours alike, so that one pool does all the work.
 */
#ifndef JIGSAW_NN_CPU_H
#define JIGSAW_NN_CPU_H

#include "nn/backend.h"
#include "nn/cpu/kernels.h"

/* Implementations of oneDNN's, each for one operation. */
struct conv_kinds {
  struct conv_kind {
    char name[64];
    enum nn_op op;
  } items[16];
  int count;
};

struct cpu_context {
  const struct cpu_kernels *kernels; /* for the best instruction set of this processor */
  void *engine, *stream;             /* oneDNN's */
  bool amx;                          /* whether convolutions may count on tiles of bf16 */
  const struct nn_backend *oracle;   /* what convolutions that were ever wrong are compared with, on the host */
  struct conv_kinds right;           /* and were found right */
};

/* Whether oneDNN may use these instructions (dnnl_cpu_isa_...), which DNNL_MAX_CPU_ISA lowers; our kernels follow it.
 */
bool cpu_has_isa(int isa);

/* NN_OP_CONV and its two backward steps. */
int cpu_conv_supports(const struct nn_device *device, const struct nn_step *step, struct error *error);
int cpu_conv_prepare(struct nn_device *device, struct nn_step *step, size_t *scratch, struct error *error);
int cpu_conv_run(struct nn_device *device, struct nn_step *step, void *scratch, struct error *error);
void cpu_conv_forget(struct nn_step *step);
const char *cpu_conv_implementation(const struct nn_step *step); /* oneDNN's name of it, of a prepared step */

/* All other steps. */
int cpu_map_supports(const struct nn_device *device, const struct nn_step *step, struct error *error);
int cpu_map_prepare(struct nn_device *device, struct nn_step *step, size_t *scratch, struct error *error);
int cpu_map_run(struct nn_device *device, struct nn_step *step, void *scratch, struct error *error);
void cpu_map_forget(struct nn_step *step);

#endif
