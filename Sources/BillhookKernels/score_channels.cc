// Reductions of bh_score.h: sums, ranges and histograms.
#include <math.h>

#include <algorithm>
#include <atomic>
#include <vector>

#include "bh_score.h"
#include "channel_partition.h"
#include "parallel.h"
#include "quantize_spans.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "score_channels.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::CappedTag<double, 16>;
using Wide = hn::Vec<Doubles>;
constexpr int kWideLanes = static_cast<int>(hn::MaxLanes(Doubles()));

// What is added up for each element. `padding` is a value that adds 0.
struct AbsTerm {
  static constexpr float padding = 0;
  Wide operator()(Doubles, Wide v) const { return hn::Abs(v); }
};
struct SquareTerm {
  static constexpr float padding = 0;
  Wide operator()(Doubles, Wide v) const { return hn::Mul(v, v); }
};
struct ZeroTerm {
  static constexpr float padding = 1;
  Wide operator()(Doubles d, Wide v) const {
    return hn::IfThenElseZero(hn::Eq(v, hn::Zero(d)), hn::Set(d, 1.0));
  }
};

template <typename Term>
HWY_INLINE Wide TermAt(const float *x, Term term) {
  const Doubles d;
  const hn::Rebind<float, Doubles> narrow;
  return term(d, hn::PromoteTo(d, hn::LoadU(narrow, x)));
}

// The sum over x[0 ..< inner] in 16 lanes.
template <typename Term>
double SegmentSum(const float *x, int64_t inner, Term term) {
  const Doubles d;
  constexpr int vectors = 16 / kWideLanes;
  Wide lanes[vectors];
  for (int j = 0; j < vectors; j++) lanes[j] = hn::Zero(d);
  int64_t i = 0;
  for (; i + 16 <= inner; i += 16) {
    for (int j = 0; j < vectors; j++) {
      lanes[j] = hn::Add(lanes[j], TermAt(x + i + j * kWideLanes, term));
    }
  }
  if (i < inner) {
    float rest[16];
    for (int l = 0; l < 16; l++) rest[l] = i + l < inner ? x[i + l] : Term::padding;
    for (int j = 0; j < vectors; j++) {
      lanes[j] = hn::Add(lanes[j], TermAt(rest + j * kWideLanes, term));
    }
  }
  double sums[16];
  for (int j = 0; j < vectors; j++) hn::StoreU(lanes[j], d, sums + j * kWideLanes);
  for (int step = 8; step > 0; step /= 2) {
    for (int l = 0; l < step; l++) sums[l] += sums[l + step];
  }
  return sums[0];
}

// sums[c] += the terms of one outer index whose channels are neighbours.
template <typename Term>
void AddNeighbours(const float *x, int64_t channels, Term term, double *sums) {
  const Doubles d;
  int64_t c = 0;
  for (; c + kWideLanes <= channels; c += kWideLanes) {
    hn::StoreU(hn::Add(hn::LoadU(d, sums + c), TermAt(x + c, term)), d, sums + c);
  }
  for (; c < channels; c++) sums[c] += SegmentSum(x + c, 1, term);
}

template <typename Term>
void ChannelSums(const float *x, int64_t outer, int64_t stride, int64_t channels, int64_t inner,
                 double *sums) {
  const Term term;
  for (int64_t o = 0; o < outer; o++) {
    const float *plane = x + o * stride;
    if (inner == 1) {
      AddNeighbours(plane, channels, term, sums);
    } else {
      for (int64_t c = 0; c < channels; c++) sums[c] += SegmentSum(plane + c * inner, inner, term);
    }
  }
}

// Adds to sums, [channels]; `stride` is the distance of outer indices. kind: 0 |x|, 1 x^2, 2 zeros.
void AddChannelSums(int kind, const float *x, int64_t outer, int64_t stride, int64_t channels,
                    int64_t inner, double *sums) {
  if (kind == 0) return ChannelSums<AbsTerm>(x, outer, stride, channels, inner, sums);
  if (kind == 1) return ChannelSums<SquareTerm>(x, outer, stride, channels, inner, sums);
  ChannelSums<ZeroTerm>(x, outer, stride, channels, inner, sums);
}

// Widens [*min, *max] by x[0 ..< n].
void MinMaxSpan(const float *x, int64_t n, float *min, float *max) {
  const hn::ScalableTag<float> d;
  const int64_t step = hn::Lanes(d);
  float low = *min, high = *max;
  int64_t i = 0;
  if (n >= 2 * step) {
    auto low0 = hn::Set(d, low), low1 = low0, high0 = hn::Set(d, high), high1 = high0;
    for (; i + 2 * step <= n; i += 2 * step) {
      const auto v0 = hn::LoadU(d, x + i), v1 = hn::LoadU(d, x + i + step);
      // Comparisons instead of Min and Max, whose treatment of NaN depends on the CPU.
      low0 = hn::IfThenElse(hn::Lt(v0, low0), v0, low0);
      low1 = hn::IfThenElse(hn::Lt(v1, low1), v1, low1);
      high0 = hn::IfThenElse(hn::Gt(v0, high0), v0, high0);
      high1 = hn::IfThenElse(hn::Gt(v1, high1), v1, high1);
    }
    HWY_ALIGN float lows[HWY_MAX_BYTES / sizeof(float)], highs[HWY_MAX_BYTES / sizeof(float)];
    hn::Store(hn::Min(low0, low1), d, lows);
    hn::Store(hn::Max(high0, high1), d, highs);
    for (int64_t l = 0; l < step; l++) {
      low = std::min(low, lows[l]);
      high = std::max(high, highs[l]);
    }
  }
  for (; i < n; i++) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  *min = low + 0.0f;
  *max = high + 0.0f;
}

// Widens the ranges of neighbouring channels by one outer index.
void MinMaxNeighbours(const float *x, int64_t channels, float *min, float *max) {
  const hn::ScalableTag<float> d;
  const int64_t step = hn::Lanes(d);
  int64_t c = 0;
  for (; c + step <= channels; c += step) {
    const auto v = hn::Add(hn::LoadU(d, x + c), hn::Zero(d));
    const auto low = hn::LoadU(d, min + c), high = hn::LoadU(d, max + c);
    hn::StoreU(hn::IfThenElse(hn::Lt(v, low), v, low), d, min + c);
    hn::StoreU(hn::IfThenElse(hn::Gt(v, high), v, high), d, max + c);
  }
  for (; c < channels; c++) MinMaxSpan(x + c, 1, min + c, max + c);
}

// index[i] = the bin of x[i], or `bins` for NaN.
void BinSpan(const float *x, int64_t n, float low, float factor, int64_t bins, int32_t *index) {
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const int64_t step = hn::Lanes(d);
  const auto none = hn::Set(di, static_cast<int32_t>(bins));
  const auto last = hn::Set(d, static_cast<float>(bins - 1));
  const auto from = hn::Set(d, low), by = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + step <= n; i += step) {
    const auto v = hn::LoadU(d, x + i);
    const auto exact = hn::Mul(hn::Sub(v, from), by);
    const auto positive = hn::IfThenElseZero(hn::Gt(exact, hn::Zero(d)), exact);
    const auto clamped = hn::IfThenElse(hn::Lt(positive, last), positive, last);
    const auto bin = hn::ConvertTo(di, clamped);
    hn::StoreU(hn::IfThenElse(hn::RebindMask(di, hn::Eq(v, v)), bin, none), di, index + i);
  }
  for (; i < n; i++) {
    const float exact = (x[i] - low) * factor, end = static_cast<float>(bins - 1);
    const float positive = exact > 0 ? exact : 0;
    const int32_t bin = static_cast<int32_t>(positive < end ? positive : end);
    index[i] = x[i] == x[i] ? bin : static_cast<int32_t>(bins);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(AddChannelSums);
HWY_EXPORT(MinMaxSpan);
HWY_EXPORT(MinMaxNeighbours);
HWY_EXPORT(BinSpan);

namespace {

void add_channel_sums(int kind, const float *x, int64_t outer, int64_t channels, int64_t inner,
                      double *totals) {
  if (totals == nullptr || outer <= 0 || channels <= 0) return;
  const ChannelPartition cut(outer, channels, inner);
  std::vector<double> partial(static_cast<size_t>(cut.parts * channels));
  parallel_for(cut.parts * cut.channel_runs, 1, [&](int64_t begin, int64_t end) {
    for (int64_t job = begin; job < end; job++) {
      const int64_t part = job / cut.channel_runs, o = part * cut.outer_grain;
      const int64_t c = job % cut.channel_runs * cut.channel_grain;
      HWY_DYNAMIC_DISPATCH(AddChannelSums)
      (kind, x + (o * channels + c) * inner, std::min(cut.outer_grain, outer - o), channels * inner,
       std::min(cut.channel_grain, channels - c), inner, partial.data() + part * channels + c);
    }
  });
  for (int64_t part = 0; part < cut.parts; part++) {
    for (int64_t c = 0; c < channels; c++) totals[c] += partial[part * channels + c];
  }
}

}  // namespace

void widen_range(const float *x, int64_t n, float *min, float *max) {
  HWY_DYNAMIC_DISPATCH(MinMaxSpan)(x, n, min, max);
}

}  // namespace bh

void bh_channel_power_sums_f32(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               float p, double *sums) {
  if (p != 1 && p != 2) {
    return bh_channel_power_sums_f32_scalar(x, outer, channels, inner, p, sums);
  }
  for (int64_t c = 0; c < channels; c++) sums[c] = 0;
  bh::add_channel_sums(p == 1 ? 0 : 1, x, outer, channels, inner, sums);
}

void bh_channel_statistics_f32(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               double *abs_sums, double *square_sums, double *zeros) {
  bh::add_channel_sums(0, x, outer, channels, inner, abs_sums);
  bh::add_channel_sums(1, x, outer, channels, inner, square_sums);
  bh::add_channel_sums(2, x, outer, channels, inner, zeros);
}

void bh_min_max_f32(const float *x, int64_t n, float *min, float *max) {
  constexpr int64_t most = 64;
  float lows[most], highs[most];
  const int64_t grain = std::max(bh::streaming_grain, (n + most - 1) / most);
  const int64_t pieces = (n + grain - 1) / grain;
  bh::parallel_for(n, grain, [&](int64_t begin, int64_t end) {
    float low = INFINITY, high = -INFINITY;
    HWY_DYNAMIC_DISPATCH(bh::MinMaxSpan)(x + begin, end - begin, &low, &high);
    lows[begin / grain] = low;
    highs[begin / grain] = high;
  });
  *min = INFINITY;
  *max = -INFINITY;
  for (int64_t i = 0; i < pieces; i++) {
    *min = std::min(*min, lows[i]);
    *max = std::max(*max, highs[i]);
  }
}

void bh_channel_min_max_f32(const float *x, int64_t outer, int64_t channels, int64_t inner,
                            float *min, float *max) {
  if (channels == 1) return bh_min_max_f32(x, outer * inner, min, max);
  const int64_t depth = std::max<int64_t>(1, outer * inner);
  const int64_t grain = (bh::streaming_grain + depth - 1) / depth;
  bh::parallel_for(channels, grain, [=](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; c++) {
      min[c] = INFINITY;
      max[c] = -INFINITY;
    }
    for (int64_t o = 0; o < outer; o++) {
      const float *plane = x + o * channels * inner;
      if (inner == 1) {
        HWY_DYNAMIC_DISPATCH(bh::MinMaxNeighbours)
        (plane + begin, end - begin, min + begin, max + begin);
      } else {
        for (int64_t c = begin; c < end; c++) {
          HWY_DYNAMIC_DISPATCH(bh::MinMaxSpan)(plane + c * inner, inner, min + c, max + c);
        }
      }
    }
  });
}

void bh_histogram_f32(const float *x, int64_t n, float low, float high, int64_t bins,
                      uint64_t *counts) {
  const float factor = static_cast<float>(bins) / (high - low);
  // A table for each piece, and pieces large against the table.
  const int64_t grain = std::max(bh::streaming_grain, 8 * bins);
  bh::parallel_for(n, grain, [=](int64_t begin, int64_t end) {
    std::vector<uint32_t> local(static_cast<size_t>(bins + 1));
    int32_t index[1024];
    for (int64_t i = begin; i < end; i += 1024) {
      const int64_t count = std::min<int64_t>(1024, end - i);
      HWY_DYNAMIC_DISPATCH(bh::BinSpan)(x + i, count, low, factor, bins, index);
      for (int64_t j = 0; j < count; j++) local[index[j]]++;
    }
    for (int64_t b = 0; b < bins; b++) {
      if (local[b] != 0) __atomic_fetch_add(counts + b, local[b], __ATOMIC_RELAXED);
    }
  });
}
#endif
