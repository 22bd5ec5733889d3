#include <string.h>

#include "nn/tensor.h"

const char *nn_dtype_name(enum nn_dtype dtype) {
  static const char *const names[] = {[NN_F32] = "f32", [NN_BF16] = "bf16", [NN_I32] = "i32", [NN_U8] = "u8"};
  return names[dtype];
}

uint16_t nn_bf16_from_f32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (value != value) return (uint16_t)(bits >> 16 | 0x40); /* quiet, so that cutting never makes it an infinity */
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float nn_f32_from_bf16(uint16_t value) {
  uint32_t bits = (uint32_t)value << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}
