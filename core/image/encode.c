/* Writing JPEG. */
#include "core/image/internal.h"

/* libjpeg's destination: the caller's buffer, whose memory lives on from picture to picture. */
struct jpeg_writer {
  struct jpeg_guard guard;
  struct jpeg_compress_struct target;
  struct jpeg_destination_mgr destination;
  struct buffer *out;
  const struct image *picture;
  int quality;
};

/* libjpeg sees its own struct; the writer is around it. */
static struct jpeg_writer *writer_of(j_compress_ptr target) {
  return (struct jpeg_writer *)target->client_data;
}

static void writer_grow(struct jpeg_writer *writer, size_t used, size_t capacity) {
  struct buffer *out = writer->out;
  out->size = used;
  if (buffer_reserve(out, capacity, writer->guard.error)) longjmp(writer->guard.escape, 1);
  writer->destination.next_output_byte = out->data + used;
  writer->destination.free_in_buffer = out->capacity - used;
}

static void writer_begin(j_compress_ptr target) {
  enum { FIRST = 16 << 10 };
  writer_grow(writer_of(target), 0, FIRST);
}

/* Called when the buffer is full to the last byte. */
static boolean writer_full(j_compress_ptr target) {
  struct jpeg_writer *writer = writer_of(target);
  writer_grow(writer, writer->out->capacity, writer->out->capacity + 1);
  return TRUE;
}

static void writer_end(j_compress_ptr target) {
  struct jpeg_writer *writer = writer_of(target);
  writer->out->size = writer->out->capacity - writer->destination.free_in_buffer;
}

static int writer_run(struct jpeg_writer *writer) {
  struct jpeg_compress_struct *target = &writer->target;
  const struct image *picture = writer->picture;
  if (setjmp(writer->guard.escape) != 0) return -1;
  jpeg_create_compress(target);
  target->client_data = writer;
  target->dest = &writer->destination;
  target->image_width = (JDIMENSION)picture->width;
  target->image_height = (JDIMENSION)picture->height;
  target->input_components = 3;
  target->in_color_space = JCS_RGB;
  jpeg_set_defaults(target);
  jpeg_set_quality(target, writer->quality, TRUE);
  target->comp_info[0].h_samp_factor = target->comp_info[0].v_samp_factor = 1;
  target->optimize_coding = TRUE;
  target->dct_method = JDCT_ISLOW;
  jpeg_start_compress(target, TRUE);
  while (target->next_scanline < target->image_height) {
    JSAMPROW row = picture->pixels + (size_t)target->next_scanline * (size_t)picture->width * 3;
    jpeg_write_scanlines(target, &row, 1);
  }
  jpeg_finish_compress(target);
  return 0;
}

int image_encode_jpeg(const struct image *image, int quality, struct buffer *out, struct error *error) {
  if (image_check_size(image->width, image->height, error)) return -1;
  if (quality < 1 || quality > 100) return error_set(error, "JPEG quality %d is not between 1 and 100", quality);
  struct jpeg_writer writer = {
      .destination = {.init_destination = writer_begin,
                      .empty_output_buffer = writer_full,
                      .term_destination = writer_end},
      .out = out,
      .picture = image,
      .quality = quality,
  };
  writer.target.err = jpeg_guard_init(&writer.guard, error);
  int status = writer_run(&writer);
  jpeg_destroy_compress(&writer.target);
  if (status != 0) out->size = 0;
  return status;
}
