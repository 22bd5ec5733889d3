/* core/image but for rectangles of JPEG (test_decode_rect.c) and lossless cutting: formats, limits, damage,
 * orientation, encoding. */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include <jpeglib.h>
#include <png.h>

#include "tests/image_support.h"

static uint64_t seed;

/* The picture decodes to `expected`, and so does a part of it. */
static void assert_decodes(struct rng *rng, const struct buffer *file, enum image_format format,
                           const struct image *expected) {
  struct error error;
  struct image_info info;
  struct image found = {0};
  assert_ok(image_probe(file->data, file->size, &info, &error), error);
  assert_int_equal(info.format, format);
  assert_int_equal(info.width, expected->width);
  assert_int_equal(info.height, expected->height);
  assert_int_equal(info.orientation, 1);
  assert_ok(image_decode(file->data, file->size, NULL, image_memory_share(1), &found, &error), error);
  assert_same(&found, expected);
  struct rect part = random_rect(rng, expected->width, expected->height);
  struct image cut = crop(expected, part);
  assert_ok(image_decode(file->data, file->size, &part, image_memory_share(1), &found, &error), error);
  assert_same(&found, &cut);
  image_free(&found);
  image_free(&cut);
}

/* Fails, with a message that contains `words`, and leaves something that can be freed. */
static void assert_refused(const void *bytes, size_t size, const char *words) {
  struct error error = {0};
  struct image image = {0};
  uint8_t *copy = malloc(size ? size : 1); /* of its own size, so that the sanitizer sees a read beyond */
  assert_non_null(copy);
  if (size) memcpy(copy, bytes, size);
  if (image_decode(copy, size, NULL, image_memory_share(1), &image, &error) == 0)
    fail_msg("%zu bytes pass; expected: %s", size, words);
  if (!strstr(error.message, words)) fail_msg("expected '%s' in: %s", words, error.message);
  image_free(&image);
  free(copy);
}

static void assert_prefixes_refused(const struct buffer *file, size_t end) {
  for (size_t size = 0; size < end; size++) {
    assert_refused(file->data, size, "");
  }
}

static void put(struct buffer *file, const void *bytes, size_t size) {
  struct error error;
  assert_ok(buffer_append(file, bytes, size, &error), error);
}

/* ---- PNG, all colour types ---- */

struct png_case {
  int width, height, depth, type;
  bool interlaced, transparent;
  png_color palette[256];
  png_byte alpha[256];
  png_color_16 key;
};

static const int PNG_CHANNELS[7] = {[PNG_COLOR_TYPE_GRAY] = 1,
                                    [PNG_COLOR_TYPE_RGB] = 3,
                                    [PNG_COLOR_TYPE_PALETTE] = 1,
                                    [PNG_COLOR_TYPE_GRAY_ALPHA] = 2,
                                    [PNG_COLOR_TYPE_RGB_ALPHA] = 4};

static unsigned sample(const uint8_t *row, int depth, int index) {
  if (depth == 16) return (unsigned)row[2 * index] << 8 | row[2 * index + 1];
  int bit = index * depth;
  return (unsigned)row[bit / 8] >> (8 - depth - bit % 8) & ((1u << depth) - 1);
}

/* What the PNG standard says a pixel is, in plain arithmetic, and without its alpha. */
static void expected_pixel(const struct png_case *c, const uint8_t *row, int x, uint8_t rgb[3]) {
  int channels = PNG_CHANNELS[c->type];
  unsigned s[4] = {0};
  for (int i = 0; i < channels; i++) {
    unsigned value = sample(row, c->depth, x * channels + i);
    s[i] = c->depth == 16                      ? value >> 8
           : c->type == PNG_COLOR_TYPE_PALETTE ? value
                                               : value * 255 / ((1u << c->depth) - 1);
  }
  bool gray = c->type == PNG_COLOR_TYPE_GRAY || c->type == PNG_COLOR_TYPE_GRAY_ALPHA;
  const png_color *entry = &c->palette[s[0]];
  unsigned color[3] = {s[0], s[gray ? 0 : 1], s[gray ? 0 : 2]};
  if (c->type == PNG_COLOR_TYPE_PALETTE) color[0] = entry->red, color[1] = entry->green, color[2] = entry->blue;
  for (int i = 0; i < 3; i++) {
    rgb[i] = (uint8_t)color[i];
  }
}

static void give(png_structp png, png_bytep bytes, size_t size) {
  put(png_get_io_ptr(png), bytes, size);
}

static void write_png(struct rng *rng, struct png_case *c, struct buffer *file, struct image *expected) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  if (setjmp(png_jmpbuf(png))) fail_msg("libpng cannot write");
  file->size = 0;
  png_set_write_fn(png, file, give, NULL);
  png_set_IHDR(png, info, (png_uint_32)c->width, (png_uint_32)c->height, c->depth, c->type,
               c->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, 0, 0);
  if (c->type == PNG_COLOR_TYPE_PALETTE) {
    random_bytes(rng, (uint8_t *)c->palette, sizeof c->palette);
    random_bytes(rng, c->alpha, sizeof c->alpha);
    png_set_PLTE(png, info, c->palette, 1 << c->depth);
    if (c->transparent) png_set_tRNS(png, info, c->alpha, 1 << c->depth, NULL);
  }
  size_t stride = ((size_t)c->width * (size_t)PNG_CHANNELS[c->type] * (size_t)c->depth + 7) / 8;
  uint8_t *rows[64], *samples = malloc(stride * (size_t)c->height);
  assert_non_null(samples);
  random_bytes(rng, samples, stride * (size_t)c->height);
  for (int y = 0; y < c->height; y++) {
    rows[y] = samples + (size_t)y * stride;
  }
  int some = below(rng, c->width) * PNG_CHANNELS[c->type]; /* so that the key is met */
  c->key.gray = c->key.red = (png_uint_16)sample(samples, c->depth, some);
  if (c->type == PNG_COLOR_TYPE_RGB) c->key.green = (png_uint_16)sample(samples, c->depth, some + 1);
  if (c->type == PNG_COLOR_TYPE_RGB) c->key.blue = (png_uint_16)sample(samples, c->depth, some + 2);
  if (c->type != PNG_COLOR_TYPE_PALETTE && c->transparent) png_set_tRNS(png, info, NULL, 0, &c->key);
  png_write_info(png, info);
  png_write_image(png, rows);
  png_write_end(png, NULL);
  for (int y = 0; y < c->height; y++) {
    for (int x = 0; x < c->width; x++) {
      expected_pixel(c, rows[y], x, expected->pixels + ((size_t)y * (size_t)c->width + (size_t)x) * 3);
    }
  }
  free(samples);
  png_destroy_write_struct(&png, &info);
}

static void test_png(void **state) {
  (void)state;
  struct rng rng;
  struct buffer file = {0};
  struct error error;
  rng_init(&rng, seed, RNG_TEST, 0, 0);
  for (int i = 0; i < 1000; i++) {
    static const int TYPES[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_PALETTE,
                                PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB_ALPHA};
    struct png_case c = {.width = 1 + below(&rng, 40), .height = 1 + below(&rng, 40), .type = TYPES[below(&rng, 5)]};
    int lowest = c.type == PNG_COLOR_TYPE_GRAY || c.type == PNG_COLOR_TYPE_PALETTE ? 0 : 3;
    int highest = c.type == PNG_COLOR_TYPE_PALETTE ? 3 : 4;
    c.depth = 1 << (lowest + below(&rng, highest - lowest + 1));
    c.interlaced = below(&rng, 2) == 0;
    c.transparent = !(c.type & PNG_COLOR_MASK_ALPHA) && below(&rng, 2) == 0;
    struct image expected = {0};
    assert_ok(image_alloc(&expected, c.width, c.height, &error), error);
    write_png(&rng, &c, &file, &expected);
    assert_decodes(&rng, &file, IMAGE_PNG, &expected);
    if (i % 100 == 0) assert_prefixes_refused(&file, file.size);
    image_free(&expected);
  }
  buffer_free(&file);
}

/* ---- PNM ---- */

/* Samples of 0 .. maximum, 16 bits (upper byte first) where they need it. */
static void write_pnm(struct rng *rng, struct buffer *file, struct image *image, int channels, int maximum) {
  struct error error;
  assert_ok(buffer_printf(file, &error, "P%d\n# 9 9 9\n%d\t%d\n# 9\r %d\n", channels == 3 ? 6 : 5, image->width,
                          image->height, maximum),
            error);
  for (int i = 0; i < image->width * image->height * 3; i++) {
    if (channels == 1 && i % 3 != 0) {
      image->pixels[i] = image->pixels[i - 1];
      continue;
    }
    int value = below(rng, maximum + 1);
    if (maximum > 255) put(file, &(uint8_t){(uint8_t)(value >> 8)}, 1);
    put(file, &(uint8_t){(uint8_t)value}, 1);
    image->pixels[i] = (uint8_t)(maximum == 65535 ? value >> 8 : floor(value * 255.0 / maximum + 0.5));
  }
}

static void test_pnm(void **state) {
  (void)state;
  struct rng rng;
  struct buffer file = {0};
  rng_init(&rng, seed, RNG_TEST, 6, 0);
  for (int i = 0; i < 400; i++) {
    int maximum = i % 4 == 0 ? 255 : i % 4 == 1 ? 65535 : i % 4 == 2 ? 1 + below(&rng, 255) : 1 + below(&rng, 65535);
    struct image image = random_image(&rng, 1 + below(&rng, 20), 1 + below(&rng, 20));
    file.size = 0;
    write_pnm(&rng, &file, &image, i % 8 < 4 ? 1 : 3, maximum);
    assert_decodes(&rng, &file, IMAGE_OTHER, &image);
    if (i < 8) assert_prefixes_refused(&file, file.size);
    image_free(&image);
  }
  buffer_free(&file);
}

/* ---- the formats of stb_image ---- */

static void put_u16(struct buffer *file, int value) {
  put(file, (uint8_t[2]){(uint8_t)value, (uint8_t)(value >> 8)}, 2);
}

static void write_bmp(struct buffer *file, const struct image *image) {
  int stride = (image->width * 3 + 3) / 4 * 4, body = stride * image->height;
  put(file, "BM", 2);
  put_u16(file, 54 + body), put_u16(file, (54 + body) >> 16), put(file, "\0\0\0\0\66\0\0\0\50\0\0\0", 12);
  put_u16(file, image->width), put_u16(file, 0), put_u16(file, image->height), put_u16(file, 0);
  put(file, "\1\0\30\0\0\0\0\0", 8);
  put(file, (uint8_t[20]){0}, 20);
  for (int y = image->height - 1; y >= 0; y--) {
    for (int x = 0; x < image->width; x++) {
      const uint8_t *p = pixel(image, x, y);
      put(file, (uint8_t[3]){p[2], p[1], p[0]}, 3);
    }
    put(file, "\0\0\0", (size_t)(stride - image->width * 3));
  }
}

/* 32 bits a pixel, top row first, with an alpha that is dropped. */
static void write_tga(struct buffer *file, const struct image *image) {
  put(file, "\0\0\2\0\0\0\0\0\0\0\0\0", 12);
  put_u16(file, image->width), put_u16(file, image->height), put(file, "\40\50", 2);
  for (int i = 0; i < image->width * image->height; i++) {
    const uint8_t *p = image->pixels + 3 * i;
    put(file, (uint8_t[4]){p[2], p[1], p[0], (uint8_t)(i * 37)}, 4);
  }
}

/* A palette of 4 grays; codes of 3 bits with a clear code before every two pixels, so that they never grow. */
static void write_gif(struct buffer *file, struct image *image) {
  put(file, "GIF89a", 6);
  put_u16(file, image->width), put_u16(file, image->height), put(file, "\201\0\0", 3);
  put(file, "\0\0\0\125\125\125\252\252\252\377\377\377,\0\0\0\0", 17);
  put_u16(file, image->width), put_u16(file, image->height), put(file, "\0\2", 2);
  unsigned bits = 0, filled = 0, clear = 4, stop = 5;
  struct buffer packed = {0};
  int count = image->width * image->height;
  for (int i = 0; i <= count; i++) {
    unsigned codes[2] = {clear, i < count ? image->pixels[3 * i] / 64u : stop};
    for (int j = i % 2; j < 2; j++) {
      bits |= codes[j] << filled, filled += 3;
      for (; filled >= 8 || (i == count && j == 1 && filled > 0); filled = filled > 8 ? filled - 8 : 0, bits >>= 8) {
        put(&packed, &(uint8_t){(uint8_t)bits}, 1);
      }
    }
    if (i < count) memset(image->pixels + 3 * i, image->pixels[3 * i] / 64 * 85, 3);
  }
  for (size_t at = 0; at < packed.size; at += 255) {
    size_t size = packed.size - at < 255 ? packed.size - at : 255;
    put(file, &(uint8_t){(uint8_t)size}, 1), put(file, packed.data + at, size);
  }
  put(file, "\0;", 2);
  buffer_free(&packed);
}

static void test_other_formats(void **state) {
  (void)state;
  struct rng rng;
  struct buffer file = {0};
  rng_init(&rng, seed, RNG_TEST, 1, 0);
  for (int i = 0; i < 200; i++) {
    /* 8 pixels and more: the formats without a magic word are guessed at otherwise. */
    struct image image = random_image(&rng, 8 + below(&rng, 30), 8 + below(&rng, 30));
    file.size = 0;
    if (i % 3 == 0) write_bmp(&file, &image);
    if (i % 3 == 1) write_tga(&file, &image);
    if (i % 3 == 2) write_gif(&file, &image);
    assert_decodes(&rng, &file, IMAGE_OTHER, &image);
    size_t padding = i % 3 == 0 ? 3 : i % 3 == 2 ? 2 : 0; /* after the last pixel */
    if (i < 9) assert_prefixes_refused(&file, file.size - padding);
    image_free(&image);
  }
  buffer_free(&file);
}

/* ---- limits and damage ---- */

static void test_refusals(void **state) {
  (void)state;
  static const uint8_t JPEG[] = {0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0xff, 0xdc, 0xff, 0xdc, 1, 1,
                                 0x11, 0,    0xff, 0xda, 0, 8,  1, 1,    0,    0,    63,   0};
  static const char PNG[] = "\x89PNG\r\n\x1a\n\0\0\0\15IHDR\0\1\0\0\0\1\0\0\10\2\0\0\0";
  struct error error;
  struct image_info info;
  assert_refused(JPEG, sizeof JPEG, "");
  assert_ok(image_probe(JPEG, sizeof JPEG, &info, &error), error); /* who only cuts needs no memory for pixels */
  assert_int_equal(info.width, 65500);
  assert_refused(PNG, sizeof PNG - 1, "PNG");
  assert_refused("P6 70000 70000 255\n", 19, "ends before");
  assert_refused("P6 2000000 2000000 255\n", 23, "2000000 x 2000000");
  assert_refused("P6 99999999999999999999 1 255\n", 30, "empty");
  assert_refused("P5 1 1 65536\n12", 15, "PNM");
  assert_refused("P5 1 1 0\n12", 11, "PNM");
  assert_refused("RIFF\0\0\0\0WEBP", 12, "WebP");
  assert_refused("II*\0\10\0\0\0", 8, "TIFF");
  assert_refused("wOFF\0\1\0\0\0\0\0\0", 12, "77 4f 46 46");
  assert_refused("", 0, "not a picture");
  struct image image = {0};
  assert_int_equal(image_alloc(&image, 0, 5, &error), -1);
  assert_int_equal(image_alloc(&image, INT_MAX, INT_MAX, &error), -1);
  assert_ok(image_decode((const uint8_t *)"P5 2 2 255\nabcd", 15, NULL, image_memory_share(1), &image, &error), error);
  static const struct rect OUTSIDE[] = {{-1, 0, 1, 1}, {0, -1, 1, 1}, {0, 0, 3, 1},       {0, 0, 1, 3},
                                        {2, 0, 1, 1},  {0, 0, 0, 1},  {1, 1, INT_MAX, 1}, {INT_MAX, 0, INT_MAX, 1}};
  for (size_t i = 0; i < COUNT_OF(OUTSIDE); i++) {
    assert_int_equal(
        image_decode((const uint8_t *)"P5 2 2 255\nabcd", 15, &OUTSIDE[i], image_memory_share(1), &image, &error), -1);
    assert_non_null(strstr(error.message, "2 x 2"));
  }
  image_free(&image);
}

/* A JPEG of a gray wave with the given scans (NULL: baseline) and, when it has a size, an APP1 segment. */
static void plain_jpeg(struct buffer *file, int components, const jpeg_scan_info *scans, int count,
                       const struct buffer *app1) {
  struct jpeg_compress_struct target;
  struct jpeg_error_mgr manager;
  uint8_t *bytes = NULL;
  unsigned long size = 0;
  target.err = jpeg_std_error(&manager);
  jpeg_create_compress(&target);
  jpeg_mem_dest(&target, &bytes, &size);
  target.image_width = 48;
  target.image_height = 32;
  target.input_components = components;
  target.in_color_space = components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&target);
  target.scan_info = scans;
  target.num_scans = count;
  jpeg_start_compress(&target, TRUE);
  if (app1) jpeg_write_marker(&target, JPEG_APP0 + 1, app1->data, (unsigned)app1->size);
  uint8_t values[48 * 3], *row = values;
  while (target.next_scanline < 32) {
    for (int x = 0; x < 48 * 3; x++) {
      values[x] = (uint8_t)(128 + 100 * sin(x * 0.1 + target.next_scanline * 0.2));
    }
    jpeg_write_scanlines(&target, &row, 1);
  }
  jpeg_finish_compress(&target);
  jpeg_destroy_compress(&target);
  file->size = 0;
  put(file, bytes, size);
  free(bytes);
}

static size_t last_scan(const struct buffer *file) {
  for (size_t at = file->size - 2; at > 0; at--) {
    if (file->data[at] == 0xff && file->data[at + 1] == 0xda) return at;
  }
  fail_msg("no scan");
  return 0;
}

/* Harmless oddities pass; scans without end and colours that no scan holds do not. */
static void test_jpeg_oddities(void **state) {
  (void)state;
  static const jpeg_scan_info SEPARATE[] = {{1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
  static const jpeg_scan_info PROGRESSIVE[] = {{1, {0}, 0, 0, 0, 0}, {1, {0}, 1, 63, 0, 1}, {1, {0}, 1, 63, 1, 0}};
  struct buffer file = {0}, changed = {0};
  struct error error;
  struct image image = {0};

  plain_jpeg(&file, 3, SEPARATE, 3, NULL);
  assert_ok(image_decode(file.data, file.size, NULL, image_memory_share(1), &image, &error), error);
  put(&changed, file.data, last_scan(&file));
  put(&changed, "\xff\xd9", 2);
  assert_refused(changed.data, changed.size, "colour component 3");

  plain_jpeg(&file, 1, PROGRESSIVE, 3, NULL);
  assert_ok(image_decode(file.data, file.size, NULL, image_memory_share(1), &image, &error), error);
  size_t scan = last_scan(&file);
  changed.size = 0;
  put(&changed, file.data, scan);
  for (int i = 0; i < 200; i++) {
    put(&changed, file.data + scan, file.size - 2 - scan);
  }
  put(&changed, "\xff\xd9", 2);
  assert_refused(changed.data, changed.size, "scans");

  plain_jpeg(&file, 3, NULL, 0, NULL);
  changed.size = 0;
  put(&changed, file.data, 2);
  put(&changed, "\xff\xfe\0\4--extraneous", 16); /* a comment, and bytes that belong to nothing */
  put(&changed, file.data + 2, file.size - 2);
  put(&changed, "trailing", 8);
  assert_ok(image_decode(changed.data, changed.size, NULL, image_memory_share(1), &image, &error), error);
  for (size_t i = 0; i < 60; i++) {
    changed.data[changed.size - 110 + i] = i % 2 == 0 ? 0xff : 0; /* ones only, which no code begins with */
  }
  assert_refused(changed.data, changed.size, "lost");
  image_free(&image);
  buffer_free(&file);
  buffer_free(&changed);
}

/* Sets the size that a JPEG file claims, in its frame header. */
static void claim_size(struct buffer *file, int width, int height) {
  for (size_t at = 2; at + 9 < file->size; at += 2 + ((size_t)file->data[at + 2] << 8 | file->data[at + 3])) {
    if (file->data[at + 1] < 0xc0 || file->data[at + 1] > 0xc2) continue;
    const uint8_t size[] = {(uint8_t)(height >> 8), (uint8_t)height, (uint8_t)(width >> 8), (uint8_t)width};
    memcpy(file->data + at + 5, size, sizeof size);
    return;
  }
  fail_msg("no frame header");
}

/* A small file that claims to be huge is damaged; one that needs more than its share of memory is the machine's matter.
 */
static void test_memory(void **state) {
  (void)state;
  static const jpeg_scan_info PROGRESSIVE[] = {{1, {0}, 0, 0, 0, 0}, {1, {0}, 1, 63, 0, 0}};
  struct buffer file = {0}, out = {0};
  struct error error = {0};
  struct image image = {0};
  struct rect inner, corner = {0, 0, 8, 8};
  plain_jpeg(&file, 1, PROGRESSIVE, 2, NULL);
  struct jpeg_cutter *cutter = jpeg_cutter_new(1000);
  assert_non_null(cutter);
  assert_int_equal(image_decode(file.data, file.size, NULL, 1000, &image, &error), -1);
  assert_non_null(strstr(error.message, "--workers"));
  assert_true(error.machine);
  error = (struct error){0};
  assert_int_equal(jpeg_cutter_open(cutter, file.data, file.size, 8, &error), -1);
  assert_true(error.machine);
  assert_ok(image_decode(file.data, file.size, NULL, image_memory_share(1), &image, &error), error);

  claim_size(&file, 16000, 16000);
  assert_refused(file.data, file.size, "cannot hold 16000 x 16000");
  error = (struct error){0};
  assert_int_equal(jpeg_cutter_open(cutter, file.data, file.size, 8, &error), -1);
  assert_false(error.machine);

  plain_jpeg(&file, 1, NULL, 0, NULL); /* cut without decoding: no memory to ask for */
  assert_ok(jpeg_cutter_open(cutter, file.data, file.size, 8, &error), error);
  assert_ok(jpeg_cutter_cut(cutter, corner, &out, &inner, &error), error);
  assert_true(image_memory_share(1) >= image_memory_share(2) && image_memory_share(1000000) >= 1 << 20);
  jpeg_cutter_free(cutter);
  image_free(&image);
  buffer_free(&file);
  buffer_free(&out);
}

static void put_exif(struct buffer *app1, bool big, int type, int orientation, unsigned directory) {
  app1->size = 0;
  put(app1, "Exif\0\0", 6);
  put(app1, big ? "MM\0*\0\0\0" : "II*\0", big ? 7 : 4);
  put(app1, &(uint8_t){(uint8_t)directory}, 1);
  if (!big) put(app1, "\0\0\0", 3);
  put(app1, big ? "\0\2" : "\2\0", 2); /* two entries: the width of the picture, and the orientation */
  put(app1, big ? "\1\0\0\3\0\0\0\1\0\5\0\0" : "\0\1\3\0\1\0\0\0\5\0\0\0", 12);
  put(app1, big ? "\1\22\0" : "\22\1", big ? 3 : 2);
  put(app1, &(uint8_t){(uint8_t)type}, 1);
  put(app1, big ? "\0\0\0\1" : "\0\1\0\0\0", big ? 4 : 5);
  uint8_t value[4] = {0};
  value[big ? (type == 3 ? 1 : 3) : 0] = (uint8_t)orientation;
  put(app1, value, 4);
}

static void test_exif(void **state) {
  (void)state;
  struct buffer app1 = {0}, file = {0};
  struct image_info info;
  struct error error;
  for (int i = 0; i < 2 * 2 * 10; i++) {
    int orientation = i / 4;
    put_exif(&app1, i % 2, i % 4 < 2 ? 3 : 4, orientation, 8);
    plain_jpeg(&file, 3, NULL, 0, &app1);
    assert_ok(image_probe(file.data, file.size, &info, &error), error);
    assert_int_equal(info.orientation, orientation >= 1 && orientation <= 8 ? orientation : 1);
    assert_int_equal(info.width, 48);
    assert_int_equal(info.height, 32);
    size_t whole = app1.size;
    for (app1.size = 0; app1.size < whole - 4; app1.size++) { /* cut short */
      plain_jpeg(&file, 1, NULL, 0, &app1);
      assert_ok(image_probe(file.data, file.size, &info, &error), error);
      assert_int_equal(info.orientation, 1);
    }
    put_exif(&app1, i % 2, 3, 6, 9 + (unsigned)i * 6); /* a directory elsewhere or nowhere */
    plain_jpeg(&file, 1, NULL, 0, &app1);
    assert_ok(image_probe(file.data, file.size, &info, &error), error);
    assert_int_equal(info.orientation, 1);
  }
  buffer_free(&app1);
  buffer_free(&file);
}

/* ---- orientation ---- */

/* The table of the EXIF standard: which stored pixel the upright (x, y) shows. */
static struct rect stored_at(int orientation, int x, int y, int width, int height) {
  const int right = width - 1, bottom = height - 1;
  const int table[9][2] = {
      {x, y}, {x, y},          {right - x, y},          {right - x, bottom - y}, {x, bottom - y},
      {y, x}, {y, bottom - x}, {right - y, bottom - x}, {right - y, x},
  };
  return (struct rect){table[orientation][0], table[orientation][1], 1, 1};
}

static void test_orientation(void **state) {
  (void)state;
  struct rng rng;
  struct error error;
  rng_init(&rng, seed, RNG_TEST, 2, 0);
  for (int i = 0; i < 400; i++) {
    int orientation = 1 + i % 8, width = 1 + below(&rng, 30), height = 1 + below(&rng, 30);
    struct image stored = random_image(&rng, width, height);
    struct image upright = crop(&stored, (struct rect){0, 0, width, height});
    assert_ok(image_orient(&upright, orientation, &error), error);
    assert_int_equal(upright.width, orientation < 5 ? width : height);
    assert_int_equal(upright.height, orientation < 5 ? height : width);
    for (int y = 0; y < upright.height; y++) {
      for (int x = 0; x < upright.width; x++) {
        struct rect from = stored_at(orientation, x, y, width, height);
        assert_memory_equal(pixel(&upright, x, y), pixel(&stored, from.x, from.y), 3);
      }
    }
    struct rect part = random_rect(&rng, upright.width, upright.height);
    struct rect back = rect_unorient(part, orientation, width, height);
    struct rect again = rect_orient(back, orientation, width, height);
    assert_memory_equal(&part, &again, sizeof part);
    struct image turned = crop(&stored, back), cut = crop(&upright, part);
    assert_ok(image_orient(&turned, orientation, &error), error);
    assert_same(&turned, &cut);
    image_free(&stored);
    image_free(&upright);
    image_free(&turned);
    image_free(&cut);
  }
}

/* ---- encoding ---- */

static void test_encode(void **state) {
  (void)state;
  struct rng rng;
  struct error error;
  struct buffer file = {0}, again = {0};
  struct image found = {0};
  rng_init(&rng, seed, RNG_TEST, 3, 0);
  for (int i = 0; i < 100; i++) {
    int longest = i % 10 == 0 ? 300 : 30; /* 300: more than the first piece of memory */
    struct image image = random_image(&rng, 1 + below(&rng, longest), 1 + below(&rng, longest));
    assert_ok(image_encode_png(&image, &file, &error), error);
    assert_ok(image_encode_png(&image, &again, &error), error);
    assert_int_equal(file.size, again.size);
    assert_memory_equal(file.data, again.data, file.size);
    assert_decodes(&rng, &file, IMAGE_PNG, &image);

    assert_ok(image_encode_jpeg(&image, 100, &file, &error), error);
    assert_ok(image_encode_jpeg(&image, 100, &again, &error), error);
    assert_int_equal(file.size, again.size);
    assert_memory_equal(file.data, again.data, file.size);
    assert_memory_equal(file.data + file.size - 2, "\xff\xd9", 2);
    assert_ok(image_decode(file.data, file.size, NULL, image_memory_share(1), &found, &error), error);
    for (int j = 0; j < image.width * image.height * 3; j++) {
      assert_in_range(found.pixels[j] - image.pixels[j] + 8, 0, 16); /* chroma is whole: only rounding is lost */
    }
    assert_ok(image_encode_jpeg(&image, 1 + below(&rng, 100), &file, &error), error);
    assert_ok(image_decode(file.data, file.size, NULL, image_memory_share(1), &found, &error), error);
    image_free(&image);
  }
  struct image empty = {0}, wide = {0};
  assert_int_equal(image_encode_png(&empty, &file, &error), -1);
  assert_int_equal(image_encode_jpeg(&empty, 90, &file, &error), -1);
  assert_int_equal(image_encode_jpeg(&found, 0, &file, &error), -1);
  assert_int_equal(image_encode_jpeg(&found, 101, &file, &error), -1);
  assert_ok(image_alloc(&wide, 70000, 1, &error), error);
  assert_int_equal(image_encode_jpeg(&wide, 90, &file, &error), -1);
  assert_non_null(strstr(error.message, "65500"));
  image_free(&wide);
  image_free(&found);
  buffer_free(&file);
  buffer_free(&again);
}

int main(void) {
  seed = test_seed();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_png),      cmocka_unit_test(test_pnm),           cmocka_unit_test(test_other_formats),
      cmocka_unit_test(test_refusals), cmocka_unit_test(test_jpeg_oddities), cmocka_unit_test(test_exif),
      cmocka_unit_test(test_memory),   cmocka_unit_test(test_orientation),   cmocka_unit_test(test_encode),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
