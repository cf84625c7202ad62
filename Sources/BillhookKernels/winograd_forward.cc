// Which convolutions are worth transforming, and how one is shared out over threads.
#include <hwy/aligned_allocator.h>

#include <algorithm>

#include "parallel.h"
#include "winograd.h"

namespace billhook {

int64_t winograd_tile(const WinogradShape &shape) {
  // In multiplications of one lane: a number of a tile costs about five to transform, a weight six
  // to fetch, which counts when there are few tiles. Measured on Zen 3.
  constexpr int64_t kTransform = 5, kFetch = 6;
  WinogradShape s = shape;
  const int64_t weights = s.inputs * s.padded(s.outputs);
  int64_t best = 0, least = (s.images * s.out[0] * s.out[1] + kFetch) * 9 * weights;
  for (const int64_t tile : {4, 2}) {
    s.tile = tile;
    const int64_t numbers = s.padded(s.inputs) + s.padded(s.outputs);
    const int64_t cost =
        s.points() * (s.all_tiles() * (weights + kTransform * numbers) + kFetch * weights);
    if (cost < least) {
      best = tile;
      least = cost;
    }
  }
  return best;
}

void winograd_forward(const WinogradShape &s, const float *x, const float *weights,
                      const WinogradTail &tail, float *y) {
  // Both buffers of a piece stay in a core's second-level cache beside the weights of a point.
  constexpr int64_t kBytes = 256 << 10;
  const int64_t in_row = s.padded(s.inputs), out_row = s.padded(s.outputs);
  const int64_t all = s.all_tiles(), panels = (out_row + winograd_panel() - 1) / winograd_panel();
  const int64_t fitting = kBytes / (s.points() * (in_row + out_row) * 4);
  const int64_t most = std::max<int64_t>(fitting / 12 * 12, 12);
  const int64_t grain = std::min(most, (all / 8 + 11) / 12 * 12 + 12);
  const int64_t groups = (all + grain - 1) / grain;
  // A small picture is shared out by outputs too; each share then transforms the input again.
  const int64_t shares = std::min<int64_t>(panels, groups >= 4 ? 1 : 4 / groups);
  // Planes are a cache line apart from a power of two, else their lines would fall together.
  const int64_t in_plane = grain * in_row + 16, out_plane = grain * out_row + 16;
  bh::parallel_for(groups * shares, 1, [&](int64_t begin, int64_t end) {
    static thread_local hwy::AlignedFreeUniquePtr<float[]> scratch;
    static thread_local int64_t size = 0;
    const int64_t needed = s.points() * (in_plane + out_plane);
    if (size < needed) {
      scratch = hwy::AllocateAligned<float>(needed);
      size = needed;
    }
    for (int64_t i = begin; i < end; i++) {
      const int64_t group = i / shares, share = i % shares;
      const WinogradPiece piece{group * grain,
                                std::min(all, (group + 1) * grain),
                                panels * share / shares,
                                panels * (share + 1) / shares,
                                in_plane,
                                out_plane,
                                scratch.get(),
                                scratch.get() + s.points() * in_plane};
      winograd_piece(s, x, weights, tail, piece, y);
    }
  });
}

}  // namespace billhook
