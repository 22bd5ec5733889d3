/* Writes a cut of a walked scan by copying its bits; see jpeg_scan.h.
 *
 * AC codes mean the same anywhere. A DC difference refers to the MCU before, which is another one for the first MCU of
 * each row of the cut, and for the first after a restart of the source, since cuts have none: these few are coded anew.
 */
#include "core/image/jpeg_scan.h"

#include <string.h>

/* ---- bits ---- */

struct bit_writer {
  uint8_t *out;
  uint64_t pending; /* left-aligned */
  unsigned count;   /* of pending bits, 0 .. 63 */
};

static inline uint8_t *put_stuffed(uint8_t *out, uint64_t word, int bytes) {
  for (int i = 0; i < bytes; i++, word <<= 8) {
    uint8_t byte = (uint8_t)(word >> 56);
    out[0] = byte;
    out[1] = 0;
    out += byte == 0xFF ? 2 : 1;
  }
  return out;
}

static inline uint8_t *put_word(uint8_t *out, uint64_t word) {
  const uint64_t ones = 0x0101010101010101;
  uint64_t inverse = ~word;
  if (__builtin_expect(((inverse - ones) & word & (ones << 7)) != 0, 0)) return put_stuffed(out, word, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  memcpy(out, &word, sizeof word);
  return out + sizeof word;
}

/* 1 <= count <= 64; `bits` left-aligned, zero behind them. */
static inline void put_bits(struct bit_writer *writer, uint64_t bits, unsigned count) {
  uint64_t word = writer->pending | bits >> writer->count;
  unsigned total = writer->count + count;
  if (total < 64) {
    writer->pending = word;
    writer->count = total;
    return;
  }
  writer->out = put_word(writer->out, word);
  writer->pending = writer->count == 0 ? 0 : bits << (64 - writer->count);
  writer->count = total - 64;
}

/* 64 bits of the source from any bit on. */
static inline uint64_t get_word(const uint8_t *bits, uint64_t position) {
  const uint8_t *at = bits + (position >> 3);
  unsigned shift = position & 7;
  return jpeg_load(at) << shift | at[8] >> (8 - shift);
}

static void copy_bits(struct bit_writer *writer, const uint8_t *bits, uint64_t from, uint64_t to) {
  uint8_t *out = writer->out;
  uint64_t pending = writer->pending;
  unsigned shift = writer->count;
  for (; to - from >= 64; from += 64) {
    uint64_t word = get_word(bits, from);
    out = put_word(out, pending | word >> shift);
    pending = word << 1 << (63 - shift); /* nothing when shift is 0 */
  }
  writer->out = out;
  writer->pending = shift == 0 ? 0 : pending;
  unsigned rest = (unsigned)(to - from);
  if (rest > 0) put_bits(writer, get_word(bits, from) >> (64 - rest) << (64 - rest), rest);
}

static void finish_bits(struct bit_writer *writer) {
  unsigned gap = -writer->count & 7;
  if (gap > 0) put_bits(writer, ~(uint64_t)0 << (64 - gap), gap); /* padded with ones */
  writer->out = put_stuffed(writer->out, writer->pending, (int)(writer->count / 8));
}

/* ---- headers ---- */

static uint8_t *put_marker(uint8_t *out, uint8_t marker, size_t body) {
  out[0] = 0xFF;
  out[1] = marker;
  out[2] = (uint8_t)((body + 2) >> 8);
  out[3] = (uint8_t)(body + 2);
  return out + 4;
}

static uint8_t *put_segment(uint8_t *out, uint8_t marker, const uint8_t *body, size_t size) {
  out = put_marker(out, marker, size);
  memcpy(out, body, size);
  return out + size;
}

static uint8_t *put_huffman(uint8_t *out, int kind, int slot, const struct jpeg_huffman *table) {
  out = put_marker(out, 0xC4, 1 + (size_t)table->size);
  *out++ = (uint8_t)(kind << 4 | slot);
  memcpy(out, table->payload, (size_t)table->size);
  return out + table->size;
}

static uint8_t *put_tables(uint8_t *out, const struct jpeg_scan *scan) {
  unsigned quant = 0, dc = 0, ac = 0; /* the slots in use */
  for (int i = 0; i < scan->component_count; i++) {
    quant |= 1u << scan->component[i].quant;
    dc |= 1u << scan->component[i].dc;
    ac |= 1u << scan->component[i].ac;
  }
  for (int i = 0; i < JPEG_TABLES; i++) {
    if (quant >> i & 1) out = put_segment(out, 0xDB, scan->quant[i].payload, (size_t)scan->quant[i].size);
    if (dc >> i & 1) out = put_huffman(out, 0, i, &scan->dc[i].extended);
    if (ac >> i & 1) out = put_huffman(out, 1, i, &scan->ac[i].source);
  }
  return out;
}

static uint8_t *put_frame(uint8_t *out, const struct jpeg_scan *scan, const struct jpeg_area *area) {
  size_t count = (size_t)scan->component_count;
  out = put_marker(out, scan->sof, 6 + 3 * count);
  *out++ = 8;
  *out++ = (uint8_t)(area->height >> 8);
  *out++ = (uint8_t)area->height;
  *out++ = (uint8_t)(area->width >> 8);
  *out++ = (uint8_t)area->width;
  *out++ = (uint8_t)count;
  for (size_t i = 0; i < count; i++) {
    const struct jpeg_component *component = &scan->component[i];
    *out++ = component->id;
    *out++ = (uint8_t)(component->h << 4 | component->v);
    *out++ = component->quant;
  }
  return out;
}

static uint8_t *put_headers(uint8_t *out, const struct jpeg_scan *scan, const struct jpeg_area *area) {
  size_t count = (size_t)scan->component_count;
  *out++ = 0xFF;
  *out++ = 0xD8;
  if (scan->has_jfif) out = put_segment(out, 0xE0, scan->jfif, sizeof(scan->jfif));
  if (scan->has_adobe) out = put_segment(out, 0xEE, scan->adobe, sizeof(scan->adobe));
  out = put_tables(out, scan);
  out = put_frame(out, scan, area);
  out = put_marker(out, 0xDA, 4 + 2 * count);
  *out++ = (uint8_t)count;
  for (size_t i = 0; i < count; i++) {
    *out++ = scan->component[i].id;
    *out++ = (uint8_t)(scan->component[i].dc << 4 | scan->component[i].ac);
  }
  *out++ = 0;
  *out++ = 63;
  *out++ = 0;
  return out;
}

enum { HEADERS_MAX = 2 + 18 + 16 + JPEG_TABLES * (133 + 2 * 277) + 22 + 16 };

/* ---- cutting ---- */

static bool put_difference(struct bit_writer *writer, const struct jpeg_dc_table *table, int difference) {
  unsigned magnitude = (unsigned)(difference < 0 ? -difference : difference);
  unsigned category = magnitude == 0 ? 0 : 32 - (unsigned)__builtin_clz(magnitude);
  if (category >= JPEG_CATEGORIES || table->length[category] == 0) return false;
  uint64_t value = (uint64_t)(difference < 0 ? difference + (int)(1u << category) - 1 : difference);
  unsigned count = table->length[category] + category;
  put_bits(writer, ((uint64_t)table->code[category] << category | value) << (64 - count), count);
  return true;
}

/* Copies MCUs `first` .. `behind` - 1, the first with new DC differences to the values in `last`, which become those
 * of the last MCU. */
static bool copy_mcus(const struct jpeg_scan *scan, struct bit_writer *writer, size_t first, size_t behind,
                      int16_t last[JPEG_COMPONENTS]) {
  static const int16_t none[JPEG_COMPONENTS] = {0};
  struct jpeg_block blocks[JPEG_BLOCKS];
  bool fresh;
  uint64_t at = jpeg_scan_start(scan, first, &fresh);
  const int16_t *before = fresh ? none : scan->last[first - 1];
  uint64_t block = at;
  int component = -1;
  jpeg_scan_mcu(scan, at, blocks);
  for (int b = 0; b < scan->block_count; b++) {
    if (scan->block_component[b] != component) {
      component = scan->block_component[b];
      copy_bits(writer, scan->bits.data, at, block);
      int difference = before[component] + blocks[b].difference - last[component];
      if (!put_difference(writer, &scan->dc[scan->component[component].dc], difference)) return false;
      at = blocks[b].coded;
    }
    block = blocks[b].end;
  }
  copy_bits(writer, scan->bits.data, at, scan->end[behind - 1]);
  memcpy(last, scan->last[behind - 1], sizeof(none));
  return true;
}

/* Bytes that the entropy-coded data of the cut can take. */
static size_t data_bound(const struct jpeg_scan *scan, const struct jpeg_area *area) {
  uint64_t bits = 0;
  for (int y = area->y; y < area->y + area->down; y++) {
    size_t first = (size_t)y * (size_t)scan->grid.across + (size_t)area->x;
    bool fresh;
    bits += scan->end[first + (size_t)area->across - 1] - jpeg_scan_start(scan, first, &fresh);
    size_t pieces = 1 + (scan->restart_interval == 0 ? 0 : (size_t)(area->across / scan->restart_interval) + 1);
    bits += pieces * JPEG_COMPONENTS * 27;
  }
  return 2 * (size_t)(bits / 8 + 1); /* each byte may need stuffing */
}

int jpeg_splice(const struct jpeg_scan *scan, const struct jpeg_area *area, struct buffer *out, struct error *error) {
  if (buffer_reserve(out, HEADERS_MAX + data_bound(scan, area) + 16, error)) return -1;
  struct bit_writer writer = {.out = put_headers(out->data, scan, area)};
  size_t interval = (size_t)scan->restart_interval;
  int16_t last[JPEG_COMPONENTS] = {0};
  for (int y = area->y; y < area->y + area->down; y++) {
    size_t first = (size_t)y * (size_t)scan->grid.across + (size_t)area->x, behind = first + (size_t)area->across;
    while (first < behind) {
      size_t piece = behind - first;
      if (interval != 0 && piece > interval - first % interval) piece = interval - first % interval;
      if (!copy_mcus(scan, &writer, first, first + piece, last)) return JPEG_UNUSUAL;
      first += piece;
    }
  }
  finish_bits(&writer);
  writer.out[0] = 0xFF;
  writer.out[1] = 0xD9;
  out->size = (size_t)(writer.out + 2 - out->data);
  return 0;
}
