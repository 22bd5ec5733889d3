/* From options to something that can take a step: data, device, model, programs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pretrain/trainer.h"

enum { STRIDE = 32 /* of C5 */ };
static const double HELD_OUT = 0.05;

/* What a run leaves in its folder, and what beginning anew takes away. */
static const char *const products[] = {"backbone.safetensors",
                                       "backbone.torchvision.safetensors",
                                       "backbone.timm.safetensors",
                                       "backbone.detectron2.safetensors",
                                       "backbone.mmdetection.safetensors",
                                       "checkpoints",
                                       "log.jsonl",
                                       "loss.svg",
                                       "tensorboard",
                                       "erf",
                                       "profile.txt",
                                       "broken.txt",
                                       NULL};

struct pretrain_options pretrain_defaults(void) {
  return (struct pretrain_options){
      .arch = "resnet50",
      .norm = OPTION_AUTO,
      .iterations = OPTION_AUTO,
      .epochs = 139, /* of COCO's 235,840 jigsaws: the paper's 64,000 iterations of 512 */
      .batch = 32,
      .lr = NAN,
      .lr_start = NAN,
      .warmup = OPTION_AUTO,
      .lr_steps = "0.6,0.9",
      .sgd = {.momentum = 0.9, .weight_decay = 1e-4},
      .tau = 0.7,
      .erf_every = OPTION_AUTO,
      .erf_images = 32,
      .max_bad = 1,
      .held_out = NAN,
      .held_out_images = 512,
      .evaluate_every = OPTION_AUTO,
      .checkpoint_every = 1000,
      .checkpoint_minutes = 10,
      .log_every = 50,
      .assemble = jig_assemble_defaults(),
      .device = "cpu",
      .precision = NN_BF16,
      .threads = OPTION_AUTO,
      .workers = OPTION_AUTO,
  };
}

/* ---- data -------------------------------------------------------------------------------------------------------- */

static int worker_count(const struct pretrain_options *options) {
  if (options->workers != OPTION_AUTO) return options->workers;
  return processor_count() < 2 ? 1 : 2;
}

static int open_parts(struct trainer *t, double held_out) {
  const struct pretrain_options *o = &t->options;
  struct source_options options = {.seed = o->seed,
                                   .assemble = o->assemble,
                                   .held_out = held_out,
                                   .workers = worker_count(o),
                                   .left_out = t->broken.keys,
                                   .left_out_count = t->broken.count};
  bool classify = o->objective == OBJECTIVE_CLASSIFY;
  options.assemble.seed = o->seed;
  source_close(t->training);
  source_close(t->held_out);
  t->training = t->held_out = NULL;
  t->options.held_out = held_out;
  if (source_open(&t->training, o->data, classify, SOURCE_TRAINING, &options, t->error)) return -1;
  if (held_out <= 0) return 0;
  return source_open(&t->held_out, o->data, classify, SOURCE_HELD_OUT, &options, t->error);
}

/* Where nobody has chosen and the data cannot be divided, all is trained with. */
static int open_sources(struct trainer *t) {
  if (!isnan(t->given->held_out)) return open_parts(t, t->given->held_out);
  if (open_parts(t, HELD_OUT) == 0) return 0;
  return t->error->machine ? -1 : open_parts(t, 0);
}

static int open_objective(struct trainer *t) {
  const struct source *s = t->training;
  if (objective_init(&t->objective, t->options.objective, source_size(s), source_cut(s), STRIDE, source_classes(s),
                     t->error)) {
    return -1;
  }
  return objective_score_init(&t->score, &t->objective, t->error);
}

static int open_loader(struct trainer *t) {
  struct loader_options options = {.batch = t->options.batch,
                                   .workers = t->options.workers,
                                   .ahead = 4,
                                   .bf16 = t->options.precision == NN_BF16,
                                   .first_iteration = t->iteration};
  return loader_open(&t->loader, t->training, &options, t->error);
}

/* Receptive fields are measured with the same few images throughout a run. */
static int load_erf_images(struct trainer *t) {
  struct loader *loader;
  const struct loader_batch *batch;
  double waited = 0;
  int size = source_size(t->training);
  struct loader_options options = {.batch = (int)t->options.erf_images,
                                   .workers = t->options.workers,
                                   .ahead = 1,
                                   .bf16 = t->options.precision == NN_BF16};
  size_t bytes = (size_t)t->options.erf_images * (size_t)size * (size_t)size * 3 * nn_dtype_size(t->options.precision);
  if (loader_open(&loader, t->held_out ? t->held_out : t->training, &options, t->error)) return -1;
  int result = loader_next(loader, &batch, &waited, t->error);
  t->erf_images = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (result == 0 && !t->erf_images) result = error_memory(t->error, bytes);
  if (result == 0) memcpy(t->erf_images, batch->images, bytes);
  loader_close(loader);
  return result;
}

/* ---- defaults that follow from the data -------------------------------------------------------------------------- */

static int parse_steps(struct trainer *t) {
  struct nn_schedule *s = &t->schedule;
  const char *text = t->options.lr_steps;
  s->factor = 0.1;
  while (*text) {
    char *end;
    double part = strtod(text, &end);
    bool room = s->boundary_count < (int)COUNT_OF(s->boundaries);
    if (end == text || !(part > 0 && part < 1) || (*end && *end != ',') || !room) {
      return error_set(t->error, "--lr-steps: '%s' is not up to %zu parts of the run between 0 and 1, as 0.6,0.9",
                       t->options.lr_steps, COUNT_OF(s->boundaries));
    }
    s->boundaries[s->boundary_count++] = (int64_t)(part * (double)t->options.iterations);
    text = *end ? end + 1 : end;
  }
  return 0;
}

/* As often as in the paper, 64,000 / 5,000 times a run, but no more often than would take a tenth of the computing: a
 * backward pass of data for each cell of each image, of which a step takes three forward, data and weights. */
static int64_t choose_erf_every(const struct trainer *t) {
  const struct pretrain_options *o = &t->options;
  int64_t side = source_size(t->training) / STRIDE, cells = side * side;
  int64_t paper = llround((double)o->iterations * 5000 / 64000), cheap = 10 * o->erf_images * cells / (3 * o->batch);
  int64_t every = paper > cheap ? paper : cheap;
  return every > 1 ? every : 1;
}

int64_t trainer_epoch(const struct trainer *t) {
  return source_epoch_length(t->training) + (t->held_out ? source_epoch_length(t->held_out) : 0);
}

static void resolve_schedule(struct trainer *t) {
  struct pretrain_options *o = &t->options;
  if (o->iterations == OPTION_AUTO) o->iterations = (int64_t)ceil(o->epochs * (double)trainer_epoch(t) / o->batch);
  if (isnan(o->lr)) o->lr = 0.8 * o->batch / 512;
  if (isnan(o->lr_start)) o->lr_start = o->lr / 4;
  if (o->warmup == OPTION_AUTO) o->warmup = (o->iterations * 1250 + 32000) / 64000;
  t->schedule = (struct nn_schedule){
      .kind = o->schedule, .start = o->lr_start, .base = o->lr, .warmup = o->warmup, .iterations = o->iterations};
}

/* Every option that follows from the data; again when they have changed. */
static int resolve(struct trainer *t) {
  struct pretrain_options *o = &t->options;
  double held_out = o->held_out;
  const struct source *looked_at = t->held_out ? t->held_out : t->training;
  enum nn_norm norm;
  *o = *t->given;
  o->held_out = held_out;
  resolve_schedule(t);
  if (o->evaluate_every == OPTION_AUTO) o->evaluate_every = (o->iterations + 9) / 10;
  if (o->erf_images > source_epoch_length(looked_at)) o->erf_images = source_epoch_length(looked_at);
  if (o->erf_every == OPTION_AUTO) o->erf_every = choose_erf_every(t);
  o->workers = worker_count(o);
  if (o->threads == OPTION_AUTO) o->threads = processor_count();
  if (backbone_default_norm(o->arch, &norm, t->error)) return -1;
  if (o->norm == OPTION_AUTO) o->norm = (int)norm;
  if (o->schedule == NN_SCHEDULE_STEP && parse_steps(t)) return -1;
  return nn_schedule_check(&t->schedule, t->error);
}

/* ---- model ------------------------------------------------------------------------------------------------------- */

static int build(struct trainer *t) {
  const struct pretrain_options *o = &t->options;
  const char *classifier = backbone_classifier(o->arch);
  enum nn_norm norm = o->probe && o->norm == NN_NORM_BATCH ? NN_NORM_FROZEN : (enum nn_norm)o->norm;
  struct nn_graph *const graphs[] = {t->network, t->features};
  for (size_t i = 0; i < COUNT_OF(graphs); i++) {
    struct backbone backbone;
    int images = nn_input(graphs[i], "images", NN_ACTIVATION, 3);
    if (backbone_build(graphs[i], images, o->arch, norm, o->zero_init_residual, &backbone, t->error)) {
      return error_context(t->error, "--norm");
    }
    nn_output(graphs[i], backbone.stages[5], "features");
    if (i == 0 && o->probe) nn_params_freeze(&t->params, "");
    if (i == 0 && objective_build(&t->objective, graphs[i], backbone.stages[5], classifier, t->error)) return -1;
  }
  return nn_graph_error(t->network, t->error) || nn_graph_error(t->features, t->error) ? -1 : 0;
}

static int open_model(struct trainer *t) {
  const struct pretrain_options *o = &t->options;
  t->network = nn_graph_create(&t->params);
  t->features = nn_graph_create(&t->params);
  if (!t->network || !t->features) return error_memory(t->error, 0);
  if (build(t)) return -1;
  if (nn_params_allocate(&t->params, &t->device, true, t->error)) return -1;
  int64_t count = nn_count(t->objective.logits) * o->batch;
  t->logits = malloc((size_t)count * sizeof(float));
  return t->logits ? trainer_initialise(t) : error_memory(t->error, (size_t)count * sizeof(float));
}

static int compile(struct trainer *t, bool training, struct nn_program **program) {
  int size = source_size(t->training);
  struct nn_input_shape shapes[5] = {{"images", {t->options.batch, size, size, 3}}};
  size_t count = 1 + objective_shapes(&t->objective, t->options.batch, shapes + 1);
  struct nn_compile_options options = {.precision = t->options.precision,
                                       .training = training,
                                       .parameter_gradients = training,
                                       .stop = training ? NULL : t->options.stop, /* a step is whole, or not begun */
                                       .shapes = shapes,
                                       .shape_count = count};
  if (nn_compile(program, t->network, &t->workspace, &options, t->error)) return -1;
  return objective_bind(&t->objective, *program, t->error);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static int open_device(struct trainer *t) {
  const struct pretrain_options *o = &t->options;
  if (nn_device_open(&t->device, o->device, o->threads, t->error)) return -1;
  if (nn_device_supports(&t->device, o->precision, t->error) == 0) return 0;
  struct error said = *t->error;
  return error_set(t->error, "--precision %s: %s (--precision f32)", nn_dtype_name(o->precision), said.message);
}

int trainer_open(struct trainer *t) {
  t->options = *t->given;
  const struct pretrain_options *o = &t->options;
  if (trainer_read_broken(t) || open_sources(t)) return -1;
  if (t->broken.count > 0 && !trainer_same_data(t)) { /* the list is of other data */
    trainer_forget_broken(t);
    if (open_sources(t)) return -1;
  }
  if (resolve(t) || open_objective(t) || open_device(t)) return -1;
  nn_params_init(&t->params);
  nn_workspace_init(&t->workspace, &t->device);
  if (open_model(t) || compile(t, true, &t->step)) return -1;
  t->facts_of_step = nn_program_facts(t->step);
  if (t->held_out && compile(t, false, &t->judge)) return -1;
  if (!trainer_same_data(t) && trainer_find_broken(t)) return -1;
  if (t->broken.found > 0 && (open_sources(t) || resolve(t))) return -1;
  return o->erf_every > 0 ? load_erf_images(t) : 0;
}

static int add_digest(cJSON *identity, const char *name, XXH128_hash_t digest, struct error *error) {
  char hex[33];
  hash_hex(digest, hex);
  return identity && cJSON_AddStringToObject(identity, name, hex) ? 0 : error_memory(error, sizeof hex);
}

/* What the run depends on beside its options: contents, and the part that is held out after all. */
static int complete_identity(const struct trainer *t, cJSON *identity) {
  XXH128_hash_t init;
  cJSON_DeleteItemFromObjectCaseSensitive(identity, "held-out");
  if (!cJSON_AddNumberToObject(identity, "held-out", t->options.held_out)) return error_memory(t->error, 0);
  if (add_digest(identity, "data-xxh128", source_digest(t->training), t->error)) return -1;
  if (!t->options.init) return 0;
  if (file_digest(t->options.init, &init, t->error)) return -1;
  return add_digest(identity, "init-xxh128", init, t->error);
}

int trainer_enter(struct trainer *t, cJSON *identity, bool overwrite) {
  if (complete_identity(t, identity)) {
    cJSON_Delete(identity);
    return -1;
  }
  if (run_open(&t->run, t->options.out, "jigsaw-pretrain", identity, overwrite, products, t->error)) {
    return t->run.differs ? trainer_advise_another(t) : -1;
  }
  if (t->run.finished) return 0;
  if (trainer_write_broken(t) || trainer_resume(t, overwrite) || trainer_attempt(t)) return -1;
  if (journal_open(&t->journal, t->options.out, t->iteration > 0 ? t->iteration : -1, t->error)) return -1;
  return open_loader(t);
}

void trainer_close(struct trainer *t) {
  run_close(&t->run);
  loader_close(t->loader);
  journal_close(t->journal);
  nn_program_free(t->step);
  nn_program_free(t->judge);
  nn_graph_free(t->network);
  nn_graph_free(t->features);
  nn_workspace_free(&t->workspace);
  nn_params_free(&t->params);
  nn_device_close(&t->device);
  objective_score_free(&t->score);
  objective_free(&t->objective);
  source_close(t->training);
  source_close(t->held_out);
  trainer_forget_broken(t);
  cJSON_Delete(t->facts);
  free(t->logits);
  free(t->erf_images);
}
