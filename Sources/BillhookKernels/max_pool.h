// Max pooling over memory that lies as [images][blocks][rows][columns][block]: for training with
// the position of each maximum kept for the way back, for inference with what follows it in one
// pass.
//
// oneDNN's form takes four times as long as memory needs on AVX2.
#ifndef BH_MAX_POOL_H
#define BH_MAX_POOL_H

#include <cstdint>

#include "bh_plan.h"
#include "quantize_spans.h"

namespace billhook {

struct PoolShape {
  int64_t planes;         // images * blocks
  int64_t block;          // channels side by side: a multiple of the vector's length
  int64_t in[2], out[2];  // rows, columns
  int64_t kernel[2], stride[2], begin[2];
};

// True when this CPU's vectors divide the block and a position fits a byte.
bool max_pool_fits(const PoolShape &shape);
// where: one byte an output: row * kernel columns + column of the maximum within its window; of
// equal ones the first.
void max_pool_forward(const PoolShape &shape, const float *x, float *y, uint8_t *where);
void max_pool_backward(const PoolShape &shape, const float *dy, const uint8_t *where, float *dx);

void max_pool(const PoolShape &shape, bh_bounds bounds, const float *x, float *y);
// One row of one plane; `step` elements lie between neighbours in y. On the calling thread.
void max_pool_row(const PoolShape &shape, bh_bounds bounds, const float *x, int64_t row, float *y,
                  int64_t step);
// The same, rounded to integers by one scale and zero point, with all channels of a place side by
// side: q is [images][rows][columns][channels]. The blocks of an image hold exactly `channels`.
void max_pool_quantized(const PoolShape &shape, bh_bounds bounds, int64_t channels, const float *x,
                        float scale, int32_t zero_point, const bh::QuantizedRange &range, void *q);

// Pooling of bytes, int8 or uint8, with all channels of a place side by side: x is
// [planes][rows][columns][block] with images as planes and channels as a block of any size.
void max_pool_bytes(const PoolShape &shape, bool is_signed, const void *x, void *y);

}  // namespace billhook

#endif
