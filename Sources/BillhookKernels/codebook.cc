// bh_codebook.h.
#include "bh_codebook.h"

#include <math.h>
#include <string.h>

#include <algorithm>
#include <atomic>

#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codebook.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {

// 64 elements at a time against every entry: plain loops, which the compiler turns into this
// target's vectors.
void NearestSpan(const float *x, int64_t n, const float *table, int32_t entries, uint8_t *index) {
  constexpr int64_t width = 64;
  for (int64_t begin = 0; begin < n; begin += width) {
    const int64_t count = std::min(width, n - begin);
    float value[width] = {}, best[width];
    int32_t chosen[width] = {};
    memcpy(value, x + begin, sizeof(float) * static_cast<size_t>(count));
    for (int64_t i = 0; i < width; i++) best[i] = INFINITY;
    for (int32_t e = 0; e < entries; e++) {
      const float entry = table[e];
      for (int64_t i = 0; i < width; i++) {
        const float d = fabsf(value[i] - entry);
        const bool nearer = d < best[i];
        best[i] = nearer ? d : best[i];
        chosen[i] = nearer ? e : chosen[i];
      }
    }
    for (int64_t i = 0; i < count; i++) index[begin + i] = static_cast<uint8_t>(chosen[i]);
  }
}

float AbsMaxSpan(const float *x, int64_t n) {
  float lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int l = 0; l < 16; l++) {
      const float a = fabsf(x[i + l]);
      lanes[l] = a > lanes[l] ? a : lanes[l];
    }
  }
  float largest = 0;
  for (; i < n; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
  for (const float lane : lanes) largest = lane > largest ? lane : largest;
  return largest;
}

void ScaleSpan(const float *x, int64_t n, float scale, bool multiply, float *out) {
  if (multiply) {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] * scale;
  } else if (scale == 0) {
    for (int64_t i = 0; i < n; i++) out[i] = 0;
  } else {
    for (int64_t i = 0; i < n; i++) out[i] = x[i] / scale;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(NearestSpan);
HWY_EXPORT(AbsMaxSpan);
HWY_EXPORT(ScaleSpan);

namespace {

// Calls body(first element, count, block's number) for the blocks of all rows.
template <typename Body>
void for_each_block(int64_t rows, int64_t columns, int64_t block, const Body &body) {
  const int64_t per_row = (columns + block - 1) / block;
  const int64_t grain = std::max<int64_t>(1, streaming_grain / block);
  parallel_for(rows * per_row, grain, [=, &body](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      const int64_t column = b % per_row * block;
      body(b / per_row * columns + column, std::min(block, columns - column), b);
    }
  });
}

// Elements in a piece: a multiple of 8, so that pieces meet at whole bytes.
constexpr int64_t pack_grain = 65536;

}  // namespace
}  // namespace bh

void bh_codebook_nearest_f32(const float *x, int64_t n, const float *table, int32_t entries,
                             uint8_t *index) {
  bh::parallel_for(n, 4096, [=](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(bh::NearestSpan)(x + begin, end - begin, table, entries, index + begin);
  });
}

int64_t bh_codebook_lookup_f32(const uint8_t *index, int64_t n, const float *table,
                               int32_t entries, float *out) {
  float whole[256] = {};
  std::copy(table, table + entries, whole);
  const float *values = whole;
  std::atomic<int64_t> outside{0};
  bh::parallel_for(n, bh::streaming_grain, [=, &outside](int64_t begin, int64_t end) {
    int64_t count = 0;
    for (int64_t i = begin; i < end; i++) {
      out[i] = values[index[i]];
      count += index[i] >= entries;
    }
    if (count != 0) outside += count;
  });
  return outside;
}

void bh_block_abs_max_f32(const float *x, int64_t rows, int64_t columns, int64_t block,
                          float *out) {
  bh::for_each_block(rows, columns, block, [=](int64_t first, int64_t count, int64_t b) {
    out[b] = HWY_DYNAMIC_DISPATCH(bh::AbsMaxSpan)(x + first, count);
  });
}

void bh_block_scale_f32(const float *x, int64_t rows, int64_t columns, int64_t block,
                        const float *scales, int32_t multiply, float *out) {
  bh::for_each_block(rows, columns, block, [=](int64_t first, int64_t count, int64_t b) {
    HWY_DYNAMIC_DISPATCH(bh::ScaleSpan)(x + first, count, scales[b], multiply != 0, out + first);
  });
}

void bh_pack_bits(const uint8_t *codes, int64_t n, int32_t bits, uint8_t *packed) {
  bh::parallel_for(n, bh::pack_grain, [=](int64_t begin, int64_t end) {
    uint8_t *to = packed + begin / 8 * bits;
    int64_t i = begin;
    // Eight codes are `bits` whole bytes.
    for (; i + 8 <= end; i += 8, to += bits) {
      uint64_t word = 0;
      for (int k = 0; k < 8; k++) {
        word |= static_cast<uint64_t>(codes[i + k] & ((1u << bits) - 1)) << (k * bits);
      }
      for (int32_t b = 0; b < bits; b++) to[b] = static_cast<uint8_t>(word >> (8 * b));
    }
    if (i < end) bh_pack_bits_scalar(codes + i, end - i, bits, to);
  });
}

void bh_unpack_bits(const uint8_t *packed, int64_t n, int32_t bits, uint8_t *codes) {
  bh::parallel_for(n, bh::pack_grain, [=](int64_t begin, int64_t end) {
    const uint8_t *from = packed + begin / 8 * bits;
    int64_t i = begin;
    for (; i + 8 <= end; i += 8, from += bits) {
      uint64_t word = 0;
      for (int32_t b = 0; b < bits; b++) word |= static_cast<uint64_t>(from[b]) << (8 * b);
      for (int k = 0; k < 8; k++) {
        codes[i + k] = static_cast<uint8_t>((word >> (k * bits)) & ((1u << bits) - 1));
      }
    }
    if (i < end) bh_unpack_bits_scalar(from, end - i, bits, codes + i);
  });
}
#endif  // HWY_ONCE
