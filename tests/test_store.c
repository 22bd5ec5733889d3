/* Sample stores: every sample of every kind of source has the very pixels of its rectangle in the source, and its
 * record says what was sampled. */
#include "tests/reference.h"

#include "tests/test_support.h"

#include "tests/dataset_support.h"
#include "tests/store_support.h"

enum { PICTURES = 70, BOXES = 6, CATEGORIES = 3, SIDE = 260 };

static int below(struct rng *rng, int count) {
  return (int)rng_below(rng, (uint64_t)count);
}

static bool chance(struct rng *rng, double probability) {
  return rng_uniform(rng) < probability;
}

/* ---- sources ---- */

static struct image random_picture(struct rng *rng) {
  int width = 1 + below(rng, SIDE), height = 1 + below(rng, SIDE);
  struct image picture = {width, height, reference_memory((size_t)width * (size_t)height * 4)}; /* room for CMYK */
  double noise = rng_range(rng, 0, 40);
  for (int i = 0; i < width * height * 4; i++) {
    int x = i / 4 % width, y = i / 4 / width, channel = i % 4;
    double wave = 128 + 80 * sin(x * 0.1 + channel) * cos(y * (0.05 + channel * 0.03));
    picture.pixels[i] = (uint8_t)(wave + noise * rng_uniform(rng));
  }
  return picture;
}

/* What an APP1 segment with the orientation, in one of its two byte orders, looks like. */
static void write_orientation(struct jpeg_compress_struct *target, int orientation, bool big) {
  uint8_t big_endian[] = "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\0\0\0\0\0\0\0";
  uint8_t little_endian[] = "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0";
  big_endian[25] = little_endian[24] = (uint8_t)orientation;
  jpeg_write_marker(target, JPEG_APP0 + 1, big ? big_endian : little_endian, sizeof big_endian - 1);
}

/* A JPEG of some colour space, sampling, coding and orientation. */
static void write_jpeg(struct rng *rng, const struct image *picture, int orientation, const char *path) {
  static const J_COLOR_SPACE SPACES[] = {JCS_RGB, JCS_RGB, JCS_RGB, JCS_GRAYSCALE, JCS_CMYK};
  static const int SAMPLING[][2] = {{1, 1}, {2, 1}, {2, 2}, {2, 2}, {1, 2}, {4, 1}};
  struct jpeg_compress_struct target;
  struct jpeg_error_mgr manager;
  uint8_t *bytes = NULL, *row = picture->pixels;
  unsigned long size = 0;
  target.err = jpeg_std_error(&manager);
  jpeg_create_compress(&target);
  jpeg_mem_dest(&target, &bytes, &size);
  target.in_color_space = SPACES[below(rng, COUNT_OF(SPACES))];
  target.input_components = target.in_color_space == JCS_RGB ? 3 : target.in_color_space == JCS_CMYK ? 4 : 1;
  target.image_width = (JDIMENSION)picture->width;
  target.image_height = (JDIMENSION)picture->height;
  jpeg_set_defaults(&target);
  jpeg_set_quality(&target, 30 + below(rng, 71), TRUE);
  const int *sampling = SAMPLING[below(rng, COUNT_OF(SAMPLING))];
  target.comp_info[0].h_samp_factor = sampling[0];
  target.comp_info[0].v_samp_factor = sampling[1];
  if (chance(rng, 0.3)) target.restart_interval = 1 + (unsigned)below(rng, 9);
  if (chance(rng, 0.2)) target.arith_code = TRUE;
  if (chance(rng, 0.3)) jpeg_simple_progression(&target);
  jpeg_start_compress(&target, TRUE);
  if (orientation > 0) write_orientation(&target, orientation, below(rng, 2));
  while (target.next_scanline < target.image_height) {
    jpeg_write_scanlines(&target, &row, 1);
    row += picture->width * target.input_components;
  }
  jpeg_finish_compress(&target);
  jpeg_destroy_compress(&target);
  write_bytes(path, bytes, size);
  free(bytes);
}

/* A data set in memory, its pictures in a folder. */
struct scenery {
  char folder[64], names[PICTURES][16];
  struct dataset dataset;
  struct dataset_image images[PICTURES];
  struct dataset_box boxes[PICTURES * BOXES];
  struct dataset_category categories[CATEGORIES];
  int broken;
};

static void random_boxes(struct rng *rng, struct scenery *scenery, struct dataset_image *image, int width, int height) {
  image->first_box = scenery->dataset.box_count;
  image->box_count = below(rng, BOXES + 1);
  for (int i = 0; i < image->box_count; i++) {
    float w = (float)(rng_uniform(rng) * width) + 0.5f, h = (float)(rng_uniform(rng) * height) + 0.5f;
    struct dataset_box *box = &scenery->boxes[scenery->dataset.box_count++];
    *box = (struct dataset_box){.id = scenery->dataset.box_count, .w = w, .h = h, .category = below(rng, CATEGORIES)};
    box->x = (float)rng_range(rng, -0.3 * w, width - 0.7 * w);
    box->y = (float)rng_range(rng, -0.3 * h, height - 0.7 * h);
    if (chance(rng, 0.05)) box->flags = DATASET_CROWD;
    if (chance(rng, 0.03)) box->w = NAN;
  }
}

/* Cut short, gone, or of another size than annotated. */
static void break_picture(struct rng *rng, struct scenery *scenery, struct dataset_image *image, const char *path) {
  struct buffer bytes = {0};
  struct error error;
  scenery->broken++;
  switch (below(rng, 3)) {
  case 0:
    assert_ok(file_read(&bytes, path, &error), error);
    write_bytes(path, bytes.data, (size_t)below(rng, 25)); /* less than a header */
    buffer_free(&bytes);
    return;
  case 1:
    assert_ok(file_remove_tree(path, &error), error);
    return;
  default:
    image->width = SIDE + 1;
    image->height = SIDE + 2;
  }
}

static void make_picture(struct rng *rng, struct scenery *scenery, int number, enum jig_exif exif) {
  struct dataset_image *image = &scenery->images[number];
  struct image picture = random_picture(rng);
  struct buffer png = {0};
  struct error error;
  char path[96];
  bool jpeg = chance(rng, 0.8);
  int orientation = below(rng, 9);
  bool said = exif == JIG_EXIF_AUTO && chance(rng, 0.3), sized = chance(rng, 0.7);
  bool told_by_size = exif == JIG_EXIF_AUTO && sized && picture.width != picture.height && chance(rng, 0.5);
  bool turned = (exif == JIG_EXIF_ON || said || told_by_size) && jpeg && orientation >= 5;
  int width = turned ? picture.height : picture.width, height = turned ? picture.width : picture.height;
  snprintf(scenery->names[number], sizeof scenery->names[number], "%d.%s", number, jpeg ? "jpg" : "png");
  snprintf(path, sizeof path, "%s/%s", scenery->folder, scenery->names[number]);
  *image = (struct dataset_image){.id = 3 * number + 1, .file_name = scenery->names[number], .folder = scenery->folder};
  image->upright = said;
  if (sized) image->width = width, image->height = height;
  random_boxes(rng, scenery, image, width, height);
  if (jpeg) {
    write_jpeg(rng, &picture, orientation, path);
  } else {
    assert_ok(image_encode_png(&picture, &png, &error), error);
    write_bytes(path, png.data, png.size);
  }
  if (chance(rng, 0.06)) break_picture(rng, scenery, image, path);
  buffer_free(&png);
  image_free(&picture);
}

static void make_scenery(struct rng *rng, struct scenery *scenery, enum jig_exif exif) {
  scenery->broken = 0;
  for (int i = 0; i < CATEGORIES; i++) {
    scenery->categories[i] = (struct dataset_category){.id = 10 - i, .name = &"cat\0dog\0owl"[4 * i]};
  }
  scenery->dataset = (struct dataset){.categories = scenery->categories,
                                      .images = scenery->images,
                                      .boxes = scenery->boxes,
                                      .category_count = CATEGORIES};
  for (int i = 0; i < PICTURES; i++) {
    make_picture(rng, scenery, i, exif);
  }
  scenery->dataset.image_count = PICTURES;
}

/* ---- the picture as it should be seen ---- */

/* EXIF orientation as the standard words it: where the upright pixel (u, v) is in the stored picture. */
static void stored_place(int orientation, int width, int height, int u, int v, int *x, int *y) {
  int right = width - 1, bottom = height - 1;
  const int places[9][2] = {{u, v}, {u, v},          {right - u, v},          {right - u, bottom - v}, {u, bottom - v},
                            {v, u}, {v, bottom - u}, {right - v, bottom - u}, {right - v, u}};
  *x = places[orientation][0];
  *y = places[orientation][1];
}

static struct image turn(const struct image *stored, int orientation) {
  bool turned = orientation >= 5;
  struct image upright = {turned ? stored->height : stored->width, turned ? stored->width : stored->height, NULL};
  upright.pixels = reference_memory((size_t)upright.width * (size_t)upright.height * 3);
  for (int v = 0; v < upright.height; v++) {
    for (int u = 0; u < upright.width; u++) {
      int x, y;
      stored_place(orientation, stored->width, stored->height, u, v, &x, &y);
      memcpy(upright.pixels + 3 * ((size_t)v * (size_t)upright.width + (size_t)u),
             stored->pixels + 3 * ((size_t)y * (size_t)stored->width + (size_t)x), 3);
    }
  }
  return upright;
}

/* The orientation that boxes are annotated in. */
static int annotated_orientation(const struct dataset_image *image, const struct image_info *info, enum jig_exif exif) {
  bool fits = image->width == info->width && image->height == info->height;
  bool turned_fits = image->width == info->height && image->height == info->width;
  bool told = info->orientation >= 5 && turned_fits && !fits;
  return exif == JIG_EXIF_ON || (exif == JIG_EXIF_AUTO && (image->upright || told)) ? info->orientation : 1;
}

/* False for a picture that cannot be read. `lossless`: its samples are the source's own pixels. */
static bool read_upright(const struct dataset *dataset, int64_t number, enum jig_exif exif, struct image *upright,
                         int *orientation, bool *lossless) {
  struct buffer bytes = {0};
  struct image_info info;
  struct error error;
  char path[PATH_SIZE];
  const struct dataset_image *image = &dataset->images[number];
  assert_ok(path_format(path, &error, "%s/%s", image->folder, image->file_name), error);
  bool sound = file_read(&bytes, path, &error) == 0 && image_probe(bytes.data, bytes.size, &info, &error) == 0;
  if (sound) {
    struct image stored = {0};
    *orientation = annotated_orientation(image, &info, exif);
    *lossless = info.format == IMAGE_JPEG;
    if (*lossless) {
      stored = reference_decode(bytes.data, bytes.size);
    } else {
      assert_ok(image_decode(bytes.data, bytes.size, NULL, image_memory_share(1), &stored, &error), error);
    }
    *upright = turn(&stored, *orientation);
    image_free(&stored);
    sound = image->width == 0 || (image->width == upright->width && image->height == upright->height);
    if (!sound) image_free(upright);
  }
  buffer_free(&bytes);
  return sound;
}

/* ---- properties of a store ---- */

/* The largest difference between `part` of the picture and `found`. */
static int difference(const struct image *picture, struct rect part, const struct image *found) {
  int most = 0;
  assert_true(found->width == part.w && found->height == part.h);
  for (int y = 0; y < part.h; y++) {
    const uint8_t *a = picture->pixels + 3 * ((size_t)(part.y + y) * (size_t)picture->width + (size_t)part.x);
    const uint8_t *b = found->pixels + 3 * (size_t)y * (size_t)part.w;
    for (int i = 0; i < part.w * 3; i++) {
      int here = abs(a[i] - b[i]);
      if (here > most) most = here;
    }
  }
  return most;
}

static struct rect random_part(struct rng *rng, int width, int height) {
  int x = below(rng, width), y = below(rng, height);
  return (struct rect){x, y, 1 + below(rng, width - x), 1 + below(rng, height - y)};
}

struct inspection {
  const struct dataset *dataset;
  const struct jig_generate_options *options;
  const struct jig_store *store;
  struct jig_quota quota;
  struct rng rng;
  struct image picture, whole, part;
  int orientation;
  bool lossless;
  int64_t next;   /* store index */
  int64_t broken; /* pictures */
};

static void check_record(const struct inspection *look, int64_t image, const struct jig_sample *sample) {
  const struct jig_record *record = jig_store_record(look->store, look->next);
  bool negative = sample->category < 0, turned = look->orientation >= 5;
  assert_int_equal(record->image, image);
  assert_int_equal(record->image_id, look->dataset->images[image].id);
  assert_int_equal(record->annotation_id, sample->annotation_id);
  assert_int_equal(record->negative, negative);
  assert_int_equal(record->label, negative ? jig_store_background(look->store) : sample->category);
  assert_int_equal(record->orientation, look->orientation);
  assert_int_equal(record->group, jig_group_of(sample->rect.w, sample->rect.h));
  assert_memory_equal(record->source, &sample->rect, sizeof record->source);
  assert_int_equal(record->inner[2], turned ? sample->rect.h : sample->rect.w);
  assert_int_equal(record->inner[3], turned ? sample->rect.w : sample->rect.h);
  for (int i = 0; i < 4; i++) {
    assert_true(record->box[i] == (float)sample->box[i]);
  }
}

static void check_pixels(struct inspection *look, const struct jig_sample *sample) {
  struct error error;
  const uint8_t *bytes;
  size_t size;
  assert_ok(jig_store_decode(look->store, look->next, NULL, &look->whole, &error), error);
  int most = difference(&look->picture, sample->rect, &look->whole);
  if (most > (look->lossless ? 0 : 6)) fail_msg("sample %lld differs by %d levels", (long long)look->next, most);
  struct rect part = random_part(&look->rng, sample->rect.w, sample->rect.h);
  assert_ok(jig_store_decode(look->store, look->next, &part, &look->part, &error), error);
  assert_int_equal(difference(&look->whole, part, &look->part), 0);

  /* As someone without this library would: decode the JPEG, cut, turn. */
  const struct jig_record *record = jig_store_record(look->store, look->next);
  jig_store_jpeg(look->store, look->next, &bytes, &size);
  struct image stored = reference_decode(bytes, size), cut = {record->inner[2], record->inner[3], NULL};
  assert_true(record->inner[0] + cut.width <= stored.width && record->inner[1] + cut.height <= stored.height);
  cut.pixels = reference_memory((size_t)cut.width * (size_t)cut.height * 3);
  for (int y = 0; y < cut.height; y++) {
    size_t from = (size_t)(record->inner[1] + y) * (size_t)stored.width + (size_t)record->inner[0];
    memcpy(cut.pixels + (size_t)y * (size_t)cut.width * 3, stored.pixels + from * 3, (size_t)cut.width * 3);
  }
  struct image upright = turn(&cut, record->orientation);
  assert_int_equal(difference(&upright, (struct rect){0, 0, upright.width, upright.height}, &look->whole), 0);
  image_free(&upright);
  image_free(&cut);
  image_free(&stored);
}

static void check_image(struct inspection *look, int64_t image, struct jig_samples *samples,
                        struct jig_sample_counts *counts) {
  struct error error;
  if (!read_upright(look->dataset, image, (enum jig_exif)look->options->extract.exif, &look->picture,
                    &look->orientation, &look->lossless)) {
    look->broken++;
    return;
  }
  assert_ok(jig_sample_image(look->dataset, image, look->picture.width, look->picture.height,
                             &look->options->extract.sample, jig_quota_more(&look->quota, image), samples, counts,
                             &error),
            error);
  for (size_t i = 0; i < samples->count; i++) {
    assert_true(look->next < jig_store_count(look->store));
    check_record(look, image, &samples->items[i]);
    check_pixels(look, &samples->items[i]);
    look->next++;
  }
  image_free(&look->picture);
}

/* Every sample is in the list of its group, in order, and in no other; shards follow each other. */
static void check_lists(const struct jig_store *store) {
  int64_t total = 0, first = 0;
  for (int group = 0; group < JIG_GROUPS; group++) {
    int64_t count = jig_store_group_count(store, group), last = -1;
    for (int64_t i = 0; i < count; i++) {
      int64_t item = jig_store_group_item(store, group, i);
      assert_true(item > last && item < jig_store_count(store));
      assert_int_equal(jig_store_record(store, item)->group, group);
      last = item;
    }
    total += count;
  }
  assert_int_equal(total, jig_store_count(store));
  for (int64_t i = 0; i < jig_store_shard_count(store); i++) {
    assert_int_equal(jig_store_first(store, i), first);
    first += (int64_t)jig_store_head(store, i)->record_count;
  }
  assert_int_equal(first, jig_store_count(store));
}

static void check_heads(const struct jig_store *store, const struct jig_sample_counts *expected, int64_t images,
                        int64_t broken) {
  struct jig_sample_counts counts = {0};
  for (int64_t i = 0; i < jig_store_shard_count(store); i++) {
    const struct jig_index_head *head = jig_store_head(store, i);
    jig_sample_counts_add(&counts, &head->counts);
    images -= head->images;
    broken -= head->images_broken;
  }
  assert_memory_equal(&counts, expected, sizeof counts);
  assert_true(images == 0 && broken == 0);
}

static void inspect(const struct dataset *dataset, const struct jig_generate_options *options, const char *folder,
                    uint64_t seed, int64_t broken) {
  struct inspection look = {.dataset = dataset, .options = options, .store = open_store(folder)};
  struct jig_samples samples = {0};
  struct jig_sample_counts counts = {0};
  struct error error;
  rng_init(&look.rng, seed, RNG_TEST, 9, 0);
  assert_ok(jig_quota_plan(&look.quota, dataset, &options->extract, 1, &error), error);
  for (int64_t i = 0; i < dataset->image_count; i++) {
    check_image(&look, i, &samples, &counts);
  }
  assert_int_equal(look.next, jig_store_count(look.store));
  assert_int_equal(look.broken, broken);
  assert_int_equal(jig_store_background(look.store),
                   options->background && counts.negatives > 0 ? dataset->category_count : -1);
  assert_int_equal(jig_store_category_count(look.store), dataset->category_count);
  for (int32_t i = 0; i < dataset->category_count; i++) {
    assert_int_equal(jig_store_category(look.store, i)->id, dataset->categories[i].id);
    assert_string_equal(jig_store_label_name(look.store, i), dataset->categories[i].name);
  }
  check_lists(look.store);
  check_heads(look.store, &counts, dataset->image_count, look.broken);
  assert_ok(check_store(folder, &error), error);
  print_message("%lld samples of %lld pictures, %lld broken\n", (long long)look.next, (long long)dataset->image_count,
                (long long)look.broken);
  jig_samples_free(&samples);
  jig_quota_free(&look.quota);
  image_free(&look.whole);
  image_free(&look.part);
  jig_store_close((struct jig_store *)look.store);
}

/* ---- tests ---- */

static void test_made_pictures(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct scenery *scenery = reference_memory(sizeof *scenery);
  char store[96];
  test_scratch(scenery->folder);
  for (uint64_t round = 0; round < 6; round++) {
    struct rng rng;
    struct error error;
    struct jig_generate_options options = store_options(seed + round);
    rng_init(&rng, seed, RNG_TEST, 0, round);
    options.extract.exif = round % 3;
    options.extract.sample.negatives_from = round % 2;
    options.background = round != 4;
    options.max_bad = 100;
    options.extract.sample.negatives = 0.5;
    make_scenery(&rng, scenery, (enum jig_exif)options.extract.exif);
    snprintf(store, sizeof store, "%s/store", scenery->folder);
    write_store(&scenery->dataset, &options, store);
    inspect(&scenery->dataset, &options, store, seed, scenery->broken);
    assert_ok(file_remove_tree(store, &error), error);
  }
  test_scratch_remove(scenery->folder);
  free(scenery);
}

static XXH128_hash_t hash_store(const char *folder) {
  struct jig_store *store = open_store(folder);
  XXH3_state_t *state = XXH3_createState();
  assert_non_null(state);
  XXH3_128bits_reset(state);
  for (int64_t i = 0; i < jig_store_shard_count(store); i++) {
    struct file_map tar = jig_store_tar(store, i), index = jig_store_index(store, i);
    XXH3_128bits_update(state, tar.data, tar.size);
    XXH3_128bits_update(state, index.data, index.size);
  }
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  jig_store_close(store);
  return hash;
}

/* The same bytes for any number of workers, and when the work is taken up where some of its files are missing or cut
 * short. */
static void test_same_bytes(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct scenery *scenery = reference_memory(sizeof *scenery);
  struct jig_generate_options options = store_options(seed);
  struct rng rng;
  struct error error;
  char store[96], path[128];
  XXH128_hash_t hashes[3];
  test_scratch(scenery->folder);
  rng_init(&rng, seed, RNG_TEST, 1, 0);
  options.max_bad = 100;
  make_scenery(&rng, scenery, false);
  for (int i = 0; i < 3; i++) {
    snprintf(store, sizeof store, "%s/store%d", scenery->folder, i < 2 ? i : 0);
    options.workers = i + 1;
    if (i == 2) {
      struct buffer bytes = {0};
      snprintf(path, sizeof path, "%s/shards/000000.idx", store);
      assert_ok(file_remove_tree(path, &error), error);
      snprintf(path, sizeof path, "%s/shards/000001.tar", store);
      assert_ok(file_remove_tree(path, &error), error);
      snprintf(path, sizeof path, "%s/shards/000002.idx", store);
      assert_ok(file_read(&bytes, path, &error), error);
      write_bytes(path, bytes.data, bytes.size - 1);
      buffer_free(&bytes);
    }
    write_store(&scenery->dataset, &options, store);
    hashes[i] = hash_store(store);
  }
  assert_true(XXH128_isEqual(hashes[0], hashes[1]) && XXH128_isEqual(hashes[0], hashes[2]));
  test_scratch_remove(scenery->folder);
  free(scenery);
}

static void test_too_many_broken(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct scenery *scenery = reference_memory(sizeof *scenery);
  struct jig_generate_options options = store_options(seed);
  struct progress progress = {0};
  struct rng rng;
  struct error error;
  char store[96];
  test_scratch(scenery->folder);
  rng_init(&rng, seed, RNG_TEST, 2, 0);
  make_scenery(&rng, scenery, false);
  scenery->images[5].file_name = "missing.jpg";
  options.max_bad = 1; /* percent, of 70 pictures: none */
  snprintf(store, sizeof store, "%s/store", scenery->folder);
  assert_int_equal(jig_write_shards(&scenery->dataset, &options, store, &progress, &error), -1);
  assert_non_null(strstr(error.message, "--max-bad"));
  test_scratch_remove(scenery->folder);
  free(scenery);
}

/* A sample that no JPEG can hold breaks its own picture, not the run. */
static void test_too_long_for_jpeg(void **state) {
  (void)state;
  struct jig_generate_options options = store_options(test_seed());
  struct dataset_category category = {.id = 1, .name = "line"};
  struct dataset_box boxes[] = {{.id = 1, .w = 70000, .h = 2}, {.id = 2, .w = 30000, .h = 2}};
  struct image picture = {0};
  struct buffer png = {0};
  struct error error;
  char folder[64], path[96];
  test_scratch(folder);
  struct dataset_image images[] = {{.id = 1, .file_name = "a.png", .folder = folder, .box_count = 1},
                                   {.id = 2, .file_name = "a.png", .folder = folder, .box_count = 1, .first_box = 1}};
  struct dataset dataset = {
      .categories = &category, .images = images, .boxes = boxes, .category_count = 1, .image_count = 2, .box_count = 2};
  assert_ok(image_alloc(&picture, 70000, 2, &error), error);
  assert_ok(image_encode_png(&picture, &png, &error), error);
  snprintf(path, sizeof path, "%s/a.png", folder);
  write_bytes(path, png.data, png.size);
  options.max_bad = 50;
  options.extract.sample.negatives = 0;
  snprintf(path, sizeof path, "%s/store", folder);
  write_store(&dataset, &options, path);
  struct jig_store *store = open_store(path);
  assert_int_equal(jig_store_count(store), 1);
  assert_int_equal(jig_store_head(store, 0)->images_broken, 1);
  jig_store_close(store);
  image_free(&picture);
  buffer_free(&png);
  test_scratch_remove(folder);
}

static void test_toy(void **state) {
  (void)state;
  uint64_t seed = test_seed();
  struct jig_generate_options options = store_options(seed);
  struct dataset dataset;
  struct error error;
  char folder[64], path[96];
  test_scratch(folder);
  write_toy_store(folder, 24, &options);
  snprintf(path, sizeof path, "%s/scenes", folder);
  assert_ok(dataset_load(&dataset, path, NULL, NULL, &error), error);
  snprintf(path, sizeof path, "%s/store", folder);
  inspect(&dataset, &options, path, seed, 0);
  dataset_free(&dataset);
  test_scratch_remove(folder);
}

static void test_real_pictures(void **state) {
  (void)state;
  static const struct {
    const char *annotations, *split;
  } SETS[] = {{"coco128", NULL},          {"coco_tiny", "train2017"}, {"coco_tiny", "val2017"},
              {"tiny_coco", "train2017"}, {"tiny_coco", "val2017"},   {"groceries", NULL},
              {"groceries_png", NULL}};
#ifdef __SANITIZE_ADDRESS__
  const int64_t most = 50; /* of each, since everything is slow */
#else
  const int64_t most = INT64_MAX;
#endif
  char place[1024], folder[64], annotations[2048], store[96];
  const char *data = test_data(place);
  if (!data) skip();
  uint64_t seed = test_seed();
  struct jig_generate_options options = store_options(seed);
  test_scratch(folder);
  for (size_t i = 0; i < COUNT_OF(SETS); i++) {
    struct dataset dataset;
    struct error error;
    snprintf(annotations, sizeof annotations, "%s/%s", data, SETS[i].annotations);
    if (!file_exists(annotations)) continue;
    struct dataset_options reading = dataset_defaults();
    reading.split = SETS[i].split;
    assert_ok(dataset_load(&dataset, annotations, NULL, &reading, &error), error);
    if (dataset.image_count > most) dataset.image_count = most;
    snprintf(store, sizeof store, "%s/%zu", folder, i);
    write_store(&dataset, &options, store);
    inspect(&dataset, &options, store, seed, 0);
    dataset_free(&dataset);
  }
  test_scratch_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_made_pictures),
      cmocka_unit_test(test_same_bytes),
      cmocka_unit_test(test_too_many_broken),
      cmocka_unit_test(test_too_long_for_jpeg),
      cmocka_unit_test(test_toy),
      cmocka_unit_test(test_real_pictures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
