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
  float *grad;                 // [N, C], written
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
} bh_kernel_table;

#endif
