/* Lossless cutting of JPEG files: geometry, and which way a file goes. See image.h and jpeg_scan.h. */
#include "core/image/jpeg_scan.h"

#include <stdlib.h>

struct jpeg_cutter {
  const uint8_t *data;
  size_t size;
  int rows;      /* that can be cut from; 0: no file is open */
  size_t memory; /* that a file's coefficients may take */
  struct jpeg_grid grid;
  bool spliced; /* the scan is walked; otherwise the transcoder is open */
  struct jpeg_transcoder *transcoder;
  struct jpeg_scan scan;
};

struct jpeg_cutter *jpeg_cutter_new(size_t memory) {
  struct jpeg_cutter *cutter = calloc(1, sizeof *cutter);
  if (cutter) cutter->memory = memory;
  return cutter;
}

static void close_file(struct jpeg_cutter *cutter) {
  jpeg_transcoder_close(cutter->transcoder);
  cutter->transcoder = NULL;
  cutter->rows = 0;
}

void jpeg_cutter_free(struct jpeg_cutter *cutter) {
  if (cutter == NULL) return;
  close_file(cutter);
  jpeg_scan_free(&cutter->scan);
  free(cutter);
}

/* MCU rows that hold pixel rows 0 .. rows - 1 and the margin below. */
static int rows_needed(const struct jpeg_grid *grid, int rows) {
  int needed = (rows + grid->mcu_height - 1) / grid->mcu_height + grid->margin_y;
  return needed < grid->down ? needed : grid->down;
}

static int clip_rows(const struct jpeg_grid *grid, int rows) {
  return rows < grid->height ? rows : grid->height;
}

int jpeg_cutter_open(struct jpeg_cutter *cutter, const uint8_t *data, size_t size, int rows, struct error *error) {
  close_file(cutter);
  if (rows < 1) return error_set(error, "no rows to cut from");
  cutter->data = data;
  cutter->size = size;
  int status = jpeg_parse(&cutter->scan, data, size, error);
  if (status == JPEG_PARSED) status = jpeg_scan_prepare(&cutter->scan);
  if (status < 0) return -1;
  cutter->spliced = status == JPEG_PARSED;
  if (cutter->spliced) {
    cutter->grid = cutter->scan.grid;
    rows = clip_rows(&cutter->grid, rows);
    status = jpeg_scan_walk(&cutter->scan, rows_needed(&cutter->grid, rows), error);
  } else {
    status = jpeg_transcoder_open(&cutter->transcoder, data, size, &cutter->grid, cutter->memory, error);
    rows = clip_rows(&cutter->grid, rows);
  }
  if (status == 0) cutter->rows = rows;
  return status;
}

static void span_mcus(int from, int size, int mcu, int mcus, bool margin, int *first, int *count) {
  int begin = from / mcu - margin, behind = (from + size - 1) / mcu + 1 + margin;
  *first = begin < 0 ? 0 : begin;
  *count = (behind > mcus ? mcus : behind) - *first;
}

static int cut_area(struct jpeg_cutter *cutter, const struct jpeg_area *area, struct buffer *out, struct error *error) {
  if (cutter->spliced) {
    int status = jpeg_splice(&cutter->scan, area, out, error);
    if (status != JPEG_UNUSUAL) return status;
  }
  if (cutter->transcoder == NULL) {
    struct jpeg_grid grid;
    if (jpeg_transcoder_open(&cutter->transcoder, cutter->data, cutter->size, &grid, cutter->memory, error)) {
      jpeg_transcoder_close(cutter->transcoder);
      cutter->transcoder = NULL;
      return -1;
    }
  }
  return jpeg_transcoder_cut(cutter->transcoder, area, out, error);
}

int jpeg_cutter_cut(struct jpeg_cutter *cutter, struct rect part, struct buffer *out, struct rect *inner,
                    struct error *error) {
  const struct jpeg_grid *grid = &cutter->grid;
  out->size = 0;
  if (cutter->rows == 0) return error_set(error, "no JPEG file is open");
  if (part.x < 0 || part.y < 0 || part.w < 1 || part.h < 1 || part.w > grid->width - part.x ||
      part.h > cutter->rows - part.y) {
    return error_set(error, "rectangle %d,%d %dx%d is empty or leaves the %d x %d pixels that can be cut from", part.x,
                     part.y, part.w, part.h, grid->width, cutter->rows);
  }
  struct jpeg_area area;
  span_mcus(part.x, part.w, grid->mcu_width, grid->across, grid->margin_x, &area.x, &area.across);
  span_mcus(part.y, part.h, grid->mcu_height, grid->down, grid->margin_y, &area.y, &area.down);
  int left = area.x * grid->mcu_width, top = area.y * grid->mcu_height;
  area.width = area.across * grid->mcu_width;
  area.height = area.down * grid->mcu_height;
  if (area.width > grid->width - left) area.width = grid->width - left;
  if (area.height > grid->height - top) area.height = grid->height - top;
  if (cut_area(cutter, &area, out, error)) {
    out->size = 0;
    return -1;
  }
  *inner = (struct rect){.x = part.x - left, .y = part.y - top, .w = part.w, .h = part.h};
  return 0;
}
