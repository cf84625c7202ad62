// Integer convolutions and matrix products by their definition: integer_layer.h shared out over threads.
#ifndef BH_INTEGER_DIRECT_H
#define BH_INTEGER_DIRECT_H

#include "integer_geometry.h"

namespace billhook {

struct IntegerDirectConvolution {
  IntegerGeometry g;
  std::vector<PackedWeights> weights;  // a group each
  std::vector<Epilogue> epilogues;
  std::vector<int64_t> base, segment_offset;
  std::vector<int32_t> starts;  // [groups][padded outputs]
  std::vector<char> framed;     // all images, when the batch is too small to share out

  // w: [outputs][taps][channels of a group], zero points taken off.
  IntegerDirectConvolution(const IntegerGeometry &geometry, const std::vector<int16_t> &w,
                           std::vector<Epilogue> tails);
  // x: channels last, BH_TYPE_U8 or BH_TYPE_S8; y as the epilogues say. `is_long`: four bytes behind
  // x may be read.
  void run(int32_t x_type, const void *x, bool is_long, int32_t zero_point, void *y);

 private:
  bool by_image() const { return g.batch >= 8; }
  void run_image(const void *input, const IntegerPart &part, uint8_t *y) const;
};

struct IntegerDense {
  int64_t rows, inputs;
  PackedWeights weights;
  Epilogue tail;
  std::vector<int64_t> base;
  std::vector<int32_t> starts, sums;
  std::vector<char> copied;

  // w: [outputs][inputs], zero points taken off.
  IntegerDense(int64_t rows, int64_t inputs, int64_t outputs, const std::vector<int16_t> &w,
               Epilogue tail);
  // x: [rows][inputs]; the rest as in a convolution.
  void run(int32_t x_type, const void *x, bool is_long, int32_t zero_point, void *y);
};

}  // namespace billhook

#endif
