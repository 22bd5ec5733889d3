/* core/image - pictures: decoding (JPEG by libjpeg-turbo, PNG by libpng, WebP by libwebp, TIFF by
 * libtiff, the rest by stb_image), encoding, lossless
 * cutting of JPEG files, and the little drawing that contact sheets need.
 *
 * Pixels are always 8-bit RGB, interleaved, rows from top to bottom without padding. Grayscale is replicated, CMYK and
 * YCCK are converted (Adobe's inverted inks included), alpha is dropped and the colours under it stay, as Pillow's
 * convert("RGB") has it; 16 bits are cut to the upper 8.
 * Rectangles are whole pixels, x to the right and y downwards, [x, x + w) x [y, y + h).
 */
#ifndef JIGSAW_CORE_IMAGE_H
#define JIGSAW_CORE_IMAGE_H

#include "core/base/base.h"

struct rect {
  int x, y, w, h;
};

struct image {
  int width, height;
  uint8_t *pixels; /* width * height * 3 bytes, owned; free with image_free */
};

enum image_format {
  IMAGE_JPEG,
  IMAGE_PNG,
  IMAGE_OTHER /* WebP; TIFF; PNM (P5, P6); BMP, TGA, GIF as stb_image knows them */
};

struct image_info {
  enum image_format format;
  int width, height; /* as stored, before orientation */
  int orientation;   /* EXIF 1 .. 8 of a JPEG, PNG or WebP, or TIFF's own; 1 when absent or out of range */
};

/* How many bytes each of `workers` threads may take to decode a picture: half of the machine's memory, shared. Whoever
 * decodes says what it may take; a picture that needs more is refused before it is taken, as an error of the machine,
 * for another machine or fewer workers would decode it. Files too short for the size that they claim are refused
 * before. */
size_t image_memory_share(int workers);

/* Black pixels. The struct must be zeroed or hold a picture, which is replaced; as everywhere below. */
int image_alloc(struct image *image, int width, int height, struct error *error);
void image_free(struct image *image);

/* ---- decode.c, jpeg_decode.c, png.c, webp.c, tiff.c, pnm.c, stb_decode.c ---- */

/* Reads the header only. Fails on unknown formats and on sizes that are zero or beyond all reason (2^40 pixels). */
int image_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error);

/* Decodes `part` of the picture (NULL: all of it) into *image, which is (re)allocated when its size differs. Of a JPEG
 * only the rows and columns that are needed are transformed; the result equals the same rectangle of a full
 * libjpeg-turbo decode (islow DCT, fancy upsampling) bit for bit. Lost data (truncation, bad codes) is an error, never
 * grey pixels. Orientation is not applied. `memory`: see image_memory_share. */
int image_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
                 struct error *error);

/* ---- orient.c ---- */

/* EXIF orientation: turns the stored picture into the upright one. image_orient works in place; rect_orient maps a
 * rectangle of the stored picture (stored_width x stored_height) to the upright one, rect_unorient back. */
int image_orient(struct image *image, int orientation, struct error *error);
struct rect rect_orient(struct rect rect, int orientation, int stored_width, int stored_height);
struct rect rect_unorient(struct rect rect, int orientation, int stored_width, int stored_height);

/* ---- encode.c, png.c ---- */

/* Baseline JPEG 4:4:4 with optimised Huffman tables, quality 1 .. 100, or PNG; replaces what `out` held. */
int image_encode_jpeg(const struct image *image, int quality, struct buffer *out, struct error *error);
int image_encode_png(const struct image *image, struct buffer *out, struct error *error);

/* ---- jpeg_cut.c, jpeg_scan.c: lossless cutting ---- */

/* Cuts rectangles out of one JPEG file without decoding it to pixels: each cut is a JPEG of whole MCUs that holds the
 * rectangle, with the very DCT coefficients of the source, so that decoding loses nothing a second time. Where chroma
 * is subsampled one more MCU is kept on each side that has a neighbour, since libjpeg's fancy upsampling reaches
 * across.
 *
 * Baseline files with one interleaved scan, i.e. nearly all, are never decoded even to coefficients: jpeg_scan.c walks
 * the Huffman codes once, noting where each MCU begins, and a cut copies bits. Other files (progressive, arithmetic,
 * several scans) go through libjpeg's coefficient interface.
 *
 * A cutter is reused from file to file so that its memory is; it belongs to one thread. */
struct jpeg_cutter;

struct jpeg_cutter *jpeg_cutter_new(size_t memory); /* NULL when memory is out; `memory`: see image_memory_share */
void jpeg_cutter_free(struct jpeg_cutter *cutter);

/* Takes a file, which must stay in memory until the next open. Only rows 0 .. rows - 1 will be cut from: what lies
 * below is not parsed. Fails when data above that is lost or the file has no end marker. */
int jpeg_cutter_open(struct jpeg_cutter *cutter, const uint8_t *data, size_t size, int rows, struct error *error);

/* Writes the cut to `out` (replacing what it held). `inner` is where `part` lies inside the cut. */
int jpeg_cutter_cut(struct jpeg_cutter *cutter, struct rect part, struct buffer *out, struct rect *inner,
                    struct error *error);

/* ---- draw.c: clipped to the picture ---- */

struct color {
  uint8_t r, g, b;
};

void draw_fill(struct image *image, struct rect area, struct color color);
void draw_frame(struct image *image, struct rect outer, int thickness, struct color color); /* inside `outer` */
void draw_image(struct image *image, int x, int y, const struct image *source);
/* ASCII text in a built-in face, `scale` times 7 x 10 pixels a character or so; other bytes become '?'. */
void draw_text(struct image *image, int x, int y, int scale, struct color color, const char *text);
int draw_text_width(int scale, const char *text);

#endif
