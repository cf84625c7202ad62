// packed_product.h: register tiles over panels of two vectors' width.
#include "packed_product.h"

#include <algorithm>

#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "packed_product.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace product {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(D()));
constexpr int kPanel = 2 * kLanes;
// Rows of a tile: with two vectors each, what 32 or 16 registers hold.
constexpr int kRows = kLanes == 16 ? 12 : 6;
// A panel's part of this depth stays in the nearest cache.
constexpr int64_t kDepth = 512;

int64_t PanelWidth() { return kPanel; }

struct Factor {
  const float *panels;  // at the first row of the part
  int64_t panel_stride;
  int64_t depth;
};

// R rows by P panels. The last of them may reach beyond the columns that are there.
template <int R, int P>
HWY_INLINE void Tile(const float *const *a, int64_t step, const Factor &b, int64_t panel,
                     int64_t columns, float *const *c) {
  const D d;
  V sums[R][2 * P];
  const int64_t first = panel * kPanel;
  const bool is_whole = first + P * kPanel <= columns;
  HWY_ALIGN float rest[R * P * kPanel];
#pragma unroll
  for (int r = 0; r < R; r++) {
    const float *from = c[r] + first;
    if (!is_whole) {
      for (int64_t i = 0; i < P * kPanel; i++)
        rest[r * P * kPanel + i] = first + i < columns ? from[i] : 0;
      from = rest + r * P * kPanel;
    }
#pragma unroll
    for (int v = 0; v < 2 * P; v++) sums[r][v] = hn::LoadU(d, from + v * kLanes);
  }
  const float *w = b.panels + panel * b.panel_stride;
  const float *at[R];
#pragma unroll
  for (int r = 0; r < R; r++) at[r] = a[r];
  for (int64_t k = 0; k < b.depth; k++) {
    V factors[2 * P];
#pragma unroll
    for (int v = 0; v < 2 * P; v++)
      factors[v] = hn::LoadU(d, w + (v / 2) * b.panel_stride + k * kPanel + (v % 2) * kLanes);
#pragma unroll
    for (int r = 0; r < R; r++) {
      const V value = hn::Set(d, at[r][k * step]);
#pragma unroll
      for (int v = 0; v < 2 * P; v++) sums[r][v] = hn::MulAdd(value, factors[v], sums[r][v]);
    }
  }
#pragma unroll
  for (int r = 0; r < R; r++) {
    float *to = c[r] + first;
    if (is_whole) {
#pragma unroll
      for (int v = 0; v < 2 * P; v++) hn::StoreU(sums[r][v], d, to + v * kLanes);
      continue;
    }
#pragma unroll
    for (int v = 0; v < 2 * P; v++) hn::Store(sums[r][v], d, rest + r * P * kPanel + v * kLanes);
    for (int64_t i = 0; first + i < columns && i < P * kPanel; i++)
      to[i] = rest[r * P * kPanel + i];
  }
}

// R rows over all panels, P of them at once: few rows need many sums under way.
template <int R, int P>
HWY_NOINLINE void Strip(const float *const *a, int64_t step, const Factor &b, int64_t columns,
                        float *const *c) {
  const int64_t panels = (columns + kPanel - 1) / kPanel;
  int64_t panel = 0;
  for (; panel + P <= panels; panel += P) Tile<R, P>(a, step, b, panel, columns, c);
  for (; panel < panels; panel++) Tile<R, 1>(a, step, b, panel, columns, c);
}

// All row groups over one panel, which then stays in the nearest cache.
HWY_NOINLINE void Columns(int64_t rows, const float *const *a, int64_t step, const Factor &b,
                          int64_t columns, float *const *c) {
  const int64_t panels = (columns + kPanel - 1) / kPanel;
  for (int64_t panel = 0; panel < panels; panel++)
    for (int64_t r = 0; r < rows; r += kRows)
      Tile<kRows, 1>(a + r, step, b, panel, columns, c + r);
}

void MultiplyAdd(int64_t rows, const float *const *a, int64_t step, int64_t depth,
                 const float *packed, int64_t columns, float *const *c) {
  constexpr int64_t kMost = 96;
  for (int64_t begin = 0; begin < rows; begin += kMost) {
    const int64_t end = std::min(rows, begin + kMost);
    for (int64_t first = 0; first < depth; first += kDepth) {
      const Factor part{packed + first * kPanel, depth * kPanel, std::min(kDepth, depth - first)};
      const float *from[kMost];
      for (int64_t r = begin; r < end; r++) from[r - begin] = a[r] + first * step;
      const int64_t whole = (end - begin) / kRows * kRows;
      if (whole > 0) Columns(whole, from, step, part, columns, c + begin);
      for (int64_t r = begin + whole; r < end;) {
        const float *const *row = from + (r - begin);
        if (end - r >= 4) {
          Strip<4, 1>(row, step, part, columns, c + r);
          r += 4;
        } else if (end - r >= 2) {
          Strip<2, 2>(row, step, part, columns, c + r);
          r += 2;
        } else {
          Strip<1, 4>(row, step, part, columns, c + r);
          r += 1;
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace product
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
namespace product {
HWY_EXPORT(PanelWidth);
HWY_EXPORT(MultiplyAdd);
}  // namespace product

int64_t packed_count(int64_t depth, int64_t columns) {
  const int64_t width = HWY_DYNAMIC_DISPATCH(product::PanelWidth)();
  return (columns + width - 1) / width * width * depth;
}

void pack_matrix(const float *b, int64_t depth, int64_t columns, int64_t row_step,
                 int64_t column_step, float *packed) {
  const int64_t width = HWY_DYNAMIC_DISPATCH(product::PanelWidth)();
  for (int64_t first = 0; first < columns; first += width) {
    const int64_t own = std::min(width, columns - first);
    for (int64_t k = 0; k < depth; k++, packed += width) {
      const float *from = b + k * row_step + first * column_step;
      for (int64_t i = 0; i < own; i++) packed[i] = from[i * column_step];
      for (int64_t i = own; i < width; i++) packed[i] = 0;
    }
  }
}

void pack_rows(const float *const *rows, int64_t depth, int64_t columns, float *packed) {
  const int64_t width = HWY_DYNAMIC_DISPATCH(product::PanelWidth)();
  for (int64_t first = 0; first < columns; first += width) {
    const int64_t own = std::min(width, columns - first);
    for (int64_t k = 0; k < depth; k++, packed += width) {
      for (int64_t i = 0; i < own; i++) packed[i] = rows[k][first + i];
      for (int64_t i = own; i < width; i++) packed[i] = 0;
    }
  }
}

void multiply_add(int64_t rows, const float *const *a, int64_t step, int64_t depth,
                  const float *packed, int64_t columns, float *const *c) {
  HWY_DYNAMIC_DISPATCH(product::MultiplyAdd)(rows, a, step, depth, packed, columns, c);
}

}  // namespace billhook
#endif
