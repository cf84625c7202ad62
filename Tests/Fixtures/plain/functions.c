// A library that knows nothing of Billhook: what the plain-function tests call.
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

float square(float x) { return x * x; }
float square_at(const float *x) { return *x * *x; }
double cube(double x) { return x * x * x; }
float blend(float x, float part) { return part * fabsf(x); }
float by_reference(const float *x, const int *power) { return powf(fabsf(*x), (float)*power); }
int answer = 42;
double wide(uint32_t a, int64_t b, float x) { return (double)a + (double)b * (double)x; }
double mixed(int a, float x, double part, int64_t b) { return a + 2 * (double)x + part * (double)b; }
float square_of_many(int a, int b, int c, int d, int e, int f, int g, float x) {
  return a + b + c + d + e + f + g == 28 ? x * x : -1;
}

void powers(const float *w, size_t n, double alpha, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = (float)pow(fabs(w[i]), alpha);
}

void double_powers(const double *w, int64_t n, double *out) {
  for (int64_t i = 0; i < n; i++) out[i] = w[i] * w[i];
}

int checked_powers(const float *w, int n, int limit, float *out) {
  for (int i = 0; i < n; i++) out[i] = fabsf(w[i]);
  return n > limit ? -7 : 0;
}

float row_sum(const float *row, uint32_t n, int32_t step) {
  float sum = 0;
  for (uint32_t i = 0; i < n; i++) sum += fabsf(row[i * (uint32_t)step]);
  return sum;
}

void matrix_rows(const float *w, const int64_t *shape, const int64_t *strides, int ndim,
                 void *scratch, const void *nothing, float *out) {
  double *sums = scratch;
  if (nothing || ndim < 2) return;
  for (int64_t i = 0; i < shape[0]; i++) sums[i] = 0;
  for (int64_t i = 0; i < shape[0]; i++)
    for (int64_t j = 0; j < shape[1]; j++) sums[i] += fabsf(w[i * strides[0] + j]);
  for (int64_t i = 0; i < shape[0]; i++) out[i] = (float)sums[i];
}

double squared_error(const float *student, const float *teacher, size_t n, float *gradient) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) {
    double d = (double)student[i] - teacher[i];
    sum += d * d;
    gradient[i] = (float)(2 * d);
  }
  return sum;
}

void label_margin(const float *row, int classes, int label, double *loss, float *gradient) {
  *loss = 0;
  for (int c = 0; c < classes; c++) gradient[c] = 0;
  for (int c = 0; c < classes; c++) {
    float over = row[c] - row[label] + 1;
    if (c == label || over <= 0) continue;
    *loss += over;
    gradient[c] += 1;
    gradient[label] -= 1;
  }
}

// Blocks of 32 values: a half-precision scale and 16 bytes of 4-bit integers from -8 to 7.
typedef struct {
  _Float16 scale;
  uint8_t pairs[16];
} block;

size_t pack_blocks(const float *from, void *to, int64_t rows, int64_t cols, const float *weights) {
  block *blocks = to;
  (void)weights;
  if (cols % 32) abort();
  for (int64_t b = 0; b < rows * cols / 32; b++) {
    const float *x = from + 32 * b;
    float largest = 0;
    for (int i = 0; i < 32; i++)
      if (fabsf(x[i]) > fabsf(largest)) largest = x[i];
    float scale = largest / -8;
    blocks[b].scale = (_Float16)scale;
    for (int i = 0; i < 16; i++) {
      float low = scale ? x[i] / scale + 8.5f : 8, high = scale ? x[i + 16] / scale + 8.5f : 8;
      int a = low > 15 ? 15 : (int)low, c = high > 15 ? 15 : (int)high;
      blocks[b].pairs[i] = (uint8_t)(a | c << 4);
    }
  }
  return (size_t)(rows * cols / 32) * sizeof(block);
}

void unpack_blocks(const void *from, float *to, int64_t n) {
  const block *blocks = from;
  if (n % 32) abort();
  for (int64_t b = 0; b < n / 32; b++)
    for (int i = 0; i < 16; i++) {
      to[32 * b + i] = (float)blocks[b].scale * ((blocks[b].pairs[i] & 15) - 8);
      to[32 * b + i + 16] = (float)blocks[b].scale * ((blocks[b].pairs[i] >> 4) - 8);
    }
}

size_t pack_too_few(const float *from, void *to, int64_t n) {
  memset(to, 1, (size_t)(n / 32 * 17));
  return (size_t)(n / 32 * 18);
}

void round_to(const float *x, int8_t *q, int n, const float *scale, int qmin, int qmax) {
  for (int i = 0; i < n; i++) {
    float value = rintf(x[i] / *scale);
    q[i] = (int8_t)(value < qmin ? qmin : value > qmax ? qmax : value);
  }
}

void times(const int8_t *q, float *x, int n, const float *scale) {
  for (int i = 0; i < n; i++) x[i] = q[i] * *scale;
}

// What a probe must find.
void one_too_many(const float *w, size_t n, float *out) {
  for (size_t i = 0; i <= n; i++) out[i] = i < n ? w[i] : 1;
}
void one_before(const float *w, size_t n, float *out) {
  out[-1] = 0;
  for (size_t i = 0; i < n; i++) out[i] = w[i];
}
void reads_too_far(const float *w, size_t n, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = w[i] + w[i + 1024];
}
void leaves_last(const float *w, size_t n, float *out) {
  for (size_t i = 0; i + 1 < n; i++) out[i] = w[i];
}
void writes_input(float *w, size_t n, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = w[i] = 1;
}
void crashes(const float *w, size_t n, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = w[i];
  if (n == 17) *(volatile int *)8 = 1;
}
void aborts(const float *w, size_t n, float *out) {
  (void)w, (void)out;
  if (n == 2) abort();
  for (size_t i = 0; i < n; i++) out[i] = 1;
}
void leaves(const float *w, size_t n, float *out) {
  (void)w, (void)n, (void)out;
  _exit(3);
}
void hangs(const float *w, size_t n, float *out) {
  (void)w, (void)out;
  for (volatile int on = n == 3; on;) {}
  for (size_t i = 0; i < n; i++) out[i] = 1;
}
