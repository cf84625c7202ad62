// The vector loops of the conversions to and from 16-bit floats, in integers only, so that they do
// not depend on what the CPU's own conversions do with NaN and subnormal numbers.
#include "bh_half.h"
#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "half.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Ints = hn::RebindToSigned<Floats>;
using Words = hn::RebindToUnsigned<Floats>;
using Halves = hn::Rebind<uint16_t, Floats>;

// The lower 16 bits of each lane; the values are at most 65535, and DemoteTo takes them as signed.
HWY_INLINE hn::Vec<Halves> Lower(hn::Vec<Ints> v) { return hn::DemoteTo(Halves(), v); }

// Each loop returns how many elements, from the start, whole vectors have done.
int64_t ToF16(const float *x, int64_t n, uint16_t *out) {
  const Floats d;
  const Ints di;
  const int64_t step = hn::Lanes(d);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto v = hn::LoadU(d, x + i);
    const auto bits = hn::BitCast(di, v), magnitude = hn::BitCast(di, hn::Abs(v));
    const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(di, 0x8000));
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(di, 1));
    const auto rebiased = hn::Add(magnitude, hn::Set(di, 0xFFF - 0x38000000));
    auto half = hn::ShiftRight<13>(hn::Add(rebiased, odd));
    // Below 2^-14: a multiple of 2^-24. The sum with 0.5 leaves it, rounded, in the lowest bits.
    const auto shifted = hn::BitCast(di, hn::Add(hn::Abs(v), hn::Set(d, 0.5f)));
    const auto tiny = hn::Sub(shifted, hn::BitCast(di, hn::Set(d, 0.5f)));
    half = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, 0x38800000)), tiny, half);
    const auto too_large = hn::Gt(magnitude, hn::Set(di, 0x477FFFFF));
    half = hn::IfThenElse(too_large, hn::Set(di, 0x7C00), half);
    const auto nan = hn::Gt(magnitude, hn::Set(di, 0x7F800000));
    half = hn::IfThenElse(nan, hn::Set(di, 0x7E00), half);
    hn::StoreU(Lower(hn::Or(half, sign)), Halves(), out + i);
  }
  return i;
}

int64_t FromF16(const uint16_t *x, int64_t n, float *out) {
  const Floats d;
  const Ints di;
  const int64_t step = hn::Lanes(d);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto bits = hn::PromoteTo(di, hn::LoadU(Halves(), x + i));
    const auto sign = hn::ShiftLeft<16>(hn::And(bits, hn::Set(di, 0x8000)));
    const auto magnitude = hn::And(bits, hn::Set(di, 0x7FFF));
    auto wide = hn::Add(hn::ShiftLeft<13>(magnitude), hn::Set(di, 112 << 23));
    const auto tiny = hn::Mul(hn::ConvertTo(d, magnitude), hn::Set(d, 0x1p-24f));
    wide = hn::IfThenElse(hn::Lt(magnitude, hn::Set(di, 0x400)), hn::BitCast(di, tiny), wide);
    const auto special = hn::Or(hn::ShiftLeft<13>(magnitude), hn::Set(di, 0x7F800000));
    wide = hn::IfThenElse(hn::Gt(magnitude, hn::Set(di, 0x7BFF)), special, wide);
    const auto quiet = hn::Or(special, hn::Set(di, 0x400000));
    wide = hn::IfThenElse(hn::Gt(magnitude, hn::Set(di, 0x7C00)), quiet, wide);
    hn::StoreU(hn::BitCast(d, hn::Or(wide, sign)), d, out + i);
  }
  return i;
}

int64_t ToBf16(const float *x, int64_t n, uint16_t *out) {
  const Floats d;
  const Ints di;
  const Words du;
  const int64_t step = hn::Lanes(d);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto bits = hn::BitCast(du, hn::LoadU(d, x + i));
    const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 1u));
    const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(du, 0x7FFFu)), odd));
    const auto sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(du, 0x8000u));
    const auto nan =
        hn::Gt(hn::BitCast(di, hn::And(bits, hn::Set(du, 0x7FFFFFFFu))), hn::Set(di, 0x7F800000));
    const auto quiet = hn::Or(sign, hn::Set(du, 0x7FC0u));
    const auto half = hn::IfThenElse(hn::RebindMask(du, nan), quiet, rounded);
    hn::StoreU(Lower(hn::BitCast(di, half)), Halves(), out + i);
  }
  return i;
}

int64_t FromBf16(const uint16_t *x, int64_t n, float *out) {
  const Floats d;
  const Ints di;
  const int64_t step = hn::Lanes(d);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto bits = hn::ShiftLeft<16>(hn::PromoteTo(di, hn::LoadU(Halves(), x + i)));
    const auto nan = hn::Gt(hn::And(bits, hn::Set(di, 0x7FFFFFFF)), hn::Set(di, 0x7F800000));
    const auto quiet = hn::Or(bits, hn::Set(di, 0x400000));
    hn::StoreU(hn::BitCast(d, hn::IfThenElse(nan, quiet, bits)), d, out + i);
  }
  return i;
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(ToF16);
HWY_EXPORT(FromF16);
HWY_EXPORT(ToBf16);
HWY_EXPORT(FromBf16);

namespace {

// Runs the vector loop on pieces and the reference on what it leaves of each.
template <typename In, typename Out, typename Fast>
void convert(const In *x, int64_t n, Out *out, const Fast &fast,
             void (*rest)(const In *, int64_t, Out *)) {
  parallel_for(n, streaming_grain, [&](int64_t begin, int64_t end) {
    const int64_t done = begin + fast(x + begin, end - begin, out + begin);
    rest(x + done, end - done, out + done);
  });
}

}  // namespace
}  // namespace bh

void bh_f32_to_f16(const float *x, int64_t n, uint16_t *out) {
  bh::convert(x, n, out, HWY_DYNAMIC_DISPATCH(bh::ToF16), bh_f32_to_f16_scalar);
}

void bh_f16_to_f32(const uint16_t *x, int64_t n, float *out) {
  bh::convert(x, n, out, HWY_DYNAMIC_DISPATCH(bh::FromF16), bh_f16_to_f32_scalar);
}

void bh_f32_to_bf16(const float *x, int64_t n, uint16_t *out) {
  bh::convert(x, n, out, HWY_DYNAMIC_DISPATCH(bh::ToBf16), bh_f32_to_bf16_scalar);
}

void bh_bf16_to_f32(const uint16_t *x, int64_t n, float *out) {
  bh::convert(x, n, out, HWY_DYNAMIC_DISPATCH(bh::FromBf16), bh_bf16_to_f32_scalar);
}
#endif
