// The vector loops of the optimiser steps.
#include "bh_optimizer.h"
#include "optimizer_factors.h"
#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "optimizer.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Vec = hn::Vec<Floats>;

// v where keep is not 0, else 0; everything without keep.
HWY_INLINE Vec Kept(Vec v, const uint8_t *keep) {
  if (keep == nullptr) return v;
  const Floats d;
  const hn::RebindToSigned<Floats> di;
  const auto bytes = hn::PromoteTo(di, hn::LoadU(hn::Rebind<uint8_t, Floats>(), keep));
  return hn::IfThenZeroElse(hn::RebindMask(d, hn::Eq(bytes, hn::Zero(di))), v);
}

// Returns how many elements, from the start, whole vectors have done.
int64_t SgdSpan(const bh_sgd &options, float gradient_scale, const float *gradient,
                const uint8_t *keep, float *weights, float *velocity, int64_t n) {
  const Floats d;
  const int64_t step = hn::Lanes(d);
  const auto scale = hn::Set(d, gradient_scale), decay = hn::Set(d, options.weight_decay);
  const auto momentum = hn::Set(d, options.momentum), rate = hn::Set(d, options.learning_rate);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const uint8_t *kept = keep == nullptr ? nullptr : keep + i;
    const auto w = hn::LoadU(d, weights + i);
    // Separate products and sums: a fused one rounds once, and not every CPU has it.
    const auto g = hn::Add(hn::Mul(hn::LoadU(d, gradient + i), scale), hn::Mul(decay, w));
    auto direction = g;
    if (velocity != nullptr) {
      const auto v = hn::Add(hn::Mul(momentum, hn::LoadU(d, velocity + i)), g);
      direction = options.nesterov != 0 ? hn::Add(g, hn::Mul(momentum, v)) : v;
      hn::StoreU(Kept(v, kept), d, velocity + i);
    }
    hn::StoreU(Kept(hn::Sub(w, hn::Mul(rate, direction)), kept), d, weights + i);
  }
  return i;
}

int64_t AdamSpan(const bh_adam &options, const AdamFactors &f, float gradient_scale,
                 const float *gradient, const uint8_t *keep, float *weights, float *first_moment,
                 float *second_moment, int64_t n) {
  const Floats d;
  const int64_t step = hn::Lanes(d);
  const auto scale = hn::Set(d, gradient_scale), penalty = hn::Set(d, f.penalty);
  const auto beta1 = hn::Set(d, options.beta1), rest1 = hn::Set(d, f.rest1);
  const auto beta2 = hn::Set(d, options.beta2), rest2 = hn::Set(d, f.rest2);
  const auto rate = hn::Set(d, f.rate), shrink = hn::Set(d, f.shrink);
  const auto root = hn::Set(d, f.root), epsilon = hn::Set(d, options.epsilon);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const uint8_t *kept = keep == nullptr ? nullptr : keep + i;
    auto w = hn::LoadU(d, weights + i);
    const auto g = hn::Add(hn::Mul(hn::LoadU(d, gradient + i), scale), hn::Mul(penalty, w));
    const auto m = hn::Add(hn::Mul(beta1, hn::LoadU(d, first_moment + i)), hn::Mul(rest1, g));
    const auto v =
        hn::Add(hn::Mul(beta2, hn::LoadU(d, second_moment + i)), hn::Mul(rest2, hn::Mul(g, g)));
    w = hn::Sub(w, hn::Mul(shrink, w));
    const auto divisor = hn::Add(hn::Mul(hn::Sqrt(v), root), epsilon);
    w = hn::Sub(w, hn::Div(hn::Mul(rate, m), divisor));
    hn::StoreU(Kept(w, kept), d, weights + i);
    hn::StoreU(Kept(m, kept), d, first_moment + i);
    hn::StoreU(Kept(v, kept), d, second_moment + i);
  }
  return i;
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(SgdSpan);
HWY_EXPORT(AdamSpan);

// Elements in a piece: three to four arrays of it fit in a second-level cache.
constexpr int64_t optimizer_grain = 16384;
}  // namespace bh

void bh_sgd_step_f32(const bh_sgd *options, float gradient_scale, const float *gradient,
                     const uint8_t *keep, float *weights, float *velocity, int64_t n) {
  bh::parallel_for(n, bh::optimizer_grain, [=](int64_t begin, int64_t end) {
    auto at = [](auto *array, int64_t i) { return array == nullptr ? array : array + i; };
    const int64_t done = HWY_DYNAMIC_DISPATCH(bh::SgdSpan)(
        *options, gradient_scale, gradient + begin, at(keep, begin), weights + begin,
        at(velocity, begin), end - begin);
    const int64_t rest = begin + done;
    bh_sgd_step_f32_scalar(options, gradient_scale, gradient + rest, at(keep, rest), weights + rest,
                           at(velocity, rest), end - rest);
  });
}

void bh_adam_step_f32(const bh_adam *options, float gradient_scale, const float *gradient,
                      const uint8_t *keep, float *weights, float *first_moment,
                      float *second_moment, int64_t n) {
  const bh::AdamFactors factors(*options);
  bh::parallel_for(n, bh::optimizer_grain, [&](int64_t begin, int64_t end) {
    const uint8_t *kept = keep == nullptr ? nullptr : keep + begin;
    const int64_t done = HWY_DYNAMIC_DISPATCH(bh::AdamSpan)(
        *options, factors, gradient_scale, gradient + begin, kept, weights + begin,
        first_moment + begin, second_moment + begin, end - begin);
    const int64_t rest = begin + done;
    bh_adam_step_f32_scalar(options, gradient_scale, gradient + rest,
                            keep == nullptr ? nullptr : keep + rest, weights + rest,
                            first_moment + rest, second_moment + rest, end - rest);
  });
}
#endif
