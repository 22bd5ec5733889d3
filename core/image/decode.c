/* Pictures in memory, and the choice of a decoder by magic bytes. */
#include "core/image/internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIXELS_MAX ((int64_t)1 << 40)
#define SHARE_LEAST ((size_t)64 << 20)

int image_check_size(int64_t width, int64_t height, struct error *error) {
  if (width < 1 || height < 1) {
    return error_set(error, "the picture is empty (%lld x %lld pixels)", (long long)width, (long long)height);
  }
  if (width > INT32_MAX || height > INT32_MAX || width * height > PIXELS_MAX) {
    return error_set(error, "%lld x %lld pixels cannot be: the header is damaged", (long long)width, (long long)height);
  }
  return 0;
}

size_t image_memory_share(int workers) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  size_t all = pages > 0 && page > 0 ? (size_t)pages * (size_t)page : SHARE_LEAST;
  size_t share = all / 2 / (size_t)(workers > 0 ? workers : 1);
  return share > SHARE_LEAST ? share : SHARE_LEAST;
}

int image_check_memory(const struct rect *area, size_t besides, size_t memory, struct error *error) {
  size_t needed = (size_t)area->w * (size_t)area->h * 3 + besides;
  if (needed <= memory) return 0;
  error_set(error,
            "decoding the picture takes %.1f GB, more than the %.1f GB of memory that a worker may take; use fewer "
            "--workers, or cut the picture into tiles",
            (double)needed / 1e9, (double)memory / 1e9);
  error->machine = true;
  return -1;
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
  int green = channels > 2 ? 1 : 0;
  for (size_t x = 0; x < width; x++, target += 3, pixels += channels) {
    for (int c = 0; c < 3; c++) {
      target[c] = pixels[c * green];
    }
  }
}

/* ---- the decoders ---- */

struct decoder {
  int (*probe)(const uint8_t *data, size_t size, struct image_info *info, struct error *error);
  int (*decode)(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
                struct error *error);
};

static bool begins(const uint8_t *data, size_t size, size_t at, const char *bytes, size_t count) {
  return size >= at + count && memcmp(data + at, bytes, count) == 0;
}

/* Which one the first bytes ask for. */
static struct decoder sniff(const uint8_t *data, size_t size) {
  if (begins(data, size, 0, "\xff\xd8\xff", 3)) return (struct decoder){jpeg_probe, jpeg_decode};
  if (begins(data, size, 0, "\x89PNG\r\n\x1a\n", 8)) return (struct decoder){png_probe, png_decode};
  if (begins(data, size, 0, "RIFF", 4) && begins(data, size, 8, "WEBP", 4)) {
    return (struct decoder){webp_probe, webp_decode};
  }
  if (begins(data, size, 0, "II*\0", 4) || begins(data, size, 0, "MM\0*", 4) || begins(data, size, 0, "II+\0", 4) ||
      begins(data, size, 0, "MM\0+", 4)) {
    return (struct decoder){tiff_probe, tiff_decode};
  }
  bool pnm = size >= 3 && data[0] == 'P' && (data[1] == '5' || data[1] == '6');
  return pnm ? (struct decoder){pnm_probe, pnm_decode} : (struct decoder){stb_probe, stb_decode};
}

int image_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error) {
  if (size == 0) return error_set(error, "the file is empty; fetch it again");
  return sniff(data, size).probe(data, size, info, error);
}

int image_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
                 struct error *error) {
  return sniff(data, size).decode(data, size, part, memory, image, error);
}
