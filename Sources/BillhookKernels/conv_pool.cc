#include "conv_pool.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "conv_pool.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;

// Two vectors of outputs and six places, or one and twelve: twelve sums, two weights and one input fill
// the sixteen registers of AVX2.
constexpr int kSums = 12;

int64_t ConvPoolLanes() { return static_cast<int64_t>(hn::Lanes(D())); }

// P neighbours of a row. x: the first tap of the first of them; plane: elements between the
// vectors' outputs.
template <int P, int kVectors>
HWY_INLINE void Places(const float *x, int64_t stride, const std::vector<int64_t> &taps,
                       const float *weights, const float *bias, float *out, int64_t plane) {
  const D d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[P][kVectors];
#pragma unroll
  for (int p = 0; p < P; p++)
#pragma unroll
    for (int v = 0; v < kVectors; v++) sum[p][v] = hn::LoadU(d, bias + v * lanes);
  for (const int64_t tap : taps) {
    hn::Vec<D> w[kVectors];
#pragma unroll
    for (int v = 0; v < kVectors; v++) w[v] = hn::LoadU(d, weights + v * lanes);
    weights += kVectors * lanes;
#pragma unroll
    for (int p = 0; p < P; p++) {
      const auto input = hn::Set(d, x[tap + p * stride]);
#pragma unroll
      for (int v = 0; v < kVectors; v++) sum[p][v] = hn::MulAdd(input, w[v], sum[p][v]);
    }
  }
#pragma unroll
  for (int p = 0; p < P; p++)
#pragma unroll
    for (int v = 0; v < kVectors; v++) hn::StoreU(sum[p][v], d, out + v * plane + p * lanes);
}

template <int kVectors>
void ConvPlaces(const float *x, int64_t stride, int64_t columns, const std::vector<int64_t> &taps,
                const float *weights, const float *bias, float *out, int64_t plane) {
  constexpr int kPlaces = kSums / kVectors;
  const auto lanes = static_cast<int64_t>(hn::Lanes(D()));
  int64_t c = 0;
  for (; c + kPlaces <= columns; c += kPlaces)
    Places<kPlaces, kVectors>(x + c * stride, stride, taps, weights, bias, out + c * lanes, plane);
  for (; c + 2 <= columns; c += 2)
    Places<2, kVectors>(x + c * stride, stride, taps, weights, bias, out + c * lanes, plane);
  for (; c < columns; c++)
    Places<1, kVectors>(x + c * stride, stride, taps, weights, bias, out + c * lanes, plane);
}

// One row of the convolution's output, `vectors` (1 or 2) of channels.
void ConvRow(int64_t vectors, const float *x, int64_t stride, int64_t columns,
             const std::vector<int64_t> &taps, const float *weights, const float *bias, float *out,
             int64_t plane) {
  if (vectors == 1)
    ConvPlaces<1>(x, stride, columns, taps, weights, bias, out, plane);
  else
    ConvPlaces<2>(x, stride, columns, taps, weights, bias, out, plane);
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {

HWY_EXPORT(ConvPoolLanes);
HWY_EXPORT(ConvRow);

namespace {

const int64_t kLanes = HWY_DYNAMIC_DISPATCH(ConvPoolLanes)();
// Bytes of the convolution's output that a piece of work keeps: a part of the second-level cache.
constexpr int64_t kBandBytes = 128 << 10;

// Rows of the pooling's output whose input a piece of work makes at once.
int64_t band_rows(const ConvPool &layer) {
  const PoolShape &pool = layer.pool;
  const int64_t row_bytes = pool.in[1] * layer.vectors * kLanes * int64_t(sizeof(float));
  const int64_t rows = (kBandBytes / row_bytes - pool.kernel[0]) / pool.stride[0] + 1;
  return std::clamp<int64_t>(rows, 0, pool.out[0]);
}

// What a thread keeps: the rows of x that a band reads, with zeros around them, and the
// convolution of those.
struct Scratch {
  std::vector<float> input, band;
};

// Calls store(image, panel, row, pooled) for each row of the pooling's output; pooled(v, y, step)
// writes vector v of the panel, `step` elements between neighbours.
template <class Store>
void for_pooled_rows(const ConvPool &layer, const float *x, const Store &store) {
  const PoolShape &pool = layer.pool;
  const int64_t panels = static_cast<int64_t>(layer.bias.size()) / (layer.vectors * kLanes);
  const int64_t tall = band_rows(layer), bands = (pool.out[0] + tall - 1) / tall;
  const int64_t width = (pool.in[1] - 1) * layer.stride[1] + layer.kernel[1];
  const int64_t taps = layer.inputs * layer.kernel[0] * layer.kernel[1];
  bh::parallel_for(layer.images * bands * panels, 1, [&](int64_t begin, int64_t end) {
    static thread_local Scratch scratch;
    std::vector<int64_t> offsets;
    int64_t prepared = -1;
    for (int64_t i = begin; i < end; i++) {
      const int64_t panel = i % panels, band = i / panels % bands, image = i / panels / bands;
      const int64_t first = band * tall, last = std::min(first + tall, pool.out[0]);
      // The convolution's rows that the band reads.
      const int64_t top = std::max<int64_t>(0, first * pool.stride[0] - pool.begin[0]);
      const int64_t bottom =
          std::min(pool.in[0], (last - 1) * pool.stride[0] - pool.begin[0] + pool.kernel[0]);
      const int64_t rows = bottom - top;
      const int64_t height = (rows - 1) * layer.stride[0] + layer.kernel[0];
      if (prepared != i / panels) {
        prepared = i / panels;
        offsets.clear();
        for (int64_t c = 0; c < layer.inputs; c++)
          for (int64_t ky = 0; ky < layer.kernel[0]; ky++)
            for (int64_t kx = 0; kx < layer.kernel[1]; kx++)
              offsets.push_back((c * height + ky) * width + kx);
        scratch.input.assign(layer.inputs * height * width, 0);
        const int64_t left = -layer.begin[1], above = top * layer.stride[0] - layer.begin[0];
        const int64_t x0 = std::max<int64_t>(0, left), x1 = std::min(layer.in[1], left + width);
        for (int64_t c = 0; c < layer.inputs; c++)
          for (int64_t r = std::max<int64_t>(0, -above); r < std::min(height, layer.in[0] - above);
               r++)
            std::copy_n(
                x + ((image * layer.inputs + c) * layer.in[0] + above + r) * layer.in[1] + x0,
                x1 - x0, scratch.input.data() + (c * height + r) * width + x0 - left);
      }
      const int64_t row = pool.in[1] * kLanes, plane = rows * row;
      scratch.band.resize(layer.vectors * plane);
      for (int64_t r = 0; r < rows; r++) HWY_DYNAMIC_DISPATCH(ConvRow)
      (layer.vectors, scratch.input.data() + r * layer.stride[0] * width, layer.stride[1],
       pool.in[1], offsets, layer.weights.data() + panel * taps * layer.vectors * kLanes,
       layer.bias.data() + panel * layer.vectors * kLanes, scratch.band.data() + r * row, plane);
      PoolShape part = pool;
      part.in[0] = rows;
      part.begin[0] += top;
      for (int64_t oy = first; oy < last; oy++)
        store(image, panel, oy, [&](int64_t v, float *y, int64_t step) {
          max_pool_row(part, layer.bounds, scratch.band.data() + v * plane, oy, y, step);
        });
    }
  });
}

}  // namespace

bool conv_pool_fits(const ConvPool &layer) { return band_rows(layer) > 0; }

void pack_conv_pool(ConvPool &layer, const float *w, const float *bias) {
  // An odd number of vectors goes one by one: half of a pair would be computed for nothing.
  layer.vectors = (layer.outputs + kLanes - 1) / kLanes % 2 == 1 ? 1 : 2;
  const int64_t width = layer.vectors * kLanes, panels = (layer.outputs + width - 1) / width;
  const int64_t taps = layer.inputs * layer.kernel[0] * layer.kernel[1];
  layer.pool.block = kLanes;
  layer.weights.assign(panels * taps * width, 0);
  layer.bias.assign(panels * width, 0);
  for (int64_t o = 0; o < layer.outputs; o++) {
    if (bias) layer.bias[o] = bias[o];
    for (int64_t t = 0; t < taps; t++)
      layer.weights[(o / width * taps + t) * width + o % width] = w[o * taps + t];
  }
}

void conv_pool(const ConvPool &layer, const float *x, int64_t block, float *y) {
  const PoolShape &pool = layer.pool;
  const int64_t blocks = (layer.outputs + block - 1) / block;
  for_pooled_rows(layer, x, [&](int64_t image, int64_t panel, int64_t oy, const auto &pooled) {
    for (int64_t v = 0; v < layer.vectors; v++) {
      const int64_t channel = (panel * layer.vectors + v) * kLanes;
      if (channel >= blocks * block) return;
      const int64_t row = (image * blocks + channel / block) * pool.out[0] + oy;
      pooled(v, y + row * pool.out[1] * block + channel % block, block);
    }
  });
}

void conv_pool_quantized(const ConvPool &layer, const float *x, float scale, int32_t zero_point,
                         const bh::QuantizedRange &range, void *q) {
  const int64_t width = layer.vectors * kLanes, columns = layer.pool.out[1];
  for_pooled_rows(layer, x, [&](int64_t image, int64_t panel, int64_t oy, const auto &pooled) {
    static thread_local std::vector<float> row;
    static thread_local std::vector<uint8_t> bytes;
    row.resize(columns * width);
    bytes.resize(columns * width);
    for (int64_t v = 0; v < layer.vectors; v++) pooled(v, row.data() + v * kLanes, width);
    auto *target = static_cast<uint8_t *>(q) +
                   (image * layer.pool.out[0] + oy) * columns * layer.outputs + panel * width;
    if (layer.outputs == width) {
      bh::quantize_span(row.data(), columns * width, scale, zero_point, range, target);
      return;
    }
    bh::quantize_span(row.data(), columns * width, scale, zero_point, range, bytes.data());
    const int64_t own = std::min(width, layer.outputs - panel * width);
    for (int64_t ox = 0; ox < columns; ox++)
      std::memcpy(target + ox * layer.outputs, bytes.data() + ox * width, own);
  });
}

}  // namespace billhook
#endif
