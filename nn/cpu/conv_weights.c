#include "nn/cpu/conv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

float conv_norm_scale(const struct nn_step *step, int64_t channel) {
  const struct nn_norm_layer *norm = step->norm;
  if (!norm) return 1;
  double variance = nn_value(step->params, norm->variance)[channel];
  return (float)(nn_value(step->params, norm->gamma)[channel] / sqrt(variance + norm->eps));
}

int conv_pack_create(struct conv_pack *pack, const struct cpu_context *context, const struct nn_step *step,
                     onednn_const_desc canonical, onednn_const_desc packed, struct error *error) {
  *pack = (struct conv_pack){0};
  if (conv_call_reorder(&pack->reorder, context, canonical, packed, step->name, error)) return -1;
  size_t size = (dnnl_memory_desc_get_size(packed) + 63) / 64 * 64;
  size_t bias = ((size_t)step->conv.out * sizeof(float) + 63) / 64 * 64;
  pack->weights = step->training ? NULL : aligned_alloc(64, size);
  pack->room = step->training ? size : 0;
  pack->bias = step->norm ? aligned_alloc(64, bias) : NULL;
  pack->scratch = pack->reorder.scratch;
  if (step->norm) pack->scratch += ((size_t)step->weight->count * sizeof(float) + 63) / 64 * 64;
  if ((pack->weights || step->training) && (pack->bias || !step->norm)) return 0;
  conv_pack_free(pack);
  return error_memory(error, size + bias);
}

void conv_pack_free(struct conv_pack *pack) {
  conv_call_free(&pack->reorder);
  free(pack->weights);
  free(pack->bias);
  *pack = (struct conv_pack){0};
}

/* norm(conv(x, w) + b) = conv(x, s w) + s (b - mean) + beta, in float32 before anything is rounded. */
static void fold_norm(const struct nn_step *step, float *weights, float *bias) {
  const struct nn_norm_layer *norm = step->norm;
  const float *values = nn_value(step->params, step->weight), *own = nn_value(step->params, step->bias);
  const float *mean = nn_value(step->params, norm->mean), *beta = nn_value(step->params, norm->beta);
  int64_t row = step->weight->count / step->conv.out;
#pragma omp parallel for
  for (int64_t o = 0; o < step->conv.out; o++) {
    float scale = conv_norm_scale(step, o);
    bias[o] = scale * ((own ? own[o] : 0) - mean[o]) + beta[o];
    for (int64_t i = 0; i < row; i++) {
      weights[o * row + i] = scale * values[o * row + i];
    }
  }
}

void *conv_pack_weights(struct conv_pack *pack, const struct cpu_context *context, const struct nn_step *step,
                        void *room, void *scratch, struct error *error) {
  if (pack->weights && pack->version == step->params->version) return pack->weights;
  void *packed = pack->weights ? pack->weights : room;
  float *weights = nn_value(step->params, step->weight);
  char *reorder_scratch = scratch;
  if (step->norm) {
    weights = scratch;
    reorder_scratch += pack->scratch - pack->reorder.scratch;
    fold_norm(step, weights, pack->bias);
  }
  void *operands[] = {weights, packed};
  if (conv_call_run(&pack->reorder, context, operands, reorder_scratch, step->name, error)) return NULL;
  pack->version = step->params->version;
  return packed;
}

void conv_gradient_store(const struct nn_step *step, const float *from, float *to, int64_t row) {
#pragma omp parallel for
  for (int64_t o = 0; o < step->conv.out; o++) {
    float scale = conv_norm_scale(step, o);
    for (int64_t i = o * row; i < (o + 1) * row; i++) {
      to[i] = (step->accumulate ? to[i] : 0) + scale * from[i];
    }
  }
}

/* ---- the gradient of the bias ------------------------------------------------------------------------------------ */

enum { SUM_ROWS = 64 }; /* added up in float32; such blocks are then added in double */

size_t conv_column_sums_scratch(int64_t columns, int threads) {
  return (size_t)columns * (size_t)threads * (sizeof(double) + sizeof(float));
}

static void add_row(const void *y, enum nn_dtype dtype, int64_t columns, int64_t row, float *block) {
  if (dtype == NN_BF16) {
    const uint16_t *values = (const uint16_t *)y + row * columns;
    for (int64_t c = 0; c < columns; c++) {
      union {
        uint32_t bits;
        float value;
      } wide = {(uint32_t)values[c] << 16};
      block[c] += wide.value;
    }
  } else {
    const float *values = (const float *)y + row * columns;
    for (int64_t c = 0; c < columns; c++) {
      block[c] += values[c];
    }
  }
}

void conv_column_sums(const void *y, enum nn_dtype dtype, int64_t rows, int64_t columns, float *sums, void *scratch,
                      int threads) {
  double *totals = scratch;
  void *behind = totals + columns * threads;
  float *blocks = behind;
#pragma omp parallel for num_threads(threads)
  for (int part = 0; part < threads; part++) {
    double *total = totals + part * columns;
    float *block = blocks + part * columns;
    memset(total, 0, (size_t)columns * sizeof *total);
    int64_t end = rows * (part + 1) / threads;
    for (int64_t first = rows * part / threads; first < end; first += SUM_ROWS) {
      memset(block, 0, (size_t)columns * sizeof *block);
      for (int64_t row = first; row < end && row < first + SUM_ROWS; row++) {
        add_row(y, dtype, columns, row, block);
      }
      for (int64_t c = 0; c < columns; c++) {
        total[c] += block[c];
      }
    }
  }
  for (int64_t c = 0; c < columns; c++) {
    double sum = 0;
    for (int part = 0; part < threads; part++) {
      sum += totals[part * columns + c];
    }
    sums[c] = (float)sum;
  }
}
