/* Gradients of norms. With g the masked gradient, x^ = (x - mean) * inverse, and averages over N elements that share
 * statistics,
 *
 *   DX = inverse * (gamma g - average(gamma g) - x^ average(gamma g x^))
 *
 * so a first pass sums g and g x^ by channel, and a second one writes DX = scale g + slope (x - mean) + level. By
 * running statistics DX = scale g. */
#include "nn/cpu/kernels_norm.h"

#include <string.h>

enum { BLOCK = 128 };

enum mask {
  MASK_NONE,
  MASK_BY_Y,
  MASK_BY_SIGN, /* of norm(X), recomputed */
};

/* One set's rows: DX[i] belongs to X[i], and so on. */
struct views {
  const void *x, *y, *dy, *dy2;
  void *daddend, *dx;
  enum mask mask;
};

/* The gradient before ReLU and addition. */
INLINED float gradient_at(const struct views *v, int64_t i, float mean, float scale, float bias, bool bf16, bool second,
                          enum mask mask) {
  float g = load(v->dy, i, bf16);
  if (second) g = g + load(v->dy2, i, bf16);
  if (mask == MASK_BY_Y) g = load(v->y, i, bf16) > 0 ? g : 0;
  if (mask == MASK_BY_SIGN) g = normalised(load(v->x, i, bf16), mean, scale, bias) > 0 ? g : 0;
  return g;
}

/* Adds g and g (x - mean) of `count` elements from `at` on to the sums of their channels. */
INLINED void sum_some(const struct views *v, int64_t at, int64_t count, const float *mean, const float *scale,
                      const float *bias, float *sum, float *product, bool bf16, bool second, bool keep,
                      enum mask mask) {
  float lanes[LANES];
  SIMD for (int64_t c = 0; c < count; c++) {
    float g = gradient_at(v, at + c, mean[c], scale[c], bias[c], bf16, second, mask);
    if (keep) put(v->daddend, at, c, g, lanes, bf16);
    sum[c] += g;
    product[c] = multiply_add(g, load(v->x, at + c, bf16) - mean[c], product[c]);
  }
  if (keep) put_close(v->daddend, at, count, lanes, bf16);
}

/* Over the rows of a tile, for a panel from channel `first` on: of X and DY alone, else there is too much to fetch. */
INLINED void sum_panel(const struct views *v, struct span rows, int64_t channels, int64_t first,
                       const struct norm_part *part, bool bf16, enum mask mask) {
  float mean[PANEL], scale[PANEL], bias[PANEL], sum[PANEL], product[PANEL];
  float *sums = part->block + first, *products = part->block + part->stride + first;
  int64_t next = rows.last * channels + (rows.last - rows.first) * first;
  memcpy(mean, part->coefficient[MEAN] + first, sizeof mean);
  memcpy(scale, part->coefficient[SCALE] + first, sizeof scale);
  memcpy(bias, part->coefficient[BIAS] + first, sizeof bias);
  memcpy(sum, sums, sizeof sum);
  memcpy(product, products, sizeof product);
  for (int64_t row = rows.first; row < rows.last; row++, next += PANEL) {
    fetch(v->x, next, bf16);
    fetch(v->dy, next, bf16);
    SIMD for (int64_t c = 0; c < PANEL; c++) {
      int64_t i = row * channels + first + c;
      float g = gradient_at(v, i, mean[c], scale[c], bias[c], bf16, false, mask);
      sum[c] += g;
      product[c] = multiply_add(g, load(v->x, i, bf16) - mean[c], product[c]);
    }
  }
  memcpy(sums, sum, sizeof sum);
  memcpy(products, product, sizeof product);
}

/* The same for the channels from `first` on, one row after the other. */
INLINED void sum_rest(const struct views *v, struct span rows, int64_t channels, int64_t first,
                      const struct norm_part *part, bool bf16, bool second, bool keep, enum mask mask) {
  const float *mean = part->coefficient[MEAN], *scale = part->coefficient[SCALE], *bias = part->coefficient[BIAS];
  float *sum = part->block, *product = part->block + part->stride;
  for (int64_t row = rows.first; row < rows.last; row++) {
    int64_t c = first, at = row * channels;
    for (; c + LANES <= channels; c += LANES) {
      sum_some(v, at + c, LANES, mean + c, scale + c, bias + c, sum + c, product + c, bf16, second, keep, mask);
    }
    sum_some(v, at + c, channels - c, mean + c, scale + c, bias + c, sum + c, product + c, bf16, second, keep, mask);
  }
}

INLINED void sum_block(const struct views *views, struct span rows, int64_t channels, const struct norm_part *part,
                       bool bf16, bool second, bool keep, enum mask mask) {
  const struct views v = *views;
  int64_t tile = second || keep || mask == MASK_BY_Y ? 0 : tile_rows(2 * channels, bf16);
  int64_t panels = tile ? channels / PANEL : 0;
  for (int64_t first = rows.first; panels && first < rows.last; first += tile) {
    struct span of_tile = {first, smaller(first + tile, rows.last)};
    for (int64_t panel = 0; panel < panels; panel++) {
      sum_panel(&v, of_tile, channels, panel * PANEL, part, bf16, mask);
    }
  }
  if (panels * PANEL < channels) sum_rest(&v, rows, channels, panels * PANEL, part, bf16, second, keep, mask);
}

/* The sums of g and of g (x - mean) over the part's rows, writing DADDEND on the way. */
INLINED void sum_rows(const struct views *views, int64_t channels, const struct norm_part *part, bool bf16, bool second,
                      bool keep, enum mask mask) {
  int64_t count = 2 * part->stride;
  memset(part->sums, 0, (size_t)count * sizeof *part->sums);
  for (int64_t first = part->rows.first; first < part->rows.last; first += BLOCK) {
    memset(part->block, 0, (size_t)count * sizeof *part->block);
    sum_block(views, (struct span){first, smaller(first + BLOCK, part->rows.last)}, channels, part, bf16, second, keep,
              mask);
    SIMD for (int64_t i = 0; i < count; i++) {
      part->sums[i] += part->block[i];
    }
  }
}

INLINED void write_some(const struct views *v, int64_t at, int64_t first, int64_t count, const struct norm_part *part,
                        bool bf16, bool second, bool keep, bool statistics, enum mask mask) {
  const float *mean = part->coefficient[MEAN] + first, *scale = part->coefficient[SCALE] + first;
  const float *bias = part->coefficient[BIAS] + first, *slope = part->coefficient[SLOPE] + first;
  const float *level = part->coefficient[LEVEL] + first;
  float kept[LANES], lanes[LANES];
  SIMD for (int64_t c = 0; c < count; c++) {
    float g = gradient_at(v, at + c, mean[c], scale[c], bias[c], bf16, second, mask);
    if (keep) put(v->daddend, at, c, g, kept, bf16);
    float rest = statistics ? multiply_add(slope[c], load(v->x, at + c, bf16) - mean[c], level[c]) : 0;
    put(v->dx, at, c, statistics ? multiply_add(scale[c], g, rest) : scale[c] * g, lanes, bf16);
  }
  if (keep) put_close(v->daddend, at, count, kept, bf16);
  put_close(v->dx, at, count, lanes, bf16);
}

INLINED void write_rows(const struct views *views, struct span rows, int64_t channels, const struct norm_part *part,
                        bool bf16, bool second, bool keep, bool statistics, enum mask mask) {
  const struct views v = *views;
  for (int64_t row = rows.first; row < rows.last; row++) {
    int64_t at = row * channels, c = 0;
    for (; c + LANES <= channels; c += LANES) {
      write_some(&v, at + c, c, LANES, part, bf16, second, keep, statistics, mask);
    }
    write_some(&v, at + c, c, channels - c, part, bf16, second, keep, statistics, mask);
  }
}

/* The loop for a mask. Where the sign is recomputed there is no addend. */
#define FOLD_MASK(which, body)                                                                                         \
  switch (which) {                                                                                                     \
  case MASK_BY_Y:                                                                                                      \
    body(MASK_BY_Y);                                                                                                   \
    break;                                                                                                             \
  case MASK_BY_SIGN:                                                                                                   \
    body(MASK_BY_SIGN);                                                                                                \
    break;                                                                                                             \
  default:                                                                                                             \
    body(MASK_NONE);                                                                                                   \
  }

static void sum_views(const struct norm *norm, const struct norm_part *part, const struct views *v) {
#define SUM(mask) sum_rows(v, norm->channels, part, bf16, second, keep, mask)
  FOLD(bf16, norm->bf16, FOLD(second, v->dy2 != NULL, FOLD(keep, v->daddend != NULL, FOLD_MASK(v->mask, SUM))))
#undef SUM
}

/* DADDEND is left to this pass only where there was none before: by running statistics. */
static void write_views(const struct norm *norm, const struct norm_part *part, const struct views *v,
                        struct span rows) {
#define KEEP(mask) write_rows(v, rows, norm->channels, part, bf16, second, true, false, mask)
#define WRITE(mask) write_rows(v, rows, norm->channels, part, bf16, second, false, statistics, mask)
  if (v->daddend) {
    FOLD(bf16, norm->bf16, FOLD(second, v->dy2 != NULL, FOLD_MASK(v->mask, KEEP)))
  } else {
    FOLD(bf16, norm->bf16, FOLD(second, v->dy2 != NULL, FOLD(statistics, norm->statistics, FOLD_MASK(v->mask, WRITE))))
  }
#undef KEEP
#undef WRITE
}

static struct views views_of(const struct norm *norm, int64_t set) {
  const struct nn_step *step = norm->step;
  int64_t size = norm->rows * norm->channels, first = set * size, saved = norm_saved_set(norm, set) * size;
  return (struct views){
      .x = at(step->in[NN_X], saved),
      .y = at(step->in[NN_Y], saved),
      .dy = at(step->in[NN_DY], first),
      .dy2 = at(step->in[NN_DY2], first),
      .daddend = at(step->out[NN_DADDEND], first),
      .dx = at(step->out[NN_DX], first),
      .mask = !step->relu      ? MASK_NONE
              : step->in[NN_Y] ? MASK_BY_Y
                               : MASK_BY_SIGN,
  };
}

/* From the sums of all threads to slope and level, and to the gradients of gamma and beta. */
static void finish_sums(const struct norm *norm, const struct norm_part *part) {
  double count = (double)(norm->rows * norm->width);
  for (int64_t group = part->groups.first; group < part->groups.last; group++) {
    int64_t first = group * norm->width;
    double inverse = part->coefficient[INVERSE][first], sum = 0, product = 0;
    for (int64_t c = first; c < first + norm->width; c++) {
      double s = norm_sum(norm, part, 0, c), p = norm_sum(norm, part, 1, c) * inverse;
      part->totals[c] += s;
      part->totals[norm->stride + c] += p;
      sum += norm->gamma[c] * s;
      product += norm->gamma[c] * p;
    }
    for (int64_t c = first; c < first + norm->width; c++) {
      part->coefficient[SLOPE][c] = (float)(-inverse * inverse * product / count);
      part->coefficient[LEVEL][c] = (float)(-inverse * sum / count);
    }
  }
}

/* From the last rows to the first: the last are still in the cache. */
static void write_part(const struct norm *norm, const struct norm_part *part, const struct views *views) {
  for (int64_t last = part->rows.last; last > part->rows.first;) {
    int64_t first = last - part->rows.first > BLOCK ? last - BLOCK : part->rows.first;
    write_views(norm, part, views, (struct span){first, last});
    last = first;
  }
}

static void add_gradient(float *gradient, const double *totals, int64_t channels, size_t between, int threads,
                         bool accumulate) {
  for (int64_t c = 0; gradient && c < channels; c++) {
    double sum = accumulate ? gradient[c] : 0;
    for (int i = 0; i < threads; i++) {
      sum += totals[between * (size_t)i + (size_t)c];
    }
    gradient[c] = (float)sum;
  }
}

static void write_gradients(const struct norm *norm, const struct norm_part *first, int threads) {
  const struct nn_step *step = norm->step;
  size_t between = norm_thread_bytes(norm->stride) / sizeof(double);
  int slots = first->parts == 1 ? threads : 1;
  add_gradient(nn_gradient(step->params, step->norm->beta), first->totals, norm->channels, between, slots,
               step->accumulate);
  add_gradient(nn_gradient(step->params, step->norm->gamma), first->totals + norm->stride, norm->channels, between,
               slots, step->accumulate);
}

static void backward_set(const struct norm *norm, const struct norm_part *part, int64_t set, bool sums) {
  struct views views = views_of(norm, set);
  norm_wait(part);
  norm_recall(norm, part, set);
  norm_wait(part);
  if (sums) {
    sum_views(norm, part, &views);
    norm_wait(part);
    finish_sums(norm, part);
    norm_wait(part);
  }
  if (sums && views.daddend) { /* holds g */
    views.dy = views.daddend;
    views.dy2 = views.daddend = NULL;
    views.mask = MASK_NONE;
  }
  write_part(norm, part, &views);
}

static void backward_thread(const struct norm *norm, int thread, int threads) {
  const struct nn_step *step = norm->step;
  struct norm_part part = norm_part_of(norm, thread, threads);
  bool parameters = nn_gradient(step->params, step->norm->gamma) || nn_gradient(step->params, step->norm->beta);
  if (part.parts == 1 || thread == 0) memset(part.totals, 0, 2 * (size_t)norm->stride * sizeof *part.totals);
  for (int64_t set = part.sets.first; set < part.sets.last; set++) {
    backward_set(norm, &part, set, norm->statistics || parameters);
  }
#pragma omp barrier
  if (thread == 0 && parameters) write_gradients(norm, &part, threads);
}

void KERNEL(norm_backward)(const struct nn_step *step, void *scratch, int threads) {
  const struct norm norm = norm_open(step, step->in[NN_DY], scratch);
#pragma omp parallel num_threads(useful_threads(nn_count(step->in[NN_DY]->shape), threads))
  backward_thread(&norm, omp_get_thread_num(), omp_get_num_threads());
}
