#include "winograd_integer.h"

#include <algorithm>
#include <cstring>

#include "bh_plan.h"
#include "vector_targets.h"
#include "winograd_share.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "winograd_integer.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "integer_epilogue-inl.h"
#include "register_tiles-inl.h"
#include "vnni-inl.h"
#include "winograd_integer_input-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::ScalableTag<int32_t>;
using V32 = hn::Vec<D32>;
using D16 = hn::Repartition<int16_t, D32>;

constexpr int64_t kChannels = 16;  // to which the transformed input is padded

int64_t IntegerLanes() { return static_cast<int64_t>(hn::Lanes(D32())); }
int64_t IntegerPanel() { return kTileVectors * static_cast<int64_t>(hn::Lanes(D32())); }

// A^T with the factors that the weights lack; row i is 3 * 2^(3, 2, 1, 1)[i] times too large.
HWY_INLINE void TransformWholeBack(const V32 (&in)[6], V32 (&out)[4]) {
  const V32 even1 = hn::Add(in[1], in[2]), odd1 = hn::Sub(in[1], in[2]);
  const V32 even2 = hn::Add(in[3], in[4]), odd2 = hn::Sub(in[3], in[4]);
  const V32 twice = hn::Add(odd2, odd2);
  out[0] = hn::Add(hn::Sub(in[0], hn::ShiftLeft<2>(even1)), even2);
  out[1] = hn::Sub(odd2, hn::Add(odd1, odd1));
  out[2] = hn::Sub(even2, even1);
  out[3] = hn::Add(hn::Sub(twice, odd1), in[5]);
}

// P tiles times W vectors of outputs; x_row and out_row: elements a tile.
template <int P, int W, bool kVnni>
HWY_INLINE void PairProduct(const int16_t *x, int64_t x_row, const int16_t *weights, int64_t pairs,
                            int32_t *out, int64_t out_row) {
  const D32 d32;
  const D16 d16;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d32));
  V32 sum[P][W], odd[P][W];
#pragma unroll
  for (int p = 0; p < P; p++)
#pragma unroll
    for (int w = 0; w < W; w++) sum[p][w] = odd[p][w] = hn::Zero(d32);
  for (int64_t k = 0; k < pairs; k++) {
    V32 column[W];
#pragma unroll
    for (int w = 0; w < W; w++)
      column[w] = hn::BitCast(d32, hn::LoadU(d16, weights + w * 2 * lanes));
    weights += W * 2 * lanes;
#pragma unroll
    for (int p = 0; p < P; p++) {
      int32_t pair;
      __builtin_memcpy(&pair, x + p * x_row + 2 * k, sizeof pair);
      const V32 input = hn::Set(d32, pair);
#pragma unroll
      for (int w = 0; w < W; w++) {
        if constexpr (kVnni)
          sum[p][w] = vnni::AddPairs(sum[p][w], input, column[w]);
        else
          sum[p][w] =
              hn::ReorderWidenMulAccumulate(d32, hn::BitCast(d16, column[w]),
                                            hn::BitCast(d16, input), sum[p][w], odd[p][w]);
      }
    }
  }
#pragma unroll
  for (int p = 0; p < P; p++)
#pragma unroll
    for (int w = 0; w < W; w++)
      hn::StoreU(hn::RearrangeToOddPlusEven(sum[p][w], odd[p][w]), d32,
                 out + p * out_row + w * lanes);
}

template <int W, bool kVnni>
HWY_NOINLINE void PairProducts(const int16_t *x, int64_t x_row, const int16_t *weights,
                               int64_t pairs, int64_t tiles, int32_t *out, int64_t out_row) {
  constexpr int kTall = TileRows(W);
  int64_t t = 0;
  for (; t + kTall <= tiles; t += kTall)
    PairProduct<kTall, W, kVnni>(x + t * x_row, x_row, weights, pairs, out + t * out_row, out_row);
  for (; t + 2 <= tiles; t += 2)
    PairProduct<2, W, kVnni>(x + t * x_row, x_row, weights, pairs, out + t * out_row, out_row);
  for (; t < tiles; t++)
    PairProduct<1, W, kVnni>(x + t * x_row, x_row, weights, pairs, out + t * out_row, out_row);
}

// Row i of four sums; TransformWholeBack makes them 9 * 2^k times too large.
HWY_INLINE void SumsOfRow(const V32 (&half)[6], int i, V32 (&sums)[4]) {
  constexpr int kShift[4] = {3, 2, 1, 1};
  const V32 ninth = hn::Set(D32(), 0x38E38E39);  // 9 * this = 1 modulo 2^32
  TransformWholeBack(half, sums);
#pragma unroll
  for (int j = 0; j < 4; j++)
    sums[j] = hn::ShiftRightSame(hn::Mul(sums[j], ninth), kShift[i] + kShift[j]);
}

template <int32_t kType, bool kPools>
void TransformSums(const IntegerWinograd &s, const Epilogue &epilogue, const WinogradPiece &piece,
                   int64_t first, int64_t last, void *y) {
  const D32 d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  // Rows and columns of y, and of a tile's share of it.
  constexpr int kSize = kPools ? 2 : 4;
  constexpr int64_t kStep = kPools ? 2 : 1;
  const int64_t height = s.out[0] / kStep, width = s.out[1] / kStep;
  for (int64_t t = piece.begin; t < piece.end; t++) {
    const TilePlace place = TileAt(s, t);
    const int64_t top = place.row / kStep, left = place.column / kStep;
    const int64_t rows = height - top, columns = width - left;
    const int64_t corner = (place.image * height + top) * width + left;
    PrefetchLater<1>(s, t, y, {height, width}, kSize, s.outputs * (kType == BH_TYPE_F32 ? 4 : 1));
    for (int64_t c = first; c < last; c += lanes) {
      const Requantizer<kType> out(epilogue, c, s.outputs - c);
      const int32_t *in =
          static_cast<int32_t *>(piece.sums) + (t - piece.begin) * (last - first) + c - first;
      V32 half[4][6];
#pragma unroll
      for (int j = 0; j < 6; j++) {
        V32 column[6], result[4];
#pragma unroll
        for (int i = 0; i < 6; i++) column[i] = hn::LoadU(d, in + (i * 6 + j) * piece.out_plane);
        TransformWholeBack(column, result);
#pragma unroll
        for (int i = 0; i < 4; i++) half[i][j] = result[i];
      }
#pragma unroll
      for (int i = 0; i < kSize; i++) {
        if (i >= rows) break;
        V32 sums[4];
        if constexpr (kPools) {
          V32 below[4];
          SumsOfRow(half[2 * i], 2 * i, sums);
          SumsOfRow(half[2 * i + 1], 2 * i + 1, below);
#pragma unroll
          for (int j = 0; j < 2; j++)
            sums[j] = hn::Max(hn::Max(sums[2 * j], sums[2 * j + 1]),
                              hn::Max(below[2 * j], below[2 * j + 1]));
        } else {
          SumsOfRow(half[i], i, sums);
        }
        const int64_t index = (corner + i * width) * s.outputs + c;
        if (columns >= kSize) {
          out.template Store<kSize>(sums, y, index, s.outputs);
        } else {
          for (int64_t j = 0; j < columns; j++)
            out.template Store<1>(sums + j, y, index + j * s.outputs, s.outputs);
        }
      }
    }
  }
}

template <int32_t kType>
void StoreSums(const IntegerWinograd &s, const Epilogue &epilogue, const WinogradPiece &piece,
               int64_t first, int64_t last, void *y) {
  if (s.pools)
    TransformSums<kType, true>(s, epilogue, piece, first, last, y);
  else
    TransformSums<kType, false>(s, epilogue, piece, first, last, y);
}

void RunIntegerWinograd(const IntegerWinograd &s, const Epilogue &epilogue, int32_t x_type,
                        const void *x, int32_t zero_point, const WinogradPiece &piece, void *y) {
  static const bool has_vnni = vnni::IsThere();
  const int64_t width = IntegerPanel(), lanes = IntegerLanes();
  const int64_t row = (s.inputs + kChannels - 1) / kChannels * kChannels;
  const int64_t pairs = (s.inputs + 1) / 2, outputs = (s.outputs + lanes - 1) / lanes * lanes;
  if (x_type == BH_TYPE_U8)
    TransformBytes(s, static_cast<const uint8_t *>(x), zero_point, piece, row);
  else
    TransformBytes(s, static_cast<const int8_t *>(x), zero_point, piece, row);
  const int64_t first = piece.first_panel * width;
  const int64_t last = std::min(piece.last_panel * width, outputs);
  for (int64_t c = first; c < last; c += width) {
    const int64_t own = std::min(width, last - c);
    for (int64_t point = 0; point < 36; point++) {
      const int16_t *in = static_cast<int16_t *>(piece.in) + point * piece.in_plane;
      int32_t *out = static_cast<int32_t *>(piece.sums) + point * piece.out_plane + c - first;
      const int16_t *w = s.weights.data() + (c * 36 + point * own) * pairs * 2;
      WithVectors(own / lanes, [&](auto vectors) {
        constexpr int W = decltype(vectors)::value;
        const auto products = has_vnni ? PairProducts<W, true> : PairProducts<W, false>;
        products(in, row, w, pairs, piece.end - piece.begin, out, last - first);
      });
    }
  }
  switch (epilogue.out_type) {
    case BH_TYPE_F32:
      return StoreSums<BH_TYPE_F32>(s, epilogue, piece, first, last, y);
    case BH_TYPE_U8:
      return StoreSums<BH_TYPE_U8>(s, epilogue, piece, first, last, y);
    default:
      return StoreSums<BH_TYPE_S8>(s, epilogue, piece, first, last, y);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {

HWY_EXPORT(IntegerLanes);
HWY_EXPORT(IntegerPanel);
HWY_EXPORT(RunIntegerWinograd);

namespace {

// Chosen once, when the library is loaded: the packed weights depend on the instruction set.
const int64_t kLanes = HWY_DYNAMIC_DISPATCH(IntegerLanes)();
const int64_t kPanel = HWY_DYNAMIC_DISPATCH(IntegerPanel)();
const auto kRun = &HWY_DYNAMIC_DISPATCH(RunIntegerWinograd);

}  // namespace

int64_t integer_winograd_lanes() { return kLanes; }
int64_t integer_winograd_panel() { return kPanel; }

void integer_winograd_piece(const IntegerWinograd &layer, const Epilogue &epilogue, int32_t x_type,
                            const void *x, int32_t zero_point, const WinogradPiece &piece,
                            void *y) {
  kRun(layer, epilogue, x_type, x, zero_point, piece, y);
}

}  // namespace billhook
#endif
