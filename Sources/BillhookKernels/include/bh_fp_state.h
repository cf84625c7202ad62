// The floating-point control bits of the calling thread: rounding, flushing of subnormal numbers
// and exception masks. A library that changes them changes every result after it.
#ifndef BH_FP_STATE_H
#define BH_FP_STATE_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// The control bits (x86-64: MXCSR without its sticky flags; arm64: FPCR; else 0). [any]
uint64_t bh_fp_state(void);

// Sets the control bits to what bh_fp_state gave before. [any]
void bh_set_fp_state(uint64_t state);

#ifdef __cplusplus
}
#endif
#endif
