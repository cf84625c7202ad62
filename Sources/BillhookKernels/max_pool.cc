#include "max_pool.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "max_pool.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using D32 = hn::ScalableTag<int32_t>;
using D8 = hn::Rebind<uint8_t, D32>;

int64_t Lanes() { return static_cast<int64_t>(hn::Lanes(D())); }

// One plane, [rows][columns][block].
void ForwardPlane(const PoolShape &s, const float *x, float *y, uint8_t *where) {
  const D d;
  const D32 d32;
  const D8 d8;
  for (int64_t oy = 0; oy < s.out[0]; oy++) {
    const int64_t top = oy * s.stride[0] - s.begin[0];
    const int64_t ky0 = std::max<int64_t>(0, -top), ky1 = std::min(s.kernel[0], s.in[0] - top);
    for (int64_t ox = 0; ox < s.out[1]; ox++) {
      const int64_t left = ox * s.stride[1] - s.begin[1];
      const int64_t kx0 = std::max<int64_t>(0, -left), kx1 = std::min(s.kernel[1], s.in[1] - left);
      const int64_t target = (oy * s.out[1] + ox) * s.block;
      for (int64_t c = 0; c < s.block; c += Lanes()) {
        auto best = hn::Set(d, -std::numeric_limits<float>::infinity());
        auto place = hn::Set(d32, static_cast<int32_t>(ky0 * s.kernel[1] + kx0));
        for (int64_t ky = ky0; ky < ky1; ky++) {
          for (int64_t kx = kx0; kx < kx1; kx++) {
            const auto value = hn::LoadU(d, x + ((top + ky) * s.in[1] + left + kx) * s.block + c);
            const auto more = hn::Gt(value, best);
            best = hn::IfThenElse(more, value, best);
            place =
                hn::IfThenElse(hn::RebindMask(d32, more),
                               hn::Set(d32, static_cast<int32_t>(ky * s.kernel[1] + kx)), place);
          }
        }
        hn::StoreU(best, d, y + target + c);
        hn::StoreU(hn::DemoteTo(d8, place), d8, where + target + c);
      }
    }
  }
}

void BackwardPlane(const PoolShape &s, const float *dy, const uint8_t *where, float *dx) {
  const D d;
  const D32 d32;
  const D8 d8;
  std::memset(dx, 0, s.in[0] * s.in[1] * s.block * sizeof(float));
  for (int64_t oy = 0; oy < s.out[0]; oy++) {
    const int64_t top = oy * s.stride[0] - s.begin[0];
    const int64_t ky0 = std::max<int64_t>(0, -top), ky1 = std::min(s.kernel[0], s.in[0] - top);
    for (int64_t ox = 0; ox < s.out[1]; ox++) {
      const int64_t left = ox * s.stride[1] - s.begin[1];
      const int64_t kx0 = std::max<int64_t>(0, -left), kx1 = std::min(s.kernel[1], s.in[1] - left);
      const int64_t source = (oy * s.out[1] + ox) * s.block;
      for (int64_t c = 0; c < s.block; c += Lanes()) {
        const auto gradient = hn::LoadU(d, dy + source + c);
        const auto place = hn::PromoteTo(d32, hn::LoadU(d8, where + source + c));
        for (int64_t ky = ky0; ky < ky1; ky++) {
          for (int64_t kx = kx0; kx < kx1; kx++) {
            float *target = dx + ((top + ky) * s.in[1] + left + kx) * s.block + c;
            const auto here =
                hn::Eq(place, hn::Set(d32, static_cast<int32_t>(ky * s.kernel[1] + kx)));
            const auto part = hn::IfThenElseZero(hn::RebindMask(d, here), gradient);
            hn::StoreU(hn::Add(hn::LoadU(d, target), part), d, target);
          }
        }
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {

HWY_EXPORT(Lanes);
HWY_EXPORT(ForwardPlane);
HWY_EXPORT(BackwardPlane);

bool max_pool_fits(const PoolShape &s) {
  return s.block % HWY_DYNAMIC_DISPATCH(Lanes)() == 0 && s.kernel[0] * s.kernel[1] <= 256;
}

void max_pool_forward(const PoolShape &s, const float *x, float *y, uint8_t *where) {
  const int64_t in = s.in[0] * s.in[1] * s.block, out = s.out[0] * s.out[1] * s.block;
  bh::parallel_for(s.planes, 1 + 16384 / in, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p++)
      HWY_DYNAMIC_DISPATCH(ForwardPlane)(s, x + p * in, y + p * out, where + p * out);
  });
}

void max_pool_backward(const PoolShape &s, const float *dy, const uint8_t *where, float *dx) {
  const int64_t in = s.in[0] * s.in[1] * s.block, out = s.out[0] * s.out[1] * s.block;
  bh::parallel_for(s.planes, 1 + 16384 / in, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p++)
      HWY_DYNAMIC_DISPATCH(BackwardPlane)(s, dy + p * out, where + p * out, dx + p * in);
  });
}

}  // namespace billhook
#endif
