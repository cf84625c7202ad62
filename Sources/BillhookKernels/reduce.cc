// bh_reduce.h: outputs are spread over the threads, each is one thread's.
#include "bh_reduce.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "reduce.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef BH_REDUCED_COLUMNS
#define BH_REDUCED_COLUMNS
namespace billhook {
constexpr int kReducedColumns = 64;  // outputs side by side
}
#endif

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {

constexpr int kWidth = 16;  // elements of a row side by side, in a loop that becomes vectors

struct Total {
  static double Start() { return 0; }
  static double Join(double sum, double x) { return sum + x; }
};
struct Absolute : Total {
  static double Join(double sum, double x) { return sum + std::fabs(x); }
};
struct Squares : Total {
  static double Join(double sum, double x) { return sum + x * x; }
};
struct LargestRule {
  static double Start() { return -INFINITY; }
  static double Join(double best, double x) { return x > best || x != x ? x : best; }
};
struct SmallestRule {
  static double Start() { return INFINITY; }
  static double Join(double best, double x) { return x < best || x != x ? x : best; }
};

// Lanes of partial results become one: sums are added, extremes joined.
template <class Rule>
double Fold(const double *lanes) {
  double result = lanes[0];
  for (int l = 1; l < kWidth; l++) {
    if constexpr (std::is_base_of_v<Total, Rule>)
      result += lanes[l];
    else
      result = Rule::Join(result, lanes[l]);
  }
  return result;
}

double Finished(int32_t kind, double value, int64_t count) {
  if (kind == BH_REDUCE_MEAN) return value / static_cast<double>(count);
  return kind == BH_REDUCE_L2 ? std::sqrt(value) : value;
}

template <class Rule>
void Lines(int32_t kind, const float *x, int64_t count, int64_t inner, int64_t step, int64_t begin,
           int64_t end, float *y) {
  if (inner == 1) {
    for (int64_t o = begin; o < end; o++) {
      const float *row = x + o * count;
      double lanes[kWidth];
      std::fill(lanes, lanes + kWidth, Rule::Start());
      int64_t i = 0;
      for (; i + kWidth <= count; i += kWidth)
        for (int l = 0; l < kWidth; l++) lanes[l] = Rule::Join(lanes[l], row[i + l]);
      for (int l = 0; i + l < count; l++) lanes[l] = Rule::Join(lanes[l], row[i + l]);
      y[o] = static_cast<float>(Finished(kind, Fold<Rule>(lanes), count));
    }
    return;
  }
  for (int64_t o = begin; o < end;) {
    // Neighbours in the inner axis together: enough of them for whole lines of the cache, which rows
    // that are a power of two apart would otherwise push out before their rest is read.
    const int64_t outer = o / inner, first = o % inner;
    const int64_t width = std::min<int64_t>({kReducedColumns, inner - first, end - o});
    double lanes[kReducedColumns];
    std::fill(lanes, lanes + kReducedColumns, Rule::Start());
    const float *column = x + outer * count * step + first;
    if (width == kReducedColumns) {
      for (int64_t i = 0; i < count; i++, column += step)
        for (int l = 0; l < kReducedColumns; l++) lanes[l] = Rule::Join(lanes[l], column[l]);
    } else {
      for (int64_t i = 0; i < count; i++, column += step)
        for (int64_t l = 0; l < width; l++) lanes[l] = Rule::Join(lanes[l], column[l]);
    }
    for (int64_t l = 0; l < width; l++)
      y[o + l] = static_cast<float>(Finished(kind, lanes[l], count));
    o += width;
  }
}

void ReduceLines(int32_t kind, const float *x, int64_t count, int64_t inner, int64_t step,
                 int64_t begin, int64_t end, float *y) {
  switch (kind) {
    case BH_REDUCE_MAX: return Lines<LargestRule>(kind, x, count, inner, step, begin, end, y);
    case BH_REDUCE_MIN: return Lines<SmallestRule>(kind, x, count, inner, step, begin, end, y);
    case BH_REDUCE_L1: return Lines<Absolute>(kind, x, count, inner, step, begin, end, y);
    case BH_REDUCE_L2:
    case BH_REDUCE_SQUARES: return Lines<Squares>(kind, x, count, inner, step, begin, end, y);
    default: return Lines<Total>(kind, x, count, inner, step, begin, end, y);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
HWY_EXPORT(ReduceLines);
}  // namespace billhook

void bh_reduce_f32(int32_t kind, const float *x, int64_t outer, int64_t count, int64_t inner,
                   int64_t step, float *y) {
  const int64_t least = std::min<int64_t>(inner, billhook::kReducedColumns);
  const int64_t grain = std::max<int64_t>(least, bh::streaming_grain / 4 / count);
  bh::parallel_for(outer * inner, grain, [=](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(billhook::ReduceLines)(kind, x, count, inner, step, begin, end, y);
  });
}
#endif  // HWY_ONCE
