#include "resize.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "parallel.h"

namespace billhook {
namespace {

// A row of the output where each of its elements is one of the input.
template <int Block>
void pick(const ResizeAxis &columns, int64_t block, const float *row, float *y) {
  const int64_t size = Block > 0 ? Block : block;
  for (int64_t c = 0; c < columns.out; c++) {
    const float *from = row + columns.indices[c] * size;
    if (Block > 0) {
      for (int64_t b = 0; b < Block; b++) y[c * Block + b] = from[b];
    } else {
      std::memcpy(y + c * size, from, size * sizeof(float));
    }
  }
}

// The input's rows that make row `r` of the output, added up.
const float *mixed_rows(const ResizeAxis &rows, int64_t r, const float *image, int64_t width,
                        std::vector<float> &mixed) {
  for (int64_t i = 0; i < rows.taps; i++) {
    const float weight = rows.weights[r * rows.taps + i];
    const float *from = image + rows.indices[r * rows.taps + i] * width;
    if (rows.taps == 1 && weight == 1) return from;
    float *to = mixed.data();
    if (i == 0) {
      for (int64_t k = 0; k < width; k++) to[k] = weight * from[k];
    } else {
      for (int64_t k = 0; k < width; k++) to[k] += weight * from[k];
    }
  }
  return mixed.data();
}

// A row of the output from such a row.
template <int Block>
void mix(const ResizeAxis &columns, int64_t block, const float *row, float *y) {
  const int64_t size = Block > 0 ? Block : block;
  for (int64_t c = 0; c < columns.out; c++) {
    const int32_t *places = columns.indices.data() + c * columns.taps;
    const float *weights = columns.weights.data() + c * columns.taps;
    float *to = y + c * size;
    for (int64_t b = 0; b < size; b++) to[b] = weights[0] * row[places[0] * size + b];
    for (int64_t j = 1; j < columns.taps; j++)
      for (int64_t b = 0; b < size; b++) to[b] += weights[j] * row[places[j] * size + b];
  }
}

}  // namespace

void resize(int64_t images, int64_t block, const ResizeAxis &rows, const ResizeAxis &columns,
            const float *x, float *y) {
  const int64_t width = columns.out * block, in_width = columns.in * block;
  const bool picks = rows.taps == 1 && columns.taps == 1;
  const int64_t grain = std::max<int64_t>(1, bh::streaming_grain / 4 / width);
  bh::parallel_for(images * rows.out, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> mixed(picks ? 0 : in_width);
    for (int64_t line = begin; line < end; line++) {
      const float *image = x + line / rows.out * rows.in * in_width;
      const int64_t r = line % rows.out;
      float *out = y + line * width;
      if (picks) {
        const float *row = image + rows.indices[r] * in_width;
        if (r > 0 && line > begin && rows.indices[r] == rows.indices[r - 1]) {
          std::memcpy(out, out - width, width * sizeof(float));
        } else if (block == 8) {
          pick<8>(columns, block, row, out);
        } else if (block == 1) {
          pick<1>(columns, block, row, out);
        } else {
          pick<0>(columns, block, row, out);
        }
        continue;
      }
      const float *row = mixed_rows(rows, r, image, in_width, mixed);
      if (block == 1) {
        mix<1>(columns, block, row, out);
      } else if (block == 8) {
        mix<8>(columns, block, row, out);
      } else if (block == 16) {
        mix<16>(columns, block, row, out);
      } else {
        mix<0>(columns, block, row, out);
      }
    }
  });
}

}  // namespace billhook
