/* jigsaw/quota - negatives that some images make up for others.
 *
 * The paper's one negative for every ten positives is meant over a data set: a picture full of boxes has no room for
 * its own share, a picture without boxes has room and no share. What is missing is dealt to pictures in random order,
 * one round after the other, until the ratio holds or all pictures are full (jig_sample_image says when one is).
 *
 * The quota depends on the annotations, the options and the sizes of the pictures alone, so that every worker, shard
 * and attempt has the same. It is made without reading a picture that has its size in the annotations; what turns out
 * to be broken later takes its negatives with it, as it does its positives.
 */
#ifndef JIGSAW_JIGSAW_QUOTA_H
#define JIGSAW_JIGSAW_QUOTA_H

#include "jigsaw/extract.h"

struct jig_quota {
  int32_t *more;   /* of each image, beyond its own share; NULL: none of any */
  int64_t missing; /* negatives that no picture had room for */
};

/* With JIG_FROM_SAME nobody makes anything up. Free with jig_quota_free, also after a failure. */
int jig_quota_plan(struct jig_quota *quota, const struct dataset *dataset, const struct jig_extract_options *options,
                   int workers, struct error *error);
int64_t jig_quota_more(const struct jig_quota *quota, int64_t image);
void jig_quota_free(struct jig_quota *quota);

#endif
