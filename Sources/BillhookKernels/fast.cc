#include "bh_kernels.h"
#include "select_spans.h"
void bh_abs_f32(const float *x, int64_t n, float *out) { return bh_abs_f32_scalar(x, n, out); }
void bh_abs_power_f32(const float *x, int64_t n, float p, float *out) { return bh_abs_power_f32_scalar(x, n, p, out); }
void bh_abs_times_channel_f32(const float *x, int64_t first, int64_t n,
                                     const float *factors, int64_t channels, int64_t inner,
                                     float *out) { return bh_abs_times_channel_f32_scalar(x, first, n, factors, channels, inner, out); }
void bh_channel_power_sums_f32(const float *x, int64_t outer, int64_t channels,
                                      int64_t inner, float p, double *sums) { return bh_channel_power_sums_f32_scalar(x, outer, channels, inner, p, sums); }
void bh_channel_statistics_f32(const float *x, int64_t outer, int64_t channels,
                                      int64_t inner, double *abs_sums, double *square_sums,
                                      double *zeros) { return bh_channel_statistics_f32_scalar(x, outer, channels, inner, abs_sums, square_sums, zeros); }
void bh_min_max_f32(const float *x, int64_t n, float *min, float *max) { return bh_min_max_f32_scalar(x, n, min, max); }
void bh_channel_min_max_f32(const float *x, int64_t outer, int64_t channels, int64_t inner,
                                   float *min, float *max) { return bh_channel_min_max_f32_scalar(x, outer, channels, inner, min, max); }
void bh_histogram_f32(const float *x, int64_t n, float low, float high, int64_t bins,
                             uint64_t *counts) { return bh_histogram_f32_scalar(x, n, low, high, bins, counts); }
int64_t bh_count_nonfinite_f32(const float *x, int64_t n) { return bh_count_nonfinite_f32_scalar(x, n); }
void bh_quantize_f32_s8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               const float *scales, const int32_t *zero_points, int32_t qmin,
                               int32_t qmax, int8_t *q) { return bh_quantize_f32_s8_scalar(x, outer, channels, inner, scales, zero_points, qmin, qmax, q); }
void bh_quantize_f32_u8(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               const float *scales, const int32_t *zero_points, int32_t qmin,
                               int32_t qmax, uint8_t *q) { return bh_quantize_f32_u8_scalar(x, outer, channels, inner, scales, zero_points, qmin, qmax, q); }
void bh_quantize_channels_f32_s8(const float *x, int64_t outer, int64_t channels,
                                        int64_t inner, int32_t symmetric, int32_t qmin,
                                        int32_t qmax, float *scales, int32_t *zero_points,
                                        int8_t *q) { return bh_quantize_channels_f32_s8_scalar(x, outer, channels, inner, symmetric, qmin, qmax, scales, zero_points, q); }
void bh_quantize_channels_f32_u8(const float *x, int64_t outer, int64_t channels,
                                        int64_t inner, int32_t symmetric, int32_t qmin,
                                        int32_t qmax, float *scales, int32_t *zero_points,
                                        uint8_t *q) { return bh_quantize_channels_f32_u8_scalar(x, outer, channels, inner, symmetric, qmin, qmax, scales, zero_points, q); }
void bh_dequantize_s8_f32(const int8_t *q, int64_t outer, int64_t channels, int64_t inner,
                                 const float *scales, const int32_t *zero_points, float *out) { return bh_dequantize_s8_f32_scalar(q, outer, channels, inner, scales, zero_points, out); }
void bh_dequantize_u8_f32(const uint8_t *q, int64_t outer, int64_t channels, int64_t inner,
                                 const float *scales, const int32_t *zero_points, float *out) { return bh_dequantize_u8_f32_scalar(q, outer, channels, inner, scales, zero_points, out); }
void bh_dequantize_s32_f32(const int32_t *q, int64_t outer, int64_t channels, int64_t inner,
                                  const float *scales, const int32_t *zero_points, float *out) { return bh_dequantize_s32_f32_scalar(q, outer, channels, inner, scales, zero_points, out); }
void bh_softmax_f32(const float *x, int64_t rows, int64_t classes, float temperature,
                           float *out) { return bh_softmax_f32_scalar(x, rows, classes, temperature, out); }
void bh_log_softmax_f32(const float *x, int64_t rows, int64_t classes, float temperature,
                               float *out) { return bh_log_softmax_f32_scalar(x, rows, classes, temperature, out); }
int32_t bh_distillation_loss_f32(const bh_distillation *task,
                                        bh_distillation_result *result) { return bh_distillation_loss_f32_scalar(task, result); }
void bh_sgd_step_f32(const bh_sgd *options, float gradient_scale, const float *gradient,
                            const uint8_t *keep, float *weights, float *velocity, int64_t n) { return bh_sgd_step_f32_scalar(options, gradient_scale, gradient, keep, weights, velocity, n); }
void bh_adam_step_f32(const bh_adam *options, float gradient_scale, const float *gradient,
                             const uint8_t *keep, float *weights, float *first_moment,
                             float *second_moment, int64_t n) { return bh_adam_step_f32_scalar(options, gradient_scale, gradient, keep, weights, first_moment, second_moment, n); }
void bh_random_u32(uint64_t seed, uint64_t stream, uint64_t first, uint32_t *out,
                          int64_t n) { return bh_random_u32_scalar(seed, stream, first, out, n); }
void bh_random_uniform_f32(uint64_t seed, uint64_t stream, uint64_t first, float *out,
                                  int64_t n) { return bh_random_uniform_f32_scalar(seed, stream, first, out, n); }
void bh_random_keep_u8(uint64_t seed, uint64_t stream, uint64_t first,
                              float drop_probability, uint8_t *keep, int64_t n) { return bh_random_keep_u8_scalar(seed, stream, first, drop_probability, keep, n); }
void bh_f32_to_f16(const float *x, int64_t n, uint16_t *out) { return bh_f32_to_f16_scalar(x, n, out); }
void bh_f16_to_f32(const uint16_t *x, int64_t n, float *out) { return bh_f16_to_f32_scalar(x, n, out); }
void bh_f32_to_bf16(const float *x, int64_t n, uint16_t *out) { return bh_f32_to_bf16_scalar(x, n, out); }
void bh_bf16_to_f32(const uint16_t *x, int64_t n, float *out) { return bh_bf16_to_f32_scalar(x, n, out); }
namespace bh {
BracketCounts count_bracket(const float *s, int64_t n, int32_t l, int32_t h, int32_t *i) { return count_bracket_scalar(s,n,l,h,i); }
int64_t prune_to_key(const float *s, int32_t l, const float *w, float *o, int64_t n) { return prune_to_key_scalar(s,l,w,o,n); }
int64_t keep_after_key(const float *s, int32_t l, uint8_t *k, int64_t n) { return keep_after_key_scalar(s,l,k,n); }
}
