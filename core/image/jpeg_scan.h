/* Inside of core/image: a baseline JPEG file taken apart as far as cutting needs, and no further.
 *
 * jpeg_parse.c reads the headers and unstuffs the entropy-coded data; jpeg_scan.c walks its Huffman codes and notes
 * where each MCU ends; jpeg_splice.c writes a cut by copying bits; jpeg_transcode.c does the same through libjpeg for
 * the files that these cannot take.
 */
#ifndef JIGSAW_CORE_IMAGE_JPEG_SCAN_H
#define JIGSAW_CORE_IMAGE_JPEG_SCAN_H

#include "core/image/image.h"

enum {
  JPEG_COMPONENTS = 4,  /* at most in a frame we splice */
  JPEG_TABLES = 4,      /* slots for each kind of table */
  JPEG_BLOCKS = 10,     /* at most in an MCU, by the standard */
  JPEG_CATEGORIES = 12, /* of a DC difference of 8-bit samples: 0 .. 11 bits */
  JPEG_AC_INDEX = 11,   /* bits that index the table of AC codes ... */
  JPEG_DC_INDEX = 9,    /* ... and of DC codes */
  JPEG_SCAN_PAD =
      4096, /* bytes after the unstuffed data, more than the longest MCU, so that it is checked once a MCU */
};

/* What DHT holds: 16 counts of codes by length, then the symbols. `size` is 0 when it is not defined. */
struct jpeg_huffman {
  uint8_t payload[16 + 256];
  int size;
};

/* Canonical decoding: of a code of `length` bits that stands left-aligned in 16 bits, code < limit[length] holds first
 * for its own length, and the symbol is number base[length] + (code >> (16 - length)). */
struct jpeg_codes {
  uint32_t limit[17];
  int32_t base[17];
};

struct jpeg_dc_table {
  struct jpeg_huffman source; /* what the rest was made of */
  struct jpeg_codes codes;
  uint16_t lookup[1 << JPEG_DC_INDEX]; /* code length | category << 8; 0: see codes */
  struct jpeg_huffman extended;        /* source with codes for all categories behind its own, where there is room */
  uint16_t code[JPEG_CATEGORIES];      /* by `extended` */
  uint8_t length[JPEG_CATEGORIES];     /* 0: no code */
};

/* An entry says how far the symbols that begin in the index bits reach: total bits | zig-zag steps << 8 for all of them
 * together, and the same << 16 for the first alone. An end-of-block counts as JPEG_AC_END steps; JPEG_AC_NONE steps
 * means that there is no such symbol here. */
enum { JPEG_AC_END = 128, JPEG_AC_NONE = 255 };

struct jpeg_ac_table {
  struct jpeg_huffman source;
  struct jpeg_codes codes;
  uint32_t skip[1 << JPEG_AC_INDEX];
};

struct jpeg_component {
  uint8_t id, h, v, quant; /* as in SOF */
  uint8_t dc, ac;          /* as in SOS */
};

/* How a picture divides into MCUs. */
struct jpeg_grid {
  int width, height;         /* pixels */
  int mcu_width, mcu_height; /* pixels of an MCU */
  int across, down;          /* MCUs */
  bool margin_x, margin_y;   /* some component is subsampled that way */
};

/* A cut: whole MCUs, but ending at the picture's own edge where it reaches it. */
struct jpeg_area {
  int x, y, across, down; /* MCUs */
  int width, height;      /* pixels */
};

struct jpeg_scan {
  /* Headers. */
  struct jpeg_grid grid;
  struct jpeg_component component[JPEG_COMPONENTS];
  int component_count;
  uint8_t sof;          /* 0xC0 or 0xC1 */
  int restart_interval; /* MCUs; 0: none */
  struct {
    uint8_t payload[1 + 128]; /* precision and slot, then the values as they stand in DQT */
    int size;                 /* 0: not defined */
  } quant[JPEG_TABLES];
  struct jpeg_huffman dc_source[JPEG_TABLES], ac_source[JPEG_TABLES];
  uint8_t jfif[14], adobe[12];
  bool has_jfif, has_adobe;

  /* The MCU's blocks in their order. */
  int block_count;
  uint8_t block_component[JPEG_BLOCKS];

  /* Tables, kept from file to file: most files have the same few. */
  struct jpeg_dc_table dc[JPEG_TABLES];
  struct jpeg_ac_table ac[JPEG_TABLES];

  /* Entropy-coded data without stuffing and restart markers. segment[i] is the byte at which the i-th interval begins,
   * segment[segment_count] the end. */
  struct buffer bits;
  size_t *segment;
  size_t segment_count, segment_capacity;

  /* For each MCU walked: the bit behind it, and the DC values of its last blocks. */
  uint32_t *end;
  size_t end_capacity;
  int16_t (*last)[JPEG_COMPONENTS];
  size_t last_capacity;
};

enum jpeg_parsed { JPEG_PARSED = 0, JPEG_UNUSUAL = 1 };

/* JPEG_PARSED; JPEG_UNUSUAL when the file is not baseline with one interleaved scan, or strange: libjpeg shall see; -1
 * when it is truncated, its restart markers are out of order, or it has too many pixels. */
int jpeg_parse(struct jpeg_scan *scan, const uint8_t *data, size_t size, struct error *error);

/* Makes the tables; JPEG_PARSED or JPEG_UNUSUAL (a table that libjpeg would refuse). */
int jpeg_scan_prepare(struct jpeg_scan *scan);

/* Walks the first `mcu_rows` rows of MCUs. */
int jpeg_scan_walk(struct jpeg_scan *scan, int mcu_rows, struct error *error);

/* Where the blocks of a walked MCU lie. */
struct jpeg_block {
  uint64_t coded, end; /* bit behind the DC difference, bit behind the block */
  int difference;
};

void jpeg_scan_mcu(const struct jpeg_scan *scan, uint64_t start, struct jpeg_block blocks[JPEG_BLOCKS]);

void jpeg_scan_free(struct jpeg_scan *scan);

/* Appends the cut to `out`; JPEG_UNUSUAL when a DC table has no room for a code that is needed. */
int jpeg_splice(const struct jpeg_scan *scan, const struct jpeg_area *area, struct buffer *out, struct error *error);

/* The way through libjpeg: holds the coefficients of a whole file. */
struct jpeg_transcoder;

int jpeg_transcoder_open(struct jpeg_transcoder **transcoder, const uint8_t *data, size_t size, struct jpeg_grid *grid,
                         size_t memory, struct error *error);
int jpeg_transcoder_cut(struct jpeg_transcoder *transcoder, const struct jpeg_area *area, struct buffer *out,
                        struct error *error);
void jpeg_transcoder_close(struct jpeg_transcoder *transcoder);

/* Fills in mcu_width .. margin_y from the size and the components' sampling factors. */
void jpeg_grid_divide(struct jpeg_grid *grid, const uint8_t *h, const uint8_t *v, int components);

static inline uint64_t jpeg_load(const uint8_t *bytes) {
  uint64_t word;
  __builtin_memcpy(&word, bytes, sizeof word);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

/* The first bit of MCU `mcu`. */
static inline uint64_t jpeg_scan_start(const struct jpeg_scan *scan, size_t mcu, bool *fresh) {
  size_t interval = (size_t)scan->restart_interval;
  *fresh = mcu == 0 || (interval != 0 && mcu % interval == 0);
  if (!*fresh) return scan->end[mcu - 1];
  return interval == 0 ? 0 : 8 * (uint64_t)scan->segment[mcu / interval];
}

#endif
