/* Receptive fields during a run: soft labels from them, a scalar for each region, pictures. */
#include <stdlib.h>

#include "nn/statistics.h"
#include "pretrain/trainer.h"

enum { CELL_MASS_PERCENT = 90 };

enum {
  CALIBRATION_IMAGES = 256, /* in passes of a batch, but no more passes than these: docs/BENCHMARKS.md has what fewer */
  CALIBRATION_PASSES = 8,   /* and more make of the soft labels */
  CALIBRATED_ITERATIONS = 50 /* later less than 0.9^50 of running statistics is how they began */
};

static int write_picture(struct trainer *t, const struct image *image, const char *name) {
  char path[PATH_SIZE];
  struct buffer png = {0};
  int result = path_format(path, t->error, "%s/erf/%s", t->options.out, name);
  if (result == 0) result = image_encode_png(image, &png, t->error);
  if (result == 0) result = file_write_all(path, png.data, png.size, t->error);
  buffer_free(&png);
  return result;
}

/* Until running statistics are those of the data, evaluation mode is another network than the one that learns: they are
 * measured apart, on the first batches of training. */
static int calibrate(struct trainer *t, int64_t *passes) {
  struct loader *loader;
  const struct loader_batch *batch;
  double waited = 0;
  struct loader_options options = {
      .batch = t->options.batch, .workers = t->options.workers, .ahead = 2, .bf16 = t->options.precision == NN_BF16};
  if (loader_open(&loader, t->training, &options, t->error)) return -1;
  int result = 0;
  for (; result == 0 && *passes < CALIBRATION_PASSES && *passes * t->options.batch < CALIBRATION_IMAGES; ++*passes) {
    result = trainer_stopped(t) ? NN_STOPPED : loader_next(loader, &batch, &waited, t->error);
    if (result == 0) result = nn_program_bind(t->step, "images", batch->images, t->error);
    if (result == 0) result = nn_program_bind(t->step, "labels", batch->labels, t->error);
    if (result == 0) result = nn_program_forward(t->step, t->error);
  }
  loader_close(loader);
  if (result == 0) result = nn_statistics_settle(&t->params, *passes, t->error);
  return result;
}

static int draw(struct trainer *t, const struct erf_map *map) {
  char folder[PATH_SIZE], name[64];
  struct image image = {0};
  snprintf(name, sizeof name, "%09lld.png", (long long)t->iteration);
  int result = path_format(folder, t->error, "%s/erf", t->options.out);
  if (result == 0) result = directory_create(folder, t->error);
  if (result == 0) result = erf_draw_regions(map, &image, t->error);
  if (result == 0) result = write_picture(t, &image, name);
  for (int r = 0; result == 0 && r < map->kept_count; r++) {
    result = erf_draw(erf_field(map, map->kept[r]), map->regions.size, &image, t->error);
    snprintf(name, sizeof name, "region-%d.png", r);
    if (result == 0) result = write_picture(t, &image, name);
  }
  image_free(&image);
  return result;
}

static int add_numbers(cJSON *areas, cJSON *inside, double area, double share) {
  cJSON *numbers[] = {cJSON_CreateNumber(area), cJSON_CreateNumber(share)};
  bool added[] = {cJSON_AddItemToArray(areas, numbers[0]), cJSON_AddItemToArray(inside, numbers[1])};
  for (size_t i = 0; i < COUNT_OF(numbers); i++) {
    if (!added[i]) cJSON_Delete(numbers[i]);
  }
  return added[0] && added[1] ? 0 : -1;
}

/* The area that holds 90 % of the field's mass, for the centre cell of each region. */
static int report(struct trainer *t, const struct erf_map *map) {
  struct journal_number numbers[2 * ERF_REGION_MAX];
  char names[2 * ERF_REGION_MAX][32];
  int count = 0, size = map->regions.size, result = 0;
  cJSON *areas = cJSON_CreateArray(), *inside = cJSON_CreateArray();
  for (int r = 0; result == 0 && r < map->kept_count; r++) {
    int cell = map->kept[r];
    double area = erf_area(erf_field(map, cell), (int64_t)size * size, CELL_MASS_PERCENT / 100.0);
    double share = erf_inside(map, cell);
    snprintf(names[count], sizeof names[count], "erf/area_%d", r);
    numbers[count] = (struct journal_number){names[count], area};
    snprintf(names[count + 1], sizeof names[count + 1], "erf/inside_%d", r);
    numbers[count + 1] = (struct journal_number){names[count + 1], share};
    count += 2;
    result = add_numbers(areas, inside, area, share);
    if (t->options.chatter) {
      fprintf(t->options.chatter, "%s%.1f %%", r ? ", " : "receptive fields: 90 % of the mass in ", 100 * area);
    }
  }
  if (t->options.chatter) fprintf(t->options.chatter, " of the input (centre cell of each region)\n");
  if (result) {
    cJSON_Delete(areas);
    cJSON_Delete(inside);
    return error_memory(t->error, 0);
  }
  result = trainer_fact(t, "erf_area", areas);
  if (trainer_fact(t, "erf_inside", inside)) result = -1;
  return result ? -1 : trainer_log(t, numbers, (size_t)count);
}

static int measure(struct trainer *t, struct erf_map *map) {
  const struct erf_regions *regions = &t->objective.regions;
  int cells[ERF_REGION_MAX];
  for (int r = 0; r < regions->count; r++) {
    cells[r] = erf_centre_cell(regions, r);
  }
  struct erf_probe probe = {.graph = t->features,
                            .workspace = &t->workspace,
                            .input = "images",
                            .output = "features",
                            .precision = t->options.precision,
                            .images = t->erf_images,
                            .count = t->options.erf_images,
                            .regions = *regions,
                            .kept = cells,
                            .kept_count = regions->count,
                            .stop = t->options.stop};
  return erf_measure(map, &probe, t->error);
}

static int set_table(struct trainer *t, const struct erf_map *map) {
  if (t->objective.kind != OBJECTIVE_ERF) return 0;
  float *table = malloc((size_t)(map->side * map->side * map->regions.count) * sizeof *table);
  int result = table ? erf_soft_labels(map, t->options.tau, table, t->error) : error_memory(t->error, sizeof *table);
  if (result == 0) objective_set_table(&t->objective, table);
  free(table);
  return result;
}

int trainer_measure(struct trainer *t) {
  struct erf_map map = {0};
  struct nn_statistics before = {0};
  bool new = t->options.norm == NN_NORM_BATCH && !t->options.probe && t->iteration < CALIBRATED_ITERATIONS;
  int64_t passes = 0;
  int result = new ? nn_statistics_begin(&before, &t->params, t->error) : 0;
  if (result == 0 && new) result = calibrate(t, &passes);
  if (result == 0) result = measure(t, &map);
  if (before.values && nn_statistics_restore(&before, &t->params, t->error)) result = -1;
  if (result == 0) result = set_table(t, &map);
  if (result == 0) result = report(t, &map);
  if (result == 0) result = draw(t, &map);
  if (result == 0) t->spent.erf_flops += (double)(map.flops + passes * t->facts_of_step.forward_flops);
  erf_map_free(&map);
  return result;
}
