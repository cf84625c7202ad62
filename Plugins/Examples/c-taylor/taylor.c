// A scorer in C: how much the loss is expected to change when a weight, or a channel, is removed.
//
// Near the trained weights the loss is about linear, so setting w to 0 changes it by -w dL/dw. An
// element's score is |w dL/dw|; a channel's is |sum of w dL/dw| over its weights, in which effects
// that cancel out do not count. Source: Molchanov, Mallya, Tyree, Frosio and Kautz, Importance
// Estimation for Neural Network Pruning, 2019, section 3.1, arXiv:1906.10771 (its first-order score,
// without the square, which changes no ranking).
//
// The lesson: a need (the gradient, which the host computes), scores that compare across layers,
// work in pieces, and an answer when the need was not met.
#include <billhook/billhook.h>
#include <math.h>

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call, (void)values;
  *self = NULL;  // there are no parameters and no state
  return BH_OK;
}

static void destroy(void *self) { (void)self; }

typedef struct job {
  const float *weight, *gradient;
  float *scores;
  int64_t outer, channels, inner;  // the weight around the axis of the output channels
} job;

static bh_status score_elements(bh_call *call, int64_t begin, int64_t end, void *context) {
  (void)call;
  const job *j = context;
  for (int64_t i = begin; i < end; i++) j->scores[i] = fabsf(j->weight[i] * j->gradient[i]);
  return BH_OK;
}

// A channel is added up by one task, in one order: the number of threads does not matter.
static bh_status score_channels(bh_call *call, int64_t begin, int64_t end, void *context) {
  (void)call;
  const job *j = context;
  for (int64_t c = begin; c < end; c++) {
    double sum = 0;
    for (int64_t o = 0; o < j->outer; o++) {
      const int64_t first = (o * j->channels + c) * j->inner;
      for (int64_t i = first; i < first + j->inner; i++) {
        sum += (double)j->weight[i] * (double)j->gradient[i];
      }
    }
    j->scores[c] = (float)fabs(sum);
  }
  return BH_OK;
}

static bh_status score(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                       const bh_tensor *scores_out) {
  (void)self;
  if (!in->grad) {
    static const char text[] = "the gradient that was asked for is missing";
    return call->host->fail(call, BH_E_INVALID_ARG, text, sizeof text - 1);
  }
  job j = {in->weight->data, in->grad->data, scores_out->data, 1, 1, 1};
  if (in->granularity == BH_GRANULARITY_ELEMENT) {
    // The call may be about a piece of the layer, so its tensors say how much there is.
    int64_t count = 1;
    for (int32_t axis = 0; axis < in->weight->ndim; axis++) count *= in->weight->shape[axis];
    return call->host->parallel_for(call, count, 1 << 15, score_elements, &j);
  }
  for (int64_t axis = 0; axis < layer->ndim; axis++) {
    if (axis < layer->out_axis) j.outer *= layer->shape[axis];
    if (axis == layer->out_axis) j.channels = layer->shape[axis];
    if (axis > layer->out_axis) j.inner *= layer->shape[axis];
  }
  return call->host->parallel_for(call, j.channels, 1, score_channels, &j);
}

static const bh_scorer hooks = {.struct_size = sizeof(bh_scorer), .score = score};

static const bh_plugin taylor = {
    .struct_size = sizeof(bh_plugin),
    .hook = BH_HOOK_SCORER,
    .caps = BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_CHUNKED | BH_CAP_GLOBAL_SCALE,
    .needs = BH_NEED_WEIGHT_GRAD,
    .id = "org.example.taylor",
    .name = "First-order Taylor",
    .summary = "What changes the loss least when it is removed matters least.",
    .granularities = BH_GRANULARITY_BIT_ELEMENT | BH_GRANULARITY_BIT_OUT_CHANNEL,
    .create = create,
    .destroy = destroy,
    .vtable = &hooks,
};
static const bh_plugin *const plugins[] = {&taylor};

static const bh_module module = {
    .magic = BH_MAGIC,
    .struct_size = sizeof(bh_module),
    .abi_major = BH_ABI_MAJOR,
    .min_minor = BH_TARGET_MINOR,
    .header_minor = BH_ABI_MINOR,
    .id = "org.example.taylor.module",
    .version = "1.0.0",
    .vendor = "Example",
    .license = "0BSD",
    .n_plugins = 1,
    .plugins = plugins,
};

const bh_module *billhook_module_v1(void) { return &module; }
