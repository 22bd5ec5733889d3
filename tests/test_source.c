/* Where training images come from: what is held out, what the labels are, and the pixels, against plain code. */
#include "tests/reference.h"

#include "pretrain/source_parts.h"

#include <sys/stat.h>

#include "tests/test_support.h"

#include "tests/source_support.h"
#include "tests/statistics.h"

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

/* A canvas and its labels. */
struct shot {
  struct image canvas;
  int32_t labels[JIG_REGIONS];
};

static struct shot render(const struct source *source, uint32_t epoch, int64_t index) {
  struct source_scratch *scratch;
  struct shot shot = {.labels = {-7, -7, -7, -7}};
  struct error error;
  assert_ok(source_scratch_create(&scratch, &error), error);
  assert_ok(source_render(source, epoch, index, scratch, &shot.canvas, shot.labels, &error), error);
  assert_true(shot.canvas.width == source_size(source) && shot.canvas.height == source_size(source));
  source_scratch_free(scratch);
  return shot;
}

static bool shots_equal(const struct shot *a, const struct shot *b) {
  size_t bytes = (size_t)a->canvas.width * (size_t)a->canvas.height * 3;
  return !memcmp(a->labels, b->labels, sizeof a->labels) && !memcmp(a->canvas.pixels, b->canvas.pixels, bytes);
}

/* Fails unless opening fails with all of these words (NULL-terminated) in the message. */
static void check_refused(const char *folder, bool classify, enum source_part part,
                          const struct source_options *options, const char *const *words) {
  struct source *source;
  struct error error = {0};
  assert_int_equal(source_open(&source, folder, classify, part, options, &error), -1);
  assert_null(source);
  for (; *words; words++) {
    if (!strstr(error.message, *words)) fail_msg("\"%s\" is not in: %s", *words, error.message);
  }
}

#define REFUSED(folder, classify, part, options, ...)                                                                  \
  check_refused(folder, classify, part, options, (const char *const[]){__VA_ARGS__, NULL})

/* ---- stores ---- */

/* Every sample is in exactly one part, together with all of its source image. */
static void check_parts(const struct source *training, const struct source *held_out) {
  int64_t count = jig_store_count(training->store), seen = 0, images = 0, out = 0;
  int8_t *part = calloc((size_t)count, 1), *part_of_image = calloc(1000, 1);
  const struct source *sources[2] = {training, held_out};
  for (int s = 0; s < 2; s++) {
    for (int group = 0; group < JIG_GROUPS; group++) {
      for (int64_t i = 0; i < sources[s]->subset.counts[group]; i++, seen++) {
        uint32_t sample = sources[s]->subset.items[group][i];
        const struct jig_record *record = jig_store_record(training->store, sample);
        assert_int_equal(record->group, group);
        assert_int_equal(part[sample], 0);
        part[sample] = (int8_t)(s + 1);
        assert_true(record->image < 1000 && (part_of_image[record->image] | (s + 1)) == s + 1);
        part_of_image[record->image] = (int8_t)(s + 1);
      }
    }
  }
  assert_int_equal(seen, count);
  for (int i = 0; i < 1000; i++) {
    images += part_of_image[i] > 0;
    out += part_of_image[i] == 2;
  }
  double share = training->options.held_out, mean = share * (double)images;
  assert_true(fabs((double)out - mean) <= 5 * sqrt(mean * (1 - share)));
  free(part);
  free(part_of_image);
}

static void check_jigsaws(const struct source *source, struct rng *rng) {
  struct jig_scratch scratch = {0};
  struct image canvas = {0};
  struct error error;
  for (int round = 0; round < 6; round++) {
    uint32_t epoch = (uint32_t)below(rng, 5);
    int64_t index = (int64_t)rng_below(rng, (uint64_t)source_epoch_length(source));
    struct jig_tile tiles[JIG_REGIONS];
    bool training = source_part(source) == SOURCE_TRAINING;
    struct shot shot = render(source, epoch, index), next = render(source, epoch + 1, index);
    jig_plan(&source->assembler, training ? epoch : 0, index, tiles);
    assert_ok(jig_render(&source->assembler, tiles, &scratch, &canvas, &error), error);
    assert_memory_equal(shot.canvas.pixels, canvas.pixels, 224 * 224 * 3);
    for (int region = 0; region < JIG_REGIONS; region++) {
      assert_int_equal(shot.labels[region], tiles[region].label);
    }
    assert_int_equal(shots_equal(&shot, &next), !training); /* fresh in every epoch; held out: always the same */
    image_free(&shot.canvas);
    image_free(&next.canvas);
  }
  jig_scratch_free(&scratch);
  image_free(&canvas);
}

static void test_store(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct rng rng;
  char folder[64], path[96];
  rng_init(&rng, seed, RNG_TEST, 0, 0);
  test_scratch(folder);
  make_toy_store(path, folder, 60, seed);
  for (int round = 0; round < 4; round++) {
    struct source_options options = source_defaults(rng_u32(&rng), rng_range(&rng, 0.2, 0.6));
    struct source *training = open_source(path, false, SOURCE_TRAINING, &options);
    struct source *held_out = open_source(path, false, SOURCE_HELD_OUT, &options);
    check_parts(training, held_out);
    check_jigsaws(training, &rng);
    check_jigsaws(held_out, &rng);
    XXH128_hash_t a = source_digest(training), b = source_digest(held_out);
    assert_true(XXH128_isEqual(a, b));
    assert_int_equal(source_kind(training), SOURCE_STORE);
    assert_true(source_size(training) == 224 && source_cut(training) == 64 && source_regions(training) == 4);
    assert_int_equal(source_classes(training), TOY_CATEGORIES + 1);
    assert_string_equal(source_class_name(training, TOY_CATEGORIES), "background");
    cJSON *json;
    struct error error;
    assert_ok(source_preparation(training, &json, &error), error);
    assert_null(json); /* this store was made without the tool */
    source_close(training);
    source_close(held_out);
  }

  struct source_options options = source_defaults(seed, 0);
  REFUSED(path, false, SOURCE_HELD_OUT, &options, path, "held-out part");
  REFUSED(path, true, SOURCE_TRAINING, &options, path, "class folders");
  options.assemble.template.cut = 224;
  REFUSED(path, false, SOURCE_TRAINING, &options, "template 224:224");
  options.held_out = NAN;
  REFUSED(path, false, SOURCE_TRAINING, &options, "nan");
  options = source_defaults(seed, 0.999999999);
  REFUSED(path, false, SOURCE_TRAINING, &options, path, "to train on");
  snprintf(path, sizeof path, "%s/store/DONE", folder);
  assert_int_equal(unlink(path), 0);
  snprintf(path, sizeof path, "%s/store", folder);
  options = source_defaults(seed, 0.1);
  REFUSED(path, false, SOURCE_TRAINING, &options, path, "DONE");
  test_scratch_remove(folder);
}

/* Negatives without a class are not drawn. */
static void test_store_without_background(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  char folder[64], path[96];
  test_scratch(folder);
  struct jig_generate_options generate = store_options(seed);
  generate.background = false;
  generate.extract.sample.negatives = 1;
  write_toy_store(folder, 30, &generate);
  snprintf(path, sizeof path, "%s/store", folder);
  struct source_options options = source_defaults(seed, 0);
  struct source *source = open_source(path, false, SOURCE_TRAINING, &options);
  assert_int_equal(source_classes(source), TOY_CATEGORIES);
  assert_true(jig_store_count(source->store) > 4 * source_epoch_length(source) + 20);
  for (int64_t i = 0; i < source_epoch_length(source); i += 3) {
    struct shot shot = render(source, 0, i);
    for (int region = 0; region < JIG_REGIONS; region++) {
      assert_true(shot.labels[region] >= 0 && shot.labels[region] < TOY_CATEGORIES);
    }
    image_free(&shot.canvas);
  }
  source_close(source);
  test_scratch_remove(folder);
}

/* A store of boxes of few classes: `used` of them have a box, `named` are in the file. */
static void write_plain_store(const char *folder, int named, int used, bool background) {
  struct jig_generate_options generate = store_options(1);
  struct dataset dataset;
  struct rng rng;
  struct error error;
  char path[PATH_SIZE];
  struct buffer json = {0};
  rng_init(&rng, 1, RNG_TEST, 1, 0);
  generate.background = background;
  generate.extract.sample.negatives = background ? 0.5 : 0;
  assert_ok(path_format(path, &error, "%s/images", folder), error);
  assert_ok(directory_create(path, &error), error);
  assert_ok(buffer_printf(&json, &error, "{\"images\":["), error);
  for (int i = 0; i < 4; i++) {
    snprintf(path, sizeof path, "%s/images/%d.png", folder, i);
    write_picture(&rng, path, 64, 64);
    assert_ok(buffer_printf(&json, &error, "%s{\"id\":%d,\"file_name\":\"%d.png\",\"width\":64,\"height\":64}",
                            i ? "," : "", i, i),
              error);
  }
  assert_ok(buffer_printf(&json, &error, "],\"categories\":["), error);
  for (int i = 0; i < named; i++) {
    assert_ok(buffer_printf(&json, &error, "%s{\"id\":%d,\"name\":\"n%d\"}", i ? "," : "", i, i), error);
  }
  assert_ok(buffer_printf(&json, &error, "],\"annotations\":["), error);
  for (int i = 0; used > 0 && i < 8; i++) {
    assert_ok(buffer_printf(&json, &error,
                            "%s{\"id\":%d,\"image_id\":%d,\"category_id\":%d,\"bbox\":[%d,8,12,%d],\"iscrowd\":0}",
                            i ? "," : "", i + 1, i % 4, i % used, 4 * i, 10 + i),
              error);
  }
  assert_ok(buffer_printf(&json, &error, "]}"), error);
  snprintf(path, sizeof path, "%s/plain.json", folder);
  write_bytes(path, json.data, json.size);
  buffer_free(&json);
  char images[PATH_SIZE], store[PATH_SIZE];
  snprintf(images, sizeof images, "%s/images", folder);
  snprintf(store, sizeof store, "%s/store", folder);
  assert_ok(dataset_load(&dataset, path, images, NULL, &error), error);
  write_store(&dataset, &generate, store);
  dataset_free(&dataset);
}

static void test_stores_refused(void **state) {
  (void)state;
  static const struct {
    int named, used;
    bool background;
    const char *word; /* of the message; NULL: is accepted */
  } CASES[] = {{2, 2, false, NULL},        {1, 1, true, NULL},        {1, 1, false, "1 class,"},
               {3, 1, false, "one class"}, {2, 0, false, "is empty"}, {3, 2, true, NULL}};
  for (size_t i = 0; i < COUNT_OF(CASES); i++) {
    struct source_options options = source_defaults(5, 0);
    char folder[64], path[96];
    test_scratch(folder);
    write_plain_store(folder, CASES[i].named, CASES[i].used, CASES[i].background);
    snprintf(path, sizeof path, "%s/store", folder);
    if (CASES[i].word) {
      REFUSED(path, false, SOURCE_TRAINING, &options, path, CASES[i].word);
    } else {
      source_close(open_source(path, false, SOURCE_TRAINING, &options));
    }
    test_scratch_remove(folder);
  }
  struct source_options options = source_defaults(5, 0);
  REFUSED("/nowhere/at/all", false, SOURCE_TRAINING, &options, "/nowhere/at/all", "no such folder");
  REFUSED("/", false, SOURCE_TRAINING, &options, "neither a sample store nor a jigsaw data set");
}

/* ---- written jigsaws ---- */

/* Which written jigsaw a shot shows; it is taken off the list. */
static int64_t find_jigsaw(const char *folder, int64_t count, bool *taken, const struct shot *shot) {
  struct image image = {0};
  struct buffer file = {0};
  struct error error;
  char path[PATH_SIZE];
  int64_t found = -1;
  for (int64_t i = 0; found < 0 && i < count; i++) {
    snprintf(path, sizeof path, "%s/images/%04lld/%08lld.jpg", folder, (long long)(i / jig_run_length(count)),
             (long long)i);
    assert_ok(file_read(&file, path, &error), error);
    assert_ok(image_decode(file.data, file.size, NULL, image_memory_share(1), &image, &error), error);
    if (!taken[i] && !memcmp(image.pixels, shot->canvas.pixels, 224 * 224 * 3)) found = i;
  }
  assert_true(found >= 0);
  taken[found] = true;
  image_free(&image);
  buffer_free(&file);
  return found;
}

static void check_written(const char *store_folder, const struct jig_generate_options *generate, int64_t count,
                          struct rng *rng) {
  struct source_options options = source_defaults(rng_u32(rng), 0.3);
  struct jig_store *store = open_store(store_folder);
  struct jig_assembler assembler;
  struct error error;
  char folder[128];
  bool *taken = calloc((size_t)count, sizeof *taken);
  int64_t seen = 0;
  int missing = 0;
  assert_ok(jig_assembler_init(&assembler, store, &generate->assemble, &error), error);
  snprintf(folder, sizeof folder, "%s/jigsaws", store_folder);
  for (int part = 0; part < 2; part++) {
    struct source *source = open_source(folder, false, part, &options);
    assert_int_equal(source_kind(source), SOURCE_JIGSAWS);
    assert_true(source_size(source) == 224 && source_cut(source) == 64);
    assert_int_equal(source_classes(source), jig_store_labels(store));
    for (int64_t i = 0; i < source_epoch_length(source); i++, seen++) {
      struct shot shot = render(source, 3, i);
      struct jig_tile tiles[JIG_REGIONS];
      jig_plan(&assembler, 0, find_jigsaw(folder, count, taken, &shot), tiles);
      for (int region = 0; region < JIG_REGIONS; region++) {
        assert_int_equal(shot.labels[region], tiles[region].label);
        missing += shot.labels[region] < 0;
      }
      image_free(&shot.canvas);
    }
    source_close(source);
  }
  assert_int_equal(seen, count); /* in one part or the other, each once an epoch */
  assert_int_equal(missing > 0, !generate->background);
  free(taken);
  jig_store_close(store);
}

/* Replaces the first `from` of the annotations by `to`. */
static void edit(const char *folder, const char *from, const char *to) {
  struct buffer file = {0}, changed = {0};
  struct error error;
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/annotations/instances.json", folder);
  assert_ok(file_read(&file, path, &error), error);
  assert_ok(buffer_append(&file, "", 1, &error), error);
  char *at = strstr((char *)file.data, from);
  assert_non_null(at);
  assert_ok(buffer_append(&changed, file.data, (size_t)(at - (char *)file.data), &error), error);
  assert_ok(buffer_append(&changed, to, strlen(to), &error), error);
  at += strlen(from);
  assert_ok(buffer_append(&changed, at, strlen(at), &error), error);
  write_bytes(path, changed.data, changed.size);
  buffer_free(&file);
  buffer_free(&changed);
}

/* Of the images of an epoch one cannot be read, and the message names it. */
static void check_one_fails(const struct source *source, int64_t images, const char *name) {
  struct source_scratch *scratch;
  struct image canvas = {0};
  struct error error = {0};
  int32_t labels[JIG_REGIONS];
  int failures = 0;
  assert_ok(source_scratch_create(&scratch, &error), error);
  for (int64_t i = 0; i < images; i++) {
    failures += source_render(source, 0, i, scratch, &canvas, labels, &error) != 0;
  }
  assert_int_equal(failures, 1);
  assert_non_null(strstr(error.message, name));
  source_scratch_free(scratch);
  image_free(&canvas);
}

static void test_written_jigsaws(void **state) {
  (void)state;
  enum { JIGSAWS = 40 };
  uint64_t seed = test_seed();
  struct rng rng;
  char folder[64], path[96], jigsaws[128], picture[192];
  struct source_options options = source_defaults(seed, 0);
  rng_init(&rng, seed, RNG_TEST, 2, 0);
  for (int background = 0; background < 2; background++) {
    struct jig_generate_options generate = store_options(seed);
    struct progress progress;
    struct error error;
    int64_t written;
    test_scratch(folder);
    generate.background = background;
    generate.jigsaws = JIGSAWS;
    generate.extract.sample.negatives = 0.5;
    write_toy_store(folder, 20, &generate);
    snprintf(path, sizeof path, "%s/store", folder);
    struct jig_store *store = open_store(path);
    progress_start(&progress, NULL, "jigsaws", "img", JIGSAWS);
    assert_ok(jig_write_jigsaws(store, &generate, path, &progress, &written, &error), error);
    jig_store_close(store);
    check_written(path, &generate, JIGSAWS, &rng);
    if (!background) test_scratch_remove(folder);
  }
  snprintf(jigsaws, sizeof jigsaws, "%s/jigsaws", path);
  REFUSED(jigsaws, true, SOURCE_TRAINING, &options, jigsaws, "class folders");
  snprintf(picture, sizeof picture, "%s/images/0000/00000003.jpg", jigsaws);
  struct source *source = open_source(jigsaws, false, SOURCE_TRAINING, &options);
  write_picture(&rng, picture, 100, 224); /* named in the message when its turn comes */
  check_one_fails(source, JIGSAWS, picture);
  source_close(source);

  assert_int_equal(unlink(picture), 0);
  source = open_source(jigsaws, false, SOURCE_TRAINING, &options);
  check_one_fails(source, JIGSAWS, picture);
  source_close(source);
  write_picture(&rng, picture, 224, 224);
  edit(jigsaws, "\"width\":224", "\"width\":220");
  REFUSED(jigsaws, false, SOURCE_TRAINING, &options, "instances.json", "220");
  edit(jigsaws, "\"width\":220", "\"width\":224");
  edit(jigsaws, "\"region\":[0,0,64,64]", "\"region\":[0,0,32,32]");
  REFUSED(jigsaws, false, SOURCE_TRAINING, &options, "instances.json", "template 224:32");
  edit(jigsaws, "\"region\":[0,0,32,32]", "\"region\":[0,0,224,224]");
  REFUSED(jigsaws, false, SOURCE_TRAINING, &options, "instances.json", "template 224:224");
  edit(jigsaws, "\"region\":[0,0,224,224]", "\"region\":[0,0,224]");
  REFUSED(jigsaws, false, SOURCE_TRAINING, &options, "instances.json", "fewer than four");
  edit(jigsaws, "\"region\":[0,0,224]", "\"region\":[0,0,64,64,1]");
  REFUSED(jigsaws, false, SOURCE_TRAINING, &options, "instances.json", "more than four");
  edit(jigsaws, "\"region\":[0,0,64,64,1]", "\"area\":1");
  REFUSED(jigsaws, false, SOURCE_TRAINING, &options, "instances.json", "\"region\"");
  test_scratch_remove(folder);
}

/* ---- class folders ---- */

static void test_crop_distribution(void **state) {
  (void)state;
  enum { CROPS = 40000, BINS = 20, SIDE = 4000 };
  int64_t areas[BINS] = {0}, aspects[BINS] = {0}, xs[BINS] = {0}, ys[BINS] = {0};
  struct rng rng;
  rng_init(&rng, test_seed(), RNG_TEST, 3, 0);
  for (int i = 0; i < CROPS; i++) {
    struct rect crop = source_random_crop(&rng, SIDE, SIDE);
    assert_true(crop.x >= 0 && crop.y >= 0 && crop.x + crop.w <= SIDE && crop.y + crop.h <= SIDE);
    double area = (double)crop.w * crop.h / SIDE / SIDE, aspect = (double)crop.w / crop.h;
    assert_true(area >= 0.0799 && area <= 1 && aspect >= 0.749 && aspect <= 1.335);
    if (!(area > 0.08 && area < 0.7)) continue; /* larger ones may not fit, and be drawn again */
    int bins[4] = {(int)((area - 0.08) / 0.62 * BINS), (int)((log(aspect) - log(0.75)) / (2 * log(4.0 / 3)) * BINS),
                   (int)((double)crop.x / (SIDE - crop.w + 1) * BINS),
                   (int)((double)crop.y / (SIDE - crop.h + 1) * BINS)};
    int64_t *histograms[4] = {areas, aspects, xs, ys};
    for (int k = 0; k < 4; k++) {
      histograms[k][bins[k] < 0 ? 0 : bins[k] < BINS ? bins[k] : BINS - 1]++;
    }
  }
  check_uniform(areas, BINS, "area");
  check_uniform(aspects, BINS, "logarithm of the aspect");
  check_uniform(xs, BINS, "x");
  check_uniform(ys, BINS, "y");
  for (int side = 1; side < 300; side++) { /* too thin: the middle, as wide as 3/4 or 4/3 allow */
    struct rect wide = source_random_crop(&rng, 100 * side, side), tall = source_random_crop(&rng, side, 100 * side);
    assert_true(wide.h == side && wide.w == (int)rint(side * (4.0 / 3)) && wide.y == 0);
    assert_int_equal(wide.x, (100 * side - wide.w) / 2);
    assert_true(tall.w == side && tall.h == (int)rint(side / 0.75) && tall.x == 0);
    assert_int_equal(tall.y, (100 * side - tall.h) / 2);
  }
}

/* The shot against a full decode and a full resize of `crop` of it to width x height, of which the part from left, top
 * on is shown. */
static bool shows(const struct shot *shot, const struct image *picture, const struct rect *crop, int width, int height,
                  int left, int top, bool flip) {
  struct image part = {crop->w, crop->h, reference_memory((size_t)crop->w * (size_t)crop->h * 3)};
  for (int y = 0; y < crop->h; y++) {
    memcpy(part.pixels + (size_t)y * (size_t)crop->w * 3,
           picture->pixels + 3 * ((size_t)(crop->y + y) * (size_t)picture->width + (size_t)crop->x),
           (size_t)crop->w * 3);
  }
  double *expected = reference_resize(&part, width, height), worst = 0;
  int size = shot->canvas.width;
  for (int i = 0; i < size * size * 3; i++) {
    int x = i / 3 % size, y = i / 3 / size;
    int from = left + (flip ? size - 1 - x : x);
    worst = fmax(worst, fabs(expected[3 * ((top + y) * width + from) + i % 3] - shot->canvas.pixels[i]));
  }
  free(expected);
  image_free(&part);
  return worst <= 1.5;
}

static struct image load_picture(const struct source *source, const char *name) {
  struct buffer file = {0};
  struct image image = {0};
  struct error error;
  char path[PATH_SIZE];
  snprintf(path, sizeof path, "%s/%s", source->folder, name);
  assert_ok(file_read(&file, path, &error), error);
  assert_ok(image_decode(file.data, file.size, NULL, image_memory_share(1), &image, &error), error);
  buffer_free(&file);
  return image;
}

static void check_training_shot(const struct source *source, uint32_t epoch, int64_t index, int *uses, int *flips) {
  const struct source_picture *picture;
  struct buffer file = {0};
  struct error error;
  struct rng rng;
  struct shot shot = render(source, epoch, index);
  assert_ok(source_read_picture(source, epoch, index, &file, &picture, &error), error);
  uses[picture - source->pictures]++;
  assert_int_equal(shot.labels[0], picture->name[strlen("class_")] - 'a');
  struct image image = load_picture(source, picture->name);
  rng_init(&rng, source->options.seed, RNG_CROP, epoch, (uint64_t)index);
  struct rect crop = source_random_crop(&rng, image.width, image.height);
  bool flip = rng_uniform(&rng) < 0.5;
  *flips += flip;
  assert_true(shows(&shot, &image, &crop, source->size, source->size, 0, 0, flip));
  image_free(&image);
  image_free(&shot.canvas);
  buffer_free(&file);
}

static void check_held_out_shot(const struct source *source, int64_t index) {
  int size = source->size, shorter = (int)lround(size * 256 / 224.0);
  struct shot shot = render(source, (uint32_t)index, index);
  struct image image = load_picture(source, source->pictures[index].name);
  struct rect whole = {0, 0, image.width, image.height};
  int least = image.width < image.height ? image.width : image.height;
  int width = (int)((int64_t)shorter * image.width / least), height = (int)((int64_t)shorter * image.height / least);
  assert_int_equal(shot.labels[0], source->pictures[index].labels[0]);
  assert_true(shows(&shot, &image, &whole, width, height, (int)rint((width - size) / 2.0),
                    (int)rint((height - size) / 2.0), false));
  image_free(&image);
  image_free(&shot.canvas);
}

static void test_class_folders(void **state) {
  (void)state;
  enum { CLASSES = 5, EACH = 12 };
  uint64_t seed = test_seed();
  struct rng rng;
  char folder[64], path[96];
  int uses[CLASSES * EACH] = {0}, flips = 0;
  rng_init(&rng, seed, RNG_TEST, 4, 0);
  test_scratch(folder);
  write_class_folders(&rng, folder, CLASSES, EACH);
  snprintf(path, sizeof path, "%s/readme.txt", folder); /* no class */
  write_bytes(path, "x", 1);
  struct source_options options = source_defaults(seed, 0.25);
  options.assemble.template.size = 56;
  struct source *training = open_source(folder, true, SOURCE_TRAINING, &options);
  struct source *held_out = open_source(folder, true, SOURCE_HELD_OUT, &options);
  assert_true(source_classes(training) == CLASSES && source_regions(training) == 1 && source_cut(training) == 0);
  assert_string_equal(source_class_name(training, 1), "class_b");
  int64_t length = source_epoch_length(training);
  assert_int_equal(length + source_epoch_length(held_out), CLASSES * EACH);
  for (size_t i = 0; i < training->picture_count; i++) {
    for (size_t k = 0; k < held_out->picture_count; k++) {
      assert_string_not_equal(training->pictures[i].name, held_out->pictures[k].name);
    }
  }
  for (uint32_t epoch = 0; epoch < 2; epoch++) {
    for (int64_t i = 0; i < length; i++) {
      check_training_shot(training, epoch, i, uses, &flips);
    }
    for (int64_t i = 0; i < length; i++) {
      assert_int_equal(uses[i], epoch + 1);
    }
  }
  assert_true(fabs(flips - (double)length) <= 5 * sqrt((double)length / 2));
  for (int64_t i = 0; i < source_epoch_length(held_out); i++) {
    check_held_out_shot(held_out, i);
  }
  XXH128_hash_t before = source_digest(training), other = source_digest(held_out);
  assert_true(XXH128_isEqual(before, other));
  source_close(training);
  source_close(held_out);

  snprintf(path, sizeof path, "%s/class_c/%03d.jpg", folder, 2);
  write_bytes(path, "not a picture", 13); /* found when its turn comes, but the data are not the same */
  options.held_out = 0;
  training = open_source(folder, true, SOURCE_TRAINING, &options);
  XXH128_hash_t after = source_digest(training);
  assert_false(XXH128_isEqual(before, after));
  struct error error;
  check_one_fails(training, CLASSES * EACH, path);
  source_close(training);

  snprintf(path, sizeof path, "%s/class_z", folder);
  assert_ok(directory_create(path, &error), error);
  REFUSED(folder, true, SOURCE_TRAINING, &options, path, "no pictures");
  snprintf(path, sizeof path, "%s/class_z/deep", folder);
  assert_ok(directory_create(path, &error), error);
  snprintf(path, sizeof path, "%s/class_z/deep/x.jpg", folder);
  write_bytes(path, "x", 1);
  REFUSED(folder, true, SOURCE_TRAINING, &options, "class_z: pictures only in folders below", "are these the classes");
  snprintf(path, sizeof path, "%s/class_a", folder);
  REFUSED(path, true, SOURCE_TRAINING, &options, path, "no class folders");
  REFUSED(folder, false, SOURCE_TRAINING, &options, folder, "neither");
  options.assemble.template.size = 0;
  REFUSED(folder, true, SOURCE_TRAINING, &options, "image size 0");
  test_scratch_remove(folder);
}

/* All that is found in the pictures of a folder, in any order. */
static void check_faults(const struct source *source, const char *const *paths, size_t count,
                         struct source_faults *faults) {
  struct progress progress = {0};
  struct error error;
  *faults = (struct source_faults){0};
  assert_ok(source_check(source, 3, &progress, faults, &error), error);
  assert_int_equal(faults->count, count);
  for (size_t i = 0; i < count; i++) {
    bool found = false;
    for (size_t k = 0; k < count; k++) {
      found |= !strncmp(faults->items[k].message, paths[i], strlen(paths[i]));
    }
    if (!found) fail_msg("%s is not among the faults", paths[i]);
  }
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

/* Damaged, empty, of another kind, or not there: found, all of them, and nothing else; left out, the digest is the same
 * whatever becomes of them. What cannot be read is not broken. */
static void test_broken_pictures(void **state) {
  (void)state;
  enum { CLASSES = 3, EACH = 10, BROKEN = 5 };
  struct rng rng;
  struct error error;
  struct buffer file = {0};
  char folder[64], paths[BROKEN + 1][PATH_SIZE];
  const char *names[BROKEN];
  rng_init(&rng, test_seed(), RNG_TEST, 5, 0);
  test_scratch(folder);
  write_class_folders(&rng, folder, CLASSES, EACH);
  for (int i = 0; i <= BROKEN; i++) {
    snprintf(paths[i], PATH_SIZE, "%s/class_%c/%03d.jpg", folder, 'a' + i % CLASSES, i / CLASSES * 2);
    if (i < BROKEN) names[i] = paths[i];
  }
  assert_ok(file_read(&file, paths[0], &error), error);
  write_bytes(paths[0], file.data, file.size / 2);
  write_bytes(paths[1], "", 0);
  write_bytes(paths[2], "not a picture", 13);
  assert_int_equal(unlink(paths[3]) || symlink("nowhere", paths[3]), 0);
  assert_int_equal(unlink(paths[4]) || mkfifo(paths[4], 0600), 0);

  struct source_options options = source_defaults(1, 0);
  struct source_faults faults;
  struct source *source = open_source(folder, true, SOURCE_TRAINING, &options);
  check_faults(source, names, BROKEN, &faults);
  source_close(source);
  uint64_t keys[BROKEN];
  for (int i = 0; i < BROKEN; i++) {
    keys[i] = faults.items[i].key;
  }
  qsort(keys, BROKEN, sizeof *keys, ascending);
  source_faults_free(&faults);

  options.left_out = keys;
  options.left_out_count = BROKEN;
  source = open_source(folder, true, SOURCE_TRAINING, &options);
  XXH128_hash_t digest = source_digest(source);
  assert_int_equal(source_epoch_length(source), CLASSES * EACH - BROKEN);
  check_faults(source, NULL, 0, &faults);
  source_faults_free(&faults);
  source_close(source);

  write_bytes(paths[0], file.data, file.size); /* mended, and removed */
  assert_int_equal(unlink(paths[4]), 0);
  source = open_source(folder, true, SOURCE_TRAINING, &options);
  XXH128_hash_t mended = source_digest(source);
  assert_true(XXH128_isEqual(digest, mended));
  source_close(source);

  assert_int_equal(unlink(paths[5]) || symlink("/proc/self/mem", paths[5]), 0); /* an I/O error */
  source = open_source(folder, true, SOURCE_TRAINING, &options);
  struct progress progress = {0};
  assert_int_equal(source_check(source, 3, &progress, &faults, &error), -1);
  assert_true(error.machine && faults.count == 0);
  source_faults_free(&faults);
  source_close(source);
  buffer_free(&file);
  test_scratch_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_store),
      cmocka_unit_test(test_store_without_background),
      cmocka_unit_test(test_stores_refused),
      cmocka_unit_test(test_written_jigsaws),
      cmocka_unit_test(test_crop_distribution),
      cmocka_unit_test(test_class_folders),
      cmocka_unit_test(test_broken_pictures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
