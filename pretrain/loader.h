/* pretrain/loader - batches of training images, made ahead of the step by worker threads.
 *
 * Image i of a run (i = iteration * batch + its place in the batch) is image i % N of epoch i / N, N being the source's
 * epoch length: a function of the seed and of i alone, so that batches do not depend on the number of workers, and a
 * resumed run sees what an uninterrupted one would have seen.
 *
 * Workers sleep while all batches ahead are finished; several may work on one batch, image by image.
 */
#ifndef JIGSAW_PRETRAIN_LOADER_H
#define JIGSAW_PRETRAIN_LOADER_H

#include "pretrain/source.h"

struct loader_options {
  int batch;
  int workers; /* threads; at least 1 */
  int ahead;   /* finished batches that may wait for the step, at least 1 */
  bool bf16;   /* elements of images: bf16, else float32 */
  int64_t first_iteration;
};

/* batch x size x size x 3 elements in RGB, (value / 255 - mean) / deviation with ImageNet's constants (zero padding of
 * jigsaws is black before it is normalised), and batch x regions labels. 64-byte aligned. */
struct loader_batch {
  int64_t iteration;
  const void *images;
  const int32_t *labels;
};

struct loader;

/* Starts the threads. The source must outlive the loader. Where an epoch is smaller than a batch, the next begins
 * within it. */
int loader_open(struct loader **loader, const struct source *source, const struct loader_options *options,
                struct error *error);

/* The batch of the next iteration; it stays valid until the next call. Waits if it is not there yet, and
 * `*waited` grows by the seconds that took. A picture that cannot be decoded fails with its name, once all batches
 * before it have been handed out; of several the first in the order of images. */
int loader_next(struct loader *loader, const struct loader_batch **batch, double *waited, struct error *error);
void loader_close(struct loader *loader); /* stops and joins the threads, in whatever state they are */

#endif
