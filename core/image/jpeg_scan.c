/* Walks the Huffman codes of a baseline scan without decoding coefficients; see jpeg_scan.h.
 *
 * Where an MCU ends depends on the lengths of its codes only, so AC codes are skipped, several at a time where they are
 * short; DC differences are added up, since a cut must begin its rows with new ones. */
#include "core/image/jpeg_scan.h"

#include <stdlib.h>
#include <string.h>

/* ---- tables ---- */

static bool same_huffman(const struct jpeg_huffman *a, const struct jpeg_huffman *b) {
  return a->size == b->size && memcmp(a->payload, b->payload, (size_t)a->size) == 0;
}

/* False when codes overflow their length, or the last is all ones, which libjpeg refuses, too. */
static bool make_codes(const struct jpeg_huffman *huffman, struct jpeg_codes *codes) {
  uint32_t code = 0;
  int32_t index = 0;
  for (int length = 1; length <= 16; length++) {
    int count = huffman->payload[length - 1];
    codes->base[length] = index - (int32_t)code;
    code += (uint32_t)count;
    index += count;
    if (count > 0 && code >= 1u << length) return false;
    codes->limit[length] = code << (16 - length);
    code <<= 1;
  }
  return true;
}

/* For every index of `bits` bits the code that it begins with: length (low byte) and symbol, 0 when that is longer. */
static void spread_codes(const struct jpeg_huffman *huffman, int bits, uint16_t *table) {
  const uint8_t *symbol = huffman->payload + 16;
  size_t at = 0;
  for (int length = 1; length <= bits; length++) {
    size_t span = (size_t)1 << (bits - length);
    for (int i = huffman->payload[length - 1]; i > 0; i--, symbol++) {
      for (size_t j = 0; j < span; j++) {
        table[at++] = (uint16_t)(length | *symbol << 8);
      }
    }
  }
  memset(table + at, 0, sizeof(*table) * (((size_t)1 << bits) - at));
}

static uint32_t skip_entry(const uint16_t *single, uint32_t index) {
  uint32_t mask = (1u << JPEG_AC_INDEX) - 1, first = JPEG_AC_NONE << 8, total = JPEG_AC_NONE << 8;
  uint32_t used = 0, steps = 0;
  while (used < JPEG_AC_INDEX && steps < JPEG_AC_END) {
    uint32_t code = single[index << used & mask], length = code & 255, run = code >> 12, bits = code >> 8 & 15;
    if (length == 0 || used + length > JPEG_AC_INDEX) break;
    uint32_t step = bits == 0 && run != 15 ? JPEG_AC_END : run + 1;
    if (step != JPEG_AC_END && steps + step > 63) break;
    if (used == 0) first = (length + bits) | step << 8;
    if (used + length + bits > 15) break; /* see skip_block */
    used += length + bits;
    steps += step;
    total = used | steps << 8;
  }
  return total | first << 16;
}

static bool make_ac_table(struct jpeg_ac_table *table, const struct jpeg_huffman *source) {
  if (same_huffman(&table->source, source)) return true;
  table->source.size = 0;
  if (!make_codes(source, &table->codes)) return false;
  uint16_t single[1 << JPEG_AC_INDEX];
  spread_codes(source, JPEG_AC_INDEX, single);
  for (uint32_t i = 0; i < 1 << JPEG_AC_INDEX; i++) {
    table->skip[i] = skip_entry(single, i);
  }
  table->source = *source;
  return true;
}

/* Appends codes for the missing categories behind all others, as long as that leaves them unchanged and the all-ones
 * code free: at each length from the longest on, all codes that are free but one. */
static void extend_dc(struct jpeg_huffman *huffman, uint32_t missing) {
  uint32_t used = 0; /* of the code space, in 1 / 65536 */
  int length = 1;
  for (int i = 1; i <= 16; i++) {
    used += (uint32_t)huffman->payload[i - 1] << (16 - i);
    if (huffman->payload[i - 1] != 0) length = i;
  }
  for (int category = 0; category < JPEG_CATEGORIES; category++) {
    if (!(missing >> category & 1)) continue;
    while (length <= 16 && (65536 - used) >> (16 - length) < 2) {
      length++;
    }
    if (length > 16 || huffman->size == (int)sizeof(huffman->payload)) return;
    huffman->payload[length - 1]++;
    huffman->payload[huffman->size++] = (uint8_t)category;
    used += 1u << (16 - length);
  }
}

static void code_dc(struct jpeg_dc_table *table) {
  const uint8_t *symbol = table->extended.payload + 16;
  uint32_t code = 0;
  memset(table->length, 0, sizeof(table->length));
  for (int length = 1; length <= 16; length++, code <<= 1) {
    for (int i = table->extended.payload[length - 1]; i > 0; i--, code++, symbol++) {
      if (*symbol >= JPEG_CATEGORIES || table->length[*symbol] != 0) continue;
      table->length[*symbol] = (uint8_t)length;
      table->code[*symbol] = (uint16_t)code;
    }
  }
}

static bool make_dc_table(struct jpeg_dc_table *table, const struct jpeg_huffman *source) {
  if (same_huffman(&table->source, source)) return true;
  table->source.size = 0;
  if (!make_codes(source, &table->codes)) return false;
  uint32_t missing = (1u << JPEG_CATEGORIES) - 1;
  for (int i = 16; i < source->size; i++) {
    if (source->payload[i] > 15) return false; /* libjpeg refuses it, too */
    missing &= ~(1u << source->payload[i]);
  }
  spread_codes(source, JPEG_DC_INDEX, table->lookup);
  for (size_t i = 0; i < COUNT_OF(table->lookup); i++) {
    if (table->lookup[i] >> 8 >= JPEG_CATEGORIES) table->lookup[i] = 0;
  }
  table->extended = *source;
  extend_dc(&table->extended, missing);
  code_dc(table);
  table->source = *source;
  return true;
}

int jpeg_scan_prepare(struct jpeg_scan *scan) {
  for (int i = 0; i < scan->component_count; i++) {
    int dc = scan->component[i].dc, ac = scan->component[i].ac;
    if (!make_dc_table(&scan->dc[dc], &scan->dc_source[dc])) return JPEG_UNUSUAL;
    if (!make_ac_table(&scan->ac[ac], &scan->ac_source[ac])) return JPEG_UNUSUAL;
  }
  return JPEG_PARSED;
}

/* ---- walking ---- */

/* At least 57 bits from `position` on, left-aligned. */
static inline uint64_t window(const uint8_t *bits, uint64_t position) {
  return jpeg_load(bits + (position >> 3)) << (position & 7);
}

/* A code of any length: its length, 0 when there is none. */
static unsigned decode_slowly(const struct jpeg_codes *codes, const struct jpeg_huffman *source, uint64_t word,
                              unsigned *symbol) {
  uint32_t code = (uint32_t)(word >> 48);
  for (unsigned length = 1; length <= 16; length++) {
    if (code >= codes->limit[length]) continue;
    *symbol = source->payload[16 + codes->base[length] + (int32_t)(code >> (16 - length))];
    return length;
  }
  return 0;
}

static inline bool read_difference(const struct jpeg_dc_table *table, const uint8_t *bits, uint64_t *position,
                                   int *difference) {
  uint64_t word = window(bits, *position);
  unsigned entry = table->lookup[word >> (64 - JPEG_DC_INDEX)], length = entry & 255, category = entry >> 8;
  if (__builtin_expect(length == 0, 0)) {
    length = decode_slowly(&table->codes, &table->source, word, &category);
    if (length == 0 || category >= JPEG_CATEGORIES) return false;
  }
  word <<= length;
  int negative = (int)(~word >> 63);
  *difference = (int)(word >> 1 >> (63 - category)) - negative * ((1 << category) - 1);
  *position += length + category;
  return true;
}

/* Skips one code that the table could not skip together with others. */
static bool skip_code(const struct jpeg_ac_table *table, const uint8_t *bits, uint64_t *position, unsigned *k) {
  uint64_t word = window(bits, *position);
  uint32_t entry = table->skip[word >> (64 - JPEG_AC_INDEX)] >> 16;
  if (entry >> 8 == JPEG_AC_NONE) {
    unsigned symbol, length = decode_slowly(&table->codes, &table->source, word, &symbol);
    if (length == 0) return false;
    unsigned size = symbol & 15, run = symbol >> 4;
    entry = (length + size) | (size == 0 && run != 15 ? JPEG_AC_END : run + 1) << 8;
  }
  *position += entry & 255;
  *k += entry >> 8;
  return true;
}

/* Skips the AC codes of a block. `k` is the zig-zag position of the next coefficient; the end of the block lies beyond
 * JPEG_AC_END, so that one comparison finds all that is out of the ordinary. A window serves four look-ups: but for
 * the last, which may be of a longer code, they take 15 bits at most, and 57 - 3 * 15 still index the table. */
static inline bool skip_block(const struct jpeg_ac_table *table, const uint8_t *bits, uint64_t *position) {
  uint64_t at = *position;
  unsigned k = 1;
  while (k < 64) {
    uint64_t word = window(bits, at);
    uint32_t entry = 0;
    unsigned next = k;
    for (int i = 0; i < 4; i++) {
      entry = table->skip[word >> (64 - JPEG_AC_INDEX)];
      next = k + (entry >> 8 & 255);
      if (next >= 64) break;
      k = next;
      at += entry & 255;
      word <<= entry & 63;
    }
    if (next < 64) continue;
    if (next == 64 || next - (JPEG_AC_END + 1) < 63) {
      at += entry & 255;
      k = next;
    } else if (!skip_code(table, bits, &at, &k)) {
      return false;
    }
  }
  *position = at;
  return k == 64 || k > JPEG_AC_END;
}

/* Walks `count` MCUs from `first` on, which begin at bit `at` with a prediction of 0 and must end before bit `limit`.
 * The number of MCUs that are sound. */
static size_t walk_interval(struct jpeg_scan *scan, size_t first, size_t count, uint64_t at, uint64_t limit) {
  const struct jpeg_dc_table *dc_table[JPEG_BLOCKS];
  const struct jpeg_ac_table *ac_table[JPEG_BLOCKS];
  const uint8_t *bits = scan->bits.data;
  int blocks = scan->block_count;
  int last[JPEG_COMPONENTS] = {0};
  for (int b = 0; b < blocks; b++) {
    dc_table[b] = &scan->dc[scan->component[scan->block_component[b]].dc];
    ac_table[b] = &scan->ac[scan->component[scan->block_component[b]].ac];
  }
  for (size_t i = 0; i < count; i++) {
    unsigned excess = 0;
    for (int b = 0; b < blocks; b++) {
      int difference, *value = &last[scan->block_component[b]];
      if (!read_difference(dc_table[b], bits, &at, &difference)) return i;
      *value += difference;
      excess |= (unsigned)(*value + 2048) & ~4095u;
      if (!skip_block(ac_table[b], bits, &at)) return i;
    }
    if (at > limit || excess != 0) return i;
    scan->end[first + i] = (uint32_t)at;
    for (int c = 0; c < JPEG_COMPONENTS; c++) {
      scan->last[first + i][c] = (int16_t)last[c];
    }
  }
  return count;
}

static int reserve_mcus(struct jpeg_scan *scan, size_t mcus, struct error *error) {
  /* Every block takes two bits at least; a small file that claims to be large shall not cost memory. */
  if (mcus * (size_t)scan->block_count * 2 > scan->bits.size * 8) {
    return error_set(error, "corrupt: too little data for the size of the picture; fetch the file again");
  }
  void *end = scan->end, *last = scan->last;
  int status = array_reserve(&end, &scan->end_capacity, mcus, sizeof(*scan->end), error);
  scan->end = end;
  if (status == 0) status = array_reserve(&last, &scan->last_capacity, mcus, sizeof(*scan->last), error);
  scan->last = last;
  return status;
}

int jpeg_scan_walk(struct jpeg_scan *scan, int mcu_rows, struct error *error) {
  size_t mcus = (size_t)mcu_rows * (size_t)scan->grid.across, interval = (size_t)scan->restart_interval;
  if (reserve_mcus(scan, mcus, error)) return -1;
  if (interval == 0) interval = mcus;
  for (size_t first = 0, segment = 0; first < mcus; first += interval, segment++) {
    size_t count = mcus - first < interval ? mcus - first : interval, sound = 0;
    if (segment < scan->segment_count) {
      uint64_t start = 8 * (uint64_t)scan->segment[segment], limit = 8 * (uint64_t)scan->segment[segment + 1];
      sound = walk_interval(scan, first, count, start, limit);
      /* Whole bytes left over before a restart: a code was misread. */
      if (sound == interval && first + interval < mcus && limit - scan->end[first + sound - 1] >= 8) sound--;
    }
    if (sound < count) {
      return error_set(error, "corrupt Huffman data at MCU row %zu of %d; fetch the file again",
                       (first + sound) / (size_t)scan->grid.across, scan->grid.down);
    }
  }
  return 0;
}

void jpeg_scan_mcu(const struct jpeg_scan *scan, uint64_t start, struct jpeg_block blocks[JPEG_BLOCKS]) {
  for (int b = 0; b < scan->block_count; b++) {
    const struct jpeg_component *component = &scan->component[scan->block_component[b]];
    read_difference(&scan->dc[component->dc], scan->bits.data, &start, &blocks[b].difference);
    blocks[b].coded = start;
    skip_block(&scan->ac[component->ac], scan->bits.data, &start);
    blocks[b].end = start;
  }
}

void jpeg_scan_free(struct jpeg_scan *scan) {
  buffer_free(&scan->bits);
  free(scan->segment);
  free(scan->end);
  free(scan->last);
  *scan = (struct jpeg_scan){0};
}
