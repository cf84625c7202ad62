// Quantization of whole tensors: which channel a run of memory belongs to, and the threads.
#include <math.h>

#include <algorithm>

#include "bh_quantize.h"
#include "bh_score.h"
#include "exact.h"
#include "parallel.h"
#include "quantize_spans.h"

namespace bh {
namespace {

// Calls one(first element, count, channel) for runs of one channel, or each(first element, count,
// first channel) for runs of neighbouring channels, over all of a [outer, channels, inner] array.
template <typename One, typename Each>
void for_channel_runs(int64_t outer, int64_t channels, int64_t inner, const One &one,
                      const Each &each) {
  if (channels <= 0 || inner <= 0) return;
  parallel_for(outer * channels * inner, streaming_grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t c = i / inner % channels;
      if (channels == 1) {
        one(i, end - i, 0);
        return;
      }
      if (inner == 1) {
        const int64_t run = std::min(end - i, channels - c);
        each(i, run, c);
        i += run;
      } else {
        const int64_t run = std::min(end - i, inner - i % inner);
        one(i, run, c);
        i += run;
      }
    }
  });
}

void quantize(const float *x, int64_t outer, int64_t channels, int64_t inner, const float *scales,
              const int32_t *zero_points, const QuantizedRange &range, char *q) {
  for_channel_runs(
      outer, channels, inner,
      [=](int64_t i, int64_t n, int64_t c) {
        const int32_t zero_point = zero_points == nullptr ? 0 : zero_points[c];
        quantize_span(x + i, n, scales[c], zero_point, range, q + i);
      },
      [=](int64_t i, int64_t n, int64_t c) {
        const int32_t *zeros = zero_points == nullptr ? nullptr : zero_points + c;
        quantize_each(x + i, n, scales + c, zeros, range, q + i);
      });
}

// Makes the scale and the zero point of channel c from its range.
struct ScaleMaker {
  bool symmetric;
  QuantizedRange range;
  float *scales;
  int32_t *zero_points;

  void make(int64_t c, float min, float max) const {
    if (min > max) min = max = 0;  // no numbers at all
    if (!symmetric) {
      scales[c] = bh_affine_scale(min, max, range.qmin, range.qmax, &zero_points[c]);
      return;
    }
    scales[c] = bh_symmetric_scale(min, max, range.qmax);
    if (zero_points != nullptr) zero_points[c] = 0;
  }
};

void quantize_channels(const float *x, int64_t outer, int64_t channels, int64_t inner,
                       const ScaleMaker &maker, char *q) {
  const int32_t *zero_points = maker.symmetric ? nullptr : maker.zero_points;
  if (outer == 1 && channels > 1 && inner <= streaming_grain) {
    // Channels that stay in the cache between the search of their range and their rounding.
    const int64_t grain = std::max<int64_t>(1, streaming_grain / std::max<int64_t>(1, inner));
    parallel_for(channels, grain, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; c++) {
        const float *row = x + c * inner;
        float min = INFINITY, max = -INFINITY;
        widen_range(row, inner, &min, &max);
        maker.make(c, min, max);
        quantize_span(row, inner, maker.scales[c], zero_points == nullptr ? 0 : zero_points[c],
                      maker.range, q + c * inner);
      }
    });
    return;
  }
  // Ranges of 64 channels at a time; a tensor has few enough of them for this to be no cost.
  constexpr int64_t batch = 64;
  if (outer == 1 || channels == 1) {
    for (int64_t c = 0; c < channels; c++) {
      float min, max;
      bh_min_max_f32(x + c * inner, channels == 1 ? outer * inner : inner, &min, &max);
      maker.make(c, min, max);
    }
  } else {
    parallel_for(channels, batch, [&](int64_t begin, int64_t end) {
      float mins[batch], maxs[batch];
      for (int64_t c = begin; c < end; c++) mins[c - begin] = INFINITY, maxs[c - begin] = -INFINITY;
      for (int64_t o = 0; o < outer; o++) {
        for (int64_t c = begin; c < end; c++) {
          widen_range(x + (o * channels + c) * inner, inner, &mins[c - begin], &maxs[c - begin]);
        }
      }
      for (int64_t c = begin; c < end; c++) maker.make(c, mins[c - begin], maxs[c - begin]);
    });
  }
  quantize(x, outer, channels, inner, maker.scales, zero_points, maker.range, q);
}

void dequantize(int kind, const char *q, int64_t outer, int64_t channels, int64_t inner,
                const float *scales, const int32_t *zero_points, float *out) {
  const int64_t size = kind == 2 ? 4 : 1;
  for_channel_runs(
      outer, channels, inner,
      [=](int64_t i, int64_t n, int64_t c) {
        const int32_t zero_point = zero_points == nullptr ? 0 : zero_points[c];
        dequantize_span(kind, q + i * size, n, scales[c], zero_point, out + i);
      },
      [=](int64_t i, int64_t n, int64_t c) {
        const int32_t *zeros = zero_points == nullptr ? nullptr : zero_points + c;
        dequantize_each(kind, q + i * size, n, scales + c, zeros, out + i);
      });
}

}  // namespace
}  // namespace bh

void bh_quantize_f32_s8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                        const float *scales, const int32_t *zero_points, int32_t qmin, int32_t qmax,
                        int8_t *q) {
  bh::quantize(x, outer, channels, inner, scales, zero_points, {true, qmin, qmax},
               reinterpret_cast<char *>(q));
}

void bh_quantize_f32_u8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                        const float *scales, const int32_t *zero_points, int32_t qmin, int32_t qmax,
                        uint8_t *q) {
  bh::quantize(x, outer, channels, inner, scales, zero_points, {false, qmin, qmax},
               reinterpret_cast<char *>(q));
}

void bh_quantize_channels_f32_s8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                                 int32_t symmetric, int32_t qmin, int32_t qmax, float *scales,
                                 int32_t *zero_points, int8_t *q) {
  bh::quantize_channels(x, outer, channels, inner,
                        {symmetric != 0, {true, qmin, qmax}, scales, zero_points},
                        reinterpret_cast<char *>(q));
}

void bh_quantize_channels_f32_u8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                                 int32_t symmetric, int32_t qmin, int32_t qmax, float *scales,
                                 int32_t *zero_points, uint8_t *q) {
  bh::quantize_channels(x, outer, channels, inner,
                        {symmetric != 0, {false, qmin, qmax}, scales, zero_points},
                        reinterpret_cast<char *>(q));
}

void bh_dequantize_s8_f32(const int8_t *q, int64_t outer, int64_t channels, int64_t inner,
                          const float *scales, const int32_t *zero_points, float *out) {
  bh::dequantize(0, reinterpret_cast<const char *>(q), outer, channels, inner, scales, zero_points,
                 out);
}

void bh_dequantize_u8_f32(const uint8_t *q, int64_t outer, int64_t channels, int64_t inner,
                          const float *scales, const int32_t *zero_points, float *out) {
  bh::dequantize(1, reinterpret_cast<const char *>(q), outer, channels, inner, scales, zero_points,
                 out);
}

void bh_dequantize_s32_f32(const int32_t *q, int64_t outer, int64_t channels, int64_t inner,
                           const float *scales, const int32_t *zero_points, float *out) {
  bh::dequantize(2, reinterpret_cast<const char *>(q), outer, channels, inner, scales, zero_points,
                 out);
}
