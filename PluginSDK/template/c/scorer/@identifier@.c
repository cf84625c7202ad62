// @name@: a scorer. Say here what a high score means, and where the method comes from.
#include <billhook/billhook.h>
#include <stdlib.h>

typedef struct scorer {
  double exponent;
} scorer;

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  static const char text[] = "out of memory";
  scorer *made = malloc(sizeof *made);
  if (!made) return call->host->fail(call, BH_E_NO_MEMORY, text, sizeof text - 1);
  made->exponent = values[0].u.f64;
  *self = made;
  return BH_OK;
}

static void destroy(void *self) { free(self); }

static bh_status score(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                       const bh_tensor *scores_out) {
  const scorer *s = self;
  // The host's kernels are vectorised, threaded and give the same bytes on any number of threads.
  const bh_kernel_table *kernels = call->host->get_extension(call, BH_EXT_KERNELS);
  if (!kernels) {
    static const char text[] = "the host has no \"" BH_EXT_KERNELS "\"";
    return call->host->fail(call, BH_E_UNSUPPORTED, text, sizeof text - 1);
  }
  int64_t count = 1, outer = 1, channels = 1, inner = 1;
  if (in->granularity == BH_GRANULARITY_ELEMENT) {
    for (int32_t axis = 0; axis < in->weight->ndim; axis++) count *= in->weight->shape[axis];
    return kernels->abs_power(call, in->weight->data, count, s->exponent, scores_out->data);
  }
  for (int64_t axis = 0; axis < layer->ndim; axis++) {
    if (axis < layer->out_axis) outer *= layer->shape[axis];
    if (axis == layer->out_axis) channels = layer->shape[axis];
    if (axis > layer->out_axis) inner *= layer->shape[axis];
  }
  return kernels->abs_power_sums(call, in->weight->data, outer, channels, inner, s->exponent,
                                 scores_out->data);
}

static const bh_param exponent = {
    .struct_size = sizeof(bh_param), .type = BH_TYPE_F64, .key = "exponent",
    .doc = "The power that |w| is raised to.",
    .def = {.type = BH_TYPE_F64, .count = 1, .u = {.f64 = 1}}, .min = 0.1, .max = 8,
};
static const bh_param *const params[] = {&exponent};

static const bh_scorer hooks = {.struct_size = sizeof(bh_scorer), .score = score};

static const bh_plugin plugin = {
    .struct_size = sizeof(bh_plugin),
    .hook = BH_HOOK_SCORER,
    .caps = BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_CHUNKED | BH_CAP_DATA_FREE |
            BH_CAP_GLOBAL_SCALE,
    .id = "org.example.@name@",
    .name = "@name@",
    .summary = "Weights near 0 matter least.",
    .n_params = 1,
    .granularities = BH_GRANULARITY_BIT_ELEMENT | BH_GRANULARITY_BIT_OUT_CHANNEL,
    .params = params,
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
