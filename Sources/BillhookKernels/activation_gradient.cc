// The slopes of bh_activation.h's functions, on all threads.
#include "bh_activation.h"

#include <cstring>

#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "activation_gradient.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace activation {

template <class Slope>
HWY_INLINE void MultiplyBySlope(const float *x, const float *dy, float *dx, int64_t n,
                                Slope slope) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  // No gradient stays none where the slope is infinite.
  const auto product = [&](V given, V at) HWY_ATTR {
    return hn::IfThenElseZero(hn::Ne(given, hn::Zero(d)), hn::Mul(given, slope(at)));
  };
  for (; i + lanes <= n; i += lanes)
    hn::StoreU(product(hn::LoadU(d, dy + i), hn::LoadU(d, x + i)), d, dx + i);
  if (i == n) return;
  HWY_ALIGN float at[HWY_MAX_BYTES / 4] = {}, given[HWY_MAX_BYTES / 4] = {};
  std::memcpy(at, x + i, (n - i) * sizeof(float));
  std::memcpy(given, dy + i, (n - i) * sizeof(float));
  hn::Store(product(hn::Load(d, given), hn::Load(d, at)), d, given);
  std::memcpy(dx + i, given, (n - i) * sizeof(float));
}

// s (1 - s): the slope of a sigmoid whose value is s.
HWY_INLINE V Bend(V s) { return hn::NegMulAdd(s, s, s); }

// Beyond it the gates below are 0 or 1, and infinity times a slope of 0 would be no number.
HWY_INLINE V Limited(V v) { return Clip(v, Const(-100), Const(100)); }

// The slope of x sigmoid(u): u and its slope are given.
HWY_INLINE V GatedSlope(V x, V u, V slope) {
  const V s = Sigmoid(u);
  return hn::MulAdd(hn::Mul(x, slope), Bend(s), s);
}

// What the standard normal distribution has beyond |x|, from e^(-x^2 / 2), which GELU's slope needs
// anyhow. Within 7.5e-8. Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 1964,
// formula 7.1.26, for |x| / sqrt(2) and halved.
HWY_INLINE V HalfErrorTail(V x, V bell) {
  constexpr float terms[] = {0.5307027145f, -0.7265760135f, 0.7107068705f,
                             -0.142248368f, 0.127414796f,   0};
  const V t = hn::Div(One(), hn::MulAdd(hn::Abs(x), Const(0.2316418882f), One()));
  return hn::Mul(Polynomial(terms, t), bell);
}

HWY_NOINLINE inline void Gradient(const bh_activation &f, const float *x, const float *dy,
                                  float *dx, int64_t n) {
  const V alpha = Const(f.alpha), beta = Const(f.beta), zero = hn::Zero(D());
  // What lies between two bounds, and 0 elsewhere.
  const auto between = [](V v, V low, V high, V inner) HWY_ATTR {
    return hn::IfThenElseZero(hn::And(hn::Gt(v, low), hn::Lt(v, high)), inner);
  };
  switch (f.kind) {
    case BH_ACTIVATION_RELU:
      return MultiplyBySlope(
          x, dy, dx, n, [=](V v) HWY_ATTR { return hn::IfThenElseZero(hn::Gt(v, zero), One()); });
    case BH_ACTIVATION_CLIP:
      return MultiplyBySlope(x, dy, dx, n,
                             [=](V v) HWY_ATTR { return between(v, alpha, beta, One()); });
    case BH_ACTIVATION_SIGMOID:
      return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR { return Bend(Sigmoid(v)); });
    case BH_ACTIVATION_LINEAR:
      return MultiplyBySlope(x, dy, dx, n, [=](V) HWY_ATTR { return alpha; });
    case BH_ACTIVATION_HARD_SIGMOID:
      return MultiplyBySlope(x, dy, dx, n, [=](V v) HWY_ATTR {
        return between(hn::Add(hn::Mul(alpha, v), beta), zero, One(), alpha);
      });
    case BH_ACTIVATION_HARD_SWISH:
      return MultiplyBySlope(x, dy, dx, n, [=](V v) HWY_ATTR {
        const V line = hn::Add(hn::Mul(alpha, v), beta);
        return hn::Add(between(line, zero, One(), hn::Mul(alpha, v)), Clip(line, zero, One()));
      });
    case BH_ACTIVATION_GELU:
      return MultiplyBySlope(x, dy, dx, n, [=](V v) HWY_ATTR {
        const V at = Limited(v);
        const V bell = hn::Exp(D(), hn::Mul(hn::Mul(at, at), Const(-.5f)));
        const V tail = HalfErrorTail(at, bell);
        const V phi = hn::IfThenElse(hn::Lt(at, zero), tail, hn::Sub(One(), tail));
        return hn::MulAdd(hn::Mul(at, bell), Const(0.39894228f), phi);
      });
    case BH_ACTIVATION_GELU_TANH:
      return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR {
        // As in the function: 2 sqrt(2/pi), and that times 0.044715; three times the latter.
        const V at = Limited(v), square = hn::Mul(at, at);
        const V u = hn::Mul(at, hn::MulAdd(Const(0.0713548162726f), square, Const(1.59576912161f)));
        return GatedSlope(at, u, hn::MulAdd(Const(0.214064448818f), square, Const(1.59576912161f)));
      });
    case BH_ACTIVATION_SWISH:
      return MultiplyBySlope(x, dy, dx, n, [=](V v) HWY_ATTR {
        const V u = Limited(hn::Mul(alpha, v));
        return GatedSlope(u, u, One());
      });
    case BH_ACTIVATION_ERF:
      return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR {
        return hn::Mul(Const(1.12837916710f), Exponential(hn::Neg(hn::Mul(v, v))));
      });
    case BH_ACTIVATION_TANH:
      return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR {
        return hn::Mul(Const(4), Bend(Sigmoid(hn::Mul(Const(2), v))));
      });
    case BH_ACTIVATION_EXP:
      return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR { return Exponential(v); });
    case BH_ACTIVATION_LOG:
      return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR { return hn::Div(One(), v); });
    case BH_ACTIVATION_SQRT:
      return MultiplyBySlope(x, dy, dx, n,
                             [](V v) HWY_ATTR { return hn::Div(Const(.5f), hn::Sqrt(v)); });
    case BH_ACTIVATION_ABS:
      return MultiplyBySlope(x, dy, dx, n, [=](V v) HWY_ATTR {
        return hn::IfThenElse(hn::Eq(v, zero), zero, hn::CopySign(One(), v));
      });
    case BH_ACTIVATION_RECIPROCAL:
      return MultiplyBySlope(x, dy, dx, n,
                             [](V v) HWY_ATTR { return hn::Div(Const(-1), hn::Mul(v, v)); });
    case BH_ACTIVATION_POWER:
      if (f.alpha == 2)
        return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR { return hn::Add(v, v); });
      if (f.alpha == 3)
        return MultiplyBySlope(x, dy, dx, n,
                               [](V v) HWY_ATTR { return hn::Mul(Const(3), hn::Mul(v, v)); });
      break;
    case BH_ACTIVATION_LEAKY_RELU:
      return MultiplyBySlope(x, dy, dx, n, [=](V v) HWY_ATTR {
        return hn::IfThenElse(hn::Lt(v, zero), alpha, One());
      });
    case BH_ACTIVATION_ELU:
      return MultiplyBySlope(x, dy, dx, n, [=](V v) HWY_ATTR {
        return hn::IfThenElse(hn::Lt(v, zero), hn::Mul(alpha, Exponential(v)), One());
      });
    case BH_ACTIVATION_SOFTPLUS:
      return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR { return Sigmoid(v); });
    case BH_ACTIVATION_MISH:
      return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR {
        // The gate is m / (m + 2) with m = e (e + 2), its slope 4 e (e + 1) / (m + 2)^2.
        const V at = Limited(v), e = Exponential(hn::Min(Const(30), at));
        const V m = hn::Mul(e, hn::Add(e, Const(2)));
        const V inverse = hn::Div(One(), hn::Add(m, Const(2)));
        const V slope =
            hn::Mul(hn::Mul(Const(4), hn::Mul(e, inverse)), hn::Mul(hn::Add(e, One()), inverse));
        return hn::MulAdd(at, slope, hn::Mul(m, inverse));
      });
    case BH_ACTIVATION_SOFTSIGN:
      return MultiplyBySlope(x, dy, dx, n, [](V v) HWY_ATTR {
        const V size = hn::Add(One(), hn::Abs(v));
        return hn::Div(One(), hn::Mul(size, size));
      });
  }
  // The others' arguments may be anything, which the vector forms are not good at.
  for (int64_t i = 0; i < n; i++)
    dx[i] = dy[i] == 0 ? 0 : dy[i] * bh_activation_slope_scalar(f, x[i]);
}

}  // namespace activation

void ActivationGradient(const bh_activation &function, const float *x, const float *dy, float *dx,
                        int64_t n) {
  activation::Gradient(function, x, dy, dx, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
HWY_EXPORT(ActivationGradient);
}  // namespace billhook

void bh_activation_gradient_f32(bh_activation function, const float *x, const float *dy, float *dx,
                                int64_t n) {
  // As in bh_activate_f32.
  constexpr int64_t grain = bh::streaming_grain / 8;
  bh::parallel_for(n, grain, [=](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(billhook::ActivationGradient)
    (function, x + begin, dy + begin, dx + begin, end - begin);
  });
}
#endif  // HWY_ONCE
