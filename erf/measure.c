/* Receptive fields by backpropagation: the gradient of one cell's summed output needs a seed that is one at the cell,
 * in all channels, and zero elsewhere. One forward pass serves `copies` cells, whose seeds go back as one batch. */
#include "erf/erf.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  CHANNELS = 3,         /* of the input */
  PROBE_COPIES = 8,     /* how memory grows with the copies is learned from a program of one and one of so many */
  BUDGET = 256 << 20,   /* bytes that may be taken where the workspace has less */
  NAME_SIZE = 256,      /* of an input */
  MEMORY_ALIGNMENT = 64 /* that nn/program.h likes best */
};

struct measurement {
  const struct nn_graph *graph;
  struct nn_workspace *workspace;
  const char *input, *output;
  enum nn_dtype precision;
  int64_t size;

  struct nn_program *program;
  int64_t copies, cells;
  struct nn_shape seed; /* of all copies */
  void *seeds;
  float *gradients;
  char gradient[NAME_SIZE];
};

static int compile(struct measurement *m, int64_t copies, struct error *error) {
  struct nn_input_shape shape = {m->input, {1, m->size, m->size, CHANNELS}};
  struct nn_compile_options options = {.precision = m->precision,
                                       .seed = m->output,
                                       .copies = copies,
                                       .input_gradient = m->input,
                                       .shapes = &shape,
                                       .shape_count = 1};
  nn_program_free(m->program);
  m->program = NULL;
  if (nn_compile(&m->program, m->graph, m->workspace, &options, error)) return -1;
  if (nn_program_shape(m->program, m->output, &m->seed, error)) return -1;
  if (m->seed.n != 1 || m->seed.h != m->seed.w || m->size % m->seed.h) {
    return error_set(error,
                     "the map \"%s\" has %lld x %lld cells on an input of %lld x %lld pixels: needs a square map, "
                     "by which the input's size can be divided",
                     m->output, (long long)m->seed.h, (long long)m->seed.w, (long long)m->size, (long long)m->size);
  }
  m->seed.n = m->copies = copies;
  m->cells = m->seed.h * m->seed.w;
  return 0;
}

/* As many as the memory allows; fewer if as many passes do with fewer. */
static int64_t choose_copies(const struct measurement *m, int64_t one, int64_t few, int64_t few_copies) {
  int64_t budget = m->workspace->size > BUDGET ? (int64_t)m->workspace->size : BUDGET;
  int64_t each = (few - one) / (few_copies - 1);
  int64_t copies = budget > one ? 1 + (budget - one) / (each > 0 ? each : 1) : 1;
  if (copies >= m->cells) return m->cells;
  int64_t passes = (m->cells + copies - 1) / copies;
  return (m->cells + passes - 1) / passes;
}

static int compile_for_memory(struct measurement *m, struct error *error) {
  if (compile(m, 1, error)) return -1;
  int64_t one = nn_program_facts(m->program).activation_bytes;
  int64_t few_copies = m->cells < PROBE_COPIES ? m->cells : PROBE_COPIES;
  if (few_copies == 1) return 0;
  if (compile(m, few_copies, error)) return -1;
  int64_t copies = choose_copies(m, one, nn_program_facts(m->program).activation_bytes, few_copies);
  return copies == few_copies ? 0 : compile(m, copies, error);
}

static void *allocate(size_t count, size_t item, struct error *error) {
  size_t bytes;
  void *memory = NULL;
  if (size_muladd(count, item, MEMORY_ALIGNMENT, &bytes)) {
    bytes &= ~(size_t)(MEMORY_ALIGNMENT - 1);
    memory = aligned_alloc(MEMORY_ALIGNMENT, bytes);
  }
  if (memory) {
    memset(memory, 0, bytes);
  } else {
    error_memory(error, count);
  }
  return memory;
}

/* Sets the seeds of cells first .. first + count - 1 to one, or back to zero. */
static void write_seeds(struct measurement *m, int64_t first, int64_t count, bool one) {
  int64_t channels = m->seed.c;
  for (int64_t k = 0; k < count; k++) {
    int64_t start = (k * m->cells + first + k) * channels;
    for (int64_t c = start; c < start + channels; c++) {
      if (m->precision == NN_BF16) {
        ((uint16_t *)m->seeds)[c] = nn_bf16_from_f32(one);
      } else {
        ((float *)m->seeds)[c] = one;
      }
    }
  }
}

static void add_absolute(float *restrict field, const float *restrict gradient, int64_t pixels) {
  for (int64_t i = 0; i < pixels; i++) {
    field[i] += fabsf(gradient[CHANNELS * i]) + fabsf(gradient[CHANNELS * i + 1]) + fabsf(gradient[CHANNELS * i + 2]);
  }
}

/* The cells first .. first + copies - 1, of which the last may not exist; their seeds stay zero. */
static int measure_cells(struct measurement *m, int64_t first, const void *images, int64_t count, float *fields,
                         struct error *error) {
  int64_t pixels = m->size * m->size, cells = m->cells - first < m->copies ? m->cells - first : m->copies;
  size_t image_size = (size_t)(pixels * CHANNELS) * nn_dtype_size(m->precision);
  int result = 0;
  write_seeds(m, first, cells, true);
  for (int64_t i = 0; result == 0 && i < count; i++) {
    result = nn_program_bind(m->program, m->input, (const char *)images + (size_t)i * image_size, error);
    if (result == 0) result = nn_program_forward(m->program, error);
    if (result == 0) result = nn_program_backward(m->program, error);
    if (result == 0) result = nn_program_read(m->program, m->gradient, m->gradients, error);
    for (int64_t k = 0; result == 0 && k < cells; k++) {
      add_absolute(fields + (first + k) * pixels, m->gradients + k * pixels * CHANNELS, pixels);
    }
  }
  write_seeds(m, first, cells, false);
  return result;
}

static int divide_fields(float *fields, size_t count, int64_t images, struct error *error) {
  bool finite = true;
  for (size_t i = 0; i < count; i++) {
    fields[i] /= (float)images;
    finite &= fields[i] <= FLT_MAX;
  }
  return finite ? 0 : error_set(error, "the receptive fields are not finite: have the weights diverged?");
}

static int measure(struct measurement *m, const void *images, int64_t count, struct erf_map *map, struct error *error) {
  size_t pixels = (size_t)m->size * (size_t)m->size, seed = (size_t)(m->cells * m->seed.c);
  map->fields = allocate((size_t)m->cells, pixels * sizeof(float), error);
  m->seeds = map->fields ? allocate((size_t)m->copies, seed * nn_dtype_size(m->precision), error) : NULL;
  m->gradients = m->seeds ? allocate((size_t)m->copies, pixels * CHANNELS * sizeof(float), error) : NULL;
  if (!m->gradients) return -1;
  if (nn_program_bind_gradient(m->program, m->seeds, error)) return -1;
  struct nn_program_facts facts = nn_program_facts(m->program);
  for (int64_t first = 0; first < m->cells; first += m->copies) {
    if (measure_cells(m, first, images, count, map->fields, error)) return -1;
    map->flops += count * (facts.forward_flops + facts.backward_flops);
  }
  map->size = (int)m->size;
  map->side = (int)m->seed.h;
  map->images = count;
  return divide_fields(map->fields, (size_t)m->cells * pixels, count, error);
}

int erf_measure(struct erf_map *map, const struct nn_graph *graph, struct nn_workspace *workspace, const char *input,
                const char *output, enum nn_dtype precision, const void *images, int64_t count, int size,
                int64_t copies, struct error *error) {
  struct measurement m = {
      .graph = graph, .workspace = workspace, .input = input, .output = output, .precision = precision, .size = size};
  struct erf_map measured = {0};
  if (count < 1 || size < 1 || size > ERF_SIZE_MAX || copies < 0) {
    return error_set(error, "%lld images of %d pixels a side, %lld cells at a time: needs an image, of up to %d pixels",
                     (long long)count, size, (long long)copies, ERF_SIZE_MAX);
  }
  if (snprintf(m.gradient, sizeof m.gradient, "%s.gradient", input) >= (int)sizeof m.gradient) {
    return error_set(error, "the input's name is too long: %s", input);
  }
  int result = copies ? compile(&m, copies, error) : compile_for_memory(&m, error);
  if (result == 0) result = measure(&m, images, count, &measured, error);
  if (result == 0) {
    erf_map_free(map);
    *map = measured;
  } else {
    erf_map_free(&measured);
  }
  free(m.gradients);
  free(m.seeds);
  nn_program_free(m.program);
  return result;
}

void erf_map_free(struct erf_map *map) {
  free(map->fields);
  *map = (struct erf_map){0};
}
