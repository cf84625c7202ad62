// The gradients of layer normalisation and softmax.
#include "bh_normalization.h"
#include "plan.h"

using namespace billhook;

extern "C" {

int32_t bh_plan_layer_norm_backward(bh_plan *plan, int32_t dy, int32_t x, int32_t scale,
                                    int32_t axis, float epsilon, int32_t subtract_mean,
                                    int32_t *dscale, int32_t *dshift) {
  return plan->guarded([&] {
    x = plan->plain(x);
    dy = plan->plain(dy);
    const Dims dims = plan->at(x).dims;
    int64_t rows = 1, columns = 1;
    for (size_t i = 0; i < dims.size(); i++)
      (static_cast<int32_t>(i) < axis ? rows : columns) *= dims[i];
    std::vector<int> reads{x, dy};
    scale = plan->factors(scale, columns, reads);
    const int32_t dx = plan->add_intermediate(dims, plan->at(x).layout);
    std::vector<int> writes{dx};
    auto vector = [&](int32_t *wanted) {
      if (!wanted) return static_cast<int32_t>(BH_PLAN_NONE);
      *wanted = plan->add_intermediate({columns}, plain_layout({columns}, memory::data_type::f32));
      writes.push_back(*wanted);
      return *wanted;
    };
    const int32_t scales = vector(dscale), shifts = vector(dshift);
    plan->add_call(
        "LayerNormalizationBackward", reads, writes,
        [=] {
          auto at = [&](int32_t value) {
            return value == BH_PLAN_NONE ? nullptr : static_cast<float *>(plan->data(value));
          };
          bh_layer_norm_backward_f32(at(x), at(dy), at(scale), rows, columns, epsilon,
                                     subtract_mean, at(dx), at(scales), at(shifts));
        },
        dy);
    return dx;
  });
}

int32_t bh_plan_softmax_backward(bh_plan *plan, int32_t dy, int32_t y, int32_t axis) {
  return plan->guarded([&] {
    const auto layout = plan->at(y).layout;
    const Dims dims = plan->at(y).dims;
    dy = plan->in_layout(dy, layout);
    const int32_t dx = plan->add_intermediate(dims, layout);
    const bool is_row = axis + 1 == static_cast<int32_t>(dims.size()) &&
                        layout == plain_layout(dims, memory::data_type::f32);
    if (is_row) {
      const int64_t columns = dims[axis];
      const auto size = static_cast<int64_t>(layout.get_size() / sizeof(float));
      plan->add_call(
          "SoftmaxBackward", {dy, y}, {dx},
          [=] {
            bh_softmax_backward_f32(static_cast<const float *>(plan->data(y)),
                                    static_cast<const float *>(plan->data(dy)), size / columns,
                                    columns, static_cast<float *>(plan->data(dx)));
          },
          dy);
      return dx;
    }
    dnnl::softmax_forward::primitive_desc hint({dnnl::prop_kind::forward_training, layout, axis},
                                               engine());
    dnnl::softmax_backward::primitive_desc description({layout, layout, axis}, engine(), hint);
    plan->add_primitive("SoftmaxBackward", dnnl::softmax_backward(description),
                        {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DST, y}}, {{DNNL_ARG_DIFF_SRC, dx}});
    return dx;
  });
}

}  // extern "C"
