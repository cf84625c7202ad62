// A plugin that keeps every rule until a macro breaks one: the tests compile it with -DNAME=VALUE.
#include <math.h>
#include <string.h>

#include "billhook/billhook.h"

#ifndef MAGIC
#define MAGIC BH_MAGIC
#endif
#ifndef MODULE_SIZE
#define MODULE_SIZE sizeof(bh_module)
#endif
#ifndef MAJOR
#define MAJOR BH_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR BH_TARGET_MINOR
#endif
#ifndef HEADER_MINOR
#define HEADER_MINOR BH_ABI_MINOR
#endif
#ifndef EXTRA
#define EXTRA .reset = NULL
#endif
#ifndef MODULE_ID
#define MODULE_ID "org.example.broken.module"
#endif
#ifndef VENDOR
#define VENDOR "Example"
#endif
#ifndef N_PLUGINS
#define N_PLUGINS 1
#endif
#ifndef PLUGINS
#define PLUGINS plugins
#endif
#ifndef FIRST_PLUGIN
#define FIRST_PLUGIN &broken
#endif
#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE sizeof(bh_plugin)
#endif
#ifndef HOOK
#define HOOK BH_HOOK_SCORER
#endif
#ifndef CAPS
#define CAPS BH_CAP_DETERMINISTIC
#endif
#ifndef NEEDS
#define NEEDS 0
#endif
#ifndef GRANULARITIES
#define GRANULARITIES BH_GRANULARITY_BIT_ELEMENT
#endif
#ifndef ID
#define ID "org.example.broken"
#endif
#ifndef NAME
#define NAME "Broken"
#endif
#ifndef DOC
#define DOC NULL
#endif
#ifndef N_PARAMS
#define N_PARAMS 1
#endif
#ifndef CREATE
#define CREATE create
#endif
#ifndef VTABLE
#define VTABLE &hooks
#endif
#ifndef HOOKS_SIZE
#define HOOKS_SIZE sizeof(bh_scorer)
#endif
#ifndef SCORE
#define SCORE score
#endif
#ifndef PARAM_SIZE
#define PARAM_SIZE sizeof(bh_param)
#endif
#ifndef PARAM_TYPE
#define PARAM_TYPE BH_TYPE_F64
#endif
#ifndef DEFAULT_TYPE
#define DEFAULT_TYPE PARAM_TYPE
#endif
#ifndef KEY
#define KEY "amount"
#endif
#ifndef DEFAULT
#define DEFAULT .f64 = 1
#endif
#ifndef MIN
#define MIN 0
#endif
#ifndef MAX
#define MAX 2
#endif
#ifndef N_CHOICES
#define N_CHOICES 0
#endif

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call, (void)values, (void)self;
  return BH_OK;
}

static void destroy(void *self) { (void)self; }

static bh_status score(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                       const bh_tensor *scores_out) {
  (void)self, (void)call, (void)layer;
  memcpy(scores_out->data, in->weight->data, sizeof(float) * (size_t)in->weight->shape[0]);
  return BH_OK;
}

// For EXTRA: functions about a state that there is not.
static inline bh_status reset(void *self, bh_call *call) {
  (void)self, (void)call;
  return BH_OK;
}
static inline bh_status save(void *self, bh_call *call, const bh_writer *writer) {
  (void)self, (void)call, (void)writer;
  return BH_OK;
}
static inline bh_status load(void *self, bh_call *call, const bh_reader *reader, uint32_t version) {
  (void)self, (void)call, (void)reader, (void)version;
  return BH_OK;
}
__attribute__((unused)) static const uint32_t dtypes[] = {BH_DTYPE_F16, BH_DTYPE(BH_CODE_INT, 8)};

static const char *const choices[] = {"one", "one"};
static const bh_param amount = {
    PARAM_SIZE, PARAM_TYPE, 0, N_CHOICES, KEY, "How much.", NULL,
    {DEFAULT_TYPE, 1, {DEFAULT}}, MIN, MAX, choices,
};
static const bh_param *const params[] = {&amount, &amount};
static const bh_scorer hooks = {.struct_size = HOOKS_SIZE, .score = SCORE};
static bh_status compute(void *self, bh_call *call, const bh_loss_io *io) {
  (void)self, (void)call, (void)io;
  return BH_OK;
}
__attribute__((unused)) static const bh_loss losses = {sizeof(bh_loss), 0, compute};
static const bh_plugin broken = {
    .struct_size = PLUGIN_SIZE, .hook = HOOK, .caps = CAPS, .needs = NEEDS, .id = ID,
    .name = NAME, .summary = "A broken plugin.", .doc = DOC, .n_params = N_PARAMS,
    .granularities = GRANULARITIES, .params = params, .create = CREATE, .destroy = destroy,
    .vtable = VTABLE, EXTRA,
};
static const bh_plugin *const plugins[] = {FIRST_PLUGIN, &broken};
static const bh_module module = {
    MAGIC, MODULE_SIZE, MAJOR, MINOR, HEADER_MINOR, 0, MODULE_ID, "1.0.0", VENDOR, "0BSD", NULL,
    N_PLUGINS, PLUGINS, NULL, NULL,
};

#ifdef SETS_FLUSH_TO_ZERO_WHEN_LOADED
#include <xmmintrin.h>
__attribute__((constructor)) static void set_mode(void) { _mm_setcsr(_mm_getcsr() | 0x8040); }
#endif

#ifdef NEEDS_A_MISSING_SYMBOL
void this_is_nowhere(void);
void call_it(void) { this_is_nowhere(); }
#endif

#ifndef RETURNED
#define RETURNED &module
#endif
#ifndef HAS_NO_ENTRY
const bh_module *billhook_module_v1(void) { return RETURNED; }
#endif
