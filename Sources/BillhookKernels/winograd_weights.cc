#include <algorithm>

#include "parallel.h"
#include "vector_targets.h"
#include "winograd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "winograd_weights.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

int64_t WeightLanes() { return static_cast<int64_t>(hn::Lanes(D())); }

// One row or column of the weights' transform: out = G in.
HWY_INLINE void Transform(const V (&in)[3], V (&out)[4]) {
  const V half = hn::Set(D(), .5f), outer = hn::Add(in[0], in[2]);
  out[0] = in[0];
  out[1] = hn::Mul(half, hn::Add(outer, in[1]));
  out[2] = hn::Mul(half, hn::Sub(outer, in[1]));
  out[3] = in[2];
}

HWY_INLINE void Transform(const V (&in)[3], V (&out)[6]) {
  const D d;
  const V third = hn::Set(d, -2.f / 3), sixth = hn::Set(d, 1.f / 6);
  const V even1 = hn::Mul(third, hn::MulAdd(hn::Set(d, .5f), in[2], in[0]));
  const V odd1 = hn::Mul(hn::Set(d, -0.47140452f), in[1]);  // -2 / 3 / sqrt(2)
  const V even2 = hn::Mul(sixth, hn::MulAdd(hn::Set(d, 2.f), in[2], in[0]));
  const V odd2 = hn::Mul(hn::Set(d, 0.23570226f), in[1]);  // sqrt(2) / 6
  out[0] = in[0];
  out[1] = hn::Add(even1, odd1);
  out[2] = hn::Sub(even1, odd1);
  out[3] = hn::Add(even2, odd2);
  out[4] = hn::Sub(even2, odd2);
  out[5] = in[2];
}

// A panel's share of input channel k: [panel][point][input][output of the panel].
template <int S>
void TransformWindows(const WinogradShape &s, const float *w, bool rotated, int64_t panel,
                      int64_t k, float *out) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t width = winograd_panel(), first = panel * width;
  const int64_t own = std::min(width, s.padded(s.outputs) - first);
  float *target = out + first * S * S * s.inputs + k * own;
  HWY_ALIGN float windows[9][HWY_MAX_BYTES / sizeof(float)];
  for (int64_t v = 0; v < own; v += lanes) {
    for (int64_t lane = 0; lane < lanes; lane++) {
      const int64_t o = first + v + lane;
      for (int i = 0; i < 9; i++)
        windows[i][lane] = o >= s.outputs ? 0
                           : rotated      ? w[(k * s.outputs + o) * 9 + 8 - i]
                                          : w[(o * s.inputs + k) * 9 + i];
    }
    V half[S][3];
    for (int j = 0; j < 3; j++) {
      const V in[3] = {hn::Load(d, windows[j]), hn::Load(d, windows[3 + j]),
                       hn::Load(d, windows[6 + j])};
      V column[S];
      Transform(in, column);
      for (int i = 0; i < S; i++) half[i][j] = column[i];
    }
    for (int i = 0; i < S; i++) {
      V row[S];
      Transform(half[i], row);
      for (int j = 0; j < S; j++) hn::StoreU(row[j], d, target + (i * S + j) * own * s.inputs + v);
    }
  }
}

void TransformWeights(const WinogradShape &s, const float *w, bool rotated, int64_t begin,
                      int64_t end, float *out) {
  for (int64_t i = begin; i < end; i++) {
    if (s.tile == 4)
      TransformWindows<6>(s, w, rotated, i / s.inputs, i % s.inputs, out);
    else
      TransformWindows<4>(s, w, rotated, i / s.inputs, i % s.inputs, out);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {

HWY_EXPORT(WeightLanes);
HWY_EXPORT(TransformWeights);

namespace {

// Chosen once, with winograd.cc's. The first call makes Highway look at the CPU.
[[maybe_unused]] const int64_t kLanes = HWY_DYNAMIC_DISPATCH(WeightLanes)();
const auto kTransform = &HWY_DYNAMIC_DISPATCH(TransformWeights);

}  // namespace

int64_t winograd_weight_count(const WinogradShape &s) {
  return s.points() * s.inputs * s.padded(s.outputs);
}

void winograd_weights(const WinogradShape &s, const float *w, bool rotated, float *out) {
  const int64_t panels = (s.padded(s.outputs) + winograd_panel() - 1) / winograd_panel();
  bh::parallel_for(panels * s.inputs, 64,
                   [&](int64_t begin, int64_t end) { kTransform(s, w, rotated, begin, end, out); });
}

}  // namespace billhook
#endif
