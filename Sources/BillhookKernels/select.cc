// The passes of a selection. The loops over the scores are in select_spans.cc.
//
// A pass either counts and collects around a bracket [low, high] of keys, or fills a histogram of
// some bits of the keys. A bracket that holds the threshold ends the selection; one that
// misses it, or holds more than there is memory for, is followed by histograms until it does.
#include <math.h>
#include <string.h>

#include <atomic>
#include <memory>
#include <new>
#include <vector>

#include "bh_score.h"
#include "bh_select.h"
#include "select_bracket.h"
#include "select_spans.h"

namespace {

enum class Phase { start, bracket, histogram, done, failed };

struct Piece {
  int64_t offset = 0;  // of its collected keys
  int32_t at_low = 0, inside = 0, at_high = 0;
  int32_t ties = 0;       // equal to the threshold and among the k smallest
  bool all_ties = false;  // no score equal to the threshold is kept
};

// A histogram level looks at `bits` bits of the key, `shift` from the right.
struct Level {
  int shift, bits;
};
constexpr Level levels[3] = {{20, 12}, {10, 10}, {0, 10}};
constexpr int most_bins = 4096;

}  // namespace

struct bh_select {
  int64_t n, k, capacity;
  std::vector<Piece> pieces;
  bh::SelectSample sample;
  Phase phase = Phase::start;

  int32_t low = INT_MIN, high = INT_MAX;
  std::unique_ptr<int32_t[]> collected;
  std::atomic<int64_t> used{0}, seen{0}, below{0};
  std::atomic<bool> bad_piece{false};

  int level = 0;
  uint32_t prefix = 0;  // the bits above those of the level
  int64_t rank = 0;     // of the threshold among the keys with the prefix, from 1
  std::unique_ptr<std::atomic<int64_t>[]> bins;
  int32_t threshold = INT_MIN;
  int64_t ties = 0;
  int32_t advance();
  void begin_bracket(int32_t from, int32_t to);
  void begin_histogram(int at_level, uint32_t with_prefix, int64_t with_rank);
  bool end_bracket();
  bool end_histogram();
  void finish(int32_t key, int64_t rank_among_ties);
  int64_t ties_in(const Piece &piece, int32_t key) const;
  template <typename Count>
  bool add_to_bracket(Piece &piece, int64_t count, Count count_bracket);
  bool takes(int64_t piece, int64_t count);
  bool takes_all_or_no_ties(int64_t piece) const;
  void add_to_histogram(const float *scores, int64_t count);
  template <typename Loop, typename Rest>
  int64_t apply(int64_t piece, const float *scores, int64_t count, Loop loop, Rest rest) const;
};

void bh_select::begin_bracket(int32_t from, int32_t to) {
  phase = Phase::bracket;
  low = from;
  high = to;
  used = seen = below = 0;
}

void bh_select::begin_histogram(int at_level, uint32_t with_prefix, int64_t with_rank) {
  phase = Phase::histogram;
  level = at_level;
  prefix = with_prefix;
  rank = with_rank;
  seen = 0;
  for (int i = 0; i < most_bins; i++) bins[i] = 0;
}

int64_t bh_select::ties_in(const Piece &piece, int32_t key) const {
  if (key == low) return piece.at_low;
  if (key == high) return piece.at_high;
  const int32_t *keys = collected.get() + piece.offset;
  return std::count(keys, keys + piece.inside, key);
}

void bh_select::finish(int32_t key, int64_t rank_among_ties) {
  phase = Phase::done;
  threshold = key;
  ties = rank_among_ties;
  int64_t left = ties;
  for (Piece &piece : pieces) {
    if (left == 0) break;
    const int64_t here = ties_in(piece, key);
    piece.ties = static_cast<int32_t>(std::min(left, here));
    piece.all_ties = piece.ties == here;
    left -= piece.ties;
  }
}

// False when the pieces did not hold n scores.
bool bh_select::end_bracket() {
  if (seen != n) return false;
  int64_t at_low = 0, inside = 0, at_high = 0;
  for (const Piece &piece : pieces) {
    at_low += piece.at_low;
    inside += piece.inside;
    at_high += piece.at_high;
  }
  const int64_t from = below, to = from + at_low + inside + at_high;
  if (k <= from || k > to) {
    begin_histogram(0, 0, k);
  } else if (k <= from + at_low) {
    finish(low, k - from);
  } else if (k > to - at_high) {
    finish(high, k - (to - at_high));
  } else if (inside > capacity) {
    begin_histogram(0, 0, k);
  } else {
    const int64_t wanted = k - from - at_low;
    const int32_t key = bh::key_at_rank(collected.get(), inside, wanted - 1);
    const int32_t *all = collected.get();
    finish(key, wanted - std::count_if(all, all + inside, [key](int32_t x) { return x < key; }));
  }
  return true;
}

bool bh_select::end_histogram() {
  if (seen != n) return false;
  const Level at = levels[level];
  uint32_t bin = 0;
  while (bin < 1u << at.bits && rank > bins[bin]) rank -= bins[bin++];
  if (bin == 1u << at.bits) return false;
  const uint32_t found = (prefix << at.bits | bin) << at.shift;
  const int64_t members = bins[bin];
  if (members <= capacity || level == 2) {
    begin_bracket(bh::key_from(found), bh::key_from(found + ((1u << at.shift) - 1)));
  } else {
    begin_histogram(level + 1, prefix << at.bits | bin, rank);
  }
  return true;
}

int32_t bh_select::advance() {
  if (bad_piece) phase = Phase::failed;
  switch (phase) {
    case Phase::start: {
      double fraction = 1;
      int32_t from = INT_MIN, to = INT_MAX;
      if (n == 0 || k == 0) {
        finish(INT_MIN, 0);
      } else if (sample.bracket(n, k, &from, &to, &fraction) &&
                 fraction * static_cast<double>(n) < 0.75 * static_cast<double>(capacity)) {
        begin_bracket(from, to);
      } else if (n <= capacity) {
        begin_bracket(INT_MIN, INT_MAX);
      } else {
        begin_histogram(0, 0, k);
      }
      break;
    }
    case Phase::bracket:
      if (!end_bracket()) phase = Phase::failed;
      break;
    case Phase::histogram:
      if (!end_histogram()) phase = Phase::failed;
      break;
    default:
      break;
  }
  return phase == Phase::failed ? -1 : phase == Phase::done ? 0 : 1;
}

// The keys of a piece are collected in a buffer of the thread, and then get their place. Returns
// whether a score is not finite.
template <typename Count>
bool bh_select::add_to_bracket(Piece &piece, int64_t count, Count count_bracket) {
  static thread_local std::vector<int32_t> inside;
  if (static_cast<int64_t>(inside.size()) < count + 16) inside.resize(count + 16);
  const bh::BracketCounts found = count_bracket(inside.data());
  below.fetch_add(found.below, std::memory_order_relaxed);
  piece.at_low = static_cast<int32_t>(found.at_low);
  piece.inside = static_cast<int32_t>(found.inside);
  piece.at_high = static_cast<int32_t>(found.at_high);
  piece.offset = used.fetch_add(found.inside, std::memory_order_relaxed);
  if (piece.offset + found.inside <= capacity) {
    std::copy_n(inside.data(), found.inside, collected.get() + piece.offset);
  }
  return found.nonfinite;
}

void bh_select::add_to_histogram(const float *scores, int64_t count) {
  const Level at = levels[level];
  const int above = at.shift + at.bits;
  uint32_t local[most_bins] = {};
  for (int64_t i = 0; i < count; i++) {
    const uint64_t bits = bh::ascending(bh::key_of(scores[i]));
    if (bits >> above == prefix) local[bits >> at.shift & ((1u << at.bits) - 1)]++;
  }
  for (uint32_t bin = 0; bin < 1u << at.bits; bin++) {
    if (local[bin] != 0) bins[bin].fetch_add(local[bin], std::memory_order_relaxed);
  }
}

// Calls loop(last key to prune), and rest(index) for the ties when a piece gives only some of them.
template <typename Loop, typename Rest>
int64_t bh_select::apply(int64_t piece, const float *scores, int64_t count, Loop loop,
                         Rest rest) const {
  if (phase != Phase::done || piece < 0 || piece >= static_cast<int64_t>(pieces.size())) return 0;
  if (threshold == INT_MIN) return loop(INT_MIN);
  const Piece &place = pieces[piece];
  if (place.ties > 0 && place.all_ties) return loop(threshold);
  const int64_t pruned = loop(threshold - 1);
  int64_t left = place.ties;
  for (int64_t i = 0; left > 0 && i < count; i++) {
    if (bh::key_of(scores[i]) != threshold) continue;
    rest(i);
    left--;
  }
  return pruned + place.ties - left;
}

bh_select *bh_select_create(int64_t n, int64_t k, int64_t pieces) {
  if (k < 0 || k > n || pieces < 0) return nullptr;
  try {
    auto made = std::make_unique<bh_select>();
    made->n = n;
    made->k = k;
    made->capacity = std::min({n, std::max<int64_t>(n / 16, 1 << 20), int64_t{1} << 24});
    made->pieces.resize(static_cast<size_t>(pieces));
    // Not cleared: memory that no key reaches is never touched.
    made->collected.reset(new int32_t[static_cast<size_t>(made->capacity)]);
    made->bins.reset(new std::atomic<int64_t>[most_bins]);
    return made.release();
  } catch (const std::exception &) {  // out of memory, or more pieces than any vector holds
    return nullptr;
  }
}

void bh_select_destroy(bh_select *s) { delete s; }

void bh_select_sample(bh_select *s, const float *scores, int64_t count) {
  if (s->phase != Phase::start || count <= 0) return;
  try {
    for (int64_t i = 0; i < count; i++) s->sample.keys.push_back(bh::key_of(scores[i]));
    s->sample.ends.push_back(static_cast<int64_t>(s->sample.keys.size()));
  } catch (const std::bad_alloc &) {
    s->sample = {};  // slower, not wrong
  }
}

int32_t bh_select_next(bh_select *s) {
  try {
    return s->advance();
  } catch (const std::bad_alloc &) {
    s->phase = Phase::failed;
    return -1;
  }
}

// Counts the scores of a piece as seen; false when there is no such piece.
bool bh_select::takes(int64_t piece, int64_t count) {
  if (piece < 0 || piece >= static_cast<int64_t>(pieces.size()) || count < 0 ||
      count > INT_MAX - 64) {
    bad_piece = true;
    return false;
  }
  seen += count;
  return true;
}

int32_t bh_select_add(bh_select *s, int64_t piece, const float *scores, int64_t count) {
  if (!s->takes(piece, count)) return 0;
  if (s->phase == Phase::bracket) {
    return s->add_to_bracket(s->pieces[piece], count, [=](int32_t *inside) {
      return bh::count_bracket(scores, count, s->low, s->high, inside);
    });
  }
  if (s->phase == Phase::histogram) s->add_to_histogram(scores, count);
  return bh_count_nonfinite_f32(scores, count) != 0 ? 1 : 0;
}

int32_t bh_select_spend(bh_select *s, int64_t piece, float *scores, int64_t count) {
  if (s->phase != Phase::bracket) {
    const int32_t nonfinite = bh_select_add(s, piece, scores, count);
    if (count > 0) memset(scores, 0xFF, static_cast<size_t>(count) * sizeof(float));
    return nonfinite;
  }
  if (!s->takes(piece, count)) return 0;
  return s->add_to_bracket(s->pieces[piece], count, [=](int32_t *inside) {
    return bh::spend_bracket(scores, count, s->low, s->high, inside);
  });
}

float bh_select_threshold(const bh_select *s) {
  return s->threshold == INT_MIN ? -INFINITY : bh::score_of(s->threshold);
}

int64_t bh_select_ties(const bh_select *s) { return s->ties; }

int64_t bh_select_prune(const bh_select *s, int64_t piece, const float *scores,
                        const float *weights, float *out, int64_t count) {
  // 16 MiB and more will not be found in a cache again.
  const bool stream = out != weights && s->n >= 1 << 22;
  return s->apply(
      piece, scores, count,
      [=](int32_t last) { return bh::prune_to_key(scores, last, weights, out, count, stream); },
      [out](int64_t i) { out[i] = 0; });
}

// True when no score of the piece has to be looked at twice.
bool bh_select::takes_all_or_no_ties(int64_t piece) const {
  if (phase != Phase::done || piece < 0 || piece >= static_cast<int64_t>(pieces.size())) {
    return false;
  }
  return threshold == INT_MIN || pieces[piece].ties == 0 || pieces[piece].all_ties;
}

int64_t bh_select_spend_pruning(const bh_select *s, int64_t piece, float *scores,
                                const float *weights, float *out, int64_t count,
                                int32_t *nonfinite) {
  const bool stream = out != weights && s->n >= 1 << 22;
  bool bad = false;
  int64_t pruned;
  if (s->takes_all_or_no_ties(piece)) {
    pruned = s->apply(
        piece, scores, count,
        [=, &bad](int32_t last) {
          return bh::spend_to_key(scores, last, weights, out, count, stream, &bad);
        },
        [](int64_t) {});
  } else {
    bad = bh_count_nonfinite_f32(scores, count) != 0;
    pruned = bh_select_prune(s, piece, scores, weights, out, count);
    if (count > 0) memset(scores, 0xFF, static_cast<size_t>(count) * sizeof(float));
  }
  *nonfinite = bad ? 1 : 0;
  return pruned;
}

int64_t bh_select_keep(const bh_select *s, int64_t piece, const float *scores, uint8_t *keep,
                       int64_t count) {
  return s->apply(
      piece, scores, count,
      [=](int32_t last) { return bh::keep_after_key(scores, last, keep, count); },
      [keep](int64_t i) { keep[i] = 0; });
}
