/* TensorBoard's event files: records in TensorFlow's framing, each a protocol buffer.
 *
 *   record   length (u64), masked CRC-32C of the length (u32), the event, masked CRC-32C of the event (u32)
 *   Event    1 wall_time double, 2 step int64, and one of 3 file_version string, 5 summary, 7 session_log
 *   Summary  1 value: Value {1 tag string, 2 simple_value float}
 *   SessionLog  1 status: 1 is START
 *
 * All numbers are little-endian. A field is its number * 8 + its wire type (0 varint, 1 64 bits, 2 length and bytes,
 * 5 32 bits), then the value.
 */
#include "pretrain/journal_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { VARINT = 0, FIXED_64 = 1, BYTES = 2, FIXED_32 = 5 };

/* Castagnoli's polynomial, reflected; masked so that a CRC of bytes that hold CRCs stays a good one. */
static uint32_t masked_crc(const uint8_t *bytes, size_t size) {
  uint32_t crc = ~0u;
  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) {
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
  }
  crc = ~crc;
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static int put_fixed(struct buffer *out, uint64_t value, size_t size, struct error *error) {
  uint8_t bytes[8];
  for (size_t i = 0; i < size; i++) {
    bytes[i] = (uint8_t)(value >> (8 * i));
  }
  return buffer_append(out, bytes, size, error);
}

static size_t varint_size(uint64_t value) {
  size_t size = 1;
  for (; value >= 0x80; value >>= 7) {
    size++;
  }
  return size;
}

static int put_varint(struct buffer *out, uint64_t value, struct error *error) {
  for (; value >= 0x80; value >>= 7) {
    if (put_fixed(out, (value & 0x7f) | 0x80, 1, error)) return -1;
  }
  return put_fixed(out, value, 1, error);
}

static int put_field(struct buffer *out, int number, int wire, uint64_t value, struct error *error) {
  if (put_fixed(out, (uint64_t)(number * 8 + wire), 1, error)) return -1;
  if (wire == FIXED_64) return put_fixed(out, value, 8, error);
  if (wire == FIXED_32) return put_fixed(out, value, 4, error);
  return put_varint(out, value, error);
}

static int put_text(struct buffer *out, int number, const char *text, struct error *error) {
  size_t size = strlen(text);
  return put_field(out, number, BYTES, size, error) || buffer_append(out, text, size, error) ? -1 : 0;
}

/* Room for the frame's head, wall time and step. */
static int begin_event(struct buffer *out, int64_t step, size_t *start, struct error *error) {
  static const uint8_t head[12] = {0};
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  double seconds = (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
  uint64_t bits;
  memcpy(&bits, &seconds, sizeof bits);
  *start = out->size;
  if (buffer_append(out, head, sizeof head, error) || put_field(out, 1, FIXED_64, bits, error)) return -1;
  return put_field(out, 2, VARINT, (uint64_t)step, error);
}

static int end_event(struct buffer *out, size_t start, struct error *error) {
  uint8_t *head = out->data + start;
  uint64_t length = out->size - start - 12;
  for (int i = 0; i < 8; i++) {
    head[i] = (uint8_t)(length >> (8 * i));
  }
  uint32_t crc = masked_crc(head, 8);
  for (int i = 0; i < 4; i++) {
    head[8 + i] = (uint8_t)(crc >> (8 * i));
  }
  return put_fixed(out, masked_crc(head + 12, length), 4, error);
}

static int add_version(struct buffer *out, struct error *error) {
  size_t start;
  if (begin_event(out, 0, &start, error) || put_text(out, 3, "brain.Event:2", error)) return -1;
  return end_event(out, start, error);
}

static int add_session_start(struct buffer *out, int64_t step, struct error *error) {
  size_t start;
  if (begin_event(out, step, &start, error)) return -1;
  if (put_field(out, 7, BYTES, 2, error) || put_field(out, 1, VARINT, 1, error)) return -1;
  return end_event(out, start, error);
}

static int add_number(struct buffer *out, int64_t step, const struct journal_number *number, struct error *error) {
  size_t tag = strlen(number->name), value = 1 + varint_size(tag) + tag + 5, start;
  float single = (float)number->value;
  uint32_t bits;
  memcpy(&bits, &single, sizeof bits);
  if (begin_event(out, step, &start, error)) return -1;
  if (put_field(out, 5, BYTES, 1 + varint_size(value) + value, error)) return -1;
  if (put_field(out, 1, BYTES, value, error)) return -1;
  if (put_text(out, 1, number->name, error) || put_field(out, 2, FIXED_32, bits, error)) return -1;
  return end_event(out, start, error);
}

int events_open(struct events *events, const char *folder, int64_t iteration, struct error *error) {
  long long now = (long long)time(NULL);
  if (path_format(events->path, error, "%s/tensorboard", folder) || directory_create(events->path, error)) return -1;
  for (int number = 0; events->fd < 0; number++) {
    if (path_format(events->path, error, "%s/tensorboard/events.out.tfevents.%010lld.jigsaw.%d", folder, now, number))
      return -1;
    events->fd = open(events->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    if (events->fd < 0 && errno != EEXIST) return error_system(error, "%s: cannot create", events->path);
  }
  events->records.size = 0;
  if (add_version(&events->records, error) || add_session_start(&events->records, iteration + 1, error)) return -1;
  return log_append(events->fd, events->path, &events->records, error);
}

int events_write(struct events *events, int64_t iteration, const struct journal_number *numbers, size_t count,
                 struct error *error) {
  events->records.size = 0;
  for (size_t i = 0; i < count; i++) {
    if (add_number(&events->records, iteration, &numbers[i], error)) return -1;
  }
  return log_append(events->fd, events->path, &events->records, error);
}

void events_close(struct events *events) {
  if (events->fd >= 0) close(events->fd);
  buffer_free(&events->records);
  events->fd = -1;
}
