// @name@: a quantizer. Symmetric integers with a scale for each output channel of a weight, and one
// scale for an activation.
#include <billhook/billhook.h>
#include <string.h>

static bh_status fail(bh_call *call, bh_status status, const char *text) {
  return call->host->fail(call, status, text, strlen(text));
}

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call, (void)values;
  *self = NULL;  // there is no state
  return BH_OK;
}

static void destroy(void *self) { (void)self; }

static bh_status layout(void *self, bh_call *call, const bh_layer *layer, bh_qlayout *out) {
  (void)self, (void)call;
  const int by_channel = layer->role == BH_ROLE_WEIGHT && layer->out_axis >= 0;
  out->formula = BH_QFORMULA_AFFINE;
  out->q_code = BH_CODE_INT;
  out->q_bits = 8;
  out->qmax = ((int64_t)1 << (out->max_bits - 1)) - 1;
  out->qmin = -out->qmax;
  out->symmetric = 1;
  out->granularity = by_channel ? BH_QGRANULARITY_AXIS : BH_QGRANULARITY_TENSOR;
  out->axis = by_channel ? layer->out_axis : -1;
  out->export_flags = BH_QEXPORT_DEQUANT_EXACT | BH_QEXPORT_QUANT_EXACT;
  return BH_OK;
}

// A tensor around the axis that has a scale an index, the host's kernels, and zero points.
typedef struct view {
  const bh_kernel_table *kernels;
  int64_t outer, count, inner;
  int32_t *zero_points;
} view;

static bh_status look(bh_call *call, const bh_qlayout *layout, const bh_tensor *x, view *out) {
  *out = (view){call->host->get_extension(call, BH_EXT_KERNELS), 1, 1, 1, NULL};
  if (!out->kernels) return fail(call, BH_E_UNSUPPORTED, "the host has no " BH_EXT_KERNELS);
  for (int32_t axis = 0; axis < x->ndim; axis++) {
    if (axis < layout->axis) out->outer *= x->shape[axis];
    if (axis == layout->axis) out->count = x->shape[axis];
    if (axis > layout->axis) out->inner *= x->shape[axis];
  }
  const uint64_t bytes = (uint64_t)out->count * sizeof(int32_t);
  if (bytes == 0) return BH_OK;
  out->zero_points = call->host->scratch(call, bytes, 64);
  if (!out->zero_points) return fail(call, BH_E_NO_MEMORY, "no scratch memory is left");
  memset(out->zero_points, 0, bytes);
  return BH_OK;
}

static bh_status calibrate(void *self, bh_call *call, const bh_layer *layer,
                           const bh_qlayout *layout, const bh_tensor *x, const bh_qparams *out) {
  (void)self;
  view v;
  bh_status status = look(call, layout, x, &v);
  if (status != BH_OK || v.count == 0) return status;
  float *low, *high;
  if (layer->role == BH_ROLE_ACTIVATION) {
    // Calibration has found the lowest and the highest value already.
    low = x->data, high = low + 1;
  } else {
    low = call->host->scratch(call, 2 * (uint64_t)v.count * sizeof(float), 64);
    if (!low) return fail(call, BH_E_NO_MEMORY, "no scratch memory is left");
    high = low + v.count;
    status = v.kernels->min_max(call, x->data, v.outer, v.count, v.inner, low, high);
    if (status != BH_OK) return status;
  }
  memset(out->zero_point->data, 0, (size_t)v.count);
  return v.kernels->affine_params(call, low, high, v.count, (int32_t)layout->qmin,
                                  (int32_t)layout->qmax, layout->symmetric, out->scale->data,
                                  v.zero_points);
}

static bh_status quantize(void *self, bh_call *call, const bh_layer *layer,
                          const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *x,
                          const bh_tensor *q_out) {
  (void)self, (void)layer;
  view v;
  const bh_status status = look(call, layout, x, &v);
  if (status != BH_OK || v.count == 0) return status;
  return v.kernels->affine_quantize(call, x->data, v.outer, v.count, v.inner, params->scale->data,
                                    v.zero_points, (int32_t)layout->qmin, (int32_t)layout->qmax,
                                    layout->q_code, q_out->data);
}

static bh_status dequantize(void *self, bh_call *call, const bh_layer *layer,
                            const bh_qlayout *layout, const bh_qparams *params, const bh_tensor *q,
                            const bh_tensor *x_out) {
  (void)self, (void)layer;
  view v;
  const bh_status status = look(call, layout, q, &v);
  if (status != BH_OK || v.count == 0) return status;
  return v.kernels->affine_dequantize(call, q->data, layout->q_code, v.outer, v.count, v.inner,
                                      params->scale->data, v.zero_points, x_out->data);
}

static const bh_quantizer hooks = {
    .struct_size = sizeof(bh_quantizer),
    .layout = layout,
    .calibrate = calibrate,
    .quantize = quantize,
    .dequantize = dequantize,
};

static const bh_plugin plugin = {
    .struct_size = sizeof(bh_plugin),
    .hook = BH_HOOK_QUANTIZER,
    .caps = BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT,
    .id = "org.example.@name@",
    .name = "@name@",
    .summary = "Symmetric integers with a scale for each output channel.",
    .create = create,
    .destroy = destroy,
    .vtable = &hooks,
};
static const bh_plugin *const plugins[] = {&plugin};

static const bh_module module = {
    .magic = BH_MAGIC,
    .struct_size = sizeof(bh_module),
    .abi_major = BH_ABI_MAJOR,
    .min_minor = BH_TARGET_MINOR,
    .header_minor = BH_ABI_MINOR,
    .id = "org.example.@name@.module",
    .version = "1.0.0",
    .vendor = "Example",
    .license = "0BSD",
    .n_plugins = 1,
    .plugins = plugins,
};

const bh_module *billhook_module_v1(void) { return &module; }
