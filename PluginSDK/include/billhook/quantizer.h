// Quantizers: from float32 to integers and back.
#ifndef BILLHOOK_QUANTIZER_H
#define BILLHOOK_QUANTIZER_H

#include "billhook/host.h"
#include "billhook/layer.h"

// How many scales a tensor has: bh_qlayout.granularity.
#define BH_QGRANULARITY_TENSOR 0
#define BH_QGRANULARITY_AXIS 1

// How a tensor is stored: q = saturate(round_half_even(x / scale) + zero_point), as in ONNX.
//
// The host makes it, sets struct_size and max_bits, and clears the rest; `layout` fills it in.
typedef struct bh_qlayout {
  uint32_t struct_size;  // sizeof(bh_qlayout) as the host compiled it
  uint32_t max_bits;     // from the host, 2 to 8: qmax - qmin must be less than 2^max_bits
  uint8_t q_code;        // BH_CODE_INT or BH_CODE_UINT
  uint8_t q_bits;        // bits of a stored integer: 8
  uint16_t reserved;     // 0
  uint32_t symmetric;    // 1: every zero point is 0; 0: they may be anything from qmin to qmax
  int64_t qmin;          // lowest integer, within the type
  int64_t qmax;          // highest integer, within the type, above qmin
  uint32_t granularity;  // BH_QGRANULARITY_*
  int32_t axis;          // the axis that has a scale an index; -1 for BH_QGRANULARITY_TENSOR
} bh_qlayout;

// Scale and zero point. The host makes the tensors after the layout: [] or [size of the axis].
typedef struct bh_qparams {
  uint32_t struct_size;         // sizeof(bh_qparams) as the host compiled it
  uint32_t reserved;            // 0
  const bh_tensor *scale;       // float32, finite and above 0; never null
  const bh_tensor *zero_point;  // the layout's integers, from qmin to qmax; never null
} bh_qparams;

// All tensors called x are float32, all called q hold the layout's integers.
typedef struct bh_quantizer {
  uint32_t struct_size;         // sizeof(bh_quantizer) as the plugin compiled it
  uint32_t reserved;            // 0

  // Decides how the tensor of layer->shape and layer->role is stored. Looks at no value.
  // Returns BH_OK, BH_SKIP to leave the tensor in float32, or host->fail(...). [inst]
  bh_status (*layout)(void *self, bh_call *call, const bh_layer *layer, bh_qlayout *out);

  // Writes scale and zero point. For BH_ROLE_WEIGHT x is the weight; for BH_ROLE_ACTIVATION it is
  // [2]: the lowest and the highest value that calibration found. [inst]
  bh_status (*calibrate)(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *layout,
                         const bh_tensor *x, const bh_qparams *out);

  // Writes the integers of x, all from qmin to qmax. [inst]
  bh_status (*quantize)(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *layout,
                        const bh_qparams *params, const bh_tensor *x, const bh_tensor *q_out);

  // Writes the numbers that integers stand for. [inst]
  bh_status (*dequantize)(void *self, bh_call *call, const bh_layer *layer,
                          const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *q,
                          const bh_tensor *x_out);
} bh_quantizer;

#endif
