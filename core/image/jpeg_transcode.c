/* Cuts through libjpeg's coefficient interface: progressive, arithmetic, several scans, and whatever else jpeg_parse
 * leaves to it; see jpeg_scan.h. The cut is baseline with optimised tables. */
#include "core/image/internal.h"
#include "core/image/jpeg_scan.h"

#include <stdlib.h>
#include <string.h>

struct jpeg_transcoder {
  struct jpeg_guard guard;
  struct jpeg_decompress_struct source;
  jvirt_barray_ptr *coefficients;
};

/* ---- reading ---- */

static void source_grid(const struct jpeg_decompress_struct *source, struct jpeg_grid *grid) {
  uint8_t h[MAX_COMPONENTS], v[MAX_COMPONENTS];
  for (int i = 0; i < source->num_components; i++) {
    h[i] = (uint8_t)source->comp_info[i].h_samp_factor;
    v[i] = (uint8_t)source->comp_info[i].v_samp_factor;
  }
  grid->width = (int)source->image_width;
  grid->height = (int)source->image_height;
  jpeg_grid_divide(grid, h, v, source->num_components);
}

int jpeg_transcoder_open(struct jpeg_transcoder **transcoder, const uint8_t *data, size_t size, struct jpeg_grid *grid,
                         size_t memory, struct error *error) {
  struct jpeg_transcoder *opened = calloc(1, sizeof(*opened));
  if (opened == NULL) return error_memory(error, sizeof(*opened));
  *transcoder = opened;
  struct jpeg_decompress_struct *source = &opened->source;
  source->err = jpeg_guard_init(&opened->guard, error);
  if (setjmp(opened->guard.escape) != 0) return -1;
  jpeg_create_decompress(source);
  jpeg_guard_limit_scans(&opened->guard, source);
  jpeg_mem_src(source, data, size);
  jpeg_read_header(source, TRUE);
  if (jpeg_guard_coefficients(source, size, memory, error)) return -1;
  source_grid(source, grid);
  opened->coefficients = jpeg_read_coefficients(source);
  return jpeg_guard_check(&opened->guard);
}

void jpeg_transcoder_close(struct jpeg_transcoder *transcoder) {
  if (transcoder == NULL) return;
  jpeg_destroy_decompress(&transcoder->source);
  free(transcoder);
}

/* ---- cutting ---- */

/* The size of a component of the cut in blocks, filled up to whole MCUs. */
static JDIMENSION blocks_along(int pixels, int samples, int samples_max) {
  int mcus = (pixels + 8 * samples_max - 1) / (8 * samples_max);
  return (JDIMENSION)(mcus * samples);
}

static void copy_component(struct jpeg_transcoder *transcoder, struct jpeg_compress_struct *cut, int component,
                           jvirt_barray_ptr target, const struct jpeg_area *area) {
  struct jpeg_decompress_struct *source = &transcoder->source;
  jpeg_component_info *info = &source->comp_info[component];
  bool alone = source->num_components == 1;
  int h = alone ? 1 : info->h_samp_factor, v = alone ? 1 : info->v_samp_factor;
  JDIMENSION left = (JDIMENSION)(area->x * h), top = (JDIMENSION)(area->y * v);
  JDIMENSION across = (JDIMENSION)(area->across * h), down = (JDIMENSION)(area->down * v);
  for (JDIMENSION y = 0; y < down; y++) {
    JBLOCKARRAY from =
        source->mem->access_virt_barray((j_common_ptr)source, transcoder->coefficients[component], top + y, 1, FALSE);
    JBLOCKARRAY to = cut->mem->access_virt_barray((j_common_ptr)cut, target, y, 1, TRUE);
    memcpy(to[0], from[0] + left, across * sizeof(JBLOCK));
  }
}

static void write_cut(struct jpeg_transcoder *transcoder, struct jpeg_compress_struct *cut,
                      const struct jpeg_area *area) {
  struct jpeg_decompress_struct *source = &transcoder->source;
  jvirt_barray_ptr arrays[MAX_COMPONENTS] = {0};
  jpeg_copy_critical_parameters(source, cut);
  cut->image_width = (JDIMENSION)area->width;
  cut->image_height = (JDIMENSION)area->height;
  cut->optimize_coding = TRUE;
  cut->arith_code = FALSE;
  /* Some readers take CMYK for inverted where there is an Adobe marker: keep it as it was. */
  if (source->jpeg_color_space == JCS_CMYK) cut->write_Adobe_marker = source->saw_Adobe_marker;
  for (int i = 0; i < source->num_components; i++) {
    jpeg_component_info *info = &source->comp_info[i];
    JDIMENSION across = blocks_along(area->width, info->h_samp_factor, source->max_h_samp_factor);
    JDIMENSION down = blocks_along(area->height, info->v_samp_factor, source->max_v_samp_factor);
    arrays[i] = cut->mem->request_virt_barray((j_common_ptr)cut, JPOOL_IMAGE, TRUE, across, down,
                                              (JDIMENSION)info->v_samp_factor);
  }
  cut->mem->realize_virt_arrays((j_common_ptr)cut);
  for (int i = 0; i < source->num_components; i++) {
    copy_component(transcoder, cut, i, arrays[i], area);
  }
  jpeg_write_coefficients(cut, arrays);
  jpeg_finish_compress(cut);
}

int jpeg_transcoder_cut(struct jpeg_transcoder *transcoder, const struct jpeg_area *area, struct buffer *out,
                        struct error *error) {
  struct jpeg_guard guard;
  struct jpeg_compress_struct cut = {0};
  struct jpeg_target target;
  cut.err = jpeg_guard_init(&guard, error);
  transcoder->guard.error = error;
  if (setjmp(guard.escape) != 0 || setjmp(transcoder->guard.escape) != 0) {
    jpeg_destroy_compress(&cut);
    return -1;
  }
  jpeg_create_compress(&cut);
  jpeg_target_init(&target, &cut, out, &guard);
  write_cut(transcoder, &cut, area);
  jpeg_destroy_compress(&cut);
  return 0;
}
