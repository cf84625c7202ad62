// Exact integer convolutions and matrix products behind bh_plan_conv_integer and its like.
//
// Both operands are widened to int16 (with the zero points taken off) and multiplied in pairs into
// int32: a pair of products is at most 2 * 255 * 255, so nothing saturates on any CPU. On AVX2 the
// pair instruction has the same number of multiplications a cycle as the saturating u8 x s8 form.
#ifndef BH_INTEGER_LAYER_H
#define BH_INTEGER_LAYER_H

#include <cstdint>
#include <vector>

namespace billhook {

// Weights [O][segment][pair] packed for a vector unit: blocks of `block` outputs; within a block,
// for each segment and each pair of its elements, the pairs of all outputs of the block.
//
// A segment is a run of inputs that lie side by side in memory: a row of the window times the
// channels.
struct PackedWeights {
  int64_t outputs, block, segments, length;  // length: elements a segment, before padding to pairs
  std::vector<int16_t> values;
  int64_t pairs() const { return (length + 1) / 2; }
};

// What becomes of the sums: y = sum * scale + bias, between low and high. [O] arrays are padded to
// a multiple of the block.
struct Epilogue {
  std::vector<float> scale, bias;
  int32_t out_type;  // BH_TYPE_*
  // U8, S8: y / out_scale is what must lie between low and high, which also keep it in the type.
  float low, high;
  float out_scale;
  int32_t out_zero_point;
  float out_inverse;  // 1 / out_scale, or 0 when it is not a normal number
};

// One call: output pixels [begin, end), pixel p reading int16 inputs at input + base[p] +
// segment_offset[s] and writing `outputs` values at out + p * out_stride elements. Inputs may be
// read one element past each segment.
struct IntegerTask {
  const PackedWeights *weights;
  const Epilogue *epilogue;
  const int16_t *input;
  const int64_t *base;
  const int64_t *segment_offset;
  void *out;
  int64_t out_stride;
};

// The number of outputs that weights must be packed in for this CPU.
int64_t integer_block();
// w: [outputs, segments * length], already in segment order, zero points taken off.
PackedWeights pack_weights(const std::vector<int16_t> &w, int64_t outputs, int64_t segments,
                           int64_t length);
void run_integer(const IntegerTask &task, int64_t begin, int64_t end);
// out[i] = in[i] - zero_point.
void widen_u8(const uint8_t *in, int64_t n, int32_t zero_point, int16_t *out);
void widen_s8(const int8_t *in, int64_t n, int32_t zero_point, int16_t *out);

}  // namespace billhook

#endif
