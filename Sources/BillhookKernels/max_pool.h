// Max pooling for training over memory that lies as [images][blocks][rows][columns][block], with
// the position of each maximum kept for the way back.
//
// oneDNN's form takes four times as long as memory needs on AVX2.
#ifndef BH_MAX_POOL_H
#define BH_MAX_POOL_H

#include <cstdint>

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

}  // namespace billhook

#endif
