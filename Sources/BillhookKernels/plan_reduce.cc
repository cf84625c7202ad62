// Reductions over neighbouring axes.
#include "bh_reduce.h"
#include "plan.h"

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
    const int32_t y = plan->add_intermediate(target, plain_layout(target, memory::data_type::f32));
    plan->add_call("Reduce", {x}, {y}, [=] {
      bh_reduce_f32(kind, static_cast<const float *>(plan->data(x)), outer, count, inner,
                    static_cast<float *>(plan->data(y)));
    });
    return y;
  });
}

}  // extern "C"
