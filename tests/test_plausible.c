/* Boxes that cannot be what they are taken for. Valid ones must never be refused. */
#include "core/dataset/internal.h"

#include <math.h>
#include <sys/resource.h>

#include "tests/test_support.h"

#include "tests/dataset_support.h"

static uint64_t seed;

enum kind {
  VALID,
  CORNERS,
  PARTS,
  PART_CORNERS,
  TWICE_THE_SIZE,
  EMPTY,
  TURNED_CORNERS,
  INTERVALS,
  TURNED,
  CENTRES,
  PERCENTS
};

static void put(double box[4], double a, double b, double c, double d) {
  box[0] = a;
  box[1] = b;
  box[2] = c;
  box[3] = d;
}

/* x y w h of a random box inside a picture of this size, as `kind` writes it. */
static void random_box(struct rng *rng, enum kind kind, double width, double height, bool whole, double box[4]) {
  double x1 = rng_range(rng, 0, width - 4), y1 = rng_range(rng, 0, height - 4);
  double x2 = rng_range(rng, x1 + 2, width), y2 = rng_range(rng, y1 + 2, height);
  if (whole) {
    x1 = floor(x1);
    y1 = floor(y1);
    x2 = floor(x2);
    y2 = floor(y2);
  }
  double sx = kind == PARTS || kind == PART_CORNERS ? 1 / width : kind == TWICE_THE_SIZE ? 2 : 1;
  double sy = kind == PARTS || kind == PART_CORNERS ? 1 / height : kind == TWICE_THE_SIZE ? 2 : 1;
  bool corners = kind == CORNERS || kind == PART_CORNERS;
  box[0] = x1 * sx;
  box[1] = y1 * sy;
  box[2] = (corners ? x2 : x2 - x1) * sx;
  box[3] = (corners ? y2 : y2 - y1) * sy;
  if (kind == EMPTY) box[2] = -1;
  if (kind == TURNED_CORNERS) put(box, y1, x1, y2, x2);
  if (kind == INTERVALS) put(box, x1, x2, y1, y2);
  if (kind == TURNED) put(box, y1, x1, y2 - y1, x2 - x1);
  if (kind == CENTRES) put(box, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1);
  if (kind == PERCENTS)
    put(box, x1 * 100 / width, y1 * 100 / height, (x2 - x1) * 100 / width, (y2 - y1) * 100 / height);
}

/* Every so often a box of another kind lies between. */
static void random_dataset(struct dataset *dataset, struct rng *rng, enum kind kind, int64_t boxes,
                           uint64_t odd_every) {
  struct error error = {0};
  bool whole = rng_below(rng, 2) == 1;
  *dataset = (struct dataset){0};
  for (int64_t i = 0; i < boxes; i++) {
    struct dataset_image image = {.file_name = "p.jpg", .folder = "none"};
    if (i == 0 || rng_below(rng, 3) == 0) {
      image.width = 8 + (int)rng_below(rng, 2000);
      image.height = 8 + (int)rng_below(rng, 2000);
      if (kind != VALID) { /* on tiny pictures much is plausible */
        image.width += 320;
        image.height += 320;
      }
      assert_ok(build_image(dataset, &image, &error), error);
    }
    const struct dataset_image *last = &dataset->images[dataset->image_count - 1];
    double box[4];
    bool odd = odd_every > 0 && rng_below(rng, odd_every) == 0;
    random_box(rng, odd ? EMPTY : kind, last->width, last->height, whole, box);
    assert_ok(build_box(dataset, (struct dataset_box){.x = box[0], .y = box[1], .w = box[2], .h = box[3]}, &error),
              error);
  }
}

static const struct dataset_source coco = {"c.json", NULL, NULL, DATASET_COCO};

static void test_valid_boxes_are_never_refused(void **state) {
  (void)state;
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 0, 0);
  for (int round = 0; round < 3000; round++) {
    struct dataset dataset;
    struct error error = {0};
    int64_t boxes = (int64_t)rng_below(&rng, round % 10 == 0 ? 1000 : 12);
    random_dataset(&dataset, &rng, VALID, boxes, 0);
    if (dataset_check_boxes(&dataset, &coco, DATASET_XYWH, false, &error) != 0)
      fail_msg("round %d: %s", round, error.message);
    if (dataset.note_count > 0) fail_msg("round %d: %s", round, dataset.notes[0]);
    dataset_free(&dataset);
  }
}

static void test_implausible_boxes(void **state) {
  (void)state;
  static const struct {
    enum kind kind;
    const char *words[2];
  } cases[] = {
      {CORNERS, {"fit as x1 y1 x2 y2", "--boxes xyxy takes them so"}},
      {PARTS, {"lie within 0 .. 1", "--boxes relative takes them so"}},
      {PART_CORNERS, {"lie within 0 .. 1", "--boxes relative-xyxy"}},
      {TWICE_THE_SIZE, {"outside their picture", "wrong picture or size"}},
      {EMPTY, {"have no area", "--boxes xywh goes on regardless"}},
      {TURNED_CORNERS, {"fit as y1 x1 y2 x2", "which --boxes xyxy takes"}},
      {INTERVALS, {"fit as x1 x2 y1 y2", "which --boxes xyxy takes"}},
      {TURNED, {"fit as y x h w", "write them as x y w h"}},
      {CENTRES, {"fit as centre x, centre y, w, h", "x - w / 2"}},
      {PERCENTS, {"lie within 0 .. 100", "divide them by 100 for --boxes relative"}},
  };
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 1, 0);
  for (size_t i = 0; i < COUNT_OF(cases); i++) {
    for (int round = 0; round < 100; round++) {
      struct dataset dataset;
      struct error error = {0};
      random_dataset(&dataset, &rng, cases[i].kind, 300, round % 2 == 0 ? 0 : 150);
      if (cases[i].kind == TWICE_THE_SIZE) { /* half of them still fit */
        assert_int_equal(dataset_check_boxes(&dataset, &coco, DATASET_XYWH, false, &error), -1);
      } else {
        if (dataset_check_boxes(&dataset, &coco, DATASET_XYWH, false, &error) == 0) fail_msg("kind %zu passed", i);
        for (int k = 0; k < 2; k++)
          if (strstr(error.message, cases[i].words[k]) == NULL)
            fail_msg("%s\n lacks %s", error.message, cases[i].words[k]);
      }
      assert_ok(dataset_check_boxes(&dataset, &coco, DATASET_XYWH, true, &error), error);
      assert_int_equal(dataset.note_count, 1);
      dataset_free(&dataset);
    }
  }
}

/* Descriptors that run out say nothing about a picture. */
static void test_the_machine_is_at_fault(void **state) {
  (void)state;
  char folder[64], path[96];
  struct rlimit limit, none;
  test_scratch(folder);
  snprintf(path, sizeof path, "%s/p.jpg", folder);
  struct dataset dataset = {0};
  struct error error = {0};
  assert_ok(file_write_all(path, "no picture", 10, &error), error);
  const struct dataset_image image = {.file_name = "p.jpg", .folder = folder};
  struct dataset_box box = {.x = 0.1, .y = 0.1, .w = 0.5, .h = 0.5, .flags = DATASET_PARTS};
  assert_ok(build_image(&dataset, &image, &error), error);
  assert_ok(build_box(&dataset, box, &error), error);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
  none = (struct rlimit){0, limit.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  int checked = dataset_check_boxes(&dataset, &coco, DATASET_XYWH, false, &error);
  bool blamed = error.machine;
  int scaled = scale_parts(&dataset, 1, &error);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
  assert_int_equal(checked, -1);
  assert_true(blamed);
  assert_int_equal(scaled, -1);
  assert_true(error.machine && dataset.boxes[0].x == 0.1);
  assert_ok(dataset_check_boxes(&dataset, &coco, DATASET_XYWH, false, &error), error);
  assert_ok(scale_parts(&dataset, 1, &error), error);
  assert_true(isnan(dataset.boxes[0].x)); /* that is about the picture */
  dataset_free(&dataset);
  test_scratch_remove(folder);
}

/* VOC's corners count from 1: parts of the sides are off by one when they come here. */
static void test_voc_parts(void **state) {
  (void)state;
  static const struct dataset_source voc = {"v", NULL, NULL, DATASET_VOC};
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 2, 0);
  for (int round = 0; round < 200; round++) {
    struct dataset dataset = {0};
    struct error error = {0};
    const struct dataset_image image = {.file_name = "p.jpg", .folder = "none", .width = 320, .height = 240};
    bool parts = round % 2 == 0;
    assert_ok(build_image(&dataset, &image, &error), error);
    for (int i = 0; i < 8; i++) { /* in pixels: down to one, at the corner, too */
      double x1 = rng_uniform(&rng) * 0.9, y1 = rng_uniform(&rng) * 0.9;
      double x2 = x1 + (1 - x1) * rng_uniform(&rng), y2 = y1 + (1 - y1) * rng_uniform(&rng);
      double sx = parts ? 1 : round % 3 == 0 ? 1 : 319, sy = parts ? 1 : round % 3 == 0 ? 1 : 239;
      double left = parts ? x1 : 1 + floor(x1 * sx), top = parts ? y1 : 1 + floor(y1 * sy);
      double right = parts ? x2 : 1 + floor(x2 * sx), bottom = parts ? y2 : 1 + floor(y2 * sy);
      struct dataset_box box = {.x = left - 1, .y = top - 1, .w = right - left + 1, .h = bottom - top + 1};
      assert_ok(build_box(&dataset, box, &error), error);
    }
    int status = dataset_check_boxes(&dataset, &voc, DATASET_XYWH, false, &error);
    if (parts && (status == 0 || strstr(error.message, "VOC's are in pixels") == NULL))
      fail_msg("round %d passed", round);
    if (!parts && status != 0) fail_msg("round %d: %s", round, error.message);
    dataset_free(&dataset);
  }
}

int main(void) {
  seed = test_seed();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_valid_boxes_are_never_refused),
      cmocka_unit_test(test_implausible_boxes),
      cmocka_unit_test(test_voc_parts),
      cmocka_unit_test(test_the_machine_is_at_fault),
  };
  return cmocka_run_group_tests_name("plausible", tests, NULL, NULL);
}
