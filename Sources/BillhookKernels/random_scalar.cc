// The references of bh_random.h.
#include "bh_random.h"
#include "exact.h"

namespace {

uint32_t philox_word(uint64_t seed, uint64_t stream, uint64_t position) {
  const uint64_t block = position / 4;
  uint32_t c[4] = {static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                   static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)};
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; round++) {
    // Multipliers and key increments of the paper's table 2.
    const uint64_t first = 0xD2511F53ull * c[0], second = 0xCD9E8D57ull * c[2];
    c[0] = static_cast<uint32_t>(second >> 32) ^ c[1] ^ key0;
    c[1] = static_cast<uint32_t>(second);
    c[2] = static_cast<uint32_t>(first >> 32) ^ c[3] ^ key1;
    c[3] = static_cast<uint32_t>(first);
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c[position % 4];
}

float uniform(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

}  // namespace

void bh_random_u32_scalar(uint64_t seed, uint64_t stream, uint64_t first, uint32_t *out,
                          int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    out[i] = philox_word(seed, stream, first + static_cast<uint64_t>(i));
  }
}

void bh_random_uniform_f32_scalar(uint64_t seed, uint64_t stream, uint64_t first, float *out,
                                  int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    out[i] = uniform(philox_word(seed, stream, first + static_cast<uint64_t>(i)));
  }
}

void bh_random_keep_u8_scalar(uint64_t seed, uint64_t stream, uint64_t first,
                              float drop_probability, uint8_t *keep, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const uint32_t word = philox_word(seed, stream, first + static_cast<uint64_t>(i));
    keep[i] = uniform(word) < drop_probability ? 0 : 1;
  }
}
