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

// An epilogue for the outputs of one vector of channels. It stays in registers while outputs are
// written, which as bytes may lie anywhere for all that the compiler knows.
template <int32_t kType>
class Requantizer {
  using DF = hn::ScalableTag<float>;
  using D32 = hn::ScalableTag<int32_t>;
  using VF = hn::Vec<DF>;
  using VI = hn::Vec<D32>;

 public:
  // count: of the channels from `channel` on that exist.
  HWY_INLINE Requantizer(const Epilogue &e, int64_t channel, int64_t count)
      : scale_(hn::LoadU(df_, e.scale.data() + channel)),
        bias_(hn::LoadU(df_, e.bias.data() + channel)),
        low_(hn::Set(df_, e.low)),
        high_(hn::Set(df_, e.high)),
        inverse_(hn::Set(df_, e.out_inverse)),
        zero_(hn::Set(d32_, e.out_zero_point)),
        out_scale_(e.out_scale),
        // Without a reciprocal each fraction counts as near one half.
        near_half_(e.out_inverse == 0 ? -1.0f : 0.4999f),
        count_(count) {}

  // Writes N vectors of sums, `step` elements of `out` apart.
  template <int N>
  HWY_INLINE void Store(const VI *sums, void *out, int64_t index, int64_t step) const {
    VF y[N];
#pragma unroll
    for (int i = 0; i < N; i++) y[i] = hn::MulAdd(hn::ConvertTo(df_, sums[i]), scale_, bias_);
    if constexpr (kType == BH_TYPE_F32) {
#pragma unroll
      for (int i = 0; i < N; i++)
        StoreFloats(hn::Min(hn::Max(y[i], low_), high_),
                    static_cast<float *>(out) + index + i * step);
    } else {
      // A product by the reciprocal is at most three roundings away from the quotient, below 1e-4
      // where the range does not cut it off. Both then round to the same integer unless one half
      // lies near.
      VI rounded[N];
      VF fraction = hn::Zero(df_);
#pragma unroll
      for (int i = 0; i < N; i++) {
        const VF scaled = hn::Min(hn::Max(hn::Mul(y[i], inverse_), low_), high_);
        rounded[i] = hn::NearestInt(scaled);
        fraction =
            hn::Max(fraction, hn::Abs(hn::Sub(scaled, hn::ConvertTo(df_, rounded[i]))));
      }
      if (HWY_UNLIKELY(!hn::AllFalse(df_, hn::Gt(fraction, hn::Set(df_, near_half_))))) {
#pragma unroll
        for (int i = 0; i < N; i++)
          rounded[i] = hn::NearestInt(
              hn::Min(hn::Max(hn::Div(y[i], hn::Set(df_, out_scale_)), low_), high_));
      }
      using Byte = std::conditional_t<kType == BH_TYPE_U8, uint8_t, int8_t>;
#pragma unroll
      for (int i = 0; i < N; i++)
        StoreBytes(hn::Add(rounded[i], zero_), static_cast<Byte *>(out) + index + i * step);
    }
  }

 private:
  HWY_INLINE void StoreFloats(VF y, float *target) const {
    if (count_ >= static_cast<int64_t>(hn::Lanes(df_))) return hn::StoreU(y, df_, target);
    HWY_ALIGN float part[HWY_MAX_BYTES / sizeof(float)];
    hn::Store(y, df_, part);
    for (int64_t i = 0; i < count_; i++) target[i] = part[i];
  }

  template <class Byte>
  HWY_INLINE void StoreBytes(VI q, Byte *target) const {
    if (count_ >= static_cast<int64_t>(hn::Lanes(d32_))) {
      const hn::Rebind<Byte, D32> d8;
      return hn::StoreU(hn::DemoteTo(d8, q), d8, target);
    }
    HWY_ALIGN int32_t part[HWY_MAX_BYTES / sizeof(int32_t)];
    hn::Store(q, d32_, part);
    for (int64_t i = 0; i < count_; i++) target[i] = static_cast<Byte>(part[i]);
  }

  const DF df_{};
  const D32 d32_{};
  const VF scale_, bias_, low_, high_, inverse_;
  const VI zero_;
  const float out_scale_, near_half_;
  const int64_t count_;
};

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();
#endif
