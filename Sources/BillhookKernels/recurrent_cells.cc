#include "recurrent_cells.h"

#include <algorithm>

#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "recurrent_cells.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "vector_exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace cells {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(D()));

HWY_INLINE V Const(float value) { return hn::Set(D(), value); }

// Elements [i, i + lanes) of a vector of n; those past the end are 0 and are not written.
struct Span {
  int64_t i, n;

  HWY_INLINE V Load(const float *x) const {
    const D d;
    if (HWY_LIKELY(i + kLanes <= n)) return hn::LoadU(d, x + i);
    HWY_ALIGN float rest[kLanes] = {};
    for (int64_t k = i; k < n; k++) rest[k - i] = x[k];
    return hn::Load(d, rest);
  }
  HWY_INLINE void Store(V v, float *y) const {
    const D d;
    if (HWY_LIKELY(i + kLanes <= n)) return hn::StoreU(v, d, y + i);
    HWY_ALIGN float rest[kLanes];
    hn::Store(v, d, rest);
    for (int64_t k = i; k < n; k++) y[k] = rest[k - i];
  }
};

HWY_INLINE V Sigmoid(V x) {
  const V e = bh::HWY_NAMESPACE::Exp(hn::Neg(hn::Abs(x)));
  const V s = hn::Div(Const(1), hn::Add(Const(1), e));
  return hn::IfThenElse(hn::Lt(x, Const(0)), hn::Mul(e, s), s);
}

HWY_INLINE V Tanh(V x) {
  const V size = hn::Abs(x);
  const V e = bh::HWY_NAMESPACE::Exp(hn::Mul(Const(-2), size));
  const V far = hn::Div(hn::Sub(Const(1), e), hn::Add(Const(1), e));
  // Near 0 the difference would lose digits; the Taylor series does not.
  const V square = hn::Mul(x, x);
  V series = Const(62.f / 2835);
  series = hn::MulAdd(series, square, Const(-17.f / 315));
  series = hn::MulAdd(series, square, Const(2.f / 15));
  series = hn::MulAdd(series, square, Const(-1.f / 3));
  const V near = hn::MulAdd(hn::Mul(series, square), x, x);
  return hn::IfThenElse(hn::Lt(size, Const(.25f)), near, hn::CopySign(far, x));
}

// NaN stays NaN: the second operand decides.
HWY_INLINE V Clipped(V x, V limit) { return hn::Min(limit, hn::Max(hn::Neg(limit), x)); }

// y (1 - y) and 1 - y^2.
HWY_INLINE V SigmoidSlope(V y) { return hn::NegMulAdd(y, y, y); }
HWY_INLINE V TanhSlope(V y) { return hn::NegMulAdd(y, y, Const(1)); }

void LstmForward(const LstmStep &step, float most, bool coupled, float *state) {
  const int64_t n = step.hidden;
  const V limit = Const(most);
  float *enter = step.gates, *leave = enter + n, *keep = leave + n, *candidate = keep + n;
  for (Span at{0, n}; at.i < n; at.i += kLanes) {
    const V before = at.Load(step.cell_before);
    V i = at.Load(enter), o = at.Load(leave), f = at.Load(keep);
    if (step.peepholes) {
      i = hn::MulAdd(at.Load(step.peepholes), before, i);
      f = hn::MulAdd(at.Load(step.peepholes + 2 * n), before, f);
    }
    i = Sigmoid(Clipped(i, limit));
    f = coupled ? hn::Sub(Const(1), i) : Sigmoid(Clipped(f, limit));
    const V c = Tanh(Clipped(at.Load(candidate), limit));
    const V cell = hn::MulAdd(f, before, hn::Mul(i, c));
    if (step.peepholes) o = hn::MulAdd(at.Load(step.peepholes + n), cell, o);
    o = Sigmoid(Clipped(o, limit));
    at.Store(i, enter);
    at.Store(o, leave);
    at.Store(f, keep);
    at.Store(c, candidate);
    at.Store(cell, step.cell);
    at.Store(hn::Mul(o, Tanh(cell)), state);
  }
}

void LstmBackward(const LstmStep &step, const float *d_state, float *d_cell) {
  const int64_t n = step.hidden;
  float *enter = step.gates, *leave = enter + n, *keep = leave + n, *candidate = keep + n;
  for (Span at{0, n}; at.i < n; at.i += kLanes) {
    const V i = at.Load(enter), o = at.Load(leave), f = at.Load(keep), c = at.Load(candidate);
    const V before = at.Load(step.cell_before), bent = Tanh(at.Load(step.cell));
    const V dh = at.Load(d_state);
    const V d_o = hn::Mul(hn::Mul(dh, bent), SigmoidSlope(o));
    V dc = hn::MulAdd(hn::Mul(dh, o), TanhSlope(bent), at.Load(d_cell));
    if (step.peepholes) dc = hn::MulAdd(at.Load(step.peepholes + n), d_o, dc);
    const V d_i = hn::Mul(hn::Mul(dc, c), SigmoidSlope(i));
    const V d_f = hn::Mul(hn::Mul(dc, before), SigmoidSlope(f));
    V earlier = hn::Mul(dc, f);
    if (step.peepholes) {
      earlier = hn::MulAdd(at.Load(step.peepholes), d_i, earlier);
      earlier = hn::MulAdd(at.Load(step.peepholes + 2 * n), d_f, earlier);
    }
    at.Store(d_i, enter);
    at.Store(d_o, leave);
    at.Store(d_f, keep);
    at.Store(hn::Mul(hn::Mul(dc, i), TanhSlope(c)), candidate);
    at.Store(earlier, d_cell);
  }
}

void GruGates(int64_t n, float *gates, float most) {
  const V limit = Const(most);
  for (Span at{0, 2 * n}; at.i < 2 * n; at.i += kLanes)
    at.Store(Sigmoid(Clipped(at.Load(gates), limit)), gates);
}

void GruReset(int64_t n, const float *gates, const float *state, float *out) {
  for (Span at{0, n}; at.i < n; at.i += kLanes)
    at.Store(hn::Mul(at.Load(gates + n), at.Load(state)), out);
}

void GruState(int64_t n, float *gates, const float *term, float most, const float *before,
              float *state) {
  const V limit = Const(most);
  for (Span at{0, n}; at.i < n; at.i += kLanes) {
    const V z = at.Load(gates);
    V sum = at.Load(gates + 2 * n);
    if (term) sum = hn::MulAdd(at.Load(gates + n), at.Load(term), sum);
    const V candidate = Tanh(Clipped(sum, limit));
    const V old = at.Load(before);
    at.Store(candidate, gates + 2 * n);
    at.Store(hn::MulAdd(z, hn::Sub(old, candidate), candidate), state);
  }
}

void GruBackward(int64_t n, float *gates, float *term, const float *before, float *d_state) {
  for (Span at{0, n}; at.i < n; at.i += kLanes) {
    const V z = at.Load(gates), r = at.Load(gates + n), candidate = at.Load(gates + 2 * n);
    const V dh = at.Load(d_state);
    const V d_candidate =
        hn::Mul(hn::Mul(dh, hn::Sub(Const(1), z)), TanhSlope(candidate));
    at.Store(hn::Mul(hn::Mul(dh, hn::Sub(at.Load(before), candidate)), SigmoidSlope(z)), gates);
    at.Store(d_candidate, gates + 2 * n);
    at.Store(hn::Mul(dh, z), d_state);
    if (!term) continue;
    at.Store(hn::Mul(hn::Mul(d_candidate, at.Load(term)), SigmoidSlope(r)), gates + n);
    at.Store(hn::Mul(d_candidate, r), term);
  }
}

void GruBackwardReset(int64_t n, float *gates, const float *d_gated, const float *before,
                      float *d_state) {
  for (Span at{0, n}; at.i < n; at.i += kLanes) {
    const V r = at.Load(gates + n), d = at.Load(d_gated);
    at.Store(hn::Mul(hn::Mul(d, at.Load(before)), SigmoidSlope(r)), gates + n);
    at.Store(hn::MulAdd(d, r, at.Load(d_state)), d_state);
  }
}

void SimpleForward(int64_t n, float *sums, float most, bool relu, float *state) {
  const V limit = Const(most);
  for (Span at{0, n}; at.i < n; at.i += kLanes) {
    const V sum = Clipped(at.Load(sums), limit);
    at.Store(relu ? hn::Max(Const(0), sum) : Tanh(sum), state);
  }
}

void SimpleBackward(int64_t n, const float *state, bool relu, const float *d_state, float *sums) {
  for (Span at{0, n}; at.i < n; at.i += kLanes) {
    const V y = at.Load(state), dh = at.Load(d_state);
    at.Store(relu ? hn::IfThenElseZero(hn::Gt(y, Const(0)), dh) : hn::Mul(dh, TanhSlope(y)), sums);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace cells
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
namespace cells {
HWY_EXPORT(LstmForward);
HWY_EXPORT(LstmBackward);
HWY_EXPORT(GruGates);
HWY_EXPORT(GruReset);
HWY_EXPORT(GruState);
HWY_EXPORT(GruBackward);
HWY_EXPORT(GruBackwardReset);
HWY_EXPORT(SimpleForward);
HWY_EXPORT(SimpleBackward);
}  // namespace cells

void lstm_forward(const LstmStep &step, float limit, bool coupled, float *state) {
  HWY_DYNAMIC_DISPATCH(cells::LstmForward)(step, limit, coupled, state);
}
void lstm_backward(const LstmStep &step, const float *d_state, float *d_cell) {
  HWY_DYNAMIC_DISPATCH(cells::LstmBackward)(step, d_state, d_cell);
}
void gru_gates(int64_t hidden, float *gates, float limit) {
  HWY_DYNAMIC_DISPATCH(cells::GruGates)(hidden, gates, limit);
}
void gru_reset(int64_t hidden, const float *gates, const float *state, float *out) {
  HWY_DYNAMIC_DISPATCH(cells::GruReset)(hidden, gates, state, out);
}
void gru_state(int64_t hidden, float *gates, const float *term, float limit, const float *before,
               float *state) {
  HWY_DYNAMIC_DISPATCH(cells::GruState)(hidden, gates, term, limit, before, state);
}
void gru_backward(int64_t hidden, float *gates, float *term, const float *before, float *d_state) {
  HWY_DYNAMIC_DISPATCH(cells::GruBackward)(hidden, gates, term, before, d_state);
}
void gru_backward_reset(int64_t hidden, float *gates, const float *d_gated, const float *before,
                        float *d_state) {
  HWY_DYNAMIC_DISPATCH(cells::GruBackwardReset)(hidden, gates, d_gated, before, d_state);
}
void simple_forward(int64_t hidden, float *sums, float limit, bool relu, float *state) {
  HWY_DYNAMIC_DISPATCH(cells::SimpleForward)(hidden, sums, limit, relu, state);
}
void simple_backward(int64_t hidden, const float *state, bool relu, const float *d_state,
                     float *sums) {
  HWY_DYNAMIC_DISPATCH(cells::SimpleBackward)(hidden, state, relu, d_state, sums);
}

}  // namespace billhook
#endif
