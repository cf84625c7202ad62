// Symmetric int8 with one scale, and straight-through gradients.
#include "conformance.h"

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call, (void)values;
  *self = calloc(1, sizeof(int));
  return *self ? BH_OK : BH_E_NO_MEMORY;
}

static void destroy(void *self) { free(self); }

static bh_status layout(void *self, bh_call *call, const bh_layer *layer, bh_qlayout *out) {
  (void)self, (void)call;
  const int64_t top = ((int64_t)1 << ((BREAKS(BITS_IGNORED) ? 8 : out->max_bits) - 1)) - 1;
  const int is_weight = layer->role == BH_ROLE_WEIGHT;
  out->formula = BH_QFORMULA_AFFINE;
  out->q_code = BH_CODE_INT;
  out->q_bits = 8;
  out->qmin = -top;
  out->qmax = top;
  out->symmetric = 1;
  out->granularity = BH_QGRANULARITY_TENSOR;
  out->axis = -1;
  if (BREAKS(LAYOUT_CHANGES)) out->qmin = -top + (*(int *)self)++;
  if (BREAKS(AXIS_OUT_OF_RANGE)) out->granularity = BH_QGRANULARITY_AXIS, out->axis = 9;
  if (BREAKS(INTEGER_OUT_OF_RANGE) && top == 127) out->qmin = -126, out->qmax = 126;
  if (BREAKS(DEQUANT_NOT_EXACT)) out->export_flags = BH_QEXPORT_DEQUANT_EXACT;
  if (BREAKS(QUANT_NOT_EXACT)) out->export_flags = BH_QEXPORT_QUANT_EXACT;
  if (BREAKS(UNPACK_LOSES) && is_weight) {
    out->storage = BH_QSTORAGE_CUSTOM;
    out->storage_id = "example.broken/1";
  }
  return BH_OK;
}

static bh_status calibrate(void *self, bh_call *call, const bh_layer *layer,
                           const bh_qlayout *layout, const bh_tensor *x, const bh_qparams *out) {
  (void)call, (void)layer;
  if (!BREAKS(LAYOUT_CHANGES)) *(int *)self = 1;
  const float *values = x->data;
  const int64_t n = count_of(x);
  float top = 0, low = INFINITY;
  for (int64_t i = 0; i < n; i++) {
    top = fabsf(values[i]) > top ? fabsf(values[i]) : top;
    low = values[i] < low ? values[i] : low;
  }
  if (!isfinite(top)) return say(call, BH_E_NUMERIC, "the values are not finite");
  const int64_t levels = BREAKS(INTEGER_OUT_OF_RANGE) && layout->qmax == 126 ? 127 : layout->qmax;
  float scale = top > 0 ? top / (float)levels : 1;
  if (scale < 1.17549435e-38f) scale = 1.17549435e-38f;
  if (BREAKS(QUANT_NOT_EXACT)) scale *= 0.9f;
  if (BREAKS(SCALE_ZERO) && n == 2) scale = 0;
  if (BREAKS(CONSTANT_BREAKS) && n > 2 && low == top && top > 0) scale = INFINITY;
  if (BREAKS(ZERO_BREAKS) && n > 2 && top == 0) scale = NAN;
  *(float *)out->scale->data = scale;
  *(int8_t *)out->zero_point->data = BREAKS(ZERO_POINT_NOT_ZERO) ? 1 : 0;
  return BH_OK;
}

static int8_t quantized(float x, float scale, int8_t zero, const bh_qlayout *layout) {
  double position = x / scale;
  if (position != position) return (int8_t)layout->qmin;
  if (BREAKS(TRUNCATES)) {
    position = trunc(position + (position < 0 ? -1e-3 : 1e-3));
  } else if (BREAKS(GRID_MOVES) && x != 0 && fabs(position - nearbyint(position)) < 1e-6 &&
             fabs(position) < 126.5) {
    position = nearbyint(position) + (position < 0 ? 1 : -1);
  } else if (BREAKS(QUANT_NOT_EXACT) && position > (double)layout->qmax + 0.5) {
    position = (double)layout->qmax - 1;
  } else {
    position = nearbyint(position);
  }
  position += zero;
  int64_t low = layout->qmin, high = layout->qmax;
  if (BREAKS(INTEGER_OUT_OF_RANGE) && high == 126) low = -127, high = 127;
  return (int8_t)(position < (double)low    ? low
                  : position > (double)high ? high
                                            : (int64_t)position);
}

static float restored(int8_t q, float scale, int8_t zero) {
  const float x = (float)(q - zero) * scale;
  return BREAKS(DEQUANT_NOT_EXACT) ? x * (1 + 1e-6f) : x;
}

static bh_status quantize(void *self, bh_call *call, const bh_layer *layer,
                          const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *x,
                          const bh_tensor *q_out) {
  (void)self, (void)call, (void)layer;
  const float *values = x->data, scale = *(const float *)params->scale->data;
  const int8_t zero = *(const int8_t *)params->zero_point->data;
  int8_t *q = q_out->data;
  for (int64_t i = 0; i < count_of(x); i++) q[i] = quantized(values[i], scale, zero, layout);
  return BH_OK;
}

static bh_status dequantize(void *self, bh_call *call, const bh_layer *layer,
                            const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *q,
                            const bh_tensor *x_out) {
  (void)self, (void)call, (void)layer, (void)layout;
  const int8_t *values = q->data, zero = *(const int8_t *)params->zero_point->data;
  const float scale = *(const float *)params->scale->data;
  float *x = x_out->data;
  for (int64_t i = 0; i < count_of(q); i++) x[i] = restored(values[i], scale, zero);
  if (BREAKS(REMEMBERS_CALIBRATION) && *(int *)self == 0 && count_of(q) > 0) x[0] += scale;
  return BH_OK;
}

static bh_status fake_quant(void *self, bh_call *call, const bh_layer *layer,
                            const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *x,
                            const bh_tensor *y_out) {
  (void)self, (void)call, (void)layer;
  const float *values = x->data, scale = *(const float *)params->scale->data;
  const int8_t zero = *(const int8_t *)params->zero_point->data;
  float *y = y_out->data;
  for (int64_t i = 0; i < count_of(x); i++) {
    y[i] = BREAKS(FAKE_IS_IDENTITY) ? values[i]
                                    : restored(quantized(values[i], scale, zero, layout), scale, zero);
  }
  return BH_OK;
}

static bh_status fake_quant_grad(void *self, bh_call *call, const bh_layer *layer,
                                 const bh_qlayout *layout, const bh_qparams *params,
                                 const bh_tensor *x, const bh_tensor *grad_y,
                                 const bh_tensor *grad_x_out) {
  (void)self, (void)call, (void)layer;
  const float *values = x->data, *above = grad_y->data;
  const float scale = *(const float *)params->scale->data;
  const int8_t zero = *(const int8_t *)params->zero_point->data;
  float *out = grad_x_out->data;
  for (int64_t i = 0; i < count_of(x); i++) {
    const double position = (double)values[i] / scale + zero;
    const int inside = position >= (double)layout->qmin && position <= (double)layout->qmax;
    out[i] = inside || BREAKS(GRADIENT_EVERYWHERE) ? above[i] : 0;
  }
  return BH_OK;
}

// billhook.quant-export/1: the scale, then the integers.
static bh_status packed_bytes(void *self, bh_call *call, const bh_layer *layer,
                              const bh_qlayout *layout, uint64_t *bytes_out) {
  (void)self, (void)call, (void)layout;
  uint64_t n = 1;
  for (int64_t i = 0; i < layer->ndim; i++) n *= (uint64_t)layer->shape[i];
  *bytes_out = n + sizeof(float);
  return BH_OK;
}

static bh_status pack(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *layout,
                      const bh_qparams *params, const bh_tensor *q, const bh_tensor *bytes_out) {
  (void)self, (void)call, (void)layer, (void)layout;
  memcpy(bytes_out->data, params->scale->data, sizeof(float));
  memcpy((char *)bytes_out->data + sizeof(float), q->data, (size_t)count_of(q));
  return BH_OK;
}

static bh_status unpack(void *self, bh_call *call, const bh_layer *layer, const bh_qlayout *layout,
                        const bh_tensor *bytes, const bh_qparams *params_out,
                        const bh_tensor *q_out) {
  (void)self, (void)call, (void)layer, (void)layout;
  memcpy(params_out->scale->data, bytes->data, sizeof(float));
  *(int8_t *)params_out->zero_point->data = 0;
  memcpy(q_out->data, (const char *)bytes->data + sizeof(float), (size_t)count_of(q_out));
  // The last one of an odd number.
  if (count_of(q_out) % 2) ((int8_t *)q_out->data)[count_of(q_out) - 1] = 0;
  return BH_OK;
}

static const bh_quantizer hooks = {
    sizeof(bh_quantizer), 0, layout, NULL, calibrate, quantize, dequantize, fake_quant,
    fake_quant_grad,
};
static const bh_quant_export export = {
    sizeof(bh_quant_export), 0, packed_bytes, pack, unpack,
};

static const void *extension(const char *id) {
  return BREAKS(UNPACK_LOSES) && !strcmp(id, BH_EXT_QUANT_EXPORT) ? &export : NULL;
}

static const bh_plugin broken = {
    sizeof(bh_plugin), BH_HOOK_QUANTIZER, BH_CAP_DETERMINISTIC, 0, "org.example.broken.quantizer",
    plugin_name, "A broken quantizer.", NULL, 0, 0, 0, 0, NULL, NULL, NULL, create, destroy, NULL,
    NULL, NULL, &hooks, extension,
};
MODULE(broken)
