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

#endif
