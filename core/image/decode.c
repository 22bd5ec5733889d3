/* Pictures in memory, and the choice of a decoder by magic bytes. */
#include "core/image/internal.h"

#include <stdlib.h>
#include <string.h>

int image_check_size(int64_t width, int64_t height, struct error *error) {
  if (width < 1 || height < 1) {
    return error_set(error, "the picture is empty (%lld x %lld pixels)", (long long)width, (long long)height);
  }
  if (width > INT32_MAX || height > INT32_MAX || width * height > IMAGE_PIXELS_MAX) {
    return error_set(error, "%lld x %lld pixels are more than the %lld that are decoded at most; scale it down first",
                     (long long)width, (long long)height, (long long)IMAGE_PIXELS_MAX);
  }
  return 0;
}

int image_check_part(const struct rect *part, int width, int height, struct rect *area, struct error *error) {
  *area = part ? *part : (struct rect){0, 0, width, height};
  if (area->x < 0 || area->y < 0 || area->w < 1 || area->h < 1 || area->w > width || area->h > height ||
      area->x > width - area->w || area->y > height - area->h) {
    return error_set(error, "the rectangle (%d, %d, %d x %d) is not inside the picture of %d x %d pixels", area->x,
                     area->y, area->w, area->h, width, height);
  }
  return 0;
}

int image_resize(struct image *image, int width, int height, struct error *error) {
  if (image_check_size(width, height, error)) return -1;
  size_t held = image->pixels ? (size_t)image->width * (size_t)image->height : 0;
  size_t wanted = (size_t)width * (size_t)height;
  if (wanted != held) {
    image_free(image);
    image->pixels = malloc(wanted * 3);
    if (!image->pixels) return error_memory(error, wanted * 3);
  }
  image->width = width;
  image->height = height;
  return 0;
}

int image_alloc(struct image *image, int width, int height, struct error *error) {
  if (image_resize(image, width, height, error)) return -1;
  memset(image->pixels, 0, (size_t)width * (size_t)height * 3);
  return 0;
}

void image_free(struct image *image) {
  free(image->pixels);
  *image = (struct image){0};
}

void image_put_row(struct image *image, int y, const uint8_t *pixels, int channels) {
  size_t width = (size_t)image->width;
  uint8_t *target = image->pixels + (size_t)y * width * 3;
  if (channels == 3) {
    memcpy(target, pixels, width * 3);
    return;
  }
  bool alpha = channels % 2 == 0;
  int green = channels > 2 ? 1 : 0;
  for (size_t x = 0; x < width; x++, target += 3, pixels += channels) {
    unsigned weight = alpha ? pixels[channels - 1] : 255;
    for (int c = 0; c < 3; c++) {
      target[c] = scale_byte(pixels[c * green], weight);
    }
  }
}

/* Which decoder the first bytes ask for. */
enum decoder { DECODER_JPEG, DECODER_PNG, DECODER_PNM, DECODER_STB };

static enum decoder sniff(const uint8_t *data, size_t size) {
  static const uint8_t png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  if (size >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff) return DECODER_JPEG;
  if (size >= sizeof png && memcmp(data, png, sizeof png) == 0) return DECODER_PNG;
  if (size >= 3 && data[0] == 'P' && (data[1] == '5' || data[1] == '6')) return DECODER_PNM;
  return DECODER_STB;
}

int image_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error) {
  if (size == 0) return error_set(error, "the file is empty; fetch it again");
  switch (sniff(data, size)) {
  case DECODER_JPEG:
    return jpeg_probe(data, size, info, error);
  case DECODER_PNG:
    return png_probe(data, size, info, error);
  case DECODER_PNM:
    return pnm_probe(data, size, info, error);
  default:
    return stb_probe(data, size, info, error);
  }
}

int image_decode(const uint8_t *data, size_t size, const struct rect *part, struct image *image, struct error *error) {
  switch (sniff(data, size)) {
  case DECODER_JPEG:
    return jpeg_decode(data, size, part, image, error);
  case DECODER_PNG:
    return png_decode(data, size, part, image, error);
  case DECODER_PNM:
    return pnm_decode(data, size, part, image, error);
  default:
    return stb_decode(data, size, part, image, error);
  }
}
