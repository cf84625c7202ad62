// bh_parallel_for for closures.
#ifndef BH_PARALLEL_H
#define BH_PARALLEL_H
#include "bh_threads.h"

namespace bh {

// Elements in a piece of a loop that is as fast as memory: 256 KiB of floats. Less is not worth
// waking a thread for.
constexpr int64_t streaming_grain = 65536;

// Calls body(begin, end) on the pieces of [0, n).
template <typename Body>
void parallel_for(int64_t n, int64_t grain, const Body &body) {
  bh_parallel_for(
      n, grain,
      [](int64_t begin, int64_t end, void *context) {
        (*static_cast<const Body *>(context))(begin, end);
      },
      const_cast<Body *>(&body));
}

}  // namespace bh
#endif
