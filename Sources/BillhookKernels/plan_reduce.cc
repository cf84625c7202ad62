// Reductions over axes.
#include "bh_reduce.h"
#include "plan_spaced_rows.h"

using namespace billhook;

extern "C" {

int32_t bh_plan_reduce(bh_plan *plan, int32_t x, int32_t kind, int32_t first, int32_t axes,
                       int32_t rank, const int64_t *out_dims) {
  return plan->guarded([&] {
    x = plan->plain(x);
    const Dims dims = plan->at(x).dims, target = dims_of(rank, out_dims);
    int64_t outer = 1, count = 1, inner = 1;
    for (int32_t i = 0; i < static_cast<int32_t>(dims.size()); i++)
      (i < first ? outer : i < first + axes ? count : inner) *= dims[i];
    const bool keeps_rows = outer == 1 && dims.size() > 1 && inner == dims.back();
    const int32_t spaced = keeps_rows ? with_known_gaps(plan, x) : x;
    const int64_t step = spaced == x ? inner : row_step(plan->at(spaced));
    x = spaced;
    const int32_t y = plan->add_intermediate(target, plain_layout(target, memory::data_type::f32));
    plan->add_call("Reduce", {x}, {y}, [=] {
      bh_reduce_f32(kind, static_cast<const float *>(plan->data(x)), outer, count, inner, step,
                    static_cast<float *>(plan->data(y)));
    });
    return y;
  });
}

int32_t bh_plan_reduce_to(bh_plan *plan, int32_t x, int32_t rank, const int64_t *dims) {
  return plan->guarded([&] {
    const Dims target = dims_of(rank, dims);
    if (plan->at(x).dims == target) return x;
    Dims now = plan->at(x).dims;
    const Dims wide = with_rank(target, now.size());
    // One group of neighbouring axes after the other, the last one first.
    for (size_t end = wide.size(); end > 0;) {
      size_t begin = end;
      bool changes = false;
      for (; begin > 0 && wide[begin - 1] == 1; begin--) {
        changes = changes || now[begin - 1] != 1;
        now[begin - 1] = 1;
      }
      if (changes)
        x = bh_plan_reduce(plan, x, BH_REDUCE_SUM, static_cast<int32_t>(begin),
                           static_cast<int32_t>(end - begin), static_cast<int32_t>(now.size()),
                           now.data());
      if (x < 0) throw PlanFailure(std::string(plan->error));
      end = begin < end ? begin : end - 1;
    }
    return bh_plan_reshape(plan, x, rank, dims);
  });
}

}  // extern "C"
