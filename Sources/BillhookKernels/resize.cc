#include "resize.h"

#include <algorithm>
#include <cstring>

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

}  // namespace

void resize(int64_t images, int64_t block, const ResizeAxis &rows, const ResizeAxis &columns,
            const float *x, float *y) {
  const int64_t width = columns.out * block, in_width = columns.in * block;
  const bool picks = rows.taps == 1 && columns.taps == 1;
  const int64_t grain = std::max<int64_t>(1, bh::streaming_grain / 4 / width);
  bh::parallel_for(images * rows.out, grain, [&](int64_t begin, int64_t end) {
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
      for (int64_t c = 0; c < columns.out; c++) {
        float *to = out + c * block;
        std::fill(to, to + block, 0.0f);
        for (int64_t i = 0; i < rows.taps; i++) {
          const float *row = image + rows.indices[r * rows.taps + i] * in_width;
          for (int64_t j = 0; j < columns.taps; j++) {
            const float weight =
                rows.weights[r * rows.taps + i] * columns.weights[c * columns.taps + j];
            const float *from = row + columns.indices[c * columns.taps + j] * block;
            for (int64_t b = 0; b < block; b++) to[b] += weight * from[b];
          }
        }
      }
    }
  });
}

}  // namespace billhook
