// The references of bh_quantize.h, and the two formulas for a scale.
#include <float.h>
#include <math.h>

#include <algorithm>

#include "bh_quantize.h"
#include "bh_score.h"
#include "exact.h"

float bh_symmetric_scale(float min, float max, int32_t qmax) {
  const float largest = std::max(fabsf(min), fabsf(max));
  if (largest == 0) return 1;
  // A subnormal scale would lose its precision, and 0 would divide by zero.
  return std::max(largest / static_cast<float>(qmax), FLT_MIN);
}

float bh_affine_scale(float min, float max, int32_t qmin, int32_t qmax, int32_t *zero_point) {
  const float low = std::min(min, 0.0f), high = std::max(max, 0.0f);
  float scale = 1;
  if (high > low) {
    scale = (high - low) / static_cast<float>(qmax - qmin);
    if (isinf(scale)) {
      // high - low left the range of float; the quotient does not.
      scale = static_cast<float>((static_cast<double>(high) - low) / (qmax - qmin));
    }
    scale = std::max(scale, FLT_MIN);
  }
  const float exact = nearbyintf(static_cast<float>(qmin) - low / scale);
  // The comparison is written so that NaN takes qmin.
  *zero_point = !(exact > static_cast<float>(qmin)) ? qmin
                : exact >= static_cast<float>(qmax) ? qmax
                                                    : static_cast<int32_t>(exact);
  return scale;
}

namespace {

template <typename Integer>
void quantize(const float *x, int64_t outer, int64_t channels, int64_t inner, const float *scales,
              const int32_t *zero_points, int32_t qmin, int32_t qmax, Integer *q) {
  for (int64_t i = 0; i < outer * channels * inner; i++) {
    const int64_t c = i / inner % channels;
    const int32_t zero_point = zero_points == nullptr ? 0 : zero_points[c];
    // Integers of this size are exact in float, so clamping before the addition is the same.
    const float low = static_cast<float>(qmin - zero_point);
    const float high = static_cast<float>(qmax - zero_point);
    float rounded = nearbyintf(x[i] / scales[c]);
    rounded = rounded > low ? rounded : low;  // NaN takes low
    rounded = rounded < high ? rounded : high;
    q[i] = static_cast<Integer>(static_cast<int32_t>(rounded) + zero_point);
  }
}

template <typename Integer>
void quantize_channels(const float *x, int64_t outer, int64_t channels, int64_t inner,
                       int32_t symmetric, int32_t qmin, int32_t qmax, float *scales,
                       int32_t *zero_points, Integer *q) {
  for (int64_t c = 0; c < channels; c++) {
    float min = INFINITY, max = -INFINITY;
    for (int64_t o = 0; o < outer; o++) {
      float low, high;
      bh_min_max_f32_scalar(x + (o * channels + c) * inner, inner, &low, &high);
      min = std::min(min, low);
      max = std::max(max, high);
    }
    if (min > max) min = max = 0;  // no numbers at all
    if (symmetric != 0) {
      scales[c] = bh_symmetric_scale(min, max, qmax);
      if (zero_points != nullptr) zero_points[c] = 0;
    } else {
      scales[c] = bh_affine_scale(min, max, qmin, qmax, &zero_points[c]);
    }
  }
  quantize(x, outer, channels, inner, scales, symmetric != 0 ? nullptr : zero_points, qmin, qmax,
           q);
}

template <typename Integer>
void dequantize(const Integer *q, int64_t outer, int64_t channels, int64_t inner,
                const float *scales, const int32_t *zero_points, float *out) {
  for (int64_t i = 0; i < outer * channels * inner; i++) {
    const int64_t c = i / inner % channels;
    const uint32_t zero_point = zero_points == nullptr ? 0 : static_cast<uint32_t>(zero_points[c]);
    const uint32_t difference = static_cast<uint32_t>(static_cast<int32_t>(q[i])) - zero_point;
    out[i] = static_cast<float>(static_cast<int32_t>(difference)) * scales[c];
  }
}

}  // namespace

void bh_quantize_f32_s8_scalar(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               const float *scales, const int32_t *zero_points, int32_t qmin,
                               int32_t qmax, int8_t *q) {
  quantize(x, outer, channels, inner, scales, zero_points, qmin, qmax, q);
}

void bh_quantize_f32_u8_scalar(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               const float *scales, const int32_t *zero_points, int32_t qmin,
                               int32_t qmax, uint8_t *q) {
  quantize(x, outer, channels, inner, scales, zero_points, qmin, qmax, q);
}

void bh_quantize_channels_f32_s8_scalar(const float *x, int64_t outer, int64_t channels,
                                        int64_t inner, int32_t symmetric, int32_t qmin,
                                        int32_t qmax, float *scales, int32_t *zero_points,
                                        int8_t *q) {
  quantize_channels(x, outer, channels, inner, symmetric, qmin, qmax, scales, zero_points, q);
}

void bh_quantize_channels_f32_u8_scalar(const float *x, int64_t outer, int64_t channels,
                                        int64_t inner, int32_t symmetric, int32_t qmin,
                                        int32_t qmax, float *scales, int32_t *zero_points,
                                        uint8_t *q) {
  quantize_channels(x, outer, channels, inner, symmetric, qmin, qmax, scales, zero_points, q);
}

void bh_dequantize_s8_f32_scalar(const int8_t *q, int64_t outer, int64_t channels, int64_t inner,
                                 const float *scales, const int32_t *zero_points, float *out) {
  dequantize(q, outer, channels, inner, scales, zero_points, out);
}

void bh_dequantize_u8_f32_scalar(const uint8_t *q, int64_t outer, int64_t channels, int64_t inner,
                                 const float *scales, const int32_t *zero_points, float *out) {
  dequantize(q, outer, channels, inner, scales, zero_points, out);
}

void bh_dequantize_s32_f32_scalar(const int32_t *q, int64_t outer, int64_t channels, int64_t inner,
                                  const float *scales, const int32_t *zero_points, float *out) {
  dequantize(q, outer, channels, inner, scales, zero_points, out);
}
