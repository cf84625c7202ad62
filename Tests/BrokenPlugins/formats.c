// A quantizer whose parameter "form" chooses among storage forms: an opaque block format (18 bytes
// for 32 values: a scale and 4-bit numbers), packed five-bit integers, and a file form of its own.
#include <billhook/billhook.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPAQUE, PACKED, CUSTOM, INEXACT };
static const char *const forms[] = {"opaque", "packed", "custom", "inexact"};

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call;
  *self = malloc(sizeof(int64_t));
  *(int64_t *)*self = values[0].u.i64;
  return BH_OK;
}
static void destroy(void *self) { free(self); }
static int64_t form_of(void *self) { return *(int64_t *)self; }

#ifndef BLOCK_BYTES
#define BLOCK_BYTES 18
#endif
#ifndef STORAGE_ID
#define STORAGE_ID "example.blocks/1"
#endif

static int64_t count_of(const bh_tensor *tensor) {
  int64_t count = 1;
  for (int32_t axis = 0; axis < tensor->ndim; axis++) count *= tensor->shape[axis];
  return count;
}

static bh_status layout(void *self, bh_call *call, const bh_layer *layer, bh_qlayout *out) {
  (void)call;
  if (layer->role != BH_ROLE_WEIGHT) return BH_SKIP;
  if (form_of(self) == OPAQUE) {
    out->formula = BH_QFORMULA_OPAQUE;
    out->granularity = BH_QGRANULARITY_BLOCK;
    out->axis = -1;
    out->block_size = 32;
    out->block_bytes = BLOCK_BYTES;
    out->storage = BH_QSTORAGE_CUSTOM;
    out->storage_id = STORAGE_ID;
    return BH_OK;
  }
  out->q_code = BH_CODE_INT;
  out->q_bits = 5;
  out->qmin = -15;
  out->qmax = 15;
  out->symmetric = 1;
  out->granularity = BH_QGRANULARITY_AXIS;
  out->axis = layer->out_axis;
  out->export_flags = BH_QEXPORT_DEQUANT_EXACT;
  if (form_of(self) == PACKED) {
    out->storage = BH_QSTORAGE_PACKED;
    out->word_bits = 32;
    out->pack_bias = 16;
  } else if (form_of(self) == CUSTOM) {
    out->storage = BH_QSTORAGE_CUSTOM;
    out->storage_id = "example.reversed/1";
  }
  return BH_OK;
}

static bh_status calibrate(void *self, bh_call *call, const bh_layer *layer,
                           const bh_qlayout *stored, const bh_tensor *x, const bh_qparams *out) {
  (void)self, (void)call, (void)layer, (void)stored;
  const int64_t rows = x->shape[0], inner = rows ? count_of(x) / rows : 0;
  for (int64_t row = 0; row < rows; row++) {
    float largest = 0;
    for (int64_t i = 0; i < inner; i++)
      largest = fmaxf(largest, fabsf(((float *)x->data)[row * inner + i]));
    ((float *)out->scale->data)[row] = largest > 0 ? largest / 15 : 1;
    ((int8_t *)out->zero_point->data)[row] = 0;
  }
  return BH_OK;
}

static bh_status quantize(void *self, bh_call *call, const bh_layer *layer,
                          const bh_qlayout *stored, const bh_qparams *params, const bh_tensor *x,
                          const bh_tensor *q_out) {
  (void)call, (void)layer, (void)stored;
  const int64_t n = count_of(x);
  const float *values = x->data;
  if (form_of(self) != OPAQUE) {
    const int64_t inner = x->shape[0] ? n / x->shape[0] : 1;
    for (int64_t i = 0; i < n; i++)
      ((int8_t *)q_out->data)[i] =
          (int8_t)nearbyintf(values[i] / ((float *)params->scale->data)[i / inner]);
    return BH_OK;
  }
  for (int64_t block = 0; block * 32 < n; block++) {
    uint8_t *bytes = (uint8_t *)q_out->data + block * 18;
    float largest = 0;
    for (int64_t i = block * 32; i < n && i < block * 32 + 32; i++)
      largest = fmaxf(largest, fabsf(values[i]));
    // The scale is the upper half of a float, rounded up.
    uint32_t bits;
    const float wanted = largest / 7;
    memcpy(&bits, &wanted, 4);
    const uint16_t half = (uint16_t)((bits + 0xFFFF) >> 16);
    bits = (uint32_t)half << 16;
    float scale;
    memcpy(&scale, &bits, 4);
    memcpy(bytes, &half, 2);
    for (int64_t i = 0; i < 32; i++) {
      const int64_t at = block * 32 + i;
      const int number = at < n && scale > 0 ? (int)nearbyintf(values[at] / scale) + 8 : 8;
      if (i % 2 == 0) bytes[2 + i / 2] = 0;
      bytes[2 + i / 2] |= (uint8_t)(number << (i % 2 * 4));
    }
  }
  return BH_OK;
}

static bh_status dequantize(void *self, bh_call *call, const bh_layer *layer,
                            const bh_qlayout *stored, const bh_qparams *params, const bh_tensor *q,
                            const bh_tensor *x_out) {
  (void)call, (void)layer, (void)stored;
  const int64_t n = count_of(x_out);
  float *values = x_out->data;
  if (form_of(self) != OPAQUE) {
    const int64_t inner = x_out->shape[0] ? n / x_out->shape[0] : 1;
    for (int64_t i = 0; i < n; i++)
      values[i] = (float)((int8_t *)q->data)[i] * ((float *)params->scale->data)[i / inner] *
                  (form_of(self) == INEXACT ? 1.0001f : 1.0f);
    return BH_OK;
  }
  for (int64_t i = 0; i < n; i++) {
    const uint8_t *bytes = (const uint8_t *)q->data + i / 32 * 18;
    uint16_t half;
    memcpy(&half, bytes, 2);
    const uint32_t bits = (uint32_t)half << 16;
    float scale;
    memcpy(&scale, &bits, 4);
    values[i] = (float)((bytes[2 + i % 32 / 2] >> (i % 2 * 4) & 15) - 8) * scale;
  }
  return BH_OK;
}

static bh_status packed_bytes(void *self, bh_call *call, const bh_layer *layer,
                              const bh_qlayout *stored, uint64_t *out) {
  (void)self, (void)call, (void)stored;
  int64_t n = 1;
  for (int64_t axis = 0; axis < layer->ndim; axis++) n *= layer->shape[axis];
  *out = (uint64_t)(n + layer->shape[0] * 4);
  return BH_OK;
}

static bh_status pack(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *stored,
                      const bh_qparams *params, const bh_tensor *q, const bh_tensor *out) {
  (void)self, (void)call, (void)stored;
  const int64_t n = count_of(q), scales = layer->shape[0] * 4;
  memcpy(out->data, params->scale->data, (size_t)scales);
  for (int64_t i = 0; i < n; i++)
    ((int8_t *)out->data)[scales + i] = ((int8_t *)q->data)[n - 1 - i];
  return BH_OK;
}

static bh_status unpack(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *stored,
                        const bh_tensor *bytes, const bh_qparams *params, const bh_tensor *q) {
  (void)self, (void)call, (void)stored;
  const int64_t n = count_of(q), scales = layer->shape[0] * 4;
  memcpy(params->scale->data, bytes->data, (size_t)scales);
  memset(params->zero_point->data, 0, (size_t)layer->shape[0]);
  for (int64_t i = 0; i < n; i++)
    ((int8_t *)q->data)[i] = ((int8_t *)bytes->data)[scales + n - 1 - i];
  return BH_OK;
}

static const bh_quant_export export_functions = {sizeof(bh_quant_export), 0, packed_bytes, pack,
                                                 unpack};
static const void *extension(const char *id) {
  return strcmp(id, BH_EXT_QUANT_EXPORT) == 0 ? &export_functions : NULL;
}

static const bh_quantizer functions = {.struct_size = sizeof(bh_quantizer),
                                       .layout = layout,
                                       .calibrate = calibrate,
                                       .quantize = quantize,
                                       .dequantize = dequantize};
static const bh_param form = {.struct_size = sizeof(bh_param),
                              .type = BH_TYPE_CHOICE,
                              .n_choices = 4,
                              .key = "form",
                              .doc = "The storage form.",
                              .def = {.type = BH_TYPE_CHOICE, .count = 1},
                              .choices = forms};
static const bh_param *const parameters[] = {&form};
static const bh_plugin plugin = {.struct_size = sizeof(bh_plugin),
                                 .hook = BH_HOOK_QUANTIZER,
                                 .id = "org.example.formats",
                                 .name = "Formats",
                                 .summary = "Storage forms.",
                                 .n_params = 1,
                                 .params = parameters,
                                 .create = create,
                                 .destroy = destroy,
                                 .vtable = &functions,
                                 .get_extension = extension};
static const bh_plugin *const plugins[] = {&plugin};
static const bh_module module = {.magic = BH_MAGIC,
                                 .struct_size = sizeof(bh_module),
                                 .abi_major = BH_ABI_MAJOR,
                                 .min_minor = BH_TARGET_MINOR,
                                 .header_minor = BH_ABI_MINOR,
                                 .id = "org.example.formats-module",
                                 .version = "1",
                                 .vendor = "Example",
                                 .license = "0BSD",
                                 .n_plugins = 1,
                                 .plugins = plugins};
BH_EXPORT const bh_module *billhook_module_v1(void) { return &module; }
