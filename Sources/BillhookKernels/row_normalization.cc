// bh_normalization.h: rows are spread over the threads, a row is one thread's.
#include <algorithm>
#include <cmath>

#include "bh_normalization.h"
#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "row_normalization.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = HWY_MAX_BYTES / 4;

// The sum of term(vector) over x; what lacks in the last vector is masked out.
template <class Term>
HWY_INLINE float RowSum(const float *x, int64_t n, Term term) {
  const D d;
  V sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
    for (int s = 0; s < 4; s++) sums[s] = hn::Add(sums[s], term(hn::LoadU(d, x + i + s * kLanes)));
  for (; i + kLanes <= n; i += kLanes) sums[0] = hn::Add(sums[0], term(hn::LoadU(d, x + i)));
  if (i < n) {
    HWY_ALIGN float rest[kLanes] = {};
    for (int64_t r = 0; i + r < n; r++) rest[r] = x[i + r];
    const V value = term(hn::Load(d, rest));
    sums[1] = hn::Add(sums[1], hn::IfThenElseZero(hn::FirstN(d, n - i), value));
  }
  const V all = hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
  return hn::GetLane(hn::SumOfLanes(d, all));
}

struct RowStatistics {
  float mean;
  float inverse;  // 1 / sqrt(variance + epsilon)
};

HWY_INLINE RowStatistics StatisticsOf(const float *x, int64_t columns, float epsilon,
                                      bool subtract_mean) {
  const auto count = static_cast<float>(columns);
  const float mean =
      subtract_mean ? RowSum(x, columns, [](V v) HWY_ATTR { return v; }) / count : 0;
  const V center = hn::Set(D(), mean);
  const float squares = RowSum(x, columns, [=](V v) HWY_ATTR {
    const V distance = hn::Sub(v, center);
    return hn::Mul(distance, distance);
  });
  return {mean, 1 / std::sqrt(squares / count + epsilon)};
}

void NormalizeRows(const float *x, const float *scale, const float *shift, int64_t rows,
                   int64_t columns, float epsilon, bool subtract_mean, float *y) {
  const D d;
  for (int64_t r = 0; r < rows; r++, x += columns, y += columns) {
    const auto [mean, inverse] = StatisticsOf(x, columns, epsilon, subtract_mean);
    const V center = hn::Set(d, mean);
    const V factor = hn::Set(d, inverse);
    int64_t i = 0;
    for (; i + kLanes <= columns; i += kLanes) {
      V value = hn::Mul(hn::Sub(hn::LoadU(d, x + i), center), factor);
      if (scale) value = hn::Mul(value, hn::LoadU(d, scale + i));
      if (shift) value = hn::Add(value, hn::LoadU(d, shift + i));
      hn::StoreU(value, d, y + i);
    }
    for (; i < columns; i++) {
      float value = (x[i] - mean) * inverse;
      if (scale) value *= scale[i];
      if (shift) value += shift[i];
      y[i] = value;
    }
  }
}

// Groups [begin, end) of all images' groups.
void NormalizeGroups(const float *x, const float *scale, const float *shift, int64_t begin,
                     int64_t end, int64_t groups, int64_t channels, int64_t area, float epsilon,
                     const bh_activation *functions, int32_t count, float *y) {
  const D d;
  for (int64_t row = begin; row < end; row++) {
    const float *from = x + row * channels * area;
    float *to = y + row * channels * area;
    const auto [mean, inverse] = StatisticsOf(from, channels * area, epsilon, true);
    const V center = hn::Set(d, mean);
    for (int64_t c = 0; c < channels; c++, from += area, to += area) {
      const int64_t channel = row % groups * channels + c;
      const float slope = scale ? inverse * scale[channel] : inverse;
      const float level = shift ? shift[channel] : 0;
      const V factor = hn::Set(d, slope), offset = hn::Set(d, level);
      int64_t i = 0;
      for (; i + kLanes <= area; i += kLanes) {
        const V value = hn::Mul(hn::Sub(hn::LoadU(d, from + i), center), factor);
        hn::StoreU(hn::Add(value, offset), d, to + i);
      }
      for (; i < area; i++) to[i] = (from[i] - mean) * slope + level;
      for (int32_t f = 0; f < count; f++) activation::Apply(functions[f], to, to, area);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
HWY_EXPORT(NormalizeGroups);
HWY_EXPORT(NormalizeRows);
}  // namespace billhook

void bh_layer_norm_f32(const float *x, const float *scale, const float *shift, int64_t rows,
                       int64_t columns, float epsilon, int32_t subtract_mean, float *y) {
  const int64_t grain = std::max<int64_t>(1, bh::streaming_grain / 4 / columns);
  bh::parallel_for(rows, grain, [=](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(billhook::NormalizeRows)
    (x + begin * columns, scale, shift, end - begin, columns, epsilon, subtract_mean != 0,
     y + begin * columns);
  });
}

void bh_group_norm_f32(const float *x, const float *scale, const float *shift, int64_t images,
                       int64_t groups, int64_t channels, int64_t area, float epsilon,
                       const bh_activation *functions, int32_t count, float *y) {
  const int64_t grain = std::max<int64_t>(1, bh::streaming_grain / 4 / (channels * area));
  bh::parallel_for(images * groups, grain, [=](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(billhook::NormalizeGroups)
    (x, scale, shift, begin, end, groups, channels, area, epsilon, functions, count, y);
  });
}
#endif  // HWY_ONCE
