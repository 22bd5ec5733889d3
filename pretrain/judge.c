/* How well the network does on images that it is not trained with. */
#include "pretrain/trainer.h"

static cJSON *ratio(int64_t correct, int64_t count) {
  return count > 0 ? cJSON_CreateNumber((double)correct / (double)count) : cJSON_CreateNull();
}

static cJSON *describe(const struct trainer *t, const struct objective_score *score, double loss, int64_t images) {
  cJSON *json = cJSON_CreateObject(), *regions, *classes, *counts;
  bool made = cJSON_AddNumberToObject(json, "images", (double)images) && cJSON_AddNumberToObject(json, "loss", loss) &&
              cJSON_AddNumberToObject(json, "accuracy", objective_accuracy(score)) &&
              (regions = cJSON_AddArrayToObject(json, "region_accuracy")) &&
              (classes = cJSON_AddObjectToObject(json, "class_accuracy")) &&
              (counts = cJSON_AddObjectToObject(json, "class_count"));
  for (int r = 0; made && r < score->regions; r++)
    made = cJSON_AddItemToArray(regions, ratio(score->region_correct[r], score->region_count[r]));
  for (int k = 0; made && k < score->classes; k++) {
    const char *name = source_class_name(t->training, k);
    made = cJSON_AddItemToObject(classes, name, ratio(score->class_correct[k], score->class_count[k])) &&
           cJSON_AddNumberToObject(counts, name, (double)score->class_count[k]);
  }
  if (made) return json;
  cJSON_Delete(json);
  return NULL;
}

/* Loss and score over the first `images` held-out ones. The batch that goes beyond them is scored up to the last; its
 * loss is that of the whole batch, and weighs as much as what is left. */
static int run_held_out(struct trainer *t, int64_t images, struct objective_score *score, double *loss) {
  struct loader *loader;
  const struct loader_batch *batch;
  double waited = 0, sum = 0, spent = 0;
  int result = 0, n = t->options.batch;
  int64_t flops = nn_program_facts(t->judge).forward_flops; /* of a batch */
  struct loader_options options = {
      .batch = n, .workers = t->options.workers, .ahead = 2, .bf16 = t->options.precision == NN_BF16};
  if (loader_open(&loader, t->held_out, &options, t->error)) return -1;
  for (int64_t first = 0; result == 0 && first < images; first += n) {
    float value;
    int64_t count = images - first < n ? images - first : n;
    if (trainer_stopped(t)) result = NN_STOPPED;
    if (result == 0) result = loader_next(loader, &batch, &waited, t->error);
    if (result == 0) result = nn_program_bind(t->judge, "images", batch->images, t->error);
    if (result == 0) result = nn_program_bind(t->judge, "labels", batch->labels, t->error);
    if (result == 0) result = nn_program_forward(t->judge, t->error);
    if (result == 0) result = nn_program_read(t->judge, "loss", &value, t->error);
    if (result == 0) result = nn_program_read(t->judge, "logits", t->logits, t->error);
    if (result) break;
    objective_score_add(score, &t->objective, t->logits, batch->labels, count);
    sum += (double)value * (double)count;
    spent += (double)flops;
  }
  if (result == 0) t->spent.evaluation_flops += spent;
  *loss = sum / (double)images;
  loader_close(loader);
  return result;
}

int trainer_evaluate(struct trainer *t) {
  struct objective_score score = {0};
  double loss = 0;
  int64_t images = source_epoch_length(t->held_out);
  if (images > t->options.held_out_images) images = t->options.held_out_images;
  if (objective_score_init(&score, &t->objective, t->error)) return -1;
  int result = run_held_out(t, images, &score, &loss);
  if (result == 0) {
    const struct journal_number numbers[] = {{"held_out/loss", loss},
                                             {"held_out/accuracy", objective_accuracy(&score)}};
    result = trainer_log(t, numbers, COUNT_OF(numbers));
  }
  if (result == 0) result = trainer_fact(t, "held_out", describe(t, &score, loss, images));
  if (result == 0 && t->options.chatter) {
    fprintf(t->options.chatter, "held out: loss %.4f  accuracy %.1f %%  (%lld images)\n", loss,
            100 * objective_accuracy(&score), (long long)images);
  }
  objective_score_free(&score);
  return result;
}
