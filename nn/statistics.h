/* nn/statistics - the running statistics of batch norms, calibrated before training has made them the data's.
 *
 * A new network has running means of 0 and variances of 1: in evaluation mode it computes something else than in
 * training. A few forward passes in training mode tell what they should be:
 *
 *   nn_statistics_begin        keeps what is there, and sets all to 0
 *   nn_program_forward         n times, on n batches
 *   nn_statistics_settle       divides what has been added up by the sum of its weights, 1 - (1 - NN_NORM_MOMENTUM)^n
 *   ...                        the network in evaluation mode
 *   nn_statistics_restore      puts back what was there, count of batches included: training goes on as if nothing was
 *
 * Not for networks with frozen norms, whose statistics no pass adds to.
 */
#ifndef JIGSAW_NN_STATISTICS_H
#define JIGSAW_NN_STATISTICS_H

#include "nn/graph.h"

struct nn_statistics {
  float *values; /* of all running statistics, in the order of the parameters; NULL: none are kept */
};

int nn_statistics_begin(struct nn_statistics *before, struct nn_params *params, struct error *error);
int nn_statistics_settle(struct nn_params *params, int64_t passes, struct error *error);
int nn_statistics_restore(struct nn_statistics *before, struct nn_params *params, struct error *error);
void nn_statistics_free(struct nn_statistics *before); /* restore has done so */

#endif
