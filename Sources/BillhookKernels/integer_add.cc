#include "integer_add.h"

#include <algorithm>

#include "bh_plan.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "integer_add.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
HWY_INLINE hn::Vec<hn::ScalableTag<float>> Dequantized(const QuantizedSpan &span, int64_t index) {
  const hn::ScalableTag<float> df;
  const hn::RebindToSigned<decltype(df)> d32;
  const hn::Rebind<T, decltype(d32)> d8;
  const auto q = hn::PromoteTo(d32, hn::LoadU(d8, static_cast<const T *>(span.bytes) + index));
  return hn::Mul(hn::ConvertTo(df, hn::Sub(q, hn::Set(d32, span.zero_point))),
                 hn::Set(df, span.scale));
}

template <class A, class B>
void AddSpans(const QuantizedSpan &a, const QuantizedSpan &b, int64_t begin, int64_t count,
              float low, float high, float *out) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto least = hn::Set(d, low), most = hn::Set(d, high);
  int64_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    const auto sum = hn::Add(Dequantized<A>(a, begin + i), Dequantized<B>(b, begin + i));
    hn::StoreU(hn::Min(hn::Max(sum, least), most), d, out + i);
  }
  for (; i < count; i++) {
    const int32_t left = static_cast<const A *>(a.bytes)[begin + i] - a.zero_point;
    const int32_t right = static_cast<const B *>(b.bytes)[begin + i] - b.zero_point;
    const float x = static_cast<float>(left) * a.scale, y = static_cast<float>(right) * b.scale;
    out[i] = std::min(std::max(x + y, low), high);
  }
}

void AddQuantized(const QuantizedSpan &a, const QuantizedSpan &b, int64_t begin, int64_t count,
                  float low, float high, float *out) {
  if (a.type == BH_TYPE_U8 && b.type == BH_TYPE_U8)
    AddSpans<uint8_t, uint8_t>(a, b, begin, count, low, high, out);
  else if (a.type == BH_TYPE_U8)
    AddSpans<uint8_t, int8_t>(a, b, begin, count, low, high, out);
  else if (b.type == BH_TYPE_U8)
    AddSpans<int8_t, uint8_t>(a, b, begin, count, low, high, out);
  else
    AddSpans<int8_t, int8_t>(a, b, begin, count, low, high, out);
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {

HWY_EXPORT(AddQuantized);

void add_quantized(const QuantizedSpan &a, const QuantizedSpan &b, int64_t begin, int64_t count,
                   float low, float high, float *out) {
  HWY_DYNAMIC_DISPATCH(AddQuantized)(a, b, begin, count, low, high, out);
}

}  // namespace billhook
#endif
