// The vector loops of quantization.
#include "quantize_spans.h"

#include "bh_quantize.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "quantize_spans.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Ints = hn::RebindToSigned<Floats>;
using FloatVec = hn::Vec<Floats>;
using IntVec = hn::Vec<Ints>;

// Integers of 8 bits are exact in float, so clamping to [low, high] before the rounding gives what
// clamping after it would. The comparisons are written so that NaN takes low.
HWY_INLINE IntVec Quantized(const float *x, FloatVec scale, FloatVec low, FloatVec high,
                            IntVec zero_point) {
  const Floats d;
  const auto exact = hn::Div(hn::LoadU(d, x), scale);
  const auto raised = hn::IfThenElse(hn::Gt(exact, low), exact, low);
  const auto clamped = hn::IfThenElse(hn::Lt(raised, high), raised, high);
  return hn::Add(hn::NearestInt(clamped), zero_point);
}

template <typename Integer>
void QuantizeSpan(const float *x, int64_t n, float scale, int32_t zero_point, int32_t qmin,
                  int32_t qmax, Integer *q) {
  const Floats d;
  const Ints di;
  const hn::Rebind<Integer, Floats> bytes;
  const hn::Rebind<int16_t, Floats> half;
  const hn::Twice<decltype(half)> words;
  const hn::Rebind<Integer, decltype(words)> word_bytes;
  const int64_t step = hn::Lanes(d);
  const auto divisor = hn::Set(d, scale);
  const auto low = hn::Set(d, static_cast<float>(qmin - zero_point));
  const auto high = hn::Set(d, static_cast<float>(qmax - zero_point));
  const auto zero = hn::Set(di, zero_point);
  int64_t i = 0;
  for (; i + 2 * step <= n; i += 2 * step) {
    const auto a = hn::DemoteTo(half, Quantized(x + i, divisor, low, high, zero));
    const auto b = hn::DemoteTo(half, Quantized(x + i + step, divisor, low, high, zero));
    hn::StoreU(hn::DemoteTo(word_bytes, hn::Combine(words, b, a)), word_bytes, q + i);
  }
  for (; i + step <= n; i += step) {
    hn::StoreU(hn::DemoteTo(bytes, Quantized(x + i, divisor, low, high, zero)), bytes, q + i);
  }
  if (i < n) {
    // The rest, in a buffer of a whole vector.
    float rest[HWY_MAX_BYTES / sizeof(float)] = {};
    Integer done[HWY_MAX_BYTES / sizeof(float)];
    for (int64_t j = i; j < n; j++) rest[j - i] = x[j];
    hn::StoreU(hn::DemoteTo(bytes, Quantized(rest, divisor, low, high, zero)), bytes, done);
    for (int64_t j = i; j < n; j++) q[j] = done[j - i];
  }
}

template <typename Integer>
void QuantizeEach(const float *x, int64_t n, const float *scales, const int32_t *zero_points,
                  int32_t qmin, int32_t qmax, Integer *q) {
  const Floats d;
  const Ints di;
  const hn::Rebind<Integer, Floats> bytes;
  const int64_t step = hn::Lanes(d);
  const auto least = hn::Set(di, qmin), most = hn::Set(di, qmax);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto zero = zero_points == nullptr ? hn::Zero(di) : hn::LoadU(di, zero_points + i);
    const auto low = hn::ConvertTo(d, hn::Sub(least, zero));
    const auto high = hn::ConvertTo(d, hn::Sub(most, zero));
    const auto value = Quantized(x + i, hn::LoadU(d, scales + i), low, high, zero);
    hn::StoreU(hn::DemoteTo(bytes, value), bytes, q + i);
  }
  for (; i < n; i++) {
    QuantizeSpan(x + i, 1, scales[i], zero_points == nullptr ? 0 : zero_points[i], qmin, qmax,
                 q + i);
  }
}

void QuantizeSpanSigned(const float *x, int64_t n, float scale, int32_t zero_point, int32_t qmin,
                        int32_t qmax, int8_t *q) {
  QuantizeSpan(x, n, scale, zero_point, qmin, qmax, q);
}
void QuantizeSpanUnsigned(const float *x, int64_t n, float scale, int32_t zero_point, int32_t qmin,
                          int32_t qmax, uint8_t *q) {
  QuantizeSpan(x, n, scale, zero_point, qmin, qmax, q);
}
void QuantizeEachSigned(const float *x, int64_t n, const float *scales, const int32_t *zero_points,
                        int32_t qmin, int32_t qmax, int8_t *q) {
  QuantizeEach(x, n, scales, zero_points, qmin, qmax, q);
}
void QuantizeEachUnsigned(const float *x, int64_t n, const float *scales,
                          const int32_t *zero_points, int32_t qmin, int32_t qmax, uint8_t *q) {
  QuantizeEach(x, n, scales, zero_points, qmin, qmax, q);
}

HWY_INLINE IntVec LoadIntegers(const int32_t *q) { return hn::LoadU(Ints(), q); }
template <typename Integer>
HWY_INLINE IntVec LoadIntegers(const Integer *q) {
  return hn::PromoteTo(Ints(), hn::LoadU(hn::Rebind<Integer, Ints>(), q));
}

// Both steps are 0 (one channel) or 1 (neighbouring channels).
template <typename Integer>
void Dequantize(const Integer *q, int64_t n, const float *scales, const int32_t *zero_points,
                bool each, float *out) {
  const Floats d;
  const Ints di;
  const int64_t step = hn::Lanes(d);
  int64_t i = 0;
  auto scale = hn::Set(d, scales[0]);
  auto zero = hn::Set(di, zero_points == nullptr ? 0 : zero_points[0]);
  for (; i + step <= n; i += step) {
    if (each) {
      scale = hn::LoadU(d, scales + i);
      if (zero_points != nullptr) zero = hn::LoadU(di, zero_points + i);
    }
    const auto difference = hn::Sub(LoadIntegers(q + i), zero);
    hn::StoreU(hn::Mul(hn::ConvertTo(d, difference), scale), d, out + i);
  }
  for (; i < n; i++) {
    const int64_t c = each ? i : 0;
    const uint32_t offset = zero_points == nullptr ? 0 : static_cast<uint32_t>(zero_points[c]);
    const uint32_t difference = static_cast<uint32_t>(static_cast<int32_t>(q[i])) - offset;
    out[i] = static_cast<float>(static_cast<int32_t>(difference)) * scales[c];
  }
}

void DequantizeAny(int kind, const void *q, int64_t n, const float *scales,
                   const int32_t *zero_points, bool each, float *out) {
  if (n == 0) return;
  if (kind == 0) {
    Dequantize(static_cast<const int8_t *>(q), n, scales, zero_points, each, out);
  } else if (kind == 1) {
    Dequantize(static_cast<const uint8_t *>(q), n, scales, zero_points, each, out);
  } else {
    Dequantize(static_cast<const int32_t *>(q), n, scales, zero_points, each, out);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(QuantizeSpanSigned);
HWY_EXPORT(QuantizeSpanUnsigned);
HWY_EXPORT(QuantizeEachSigned);
HWY_EXPORT(QuantizeEachUnsigned);
HWY_EXPORT(DequantizeAny);

void quantize_span(const float *x, int64_t n, float scale, int32_t zero_point,
                   const QuantizedRange &range, void *q) {
  if (range.is_signed) {
    HWY_DYNAMIC_DISPATCH(QuantizeSpanSigned)
    (x, n, scale, zero_point, range.qmin, range.qmax, static_cast<int8_t *>(q));
  } else {
    HWY_DYNAMIC_DISPATCH(QuantizeSpanUnsigned)
    (x, n, scale, zero_point, range.qmin, range.qmax, static_cast<uint8_t *>(q));
  }
}

void quantize_each(const float *x, int64_t n, const float *scales, const int32_t *zero_points,
                   const QuantizedRange &range, void *q) {
  if (range.is_signed) {
    HWY_DYNAMIC_DISPATCH(QuantizeEachSigned)
    (x, n, scales, zero_points, range.qmin, range.qmax, static_cast<int8_t *>(q));
  } else {
    HWY_DYNAMIC_DISPATCH(QuantizeEachUnsigned)
    (x, n, scales, zero_points, range.qmin, range.qmax, static_cast<uint8_t *>(q));
  }
}

void dequantize_span(int kind, const void *q, int64_t n, float scale, int32_t zero_point,
                     float *out) {
  HWY_DYNAMIC_DISPATCH(DequantizeAny)(kind, q, n, &scale, &zero_point, false, out);
}

void dequantize_each(int kind, const void *q, int64_t n, const float *scales,
                     const int32_t *zero_points, float *out) {
  HWY_DYNAMIC_DISPATCH(DequantizeAny)(kind, q, n, scales, zero_points, true, out);
}

}  // namespace bh
#endif
