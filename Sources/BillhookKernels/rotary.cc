// bh_rotary.h: the heads of all positions are spread over the threads.
#include <algorithm>

#include "bh_rotary.h"
#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "rotary.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = HWY_MAX_BYTES / 4;

// `sign` is -1 to turn the other way.
void RotateHead(const bh_rotary &s, const float *x, const float *cosines, const float *sines,
                float sign, float *y) {
  const D d;
  const int64_t half = s.rotated / 2;
  const V direction = hn::Set(d, sign);
  int64_t k = 0;
  for (; k + kLanes <= half; k += kLanes) {
    const V cosine = hn::LoadU(d, cosines + k);
    const V sine = hn::Mul(direction, hn::LoadU(d, sines + k));
    V a, b;
    if (s.interleaved) {
      hn::LoadInterleaved2(d, x + 2 * k, a, b);
    } else {
      a = hn::LoadU(d, x + k);
      b = hn::LoadU(d, x + half + k);
    }
    const V first = hn::Sub(hn::Mul(a, cosine), hn::Mul(b, sine));
    const V second = hn::Add(hn::Mul(a, sine), hn::Mul(b, cosine));
    if (s.interleaved) {
      hn::StoreInterleaved2(first, second, d, y + 2 * k);
    } else {
      hn::StoreU(first, d, y + k);
      hn::StoreU(second, d, y + half + k);
    }
  }
  for (; k < half; k++) {
    const int64_t first = s.interleaved ? 2 * k : k, second = s.interleaved ? first + 1 : k + half;
    const float a = x[first], b = x[second], sine = sign * sines[k];
    y[first] = a * cosines[k] - b * sine;
    y[second] = a * sine + b * cosines[k];
  }
  if (x != y) std::copy(x + s.rotated, x + s.size, y + s.rotated);
}

// Heads [begin, end) in the order in which they lie.
void RotateHeads(const bh_rotary &s, const float *x, const float *cosines, const float *sines,
                 int64_t begin, int64_t end, float *y) {
  const float sign = s.backward ? -1 : 1;
  for (int64_t row = begin; row < end; row++) {
    const int64_t position =
        s.heads_first ? row / (s.heads * s.steps) * s.steps + row % s.steps : row / s.heads;
    const int64_t angle = position * (s.rotated / 2);
    RotateHead(s, x + row * s.size, cosines + angle, sines + angle, sign, y + row * s.size);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
HWY_EXPORT(RotateHeads);
}  // namespace billhook

void bh_rotary_f32(const bh_rotary *form, const float *x, const float *cosines, const float *sines,
                   float *y) {
  const bh_rotary &s = *form;
  const int64_t grain =
      std::max<int64_t>(1, bh::streaming_grain / 4 / std::max<int64_t>(s.size, 1));
  bh::parallel_for(s.images * s.heads * s.steps, grain, [=, &s](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(billhook::RotateHeads)(s, x, cosines, sines, begin, end, y);
  });
}
#endif  // HWY_ONCE
