// Which convolutions are worth transforming, and running one.
#include <vector>

#include "winograd.h"
#include "winograd_share.h"

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
  const int64_t in_row = s.padded(s.inputs), out_row = s.padded(s.outputs);
  const int64_t panels = (out_row + winograd_panel() - 1) / winograd_panel();
  // A vector of padding channels reads its bias too.
  std::vector<float> bias(out_row);
  if (tail.bias) std::copy(tail.bias, tail.bias + s.outputs, bias.begin());
  const WinogradTail padded{bias.data(), tail.residual, tail.low, tail.high};
  share_tiles(s.all_tiles(), panels, s.points(), in_row, sizeof(float), out_row,
              [&](const WinogradPiece &piece) { winograd_piece(s, x, weights, padded, piece, y); });
}

}  // namespace billhook
