// The process's one thread pool: the OpenMP runtime that oneDNN brings, entered without a compiler
// flag through GOMP_parallel.
#ifndef BH_THREADS_H
#define BH_THREADS_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// The number of threads that kernels and plans use, at least 1. [any]
int32_t bh_thread_count(void);

// Sets it; values below 1 become 1. Not while a kernel runs. [main]
void bh_set_thread_count(int32_t count);

// The thread of the loop that the caller runs a piece of: 0 to 255, no two at the same time. 0
// outside of a loop. [any]
int32_t bh_thread_index(void);

// Work on [begin, end) of a loop.
typedef void (*bh_range_fn)(int64_t begin, int64_t end, void *context);

// Calls `body` on [0, n) cut into pieces of `grain` (the last one may be shorter), on the pool.
//
// The pieces depend on (n, grain) alone, never on the number of threads. Which thread runs which
// piece is not defined; a call from inside a piece runs inline. Blocks until all are done. [any]
void bh_parallel_for(int64_t n, int64_t grain, bh_range_fn body, void *context);

#ifdef __cplusplus
}
#endif
#endif
