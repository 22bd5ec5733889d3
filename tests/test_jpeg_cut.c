/* jpeg_cutter against libjpeg: the cut's coefficients are the source's, and its pixels decode to the source's. */
#include "core/base/base.h"

#include "test_support.h"

#include "core/image/internal.h"

static uint64_t seed;

/* ---- making files ---- */

enum process { BASELINE, PROGRESSIVE, ARITHMETIC, SEPARATE /* one scan for each component */ };

struct recipe {
  int width, height;
  J_COLOR_SPACE space; /* in the file */
  int components;
  int h[4], v[4];
  bool letters; /* component ids 'R', 'G', 'B' */
  bool optimised, adobe, jfif, noise;
  enum process process;
  int quality, restart_interval;
};

static void random_sampling(struct rng *rng, struct recipe *recipe) {
  static const int common[][2] = {{1, 1}, {2, 2}, {2, 1}, {1, 2}, {4, 1}, {1, 4}, {3, 1}, {1, 3}, {4, 2}};
  const int *first = common[rng_below(rng, COUNT_OF(common) - (recipe->components == 4))]; /* 10 blocks at most */
  for (int i = 0; i < recipe->components; i++) {
    bool full = i == 0 || i == 3;
    recipe->h[i] = full ? first[0] : 1;
    recipe->v[i] = full ? first[1] : 1;
  }
  if (recipe->components >= 3 &&
      rng_below(rng, 6) == 0) { /* an odd one: any comp may be the finest, in any direction */
    for (int i = 0; i < recipe->components; i++) {
      recipe->h[i] = 1 + (int)rng_below(rng, 2);
      recipe->v[i] = 1 + (int)(recipe->h[i] == 1 && rng_below(rng, 2));
    }
  }
}

static struct recipe random_recipe(struct rng *rng) {
  static const J_COLOR_SPACE spaces[] = {JCS_YCbCr, JCS_YCbCr, JCS_YCbCr, JCS_GRAYSCALE, JCS_RGB, JCS_CMYK, JCS_YCCK};
  struct recipe recipe = {.space = spaces[rng_below(rng, COUNT_OF(spaces))]};
  int side = rng_below(rng, 4) == 0 ? 24 : 200;
  recipe.width = 1 + (int)rng_below(rng, (uint64_t)side);
  recipe.height = 1 + (int)rng_below(rng, (uint64_t)side);
  recipe.components = recipe.space == JCS_GRAYSCALE ? 1 : recipe.space == JCS_CMYK || recipe.space == JCS_YCCK ? 4 : 3;
  random_sampling(rng, &recipe);
  recipe.process = rng_below(rng, 3) > 0 ? BASELINE : (enum process)(1 + rng_below(rng, 3));
  recipe.letters = rng_below(rng, 2);
  recipe.optimised = rng_below(rng, 2);
  recipe.adobe = rng_below(rng, 2);
  recipe.jfif = rng_below(rng, 2);
  recipe.noise = rng_below(rng, 2);
  recipe.quality = 5 + (int)rng_below(rng, 96);
  if (rng_below(rng, 2)) recipe.restart_interval = 1 + (int)rng_below(rng, rng_below(rng, 2) ? 8 : 60);
  return recipe;
}

/* Noise, or slopes with a few edges, in the components as they are stored. */
static uint8_t *random_pixels(struct rng *rng, const struct recipe *recipe) {
  size_t row = (size_t)recipe->width * (size_t)recipe->components;
  uint8_t *pixels = malloc(row * (size_t)recipe->height);
  int slope = (int)rng_below(rng, 5), edge = 1 + (int)rng_below(rng, 60), level = (int)rng_below(rng, 256);
  for (int y = 0; y < recipe->height; y++) {
    for (size_t x = 0; x < row; x++) {
      int smooth = level + slope * (int)x / 4 - y + ((int)x / edge & 1) * 90;
      pixels[(size_t)y * row + x] = (uint8_t)(recipe->noise ? rng_u32(rng) : (uint32_t)smooth);
    }
  }
  return pixels;
}

static void separate_scans(struct jpeg_compress_struct *file, jpeg_scan_info scans[4]) {
  for (int i = 0; i < file->num_components; i++) {
    scans[i] = (jpeg_scan_info){.comps_in_scan = 1, .component_index = {i}, .Se = 63};
  }
  file->scan_info = scans;
  file->num_scans = file->num_components;
}

static void configure(struct jpeg_compress_struct *file, const struct recipe *recipe, jpeg_scan_info scans[4]) {
  file->image_width = (JDIMENSION)recipe->width;
  file->image_height = (JDIMENSION)recipe->height;
  file->input_components = recipe->components;
  file->in_color_space = recipe->space;
  jpeg_set_defaults(file);
  jpeg_set_colorspace(file, recipe->space);
  jpeg_set_quality(file, recipe->quality, TRUE);
  for (int i = 0; i < recipe->components; i++) {
    file->comp_info[i].h_samp_factor = recipe->h[i];
    file->comp_info[i].v_samp_factor = recipe->v[i];
    if (recipe->space == JCS_RGB && !recipe->letters) file->comp_info[i].component_id = i; /* the Adobe marker tells */
  }
  file->restart_interval = (unsigned)recipe->restart_interval;
  file->optimize_coding = recipe->optimised && recipe->process != ARITHMETIC;
  if (recipe->space == JCS_YCbCr || recipe->space == JCS_GRAYSCALE) {
    file->write_JFIF_header = recipe->jfif;
    file->write_Adobe_marker = recipe->adobe && recipe->space == JCS_YCbCr;
  }
  if (recipe->space == JCS_RGB && recipe->letters) file->write_Adobe_marker = recipe->adobe;
  if (recipe->space == JCS_CMYK) file->write_Adobe_marker = recipe->adobe;
  if (recipe->process == PROGRESSIVE) jpeg_simple_progression(file);
  if (recipe->process == ARITHMETIC) file->arith_code = TRUE;
  if (recipe->process == SEPARATE) separate_scans(file, scans);
}

static void make_file(struct rng *rng, const struct recipe *recipe, struct buffer *out) {
  struct jpeg_guard guard;
  struct error error = {0};
  struct jpeg_compress_struct file = {0};
  jpeg_scan_info scans[4];
  unsigned char *memory = NULL;
  unsigned long size = 0;
  file.err = jpeg_guard_init(&guard, &error);
  if (setjmp(guard.escape) != 0) fail_msg("%s", error.message);
  jpeg_create_compress(&file);
  jpeg_mem_dest(&file, &memory, &size);
  configure(&file, recipe, scans);
  uint8_t *pixels = random_pixels(rng, recipe);
  jpeg_start_compress(&file, TRUE);
  for (int y = 0; y < recipe->height; y++) {
    JSAMPROW row = pixels + (size_t)y * (size_t)(recipe->width * recipe->components);
    jpeg_write_scanlines(&file, &row, 1);
  }
  jpeg_finish_compress(&file);
  jpeg_destroy_compress(&file);
  out->size = 0;
  assert_ok(buffer_append(out, memory, size, &error), error);
  free(pixels);
  free(memory);
}

/* ---- reading them with libjpeg ---- */

struct decoded {
  int width, height, components;
  J_COLOR_SPACE space;
  bool adobe;
  int h[4], v[4], h_max, v_max;
  int blocks_across[4], blocks_down[4]; /* without dummy blocks */
  JBLOCK *blocks[4];
  uint16_t quant[4][64];
  uint8_t *pixels; /* as stored, or RGB for YCbCr, CMYK for YCCK */
  long warnings;
};

static void open_file(struct jpeg_decompress_struct *file, const struct buffer *data) {
  jpeg_create_decompress(file);
  jpeg_mem_src(file, data->data, data->size);
  jpeg_read_header(file, TRUE);
}

static void read_blocks(struct jpeg_decompress_struct *file, struct decoded *out) {
  jvirt_barray_ptr *arrays = jpeg_read_coefficients(file);
  for (int i = 0; i < file->num_components; i++) {
    jpeg_component_info *info = &file->comp_info[i];
    out->h[i] = info->h_samp_factor;
    out->v[i] = info->v_samp_factor;
    out->blocks_across[i] = (int)info->width_in_blocks;
    out->blocks_down[i] = (int)info->height_in_blocks;
    memcpy(out->quant[i], info->quant_table->quantval, sizeof(out->quant[i]));
    out->blocks[i] = malloc(sizeof(JBLOCK) * info->width_in_blocks * info->height_in_blocks);
    for (JDIMENSION y = 0; y < info->height_in_blocks; y++) {
      JBLOCKARRAY row = file->mem->access_virt_barray((j_common_ptr)file, arrays[i], y, 1, FALSE);
      memcpy(out->blocks[i] + y * info->width_in_blocks, row[0], sizeof(JBLOCK) * info->width_in_blocks);
    }
  }
  out->h_max = file->num_components == 1 ? out->h[0] : file->max_h_samp_factor;
  out->v_max = file->num_components == 1 ? out->v[0] : file->max_v_samp_factor;
}

static void read_pixels(struct jpeg_decompress_struct *file, struct decoded *out) {
  jpeg_start_decompress(file);
  out->components = file->output_components;
  size_t row_size = (size_t)out->width * (size_t)out->components;
  out->pixels = malloc(row_size * (size_t)out->height);
  while (file->output_scanline < file->output_height) {
    JSAMPROW row = out->pixels + file->output_scanline * row_size;
    jpeg_read_scanlines(file, &row, 1);
  }
  jpeg_finish_decompress(file);
}

static void decode(const struct buffer *data, struct decoded *out) {
  struct jpeg_guard guard;
  struct error error = {0};
  struct jpeg_decompress_struct file = {0};
  *out = (struct decoded){0};
  file.err = jpeg_guard_init(&guard, &error);
  if (setjmp(guard.escape) != 0) fail_msg("%s", error.message);
  open_file(&file, data);
  out->width = (int)file.image_width;
  out->height = (int)file.image_height;
  out->space = file.jpeg_color_space;
  out->adobe = file.saw_Adobe_marker;
  read_blocks(&file, out);
  out->warnings = guard.manager.num_warnings;
  jpeg_destroy_decompress(&file);
  open_file(&file, data);
  read_pixels(&file, out);
  out->warnings += guard.manager.num_warnings;
  jpeg_destroy_decompress(&file);
}

static void decoded_free(struct decoded *decoded) {
  for (int i = 0; i < 4; i++) {
    free(decoded->blocks[i]);
  }
  free(decoded->pixels);
}

/* ---- comparing ---- */

static void compare_blocks(const struct decoded *source, const struct decoded *cut, int left, int top) {
  for (int i = 0; i < 4 && source->blocks[i] != NULL; i++) {
    assert_memory_equal(source->quant[i], cut->quant[i], sizeof(source->quant[i]));
    assert_int_equal(source->h[i], cut->h[i]);
    assert_int_equal(source->v[i], cut->v[i]);
    int x0 = left * source->h[i] / (8 * source->h_max), y0 = top * source->v[i] / (8 * source->v_max);
    for (int y = 0; y < cut->blocks_down[i]; y++) {
      JBLOCK *from = source->blocks[i] + (y0 + y) * source->blocks_across[i] + x0;
      assert_true(y0 + y < source->blocks_down[i] && x0 + cut->blocks_across[i] <= source->blocks_across[i]);
      assert_memory_equal(from, cut->blocks[i] + y * cut->blocks_across[i],
                          sizeof(JBLOCK) * (size_t)cut->blocks_across[i]);
    }
  }
}

static void compare_pixels(const struct decoded *source, const struct decoded *cut, struct rect part,
                           struct rect inner) {
  assert_int_equal(source->components, cut->components);
  size_t pixel = (size_t)source->components;
  for (int y = 0; y < part.h; y++) {
    const uint8_t *from = source->pixels + ((size_t)(part.y + y) * (size_t)source->width + (size_t)part.x) * pixel;
    const uint8_t *to = cut->pixels + ((size_t)(inner.y + y) * (size_t)cut->width + (size_t)inner.x) * pixel;
    assert_memory_equal(from, to, (size_t)part.w * pixel);
  }
}

static struct rect random_part(struct rng *rng, int width, int height) {
  struct rect part = {.w = 1 + (int)rng_below(rng, (uint64_t)width), .h = 1 + (int)rng_below(rng, (uint64_t)height)};
  if (rng_below(rng, 4) == 0) part.w = part.w < 9 ? part.w : 9;
  if (rng_below(rng, 4) == 0) part.h = part.h < 9 ? part.h : 9;
  part.x = (int)rng_below(rng, (uint64_t)(width - part.w + 1));
  part.y = (int)rng_below(rng, (uint64_t)(height - part.h + 1));
  return part;
}

static void check_cut(const struct decoded *source, const struct buffer *out, struct rect part, struct rect inner) {
  struct decoded cut;
  decode(out, &cut);
  assert_int_equal(cut.warnings, 0);
  assert_int_equal(cut.space, source->space);
  if (source->space == JCS_CMYK || source->space == JCS_YCCK) assert_int_equal(cut.adobe, source->adobe);
  assert_int_equal(inner.w, part.w);
  assert_int_equal(inner.h, part.h);
  assert_true(inner.x >= 0 && inner.y >= 0 && inner.x + inner.w <= cut.width && inner.y + inner.h <= cut.height);
  compare_blocks(source, &cut, part.x - inner.x, part.y - inner.y);
  compare_pixels(source, &cut, part, inner);
  decoded_free(&cut);
}

static void check_file(struct rng *rng, struct jpeg_cutter *cutter, const struct buffer *data, int cuts) {
  struct decoded source;
  struct error error = {0};
  struct buffer out = {0};
  struct rect inner;
  decode(data, &source);
  assert_int_equal(source.warnings, 0);
  int rows = rng_below(rng, 2) ? source.height : 1 + (int)rng_below(rng, (uint64_t)source.height);
  assert_ok(jpeg_cutter_open(cutter, data->data, data->size, rows, &error), error);
  for (int i = 0; i < cuts; i++) {
    struct rect part = i == 0 ? (struct rect){0, 0, source.width, rows} : random_part(rng, source.width, rows);
    assert_ok(jpeg_cutter_cut(cutter, part, &out, &inner, &error), error);
    check_cut(&source, &out, part, inner);
  }
  struct rect below = {.y = rows, .w = 1, .h = 1};
  assert_int_equal(jpeg_cutter_cut(cutter, below, &out, &inner, &error), -1);
  buffer_free(&out);
  decoded_free(&source);
}

/* ---- tests ---- */

static void test_random_files(void **state) {
  (void)state;
  struct jpeg_cutter *cutter = jpeg_cutter_new(image_memory_share(1));
  struct buffer data = {0};
  for (uint64_t i = 0; i < 3000; i++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0, i);
    struct recipe recipe = random_recipe(&rng);
    make_file(&rng, &recipe, &data);
    check_file(&rng, cutter, &data, 5);
  }
  buffer_free(&data);
  jpeg_cutter_free(cutter);
}

static size_t frame_at(const struct buffer *data) {
  for (size_t i = 2; i + 10 < data->size; i++) {
    if (data->data[i] == 0xFF && data->data[i + 1] >= 0xC0 && data->data[i + 1] <= 0xCF && data->data[i + 1] != 0xC4) {
      return i;
    }
  }
  fail_msg("no SOF");
  return 0;
}

/* Truncates the file or changes a few bytes, but never its size in pixels: that would only cost time. */
static void damage(struct rng *rng, struct buffer *data) {
  if (rng_below(rng, 4) == 0) {
    data->size = (size_t)rng_below(rng, data->size);
    return;
  }
  size_t frame = frame_at(data);
  for (uint64_t i = 1 + rng_below(rng, 3); i > 0; i--) {
    size_t at = (size_t)rng_below(rng, data->size);
    if (at >= frame + 5 && at < frame + 9) continue;
    data->data[at] = (uint8_t)(rng_below(rng, 4) == 0 ? 0xFF : rng_u32(rng));
  }
}

/* The cut of a damaged file is a sound file. */
static void check_sound(const struct buffer *out) {
  struct jpeg_guard guard;
  struct error error = {0};
  struct jpeg_decompress_struct file = {0};
  file.err = jpeg_guard_init(&guard, &error);
  if (setjmp(guard.escape) != 0) fail_msg("%s", error.message);
  open_file(&file, out);
  jpeg_read_coefficients(&file);
  assert_ok(jpeg_guard_check(&guard), error);
  jpeg_destroy_decompress(&file);
}

static void test_damaged_files(void **state) {
  (void)state;
  struct jpeg_cutter *cutter = jpeg_cutter_new(image_memory_share(1));
  struct buffer whole = {0}, data = {0}, out = {0};
  struct error error = {0};
  int opened = 0, refused = 0;
  for (uint64_t i = 0; i < 400; i++) {
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 1, i);
    struct recipe recipe = random_recipe(&rng);
    make_file(&rng, &recipe, &whole);
    for (int j = 0; j < 20; j++) {
      struct rect inner, part = random_part(&rng, recipe.width, recipe.height);
      data.size = 0;
      assert_ok(buffer_append(&data, whole.data, whole.size, &error), error);
      damage(&rng, &data);
      error.message[0] = 0;
      int status = jpeg_cutter_open(cutter, data.data, data.size, recipe.height, &error);
      if (status == 0) status = jpeg_cutter_cut(cutter, part, &out, &inner, &error);
      if (data.size < whole.size) assert_int_equal(status, -1);
      if (status == 0) check_sound(&out);
      assert_true((status == 0) == (error.message[0] == 0));
      *(status == 0 ? &opened : &refused) += 1;
    }
  }
  assert_true(opened > 0 && refused > 0);
  buffer_free(&out);
  buffer_free(&data);
  buffer_free(&whole);
  jpeg_cutter_free(cutter);
}

static void check_refused(struct jpeg_cutter *cutter, const struct buffer *data, const char *reason) {
  struct error error = {0};
  assert_int_equal(jpeg_cutter_open(cutter, data->data, data->size, INT32_MAX, &error), -1);
  if (strstr(error.message, reason) == NULL) fail_msg("'%s' does not say '%s'", error.message, reason);
  struct buffer out = {0};
  struct rect inner;
  assert_int_equal(jpeg_cutter_cut(cutter, (struct rect){0, 0, 1, 1}, &out, &inner, &error), -1);
}

static struct recipe plain_recipe(void) {
  return (struct recipe){.width = 100,
                         .height = 80,
                         .space = JCS_YCbCr,
                         .components = 3,
                         .h = {2, 1, 1},
                         .v = {2, 1, 1},
                         .jfif = true,
                         .noise = true,
                         .process = BASELINE,
                         .quality = 90};
}

static void test_messages(void **state) {
  (void)state;
  struct jpeg_cutter *cutter = jpeg_cutter_new(image_memory_share(1));
  struct buffer data = {0};
  struct rng rng;
  struct recipe recipe = plain_recipe();
  rng_init(&rng, seed, RNG_TEST, 2, 0);
  make_file(&rng, &recipe, &data);
  data.size -= 2;
  check_refused(cutter, &data, "truncated: no end-of-image marker");
  data.size = 100;
  check_refused(cutter, &data, "truncated");
  data.size = 0;
  check_refused(cutter, &data, "JPEG");
  make_file(&rng, &recipe, &data);
  size_t frame = frame_at(&data), middle = data.size / 2;
  data.data[frame + 5] = 200; /* height 51,280: too little data for it */
  check_refused(cutter, &data, "too little data");
  data.data[frame + 7] = 200;
  check_refused(cutter, &data, "too little data");
  make_file(&rng, &recipe, &data);
  memcpy(data.data + middle, "\xFF\xD9", 2); /* the lower half is missing */
  data.size = middle + 2;
  check_refused(cutter, &data, "corrupt Huffman data at MCU row");
  recipe.restart_interval = 3;
  make_file(&rng, &recipe, &data);
  for (size_t i = frame_at(&data); i + 1 < data.size; i++) {
    if (data.data[i] == 0xFF && data.data[i + 1] == 0xD2) data.data[i + 1] = 0xD3;
  }
  check_refused(cutter, &data, "restart marker 2 is out of order");
  buffer_free(&data);
  jpeg_cutter_free(cutter);
}

/* Bytes that the standard allows and few encoders write: fill bytes before markers, comments, a restart behind the last
 * interval, anything behind the end. */
static void test_odd_bytes(void **state) {
  (void)state;
  struct jpeg_cutter *cutter = jpeg_cutter_new(image_memory_share(1));
  struct error error = {0};
  struct buffer plain = {0}, odd = {0};
  struct rng rng;
  struct recipe recipe = plain_recipe();
  rng_init(&rng, seed, RNG_TEST, 3, 0);
  recipe.restart_interval = 5; /* 35 MCUs: RST0 .. RST5 */
  make_file(&rng, &recipe, &plain);
  for (size_t i = 0; i < plain.size; i++) {
    bool marker = plain.data[i] == 0xFF && i > 0 && i + 1 < plain.size && plain.data[i + 1] >= 0xC0;
    bool end = marker && plain.data[i + 1] == 0xD9;
    if (i == 2) assert_ok(buffer_append(&odd, "\xFF\xFE\0\7hello", 9, &error), error);
    if (end) assert_ok(buffer_append(&odd, "\xFF\xD6", 2, &error), error);
    if (marker) assert_ok(buffer_append(&odd, "\xFF\xFF", 2, &error), error);
    assert_ok(buffer_append(&odd, plain.data + i, 1, &error), error);
  }
  assert_ok(buffer_append(&odd, "garbage", 7, &error), error);
  check_file(&rng, cutter, &odd, 20);
  buffer_free(&odd);
  buffer_free(&plain);
  jpeg_cutter_free(cutter);
}

/* A DC table with one code of each length has no room for another: a cut that needs one goes through libjpeg. A gray
 * picture of four blocks with the differences 7, 7, 0, 0, where categories 0 and 3 have codes; cuts need 4 for 14. */
static void test_full_dc_table(void **state) {
  (void)state;
  static const uint8_t head[] = {0xFF, 0xD8, 0xFF, 0xDB, 0, 67, 0};
  static const uint8_t frame[] = {0xFF, 0xC0, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0};
  static const uint8_t dc[37] = {0xFF, 0xC4, 0, 35, 0,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1,  1, 1,
                                 1,    1,    0, 3,  15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15};
  static const uint8_t ac[22] = {0xFF, 0xC4, 0, 20, 0x10, 1}; /* one bit: end of block */
  static const uint8_t scan[] = {0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0};
  static const uint8_t bits[] = {0xBA, 0xE0, 0xFF, 0xD9}; /* 10 111 0, 10 111 0, 0 0, 0 0 */
  struct jpeg_cutter *cutter = jpeg_cutter_new(image_memory_share(1));
  struct error error = {0};
  struct buffer data = {0};
  struct rng rng;
  rng_init(&rng, seed, RNG_TEST, 4, 0);
  assert_ok(buffer_append(&data, head, sizeof(head), &error), error);
  for (int i = 0; i < 64; i++) {
    assert_ok(buffer_append(&data, "\1", 1, &error), error);
  }
  assert_ok(buffer_append(&data, frame, sizeof(frame), &error), error);
  assert_ok(buffer_append(&data, dc, sizeof(dc), &error), error);
  assert_ok(buffer_append(&data, ac, sizeof(ac), &error), error);
  assert_ok(buffer_append(&data, scan, sizeof(scan), &error), error);
  assert_ok(buffer_append(&data, bits, sizeof(bits), &error), error);
  for (int i = 0; i < 30; i++) {
    check_file(&rng, cutter, &data, 5);
  }
  buffer_free(&data);
  jpeg_cutter_free(cutter);
}

static void check_folder(struct jpeg_cutter *cutter, const char *folder, size_t step) {
  struct arena arena = {0};
  struct buffer data = {0};
  struct error error = {0};
  char **names = NULL;
  size_t count = 0;
  assert_ok(directory_list(folder, &arena, &names, &count, &error), error);
  for (size_t i = seed % step; i < count; i += step) {
    struct rng rng;
    size_t length = strlen(names[i]);
    if (length < 4 || strcmp(names[i] + length - 4, ".jpg") != 0) continue;
    rng_init(&rng, seed, RNG_TEST, 5, i);
    assert_ok(file_read(&data, path_join(&arena, folder, names[i]), &error), error);
    check_file(&rng, cutter, &data, 4);
  }
  buffer_free(&data);
  arena_free(&arena);
}

static void test_real_files(void **state) {
  (void)state;
  static const struct {
    const char *folder;
    size_t step; /* takes every step-th file, to end soon */
  } sets[] = {{"coco128/train2017", 2}, {"coco_tiny/val2017", 2}, {"groceries/JPEGImages", 20}};
  const char *root = getenv("JIGSAW_TEST_DATA");
  char beside[4096];
  snprintf(beside, sizeof(beside), "%.*s../../shared/data", (int)(strlen(__FILE__) - strlen("test_jpeg_cut.c")),
           __FILE__);
  if (root == NULL) root = beside;
  if (!file_exists(root)) skip();
  struct jpeg_cutter *cutter = jpeg_cutter_new(image_memory_share(1));
  for (size_t i = 0; i < COUNT_OF(sets); i++) {
    char folder[4096 + 64];
    snprintf(folder, sizeof(folder), "%s/%s", root, sets[i].folder);
    if (file_exists(folder)) check_folder(cutter, folder, sets[i].step);
  }
  jpeg_cutter_free(cutter);
}

int main(void) {
  seed = test_seed();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_random_files), cmocka_unit_test(test_damaged_files), cmocka_unit_test(test_messages),
      cmocka_unit_test(test_odd_bytes),    cmocka_unit_test(test_full_dc_table), cmocka_unit_test(test_real_files),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
