// Reshape, transpose, concat, slice.
#include <numeric>

#include "plan.h"

using namespace billhook;

extern "C" {

int32_t bh_plan_reshape(bh_plan *plan, int32_t x, int32_t rank, const int64_t *dims) {
  return plan->guarded([&] {
    const Dims target = dims_of(rank, dims);
    if (plan->at(x).dims == target) return x;
    const int32_t source = plan->unflattened(x);
    const Dims from = plan->at(source).dims;
    if (from == target) return source;
    const auto product = [](const Dims &d) {
      return std::accumulate(d.begin(), d.end(), int64_t{1}, std::multiplies<>());
    };
    if (product(from) != product(target))
      throw PlanFailure("A value of shape " + text(from) + " cannot become " + text(target) + ".");
    const bool flattens = target.size() == 2 && from.size() > 2 && target[0] == from[0];
    if (flattens &&
        plan->at(source).layout != plain_layout(from, plan->at(source).layout.data_type())) {
      // Layers read the axes behind a Flatten in any layout, so the reorder is put off until
      // somebody needs it.
      const int32_t view = plan->add_view(source, target, plan->at(source).layout);
      plan->at(view).flat_of = source;
      return view;
    }
    const int32_t base = plan->plain(source);
    return plan->add_view(base, target, plain_layout(target, plan->at(base).layout.data_type()));
  });
}

int32_t bh_plan_transpose(bh_plan *plan, int32_t x, const int32_t *permutation) {
  return plan->guarded([&] {
    x = plan->plain(x);
    const Dims source = plan->at(x).dims;
    const size_t rank = source.size();
    Dims dims(rank);
    std::vector<int> order(rank);
    for (size_t i = 0; i < rank; i++) {
      dims[i] = source[permutation[i]];
      order[permutation[i]] = static_cast<int>(i);
    }
    const int32_t view = plan->add_view(x, dims, plan->at(x).layout.permute_axes(order));
    // Who packs a constant reads it in any order.
    if (plan->at(x).kind == Kind::constant) return view;
    return plan->in_layout(view, plain_layout(dims, plan->at(x).layout.data_type()));
  });
}

int32_t bh_plan_concat(bh_plan *plan, const int32_t *xs, int32_t count, int32_t axis) {
  return plan->guarded([&] {
    std::vector<int32_t> sources;
    std::vector<memory::desc> layouts;
    Dims dims;
    for (int32_t i = 0; i < count; i++) {
      const int32_t source = plan->unflattened(xs[i]) == xs[i] ? xs[i] : plan->plain(xs[i]);
      sources.push_back(source);
      layouts.push_back(plan->at(source).layout);
      if (i == 0)
        dims = plan->at(source).dims;
      else
        dims[axis] += plan->at(source).dims[axis];
    }
    dnnl::concat::primitive_desc description(axis, layouts, engine());
    std::vector<std::pair<int, int>> inputs;
    for (int32_t i = 0; i < count; i++) inputs.push_back({DNNL_ARG_MULTIPLE_SRC + i, sources[i]});
    const int32_t y = plan->add_intermediate(dims, description.dst_desc());
    plan->add_primitive("Concat", dnnl::concat(description), inputs, {{DNNL_ARG_DST, y}});
    return y;
  });
}

int32_t bh_plan_slice(bh_plan *plan, int32_t x, const int64_t *begin, const int64_t *dims) {
  return plan->guarded([&] {
    x = plan->plain(x);
    const auto rank = static_cast<int32_t>(plan->at(x).dims.size());
    const Dims size = dims_of(rank, dims), start(begin, begin + rank);
    const auto part = plan->at(x).layout.submemory_desc(size, start);
    return plan->in_layout(plan->add_view(x, size, part), plain_layout(size, part.data_type()));
  });
}

}  // extern "C"
