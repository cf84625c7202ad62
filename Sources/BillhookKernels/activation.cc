// bh_activation.h on all threads.
#include "bh_activation.h"

#include <algorithm>

#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "activation.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "activation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {

void ActivateSpan(const bh_activation *functions, int32_t count, const float *x, float *y,
                  int64_t n) {
  Activate(functions, count, x, y, n);
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
HWY_EXPORT(ActivateSpan);
}  // namespace billhook

void bh_activate_f32(const bh_activation *functions, int32_t count, const float *x, float *y,
                     int64_t n) {
  if (count == 0) {
    if (x != y) std::copy(x, x + n, y);
    return;
  }
  // An exponential is worth some ten accesses of memory.
  constexpr int64_t grain = bh::streaming_grain / 8;
  bh::parallel_for(n, grain, [=](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(billhook::ActivateSpan)
    (functions, count, x + begin, y + begin, end - begin);
  });
}
#endif  // HWY_ONCE
