// The vector loops of a selection.
#include "select_spans.h"

#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "select_spans.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Ints = hn::RebindToSigned<Floats>;

// key_of for a vector.
HWY_INLINE hn::Vec<Ints> Keys(const float *scores) {
  const Floats d;
  const Ints di;
  const auto bits = hn::BitCast(di, hn::Add(hn::LoadU(d, scores), hn::Zero(d)));
  const auto flip = hn::And(hn::ShiftRight<31>(bits), hn::Set(di, INT_MAX));
  return hn::Max(hn::Xor(bits, flip), hn::Set(di, -INT_MAX));
}

// A full mask is -1 in every lane, so subtracting it counts. Each lane counts at most 2^31 - 1.
//
// Four vectors at a time: keys inside the bracket are rare, so one test for the four decides
// whether any has to be stored, and the rest is comparisons without branches.
BracketCounts CountBracket(const float *scores, int64_t n, int32_t low, int32_t high,
                           int32_t *inside) {
  const Ints d;
  const int64_t step = hn::Lanes(d);
  const auto from = hn::Set(d, low), to = hn::Set(d, high);
  const auto zero = hn::Zero(d);
  auto below = zero, below_or_at = zero, below_high = zero, up_to_high = zero;
  int64_t i = 0, collected = 0;
  for (; i + 4 * step <= n; i += 4 * step) {
    const auto k0 = Keys(scores + i), k1 = Keys(scores + i + step);
    const auto k2 = Keys(scores + i + 2 * step), k3 = Keys(scores + i + 3 * step);
    const auto count = [&](auto key, auto &total, auto limit) {
      total = hn::Sub(total, hn::VecFromMask(d, hn::Lt(key, limit)));
    };
    const auto count_equal = [&](auto key, auto &total, auto limit) {
      total = hn::Sub(total, hn::VecFromMask(d, hn::Eq(key, limit)));
    };
    count(k0, below, from), count(k1, below, from), count(k2, below, from), count(k3, below, from);
    count_equal(k0, below_or_at, from), count_equal(k1, below_or_at, from);
    count_equal(k2, below_or_at, from), count_equal(k3, below_or_at, from);
    count_equal(k0, up_to_high, to), count_equal(k1, up_to_high, to);
    count_equal(k2, up_to_high, to), count_equal(k3, up_to_high, to);
    const auto within = [&](auto key) { return hn::And(hn::Gt(key, from), hn::Lt(key, to)); };
    const auto m0 = within(k0), m1 = within(k1), m2 = within(k2), m3 = within(k3);
    if (HWY_LIKELY(hn::AllFalse(d, hn::Or(hn::Or(m0, m1), hn::Or(m2, m3))))) continue;
    collected += hn::CompressStore(k0, m0, d, inside + collected);
    collected += hn::CompressStore(k1, m1, d, inside + collected);
    collected += hn::CompressStore(k2, m2, d, inside + collected);
    collected += hn::CompressStore(k3, m3, d, inside + collected);
  }
  (void)below_high;
  const auto sum = [d](auto v) { return hn::GetLane(hn::SumOfLanes(d, v)); };
  BracketCounts counts = count_bracket_scalar(scores + i, n - i, low, high, inside + collected);
  counts.below += sum(below);
  counts.at_low += sum(below_or_at);
  counts.inside += collected;
  if (low != high) counts.at_high += sum(up_to_high);
  return counts;
}

int64_t PruneToKey(const float *scores, int32_t last, const float *weights, float *out,
                   int64_t n) {
  const Floats d;
  const Ints di;
  const int64_t step = hn::Lanes(d);
  const auto limit = hn::Set(di, last);
  auto kept = hn::Zero(di);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto keep = hn::Gt(Keys(scores + i), limit);
    kept = hn::Sub(kept, hn::VecFromMask(di, keep));
    const auto w = hn::LoadU(d, weights + i);
    hn::StoreU(hn::IfThenElseZero(hn::RebindMask(d, keep), w), d, out + i);
  }
  const int64_t pruned = i - hn::GetLane(hn::SumOfLanes(di, kept));
  return pruned + prune_to_key_scalar(scores + i, last, weights + i, out + i, n - i);
}

int64_t KeepAfterKey(const float *scores, int32_t last, uint8_t *keep, int64_t n) {
  const Ints d;
  const hn::Rebind<uint8_t, Ints> bytes;
  const int64_t step = hn::Lanes(d);
  const auto limit = hn::Set(d, last), one = hn::Set(d, 1);
  auto kept = hn::Zero(d);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto flag = hn::IfThenElseZero(hn::Gt(Keys(scores + i), limit), one);
    kept = hn::Add(kept, flag);
    hn::StoreU(hn::DemoteTo(bytes, flag), bytes, keep + i);
  }
  const int64_t pruned = i - hn::GetLane(hn::SumOfLanes(d, kept));
  return pruned + keep_after_key_scalar(scores + i, last, keep + i, n - i);
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(CountBracket);
HWY_EXPORT(PruneToKey);
HWY_EXPORT(KeepAfterKey);

BracketCounts count_bracket(const float *scores, int64_t n, int32_t low, int32_t high,
                            int32_t *inside) {
  return HWY_DYNAMIC_DISPATCH(CountBracket)(scores, n, low, high, inside);
}

int64_t prune_to_key(const float *scores, int32_t last, const float *weights, float *out,
                     int64_t n) {
  return HWY_DYNAMIC_DISPATCH(PruneToKey)(scores, last, weights, out, n);
}

int64_t keep_after_key(const float *scores, int32_t last, uint8_t *keep, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(KeepAfterKey)(scores, last, keep, n);
}

}  // namespace bh
#endif
