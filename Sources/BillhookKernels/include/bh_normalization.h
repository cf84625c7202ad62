// Normalisation of the rows of a matrix, and of groups of channels.
#ifndef BH_NORMALIZATION_H
#define BH_NORMALIZATION_H
#include <stdint.h>

#include "bh_activation.h"

#ifdef __cplusplus
extern "C" {
#endif

// y = (x - mean) / sqrt(variance + epsilon) * scale + shift for each row of x [rows, columns]; with
// subtract_mean 0 the mean counts as 0. scale and shift [columns] may be null. The same bits for any
// number of threads. [any]
void bh_layer_norm_f32(const float *x, const float *scale, const float *shift, int64_t rows,
                       int64_t columns, float epsilon, int32_t subtract_mean, float *y);
void bh_layer_norm_f32_scalar(const float *x, const float *scale, const float *shift, int64_t rows,
                              int64_t columns, float epsilon, int32_t subtract_mean, float *y);

// The gradients of its input, scale and shift, from x and that of its output. Each of dx, dscale and
// dshift may be null, for what is not wanted; dx may be x or dy. The same bits for any number of threads. [any]
void bh_layer_norm_backward_f32(const float *x, const float *dy, const float *scale, int64_t rows,
                                int64_t columns, float epsilon, int32_t subtract_mean, float *dx,
                                float *dscale, float *dshift);
void bh_layer_norm_backward_f32_scalar(const float *x, const float *dy, const float *scale,
                                       int64_t rows, int64_t columns, float epsilon,
                                       int32_t subtract_mean, float *dx, float *dscale,
                                       float *dshift);

// y = (x - mean) / sqrt(variance + epsilon) * scale + shift for each group of each image of x [images,
// groups, channels, area], and the functions of that one after the other. scale and shift [groups,
// channels] may be null. The same bits for any number of threads. [any]
void bh_group_norm_f32(const float *x, const float *scale, const float *shift, int64_t images,
                       int64_t groups, int64_t channels, int64_t area, float epsilon,
                       const bh_activation *functions, int32_t count, float *y);
void bh_group_norm_f32_scalar(const float *x, const float *scale, const float *shift,
                              int64_t images, int64_t groups, int64_t channels, int64_t area,
                              float epsilon, const bh_activation *functions, int32_t count,
                              float *y);

// From the result y of a softmax of each row, and its gradient: dx = y (dy - sum(y dy)). dx may be dy.
// [any]
void bh_softmax_backward_f32(const float *y, const float *dy, int64_t rows, int64_t columns,
                             float *dx);
void bh_softmax_backward_f32_scalar(const float *y, const float *dy, int64_t rows, int64_t columns,
                                    float *dx);

#ifdef __cplusplus
}
#endif
#endif
