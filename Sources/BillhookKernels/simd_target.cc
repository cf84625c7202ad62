#include "simd_target.h"

#include <hwy/highway.h>
#include <hwy/targets.h>

#include "bh_simd.h"
#include "vector_targets.h"

namespace billhook {

bool &is_portable() {
  static thread_local bool portable = false;
  return portable;
}

}  // namespace billhook

namespace hwy {

// Under the name that vector_targets.h gives it: what dynamic dispatch asks on each call.
ChosenTarget &TargetOfThread() {
  struct Chosen : ChosenTarget {
    explicit Chosen(int64_t targets) { Update(targets); }
  };
  static Chosen best(SupportedTargets()), portable(HWY_STATIC_TARGET);
  return billhook::is_portable() ? static_cast<ChosenTarget &>(portable) : best;
}

}  // namespace hwy

const char *bh_simd_name(void) {
  if (billhook::is_portable()) return hwy::TargetName(HWY_STATIC_TARGET);
  // Of the targets that are both compiled and supported, the lowest bit is the best.
  const int64_t usable = HWY_TARGETS & static_cast<int64_t>(hwy::SupportedTargets());
  return hwy::TargetName(static_cast<uint32_t>(usable & -usable));
}

void bh_simd_force_portable(int32_t portable) { billhook::is_portable() = portable != 0; }
