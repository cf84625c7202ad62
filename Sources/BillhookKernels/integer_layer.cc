#include "integer_layer.h"

#include <algorithm>
#include <cstring>

#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "integer_layer.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "integer_epilogue-inl.h"
#include "register_tiles-inl.h"
#include "vnni-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace layer {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using billhook::HWY_NAMESPACE::kTileVectors;
using billhook::HWY_NAMESPACE::Requantizer;
using billhook::HWY_NAMESPACE::TileRows;
using billhook::HWY_NAMESPACE::WithVectors;
namespace vnni = billhook::HWY_NAMESPACE::vnni;

using D32 = hn::ScalableTag<int32_t>;
using D16 = hn::Repartition<int16_t, D32>;
using V32 = hn::Vec<D32>;

int64_t Lanes() { return static_cast<int64_t>(hn::Lanes(D32())); }
int64_t Block() { return kTileVectors * Lanes(); }

bool HasQuads() { return vnni::IsThere(); }

// The sums of P pixels and W vectors of outputs from `channel` on, a row for each pixel. Loops over
// pixels and vectors are unrolled whole, so that the sums stay in registers.
template <int P, int W, bool kQuads>
HWY_NOINLINE void Tile(const IntegerTask &task, const IntegerPart &part, int64_t channel,
                       int64_t pixel, int32_t *sums, int64_t sums_row) {
  const D32 d32;
  const D16 d16;
  const PackedWeights &w = *task.weights;
  const int64_t lanes = Lanes(), all_groups = w.groups();
  constexpr int64_t kBytes = kQuads ? 1 : 2;
  V32 sum[P][W], odd[P][W];
#pragma unroll
  for (int v = 0; v < W; v++) {
    const V32 start = hn::LoadU(d32, task.starts + channel + v * lanes);
#pragma unroll
    for (int p = 0; p < P; p++) {
      sum[p][v] = start;
      odd[p][v] = hn::Zero(d32);
    }
  }
  for (int64_t s = 0; s < w.segments; s++) {
    const int32_t *HWY_RESTRICT weights =
        w.values.data() + channel * w.segments * all_groups +
        (s * all_groups + part.first_group) * W * lanes;
    const char *rows[P];
#pragma unroll
    for (int p = 0; p < P; p++)
      rows[p] = static_cast<const char *>(task.input) +
                (task.base[pixel + p] + task.segment_offset[s]) * kBytes;
    for (int64_t k = part.first_group; k < part.last_group; k++) {
      V32 column[W];
#pragma unroll
      for (int v = 0; v < W; v++) column[v] = hn::LoadU(d32, weights + v * lanes);
      weights += W * lanes;
#pragma unroll
      for (int p = 0; p < P; p++) {
        int32_t group;
        __builtin_memcpy(&group, rows[p] + 4 * k, sizeof group);
        const V32 input = hn::Set(d32, group);
#pragma unroll
        for (int v = 0; v < W; v++) {
          if constexpr (kQuads)
            sum[p][v] = vnni::AddQuads(sum[p][v], input, column[v]);
          else
            sum[p][v] = hn::ReorderWidenMulAccumulate(d32, hn::BitCast(d16, column[v]),
                                                      hn::BitCast(d16, input), sum[p][v],
                                                      odd[p][v]);
        }
      }
    }
  }
#pragma unroll
  for (int p = 0; p < P; p++)
#pragma unroll
    for (int v = 0; v < W; v++)
      hn::StoreU(hn::RearrangeToOddPlusEven(sum[p][v], odd[p][v]), d32,
                 sums + p * sums_row + v * lanes);
}

template <int P, int32_t kType>
HWY_NOINLINE void StoreTile(const Epilogue &tail, int64_t first, int64_t last, const int32_t *sums,
                            int64_t sums_row, void *out, int64_t at, int64_t step) {
  const D32 d32;
  for (int64_t channel = first; channel < last; channel += Lanes()) {
    const Requantizer<kType> epilogue(tail, channel, last - channel);
    V32 column[P];
#pragma unroll
    for (int p = 0; p < P; p++) column[p] = hn::LoadU(d32, sums + p * sums_row + channel - first);
    epilogue.template Store<P>(column, out, at + channel - first, step);
  }
}

// Outputs [first, last) of P pixels, from element `at` of `out` on, `step` elements apart.
template <int P>
HWY_INLINE void Store(const Epilogue &tail, int64_t first, int64_t last, const int32_t *sums,
                      int64_t sums_row, void *out, int64_t at, int64_t step) {
  const auto store = tail.out_type == BH_TYPE_F32  ? StoreTile<P, BH_TYPE_F32>
                     : tail.out_type == BH_TYPE_U8 ? StoreTile<P, BH_TYPE_U8>
                                                   : StoreTile<P, BH_TYPE_S8>;
  store(tail, first, last, sums, sums_row, out, at, step);
}

template <int P, int W, bool kQuads>
HWY_INLINE int64_t RunTiles(const IntegerTask &task, const IntegerPart &part, int64_t channel,
                            int64_t pixel) {
  HWY_ALIGN int32_t sums[P * W * HWY_MAX_BYTES / sizeof(int32_t)];
  const int64_t lanes = Lanes(), row = task.weights->padded_outputs();
  for (; pixel + P <= part.end; pixel += P) {
    if (part.sums) {
      Tile<P, W, kQuads>(task, part, channel, pixel, part.sums + pixel * row + channel, row);
    } else {
      Tile<P, W, kQuads>(task, part, channel, pixel, sums, W * lanes);
      const int64_t last = std::min(task.weights->outputs, channel + W * lanes);
      Store<P>(*task.epilogue, channel, last, sums, W * lanes, task.out,
               pixel * task.out_stride + channel, task.out_stride);
    }
  }
  return pixel;
}

template <int W, bool kQuads>
void RunBlock(const IntegerTask &task, const IntegerPart &part, int64_t channel) {
  int64_t pixel = RunTiles<TileRows(W), W, kQuads>(task, part, channel, part.begin);
  pixel = RunTiles<2, W, kQuads>(task, part, channel, pixel);
  RunTiles<1, W, kQuads>(task, part, channel, pixel);
}

template <bool kQuads>
void RunBlocks(const IntegerTask &task, const IntegerPart &part) {
  const int64_t lanes = Lanes(), width = kTileVectors * lanes;
  for (int64_t block = part.first_block; block < part.last_block; block++) {
    const int64_t left = task.weights->padded_outputs() - block * width;
    WithVectors(std::min(left, width) / lanes, [&](auto vectors) {
      RunBlock<decltype(vectors)::value, kQuads>(task, part, block * width);
    });
  }
}

void Run(const IntegerTask &task, const IntegerPart &part) {
  if (task.weights->group == 4)
    RunBlocks<true>(task, part);
  else
    RunBlocks<false>(task, part);
}

void StoreSums(const Epilogue &epilogue, int64_t outputs, const int32_t *sums, void *out) {
  Store<1>(epilogue, 0, outputs, sums, outputs, out, 0, outputs);
}

template <class T>
HWY_INLINE void Widen(const T *in, int64_t n, int32_t zero_point, int16_t *out) {
  const hn::ScalableTag<int16_t> d16;
  const hn::Rebind<T, decltype(d16)> d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d16));
  const auto zero = hn::Set(d16, static_cast<int16_t>(zero_point));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(hn::Sub(hn::PromoteTo(d16, hn::LoadU(d8, in + i)), zero), d16, out + i);
  for (; i < n; i++) out[i] = static_cast<int16_t>(in[i] - zero_point);
}

void WidenU8(const uint8_t *in, int64_t n, int32_t zero_point, int16_t *out) {
  Widen(in, n, zero_point, out);
}
void WidenS8(const int8_t *in, int64_t n, int32_t zero_point, int16_t *out) {
  Widen(in, n, zero_point, out);
}

// Signed bytes plus 128.
void Unsign(const uint8_t *in, int64_t n, uint8_t *out) {
  const hn::ScalableTag<uint8_t> d8;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d8));
  const auto sign = hn::Set(d8, 0x80);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(hn::Xor(hn::LoadU(d8, in + i), sign), d8, out + i);
  for (; i < n; i++) out[i] = in[i] ^ 0x80;
}

}  // namespace HWY_NAMESPACE
}  // namespace layer
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
namespace layer {

HWY_EXPORT(Lanes);
HWY_EXPORT(Block);
HWY_EXPORT(HasQuads);
HWY_EXPORT(Run);
HWY_EXPORT(StoreSums);
HWY_EXPORT(WidenU8);
HWY_EXPORT(WidenS8);
HWY_EXPORT(Unsign);

}  // namespace layer

namespace {

// The zero point as unsigned bytes have it.
int32_t unsigned_zero(int32_t type, int32_t zero_point) {
  return type == BH_TYPE_S8 ? zero_point + 128 : zero_point;
}

}  // namespace

int64_t integer_block() { return HWY_DYNAMIC_DISPATCH(layer::Block)(); }

void run_integer(const IntegerTask &task, const IntegerPart &part) {
  HWY_DYNAMIC_DISPATCH(layer::Run)(task, part);
}

void store_sums(const Epilogue &epilogue, int64_t outputs, const int32_t *sums, void *out) {
  HWY_DYNAMIC_DISPATCH(layer::StoreSums)(epilogue, outputs, sums, out);
}

int64_t integer_group(const std::vector<int16_t> &w) {
  const bool are_bytes =
      std::all_of(w.begin(), w.end(), [](int16_t value) { return value >= -128 && value <= 127; });
  return are_bytes && HWY_DYNAMIC_DISPATCH(layer::HasQuads)() ? 4 : 2;
}

void copy_inputs(const PackedWeights &weights, int32_t type, const void *in, int64_t n,
                 int32_t zero_point, void *out) {
  const auto *bytes = static_cast<const uint8_t *>(in);
  if (weights.group == 2) {
    auto *wide = static_cast<int16_t *>(out);
    if (type == BH_TYPE_U8)
      HWY_DYNAMIC_DISPATCH(layer::WidenU8)(bytes, n, zero_point, wide);
    else
      HWY_DYNAMIC_DISPATCH(layer::WidenS8)(static_cast<const int8_t *>(in), n, zero_point, wide);
  } else if (type == BH_TYPE_U8) {
    std::memcpy(out, in, n);
  } else {
    HWY_DYNAMIC_DISPATCH(layer::Unsign)(bytes, n, static_cast<uint8_t *>(out));
  }
}

void fill_zero(const PackedWeights &weights, int32_t type, int64_t n, int32_t zero_point,
               void *out) {
  const int32_t value = weights.group == 2 ? 0 : unsigned_zero(type, zero_point);
  std::memset(out, value, n * weights.element_bytes());
}

void starts_of(const PackedWeights &weights, int32_t type, int32_t zero_point, int32_t *starts) {
  const auto zero = weights.group == 2 ? 0u : uint32_t(unsigned_zero(type, zero_point));
  for (const int32_t sum : weights.sums)
    *starts++ = static_cast<int32_t>(0u - zero * static_cast<uint32_t>(sum));
}

PackedWeights pack_weights(const int16_t *w, int64_t outputs, int64_t segments, int64_t length,
                           int64_t group) {
  PackedWeights packed{outputs, segments, length, group, {}, {}};
  const int64_t lanes = HWY_DYNAMIC_DISPATCH(layer::Lanes)(), block = integer_block();
  const int64_t padded = (outputs + lanes - 1) / lanes * lanes;
  const int64_t groups = packed.groups();
  packed.values.assign(padded * segments * groups, 0);
  packed.sums.assign(padded, 0);
  auto *bytes = reinterpret_cast<int8_t *>(packed.values.data());
  auto *pairs = reinterpret_cast<int16_t *>(packed.values.data());
  for (int64_t o = 0; o < outputs; o++) {
    const int64_t first = o / block * block, own = std::min(block, padded - first);
    for (int64_t s = 0; s < segments; s++) {
      for (int64_t k = 0; k < length; k++) {
        const int64_t lane = first * segments * groups + (s * groups + k / group) * own + o - first;
        const int16_t value = w[(o * segments + s) * length + k];
        packed.sums[o] += value;
        if (group == 4)
          bytes[lane * 4 + k % 4] = static_cast<int8_t>(value);
        else
          pairs[lane * 2 + k % 2] = value;
      }
    }
  }
  return packed;
}

}  // namespace billhook
#endif
