// The loops of quantization over neighbours in memory.
#ifndef BH_QUANTIZE_SPANS_H
#define BH_QUANTIZE_SPANS_H
#include <stdint.h>

namespace bh {

// Where the integers of a span end up: `is_signed` chooses between int8 and uint8.
struct QuantizedRange {
  bool is_signed;
  int32_t qmin, qmax;
};

// One channel: one scale and one zero point. x[i] and q[i] for i in [0, n).
void quantize_span(const float *x, int64_t n, float scale, int32_t zero_point,
                   const QuantizedRange &range, void *q);

// Neighbouring channels: element i has scales[i] and zero_points[i] (null = all 0).
void quantize_each(const float *x, int64_t n, const float *scales, const int32_t *zero_points,
                   const QuantizedRange &range, void *q);

// Widens [*min, *max] by x[0 ..< n], passing over NaN; the loop of bh_min_max_f32.
void widen_range(const float *x, int64_t n, float *min, float *max);

// out[i] = (q[i] - zero point) * scale. kind: 0 int8, 1 uint8, 2 int32.
void dequantize_span(int kind, const void *q, int64_t n, float scale, int32_t zero_point,
                     float *out);
void dequantize_each(int kind, const void *q, int64_t n, const float *scales,
                     const int32_t *zero_points, float *out);

}  // namespace bh
#endif
