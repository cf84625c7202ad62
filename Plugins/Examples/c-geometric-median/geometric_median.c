// A scorer in C: how far an output channel is from all the others.
//
// A channel near the middle of the others can be replaced by them, so it matters least, however
// large its weights are. Source: He, Liu, Wang, Hu and Yang, Filter Pruning via Geometric Median
// for Deep Convolutional Neural Networks Acceleration, 2019, section 3.2, arXiv:1811.00250.
//
// The lesson: a parameter with choices, a loop over the host's threads, a failure with a text.
//
//   cc -O2 -shared -fPIC -I PluginSDK/include geometric_median.c -o geometric_median.so -lm
//   billhook prune in.onnx -o out.onnx --granularity channel --ratio 0.5 --scorer ./geometric_median.so
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "billhook/billhook.h"

typedef struct scorer {
  int64_t distance;  // index into `distances`
} scorer;

static const char *const distances[] = {"l2", "l1"};

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  scorer *made = malloc(sizeof *made);
  if (!made) return call->host->fail(call, BH_E_NO_MEMORY, NULL, 0);
  made->distance = values[0].u.i64;
  *self = made;
  return BH_OK;
}

static void destroy(void *self) { free(self); }

// The weight seen as [outer, channels, inner] around the axis of the output channels.
typedef struct job {
  const scorer *self;
  const float *weight;
  float *scores;
  int64_t outer, channels, inner;
} job;

static double distance(const job *j, int64_t a, int64_t b) {
  double sum = 0;
  for (int64_t o = 0; o < j->outer; o++) {
    const float *x = j->weight + (o * j->channels + a) * j->inner;
    const float *y = j->weight + (o * j->channels + b) * j->inner;
    for (int64_t i = 0; i < j->inner; i++) {
      const double d = (double)x[i] - (double)y[i];
      sum += j->self->distance == 0 ? d * d : fabs(d);
    }
  }
  return j->self->distance == 0 ? sqrt(sum) : sum;
}

// One channel's score depends on nothing that another task writes, so the result does not depend on
// the number of threads.
static bh_status score_channels(bh_call *call, int64_t begin, int64_t end, void *context) {
  const job *j = context;
  for (int64_t c = begin; c < end; c++) {
    if (call->host->cancelled(call)) return BH_E_CANCELLED;
    double sum = 0;
    for (int64_t other = 0; other < j->channels; other++) sum += distance(j, c, other);
    j->scores[c] = (float)sum;
  }
  return BH_OK;
}

static bh_status score(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                       const bh_tensor *scores_out) {
  job j = {self, in->weight->data, scores_out->data, 1, 1, 1};
  if (layer->out_axis < 0) {
    char text[160];
    const int length = snprintf(text, sizeof text, "a weight with %d axes has no output channels",
                                (int)layer->ndim);
    return call->host->fail(call, BH_E_UNSUPPORTED, text, (uint64_t)length);
  }
  for (int64_t axis = 0; axis < layer->ndim; axis++) {
    if (axis < layer->out_axis) j.outer *= layer->shape[axis];
    if (axis == layer->out_axis) j.channels = layer->shape[axis];
    if (axis > layer->out_axis) j.inner *= layer->shape[axis];
  }
  return call->host->parallel_for(call, j.channels, 1, score_channels, &j);
}

static const bh_param distance_param = {
    .struct_size = sizeof(bh_param),
    .type = BH_TYPE_CHOICE,
    .n_choices = 2,
    .key = "distance",
    .doc = "How the distance of two channels is measured.",
    .def = {.type = BH_TYPE_CHOICE, .count = 1, .u = {.i64 = 0}},
    .choices = distances,
};
static const bh_param *const params[] = {&distance_param};

static const bh_scorer hooks = {.struct_size = sizeof(bh_scorer), .score = score};

static const bh_plugin geometric_median = {
    .struct_size = sizeof(bh_plugin),
    .hook = BH_HOOK_SCORER,
    .caps = BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_DATA_FREE,
    .id = "org.example.geometric-median",
    .name = "Geometric median",
    .summary = "Channels near the middle of the others matter least.",
    .n_params = 1,
    .granularities = BH_GRANULARITY_BIT_OUT_CHANNEL,
    .params = params,
    .create = create,
    .destroy = destroy,
    .vtable = &hooks,
};
static const bh_plugin *const plugins[] = {&geometric_median};

static const bh_module module = {
    .magic = BH_MAGIC,
    .struct_size = sizeof(bh_module),
    .abi_major = BH_ABI_MAJOR,
    .min_minor = BH_TARGET_MINOR,
    .header_minor = BH_ABI_MINOR,
    .id = "org.example.geometric-median.module",
    .version = "1.0.0",
    .vendor = "Example",
    .license = "0BSD",
    .n_plugins = 1,
    .plugins = plugins,
};

const bh_module *billhook_module_v1(void) { return &module; }
