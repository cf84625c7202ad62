// Exact integer convolutions and matrix products behind bh_plan_conv_integer and its like.
//
// Four bytes of inputs at a time are multiplied with four bytes of weights for each output, in one of
// two forms. Pairs, on every CPU: both operands are widened to int16 (with the zero points taken
// off); two products are at most 2 * 255 * 255, so nothing saturates, and on AVX2 there are as many
// multiplications a cycle as in the saturating u8 x s8 form. Quads, where the CPU has VNNI: unsigned
// bytes times signed ones, twice as many multiplications a cycle. Sums then start at what the zero
// point adds to them, taken off; in wrapping arithmetic both forms give the same 32 bits.
#ifndef BH_INTEGER_LAYER_H
#define BH_INTEGER_LAYER_H

#include <cstdint>
#include <vector>

namespace billhook {

// Weights [O][segment][group] packed for a vector unit: blocks of outputs, the last with fewer
// vectors; within a block, for each segment and each group of its elements, the groups of all
// outputs.
//
// A segment is a run of inputs that lie side by side in memory: a row of the window times the
// channels.
struct PackedWeights {
  int64_t outputs, segments, length;  // length: elements a segment, before padding to groups
  int64_t group;                      // elements in four bytes: 2 (pairs) or 4 (quads)
  std::vector<int32_t> values;
  std::vector<int32_t> sums;  // of each output's weights, padded to whole vectors
  int64_t groups() const { return (length + group - 1) / group; }
  int64_t element_bytes() const { return 4 / group; }
  int64_t padded_outputs() const { return static_cast<int64_t>(sums.size()); }
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

// Output pixels: p reads inputs from element base[p] + segment_offset[s] on and writes `outputs`
// values at out + p * out_stride elements. Up to three bytes behind each segment may be read.
struct IntegerTask {
  const PackedWeights *weights;
  const Epilogue *epilogue;
  const void *input;      // as copy_inputs makes them
  const int32_t *starts;  // what the sums start at, [outputs] padded to whole vectors
  const int64_t *base;
  const int64_t *segment_offset;
  void *out;
  int64_t out_stride;
};

// A part of a task: pixels [begin, end), whole blocks of outputs, and of each segment the groups
// [first_group, last_group). A part of the groups leaves its bare sums in `sums`, [pixels][padded
// outputs] from pixel 0 on; else that is null.
struct IntegerPart {
  int64_t begin, end, first_block, last_block, first_group, last_group;
  int32_t *sums;
};

// The number of outputs in a block of weights on this CPU, whose arrays [O] are padded to it.
int64_t integer_block();
// The elements of a group for these weights, zero points taken off, on this CPU.
int64_t integer_group(const std::vector<int16_t> &w);
// w: [outputs, segments * length], already in segment order, zero points taken off.
PackedWeights pack_weights(const int16_t *w, int64_t outputs, int64_t segments, int64_t length,
                           int64_t group);
void run_integer(const IntegerTask &task, const IntegerPart &part);
// What becomes of `outputs` sums, padded to whole vectors.
void store_sums(const Epilogue &epilogue, int64_t outputs, const int32_t *sums, void *out);

// n inputs of BH_TYPE_U8 or BH_TYPE_S8 as the weights' form reads them: int16 without the zero
// point, or unsigned bytes.
void copy_inputs(const PackedWeights &weights, int32_t type, const void *in, int64_t n,
                 int32_t zero_point, void *out);
// n inputs that are the zero point.
void fill_zero(const PackedWeights &weights, int32_t type, int64_t n, int32_t zero_point,
               void *out);
// What the sums of such inputs start at, as many numbers as weights.sums has.
void starts_of(const PackedWeights &weights, int32_t type, int32_t zero_point, int32_t *starts);

}  // namespace billhook

#endif
