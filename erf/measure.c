/* Receptive fields by backpropagation: the gradient of one cell's summed output needs a seed that is one at the cell,
 * in all channels, and zero elsewhere. One forward pass serves `copies` cells, whose seeds go back as one batch. Of
 * their fields only the masses stay, and the few that are to be kept. */
#include "erf/erf.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  CHANNELS = 3,         /* of the input */
  PROBE_COPIES = 8,     /* how memory grows with the copies is learned from a program of one and one of so many */
  BUDGET = 256 << 20,   /* bytes of the device that may be taken where the workspace has less; and of the host */
  NAME_SIZE = 256,      /* of an input */
  MEMORY_ALIGNMENT = 64 /* that nn/program.h likes best */
};

struct measurement {
  const struct erf_probe *probe;
  int64_t size, pixels;

  struct nn_program *program;
  int64_t copies, cells;
  struct nn_shape seed;      /* of all copies */
  void *seeds;               /* of all copies, as the next two */
  float *gradients, *fields; /* with respect to an image; summed over channels and images */
  char gradient[NAME_SIZE];
};

static int compile(struct measurement *m, int64_t copies, struct error *error) {
  const struct erf_probe *probe = m->probe;
  struct nn_input_shape shape = {probe->input, {1, m->size, m->size, CHANNELS}};
  struct nn_compile_options options = {.precision = probe->precision,
                                       .seed = probe->output,
                                       .copies = copies,
                                       .input_gradient = probe->input,
                                       .shapes = &shape,
                                       .shape_count = 1,
                                       .stop = probe->stop};
  nn_program_free(m->program);
  m->program = NULL;
  if (nn_compile(&m->program, probe->graph, probe->workspace, &options, error)) return -1;
  if (nn_program_shape(m->program, probe->output, &m->seed, error)) return -1;
  int64_t side = probe->regions.size / probe->regions.stride;
  if (m->seed.n != 1 || m->seed.h != side || m->seed.w != side) {
    return error_set(error,
                     "the map \"%s\" has %lld x %lld cells on an input of %lld x %lld pixels: the regions need %lld x "
                     "%lld",
                     probe->output, (long long)m->seed.h, (long long)m->seed.w, (long long)m->size, (long long)m->size,
                     (long long)side, (long long)side);
  }
  m->seed.n = m->copies = copies;
  m->cells = side * side;
  return 0;
}

/* What a copy takes besides the program. */
static int64_t host_bytes(const struct measurement *m) {
  int64_t seed = m->cells * m->seed.c * (int64_t)nn_dtype_size(m->probe->precision);
  return seed + m->pixels * (CHANNELS + 1) * (int64_t)sizeof(float);
}

/* As many as the memory allows; fewer if as many passes do with fewer. */
static int64_t choose_copies(const struct measurement *m, int64_t one, int64_t few, int64_t few_copies) {
  int64_t size = (int64_t)m->probe->workspace->size, budget = size > BUDGET ? size : BUDGET;
  int64_t each = (few - one) / (few_copies - 1), most = BUDGET / host_bytes(m);
  int64_t copies = budget > one ? 1 + (budget - one) / (each > 0 ? each : 1) : 1;
  if (copies > most) copies = most > 1 ? most : 1;
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
      if (m->probe->precision == NN_BF16) {
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

/* A field is whole: its mean, its masses, and itself if it is to be kept. */
static int take_field(const struct measurement *m, int64_t cell, float *field, struct erf_map *map,
                      struct error *error) {
  bool finite = true;
  for (int64_t i = 0; i < m->pixels; i++) {
    field[i] /= (float)m->probe->count;
    finite &= field[i] <= FLT_MAX;
  }
  if (!finite) return error_set(error, "the receptive fields are not finite: have the weights diverged?");
  double masses[ERF_REGION_MAX];
  erf_masses(&map->regions, field, masses);
  memcpy(map->masses + cell * map->regions.count, masses, (size_t)map->regions.count * sizeof *masses);
  for (int i = 0; i < map->kept_count; i++) {
    if (map->kept[i] == cell) memcpy(map->fields + i * m->pixels, field, (size_t)m->pixels * sizeof *field);
  }
  return 0;
}

/* The cells first .. first + copies - 1, of which the last may not exist; their seeds stay zero. */
static int measure_cells(struct measurement *m, int64_t first, struct erf_map *map, struct error *error) {
  const struct erf_probe *probe = m->probe;
  int64_t cells = m->cells - first < m->copies ? m->cells - first : m->copies;
  size_t image_size = (size_t)(m->pixels * CHANNELS) * nn_dtype_size(probe->precision);
  int result = 0;
  memset(m->fields, 0, (size_t)(cells * m->pixels) * sizeof *m->fields);
  write_seeds(m, first, cells, true);
  for (int64_t i = 0; result == 0 && i < probe->count; i++) {
    result = nn_program_bind(m->program, probe->input, (const char *)probe->images + (size_t)i * image_size, error);
    if (result == 0) result = nn_program_forward(m->program, error);
    if (result == 0) result = nn_program_backward(m->program, error);
    if (result == 0) result = nn_program_read(m->program, m->gradient, m->gradients, error);
    for (int64_t k = 0; result == 0 && k < cells; k++) {
      add_absolute(m->fields + k * m->pixels, m->gradients + k * m->pixels * CHANNELS, m->pixels);
    }
  }
  write_seeds(m, first, cells, false);
  for (int64_t k = 0; result == 0 && k < cells; k++) {
    result = take_field(m, first + k, m->fields + k * m->pixels, map, error);
  }
  struct nn_program_facts facts = nn_program_facts(m->program);
  map->flops += probe->count * (facts.forward_flops + facts.backward_flops);
  return result;
}

static int allocate_map(const struct measurement *m, struct erf_map *map, struct error *error) {
  const struct erf_probe *probe = m->probe;
  size_t kept = (size_t)probe->kept_count;
  *map = (struct erf_map){.regions = probe->regions, .side = (int)m->seed.h, .images = probe->count};
  map->masses = allocate((size_t)(m->cells * probe->regions.count), sizeof *map->masses, error);
  map->kept = map->masses ? allocate(kept + 1, sizeof *map->kept, error) : NULL;
  map->fields = map->kept ? allocate(kept + 1, (size_t)m->pixels * sizeof *map->fields, error) : NULL;
  if (!map->fields) return -1;
  if (kept > 0) memcpy(map->kept, probe->kept, kept * sizeof *map->kept);
  map->kept_count = probe->kept_count;
  return 0;
}

static int measure(struct measurement *m, struct erf_map *map, struct error *error) {
  size_t copies = (size_t)m->copies, pixels = (size_t)m->pixels, seed = (size_t)(m->cells * m->seed.c);
  if (allocate_map(m, map, error)) return -1;
  m->seeds = allocate(copies, seed * nn_dtype_size(m->probe->precision), error);
  m->gradients = m->seeds ? allocate(copies, pixels * CHANNELS * sizeof(float), error) : NULL;
  m->fields = m->gradients ? allocate(copies, pixels * sizeof(float), error) : NULL;
  if (!m->fields || nn_program_bind_gradient(m->program, m->seeds, error)) return -1;
  int result = 0;
  for (int64_t first = 0; result == 0 && first < m->cells; first += m->copies) {
    result = measure_cells(m, first, map, error);
  }
  return result;
}

static int check_probe(const struct erf_probe *probe, struct error *error) {
  if (erf_regions_check(&probe->regions, error)) return -1;
  if (probe->count < 1 || probe->copies < 0) {
    return error_set(error, "%lld images, %lld cells at a time: needs an image", (long long)probe->count,
                     (long long)probe->copies);
  }
  return 0;
}

int erf_measure(struct erf_map *map, const struct erf_probe *probe, struct error *error) {
  struct measurement m = {.probe = probe, .size = probe->regions.size};
  struct erf_map measured = {0};
  if (check_probe(probe, error)) return -1;
  m.pixels = m.size * m.size;
  if (snprintf(m.gradient, sizeof m.gradient, "%s.gradient", probe->input) >= (int)sizeof m.gradient) {
    return error_set(error, "the input's name is too long: %s", probe->input);
  }
  int result = probe->copies ? compile(&m, probe->copies, error) : compile_for_memory(&m, error);
  if (result == 0) result = measure(&m, &measured, error);
  if (result == 0) {
    erf_map_free(map);
    *map = measured;
  } else {
    erf_map_free(&measured);
  }
  free(m.fields);
  free(m.gradients);
  free(m.seeds);
  nn_program_free(m.program);
  return result;
}

const float *erf_field(const struct erf_map *map, int cell) {
  size_t pixels = (size_t)map->regions.size * (size_t)map->regions.size;
  for (int i = 0; i < map->kept_count; i++) {
    if (map->kept[i] == cell) return map->fields + (size_t)i * pixels;
  }
  return NULL;
}

void erf_map_free(struct erf_map *map) {
  free(map->masses);
  free(map->kept);
  free(map->fields);
  *map = (struct erf_map){0};
}
