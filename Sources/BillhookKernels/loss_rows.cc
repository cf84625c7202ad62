// The vector loops of softmax and the distillation loss.
#include "loss_rows.h"

#include <math.h>

#include <algorithm>

#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loss_rows.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "vector_exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace bh {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Floats = hn::ScalableTag<float>;
using Ints = hn::RebindToSigned<Floats>;
using Vec = hn::Vec<Floats>;

// Additions in float before their sum goes on in double.
constexpr int64_t kBlock = 512;

// A vector of row elements; those past the end are `padding`.
HWY_INLINE Vec LoadPart(const float *x, int64_t count, float padding) {
  const Floats d;
  if (HWY_LIKELY(count >= static_cast<int64_t>(hn::Lanes(d)))) return hn::LoadU(d, x);
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
  for (int64_t i = 0; i < static_cast<int64_t>(hn::Lanes(d)); i++) {
    buffer[i] = i < count ? x[i] : padding;
  }
  return hn::Load(d, buffer);
}

HWY_INLINE void StorePart(Vec v, int64_t count, float *out) {
  const Floats d;
  if (HWY_LIKELY(count >= static_cast<int64_t>(hn::Lanes(d)))) return hn::StoreU(v, d, out);
  HWY_ALIGN float buffer[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(v, d, buffer);
  for (int64_t i = 0; i < count; i++) out[i] = buffer[i];
}

float Largest(const float *x, int64_t n) {
  const Floats d;
  const int64_t step = hn::Lanes(d);
  if (n < step) {
    float largest = x[0];
    for (int64_t i = 1; i < n; i++) largest = x[i] > largest ? x[i] : largest;
    return largest;
  }
  auto a = hn::LoadU(d, x), b = a, c = a, e = a;
  int64_t i = 0;
  for (; i + 4 * step <= n; i += 4 * step) {
    a = hn::Max(a, hn::LoadU(d, x + i));
    b = hn::Max(b, hn::LoadU(d, x + i + step));
    c = hn::Max(c, hn::LoadU(d, x + i + 2 * step));
    e = hn::Max(e, hn::LoadU(d, x + i + 3 * step));
  }
  for (; i + step <= n; i += step) a = hn::Max(a, hn::LoadU(d, x + i));
  a = hn::Max(a, hn::LoadU(d, x + n - step));  // the rest, some of it again
  return hn::GetLane(hn::MaxOfLanes(d, hn::Max(hn::Max(a, b), hn::Max(c, e))));
}

// out[i] = e^((x[i] - largest) * inverse_temperature) unless out is null; returns the sum.
HWY_INLINE double ExpSum(const float *x, int64_t n, float largest, float inverse_temperature,
                         float *out) {
  const Floats d;
  const int64_t step = hn::Lanes(d);
  const auto top = hn::Set(d, largest), by = hn::Set(d, inverse_temperature);
  double total = 0;
  for (int64_t block = 0; block < n; block += kBlock) {
    const int64_t end = std::min(n, block + kBlock);
    auto sum = hn::Zero(d);
    for (int64_t i = block; i < end; i += step) {
      const auto v = LoadPart(x + i, end - i, -INFINITY);
      const auto e = Exp(hn::Mul(hn::Sub(v, top), by));
      sum = hn::Add(sum, e);
      if (out != nullptr) StorePart(e, end - i, out + i);
    }
    total += hn::GetLane(hn::SumOfLanes(d, sum));
  }
  return total;
}

// The sums over one row from which softmax(s/T), softmax(t/T) and their KL follow.
struct SoftSums {
  double student, teacher, difference;  // sum of e^s', e^t', e^t' (t' - s'), scaled logits s', t'
};

HWY_INLINE SoftSums SumSoft(const DistillationRow &row, float student_top, float teacher_top,
                            float *student_exp, float *teacher_exp) {
  const Floats d;
  const int64_t step = hn::Lanes(d), n = row.classes;
  const auto by = hn::Set(d, row.inverse_temperature);
  const auto s_top = hn::Set(d, student_top), t_top = hn::Set(d, teacher_top);
  SoftSums sums{0, 0, 0};
  for (int64_t block = 0; block < n; block += kBlock) {
    const int64_t end = std::min(n, block + kBlock);
    auto s_sum = hn::Zero(d), t_sum = s_sum, difference = s_sum;
    for (int64_t i = block; i < end; i += step) {
      const int64_t left = end - i;
      const auto s = hn::Mul(hn::Sub(LoadPart(row.student + i, left, -INFINITY), s_top), by);
      const auto t = hn::Mul(hn::Sub(LoadPart(row.teacher + i, left, -INFINITY), t_top), by);
      const auto s_exp = Exp(s), t_exp = Exp(t);
      s_sum = hn::Add(s_sum, s_exp);
      t_sum = hn::Add(t_sum, t_exp);
      // Where the teacher's probability is 0, so is the term, whatever the logits (0 times
      // infinity).
      const auto term = hn::Mul(t_exp, hn::Sub(t, s));
      const auto absent = hn::Eq(t_exp, hn::Zero(d));
      difference = hn::Add(difference, hn::IfThenZeroElse(absent, term));
      StorePart(s_exp, left, student_exp + i);
      StorePart(t_exp, left, teacher_exp + i);
    }
    sums.student += hn::GetLane(hn::SumOfLanes(d, s_sum));
    sums.teacher += hn::GetLane(hn::SumOfLanes(d, t_sum));
    sums.difference += hn::GetLane(hn::SumOfLanes(d, difference));
  }
  return sums;
}

// gradient = a * x + b * y + c * z; y and z may be null.
HWY_INLINE void Combine(const float *x, float a, const float *y, float b, const float *z, float c,
                        int64_t n, float *gradient) {
  const Floats d;
  const int64_t step = hn::Lanes(d);
  const auto va = hn::Set(d, a), vb = hn::Set(d, b), vc = hn::Set(d, c);
  for (int64_t i = 0; i < n; i += step) {
    auto sum = hn::Mul(va, LoadPart(x + i, n - i, 0));
    if (y != nullptr) sum = hn::MulAdd(vb, LoadPart(y + i, n - i, 0), sum);
    if (z != nullptr) sum = hn::MulAdd(vc, LoadPart(z + i, n - i, 0), sum);
    StorePart(sum, n - i, gradient + i);
  }
}

void DistillationRowLoop(const DistillationRow &row, DistillationRowLoss *loss) {
  const int64_t n = row.classes;
  float *s_exp = row.scratch, *t_exp = s_exp + row.scratch_stride;
  float *hard_exp = t_exp + row.scratch_stride;
  const float s_top = Largest(row.student, n);
  SoftSums sums{1, 1, 0};
  *loss = {0, 0};
  if (row.teacher != nullptr) {
    sums = SumSoft(row, s_top, Largest(row.teacher, n), s_exp, t_exp);
    loss->divergence = sums.difference / sums.teacher + log(sums.student / sums.teacher);
  }
  float label_logit = 0;
  double hard_sum = 1;
  if (row.label >= 0) {
    label_logit = row.student[row.label];
    hard_sum = ExpSum(row.student, n, s_top, 1, hard_exp);
    loss->cross_entropy = log(hard_sum) - (static_cast<double>(label_logit) - s_top);
  }
  if (row.gradient == nullptr) return;
  const float a = static_cast<float>(row.soft_factor / sums.student);
  const float b = static_cast<float>(-row.soft_factor / sums.teacher);
  const float c = static_cast<float>(row.hard_factor / hard_sum);
  if (row.teacher != nullptr && row.label >= 0) {
    Combine(s_exp, a, t_exp, b, hard_exp, c, n, row.gradient);
  } else if (row.teacher != nullptr) {
    Combine(s_exp, a, t_exp, b, nullptr, 0, n, row.gradient);
  } else if (row.label >= 0) {
    Combine(hard_exp, c, nullptr, 0, nullptr, 0, n, row.gradient);
  } else {
    std::fill_n(row.gradient, n, 0.0f);
  }
  if (row.label >= 0) row.gradient[row.label] -= row.hard_factor;
}

void SoftmaxRow(const float *x, int64_t n, float inverse_temperature, bool logarithm, float *out) {
  const Floats d;
  const int64_t step = hn::Lanes(d);
  const float largest = Largest(x, n);
  const double sum = ExpSum(x, n, largest, inverse_temperature, logarithm ? nullptr : out);
  const auto factor = hn::Set(d, logarithm ? inverse_temperature : static_cast<float>(1 / sum));
  const auto top = hn::Set(d, largest), log_sum = hn::Set(d, static_cast<float>(log(sum)));
  for (int64_t i = 0; i < n; i += step) {
    if (logarithm) {
      const auto v = hn::Mul(hn::Sub(LoadPart(x + i, n - i, 0), top), factor);
      StorePart(hn::Sub(v, log_sum), n - i, out + i);
    } else {
      StorePart(hn::Mul(LoadPart(out + i, n - i, 0), factor), n - i, out + i);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace bh
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace bh {
HWY_EXPORT(DistillationRowLoop);
HWY_EXPORT(SoftmaxRow);

DistillationRowLoss distillation_row(const DistillationRow &row) {
  DistillationRowLoss loss;
  HWY_DYNAMIC_DISPATCH(DistillationRowLoop)(row, &loss);
  return loss;
}

void softmax_row(const float *x, int64_t classes, float inverse_temperature, bool logarithm,
                 float *out) {
  HWY_DYNAMIC_DISPATCH(SoftmaxRow)(x, classes, inverse_temperature, logarithm, out);
}

}  // namespace bh
#endif
