// attention.h: a head of an image is one thread's; its scores never leave the cache.
#include "attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "attention.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "activation-inl.h"
#include "dense_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using tiles::D;
using tiles::kLanes;
using tiles::kPanel;
using tiles::V;

constexpr int64_t kQueries = 96;  // whose scores are kept at once

// row = softmax(capped(scale row) + mask).
void AttentionRow(float *row, int64_t n, const AttentionForm &form, const float *mask) {
  const D d;
  float scale = form.scale;
  if (form.cap > 0) {
    const V inner = hn::Set(d, scale / form.cap), outer = hn::Set(d, form.cap);
    const V least = hn::Set(d, -10), most = hn::Set(d, 10);
    activation::ForEach(row, row, n, [=](V v) HWY_ATTR {
      const V limited = hn::Min(hn::Max(hn::Mul(inner, v), least), most);
      return hn::Mul(outer, hn::Tanh(D(), limited));
    });
    scale = 1;
  }
  const V factor = hn::Set(d, scale);
  const int64_t whole = n / kLanes * kLanes;
  float largest = -INFINITY;
  V best = hn::Set(d, largest);
  for (int64_t i = 0; i < whole; i += kLanes) {
    V value = hn::Mul(factor, hn::LoadU(d, row + i));
    if (mask) value = hn::Add(value, hn::LoadU(d, mask + i));
    hn::StoreU(value, d, row + i);
    best = hn::Max(best, value);
  }
  if (whole > 0) largest = hn::GetLane(hn::MaxOfLanes(d, best));
  for (int64_t i = whole; i < n; i++) {
    row[i] = scale * row[i] + (mask ? mask[i] : 0);
    largest = std::max(largest, row[i]);
  }
  if (form.hidden_is_zero && largest == -INFINITY) {
    std::fill(row, row + n, 0.0f);
    return;
  }
  const V top = hn::Set(d, largest);
  V sums = hn::Zero(d);
  for (int64_t i = 0; i < whole; i += kLanes) {
    const V value = activation::Exponential(hn::Sub(hn::LoadU(d, row + i), top));
    hn::StoreU(value, d, row + i);
    sums = hn::Add(sums, value);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, sums));
  if (whole < n) {
    HWY_ALIGN float rest[kLanes] = {};
    for (int64_t i = whole; i < n; i++) rest[i - whole] = row[i];
    hn::Store(activation::Exponential(hn::Sub(hn::Load(d, rest), top)), d, rest);
    for (int64_t i = whole; i < n; i++) sum += row[i] = rest[i - whole];
  }
  if (form.undefined_is_zero && std::isnan(sum)) {
    std::fill(row, row + n, 0.0f);
    return;
  }
  const V inverse = hn::Set(d, 1 / sum);
  for (int64_t i = 0; i < whole; i += kLanes)
    hn::StoreU(hn::Mul(hn::LoadU(d, row + i), inverse), d, row + i);
  for (int64_t i = whole; i < n; i++) row[i] *= 1 / sum;
}

// Panels of a factor whose element (input i, output o) is at x + i * inputs_step + o * outputs_step.
void PackFactor(const float *x, int64_t inputs, int64_t inputs_step, int64_t outputs,
          int64_t outputs_step, float *packed) {
  for (int64_t panel = 0; panel < outputs; panel += kPanel, packed += inputs * kPanel) {
    const int64_t own = std::min(kPanel, outputs - panel);
    const float *from = x + panel * outputs_step;
    for (int64_t i = 0; i < inputs; i++) {
      float *to = packed + i * kPanel;
      for (int64_t o = 0; o < own; o++) to[o] = from[i * inputs_step + o * outputs_step];
      for (int64_t o = own; o < kPanel; o++) to[o] = 0;
    }
  }
}

int64_t PanelCount(int64_t outputs) { return (outputs + kPanel - 1) / kPanel; }

void AttentionHead(const AttentionShape &s, const float *q, const float *k, const float *v,
          const float *mask, const AttentionForm &form, float *scratch, float *y) {
  float *keys = scratch;
  float *values = keys + PanelCount(s.keys) * kPanel * s.size;
  float *scores = values + PanelCount(s.value_size) * kPanel * s.keys;
  PackFactor(k, s.size, 1, s.keys, s.k.position, keys);
  PackFactor(v, s.keys, s.v.position, s.value_size, 1, values);
  for (int64_t first = 0; first < s.queries; first += kQueries) {
    const int64_t rows = std::min(kQueries, s.queries - first);
    const tiles::Part products{
        q + first * s.q.position, s.q.position, keys, s.size * kPanel, s.size, true, true,
        nullptr, nullptr, scores, s.keys};
    tiles::Strips(products, 0, rows, 0, PanelCount(s.keys), s.keys, [&](int64_t row, int64_t count) {
      for (int64_t r = row; r < row + count; r++) {
        const int64_t last = form.is_causal ? first + r + 1 + form.past : s.keys;
        const int64_t seen = std::clamp<int64_t>(last, 0, s.keys);
        float *own = scores + r * s.keys;
        std::fill(own + seen, own + s.keys, 0.0f);
        AttentionRow(own, seen, form, mask ? mask + (first + r) * s.mask.position : nullptr);
      }
    });
    const tiles::Part results{scores,  s.keys, values,  s.keys * kPanel, s.keys, true, true,
                              nullptr, nullptr, y + first * s.y.position, s.y.position};
    tiles::Strips(results, 0, rows, 0, PanelCount(s.value_size), s.value_size, [](int64_t, int64_t) {});
  }
}

int64_t AttentionScratch(const AttentionShape &s) {
  return PanelCount(s.keys) * kPanel * s.size + PanelCount(s.value_size) * kPanel * s.keys +
         std::min(kQueries, s.queries) * s.keys;
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
HWY_EXPORT(AttentionHead);
HWY_EXPORT(AttentionScratch);

void attention(const AttentionShape &s, const float *q, const float *k, const float *v,
               const float *mask, const AttentionForm &form, float *y) {
  const int64_t count = HWY_DYNAMIC_DISPATCH(AttentionScratch)(s);
  const int64_t work = s.queries * s.keys * (s.size + s.value_size);
  const int64_t grain = std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(work, 1));
  bh::parallel_for(s.images * s.heads, grain, [&](int64_t begin, int64_t end) {
    // Vectors of weights are read at their own alignment.
    std::vector<float> memory(count + 16);
    auto address = reinterpret_cast<uintptr_t>(memory.data());
    auto *scratch = reinterpret_cast<float *>((address + 63) / 64 * 64);
    for (int64_t n = begin; n < end; n++) {
      const int64_t image = n / s.heads, head = n % s.heads;
      auto at = [=](const HeadStrides &strides, int64_t own) {
        return image * strides.image + own * strides.head;
      };
      const int64_t shared = head / s.sharing;
      HWY_DYNAMIC_DISPATCH(AttentionHead)
      (s, q + at(s.q, head), k + at(s.k, shared), v + at(s.v, shared),
       mask ? mask + at(s.mask, head) : nullptr, form, scratch, y + at(s.y, head));
    }
  });
}

}  // namespace billhook
#endif  // HWY_ONCE
