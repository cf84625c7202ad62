// Scores and statistics of float32 arrays.
//
// In all of this header: pointers need only the alignment of their type; an input may not overlap an output unless
// the function says so; counts of 0 are allowed and then pointers may be null. A "[outer, channels,
// inner]" array is row-major, so any channel axis of any tensor can be described by it.
// Every function gives the same bits for every number of threads and every instruction set, and the
// same bits as its `_scalar` reference, except where powf or pow of the C library is involved.
// A function uses the thread pool when the work is worth it and runs inline inside a piece of
// bh_parallel_for.
#ifndef BH_SCORE_H
#define BH_SCORE_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// out[i] = |x[i]| for i in [0, n). out may be x. [any]
void bh_abs_f32(const float *x, int64_t n, float *out);
void bh_abs_f32_scalar(const float *x, int64_t n, float *out);

// out[i] = |x[i]|^p. p = 1 and p = 2 (one multiplication) are as fast as memory; any other p goes
// through powf, about 50 times slower. out may be x. [any]
void bh_abs_power_f32(const float *x, int64_t n, float p, float *out);
void bh_abs_power_f32_scalar(const float *x, int64_t n, float p, float *out);

// out[i] = |x[i]| * factors[c], where x[i] is element first + i of a [outer, channels, inner] array
// and c = ((first + i) / inner) % channels its channel: the score "weight times input norm" of a
// piece of a layer. first >= 0, channels >= 1, inner >= 1. out may be x. [any]
void bh_abs_times_channel_f32(const float *x, int64_t first, int64_t n, const float *factors,
                              int64_t channels, int64_t inner, float *out);
void bh_abs_times_channel_f32_scalar(const float *x, int64_t first, int64_t n,
                                     const float *factors, int64_t channels, int64_t inner,
                                     float *out);

// sums[c] = sum of |x[o, c, i]|^p over o and i, in double; overwrites sums, [channels].
// The L_p norm of a channel is sums[c]^(1/p). p > 0.
//
// Order of additions: see bh_channel_statistics_f32. [any]
void bh_channel_power_sums_f32(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               float p, double *sums);
void bh_channel_power_sums_f32_scalar(const float *x, int64_t outer, int64_t channels,
                                      int64_t inner, float p, double *sums);

// Adds the statistics of x, [outer, channels, inner], to running totals for each channel:
// abs_sums += |x|, square_sums += x^2, zeros += 1 where x is 0 (of either sign). All are double,
// [channels]; each of the three may be null.
//
// Order of additions: 16 lanes, lane l takes the elements i with i % 16 == l of one (o, c); the
// lanes are added pairwise (l and l + 8, then + 4, + 2, + 1); the o of one partition are added in
// order, and then the partitions, which are a function of the shape alone. [any]
void bh_channel_statistics_f32(const float *x, int64_t outer, int64_t channels, int64_t inner,
                               double *abs_sums, double *square_sums, double *zeros);
void bh_channel_statistics_f32_scalar(const float *x, int64_t outer, int64_t channels,
                                      int64_t inner, double *abs_sums, double *square_sums,
                                      double *zeros);

// The smallest and the largest of n values. NaN is passed over; without any number the result is
// +infinity and -infinity. A zero comes out as +0. [any]
void bh_min_max_f32(const float *x, int64_t n, float *min, float *max);
void bh_min_max_f32_scalar(const float *x, int64_t n, float *min, float *max);

// The same for each channel of x, [outer, channels, inner]; overwrites min and max, [channels].
// [any]
void bh_channel_min_max_f32(const float *x, int64_t outer, int64_t channels, int64_t inner,
                            float *min, float *max);
void bh_channel_min_max_f32_scalar(const float *x, int64_t outer, int64_t channels, int64_t inner,
                                   float *min, float *max);

// counts[b] += the number of i for which x[i] falls in bin b of `bins` equal bins over [low, high].
//
// b = floor((x - low) * (bins / (high - low))) in float, and values outside of [low, high] go to
// the first or the last bin; NaN is passed over. low < high, 1 <= bins <= 65536. [any]
void bh_histogram_f32(const float *x, int64_t n, float low, float high, int64_t bins,
                      uint64_t *counts);
void bh_histogram_f32_scalar(const float *x, int64_t n, float low, float high, int64_t bins,
                             uint64_t *counts);

// The number of values that are NaN or infinite. [any]
int64_t bh_count_nonfinite_f32(const float *x, int64_t n);
int64_t bh_count_nonfinite_f32_scalar(const float *x, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
