// The reference of bh_rotary.h: slow, obvious, and what the tests compare against.
#include "bh_rotary.h"

void bh_rotary_f32_scalar(const bh_rotary *form, const float *x, const float *cosines,
                          const float *sines, float *y) {
  const bh_rotary &s = *form;
  const int64_t half = s.rotated / 2;
  for (int64_t i = 0; i < s.images * s.heads * s.steps * s.size; i++) y[i] = x[i];
  for (int64_t image = 0; image < s.images; image++) {
    for (int64_t head = 0; head < s.heads; head++) {
      for (int64_t step = 0; step < s.steps; step++) {
        const int64_t row = s.heads_first ? (image * s.heads + head) * s.steps + step
                                          : (image * s.steps + step) * s.heads + head;
        for (int64_t k = 0; k < half; k++) {
          const int64_t first = row * s.size + (s.interleaved ? 2 * k : k);
          const int64_t second = s.interleaved ? first + 1 : first + half;
          const int64_t angle = (image * s.steps + step) * half + k;
          const double a = x[first], b = x[second], cosine = cosines[angle];
          const double sine = s.backward ? -sines[angle] : sines[angle];
          y[first] = static_cast<float>(a * cosine - b * sine);
          y[second] = static_cast<float>(a * sine + b * cosine);
        }
      }
    }
  }
}
