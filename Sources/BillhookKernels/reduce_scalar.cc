// The reference of bh_reduce.h: slow, obvious, and what the tests compare against.
#include <cmath>

#include "bh_reduce.h"

void bh_reduce_f32_scalar(int32_t kind, const float *x, int64_t outer, int64_t count,
                          int64_t inner, int64_t step, float *y) {
  for (int64_t o = 0; o < outer; o++) {
    for (int64_t n = 0; n < inner; n++) {
      double sum = 0, largest = -INFINITY, smallest = INFINITY, absolute = 0, squares = 0;
      for (int64_t i = 0; i < count; i++) {
        const double value = x[(o * count + i) * step + n];
        sum += value;
        absolute += std::fabs(value);
        squares += value * value;
        if (value > largest || std::isnan(value)) largest = value;
        if (value < smallest || std::isnan(value)) smallest = value;
      }
      const double results[] = {sum,      sum / static_cast<double>(count), largest, smallest,
                                absolute, std::sqrt(squares),               squares};
      y[o * inner + n] = static_cast<float>(results[kind]);
    }
  }
}
