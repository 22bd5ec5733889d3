/* erf - the effective receptive field of the cells of a network's last map, and the soft labels that follow from it.
 *
 * Luo et al. 2016 (arXiv 1701.04128): the field G of a cell is the absolute gradient of the cell's summed output with
 * respect to the input, here summed over the input's channels and averaged over images, the network in evaluation mode.
 *
 * Zhou et al. 2020 (arXiv 2004.12178), section 3.3: for a cell in region r with the field G and the binary masks M_i of
 * the regions on the input,
 *
 *   w_r = max(tau, sum(G M_r) / sum(G)),   w_i = (1 - w_r) sum(G M_i) / sum(G (1 - M_r)) for i != r,
 *
 * and the cell's label is sum_i w_i y_i. Where sum(G (1 - M_r)) = 0 there is nothing to divide: w_r = 1. So too for a
 * field that is zero everywhere (the cell's output does not depend on the input): the cell stands for its own region.
 */
#ifndef JIGSAW_ERF_H
#define JIGSAW_ERF_H

#include "core/image/image.h"
#include "nn/program.h"

enum { ERF_REGION_MAX = 8, ERF_SIZE_MAX = 4096 /* pixels a side, as of templates */ };

/* The regions of a template on the input and on the last map. */
struct erf_regions {
  int size, stride; /* of the input in pixels, square; of the map: cells = (size / stride)^2 */
  int count;
  struct rect rects[ERF_REGION_MAX]; /* on the input; disjoint, covering it, borders at multiples of stride */
};

/* Fails unless the rectangles are as said; the message tells which border does not lie on the map's grid. */
int erf_regions_check(const struct erf_regions *regions, struct error *error);
int erf_region_of(const struct erf_regions *regions, int cell_row, int cell_column); /* -1: outside */

/* sum(G M_i) of each region, of one field of size * size values in rows. */
void erf_masses(const struct erf_regions *regions, const float *field, double masses[ERF_REGION_MAX]);

/* What labels need of all cells, in rows, and the whole fields of a few. */
struct erf_map {
  struct erf_regions regions;
  int side;       /* cells a side */
  int64_t images; /* averaged over */
  int64_t flops;  /* spent on measuring, as nn/program.h counts them */
  double *masses; /* [side * side][regions.count]: sum(G M_i) */
  int *kept;      /* cells */
  int kept_count;
  float *fields; /* of those: [kept_count][size * size] */
};

/* The field of a cell, >= 0, in rows; NULL when it was not kept. */
const float *erf_field(const struct erf_map *map, int cell);

struct erf_probe {
  const struct nn_graph *graph;
  struct nn_workspace *workspace; /* programs are compiled in it, and freed again */
  const char *input, *output;     /* names of the graph: the images, and a square map of cells */
  enum nn_dtype precision;
  const void *images; /* `count` inputs of size x size x 3 in `precision`, normalised */
  int64_t count;
  struct erf_regions regions; /* also says the size, and how many cells are expected */
  const int *kept;            /* cells whose whole fields are wanted */
  int kept_count;
  int64_t copies; /* cells that share one backward pass; 0: as many as fit in what the workspace has already, or 256 MiB
                   * if that is more */
  const volatile sig_atomic_t *stop; /* NULL, or measuring ends within a layer's time once it is not 0 */
};

/* Measures. 0, -1 or NN_STOPPED. What `map` held (zeros, or an earlier measurement) is replaced, and stays when nothing
 * is measured; it fails, too, when a gradient is not finite. */
int erf_measure(struct erf_map *map, const struct erf_probe *probe, struct error *error);
void erf_map_free(struct erf_map *map);

/* table[cell * count + i] = w_i; each cell's weights are >= 0 and sum to 1. Fails when a mass is not finite. */
int erf_soft_labels(const struct erf_map *map, double tau, float *table, struct error *error);

/* The smallest area that holds `share` (0.9) of a field's mass, as a part of the input's area: the brightest pixels
 * that together hold it, counted. 0 for a field that is zero everywhere. */
double erf_area(const float *field, int64_t pixels, double share);

/* The share of the cell's field that lies in its own region; 1 for a field that is zero everywhere. */
double erf_inside(const struct erf_map *map, int cell);

/* The cell in the middle of a region; of an even number a side the one nearer to the end. */
int erf_centre_cell(const struct erf_regions *regions, int region);

/* A field as a heat map (each pixel's share of the maximum, to the power 1/2, in viridis), size x size. */
int erf_draw(const float *field, int size, struct image *image, struct error *error);

/* The heat maps of the regions' centre cells, which must have been kept, side by side, as in the paper, with the
 * template's lines; a frame shows the cell that each is of, where it lies on the input. */
int erf_draw_regions(const struct erf_map *map, struct image *image, struct error *error);

#endif
