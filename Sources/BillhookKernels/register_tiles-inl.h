// The register tile that products of tiles or pixels with vectors of outputs share, compiled for each
// target.
#if defined(BH_REGISTER_TILES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef BH_REGISTER_TILES_INL_H
#undef BH_REGISTER_TILES_INL_H
#else
#define BH_REGISTER_TILES_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {

// Six rows by two vectors of outputs: twelve sums, two weights and one input fill the sixteen
// registers of AVX2; where there are 32 registers, twice the vectors.
constexpr int kTileRows = 6;
constexpr int kTileVectors = HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64 ? 4 : 2;
// The rows of a tile of so many vectors: a single one needs more to have enough sums under way.
constexpr int TileRows(int vectors) { return vectors == 1 ? 2 * kTileRows : kTileRows; }

// Calls run(constant), whose value is `vectors`: 1 to kTileVectors.
template <class Run>
HWY_INLINE void WithVectors(int64_t vectors, const Run &run) {
  switch (vectors) {
    case 1:
      return run(std::integral_constant<int, 1>());
    case 2:
      return run(std::integral_constant<int, 2>());
    case 3:
      return run(std::integral_constant<int, std::min(3, kTileVectors)>());
    default:
      return run(std::integral_constant<int, kTileVectors>());
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();
#endif
