#include "jigsaw/assemble.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const jig_fit_names[] = {"pad", "warp", "resize", NULL};

static const enum jig_group region_groups[JIG_REGIONS] = {JIG_SQUARE, JIG_WIDE, JIG_TALL, JIG_SQUARE};

int jig_template_parse(const char *text, struct jig_template *template, struct error *error) {
  char rest;
  if (sscanf(text, "%d:%d%c", &template->size, &template->cut, &rest) == 2 && template->cut > 0 &&
      template->cut < template->size && template->size <= 4096) {
    return 0;
  }
  return error_set(error, "'%s' is not SIZE:CUT with 0 < CUT < SIZE <= 4096", text);
}

struct rect jig_region(const struct jig_template *template, int region) {
  int cut = template->cut, rest = template->size - cut;
  bool right = region & 1, bottom = region & 2;
  return (struct rect){right ? cut : 0, bottom ? cut : 0, right ? rest : cut, bottom ? rest : cut};
}

struct jig_assemble_options jig_assemble_defaults(void) {
  return (struct jig_assemble_options){
      .template = {224, 64}, .scale_low = 0.8, .scale_high = 1.5, .flip = 0.5, .repeat_max = 10};
}

static int64_t jigsaws_of(int64_t samples) {
  return (samples + JIG_REGIONS - 1) / JIG_REGIONS;
}

int64_t jig_epoch_length(const struct jig_store *store) {
  return jigsaws_of(jig_store_count(store));
}

/* ---- subsets ---- */

int jig_subset_init(struct jig_subset *subset, const struct jig_store *store, jig_take *take, void *context,
                    struct error *error) {
  *subset = (struct jig_subset){0};
  for (int group = 0; group < JIG_GROUPS; group++) {
    int64_t all = jig_store_group_count(store, group);
    size_t bytes = (size_t)(all + 1) * sizeof *subset->items[group];
    if (!(subset->items[group] = malloc(bytes))) return error_memory(error, bytes);
    for (int64_t i = 0; i < all; i++) {
      int64_t sample = jig_store_group_item(store, group, i);
      if (take(jig_store_record(store, sample), context)) {
        subset->items[group][subset->counts[group]++] = (uint32_t)sample;
      }
    }
  }
  return 0;
}

void jig_subset_free(struct jig_subset *subset) {
  for (int group = 0; group < JIG_GROUPS; group++) {
    free(subset->items[group]);
  }
  *subset = (struct jig_subset){0};
}

int64_t jig_available(const struct jig_assembler *assembler, enum jig_group group) {
  const struct jig_subset *subset = assembler->options.subset;
  return subset ? subset->counts[group] : jig_store_group_count(assembler->store, group);
}

static int64_t available_item(const struct jig_assembler *assembler, enum jig_group group, uint64_t position) {
  const struct jig_subset *subset = assembler->options.subset;
  return subset ? subset->items[group][position] : jig_store_group_item(assembler->store, group, (int64_t)position);
}

/* ---- which samples ---- */

/* Of one jigsaw's regions, those that ask for a group. */
static int asked_once(enum jig_group group) {
  int asked = 0;
  for (int region = 0; region < JIG_REGIONS; region++) {
    asked += region_groups[region] == group;
  }
  return asked;
}

int64_t jig_asked(const struct jig_assembler *assembler, enum jig_group group) {
  return assembler->epoch_length * asked_once(group);
}

static enum jig_group largest_group(const struct jig_assembler *assembler) {
  enum jig_group largest = JIG_SQUARE;
  for (int group = 0; group < JIG_GROUPS; group++) {
    if (jig_available(assembler, group) > jig_available(assembler, largest)) largest = group;
  }
  return largest;
}

/* Who helps a group that is short, and how often: whoever has uses to spare; if nobody has, the largest. */
static void plan_shortage(struct jig_assembler *assembler) {
  static const enum jig_group helpers[JIG_GROUPS][2] = {
      [JIG_TALL] = {JIG_SQUARE, JIG_WIDE}, [JIG_SQUARE] = {JIG_WIDE, JIG_TALL}, [JIG_WIDE] = {JIG_SQUARE, JIG_TALL}};
  int64_t spare[JIG_GROUPS], need[JIG_GROUPS];
  for (int group = 0; group < JIG_GROUPS; group++) {
    double uses = ceil((double)jig_available(assembler, group) * assembler->options.repeat_max);
    int64_t asked = jig_asked(assembler, group), all = JIG_REGIONS * assembler->epoch_length;
    int64_t most = uses < (double)all ? (int64_t)uses : jig_available(assembler, group) > 0 ? all : 0;
    assembler->share[group][group] = most < asked ? most : asked;
    spare[group] = most - assembler->share[group][group];
    need[group] = asked - assembler->share[group][group];
  }
  for (int group = 0; group < JIG_GROUPS; group++) {
    for (int i = 0; i < 2; i++) {
      enum jig_group helper = helpers[group][i];
      int64_t taken = need[group] < spare[helper] ? need[group] : spare[helper];
      assembler->share[group][helper] += taken;
      spare[helper] -= taken;
      need[group] -= taken;
    }
    assembler->share[group][largest_group(assembler)] += need[group];
  }
}

/* The cards of each group go to its own regions first. */
static void order_cards(struct jig_assembler *assembler) {
  for (int helper = 0; helper < JIG_GROUPS; helper++) {
    int64_t before = assembler->share[helper][helper];
    for (int group = 0; group < JIG_GROUPS; group++) {
      if (group == helper) continue;
      assembler->before[group][helper] = before;
      before += assembler->share[group][helper];
    }
  }
}

int jig_assembler_init(struct jig_assembler *assembler, const struct jig_store *store,
                       const struct jig_assemble_options *options, struct error *error) {
  const struct jig_template *template = &options->template;
  if (!(template->cut > 0 && template->cut < template->size && template->size <= 4096)) {
    return error_set(error, "template %d:%d: needs 0 < cut < size <= 4096", template->size, template->cut);
  }
  if (!(options->scale_low > 0 && options->scale_low <= options->scale_high && options->scale_high <= 16)) {
    return error_set(error, "scale %g .. %g: needs 0 < low <= high <= 16", options->scale_low, options->scale_high);
  }
  *assembler = (struct jig_assembler){.store = store, .options = *options};
  int64_t samples = 0;
  for (int group = 0; group < JIG_GROUPS; group++) {
    samples += jig_available(assembler, group);
  }
  if (samples == 0) return error_set(error, "the store holds no samples to assemble");
  assembler->epoch_length = jigsaws_of(samples);
  plan_shortage(assembler);
  order_cards(assembler);
  return 0;
}

/* Card `number` of the group's endless deck. */
static int64_t deal(const struct jig_assembler *assembler, enum jig_group group, uint32_t epoch, uint64_t number) {
  uint64_t count = (uint64_t)jig_available(assembler, group);
  uint64_t pass = (uint64_t)epoch << 32 | number / count;
  uint64_t position = rng_permute(assembler->options.seed, (uint32_t)group, pass, count, number % count);
  return available_item(assembler, group, position);
}

/* Cards of a group that an epoch deals. */
static int64_t cards_of(const struct jig_assembler *assembler, enum jig_group helper) {
  int64_t cards = 0;
  for (int group = 0; group < JIG_GROUPS; group++) {
    cards += assembler->share[group][helper];
  }
  return cards;
}

/* The sample for the `number`th region of an epoch that asks for a group; beyond the last the epoch's cards go round
 * again. */
static int64_t choose_sample(const struct jig_assembler *assembler, enum jig_group group, uint32_t epoch,
                             uint64_t number, bool *substitute) {
  enum { SHORTAGE = 8 }; /* rng_permute's stream; smaller ones are the decks */
  uint64_t asked = (uint64_t)jig_asked(assembler, group), round = number / asked, place = number % asked;
  if (assembler->share[group][group] < (int64_t)asked) {
    place =
        rng_permute(assembler->options.seed, SHORTAGE + (uint32_t)group, (uint64_t)epoch << 32 | round, asked, place);
  }
  int helper = (int)group, left = (int)JIG_GROUPS;
  while (--left > 0 && place >= (uint64_t)assembler->share[group][helper]) {
    place -= (uint64_t)assembler->share[group][helper];
    helper = (helper + 1) % JIG_GROUPS;
  }
  *substitute = helper != (int)group;
  uint64_t card = round * (uint64_t)cards_of(assembler, (enum jig_group)helper);
  return deal(assembler, (enum jig_group)helper, epoch, card + (uint64_t)assembler->before[group][helper] + place);
}

/* ---- where they lie ---- */

static int scaled_side(int side, double scale) {
  double scaled = floor(side * scale + 0.5);
  return scaled < 1 ? 1 : (int)scaled;
}

static void choose_size(const struct jig_assembler *assembler, struct rng *rng, int w, int h, struct jig_tile *tile) {
  const struct jig_assemble_options *options = &assembler->options;
  double scale = rng_range(rng, options->scale_low, options->scale_high);
  if (options->fit == JIG_FIT_WARP) {
    tile->scaled_w = tile->region.w;
    tile->scaled_h = tile->region.h;
    return;
  }
  if (options->fit == JIG_FIT_RESIZE) scale = fmin((double)tile->region.w / w, (double)tile->region.h / h);
  tile->scaled_w = scaled_side(w, scale);
  tile->scaled_h = scaled_side(h, scale);
}

/* One axis: a random crop if the sample is longer than the region, the middle if shorter. */
static void place_axis(struct rng *rng, int scaled, int start, int length, int *crop, int *placed, int *size) {
  double random = rng_uniform(rng);
  *size = scaled < length ? scaled : length;
  *crop = (int)(random * (scaled - *size + 1));
  *placed = start + (length - *size) / 2;
}

static void place_tile(const struct jig_assembler *assembler, struct rng *rng, struct jig_tile *tile) {
  const struct jig_record *record = jig_store_record(assembler->store, tile->sample);
  tile->label = record->label;
  choose_size(assembler, rng, record->source[2], record->source[3], tile);
  tile->flip = rng_uniform(rng) < assembler->options.flip;
  const struct rect *region = &tile->region;
  struct rect *placed = &tile->placed;
  place_axis(rng, tile->scaled_w, region->x, region->w, &tile->crop_x, &placed->x, &placed->w);
  place_axis(rng, tile->scaled_h, region->y, region->h, &tile->crop_y, &placed->y, &placed->h);
}

static int64_t sample_area(const struct jig_assembler *assembler, int64_t sample) {
  const struct jig_record *record = jig_store_record(assembler->store, sample);
  return (int64_t)record->source[2] * record->source[3];
}

void jig_plan(const struct jig_assembler *assembler, uint32_t epoch, int64_t index,
              struct jig_tile tiles[JIG_REGIONS]) {
  struct rng rng;
  rng_init(&rng, assembler->options.seed, RNG_ASSEMBLE, epoch, (uint64_t)index);
  for (int region = 0; region < JIG_REGIONS; region++) {
    enum jig_group group = region_groups[region];
    uint64_t number = (uint64_t)index * (uint64_t)asked_once(group) + (region == 3);
    tiles[region] = (struct jig_tile){.region = jig_region(&assembler->options.template, region)};
    tiles[region].sample = choose_sample(assembler, group, epoch, number, &tiles[region].substitute);
  }
  if (sample_area(assembler, tiles[0].sample) > sample_area(assembler, tiles[3].sample)) {
    int64_t sample = tiles[0].sample;
    bool substitute = tiles[0].substitute;
    tiles[0].sample = tiles[3].sample, tiles[0].substitute = tiles[3].substitute;
    tiles[3].sample = sample, tiles[3].substitute = substitute;
  }
  for (int region = 0; region < JIG_REGIONS; region++) {
    place_tile(assembler, &rng, &tiles[region]);
  }
}

/* ---- pixels ---- */

int jig_tile_decode(const struct jig_assembler *assembler, const struct jig_tile *tile, struct resample_axis *x,
                    struct resample_axis *y, struct image *part, struct error *error) {
  const struct jig_record *record = jig_store_record(assembler->store, tile->sample);
  struct rect visible;
  *x = (struct resample_axis){record->source[2], tile->scaled_w, tile->crop_x, tile->placed.w};
  *y = (struct resample_axis){record->source[3], tile->scaled_h, tile->crop_y, tile->placed.h};
  visible.w = resample_span(x, &visible.x);
  visible.h = resample_span(y, &visible.y);
  return jig_store_decode(assembler->store, tile->sample, &visible, part, error);
}

static int render_tile(const struct jig_assembler *assembler, const struct jig_tile *tile, struct jig_scratch *scratch,
                       struct image *canvas, struct error *error) {
  struct resample_axis x, y;
  if (jig_tile_decode(assembler, tile, &x, &y, &scratch->part, error)) return -1;
  size_t stride = (size_t)canvas->width * 3;
  uint8_t *out = canvas->pixels + (size_t)tile->placed.y * stride + (size_t)tile->placed.x * 3;
  return resample(&scratch->resampler, &scratch->part, &x, &y, tile->flip, out, stride, error);
}

int jig_render(const struct jig_assembler *assembler, const struct jig_tile tiles[JIG_REGIONS],
               struct jig_scratch *scratch, struct image *canvas, struct error *error) {
  int size = assembler->options.template.size;
  if (canvas->width == size && canvas->height == size) {
    memset(canvas->pixels, 0, (size_t)size * (size_t)size * 3);
  } else if (image_alloc(canvas, size, size, error)) {
    return -1;
  }
  for (int region = 0; region < JIG_REGIONS; region++) {
    if (render_tile(assembler, &tiles[region], scratch, canvas, error)) return -1;
  }
  return 0;
}

void jig_scratch_free(struct jig_scratch *scratch) {
  image_free(&scratch->part);
  resampler_free(&scratch->resampler);
}

/* A span of the sample on the canvas, clipped to what is placed; false if nothing is left. */
static bool map_span(double start, double length, double scale, bool flip, int crop, int placed, int size, double *at,
                     double *extent) {
  double low = start * scale - crop, high = low + length * scale;
  if (flip) {
    double mirrored = size - high;
    high = size - low;
    low = mirrored;
  }
  low = low < 0 ? 0 : low;
  high = high > size ? size : high;
  *at = placed + low;
  *extent = high - low;
  return high > low;
}

bool jig_tile_box(const struct jig_assembler *assembler, const struct jig_tile *tile, double box[4]) {
  const struct jig_record *record = jig_store_record(assembler->store, tile->sample);
  if (record->negative) return false;
  double scale_x = (double)tile->scaled_w / record->source[2], scale_y = (double)tile->scaled_h / record->source[3];
  const float *own = record->box;
  return map_span(own[0], own[2], scale_x, tile->flip, tile->crop_x, tile->placed.x, tile->placed.w, &box[0],
                  &box[2]) &&
         map_span(own[1], own[3], scale_y, false, tile->crop_y, tile->placed.y, tile->placed.h, &box[1], &box[3]);
}
