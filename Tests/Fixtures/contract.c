// Plugins that use what few plugins use: gradients, Gram matrices, raw values, state, blocks,
// features. The tests compare what they are given with what it should be.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "billhook/billhook.h"

static int64_t count_of(const bh_tensor *t) {
  int64_t n = 1;
  for (int32_t axis = 0; axis < t->ndim; axis++) n *= t->shape[axis];
  return n;
}

static bh_status say(bh_call *call, bh_status status, const char *text) {
  return call->host->fail(call, status, text, strlen(text));
}

static bh_status create_nothing(bh_call *call, const bh_value *values, void **self) {
  (void)call, (void)values;
  *self = NULL;
  return BH_OK;
}

// Scores are the gradients -----------------------------------------------------------------------

static bh_status score_gradient(void *self, bh_call *call, const bh_layer *layer,
                                const bh_score_in *in, const bh_tensor *scores_out) {
  (void)self, (void)call, (void)layer;
  memcpy(scores_out->data, in->grad->data, sizeof(float) * (size_t)count_of(scores_out));
  return BH_OK;
}

// The score of element (o, k) is the Gram matrix' element (k, k) of its group; of element (o, 0) the
// element (0, K - 1) -----------------------------------------------------------------------------

static bh_status score_gram(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                            const bh_tensor *scores_out) {
  (void)self;
  if (layer->out_axis != 0) return say(call, BH_E_UNSUPPORTED, "output channels are not first");
  const int64_t outputs = layer->shape[0], width = count_of(scores_out) / outputs;
  if (in->in_gram->shape[0] != layer->groups || in->in_gram->shape[1] != width)
    return say(call, BH_E_INVALID_ARG, "a Gram matrix of another size");
  const float *gram = in->in_gram->data;
  float *out = scores_out->data;
  for (int64_t o = 0; o < outputs; o++) {
    const float *own = gram + o / (outputs / layer->groups) * width * width;
    for (int64_t k = 0; k < width; k++) out[o * width + k] = own[k * width + k];
    out[o * width] = own[width - 1];
  }
  return BH_OK;
}

// Sums of what each layer reads, writes, and of the gradient of what it writes ----------------------

#define LAYERS 8
typedef struct sums {
  double values[LAYERS][4];  // in, out squared, |grad of out|, samples
} sums;

static bh_status create_sums(bh_call *call, const bh_value *values, void **self) {
  (void)values;
  *self = calloc(1, sizeof(sums));
  return *self ? BH_OK : call->host->fail(call, BH_E_NO_MEMORY, NULL, 0);
}

static bh_status reset_sums(void *self, bh_call *call) {
  (void)call;
  memset(self, 0, sizeof(sums));
  return BH_OK;
}

static bh_status save_sums(void *self, bh_call *call, const bh_writer *writer) {
  const char *bytes = self;
  for (uint64_t done = 0; done < sizeof(sums);) {
    const int64_t taken = writer->write(writer, bytes + done, sizeof(sums) - done);
    if (taken <= 0) return say(call, BH_E_IO, "the state is not taken");
    done += (uint64_t)taken;
  }
  return BH_OK;
}

// In parts of seven bytes, to see that it works.
static bh_status read_sums(bh_call *call, const bh_reader *reader, sums *state) {
  char *bytes = (char *)state;
  uint64_t done = 0;
  for (;;) {
    char part[7];
    const int64_t given = reader->read(reader, part, sizeof part);
    if (given < 0) return say(call, BH_E_IO, "the state is not given");
    if (given == 0) break;
    if (done + (uint64_t)given > sizeof(sums)) return say(call, BH_E_BAD_STATE, "too long");
    memcpy(bytes + done, part, (size_t)given);
    done += (uint64_t)given;
  }
  return done == sizeof(sums) ? BH_OK : say(call, BH_E_BAD_STATE, "too short");
}

static bh_status load_sums(void *self, bh_call *call, const bh_reader *reader, uint32_t version) {
#ifdef LOAD_CRASHES
  abort();
#endif
  if (version != 3) return say(call, BH_E_BAD_STATE, "another version");
  sums read;
  const bh_status status = read_sums(call, reader, &read);
  if (status == BH_OK) memcpy(self, &read, sizeof read);
  return status;
}

static bh_status merge_sums(void *self, bh_call *call, const bh_reader *other) {
  sums *own = self, read;
  const bh_status status = read_sums(call, other, &read);
  if (status != BH_OK) return status;
  for (int l = 0; l < LAYERS; l++) {
    for (int k = 0; k < 4; k++) own->values[l][k] += read.values[l][k];
  }
  return BH_OK;
}

static bh_status observe_sums(void *self, bh_call *call, const bh_layer *layer, const bh_tensor *in,
                              const bh_tensor *out, const bh_tensor *grad_out) {
  if (layer->index >= LAYERS) return say(call, BH_E_UNSUPPORTED, "more layers than eight");
  double *values = ((sums *)self)->values[layer->index];
  if (layer->sample_begin != (int64_t)values[3] ||
      layer->sample_begin + in->shape[0] > layer->sample_total)
    return say(call, BH_E_INVALID_ARG, "samples out of order");
  const float *x = in->data, *y = out->data, *g = grad_out->data;
  for (int64_t i = 0; i < count_of(in); i++) values[0] += x[i];
  for (int64_t i = 0; i < count_of(out); i++) values[1] += (double)y[i] * y[i];
  for (int64_t i = 0; i < count_of(grad_out); i++) values[2] += fabs((double)g[i]);
  values[3] += (double)in->shape[0];
  return BH_OK;
}

// Element k has value k, the others 0.
static bh_status score_sums(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                            const bh_tensor *scores_out) {
  (void)call, (void)in;
  float *out = scores_out->data;
  for (int64_t i = 0; i < count_of(scores_out); i++)
    out[i] = i < 4 ? (float)((sums *)self)->values[layer->index][i] : 0;
  return BH_OK;
}

// A block's score is the number of its elements, and negative where the first is --------------------

static bh_status score_blocks(void *self, bh_call *call, const bh_layer *layer,
                              const bh_score_in *in, const bh_tensor *scores_out) {
  (void)self;
  if (layer->out_axis != 0) return say(call, BH_E_UNSUPPORTED, "output channels are not first");
  const int64_t outputs = layer->shape[0], width = count_of(in->weight) / outputs;
  const float *w = in->weight->data;
  float *out = scores_out->data;
  const int64_t columns = scores_out->shape[1];
  for (int64_t r = 0; r < scores_out->shape[0]; r++) {
    for (int64_t c = 0; c < columns; c++) {
      const int64_t o = r * in->block[0], k = c * in->block[1];
      const int64_t rows = o + in->block[0] < outputs ? in->block[0] : outputs - o;
      const int64_t wide = k + in->block[1] < width ? in->block[1] : width - k;
      out[r * columns + c] = (w[o * width + k] < 0 ? -1.0f : 1.0f) * (float)(rows * wide);
    }
  }
  return BH_OK;
}

// Half the squared distance of the features; the logits do not count ---------------------------------

static bh_status compute_features(void *self, bh_call *call, const bh_loss_io *io) {
  (void)self;
  double loss = 0;
  for (uint64_t f = 0; f < io->n_features; f++) {
    const bh_feature *feature = io->features[f];
    const int64_t n = count_of(feature->student);
    if (n != count_of(feature->teacher))
      return say(call, BH_E_INVALID_ARG, "features of different sizes");
    const float *s = feature->student->data, *t = feature->teacher->data;
    float *g = io->flags & BH_LOSS_WANT_GRAD ? feature->grad_student_out->data : NULL;
    for (int64_t i = 0; i < n; i++) {
      const double d = (double)s[i] - t[i];
      loss += 0.5 * d * d;
      if (g) g[i] = (float)(d * io->grad_scale);
    }
  }
  if (io->flags & BH_LOSS_WANT_GRAD)
    memset(io->grad_student_out->data, 0, sizeof(float) * (size_t)count_of(io->student));
  *io->loss_sum_out = loss;
  *io->weight_sum_out = (double)io->student->shape[0];
  return BH_OK;
}

static void destroy(void *self) { free(self); }

// Parameters that must fit together; the scores tell how often the module was begun ------------------

static int begun = 0;
static bh_status init(const bh_host *host) {
  begun += host->abi_major == BH_ABI_MAJOR ? 1 : 100;
  return BH_OK;
}

static bh_status validate_range(bh_call *call, const bh_value *values) {
  if (values[0].u.i64 > values[1].u.i64)
    return say(call, BH_E_INVALID_ARG, "low is above high");
  return BH_OK;
}

static bh_status score_begun(void *self, bh_call *call, const bh_layer *layer,
                             const bh_score_in *in, const bh_tensor *scores_out) {
  (void)self, (void)layer;
  float *out = scores_out->data;
  for (int64_t i = 0; i < count_of(scores_out); i++) out[i] = (float)begun;
  if (in->weight->bits == 16) out[0] = 16;
  if (call->worker != 0 || call->next || in->next || layer->next)
    return say(call, BH_E_INTERNAL, "a field that should be empty");
  return BH_OK;
}

static const bh_param low = {.struct_size = sizeof(bh_param), .type = BH_TYPE_I64, .key = "low",
                             .doc = "Lowest.", .def = {BH_TYPE_I64, 1, {0}}, .max = 9};
static const bh_param high = {.struct_size = sizeof(bh_param), .type = BH_TYPE_I64, .key = "high",
                              .doc = "Highest.", .def = {BH_TYPE_I64, 1, {5}}, .max = 9};
static const bh_param *const range[] = {&low, &high};
static const uint32_t half[] = {BH_DTYPE_F16};
static const char table[] = "a table";
static const void *get_extension(const char *id) {
  return strcmp(id, "org.example.table/1") == 0 ? table : NULL;
}
static const bh_scorer begun_hooks = {.struct_size = sizeof(bh_scorer), .score = score_begun};

static const bh_scorer gradient_hooks = {.struct_size = sizeof(bh_scorer), .score = score_gradient};
static const bh_scorer gram_hooks = {.struct_size = sizeof(bh_scorer), .score = score_gram};
static const bh_scorer block_hooks = {.struct_size = sizeof(bh_scorer), .score = score_blocks};
static const bh_scorer sums_hooks = {.struct_size = sizeof(bh_scorer), .observe = observe_sums,
                                     .merge = merge_sums, .score = score_sums};
static const bh_loss feature_hooks = {.struct_size = sizeof(bh_loss), .compute = compute_features};

#define PLUGIN(HOOK, ID) \
  .struct_size = sizeof(bh_plugin), .hook = HOOK, .id = "org.example.contract." ID, .name = ID, \
  .summary = "For tests.", .destroy = destroy
#define SUMS \
  .needs = BH_NEED_RAW_IN | BH_NEED_RAW_OUT | BH_NEED_RAW_GRAD_OUT, .state_version = 3, \
  .granularities = BH_GRANULARITY_BIT_ELEMENT, .create = create_sums, .reset = reset_sums, \
  .save = save_sums, .load = load_sums, .vtable = &sums_hooks

static const bh_plugin plugins[] = {
    {PLUGIN(BH_HOOK_SCORER, "gradient"), .needs = BH_NEED_WEIGHT_GRAD,
     .caps = BH_CAP_CONCURRENT | BH_CAP_CHUNKED, .granularities = BH_GRANULARITY_BIT_ELEMENT,
     .create = create_nothing, .vtable = &gradient_hooks},
    {PLUGIN(BH_HOOK_SCORER, "gram"), .needs = BH_NEED_IN_GRAM,
     .granularities = BH_GRANULARITY_BIT_ELEMENT, .create = create_nothing, .vtable = &gram_hooks},
    {PLUGIN(BH_HOOK_SCORER, "sums"), .caps = BH_CAP_STREAMING | BH_CAP_MERGEABLE, SUMS},
    {PLUGIN(BH_HOOK_SCORER, "sums-at-once"), .caps = 0, SUMS},
    {PLUGIN(BH_HOOK_SCORER, "block"), .granularities = BH_GRANULARITY_BIT_BLOCK,
     .create = create_nothing, .vtable = &block_hooks},
    {PLUGIN(BH_HOOK_LOSS, "features"), .needs = BH_NEED_FEATURES, .create = create_nothing,
     .vtable = &feature_hooks},
    {PLUGIN(BH_HOOK_SCORER, "range"), .granularities = BH_GRANULARITY_BIT_ELEMENT, .n_params = 2,
     .params = range, .n_dtypes = 1, .dtypes = half, .validate = validate_range,
     .create = create_nothing, .vtable = &begun_hooks, .get_extension = get_extension},
};
static const bh_plugin *const list[] = {plugins,     plugins + 1, plugins + 2,
                                        plugins + 3, plugins + 4, plugins + 5, plugins + 6};
static const bh_module module = {
    .magic = BH_MAGIC, .struct_size = sizeof(bh_module), .abi_major = BH_ABI_MAJOR,
    .min_minor = BH_TARGET_MINOR, .header_minor = BH_ABI_MINOR, .id = "org.example.contract",
    .version = "1.0.0", .vendor = "Example", .license = "0BSD", .n_plugins = 7, .plugins = list,
    .init = init,
};

const bh_module *billhook_module_v1(void) { return &module; }
