#include "winograd.h"

#include <algorithm>
#include <cstring>

#include "vector_targets.h"
#include "winograd_share.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "winograd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "register_tiles-inl.h"
#include "winograd_transform-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

constexpr int64_t kMaxLanes = HWY_MAX_BYTES / sizeof(float);

int64_t ChannelBlock() { return std::max<int64_t>(8, static_cast<int64_t>(hn::Lanes(D()))); }
int64_t PanelWidth() { return kTileVectors * static_cast<int64_t>(hn::Lanes(D())); }

// Where tile `index` lies: its image and its first output.
struct Place {
  int64_t image, row, column;
};

HWY_INLINE Place PlaceOf(const WinogradShape &s, int64_t index) {
  const int64_t columns = s.tiles(1), rows = s.tiles(0);
  return {index / (rows * columns), index / columns % rows * s.tile, index % columns * s.tile};
}

// Where a pixel of a channel lies in a tensor of `channels` channels.
HWY_INLINE int64_t Offset(const int64_t (&size)[2], int64_t block, int64_t channels, int64_t image,
                          int64_t channel, int64_t row, int64_t column) {
  return ((image * channels + channel / block * block) * size[0] * size[1]) + channel % block +
         (row * size[1] + column) * block;
}

// Asks for the lines of a tile that comes one row of tiles later: a CPU does not notice by itself
// what is read in such short runs.
template <int S, int kWrite>
HWY_INLINE void Prefetch(const float *tile, int64_t row, int64_t block) {
  for (int i = 0; i < S; i++)
    for (int64_t j = 0; j < S * block; j += 16) __builtin_prefetch(tile + i * row + j, kWrite);
}

HWY_INLINE Place Later(const WinogradShape &s, int64_t tile) {
  return PlaceOf(s, std::min(tile + s.tiles(1), s.all_tiles() - 1));
}

// The transform of one vector of channels of one tile, a plane a point.
template <int S>
HWY_INLINE void TransformTile(const float *x, int64_t row, int64_t pixel, float *out,
                              int64_t plane) {
  const D d;
  V half[S][S];
#pragma unroll
  for (int j = 0; j < S; j++) {
    V in[S], column[S];
#pragma unroll
    for (int i = 0; i < S; i++) in[i] = hn::LoadU(d, x + i * row + j * pixel);
    Transform(in, column);
#pragma unroll
    for (int i = 0; i < S; i++) half[i][j] = column[i];
  }
#pragma unroll
  for (int i = 0; i < S; i++) {
    V result[S];
    Transform(half[i], result);
#pragma unroll
    for (int j = 0; j < S; j++) hn::StoreU(result[j], d, out + (i * S + j) * plane);
  }
}

// Tiles [begin, end), transformed to [points][tile][channel].
template <int S>
void TransformInput(const WinogradShape &s, const float *x, int64_t begin, int64_t end, float *out,
                    int64_t plane) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t channels = s.padded(s.inputs), row = s.in[1] * s.block;
  HWY_ALIGN float frame[S * S * kMaxLanes];
  for (int64_t t = begin; t < end; t++) {
    const Place place = PlaceOf(s, t);
    const int64_t top = place.row - s.begin[0], left = place.column - s.begin[1];
    const int64_t i0 = std::max<int64_t>(0, -top), i1 = std::min<int64_t>(S, s.in[0] - top);
    const int64_t j0 = std::max<int64_t>(0, -left), j1 = std::min<int64_t>(S, s.in[1] - left);
    const bool inside = i0 == 0 && j0 == 0 && i1 == S && j1 == S;
    const Place later = Later(s, t);
    const int64_t first_row = std::max<int64_t>(0, later.row - s.begin[0]);
    float *target = out + (t - begin) * channels;
    if (!inside) std::memset(frame, 0, sizeof frame);
    for (int64_t c = 0; c < channels; c += lanes) {
      const float *source = x + Offset(s.in, s.block, channels, place.image, c, top, left);
      Prefetch<S, 0>(x + Offset(s.in, s.block, channels, later.image, c, first_row, later.column),
                     row, s.block);
      if (inside) {
        TransformTile<S>(source, row, s.block, target + c, plane);
        continue;
      }
      for (int64_t i = i0; i < i1; i++)
        for (int64_t j = j0; j < j1; j++)
          hn::Store(hn::LoadU(d, source + i * row + j * s.block), d, frame + (i * S + j) * lanes);
      TransformTile<S>(frame, S * lanes, lanes, target + c, plane);
    }
  }
}

// P tiles times W vectors of outputs.
template <int P, int W>
HWY_INLINE void Product(const float *x, int64_t x_row, const float *weights, int64_t depth,
                        float *out, int64_t out_row) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  V sum[P][W];
#pragma unroll
  for (int p = 0; p < P; p++)
#pragma unroll
    for (int w = 0; w < W; w++) sum[p][w] = hn::Zero(d);
  for (int64_t k = 0; k < depth; k++) {
    V column[W];
#pragma unroll
    for (int w = 0; w < W; w++) column[w] = hn::LoadU(d, weights + w * lanes);
    weights += W * lanes;
#pragma unroll
    for (int p = 0; p < P; p++) {
      const V value = hn::Set(d, x[p * x_row + k]);
#pragma unroll
      for (int w = 0; w < W; w++) sum[p][w] = hn::MulAdd(value, column[w], sum[p][w]);
    }
  }
#pragma unroll
  for (int p = 0; p < P; p++)
#pragma unroll
    for (int w = 0; w < W; w++) hn::StoreU(sum[p][w], d, out + p * out_row + w * lanes);
}

// Every tile's sum runs over the channels in one order, however the tiles are grouped.
template <int W>
HWY_NOINLINE void Products(const float *x, int64_t x_row, const float *weights, int64_t depth,
                           int64_t tiles, float *out, int64_t out_row) {
  constexpr int kTall = TileRows(W);
  int64_t t = 0;
  for (; t + kTall <= tiles; t += kTall)
    Product<kTall, W>(x + t * x_row, x_row, weights, depth, out + t * out_row, out_row);
  for (; t + 4 <= tiles; t += 4)
    Product<4, W>(x + t * x_row, x_row, weights, depth, out + t * out_row, out_row);
  for (; t + 2 <= tiles; t += 2)
    Product<2, W>(x + t * x_row, x_row, weights, depth, out + t * out_row, out_row);
  for (; t < tiles; t++)
    Product<1, W>(x + t * x_row, x_row, weights, depth, out + t * out_row, out_row);
}

// Tiles [begin, end), one vector of outputs at a time, back to y. `sums` starts at output `first`.
template <int S>
void TransformOutput(const WinogradShape &s, const float *sums, int64_t plane, int64_t sums_row,
                     int64_t begin, int64_t end, int64_t first, int64_t last,
                     const WinogradTail &tail, float *y) {
  constexpr int T = S - 2;
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t channels = s.padded(s.outputs), row = s.out[1] * s.block;
  const V low = hn::Set(d, tail.low), high = hn::Set(d, tail.high);
  for (int64_t t = begin; t < end; t++) {
    const Place place = PlaceOf(s, t);
    const int64_t rows = std::min<int64_t>(T, s.out[0] - place.row);
    const int64_t columns = std::min<int64_t>(T, s.out[1] - place.column);
    const Place later = Later(s, t);
    for (int64_t c = first; c < last; c += lanes) {
      const int64_t ahead =
          Offset(s.out, s.block, channels, later.image, c, later.row, later.column);
      Prefetch<T, 1>(y + ahead, row, s.block);
      if (tail.residual) Prefetch<T, 0>(tail.residual + ahead, row, s.block);
      const float *in = sums + (t - begin) * sums_row + c - first;
      V half[T][S];
#pragma unroll
      for (int j = 0; j < S; j++) {
        V column[S], result[T];
#pragma unroll
        for (int i = 0; i < S; i++) column[i] = hn::LoadU(d, in + (i * S + j) * plane);
        TransformBack(column, result);
#pragma unroll
        for (int i = 0; i < T; i++) half[i][j] = result[i];
      }
      const V bias = hn::LoadU(d, tail.bias + c);
      const int64_t at = Offset(s.out, s.block, channels, place.image, c, place.row, place.column);
#pragma unroll
      for (int i = 0; i < T; i++) {
        if (i >= rows) break;
        V result[T];
        TransformBack(half[i], result);
#pragma unroll
        for (int j = 0; j < T; j++) {
          if (j >= columns) break;
          const int64_t index = at + i * row + j * s.block;
          V value = hn::Add(result[j], bias);
          if (tail.residual) value = hn::Add(value, hn::LoadU(d, tail.residual + index));
          // In this order a NaN stays one.
          hn::StoreU(hn::Min(high, hn::Max(low, value)), d, y + index);
        }
      }
    }
  }
}

template <int S>
void RunPiece(const WinogradShape &s, const float *x, const float *weights,
              const WinogradTail &tail, const WinogradPiece &piece, float *y) {
  const int64_t width = PanelWidth(), lanes = width / kTileVectors;
  const int64_t in_row = s.padded(s.inputs), outputs = s.padded(s.outputs);
  const int64_t tiles = piece.end - piece.begin;
  auto *in_buffer = static_cast<float *>(piece.in), *sums = static_cast<float *>(piece.sums);
  TransformInput<S>(s, x, piece.begin, piece.end, in_buffer, piece.in_plane);
  const int64_t first = piece.first_panel * width;
  const int64_t last = std::min(piece.last_panel * width, outputs);
  const int64_t row = last - first;
  for (int64_t c = first; c < last; c += width) {
    const int64_t own = std::min(width, last - c);
    const float *panel = weights + c * S * S * s.inputs;
    for (int64_t point = 0; point < S * S; point++) {
      const float *in = in_buffer + point * piece.in_plane;
      float *out = sums + point * piece.out_plane + c - first;
      const float *w = panel + point * own * s.inputs;
      WithVectors(own / lanes, [&](auto vectors) {
        Products<decltype(vectors)::value>(in, in_row, w, s.inputs, tiles, out, row);
      });
    }
  }
  TransformOutput<S>(s, sums, piece.out_plane, row, piece.begin, piece.end, first, last, tail, y);
}

void RunWinograd(const WinogradShape &s, const float *x, const float *weights,
                 const WinogradTail &tail, const WinogradPiece &piece, float *y) {
  if (s.tile == 4)
    RunPiece<6>(s, x, weights, tail, piece, y);
  else
    RunPiece<4>(s, x, weights, tail, piece, y);
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {

HWY_EXPORT(ChannelBlock);
HWY_EXPORT(PanelWidth);
HWY_EXPORT(RunWinograd);

namespace {

// Chosen once, when the library is loaded: layouts and packed weights depend on the instruction
// set, and so do the bits of the results.
const int64_t kBlock = HWY_DYNAMIC_DISPATCH(ChannelBlock)();
const int64_t kPanel = HWY_DYNAMIC_DISPATCH(PanelWidth)();
const auto kRun = &HWY_DYNAMIC_DISPATCH(RunWinograd);

}  // namespace

int64_t winograd_block() { return kBlock; }
int64_t winograd_panel() { return kPanel; }

void winograd_piece(const WinogradShape &shape, const float *x, const float *weights,
                    const WinogradTail &tail, const WinogradPiece &piece, float *y) {
  kRun(shape, x, weights, tail, piece, y);
}

}  // namespace billhook
#endif
