// The exponential function on vectors, compiled for each target.
#if defined(BH_VECTOR_EXP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef BH_VECTOR_EXP_INL_H
#undef BH_VECTOR_EXP_INL_H
#else
#define BH_VECTOR_EXP_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {

// e^x for x <= 0 (larger x up to 88 works as well), NaN for NaN, 0 below -87.3: error below 2 units
// in the last place.
//
// x = n ln 2 + r with |r| <= ln(2) / 2; e^r by a polynomial of degree 6 (minimax on that interval,
// fitted by us, relative error 3.1e-9 before rounding); 2^n by putting n into the exponent.
template <class V>
HWY_INLINE V Exp(V x) {
  namespace hn = hwy::HWY_NAMESPACE;
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<hn::ScalableTag<float>> di;
  const auto least = hn::Set(d, -87.3f);
  const auto vanishes = hn::Lt(x, least);
  const auto n = hn::Round(hn::Mul(x, hn::Set(d, 1.44269504088896341f)));
  // ln 2 in two parts; the first has few bits, so that n times it is exact.
  auto r = hn::MulAdd(n, hn::Set(d, -0.693145751953125f), x);
  r = hn::MulAdd(n, hn::Set(d, -1.42860677e-6f), r);
  auto p = hn::Set(d, 0.0013814467f);
  p = hn::MulAdd(p, r, hn::Set(d, 0.008368781f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.041668393f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.1666652f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.49999994f));
  p = hn::MulAdd(hn::Mul(p, r), r, r);
  p = hn::Add(p, hn::Set(d, 1.0f));
  const auto exponent = hn::ShiftLeft<23>(hn::ConvertTo(di, hn::IfThenZeroElse(vanishes, n)));
  const auto scaled = hn::BitCast(d, hn::Add(hn::BitCast(di, p), exponent));
  // The conversion of NaN to an integer differs between CPUs.
  return hn::IfThenElse(hn::IsNaN(x), x, hn::IfThenZeroElse(vanishes, scaled));
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();
#endif
