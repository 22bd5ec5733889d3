/* What the files of core/image share and nobody else sees. */
#ifndef JIGSAW_CORE_IMAGE_INTERNAL_H
#define JIGSAW_CORE_IMAGE_INTERNAL_H

#include <setjmp.h>
#include <stdio.h>

#include <jpeglib.h>

#include "core/image/image.h"

/* Refuses sizes below 1 and more than 2^40 pixels, naming the size. */
int image_check_size(int64_t width, int64_t height, struct error *error);

/* Refuses, as an error of the machine, what takes more than `memory` bytes: `besides`, and the pixels of `area`. */
int image_check_memory(const struct rect *area, size_t besides, size_t memory, struct error *error);

/* Makes room for width x height pixels without clearing them; memory of the same size is kept. */
int image_resize(struct image *image, int width, int height, struct error *error);

/* The part to decode: all of the picture when `part` is NULL; fails when it is empty or reaches outside. */
int image_check_part(const struct rect *part, int width, int height, struct rect *area, struct error *error);

/* Stores one row of image->width pixels: gray (1 channel), gray and alpha (2), RGB (3) or RGBA (4). Alpha is dropped.
 */
void image_put_row(struct image *image, int y, const uint8_t *pixels, int channels);

/* c * a / 255, rounded: one ink over another. */
static inline uint8_t scale_byte(unsigned c, unsigned a) {
  return (uint8_t)((c * a + 127) / 255);
}

/* ---- jpeg_guard.c: libjpeg's errors as values, its output in a buffer ---- */

/* libjpeg reports by calling back and must not be returned to after an error. The guard silences it, keeps the first
 * message that means lost pixels, and escapes by longjmp:
 *
 *   struct jpeg_guard guard;
 *   struct jpeg_decompress_struct source = {0};
 *   source.err = jpeg_guard_init(&guard, error);
 *   if (setjmp(guard.escape) != 0) {   // `error` is set
 *     jpeg_destroy_decompress(&source);
 *     return -1;
 *   }
 *   jpeg_create_decompress(&source);
 *   jpeg_guard_limit_scans(&guard, &source);
 *   ... any libjpeg call ...
 */
struct jpeg_guard {
  struct jpeg_error_mgr manager; /* first: libjpeg's pointer to it is cast back to the guard */
  struct jpeg_progress_mgr progress;
  jmp_buf escape;
  struct error *error;
  bool lost; /* truncation, bad codes, lost restarts: pixels were made up. Harmless warnings do not set it */
  char reason[JMSG_LENGTH_MAX];
};

struct jpeg_error_mgr *jpeg_guard_init(struct jpeg_guard *guard, struct error *error);

/* Ends files that consist of scans and nothing else: a small one could keep a processor busy for hours. Call after
 * jpeg_create_decompress. */
void jpeg_guard_limit_scans(struct jpeg_guard *guard, struct jpeg_decompress_struct *source);

/* 0 as long as nothing was lost; otherwise -1 with the reason. */
int jpeg_guard_check(const struct jpeg_guard *guard);

/* Before libjpeg keeps all coefficients of a file: whether the file is long enough to hold them, and they fit `memory`.
 */
int jpeg_guard_coefficients(const struct jpeg_decompress_struct *source, size_t size, size_t memory,
                            struct error *error);

/* Makes libjpeg write to the caller's buffer, whose memory lives on from file to file; replaces what it held. */
struct jpeg_target {
  struct jpeg_destination_mgr manager; /* first: libjpeg's pointer to it is cast back to the target */
  struct buffer *out;
  struct jpeg_guard *guard;
};

void jpeg_target_init(struct jpeg_target *target, struct jpeg_compress_struct *compress, struct buffer *out,
                      struct jpeg_guard *guard);

/* ---- exif.c ---- */

/* The orientation, 1 .. 8, in EXIF data (a TIFF header and its IFD 0); 1 when there is none. */
int exif_orientation(const uint8_t *bytes, size_t size);

/* ---- the decoders: what image_probe and image_decode call once the magic bytes are seen ---- */

int jpeg_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error);
int jpeg_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
                struct error *error);
int png_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error);
int png_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
               struct error *error);
int pnm_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error);
int pnm_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
               struct error *error);
int tiff_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error);
int tiff_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
                struct error *error);
int webp_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error);
int webp_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
                struct error *error);
int stb_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error);
int stb_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
               struct error *error);

#endif
