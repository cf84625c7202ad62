// The loops of a selection over the scores of one piece.
#ifndef BH_SELECT_SPANS_H
#define BH_SELECT_SPANS_H
#include <limits.h>
#include <stdint.h>
#include <string.h>

namespace bh {

// An integer that orders floats by value: -0 and +0 give the same key, NaN lies beyond infinity.
// It is never INT_MIN, so that there is a key below all.
inline int32_t key_of(float score) {
  const float unsigned_zero = score + 0.0f;  // turns -0 into +0
  int32_t bits;
  memcpy(&bits, &unsigned_zero, sizeof bits);
  const int32_t key = bits ^ (bits >> 31 & INT_MAX);
  return key < -INT_MAX ? -INT_MAX : key;
}

inline float score_of(int32_t key) {
  const int32_t bits = key ^ (key >> 31 & INT_MAX);
  float score;
  memcpy(&score, &bits, sizeof score);
  return score;
}

// The same order in unsigned integers, whose upper bits a histogram can look at.
inline uint32_t ascending(int32_t key) { return static_cast<uint32_t>(key) ^ 0x80000000u; }
inline int32_t key_from(uint32_t bits) { return static_cast<int32_t>(bits ^ 0x80000000u); }

// How many keys lie where, for low <= high. When they are equal, at_high is 0.
struct BracketCounts {
  int64_t below, at_low, inside, at_high;
  bool nonfinite;  // a score was NaN or infinite
};

// Counts, and writes the keys strictly between low and high to `inside`, which has room for n + 16.
BracketCounts count_bracket(const float *scores, int64_t n, int32_t low, int32_t high,
                            int32_t *inside);
// The same; leaves NaN in the place of each score. With a score that is not finite only that counts.
BracketCounts spend_bracket(float *scores, int64_t n, int32_t low, int32_t high, int32_t *inside);
BracketCounts count_bracket_scalar(const float *scores, int64_t n, int32_t low, int32_t high,
                                   int32_t *inside);

// out[i] = weights[i], or 0 where the key is at most `last`. Returns the number of the latter.
// `stream`: past the cache, for an output too large for it that is not also the input.
int64_t prune_to_key(const float *scores, int32_t last, const float *weights, float *out, int64_t n,
                     bool stream);
// The same; leaves NaN in the place of each score, and sets `nonfinite` when one was NaN or infinite.
int64_t spend_to_key(float *scores, int32_t last, const float *weights, float *out, int64_t n,
                     bool stream, bool *nonfinite);
int64_t prune_to_key_scalar(const float *scores, int32_t last, const float *weights, float *out,
                            int64_t n);

// keep[i] = 1, or 0 where the key is at most `last`. Returns the number of the latter.
int64_t keep_after_key(const float *scores, int32_t last, uint8_t *keep, int64_t n);
int64_t keep_after_key_scalar(const float *scores, int32_t last, uint8_t *keep, int64_t n);

}  // namespace bh
#endif
