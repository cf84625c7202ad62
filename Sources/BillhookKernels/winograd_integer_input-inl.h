// The way in of integer Winograd layers: tiles of bytes become 36 points each, compiled for each target.
#if defined(BH_WINOGRAD_INTEGER_INPUT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef BH_WINOGRAD_INTEGER_INPUT_INL_H
#undef BH_WINOGRAD_INTEGER_INPUT_INL_H
#else
#define BH_WINOGRAD_INTEGER_INPUT_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "winograd_integer.h"
#include "winograd_share.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Vectors of channels of the transformed input: whole ones, and sixteen where so many are left.
using DWide = hn::ScalableTag<int16_t>;
using DNarrow = hn::CappedTag<int16_t, 16>;

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

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();
#endif
