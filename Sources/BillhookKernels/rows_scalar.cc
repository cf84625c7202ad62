// The references of bh_rows.h: slow, obvious, and what the tests compare against.
#include <math.h>

#include <algorithm>
#include <vector>

#include "bh_rows.h"
#include "exact.h"
#include "row_sums.h"

namespace {

template <typename Term>
double lane_sum(int64_t n, Term term) {
  double lanes[16] = {};
  for (int64_t i = 0; i < n; i++) lanes[i % 16] += term(i);
  for (int step = 8; step > 0; step /= 2) {
    for (int l = 0; l < step; l++) lanes[l] += lanes[l + step];
  }
  return lanes[0];
}

double dot(const float *x, const float *y, int64_t n) {
  return lane_sum(n, [=](int64_t i) { return static_cast<double>(x[i]) * y[i]; });
}

}  // namespace

void bh_axis_sums_f32_scalar(const float *x, int64_t outer, int64_t count, int64_t inner,
                             float *out) {
  for (int64_t c = 0; c < count; c++) {
    double sum = 0;
    for (int64_t o = 0; o < outer; o++) {
      const float *row = x + (o * count + c) * inner;
      sum += lane_sum(inner, [=](int64_t i) { return static_cast<double>(row[i]); });
    }
    out[c] = static_cast<float>(sum);
  }
}

void bh_row_dots_f32_scalar(const float *x, const float *y, int64_t rows, int64_t columns,
                            float *out) {
  for (int64_t r = 0; r < rows; r++) {
    out[r] = static_cast<float>(dot(x + r * columns, y + r * columns, columns));
  }
}

void bh_row_cosines_f32_scalar(const float *x, const float *y, int64_t rows, int64_t columns,
                               float *out) {
  for (int64_t r = 0; r < rows; r++) {
    const float *a = x + r * columns, *b = y + r * columns;
    out[r] = bh::cosine(dot(a, b, columns), dot(a, a, columns), dot(b, b, columns));
  }
}

void bh_row_distances_f32_scalar(const float *x, int64_t rows, int64_t columns, int32_t order,
                                 float *out) {
  for (int64_t a = 0; a < rows; a++) {
    for (int64_t b = 0; b < rows; b++) {
      const double sum = lane_sum(columns, [=](int64_t i) {
        const double d = static_cast<double>(x[a * columns + i]) - x[b * columns + i];
        return order == 1 ? fabs(d) : d * d;
      });
      out[a * rows + b] = static_cast<float>(order == 1 ? sum : sqrt(sum));
    }
  }
}

float bh_kth_smallest_f32_scalar(const float *x, int64_t n, int64_t k) {
  std::vector<float> sorted(x, x + n);
  std::sort(sorted.begin(), sorted.end());
  return sorted[k - 1];
}
