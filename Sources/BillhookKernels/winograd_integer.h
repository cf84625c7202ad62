// Integer 3x3 convolutions of stride 1 by Winograd's filtering, exact: the same bits as the
// definition, with a quarter of its multiplications.
//
// F(4x4, 3x3) at the points 0, +-1, +-2 has only whole numbers in its input transform, and in its
// weight transform when the fractions are left out; what is left out makes the results 9 * 2^k
// times too large. In arithmetic modulo 2^32 the 9 is divided away by a multiplication and the 2^k
// by a shift, as long as the true sums stay below 2^25.
//
// Source: Lavin and Gray, 2016 (see winograd.h). Our deviation: whole numbers modulo 2^32.
#ifndef BH_WINOGRAD_INTEGER_H
#define BH_WINOGRAD_INTEGER_H

#include <cstdint>
#include <vector>

#include "integer_layer.h"

namespace billhook {

struct IntegerWinograd {
  int64_t images, inputs, outputs;
  int64_t in[2], out[2], begin[2];  // rows, columns; begin: padding in front
  bool pools;  // y is the maxima of 2x2 results each, whose scales are not negative
  // [panel][point][pair of inputs][output of the panel][2]
  std::vector<int16_t> weights;

  int64_t tiles(int axis) const { return (out[axis] + 3) / 4; }
};

// Packs weights w: [outputs, 3, 3, inputs], zero points taken off. False when a sum could reach 2^25,
// or when the definition is likely to be as fast: `has_quads` tells that it would run as quads
// (integer_layer.h), else it takes but a few channels to be worth while.
bool pack_winograd(const std::vector<int16_t> &w, bool has_quads, IntegerWinograd *layer);
// x: [images, rows, columns, inputs] of BH_TYPE_U8 or BH_TYPE_S8; may be read 64 bytes past its
// end. y: [images, rows, columns, outputs] as the epilogue says, half as many rows and columns,
// rounded down, where the layer pools.
void run_winograd(const IntegerWinograd &layer, const Epilogue &epilogue, int32_t x_type,
                  const void *x, int32_t zero_point, void *y);

// Not for callers: the outputs of a vector and of a panel, and a piece of run_winograd.
struct WinogradPiece;
int64_t integer_winograd_lanes();
int64_t integer_winograd_panel();
void integer_winograd_piece(const IntegerWinograd &layer, const Epilogue &epilogue, int32_t x_type,
                            const void *x, int32_t zero_point, const WinogradPiece &piece, void *y);

}  // namespace billhook

#endif
