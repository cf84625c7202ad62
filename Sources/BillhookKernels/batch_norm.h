// Training batch normalisation over memory that lies as [images][blocks][pixels][block], where a
// block is 1 channel (plain order) or as many as the layout interleaves.
//
// Sums run over fixed partitions, image by image, and are combined in order and in double, so the
// result does not depend on the number of threads.
#ifndef BH_BATCH_NORM_H
#define BH_BATCH_NORM_H

#include <cstdint>

namespace billhook {

struct NormShape {
  int64_t images, channels, block, pixels;
  int64_t blocks() const { return (channels + block - 1) / block; }
  int64_t padded() const { return blocks() * block; }
};

// scratch: 2 * images * padded() floats. mean and variance (of the population): [channels].
void batch_norm_forward(const NormShape &shape, const float *x, const float *scale,
                        const float *shift, float epsilon, bool relu, float *scratch, float *mean,
                        float *variance, float *y);

// relu: y > 0 says where the gradient passes. scratch as above.
void batch_norm_backward(const NormShape &shape, const float *x, const float *y, const float *dy,
                         const float *scale, const float *mean, const float *variance,
                         float epsilon, bool relu, float *scratch, float *dx, float *dscale,
                         float *dshift);

}  // namespace billhook

#endif
