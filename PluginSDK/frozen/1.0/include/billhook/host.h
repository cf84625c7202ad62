// What the host offers to a plugin during a call.
#ifndef BILLHOOK_HOST_H
#define BILLHOOK_HOST_H

#include "billhook/types.h"

typedef struct bh_call bh_call;

// Work on [begin, end) of a loop. A status other than BH_OK stops the loop. [task]
typedef bh_status (*bh_task)(bh_call *call, int64_t begin, int64_t end, void *context);

// The tasks of one loop that can run at the same time.
#define BH_WORKERS 256

#define BH_LOG_DEBUG 0
#define BH_LOG_INFO 1
#define BH_LOG_WARNING 2

// The host's functions. Made by the host, the same table for the life of the process.
typedef struct bh_host {
  uint32_t struct_size;  // sizeof(bh_host) as the host compiled it
  uint16_t abi_major;    // BH_ABI_MAJOR of the host
  uint16_t abi_minor;    // BH_ABI_MINOR of the host
  const char *name;      // "billhook"; never null
  const char *version;   // of the host, as "1.2.3"; never null

  // Hands `length` bytes of UTF-8 to the host's log. A null call is allowed: nothing is logged.
  // [any, task]
  void (*log)(bh_call *call, uint32_t level, const char *text, uint64_t length);

  // Says why the call fails; the text is copied, the first failure of a call wins.
  //
  // Returns `code`, so that a plugin can end with `return call->host->fail(...)`. [any, task]
  bh_status (*fail)(bh_call *call, bh_status code, const char *text, uint64_t length);

  // Memory that the host frees when the call (or the task) returns. Not zeroed.
  //
  // `alignment` is a power of two up to 4096. Returns null when there is none, or for 0 bytes.
  // [inst, task]
  void *(*scratch)(bh_call *call, uint64_t bytes, uint64_t alignment);

  // Runs `task` on [0, n), cut into pieces of `grain` (the last may be shorter), on the host's
  // threads; blocks until all are done. The pieces depend on (n, grain) alone, never on the number
  // of threads; inside a task or a piece the loop runs inline.
  //
  // Returns the status of the first piece that failed, or BH_OK; pieces not yet begun are left out.
  // [inst, task]
  bh_status (*parallel_for)(bh_call *call, int64_t n, int64_t grain, bh_task task, void *context);

  // Not 0 when the user wants to stop: return BH_E_CANCELLED soon. Ask about every 50 ms.
  // [any, task]
  uint32_t (*cancelled)(bh_call *call);

  // Says how far a long call is, `fraction` from 0 to 1, with a word or two of UTF-8. [inst]
  void (*progress)(bh_call *call, double fraction, const char *text, uint64_t length);

  // Writes words `offset` to `offset + n` of random stream `stream`: a function of the run's seed,
  // the layer's index, `stream` and the position alone. Streams are the plugin's to number.
  // [any, task]
  bh_status (*random)(bh_call *call, uint64_t stream, uint64_t offset, uint32_t *out, uint64_t n);

  // A table by its id, such as BH_EXT_KERNELS; null when the host does not have it. The table lives
  // as long as the process. [any, task]
  const void *(*get_extension)(bh_call *call, const char *id);
} bh_host;

// One call. Made by the host; lives until the call returns. A task uses the one that it was given.
struct bh_call {
  uint32_t struct_size;  // sizeof(bh_call) as the host compiled it
  uint32_t worker;       // of a task: 0 to BH_WORKERS - 1, no two at the same time; else 0
  const bh_host *host;   // never null
  void *host_data;       // the host's own; not for plugins
  const void *next;      // null; a plugin ignores what it does not know
};

#endif
