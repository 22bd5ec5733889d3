/* What follows from a measured field: soft labels, and how far a cell sees. */
#include "erf/erf.h"

#include <math.h>
#include <string.h>

void erf_masses(const struct erf_regions *regions, const float *field, double masses[ERF_REGION_MAX]) {
  for (int i = 0; i < regions->count; i++) {
    struct rect r = regions->rects[i];
    masses[i] = 0;
    for (int y = r.y; y < r.y + r.h; y++) {
      const float *row = field + (size_t)y * (size_t)regions->size;
      for (int x = r.x; x < r.x + r.w; x++) {
        masses[i] += row[x];
      }
    }
  }
}

/* Its masses, their sum, and which region it lies in. */
struct cell {
  const double *masses;
  double total;
  int own;
};

static struct cell cell_of(const struct erf_map *map, int cell) {
  int count = map->regions.count;
  struct cell found = {map->masses + (size_t)cell * (size_t)count, 0,
                       erf_region_of(&map->regions, cell / map->side, cell % map->side)};
  for (int i = 0; i < count; i++) {
    found.total += found.masses[i];
  }
  return found;
}

static int label_cell(const struct erf_map *map, int position, double tau, float *row, struct error *error) {
  struct cell cell = cell_of(map, position);
  double outside = 0;
  for (int i = 0; i < map->regions.count; i++) {
    if (!(cell.masses[i] >= 0 && isfinite(cell.masses[i]))) {
      return error_set(error, "the receptive field of cell %d, %d is not finite: have the weights diverged?",
                       position / map->side, position % map->side);
    }
    if (i != cell.own) outside += cell.masses[i];
  }
  double own_weight = outside > 0 ? fmax(tau, cell.masses[cell.own] / cell.total) : 1;
  for (int i = 0; i < map->regions.count; i++) {
    row[i] = (float)(i == cell.own ? own_weight : outside > 0 ? (1 - own_weight) * (cell.masses[i] / outside) : 0);
  }
  return 0;
}

int erf_soft_labels(const struct erf_map *map, double tau, float *table, struct error *error) {
  if (!(tau >= 0 && tau <= 1)) return error_set(error, "tau %g: needs 0 to 1", tau);
  for (int cell = 0; cell < map->side * map->side; cell++) {
    if (label_cell(map, cell, tau, table + (size_t)cell * (size_t)map->regions.count, error)) return -1;
  }
  return 0;
}

double erf_inside(const struct erf_map *map, int cell) {
  struct cell found = cell_of(map, cell);
  return found.total > 0 ? found.masses[found.own] / found.total : 1;
}

static float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* The mass of the pixels that are at least this bright, and their number. */
static double mass_above(const float *field, int64_t count, float brightness, int64_t *pixels) {
  double mass = 0;
  *pixels = 0;
  for (int64_t i = 0; i < count; i++) {
    bool bright = field[i] >= brightness;
    mass += bright ? field[i] : 0;
    *pixels += bright;
  }
  return mass;
}

/* Nothing is sorted: the brightness at which the mass is reached is found by bisection, over the bits of a float, which
 * are ordered as the values are. Of the pixels of just that brightness as many are counted as are needed. */
double erf_area(const float *field, int64_t pixels, double share) {
  enum { BITS_OF_INFINITY = 0x7f800000 };
  int64_t bright;
  double wanted = mass_above(field, pixels, 0, &bright) * share * (1 - 1e-12); /* sums are rounded */
  if (!(wanted > 0)) return 0;
  uint32_t reached = 0, missed = BITS_OF_INFINITY;
  while (missed - reached > 1) {
    uint32_t middle = reached + (missed - reached) / 2;
    if (mass_above(field, pixels, float_of_bits(middle), &bright) >= wanted) {
      reached = middle;
    } else {
      missed = middle;
    }
  }
  double brighter = mass_above(field, pixels, float_of_bits(missed), &bright);
  double area = (double)bright + ceil((wanted - brighter) / float_of_bits(reached));
  return fmin(area / (double)pixels, 1);
}
