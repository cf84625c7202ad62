// bh_normalization.h, backwards: rows in a fixed partition, each part by one thread.
#include <algorithm>
#include <cmath>
#include <vector>

#include "bh_normalization.h"
#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "row_normalization_backward.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace row_gradient {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D()));

// Calls term(i, count) for the vectors of a row; count is less than a vector's at the end.
template <class Term>
HWY_INLINE void Row(int64_t n, const Term &term) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) term(i, kLanes);
  if (i < n) term(i, n - i);
}

// What lacks in the last vector is 0.
HWY_INLINE V Load(const float *x, int64_t count) {
  const D d;
  if (HWY_LIKELY(count == kLanes)) return hn::LoadU(d, x);
  HWY_ALIGN float rest[kLanes] = {};
  for (int64_t k = 0; k < count; k++) rest[k] = x[k];
  return hn::Load(d, rest);
}

HWY_INLINE void Store(V v, int64_t count, float *y) {
  const D d;
  if (HWY_LIKELY(count == kLanes)) return hn::StoreU(v, d, y);
  HWY_ALIGN float rest[kLanes];
  hn::Store(v, d, rest);
  for (int64_t k = 0; k < count; k++) y[k] = rest[k];
}

HWY_INLINE float Total(V v) { return hn::GetLane(hn::SumOfLanes(D(), v)); }

// dscale and dshift are added to.
void NormalizationBackward(const float *x, const float *dy, const float *scale, int64_t rows,
                           int64_t n, float epsilon, bool subtract_mean, float *dx, float *dscale,
                           float *dshift) {
  const D d;
  const auto size = static_cast<float>(n);
  const V zero = hn::Zero(d), one = hn::Set(d, 1);
  for (int64_t r = 0; r < rows; r++, x += n, dy += n) {
    V sum = zero;
    if (subtract_mean)
      Row(n, [&](int64_t i, int64_t c) HWY_ATTR { sum = hn::Add(sum, Load(x + i, c)); });
    const V mean = hn::Set(d, Total(sum) / size);
    V squares = zero;
    Row(n, [&](int64_t i, int64_t c) HWY_ATTR {
      V distance = hn::Sub(Load(x + i, c), mean);
      if (c < kLanes) distance = hn::IfThenElseZero(hn::FirstN(d, c), distance);
      squares = hn::MulAdd(distance, distance, squares);
    });
    const V factor = hn::Set(d, 1 / std::sqrt(Total(squares) / size + epsilon));
    V plain = zero, weighted = zero;
    Row(n, [&](int64_t i, int64_t c) HWY_ATTR {
      const V unit = hn::Mul(hn::Sub(Load(x + i, c), mean), factor);
      const V given = Load(dy + i, c);
      if (dscale) Store(hn::MulAdd(given, unit, Load(dscale + i, c)), c, dscale + i);
      if (dshift) Store(hn::Add(given, Load(dshift + i, c)), c, dshift + i);
      const V g = hn::Mul(given, scale ? Load(scale + i, c) : one);
      plain = hn::Add(plain, g);
      weighted = hn::MulAdd(g, unit, weighted);
    });
    if (!dx) continue;
    // What flows back through the mean, and through the deviation.
    const V first = hn::Set(d, subtract_mean ? Total(plain) / size : 0);
    const V second = hn::Set(d, Total(weighted) / size);
    Row(n, [&](int64_t i, int64_t c) HWY_ATTR {
      const V unit = hn::Mul(hn::Sub(Load(x + i, c), mean), factor);
      const V g = hn::Mul(Load(dy + i, c), scale ? Load(scale + i, c) : one);
      const V rest = hn::NegMulAdd(unit, second, hn::Sub(g, first));
      Store(hn::Mul(rest, factor), c, dx + i);
    });
    dx += n;
  }
}

void SoftmaxBackward(const float *y, const float *dy, int64_t rows, int64_t n, float *dx) {
  const D d;
  for (int64_t r = 0; r < rows; r++, y += n, dy += n, dx += n) {
    V sum = hn::Zero(d);
    Row(n, [&](int64_t i, int64_t c)
               HWY_ATTR { sum = hn::MulAdd(Load(y + i, c), Load(dy + i, c), sum); });
    const V mixed = hn::Set(d, Total(sum));
    Row(n, [&](int64_t i, int64_t c) HWY_ATTR {
      Store(hn::Mul(Load(y + i, c), hn::Sub(Load(dy + i, c), mixed)), c, dx + i);
    });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace row_gradient
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
namespace row_gradient {
HWY_EXPORT(NormalizationBackward);
HWY_EXPORT(SoftmaxBackward);
}  // namespace row_gradient
}  // namespace billhook

void bh_layer_norm_backward_f32(const float *x, const float *dy, const float *scale, int64_t rows,
                                int64_t columns, float epsilon, int32_t subtract_mean, float *dx,
                                float *dscale, float *dshift) {
  // The sums of each part are added in order, whatever thread made them.
  constexpr int64_t most = 16;
  const int64_t size = std::max<int64_t>((rows + most - 1) / most, 8);
  const int64_t parts = (rows + size - 1) / size;
  std::vector<float> sums(2 * parts * columns, 0.f);
  const int64_t grain = std::max<int64_t>(1, bh::streaming_grain / 8 / (size * columns));
  bh::parallel_for(parts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) {
      const int64_t first = part * size, own = std::min(size, rows - first);
      float *scales = sums.data() + 2 * part * columns;
      HWY_DYNAMIC_DISPATCH(billhook::row_gradient::NormalizationBackward)
      (x + first * columns, dy + first * columns, scale, own, columns, epsilon, subtract_mean != 0,
       dx ? dx + first * columns : nullptr, dscale ? scales : nullptr,
       dshift ? scales + columns : nullptr);
    }
  });
  const auto add_up = [&](const float *from, float *to) {
    if (!to) return;
    std::fill(to, to + columns, 0.f);
    for (int64_t part = 0; part < parts; part++, from += 2 * columns)
      for (int64_t c = 0; c < columns; c++) to[c] += from[c];
  };
  add_up(sums.data(), dscale);
  add_up(sums.data() + columns, dshift);
}

void bh_softmax_backward_f32(const float *y, const float *dy, int64_t rows, int64_t columns,
                             float *dx) {
  const int64_t grain = std::max<int64_t>(1, bh::streaming_grain / 4 / columns);
  bh::parallel_for(rows, grain, [=](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(billhook::row_gradient::SoftmaxBackward)
    (y + begin * columns, dy + begin * columns, end - begin, columns, dx + begin * columns);
  });
}
#endif  // HWY_ONCE
