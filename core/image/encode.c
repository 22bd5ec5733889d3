/* Writing JPEG. */
#include "core/image/internal.h"

struct jpeg_writer {
  struct jpeg_guard guard;
  struct jpeg_compress_struct compress;
  struct jpeg_target target;
  struct buffer *out;
  const struct image *picture;
  int quality;
};

static int writer_run(struct jpeg_writer *writer) {
  struct jpeg_compress_struct *compress = &writer->compress;
  const struct image *picture = writer->picture;
  if (setjmp(writer->guard.escape) != 0) return -1;
  jpeg_create_compress(compress);
  jpeg_target_init(&writer->target, compress, writer->out, &writer->guard);
  compress->image_width = (JDIMENSION)picture->width;
  compress->image_height = (JDIMENSION)picture->height;
  compress->input_components = 3;
  compress->in_color_space = JCS_RGB;
  jpeg_set_defaults(compress);
  jpeg_set_quality(compress, writer->quality, TRUE);
  compress->comp_info[0].h_samp_factor = compress->comp_info[0].v_samp_factor = 1;
  compress->optimize_coding = TRUE;
  compress->dct_method = JDCT_ISLOW;
  jpeg_start_compress(compress, TRUE);
  while (compress->next_scanline < compress->image_height) {
    JSAMPROW row = picture->pixels + (size_t)compress->next_scanline * (size_t)picture->width * 3;
    jpeg_write_scanlines(compress, &row, 1);
  }
  jpeg_finish_compress(compress);
  return 0;
}

int image_encode_jpeg(const struct image *image, int quality, struct buffer *out, struct error *error) {
  if (image_check_size(image->width, image->height, error)) return -1;
  if (quality < 1 || quality > 100) return error_set(error, "JPEG quality %d is not between 1 and 100", quality);
  struct jpeg_writer writer = {
      .out = out,
      .picture = image,
      .quality = quality,
  };
  writer.compress.err = jpeg_guard_init(&writer.guard, error);
  int status = writer_run(&writer);
  jpeg_destroy_compress(&writer.compress);
  if (status != 0) out->size = 0;
  return status;
}
