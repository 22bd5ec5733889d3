/* The training loop: a batch, a step, and now and then a look at how it goes. */
#include <math.h>
#include <stdlib.h>

#include "pretrain/trainer.h"

int trainer_fact(struct trainer *t, const char *name, cJSON *item) {
  cJSON_DeleteItemFromObjectCaseSensitive(t->facts, name);
  if (item && cJSON_AddItemToObject(t->facts, name, item)) return 0;
  cJSON_Delete(item);
  return error_memory(t->error, 0);
}

int trainer_log(struct trainer *t, const struct journal_number *numbers, size_t count) {
  double seconds = t->run.seconds_before + clock_seconds() - t->run.started;
  return journal_write(t->journal, t->iteration, seconds, numbers, count, t->error);
}

/* ---- one step ---------------------------------------------------------------------------------------------------- */

static int take_step(struct trainer *t) {
  const struct loader_batch *batch;
  struct error *error = t->error;
  float loss;
  if (loader_next(t->loader, &batch, &t->waited, error)) return -1;
  if (nn_program_bind(t->step, "images", batch->images, error)) return -1;
  if (nn_program_bind(t->step, "labels", batch->labels, error)) return -1;
  if (nn_program_forward(t->step, error) || nn_program_read(t->step, "loss", &loss, error)) return -1;
  if (!isfinite(loss)) {
    error_set(error, "the loss is %g in iteration %lld", (double)loss, (long long)t->iteration + 1);
    return trainer_advise_rate(t);
  }
  if (nn_program_read(t->step, "logits", t->logits, error) || nn_program_backward(t->step, error)) return -1;
  if (nn_sgd_step(&t->params, &t->options.sgd, nn_schedule_rate(&t->schedule, t->iteration), NULL, error)) {
    error_context(error, "iteration %lld", (long long)t->iteration + 1);
    return error->machine ? -1 : trainer_advise_rate(t);
  }
  objective_score_add(&t->score, &t->objective, t->logits, batch->labels, t->options.batch);
  t->spent.training_flops += (double)(t->facts_of_step.forward_flops + t->facts_of_step.backward_flops);
  t->interval.loss += (double)loss;
  t->interval.iterations++;
  t->iteration++;
  return 0;
}

/* ---- the line of an interval ------------------------------------------------------------------------------------- */

/* What the score has counted goes to the interval, which checkpoints keep. */
static void take_score(struct trainer *t) {
  for (int r = 0; r < t->score.regions; r++) {
    t->interval.correct += (double)t->score.region_correct[r];
    t->interval.counted += (double)t->score.region_count[r];
  }
  objective_score_clear(&t->score);
}

static void print_line(const struct trainer *t, double loss, double accuracy, double rate, double speed, double wait) {
  int64_t left = t->options.iterations - t->iteration;
  double session = (clock_seconds() - t->session_started) / (double)(t->iteration - t->session_iteration);
  int64_t eta = (int64_t)((double)left * session);
  fprintf(t->options.chatter,
          "iteration %lld/%lld  loss %.4f  accuracy %.1f %%  lr %.4g  %.1f img/s  data wait %.1f %%  eta "
          "%lld:%02lld:%02lld\n",
          (long long)t->iteration, (long long)t->options.iterations, loss, 100 * accuracy, rate, speed, 100 * wait,
          (long long)(eta / 3600), (long long)(eta / 60 % 60), (long long)(eta % 60));
}

static void begin_line(struct trainer *t) {
  t->waited = 0;
  t->line_started = clock_seconds();
  t->line_iteration = t->iteration;
}

static int write_line(struct trainer *t) {
  take_score(t);
  double seconds = clock_seconds() - t->line_started;
  double images = (double)((t->iteration - t->line_iteration) * t->options.batch);
  double loss = t->interval.loss / t->interval.iterations;
  double accuracy = t->interval.counted > 0 ? t->interval.correct / t->interval.counted : 0;
  double rate = nn_schedule_rate(&t->schedule, t->iteration - 1);
  const struct journal_number numbers[] = {
      {"loss", loss},
      {"accuracy", accuracy},
      {"lr", rate},
      {"epoch", (double)t->iteration * t->options.batch / (double)trainer_epoch(t)},
      {"images_per_second", images / seconds},
      {"data_wait", t->waited / seconds},
  };
  if (t->options.chatter) print_line(t, loss, accuracy, rate, images / seconds, t->waited / seconds);
  t->interval = (struct interval){0};
  return trainer_log(t, numbers, COUNT_OF(numbers));
}

/* ---- the loop ---------------------------------------------------------------------------------------------------- */

static bool due(const struct trainer *t, int64_t every) {
  return every > 0 && (t->iteration % every == 0 || t->iteration == t->options.iterations);
}

static bool checkpoint_due(const struct trainer *t) {
  double minutes = t->options.checkpoint_minutes;
  if (t->iteration == t->options.iterations) return true;
  return due(t, t->options.checkpoint_every) || (minutes > 0 && clock_seconds() - t->saved >= 60 * minutes);
}

/* 0, -1, or NN_STOPPED: what is due by then stays so. A checkpoint comes last, so that a resumed run does nothing of it
 * twice. */
static int do_due(struct trainer *t) {
  static const struct {
    enum look what;
    int (*act)(struct trainer *t);
  } acts[] = {{LOOK_MEASURE, trainer_measure}, {LOOK_EVALUATE, trainer_evaluate}};
  for (size_t i = 0; i < COUNT_OF(acts); i++) {
    if (!(t->due & acts[i].what)) continue;
    int result = trainer_stopped(t) ? NN_STOPPED : acts[i].act(t);
    if (result) return result;
    t->due &= ~(unsigned)acts[i].what;
  }
  if (!(t->due & LOOK_SAVE)) return 0;
  t->due = 0;
  take_score(t);
  return trainer_save(t) || trainer_draw(t) ? -1 : 0;
}

/* What follows the t->iteration-th step. */
static int look(struct trainer *t) {
  const struct pretrain_options *o = &t->options;
  double started = clock_seconds();
  bool line = due(t, o->log_every);
  if (line && write_line(t)) return -1;
  t->due = (due(t, o->erf_every) ? LOOK_MEASURE : 0) | (t->held_out && due(t, o->evaluate_every) ? LOOK_EVALUATE : 0) |
           (checkpoint_due(t) ? LOOK_SAVE : 0);
  int result = do_due(t);
  t->line_started += clock_seconds() - started; /* a line tells of training alone */
  if (line) begin_line(t);
  return result;
}

static enum pretrain_result stop(struct trainer *t) {
  if (t->iteration == 0) return PRETRAIN_STOPPED;
  take_score(t);
  return trainer_save(t) || trainer_draw(t) ? PRETRAIN_FAILED : PRETRAIN_STOPPED;
}

static enum pretrain_result loop(struct trainer *t) {
  const struct pretrain_options *o = &t->options;
  t->saved = clock_seconds();
  if (o->watched) *o->watched = 1;
  if (t->iteration == 0 && o->erf_every > 0) t->due = LOOK_MEASURE;
  int result = do_due(t);
  if (o->profile) nn_program_profile(t->step, true);
  t->session_started = clock_seconds();
  t->session_iteration = t->iteration;
  begin_line(t);
  while (result == 0 && t->iteration < o->iterations && !trainer_stopped(t)) {
    result = take_step(t) ? -1 : look(t);
    run_tick(&t->run);
  }
  if (result < 0) return PRETRAIN_FAILED;
  if (result > 0 || t->iteration < o->iterations) return stop(t);
  return trainer_finish(t) ? PRETRAIN_FAILED : PRETRAIN_DONE;
}

static int write_profile(const struct trainer *t) {
  char path[PATH_SIZE];
  if (path_format(path, t->error, "%s/profile.txt", t->options.out)) return -1;
  FILE *file = fopen(path, "w");
  if (!file) return error_system(t->error, "%s: cannot write", path);
  nn_program_profile_print(t->step, file);
  if (t->options.chatter) fprintf(t->options.chatter, "profile in %s\n", path);
  return fclose(file) ? error_system(t->error, "%s: cannot write", path) : 0;
}

static enum pretrain_result run(struct trainer *t) {
  if (t->run.finished) return PRETRAIN_COMPLETE;
  if (t->options.chatter) trainer_print_configuration(t);
  enum pretrain_result result = loop(t);
  if (result != PRETRAIN_FAILED && t->options.profile && write_profile(t)) return PRETRAIN_FAILED;
  return result;
}

enum pretrain_result pretrain(const struct pretrain_options *options, cJSON *identity, bool overwrite,
                              struct error *error) {
  struct trainer trainer = {.given = options, .run = {.lock = -1}, .error = error, .facts = cJSON_CreateObject()};
  int opened = trainer.facts ? trainer_open(&trainer) : error_memory(error, 0);
  if (opened) {
    cJSON_Delete(identity);
  } else {
    opened = trainer_enter(&trainer, identity, overwrite);
  }
  enum pretrain_result result = opened ? PRETRAIN_FAILED : run(&trainer);
  trainer_close(&trainer);
  return result;
}
