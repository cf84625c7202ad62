// The reference of bh_broadcast.h: slow, obvious, and what the tests compare against.
#include "bh_broadcast.h"

void bh_broadcast_f32_scalar(const bh_broadcast *form, const float *a, const float *b, float *y) {
  const bh_broadcast &s = *form;
  int64_t count = 1;
  for (int32_t i = 0; i < s.rank; i++) count *= s.dims[i];
  for (int64_t place = 0; place < count; place++) {
    int64_t rest = place, from_a = 0, from_b = 0;
    for (int32_t i = s.rank - 1; i >= 0; i--) {
      from_a += rest % s.dims[i] * s.a_steps[i];
      from_b += rest % s.dims[i] * s.b_steps[i];
      rest /= s.dims[i];
    }
    const float left = a[from_a], right = b[from_b];
    y[place] = s.kind == BH_BINARY_ADD   ? left + right
               : s.kind == BH_BINARY_MUL ? left * right
               : s.kind == BH_BINARY_SUB ? left - right
                                         : left / right;
  }
}
