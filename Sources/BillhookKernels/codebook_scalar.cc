// The references of bh_codebook.h: slow, obvious, and what the tests compare against.
#include <math.h>

#include <algorithm>

#include "bh_codebook.h"
#include "exact.h"

void bh_codebook_nearest_f32_scalar(const float *x, int64_t n, const float *table,
                                    int32_t entries, uint8_t *index) {
  for (int64_t i = 0; i < n; i++) {
    int32_t best = 0;
    for (int32_t e = 1; e < entries; e++) {
      if (fabsf(x[i] - table[e]) < fabsf(x[i] - table[best])) best = e;
    }
    index[i] = static_cast<uint8_t>(best);
  }
}

int64_t bh_codebook_lookup_f32_scalar(const uint8_t *index, int64_t n, const float *table,
                                      int32_t entries, float *out) {
  int64_t outside = 0;
  for (int64_t i = 0; i < n; i++) {
    const bool known = index[i] < entries;
    out[i] = known ? table[index[i]] : 0;
    outside += !known;
  }
  return outside;
}

void bh_block_abs_max_f32_scalar(const float *x, int64_t rows, int64_t columns, int64_t block,
                                 float *out) {
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t begin = 0; begin < columns; begin += block) {
      float largest = 0;
      for (int64_t c = begin; c < std::min(columns, begin + block); c++) {
        largest = std::max(largest, fabsf(x[r * columns + c]));
      }
      *out++ = largest;
    }
  }
}

void bh_block_scale_f32_scalar(const float *x, int64_t rows, int64_t columns, int64_t block,
                               const float *scales, int32_t multiply, float *out) {
  const int64_t per_row = (columns + block - 1) / block;
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = 0; c < columns; c++) {
      const float scale = scales[r * per_row + c / block], value = x[r * columns + c];
      out[r * columns + c] = multiply ? value * scale : scale == 0 ? 0 : value / scale;
    }
  }
}

void bh_pack_bits_scalar(const uint8_t *codes, int64_t n, int32_t bits, uint8_t *packed) {
  for (int64_t byte = 0; byte < (n * bits + 7) / 8; byte++) packed[byte] = 0;
  for (int64_t i = 0; i < n; i++) {
    for (int32_t b = 0; b < bits; b++) {
      const int64_t position = i * bits + b;
      packed[position / 8] |= static_cast<uint8_t>((codes[i] >> b & 1) << position % 8);
    }
  }
}

void bh_unpack_bits_scalar(const uint8_t *packed, int64_t n, int32_t bits, uint8_t *codes) {
  for (int64_t i = 0; i < n; i++) {
    codes[i] = 0;
    for (int32_t b = 0; b < bits; b++) {
      const int64_t position = i * bits + b;
      codes[i] |= static_cast<uint8_t>((packed[position / 8] >> position % 8 & 1) << b);
    }
  }
}
