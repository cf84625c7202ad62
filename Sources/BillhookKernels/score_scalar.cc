// The references of bh_score.h: slow, obvious, and what the tests compare against.
#include <float.h>
#include <math.h>

#include <vector>

#include "bh_score.h"
#include "channel_partition.h"
#include "exact.h"

void bh_abs_f32_scalar(const float *x, int64_t n, float *out) {
  for (int64_t i = 0; i < n; i++) out[i] = fabsf(x[i]);
}

void bh_abs_power_f32_scalar(const float *x, int64_t n, float p, float *out) {
  for (int64_t i = 0; i < n; i++) {
    out[i] = p == 1 ? fabsf(x[i]) : p == 2 ? x[i] * x[i] : powf(fabsf(x[i]), p);
  }
}

void bh_abs_times_channel_f32_scalar(const float *x, int64_t first, int64_t n, const float *factors,
                                     int64_t channels, int64_t inner, float *out) {
  for (int64_t i = 0; i < n; i++) {
    out[i] = fabsf(x[i]) * factors[(first + i) / inner % channels];
  }
}

namespace {

// The sum of term(x[i]) over one channel of one outer index, in the order of the header.
template <typename Term>
double segment_sum(const float *x, int64_t inner, Term term) {
  double lanes[16] = {};
  for (int64_t i = 0; i < inner; i++) lanes[i % 16] += term(x[i]);
  for (int step = 8; step > 0; step /= 2) {
    for (int l = 0; l < step; l++) lanes[l] += lanes[l + step];
  }
  return lanes[0];
}

// Adds the sums of term(x) to totals, [channels].
template <typename Term>
void add_channel_sums(const float *x, int64_t outer, int64_t channels, int64_t inner, Term term,
                      double *totals) {
  if (totals == nullptr) return;
  const bh::ChannelPartition partition(outer, channels, inner);
  for (int64_t part = 0; part < partition.parts; part++) {
    const int64_t begin = part * partition.outer_grain;
    const int64_t end = std::min(outer, begin + partition.outer_grain);
    for (int64_t c = 0; c < channels; c++) {
      double sum = 0;
      for (int64_t o = begin; o < end; o++) {
        sum += segment_sum(x + (o * channels + c) * inner, inner, term);
      }
      totals[c] += sum;
    }
  }
}

}  // namespace

void bh_channel_power_sums_f32_scalar(const float *x, int64_t outer, int64_t channels,
                                      int64_t inner, float p, double *sums) {
  for (int64_t c = 0; c < channels; c++) sums[c] = 0;
  auto term = [p](float v) -> double {
    const double a = fabs(static_cast<double>(v));
    return p == 1 ? a : p == 2 ? a * a : pow(a, p);
  };
  add_channel_sums(x, outer, channels, inner, term, sums);
}

void bh_channel_statistics_f32_scalar(const float *x, int64_t outer, int64_t channels,
                                      int64_t inner, double *abs_sums, double *square_sums,
                                      double *zeros) {
  add_channel_sums(
      x, outer, channels, inner, [](float v) -> double { return fabs(v); }, abs_sums);
  add_channel_sums(
      x, outer, channels, inner,
      [](float v) { return static_cast<double>(v) * static_cast<double>(v); }, square_sums);
  add_channel_sums(
      x, outer, channels, inner, [](float v) { return v == 0 ? 1.0 : 0.0; }, zeros);
}

void bh_min_max_f32_scalar(const float *x, int64_t n, float *min, float *max) {
  float low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < n; i++) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  // Adding +0 turns -0 into +0, so that the order of equal zeros cannot show.
  *min = low + 0.0f;
  *max = high + 0.0f;
}

void bh_channel_min_max_f32_scalar(const float *x, int64_t outer, int64_t channels, int64_t inner,
                                   float *min, float *max) {
  for (int64_t c = 0; c < channels; c++) {
    min[c] = INFINITY;
    max[c] = -INFINITY;
    for (int64_t o = 0; o < outer; o++) {
      float low, high;
      bh_min_max_f32_scalar(x + (o * channels + c) * inner, inner, &low, &high);
      if (low < min[c]) min[c] = low;
      if (high > max[c]) max[c] = high;
    }
  }
}

void bh_histogram_f32_scalar(const float *x, int64_t n, float low, float high, int64_t bins,
                             uint64_t *counts) {
  const float factor = static_cast<float>(bins) / (high - low);
  for (int64_t i = 0; i < n; i++) {
    if (x[i] != x[i]) continue;
    const float position = (x[i] - low) * factor;
    int64_t bin = 0;
    if (position >= static_cast<float>(bins)) {
      bin = bins - 1;
    } else if (position > 0) {
      bin = static_cast<int64_t>(position);
    }
    counts[bin]++;
  }
}

int64_t bh_count_nonfinite_f32_scalar(const float *x, int64_t n) {
  int64_t count = 0;
  for (int64_t i = 0; i < n; i++) count += fabsf(x[i]) <= FLT_MAX ? 0 : 1;
  return count;
}
