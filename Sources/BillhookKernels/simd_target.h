// Which instruction set a thread's kernels run on.
#ifndef BH_SIMD_TARGET_H
#define BH_SIMD_TARGET_H

namespace billhook {

// True while bh_simd_force_portable holds on this thread; loops take it along to their threads.
bool &is_portable();

}  // namespace billhook

#endif
