// bh_broadcast.h: axes that lie behind each other in both values are one, and along the last of what
// is left vectors are read, or one number for all of it. The elements are spread over the threads.
#include <algorithm>

#include "bh_broadcast.h"
#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "broadcast.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

struct Sum {
  template <class T>
  T operator()(T a, T b) const {
    return hn::Add(a, b);
  }
  float operator()(float a, float b) const { return a + b; }
};
struct Product {
  template <class T>
  T operator()(T a, T b) const {
    return hn::Mul(a, b);
  }
  float operator()(float a, float b) const { return a * b; }
};
struct Difference {
  template <class T>
  T operator()(T a, T b) const {
    return hn::Sub(a, b);
  }
  float operator()(float a, float b) const { return a - b; }
};
struct Quotient {
  template <class T>
  T operator()(T a, T b) const {
    return hn::Div(a, b);
  }
  float operator()(float a, float b) const { return a / b; }
};

// A part of a row: steps of 0 and 1 by vectors, others one by one.
template <class Operation>
void Row(const float *a, int64_t a_step, const float *b, int64_t b_step, int64_t count, float *y) {
  const Operation operation;
  const D d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  if (a_step == 1 && b_step == 1) {
    for (; i + lanes <= count; i += lanes)
      hn::StoreU(operation(hn::LoadU(d, a + i), hn::LoadU(d, b + i)), d, y + i);
  } else if (a_step == 1 && b_step == 0) {
    const V right = hn::Set(d, *b);
    for (; i + lanes <= count; i += lanes)
      hn::StoreU(operation(hn::LoadU(d, a + i), right), d, y + i);
  } else if (a_step == 0 && b_step == 1) {
    const V left = hn::Set(d, *a);
    for (; i + lanes <= count; i += lanes)
      hn::StoreU(operation(left, hn::LoadU(d, b + i)), d, y + i);
  }
  for (; i < count; i++) y[i] = operation(a[i * a_step], b[i * b_step]);
}

// Elements [begin, end) of the result.
template <class Operation>
void Elements(const bh_broadcast &s, const float *a, const float *b, int64_t begin, int64_t end,
              float *y) {
  const int32_t last = s.rank - 1;
  const int64_t length = s.dims[last];
  int64_t place[BH_BROADCAST_RANK], from_a = 0, from_b = 0, rest = begin / length;
  for (int32_t i = last - 1; i >= 0; i--) {
    place[i] = rest % s.dims[i];
    rest /= s.dims[i];
    from_a += place[i] * s.a_steps[i];
    from_b += place[i] * s.b_steps[i];
  }
  int64_t first = begin % length;
  for (int64_t done = begin; done < end;) {
    const int64_t count = std::min(length - first, end - done);
    Row<Operation>(a + from_a + first * s.a_steps[last], s.a_steps[last],
                   b + from_b + first * s.b_steps[last], s.b_steps[last], count, y + done);
    done += count;
    first = 0;
    for (int32_t i = last - 1; i >= 0; i--) {
      from_a += s.a_steps[i];
      from_b += s.b_steps[i];
      if (++place[i] < s.dims[i]) break;
      place[i] = 0;
      from_a -= s.dims[i] * s.a_steps[i];
      from_b -= s.dims[i] * s.b_steps[i];
    }
  }
}

void BroadcastElements(const bh_broadcast &s, const float *a, const float *b, int64_t begin,
                       int64_t end, float *y) {
  switch (s.kind) {
    case BH_BINARY_ADD:
      return Elements<Sum>(s, a, b, begin, end, y);
    case BH_BINARY_MUL:
      return Elements<Product>(s, a, b, begin, end, y);
    case BH_BINARY_SUB:
      return Elements<Difference>(s, a, b, begin, end, y);
    default:
      return Elements<Quotient>(s, a, b, begin, end, y);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
HWY_EXPORT(BroadcastElements);

namespace {

// The form with as few axes as possible: none of one element, and none that goes on where the next
// ends in both values.
bh_broadcast collapsed(const bh_broadcast &form) {
  bh_broadcast s = form;
  s.rank = 0;
  for (int32_t i = 0; i < form.rank; i++) {
    if (form.dims[i] == 1) continue;
    const int32_t before = s.rank - 1;
    if (before >= 0 && s.a_steps[before] == form.a_steps[i] * form.dims[i] &&
        s.b_steps[before] == form.b_steps[i] * form.dims[i]) {
      s.dims[before] *= form.dims[i];
      s.a_steps[before] = form.a_steps[i];
      s.b_steps[before] = form.b_steps[i];
      continue;
    }
    s.dims[s.rank] = form.dims[i];
    s.a_steps[s.rank] = form.a_steps[i];
    s.b_steps[s.rank] = form.b_steps[i];
    s.rank++;
  }
  if (s.rank == 0) {
    s.rank = 1;
    s.dims[0] = 1;
    s.a_steps[0] = s.b_steps[0] = 0;
  }
  return s;
}

}  // namespace
}  // namespace billhook

void bh_broadcast_f32(const bh_broadcast *form, const float *a, const float *b, float *y) {
  const bh_broadcast s = billhook::collapsed(*form);
  int64_t count = 1;
  for (int32_t i = 0; i < s.rank; i++) count *= s.dims[i];
  bh::parallel_for(count, bh::streaming_grain / 4, [=, &s](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(billhook::BroadcastElements)(s, a, b, begin, end, y);
  });
}
#endif  // HWY_ONCE
