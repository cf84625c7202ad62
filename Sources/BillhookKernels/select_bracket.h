// Exact order statistics of keys in memory, and the guess of where a threshold lies.
#ifndef BH_SELECT_BRACKET_H
#define BH_SELECT_BRACKET_H
#include <limits.h>
#include <math.h>
#include <stdint.h>

#include <algorithm>
#include <vector>

namespace bh {

// The key of 0-based rank `rank` among n keys: a histogram over their range, then nth_element on
// the one bin that holds the rank. 0 <= rank < n.
inline int32_t key_at_rank(const int32_t *keys, int64_t n, int64_t rank) {
  int32_t least = keys[0], most = keys[0];
  for (int64_t i = 0; i < n; i++) {
    least = std::min(least, keys[i]);
    most = std::max(most, keys[i]);
  }
  const uint32_t width = static_cast<uint32_t>(most) - static_cast<uint32_t>(least);
  int shift = 0;
  while (width >> shift >= 4096) shift++;
  auto bin_of = [least, shift](int32_t key) {
    return (static_cast<uint32_t>(key) - static_cast<uint32_t>(least)) >> shift;
  };
  std::vector<int64_t> counts(4096);
  for (int64_t i = 0; i < n; i++) counts[bin_of(keys[i])]++;
  uint32_t bin = 0;
  for (; rank >= counts[bin]; bin++) rank -= counts[bin];
  std::vector<int32_t> members;
  members.reserve(static_cast<size_t>(counts[bin]));
  for (int64_t i = 0; i < n; i++) {
    if (bin_of(keys[i]) == bin) members.push_back(keys[i]);
  }
  std::nth_element(members.begin(), members.begin() + rank, members.end());
  return members[static_cast<size_t>(rank)];
}

// Scores from places spread over the whole range, in clusters of neighbours.
struct SelectSample {
  std::vector<int32_t> keys;
  std::vector<int64_t> ends;  // of each cluster, in keys

  // The bracket [low, high] that should hold the k-th smallest of n, and the fraction of all
  // scores that it should hold. False when the sample is too small to tell.
  bool bracket(int64_t n, int64_t k, int32_t *low, int32_t *high, double *fraction) const {
    const int64_t m = static_cast<int64_t>(keys.size());
    const int64_t clusters = static_cast<int64_t>(ends.size());
    if (clusters < 32 || m < 1024 || n < 1 || k < 1) return false;
    const double quantile = static_cast<double>(k) / static_cast<double>(n);
    const auto at = [this, m](double rank) {
      return key_at_rank(keys.data(), m, std::min<int64_t>(m - 1, static_cast<int64_t>(rank)));
    };
    const int32_t middle = at(quantile * static_cast<double>(m));
    // Neighbours resemble each other, so the error of the quantile comes from the spread between
    // clusters, not from the number of scores.
    double sum = 0, squares = 0;
    int64_t begin = 0;
    for (const int64_t end : ends) {
      int64_t below = 0;
      for (int64_t i = begin; i < end; i++) below += keys[i] < middle ? 1 : 0;
      const double part = end > begin ? static_cast<double>(below) / (end - begin) : 0;
      sum += part;
      squares += part * part;
      begin = end;
    }
    const double c = static_cast<double>(clusters);
    const double variance = std::max(0.0, squares / c - sum / c * (sum / c)) / (c - 1);
    // Four standard errors miss once in ten thousand selections; a miss costs two passes.
    const double margin = 4 * sqrt(variance) + 8.0 / static_cast<double>(m);
    *low = quantile <= margin ? INT_MIN : at((quantile - margin) * static_cast<double>(m));
    *high = quantile + margin >= 1 ? INT_MAX : at((quantile + margin) * static_cast<double>(m));
    *fraction = std::min(1.0, quantile + margin) - std::max(0.0, quantile - margin);
    return true;
  }
};

}  // namespace bh
#endif
