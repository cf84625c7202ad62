// Layer normalisation.
#include "bh_normalization.h"
#include "plan.h"

using namespace billhook;

extern "C" {

int32_t bh_plan_layer_norm(bh_plan *plan, int32_t x, int32_t scale, int32_t shift, int32_t axis,
                           float epsilon, int32_t subtract_mean) {
  return plan->guarded([&] {
    x = plan->plain(x);
    const Dims dims = plan->at(x).dims;
    int64_t rows = 1, columns = 1;
    for (size_t i = 0; i < dims.size(); i++)
      (static_cast<int32_t>(i) < axis ? rows : columns) *= dims[i];
    std::vector<int> reads{x};
    // A parameter that nobody has packed so far must stay plain from here on.
    auto vector = [&](int32_t value) {
      if (value == BH_PLAN_NONE) return value;
      const int32_t result =
          plan->unflattened(value) != value
              ? plan->plain(value)
              : plan->parameter_in_layout(
                    value, plain_layout(plan->at(value).dims, memory::data_type::f32));
      int64_t count = 1;
      for (int64_t size : plan->at(result).dims) count *= size;
      if (count != columns)
        throw PlanFailure("Rows of " + std::to_string(columns) + " elements cannot be scaled by " +
                          std::to_string(count) + ".");
      reads.push_back(result);
      return result;
    };
    scale = vector(scale);
    shift = vector(shift);
    const int32_t y = plan->add_intermediate(dims, plan->at(x).layout);
    plan->add_call(
        "LayerNormalization", reads, {y},
        [=] {
          auto at = [&](int32_t value) {
            return value == BH_PLAN_NONE ? nullptr : static_cast<float *>(plan->data(value));
          };
          bh_layer_norm_f32(at(x), at(scale), at(shift), rows, columns, epsilon, subtract_mean,
                            at(y));
        },
        x);
    return y;
  });
}

}  // extern "C"
