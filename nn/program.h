/* nn/program - a graph compiled for one device, one precision and one shape of input, to be run many times.
 *
 * nn_compile infers every shape, fuses (convolution + norm + add + ReLU), derives the backward pass, places every
 * activation and gradient in one workspace by its lifetime, and lets the backend prepare each step. Running allocates
 * nothing. Programs of the same device that do not run at the same time share one workspace: it is as large as the
 * largest needs.
 */
#ifndef JIGSAW_NN_PROGRAM_H
#define JIGSAW_NN_PROGRAM_H

#include <signal.h>

#include "nn/graph.h"

struct nn_workspace {
  struct nn_device *device;
  void *memory;
  size_t size;
  uint64_t version;                /* changes when memory moves */
  const struct nn_program *holder; /* whose values the memory holds: the last to run; NULL: nobody's */
};

void nn_workspace_init(struct nn_workspace *workspace, struct nn_device *device);
void nn_workspace_free(struct nn_workspace *workspace); /* after the programs in it */

struct nn_input_shape {
  const char *input;
  struct nn_shape shape; /* c may be 0: the channels of the input */
};

struct nn_compile_options {
  enum nn_dtype precision; /* of activations and their gradients: NN_F32 or NN_BF16 */
  bool training;           /* batch norm by batch statistics, and running statistics are updated */
  bool parameter_gradients;
  bool accumulate; /* gradients of parameters that have one are added to it instead of replacing it */
  /* The backward pass starts from every loss, or, with `seed` the name of an output, from a gradient of it that the
   * caller gives (nn_program_bind_gradient). Then, not in training, it may run for `copies` gradients at once: their
   * batch is copies times as large, and image i of it belongs to image i / copies of the forward pass. */
  const char *seed;
  int64_t copies;             /* 0 or 1: one */
  const char *input_gradient; /* the name of an input whose gradient is wanted, readable as "INPUT.gradient" */
  const struct nn_input_shape *shapes;
  size_t shape_count;
  const volatile sig_atomic_t *stop; /* a run ends early, with NN_STOPPED, once this is not 0; NULL: never */
};

struct nn_program;

/* The graph and its parameters (allocated before) must outlive the program. Compiling ends what the workspace held
 * where more memory is needed; when it fails all other programs are as they were. */
int nn_compile(struct nn_program **program, const struct nn_graph *graph, struct nn_workspace *workspace,
               const struct nn_compile_options *options, struct error *error);
void nn_program_free(struct nn_program *program);

/* Lets an input, or the gradient of the seed, be read from the caller's memory during the following runs: for
 * activations elements of the program's precision, for the rest float32 or int32, NHWC, 64-byte aligned is best. */
int nn_program_bind(struct nn_program *program, const char *input, const void *data, struct error *error);
int nn_program_bind_gradient(struct nn_program *program, const void *data, struct error *error);
enum nn_dtype nn_program_dtype(const struct nn_program *program, const char *name);

enum { NN_STOPPED = 1 }; /* not an error: what the program computes is not there */

/* A backward pass follows a forward pass with the same data, once, and nothing may have used the workspace in between:
 * anything else is an error. The parameters whose gradients it writes are then marked as having one. */
int nn_program_forward(struct nn_program *program, struct error *error);
int nn_program_backward(struct nn_program *program, struct error *error);

/* An output, a loss, or "INPUT.gradient" as float32 in NHWC; an error where it has not been computed, or another
 * program has used the workspace since. The shape of any of them, or of an input. */
int nn_program_shape(const struct nn_program *program, const char *name, struct nn_shape *shape, struct error *error);
int nn_program_read(struct nn_program *program, const char *name, float *host, struct error *error);

struct nn_program_facts {
  int64_t forward_flops, backward_flops; /* of convolutions and linear layers: 2 for a multiply-add, whole batch */
  int64_t activation_bytes;              /* of the workspace that this program needs */
  int64_t unplanned_bytes;               /* the same without sharing by lifetime */
  int64_t scratch_bytes;                 /* of the backend's primitives, part of activation_bytes */
  int64_t steps;
};

struct nn_program_facts nn_program_facts(const struct nn_program *program);

/* While profiling is on every step is timed. The table: time, share, calls, FLOP/s, bytes moved and bytes/s of each
 * step, by op and layer, slowest first. */
void nn_program_profile(struct nn_program *program, bool on);
void nn_program_profile_print(const struct nn_program *program, FILE *stream);

#endif
