// Attention of many heads in one operation, and the rotation of what goes into it.
#include <algorithm>

#include "attention.h"
#include "plan.h"

using namespace billhook;

namespace {

// Where (image, head, position) lies in a plain tensor whose axes are turned by `order` to
// [image, head, position, element].
HeadStrides strides_of(const Dims &dims, const int32_t *order, int last) {
  int64_t steps[4] = {dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1};
  if (order[last] != 3)
    throw PlanFailure("The elements of a head must lie side by side; a factor of shape " +
                      text(dims) + " has them apart.");
  return {steps[order[0]], steps[order[1]], steps[order[5 - last]]};
}

}  // namespace

extern "C" {

int32_t bh_plan_attention(bh_plan *plan, int32_t q, int32_t k, int32_t v, int32_t mask,
                          const int32_t *orders, const bh_attention *form) {
  return plan->guarded([&] {
    const int32_t *of_q = orders, *of_k = orders + 4, *of_v = orders + 8, *of_y = orders + 12;
    q = plan->plain(q);
    k = plan->plain(k);
    v = plan->plain(v);
    const Dims qs = plan->at(q).dims, ks = plan->at(k).dims, vs = plan->at(v).dims;
    if (qs.size() != 4 || ks.size() != 4 || vs.size() != 4)
      throw PlanFailure("Attention needs four axes; the factors have shapes " + text(qs) + ", " +
                        text(ks) + " and " + text(vs) + ".");
    AttentionShape s{};
    s.images = qs[of_q[0]];
    s.heads = qs[of_q[1]];
    s.sharing = s.heads / std::max<int64_t>(ks[of_k[1]], 1);
    s.queries = qs[of_q[2]];
    s.size = qs[of_q[3]];
    s.keys = ks[of_k[3]];
    s.value_size = vs[of_v[3]];
    if (ks[of_k[0]] != s.images || vs[of_v[0]] != s.images || vs[of_v[1]] != ks[of_k[1]] ||
        s.sharing * ks[of_k[1]] != s.heads)
      throw PlanFailure("Attention of heads that do not share keys equally: " + text(qs) + ", " +
                        text(ks) + ", " + text(vs) + ".");
    if (ks[of_k[2]] != s.size || vs[of_v[2]] != s.keys)
      throw PlanFailure("Matrices of " + text(qs) + ", " + text(ks) + " and " + text(vs) +
                        " cannot be multiplied.");
    s.q = strides_of(qs, of_q, 3);
    s.k = strides_of(ks, of_k, 2);  // keys are turned: [image, head, element, position]
    s.v = strides_of(vs, of_v, 3);
    const Dims heads{s.images, s.heads, s.queries, s.value_size};
    Dims ys(4);
    for (int axis = 0; axis < 4; axis++) ys[axis] = heads[of_y[axis]];
    int32_t back[4];
    for (int axis = 0; axis < 4; axis++) back[of_y[axis]] = axis;
    s.y = strides_of(ys, back, 3);
    std::vector<int> reads{q, k, v};
    if (mask != BH_PLAN_NONE) {
      mask = plan->plain(mask);
      reads.push_back(mask);
      Dims dims = plan->at(mask).dims;
      while (dims.size() < 4) dims.insert(dims.begin(), 1);
      if (dims.size() != 4 || dims[3] != s.keys || (dims[2] != 1 && dims[2] != s.queries) ||
          (dims[1] != 1 && dims[1] != s.heads) || (dims[0] != 1 && dims[0] != s.images))
        throw PlanFailure("A mask of shape " + text(dims) + " does not fit scores of shape " +
                          text({s.images, s.heads, s.queries, s.keys}) + ".");
      s.mask = {dims[0] == 1 ? 0 : dims[1] * dims[2] * dims[3], dims[1] == 1 ? 0 : dims[2] * dims[3],
                dims[2] == 1 ? 0 : dims[3]};
    }
    const AttentionForm own{form->scale,           form->cap,
                            form->hidden_is_zero != 0, form->undefined_is_zero != 0,
                            form->is_causal != 0,      form->past};
    const int32_t y = plan->add_intermediate(ys, plain_layout(ys, memory::data_type::f32));
    plan->add_call("Attention", reads, {y}, [=] {
      auto at = [&](int32_t value) {
        return value == BH_PLAN_NONE ? nullptr : static_cast<float *>(plan->data(value));
      };
      attention(s, at(q), at(k), at(v), at(mask), own, at(y));
    });
    return y;
  });
}

int32_t bh_plan_rotary(bh_plan *plan, int32_t x, int32_t cosines, int32_t sines,
                       const bh_rotary *form) {
  return plan->guarded([&] {
    x = plan->plain(x);
    cosines = plan->plain(cosines);
    sines = plan->plain(sines);
    const Dims dims = plan->at(x).dims;
    auto count = [&](int32_t value) {
      int64_t result = 1;
      for (int64_t size : plan->at(value).dims) result *= size;
      return result;
    };
    const bh_rotary s = *form;
    const int64_t angles = s.images * s.steps * (s.rotated / 2);
    if (s.rotated < 0 || s.rotated > s.size || s.rotated % 2 != 0 ||
        count(x) != s.images * s.heads * s.steps * s.size)
      throw PlanFailure("A value of shape " + text(dims) + " has no heads of which " +
                        std::to_string(s.rotated) + " channels can be turned.");
    if (count(cosines) != angles || count(sines) != angles)
      throw PlanFailure("Cosines of shape " + text(plan->at(cosines).dims) + " and sines of shape " +
                        text(plan->at(sines).dims) + " are not " + std::to_string(angles) +
                        " each.");
    const int32_t y = plan->add_intermediate(dims, plan->at(x).layout);
    plan->add_call(
        s.backward ? "RotaryEmbeddingBackward" : "RotaryEmbedding", {x, cosines, sines}, {y},
        [=] {
          auto at = [&](int32_t value) { return static_cast<float *>(plan->data(value)); };
          bh_rotary_f32(&s, at(x), at(cosines), at(sines), at(y));
        },
        x);
    return y;
  });
}

}  // extern "C"
