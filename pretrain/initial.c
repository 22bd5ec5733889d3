/* What the parameters of a run begin with. */
#include <string.h>

#include "pretrain/trainer.h"

enum { SHOWN = 8 /* names of each kind */ };

static bool is_classifier(const struct trainer *t, const char *name) {
  const char *classifier = backbone_classifier(t->options.arch);
  return !strncmp(name, classifier, strlen(classifier));
}

static size_t of_backbone(const struct trainer *t, const char *const *names, size_t count) {
  size_t found = 0;
  for (size_t i = 0; i < count; i++) {
    found += !is_classifier(t, names[i]);
  }
  return found;
}

/* A backbone's file has no classifier, and another data set has other classes: a classifier may begin anew. */
static int judge(const struct trainer *t, const struct weights_match *match) {
  const struct pretrain_options *o = &t->options;
  struct buffer text = {0};
  bool finite = true, nothing = of_backbone(t, match->matched, match->matched_count) == 0;
  bool misfit =
      of_backbone(t, match->missing, match->missing_count) + of_backbone(t, match->shapes, match->shapes_count) > 0;
  bool refused = nothing || (misfit && !o->init_partial);
  int result = weights_match_describe(match, SHOWN, !refused, &text, t->error);
  if (result == 0 && refused) {
    result = error_set(
        t->error, "--init %s %s %s%s: %.*s", o->init, nothing ? "has nothing for the backbone of" : "does not fit",
        o->arch, nothing ? "" : "; --init-partial begins with what fits", (int)text.size, (const char *)text.data);
  }
  if (result == 0) result = nn_params_finite(&t->params, &finite, t->error);
  if (!finite) result = error_set(t->error, "--init %s: not all of its values are finite numbers", o->init);
  if (result == 0 && o->chatter) {
    fprintf(o->chatter, "--init %s\n%.*s", o->init, (int)text.size, (const char *)text.data);
  }
  buffer_free(&text);
  return result;
}

/* A folder is taken for a run, or a model of Hugging Face's. */
static int check_folder(const struct trainer *t) {
  static const char *const inside[] = {"backbone.safetensors", "model.safetensors"};
  for (size_t i = 0; i < COUNT_OF(inside); i++) {
    char path[PATH_SIZE];
    if (path_format(path, t->error, "%s/%s", t->options.init, inside[i])) return -1;
    if (file_exists(path)) return error_set(t->error, "--init %s is a folder: give %s", t->options.init, path);
  }
  return 0;
}

int trainer_initialise(struct trainer *t) {
  const struct pretrain_options *o = &t->options;
  struct weights_match match = {0};
  if (nn_params_initialise(&t->params, o->seed, t->error)) return -1;
  if (!o->init) return 0;
  if (check_folder(t)) return -1;
  if (weights_load(&t->params, o->init, &match, t->error)) return error_context(t->error, "--init");
  int result = judge(t, &match);
  weights_match_free(&match);
  return result;
}
