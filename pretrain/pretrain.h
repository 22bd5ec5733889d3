/* pretrain - from a sample store, written jigsaws or class folders to a backbone.
 *
 *   RUN/backbone.safetensors   the backbone alone: torchvision's keys, float32, provenance as metadata
 *   RUN/checkpoints/           nn/checkpoint.h; the last two
 *   RUN/log.jsonl, loss.svg, tensorboard/   pretrain/journal.h
 *   RUN/erf/000005000.png      the receptive fields of the regions' centre cells (erf/erf.h)
 *   RUN/erf/region-0.png ...   the last ones, one by one
 *   RUN/broken.txt             pictures that were left out as damaged, if any: a number of ours, the path, the reason
 *   RUN/run.json, RUN/DONE     core/base: what was asked for, what each attempt ran on, and what it cost
 *
 * A run can be killed at any moment and goes on when it is asked for again: from the last checkpoint, to the same bits.
 */
#ifndef JIGSAW_PRETRAIN_H
#define JIGSAW_PRETRAIN_H

#include <signal.h>

#include "nn/backbone/backbone.h"
#include "nn/optimizer.h"
#include "nn/weights.h"
#include "pretrain/objective.h"
#include "pretrain/source.h"

/* OPTION_AUTO, or NaN, is "not chosen": pretrain() does, from the data and the other options. */
struct pretrain_options {
  const char *data, *out;
  enum objective_kind objective;
  const char *arch;
  int norm; /* enum nn_norm; OPTION_AUTO: as the network is known */
  bool zero_init_residual;
  const char *init;  /* weights to begin with; NULL: random ones */
  bool init_partial; /* what does not fit is left at its random values instead of failing */
  bool probe;        /* the backbone is frozen, norms included: only the classifier learns */
  uint64_t seed;

  int64_t iterations; /* OPTION_AUTO: by epochs */
  double epochs;      /* one is as many images as the data has, those that are held out included */
  int batch;
  double lr, lr_start; /* NaN: in proportion to the batch, 0.8 at 512; a quarter of lr */
  int64_t warmup;      /* iterations; OPTION_AUTO: 1250 / 64000 of all */
  enum nn_schedule_kind schedule;
  const char *lr_steps; /* "0.6,0.9": where steps fall, as parts of all iterations */
  struct nn_sgd_options sgd;
  double tau;
  int64_t erf_every; /* iterations; 0: never; or OPTION_AUTO */
  int64_t erf_images;

  double max_bad;                      /* percent of the pictures that may be broken; they are left out */
  double held_out;                     /* share of the data; NaN: 0.05, or 0 where too little is there to divide */
  int64_t held_out_images;             /* at most so many are looked at */
  int64_t evaluate_every;              /* iterations; 0: never; OPTION_AUTO: a tenth of the run */
  int64_t checkpoint_every, log_every; /* iterations; 0: never */
  double checkpoint_minutes;           /* at most so long without a checkpoint; 0: as long as it takes */
  struct jig_assemble_options assemble;

  const char *device;
  enum nn_dtype precision;
  int threads, workers; /* OPTION_AUTO: one for each processor; two */
  bool profile;
  const volatile sig_atomic_t *stop; /* becomes non-zero when the run shall be left for later; NULL: never */
  volatile sig_atomic_t *watched; /* becomes non-zero when the run begins to look at `stop`; before, ending the process
                                   * loses nothing; NULL: not told */
  FILE *chatter;                  /* configuration and progress; NULL: none */
};

struct pretrain_options pretrain_defaults(void);

enum pretrain_result {
  PRETRAIN_DONE = 0,
  PRETRAIN_FAILED = -1,
  PRETRAIN_STOPPED = 1,  /* by options->stop; whatever was done is in a checkpoint */
  PRETRAIN_COMPLETE = 2, /* before: nothing was left to do */
};

/* Does the run, or what is left of it. `identity` are the options that its result depends on, as core/base's run_open
 * takes them; owned from here on, also on failure. What the data and the initial weights contain is added to it.
 * Everything is checked before the folder is touched. */
enum pretrain_result pretrain(const struct pretrain_options *options, cJSON *identity, bool overwrite,
                              struct error *error);

/* Writes RUN/backbone.LAYOUT.safetensors from RUN/backbone.safetensors; `path` is for messages. */
int pretrain_export(const char *run, enum weights_layout layout, char path[PATH_SIZE], struct error *error);

#endif
