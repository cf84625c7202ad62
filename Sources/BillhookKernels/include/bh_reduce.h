// Reductions of the middle axis of a tensor.
#ifndef BH_REDUCE_H
#define BH_REDUCE_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define BH_REDUCE_SUM 0
#define BH_REDUCE_MEAN 1
#define BH_REDUCE_MAX 2          // NaN where there is one
#define BH_REDUCE_MIN 3
#define BH_REDUCE_L1 4           // sum of absolute values
#define BH_REDUCE_L2 5           // root of the sum of squares
#define BH_REDUCE_SQUARES 6      // sum of squares

// y[outer, inner] from x[outer, count, inner], count >= 1, whose rows of `inner` elements lie `step`
// floats apart: inner, or more if inner > 1. Sums are taken in double. The same bits for any number of
// threads. [any]
void bh_reduce_f32(int32_t kind, const float *x, int64_t outer, int64_t count, int64_t inner,
                   int64_t step, float *y);
void bh_reduce_f32_scalar(int32_t kind, const float *x, int64_t outer, int64_t count,
                          int64_t inner, int64_t step, float *y);

#ifdef __cplusplus
}
#endif
#endif
