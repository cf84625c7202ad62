// What a plugin library says of itself: one module, its plugins, and their parameters.
//
// Everything here is made by the plugin, is constant, and lives as long as the process. A library
// is never unloaded. Text is UTF-8 and ends with 0.
#ifndef BILLHOOK_MODULE_H
#define BILLHOOK_MODULE_H

#include "billhook/host.h"

#define BH_MAGIC ((uint32_t)0x42481A0A)  // "BH", 0x1A, 0x0A

#define BH_PARAM_REQUIRED ((uint32_t)1)  // bh_param.flags: there is no default

// A parameter: the host parses, checks and defaults it; the plugin gets a bh_value.
typedef struct bh_param {
  uint32_t struct_size;        // sizeof(bh_param) as the plugin compiled it
  uint32_t type;               // BH_TYPE_*
  uint32_t flags;              // BH_PARAM_*
  uint32_t n_choices;          // of BH_TYPE_CHOICE, at least 1; else 0
  const char *key;             // a-z, 0-9, "-", "_"; never null
  const char *doc;             // one sentence; never null or blank
  const char *unit;            // as "ms"; null when it has none
  bh_value def;                // the default; ignored with BH_PARAM_REQUIRED
  double min;                  // lowest legal number (of a list: element); -INFINITY for none
  double max;                  // highest legal number; INFINITY for none
  const char *const *choices;  // [n_choices]; null unless BH_TYPE_CHOICE
} bh_param;

// bh_plugin.hook
#define BH_HOOK_SCORER 1
#define BH_HOOK_LOSS 2
#define BH_HOOK_QUANTIZER 3

// bh_plugin.caps. Unknown bits below 2^32 are ignored; from 2^32 on they make the host refuse.
#define BH_CAP_DETERMINISTIC ((uint64_t)1)  // same inputs, parameters and seed: same bytes
#define BH_CAP_CONCURRENT ((uint64_t)2)     // [inst] functions may run at the same time
#define BH_CAP_CHUNKED ((uint64_t)4)        // scores elements piece by piece (scorer.h)
#define BH_CAP_DATA_FREE ((uint64_t)8)      // needs no data, only weights
#define BH_CAP_GLOBAL_SCALE ((uint64_t)16)  // element and block scores compare across layers
#define BH_CAP_STREAMING ((uint64_t)32)     // `observe` takes the data batch by batch
#define BH_CAP_MERGEABLE ((uint64_t)64)     // what several instances observed can be merged
#define BH_CAP_REQUIRES_INPROC ((uint64_t)0x100000000)  // works only in the host's own process

// One scorer, loss or quantizer.
typedef struct bh_plugin {
  uint32_t struct_size;           // sizeof(bh_plugin) as the plugin compiled it
  uint32_t hook;                  // BH_HOOK_*
  uint64_t caps;                  // BH_CAP_*
  uint64_t needs;                 // BH_NEED_* of the hook; 0 of a quantizer
  const char *id;                 // reverse DNS, as "org.example.taylor"; never changes its meaning
  const char *name;               // for people; never null or blank
  const char *summary;            // one line; never null or blank
  const char *doc;                // any length up to 64 KiB; null for none
  uint32_t n_params;              // at most 256
  uint32_t granularities;         // BH_GRANULARITY_BIT_*, not 0, of a scorer; 0 of the others
  uint32_t n_dtypes;              // at most 16; 0 unless a scorer
  uint32_t state_version;         // of what `save` writes; 0 without `save`
  const bh_param *const *params;  // [n_params]; null when n_params is 0
  const uint32_t *dtypes;         // [n_dtypes], BH_DTYPE_*: element types that the weight of a
                                  // whole layer may have; the host converts others to float32,
                                  // which need not be listed; null when n_dtypes is 0

  // Checks values against each other, when each by itself is in its range; makes nothing. May be
  // null. Returns BH_OK or host->fail(...). [any]
  bh_status (*validate)(bh_call *call, const bh_value *values);

  // Makes an instance. `values` is [n_params], in declared order, checked; copy what you keep.
  // Leaves null in `self` when it fails. [any]
  bh_status (*create)(bh_call *call, const bh_value *values, void **self);

  // Ends an instance; called exactly once, also after failures. [inst, exclusive]
  void (*destroy)(void *self);

  // Forgets all that was observed or loaded; parameters stay. Never null when the instance
  // observes, and needed after a failure. [inst, exclusive]
  bh_status (*reset)(void *self, bh_call *call);

  // Writes what was observed: after `load` in another instance with the same parameters, that one
  // goes on as this one would. Not null together with `load`, and with BH_CAP_MERGEABLE.
  // [inst, exclusive]
  bh_status (*save)(void *self, bh_call *call, const bh_writer *writer);

  // Replaces what was observed by what `save` of `state_version` wrote; a version or content that
  // it cannot read is a failure with BH_E_BAD_STATE. [inst, exclusive]
  bh_status (*load)(void *self, bh_call *call, const bh_reader *reader, uint32_t state_version);

  const void *vtable;             // bh_scorer, bh_loss or bh_quantizer after hook; never null

  // A table of the plugin's by its id; null for one that it does not have. May be null. [any]
  const void *(*get_extension)(const char *id);
} bh_plugin;

// A library of plugins.
typedef struct bh_module {
  uint32_t magic;                    // BH_MAGIC
  uint32_t struct_size;              // sizeof(bh_module) as the plugin compiled it
  uint16_t abi_major;                // BH_ABI_MAJOR
  uint16_t min_minor;                // BH_TARGET_MINOR: the lowest host minor that it works with
  uint16_t header_minor;             // BH_ABI_MINOR; only shown to people
  uint16_t reserved;                 // 0
  const char *id;                    // reverse DNS; never null or blank
  const char *version;               // as "1.2.3"; never null or blank
  const char *vendor;                // never null or blank
  const char *license;               // SPDX expression; never null or blank
  const char *url;                   // null for none
  uint64_t n_plugins;                // 1 to 256
  const bh_plugin *const *plugins;   // [n_plugins]

  // Called once, before the first instance is made, never when the library is only looked at; a
  // failure makes its plugins unusable. May be null. [any]
  bh_status (*init)(const bh_host *host);

  // Called once when the process ends in order, after `init` and the last `destroy`. May be null.
  // [any]
  void (*fini)(void);
} bh_module;

#ifdef __cplusplus
#define BH_EXPORT extern "C" __attribute__((visibility("default")))
#else
#define BH_EXPORT __attribute__((visibility("default")))
#endif

// The library's entry, to be defined by the plugin: always the same pointer, no side effects. The 1
// is the entry's own number, not the ABI's. [any]
BH_EXPORT const bh_module *billhook_module_v1(void);

#endif
