/* Receptive fields during a run: soft labels from them, a scalar for each region, pictures. */
#include <stdlib.h>

#include "pretrain/trainer.h"

enum { CELL_MASS_PERCENT = 90 };

static int write_picture(struct trainer *t, const struct image *image, const char *name) {
  char path[PATH_SIZE];
  struct buffer png = {0};
  int result = path_format(path, t->error, "%s/erf/%s", t->options.out, name);
  if (result == 0) result = image_encode_png(image, &png, t->error);
  if (result == 0) result = file_write_all(path, png.data, png.size, t->error);
  buffer_free(&png);
  return result;
}

static int draw(struct trainer *t, const struct erf_map *map) {
  char folder[PATH_SIZE], name[64];
  struct image image = {0};
  snprintf(name, sizeof name, "%09lld.png", (long long)t->iteration);
  int result = path_format(folder, t->error, "%s/erf", t->options.out);
  if (result == 0) result = directory_create(folder, t->error);
  if (result == 0) result = erf_draw_regions(map, &t->objective.regions, &image, t->error);
  if (result == 0) result = write_picture(t, &image, name);
  for (int r = 0; result == 0 && r < t->objective.regions.count; r++) {
    result = erf_draw(map, erf_centre_cell(&t->objective.regions, r), &image, t->error);
    snprintf(name, sizeof name, "region-%d.png", r);
    if (result == 0) result = write_picture(t, &image, name);
  }
  image_free(&image);
  return result;
}

/* The area that holds 90 % of the field's mass, for the centre cell of each region. */
static int report(struct trainer *t, const struct erf_map *map) {
  const struct erf_regions *regions = &t->objective.regions;
  struct journal_number numbers[2 * ERF_REGION_MAX];
  char names[2 * ERF_REGION_MAX][32];
  size_t count = 0;
  cJSON *areas = cJSON_CreateArray(), *inside = cJSON_CreateArray();
  bool made = areas && inside;
  for (int r = 0; made && r < regions->count; r++) {
    int cell = erf_centre_cell(regions, r);
    double values[] = {erf_area(map, cell, CELL_MASS_PERCENT / 100.0), erf_inside(map, regions, cell)};
    snprintf(names[count], sizeof names[count], "erf/area_%d", r);
    numbers[count] = (struct journal_number){names[count], values[0]};
    count++;
    snprintf(names[count], sizeof names[count], "erf/inside_%d", r);
    numbers[count] = (struct journal_number){names[count], values[1]};
    count++;
    made = cJSON_AddItemToArray(areas, cJSON_CreateNumber(values[0])) &&
           cJSON_AddItemToArray(inside, cJSON_CreateNumber(values[1]));
    if (t->options.chatter) {
      fprintf(t->options.chatter, "%s%.1f %%", r ? ", " : "receptive fields: 90 % of the mass in ", 100 * values[0]);
    }
  }
  if (t->options.chatter) fprintf(t->options.chatter, " of the input (centre cell of each region)\n");
  int result = trainer_fact(t, "erf_area", made ? areas : NULL);
  if (trainer_fact(t, "erf_inside", made ? inside : NULL)) result = -1;
  return result ? -1 : trainer_log(t, numbers, count);
}

int trainer_measure(struct trainer *t) {
  struct erf_map map = {0};
  int side = t->objective.side, regions = t->objective.regions.count;
  float *table = malloc((size_t)(side * side * regions) * sizeof *table);
  int result = table ? 0 : error_memory(t->error, sizeof *table);
  if (result == 0) {
    result = erf_measure(&map, t->features, &t->workspace, "images", "features", t->options.precision, t->erf_images,
                         t->options.erf_images, source_size(t->training), 0, t->error);
  }
  if (result == 0 && t->objective.kind == OBJECTIVE_ERF) {
    result = erf_soft_labels(&map, &t->objective.regions, t->options.tau, table, t->error);
    if (result == 0) objective_set_table(&t->objective, table);
  }
  if (result == 0) result = report(t, &map);
  if (result == 0) result = draw(t, &map);
  t->spent.erf_flops += (double)map.flops;
  erf_map_free(&map);
  free(table);
  return result;
}
