// Another size along the two axes of an image.
#ifndef BH_RESIZE_H
#define BH_RESIZE_H

#include <cstdint>
#include <vector>

namespace billhook {

// One axis: each of `out` places is the sum of `taps` elements times their weights.
struct ResizeAxis {
  int64_t in, out, taps;
  std::vector<int32_t> indices;  // [out, taps]
  std::vector<float> weights;
};

// x: [images, rows.in, columns.in, block], y: [images, rows.out, columns.out, block]. The same bits
// for any number of threads.
void resize(int64_t images, int64_t block, const ResizeAxis &rows, const ResizeAxis &columns,
            const float *x, float *y);

}  // namespace billhook

#endif
