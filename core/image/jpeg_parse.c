/* Reads the headers of a baseline JPEG file and unstuffs its entropy-coded data; see jpeg_scan.h. Strict on purpose: of
 * whatever is not plainly regular, libjpeg is the better judge. */
#include "core/image/internal.h"
#include "core/image/jpeg_scan.h"

#include <string.h>

enum {
  MARKER_SOF0 = 0xC0,
  MARKER_SOF1 = 0xC1,
  MARKER_DHT = 0xC4,
  MARKER_RST0 = 0xD0,
  MARKER_RST7 = 0xD7,
  MARKER_SOI = 0xD8,
  MARKER_EOI = 0xD9,
  MARKER_SOS = 0xDA,
  MARKER_DQT = 0xDB,
  MARKER_DRI = 0xDD,
  MARKER_APP0 = 0xE0,
  MARKER_APP14 = 0xEE,
  MARKER_APP15 = 0xEF,
  MARKER_COM = 0xFE,
};

#define LIBJPEG_SIZE_MAX 65500 /* of a side */

static int read_u16(const uint8_t *bytes) {
  return bytes[0] << 8 | bytes[1];
}

void jpeg_grid_divide(struct jpeg_grid *grid, const uint8_t *h, const uint8_t *v, int components) {
  int h_max = 1, v_max = 1;
  for (int i = 0; i < components; i++) {
    if (h[i] > h_max) h_max = h[i];
    if (v[i] > v_max) v_max = v[i];
  }
  grid->margin_x = grid->margin_y = false;
  for (int i = 0; i < components; i++) {
    grid->margin_x |= h[i] != h_max;
    grid->margin_y |= v[i] != v_max;
  }
  grid->mcu_width = components == 1 ? 8 : 8 * h_max; /* a lone component comes block by block */
  grid->mcu_height = components == 1 ? 8 : 8 * v_max;
  grid->across = (grid->width + grid->mcu_width - 1) / grid->mcu_width;
  grid->down = (grid->height + grid->mcu_height - 1) / grid->mcu_height;
}

static int parse_frame(struct jpeg_scan *scan, const uint8_t *body, size_t size, struct error *error) {
  uint8_t h[JPEG_COMPONENTS], v[JPEG_COMPONENTS];
  struct jpeg_grid *grid = &scan->grid;
  if (scan->component_count != 0 || size < 6 || body[0] != 8) return JPEG_UNUSUAL;
  grid->height = read_u16(body + 1);
  grid->width = read_u16(body + 3);
  int count = body[5];
  if (count < 1 || count > JPEG_COMPONENTS || size != 6 + 3 * (size_t)count) return JPEG_UNUSUAL;
  if (grid->width < 1 || grid->width > LIBJPEG_SIZE_MAX || grid->height < 1 || grid->height > LIBJPEG_SIZE_MAX) {
    return JPEG_UNUSUAL;
  }
  if (image_check_size(grid->width, grid->height, error)) return -1;
  scan->block_count = 0;
  for (int i = 0; i < count; i++) {
    const uint8_t *item = body + 6 + 3 * i;
    h[i] = item[1] >> 4;
    v[i] = item[1] & 15;
    if (h[i] < 1 || h[i] > 4 || v[i] < 1 || v[i] > 4 || item[2] >= JPEG_TABLES) return JPEG_UNUSUAL;
    for (int j = 0; j < i; j++) {
      if (scan->component[j].id == item[0]) return JPEG_UNUSUAL;
    }
    scan->component[i] = (struct jpeg_component){.id = item[0], .h = h[i], .v = v[i], .quant = item[2]};
    int blocks = count == 1 ? 1 : h[i] * v[i];
    if (scan->block_count + blocks > JPEG_BLOCKS) return JPEG_UNUSUAL;
    for (int j = 0; j < blocks; j++) {
      scan->block_component[scan->block_count++] = (uint8_t)i;
    }
  }
  scan->component_count = count;
  jpeg_grid_divide(grid, h, v, count);
  return JPEG_PARSED;
}

static int parse_quant(struct jpeg_scan *scan, const uint8_t *body, size_t size) {
  while (size > 0) {
    size_t length = body[0] >> 4 ? 129 : 65;
    int slot = body[0] & 15;
    if (body[0] >> 4 > 1 || slot >= JPEG_TABLES || length > size) return JPEG_UNUSUAL;
    memcpy(scan->quant[slot].payload, body, length);
    scan->quant[slot].size = (int)length;
    body += length;
    size -= length;
  }
  return JPEG_PARSED;
}

static int parse_huffman(struct jpeg_scan *scan, const uint8_t *body, size_t size) {
  while (size > 0) {
    if (size < 17 || body[0] >> 4 > 1 || (body[0] & 15) >= JPEG_TABLES) return JPEG_UNUSUAL;
    size_t symbols = 0;
    for (int i = 1; i <= 16; i++) {
      symbols += body[i];
    }
    if (symbols < 1 || symbols > 256 || 17 + symbols > size) return JPEG_UNUSUAL;
    struct jpeg_huffman *table = (body[0] >> 4 ? scan->ac_source : scan->dc_source) + (body[0] & 15);
    memcpy(table->payload, body + 1, 16 + symbols);
    table->size = (int)(16 + symbols);
    body += 17 + symbols;
    size -= 17 + symbols;
  }
  return JPEG_PARSED;
}

static int parse_scan(struct jpeg_scan *scan, const uint8_t *body, size_t size) {
  size_t count = (size_t)scan->component_count;
  if (count == 0 || size != 4 + 2 * count || body[0] != count) return JPEG_UNUSUAL;
  for (size_t i = 0; i < count; i++) {
    struct jpeg_component *component = &scan->component[i];
    const uint8_t *item = body + 1 + 2 * i;
    component->dc = item[1] >> 4;
    component->ac = item[1] & 15;
    if (item[0] != component->id || component->dc >= JPEG_TABLES || component->ac >= JPEG_TABLES) return JPEG_UNUSUAL;
    if (scan->dc_source[component->dc].size == 0 || scan->ac_source[component->ac].size == 0 ||
        scan->quant[component->quant].size == 0) {
      return JPEG_UNUSUAL;
    }
  }
  const uint8_t *range = body + 1 + 2 * count; /* of coefficients: all of them, at once */
  return range[0] == 0 && range[1] == 63 && range[2] == 0 ? JPEG_PARSED : JPEG_UNUSUAL;
}

/* APP0 and APP14 tell libjpeg the colour space; a JFIF thumbnail would show what the cut no longer does. */
static void parse_application(struct jpeg_scan *scan, uint8_t marker, const uint8_t *body, size_t size) {
  if (marker == MARKER_APP0 && size >= sizeof(scan->jfif) && memcmp(body, "JFIF", 5) == 0) {
    memcpy(scan->jfif, body, sizeof(scan->jfif));
    scan->jfif[12] = scan->jfif[13] = 0;
    scan->has_jfif = true;
  }
  if (marker == MARKER_APP14 && size >= sizeof(scan->adobe) && memcmp(body, "Adobe", 5) == 0) {
    memcpy(scan->adobe, body, sizeof(scan->adobe));
    scan->has_adobe = true;
  }
}

static int parse_segment(struct jpeg_scan *scan, uint8_t marker, const uint8_t *body, size_t size,
                         struct error *error) {
  switch (marker) {
  case MARKER_SOF0:
  case MARKER_SOF1:
    scan->sof = marker;
    return parse_frame(scan, body, size, error);
  case MARKER_DHT:
    return parse_huffman(scan, body, size);
  case MARKER_DQT:
    return parse_quant(scan, body, size);
  case MARKER_SOS:
    return parse_scan(scan, body, size);
  case MARKER_DRI:
    if (size != 2) return JPEG_UNUSUAL;
    scan->restart_interval = read_u16(body);
    return JPEG_PARSED;
  default:
    if ((marker < MARKER_APP0 || marker > MARKER_APP15) && marker != MARKER_COM) return JPEG_UNUSUAL;
    parse_application(scan, marker, body, size);
    return JPEG_PARSED;
  }
}

static int truncated(struct error *error) {
  return error_set(error, "truncated: no end-of-image marker; fetch the file again");
}

static int begin_segment(struct jpeg_scan *scan, struct error *error) {
  void *segment = scan->segment;
  if (array_reserve(&segment, &scan->segment_capacity, scan->segment_count + 2, sizeof(*scan->segment), error)) {
    return -1;
  }
  scan->segment = segment;
  scan->segment[scan->segment_count++] = scan->bits.size;
  return 0;
}

static int unstuff(struct jpeg_scan *scan, const uint8_t *data, const uint8_t *end, struct error *error) {
  size_t room = (size_t)(end - data) + JPEG_SCAN_PAD;
  if (room > UINT32_MAX / 8) return JPEG_UNUSUAL; /* ends of MCUs are kept in 32 bits */
  scan->bits.size = 0;
  if (buffer_reserve(&scan->bits, room, error)) return -1;
  scan->segment_count = 0;
  if (begin_segment(scan, error)) return -1;
  for (;;) {
    const uint8_t *mark = memchr(data, 0xFF, (size_t)(end - data));
    if (mark == NULL) return truncated(error);
    memcpy(scan->bits.data + scan->bits.size, data, (size_t)(mark - data));
    scan->bits.size += (size_t)(mark - data);
    do {
      if (++mark == end) return truncated(error);
    } while (*mark == 0xFF); /* fill bytes */
    data = mark + 1;
    if (*mark == 0) {
      scan->bits.data[scan->bits.size++] = 0xFF;
    } else if (*mark == MARKER_EOI) {
      break;
    } else if (*mark < MARKER_RST0 || *mark > MARKER_RST7) {
      return JPEG_UNUSUAL;
    } else if (scan->restart_interval == 0 || *mark != MARKER_RST0 + ((scan->segment_count - 1) & 7)) {
      return error_set(error, "corrupt: restart marker %zu is out of order; fetch the file again",
                       scan->segment_count - 1);
    } else if (begin_segment(scan, error)) {
      return -1;
    }
  }
  scan->segment[scan->segment_count] = scan->bits.size;
  memset(scan->bits.data + scan->bits.size, 0, JPEG_SCAN_PAD);
  return JPEG_PARSED;
}

static void forget(struct jpeg_scan *scan) {
  scan->component_count = scan->restart_interval = 0;
  scan->has_jfif = scan->has_adobe = false;
  for (int i = 0; i < JPEG_TABLES; i++) {
    scan->quant[i].size = scan->dc_source[i].size = scan->ac_source[i].size = 0;
  }
}

int jpeg_parse(struct jpeg_scan *scan, const uint8_t *data, size_t size, struct error *error) {
  const uint8_t *end = data + size;
  forget(scan);
  if (size < 2 || data[0] != 0xFF || data[1] != MARKER_SOI) return JPEG_UNUSUAL;
  data += 2;
  for (;;) {
    if (data == end) return truncated(error);
    if (*data++ != 0xFF) return JPEG_UNUSUAL;
    while (data < end && *data == 0xFF) {
      data++;
    }
    if (end - data < 3) return truncated(error);
    uint8_t marker = data[0];
    size_t length = (size_t)read_u16(data + 1);
    /* Markers without a length are refused before it counts: none of them belongs here. */
    if (marker == MARKER_EOI || (marker >= MARKER_RST0 && marker <= MARKER_SOI) || marker <= 1) return JPEG_UNUSUAL;
    if (length < 2) return JPEG_UNUSUAL;
    if (length > (size_t)(end - data) - 1) return truncated(error);
    int status = parse_segment(scan, marker, data + 3, length - 2, error);
    if (status != JPEG_PARSED) return status;
    data += 1 + length;
    if (marker == MARKER_SOS) return unstuff(scan, data, end, error);
  }
}
