/* What outlives the process: checkpoints, and in the end the backbone and the record. */
#include <stdlib.h>
#include <string.h>

#include "pretrain/trainer.h"

enum { CHECKPOINTS_KEPT = 2 };

static int checkpoint_folder(const struct trainer *t, char folder[PATH_SIZE]) {
  return path_format(folder, t->error, "%s/checkpoints", t->options.out);
}

/* The soft labels in force are state: they were measured with weights that are gone. */
static struct checkpoint_array label_table(const struct trainer *t) {
  return (struct checkpoint_array){"mix", t->objective.mix_table, nn_count(t->objective.mix)};
}

/* Sums and counts that a checkpoint keeps; doubles survive JSON, which cJSON writes with 17 digits where they are
 * needed.
 */
static const struct {
  const char *name;
  size_t offset;
} sums[] = {
    {"training_flops", offsetof(struct trainer, spent.training_flops)},
    {"erf_flops", offsetof(struct trainer, spent.erf_flops)},
    {"evaluation_flops", offsetof(struct trainer, spent.evaluation_flops)},
    {"interval_loss", offsetof(struct trainer, interval.loss)},
    {"interval_iterations", offsetof(struct trainer, interval.iterations)},
    {"interval_correct", offsetof(struct trainer, interval.correct)},
    {"interval_counted", offsetof(struct trainer, interval.counted)},
};

static double *sum_of(struct trainer *t, size_t i) {
  return (double *)(void *)((char *)t + sums[i].offset);
}

static cJSON *make_notes(struct trainer *t) {
  cJSON *notes = cJSON_CreateObject();
  bool made = notes != NULL;
  for (size_t i = 0; made && i < COUNT_OF(sums); i++)
    made = cJSON_AddNumberToObject(notes, sums[i].name, *sum_of(t, i));
  made = made && cJSON_AddNumberToObject(notes, "due", t->due);
  cJSON *facts = made ? cJSON_Duplicate(t->facts, true) : NULL;
  if (facts && cJSON_AddItemToObject(notes, "facts", facts)) return notes;
  cJSON_Delete(notes);
  return NULL;
}

/* ---- advice: what a run was begun with cannot change, but another can begin with its weights --------------------- */

/* "": there are none yet. */
static const char *newest_weights(const struct trainer *t, char path[PATH_SIZE]) {
  char folder[PATH_SIZE];
  struct error ignored;
  if (path_format(folder, &ignored, "%s/checkpoints", t->options.out) || checkpoint_newest(folder, path, &ignored)) {
    path[0] = '\0';
  }
  return path;
}

int trainer_advise_rate(const struct trainer *t) {
  char path[PATH_SIZE];
  struct error said = *t->error;
  bool weights = *newest_weights(t, path);
  return error_set(t->error,
                   "%s; begin another run (--out ANOTHER) with a lower --lr, a longer --warmup or --clip 10%s%s",
                   said.message, weights ? ", if you like with the last good weights: --init " : "", path);
}

int trainer_advise_another(const struct trainer *t) {
  char path[PATH_SIZE];
  struct error said = *t->error;
  if (!*newest_weights(t, path)) return -1;
  return error_set(
      t->error,
      "%s. A run keeps its options and its length: to go on from its weights, begin another with --init %s "
      "--out ANOTHER",
      said.message, path);
}

/* ---- checkpoints ------------------------------------------------------------------------------------------------- */

/* Weights that are no numbers any more must not take the place of good ones. */
static int check_finite(const struct trainer *t) {
  bool finite;
  if (nn_params_finite(&t->params, &finite, t->error)) return -1;
  if (finite) return 0;
  error_set(t->error, "the weights are not finite after iteration %lld", (long long)t->iteration);
  return trainer_advise_rate(t);
}

int trainer_save(struct trainer *t) {
  char folder[PATH_SIZE];
  struct checkpoint_array table = label_table(t);
  struct checkpoint checkpoint = {.iteration = t->iteration, .arrays = &table, .array_count = 1};
  cJSON *notes = NULL;
  int result = checkpoint_folder(t, folder) || check_finite(t) ? -1 : 0;
  if (result == 0 && !(notes = make_notes(t))) result = error_memory(t->error, 0);
  if (result == 0) result = directory_create(folder, t->error);
  if (result == 0) result = checkpoint_save(folder, &t->params, &checkpoint, notes, CHECKPOINTS_KEPT, t->error);
  if (result == 0) t->saved = clock_seconds();
  cJSON_Delete(notes);
  return result;
}

static int read_notes(struct trainer *t, const cJSON *notes) {
  const cJSON *facts = cJSON_GetObjectItemCaseSensitive(notes, "facts");
  const cJSON *due = cJSON_GetObjectItemCaseSensitive(notes, "due");
  bool good = cJSON_IsObject(facts) && cJSON_IsNumber(due);
  if (good) t->due = (unsigned)due->valueint;
  for (size_t i = 0; good && i < COUNT_OF(sums); i++) {
    const cJSON *number = cJSON_GetObjectItemCaseSensitive(notes, sums[i].name);
    good = cJSON_IsNumber(number);
    if (good) *sum_of(t, i) = number->valuedouble;
  }
  if (!good) return error_set(t->error, "%s: the checkpoint lacks the notes of a run", t->options.out);
  cJSON_Delete(t->facts);
  t->facts = cJSON_Duplicate(facts, true);
  return t->facts ? 0 : error_memory(t->error, 0);
}

/* None of the checkpoints is whole. */
static int begin_anew(struct trainer *t, const char *folder, bool overwrite) {
  struct error said = *t->error;
  if (overwrite) return file_remove_tree(folder, t->error);
  return error_set(t->error, "%s; put a whole one back, or begin anew with --overwrite. Nothing was changed",
                   said.message);
}

int trainer_resume(struct trainer *t, bool overwrite) {
  char folder[PATH_SIZE];
  struct checkpoint_array table = label_table(t);
  struct checkpoint checkpoint = {.arrays = &table, .array_count = 1};
  struct buffer skipped = {0};
  cJSON *notes = NULL;
  if (checkpoint_folder(t, folder)) return -1;
  enum checkpoint_result found = checkpoint_load(folder, &t->params, &checkpoint, &notes, &skipped, t->error);
  int result = found == CHECKPOINT_FAILED ? -1 : 0;
  if (found == CHECKPOINT_LOADED) {
    t->iteration = checkpoint.iteration;
    result = read_notes(t, notes);
  }
  if (result == 0 && t->options.chatter && skipped.size > 0) {
    fprintf(t->options.chatter, "%.*s", (int)skipped.size, (const char *)skipped.data);
  }
  if (found == CHECKPOINT_DAMAGED) result = begin_anew(t, folder, overwrite);
  cJSON_Delete(notes);
  buffer_free(&skipped);
  return result;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static int write_backbone(struct trainer *t, char hex[33]) {
  const struct pretrain_options *o = &t->options;
  static const char *const norms[] = {"none", "bn", "frozen", "gn"};
  char path[PATH_SIZE], iterations[32], images[32], seed[32], data[33];
  snprintf(iterations, sizeof iterations, "%lld", (long long)t->iteration);
  snprintf(images, sizeof images, "%lld", (long long)t->iteration * o->batch);
  snprintf(seed, sizeof seed, "%llu", (unsigned long long)o->seed);
  hash_hex(source_digest(t->training), data);
  const struct safetensors_text notes[] = {{"tool", "jigsaw-pretrain " JIGSAW_VERSION},
                                           {"arch", o->arch},
                                           {"norm", norms[o->norm]},
                                           {"objective", objective_names[o->objective]},
                                           {"iterations", iterations},
                                           {"images_seen", images},
                                           {"seed", seed},
                                           {"data-xxh128", data},
                                           {"input", "RGB / 255, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225"}};
  XXH128_hash_t digest;
  const char *classifier = backbone_classifier(o->arch);
  if (path_format(path, t->error, "%s/backbone.safetensors", o->out)) return -1;
  if (weights_save(&t->params, path, o->arch, WEIGHTS_TORCHVISION, classifier, notes, COUNT_OF(notes), t->error))
    return -1;
  if (file_digest(path, &digest, t->error)) return -1;
  hash_hex(digest, hex);
  return 0;
}

/* Facts go to run.json as they are; what preparing the data has cost comes from the store. */
static int record(struct trainer *t) {
  cJSON *json = t->run.json, *item, *preparation = NULL;
  cJSON_ArrayForEach(item, t->facts) {
    cJSON *copy = cJSON_Duplicate(item, true);
    cJSON_DeleteItemFromObjectCaseSensitive(json, item->string);
    if (!copy || !cJSON_AddItemToObject(json, item->string, copy)) return error_memory(t->error, 0);
  }
  if (source_preparation(t->training, &preparation, t->error)) return -1;
  cJSON_DeleteItemFromObjectCaseSensitive(json, "preparation");
  if (preparation && !cJSON_AddItemToObject(json, "preparation", preparation)) return error_memory(t->error, 0);
  return 0;
}

static int add_facts(struct trainer *t, const char *backbone_hash) {
  const struct pretrain_options *o = &t->options;
  double per_image = source_kind(t->training) == SOURCE_FOLDERS ? 1 : source_regions(t->training);
  double images = (double)t->iteration * o->batch;
  const struct {
    const char *name;
    double value;
  } numbers[] = {
      {"iterations", (double)t->iteration},
      {"batch", o->batch},
      {"lr", o->lr},
      {"lr_start", o->lr_start},
      {"warmup", (double)o->warmup},
      {"images_seen", images},
      {"samples_seen", images * per_image},
      {"epochs", images / (double)trainer_epoch(t)},
      {"images_broken", (double)t->broken.count},
      {"classes", source_classes(t->training)},
      {"parameters", (double)nn_params_trainable(&t->params)},
      {"threads", t->device.threads},
      {"flops", t->spent.training_flops + t->spent.erf_flops + t->spent.evaluation_flops},
      {"training_flops", t->spent.training_flops},
      {"erf_flops", t->spent.erf_flops},
      {"evaluation_flops", t->spent.evaluation_flops},
  };
  for (size_t i = 0; i < COUNT_OF(numbers); i++) {
    if (trainer_fact(t, numbers[i].name, cJSON_CreateNumber(numbers[i].value))) return -1;
  }
  return trainer_fact(t, "device", cJSON_CreateString(t->device.description)) ||
                 trainer_fact(t, "precision", cJSON_CreateString(nn_dtype_name(o->precision))) ||
                 trainer_fact(t, "backbone-xxh128", cJSON_CreateString(backbone_hash))
             ? -1
             : 0;
}

int trainer_draw(const struct trainer *t) {
  char title[256];
  snprintf(title, sizeof title, "%s, %s", t->options.arch, objective_names[t->options.objective]);
  return journal_draw(t->options.out, title, t->error);
}

int trainer_finish(struct trainer *t) {
  char hex[33];
  const struct pretrain_options *o = &t->options;
  if (write_backbone(t, hex) || trainer_draw(t)) return -1;
  if (add_facts(t, hex) || record(t) || run_finish(&t->run, t->error)) return -1;
  if (o->chatter) fprintf(o->chatter, "backbone in %s/backbone.safetensors\n", o->out);
  return 0;
}
