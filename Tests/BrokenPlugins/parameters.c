// A scorer with one parameter of each type, which gives back as scores what it was given.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "billhook/billhook.h"

typedef struct given {
  float values[16];
} given;

static bh_status create(bh_call *call, const bh_value *values, void **self) {
  (void)call;
  given *g = calloc(1, sizeof *g);
  g->values[0] = (float)values[0].u.i64;
  g->values[1] = (float)values[1].u.f64;
  g->values[2] = (float)values[2].u.i64;
  g->values[3] = (float)values[3].u.i64;
  g->values[4] = (float)strlen(values[4].u.str);
  g->values[5] = (float)values[5].count;
  for (uint32_t i = 0; i < values[5].count; i++) g->values[6] += (float)values[5].u.i64s[i];
  g->values[7] = (float)values[6].count;
  for (uint32_t i = 0; i < values[6].count; i++) g->values[8] += (float)values[6].u.f64s[i];
  *self = g;
  return BH_OK;
}

static bh_status score(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                       const bh_tensor *scores_out) {
  (void)call, (void)layer, (void)in;
  memcpy(scores_out->data, ((given *)self)->values, sizeof(float) * (size_t)scores_out->shape[0]);
  return BH_OK;
}

static const char *const colours[] = {"red", "green", "blue", "yellow"};
static const double numbers[] = {0.5, 1.5};
#define SIZE .struct_size = sizeof(bh_param)
static const bh_param params[] = {
    {SIZE, .type = BH_TYPE_I64, .key = "count", .doc = "A count.", .unit = "ms",
     .def = {BH_TYPE_I64, 1, {.i64 = 3}}, .min = 1, .max = 9},
    {SIZE, .type = BH_TYPE_F64, .key = "factor", .doc = "A factor.",
     .def = {BH_TYPE_F64, 1, {.f64 = 0.5}}, .min = 0, .max = INFINITY},
    {SIZE, .type = BH_TYPE_BOOL, .key = "flag", .doc = "A flag.",
     .def = {BH_TYPE_BOOL, 1, {.i64 = 1}}},
    {SIZE, .type = BH_TYPE_CHOICE, .key = "colour", .doc = "A colour.", .n_choices = 4,
     .def = {BH_TYPE_CHOICE, 1, {.i64 = 2}}, .choices = colours},
    {SIZE, .type = BH_TYPE_STRING, .key = "label", .doc = "A label.",
     .def = {BH_TYPE_STRING, 1, {.str = "four"}}},
    {SIZE, .type = BH_TYPE_I64_LIST, .key = "sizes", .doc = "Sizes.",
     .def = {BH_TYPE_I64_LIST, 0, {.i64s = NULL}}, .min = -INFINITY, .max = 100},
    {SIZE, .type = BH_TYPE_F64_LIST, .key = "rates", .doc = "Rates.",
     .def = {BH_TYPE_F64_LIST, 2, {.f64s = numbers}}, .min = -INFINITY, .max = INFINITY},
    {SIZE, .type = BH_TYPE_I64, .flags = BH_PARAM_REQUIRED, .key = "must", .doc = "Needed.",
     .min = 0, .max = 1},
};
static const bh_param *const list[] = {params,     params + 1, params + 2, params + 3,
                                       params + 4, params + 5, params + 6, params + 7};
static const bh_scorer hooks = {.struct_size = sizeof(bh_scorer), .score = score};
static const bh_plugin echo = {
    .struct_size = sizeof(bh_plugin), .hook = BH_HOOK_SCORER, .id = "org.example.parameters",
    .name = "Parameters", .summary = "Gives back its parameters.", .n_params = 8,
    .granularities = BH_GRANULARITY_BIT_ELEMENT, .params = list, .create = create, .destroy = free,
    .vtable = &hooks,
};
static const bh_plugin *const plugins[] = {&echo};
static const bh_module module = {
    .magic = BH_MAGIC, .struct_size = sizeof(bh_module), .abi_major = BH_ABI_MAJOR,
    .min_minor = BH_TARGET_MINOR, .header_minor = BH_ABI_MINOR,
    .id = "org.example.parameters.module", .version = "1.0.0", .vendor = "Example",
    .license = "0BSD", .url = "https://example.org", .n_plugins = 1, .plugins = plugins,
};

const bh_module *billhook_module_v1(void) { return &module; }
