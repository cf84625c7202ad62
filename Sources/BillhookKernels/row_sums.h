// What the rows' kernels and their references share.
#ifndef BH_ROW_SUMS_H
#define BH_ROW_SUMS_H
#include <math.h>

namespace bh {

// From x . y, x . x and y . y.
inline float cosine(double product, double own, double other) {
  const double lengths = sqrt(own) * sqrt(other);
  return lengths > 0 ? static_cast<float>(product / lengths) : 0.0f;
}

}  // namespace bh
#endif
