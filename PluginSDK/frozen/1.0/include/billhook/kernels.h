// Extension "billhook.kernels/1": the host's vector kernels, over the host's threads.
//
// Get it with call->host->get_extension(call, BH_EXT_KERNELS). Every function gives the same bytes
// for any number of threads. Arrays are row-major without gaps; those called x or out do not
// overlap. A tensor is seen as [outer, count, inner], with one result per index of the middle axis:
// for axis a of a shape, outer and inner are the products of the sizes before and behind it.
#ifndef BILLHOOK_KERNELS_H
#define BILLHOOK_KERNELS_H

#include "billhook/host.h"

#define BH_EXT_KERNELS "billhook.kernels/1"

// Arguments of bh_kernel_table.soft_target_loss; as in bh_loss_io.
typedef struct bh_soft_target {
  uint32_t struct_size;        // sizeof(bh_soft_target) as the plugin compiled it
  uint32_t reserved;           // 0
  int64_t rows;                // N
  int64_t classes;             // C
  const float *student;        // logits [N, C]
  const float *teacher;        // logits [N, C]; null only when alpha is 1
  const int32_t *labels;       // [N]; null only when alpha is 0
  const float *sample_weight;  // [N]; null: all 1
  double temperature;          // above 0
  double alpha;                // share of the labels, 0 to 1
  double grad_scale;           // factor of the gradient
  float *grad;                 // [N, C], written; null when it is not wanted
  double *loss_sum;            // written
  double *weight_sum;          // written
} bh_soft_target;

typedef struct bh_kernel_table {
  uint32_t struct_size;        // sizeof(bh_kernel_table) as the host compiled it
  uint32_t reserved;           // 0

  // out[i] = |x[i]|^exponent, i in [0, n). [inst, task]
  bh_status (*abs_power)(bh_call *call, const float *x, int64_t n, double exponent, float *out);

  // out[i] = |x[i]| * factors[c], where x[0] is element `first` of an [outer, channels, inner] tensor
  // and c is the channel of element first + i; only factors that are met are read. [inst, task]
  bh_status (*abs_times_channel)(bh_call *call, const float *x, int64_t first, int64_t n,
                                 const float *factors, int64_t channels, int64_t inner, float *out);

  // out[c] = sum of |x|^exponent over index c of the middle axis, added up in double. [inst, task]
  bh_status (*abs_power_sums)(bh_call *call, const float *x, int64_t outer, int64_t count,
                              int64_t inner, double exponent, float *out);

  // Lowest and highest x of each index of the middle axis; both 0 when there is none.
  // Fails with BH_E_NUMERIC on NaN or infinity. [inst, task]
  bh_status (*min_max)(bh_call *call, const float *x, int64_t outer, int64_t count, int64_t inner,
                       float *min, float *max);

  // Scale and zero point of `count` ranges, each widened to hold 0, so that 0 is exact.
  //
  // symmetric not 0: scale = max(|min|, |max|) / qmax, zero point 0. Else: scale = (max - min) /
  // (qmax - qmin), zero point = round_half_even(qmin - min / scale), from qmin to qmax. A range of
  // nothing but 0 has scale 1; a scale is never below the smallest normal float. [inst, task]
  bh_status (*affine_params)(bh_call *call, const float *min, const float *max, int64_t count,
                             int32_t qmin, int32_t qmax, uint32_t symmetric, float *scale,
                             int32_t *zero_point);

  // q = saturate(round_half_even(x / scale[c]) + zero_point[c], qmin, qmax), int8 or uint8 as
  // `code` (BH_CODE_*) says: bit-equal to ONNX QuantizeLinear. NaN gives qmin. [inst, task]
  bh_status (*affine_quantize)(bh_call *call, const float *x, int64_t outer, int64_t count,
                               int64_t inner, const float *scale, const int32_t *zero_point,
                               int32_t qmin, int32_t qmax, uint32_t code, void *q);

  // out = (q - zero_point[c]) * scale[c], as ONNX DequantizeLinear. [inst, task]
  bh_status (*affine_dequantize)(bh_call *call, const void *q, uint32_t code, int64_t outer,
                                 int64_t count, int64_t inner, const float *scale,
                                 const int32_t *zero_point, float *out);

  // Sum over rows of w (1 - alpha) T^2 KL(softmax(teacher / T) || softmax(student / T)) + w alpha
  // CE(student, label), and its gradient. A row whose label is BH_LABEL_IGNORED has no second part;
  // with alpha = 1 it has no weight either. [inst]
  bh_status (*soft_target_loss)(bh_call *call, const bh_soft_target *arguments);

  // out[c] = sum of x over index c of the middle axis, added up in double. [inst, task]
  bh_status (*axis_sums)(bh_call *call, const float *x, int64_t outer, int64_t count,
                         int64_t inner, float *out);

  // out[r] = x[r] . y[r] of two [rows, columns], added up in double. [inst, task]
  bh_status (*row_dots)(bh_call *call, const float *x, const float *y, int64_t rows,
                        int64_t columns, float *out);

  // out[r] = x[r] . y[r] / (|x[r]| |y[r]|); 0 when one of the rows has no length. [inst, task]
  bh_status (*row_cosines)(bh_call *call, const float *x, const float *y, int64_t rows,
                           int64_t columns, float *out);

  // out[a, b], [rows, rows]: how far rows a and b of x are from each other, by the sum of
  // |difference| (order 1) or the root of the sum of squares (order 2). [inst, task]
  bh_status (*row_distances)(bh_call *call, const float *x, int64_t rows, int64_t columns,
                             uint32_t order, float *out);

  // out = softmax(x / temperature) of each row, or with `logarithm` its logarithm. out may be x.
  // [inst, task]
  bh_status (*softmax_rows)(bh_call *call, const float *x, int64_t rows, int64_t columns,
                            double temperature, uint32_t logarithm, float *out);

  // keep[i] = 0 for the k smallest of n, of equal ones those with the lower index; else 1.
  // [inst, task]
  bh_status (*select_smallest)(bh_call *call, const float *x, int64_t n, int64_t k, uint8_t *keep);

  // Writes the k-th smallest of n, k from 1 to n. [inst, task]
  bh_status (*kth_smallest)(bh_call *call, const float *x, int64_t n, int64_t k, float *out);

  // Each row of x [rows, columns] is cut into blocks of `block` elements, of which the last may be
  // shorter: b = ceil(columns / block). out[r, j] = the largest |x| of block j of row r, [rows, b].
  // [inst, task]
  bh_status (*block_abs_max)(bh_call *call, const float *x, int64_t rows, int64_t columns,
                             int64_t block, float *out);

  // out = x / scale of its block, 0 where the scale is 0; with `multiply`, x * scale. scales:
  // [rows, b]. out may be x. [inst, task]
  bh_status (*block_scale)(bh_call *call, const float *x, int64_t rows, int64_t columns,
                           int64_t block, const float *scales, uint32_t multiply, float *out);

  // index[i] = the entry of the table that is nearest to x[i], of two the lower index; 0 for NaN.
  // entries: 1 to 256, finite, in any order. [inst, task]
  bh_status (*codebook_nearest)(bh_call *call, const float *x, int64_t n, const float *table,
                                uint32_t entries, uint8_t *index);

  // out[i] = table[index[i]]; fails with BH_E_INVALID_ARG for an index that is not below `entries`.
  // [inst, task]
  bh_status (*codebook_lookup)(bh_call *call, const uint8_t *index, int64_t n, const float *table,
                               uint32_t entries, float *out);

  // Packs the lowest `bits` (1 to 8) of each of n bytes without gaps: element i is bits
  // [i * bits, (i + 1) * bits) of a little-endian stream of ceil(n * bits / 8) bytes. [inst, task]
  bh_status (*pack_bits)(bh_call *call, const uint8_t *codes, int64_t n, uint32_t bits,
                         uint8_t *packed);

  // The way back: n bytes from 0 to 2^bits - 1. [inst, task]
  bh_status (*unpack_bits)(bh_call *call, const uint8_t *packed, int64_t n, uint32_t bits,
                           uint8_t *codes);
} bh_kernel_table;

#endif
