// Packing the weights of an integer Winograd layer, and running one.
#include <algorithm>
#include <cstdlib>

#include "winograd_integer.h"
#include "winograd_share.h"

namespace billhook {
namespace {

int64_t padded_outputs(const IntegerWinograd &s) {
  const int64_t lanes = integer_winograd_lanes();
  return (s.outputs + lanes - 1) / lanes * lanes;
}

// Whether the layer is faster than sums of quads by the definition, in multiplying instructions: the
// transforms of a vector of channels take as long as some 200, a product of tiles runs at some 85 % of
// its limit, the weights of a few tiles are read from far away, and what is pooled here needs no pass
// of its own.
bool is_faster_than_quads(const IntegerWinograd &s) {
  const int64_t lanes = integer_winograd_lanes(), vectors = (s.outputs + lanes - 1) / lanes;
  const int64_t wide_vectors = (s.inputs + 2 * lanes - 1) / (2 * lanes);
  const int64_t pixels = s.images * s.out[0] * s.out[1];
  const int64_t tiles = s.images * s.tiles(0) * s.tiles(1);
  const int64_t direct = pixels * vectors * (9 * ((s.inputs + 3) / 4) + (s.pools ? 30 : 0));
  const int64_t product = 36 * ((s.inputs + 1) / 2) * vectors * 115 / 100;
  const int64_t reading = 13 * s.inputs * s.outputs;
  return tiles * (product + 200 * (wide_vectors + vectors)) + reading < direct * 97 / 100;
}

}  // namespace

bool pack_winograd(const std::vector<int16_t> &w, bool has_quads, IntegerWinograd *layer) {
  IntegerWinograd &s = *layer;
  if (s.inputs < 8 || s.outputs < 8 || (has_quads && !is_faster_than_quads(s))) return false;
  // Inputs lie in a range of 255 that holds 0, so the extremes of a sum come from weights of one
  // sign.
  for (int64_t o = 0; o < s.outputs; o++) {
    int64_t above = 0, below = 0;
    for (int64_t i = o * 9 * s.inputs; i < (o + 1) * 9 * s.inputs; i++)
      (w[i] > 0 ? above : below) += std::abs(w[i]);
    if (std::max(above, below) * 255 >= 1 << 25) return false;
  }
  // G without its fractions; the first and the last row are six times as large, which saves as
  // much on the way back.
  constexpr int32_t kRows[6][3] = {{6, 0, 0}, {1, 1, 1},  {1, -1, 1},
                                   {1, 2, 4}, {1, -2, 4}, {0, 0, 6}};
  const int64_t pairs = (s.inputs + 1) / 2, outputs = padded_outputs(s);
  const int64_t width = integer_winograd_panel();
  s.weights.assign(36 * outputs * pairs * 2, 0);
  for (int64_t o = 0; o < s.outputs; o++) {
    const int64_t panel = o / width * width, own = std::min(width, outputs - panel);
    for (int64_t c = 0; c < s.inputs; c++) {
      for (int64_t point = 0; point < 36; point++) {
        int32_t sum = 0;
        for (int64_t i = 0; i < 3; i++)
          for (int64_t j = 0; j < 3; j++)
            sum +=
                kRows[point / 6][i] * kRows[point % 6][j] * w[((o * 3 + i) * 3 + j) * s.inputs + c];
        s.weights[(((panel * 36 + point * own) * pairs) + c / 2 * own + o - panel) * 2 + c % 2] =
            static_cast<int16_t>(sum);
      }
    }
  }
  return true;
}

void run_winograd(const IntegerWinograd &s, const Epilogue &epilogue, int32_t x_type, const void *x,
                  int32_t zero_point, void *y) {
  const int64_t outputs = padded_outputs(s), width = integer_winograd_panel();
  share_tiles(s.images * s.tiles(0) * s.tiles(1), (outputs + width - 1) / width, 36,
              (s.inputs + 15) / 16 * 16, sizeof(int16_t), outputs, [&](const WinogradPiece &piece) {
                integer_winograd_piece(s, epilogue, x_type, x, zero_point, piece, y);
              });
}

}  // namespace billhook
