/* What the two directions of a norm share. Rows are positions (n, h, w) of all channels. A set is the rows that have
 * statistics of their own: all of them for batch norm, one image's for group norm. Where images are plenty a thread
 * does whole sets alone; else all threads do each set together, with a barrier between its phases. */
#ifndef JIGSAW_NN_CPU_KERNELS_NORM_H
#define JIGSAW_NN_CPU_KERNELS_NORM_H

#include <math.h>

#include "nn/cpu/kernels_internal.h"

/* By channel. x^ = (x - MEAN) INVERSE, norm(x) = (x - MEAN) SCALE + BIAS; SLOPE and LEVEL are the backward pass's. */
enum norm_coefficient { MEAN, SCALE, BIAS, SLOPE, LEVEL, INVERSE, COEFFICIENTS };

struct norm {
  const struct nn_step *step;
  bool bf16;
  bool statistics; /* of this batch, in contrast to running ones */
  int64_t sets, rows, channels, stride;
  int64_t copies;        /* sets of gradients to each set of the forward pass */
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
  norm.copies = shape.n / step->in[NN_X]->shape.n;
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

/* The set of the forward pass that a set of the gradient belongs to. */
static inline int64_t norm_saved_set(const struct norm *norm, int64_t set) {
  return set / norm->copies;
}

/* What the channels of a group are normalised by. */
static inline void norm_set_group(const struct norm *norm, const struct norm_part *part, int64_t group, float mean,
                                  float inverse) {
  for (int64_t c = group * norm->width; c < (group + 1) * norm->width; c++) {
    part->coefficient[MEAN][c] = mean;
    part->coefficient[INVERSE][c] = inverse;
    part->coefficient[SCALE][c] = norm->gamma[c] * inverse;
    part->coefficient[BIAS][c] = norm->beta[c];
  }
}

/* The part's coefficients as the forward pass had them. By running statistics every channel is a group. */
static inline void norm_recall(const struct norm *norm, const struct norm_part *part, int64_t set) {
  const struct nn_step *step = norm->step;
  const float *running_mean = nn_value(step->params, step->norm->mean);
  const float *running_variance = nn_value(step->params, step->norm->variance);
  const float *means = NULL;
  if (norm->statistics) means = (const float *)step->in[NN_SAVED]->data + norm_saved_set(norm, set) * 2 * norm->groups;
  for (int64_t g = part->groups.first; g < part->groups.last; g++) {
    float inverse = means ? means[norm->groups + g] : (float)(1 / sqrt(running_variance[g] + step->norm->eps));
    norm_set_group(norm, part, g, means ? means[g] : running_mean[g], inverse);
  }
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* For sums, rows are taken a tile at a time, and a tile by panels of channels, so that what belongs to a channel stays
 * in registers over the rows of a tile. No processor foresees that order: the next tile is fetched meanwhile, from its
 * begin to its end, a piece for each row of each panel. */
enum { PANEL = 64, TILE_BYTES = 16384, TILE_ROWS = 16, LINE = 64 };

/* 0: rows are so long that few of them make a tile, and it is better to take one after the other. */
static inline int64_t tile_rows(int64_t channels, bool bf16) {
  int64_t rows = TILE_BYTES / (channels * (bf16 ? 2 : 4));
  return rows < TILE_ROWS ? 0 : rows;
}

INLINED void fetch(const void *from, int64_t i, bool bf16) {
  const char *first = (const char *)from + i * (bf16 ? 2 : 4);
  for (int byte = 0; byte < PANEL * (bf16 ? 2 : 4); byte += LINE) {
    __builtin_prefetch(first + byte);
  }
}

/* What both directions compute with; the same arithmetic, so that both find the same sign. */
INLINED float normalised(float x, float mean, float scale, float bias) {
  return multiply_add(x - mean, scale, bias);
}

#endif
