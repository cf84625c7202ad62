// Quantizers: from float32 to small integers, table entries or blocks of bytes, and back.
#ifndef BILLHOOK_QUANTIZER_H
#define BILLHOOK_QUANTIZER_H

#include "billhook/host.h"
#include "billhook/layer.h"

// What a stored integer q stands for: bh_qlayout.formula.
#define BH_QFORMULA_AFFINE 0    // x = (q - zero_point) * scale, and back
                                // q = saturate(round_half_even(x / scale) + zero_point)
#define BH_QFORMULA_CODEBOOK 1  // x = table[q] * scale
#define BH_QFORMULA_OPAQUE 2    // blocks of bytes that the plugin alone can read

// How many scales a tensor has: bh_qlayout.granularity.
#define BH_QGRANULARITY_TENSOR 0
#define BH_QGRANULARITY_AXIS 1
#define BH_QGRANULARITY_BLOCK 2

// How a file without operators (safetensors) holds the integers: bh_qlayout.storage.
#define BH_QSTORAGE_NATURAL 0  // in 1, 2, 4 or 8 bits, the least that hold q_bits, low bits first
#define BH_QSTORAGE_PACKED 1   // in words of word_bits, without gaps: one may lie in two words
#define BH_QSTORAGE_CUSTOM 2   // as storage_id says: the bytes of OPAQUE, or those that the
                               // plugin's bh_quant_export makes

// bh_qlayout.pack_order
#define BH_QPACK_LOW_FIRST 0
#define BH_QPACK_HIGH_FIRST 1

// bh_qlayout.export_flags: claims, which the host checks each time it exports.
#define BH_QEXPORT_DEQUANT_EXACT ((uint32_t)1)  // float32 arithmetic by the formula is `dequantize`
#define BH_QEXPORT_QUANT_EXACT ((uint32_t)2)    // AFFINE: ONNX QuantizeLinear is `quantize`

// How a tensor is stored. The host makes it, sets struct_size and max_bits, and clears the rest;
// `layout` fills it in.
typedef struct bh_qlayout {
  uint32_t struct_size;    // sizeof(bh_qlayout) as the host compiled it
  uint32_t max_bits;       // from the host, 2 to 8; AFFINE: qmax - qmin must be below 2^max_bits
  uint32_t formula;        // BH_QFORMULA_*
  uint8_t q_code;          // BH_CODE_INT or BH_CODE_UINT; the latter for CODEBOOK; 0 for OPAQUE
  uint8_t q_bits;          // bits of a stored integer, 1 to 8; 0 for OPAQUE
  uint16_t reserved;       // 0
  int64_t qmin;            // lowest integer, within q_bits; 0 for CODEBOOK and OPAQUE
  int64_t qmax;            // highest integer, above qmin, within q_bits; of CODEBOOK: the table's
                           // last index; 0 for OPAQUE
  uint32_t symmetric;      // AFFINE: 1 when every zero point is 0; 0: from qmin to qmax
  uint32_t granularity;    // BH_QGRANULARITY_*; BLOCK for OPAQUE
  int32_t axis;            // AXIS: the one that has a scale an index; BLOCK: the one that is cut
                           // into blocks, or -1 for the whole tensor, row by row; else -1
  uint32_t export_flags;   // a sum of BH_QEXPORT_*
  int64_t block_size;      // BLOCK: values of a block, at least 1 (the last may be shorter); else 0
  int64_t block_bytes;     // OPAQUE: bytes of a block, at least 1; else 0
  uint32_t storage;        // BH_QSTORAGE_*; CUSTOM for OPAQUE
  uint32_t word_bits;      // PACKED: 8, 16 or 32; else 0
  uint32_t pack_order;     // PACKED: BH_QPACK_*; else 0
  int32_t pack_bias;       // PACKED: added to q, which then fits q_bits unsigned; else 0
  const char *storage_id;  // CUSTOM: as "vendor.format/1", lives as long as the process; else null
} bh_qlayout;

// What the formula needs beside the integers. The host makes the tensors after the layout.
typedef struct bh_qparams {
  uint32_t struct_size;         // sizeof(bh_qparams) as the host compiled it
  uint32_t reserved;            // 0
  const bh_tensor *scale;       // float32, finite and above 0: [] (TENSOR), [size of the axis]
                                // (AXIS), the tensor's shape with ceil(size / block_size) on the
                                // axis (BLOCK), [blocks] (BLOCK without axis); null for OPAQUE
  const bh_tensor *zero_point;  // AFFINE: a byte each, shape of scale, from qmin to qmax; else null
  const bh_tensor *table;       // CODEBOOK: float32 [qmax + 1], finite; else null
} bh_qparams;

// All tensors called x are float32. Those called q hold a byte an integer, int8 or uint8 as q_code
// says, in the shape of x, whatever the storage; with OPAQUE they are uint8 [blocks, block_bytes],
// x being cut row by row into blocks of block_size values, the last of which may be shorter.
typedef struct bh_quantizer {
  uint32_t struct_size;         // sizeof(bh_quantizer) as the plugin compiled it
  uint32_t reserved;            // 0

  // Decides how the tensor of layer->shape and layer->role is stored. Looks at no value, and gives
  // the same answer each time. An activation must be AFFINE, TENSOR, 8 bits.
  // Returns BH_OK, BH_SKIP to leave the tensor in float32, or host->fail(...). [inst]
  bh_status (*layout)(void *self, bh_call *call, const bh_layer *layer, bh_qlayout *out);

  // Sees an activation of one batch of calibration data; called for every batch before `calibrate`.
  // Null when the range is enough. [inst]
  bh_status (*observe)(void *self, bh_call *call, const bh_layer *layer, const bh_tensor *x);

  // Writes scale, zero point and table. For BH_ROLE_WEIGHT x is the weight; for BH_ROLE_ACTIVATION
  // it is [2]: the lowest and the highest value that calibration found. Not called for OPAQUE.
  // [inst]
  bh_status (*calibrate)(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *layout,
                         const bh_tensor *x, const bh_qparams *out);

  // Writes the integers of x, all from qmin to qmax, or the bytes of OPAQUE. [inst]
  bh_status (*quantize)(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *layout,
                        const bh_qparams *params, const bh_tensor *x, const bh_tensor *q_out);

  // Writes the numbers that integers or bytes stand for; all must be finite. [inst]
  bh_status (*dequantize)(void *self, bh_call *call, const bh_layer *layer,
                          const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *q,
                          const bh_tensor *x_out);

  // Writes what is left of x after quantization, for training. Null: dequantize of quantize. [inst]
  bh_status (*fake_quant)(void *self, bh_call *call, const bh_layer *layer,
                          const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *x,
                          const bh_tensor *y_out);

  // Writes dLoss/dx from dLoss/dy, y = fake_quant(x). Null: dLoss/dy where x is within qmin to qmax
  // and 0 elsewhere, for AFFINE; a quantizer of another formula cannot be trained through. [inst]
  bh_status (*fake_quant_grad)(void *self, bh_call *call, const bh_layer *layer,
                               const bh_qlayout *layout, const bh_qparams *params,
                               const bh_tensor *x, const bh_tensor *grad_y,
                               const bh_tensor *grad_x_out);
} bh_quantizer;

// Extension "billhook.quant-export/1" of a plugin: AFFINE or CODEBOOK integers with their scales in
// a file form of the plugin's own (BH_QSTORAGE_CUSTOM).
#define BH_EXT_QUANT_EXPORT "billhook.quant-export/1"

typedef struct bh_quant_export {
  uint32_t struct_size;         // sizeof(bh_quant_export) as the plugin compiled it
  uint32_t reserved;            // 0

  // Writes how many bytes `pack` makes of the tensor of layer->shape. [inst]
  bh_status (*packed_bytes)(void *self, bh_call *call, const bh_layer *layer,
                            const bh_qlayout *layout, uint64_t *bytes_out);

  // Writes everything that the file keeps of a tensor; bytes_out is uint8 [packed_bytes]. [inst]
  bh_status (*pack)(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *layout,
                    const bh_qparams *params, const bh_tensor *q, const bh_tensor *bytes_out);

  // Writes parameters and integers from what `pack` wrote, bit for bit. [inst]
  bh_status (*unpack)(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *layout,
                      const bh_tensor *bytes, const bh_qparams *params_out,
                      const bh_tensor *q_out);
} bh_quant_export;

#endif
