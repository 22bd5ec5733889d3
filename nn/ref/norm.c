#include <math.h>

#include "nn/ref/ref.h"

struct moments {
  double mean, inverse; /* 1 / sqrt(variance + eps) */
};

/* What is normalised together: some images and channels, all of their positions. */
struct set {
  int64_t n0, n1, c0, c1;
};

static int64_t set_count(const struct nn_step *step, const struct nn_shape *x) {
  return step->norm->kind == NN_NORM_GROUP ? x->n * step->norm->groups : x->c;
}

static struct set set_of(const struct nn_step *step, const struct nn_shape *x, int64_t index) {
  if (step->norm->kind != NN_NORM_GROUP) return (struct set){0, x->n, index, index + 1};
  int64_t n = index / step->norm->groups, group = index % step->norm->groups, size = x->c / step->norm->groups;
  return (struct set){n, n + 1, group * size, (group + 1) * size};
}

static int64_t set_size(const struct set *set, const struct nn_shape *x) {
  return (set->n1 - set->n0) * x->h * x->w * (set->c1 - set->c0);
}

/* Where element i of a set lies: its channels are the fastest index, then positions, then images. */
static int64_t set_at(const struct set *set, const struct nn_shape *x, int64_t i) {
  int64_t channels = set->c1 - set->c0;
  return (set->n0 * x->h * x->w + i / channels) * x->c + set->c0 + i % channels;
}

/* ---- statistics ---- */

/* The biased variance is returned too. What the backward pass will read is what this pass goes on with: float32. */
static struct moments measure(const struct nn_step *step, const struct set *set, double *mean, double *variance) {
  const struct nn_shape *shape = &step->in[NN_X]->shape;
  const float *x = ref_in(step, NN_X);
  int64_t size = set_size(set, shape);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < size; i++)
    sum += x[set_at(set, shape, i)];
  *mean = sum / (double)size;
  for (int64_t i = 0; i < size; i++) {
    double difference = x[set_at(set, shape, i)] - *mean;
    squares += difference * difference;
  }
  *variance = squares / (double)size;
  return (struct moments){(float)*mean, (float)(1 / sqrt(*variance + step->norm->eps))};
}

static struct moments running_moments(const struct nn_step *step, int64_t c) {
  double variance = nn_value(step->params, step->norm->variance)[c];
  return (struct moments){nn_value(step->params, step->norm->mean)[c], 1 / sqrt(variance + step->norm->eps)};
}

/* Means, then inverses: for all channels once, or for the groups of each image. */
static float *saved_at(const struct nn_operand *saved, int64_t n, int64_t index) {
  return (float *)saved->data + n * 2 * saved->shape.c + index;
}

static void keep_moments(const struct nn_step *step, const struct set *set, struct moments moments) {
  struct nn_operand *saved = step->out[NN_SAVED];
  if (!saved) return;
  int64_t index = step->norm->kind == NN_NORM_GROUP ? set->c0 / (set->c1 - set->c0) : set->c0;
  *saved_at(saved, set->n0, index) = (float)moments.mean;
  *saved_at(saved, set->n0, saved->shape.c + index) = (float)moments.inverse;
}

/* Those that channel c of an image of the forward pass was normalised by. */
static struct moments kept_moments(const struct nn_step *step, int64_t n, int64_t c) {
  const struct nn_operand *saved = step->in[NN_SAVED];
  if (nn_norm_running(step->norm, step->training)) return running_moments(step, c);
  bool group = step->norm->kind == NN_NORM_GROUP;
  int64_t image = group ? n : 0, index = group ? c / (step->in[NN_X]->shape.c / step->norm->groups) : c;
  return (struct moments){*saved_at(saved, image, index), *saved_at(saved, image, saved->shape.c + index)};
}

static void update_running(const struct nn_step *step, int64_t c, double mean, double variance, int64_t size) {
  const struct nn_norm_layer *norm = step->norm;
  float *running_mean = nn_value(step->params, norm->mean) + c;
  float *running_variance = nn_value(step->params, norm->variance) + c;
  double unbiased = variance * (double)size / (double)(size - 1);
  *running_mean = (float)((1 - norm->momentum) * *running_mean + norm->momentum * mean);
  *running_variance = (float)((1 - norm->momentum) * *running_variance + norm->momentum * unbiased);
}

/* ---- forward ---- */

static double affine(const struct nn_step *step, int64_t c, double normal) {
  return nn_value(step->params, step->norm->gamma)[c] * normal + nn_value(step->params, step->norm->beta)[c];
}

static double normal_of(struct moments moments, double x) {
  return (x - moments.mean) * moments.inverse;
}

void ref_norm(const struct nn_step *step) {
  const struct nn_shape *shape = &step->in[NN_X]->shape;
  bool updates = step->norm->kind == NN_NORM_BATCH && step->training;
  for (int64_t index = 0; index < set_count(step, shape); index++) {
    struct set set = set_of(step, shape, index);
    struct moments moments;
    if (!nn_norm_running(step->norm, step->training)) {
      double mean, variance;
      moments = measure(step, &set, &mean, &variance);
      if (updates) update_running(step, index, mean, variance, set_size(&set, shape));
      keep_moments(step, &set, moments);
    } else {
      moments = running_moments(step, index);
    }
    for (int64_t i = 0; i < set_size(&set, shape); i++) {
      int64_t at = set_at(&set, shape, i);
      double z = affine(step, at % shape->c, normal_of(moments, ref_in(step, NN_X)[at]));
      ref_out(step, NN_Y)[at] = ref_finish(step, at, z);
    }
  }
  if (updates) {
    nn_value(step->params, step->norm->batches)[0] += 1;
    step->params->version++;
  }
}

void ref_norm_again(const struct nn_step *step) {
  const struct nn_shape *x = &step->in[NN_X]->shape;
  for (int64_t at = 0; at < nn_count(*x); at++) {
    int64_t n = at / (x->h * x->w * x->c), c = at % x->c;
    double z = affine(step, c, normal_of(kept_moments(step, n, c), ref_in(step, NN_X)[at]));
    ref_out(step, NN_Y)[at] = ref_finish(step, at, z);
  }
}

/* ---- backward ---- */

/* One element of the gradient: what the ReLU let through, the gradient for the addend; and the normalised input. */
struct element {
  double g, normal;
};

static struct element element_at(const struct nn_step *step, int64_t at) {
  const struct nn_shape *x = &step->in[NN_X]->shape;
  int64_t image = x->h * x->w * x->c, n = at / image / ref_copies(step, NN_X), c = at % x->c;
  int64_t source = n * image + at % image;
  const float *dy2 = ref_in(step, NN_DY2), *y = ref_in(step, NN_Y);
  double normal = normal_of(kept_moments(step, n, c), ref_in(step, NN_X)[source]);
  bool passes = !step->relu || (y ? y[source] : affine(step, c, normal)) > 0;
  return (struct element){passes ? (double)ref_in(step, NN_DY)[at] + (dy2 ? dy2[at] : 0) : 0, normal};
}

static void give_gradients(const struct nn_step *step) {
  const struct nn_operand *dy = step->in[NN_DY];
  for (int64_t c = 0; c < dy->shape.c; c++) {
    double gamma = 0, beta = 0;
    for (int64_t at = c; at < nn_count(dy->shape); at += dy->shape.c) {
      struct element element = element_at(step, at);
      gamma += element.g * element.normal;
      beta += element.g;
    }
    ref_give_gradient(step, step->norm->gamma, c, gamma);
    ref_give_gradient(step, step->norm->beta, c, beta);
  }
}

/* With h = gamma g, and means over the set: DX = inverse (h - mean(h) - normal mean(h normal)); the means come from the
 * statistics' own dependence on X, which running statistics do not have. */
static void backward_set(const struct nn_step *step, const struct set *set) {
  const struct nn_shape *shape = &step->in[NN_DY]->shape;
  const float *gamma = nn_value(step->params, step->norm->gamma);
  int64_t size = set_size(set, shape);
  double inverse = kept_moments(step, set->n0 / ref_copies(step, NN_X), set->c0).inverse, mean = 0, mean_normal = 0;
  for (int64_t i = 0; i < size && !nn_norm_running(step->norm, step->training); i++) {
    int64_t at = set_at(set, shape, i);
    struct element element = element_at(step, at);
    mean += gamma[at % shape->c] * element.g / (double)size;
    mean_normal += gamma[at % shape->c] * element.g * element.normal / (double)size;
  }
  for (int64_t i = 0; i < size; i++) {
    int64_t at = set_at(set, shape, i);
    struct element element = element_at(step, at);
    double h = gamma[at % shape->c] * element.g;
    if (step->out[NN_DADDEND]) ref_out(step, NN_DADDEND)[at] = (float)element.g;
    ref_out(step, NN_DX)[at] = (float)(inverse * (h - mean - element.normal * mean_normal));
  }
}

void ref_norm_backward(const struct nn_step *step) {
  const struct nn_shape *shape = &step->in[NN_DY]->shape;
  give_gradients(step); /* first, since DX may overlay DY */
  for (int64_t index = 0; index < set_count(step, shape); index++) {
    struct set set = set_of(step, shape, index);
    backward_set(step, &set);
  }
}
