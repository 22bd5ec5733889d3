/* The geometry of a template: rectangles on the input that fall together with whole cells of the map. */
#include "erf/erf.h"

static int check_grid(const struct erf_regions *regions, int region, const char *border, int at, struct error *error) {
  if (at % regions->stride == 0) return 0;
  return error_set(error,
                   "region %d: its %s border, at %d, is not on the map's grid: cut the template at a multiple of %d",
                   region, border, at, regions->stride);
}

static int check_rect(const struct erf_regions *regions, int region, struct error *error) {
  struct rect r = regions->rects[region];
  int size = regions->size;
  if (r.x < 0 || r.y < 0 || r.w < 1 || r.h < 1 || r.w > size - r.x || r.h > size - r.y) {
    return error_set(error, "region %d: %d x %d at %d, %d does not lie on the input of %d x %d", region, r.w, r.h, r.x,
                     r.y, size, size);
  }
  if (check_grid(regions, region, "left", r.x, error) || check_grid(regions, region, "right", r.x + r.w, error) ||
      check_grid(regions, region, "upper", r.y, error) || check_grid(regions, region, "lower", r.y + r.h, error)) {
    return -1;
  }
  return 0;
}

static bool overlap(struct rect a, struct rect b) {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;
}

int erf_regions_check(const struct erf_regions *regions, struct error *error) {
  int size = regions->size, stride = regions->stride, count = regions->count;
  if (size < 1 || size > ERF_SIZE_MAX || stride < 1 || size % stride) {
    return error_set(error, "an input of %d pixels a side: needs a multiple of the map's stride, %d, up to %d", size,
                     stride, ERF_SIZE_MAX);
  }
  if (count < 1 || count > ERF_REGION_MAX) {
    return error_set(error, "%d regions: needs 1 to %d", count, ERF_REGION_MAX);
  }
  int64_t covered = 0;
  for (int i = 0; i < count; i++) {
    if (check_rect(regions, i, error)) return -1;
    for (int j = 0; j < i; j++) {
      if (overlap(regions->rects[i], regions->rects[j])) return error_set(error, "regions %d and %d overlap", j, i);
    }
    covered += (int64_t)regions->rects[i].w * regions->rects[i].h;
  }
  if (covered == (int64_t)size * size) return 0;
  return error_set(error, "the regions leave %lld pixels of the input free", (long long)size * size - covered);
}

int erf_region_of(const struct erf_regions *regions, int cell_row, int cell_column) {
  for (int region = 0; region < regions->count; region++) {
    struct rect r = regions->rects[region];
    int row = r.y / regions->stride, column = r.x / regions->stride;
    if (cell_row >= row && cell_row - row < r.h / regions->stride && cell_column >= column &&
        cell_column - column < r.w / regions->stride) {
      return region;
    }
  }
  return -1;
}

int erf_centre_cell(const struct erf_regions *regions, int region) {
  struct rect r = regions->rects[region];
  int stride = regions->stride;
  return (r.y / stride + r.h / stride / 2) * (regions->size / stride) + r.x / stride + r.w / stride / 2;
}
