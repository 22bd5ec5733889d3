/* What follows from a measured field: soft labels, and how far a cell sees. */
#include "erf/erf.h"

#include <math.h>
#include <string.h>

static const float *field_of(const struct erf_map *map, int cell) {
  return map->fields + (size_t)cell * (size_t)map->size * (size_t)map->size;
}

/* sum(G M_i) for every region. Returns sum(G). */
static double region_masses(const struct erf_map *map, const struct erf_regions *regions, int cell,
                            double masses[ERF_REGION_MAX]) {
  const float *field = field_of(map, cell);
  double total = 0;
  for (int i = 0; i < regions->count; i++) {
    struct rect r = regions->rects[i];
    double mass = 0;
    for (int y = r.y; y < r.y + r.h; y++) {
      const float *row = field + (size_t)y * (size_t)map->size;
      for (int x = r.x; x < r.x + r.w; x++) {
        mass += row[x];
      }
    }
    masses[i] = mass;
    total += mass;
  }
  return total;
}

static int label_cell(const struct erf_map *map, const struct erf_regions *regions, int cell, double tau, float *row,
                      struct error *error) {
  double masses[ERF_REGION_MAX];
  double total = region_masses(map, regions, cell, masses);
  int own = erf_region_of(regions, cell / map->side, cell % map->side);
  double outside = 0;
  for (int i = 0; i < regions->count; i++) {
    if (!(masses[i] >= 0 && isfinite(masses[i]))) {
      return error_set(error, "the receptive field of cell %d, %d is not finite: have the weights diverged?",
                       cell / map->side, cell % map->side);
    }
    if (i != own) outside += masses[i];
  }
  double own_weight = outside > 0 ? fmax(tau, masses[own] / total) : 1;
  for (int i = 0; i < regions->count; i++) {
    row[i] = (float)(i == own ? own_weight : outside > 0 ? (1 - own_weight) * (masses[i] / outside) : 0);
  }
  return 0;
}

int erf_soft_labels(const struct erf_map *map, const struct erf_regions *regions, double tau, float *table,
                    struct error *error) {
  if (!(tau >= 0 && tau <= 1)) return error_set(error, "tau %g: needs 0 to 1", tau);
  if (erf_regions_match(regions, map, error)) return -1;
  for (int cell = 0; cell < map->side * map->side; cell++) {
    if (label_cell(map, regions, cell, tau, table + (size_t)cell * (size_t)regions->count, error)) return -1;
  }
  return 0;
}

double erf_inside(const struct erf_map *map, const struct erf_regions *regions, int cell) {
  double masses[ERF_REGION_MAX];
  double total = region_masses(map, regions, cell, masses);
  return total > 0 ? masses[erf_region_of(regions, cell / map->side, cell % map->side)] / total : 1;
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
double erf_area(const struct erf_map *map, int cell, double share) {
  enum { BITS_OF_INFINITY = 0x7f800000 };
  const float *field = field_of(map, cell);
  int64_t count = (int64_t)map->size * map->size, pixels;
  double wanted = mass_above(field, count, 0, &pixels) * share * (1 - 1e-12); /* sums are rounded */
  if (!(wanted > 0)) return 0;
  uint32_t reached = 0, missed = BITS_OF_INFINITY;
  while (missed - reached > 1) {
    uint32_t middle = reached + (missed - reached) / 2;
    if (mass_above(field, count, float_of_bits(middle), &pixels) >= wanted) {
      reached = middle;
    } else {
      missed = middle;
    }
  }
  double brighter = mass_above(field, count, float_of_bits(missed), &pixels);
  double area = (double)pixels + ceil((wanted - brighter) / float_of_bits(reached));
  return fmin(area / (double)count, 1);
}
