/* pretrain/journal - what a training run leaves for people and their programs.
 *
 *   RUN/log.jsonl                                       one JSON object a line: {"iteration": 100, "loss": ...}
 *   RUN/tensorboard/events.out.tfevents.TIME.jigsaw.N   the same numbers for TensorBoard
 *   RUN/loss.svg                                        loss and accuracy over iterations
 */
#ifndef JIGSAW_PRETRAIN_JOURNAL_H
#define JIGSAW_PRETRAIN_JOURNAL_H

#include "core/base/base.h"

struct journal;

/* Takes up RUN/log.jsonl: lines after `iteration` (they will be written again), a torn last line and what is not JSON
 * are dropped; those before stay as they are, byte for byte. `iteration` -1 keeps none. TensorBoard gets a file of its
 * own for each attempt, which tells it to forget what earlier files have after `iteration`. */
int journal_open(struct journal **journal, const char *folder, int64_t iteration, struct error *error);
void journal_close(struct journal *journal);

struct journal_number {
  const char *name; /* "loss", "accuracy", "lr", "images_per_second", "held_out/accuracy", "erf/area_0" */
  double value;
};

/* Adds one line and one event for each number; both are handed to the system at once, so that a kill loses nothing. NaN
 * and infinities are null in JSON. */
int journal_write(struct journal *journal, int64_t iteration, double seconds, const struct journal_number *numbers,
                  size_t count, struct error *error);

/* Draws log.jsonl to RUN/loss.svg: training loss (with a running mean), held-out loss where there is one, accuracy on a
 * second axis, learning rate faintly. Self-contained, readable in light and dark. */
int journal_draw(const char *folder, const char *title, struct error *error);

#endif
