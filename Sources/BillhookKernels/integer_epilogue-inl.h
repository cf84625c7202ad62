// What becomes of a vector of 32-bit sums, for kernels that are compiled for each target.
#if defined(BH_INTEGER_EPILOGUE_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef BH_INTEGER_EPILOGUE_INL_H
#undef BH_INTEGER_EPILOGUE_INL_H
#else
#define BH_INTEGER_EPILOGUE_INL_H
#endif

#include <hwy/highway.h>

#include <type_traits>

#include "bh_plan.h"
#include "integer_layer.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Writes the outputs of channels [channel, channel + count), or as many as a vector has, to element
// `index` of `out`.
template <int32_t kType>
HWY_INLINE void StoreResult(const Epilogue &e, hn::Vec<hn::ScalableTag<int32_t>> sum,
                            int64_t channel, int64_t count, void *out, int64_t index) {
  const hn::ScalableTag<int32_t> d32;
  const hn::ScalableTag<float> df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const auto low = hn::Set(df, e.low), high = hn::Set(df, e.high);
  const auto y = hn::MulAdd(hn::ConvertTo(df, sum), hn::LoadU(df, e.scale.data() + channel),
                            hn::LoadU(df, e.bias.data() + channel));
  if constexpr (kType == BH_TYPE_F32) {
    auto *target = static_cast<float *>(out) + index;
    const auto result = hn::Min(hn::Max(y, low), high);
    if (count >= lanes) {
      hn::StoreU(result, df, target);
    } else {
      HWY_ALIGN float part[HWY_MAX_BYTES / sizeof(float)];
      hn::Store(result, df, part);
      for (int64_t i = 0; i < count; i++) target[i] = part[i];
    }
  } else {
    // A product by the reciprocal is at most three roundings away from the quotient, below 1e-4
    // where the range does not cut it off. Both then round to the same integer unless one half lies
    // near.
    auto scaled = hn::Min(hn::Max(hn::Mul(y, hn::Set(df, e.out_inverse)), low), high);
    auto rounded = hn::NearestInt(scaled);
    const auto fraction = hn::Abs(hn::Sub(scaled, hn::ConvertTo(df, rounded)));
    if (HWY_UNLIKELY(e.out_inverse == 0 ||
                     !hn::AllFalse(df, hn::Gt(fraction, hn::Set(df, 0.4999f))))) {
      scaled = hn::Min(hn::Max(hn::Div(y, hn::Set(df, e.out_scale)), low), high);
      rounded = hn::NearestInt(scaled);
    }
    const auto q = hn::Add(rounded, hn::Set(d32, e.out_zero_point));
    using Byte = std::conditional_t<kType == BH_TYPE_U8, uint8_t, int8_t>;
    auto *target = static_cast<Byte *>(out) + index;
    if (count >= lanes) {
      const hn::Rebind<Byte, decltype(d32)> d8;
      hn::StoreU(hn::DemoteTo(d8, q), d8, target);
    } else {
      HWY_ALIGN int32_t part[HWY_MAX_BYTES / sizeof(int32_t)];
      hn::Store(q, d32, part);
      for (int64_t i = 0; i < count; i++) target[i] = static_cast<Byte>(part[i]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();
#endif
