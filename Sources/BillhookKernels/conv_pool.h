// A convolution of few channels with the max pooling behind it, in one pass: the first layer of a
// network on images.
//
// Such a layer makes many times as much as it reads, and the pooling throws most of that away. Here
// a band of rows stays in the cache between the two, so memory sees only what is left.
#ifndef BH_CONV_POOL_H
#define BH_CONV_POOL_H

#include <cstdint>
#include <vector>

#include "max_pool.h"

namespace billhook {

struct ConvPool {
  int64_t images, inputs, outputs;
  int64_t in[2];  // rows, columns of x, which is [images][inputs][rows][columns]
  int64_t kernel[2], stride[2], begin[2];  // of the convolution
  // The pooling of one vector of channels: its input is the convolution's output.
  PoolShape pool;
  bh_bounds bounds;           // the activation, wherever it stood: a maximum commutes with it
  int64_t vectors;             // of channels in a panel, set by pack_conv_pool
  std::vector<float> weights;  // [panel][tap][channels of a panel], as pack_conv_pool made them
  std::vector<float> bias;     // [panel][channels of a panel]
};

// True when a band of rows fits a core's cache.
bool conv_pool_fits(const ConvPool &layer);
// w: [outputs][inputs][kernel rows][kernel columns]; bias: [outputs], or null for zeros.
void pack_conv_pool(ConvPool &layer, const float *w, const float *bias);
// y: [images][blocks][rows][columns][block]; the channels behind the last one become 0.
void conv_pool(const ConvPool &layer, const float *x, int64_t block, float *y);
// q: [images][rows][columns][outputs].
void conv_pool_quantized(const ConvPool &layer, const float *x, float scale, int32_t zero_point,
                         const bh::QuantizedRange &range, void *q);

}  // namespace billhook

#endif
