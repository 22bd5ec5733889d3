/* Batch, frozen and group norm: one pass over X for its statistics, and one that normalises, adds and clips. */
#include "nn/cpu/kernels_norm.h"

#include <string.h>

enum { BLOCK = 128, START = 16 }; /* rows */

size_t KERNEL(norm_scratch)(const struct nn_step *step, int threads) {
  return norm_thread_bytes(padded(step->in[NN_X]->shape.c)) * (size_t)threads;
}

/* Adds distances from `shift`, and their squares, over the rows of a tile, for a panel from channel `first` on. */
INLINED void sum_panel(const void *x, struct span rows, int64_t channels, int64_t first, const float *shift, float *sum,
                       float *square, bool bf16) {
  float shifts[PANEL], sums[PANEL], squares[PANEL];
  int64_t next = rows.last * channels + (rows.last - rows.first) * first;
  memcpy(shifts, shift + first, sizeof shifts);
  memcpy(sums, sum + first, sizeof sums);
  memcpy(squares, square + first, sizeof squares);
  for (int64_t row = rows.first; row < rows.last; row++, next += PANEL) {
    fetch(x, next, bf16);
    SIMD for (int64_t c = 0; c < PANEL; c++) {
      float d = load(x, row * channels + first + c, bf16) - shifts[c];
      sums[c] += d;
      squares[c] = multiply_add(d, d, squares[c]);
    }
  }
  memcpy(sum + first, sums, sizeof sums);
  memcpy(square + first, squares, sizeof squares);
}

/* The same for the channels from `first` on, one row after the other. */
INLINED void sum_rest(const void *x, struct span rows, int64_t channels, int64_t first, const float *shift, float *sum,
                      float *square, bool bf16) {
  for (int64_t row = rows.first; row < rows.last; row++) {
    SIMD for (int64_t c = first; c < channels; c++) {
      float d = load(x, row * channels + c, bf16) - shift[c];
      sum[c] += d;
      square[c] = multiply_add(d, d, square[c]);
    }
  }
}

INLINED void sum_block(const void *x, struct span rows, int64_t channels, const float *shift, float *sum, float *square,
                       bool bf16) {
  int64_t tile = tile_rows(channels, bf16), panels = tile ? channels / PANEL : 0;
  memset(sum, 0, (size_t)channels * sizeof *sum);
  memset(square, 0, (size_t)channels * sizeof *square);
  for (int64_t first = rows.first; panels && first < rows.last; first += tile) {
    for (int64_t panel = 0; panel < panels; panel++) {
      struct span part = {first, smaller(first + tile, rows.last)};
      sum_panel(x, part, channels, panel * PANEL, shift, sum, square, bf16);
    }
  }
  if (panels * PANEL < channels) sum_rest(x, rows, channels, panels * PANEL, shift, sum, square, bf16);
}

/* The sums of x and of x^2 over the part's rows. A block of rows is summed in float32 as distances from the mean of the
 * block before, so that nothing cancels where the mean is large, and added up in double. The first rows are measured
 * twice: to find their mean, and from that. */
INLINED void sum_rows(const void *x, struct span rows, int64_t channels, const struct norm_part *part, bool bf16) {
  float *shift = part->block, *sum = part->block + part->stride, *square = part->block + 2 * part->stride;
  double *total = part->sums, *total_square = part->sums + part->stride;
  memset(part->sums, 0, 2 * (size_t)part->stride * sizeof *part->sums);
  for (int64_t c = 0; c < channels && rows.first < rows.last; c++) {
    shift[c] = load(x, rows.first * channels + c, bf16);
  }
  for (int64_t first = rows.first - BLOCK; first < rows.last; first += BLOCK) {
    bool measured = first >= rows.first;
    struct span block = {measured ? first : rows.first,
                         smaller(measured ? first + BLOCK : rows.first + START, rows.last)};
    double count = (double)(block.last - block.first);
    sum_block(x, block, channels, shift, sum, square, bf16);
    SIMD for (int64_t c = 0; c < channels; c++) {
      double s = sum[c], m = shift[c];
      shift[c] = (float)(m + s / count);
      total[c] += measured ? s + count * m : 0;
      total_square[c] += measured ? square[c] + m * (2 * s + count * m) : 0;
    }
  }
}

static void update_running(const struct norm *norm, int64_t channel, double mean, double variance) {
  const struct nn_norm_layer *layer = norm->step->norm;
  double momentum = layer->momentum, count = (double)norm->rows;
  float *means = nn_value(norm->step->params, layer->mean), *variances = nn_value(norm->step->params, layer->variance);
  double unbiased = count > 1 ? variance * count / (count - 1) : variance;
  means[channel] = (float)((1 - momentum) * means[channel] + momentum * mean);
  variances[channel] = (float)((1 - momentum) * variances[channel] + momentum * unbiased);
}

/* From the sums of all threads to the statistics of the part's groups. */
static void finish_statistics(const struct norm *norm, const struct norm_part *part, int64_t set) {
  const struct nn_operand *saved = norm->step->out[NN_SAVED];
  double count = (double)(norm->rows * norm->width);
  for (int64_t group = part->groups.first; group < part->groups.last; group++) {
    double sum = 0, square = 0;
    for (int64_t c = group * norm->width; c < (group + 1) * norm->width; c++) {
      sum += norm_sum(norm, part, 0, c);
      square += norm_sum(norm, part, 1, c);
    }
    double mean = sum / count, variance = square / count - mean * mean;
    if (variance < 0) variance = 0;
    float inverse = (float)(1 / sqrt(variance + norm->step->norm->eps));
    norm_set_group(norm, part, group, (float)mean, inverse);
    if (saved) {
      float *to = (float *)saved->data + set * 2 * norm->groups + group;
      to[0] = (float)mean;
      to[norm->groups] = inverse;
    }
    if (norm->step->norm->kind == NN_NORM_BATCH) update_running(norm, group, mean, variance);
  }
}

INLINED void apply_some(void *y, const void *x, const void *addend, int64_t at, int64_t first, int64_t count,
                        const struct norm_part *part, bool bf16, bool add, bool relu) {
  const float *mean = part->coefficient[MEAN] + first, *scale = part->coefficient[SCALE] + first;
  const float *bias = part->coefficient[BIAS] + first;
  float lanes[LANES];
  SIMD for (int64_t c = 0; c < count; c++) {
    float value = normalised(load(x, at + c, bf16), mean[c], scale[c], bias[c]);
    if (add) value += load(addend, at + c, bf16);
    put(y, at, c, relu ? relu_of(value) : value, lanes, bf16);
  }
  put_close(y, at, count, lanes, bf16);
}

INLINED void apply_rows(void *y, const void *x, const void *addend, struct span rows, int64_t channels,
                        const struct norm_part *part, bool bf16, bool add, bool relu) {
  for (int64_t row = rows.first; row < rows.last; row++) {
    int64_t at = row * channels, c = 0;
    for (; c + LANES <= channels; c += LANES) {
      apply_some(y, x, addend, at + c, c, LANES, part, bf16, add, relu);
    }
    if (c < channels) apply_some(y, x, addend, at + c, c, channels - c, part, bf16, add, relu);
  }
}

/* From the last rows to the first: the last are still in the cache. */
static void apply(const struct norm *norm, const struct norm_part *part, int64_t set) {
  int64_t first = set * norm->rows * norm->channels, last = part->rows.last;
  const void *x = at(norm->step->in[NN_X], first), *addend = at(norm->step->in[NN_ADDEND], first);
  void *y = at(norm->step->out[NN_Y], first);
  while (last > part->rows.first) {
    int64_t from = last - part->rows.first > BLOCK ? last - BLOCK : part->rows.first;
    struct span rows = {from, last};
    FOLD(bf16, norm->bf16,
         FOLD(add, addend != NULL,
              FOLD(relu, norm->step->relu, apply_rows(y, x, addend, rows, norm->channels, part, bf16, add, relu))))
    last = from;
  }
}

static void norm_thread(const struct norm *norm, int thread, int threads) {
  struct norm_part part = norm_part_of(norm, thread, threads);
  bool measures = norm->statistics && norm->step->op == NN_OP_NORM;
  for (int64_t set = part.sets.first; set < part.sets.last; set++) {
    if (measures) {
      const void *x = at(norm->step->in[NN_X], set * norm->rows * norm->channels);
      FOLD(bf16, norm->bf16, sum_rows(x, part.rows, norm->channels, &part, bf16))
    }
    norm_wait(&part); /* for the sums, and for those who still apply the last set's coefficients */
    if (measures) {
      finish_statistics(norm, &part, set);
    } else {
      norm_recall(norm, &part, set);
    }
    norm_wait(&part);
    apply(norm, &part, set);
  }
}

static struct norm run(const struct nn_step *step, void *scratch, int threads) {
  const struct norm norm = norm_open(step, step->in[NN_X], scratch);
#pragma omp parallel num_threads(useful_threads(nn_count(step->in[NN_X]->shape), threads))
  norm_thread(&norm, omp_get_thread_num(), omp_get_num_threads());
  return norm;
}

void KERNEL(norm)(const struct nn_step *step, void *scratch, int threads) {
  const struct norm norm = run(step, scratch, threads);
  if (norm.statistics && step->norm->kind == NN_NORM_BATCH) {
    *nn_value(step->params, step->norm->batches) += 1;
    step->params->version++;
  }
}

void KERNEL(norm_again)(const struct nn_step *step, void *scratch, int threads) {
  run(step, scratch, threads);
}
