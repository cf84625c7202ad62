// The reference of bh_normalization.h: slow, obvious, and what the tests compare against.
#include <cmath>

#include "bh_normalization.h"

void bh_layer_norm_f32_scalar(const float *x, const float *scale, const float *shift, int64_t rows,
                              int64_t columns, float epsilon, int32_t subtract_mean, float *y) {
  for (int64_t r = 0; r < rows; r++) {
    const float *row = x + r * columns;
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < columns; i++) mean += row[i];
    mean = subtract_mean ? mean / static_cast<double>(columns) : 0;
    for (int64_t i = 0; i < columns; i++) squares += (row[i] - mean) * (row[i] - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(columns) + epsilon);
    for (int64_t i = 0; i < columns; i++) {
      const double value = (row[i] - mean) / deviation;
      y[r * columns + i] =
          static_cast<float>(value * (scale ? scale[i] : 1) + (shift ? shift[i] : 0));
    }
  }
}
