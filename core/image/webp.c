/* WebP by libwebp: still pictures, lossy and lossless, and the first frame of moving ones. */
#include "core/image/internal.h"

#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

static int read_features(const uint8_t *data, size_t size, WebPBitstreamFeatures *features, struct error *error) {
  VP8StatusCode status = WebPGetFeatures(data, size, features);
  if (status == VP8_STATUS_NOT_ENOUGH_DATA) {
    return error_set(error, "WebP: the file ends before its picture does; fetch it again");
  }
  if (status != VP8_STATUS_OK) return error_set(error, "WebP: the header is broken (libwebp's status %d)", (int)status);
  return image_check_size(features->width, features->height, error);
}

static int read_orientation(const uint8_t *data, size_t size) {
  WebPData file = {data, size};
  WebPChunkIterator chunk;
  WebPDemuxer *demuxer = WebPDemux(&file);
  int orientation = 1;
  if (demuxer && WebPDemuxGetChunk(demuxer, "EXIF", 1, &chunk)) {
    const uint8_t *bytes = chunk.chunk.bytes;
    size_t left = chunk.chunk.size, prefix = left >= 6 && memcmp(bytes, "Exif\0\0", 6) == 0 ? 6 : 0; /* some keep it */
    orientation = exif_orientation(bytes + prefix, left - prefix);
    WebPDemuxReleaseChunkIterator(&chunk);
  }
  WebPDemuxDelete(demuxer);
  return orientation;
}

int webp_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error) {
  WebPBitstreamFeatures features;
  if (read_features(data, size, &features, error)) return -1;
  *info = (struct image_info){IMAGE_OTHER, features.width, features.height, read_orientation(data, size)};
  return 0;
}

static void put_rows(struct image *image, const struct rect *area, const uint8_t *pixels, int width, int channels) {
  for (int y = 0; y < area->h; y++) {
    size_t first = (size_t)(area->y + y) * (size_t)width + (size_t)area->x;
    image_put_row(image, y, pixels + first * (size_t)channels, channels);
  }
}

static int decode_still(const uint8_t *data, size_t size, const struct rect *area, struct image *image,
                        struct error *error) {
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config)) return error_set(error, "WebP: libwebp is of another version than its headers");
  VP8StatusCode status = WebPDecode(data, size, &config);
  if (status == VP8_STATUS_OK) {
    put_rows(image, area, config.output.u.RGBA.rgba, config.output.width, 3);
  } else if (status == VP8_STATUS_OUT_OF_MEMORY) {
    error_memory(error, 0);
  } else {
    error_set(error, "WebP: the picture is damaged or cut off; fetch the file again");
  }
  WebPFreeDecBuffer(&config.output);
  return status == VP8_STATUS_OK ? 0 : -1;
}

static int decode_moving(const uint8_t *data, size_t size, const struct rect *area, struct image *image,
                         struct error *error) {
  WebPData file = {data, size};
  WebPAnimDecoder *decoder = WebPAnimDecoderNew(&file, NULL);
  WebPAnimInfo info;
  uint8_t *pixels;
  int time, result = 0;
  if (decoder && WebPAnimDecoderGetInfo(decoder, &info) && WebPAnimDecoderGetNext(decoder, &pixels, &time)) {
    put_rows(image, area, pixels, (int)info.canvas_width, 4);
  } else {
    result = error_set(error, "WebP: the first frame is damaged or cut off; fetch the file again");
  }
  WebPAnimDecoderDelete(decoder);
  return result;
}

int webp_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
                struct error *error) {
  WebPBitstreamFeatures features;
  struct rect area;
  if (read_features(data, size, &features, error)) return -1;
  if (image_check_part(part, features.width, features.height, &area, error)) return -1;
  size_t each = features.has_animation ? 12 : 7; /* two canvases; or the pixels as libwebp has them, and as RGB */
  if (image_check_memory(&area, (size_t)features.width * (size_t)features.height * each, memory, error)) return -1;
  if (image_resize(image, area.w, area.h, error)) return -1;
  return features.has_animation ? decode_moving(data, size, &area, image, error)
                                : decode_still(data, size, &area, image, error);
}
