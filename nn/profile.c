/* Where the time goes: the steps of a program, slowest first, and sums by operation. */
#include <stdlib.h>
#include <string.h>

#include "nn/internal.h"

const char *nn_op_name(enum nn_op op) {
  static const char *const names[NN_OPS] = {
      [NN_OP_CONV] = "conv",
      [NN_OP_CONV_BACKWARD_DATA] = "conv backward data",
      [NN_OP_CONV_BACKWARD_WEIGHTS] = "conv backward weights",
      [NN_OP_NORM] = "norm",
      [NN_OP_NORM_BACKWARD] = "norm backward",
      [NN_OP_NORM_AGAIN] = "norm again",
      [NN_OP_RELU] = "relu",
      [NN_OP_RELU_BACKWARD] = "relu backward",
      [NN_OP_ADD] = "add",
      [NN_OP_MAX_POOL] = "max pool",
      [NN_OP_MAX_POOL_BACKWARD] = "max pool backward",
      [NN_OP_AVERAGE_POOL] = "average pool",
      [NN_OP_AVERAGE_POOL_BACKWARD] = "average pool backward",
      [NN_OP_GLOBAL_POOL] = "global pool",
      [NN_OP_GLOBAL_POOL_BACKWARD] = "global pool backward",
      [NN_OP_REGION_POOL] = "region pool",
      [NN_OP_REGION_POOL_BACKWARD] = "region pool backward",
      [NN_OP_UPSAMPLE] = "upsample",
      [NN_OP_UPSAMPLE_BACKWARD] = "upsample backward",
      [NN_OP_COPY_IN] = "concat",
      [NN_OP_COPY_OUT] = "concat backward",
      [NN_OP_CROSS_ENTROPY] = "cross-entropy",
  };
  return names[op];
}

static int describe_operand(const struct nn_operand *operand, char *text, size_t size) {
  return snprintf(text, size, " %lldx%lldx%lldx%lld %s", (long long)operand->shape.n, (long long)operand->shape.h,
                  (long long)operand->shape.w, (long long)operand->shape.c, nn_dtype_name(operand->dtype));
}

void nn_step_describe(const struct nn_step *step, char *text, size_t size) {
  const struct nn_operand *in = step->in[NN_X] ? step->in[NN_X] : step->in[NN_DY];
  const struct nn_operand *out = step->out[NN_Y] ? step->out[NN_Y] : step->out[NN_DX];
  int length = snprintf(text, size, "%s %s:", nn_op_name(step->op), step->name);
  if (in && length >= 0 && (size_t)length < size) length += describe_operand(in, text + length, size - (size_t)length);
  if (out && length >= 0 && (size_t)length < size) {
    length += snprintf(text + length, size - (size_t)length, " ->");
    if ((size_t)length < size) describe_operand(out, text + length, size - (size_t)length);
  }
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

/* A lower bound: every operand and parameter once. */
static double step_bytes(const struct nn_step *step) {
  double bytes = 0;
  for (int slot = 0; slot < NN_SLOTS; slot++) {
    const struct nn_operand *operands[] = {step->in[slot], step->out[slot]};
    for (int i = 0; i < 2; i++) {
      if (operands[i]) bytes += (double)nn_count(operands[i]->shape) * (double)nn_dtype_size(operands[i]->dtype);
    }
  }
  return bytes + (step->weight ? 4.0 * (double)step->weight->count : 0);
}

struct profile_row {
  char text[160];
  double seconds, flops, bytes; /* per run */
  int steps;
};

static int slower_first(const void *a, const void *b) {
  const struct profile_row *x = a, *y = b;
  return x->seconds > y->seconds ? -1 : x->seconds < y->seconds;
}

static void print_rows(struct profile_row *rows, size_t count, double total, FILE *stream) {
  qsort(rows, count, sizeof *rows, slower_first);
  for (size_t i = 0; i < count; i++) {
    const struct profile_row *row = &rows[i];
    if (!row->steps) continue;
    double seconds = row->seconds > 0 ? row->seconds : 1e-12;
    fprintf(stream, "%9.3f %6.1f %5d %9.1f %9.1f %8.2f  %s\n", 1e3 * row->seconds, 100 * row->seconds / total,
            row->steps, row->flops / seconds * 1e-9, row->bytes * 1e-6, row->bytes / seconds * 1e-9, row->text);
  }
}

static void add_row(struct profile_row *row, const struct nn_step *step, double seconds) {
  row->seconds += seconds;
  row->flops += (double)nn_step_flops(step);
  row->bytes += step_bytes(step);
  row->steps++;
}

void nn_program_profile_print(const struct nn_program *program, FILE *stream) {
  struct profile_row ops[NN_OPS] = {0};
  struct profile_row *rows = calloc(program->step_count + 1, sizeof *rows);
  double total = 1e-12;
  if (!rows) return;
  for (size_t i = 0; i < program->step_count; i++) {
    const struct nn_step *step = &program->steps[i];
    int64_t runs = i < program->forward_count ? program->forward_runs : program->backward_runs;
    double seconds = runs ? program->seconds[i] / (double)runs : 0;
    total += seconds;
    add_row(&ops[step->op], step, seconds);
    add_row(&rows[i], step, seconds);
    snprintf(ops[step->op].text, sizeof ops->text, "%s", nn_op_name(step->op));
    nn_step_describe(step, rows[i].text, sizeof rows->text);
  }
  fprintf(stream, "%9s %6s %5s %9s %9s %8s  one pass: %.1f ms\n", "ms", "%", "steps", "GFLOP/s", "MB", "GB/s",
          1e3 * total);
  print_rows(ops, NN_OPS, total, stream);
  fprintf(stream, "\n");
  print_rows(rows, program->step_count, total, stream);
  free(rows);
}
