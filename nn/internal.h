/* nn/internal - what a graph consists of; for the files of this folder. */
#ifndef JIGSAW_NN_INTERNAL_H
#define JIGSAW_NN_INTERNAL_H

#include "nn/backend.h"
#include "nn/program.h"

enum nn_kind {
  NN_KIND_INPUT,
  NN_KIND_CONV, /* linear layers too */
  NN_KIND_NORM,
  NN_KIND_RELU,
  NN_KIND_ADD,
  NN_KIND_MAX_POOL,
  NN_KIND_AVERAGE_POOL,
  NN_KIND_GLOBAL_POOL,
  NN_KIND_REGION_POOL, /* operands: x, weights */
  NN_KIND_UPSAMPLE,    /* operands: x, like */
  NN_KIND_CONCAT,
  NN_KIND_CROSS_ENTROPY, /* operands: logits, labels, mix, scale */
};

enum { NN_OPERANDS_MAX = 8 };

struct nn_node {
  enum nn_kind kind;
  const char *name;   /* of the layer or input; for others of the first operand */
  const char *output; /* NULL: not kept */
  int operands[NN_OPERANDS_MAX];
  int operand_count;
  int64_t channels;
  enum nn_input_kind input_kind;
  struct nn_conv conv;
  const struct nn_param *weight, *bias;
  struct nn_norm_layer norm;
  struct nn_pool pool;
};

struct nn_graph {
  struct arena arena;
  struct nn_params *params;
  struct nn_node *nodes; /* operands come before their users */
  size_t count, capacity;
  struct error error;
  bool failed;
};

/* ---- programs ---------------------------------------------------------------------------------------------------- */

/* A piece of the workspace, or of the caller's memory, and the steps during which it is used. */
struct nn_value {
  struct nn_operand operand; /* first, so that an operand of a step is a value */
  bool external;             /* bound by the caller */
  int first, last;           /* steps; -1: none yet */
  size_t size, offset;
  struct nn_value *under; /* shares the memory of this one, which dies when it is born; else NULL */
};

struct nn_named_value {
  const char *name;
  struct nn_value *value;
};

struct nn_program {
  struct arena arena;
  const struct nn_graph *graph;
  struct nn_workspace *workspace;
  struct nn_compile_options options;
  struct nn_step *steps; /* forward, then backward */
  size_t step_count, step_capacity, forward_count;
  struct nn_value **values;
  size_t value_count, value_capacity;
  struct nn_value **scratches;  /* of each step; NULL: none */
  struct nn_named_value *names; /* inputs, outputs, gradients */
  size_t name_count, name_capacity;
  struct nn_param **written; /* whose gradients the backward pass writes */
  size_t written_count;
  struct nn_value *seed_gradient;
  uint64_t resolved; /* version of the workspace that the operands point into */
  size_t size;       /* of the workspace that is needed */
  size_t done;       /* steps that have run since the last forward pass began; holds while it holds the workspace */
  bool profiling;
  double *seconds; /* of each step */
  int64_t forward_runs, backward_runs;
};

/* What the compiler knows about a node. Nodes that are computed by one step form a chain: a convolution, norm or sum
 * and what is fused to it. The step stands where the chain's last node stands. */
struct nn_place {
  struct nn_shape shape;
  int users;                          /* and one for being an output */
  int head, last;                     /* of the chain the node is in; `last` is kept at the head */
  int addend;                         /* of a head: the node that is added, or -1 */
  const struct nn_norm_layer *folded; /* of a head that is a convolution */
  bool relu;                          /* of a head */
  bool varies;                        /* depends on something that a gradient is wanted of */
  bool matters;                       /* and a loss or the seed depends on it: has a gradient */
  bool logits;
  struct nn_value *value, *saved, *loss_gradient;
  struct nn_value *again;        /* of a node whose value the backward pass makes a second time */
  struct nn_value *gradients[2]; /* to be added */
};

struct nn_compiler {
  struct nn_program *program;
  const struct nn_graph *graph;
  struct nn_place *places;
  bool *written; /* parameters whose gradient a step has written already, by position */
  struct error *error;
};

/* infer.c: shapes, types, what is fused, what is differentiated. */
int nn_infer(struct nn_compiler *c);
bool nn_trained(const struct nn_compiler *c, const struct nn_param *param); /* whether its gradient is wanted */

/* compile.c. Memory trouble leaves NULL and a message. */
struct nn_value *nn_value_new(struct nn_compiler *c, struct nn_shape shape, enum nn_dtype dtype);
int nn_step_add(struct nn_compiler *c, const struct nn_step *step);
int nn_name_value(struct nn_compiler *c, const char *name, const char *suffix, struct nn_value *value);

/* differentiate.c: adds the backward steps. */
int nn_differentiate(struct nn_compiler *c);

/* plan.c: lifetimes and places in the workspace, of values and scratch. */
int nn_plan(struct nn_program *program, struct error *error);
int nn_workspace_reserve(struct nn_workspace *workspace, size_t size, struct error *error);

int64_t nn_step_flops(const struct nn_step *step); /* 0 for what is not a convolution */

#endif
