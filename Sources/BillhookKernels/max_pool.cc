#include "max_pool.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "parallel.h"
#include "vector_targets.h"

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

// One row of one plane without positions. y: the place of the row's first output; `step` elements
// lie between neighbours.
void MaxRow(const PoolShape &s, bh_bounds bounds, const float *x, int64_t oy, float *y,
            int64_t step) {
  const D d;
  const auto low = hn::Set(d, bounds.low), high = hn::Set(d, bounds.high);
  const int64_t top = oy * s.stride[0] - s.begin[0];
  const int64_t ky0 = std::max<int64_t>(0, -top), ky1 = std::min(s.kernel[0], s.in[0] - top);
  const int64_t row = s.in[1] * s.block;
  for (int64_t ox = 0; ox < s.out[1]; ox++) {
    const int64_t left = ox * s.stride[1] - s.begin[1];
    const int64_t kx0 = std::max<int64_t>(0, -left), kx1 = std::min(s.kernel[1], s.in[1] - left);
    const float *corner = x + ((top + ky0) * s.in[1] + left + kx0) * s.block;
    for (int64_t c = 0; c < s.block; c += Lanes(), corner += Lanes()) {
      auto best = low;
      // A comparison passes over NaN, as in training.
      const auto take = [&](const float *value) HWY_ATTR {
        const auto v = hn::LoadU(d, value);
        best = hn::IfThenElse(hn::Gt(v, best), v, best);
      };
      if (ky1 - ky0 == 2 && kx1 - kx0 == 2) {
        take(corner), take(corner + s.block), take(corner + row), take(corner + row + s.block);
      } else {
        for (int64_t ky = 0; ky < ky1 - ky0; ky++)
          for (int64_t kx = 0; kx < kx1 - kx0; kx++) take(corner + ky * row + kx * s.block);
      }
      hn::StoreU(hn::Min(best, high), d, y + ox * step + c);
    }
  }
}

// One row of one image of bytes.
template <class T>
HWY_INLINE void MaxBytes(const PoolShape &s, const T *x, int64_t oy, T *y) {
  const hn::ScalableTag<T> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t top = oy * s.stride[0] - s.begin[0];
  const int64_t ky0 = std::max<int64_t>(0, -top), ky1 = std::min(s.kernel[0], s.in[0] - top);
  const int64_t row = s.in[1] * s.block;
  for (int64_t ox = 0; ox < s.out[1]; ox++, y += s.block) {
    const int64_t left = ox * s.stride[1] - s.begin[1];
    const int64_t kx0 = std::max<int64_t>(0, -left), kx1 = std::min(s.kernel[1], s.in[1] - left);
    const T *corner = x + ((top + ky0) * s.in[1] + left + kx0) * s.block;
    int64_t c = 0;
    for (; c + lanes <= s.block; c += lanes) {
      auto best = hn::LoadU(d, corner + c);
      for (int64_t ky = 0; ky < ky1 - ky0; ky++)
        for (int64_t kx = 0; kx < kx1 - kx0; kx++)
          best = hn::Max(best, hn::LoadU(d, corner + ky * row + kx * s.block + c));
      hn::StoreU(best, d, y + c);
    }
    for (; c < s.block; c++) {
      T best = corner[c];
      for (int64_t ky = 0; ky < ky1 - ky0; ky++)
        for (int64_t kx = 0; kx < kx1 - kx0; kx++)
          best = std::max(best, corner[ky * row + kx * s.block + c]);
      y[c] = best;
    }
  }
}

void MaxRowU8(const PoolShape &s, const uint8_t *x, int64_t oy, uint8_t *y) {
  MaxBytes(s, x, oy, y);
}
void MaxRowS8(const PoolShape &s, const int8_t *x, int64_t oy, int8_t *y) { MaxBytes(s, x, oy, y); }

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
HWY_EXPORT(MaxRow);
HWY_EXPORT(MaxRowU8);
HWY_EXPORT(MaxRowS8);
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

void max_pool_row(const PoolShape &s, bh_bounds bounds, const float *x, int64_t row, float *y,
                  int64_t step) {
  HWY_DYNAMIC_DISPATCH(MaxRow)(s, bounds, x, row, y, step);
}

void max_pool(const PoolShape &s, bh_bounds bounds, const float *x, float *y) {
  const int64_t in = s.in[0] * s.in[1] * s.block, row = s.out[1] * s.block;
  bh::parallel_for(s.planes, 1 + 16384 / in, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p++)
      for (int64_t oy = 0; oy < s.out[0]; oy++)
        max_pool_row(s, bounds, x + p * in, oy, y + (p * s.out[0] + oy) * row, s.block);
  });
}

void max_pool_quantized(const PoolShape &s, bh_bounds bounds, int64_t channels, const float *x,
                        float scale, int32_t zero_point, const bh::QuantizedRange &range, void *q) {
  const int64_t blocks = channels / s.block, in = s.in[0] * s.in[1] * s.block;
  const int64_t row = s.out[1] * channels;
  bh::parallel_for(s.planes / blocks, 1 + 16384 / (in * blocks), [&](int64_t begin, int64_t end) {
    std::vector<float> maxima(row);
    for (int64_t image = begin; image < end; image++) {
      for (int64_t oy = 0; oy < s.out[0]; oy++) {
        for (int64_t b = 0; b < blocks; b++)
          max_pool_row(s, bounds, x + (image * blocks + b) * in, oy, maxima.data() + b * s.block,
                       channels);
        bh::quantize_span(maxima.data(), row, scale, zero_point, range,
                          static_cast<char *>(q) + (image * s.out[0] + oy) * row);
      }
    }
  });
}

void max_pool_bytes(const PoolShape &s, bool is_signed, const void *x, void *y) {
  const int64_t in = s.in[0] * s.in[1] * s.block, row = s.out[1] * s.block;
  bh::parallel_for(s.planes * s.out[0], 1 + 16384 / row, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      const int64_t image = i / s.out[0], oy = i % s.out[0];
      if (is_signed) HWY_DYNAMIC_DISPATCH(MaxRowS8)
      (s, static_cast<const int8_t *>(x) + image * in, oy, static_cast<int8_t *>(y) + i * row);
      else HWY_DYNAMIC_DISPATCH(MaxRowU8)(s, static_cast<const uint8_t *>(x) + image * in, oy,
                                          static_cast<uint8_t *>(y) + i * row);
    }
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
