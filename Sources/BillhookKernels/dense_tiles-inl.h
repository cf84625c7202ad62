// Register tiles of a matrix product, compiled for each target: rows times weights that lie in panels
// of two vectors' width, [panels][inputs][width].
#if defined(BH_DENSE_TILES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef BH_DENSE_TILES_INL_H
#undef BH_DENSE_TILES_INL_H
#else
#define BH_DENSE_TILES_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace tiles {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = HWY_MAX_BYTES / 4;
constexpr int64_t kPanel = 2 * kLanes;
// A register tile: six rows, and panels to fill 32 or 16 registers. Twelve rows of one panel would
// need as many registers, but twelve addresses too.
constexpr int kRows = 6;
constexpr int kPanels = HWY_MAX_BYTES == 64 ? 2 : 1;

// Part of a product that a task sees: rows of x and y, and a part of the inputs.
struct Part {
  const float *x;
  int64_t x_stride;
  const float *w;  // the first panel, at the part's first input
  int64_t panel_stride;
  int64_t inputs;
  bool is_first, is_last;
  const float *bias, *residual;
  float *y;
  int64_t y_stride;
};

// A tile of R rows and P panels. Every loop over the sums has a fixed length and is unrolled whole, so
// that they stay in registers.
template <int R, int P>
HWY_INLINE void Tile(const Part &part, int64_t row, int64_t panel, int64_t column,
                     int64_t columns) {
  const D d;
  V sums[R][2 * P];
  const float *x = part.x + row * part.x_stride;
  float *y = part.y + row * part.y_stride + column;
  const bool is_whole = columns == P * kPanel;
  HWY_ALIGN float rest[R * P * kPanel];
  if (part.is_first) {
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
      for (int c = 0; c < 2 * P; c++) sums[r][c] = hn::Zero(d);
  } else if (is_whole) {
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
      for (int c = 0; c < 2 * P; c++)
        sums[r][c] = hn::LoadU(d, y + r * part.y_stride + c * kLanes);
  } else {
    for (int64_t i = 0; i < R * P * kPanel; i++) {
      const int64_t c = i % (P * kPanel);
      rest[i] = c < columns ? y[i / (P * kPanel) * part.y_stride + c] : 0;
    }
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
      for (int c = 0; c < 2 * P; c++) sums[r][c] = hn::Load(d, rest + r * P * kPanel + c * kLanes);
  }
  const float *w = part.w + panel * part.panel_stride;
  // Several at once: one step is so short that counting it would show.
  HWY_UNROLL(4)
  for (int64_t k = 0; k < part.inputs; k++) {
    V factors[2 * P];
#pragma unroll
    for (int c = 0; c < 2 * P; c++)
      factors[c] = hn::Load(d, w + (c / 2) * part.panel_stride + k * kPanel + (c % 2) * kLanes);
#pragma unroll
    for (int r = 0; r < R; r++) {
      const V value = hn::Set(d, x[r * part.x_stride + k]);
#pragma unroll
      for (int c = 0; c < 2 * P; c++) sums[r][c] = hn::MulAdd(value, factors[c], sums[r][c]);
    }
  }
  if (!is_whole) {
#pragma unroll
    for (int r = 0; r < R; r++)
#pragma unroll
      for (int c = 0; c < 2 * P; c++) hn::Store(sums[r][c], d, rest + r * P * kPanel + c * kLanes);
    for (int64_t r = 0; r < R; r++) {
      for (int64_t c = 0; c < columns; c++) {
        float sum = rest[r * P * kPanel + c];
        if (part.is_last && part.bias) sum += part.bias[column + c];
        if (part.is_last && part.residual)
          sum += part.residual[(row + r) * part.y_stride + column + c];
        y[r * part.y_stride + c] = sum;
      }
    }
    return;
  }
  if (part.is_last && part.bias) {
#pragma unroll
    for (int c = 0; c < 2 * P; c++) {
      const V bias = hn::LoadU(d, part.bias + column + c * kLanes);
#pragma unroll
      for (int r = 0; r < R; r++) sums[r][c] = hn::Add(sums[r][c], bias);
    }
  }
#pragma unroll
  for (int r = 0; r < R; r++) {
#pragma unroll
    for (int c = 0; c < 2 * P; c++) {
      V sum = sums[r][c];
      if (part.is_last && part.residual)
        sum = hn::Add(sum, hn::LoadU(d, part.residual + (row + r) * part.y_stride + column +
                                            c * kLanes));
      hn::StoreU(sum, d, y + r * part.y_stride + c * kLanes);
    }
  }
}

template <int R, int P>
HWY_NOINLINE void Strip(const Part &part, int64_t row, int64_t begin, int64_t end,
                        int64_t outputs) {
  for (int64_t panel = begin; panel < end; panel += P) {
    const int64_t column = panel * kPanel;
    const int64_t columns = std::min(outputs - column, std::min<int64_t>(P, end - panel) * kPanel);
    if (P > 1 && end - panel < P) {
      for (int64_t p = panel; p < end; p++)
        Tile<R, 1>(part, row, p, p * kPanel, std::min(outputs - p * kPanel, kPanel));
      return;
    }
    Tile<R, P>(part, row, panel, column, columns);
  }
}

// The rows [row, row_end) of the panels [begin, end), so many at a time as a tile has; behind each
// strip of rows `finish` is called with its first row and its length.
template <class Finish>
HWY_INLINE void Strips(const Part &part, int64_t row, int64_t row_end, int64_t begin, int64_t end,
                       int64_t outputs, Finish finish) {
  while (row < row_end) {
    const int64_t left = row_end - row;
    int64_t done = kRows;
    if (left >= kRows) {
      Strip<kRows, kPanels>(part, row, begin, end, outputs);
    } else if (left >= 4) {
      Strip<4, kPanels>(part, row, begin, end, outputs);
      done = 4;
    } else if (left >= 2) {
      Strip<2, 2>(part, row, begin, end, outputs);
      done = 2;
    } else {
      Strip<1, 4>(part, row, begin, end, outputs);
      done = 1;
    }
    finish(row, done);
    row += done;
  }
}

}  // namespace tiles
}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();
#endif
