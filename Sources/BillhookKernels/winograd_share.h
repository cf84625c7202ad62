// How the tiles of a convolution are shared out over threads.
#ifndef BH_WINOGRAD_SHARE_H
#define BH_WINOGRAD_SHARE_H

#include <hwy/aligned_allocator.h>

#include <algorithm>

#include "parallel.h"

namespace billhook {

// A piece of the work: some tiles, some panels of outputs, and where their transforms go.
struct WinogradPiece {
  int64_t begin, end;               // tiles
  int64_t first_panel, last_panel;  // of outputs
  int64_t in_plane, out_plane;      // elements between two points in the buffers below
  void *in, *sums;
};

// Calls body(piece) for all pieces of `tiles` tiles and `panels` panels. A tile is `points` times
// in_row elements of in_size bytes and points times out_row elements of four bytes.
template <class Body>
void share_tiles(int64_t tiles, int64_t panels, int64_t points, int64_t in_row, int64_t in_size,
                 int64_t out_row, const Body &body) {
  // Both buffers of a piece stay in a core's second-level cache beside the weights of a point.
  constexpr int64_t kBytes = 256 << 10;
  const int64_t fitting = kBytes / (points * (in_row * in_size + out_row * 4));
  const int64_t most = std::max<int64_t>(fitting / 12 * 12, 12);
  const int64_t grain = std::min(most, (tiles / 8 + 11) / 12 * 12 + 12);
  const int64_t groups = (tiles + grain - 1) / grain;
  // A small picture is shared out by outputs too; each share then transforms the input again.
  const int64_t shares = std::min<int64_t>(panels, groups >= 4 ? 1 : 4 / groups);
  // Planes are a cache line apart from a power of two, else their lines would fall together.
  const int64_t in_plane = grain * in_row + 64 / in_size, out_plane = grain * out_row + 16;
  const int64_t in_bytes = points * in_plane * in_size;
  bh::parallel_for(groups * shares, 1, [&](int64_t begin, int64_t end) {
    static thread_local hwy::AlignedFreeUniquePtr<char[]> scratch;
    static thread_local int64_t size = 0;
    const int64_t needed = in_bytes + points * out_plane * 4;
    if (size < needed) {
      scratch = hwy::AllocateAligned<char>(needed);
      size = needed;
    }
    for (int64_t i = begin; i < end; i++) {
      const int64_t group = i / shares, share = i % shares;
      body(WinogradPiece{group * grain, std::min(tiles, (group + 1) * grain),
                         panels * share / shares, panels * (share + 1) / shares, in_plane,
                         out_plane, scratch.get(), scratch.get() + in_bytes});
    }
  });
}

}  // namespace billhook

#endif
