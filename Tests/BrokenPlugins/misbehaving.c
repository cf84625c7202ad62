// A scorer, a loss and a quantizer that load well and then do what their parameter "mode" says.
#include <math.h>
#include <stdio.h>
#include <string.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include "billhook/billhook.h"

// The instance is the mode: index 0 behaves.
static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call;
  *self = (void *)(intptr_t)(values[0].u.i64 + 1);
  return BH_OK;
}

static void destroy(void *self) { (void)self; }

static int mode_of(void *self) { return (int)(intptr_t)self - 1; }

static bh_status say(bh_call *call, bh_status status, const char *text) {
  return call->host->fail(call, status, text, strlen(text));
}

static int64_t count_of(const bh_tensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->ndim; i++) n *= t->shape[i];
  return n;
}

static void flush_to_zero(void) {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8000);
#endif
}

// Scorer -----------------------------------------------------------------------------------------

enum { S_OK, S_UNWRITTEN, S_NAN, S_FAIL, S_SILENT, S_SKIP, S_FLUSH, S_TASK_FAIL, S_TASK_FLUSH,
       S_FAIL_BUT_OK, S_RANDOM, S_SUM, S_CANCEL, S_LOG, S_NEEDS, S_CREATE };
static const char *const scorer_modes[] = {
    "ok", "unwritten", "nan", "fail", "silent", "skip", "flush", "task-fail", "task-flush",
    "fail-but-ok", "random", "sum", "cancel", "log", "statistics", "create"};

static bh_status failing_task(bh_call *call, int64_t begin, int64_t end, void *context) {
  (void)end, (void)context;
  return begin == 3 ? say(call, BH_E_NUMERIC, "piece 3 is singular") : BH_OK;
}

static bh_status flushing_task(bh_call *call, int64_t begin, int64_t end, void *context) {
  (void)call, (void)begin, (void)end, (void)context;
  flush_to_zero();
  return BH_OK;
}

typedef struct sums {
  const float *x;
  float *partial;
} sums;

// A float sum a piece: added in the order of the pieces it is the same for any number of threads.
static bh_status sum_task(bh_call *call, int64_t begin, int64_t end, void *context) {
  sums *s = context;
  float *copy = call->host->scratch(call, sizeof(float) * (uint64_t)(end - begin), 64);
  if (!copy) return BH_E_NO_MEMORY;
  float sum = 0;
  for (int64_t i = begin; i < end; i++) copy[i - begin] = s->x[i] * 1.1f;
  for (int64_t i = begin; i < end; i++) sum += copy[i - begin];
  s->partial[begin / 100] = sum;
  return BH_OK;
}

static bh_status score(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                       const bh_tensor *scores_out) {
  const float *x = in->weight->data;
  float *out = scores_out->data;
  const int64_t n = count_of(scores_out);
  for (int64_t i = 0; i < n; i++) out[i] = (float)i;
  switch (mode_of(self)) {
    case S_UNWRITTEN: out[n - 1] = NAN; return BH_OK;
    case S_NAN: out[1] = INFINITY; return BH_OK;
    case S_FAIL: return say(call, BH_E_UNSUPPORTED, "no weights of shape [4] today");
    case S_SILENT: return -7;
    case S_SKIP: return BH_SKIP;
    case S_FLUSH: flush_to_zero(); return BH_OK;
    case S_TASK_FAIL: return call->host->parallel_for(call, 8, 1, failing_task, NULL);
    case S_TASK_FLUSH: return call->host->parallel_for(call, 8, 1, flushing_task, NULL);
    case S_FAIL_BUT_OK:
      say(call, BH_E_INTERNAL, "first");
      say(call, BH_E_NUMERIC, "second");
      return BH_OK;
    case S_RANDOM: {
      uint32_t words[64];
      if (call->host->random(call, 5, 3, words, (uint64_t)n)) return BH_E_INTERNAL;
      for (int64_t i = 0; i < n; i++) out[i] = (float)(words[i] >> 8);
      return BH_OK;
    }
    case S_SUM: {
      float partial[64] = {0};
      sums s = {x, partial};
      const bh_status status = call->host->parallel_for(call, n, 100, sum_task, &s);
      if (status) return status;
      float sum = 0;
      for (int64_t i = 0; i < (n + 99) / 100; i++) sum += partial[i];
      for (int64_t i = 0; i < n; i++) out[i] = sum;
      return BH_OK;
    }
    case S_CANCEL: return call->host->cancelled(call) ? BH_E_CANCELLED : BH_OK;
    case S_LOG: {
      char text[200];
      const int length = snprintf(text, sizeof text, "%s %s %llu %d %d %lld", layer->name,
                                  layer->op, (unsigned long long)layer->index, layer->out_axis,
                                  layer->in_axis, (long long)layer->groups);
      call->host->log(call, BH_LOG_WARNING, text, (uint64_t)length);
      call->host->log(NULL, BH_LOG_WARNING, "nobody hears this", 17);
      call->host->progress(call, 2.0, "half", 4);
      return BH_OK;
    }
    case S_NEEDS:
      out[0] = in->in_abs_mean ? 1 : 0;
      out[1] = in->in_sq_norm ? 1 : 0;
      out[2] = in->mask ? 1 : 0;
      out[3] = (float)in->n_samples;
      return BH_OK;
    default: return BH_OK;
  }
}

// Loss -------------------------------------------------------------------------------------------

enum { L_OK, L_NAN_LOSS, L_UNWRITTEN_GRADIENT, L_NEGATIVE_WEIGHT, L_STEP };
static const char *const loss_modes[] = {"ok", "nan-loss", "unwritten-gradient", "negative-weight",
                                         "step"};

static bh_status compute(void *self, bh_call *call, const bh_loss_io *io) {
  (void)call;
  const int64_t n = count_of(io->student);
  float *gradient = io->grad_student_out->data;
  *io->loss_sum_out = 1;
  *io->weight_sum_out = (double)io->student->shape[0];
  for (int64_t i = 0; i < n; i++) gradient[i] = (float)io->grad_scale;
  switch (mode_of(self)) {
    case L_NAN_LOSS: *io->loss_sum_out = NAN; break;
    case L_UNWRITTEN_GRADIENT: gradient[n - 1] = NAN; break;
    case L_NEGATIVE_WEIGHT: *io->weight_sum_out = -1; break;
    case L_STEP: *io->loss_sum_out = (double)(io->step * 1000 + io->total_steps); break;
    default: break;
  }
  return BH_OK;
}

// Quantizer --------------------------------------------------------------------------------------

enum { Q_OK, Q_WIDE, Q_TYPE, Q_RANGE, Q_AXIS, Q_SCALE, Q_ZERO_POINT, Q_INTEGER, Q_VALUE };
static const char *const quantizer_modes[] = {"ok", "wide", "type", "range", "axis", "scale",
                                              "zero-point", "integer", "value"};

static bh_status layout(void *self, bh_call *call, const bh_layer *layer, bh_qlayout *out) {
  (void)call, (void)layer;
  const int mode = mode_of(self);
  out->q_code = mode == Q_TYPE ? BH_CODE_FLOAT : BH_CODE_INT;
  out->q_bits = 8;
  out->symmetric = 1;
  out->export_flags = BH_QEXPORT_DEQUANT_EXACT | BH_QEXPORT_QUANT_EXACT;
  out->qmin = mode == Q_WIDE ? -128 : -63;
  out->qmax = mode == Q_RANGE ? 200 : 63;
  out->granularity = mode == Q_AXIS ? BH_QGRANULARITY_AXIS : BH_QGRANULARITY_TENSOR;
  out->axis = mode == Q_AXIS ? 7 : -1;
  return BH_OK;
}

static bh_status calibrate(void *self, bh_call *call, const bh_layer *layer,
                           const bh_qlayout *layout_, const bh_tensor *x, const bh_qparams *out) {
  (void)call, (void)layer, (void)layout_, (void)x;
  *(float *)out->scale->data = mode_of(self) == Q_SCALE ? 0.0f : 1.0f;
  *(int8_t *)out->zero_point->data = mode_of(self) == Q_ZERO_POINT ? 1 : 0;
  return BH_OK;
}

static bh_status quantize(void *self, bh_call *call, const bh_layer *layer,
                          const bh_qlayout *layout_, const bh_qparams *params, const bh_tensor *x,
                          const bh_tensor *q_out) {
  (void)call, (void)layer, (void)layout_, (void)params, (void)x;
  int8_t *q = q_out->data;
  for (int64_t i = 0; i < count_of(q_out); i++) q[i] = mode_of(self) == Q_INTEGER ? 64 : 5;
  return BH_OK;
}

static bh_status dequantize(void *self, bh_call *call, const bh_layer *layer,
                            const bh_qlayout *layout_, const bh_qparams *params, const bh_tensor *q,
                            const bh_tensor *x_out) {
  (void)call, (void)layer, (void)layout_, (void)params, (void)q;
  float *x = x_out->data;
  if (mode_of(self) == Q_VALUE) return BH_OK;
  for (int64_t i = 0; i < count_of(x_out); i++) x[i] = 5;
  return BH_OK;
}

// Module -----------------------------------------------------------------------------------------

static bh_status failing_create(bh_call *call, const bh_value *values, void **self) {
  if (values[0].u.i64 == S_CREATE) return say(call, BH_E_INVALID_ARG, "not today");
  return create(call, values, self);
}

#define MODE(NAME, MODES)                                                                      \
  static const bh_param NAME##_mode = {                                                        \
      sizeof(bh_param), BH_TYPE_CHOICE, 0, sizeof MODES / sizeof *MODES, "mode", "What to do.", \
      NULL, {BH_TYPE_CHOICE, 1, {0}}, 0, 0, MODES};                                             \
  static const bh_param *const NAME##_params[] = {&NAME##_mode};
MODE(scorer, scorer_modes)
MODE(loss, loss_modes)
MODE(quantizer, quantizer_modes)

static const bh_scorer scorer_hooks = {.struct_size = sizeof(bh_scorer), .score = score};
static const bh_loss loss_hooks = {.struct_size = sizeof(bh_loss), .compute = compute};
static const bh_quantizer quantizer_hooks = {
    .struct_size = sizeof(bh_quantizer), .layout = layout, .calibrate = calibrate,
    .quantize = quantize, .dequantize = dequantize};

#define PLUGIN(HOOK, ID, NAME) \
  .struct_size = sizeof(bh_plugin), .hook = HOOK, .id = "org.example.misbehaving." ID, \
  .name = NAME, .summary = "Misbehaves.", .n_params = 1, .destroy = destroy

static const bh_plugin plugins[] = {
    {PLUGIN(BH_HOOK_SCORER, "scorer", "Scorer"), .caps = BH_CAP_CONCURRENT | BH_CAP_CHUNKED,
     .granularities = BH_GRANULARITY_BIT_ELEMENT | BH_GRANULARITY_BIT_OUT_CHANNEL,
     .params = scorer_params, .create = failing_create, .vtable = &scorer_hooks},
    {PLUGIN(BH_HOOK_SCORER, "needy", "Needy"), .needs = BH_NEED_IN_SQ_NORM | BH_NEED_PREV_MASK,
     .granularities = BH_GRANULARITY_BIT_ELEMENT, .params = scorer_params, .create = create,
     .vtable = &scorer_hooks},
    {PLUGIN(BH_HOOK_LOSS, "loss", "Loss"), .params = loss_params, .create = create,
     .vtable = &loss_hooks},
    {PLUGIN(BH_HOOK_QUANTIZER, "quantizer", "Quantizer"), .params = quantizer_params,
     .create = create, .vtable = &quantizer_hooks},
};
static const bh_plugin *const list[] = {plugins, plugins + 1, plugins + 2, plugins + 3};
static const bh_module module = {
    .magic = BH_MAGIC, .struct_size = sizeof(bh_module), .abi_major = BH_ABI_MAJOR,
    .min_minor = BH_TARGET_MINOR, .header_minor = BH_ABI_MINOR, .id = "org.example.misbehaving",
    .version = "1.0.0", .vendor = "Example", .license = "0BSD", .n_plugins = 4, .plugins = list,
};

const bh_module *billhook_module_v1(void) { return &module; }
