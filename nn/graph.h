/* nn/graph - a network as a static graph. Builders add nodes; nn_compile (nn/program.h) makes a program of it.
 *
 *   struct nn_graph *g = nn_graph_create(&params);
 *   int x = nn_input(g, "images", NN_ACTIVATION, 3);
 *   x = nn_relu(g, nn_batch_norm(g, nn_conv(g, x, "conv1", (struct nn_conv){.out = 64, .kernel = 7, .stride = 2,
 *                                .pad = 3, .dilation = 1, .groups = 1}), "bn1", NN_NORM_BATCH));
 *   nn_output(g, x, "features");
 *
 * A node is a small number. A builder that fails returns -1, keeps the first message in the graph, and accepts -1 as an
 * operand: a network is built without a check at each line, and nn_graph_error (or nn_compile) tells in the end.
 * Channels are known while building; heights and widths only when a program is compiled for an input's shape.
 */
#ifndef JIGSAW_NN_GRAPH_H
#define JIGSAW_NN_GRAPH_H

#include "nn/params.h"

struct nn_graph;

struct nn_graph *nn_graph_create(struct nn_params *params); /* NULL when memory is out */
void nn_graph_free(struct nn_graph *graph);
int nn_graph_error(const struct nn_graph *graph, struct error *error); /* 0: no builder has failed */
int64_t nn_channels(const struct nn_graph *graph, int node);

/* ---- inputs and outputs ------------------------------------------------------------------------------------------ */

enum nn_input_kind {
  NN_ACTIVATION, /* in the precision that the program is compiled for */
  NN_FLOATS,     /* float32 whatever the precision: weights of labels */
  NN_LABELS,     /* int32 */
};

int nn_input(struct nn_graph *g, const char *name, enum nn_input_kind kind, int64_t channels);

/* Keeps what the node computes readable after a run, under this name; returns the node. */
int nn_output(struct nn_graph *g, int node, const char *name);
int nn_find_output(const struct nn_graph *graph, const char *name); /* -1: none; inputs are found too */

/* ---- layers with parameters: NAME.weight, NAME.bias, ... --------------------------------------------------------- */

struct nn_conv {
  int64_t out;
  int kernel, stride, pad, dilation; /* the same in both axes */
  int64_t groups;
  bool bias;
};

/* Cross-correlation as torch.nn.Conv2d: out = floor((in + 2 pad - dilation (kernel - 1) - 1) / stride) + 1.
 * Weights begin as kaiming_normal_(fan_out, relu), as in torchvision's networks; nn_initial_set changes that. */
int nn_conv(struct nn_graph *g, int x, const char *name, struct nn_conv conv);

/* y[n,h,w,:] = W x[n,h,w,:] + b at every position: torch.nn.Linear on a 1 x 1 map, and a 1 x 1 convolution on others.
 */
int nn_linear(struct nn_graph *g, int x, const char *name, int64_t out, bool bias);

#define NN_NORM_MOMENTUM 0.1 /* of running statistics: what a batch counts */

enum nn_norm {
  NN_NORM_NONE,   /* for options of networks; the builders do not take it */
  NN_NORM_BATCH,  /* batch statistics in training, running ones in inference; momentum 0.1, eps 1e-5 */
  NN_NORM_FROZEN, /* batch norm by its running statistics always; nothing of it is trained */
  NN_NORM_GROUP,  /* 32 groups (torch.nn.GroupNorm), eps 1e-5 */
};

int nn_batch_norm(struct nn_graph *g, int x, const char *name, enum nn_norm kind); /* BATCH or FROZEN */
int nn_group_norm(struct nn_graph *g, int x, const char *name, int64_t groups);

void nn_initial_set(struct nn_graph *g, const char *parameter, struct nn_initial initial);

/* ---- layers without ---------------------------------------------------------------------------------------------- */

int nn_relu(struct nn_graph *g, int x);
int nn_add(struct nn_graph *g, int a, int b); /* the same shape */
int nn_max_pool(struct nn_graph *g, int x, int kernel, int stride, int pad);
int nn_average_pool(struct nn_graph *g, int x, int kernel, int stride,
                    int pad);                  /* padding counts, as torch's default */
int nn_global_pool(struct nn_graph *g, int x); /* the mean of the map: 1 x 1 */

/* y[n,0,r,c] = sum over cells of weights[0,h,w,r] x[n,h,w,c]; `weights`: an input of NN_FLOATS, (1, h, w, regions). */
int nn_region_pool(struct nn_graph *g, int x, int weights);

/* Nearest neighbour, to the height and width of `like`: y[h,w] = x[floor(h * x.h / y.h), floor(w * x.w / y.w)]. */
int nn_upsample(struct nn_graph *g, int x, int like);
int nn_concat(struct nn_graph *g, const int nodes[], size_t count); /* along channels */

/* ---- losses ------------------------------------------------------------------------------------------------------ */

/* Dense soft-label cross-entropy of logits z (n, h, w, classes). The label of a position is a mixture of the image's
 * R hard labels; positions are weighted:
 *
 *   loss = 1/n sum_n sum_hw scale[h,w] sum_r mix[n,h,w,r] CE(z[n,h,w,:], labels[n,r]),  CE(z, y) = logsumexp(z) - z[y]
 *
 *   labels  NN_LABELS (n, 1, 1, R)            classes; a negative one drops its term
 *   mix     NN_FLOATS (1 or n, h, w, R)       one table for all images, or one for each
 *   scale   NN_FLOATS (1, h, w, 1)
 *
 * One hard label: R = 1, mix = scale = 1. A free distribution over classes: R = classes, labels 0 .. R - 1, mix by
 * image. pretrain/objective.h has the tables of Zhou et al. (ECCV 2020). The node is
 * the loss, one float32. */
int nn_cross_entropy(struct nn_graph *g, int logits, int labels, int mix, int scale);

#endif
