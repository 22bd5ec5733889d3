/* jigsaw-pretrain: from samples to a backbone. Options in, library calls, numbers out; exit status 0 done, 1 failed, 2
 * wrong usage, 3 stopped by a signal and to be gone on with. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pretrain/pretrain.h"

enum { OPTION_COUNT = 64, EXIT_STOPPED = 3 };

/* Everything the command line says, and the table that it was read with. */
struct arguments {
  struct option table[OPTION_COUNT];
  size_t option_count;
  int64_t seed, batch, workers, threads;
  int objective, norm, schedule, precision;
  const char *template, *export;
  bool overwrite, quiet;
  struct pretrain_options options;
};

static const char *const norms[] = {"auto", "bn", "frozen", "gn", "none", NULL};
static const int norm_kinds[] = {OPTION_AUTO, NN_NORM_BATCH, NN_NORM_FROZEN, NN_NORM_GROUP, NN_NORM_NONE};
static const char *const schedules[] = {"cosine", "step", NULL};
static const char *const precisions[] = {"f32", "bf16", NULL};

/* What the weights do not depend on, or what is recorded by content. */
static const char *const not_identity[] = {
    "data",    "init",   "out",       "workers", "threads",          "log-every",
    "profile", "export", "overwrite", "quiet",   "checkpoint-every", "checkpoint-minutes",
    "max-bad"};

static const char usage[] = "usage: jigsaw-pretrain --data DIR --out RUN [option ...]\n"
                            "       jigsaw-pretrain --out RUN --export LAYOUT\n"
                            "\n"
                            "Pre-trains a detector's backbone on what jigsaw-gen has made (a sample store, or written "
                            "jigsaws), or on folders of\n"
                            "images by class. Killed, it goes on where it was when the same command is given again.\n"
                            "\n";

/* Signal handlers can reach nothing else. */
static volatile sig_atomic_t stop_requested, stop_watched, talkative;
static double first_request; /* seconds; only of the handler */

/* The first signal asks for a checkpoint; Ctrl-C once more ends at once, and so does anything before there is something
 * to lose. timeout(1) and the like signal a process and its group: what comes within a tenth of a second is an echo. */
static void request_stop(int number) {
  static const char told[] = "\nstopping, with a checkpoint after this step; Ctrl-C again ends at once\n";
  struct timespec clock = {0};
  clock_gettime(CLOCK_MONOTONIC, &clock);
  double now = (double)clock.tv_sec + (double)clock.tv_nsec * 1e-9;
  if (!stop_watched || (stop_requested && number == SIGINT && now - first_request > 0.1)) _exit(EXIT_STOPPED);
  if (stop_requested) return;
  first_request = now;
  stop_requested = 1;
  ssize_t put = talkative ? write(STDERR_FILENO, told, sizeof told - 1) : 0;
  (void)put; /* there is nobody to tell */
}

static void make_options(struct arguments *a) {
  struct pretrain_options *o = &a->options;
  struct jig_assemble_options *j = &o->assemble;
  const struct option options[] = {
      {OPTION_SECTION, "Input and output", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_TEXT, "data", &o->data, "DIR", "sample store, jigsaws, or class folders", 0, 0, NULL},
      {OPTION_TEXT, "out", &o->out, "RUN", "the run's folder; made if need be", 0, 0, NULL},
      {OPTION_TEXT, "init", &o->init, "FILE", "begin with these weights (safetensors, torchvision's names)", 0, 0,
       NULL},
      {OPTION_FLAG, "init-partial", &o->init_partial, NULL, "also when some of them do not fit", 0, 0, NULL},
      {OPTION_REAL, "max-bad", &o->max_bad, "PERCENT", "broken pictures that are left out before giving up", 0, 100,
       NULL},
      {OPTION_TEXT, "export", &a->export, "LAYOUT", "also for: torchvision, timm, detectron2, mmdetection", 0, 0, NULL},
      {OPTION_FLAG, "overwrite", &a->overwrite, NULL, "begin anew where RUN holds a run of other options", 0, 0, NULL},
      {OPTION_SECTION, "Network and objective", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_TEXT, "arch", &o->arch, "NAME", "resnet18 ... resnet152, resnext50_32x4d, ..., vgg16_bn", 0, 0, NULL},
      {OPTION_CHOICE, "norm", &a->norm, NULL, "norm layers; auto: as the network is known; none: of vggNN", 0, 0,
       norms},
      {OPTION_FLAG, "zero-init-residual", &o->zero_init_residual, NULL, "last norm of each block begins at 0", 0, 0,
       NULL},
      {OPTION_CHOICE, "objective", &a->objective, NULL, "what is learnt; erf is the paper's", 0, 0, objective_names},
      {OPTION_REAL, "tau", &o->tau, "X", "least weight of a cell's own region", 0, 1, NULL},
      {OPTION_AUTO_INT, "erf-every", &o->erf_every, "N",
       "iterations between measurements; 0: none; auto: 13 a run, fewer in a short one", 0, 1e12, NULL},
      {OPTION_INT, "erf-images", &o->erf_images, "N", "images that are measured with", 1, 4096, NULL},
      {OPTION_FLAG, "probe", &o->probe, NULL, "freeze the backbone, learn the classifier: a linear probe", 0, 0, NULL},
      {OPTION_SECTION, "Training", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_AUTO_INT, "iterations", &o->iterations, "N", "steps; auto: by epochs", 1, 1e12, NULL},
      {OPTION_REAL, "epochs", &o->epochs, "E", "times as many images as the data has, held-out ones too", 1e-6, 1e9,
       NULL},
      {OPTION_INT, "batch", &a->batch, "N", "images a step", 1, 65536, NULL},
      {OPTION_AUTO_REAL, "lr", &o->lr, "X", "learning rate; auto: 0.8 for 512 images, in proportion", 0, 1e6, NULL},
      {OPTION_AUTO_REAL, "lr-start", &o->lr_start, "X", "where warm-up begins; auto: a quarter of --lr", 0, 1e6, NULL},
      {OPTION_AUTO_INT, "warmup", &o->warmup, "N", "iterations of it; auto: 1 in 51, the paper's share", 0, 1e12, NULL},
      {OPTION_CHOICE, "schedule", &a->schedule, NULL, "of the learning rate after warm-up", 0, 0, schedules},
      {OPTION_TEXT, "lr-steps", &o->lr_steps, "P,P", "parts of the run after which it falls to a tenth", 0, 0, NULL},
      {OPTION_REAL, "momentum", &o->sgd.momentum, "X", "of SGD", 0, 0.9999, NULL},
      {OPTION_FLAG, "nesterov", &o->sgd.nesterov, NULL, "Nesterov's momentum", 0, 0, NULL},
      {OPTION_REAL, "weight-decay", &o->sgd.weight_decay, "X", "not on norms and biases", 0, 1, NULL},
      {OPTION_FLAG, "decay-all", &o->sgd.decay_all, NULL, "on norms and biases, too", 0, 0, NULL},
      {OPTION_REAL, "clip", &o->sgd.clip, "X", "largest norm of the gradient; 0: no limit", 0, 1e12, NULL},
      {OPTION_INT, "seed", &a->seed, "N", "of all random numbers", 0, 9e15, NULL},
      {OPTION_SECTION, "Jigsaws", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_TEXT, "template", &a->template, "SIZE:CUT", "the canvas and where both its axes are cut", 0, 0, NULL},
      {OPTION_REAL, "scale-low", &j->scale_low, "X", "smallest random scale", 0.05, 16, NULL},
      {OPTION_REAL, "scale-high", &j->scale_high, "X", "largest", 0.05, 16, NULL},
      {OPTION_REAL, "flip", &j->flip, "P", "probability of mirroring", 0, 1, NULL},
      {OPTION_REAL, "repeat-max", &j->repeat_max, "N", "uses of a sample per epoch before others help its group", 0.1,
       1e9, NULL},
      {OPTION_SECTION, "Looking", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_AUTO_REAL, "held-out", &o->held_out, "P", "part not trained with; auto: 0.05, or 0 where data are few", 0,
       0.9, NULL},
      {OPTION_INT, "held-out-images", &o->held_out_images, "N", "of it looked at each time, at most", 1, 1e9, NULL},
      {OPTION_AUTO_INT, "evaluate-every", &o->evaluate_every, "N", "iterations; auto: ten times a run; 0: never", 0,
       1e12, NULL},
      {OPTION_INT, "checkpoint-every", &o->checkpoint_every, "N", "iterations; 0: by time only", 0, 1e12, NULL},
      {OPTION_REAL, "checkpoint-minutes", &o->checkpoint_minutes, "M", "at most so long without one; 0: any time", 0,
       1e6, NULL},
      {OPTION_INT, "log-every", &o->log_every, "N", "iterations; 0: never", 0, 1e12, NULL},
      {OPTION_FLAG, "profile", &o->profile, NULL, "time every layer; the table goes to RUN/profile.txt", 0, 0, NULL},
      {OPTION_SECTION, "Running", NULL, NULL, NULL, 0, 0, NULL},
      {OPTION_TEXT, "device", &o->device, "NAME", "cpu, or ref: slow, plain loops", 0, 0, NULL},
      {OPTION_CHOICE, "precision", &a->precision, NULL, "of activations", 0, 0, precisions},
      {OPTION_AUTO_INT, "threads", &a->threads, "N", "that compute; auto: one per processor", 1, 1024, NULL},
      {OPTION_AUTO_INT, "workers", &a->workers, "N", "that make batches; auto: two", 1, 1024, NULL},
      {OPTION_FLAG, "quiet", &a->quiet, NULL, "no progress", 0, 0, NULL},
  };
  _Static_assert(COUNT_OF(options) <= OPTION_COUNT, "raise OPTION_COUNT");
  memcpy(a->table, options, sizeof options);
  a->option_count = COUNT_OF(options);
}

static struct arguments default_arguments(void) {
  struct pretrain_options options = pretrain_defaults();
  return (struct arguments){.batch = options.batch,
                            .precision = 1,
                            .threads = options.threads,
                            .workers = options.workers,
                            .template = "224:64",
                            .options = options};
}

static int parse_layout(const char *name, enum weights_layout *layout, struct error *error) {
  for (int i = 0; weights_layout_names[i]; i++) {
    *layout = (enum weights_layout)i;
    if (!strcmp(weights_layout_names[i], name)) return 0;
  }
  return error_set(error, "--export: '%s' is not torchvision, timm, detectron2 or mmdetection", name);
}

static int parse_arch(const char *name, struct error *error) {
  enum nn_norm norm;
  return backbone_default_norm(name, &norm, error) ? error_context(error, "--arch") : 0;
}

/* What the table's single rows cannot say. */
static int finish_arguments(struct arguments *a, struct error *error) {
  struct pretrain_options *o = &a->options;
  enum weights_layout layout;
  if (!o->out || !*o->out) return error_set(error, "--out RUN is missing; see --help");
  if (a->export && parse_layout(a->export, &layout, error)) return -1;
  if (!o->data && a->export) return 0;
  if (!o->data || !*o->data) return error_set(error, "--data DIR is missing; see --help");
  if (jig_template_parse(a->template, &o->assemble.template, error)) return error_context(error, "--template");
  if (parse_arch(o->arch, error)) return -1;
  if (o->assemble.scale_low > o->assemble.scale_high)
    return error_set(error, "--scale-low is larger than --scale-high");
  if (a->objective == OBJECTIVE_ERF && o->erf_every == 0) {
    return error_set(error, "--erf-every 0: the objective erf needs receptive fields; --objective block does without");
  }
  o->objective = (enum objective_kind)a->objective;
  o->norm = norm_kinds[a->norm];
  o->schedule = (enum nn_schedule_kind)a->schedule;
  o->precision = a->precision ? NN_BF16 : NN_F32;
  o->batch = (int)a->batch;
  o->workers = (int)a->workers;
  o->threads = (int)a->threads;
  o->seed = (uint64_t)a->seed;
  o->stop = &stop_requested;
  o->watched = &stop_watched;
  talkative = !a->quiet;
  o->chatter = a->quiet ? NULL : stderr;
  return 0;
}

static cJSON *make_identity(const struct arguments *a) {
  cJSON *identity = options_json(a->table, a->option_count);
  for (size_t i = 0; identity && i < COUNT_OF(not_identity); i++)
    cJSON_DeleteItemFromObjectCaseSensitive(identity, not_identity[i]);
  return identity;
}

static int export(const struct arguments *a, struct error *error) {
  char path[PATH_SIZE];
  enum weights_layout layout;
  if (!a->export) return 0;
  if (parse_layout(a->export, &layout, error) || pretrain_export(a->options.out, layout, path, error)) return -1;
  if (!a->quiet) line_print(stderr, "exported to %s", path);
  return 0;
}

static int train(const struct arguments *a, struct error *error) {
  switch (pretrain(&a->options, make_identity(a), a->overwrite, error)) {
  case PRETRAIN_FAILED:
    return EXIT_FAILURE;
  case PRETRAIN_STOPPED:
    if (!a->quiet) fprintf(stderr, "stopped; the same command goes on\n");
    return EXIT_STOPPED;
  case PRETRAIN_COMPLETE:
    if (!a->quiet) line_print(stderr, "%s is complete already", a->options.out);
    break;
  case PRETRAIN_DONE:
    break;
  }
  return export(a, error) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv) {
  nn_wait_briefly(argv);
  struct arguments arguments = default_arguments();
  struct error error = {0};
  make_options(&arguments);
  enum options_result parsed =
      options_begin(arguments.table, arguments.option_count, "jigsaw-pretrain", usage, argc, argv, stdout, &error);
  if (parsed == OPTIONS_HELP || parsed == OPTIONS_VERSION) {
    if (stdout_close(&error) == 0) return argc == 1 ? 2 : 0;
    fprintf(stderr, "jigsaw-pretrain: %s\n", error.message);
    return EXIT_FAILURE;
  }
  if (parsed != OPTIONS_OK || finish_arguments(&arguments, &error)) {
    fprintf(stderr, "jigsaw-pretrain: %s\n", error.message);
    return 2;
  }
  signal(SIGINT, request_stop);
  signal(SIGTERM, request_stop);
  int result = arguments.options.data ? train(&arguments, &error) : export(&arguments, &error) ? EXIT_FAILURE : 0;
  if (result == EXIT_FAILURE) fprintf(stderr, "jigsaw-pretrain: %s\n", error.message);
  return result;
}
