#include <atomic>

#include "bh_threads.h"
#include "simd_target.h"

extern "C" {
// libgomp's ABI, from which `#pragma omp parallel` is made; declared here because the Swift
// package manager refuses the flag that would declare it.
void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
int omp_get_max_threads(void);
void omp_set_num_threads(int);
int omp_in_parallel(void);
int omp_get_thread_num(void);
}

namespace {

std::atomic<int32_t> thread_count{0};  // 0: as OpenMP starts, one a core
constexpr int64_t kMaxThreads = 256;   // of one loop: bounds bh_thread_index

struct Loop {
  int64_t n, grain, pieces;
  bh_range_fn body;
  void *context;
  bool portable;
  std::atomic<int64_t> next;
};

void run_pieces(void *data) {
  auto *loop = static_cast<Loop *>(data);
  billhook::is_portable() = loop->portable;
  for (;;) {
    const int64_t piece = loop->next.fetch_add(1, std::memory_order_relaxed);
    if (piece >= loop->pieces) return;
    const int64_t begin = piece * loop->grain;
    const int64_t end = begin + loop->grain < loop->n ? begin + loop->grain : loop->n;
    loop->body(begin, end, loop->context);
  }
}

}  // namespace

int32_t bh_thread_count(void) {
  const int32_t chosen = thread_count.load(std::memory_order_relaxed);
  // OpenMP keeps the number for each calling thread apart; here it is one for the process.
  if (chosen > 0 && omp_get_max_threads() != chosen && !omp_in_parallel())
    omp_set_num_threads(chosen);
  return chosen > 0 ? chosen : omp_get_max_threads();
}

void bh_set_thread_count(int32_t count) {
  thread_count.store(count < 1 ? 1 : count, std::memory_order_relaxed);
  bh_thread_count();
}

int32_t bh_thread_index(void) { return omp_get_thread_num(); }

void bh_parallel_for(int64_t n, int64_t grain, bh_range_fn body, void *context) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  Loop loop{n, grain, (n + grain - 1) / grain, body, context, billhook::is_portable(), {0}};
  const int64_t threads = bh_thread_count();
  if (loop.pieces == 1 || threads == 1 || omp_in_parallel()) {
    run_pieces(&loop);
    return;
  }
  const int64_t most = threads < kMaxThreads ? threads : kMaxThreads;
  const int64_t used = loop.pieces < most ? loop.pieces : most;
  GOMP_parallel(run_pieces, &loop, static_cast<unsigned>(used), 0);
}
