#include <hwy/highway.h>
#include <hwy/targets.h>

#include "bh_simd.h"
#include "vector_targets.h"

const char *bh_simd_name(void) {
  // Of the targets that are both compiled and supported, the lowest bit is the best.
  const int64_t usable = HWY_TARGETS & static_cast<int64_t>(hwy::SupportedTargets());
  return hwy::TargetName(static_cast<uint32_t>(usable & -usable));
}

void bh_simd_force_portable(int32_t portable) {
  hwy::DisableTargets(portable != 0 ? ~static_cast<int64_t>(HWY_STATIC_TARGET) : 0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}
