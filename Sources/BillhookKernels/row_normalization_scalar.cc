// The reference of bh_normalization.h: slow, obvious, and what the tests compare against.
#include <cmath>
#include <vector>

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

void bh_layer_norm_backward_f32_scalar(const float *x, const float *dy, const float *scale,
                                       int64_t rows, int64_t columns, float epsilon,
                                       int32_t subtract_mean, float *dx, float *dscale,
                                       float *dshift) {
  const auto size = static_cast<double>(columns);
  std::vector<double> scales(columns), shifts(columns);
  for (int64_t r = 0; r < rows; r++) {
    const float *row = x + r * columns, *given = dy + r * columns;
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < columns; i++) mean += row[i];
    mean = subtract_mean ? mean / size : 0;
    for (int64_t i = 0; i < columns; i++) squares += (row[i] - mean) * (row[i] - mean);
    const double deviation = std::sqrt(squares / size + epsilon);
    // Through the mean, and through the deviation.
    double plain = 0, weighted = 0;
    for (int64_t i = 0; i < columns; i++) {
      const double unit = (row[i] - mean) / deviation, g = given[i] * (scale ? scale[i] : 1.0);
      plain += subtract_mean ? g : 0;
      weighted += g * unit;
      scales[i] += given[i] * unit;
      shifts[i] += given[i];
    }
    for (int64_t i = 0; i < columns && dx; i++) {
      const double unit = (row[i] - mean) / deviation, g = given[i] * (scale ? scale[i] : 1.0);
      dx[r * columns + i] =
          static_cast<float>((g - plain / size - unit * weighted / size) / deviation);
    }
  }
  for (int64_t i = 0; i < columns; i++) {
    if (dscale) dscale[i] = static_cast<float>(scales[i]);
    if (dshift) dshift[i] = static_cast<float>(shifts[i]);
  }
}

void bh_group_norm_f32_scalar(const float *x, const float *scale, const float *shift,
                              int64_t images, int64_t groups, int64_t channels, int64_t area,
                              float epsilon, const bh_activation *functions, int32_t count,
                              float *y) {
  const int64_t run = channels * area;
  bh_layer_norm_f32_scalar(x, nullptr, nullptr, images * groups, run, epsilon, 1, y);
  for (int64_t i = 0; i < images * groups * run; i++) {
    const int64_t channel = i / area % (groups * channels);
    y[i] = y[i] * (scale ? scale[channel] : 1) + (shift ? shift[channel] : 0);
    for (int32_t f = 0; f < count; f++) y[i] = bh_activate_scalar(functions[f], y[i]);
  }
}

void bh_softmax_backward_f32_scalar(const float *y, const float *dy, int64_t rows, int64_t columns,
                                    float *dx) {
  for (int64_t r = 0; r < rows; r++, y += columns, dy += columns, dx += columns) {
    double mixed = 0;
    for (int64_t i = 0; i < columns; i++) mixed += static_cast<double>(y[i]) * dy[i];
    for (int64_t i = 0; i < columns; i++) dx[i] = static_cast<float>(y[i] * (dy[i] - mixed));
  }
}
