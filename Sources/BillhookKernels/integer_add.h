// Sums of two quantized tensors as floats.
#ifndef BH_INTEGER_ADD_H
#define BH_INTEGER_ADD_H

#include <cstdint>

namespace billhook {

// Bytes of BH_TYPE_U8 or BH_TYPE_S8; their value is (byte - zero_point) * scale.
struct QuantizedSpan {
  int32_t type;
  const void *bytes;
  float scale;
  int32_t zero_point;
};

// out[i] = min(max(a[begin + i] + b[begin + i], low), high), the same bits on every CPU.
void add_quantized(const QuantizedSpan &a, const QuantizedSpan &b, int64_t begin, int64_t count,
                   float low, float high, float *out);

}  // namespace billhook

#endif
