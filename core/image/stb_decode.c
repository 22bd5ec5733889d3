/* BMP, TGA and GIF, by stb_image. Its other readers stay out: better libraries read JPEG and PNG, and fuzzers found
 * those of PNM and PSD unsound. */
#include "core/image/internal.h"

#include <string.h>

/* To the end of the file: some compilers look at static functions only there. */
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wshadow"
#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_NO_PIC
#define STBI_NO_PNM
#define STBI_NO_PSD
#define STBI_NO_JPEG
#define STBI_NO_PNG
#include <stb/stb_image.h>

/* stb_image takes what is missing at the end of a file for zeros, or leaves memory as it was. So it reads through this,
 * which notices. Reading ahead into its own small buffer, recognised by its address, may come short of the end; reading
 * nothing at all, or not enough into anything else, is a loss. */
struct stb_source {
  const uint8_t *data;
  size_t left;
  const char *ahead;
  bool lost;
};

static int stb_read(void *user, char *target, int size) {
  struct stb_source *source = user;
  size_t wanted = size > 0 ? (size_t)size : 0;
  size_t count = wanted < source->left ? wanted : source->left;
  if (!source->ahead) source->ahead = target;
  if (count < wanted && (count == 0 || target != source->ahead)) source->lost = true;
  if (count > 0) memcpy(target, source->data, count);
  source->data += count;
  source->left -= count;
  return (int)count;
}

static void stb_skip(void *user, int size) {
  struct stb_source *source = user;
  size_t wanted = size > 0 ? (size_t)size : 0;
  size_t count = wanted < source->left ? wanted : source->left;
  source->data += count;
  source->left -= count;
}

static int stb_at_end(void *user) {
  const struct stb_source *source = user;
  return source->left == 0;
}

static const stbi_io_callbacks STB_CALLBACKS = {stb_read, stb_skip, stb_at_end};

/* What a file is that is no picture that can be read, by its first bytes; NULL when that is not known. */
static const char *known_as(const uint8_t *data, size_t size) {
  static const struct {
    size_t at, size;
    const char *bytes, *what;
  } known[] = {
      {0, 23, "version https://git-lfs", "a Git LFS pointer, not the picture: run \"git lfs pull\" where it came from"},
      {0, 9, "<!DOCTYPE", "a web page, not the picture: download it again"},
      {0, 9, "<!doctype", "a web page, not the picture: download it again"},
      {0, 5, "<html", "a web page, not the picture: download it again"},
      {0, 5, "<?xml", "XML (SVG?), not a picture of pixels"},
      {0, 4, "<svg", "SVG, not a picture of pixels"},
      {4, 8, "ftypavif", "AVIF, which is not read: convert it to PNG or JPEG"},
      {4, 7, "ftyphei", "HEIC, which is not read: convert it to JPEG"},
      {4, 7, "ftyphev", "HEIC, which is not read: convert it to JPEG"},
      {4, 8, "ftypmif1", "HEIF, which is not read: convert it to JPEG"},
      {4, 4, "ftyp", "a video (MP4), not a picture"},
      {4, 4, "jP  ", "JPEG 2000, which is not read: convert it to PNG"},
      {4, 4, "JXL ", "JPEG XL, which is not read: convert it to PNG or JPEG"},
      {0, 2, "\xFF\x0A", "JPEG XL, which is not read: convert it to PNG or JPEG"},
      {0, 4, "PK\x03\x04", "a zip archive, not a picture: unpack it"},
      {0, 2, "\x1F\x8B", "compressed with gzip: unpack it"},
      {0, 6, "\x93NUMPY", "a NumPy array: write it as PNG"},
      {0, 4, "\x76\x2F\x31\x01", "OpenEXR, which is not read: convert it to PNG"},
      {0, 4, "%PDF", "a PDF document, not a picture"},
      {128, 4, "DICM", "DICOM, which is not read: convert it to PNG"},
  };
  for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
    if (size >= known[i].at + known[i].size && memcmp(data + known[i].at, known[i].bytes, known[i].size) == 0)
      return known[i].what;
  }
  return NULL;
}

int stb_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error) {
  struct stb_source source = {.data = data, .left = size};
  int width, height, channels;
  if (!stbi_info_from_callbacks(&STB_CALLBACKS, &source, &width, &height, &channels)) {
    if (size == 0) return error_set(error, "not a picture: the file is empty; fetch it again");
    const char *what = known_as(data, size);
    if (what != NULL) return error_set(error, "%s", what);
    uint8_t magic[4] = {0};
    memcpy(magic, data, size < 4 ? size : 4);
    return error_set(error,
                     "not a picture of a known format (it begins with the bytes %02x %02x %02x %02x); JPEG, PNG, WebP, "
                     "TIFF, BMP, GIF, TGA and PNM are read: convert it to one of them",
                     magic[0], magic[1], magic[2], magic[3]);
  }
  *info = (struct image_info){.format = IMAGE_OTHER, .width = width, .height = height, .orientation = 1};
  return image_check_size(width, height, error);
}

int stb_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
               struct error *error) {
  struct image_info info;
  struct rect area;
  if (stb_probe(data, size, &info, error)) return -1;
  if (image_check_part(part, info.width, info.height, &area, error)) return -1;
  size_t canvases = (size_t)info.width * (size_t)info.height * 9; /* a GIF's three */
  if (image_check_memory(&area, canvases, memory, error)) return -1;

  struct stb_source source = {.data = data, .left = size};
  int width, height, channels, status = -1;
  uint8_t *pixels = stbi_load_from_callbacks(&STB_CALLBACKS, &source, &width, &height, &channels, 0);
  if (!pixels) {
    error_set(error, "the picture cannot be decoded: %s", stbi_failure_reason());
    error->machine = strcmp(stbi_failure_reason(), "outofmem") == 0;
    goto done;
  }
  if (source.lost) {
    error_set(error, "the file ends before its picture does; fetch it again");
    goto done;
  }
  if (width != info.width || height != info.height) {
    error_set(error, "the picture is %d x %d pixels, its header says %d x %d", width, height, info.width, info.height);
    goto done;
  }
  if (image_resize(image, area.w, area.h, error)) goto done;
  for (int y = 0; y < area.h; y++) {
    size_t first = (size_t)(area.y + y) * (size_t)width + (size_t)area.x;
    image_put_row(image, y, pixels + first * (size_t)channels, channels);
  }
  status = 0;
done:
  stbi_image_free(pixels);
  return status;
}
