// Conversion of arrays between float32 and the two 16-bit float formats, given as their bits.
//
// To 16 bits: rounded to the nearest, ties to even; too large becomes infinity; NaN becomes the quiet
// NaN with the same sign (float16 0x7E00, bfloat16 0x7FC0). From 16 bits: exact, NaN keeps its bits
// and becomes quiet. No overlap, exact on every instruction set. [any]
#ifndef BH_HALF_H
#define BH_HALF_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

void bh_f32_to_f16(const float *x, int64_t n, uint16_t *out);
void bh_f32_to_f16_scalar(const float *x, int64_t n, uint16_t *out);
void bh_f16_to_f32(const uint16_t *x, int64_t n, float *out);
void bh_f16_to_f32_scalar(const uint16_t *x, int64_t n, float *out);
void bh_f32_to_bf16(const float *x, int64_t n, uint16_t *out);
void bh_f32_to_bf16_scalar(const float *x, int64_t n, uint16_t *out);
void bh_bf16_to_f32(const uint16_t *x, int64_t n, float *out);
void bh_bf16_to_f32_scalar(const uint16_t *x, int64_t n, float *out);

#ifdef __cplusplus
}
#endif
#endif
