// 3x3 convolutions of stride 1 by Winograd's minimal filtering, over memory that lies as
// [images][blocks][rows][columns][block].
//
// F(4x4, 3x3) needs 4 times fewer multiplications than the definition, F(2x2, 3x3) 2.25 times. The
// input and the weights are transformed, multiplied as one matrix product for each of the 36 (16)
// points of a tile, and transformed back.
//
// Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1,
// arXiv:1509.09308. Our deviation: F(4x4) interpolates at 0, +-1/sqrt(2), +-sqrt(2) instead of 0,
// +-1, +-2, which keeps the factors of the transforms near 1 and the rounding error lower.
#ifndef BH_WINOGRAD_H
#define BH_WINOGRAD_H

#include <cstdint>

namespace billhook {

struct WinogradShape {
  int64_t images, inputs, outputs;  // channels
  int64_t block;                    // channels side by side: a multiple of the vector's length
  int64_t in[2], out[2], begin[2];  // rows, columns; begin: padding in front
  int64_t tile;                     // outputs a side: 2 or 4

  int64_t side() const { return tile + 2; }
  int64_t points() const { return side() * side(); }
  int64_t tiles(int axis) const { return (out[axis] + tile - 1) / tile; }
  int64_t all_tiles() const { return images * tiles(0) * tiles(1); }
  int64_t padded(int64_t channels) const { return (channels + block - 1) / block * block; }
};

// What is done to each output: y = min(max(sum + bias + residual, low), high).
struct WinogradTail {
  const float *bias;      // [outputs], or null
  const float *residual;  // laid out as y, or null
  float low, high;        // infinite: no bound. 0 must lie between them.
};

// The number of channels that lie side by side for this CPU, and of outputs multiplied together.
int64_t winograd_block();
int64_t winograd_panel();
// The tile that costs least for the shape (of which `tile` is not read), or 0 when the definition
// is likely to be as fast: a function of the shape alone.
int64_t winograd_tile(const WinogradShape &shape);

// Floats of the transformed weights.
int64_t winograd_weight_count(const WinogradShape &shape);
// Transforms weights. w: plain [outputs, inputs, 3, 3]; or, when `rotated`, plain [inputs, outputs,
// 3, 3] with each window turned by half a turn: the weights of the gradient by the input.
void winograd_weights(const WinogradShape &shape, const float *w, bool rotated, float *out);

// y = tail(x * weights). Padding channels of x must be finite; those of y become zero. The bytes do
// not depend on the number of threads. y may be the residual, but not x.
void winograd_forward(const WinogradShape &shape, const float *x, const float *weights,
                      const WinogradTail &tail, float *y);

// Not for callers: a piece of winograd_forward.
struct WinogradPiece;
void winograd_piece(const WinogradShape &shape, const float *x, const float *weights,
                    const WinogradTail &tail, const WinogradPiece &piece, float *y);

}  // namespace billhook

#endif
