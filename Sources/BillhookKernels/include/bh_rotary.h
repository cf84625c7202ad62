// Rotary position embedding: pairs of channels turned by an angle that belongs to the position.
#ifndef BH_ROTARY_H
#define BH_ROTARY_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_rotary {
  int64_t images, heads, steps;
  int64_t size;         // channels of a head
  int64_t rotated;      // of them, from the first on, are turned; even
  int32_t heads_first;  // [images, heads, steps, size], not [images, steps, heads, size]
  int32_t interleaved;  // neighbours are a pair; otherwise channel i and i + rotated / 2
  int32_t backward;     // turns the other way, as the gradient does
} bh_rotary;

// A pair (a, b) becomes (a cos - b sin, a sin + b cos); cosines and sines are [images, steps, rotated / 2].
// y may be x. The same bits for any number of threads. [any]
void bh_rotary_f32(const bh_rotary *form, const float *x, const float *cosines, const float *sines,
                   float *y);
void bh_rotary_f32_scalar(const bh_rotary *form, const float *x, const float *cosines,
                          const float *sines, float *y);

#ifdef __cplusplus
}
#endif
#endif
