// The vector loops of a selection.
#include "select_spans.h"

#include <math.h>

#include <type_traits>

#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "select_spans.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Ints = hn::RebindToSigned<Floats>;

// key_of for a vector, but for one NaN (all bits set), whose key comes out as INT_MIN.
HWY_INLINE hn::Vec<Ints> RawKeys(const float *scores) {
  const Floats d;
  const Ints di;
  const auto bits = hn::BitCast(di, hn::Add(hn::LoadU(d, scores), hn::Zero(d)));
  const auto flip = hn::And(hn::ShiftRight<31>(bits), hn::Set(di, INT_MAX));
  return hn::Xor(bits, flip);
}

HWY_INLINE hn::Vec<Ints> Keys(const float *scores) {
  return hn::Max(RawKeys(scores), hn::Set(Ints(), -INT_MAX));
}

// Moves the keys that equal a border out of the n collected ones, and counts them.
void TakeBorders(int32_t *inside, int64_t n, int32_t low, int32_t high, BracketCounts *counts) {
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++) {
    const int32_t key = inside[i];
    inside[kept] = key;
    kept += key != low && key != high ? 1 : 0;
    counts->at_low += key == low ? 1 : 0;
    counts->at_high += key == high && low != high ? 1 : 0;
  }
  counts->inside += kept;
}

// What a span of scores adds up to. A full mask is -1 in every lane, so subtracting it counts.
struct Sums {
  hn::Vec<Ints> below, above, least, most;
};

HWY_INLINE hn::Mask<Ints> Outside(hn::Vec<Ints> key, hn::Vec<Ints> from, hn::Vec<Ints> to,
                                  Sums *sums) {
  const Ints d;
  const auto below = hn::Lt(key, from), above = hn::Gt(key, to);
  sums->below = hn::Sub(sums->below, hn::VecFromMask(d, below));
  sums->above = hn::Sub(sums->above, hn::VecFromMask(d, above));
  sums->least = hn::Min(sums->least, key);
  sums->most = hn::Max(sums->most, key);
  return hn::Or(below, above);
}

// Stores the chosen keys next to each other, and dirt after them; returns their number.
// CompressStore would store no dirt, at the price of a masked store, which is slow on some CPUs.
HWY_INLINE int64_t Append(hn::Vec<Ints> keys, hn::Mask<Ints> chosen, int32_t *to) {
  const Ints d;
  hn::StoreU(hn::Compress(keys, chosen), d, to);
  return static_cast<int64_t>(hn::CountTrue(d, chosen));
}

// A score that is not const is spent: once it was read, NaN takes its place.
template <typename Score>
HWY_INLINE void Spend(Score *scores) {
  if constexpr (!std::is_const_v<Score>) {
    const Ints d;
    hn::StoreU(hn::Set(d, -1), d, reinterpret_cast<int32_t *>(scores));
  }
}

template <typename Score>
HWY_INLINE void SpendRest(Score *scores, int64_t n) {
  if constexpr (!std::is_const_v<Score>) memset(scores, 0xFF, static_cast<size_t>(n) * 4);
}

// Four vectors at a time: keys of the bracket are rare, so one test for the four decides whether
// any has to be stored, and the rest is comparisons without branches. Where the bracket is a single
// key, that key may be frequent, and nothing needs storing.
template <typename Score>
HWY_INLINE BracketCounts CountAround(Score *scores, int64_t n, int32_t low, int32_t high,
                                     int32_t *inside) {
  const Ints d;
  const int64_t step = hn::Lanes(d);
  const auto from = hn::Set(d, low), to = hn::Set(d, high);
  Sums sums{hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  int64_t i = 0, collected = 0;
  for (; i + 4 * step <= n; i += 4 * step) {
    const auto k0 = RawKeys(scores + i), k1 = RawKeys(scores + i + step);
    const auto k2 = RawKeys(scores + i + 2 * step), k3 = RawKeys(scores + i + 3 * step);
    for (int64_t part = 0; part < 4; part++) Spend(scores + i + part * step);
    const auto o0 = Outside(k0, from, to, &sums), o1 = Outside(k1, from, to, &sums);
    const auto o2 = Outside(k2, from, to, &sums), o3 = Outside(k3, from, to, &sums);
    if (hn::AllTrue(d, hn::And(hn::And(o0, o1), hn::And(o2, o3))) || low == high) continue;
    collected += Append(k0, hn::Not(o0), inside + collected);
    collected += Append(k1, hn::Not(o1), inside + collected);
    collected += Append(k2, hn::Not(o2), inside + collected);
    collected += Append(k3, hn::Not(o3), inside + collected);
  }
  const int32_t least = hn::GetLane(hn::MinOfLanes(d, sums.least));
  const int32_t most = hn::GetLane(hn::MaxOfLanes(d, sums.most));
  if (least == INT_MIN) {
    // A NaN. Scores that are spent cannot be counted again, and nobody needs the counts.
    if (!std::is_const_v<Score>) {
      SpendRest(scores + i, n - i);
      return {0, 0, 0, 0, true};
    }
    return count_bracket_scalar(scores, n, low, high, inside);
  }
  const int64_t below = hn::GetLane(hn::SumOfLanes(d, sums.below));
  const int64_t above = hn::GetLane(hn::SumOfLanes(d, sums.above));
  BracketCounts counts{below, 0, 0, 0, least <= key_of(-INFINITY) || most >= key_of(INFINITY)};
  if (low == high) {
    counts.at_low = i - below - above;
  } else {
    TakeBorders(inside, collected, low, high, &counts);
  }
  const BracketCounts rest =
      count_bracket_scalar(scores + i, n - i, low, high, inside + counts.inside);
  counts.below += rest.below;
  counts.at_low += rest.at_low;
  counts.inside += rest.inside;
  counts.at_high += rest.at_high;
  counts.nonfinite = counts.nonfinite || rest.nonfinite;
  SpendRest(scores + i, n - i);
  return counts;
}

BracketCounts CountBracket(const float *scores, int64_t n, int32_t low, int32_t high,
                           int32_t *inside) {
  return CountAround(scores, n, low, high, inside);
}

BracketCounts SpendBracket(float *scores, int64_t n, int32_t low, int32_t high, int32_t *inside) {
  return CountAround(scores, n, low, high, inside);
}

int64_t PruneToKey(const float *scores, int32_t last, const float *weights, float *out, int64_t n,
                   bool stream) {
  const Floats d;
  const Ints di;
  const int64_t step = hn::Lanes(d);
  const auto limit = hn::Set(di, last);
  auto kept = hn::Zero(di);
  int64_t i = 0, pruned = 0;
  if (stream) {
    // Streaming needs aligned vectors.
    const uintptr_t misaligned = reinterpret_cast<uintptr_t>(out) % (step * sizeof(float));
    const int64_t ahead = static_cast<int64_t>((step - misaligned / sizeof(float)) % step);
    const int64_t head = ahead < n ? ahead : n;
    pruned += prune_to_key_scalar(scores, last, weights, out, head);
    for (i = head; i + step <= n; i += step) {
      const auto keep = hn::Gt(Keys(scores + i), limit);
      kept = hn::Sub(kept, hn::VecFromMask(di, keep));
      const auto w = hn::LoadU(d, weights + i);
      hn::Stream(hn::IfThenElseZero(hn::RebindMask(d, keep), w), d, out + i);
    }
    pruned += i - head;
    hwy::FlushStream();
  } else {
    for (; i + step <= n; i += step) {
      const auto keep = hn::Gt(Keys(scores + i), limit);
      kept = hn::Sub(kept, hn::VecFromMask(di, keep));
      const auto w = hn::LoadU(d, weights + i);
      hn::StoreU(hn::IfThenElseZero(hn::RebindMask(d, keep), w), d, out + i);
    }
    pruned += i;
  }
  pruned -= hn::GetLane(hn::SumOfLanes(di, kept));
  return pruned + prune_to_key_scalar(scores + i, last, weights + i, out + i, n - i);
}

// PruneToKey that spends the scores, and says whether one of them was not finite.
int64_t SpendToKey(float *scores, int32_t last, const float *weights, float *out, int64_t n,
                   bool stream, bool *nonfinite) {
  const Floats d;
  const Ints di;
  const int64_t step = hn::Lanes(d);
  const auto limit = hn::Set(di, last);
  auto kept = hn::Zero(di), least = hn::Zero(di), most = hn::Zero(di);
  int64_t i = 0, pruned = 0;
  const auto choose = [&] {
    const auto key = RawKeys(scores + i);
    least = hn::Min(least, key);
    most = hn::Max(most, key);
    const auto keep = hn::Gt(key, limit);
    kept = hn::Sub(kept, hn::VecFromMask(di, keep));
    Spend(scores + i);
    return hn::IfThenElseZero(hn::RebindMask(d, keep), hn::LoadU(d, weights + i));
  };
  if (stream) {
    const uintptr_t misaligned = reinterpret_cast<uintptr_t>(out) % (step * sizeof(float));
    const int64_t ahead = static_cast<int64_t>((step - misaligned / sizeof(float)) % step);
    const int64_t head = ahead < n ? ahead : n;
    for (int64_t j = 0; j < head; j++) *nonfinite = *nonfinite || !isfinite(scores[j]);
    pruned += prune_to_key_scalar(scores, last, weights, out, head);
    SpendRest(scores, head);
    for (i = head; i + step <= n; i += step) hn::Stream(choose(), d, out + i);
    pruned += i - head;
    hwy::FlushStream();
  } else {
    for (; i + step <= n; i += step) hn::StoreU(choose(), d, out + i);
    pruned += i;
  }
  pruned -= hn::GetLane(hn::SumOfLanes(di, kept));
  *nonfinite = *nonfinite || hn::GetLane(hn::MinOfLanes(di, least)) <= key_of(-INFINITY) ||
               hn::GetLane(hn::MaxOfLanes(di, most)) >= key_of(INFINITY);
  for (int64_t j = i; j < n; j++) *nonfinite = *nonfinite || !isfinite(scores[j]);
  pruned += prune_to_key_scalar(scores + i, last, weights + i, out + i, n - i);
  SpendRest(scores + i, n - i);
  return pruned;
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
HWY_EXPORT(SpendBracket);
HWY_EXPORT(PruneToKey);
HWY_EXPORT(SpendToKey);
HWY_EXPORT(KeepAfterKey);

BracketCounts count_bracket(const float *scores, int64_t n, int32_t low, int32_t high,
                            int32_t *inside) {
  return HWY_DYNAMIC_DISPATCH(CountBracket)(scores, n, low, high, inside);
}

BracketCounts spend_bracket(float *scores, int64_t n, int32_t low, int32_t high,
                            int32_t *inside) {
  return HWY_DYNAMIC_DISPATCH(SpendBracket)(scores, n, low, high, inside);
}

int64_t spend_to_key(float *scores, int32_t last, const float *weights, float *out, int64_t n,
                     bool stream, bool *nonfinite) {
  return HWY_DYNAMIC_DISPATCH(SpendToKey)(scores, last, weights, out, n, stream, nonfinite);
}

int64_t prune_to_key(const float *scores, int32_t last, const float *weights, float *out, int64_t n,
                     bool stream) {
  return HWY_DYNAMIC_DISPATCH(PruneToKey)(scores, last, weights, out, n, stream);
}

int64_t keep_after_key(const float *scores, int32_t last, uint8_t *keep, int64_t n) {
  return HWY_DYNAMIC_DISPATCH(KeepAfterKey)(scores, last, keep, n);
}

}  // namespace bh
#endif
