/* pretrain/trainer - what a run has in its hands; for the files of this folder. */
#ifndef JIGSAW_PRETRAIN_TRAINER_H
#define JIGSAW_PRETRAIN_TRAINER_H

#include "nn/checkpoint.h"
#include "pretrain/journal.h"
#include "pretrain/loader.h"
#include "pretrain/pretrain.h"

/* What has added up since the last line of the log; part of a checkpoint. */
struct interval {
  double loss; /* sum over iterations */
  double iterations, correct, counted;
};

/* What has added up since the run began; part of a checkpoint. */
struct spent {
  double training_flops, erf_flops, evaluation_flops;
};

/* What is to be done after a step besides going on, in this order. */
enum look { LOOK_MEASURE = 1, LOOK_EVALUATE = 2, LOOK_SAVE = 4 };

/* Pictures that cannot be used; they are left out for as long as the run lasts, mended or not, so that its bits and
 * what is known as its data stay the same. */
struct broken {
  uint64_t *keys; /* of their names, ascending */
  size_t count;
  size_t found;       /* by this attempt: */
  struct buffer text; /* what is to become RUN/broken.txt */
  char recorded[33];  /* the digest of the data that an earlier attempt in this folder had; "" */
};

struct trainer {
  const struct pretrain_options *given;
  struct pretrain_options options; /* with every default resolved */
  struct run run;
  struct error *error;

  struct source *training, *held_out; /* held_out: NULL when nothing is */
  struct broken broken;
  struct loader *loader;
  struct objective objective;
  struct nn_schedule schedule;

  struct nn_device device;
  struct nn_params params;
  struct nn_workspace workspace;
  struct nn_graph *network, *features; /* features: the backbone alone, up to output "features" */
  struct nn_program *step, *judge;     /* judge: the network in evaluation mode */
  struct nn_program_facts facts_of_step;
  float *logits;                /* of a batch */
  struct objective_score score; /* of the interval */
  uint8_t *erf_images;          /* what receptive fields are measured with, normalised */

  struct journal *journal;
  int64_t iteration; /* done so far */
  double saved;      /* when the last checkpoint was; a clock */
  unsigned due;      /* of `enum look`, after that iteration: what has not been done yet; part of a checkpoint */
  struct interval interval;
  struct spent spent;
  double waited, line_started, session_started; /* seconds: for data in this interval; clocks */
  int64_t line_iteration, session_iteration;    /* where those clocks began */
  cJSON *facts; /* results for run.json: the last evaluation and measurement; part of a checkpoint */
};

/* initial.c: what the parameters begin with. */
int trainer_initialise(struct trainer *t);

/* setup.c: everything between the options and the first step, first what can be checked, then the run's folder.
 * trainer_close takes whatever was opened. */
int trainer_open(struct trainer *t);
int trainer_enter(struct trainer *t, cJSON *identity, bool overwrite); /* owns identity */
void trainer_close(struct trainer *t);
void trainer_print_configuration(const struct trainer *t); /* summary.c */

/* Images of an epoch, held-out ones included: what the paper's length and ours are counted in. */
int64_t trainer_epoch(const struct trainer *t);

/* broken.c: read RUN/broken.txt; whether the open sources are the data that an earlier attempt had; look at every
 * picture, and fail when too many are broken; write RUN/broken.txt. */
int trainer_read_broken(struct trainer *t);
bool trainer_same_data(const struct trainer *t);
int trainer_find_broken(struct trainer *t);
int trainer_write_broken(struct trainer *t);
void trainer_forget_broken(struct trainer *t);

/* keep.c: checkpoints and results. */
int trainer_save(struct trainer *t);
/* t->iteration stays 0 when there is no checkpoint. When none is whole it fails, or with `overwrite` begins anew. */
int trainer_resume(struct trainer *t, bool overwrite);
int trainer_finish(struct trainer *t);     /* backbone, curve, run.json, DONE */
int trainer_draw(const struct trainer *t); /* the curve */
/* Add to the message what can be done about learning that failed, and about options that differ. Both return -1. */
int trainer_advise_rate(const struct trainer *t);
int trainer_advise_another(const struct trainer *t);

/* attempt.c: notes in run.json what this attempt runs on, and says so when the one before ran on something else. */
int trainer_attempt(struct trainer *t);

/* judge.c: held-out loss and accuracies; measure.c: receptive fields, soft labels, pictures. Into log and facts. Both
 * return NN_STOPPED, and have changed nothing, when they were stopped. */
int trainer_evaluate(struct trainer *t);
int trainer_measure(struct trainer *t);

/* Replaces facts->name; takes `item` over, NULL is out of memory. */
int trainer_fact(struct trainer *t, const char *name, cJSON *item);
int trainer_log(struct trainer *t, const struct journal_number *numbers, size_t count);

static inline bool trainer_stopped(const struct trainer *t) {
  return t->options.stop && *t->options.stop;
}

#endif
