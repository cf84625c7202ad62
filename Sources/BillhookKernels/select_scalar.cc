// The references of the selection: of its loops over a piece, and of the whole.
#include <algorithm>
#include <new>
#include <numeric>
#include <vector>

#include "bh_score.h"
#include "bh_select.h"
#include "exact.h"
#include "select_spans.h"

namespace bh {

BracketCounts count_bracket_scalar(const float *scores, int64_t n, int32_t low, int32_t high,
                                   int32_t *inside) {
  BracketCounts counts{0, 0, 0, 0, bh_count_nonfinite_f32_scalar(scores, n) != 0};
  for (int64_t i = 0; i < n; i++) {
    const int32_t key = key_of(scores[i]);
    if (key < low) {
      counts.below++;
    } else if (key == low) {
      counts.at_low++;
    } else if (key < high) {
      inside[counts.inside++] = key;
    } else if (key == high) {
      counts.at_high++;
    }
  }
  return counts;
}

int64_t prune_to_key_scalar(const float *scores, int32_t last, const float *weights, float *out,
                            int64_t n) {
  int64_t pruned = 0;
  for (int64_t i = 0; i < n; i++) {
    const bool small = key_of(scores[i]) <= last;
    out[i] = small ? 0 : weights[i];
    pruned += small ? 1 : 0;
  }
  return pruned;
}

int64_t keep_after_key_scalar(const float *scores, int32_t last, uint8_t *keep, int64_t n) {
  int64_t pruned = 0;
  for (int64_t i = 0; i < n; i++) {
    const bool small = key_of(scores[i]) <= last;
    keep[i] = small ? 0 : 1;
    pruned += small ? 1 : 0;
  }
  return pruned;
}

}  // namespace bh

int32_t bh_select_smallest_f32_scalar(const float *scores, int64_t n, int64_t k, uint8_t *keep) {
  if (k < 0 || k > n) return -1;
  try {
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [scores](int64_t a, int64_t b) {
      const int32_t first = bh::key_of(scores[a]), second = bh::key_of(scores[b]);
      return first < second || (first == second && a < b);
    });
    for (int64_t rank = 0; rank < n; rank++) keep[order[rank]] = rank < k ? 0 : 1;
  } catch (const std::bad_alloc &) {
    return -1;
  }
  return 0;
}
