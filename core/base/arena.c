#include "core/base/base.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK = 64 << 10, ARENA_ALIGN = 16 };

struct arena_block {
  struct arena_block *next;
  size_t used, capacity;
  _Alignas(ARENA_ALIGN) unsigned char bytes[];
};

void *arena_alloc(struct arena *arena, size_t size) {
  struct arena_block *block = arena->head;
  size_t start = block ? (block->used + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1) : 0;
  if (!block || start > block->capacity || block->capacity - start < size) {
    size_t capacity = size > ARENA_BLOCK ? size : ARENA_BLOCK;
    if (capacity > SIZE_MAX - sizeof *block || !(block = malloc(sizeof *block + capacity))) return NULL;
    *block = (struct arena_block){.next = arena->head, .capacity = capacity};
    arena->head = block;
    start = 0;
  }
  block->used = start + size;
  return block->bytes + start;
}

char *arena_copy(struct arena *arena, const char *bytes, size_t size) {
  char *copy = size < SIZE_MAX ? arena_alloc(arena, size + 1) : NULL;
  if (!copy) return NULL;
  if (size > 0) memcpy(copy, bytes, size);
  copy[size] = '\0';
  return copy;
}

void arena_join(struct arena *arena, struct arena *more) {
  struct arena_block **end = &more->head;
  while (*end)
    end = &(*end)->next;
  *end = arena->head;
  arena->head = more->head;
  more->head = NULL;
}

void arena_free(struct arena *arena) {
  for (struct arena_block *block = arena->head, *next; block; block = next) {
    next = block->next;
    free(block);
  }
  arena->head = NULL;
}

int array_reserve(void **items, size_t *capacity, size_t count, size_t item, struct error *error) {
  if (count <= *capacity) return 0;
  size_t wanted = *capacity < 16 ? 16 : *capacity * 2;
  if (wanted < count) wanted = count;
  size_t bytes;
  if (!size_muladd(wanted, item, 0, &bytes)) return error_memory(error, SIZE_MAX);
  void *grown = realloc(*items, bytes);
  if (!grown) return error_memory(error, bytes);
  *items = grown;
  *capacity = wanted;
  return 0;
}

int buffer_reserve(struct buffer *buffer, size_t capacity, struct error *error) {
  void *data = buffer->data;
  if (array_reserve(&data, &buffer->capacity, capacity, 1, error)) return -1;
  buffer->data = data;
  return 0;
}

int buffer_append(struct buffer *buffer, const void *bytes, size_t size, struct error *error) {
  if (size > SIZE_MAX - buffer->size) return error_memory(error, SIZE_MAX);
  if (buffer_reserve(buffer, buffer->size + size, error)) return -1;
  if (size > 0) memcpy(buffer->data + buffer->size, bytes, size);
  buffer->size += size;
  return 0;
}

int buffer_printf(struct buffer *buffer, struct error *error, const char *format, ...) {
  for (;;) {
    size_t room = buffer->capacity - buffer->size;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(room ? (char *)buffer->data + buffer->size : NULL, room, format, arguments);
    va_end(arguments);
    if (length < 0) return error_set(error, "text cannot be formatted");
    if ((size_t)length < room) {
      buffer->size += (size_t)length;
      return 0;
    }
    if (buffer_reserve(buffer, buffer->size + (size_t)length + 1, error)) return -1;
  }
}

int buffer_json_string(struct buffer *buffer, const char *text, struct error *error) {
  int result = buffer_append(buffer, "\"", 1, error);
  for (const char *p = text; result == 0 && *p; p++) {
    unsigned char c = (unsigned char)*p;
    if (c == '"' || c == '\\') {
      result = buffer_printf(buffer, error, "\\%c", c);
    } else if (c < 0x20 || c == 0x7f) {
      result = buffer_printf(buffer, error, "\\u%04x", c);
    } else {
      result = buffer_append(buffer, p, 1, error);
    }
  }
  return result ? result : buffer_append(buffer, "\"", 1, error);
}

void buffer_free(struct buffer *buffer) {
  free(buffer->data);
  *buffer = (struct buffer){0};
}
