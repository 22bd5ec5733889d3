#include "core/base/base.h"

void philox4x32(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
  uint32_t k0 = key[0], k1 = key[1];
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xd2511f53 * c0, p1 = (uint64_t)0xcd9e8d57 * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c0 = n0, c1 = (uint32_t)p1, c2 = n2, c3 = (uint32_t)p0;
    k0 += 0x9e3779b9, k1 += 0xbb67ae85;
  }
  out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

void rng_init(struct rng *rng, uint64_t seed, enum rng_purpose purpose, uint32_t epoch, uint64_t index) {
  *rng = (struct rng){
      .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
      .counter = {0, (uint32_t)purpose << 24 ^ epoch, (uint32_t)index, (uint32_t)(index >> 32)},
      .used = 4,
  };
}

uint32_t rng_u32(struct rng *rng) {
  if (rng->used == 4) {
    philox4x32(rng->key, rng->counter, rng->block);
    rng->counter[0]++;
    rng->used = 0;
  }
  return rng->block[rng->used++];
}

double rng_uniform(struct rng *rng) {
  uint64_t high = rng_u32(rng) >> 5, low = rng_u32(rng) >> 6;
  return (double)(high << 26 | low) * 0x1p-53;
}

double rng_range(struct rng *rng, double low, double high) {
  return low + (high - low) * rng_uniform(rng);
}

uint64_t rng_below(struct rng *rng, uint64_t count) {
  uint64_t reject = -count % count; /* 2^64 mod count: values below it would favour small results */
  for (;;) {
    uint64_t high = rng_u32(rng), value = high << 32 | rng_u32(rng);
    if (value >= reject) return value % count;
  }
}

uint64_t rng_permute(uint64_t seed, uint32_t stream, uint64_t pass, uint64_t count, uint64_t position) {
  if (count < 2) return 0;
  int half = 1;
  while (half < 32 && (uint64_t)1 << 2 * half < count)
    half++;
  uint64_t mask = ((uint64_t)1 << half) - 1;
  uint64_t value = position;
  do {
    uint64_t left = value >> half, right = value & mask;
    for (uint32_t round = 0; round < 6; round++) {
      uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, out[4];
      uint32_t counter[4] = {(uint32_t)right, (uint32_t)RNG_PERMUTE << 24 ^ stream, (uint32_t)pass,
                             (uint32_t)(pass >> 32) << 3 ^ round};
      philox4x32(key, counter, out);
      uint64_t next = left ^ (out[0] & mask);
      left = right, right = next;
    }
    value = left << half | right;
  } while (value >= count);
  return value;
}
