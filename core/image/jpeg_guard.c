/* libjpeg's errors as values, its output in a buffer; see internal.h. */
#include "core/image/internal.h"

#include <string.h>

#include <jerror.h>

/* Encoders write about 10 scans, the most thorough optimisers some 30. */
#define JPEG_SCANS_MAX 100

static void guard_error_exit(j_common_ptr common) {
  struct jpeg_guard *guard = (struct jpeg_guard *)common->err;
  char text[JMSG_LENGTH_MAX];
  guard->manager.format_message(common, text);
  error_set(guard->error, "JPEG: %s", text);
  if (guard->manager.msg_code == JERR_OUT_OF_MEMORY) error_memory(guard->error, 0);
  longjmp(guard->escape, 1);
}

static bool warning_means_loss(int code) {
  switch (code) {
  case JWRN_HIT_MARKER:
  case JWRN_JPEG_EOF:
  case JWRN_HUFF_BAD_CODE:
  case JWRN_ARITH_BAD_CODE:
  case JWRN_MUST_RESYNC:
  case JWRN_BOGUS_PROGRESSION:
    return true;
  default:
    return false;
  }
}

static void guard_emit_message(j_common_ptr common, int level) {
  struct jpeg_guard *guard = (struct jpeg_guard *)common->err;
  if (level >= 0) return;
  guard->manager.num_warnings++;
  if (guard->lost || !warning_means_loss(guard->manager.msg_code)) return;
  guard->lost = true;
  guard->manager.format_message(common, guard->reason);
}

static void guard_output_message(j_common_ptr common) {
  (void)common;
}

struct jpeg_error_mgr *jpeg_guard_init(struct jpeg_guard *guard, struct error *error) {
  memset(guard, 0, sizeof(*guard));
  guard->error = error;
  jpeg_std_error(&guard->manager);
  guard->manager.error_exit = guard_error_exit;
  guard->manager.emit_message = guard_emit_message;
  guard->manager.output_message = guard_output_message;
  return &guard->manager;
}

static void guard_count_scans(j_common_ptr common) {
  struct jpeg_guard *guard = (struct jpeg_guard *)common->err;
  if (((j_decompress_ptr)common)->input_scan_number <= JPEG_SCANS_MAX) return;
  error_set(guard->error, "JPEG: more than %d scans; no encoder writes that many, so the file is taken for an attack",
            JPEG_SCANS_MAX);
  longjmp(guard->escape, 1);
}

void jpeg_guard_limit_scans(struct jpeg_guard *guard, struct jpeg_decompress_struct *source) {
  guard->progress.progress_monitor = guard_count_scans;
  source->progress = &guard->progress;
}

int jpeg_guard_check(const struct jpeg_guard *guard) {
  if (!guard->lost) return 0;
  return error_set(guard->error, "JPEG: data is lost: %s; fetch the file again", guard->reason);
}

int jpeg_guard_coefficients(const struct jpeg_decompress_struct *source, size_t size, size_t memory,
                            struct error *error) {
  size_t blocks = 0;
  for (int i = 0; i < source->num_components; i++) {
    const jpeg_component_info *component = &source->comp_info[i];
    blocks += (size_t)component->width_in_blocks * component->height_in_blocks;
  }
  /* Huffman codes take a bit a block at least; arithmetic coding may do with less. */
  if (!source->arith_code && blocks / 8 > size) {
    return error_set(error, "JPEG: data is lost: %zu bytes cannot hold %u x %u pixels; fetch the file again", size,
                     source->image_width, source->image_height);
  }
  struct rect none = {0};
  return image_check_memory(&none, blocks * sizeof(JBLOCK), memory, error);
}

static void target_grow(struct jpeg_target *target, size_t used) {
  enum { STEP = 16 << 10 };
  struct buffer *out = target->out;
  out->size = used;
  if (buffer_reserve(out, used + STEP, target->guard->error)) longjmp(target->guard->escape, 1);
  target->manager.next_output_byte = out->data + used;
  target->manager.free_in_buffer = out->capacity - used;
}

static void target_begin(j_compress_ptr compress) {
  target_grow((struct jpeg_target *)compress->dest, 0);
}

/* Called when the buffer is full to the last byte. */
static boolean target_full(j_compress_ptr compress) {
  struct jpeg_target *target = (struct jpeg_target *)compress->dest;
  target_grow(target, target->out->capacity);
  return TRUE;
}

static void target_end(j_compress_ptr compress) {
  struct jpeg_target *target = (struct jpeg_target *)compress->dest;
  target->out->size = target->out->capacity - target->manager.free_in_buffer;
}

void jpeg_target_init(struct jpeg_target *target, struct jpeg_compress_struct *compress, struct buffer *out,
                      struct jpeg_guard *guard) {
  *target = (struct jpeg_target){
      .manager = {.init_destination = target_begin, .empty_output_buffer = target_full, .term_destination = target_end},
      .out = out,
      .guard = guard,
  };
  compress->dest = &target->manager;
}
