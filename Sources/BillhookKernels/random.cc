// The vector loops of the counter-based generator.
#include <algorithm>

#include "bh_random.h"
#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "random.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Writes whole blocks of four words. Every 64-bit lane works on one block; each of the four words
// sits in the lower half of a lane of its own, where MulEven reads it, and the upper half is dirt.
void Blocks(uint64_t seed, uint64_t stream, uint64_t first, int64_t blocks, uint32_t *out) {
  const hn::ScalableTag<uint64_t> d;
  const hn::Repartition<uint32_t, decltype(d)> d32;
  const int64_t step = hn::Lanes(d);
  const auto multiply = [&](auto word, uint64_t factor) {
    return hn::MulEven(hn::BitCast(d32, word), hn::BitCast(d32, hn::Set(d, factor)));
  };
  const auto lower = hn::Set(d, 0xFFFFFFFFull);
  uint64_t words[2 * HWY_MAX_BYTES / sizeof(uint64_t)];
  for (int64_t block = 0; block < blocks; block += step) {
    const auto index = hn::Add(hn::Iota(d, 0), hn::Set(d, first + static_cast<uint64_t>(block)));
    auto c0 = index, c1 = hn::ShiftRight<32>(index);
    auto c2 = hn::Set(d, stream), c3 = hn::Set(d, stream >> 32);
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < 10; round++) {
      const auto a = multiply(c0, 0xD2511F53u), b = multiply(c2, 0xCD9E8D57u);
      c0 = hn::Xor(hn::ShiftRight<32>(b), hn::Xor(c1, hn::Set(d, key0)));
      c1 = b;
      c2 = hn::Xor(hn::ShiftRight<32>(a), hn::Xor(c3, hn::Set(d, key1)));
      c3 = a;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    const auto front = hn::Or(hn::And(c0, lower), hn::ShiftLeft<32>(c1));
    const auto back = hn::Or(hn::And(c2, lower), hn::ShiftLeft<32>(c3));
    if (block + step <= blocks) {
      hn::StoreInterleaved2(front, back, d, reinterpret_cast<uint64_t *>(out + 4 * block));
    } else {
      hn::StoreInterleaved2(front, back, d, words);
      std::copy_n(reinterpret_cast<const uint32_t *>(words), 4 * (blocks - block), out + 4 * block);
    }
  }
}

void UniformSpan(const uint32_t *words, int64_t n, float *out) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const hn::RebindToUnsigned<decltype(d)> du;
  const int64_t step = hn::Lanes(d);
  const auto unit = hn::Set(d, 0x1p-24f);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto bits = hn::BitCast(di, hn::ShiftRight<8>(hn::LoadU(du, words + i)));
    hn::StoreU(hn::Mul(hn::ConvertTo(d, bits), unit), d, out + i);
  }
  for (; i < n; i++) out[i] = static_cast<float>(words[i] >> 8) * 0x1p-24f;
}

void KeepSpan(const float *uniform, int64_t n, float drop_probability, uint8_t *keep) {
  for (int64_t i = 0; i < n; i++) keep[i] = uniform[i] < drop_probability ? 0 : 1;
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(Blocks);
HWY_EXPORT(UniformSpan);
HWY_EXPORT(KeepSpan);

namespace {

// Words that a thread makes at a time: they stay in the first-level cache.
constexpr int64_t chunk = 1024;

// out[i] = word first + i; first need not start a block.
void words(uint64_t seed, uint64_t stream, uint64_t first, uint32_t *out, int64_t n) {
  const int64_t skipped = static_cast<int64_t>(first % 4);
  if (skipped != 0 && n > 0) {
    uint32_t block[4];
    HWY_DYNAMIC_DISPATCH(Blocks)(seed, stream, first / 4, 1, block);
    const int64_t used = std::min(n, 4 - skipped);
    std::copy_n(block + skipped, used, out);
    first += static_cast<uint64_t>(used);
    out += used;
    n -= used;
  }
  HWY_DYNAMIC_DISPATCH(Blocks)(seed, stream, first / 4, n / 4, out);
  if (n % 4 != 0) {
    const int64_t whole = n / 4 * 4;
    uint32_t block[4];
    HWY_DYNAMIC_DISPATCH(Blocks)
    (seed, stream, (first + static_cast<uint64_t>(whole)) / 4, 1, block);
    std::copy_n(block, n - whole, out + whole);
  }
}

// Calls use(offset, words, count) for the words first ..< first + n, in chunks on all threads.
template <typename Use>
void for_words(uint64_t seed, uint64_t stream, uint64_t first, int64_t n, const Use &use) {
  parallel_for(n, 16 * chunk, [&](int64_t begin, int64_t end) {
    uint32_t buffer[chunk];
    for (int64_t i = begin; i < end; i += chunk) {
      const int64_t count = std::min(chunk, end - i);
      words(seed, stream, first + static_cast<uint64_t>(i), buffer, count);
      use(i, buffer, count);
    }
  });
}

}  // namespace
}  // namespace bh

void bh_random_u32(uint64_t seed, uint64_t stream, uint64_t first, uint32_t *out, int64_t n) {
  bh::parallel_for(n, 16 * bh::chunk, [=](int64_t begin, int64_t end) {
    bh::words(seed, stream, first + static_cast<uint64_t>(begin), out + begin, end - begin);
  });
}

void bh_random_uniform_f32(uint64_t seed, uint64_t stream, uint64_t first, float *out, int64_t n) {
  bh::for_words(seed, stream, first, n, [=](int64_t i, const uint32_t *words, int64_t count) {
    HWY_DYNAMIC_DISPATCH(bh::UniformSpan)(words, count, out + i);
  });
}

void bh_random_keep_u8(uint64_t seed, uint64_t stream, uint64_t first, float drop_probability,
                       uint8_t *keep, int64_t n) {
  bh::for_words(seed, stream, first, n, [=](int64_t i, const uint32_t *words, int64_t count) {
    float uniform[bh::chunk];
    HWY_DYNAMIC_DISPATCH(bh::UniformSpan)(words, count, uniform);
    HWY_DYNAMIC_DISPATCH(bh::KeepSpan)(uniform, count, drop_probability, keep + i);
  });
}
#endif
