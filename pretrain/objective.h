/* pretrain/objective - what the network is asked for: the head on C5, the labels of its positions, and the score.
 *
 * Zhou et al., ECCV 2020, section 3.3. A jigsaw has regions R_i with one label y_i each; C5 is a map of cells, each in
 * one region.
 *
 *   erf      the classifier on every cell, soft-label cross-entropy at every cell with the label sum_i w_i y_i, w being
 *            the table of erf/erf.h (one-hot before the first measurement); the mean over a region's cells, then over
 *            the regions
 *   block    the mean of each region's cells, the classifier on each, cross-entropy with y_i, the mean over regions
 *   global   the mean of all cells, the classifier, cross-entropy with the y_i mixed by area
 *   classify the same with one label
 *
 * All of it is one nn_cross_entropy with the tables `mix` and `scale`.
 */
#ifndef JIGSAW_PRETRAIN_OBJECTIVE_H
#define JIGSAW_PRETRAIN_OBJECTIVE_H

#include "erf/erf.h"
#include "nn/graph.h"
#include "nn/program.h"

enum objective_kind { OBJECTIVE_ERF, OBJECTIVE_BLOCK, OBJECTIVE_GLOBAL, OBJECTIVE_CLASSIFY };
extern const char *const objective_names[]; /* "erf", "block", "global", "classify", NULL */

struct objective {
  enum objective_kind kind;
  struct erf_regions regions; /* classify: one, the whole input */
  int classes;
  int side;                         /* cells a side of C5 */
  struct nn_shape logits;           /* of one image: n = 1; h x w positions */
  struct nn_shape mix, scale, pool; /* of the inputs of those names; pool: n = 0 when there is none */
  float *mix_table, *scale_table, *pool_table;
};

/* `cut` is the template's (0: no template, one region). Fails when the size or the cut is not a multiple of the stride:
 * the regions would not align with the cells of the map ("--data: a template of 224:70 ... at stride 32; ..."). */
int objective_init(struct objective *objective, enum objective_kind kind, int size, int cut, int stride, int classes,
                   struct error *error);
void objective_free(struct objective *objective);

/* Adds the head to a graph: the linear layer `classifier` ("fc"), inputs "labels", "mix", "scale" (and "pool"), outputs
 * "logits" and "loss". */
int objective_build(const struct objective *objective, struct nn_graph *graph, int features, const char *classifier,
                    struct error *error);

/* The shapes of those inputs for a batch of n, appended to shapes[]; returns how many (at most 4). */
size_t objective_shapes(const struct objective *objective, int64_t n, struct nn_input_shape shapes[4]);

/* Binds the tables (not the labels) to a program. They may change between runs. */
int objective_bind(const struct objective *objective, struct nn_program *program, struct error *error);

/* erf: takes over the weights of erf_soft_labels. */
void objective_set_table(struct objective *objective, const float *table);

/* Correct predictions. A region's prediction is the class with the largest sum of log-probabilities over its positions
 * (erf: its cells; block: its one position). global: one prediction an image, correct when it is the label of the
 * largest region, and counted there. Labels below 0 are not counted. */
struct objective_score {
  int regions, classes;
  int64_t *region_correct, *region_count; /* [regions] */
  int64_t *class_correct, *class_count;   /* [classes] */
};

int objective_score_init(struct objective_score *score, const struct objective *objective, struct error *error);
void objective_score_clear(struct objective_score *score);
void objective_score_free(struct objective_score *score);
/* Adds n images: logits as nn_program_read gives them, labels[n][regions]. Allocates nothing. */
void objective_score_add(struct objective_score *score, const struct objective *objective, const float *logits,
                         const int32_t *labels, int64_t n);
double
objective_accuracy(const struct objective_score *score); /* 0 .. 1 over all regions; 0 when nothing was counted */

#endif
