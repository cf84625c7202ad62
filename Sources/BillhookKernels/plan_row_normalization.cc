// Layer and group normalisation.
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
    auto vector = [&](int32_t value) { return plan->factors(value, columns, reads); };
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

int32_t bh_plan_group_norm(bh_plan *plan, int32_t x, int32_t scale, int32_t shift, int64_t groups,
                           int64_t channels, float epsilon, const bh_activation *functions,
                           int32_t count) {
  return plan->guarded([&] {
    x = plan->plain(x);
    const Dims dims = plan->at(x).dims;
    int64_t elements = 1;
    for (int64_t size : dims) elements *= size;
    const int64_t images = dims.empty() ? 1 : dims[0];
    if (groups < 1 || channels < 1 || images < 1 ||
        elements % (images * groups * channels) != 0)
      throw PlanFailure("A value of shape " + text(dims) + " has no " + std::to_string(groups) +
                        " groups of " + std::to_string(channels) + " parts.");
    const int64_t area = elements / (images * groups * channels);
    const std::vector<bh_activation> behind(functions, functions + count);
    std::vector<int> reads{x};
    scale = plan->factors(scale, groups * channels, reads);
    shift = plan->factors(shift, groups * channels, reads);
    const int32_t y = plan->add_intermediate(dims, plan->at(x).layout);
    plan->add_call(
        "GroupNormalization", reads, {y},
        [=] {
          auto at = [&](int32_t value) {
            return value == BH_PLAN_NONE ? nullptr : static_cast<float *>(plan->data(value));
          };
          bh_group_norm_f32(at(x), at(scale), at(shift), images, groups, channels, area, epsilon,
                            behind.data(), static_cast<int32_t>(behind.size()), at(y));
        },
        x);
    return y;
  });
}

}  // extern "C"
