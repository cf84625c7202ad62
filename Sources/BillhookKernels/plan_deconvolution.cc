// Transposed convolutions.
#include "plan.h"
#include "plan_post_operations.h"

using namespace billhook;

namespace {

// [C, M / groups, K...] as oneDNN wants it: [groups, M / groups, C / groups, K...], without the first
// axis for one group.
int32_t turned_weights(bh_plan *plan, int32_t w, int64_t groups) {
  w = plan->parameter_in_layout(w, plain_layout(plan->at(w).dims, memory::data_type::f32));
  Dims dims = plan->at(w).dims;
  dims.insert(dims.begin(), groups);
  dims[1] /= groups;
  auto layout = plain_layout(dims, memory::data_type::f32);
  std::vector<int> order(dims.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = static_cast<int>(i);
  std::swap(order[1], order[2]);
  std::swap(dims[1], dims[2]);
  layout = layout.permute_axes(order);
  if (groups == 1) {
    dims.erase(dims.begin());
    layout = layout.reshape(dims);
  }
  return plan->add_view(w, dims, layout);
}

}  // namespace

extern "C" {

int32_t bh_plan_deconv(bh_plan *plan, int32_t x, int32_t w, int32_t bias, const bh_window *window,
                       const int64_t *out_dims, const bh_activation *functions, int32_t count) {
  return plan->guarded([&] {
    const Dims xs = plan->at(x).dims;
    const Dims ys = dims_of(static_cast<int32_t>(xs.size()), out_dims);
    if (window->groups < 1 || xs[1] % window->groups || ys[1] % window->groups)
      throw PlanFailure("A transposed convolution of " + text(xs) + " to " + text(ys) + " in " +
                        std::to_string(window->groups) + " groups does not fit.");
    w = turned_weights(plan, w, window->groups);
    const Dims ws = plan->at(w).dims;
    Dims stride, dilation, begin, end;
    for (int64_t i = 0; i < window->spatial_axes; i++) {
      const int64_t kernel = ws[ws.size() - window->spatial_axes + i];
      stride.push_back(window->stride[i]);
      dilation.push_back(window->dilation[i] - 1);
      begin.push_back(window->pad_begin[i]);
      // What the output's size says: padding that is stated for the output takes from it.
      end.push_back((xs[2 + i] - 1) * window->stride[i] + (kernel - 1) * window->dilation[i] + 1 -
                    window->pad_begin[i] - ys[2 + i]);
    }
    const auto vector = bias != BH_PLAN_NONE ? any({ys[1]}) : memory::desc();
    dnnl::deconvolution_forward::primitive_desc description(
        {dnnl::prop_kind::forward_inference, dnnl::algorithm::deconvolution_direct, any(xs), any(ws),
         vector, any(ys), stride, dilation, begin, end},
        engine());
    x = plan->in_layout(x, description.src_desc());
    w = plan->in_layout(w, description.weights_desc());
    std::vector<std::pair<int, int>> inputs{{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}};
    if (bias != BH_PLAN_NONE) inputs.push_back({DNNL_ARG_BIAS, bias});
    const int32_t y = plan->add_intermediate(ys, description.dst_desc());
    plan->add_primitive("ConvTranspose", dnnl::deconvolution_forward(description), inputs,
                        {{DNNL_ARG_DST, y}});
    return bh_plan_activation(plan, y, functions, count);
  });
}

}  // extern "C"
