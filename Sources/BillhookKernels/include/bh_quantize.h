// Affine quantization of float32 to 8-bit integers, as ONNX defines QuantizeLinear and
// DequantizeLinear:
//
//   q = saturate(round_half_even(x / scale) + zero_point),   x' = (q - zero_point) * scale
//
// x / scale is a division, not a product with the reciprocal, because those differ in the last bit.
// NaN becomes the smallest integer. Tensors are row-major [outer, channels, inner] with one scale
// and one zero point a channel; per tensor is outer = channels = 1.
//
// Pointers need only the alignment of their type; inputs may not overlap outputs. Every function gives the same
// bits for every number of threads and every instruction set, and those of its `_scalar` reference.
#ifndef BH_QUANTIZE_H
#define BH_QUANTIZE_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// The scale that maps [-absmax, absmax] to [-qmax, qmax]: max(|min|, |max|) / qmax, at least the
// smallest normal float; 1 when both are 0. qmax >= 1. [any]
float bh_symmetric_scale(float min, float max, int32_t qmax);

// The scale and the zero point that map [min(min, 0), max(max, 0)] to [qmin, qmax], so that 0 is
// exact: scale = (max - min) / (qmax - qmin), at least the smallest normal float, 1 for an empty
// range; zero_point = round_half_even(qmin - min / scale), clamped. qmin < qmax.
//
// Source: ONNX operator DynamicQuantizeLinear, for any integer range. [any]
float bh_affine_scale(float min, float max, int32_t qmin, int32_t qmax, int32_t *zero_point);

// Quantizes with given scales (> 0, [channels]) and zero points ([channels]; null = all 0).
// Results are clamped to [qmin, qmax], which must lie within the integer type. [any]
void bh_quantize_f32_s8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                        const float *scales, const int32_t *zero_points, int32_t qmin,
                        int32_t qmax, int8_t *q);
void bh_quantize_f32_s8_scalar(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               const float *scales, const int32_t *zero_points, int32_t qmin,
                               int32_t qmax, int8_t *q);
void bh_quantize_f32_u8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                        const float *scales, const int32_t *zero_points, int32_t qmin,
                        int32_t qmax, uint8_t *q);
void bh_quantize_f32_u8_scalar(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               const float *scales, const int32_t *zero_points, int32_t qmin,
                               int32_t qmax, uint8_t *q);

// Finds scales and zero points from the range of each channel, writes them, and quantizes: each
// channel is read from memory once when outer is 1 and it fits in the cache.
//
// symmetric != 0: bh_symmetric_scale with qmax, results clamped to [qmin, qmax], zero_points are
// written as 0 and may be null. Otherwise bh_affine_scale. Values that are not finite make the
// result of their channel meaningless, but nothing else. [any]
void bh_quantize_channels_f32_s8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                                 int32_t symmetric, int32_t qmin, int32_t qmax, float *scales,
                                 int32_t *zero_points, int8_t *q);
void bh_quantize_channels_f32_s8_scalar(const float *x, int64_t outer, int64_t channels,
                                        int64_t inner, int32_t symmetric, int32_t qmin,
                                        int32_t qmax, float *scales, int32_t *zero_points,
                                        int8_t *q);
void bh_quantize_channels_f32_u8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                                 int32_t symmetric, int32_t qmin, int32_t qmax, float *scales,
                                 int32_t *zero_points, uint8_t *q);
void bh_quantize_channels_f32_u8_scalar(const float *x, int64_t outer, int64_t channels,
                                        int64_t inner, int32_t symmetric, int32_t qmin,
                                        int32_t qmax, float *scales, int32_t *zero_points,
                                        uint8_t *q);

// out = (q - zero_point) * scale. zero_points null = all 0. The int32 form (biases) subtracts with
// wrap-around. [any]
void bh_dequantize_s8_f32(const int8_t *q, int64_t outer, int64_t channels, int64_t inner,
                          const float *scales, const int32_t *zero_points, float *out);
void bh_dequantize_s8_f32_scalar(const int8_t *q, int64_t outer, int64_t channels, int64_t inner,
                                 const float *scales, const int32_t *zero_points, float *out);
void bh_dequantize_u8_f32(const uint8_t *q, int64_t outer, int64_t channels, int64_t inner,
                          const float *scales, const int32_t *zero_points, float *out);
void bh_dequantize_u8_f32_scalar(const uint8_t *q, int64_t outer, int64_t channels, int64_t inner,
                                 const float *scales, const int32_t *zero_points, float *out);
void bh_dequantize_s32_f32(const int32_t *q, int64_t outer, int64_t channels, int64_t inner,
                           const float *scales, const int32_t *zero_points, float *out);
void bh_dequantize_s32_f32_scalar(const int32_t *q, int64_t outer, int64_t channels, int64_t inner,
                                  const float *scales, const int32_t *zero_points, float *out);

#ifdef __cplusplus
}
#endif
#endif
