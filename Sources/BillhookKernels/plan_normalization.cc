// Batch normalisation, forward and backward.
#include <cmath>

#include "plan.h"

using namespace billhook;

namespace {

using dnnl::normalization_flags;
using dnnl::prop_kind;

struct TrainingNorm {
  int x, scale, shift, mean, variance, workspace;
  dnnl::batch_normalization_forward::primitive_desc description;
  float epsilon;
  normalization_flags flags;
};

}  // namespace

extern "C" {

int32_t bh_plan_batch_norm(bh_plan *plan, int32_t x, int32_t scale, int32_t shift, int32_t mean,
                           int32_t variance, float epsilon) {
  return plan->guarded([&] {
    x = plan->unflattened(x) == x ? x : plan->plain(x);
    const Value &source = plan->at(x);
    dnnl::batch_normalization_forward::primitive_desc description(
        {prop_kind::forward_inference, source.layout, epsilon,
         normalization_flags::use_scale | normalization_flags::use_shift |
             normalization_flags::use_global_stats},
        engine());
    const int32_t y = plan->add_intermediate(Dims(source.dims), description.dst_desc());
    plan->add_primitive("BatchNormalization", dnnl::batch_normalization_forward(description),
                        {{DNNL_ARG_SRC, x},
                         {DNNL_ARG_SCALE, scale},
                         {DNNL_ARG_SHIFT, shift},
                         {DNNL_ARG_MEAN, mean},
                         {DNNL_ARG_VARIANCE, variance}},
                        {{DNNL_ARG_DST, y}}, x);
    return y;
  });
}

int32_t bh_plan_batch_norm_training(bh_plan *plan, int32_t x, int32_t scale, int32_t shift,
                                    int32_t running_mean, int32_t running_variance, float epsilon,
                                    float momentum, int32_t relu) {
  return plan->guarded([&] {
    x = plan->unflattened(x) == x ? x : plan->plain(x);
    const Dims dims = plan->at(x).dims;
    auto flags = normalization_flags::use_scale | normalization_flags::use_shift;
    if (relu) flags = flags | normalization_flags::fuse_norm_relu;
    dnnl::batch_normalization_forward::primitive_desc description(
        {prop_kind::forward_training, plan->at(x).layout, epsilon, flags}, engine());
    const int32_t y = plan->add_intermediate(dims, description.dst_desc());
    const int32_t mean = plan->add_intermediate({dims[1]}, description.mean_desc());
    const int32_t variance = plan->add_intermediate({dims[1]}, description.variance_desc());
    std::vector<std::pair<int, int>> outputs{
        {DNNL_ARG_DST, y}, {DNNL_ARG_MEAN, mean}, {DNNL_ARG_VARIANCE, variance}};
    int32_t workspace = BH_PLAN_NONE;
    if (relu) {
      const auto layout = description.workspace_desc();
      workspace = plan->add_intermediate(layout.dims(), layout);
      outputs.push_back({DNNL_ARG_WORKSPACE, workspace});
    }
    plan->add_primitive("BatchNormTraining", dnnl::batch_normalization_forward(description),
                        {{DNNL_ARG_SRC, x}, {DNNL_ARG_SCALE, scale}, {DNNL_ARG_SHIFT, shift}},
                        outputs);
    const int64_t channels = dims[1];
    plan->add_call("BatchNormStatistics", {mean, variance, running_mean, running_variance},
                   {running_mean, running_variance}, [=] {
                     const float keep = std::isnan(plan->momentum) ? momentum : plan->momentum;
                     auto follow = [&](int32_t running, int32_t batch) {
                       auto *r = static_cast<float *>(plan->data(running));
                       const auto *b = static_cast<const float *>(plan->data(batch));
                       for (int64_t c = 0; c < channels; c++)
                         r[c] = keep * r[c] + (1 - keep) * b[c];
                     };
                     follow(running_mean, mean);
                     follow(running_variance, variance);
                   });
    plan->at(y).forward = std::make_shared<TrainingNorm>(
        TrainingNorm{x, scale, shift, mean, variance, workspace, description, epsilon, flags});
    return y;
  });
}

int32_t bh_plan_batch_norm_backward(bh_plan *plan, int32_t y, int32_t dy, int32_t *dscale,
                                    int32_t *dshift) {
  return plan->guarded([&] {
    const auto norm = std::static_pointer_cast<TrainingNorm>(plan->at(y).forward);
    if (!norm) throw PlanFailure("The value was not made by a training batch norm.");
    const auto layout = plan->at(norm->x).layout;
    const Dims dims = plan->at(norm->x).dims;
    dnnl::batch_normalization_backward::primitive_desc description(
        {prop_kind::backward, layout, layout, norm->epsilon, norm->flags}, engine(),
        norm->description);
    dy = plan->in_layout(dy, description.diff_dst_desc());
    const int32_t dx = plan->add_intermediate(dims, description.diff_src_desc());
    *dscale = plan->add_intermediate({dims[1]}, plain_layout({dims[1]}, memory::data_type::f32));
    *dshift = plan->add_intermediate({dims[1]}, plain_layout({dims[1]}, memory::data_type::f32));
    std::vector<std::pair<int, int>> inputs{{DNNL_ARG_SRC, norm->x},
                                            {DNNL_ARG_MEAN, norm->mean},
                                            {DNNL_ARG_VARIANCE, norm->variance},
                                            {DNNL_ARG_DIFF_DST, dy},
                                            {DNNL_ARG_SCALE, norm->scale},
                                            // Not needed for the gradient, but asked for.
                                            {DNNL_ARG_SHIFT, norm->shift}};
    if (norm->workspace != BH_PLAN_NONE) inputs.push_back({DNNL_ARG_WORKSPACE, norm->workspace});
    plan->add_primitive("BatchNormBackward", dnnl::batch_normalization_backward(description), inputs,
                        {{DNNL_ARG_DIFF_SRC, dx},
                         {DNNL_ARG_DIFF_SCALE, *dscale},
                         {DNNL_ARG_DIFF_SHIFT, *dshift}});
    return dx;
  });
}

}  // extern "C"
