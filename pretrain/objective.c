#include "pretrain/objective.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "jigsaw/assemble.h"

const char *const objective_names[] = {"erf", "block", "global", "classify", NULL};

/* ---- tables ------------------------------------------------------------------------------------------------------ */

static int check_template(int size, int cut, int stride, int classes, struct error *error) {
  if (classes < 2) return error_set(error, "there are %d classes: an objective needs at least 2", classes);
  if (size < 1 || size > ERF_SIZE_MAX || stride < 1 || size % stride != 0) {
    return error_set(error, "images of %d x %d pixels: at stride %d a side must be a multiple of it, up to %d", size,
                     size, stride, ERF_SIZE_MAX);
  }
  if (cut < 0 || cut >= size) return error_set(error, "a template of %d:%d: needs 0 < cut < size", size, cut);
  if (cut % stride == 0) return 0;
  int below = cut / stride * stride, nearest = below > 0 && cut - below <= stride / 2 ? below : below + stride;
  if (nearest >= size) {
    return error_set(error, "a template of %d:%d is too small for a network of stride %d", size, cut, stride);
  }
  return error_set(error,
                   "a template of %d:%d at stride %d: the cut must be a multiple of the stride, or cells of the "
                   "network's last map lie in two regions; cut at %d",
                   size, cut, stride, nearest);
}

static struct erf_regions make_regions(int size, int cut, int stride) {
  struct erf_regions regions = {.size = size, .stride = stride, .count = 1, .rects = {{0, 0, size, size}}};
  if (cut == 0) return regions;
  const struct jig_template template = {size, cut};
  for (int i = 0; i < JIG_REGIONS; i++) {
    regions.rects[i] = jig_region(&template, i);
  }
  regions.count = JIG_REGIONS;
  return regions;
}

static int64_t cells_of(const struct objective *objective, int region) {
  struct rect rect = objective->regions.rects[region];
  int stride = objective->regions.stride;
  return (int64_t)(rect.w / stride) * (rect.h / stride);
}

static void set_shapes(struct objective *objective) {
  int64_t side = objective->side, regions = objective->regions.count, h = 1, w = 1;
  if (objective->kind == OBJECTIVE_ERF) h = w = side;
  if (objective->kind == OBJECTIVE_BLOCK) w = regions;
  objective->logits = (struct nn_shape){1, h, w, objective->classes};
  objective->mix = (struct nn_shape){1, h, w, regions};
  objective->scale = (struct nn_shape){1, h, w, 1};
  if (objective->kind == OBJECTIVE_BLOCK) objective->pool = (struct nn_shape){1, side, side, regions};
}

static int allocate_tables(struct objective *objective, struct error *error) {
  size_t mix = (size_t)nn_count(objective->mix), scale = (size_t)nn_count(objective->scale);
  size_t pool = (size_t)nn_count(objective->pool);
  objective->mix_table = calloc(mix + scale + pool, sizeof(float));
  if (!objective->mix_table) return error_memory(error, (mix + scale + pool) * sizeof(float));
  objective->scale_table = objective->mix_table + mix;
  objective->pool_table = pool > 0 ? objective->scale_table + scale : NULL;
  return 0;
}

/* erf's positions are cells, and each stands for its own region until there is a table; block's are regions. */
static void fill_tables(struct objective *objective) {
  int regions = objective->regions.count, side = objective->side;
  for (int cell = 0; cell < side * side; cell++) {
    int region = erf_region_of(&objective->regions, cell / side, cell % side);
    double cells = (double)cells_of(objective, region);
    if (objective->kind == OBJECTIVE_ERF) {
      objective->mix_table[cell * regions + region] = 1;
      objective->scale_table[cell] = (float)(1 / (regions * cells));
    } else if (objective->pool_table) {
      objective->pool_table[cell * regions + region] = (float)(1 / cells);
    }
  }
  for (int region = 0; region < regions; region++) {
    if (objective->kind == OBJECTIVE_BLOCK) {
      objective->mix_table[region * regions + region] = 1;
      objective->scale_table[region] = (float)(1.0 / regions);
    } else if (objective->kind != OBJECTIVE_ERF) {
      objective->mix_table[region] = (float)((double)cells_of(objective, region) / (side * side));
      objective->scale_table[0] = 1;
    }
  }
}

int objective_init(struct objective *objective, enum objective_kind kind, int size, int cut, int stride, int classes,
                   struct error *error) {
  *objective = (struct objective){.kind = kind, .classes = classes};
  if (kind == OBJECTIVE_CLASSIFY) cut = 0;
  if (check_template(size, cut, stride, classes, error)) return -1;
  objective->side = size / stride;
  objective->regions = make_regions(size, cut, stride);
  set_shapes(objective);
  if (allocate_tables(objective, error)) return -1;
  fill_tables(objective);
  return 0;
}

void objective_free(struct objective *objective) {
  free(objective->mix_table);
  *objective = (struct objective){0};
}

void objective_set_table(struct objective *objective, const float *table) {
  if (objective->kind != OBJECTIVE_ERF) return;
  memcpy(objective->mix_table, table, (size_t)nn_count(objective->mix) * sizeof(float));
}

/* ---- the graph --------------------------------------------------------------------------------------------------- */

int objective_build(const struct objective *objective, struct nn_graph *graph, int features, const char *classifier,
                    struct error *error) {
  int64_t regions = objective->regions.count;
  int positions = features;
  if (objective->kind == OBJECTIVE_BLOCK) {
    positions = nn_region_pool(graph, features, nn_input(graph, "pool", NN_FLOATS, regions));
  } else if (objective->kind != OBJECTIVE_ERF) {
    positions = nn_global_pool(graph, features);
  }
  int labels = nn_input(graph, "labels", NN_LABELS, regions), mix = nn_input(graph, "mix", NN_FLOATS, regions);
  int scale = nn_input(graph, "scale", NN_FLOATS, 1);
  int logits = nn_output(graph, nn_linear(graph, positions, classifier, objective->classes, true), "logits");
  nn_output(graph, nn_cross_entropy(graph, logits, labels, mix, scale), "loss");
  return nn_graph_error(graph, error);
}

size_t objective_shapes(const struct objective *objective, int64_t n, struct nn_input_shape shapes[4]) {
  shapes[0] = (struct nn_input_shape){"labels", {n, 1, 1, objective->regions.count}};
  shapes[1] = (struct nn_input_shape){"mix", objective->mix};
  shapes[2] = (struct nn_input_shape){"scale", objective->scale};
  shapes[3] = (struct nn_input_shape){"pool", objective->pool};
  return objective->pool_table ? 4 : 3;
}

int objective_bind(const struct objective *objective, struct nn_program *program, struct error *error) {
  if (nn_program_bind(program, "mix", objective->mix_table, error)) return -1;
  if (nn_program_bind(program, "scale", objective->scale_table, error)) return -1;
  return objective->pool_table ? nn_program_bind(program, "pool", objective->pool_table, error) : 0;
}

/* ---- the score --------------------------------------------------------------------------------------------------- */

int objective_score_init(struct objective_score *score, const struct objective *objective, struct error *error) {
  size_t regions = (size_t)objective->regions.count, classes = (size_t)objective->classes;
  *score = (struct objective_score){.regions = objective->regions.count, .classes = objective->classes};
  score->region_correct = calloc(2 * (regions + classes), sizeof(int64_t));
  if (!score->region_correct) return error_memory(error, 2 * (regions + classes) * sizeof(int64_t));
  score->region_count = score->region_correct + regions;
  score->class_correct = score->region_count + regions;
  score->class_count = score->class_correct + classes;
  return 0;
}

void objective_score_clear(struct objective_score *score) {
  size_t counts = 2 * ((size_t)score->regions + (size_t)score->classes);
  memset(score->region_correct, 0, counts * sizeof(int64_t));
}

void objective_score_free(struct objective_score *score) {
  free(score->region_correct);
  *score = (struct objective_score){0};
}

/* Where the positions of a region lie among the logits of an image. */
static struct rect positions_of(const struct objective *objective, int region) {
  struct rect rect = objective->regions.rects[region];
  int stride = objective->regions.stride;
  if (objective->kind == OBJECTIVE_BLOCK) return (struct rect){region, 0, 1, 1};
  if (objective->kind != OBJECTIVE_ERF) return (struct rect){0, 0, 1, 1};
  return (struct rect){rect.x / stride, rect.y / stride, rect.w / stride, rect.h / stride};
}

/* The class with the largest sum of logits over some positions of an image; -1 when NaN leaves none. That is the class
 * with the largest sum of log-probabilities: the two differ by the positions' logsumexp, the same for all classes. */
static int predict(const struct objective *objective, const float *logits, struct rect positions) {
  int64_t w = objective->logits.w, classes = objective->classes;
  int best = -1;
  double largest = -INFINITY;
  for (int class = 0; class < classes; class ++) {
    double sum = 0;
    for (int row = positions.y; row < positions.y + positions.h; row++) {
      for (int column = positions.x; column < positions.x + positions.w; column++) {
        sum += logits[(row * w + column) * classes + class];
      }
    }
    if (sum > largest) {
      largest = sum;
      best = class;
    }
  }
  return best;
}

/* One prediction for the whole image is asked for the label of the largest region, the first of equals. */
static bool is_asked(const struct objective *objective, int region) {
  if (objective->kind != OBJECTIVE_GLOBAL) return true;
  int largest = 0;
  for (int i = 1; i < objective->regions.count; i++) {
    if (cells_of(objective, i) > cells_of(objective, largest)) largest = i;
  }
  return region == largest;
}

void objective_score_add(struct objective_score *score, const struct objective *objective, const float *logits,
                         const int32_t *labels, int64_t n) {
  for (int region = 0; region < score->regions; region++) {
    if (!is_asked(objective, region)) continue;
    struct rect positions = positions_of(objective, region);
    for (int64_t image = 0; image < n; image++) {
      int32_t label = labels[image * score->regions + region];
      if (label < 0 || label >= score->classes) continue;
      bool correct = predict(objective, logits + image * nn_count(objective->logits), positions) == label;
      score->region_count[region]++;
      score->class_count[label]++;
      score->region_correct[region] += correct;
      score->class_correct[label] += correct;
    }
  }
}

double objective_accuracy(const struct objective_score *score) {
  int64_t correct = 0, count = 0;
  for (int region = 0; region < score->regions; region++) {
    correct += score->region_correct[region];
    count += score->region_count[region];
  }
  return count > 0 ? (double)correct / (double)count : 0;
}
