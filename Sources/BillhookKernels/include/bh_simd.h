// Which of the compiled instruction sets the vector kernels run on.
#ifndef BH_SIMD_H
#define BH_SIMD_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// The name of the set in use, for reports: "AVX2", "AVX3" (AVX-512), "NEON", "EMU128" (the portable
// form), chosen at run time from what the CPU has. Static memory. [any]
const char *bh_simd_name(void);

// 1: the portable form from now on, so that a test can compare; 0: the best of the CPU again. Holds on
// this thread and in the loops that it starts. What was packed for one form is for that one only.
void bh_simd_force_portable(int32_t portable);

#ifdef __cplusplus
}
#endif
#endif
