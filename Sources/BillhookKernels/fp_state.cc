#include "bh_fp_state.h"

#if defined(__x86_64__)
#include <xmmintrin.h>

// The lowest six bits say what happened, not how to compute.
static const unsigned control_bits = 0xFFC0;

uint64_t bh_fp_state(void) { return _mm_getcsr() & control_bits; }

void bh_set_fp_state(uint64_t state) {
  _mm_setcsr((_mm_getcsr() & ~control_bits) | (static_cast<unsigned>(state) & control_bits));
}

#elif defined(__aarch64__)

uint64_t bh_fp_state(void) {
  uint64_t state;
  __asm__ volatile("mrs %0, fpcr" : "=r"(state));
  return state;
}

void bh_set_fp_state(uint64_t state) { __asm__ volatile("msr fpcr, %0" : : "r"(state)); }

#else

uint64_t bh_fp_state(void) { return 0; }

void bh_set_fp_state(uint64_t) {}

#endif
