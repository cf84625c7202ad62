// bh_rows.h: rows are spread over the threads, a row is one thread's.
#include "bh_rows.h"

#include <math.h>

#include <algorithm>

#include "bh_select.h"
#include "parallel.h"
#include "row_sums.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "rows.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {

// Plain loops over 16 lanes: the compiler turns them into this target's vectors.
template <typename Term>
HWY_INLINE double LaneSum(int64_t n, Term term) {
  double lanes[16] = {};
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (int l = 0; l < 16; l++) lanes[l] += term(i + l);
  }
  for (int l = 0; i + l < n; l++) lanes[l] += term(i + l);
  for (int step = 8; step > 0; step /= 2) {
    for (int l = 0; l < step; l++) lanes[l] += lanes[l + step];
  }
  return lanes[0];
}

double RowSum(const float *x, int64_t n) {
  return LaneSum(n, [=](int64_t i) { return static_cast<double>(x[i]); });
}

double RowDot(const float *x, const float *y, int64_t n) {
  return LaneSum(n, [=](int64_t i) { return static_cast<double>(x[i]) * y[i]; });
}

double RowDistance(const float *x, const float *y, int64_t n, int32_t order) {
  if (order == 1) {
    return LaneSum(n, [=](int64_t i) { return fabs(static_cast<double>(x[i]) - y[i]); });
  }
  return sqrt(LaneSum(n, [=](int64_t i) {
    const double d = static_cast<double>(x[i]) - y[i];
    return d * d;
  }));
}

// sums[c] += x[o, c] for neighbouring channels of rows that are `stride` apart.
void AddRows(const float *x, int64_t rows, int64_t stride, int64_t channels, double *sums) {
  for (int64_t r = 0; r < rows; r++) {
    const float *row = x + r * stride;
    for (int64_t c = 0; c < channels; c++) sums[c] += static_cast<double>(row[c]);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(RowSum);
HWY_EXPORT(RowDot);
HWY_EXPORT(RowDistance);
HWY_EXPORT(AddRows);

namespace {

// Rows in a piece of a loop over rows of `columns` elements.
int64_t row_grain(int64_t columns) {
  return std::max<int64_t>(1, streaming_grain / std::max<int64_t>(columns, 1));
}

}  // namespace
}  // namespace bh

void bh_axis_sums_f32(const float *x, int64_t outer, int64_t count, int64_t inner, float *out) {
  if (inner == 1) {
    constexpr int64_t width = 64;
    const int64_t pieces = (count + width - 1) / width;
    bh::parallel_for(pieces, 1, [=](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; p++) {
        const int64_t first = p * width, channels = std::min(width, count - first);
        double sums[width] = {};
        HWY_DYNAMIC_DISPATCH(bh::AddRows)(x + first, outer, count, channels, sums);
        for (int64_t c = 0; c < channels; c++) out[first + c] = static_cast<float>(sums[c]);
      }
    });
    return;
  }
  bh::parallel_for(count, bh::row_grain(outer * inner), [=](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; c++) {
      double sum = 0;
      for (int64_t o = 0; o < outer; o++) {
        sum += HWY_DYNAMIC_DISPATCH(bh::RowSum)(x + (o * count + c) * inner, inner);
      }
      out[c] = static_cast<float>(sum);
    }
  });
}

void bh_row_dots_f32(const float *x, const float *y, int64_t rows, int64_t columns, float *out) {
  bh::parallel_for(rows, bh::row_grain(columns), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      out[r] = static_cast<float>(
          HWY_DYNAMIC_DISPATCH(bh::RowDot)(x + r * columns, y + r * columns, columns));
    }
  });
}

void bh_row_cosines_f32(const float *x, const float *y, int64_t rows, int64_t columns, float *out) {
  bh::parallel_for(rows, bh::row_grain(columns), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const float *a = x + r * columns, *b = y + r * columns;
      out[r] = bh::cosine(HWY_DYNAMIC_DISPATCH(bh::RowDot)(a, b, columns),
                          HWY_DYNAMIC_DISPATCH(bh::RowDot)(a, a, columns),
                          HWY_DYNAMIC_DISPATCH(bh::RowDot)(b, b, columns));
    }
  });
}

void bh_row_distances_f32(const float *x, int64_t rows, int64_t columns, int32_t order,
                          float *out) {
  // Row a has rows - a - 1 partners behind it; a and its mirror image together are as much work for
  // every a.
  bh::parallel_for((rows + 1) / 2, 1, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      for (const int64_t a : {i, rows - 1 - i}) {
        out[a * rows + a] = 0;
        for (int64_t b = a + 1; b < rows; b++) {
          const double d = HWY_DYNAMIC_DISPATCH(bh::RowDistance)(x + a * columns, x + b * columns,
                                                                 columns, order);
          out[a * rows + b] = out[b * rows + a] = static_cast<float>(d);
        }
        if (i == rows - 1 - i) break;
      }
    }
  });
}

float bh_kth_smallest_f32(const float *x, int64_t n, int64_t k) {
  constexpr int64_t piece = 16 * 1024;
  bh_select *selection = bh_select_create(n, k, (n + piece - 1) / piece);
  if (selection == nullptr) return NAN;
  while (bh_select_next(selection) == 1) {
    bh::parallel_for(n, piece, [=](int64_t begin, int64_t end) {
      bh_select_add(selection, begin / piece, x + begin, end - begin);
    });
  }
  const float result = bh_select_threshold(selection);
  bh_select_destroy(selection);
  return result;
}
#endif  // HWY_ONCE
