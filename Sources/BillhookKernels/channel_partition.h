// How the reductions over a [outer, channels, inner] array are cut, so that the order of additions
// is a function of the shape alone.
#ifndef BH_CHANNEL_PARTITION_H
#define BH_CHANNEL_PARTITION_H
#include <stdint.h>

#include <algorithm>

namespace bh {

// Outer indices are cut into `parts` runs of `outer_grain`, channels into `channel_runs` runs of
// `channel_grain`. One run of each is one piece of work; each part has a partial sum of its own.
struct ChannelPartition {
  int64_t outer_grain, parts, channel_grain, channel_runs;

  ChannelPartition(int64_t outer, int64_t channels, int64_t inner) {
    const int64_t piece = 65536;    // elements: 256 KiB, half of a usual second-level cache
    const int64_t most_parts = 64;  // bounds the memory of the partial sums
    const int64_t plane = std::max<int64_t>(1, channels * inner);
    if (plane >= piece) {
      // Enough channels to share out, and too many for partial sums.
      outer_grain = std::max<int64_t>(1, outer);
      channel_grain = std::max<int64_t>(1, piece / std::max<int64_t>(1, inner));
    } else {
      outer_grain = std::max((piece + plane - 1) / plane, (outer + most_parts - 1) / most_parts);
      channel_grain = std::max<int64_t>(1, channels);
    }
    parts = (outer + outer_grain - 1) / outer_grain;
    channel_runs = (channels + channel_grain - 1) / channel_grain;
  }
};

}  // namespace bh
#endif
