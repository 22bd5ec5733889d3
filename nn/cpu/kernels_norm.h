/* What the two directions of a norm share. Rows are positions (n, h, w) of all channels. A set is the rows that have
 * statistics of their own: all of them for batch norm, one image's for group norm. Where images are plenty a thread
 * does whole sets alone; else all threads do each set together, with a barrier between its phases. */
#ifndef JIGSAW_NN_CPU_KERNELS_NORM_H
#define JIGSAW_NN_CPU_KERNELS_NORM_H

#include "nn/cpu/kernels_internal.h"

enum { COEFFICIENTS = 6 };

struct norm {
  const struct nn_step *step;
  bool bf16;
  bool statistics; /* of this batch, in contrast to running ones */
  int64_t sets, rows, channels, stride;
  int64_t groups, width; /* channels with the same statistics; width 1 for batch norm */
  const float *gamma, *beta;
  char *scratch;
};

/* One thread's part: of the sets, of each set's rows, and of its groups; and its own memory. */
struct norm_part {
  struct span sets, rows, groups;
  int parts;                        /* threads that share a set */
  int64_t stride;                   /* of the arrays below: a padded row of channels */
  double *sums;                     /* [2][stride]: of this thread's rows */
  double *all_sums;                 /* of the first thread that shares this set */
  double *totals;                   /* [2][stride]: over sets, of threads that share them */
  float *block;                     /* [3][stride] */
  float *coefficient[COEFFICIENTS]; /* by channel, of the set */
};

/* Bytes of one thread's doubles and floats. */
static inline size_t norm_thread_bytes(int64_t stride) {
  return (size_t)stride * (4 * sizeof(double) + (3 + COEFFICIENTS) * sizeof(float));
}

static inline struct norm norm_open(const struct nn_step *step, const struct nn_operand *rows, void *scratch) {
  struct nn_shape shape = rows->shape;
  struct norm norm = {.step = step, .bf16 = rows->dtype == NN_BF16, .sets = 1, .channels = shape.c, .width = 1};
  bool by_image = step->norm->kind == NN_NORM_GROUP || shape.n != step->in[NN_X]->shape.n;
  norm.statistics = !nn_norm_running(step->norm, step->training);
  norm.rows = shape.n * shape.h * shape.w;
  if (by_image) {
    norm.sets = shape.n;
    norm.rows = shape.h * shape.w;
  }
  norm.groups = shape.c;
  if (step->norm->kind == NN_NORM_GROUP) {
    norm.groups = step->norm->groups;
    norm.width = shape.c / norm.groups;
  }
  norm.stride = padded(shape.c);
  norm.gamma = step->params->values + step->norm->gamma->offset;
  norm.beta = step->params->values + step->norm->beta->offset;
  norm.scratch = scratch;
  return norm;
}

/* What belongs to thread `thread`: of memory, 4 rows of doubles, then the floats. */
static inline void *norm_memory(const struct norm *norm, int thread) {
  return norm->scratch + norm_thread_bytes(norm->stride) * (size_t)thread;
}

static inline struct norm_part norm_part_of(const struct norm *norm, int thread, int threads) {
  bool alone = norm->sets >= 4 * threads || norm->sets % threads == 0;
  struct norm_part part = {.parts = alone ? 1 : threads, .stride = norm->stride};
  int member = alone ? 0 : thread;
  double *mine = norm_memory(norm, thread), *leader = norm_memory(norm, thread - member);
  void *floats = mine + 4 * norm->stride, *leader_floats = leader + 4 * norm->stride;
  part.sets = alone ? span_of(norm->sets, 1, thread, threads) : (struct span){0, norm->sets};
  part.rows = span_of(norm->rows, 1, member, part.parts);
  part.groups = span_of(norm->groups, norm->width == 1 ? 16 : 1, member, part.parts);
  part.sums = mine;
  part.all_sums = leader;
  part.totals = leader + 2 * norm->stride;
  part.block = floats;
  for (int i = 0; i < COEFFICIENTS; i++) {
    part.coefficient[i] = (float *)leader_floats + (3 + i) * norm->stride;
  }
  return part;
}

/* The sum number `which` of a channel over all threads that share the set, always in the same order. */
static inline double norm_sum(const struct norm *norm, const struct norm_part *part, int which, int64_t channel) {
  size_t own = norm_thread_bytes(norm->stride) / sizeof(double);
  double sum = 0;
  for (int i = 0; i < part->parts; i++) {
    sum += part->all_sums[own * (size_t)i + (size_t)(which * norm->stride + channel)];
  }
  return sum;
}

static inline void norm_wait(const struct norm_part *part) {
  if (part->parts > 1) {
#pragma omp barrier
  }
}

/* What both directions compute with; the same arithmetic, so that both find the same sign. */
INLINED float normalised(float x, float mean, float scale, float bias) {
  return (x - mean) * scale + bias;
}

#endif
