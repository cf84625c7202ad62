// Random numbers that are a function of (seed, stream, position) alone: Philox4x32-10.
//
// Word `position` of a stream is word position % 4 of the block with counter position / 4.
//
// Source: Salmon, Moraes, Dror and Shaw, Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011,
// section 4. Exact: the same for every number of threads and every instruction set.
#ifndef BH_RANDOM_H
#define BH_RANDOM_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// out[i] = word first + i of the stream, i in [0, n). [any]
void bh_random_u32(uint64_t seed, uint64_t stream, uint64_t first, uint32_t *out, int64_t n);
void bh_random_u32_scalar(uint64_t seed, uint64_t stream, uint64_t first, uint32_t *out,
                          int64_t n);

// out[i] in [0, 1): the upper 24 bits of word first + i, times 2^-24. [any]
void bh_random_uniform_f32(uint64_t seed, uint64_t stream, uint64_t first, float *out, int64_t n);
void bh_random_uniform_f32_scalar(uint64_t seed, uint64_t stream, uint64_t first, float *out,
                                  int64_t n);

// keep[i] = 0 with the given probability (0 ... 1), else 1: 0 where the uniform number above is
// below it. [any]
void bh_random_keep_u8(uint64_t seed, uint64_t stream, uint64_t first, float drop_probability,
                       uint8_t *keep, int64_t n);
void bh_random_keep_u8_scalar(uint64_t seed, uint64_t stream, uint64_t first,
                              float drop_probability, uint8_t *keep, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
