// What both ways through a recurrent layer share: which sequences are at which step, and where.
#ifndef BH_RECURRENT_ROWS_H
#define BH_RECURRENT_ROWS_H

#include <algorithm>
#include <vector>

#include "bh_threads.h"
#include "recurrent.h"

namespace billhook {

// Rows of one matrix product, shared out over the threads in pieces of this many.
constexpr int64_t kProductRows = 48;
// Multiplications of a recurrence that are not worth waking a thread for.
constexpr int64_t kRecurrenceGrain = 1 << 18;

inline int64_t length(const RecurrentShape &shape, const RecurrentInputs &in, int64_t n) {
  return in.lengths ? in.lengths[n] : shape.steps;
}

// The time at which sequence n is in its turn s.
inline int64_t time_of(const RecurrentShape &shape, const RecurrentInputs &in, int64_t direction,
                       int64_t n, int64_t s) {
  return shape.is_backwards(direction) ? length(shape, in, n) - 1 - s : s;
}

// Sequences that a thread takes at once.
inline int64_t sequences_a_task(const RecurrentShape &shape) {
  const int64_t work = shape.steps * shape.batch * shape.width() * shape.hidden;
  if (work * shape.form.directions < kRecurrenceGrain) return shape.batch;
  const int64_t share = std::max<int64_t>(bh_thread_count() / shape.form.directions, 1);
  return (shape.batch + share - 1) / share;
}

// The packed weights of one direction: of the input, then of the state; a GRU's in two parts.
struct PackedWeights {
  const float *w, *r, *r_last;
};

}  // namespace billhook

#endif
