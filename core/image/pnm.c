/* Binary PGM and PPM. stb_image would read them too, but takes 16-bit samples for the wrong byte order, writes beyond
 * its memory on some, and ignores the maximum value. */
#include "core/image/internal.h"

struct pnm {
  int width, height, channels;
  unsigned maximum;
  size_t body; /* where the samples begin */
};

/* Skips white space and comments, then reads a number; 0 when there is none or it is absurd. */
static unsigned read_number(const uint8_t *data, size_t size, size_t *at) {
  bool comment = false;
  for (; *at < size; (*at)++) {
    uint8_t c = data[*at];
    bool space = c == ' ' || (c >= '\t' && c <= '\r');
    if (c == '#') comment = true;
    if (!comment && !space) break;
    if (c == '\n' || c == '\r') comment = false;
  }
  uint64_t value = 0;
  for (; *at < size && data[*at] >= '0' && data[*at] <= '9' && value <= INT32_MAX; (*at)++) {
    value = value * 10 + data[*at] - '0';
  }
  return value <= INT32_MAX ? (unsigned)value : 0;
}

static int read_header(const uint8_t *data, size_t size, struct pnm *pnm, struct error *error) {
  size_t at = 2;
  unsigned width = read_number(data, size, &at), height = read_number(data, size, &at);
  unsigned maximum = read_number(data, size, &at);
  if (maximum < 1 || maximum > 65535 || at == size) {
    return error_set(error, "PNM: the header is broken near byte %zu: expected width, height, maximum", at);
  }
  if (image_check_size(width, height, error)) return -1;
  *pnm = (struct pnm){(int)width, (int)height, data[1] == '6' ? 3 : 1, maximum, at + 1};
  return 0;
}

int pnm_probe(const uint8_t *data, size_t size, struct image_info *info, struct error *error) {
  struct pnm pnm = {0};
  if (read_header(data, size, &pnm, error)) return -1;
  *info = (struct image_info){IMAGE_OTHER, pnm.width, pnm.height, 1};
  return 0;
}

static uint8_t to_byte(const struct pnm *pnm, const uint8_t *sample) {
  unsigned value = pnm->maximum > 255 ? (unsigned)sample[0] << 8 | sample[1] : sample[0];
  if (pnm->maximum == 65535) return (uint8_t)(value >> 8);
  if (value >= pnm->maximum) return 255;
  return (uint8_t)((value * 255 + pnm->maximum / 2) / pnm->maximum);
}

int pnm_decode(const uint8_t *data, size_t size, const struct rect *part, size_t memory, struct image *image,
               struct error *error) {
  struct pnm pnm = {0};
  struct rect area;
  if (read_header(data, size, &pnm, error)) return -1;
  if (image_check_part(part, pnm.width, pnm.height, &area, error)) return -1;
  size_t bytes = pnm.maximum > 255 ? 2 : 1, step = bytes * (size_t)pnm.channels, stride = step * (size_t)pnm.width, end;
  if (!size_muladd(stride, (size_t)area.y + (size_t)area.h, pnm.body, &end) || end > size) {
    return error_set(error, "PNM: the file ends before its picture does; fetch it again");
  }
  if (image_check_memory(&area, 0, memory, error)) return -1;
  if (image_resize(image, area.w, area.h, error)) return -1;
  uint8_t *target = image->pixels;
  size_t green = pnm.channels == 3 ? bytes : 0;
  for (int y = 0; y < area.h; y++) {
    const uint8_t *sample = data + pnm.body + (size_t)(area.y + y) * stride + (size_t)area.x * step;
    for (int x = 0; x < area.w; x++, sample += step, target += 3) {
      target[0] = to_byte(&pnm, sample);
      target[1] = to_byte(&pnm, sample + green);
      target[2] = to_byte(&pnm, sample + 2 * green);
    }
  }
  return 0;
}
