// Settings of Highway, included before it by every file with vector code.
//
// Such a file is compiled once for each target (HWY_TARGET_INCLUDE names the file itself), and the
// best target of the CPU is chosen at run time; the package's flags stay those of the baseline.
#ifndef BH_VECTOR_TARGETS_H
#define BH_VECTOR_TARGETS_H
#include "exact.h"

// Kept on x86-64: the portable form (all that the baseline allows in this version of Highway), AVX2
// and AVX-512; the steps between would double the compile time for CPUs older than 2013. Vectors of
// unknown length (SVE, RVV) cannot be array elements, which the fixed order of our sums needs, so
// ARM gets NEON.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#endif

// Highway keeps the target of dynamic dispatch for the whole process. Ours is a setting of the
// thread (simd_target.cc), so that a test on another target disturbs nobody: the function that
// dispatch asks is declared, and called, under this name.
#define GetChosenTarget TargetOfThread

#endif
