#include "batch_norm.h"

#include <cmath>
#include <vector>

#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "batch_norm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Every loop below walks one plane, [pixels][block]. With a block of channels a vector holds
// neighbouring channels; in plain order it holds neighbouring pixels of one channel. `at(i, c)` is
// called with whole vectors first, then `one(i, c)` with what is left.
template <class Vectors, class Scalars>
HWY_INLINE void Walk(int64_t pixels, int64_t block, int64_t channel, const Vectors &at,
                     const Scalars &one) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(D()));
  if (block == 1) {
    int64_t i = 0;
    for (; i + lanes <= pixels; i += lanes) at(i);
    for (; i < pixels; i++) one(i);
  } else {
    for (int64_t i = 0; i < pixels; i++) at(i * block + channel);
  }
}

// Sum of `vector` over a plane, one number a channel; in plain order the lanes are added up.
HWY_INLINE void StoreSums(V sum, float rest, int64_t block, float *out) {
  const D d;
  if (block == 1)
    *out = hn::GetLane(hn::SumOfLanes(d, sum)) + rest;
  else
    hn::StoreU(sum, d, out);
}

int64_t Step(int64_t block) { return block == 1 ? 1 : static_cast<int64_t>(hn::Lanes(D())); }

// mean[c] and m2[c] (sum of squared distances from it) of one plane.
void Moments(const float *x, int64_t pixels, int64_t block, float *mean, float *m2) {
  const D d;
  for (int64_t c = 0; c < block; c += Step(block)) {
    V sum = hn::Zero(d);
    float rest = 0;
    Walk(
        pixels, block, c, [&](int64_t i) HWY_ATTR { sum = hn::Add(sum, hn::LoadU(d, x + i)); },
        [&](int64_t i) { rest += x[i]; });
    StoreSums(sum, rest, block, mean + c);
    const float part = 1.f / static_cast<float>(pixels);
    for (int64_t k = c; k < c + Step(block); k++) mean[k] *= part;
    const V middle = block == 1 ? hn::Set(d, mean[c]) : hn::LoadU(d, mean + c);
    V squares = hn::Zero(d);
    float square_rest = 0;
    Walk(
        pixels, block, c,
        [&](int64_t i) HWY_ATTR {
          const V distance = hn::Sub(hn::LoadU(d, x + i), middle);
          squares = hn::MulAdd(distance, distance, squares);
        },
        [&](int64_t i) { square_rest += (x[i] - mean[c]) * (x[i] - mean[c]); });
    StoreSums(squares, square_rest, block, m2 + c);
  }
}

// y = x * a + b, with a ReLU behind it if wanted.
void Normalize(const float *x, const float *a, const float *b, int64_t pixels, int64_t block,
               bool relu, float *y) {
  const D d;
  const V floor = hn::Set(d, relu ? 0.f : -HUGE_VALF);
  for (int64_t c = 0; c < block; c += Step(block)) {
    const V av = block == 1 ? hn::Set(d, a[c]) : hn::LoadU(d, a + c);
    const V bv = block == 1 ? hn::Set(d, b[c]) : hn::LoadU(d, b + c);
    Walk(
        pixels, block, c,
        [&](int64_t i) HWY_ATTR {
          hn::StoreU(hn::Max(hn::MulAdd(hn::LoadU(d, x + i), av, bv), floor), d, y + i);
        },
        [&](int64_t i) {
          const float value = std::fma(x[i], a[c], b[c]);
          y[i] = relu && value < 0 ? 0 : value;
        });
  }
}

// Sums of dy and of dy * (x - mean) over a plane, where the ReLU let the value pass.
void GradientSums(const float *x, const float *y, const float *dy, const float *mean,
                  int64_t pixels, int64_t block, bool relu, float *plain, float *weighted) {
  const D d;
  const V zero = hn::Zero(d);
  for (int64_t c = 0; c < block; c += Step(block)) {
    const V middle = block == 1 ? hn::Set(d, mean[c]) : hn::LoadU(d, mean + c);
    V s = zero, w = zero;
    float s_rest = 0, w_rest = 0;
    Walk(
        pixels, block, c,
        [&](int64_t i) HWY_ATTR {
          V g = hn::LoadU(d, dy + i);
          if (relu) g = hn::IfThenElseZero(hn::Gt(hn::LoadU(d, y + i), zero), g);
          s = hn::Add(s, g);
          w = hn::MulAdd(g, hn::Sub(hn::LoadU(d, x + i), middle), w);
        },
        [&](int64_t i) {
          const float g = relu && !(y[i] > 0) ? 0 : dy[i];
          s_rest += g;
          w_rest += g * (x[i] - mean[c]);
        });
    StoreSums(s, s_rest, block, plain + c);
    StoreSums(w, w_rest, block, weighted + c);
  }
}

// dx = a * dy + b * x + e, with dy as far as the ReLU let it pass.
void InputGradient(const float *x, const float *y, const float *dy, const float *a, const float *b,
                   const float *e, int64_t pixels, int64_t block, bool relu, float *dx) {
  const D d;
  const V zero = hn::Zero(d);
  for (int64_t c = 0; c < block; c += Step(block)) {
    const V av = block == 1 ? hn::Set(d, a[c]) : hn::LoadU(d, a + c);
    const V bv = block == 1 ? hn::Set(d, b[c]) : hn::LoadU(d, b + c);
    const V ev = block == 1 ? hn::Set(d, e[c]) : hn::LoadU(d, e + c);
    Walk(
        pixels, block, c,
        [&](int64_t i) HWY_ATTR {
          V g = hn::LoadU(d, dy + i);
          if (relu) g = hn::IfThenElseZero(hn::Gt(hn::LoadU(d, y + i), zero), g);
          hn::StoreU(hn::MulAdd(g, av, hn::MulAdd(hn::LoadU(d, x + i), bv, ev)), d, dx + i);
        },
        [&](int64_t i) {
          const float g = relu && !(y[i] > 0) ? 0 : dy[i];
          dx[i] = std::fma(g, a[c], std::fma(x[i], b[c], e[c]));
        });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {

HWY_EXPORT(Moments);
HWY_EXPORT(Normalize);
HWY_EXPORT(GradientSums);
HWY_EXPORT(InputGradient);

namespace {

// One plane a task: the partition follows from the shape alone.
template <class Body>
void for_planes(const NormShape &s, const Body &body) {
  bh::parallel_for(
      s.images * s.blocks(), 1 + 16384 / (s.pixels * s.block), [&](int64_t begin, int64_t end) {
        for (int64_t plane = begin; plane < end; plane++) {
          const int64_t image = plane / s.blocks(), block = plane % s.blocks();
          body(plane * s.pixels * s.block, image * s.padded() + block * s.block, block * s.block);
        }
      });
}

std::vector<float> padded(const float *values, const NormShape &s, float filler) {
  std::vector<float> result(values, values + s.channels);
  result.resize(s.padded(), filler);
  return result;
}

}  // namespace

void batch_norm_forward(const NormShape &s, const float *x, const float *scale, const float *shift,
                        float epsilon, bool relu, float *scratch, float *mean, float *variance,
                        float *y) {
  float *means = scratch, *squares = scratch + s.images * s.padded();
  for_planes(s, [&](int64_t at, int64_t sums, int64_t) {
    HWY_DYNAMIC_DISPATCH(Moments)(x + at, s.pixels, s.block, means + sums, squares + sums);
  });
  std::vector<float> a(s.padded()), b(s.padded());
  for (int64_t c = 0; c < s.channels; c++) {
    // Images have the same number of pixels, so the mean of means is the mean (Chan et al. 1983).
    double total = 0, m2 = 0;
    for (int64_t n = 0; n < s.images; n++) total += means[n * s.padded() + c];
    const double center = total / s.images;
    for (int64_t n = 0; n < s.images; n++) {
      const double distance = means[n * s.padded() + c] - center;
      m2 += squares[n * s.padded() + c] + distance * distance * s.pixels;
    }
    mean[c] = static_cast<float>(center);
    variance[c] = static_cast<float>(m2 / (static_cast<double>(s.images) * s.pixels));
    a[c] = scale[c] / std::sqrt(variance[c] + epsilon);
    b[c] = shift[c] - mean[c] * a[c];
  }
  // Padding channels have a = b = 0 and stay zero.
  for_planes(s, [&](int64_t at, int64_t, int64_t channel) {
    HWY_DYNAMIC_DISPATCH(Normalize)
    (x + at, a.data() + channel, b.data() + channel, s.pixels, s.block, relu, y + at);
  });
}

void batch_norm_backward(const NormShape &s, const float *x, const float *y, const float *dy,
                         const float *scale, const float *mean, const float *variance,
                         float epsilon, bool relu, float *scratch, float *dx, float *dscale,
                         float *dshift) {
  float *plain = scratch, *weighted = scratch + s.images * s.padded();
  const std::vector<float> centers = padded(mean, s, 0);
  for_planes(s, [&](int64_t at, int64_t sums, int64_t channel) {
    HWY_DYNAMIC_DISPATCH(GradientSums)
    (x + at, y + at, dy + at, centers.data() + channel, s.pixels, s.block, relu, plain + sums,
     weighted + sums);
  });
  // dx = scale / deviation * (dy - mean(dy) - normal(x) * mean(dy * normal(x))), as a * dy + b * x
  // + e.
  std::vector<float> a(s.padded()), b(s.padded()), e(s.padded());
  const double count = static_cast<double>(s.images) * s.pixels;
  for (int64_t c = 0; c < s.channels; c++) {
    double sum = 0, product = 0;
    for (int64_t n = 0; n < s.images; n++) {
      sum += plain[n * s.padded() + c];
      product += weighted[n * s.padded() + c];
    }
    const double inverse = 1 / std::sqrt(static_cast<double>(variance[c]) + epsilon);
    dscale[c] = static_cast<float>(product * inverse);
    dshift[c] = static_cast<float>(sum);
    const double factor = scale[c] * inverse, slope = -factor * inverse * inverse * product / count;
    a[c] = static_cast<float>(factor);
    b[c] = static_cast<float>(slope);
    e[c] = static_cast<float>(-factor * sum / count - slope * mean[c]);
  }
  for_planes(s, [&](int64_t at, int64_t, int64_t channel) {
    HWY_DYNAMIC_DISPATCH(InputGradient)
    (x + at, y + at, dy + at, a.data() + channel, b.data() + channel, e.data() + channel, s.pixels,
     s.block, relu, dx + at);
  });
}

}  // namespace billhook
#endif
