// The functions of bh_activation.h on vectors, compiled for each target.
#if defined(BH_ACTIVATION_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef BH_ACTIVATION_INL_H
#undef BH_ACTIVATION_INL_H
#else
#define BH_ACTIVATION_INL_H
#endif

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "bh_activation.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace activation {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

HWY_INLINE V Const(float value) { return hn::Set(D(), value); }
HWY_INLINE V One() { return Const(1); }

// A polynomial whose coefficients are given from the highest on.
template <int N>
HWY_INLINE V Polynomial(const float (&coefficients)[N], V x) {
  V sum = Const(coefficients[0]);
  for (int i = 1; i < N; i++) sum = hn::MulAdd(sum, x, Const(coefficients[i]));
  return sum;
}

// e^x, with the ends where the vector library's form leaves the floats.
HWY_INLINE V Exponential(V x) {
  const V y = hn::Exp(D(), hn::Min(x, Const(88.72283f)));
  const V large = hn::IfThenElse(hn::Gt(x, Const(88.72283f)), hn::Inf(D()), y);
  return hn::IfThenElse(hn::IsNaN(x), x, large);
}

HWY_INLINE V Sigmoid(V x) {
  return hn::Div(One(), hn::Add(One(), Exponential(hn::Neg(x))));
}

// Below 1 x times a polynomial of x^2, above 1 - e^p(|x|). Both are Chebyshev series, on [0, 1] and
// [1, 4], as polynomials; at 4 the function is 1 in float32.
HWY_INLINE V Erf(V x) {
  constexpr float inner[] = {-9.673590812e-6f, 1.126825389e-4f, -8.484396551e-4f,
                             5.221053413e-3f,  -2.686543831e-2f, 1.128378262e-1f,
                             -3.761263848e-1f, 1.128379167f};
  constexpr float outer[] = {1.61406161e-6f,  -4.559062259e-5f, 5.927695391e-4f,
                             -4.740222348e-3f, 2.636471738e-2f, -1.099782452e-1f,
                             -6.319370936e-1f, -1.130166676f,   3.032129759e-4f};
  const V size = hn::Min(hn::Abs(x), Const(4));
  const V near = hn::Mul(x, Polynomial(inner, hn::Mul(size, size)));
  const V far = hn::Sub(One(), hn::Exp(D(), Polynomial(outer, size)));
  const V result = hn::IfThenElse(hn::Le(size, One()), near, hn::CopySign(far, x));
  return hn::IfThenElse(hn::IsNaN(x), x, result);
}

HWY_INLINE V Softplus(V x) {
  const V positive = hn::IfThenElse(hn::Lt(x, hn::Zero(D())), hn::Zero(D()), x);
  return hn::Add(positive, hn::Log1p(D(), Exponential(hn::Neg(hn::Abs(x)))));
}

// By comparisons, which leave NaN as it is on every CPU.
HWY_INLINE V Clip(V x, V low, V high) {
  const V raised = hn::IfThenElse(hn::Lt(x, low), low, x);
  return hn::IfThenElse(hn::Gt(raised, high), high, raised);
}

HWY_INLINE V HardSigmoid(V x, float alpha, float beta) {
  return Clip(hn::Add(hn::Mul(Const(alpha), x), Const(beta)), hn::Zero(D()), One());
}

template <class Function>
HWY_INLINE void ForEach(const float *x, float *y, int64_t n, Function function) {
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) hn::StoreU(function(hn::LoadU(d, x + i)), d, y + i);
  if (i == n) return;
  HWY_ALIGN float rest[HWY_MAX_BYTES / 4] = {};
  std::memcpy(rest, x + i, (n - i) * sizeof(float));
  hn::Store(function(hn::Load(d, rest)), d, rest);
  std::memcpy(y + i, rest, (n - i) * sizeof(float));
}

HWY_NOINLINE inline void Apply(const bh_activation &f, const float *x, float *y, int64_t n) {
  const V alpha = Const(f.alpha), beta = Const(f.beta);
  const V zero = hn::Zero(D());
  switch (f.kind) {
    case BH_ACTIVATION_RELU:
      return ForEach(x, y, n, [=](V v) HWY_ATTR {
        return hn::IfThenElse(hn::Lt(v, zero), zero, v);
      });
    case BH_ACTIVATION_CLIP:
      return ForEach(x, y, n, [=](V v) HWY_ATTR { return Clip(v, alpha, beta); });
    case BH_ACTIVATION_SIGMOID:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return Sigmoid(v); });
    case BH_ACTIVATION_LINEAR:
      return ForEach(x, y, n, [=](V v) HWY_ATTR { return hn::Add(hn::Mul(alpha, v), beta); });
    case BH_ACTIVATION_HARD_SIGMOID:
      return ForEach(x, y, n, [&](V v) HWY_ATTR { return HardSigmoid(v, f.alpha, f.beta); });
    case BH_ACTIVATION_HARD_SWISH:
      return ForEach(x, y, n, [&](V v) HWY_ATTR { return hn::Mul(v, HardSigmoid(v, f.alpha, f.beta)); });
    case BH_ACTIVATION_GELU:
      return ForEach(x, y, n, [](V v) HWY_ATTR {
        const V phi = hn::Add(One(), Erf(hn::Mul(v, Const(0.70710678f))));
        return hn::Mul(hn::Mul(Const(.5f), v), phi);
      });
    case BH_ACTIVATION_GELU_TANH:
      return ForEach(x, y, n, [](V v) HWY_ATTR {
        // 1/2 (1 + tanh(u)) is sigmoid(2u); the factors are 2 sqrt(2/pi) and that times 0.044715.
        const V cube = hn::Mul(hn::Mul(v, v), v);
        const V u = hn::MulAdd(Const(0.0713548162726f), cube, hn::Mul(Const(1.59576912161f), v));
        return hn::Mul(v, Sigmoid(u));
      });
    case BH_ACTIVATION_SWISH:
      return ForEach(x, y, n, [=](V v) HWY_ATTR { return hn::Mul(v, Sigmoid(hn::Mul(alpha, v))); });
    case BH_ACTIVATION_ERF:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return Erf(v); });
    case BH_ACTIVATION_TANH:
      return ForEach(x, y, n, [](V v) HWY_ATTR {
        const V limited = Clip(v, Const(-10), Const(10));
        return hn::IfThenElse(hn::IsNaN(v), v, hn::Tanh(D(), limited));
      });
    case BH_ACTIVATION_EXP:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return Exponential(v); });
    case BH_ACTIVATION_SQRT:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return hn::Sqrt(v); });
    case BH_ACTIVATION_ABS:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return hn::Abs(v); });
    case BH_ACTIVATION_RECIPROCAL:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return hn::Div(One(), v); });
    case BH_ACTIVATION_POWER:
      if (f.alpha == 2) return ForEach(x, y, n, [](V v) HWY_ATTR { return hn::Mul(v, v); });
      if (f.alpha == 3) return ForEach(x, y, n, [](V v) HWY_ATTR { return hn::Mul(hn::Mul(v, v), v); });
      break;
    case BH_ACTIVATION_LEAKY_RELU:
      return ForEach(x, y, n, [=](V v) HWY_ATTR {
        return hn::IfThenElse(hn::Lt(v, zero), hn::Mul(alpha, v), v);
      });
    case BH_ACTIVATION_ELU:
      return ForEach(x, y, n, [=](V v) HWY_ATTR {
        const V low = hn::Mul(alpha, hn::Expm1(D(), hn::Max(hn::Min(v, zero), Const(-100))));
        return hn::IfThenElse(hn::Lt(v, zero), low, v);
      });
    case BH_ACTIVATION_SOFTPLUS:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return Softplus(v); });
    case BH_ACTIVATION_MISH:
      return ForEach(x, y, n, [](V v) HWY_ATTR {
        // tanh(log(1 + e)) is n / (n + 2) with n = e (e + 2).
        const V e = Exponential(hn::Min(Const(30), v));
        const V n = hn::Mul(e, hn::Add(e, Const(2)));
        return hn::Mul(v, hn::Div(n, hn::Add(n, Const(2))));
      });
    case BH_ACTIVATION_SOFTSIGN:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return hn::Div(v, hn::Add(One(), hn::Abs(v))); });
    case BH_ACTIVATION_FLOOR:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return hn::Floor(v); });
    case BH_ACTIVATION_CEIL:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return hn::Ceil(v); });
    case BH_ACTIVATION_ROUND:
      return ForEach(x, y, n, [](V v) HWY_ATTR { return hn::Round(v); });
  }
  // The others' arguments may be anything, which the vector forms are not good at.
  for (int64_t i = 0; i < n; i++) y[i] = bh_activate_scalar(f, x[i]);
}

}  // namespace activation

// y = the functions, one after the other, of x: a piece at a time, which stays in the cache.
HWY_INLINE void Activate(const bh_activation *functions, int32_t count, const float *x, float *y,
                         int64_t n) {
  constexpr int64_t piece = 1024;
  for (int64_t begin = 0; begin < n; begin += piece) {
    const int64_t size = std::min(piece, n - begin);
    for (int32_t f = 0; f < count; f++)
      activation::Apply(functions[f], (f == 0 ? x : y) + begin, y + begin, size);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();
#endif
