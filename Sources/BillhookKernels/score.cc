// Element-wise scores of bh_score.h.
#include <math.h>

#include <algorithm>
#include <atomic>

#include "bh_score.h"
#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "score.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void AbsSpan(const float *x, int64_t n, float *out) {
  const hn::ScalableTag<float> d;
  const int64_t step = hn::Lanes(d);
  int64_t i = 0;
  for (; i + 4 * step <= n; i += 4 * step) {
    const auto v0 = hn::Abs(hn::LoadU(d, x + i));
    const auto v1 = hn::Abs(hn::LoadU(d, x + i + step));
    const auto v2 = hn::Abs(hn::LoadU(d, x + i + 2 * step));
    const auto v3 = hn::Abs(hn::LoadU(d, x + i + 3 * step));
    hn::StoreU(v0, d, out + i);
    hn::StoreU(v1, d, out + i + step);
    hn::StoreU(v2, d, out + i + 2 * step);
    hn::StoreU(v3, d, out + i + 3 * step);
  }
  for (; i < n; i++) out[i] = fabsf(x[i]);
}

void SquareSpan(const float *x, int64_t n, float *out) {
  const hn::ScalableTag<float> d;
  const int64_t step = hn::Lanes(d);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto v = hn::LoadU(d, x + i);
    hn::StoreU(hn::Mul(v, v), d, out + i);
  }
  for (; i < n; i++) out[i] = x[i] * x[i];
}

// One channel: every element has the same factor.
void AbsTimesSpan(const float *x, float factor, int64_t n, float *out) {
  const hn::ScalableTag<float> d;
  const int64_t step = hn::Lanes(d);
  const auto f = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    hn::StoreU(hn::Mul(hn::Abs(hn::LoadU(d, x + i)), f), d, out + i);
  }
  for (; i < n; i++) out[i] = fabsf(x[i]) * factor;
}

// Neighbouring channels: every element has its own factor.
void AbsTimesEachSpan(const float *x, const float *factors, int64_t n, float *out) {
  const hn::ScalableTag<float> d;
  const int64_t step = hn::Lanes(d);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    hn::StoreU(hn::Mul(hn::Abs(hn::LoadU(d, x + i)), hn::LoadU(d, factors + i)), d, out + i);
  }
  for (; i < n; i++) out[i] = fabsf(x[i]) * factors[i];
}

int64_t NonfiniteSpan(const float *x, int64_t n) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const int64_t step = hn::Lanes(d);
  const auto infinity = hn::Set(di, 0x7F800000 - 1);
  int64_t count = 0, i = 0;
  for (; i + step <= n; i += step) {
    const auto bits = hn::BitCast(di, hn::Abs(hn::LoadU(d, x + i)));
    count += static_cast<int64_t>(hn::CountTrue(di, hn::Gt(bits, infinity)));
  }
  return count + bh_count_nonfinite_f32_scalar(x + i, n - i);
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(AbsSpan);
HWY_EXPORT(SquareSpan);
HWY_EXPORT(AbsTimesSpan);
HWY_EXPORT(AbsTimesEachSpan);
HWY_EXPORT(NonfiniteSpan);

namespace {

void abs_times_channel(const float *x, int64_t first, int64_t n, const float *factors,
                       int64_t channels, int64_t inner, float *out) {
  int64_t i = 0;
  while (i < n) {
    const int64_t row = (first + i) / inner, within = (first + i) % inner, c = row % channels;
    int64_t run;
    if (inner == 1) {
      run = std::min(n - i, channels - c);
      HWY_DYNAMIC_DISPATCH(AbsTimesEachSpan)(x + i, factors + c, run, out + i);
    } else {
      run = std::min(n - i, inner - within);
      HWY_DYNAMIC_DISPATCH(AbsTimesSpan)(x + i, factors[c], run, out + i);
    }
    i += run;
  }
}

}  // namespace
}  // namespace bh

void bh_abs_f32(const float *x, int64_t n, float *out) {
  bh::parallel_for(n, bh::streaming_grain, [=](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(bh::AbsSpan)(x + begin, end - begin, out + begin);
  });
}

void bh_abs_power_f32(const float *x, int64_t n, float p, float *out) {
  if (p == 1) return bh_abs_f32(x, n, out);
  const int64_t grain = p == 2 ? bh::streaming_grain : bh::streaming_grain / 16;
  bh::parallel_for(n, grain, [=](int64_t begin, int64_t end) {
    if (p == 2) {
      HWY_DYNAMIC_DISPATCH(bh::SquareSpan)(x + begin, end - begin, out + begin);
    } else {
      bh_abs_power_f32_scalar(x + begin, end - begin, p, out + begin);
    }
  });
}

void bh_abs_times_channel_f32(const float *x, int64_t first, int64_t n, const float *factors,
                              int64_t channels, int64_t inner, float *out) {
  bh::parallel_for(n, bh::streaming_grain, [=](int64_t begin, int64_t end) {
    bh::abs_times_channel(x + begin, first + begin, end - begin, factors, channels, inner,
                          out + begin);
  });
}

int64_t bh_count_nonfinite_f32(const float *x, int64_t n) {
  std::atomic<int64_t> count{0};
  bh::parallel_for(n, bh::streaming_grain, [&, x](int64_t begin, int64_t end) {
    count += HWY_DYNAMIC_DISPATCH(bh::NonfiniteSpan)(x + begin, end - begin);
  });
  return count;
}
#endif
