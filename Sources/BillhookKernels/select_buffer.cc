// Selection among scores that lie in memory.
#include <algorithm>

#include "bh_select.h"
#include "bh_threads.h"

namespace {

constexpr int64_t piece_size = 16384;

struct Job {
  bh_select *select;
  const float *scores;
  uint8_t *keep;
};

void add(int64_t begin, int64_t end, void *context) {
  const Job &job = *static_cast<Job *>(context);
  bh_select_add(job.select, begin / piece_size, job.scores + begin, end - begin);
}

void keep(int64_t begin, int64_t end, void *context) {
  const Job &job = *static_cast<Job *>(context);
  bh_select_keep(job.select, begin / piece_size, job.scores + begin, job.keep + begin, end - begin);
}

}  // namespace

int32_t bh_select_smallest_f32(const float *scores, int64_t n, int64_t k, uint8_t *keep_out) {
  bh_select *select = bh_select_create(n, k, (n + piece_size - 1) / piece_size);
  if (select == nullptr) return -1;
  Job job{select, scores, keep_out};
  // Below this a sample costs more than it saves.
  if (n >= 1 << 18) {
    const int64_t clusters = std::min<int64_t>(4096, n / 1024);
    for (int64_t c = 0; c < clusters; c++) {
      // In this order the product stays within 64 bits.
      bh_select_sample(select, scores + n / clusters * c, 64);
    }
  }
  int32_t state;
  while ((state = bh_select_next(select)) == 1) bh_parallel_for(n, piece_size, add, &job);
  if (state == 0) bh_parallel_for(n, piece_size, keep, &job);
  bh_select_destroy(select);
  return state;
}
