// Pooling, forward and backward.
#include "plan.h"

using namespace billhook;

namespace {

using dnnl::algorithm;
using dnnl::prop_kind;

struct TrainingPool {
  dnnl::pooling_v2_forward::primitive_desc description;
  dnnl::pooling_v2_backward::desc backward;
  int workspace;
};

algorithm pooling_algorithm(int32_t kind) {
  switch (kind) {
    case BH_POOL_MAX:
      return algorithm::pooling_max;
    case BH_POOL_AVERAGE_EXCLUDE_PAD:
      return algorithm::pooling_avg_exclude_padding;
    default:
      return algorithm::pooling_avg_include_padding;
  }
}

}  // namespace

extern "C" {

int32_t bh_plan_pool(bh_plan *plan, int32_t x, int32_t kind, const bh_window *window,
                     const int64_t *out_dims, int32_t training) {
  return plan->guarded([&] {
    if (plan->unflattened(x) != x) x = plan->plain(x);
    const Dims xs = plan->at(x).dims;
    const Dims ys = dims_of(static_cast<int32_t>(xs.size()), out_dims);
    Dims kernel, stride, dilation, begin, end;
    for (int64_t i = 0; i < window->spatial_axes; i++) {
      kernel.push_back(window->kernel[i]);
      stride.push_back(window->stride[i]);
      dilation.push_back(window->dilation[i] - 1);
      begin.push_back(window->pad_begin[i]);
      // What the output's size says, which in ceiling mode is more than the node's padding.
      const int64_t extent = (window->kernel[i] - 1) * window->dilation[i] + 1;
      end.push_back((ys[2 + i] - 1) * window->stride[i] + extent - xs[2 + i] -
                    window->pad_begin[i]);
    }
    const auto layout = plan->at(x).layout;
    const memory::desc target(ys, layout.data_type(), memory::format_tag::any);
    dnnl::pooling_v2_forward::primitive_desc description(
        {training ? prop_kind::forward_training : prop_kind::forward_inference,
         pooling_algorithm(kind), layout, target, stride, kernel, dilation, begin, end},
        engine());
    const int32_t y = plan->add_intermediate(ys, description.dst_desc());
    std::vector<std::pair<int, int>> outputs{{DNNL_ARG_DST, y}};
    int32_t workspace = BH_PLAN_NONE;
    if (training && kind == BH_POOL_MAX) {
      const auto indices = description.workspace_desc();
      workspace = plan->add_intermediate(indices.dims(), indices);
      outputs.push_back({DNNL_ARG_WORKSPACE, workspace});
    }
    plan->add_primitive("Pool", dnnl::pooling_v2_forward(description), {{DNNL_ARG_SRC, x}},
                        outputs);
    if (training) {
      dnnl::pooling_v2_backward::desc backward(pooling_algorithm(kind), layout,
                                               description.dst_desc(), stride, kernel, dilation,
                                               begin, end);
      plan->at(y).forward =
          std::make_shared<TrainingPool>(TrainingPool{description, backward, workspace});
    }
    return y;
  });
}

int32_t bh_plan_pool_backward(bh_plan *plan, int32_t dy, int32_t y, int32_t x) {
  return plan->guarded([&] {
    const auto pool = std::static_pointer_cast<TrainingPool>(plan->at(y).forward);
    if (!pool) throw PlanFailure("The value was not made by a pooling for training.");
    dnnl::pooling_v2_backward::primitive_desc description(pool->backward, engine(),
                                                          pool->description);
    dy = plan->in_layout(dy, description.diff_dst_desc());
    const int32_t dx = plan->add_intermediate(plan->at(x).dims, description.diff_src_desc());
    std::vector<std::pair<int, int>> inputs{{DNNL_ARG_DIFF_DST, dy}};
    if (pool->workspace != BH_PLAN_NONE) inputs.push_back({DNNL_ARG_WORKSPACE, pool->workspace});
    plan->add_primitive("PoolBackward", dnnl::pooling_v2_backward(description), inputs,
                        {{DNNL_ARG_DIFF_SRC, dx}});
    return dx;
  });
}

}  // extern "C"
