// The transforms of Winograd's filtering on vectors of channels, compiled for each target.
#if defined(BH_WINOGRAD_TRANSFORM_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef BH_WINOGRAD_TRANSFORM_INL_H
#undef BH_WINOGRAD_TRANSFORM_INL_H
#else
#define BH_WINOGRAD_TRANSFORM_INL_H
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using WinogradVector = hn::Vec<hn::ScalableTag<float>>;

constexpr float kRoot = 1.41421356f, kHalfRoot = 0.70710678f;

// One row or column of the input's transform: out = B^T in.
HWY_INLINE void Transform(const WinogradVector (&in)[4], WinogradVector (&out)[4]) {
  out[0] = hn::Sub(in[0], in[2]);
  out[1] = hn::Add(in[1], in[2]);
  out[2] = hn::Sub(in[2], in[1]);
  out[3] = hn::Sub(in[1], in[3]);
}

HWY_INLINE void Transform(const WinogradVector (&in)[6], WinogradVector (&out)[6]) {
  const hn::ScalableTag<float> d;
  const WinogradVector middle = hn::Set(d, 2.5f), two = hn::Set(d, 2.f), half = hn::Set(d, .5f);
  const WinogradVector root = hn::Set(d, kRoot), half_root = hn::Set(d, kHalfRoot);
  out[0] = hn::NegMulAdd(middle, in[2], hn::Add(in[0], in[4]));
  const WinogradVector even1 = hn::NegMulAdd(two, in[2], in[4]),
                       odd1 = hn::NegMulAdd(two, in[1], in[3]);
  out[1] = hn::MulAdd(half_root, odd1, even1);
  out[2] = hn::NegMulAdd(half_root, odd1, even1);
  const WinogradVector even2 = hn::NegMulAdd(half, in[2], in[4]),
                       odd2 = hn::NegMulAdd(half, in[1], in[3]);
  out[3] = hn::MulAdd(root, odd2, even2);
  out[4] = hn::NegMulAdd(root, odd2, even2);
  out[5] = hn::NegMulAdd(middle, in[3], hn::Add(in[1], in[5]));
}

// One row or column of the way back: out = A^T in.
HWY_INLINE void TransformBack(const WinogradVector (&in)[4], WinogradVector (&out)[2]) {
  out[0] = hn::Add(hn::Add(in[0], in[1]), in[2]);
  out[1] = hn::Sub(hn::Sub(in[1], in[2]), in[3]);
}

HWY_INLINE void TransformBack(const WinogradVector (&in)[6], WinogradVector (&out)[4]) {
  const hn::ScalableTag<float> d;
  const WinogradVector root = hn::Set(d, kRoot), half_root = hn::Set(d, kHalfRoot);
  const WinogradVector even1 = hn::Add(in[1], in[2]),
                       odd1 = hn::Mul(hn::Sub(in[1], in[2]), half_root);
  const WinogradVector even2 = hn::Add(in[3], in[4]), odd2 = hn::Mul(hn::Sub(in[3], in[4]), root);
  out[0] = hn::Add(hn::Add(in[0], even1), even2);
  out[1] = hn::Add(odd1, odd2);
  out[2] = hn::MulAdd(hn::Set(d, .5f), even1, hn::Add(even2, even2));
  out[3] = hn::MulAdd(hn::Set(d, .5f), odd1, hn::MulAdd(hn::Set(d, 2.f), odd2, in[5]));
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();
#endif
