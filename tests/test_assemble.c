/* Which samples jigsaws hold and where: properties of thousands of plans, and their distributions, on stores of which
 * only the records matter. */
#include "jigsaw/assemble.h"

#include <math.h>

#include "tests/test_support.h"

#include "tests/statistics.h"
#include "tests/store_support.h"

static const enum jig_group REGION_GROUPS[JIG_REGIONS] = {JIG_SQUARE, JIG_WIDE, JIG_TALL, JIG_SQUARE};

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

/* ---- stores of records alone ---- */

/* `longest` and, for S, at least 9 tenths of it: T and W have 2.1 to 6 times one side. */
static struct jig_record fake_record(struct rng *rng, enum jig_group group, int longest) {
  struct jig_record record = {.label = below(rng, 5), .annotation_id = 1, .orientation = 1, .group = (uint8_t)group};
  int shortest =
      group == JIG_SQUARE ? (int)(longest * rng_range(rng, 0.9, 1)) : (int)(longest / rng_range(rng, 2.1, 6));
  record.source[2] = record.inner[2] = group == JIG_TALL ? shortest : longest;
  record.source[3] = record.inner[3] = group == JIG_TALL ? longest : shortest;
  return record;
}

static struct jig_store *fake_store(const char *folder, struct rng *rng, const int counts[JIG_GROUPS], int longest) {
  static const char JSON[] = "{\"categories\":[{\"id\":1,\"name\":\"a\"},{\"id\":2,\"name\":\"b\"},{\"id\":3,\"name\":"
                             "\"c\"},{\"id\":4,\"name\":\"d\"}],\"background_label\":4,\"shards\":[{}]}";
  struct buffer index = {0};
  struct error error;
  char path[128];
  size_t total = (size_t)(counts[0] + counts[1] + counts[2]);
  struct jig_index_head head = {.magic = "JIGIDX2", .record_count = total};
  head.magic[7] = '\n';
  assert_ok(buffer_append(&index, &head, sizeof head, &error), error);
  int left[JIG_GROUPS] = {counts[0], counts[1], counts[2]};
  for (size_t i = 0; i < total; i++) {
    int group = below(rng, JIG_GROUPS);
    while (left[group] == 0)
      group = (group + 1) % JIG_GROUPS;
    left[group]--;
    int side = longest > 0 ? longest : 6 + (int)exp(rng_range(rng, 0, 6));
    struct jig_record record = fake_record(rng, group, side);
    record.group = (uint8_t)jig_group_of(record.source[2], record.source[3]);
    assert_int_equal(record.group, group);
    assert_ok(buffer_append(&index, &record, sizeof record, &error), error);
  }
  snprintf(path, sizeof path, "%s/shards", folder);
  assert_ok(directory_create(path, &error), error);
  snprintf(path, sizeof path, "%s/shards/000000.idx", folder);
  write_bytes(path, index.data, index.size);
  snprintf(path, sizeof path, "%s/shards/000000.tar", folder);
  write_bytes(path, "", 0);
  snprintf(path, sizeof path, "%s/dataset.json", folder);
  write_bytes(path, JSON, sizeof JSON - 1);
  buffer_free(&index);
  struct jig_store *store;
  assert_ok(jig_store_open_unfinished(&store, folder, &error), error);
  return store;
}

static struct jig_assembler init_assembler(const struct jig_store *store, const struct jig_assemble_options *options) {
  struct jig_assembler assembler;
  struct error error;
  assert_ok(jig_assembler_init(&assembler, store, options, &error), error);
  return assembler;
}

/* ---- the template ---- */

static void test_regions(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 0, 0);
  const struct jig_template paper = {224, 64};
  const struct rect expected[JIG_REGIONS] = {{0, 0, 64, 64}, {64, 0, 160, 64}, {0, 64, 64, 160}, {64, 64, 160, 160}};
  for (int region = 0; region < JIG_REGIONS; region++) {
    struct rect found = jig_region(&paper, region);
    assert_memory_equal(&found, &expected[region], sizeof found);
  }
  for (int round = 0; round < 2000; round++) {
    struct jig_template template = {.size = 2 + below(&rng, 60)};
    uint8_t covered[64][64] = {0};
    template.cut = 1 + below(&rng, template.size - 1);
    for (int region = 0; region < JIG_REGIONS; region++) {
      struct rect area = jig_region(&template, region);
      for (int y = area.y; y < area.y + area.h; y++) {
        for (int x = area.x; x < area.x + area.w; x++) {
          covered[y][x]++;
        }
      }
    }
    for (int y = 0; y < 64; y++) {
      for (int x = 0; x < 64; x++) {
        assert_int_equal(covered[y][x], y < template.size && x < template.size);
      }
    }
  }
}

static void test_refused_options(void **state) {
  (void)state;
  char folder[64];
  struct rng rng;
  struct error error;
  struct jig_assembler assembler;
  const struct jig_assemble_options good = jig_assemble_defaults();
  rng_init(&rng, test_seed(), RNG_TEST, 1, 0);
  test_scratch(folder);
  struct jig_store *store = fake_store(folder, &rng, (int[]){1, 1, 1}, 0);
  struct jig_assemble_options bad[8];
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    bad[i] = good;
  }
  bad[0].template.cut = 0;
  bad[1].template.cut = 224;
  bad[2].template.size = 4097;
  bad[3].template.cut = -5;
  bad[4].scale_low = 2;
  bad[5].scale_low = NAN;
  bad[6].scale_high = INFINITY;
  bad[7].scale_low = 0;
  assert_ok(jig_assembler_init(&assembler, store, &good, &error), error);
  for (size_t i = 0; i < COUNT_OF(bad); i++) {
    assert_int_equal(jig_assembler_init(&assembler, store, &bad[i], &error), -1);
    assert_true(error.message[0] != '\0');
  }
  jig_store_close(store);
  store = fake_store(folder, &rng, (int[]){0, 0, 0}, 0);
  assert_int_equal(jig_assembler_init(&assembler, store, &good, &error), -1);
  jig_store_close(store);
  test_scratch_remove(folder);
}

/* ---- every plan ---- */

static void check_axis(int scaled, int crop, int start, int length, int placed, int size) {
  assert_true(scaled >= 1 && size == (scaled < length ? scaled : length));
  assert_true(placed >= start && placed + size <= start + length);
  assert_true(crop >= 0 && crop + size <= scaled);
  int before = placed - start, after = length - size - before;
  assert_true(after - before == 0 || after - before == 1);
}

/* The scales that round to `scaled`. */
static void scale_range(int side, int scaled, double *low, double *high) {
  *low = fmax(*low, scaled == 1 ? 0 : (scaled - 0.5) / side);
  *high = fmin(*high, (scaled + 0.5) / side);
}

static void check_size(const struct jig_assemble_options *options, const struct jig_tile *tile, int w, int h) {
  double low = options->scale_low, high = options->scale_high;
  const struct rect *region = &tile->region;
  if (options->fit == JIG_FIT_WARP) {
    assert_true(tile->scaled_w == region->w && tile->scaled_h == region->h);
    return;
  }
  if (options->fit == JIG_FIT_RESIZE) {
    low = high = fmin((double)region->w / w, (double)region->h / h);
    assert_true(tile->scaled_w <= region->w && tile->scaled_h <= region->h);
    assert_true(tile->scaled_w == region->w || tile->scaled_h == region->h);
  }
  scale_range(w, tile->scaled_w, &low, &high);
  scale_range(h, tile->scaled_h, &low, &high);
  assert_true(low <= high + 1e-12);
}

static void check_plan(const struct jig_assembler *assembler, const struct jig_tile tiles[JIG_REGIONS]) {
  int64_t areas[JIG_REGIONS];
  for (int i = 0; i < JIG_REGIONS; i++) {
    const struct jig_tile *tile = &tiles[i];
    struct rect region = jig_region(&assembler->options.template, i);
    assert_memory_equal(&tile->region, &region, sizeof region);
    assert_true(tile->sample >= 0 && tile->sample < jig_store_count(assembler->store));
    const struct jig_record *record = jig_store_record(assembler->store, tile->sample);
    assert_int_equal(tile->label, record->label);
    assert_int_equal(tile->substitute, record->group != REGION_GROUPS[i]);
    areas[i] = (int64_t)record->source[2] * record->source[3];
    check_axis(tile->scaled_w, tile->crop_x, region.x, region.w, tile->placed.x, tile->placed.w);
    check_axis(tile->scaled_h, tile->crop_y, region.y, region.h, tile->placed.y, tile->placed.h);
    check_size(&assembler->options, tile, record->source[2], record->source[3]);
  }
  assert_true(areas[0] <= areas[3]);
}

static bool tiles_equal(const struct jig_tile *a, const struct jig_tile *b) {
  return a->sample == b->sample && a->scaled_w == b->scaled_w && a->scaled_h == b->scaled_h && a->crop_x == b->crop_x &&
         a->crop_y == b->crop_y && a->flip == b->flip;
}

static bool plans_equal(const struct jig_tile *a, const struct jig_tile *b) {
  for (int i = 0; i < JIG_REGIONS; i++) {
    if (!tiles_equal(&a[i], &b[i])) return false;
  }
  return true;
}

static struct jig_assemble_options random_options(struct rng *rng) {
  struct jig_assemble_options options = jig_assemble_defaults();
  options.seed = rng_u32(rng);
  options.fit = below(rng, JIG_FIT_RESIZE + 1);
  options.template.size = 2 + below(rng, 500);
  options.template.cut = 1 + below(rng, options.template.size - 1);
  options.scale_low = rng_range(rng, 0.05, 2);
  options.scale_high = options.scale_low + below(rng, 2) * rng_range(rng, 0, 3);
  options.repeat_max = exp(rng_range(rng, -2, 4));
  return options;
}

static void test_every_plan(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  char folder[64];
  int substitutes = 0, same = 0, plans = 0;
  test_scratch(folder);
  for (uint64_t round = 0; round < 150; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 2, round);
    int counts[JIG_GROUPS] = {below(&rng, 50), below(&rng, 50), 1 + below(&rng, 50)};
    if (round % 4 == 0) counts[below(&rng, 2)] = 0;
    struct jig_store *store = fake_store(folder, &rng, counts, 0);
    struct jig_assemble_options options = random_options(&rng), reseeded = options;
    reseeded.seed++;
    struct jig_assembler assembler = init_assembler(store, &options), other = init_assembler(store, &reseeded);
    assert_int_equal(assembler.epoch_length, (counts[0] + counts[1] + counts[2] + 3) / 4);
    for (int i = 0; i < 60; i++, plans++) {
      struct jig_tile tiles[JIG_REGIONS], again[JIG_REGIONS];
      uint32_t epoch = (uint32_t)below(&rng, 1000);
      int64_t index = i % 2 ? below(&rng, 30) : (int64_t)(rng_u32(&rng));
      jig_plan(&assembler, epoch, index, tiles);
      check_plan(&assembler, tiles);
      for (int region = 0; region < JIG_REGIONS; region++) {
        substitutes += tiles[region].substitute;
      }
      jig_plan(&assembler, epoch, index, again);
      assert_true(plans_equal(tiles, again));
      jig_plan(&assembler, epoch + 1, index, again);
      same += plans_equal(tiles, again);
      jig_plan(&assembler, epoch, index + 1, again);
      same += plans_equal(tiles, again);
      jig_plan(&other, epoch, index, again);
      same += plans_equal(tiles, again);
    }
    jig_store_close(store);
  }
  assert_true(substitutes > 500);
  assert_true(same < plans / 20); /* few samples that fit as a whole can meet again */
  test_scratch_remove(folder);
}

/* ---- the decks ---- */

/* Within an epoch no sample of a group is used twice more than another is; those of one label may be left out. */
static void check_deck(const struct jig_assembler *assembler, int left_out, uint32_t epoch, int64_t length) {
  int64_t total = jig_store_count(assembler->store), cards[JIG_GROUPS] = {0};
  int *uses = calloc((size_t)total, sizeof *uses);
  assert_non_null(uses);
  for (int64_t i = 0; i < length; i++) {
    struct jig_tile tiles[JIG_REGIONS];
    jig_plan(assembler, epoch, i, tiles);
    for (int region = 0; region < JIG_REGIONS; region++) {
      assert_false(tiles[region].substitute);
      uses[tiles[region].sample]++;
      cards[REGION_GROUPS[region]]++;
    }
    for (int region = 0; region < JIG_REGIONS; region++) {
      int64_t count = jig_available(assembler, REGION_GROUPS[region]);
      int64_t rounds = (cards[REGION_GROUPS[region]] + count - 1) / count;
      assert_true(uses[tiles[region].sample] <= rounds);
    }
  }
  for (int64_t i = 0; i < total; i++) {
    const struct jig_record *record = jig_store_record(assembler->store, i);
    if (record->label == left_out) {
      assert_int_equal(uses[i], 0);
    } else {
      assert_true(uses[i] >= cards[record->group] / jig_available(assembler, record->group));
    }
  }
  free(uses);
}

static void test_decks(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  char folder[64];
  test_scratch(folder);
  for (uint64_t round = 0; round < 60; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 3, round);
    int counts[JIG_GROUPS] = {1 + below(&rng, 80), 1 + below(&rng, 80), 1 + below(&rng, 80)}, repeated = 0;
    struct jig_store *store = fake_store(folder, &rng, counts, 0);
    struct jig_assemble_options options = jig_assemble_defaults();
    options.seed = rng_u32(&rng);
    options.repeat_max = 1e9;
    struct jig_assembler assembler = init_assembler(store, &options);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
      check_deck(&assembler, -1, epoch, assembler.epoch_length + 3 * below(&rng, 100));
    }
    for (int64_t i = 0; i < 20; i++) { /* epochs have orders of their own */
      struct jig_tile tiles[JIG_REGIONS], next[JIG_REGIONS];
      jig_plan(&assembler, 0, i, tiles);
      jig_plan(&assembler, 1, i, next);
      repeated += tiles[0].sample == next[0].sample && tiles[1].sample == next[1].sample &&
                  tiles[2].sample == next[2].sample && tiles[3].sample == next[3].sample;
    }
    assert_true(repeated < 10 || counts[0] * counts[1] * counts[2] < 100);
    jig_store_close(store);
  }
  test_scratch_remove(folder);
}

/* ---- distributions ---- */

static int bin_of(double value, int bins) { /* of [0, 1] */
  int bin = (int)(value * bins);
  return bin < 0 ? 0 : bin < bins ? bin : bins - 1;
}

/* Samples so large that their scaled size tells the scale. */
static void test_distributions(void **state) {
  (void)state;
  enum { BINS = 20, PLANS = 10000, SIDE = 20000 };
  char folder[64];
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 4, 0);
  test_scratch(folder);
  struct jig_store *store = fake_store(folder, &rng, (int[]){40, 40, 40}, SIDE);
  struct jig_assemble_options options = jig_assemble_defaults();
  options.seed = rng_u32(&rng);
  struct jig_assembler assembler = init_assembler(store, &options);
  int64_t scales[BINS] = {0}, crops[2][BINS] = {0}, both[2][2] = {0};
  int flips = 0;
  for (int64_t i = 0; i < PLANS; i++) {
    struct jig_tile tiles[JIG_REGIONS];
    jig_plan(&assembler, 0, i, tiles);
    for (int region = 0; region < JIG_REGIONS; region++) {
      const struct jig_tile *tile = &tiles[region];
      const struct jig_record *record = jig_store_record(store, tile->sample);
      bool tall = record->group == JIG_TALL;
      double scale = tall ? (double)tile->scaled_h / record->source[3] : (double)tile->scaled_w / record->source[2];
      assert_true(scale >= 0.8 - 1e-4 && scale <= 1.5 + 1e-4);
      scales[bin_of((scale - 0.8) / 0.7, BINS)]++;
      double x = (tile->crop_x + 0.5) / (tile->scaled_w - tile->placed.w + 1);
      double y = (tile->crop_y + 0.5) / (tile->scaled_h - tile->placed.h + 1);
      crops[0][bin_of(x, BINS)]++;
      crops[1][bin_of(y, BINS)]++;
      both[x > 0.5][y > 0.5]++;
      flips += tile->flip;
    }
  }
  check_uniform(scales, BINS, "scale");
  check_uniform(crops[0], BINS, "crop x");
  check_uniform(crops[1], BINS, "crop y");
  check_uniform(both[0], 4, "crop x against crop y");
  assert_true(fabs(flips - 2.0 * PLANS) <= 5 * sqrt(PLANS));
  jig_store_close(store);
  test_scratch_remove(folder);
}

/* Samples a little wider than region 0: each of the few crops, the first and the last included, is as likely. */
static void test_crop_ends(void **state) {
  (void)state;
  enum { PLANS = 10000, WIDER = 6 };
  char folder[64];
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 7, 0);
  test_scratch(folder);
  struct jig_store *store = fake_store(folder, &rng, (int[]){20, 20, 20}, 64 + WIDER);
  struct jig_assemble_options options = jig_assemble_defaults();
  options.seed = rng_u32(&rng);
  options.scale_low = options.scale_high = 1;
  struct jig_assembler assembler = init_assembler(store, &options);
  int64_t bins[WIDER + 1] = {0};
  for (int64_t i = 0; i < PLANS; i++) {
    struct jig_tile tiles[JIG_REGIONS];
    jig_plan(&assembler, 0, i, tiles);
    assert_true(tiles[0].crop_x >= 0 && tiles[0].crop_x <= WIDER);
    bins[tiles[0].crop_x]++;
  }
  check_uniform(bins, WIDER + 1, "crop");
  jig_store_close(store);
  test_scratch_remove(folder);
}

static void test_flip_option(void **state) {
  (void)state;
  enum { PLANS = 4000 };
  static const double PROBABILITIES[] = {0, 0.2, 1};
  char folder[64];
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 5, 0);
  test_scratch(folder);
  struct jig_store *store = fake_store(folder, &rng, (int[]){9, 9, 9}, 0);
  for (size_t i = 0; i < COUNT_OF(PROBABILITIES); i++) {
    struct jig_assemble_options options = jig_assemble_defaults();
    double p = options.flip = PROBABILITIES[i];
    int flips = 0;
    options.seed = rng_u32(&rng);
    struct jig_assembler assembler = init_assembler(store, &options);
    for (int64_t k = 0; k < PLANS; k++) {
      struct jig_tile tiles[JIG_REGIONS];
      jig_plan(&assembler, 0, k, tiles);
      flips += tiles[0].flip + tiles[1].flip + tiles[2].flip + tiles[3].flip;
    }
    assert_true(fabs(flips - 4 * PLANS * p) <= 5 * sqrt(4 * PLANS * p * (1 - p)));
  }
  jig_store_close(store);
  test_scratch_remove(folder);
}

/* ---- shortage ---- */

/* Uses of the own group's samples, and of substitutes by group, in the regions of `group`. */
struct shortage {
  int asked, own, others[JIG_GROUPS];
};

static struct shortage count_uses(const struct jig_assembler *assembler, enum jig_group group, uint32_t epochs) {
  struct shortage result = {0};
  for (uint32_t epoch = 0; epoch < epochs; epoch++) {
    for (int64_t i = 0; i < assembler->epoch_length; i++) {
      struct jig_tile tiles[JIG_REGIONS];
      jig_plan(assembler, epoch, i, tiles);
      for (int region = 0; region < JIG_REGIONS; region++) {
        if (REGION_GROUPS[region] != group) continue;
        int used = jig_store_record(assembler->store, tiles[region].sample)->group;
        result.asked++;
        result.own += used == (int)group;
        result.others[used] += used != (int)group;
      }
    }
  }
  return result;
}

/* counts: T, S, W. The region group that is short, who helps it, and the share of its regions that it keeps. */
struct shortage_case {
  int counts[JIG_GROUPS];
  enum jig_group group, helper;
  double repeat_max, keep;
};

static void test_shortage(void **state) {
  (void)state;
  enum { EPOCHS = 8 };
  static const struct shortage_case CASES[] = {
      {{20, 1680, 300}, JIG_TALL, JIG_SQUARE, 10, 0.4}, /* 500 jigsaws ask for 500 T */
      {{300, 1680, 20}, JIG_WIDE, JIG_SQUARE, 10, 0.4},
      {{300, 20, 1680}, JIG_SQUARE, JIG_WIDE, 10, 0.2}, /* and for 1000 S */
      {{1680, 20, 300}, JIG_SQUARE, JIG_WIDE, 10, 0.2},
      {{1700, 20, 280}, JIG_WIDE, JIG_TALL, 0.5, 0.28}, /* S is too small to help */
      {{10, 5, 1985}, JIG_TALL, JIG_WIDE, 10, 0.2},
      {{0, 1000, 1000}, JIG_TALL, JIG_SQUARE, 10, 0},
      {{0, 0, 2000}, JIG_TALL, JIG_WIDE, 10, 0},
      {{2000, 0, 0}, JIG_SQUARE, JIG_TALL, 10, 0},
      {{0, 2000, 0}, JIG_WIDE, JIG_SQUARE, 10, 0},
      {{50, 1680, 270}, JIG_TALL, JIG_SQUARE, 10, 1},  /* enough */
      {{20, 1680, 300}, JIG_TALL, JIG_SQUARE, 1e9, 1}, /* not wanted */
      {{20, 1960, 20}, JIG_SQUARE, JIG_WIDE, 0.1, 1},  /* none is larger */
      {{0, 1, 0}, JIG_SQUARE, JIG_WIDE, 10, 1},
  };
  uint64_t seed = test_seed();
  char folder[64];
  test_scratch(folder);
  for (size_t i = 0; i < COUNT_OF(CASES); i++) {
    const struct shortage_case *c = &CASES[i];
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 6, i);
    struct jig_store *store = fake_store(folder, &rng, c->counts, 0);
    struct jig_assemble_options options = jig_assemble_defaults();
    options.seed = rng_u32(&rng);
    options.repeat_max = c->repeat_max;
    struct jig_assembler assembler = init_assembler(store, &options);
    struct shortage found = count_uses(&assembler, c->group, EPOCHS);
    if (!(fabs(found.own - found.asked * c->keep) <= 1e-6 * found.asked)) {
      fail_msg("case %zu: keeps %d of %d regions, not %g", i, found.own, found.asked, found.asked * c->keep);
    }
    assert_int_equal(found.own + found.others[c->helper], found.asked);
    jig_store_close(store);
  }
  test_scratch_remove(folder);
}

static int largest(const int counts[JIG_GROUPS]) {
  int group = JIG_SQUARE;
  for (int i = 0; i < JIG_GROUPS; i++) {
    if (counts[i] > counts[group]) group = i;
  }
  return group;
}

/* Under shortage, too, the samples of a group are used alike, and none more often than is allowed. */
static void test_shortage_is_shared(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  char folder[64];
  int64_t shorts = 0;
  test_scratch(folder);
  for (uint64_t round = 0; round < 100; round++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 10, round);
    int counts[JIG_GROUPS];
    for (int group = 0; group < JIG_GROUPS; group++) {
      counts[group] = 1 + below(&rng, below(&rng, 2) ? 400 : 12);
    }
    struct jig_store *store = fake_store(folder, &rng, counts, 0);
    struct jig_assemble_options options = jig_assemble_defaults();
    options.seed = rng_u32(&rng);
    options.repeat_max = below(&rng, 3) ? 10 : 1 + below(&rng, 4);
    struct jig_assembler assembler = init_assembler(store, &options);
    int *uses = calloc((size_t)jig_store_count(store), sizeof *uses), epochs = 1 + below(&rng, 3);
    assert_non_null(uses);
    for (int64_t i = 0; i < epochs * assembler.epoch_length; i++) { /* beyond an epoch it goes on alike */
      struct jig_tile tiles[JIG_REGIONS];
      jig_plan(&assembler, 5, i, tiles);
      for (int region = 0; region < JIG_REGIONS; region++) {
        uses[tiles[region].sample]++;
        shorts += tiles[region].substitute;
      }
    }
    for (int group = 0; group < JIG_GROUPS; group++) {
      int least = INT32_MAX, most = 0;
      for (int64_t i = 0; i < jig_store_group_count(store, group); i++) {
        int used = uses[jig_store_group_item(store, group, i)];
        least = used < least ? used : least;
        most = used > most ? used : most;
      }
      assert_true(most - least <= 1);
      /* An epoch asks for up to three samples more than there are. */
      bool tight = options.repeat_max == 1 && group == largest(counts);
      if (!tight) assert_true(most <= epochs * options.repeat_max);
    }
    free(uses);
    jig_store_close(store);
  }
  assert_true(shorts > 1000);
  test_scratch_remove(folder);
}

/* ---- subsets ---- */

static bool take_unless_label(const struct jig_record *record, void *context) {
  return record->label != *(const int *)context;
}

/* Samples that are left out are never dealt, the others as evenly as ever. */
static void test_subset_decks(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  char folder[64];
  test_scratch(folder);
  for (uint64_t round = 0; round < 40; round++) {
    struct rng rng;
    struct error error;
    struct jig_subset subset;
    rng_init(&rng, seed, RNG_TEST, 8, round);
    int counts[JIG_GROUPS] = {30 + below(&rng, 80), 30 + below(&rng, 80), 30 + below(&rng, 80)}, left_out = 2;
    struct jig_store *store = fake_store(folder, &rng, counts, 0);
    assert_ok(jig_subset_init(&subset, store, take_unless_label, &left_out, &error), error);
    struct jig_assemble_options options = jig_assemble_defaults();
    options.seed = rng_u32(&rng);
    options.repeat_max = 1e9;
    options.subset = &subset;
    struct jig_assembler assembler = init_assembler(store, &options);
    check_deck(&assembler, left_out, (uint32_t)round, assembler.epoch_length + 3 * below(&rng, 100));

    int nobody = -1; /* all of the samples are dealt like no subset */
    jig_subset_free(&subset);
    assert_ok(jig_subset_init(&subset, store, take_unless_label, &nobody, &error), error);
    assembler = init_assembler(store, &options);
    options.subset = NULL;
    struct jig_assembler whole = init_assembler(store, &options);
    for (int64_t i = 0; i < whole.epoch_length; i++) {
      struct jig_tile tiles[JIG_REGIONS], same[JIG_REGIONS];
      jig_plan(&assembler, 1, i, tiles);
      jig_plan(&whole, 1, i, same);
      assert_true(plans_equal(tiles, same));
    }
    jig_subset_free(&subset);
    jig_store_close(store);
  }
  test_scratch_remove(folder);
}

static bool take_some(const struct jig_record *record, void *context) {
  int *left = context;
  return left[record->group]-- > 0;
}

/* A subset is as short as a store of its size. */
static void test_subset_shortage(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  char folder[64];
  test_scratch(folder);
  for (uint64_t round = 0; round < 60; round++) {
    struct rng rng;
    struct error error;
    struct jig_subset subset;
    struct jig_assembler small, assembler;
    rng_init(&rng, seed, RNG_TEST, 9, round);
    int counts[JIG_GROUPS], left[JIG_GROUPS], total = 0;
    for (int group = 0; group < JIG_GROUPS; group++) {
      counts[group] = below(&rng, 3) == 0 ? below(&rng, 3) : below(&rng, 200);
      left[group] = counts[group];
      total += counts[group];
    }
    struct jig_assemble_options options = jig_assemble_defaults();
    options.repeat_max = rng_range(&rng, 0.5, 20);
    struct jig_store *store = fake_store(folder, &rng, counts, 0);
    bool empty = jig_assembler_init(&small, store, &options, &error) != 0;
    assert_int_equal(empty, total == 0);
    jig_store_close(store);
    store = fake_store(folder, &rng, (int[]){200, 200, 200}, 0);
    assert_ok(jig_subset_init(&subset, store, take_some, left, &error), error);
    options.subset = &subset;
    assert_int_equal(jig_assembler_init(&assembler, store, &options, &error) != 0, empty);
    if (!empty) {
      assert_int_equal(assembler.epoch_length, small.epoch_length);
      assert_memory_equal(assembler.share, small.share, sizeof small.share);
    }
    jig_subset_free(&subset);
    jig_store_close(store);
  }
  test_scratch_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_regions),
      cmocka_unit_test(test_refused_options),
      cmocka_unit_test(test_every_plan),
      cmocka_unit_test(test_decks),
      cmocka_unit_test(test_distributions),
      cmocka_unit_test(test_crop_ends),
      cmocka_unit_test(test_flip_option),
      cmocka_unit_test(test_shortage),
      cmocka_unit_test(test_shortage_is_shared),
      cmocka_unit_test(test_subset_decks),
      cmocka_unit_test(test_subset_shortage),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
