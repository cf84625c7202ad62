// Numbers stored as indices into a table, scales of blocks, and integers of less than eight bits.
#ifndef BH_CODEBOOK_H
#define BH_CODEBOOK_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// index[i] = the table's entry nearest to x[i], of two the one with the lower index; 0 for NaN.
// 1 <= entries <= 256, finite, in any order. [any]
void bh_codebook_nearest_f32(const float *x, int64_t n, const float *table, int32_t entries,
                             uint8_t *index);
void bh_codebook_nearest_f32_scalar(const float *x, int64_t n, const float *table,
                                    int32_t entries, uint8_t *index);

// out[i] = table[index[i]]. Returns the number of indices that are not below `entries`; their out is
// 0. [any]
int64_t bh_codebook_lookup_f32(const uint8_t *index, int64_t n, const float *table,
                               int32_t entries, float *out);
int64_t bh_codebook_lookup_f32_scalar(const uint8_t *index, int64_t n, const float *table,
                                      int32_t entries, float *out);

// A row of x [rows, columns] is cut into blocks of `block` elements, the last may be shorter: there
// are b = ceil(columns / block) a row.
//
// out[r, j] = the largest |x| of block j of row r, [rows, b]. NaN counts as 0. [any]
void bh_block_abs_max_f32(const float *x, int64_t rows, int64_t columns, int64_t block, float *out);
void bh_block_abs_max_f32_scalar(const float *x, int64_t rows, int64_t columns, int64_t block,
                                 float *out);
// out = x / scale of its block, 0 where the scale is 0; or with `multiply`, x * scale. out may be x.
// [any]
void bh_block_scale_f32(const float *x, int64_t rows, int64_t columns, int64_t block,
                        const float *scales, int32_t multiply, float *out);
void bh_block_scale_f32_scalar(const float *x, int64_t rows, int64_t columns, int64_t block,
                               const float *scales, int32_t multiply, float *out);

// Element i becomes bits [i * bits, (i + 1) * bits) of a little-endian stream, without gaps; of each
// code the lowest `bits` (1 to 8) are taken. Writes ceil(n * bits / 8) bytes, the last bits 0. [any]
void bh_pack_bits(const uint8_t *codes, int64_t n, int32_t bits, uint8_t *packed);
void bh_pack_bits_scalar(const uint8_t *codes, int64_t n, int32_t bits, uint8_t *packed);
// The way back. [any]
void bh_unpack_bits(const uint8_t *packed, int64_t n, int32_t bits, uint8_t *codes);
void bh_unpack_bits_scalar(const uint8_t *packed, int64_t n, int32_t bits, uint8_t *codes);

#ifdef __cplusplus
}
#endif
#endif
