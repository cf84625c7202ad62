// Normalisation of the rows of a matrix.
#ifndef BH_NORMALIZATION_H
#define BH_NORMALIZATION_H
#include <stdint.h>
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

#ifdef __cplusplus
}
#endif
#endif
