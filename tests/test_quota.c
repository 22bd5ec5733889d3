/* Negatives that some pictures make up for others. */
#include "jigsaw/quota.h"

#include "tests/test_support.h"

enum { SIDE = 300, PICTURES = 60, BOXES_MOST = 1200 };

struct scene {
  struct dataset dataset;
  struct dataset_image images[PICTURES];
  struct dataset_box boxes[BOXES_MOST];
};

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

static void add_box(struct scene *scene, int image, int x, int y, int side) {
  scene->boxes[scene->dataset.box_count++] = (struct dataset_box){.id = 1, .x = x, .y = y, .w = side, .h = side};
  scene->images[image].box_count++;
}

/* Some pictures are covered by a box of their size, others hold a few small ones or none. */
static void random_scene(struct rng *rng, struct scene *scene, int covered, int free) {
  *scene = (struct scene){.dataset = {.image_count = covered + free, .category_count = 1}};
  scene->dataset.images = scene->images;
  scene->dataset.boxes = scene->boxes;
  for (int i = 0; i < covered + free; i++) {
    scene->images[i] =
        (struct dataset_image){.id = i, .width = SIDE, .height = SIDE, .first_box = scene->dataset.box_count};
    bool full = i < covered;
    if (full) add_box(scene, i, 0, 0, SIDE);
    for (int boxes = full ? 15 : below(rng, 3); boxes > 0; boxes--) {
      add_box(scene, i, below(rng, SIDE - 8), below(rng, SIDE - 8), 8);
    }
  }
}

/* What the pictures hold that the quota asks. */
static struct jig_sample_counts sample_all(const struct scene *scene, const struct jig_sample_options *options,
                                           const struct jig_quota *quota) {
  struct jig_sample_counts counts = {0};
  struct jig_samples samples = {0};
  struct error error;
  for (int64_t i = 0; i < scene->dataset.image_count; i++) {
    int64_t made_up = counts.negatives_made_up, more = jig_quota_more(quota, i);
    assert_ok(jig_sample_image(&scene->dataset, i, SIDE, SIDE, options, more, &samples, &counts, &error), error);
    assert_int_equal(counts.negatives_made_up - made_up, more); /* nobody is asked in vain */
  }
  jig_samples_free(&samples);
  return counts;
}

static void test_the_ratio_holds(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct scene *scene = calloc(1, sizeof *scene);
  assert_non_null(scene);
  int64_t made_up = 0;
  for (uint64_t round = 0; round < 40; round++) {
    struct rng rng;
    struct jig_quota quota, again;
    struct error error;
    rng_init(&rng, seed, RNG_TEST, 0, round);
    int covered = below(&rng, 20), free = 10 + below(&rng, 30);
    random_scene(&rng, scene, covered, free);
    struct jig_extract_options options = {.sample = jig_sample_defaults()};
    options.sample.seed = rng_u32(&rng);
    options.sample.negatives = round % 2 ? 0.1 : 1;
    assert_ok(jig_quota_plan(&quota, &scene->dataset, &options, 1, &error), error);
    struct jig_sample_counts counts = sample_all(scene, &options.sample, &quota);
    int64_t wanted = jig_negatives_wanted(&options.sample, counts.positives);
    assert_true(counts.negatives >= wanted && quota.missing == 0);
    if (counts.negatives_made_up > 0) assert_int_equal(counts.negatives, wanted);
    made_up += counts.negatives_made_up;
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < covered + free; i++) {
      int64_t more = jig_quota_more(&quota, i);
      if (i < covered) assert_int_equal(more, 0);
      if (i >= covered && more < least) least = more;
      if (more > most) most = more;
    }
    assert_true(most - least <= 1); /* evenly, where there is room */
    /* The same for any number of workers. */
    assert_ok(jig_quota_plan(&again, &scene->dataset, &options, 5, &error), error);
    assert_memory_equal(quota.more, again.more, (size_t)(covered + free) * sizeof *quota.more);
    jig_quota_free(&quota);
    jig_quota_free(&again);
  }
  assert_true(made_up > 1000);
  free(scene);
}

static void test_until_all_are_full(void **state) {
  (void)state;
  struct rng rng;
  struct scene *scene = calloc(1, sizeof *scene);
  struct jig_quota quota;
  struct jig_samples samples = {0};
  struct jig_sample_counts counts = {0};
  struct error error;
  assert_non_null(scene);
  rng_init(&rng, test_seed(), RNG_TEST, 1, 0);
  random_scene(&rng, scene, 40, 1);
  scene->images[40].width = scene->images[40].height = 24; /* room for a few boxes of 8 */
  scene->images[40].box_count = 0;
  struct jig_extract_options options = {.sample = jig_sample_defaults()};
  options.sample.context = 1;
  options.sample.negatives = 1;
  assert_ok(jig_quota_plan(&quota, &scene->dataset, &options, 2, &error), error);
  int64_t more = jig_quota_more(&quota, 40);
  assert_true(more >= 4 && more < 200 && quota.missing > 300);
  assert_ok(jig_sample_image(&scene->dataset, 40, 24, 24, &options.sample, more + 1, &samples, &counts, &error), error);
  assert_int_equal(counts.negatives_made_up, more);
  for (size_t i = 0; i < samples.count; i++) { /* none is nearly another */
    for (size_t k = 0; k < i; k++) {
      struct rect a = samples.items[i].rect, b = samples.items[k].rect;
      int w = 8 - abs(a.x - b.x), h = 8 - abs(a.y - b.y), shared = w > 0 && h > 0 ? w * h : 0;
      assert_true(2 * shared <= 128 - shared);
    }
  }
  jig_quota_free(&quota);
  jig_samples_free(&samples);
  free(scene);
}

static void test_who_is_never_asked(void **state) {
  (void)state;
  struct rng rng;
  struct scene *scene = calloc(1, sizeof *scene);
  struct jig_quota quota;
  struct error error;
  assert_non_null(scene);
  rng_init(&rng, test_seed(), RNG_TEST, 2, 0);
  random_scene(&rng, scene, 20, 4);
  struct jig_extract_options options = {.sample = jig_sample_defaults()};
  options.sample.negatives = 1;
  scene->images[20].incomplete = true;
  scene->images[21].width = scene->images[21].height = 0; /* and there is no such picture to ask */
  scene->images[21].folder = "/nowhere";
  scene->images[21].file_name = "missing.jpg";
  assert_ok(jig_quota_plan(&quota, &scene->dataset, &options, 2, &error), error);
  assert_int_equal(jig_quota_more(&quota, 20) + jig_quota_more(&quota, 21), 0);
  assert_true(jig_quota_more(&quota, 22) > 10 && jig_quota_more(&quota, 23) > 10);
  jig_quota_free(&quota);
  options.sample.negatives_from = JIG_FROM_SAME;
  assert_ok(jig_quota_plan(&quota, &scene->dataset, &options, 2, &error), error);
  assert_int_equal(jig_quota_more(&quota, 22), 0);
  jig_quota_free(&quota);
  free(scene);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_ratio_holds),
      cmocka_unit_test(test_until_all_are_full),
      cmocka_unit_test(test_who_is_never_asked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
