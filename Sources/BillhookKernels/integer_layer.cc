#include "integer_layer.h"

#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "integer_layer.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "integer_epilogue-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::ScalableTag<int32_t>;
using D16 = hn::Repartition<int16_t, D32>;

// Two vectors of outputs a block and six pixels a tile: twelve sums, two weights and one input fill
// the sixteen registers of AVX2, and each loaded weight is used six times.
constexpr int64_t kVectors = 2;
constexpr int64_t kPixels = 6;

int64_t Block() { return kVectors * static_cast<int64_t>(hn::Lanes(D32())); }

// Loops over pixels and vectors are unrolled whole, so that the sums stay in registers.
template <int P, int32_t kType>
HWY_INLINE void Tile(const IntegerTask &task, int64_t block, int64_t pixel) {
  const D32 d32;
  const D16 d16;
  const PackedWeights &w = *task.weights;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d32));
  hn::Vec<D32> sum[P][kVectors], odd[P][kVectors];
#pragma unroll
  for (int p = 0; p < P; p++)
#pragma unroll
    for (int v = 0; v < kVectors; v++) sum[p][v] = odd[p][v] = hn::Zero(d32);
  const int64_t pairs = w.pairs();
  const int16_t *HWY_RESTRICT weights = w.values.data() + block * w.segments * pairs * w.block * 2;
  for (int64_t s = 0; s < w.segments; s++) {
    const int16_t *rows[P];
    for (int p = 0; p < P; p++)
      rows[p] = task.input + task.base[pixel + p] + task.segment_offset[s];
    for (int64_t k = 0; k < pairs; k++) {
      hn::Vec<D16> column[kVectors];
#pragma unroll
      for (int v = 0; v < kVectors; v++) column[v] = hn::LoadU(d16, weights + v * 2 * lanes);
      weights += kVectors * 2 * lanes;
#pragma unroll
      for (int p = 0; p < P; p++) {
        int32_t pair;
        __builtin_memcpy(&pair, rows[p] + 2 * k, sizeof pair);
        const auto input = hn::BitCast(d16, hn::Set(d32, pair));
#pragma unroll
        for (int v = 0; v < kVectors; v++)
          sum[p][v] = hn::ReorderWidenMulAccumulate(d32, column[v], input, sum[p][v], odd[p][v]);
      }
    }
  }
#pragma unroll
  for (int v = 0; v < kVectors; v++) {
    const int64_t channel = block * w.block + v * lanes;
    if (channel >= w.outputs) break;
    const Requantizer<kType> epilogue(*task.epilogue, channel, w.outputs - channel);
    hn::Vec<D32> sums[P];
#pragma unroll
    for (int p = 0; p < P; p++) sums[p] = hn::RearrangeToOddPlusEven(sum[p][v], odd[p][v]);
    epilogue.template Store<P>(sums, task.out, pixel * task.out_stride + channel, task.out_stride);
  }
}

template <int32_t kType>
void RunTyped(const IntegerTask &task, int64_t begin, int64_t end) {
  const int64_t blocks = (task.weights->outputs + task.weights->block - 1) / task.weights->block;
  for (int64_t block = 0; block < blocks; block++) {
    int64_t pixel = begin;
    for (; pixel + kPixels <= end; pixel += kPixels) Tile<kPixels, kType>(task, block, pixel);
    for (; pixel + 2 <= end; pixel += 2) Tile<2, kType>(task, block, pixel);
    for (; pixel < end; pixel++) Tile<1, kType>(task, block, pixel);
  }
}

void Run(const IntegerTask &task, int64_t begin, int64_t end) {
  switch (task.epilogue->out_type) {
    case BH_TYPE_F32:
      return RunTyped<BH_TYPE_F32>(task, begin, end);
    case BH_TYPE_U8:
      return RunTyped<BH_TYPE_U8>(task, begin, end);
    default:
      return RunTyped<BH_TYPE_S8>(task, begin, end);
  }
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

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {

HWY_EXPORT(Block);
HWY_EXPORT(Run);
HWY_EXPORT(WidenU8);
HWY_EXPORT(WidenS8);

int64_t integer_block() { return HWY_DYNAMIC_DISPATCH(Block)(); }

void run_integer(const IntegerTask &task, int64_t begin, int64_t end) {
  HWY_DYNAMIC_DISPATCH(Run)(task, begin, end);
}

void widen_u8(const uint8_t *in, int64_t n, int32_t zero_point, int16_t *out) {
  HWY_DYNAMIC_DISPATCH(WidenU8)(in, n, zero_point, out);
}

void widen_s8(const int8_t *in, int64_t n, int32_t zero_point, int16_t *out) {
  HWY_DYNAMIC_DISPATCH(WidenS8)(in, n, zero_point, out);
}

PackedWeights pack_weights(const std::vector<int16_t> &w, int64_t outputs, int64_t segments,
                           int64_t length) {
  PackedWeights packed{outputs, integer_block(), segments, length, {}};
  const int64_t blocks = (outputs + packed.block - 1) / packed.block, pairs = packed.pairs();
  packed.values.assign(blocks * segments * pairs * packed.block * 2, 0);
  for (int64_t o = 0; o < outputs; o++) {
    const int64_t block = o / packed.block, lane = o % packed.block;
    for (int64_t s = 0; s < segments; s++) {
      for (int64_t k = 0; k < length; k++) {
        const int64_t pair = (block * segments + s) * pairs + k / 2;
        packed.values[(pair * packed.block + lane) * 2 + k % 2] =
            w[(o * segments + s) * length + k];
      }
    }
  }
  return packed;
}

}  // namespace billhook
#endif
