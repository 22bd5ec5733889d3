/* What is going to be done, with what, before it begins. */
#include <math.h>

#include "pretrain/trainer.h"

static void print_data(const struct trainer *t, FILE *f) {
  static const char *const kinds[] = {"sample store", "jigsaw data set", "class folders"};
  static const char *const units[] = {"jigsaws", "jigsaws", "images"};
  enum source_kind kind = source_kind(t->training);
  fprintf(f, "  data        %s: %s, %d classes, %lld %s an epoch", t->options.data, kinds[kind],
          source_classes(t->training), (long long)source_epoch_length(t->training), units[kind]);
  if (t->held_out) fprintf(f, "; held out: %lld", (long long)source_epoch_length(t->held_out));
  if (!t->held_out && isnan(t->given->held_out)) fprintf(f, "; nothing is held out, for there is too little of it");
  fprintf(f, "\n");
  if (t->broken.count > 0) {
    fprintf(f, "              %zu broken pictures are left out%s; they are in %s/broken.txt\n", t->broken.count,
            t->broken.found > 0 ? "" : ", mended or not, as when the run began", t->options.out);
  }
}

static void print_objective(const struct trainer *t, FILE *f) {
  const struct pretrain_options *o = &t->options;
  fprintf(f, "  objective   %s", objective_names[o->objective]);
  if (o->objective == OBJECTIVE_ERF) fprintf(f, ", tau %g", o->tau);
  if (o->erf_every > 0) {
    fprintf(f, "; receptive fields every %lld iterations on %lld images", (long long)o->erf_every,
            (long long)o->erf_images);
  }
  fprintf(f, "\n");
}

static void print_network(const struct trainer *t, FILE *f) {
  static const char *const norms[] = {"no norm", "batch norm", "frozen batch norm", "group norm"};
  fprintf(f, "  network     %s, %s; %lld parameters%s\n", t->options.arch, norms[t->options.norm],
          (long long)nn_params_trainable(&t->params), t->options.probe ? " are trained (a linear probe)" : "");
}

static void print_schedule(const struct trainer *t, FILE *f) {
  const struct pretrain_options *o = &t->options;
  int size = source_size(t->training);
  fprintf(f, "  iterations  %lld of %d images of %d x %d: %.1f epochs\n", (long long)o->iterations, o->batch, size,
          size, (double)o->iterations * o->batch / (double)trainer_epoch(t));
  if (o->batch > source_epoch_length(t->training)) {
    fprintf(f, "              a batch is larger than the data: it has images more than once\n");
  }
  fprintf(f, "  optimizer   SGD, lr %g to %g in %lld iterations, then %s; momentum %g%s, weight decay %g%s",
          o->lr_start, o->lr, (long long)o->warmup, o->schedule == NN_SCHEDULE_COSINE ? "cosine to 0" : "steps of 0.1",
          o->sgd.momentum, o->sgd.nesterov ? " (Nesterov)" : "", o->sgd.weight_decay,
          o->sgd.decay_all ? "" : " (none on norms and biases)");
  if (o->sgd.clip > 0) fprintf(f, ", gradients clipped at norm %g", o->sgd.clip);
  fprintf(f, "\n");
}

static void print_device(const struct trainer *t, FILE *f) {
  struct nn_program_facts step = t->facts_of_step;
  double giga = 1e-9 / t->options.batch, mebi = 1.0 / (1 << 20);
  fprintf(f, "  device      %s; %s; %d loader workers\n", t->device.description, nn_dtype_name(t->options.precision),
          t->options.workers);
  fprintf(f, "  compute     %.2f GFLOP an image and step: %.2f forward, %.2f backward\n",
          giga * (double)(step.forward_flops + step.backward_flops), giga * (double)step.forward_flops,
          giga * (double)step.backward_flops);
  fprintf(f,
          "  memory      %.0f MiB of parameters, gradients and momenta; %.0f MiB of activations and gradients (%.0f "
          "without sharing)\n",
          3 * 4 * mebi * (double)t->params.elements, mebi * (double)step.activation_bytes,
          mebi * (double)step.unplanned_bytes);
}

void trainer_print_configuration(const struct trainer *t) {
  FILE *f = t->options.chatter;
  fprintf(f, "jigsaw-pretrain %s\n", JIGSAW_VERSION);
  print_data(t, f);
  print_objective(t, f);
  print_network(t, f);
  print_schedule(t, f);
  print_device(t, f);
  if (t->iteration > 0) fprintf(f, "going on after iteration %lld\n", (long long)t->iteration);
}
