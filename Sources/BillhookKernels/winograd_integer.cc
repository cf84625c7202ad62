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
#include "vnni-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D32 = hn::ScalableTag<int32_t>;
using V32 = hn::Vec<D32>;
using D16 = hn::Repartition<int16_t, D32>;
// Vectors of channels of the transformed input: whole ones, and sixteen where so many are left.
using DWide = hn::ScalableTag<int16_t>;
using DNarrow = hn::CappedTag<int16_t, 16>;

constexpr int kTiles = 6;
constexpr int kWide = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64 ? 4 : 2;  // vectors a panel
constexpr int64_t kChannels = 16;  // to which the transformed input is padded

int64_t IntegerLanes() { return static_cast<int64_t>(hn::Lanes(D32())); }
int64_t IntegerPanel() { return kWide * static_cast<int64_t>(hn::Lanes(D32())); }

// B^T of the points 0, +-1, +-2. Numbers of 9 bits become 10 times as large in each direction,
// which 16 bits just hold.
template <class VT>
HWY_INLINE void TransformWhole(const VT (&in)[6], VT (&out)[6]) {
  const VT even = hn::Sub(in[4], in[2]), odd = hn::Sub(in[3], in[1]);
  out[0] = hn::Add(hn::ShiftLeft<2>(hn::Sub(in[0], in[2])), even);
  const VT even1 = hn::Sub(in[4], hn::ShiftLeft<2>(in[2]));
  const VT odd1 = hn::Sub(in[3], hn::ShiftLeft<2>(in[1]));
  out[1] = hn::Add(even1, odd1);
  out[2] = hn::Sub(even1, odd1);
  const VT odd2 = hn::Add(odd, odd);
  out[3] = hn::Add(even, odd2);
  out[4] = hn::Sub(even, odd2);
  out[5] = hn::Sub(hn::Sub(in[5], in[3]), hn::ShiftLeft<2>(odd));
}

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

// Bytes as 16-bit numbers, without the zero point.
template <class D, class T>
HWY_INLINE hn::Vec<D> LoadWide(D d, const T *x, hn::Vec<D> zero) {
  const hn::Rebind<T, D> narrow;
  return hn::Sub(hn::PromoteTo(d, hn::LoadU(narrow, x)), zero);
}

// One vector of channels of one tile; `load(i, j)` is its element at row i and column j.
template <class D, class Load>
HWY_INLINE void TransformWholeTile(D d, const Load &load, int16_t *out, int64_t plane) {
  using VT = hn::Vec<D>;
  VT half[6][6];
#pragma unroll
  for (int j = 0; j < 6; j++) {
    VT in[6], column[6];
#pragma unroll
    for (int i = 0; i < 6; i++) in[i] = load(i, j);
    TransformWhole(in, column);
#pragma unroll
    for (int i = 0; i < 6; i++) half[i][j] = column[i];
  }
#pragma unroll
  for (int i = 0; i < 6; i++) {
    VT row[6];
    TransformWhole(half[i], row);
#pragma unroll
    for (int j = 0; j < 6; j++) hn::StoreU(row[j], d, out + (i * 6 + j) * plane);
  }
}

struct TilePlace {
  int64_t image, row, column;
};

HWY_INLINE TilePlace TileAt(const IntegerWinograd &s, int64_t index) {
  const int64_t columns = s.tiles(1), rows = s.tiles(0);
  return {index / (rows * columns), index / columns % rows * 4, index % columns * 4};
}

// Asks for the lines of a tile that comes one row of tiles later, `side` rows and columns of which
// are not yet there: a CPU does not notice by itself what is read in such short runs. Asking for less
// than two lines at a time would cost more than it brings.
template <int kWrite>
HWY_INLINE void PrefetchLater(const IntegerWinograd &s, int64_t tile, const void *picture,
                              const int64_t (&size)[2], int64_t side, int64_t pixel) {
  if (side * pixel < 128) return;
  const TilePlace place =
      TileAt(s, std::min(tile + s.tiles(1), s.images * s.tiles(0) * s.tiles(1) - 1));
  const int64_t top = place.row * side / 4, left = place.column * side / 4;
  const char *line = static_cast<const char *>(picture) +
                     ((place.image * size[0] + top) * size[1] + left) * pixel;
  for (int64_t i = 0; i < std::min(side, size[0] - top); i++)
    for (int64_t j = 0; j < side * pixel; j += 64)
      __builtin_prefetch(line + i * size[1] * pixel + j, kWrite);
}

// A tile of up to kSlice channels with what lies outside of the picture filled up.
constexpr int64_t kSlice = 256;

template <class T>
HWY_NOINLINE void CopyTile(const T *source, int64_t row, int64_t pixel, const TilePlace &corner,
                           const int64_t (&size)[2], int64_t channels, int32_t zero_point,
                           T *frame) {
  const int64_t i0 = std::max<int64_t>(0, -corner.row), j0 = std::max<int64_t>(0, -corner.column);
  const int64_t i1 = std::min<int64_t>(6, size[0] - corner.row);
  const int64_t j1 = std::min<int64_t>(6, size[1] - corner.column);
  std::memset(frame, zero_point, 36 * channels);
  // All channels of a row lie side by side.
  const int64_t step = channels == pixel ? std::max<int64_t>(1, j1 - j0) : 1;
  for (int64_t i = i0; i < i1; i++)
    for (int64_t j = j0; j < j1; j += step)
      std::memcpy(frame + (i * 6 + j) * channels, source + i * row + j * pixel, step * channels);
}

// [point][tile][channel]; what lies behind the last channel is multiplied by zero weights.
template <class T>
void TransformBytes(const IntegerWinograd &s, const T *x, int32_t zero_point,
                    const WinogradPiece &piece, int64_t row_length) {
  const DWide wide;
  const DNarrow narrow;
  const auto lanes = static_cast<int64_t>(hn::Lanes(wide));
  const auto wide_zero = hn::Set(wide, static_cast<int16_t>(zero_point));
  const auto narrow_zero = hn::Set(narrow, static_cast<int16_t>(zero_point));
  HWY_ALIGN T frame[36 * kSlice + HWY_MAX_BYTES];
  for (int64_t t = piece.begin; t < piece.end; t++) {
    const TilePlace place = TileAt(s, t);
    const TilePlace corner{place.image, place.row - s.begin[0], place.column - s.begin[1]};
    const bool is_inside = corner.row >= 0 && corner.column >= 0 && corner.row + 6 <= s.in[0] &&
                           corner.column + 6 <= s.in[1];
    const T *tile =
        x + ((place.image * s.in[0] + corner.row) * s.in[1] + corner.column) * s.inputs;
    int16_t *target = static_cast<int16_t *>(piece.in) + (t - piece.begin) * row_length;
    PrefetchLater<0>(s, t, x, s.in, 4, s.inputs);
    for (int64_t first = 0; first < row_length; first += kSlice) {
      const int64_t last = std::min(row_length, first + kSlice);
      const T *source = tile + first;
      int64_t pixel = s.inputs, row = s.in[1] * pixel;
      if (!is_inside) {
        const int64_t channels = std::min(kSlice, s.inputs - first);
        CopyTile(source, row, pixel, corner, s.in, channels, zero_point, frame);
        source = frame;
        pixel = channels;
        row = 6 * channels;
      }
      int64_t c = first;
      for (; c + lanes <= last; c += lanes, source += lanes)
        TransformWholeTile(wide,
                           [&](int i, int j) HWY_ATTR {
                             return LoadWide(wide, source + i * row + j * pixel, wide_zero);
                           },
                           target + c, piece.in_plane);
      if (c < last)
        TransformWholeTile(narrow,
                           [&](int i, int j) HWY_ATTR {
                             return LoadWide(narrow, source + i * row + j * pixel, narrow_zero);
                           },
                           target + c, piece.in_plane);
    }
  }
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
  // A single vector needs more tiles to have enough sums under way.
  constexpr int kTall = W == 1 ? 2 * kTiles : kTiles;
  int64_t t = 0;
  for (; t + kTall <= tiles; t += kTall)
    PairProduct<kTall, W, kVnni>(x + t * x_row, x_row, weights, pairs, out + t * out_row, out_row);
  for (; t + 2 <= tiles; t += 2)
    PairProduct<2, W, kVnni>(x + t * x_row, x_row, weights, pairs, out + t * out_row, out_row);
  for (; t < tiles; t++)
    PairProduct<1, W, kVnni>(x + t * x_row, x_row, weights, pairs, out + t * out_row, out_row);
}

using PairKernel = decltype(&PairProducts<1, false>);

template <bool kVnni>
PairKernel PairProductsOf(int64_t vectors) {
  return vectors == 1   ? PairProducts<1, kVnni>
         : vectors == 2 ? PairProducts<2, kVnni>
         : vectors == 3 ? PairProducts<std::min(3, kWide), kVnni>
                        : PairProducts<kWide, kVnni>;
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
  const int64_t width = IntegerPanel(), lanes = width / kWide;
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
    const PairKernel products = has_vnni ? PairProductsOf<true>(own / lanes)
                                         : PairProductsOf<false>(own / lanes);
    for (int64_t point = 0; point < 36; point++) {
      const int16_t *in = static_cast<int16_t *>(piece.in) + point * piece.in_plane;
      int32_t *out = static_cast<int32_t *>(piece.sums) + point * piece.out_plane + c - first;
      const int16_t *w = s.weights.data() + (c * 36 + point * own) * pairs * 2;
      products(in, row, w, pairs, piece.end - piece.begin, out, last - first);
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
