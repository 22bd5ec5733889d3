/* Elements as float32, whatever their type. They lie in the file unaligned. */
#include "nn/safetensors.h"

#include <inttypes.h>
#include <string.h>

static uint16_t load16(const uint8_t *at) {
  uint16_t bits;
  memcpy(&bits, at, sizeof bits);
  return bits;
}

static uint32_t load32(const uint8_t *at) {
  uint32_t bits;
  memcpy(&bits, at, sizeof bits);
  return bits;
}

static uint64_t load64(const uint8_t *at) {
  uint64_t bits;
  memcpy(&bits, at, sizeof bits);
  return bits;
}

static float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static float float_of_half(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return float_of(sign | 0x7F800000 | fraction << 13);
  if (exponent > 0) return float_of(sign | (exponent + 112) << 23 | fraction << 13);
  float value = (float)fraction * 0x1p-24F; /* subnormal, and zero */
  return sign != 0 ? -value : value;
}

static float float_of_double(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return (float)value;
}

static inline float load_element(enum safetensors_dtype dtype, const uint8_t *data, size_t index) {
  switch (dtype) {
  case SAFETENSORS_F32:
    return float_of(load32(data + index * 4));
  case SAFETENSORS_F16:
    return float_of_half(load16(data + index * 2));
  case SAFETENSORS_BF16:
    return float_of((uint32_t)load16(data + index * 2) << 16);
  case SAFETENSORS_F64:
    return float_of_double(load64(data + index * 8));
  case SAFETENSORS_I64:
    return (float)(int64_t)load64(data + index * 8);
  case SAFETENSORS_I32:
    return (float)(int32_t)load32(data + index * 4);
  case SAFETENSORS_I16:
    return (int16_t)load16(data + index * 2);
  case SAFETENSORS_I8:
    return (int8_t)data[index];
  case SAFETENSORS_U8:
    return data[index];
  case SAFETENSORS_BOOL:
    return data[index] != 0;
  case SAFETENSORS_OTHER:
    break;
  }
  return 0;
}

int safetensors_floats(const struct safetensors_entry *entry, int64_t first, int64_t count, float *values,
                       struct error *error) {
  if (entry->dtype == SAFETENSORS_OTHER) {
    return error_set(error, "tensor \"%s\" is of a type that cannot be used here; save it as F32", entry->name);
  }
  if (first < 0 || count < 0 || first > entry->count || count > entry->count - first) {
    return error_set(error, "tensor \"%s\" has %" PRId64 " elements, not %" PRId64 " from %" PRId64 " on", entry->name,
                     entry->count, count, first);
  }
  for (int64_t i = 0; i < count; i++) {
    values[i] = load_element(entry->dtype, entry->data, (size_t)(first + i));
  }
  return 0;
}
