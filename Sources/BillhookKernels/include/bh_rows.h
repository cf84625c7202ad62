// Sums, products and distances of the rows of a matrix, and sums along one axis of a tensor.
//
// Sums are taken in double. A row is added up in 16 lanes, element i into lane i % 16; lane l then
// takes lane l + 8, then l + 4, l + 2, l + 1. So the results are the same bits for any number of
// threads and any instruction set.
#ifndef BH_ROWS_H
#define BH_ROWS_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// out[c] = sum of x over index c of the middle axis of [outer, count, inner], the rows of `inner`
// elements in the order of `outer`. [any]
void bh_axis_sums_f32(const float *x, int64_t outer, int64_t count, int64_t inner, float *out);
void bh_axis_sums_f32_scalar(const float *x, int64_t outer, int64_t count, int64_t inner,
                             float *out);

// out[r] = x[r] . y[r], of [rows, columns] each. [any]
void bh_row_dots_f32(const float *x, const float *y, int64_t rows, int64_t columns, float *out);
void bh_row_dots_f32_scalar(const float *x, const float *y, int64_t rows, int64_t columns,
                            float *out);

// out[r] = x[r] . y[r] / (|x[r]| |y[r]|); 0 when one of them has no length. [any]
void bh_row_cosines_f32(const float *x, const float *y, int64_t rows, int64_t columns, float *out);
void bh_row_cosines_f32_scalar(const float *x, const float *y, int64_t rows, int64_t columns,
                               float *out);

// out[a, b] = distance of rows a and b of x [rows, columns]: the sum of |difference| for order 1,
// the root of the sum of squares for order 2. out: [rows, rows], symmetric. [any]
void bh_row_distances_f32(const float *x, int64_t rows, int64_t columns, int32_t order, float *out);
void bh_row_distances_f32_scalar(const float *x, int64_t rows, int64_t columns, int32_t order,
                                 float *out);

// The k-th smallest of n, 1 <= k <= n; -0 equals +0. Returns NaN without memory. [any]
float bh_kth_smallest_f32(const float *x, int64_t n, int64_t k);
float bh_kth_smallest_f32_scalar(const float *x, int64_t n, int64_t k);

#ifdef __cplusplus
}
#endif
#endif
