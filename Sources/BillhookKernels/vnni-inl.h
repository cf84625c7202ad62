// Products of integers that are added up in one instruction, where the CPU has VNNI, compiled for each
// target. This version of Highway has no names for them, and the compiler's own are for targets that
// Highway lacks: AVX-512 with VNNI alone, AVX-VNNI.
#if defined(BH_VNNI_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef BH_VNNI_INL_H
#undef BH_VNNI_INL_H
#else
#define BH_VNNI_INL_H
#endif

#include <hwy/highway.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace vnni {
namespace hn = hwy::HWY_NAMESPACE;

using V32 = hn::Vec<hn::ScalableTag<int32_t>>;

#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2

// Whether the CPU has them for this target's vectors.
inline bool IsThere() {
  uint32_t a = 0, b = 0, c = 0, d = 0;
  if (HWY_TARGET == HWY_AVX3) return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c >> 11 & 1);
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

// sum + four products of x's unsigned and w's signed bytes in each lane, modulo 2^32.
HWY_INLINE V32 AddQuads(V32 sum, V32 x, V32 w) {
#if HWY_TARGET == HWY_AVX3
  asm("vpdpbusd %2, %1, %0" : "+v"(sum.raw) : "v"(x.raw), "v"(w.raw));
#else
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.raw) : "x"(x.raw), "x"(w.raw));
#endif
  return sum;
}

// sum + two products of 16-bit numbers in each lane, modulo 2^32.
HWY_INLINE V32 AddPairs(V32 sum, V32 x, V32 w) {
#if HWY_TARGET == HWY_AVX3
  asm("vpdpwssd %2, %1, %0" : "+v"(sum.raw) : "v"(x.raw), "v"(w.raw));
#else
  asm("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum.raw) : "x"(x.raw), "x"(w.raw));
#endif
  return sum;
}

#else

// Never called where IsThere is false.
inline bool IsThere() { return false; }
HWY_INLINE V32 AddQuads(V32 sum, V32, V32) { return sum; }
HWY_INLINE V32 AddPairs(V32 sum, V32, V32) { return sum; }

#endif

}  // namespace vnni
}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();
#endif
