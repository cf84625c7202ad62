// Batch normalisation, forward and backward.
#include <cmath>

#include "batch_norm.h"
#include "plan.h"

using namespace billhook;

namespace {

using dnnl::normalization_flags;
using dnnl::prop_kind;

struct TrainingNorm {
  NormShape shape;
  int x, scale, mean, variance;
  float epsilon;
  bool relu;
};

// How a value's memory looks to the kernels, or block 0 when they cannot read its layout.
NormShape norm_shape(const Value &value) {
  NormShape shape{value.dims[0], value.dims[1], interleaved_channels(value), 1};
  for (size_t i = 2; i < value.dims.size(); i++) shape.pixels *= value.dims[i];
  if (shape.block != 1 && shape.block % 16 != 0 && shape.block != 8) shape.block = 0;
  return shape;
}

int32_t scratch_value(bh_plan *plan, const NormShape &shape) {
  const Dims dims{2, shape.images, shape.padded()};
  return plan->add_intermediate(dims, plain_layout(dims, memory::data_type::f32));
}

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
    if (norm_shape(plan->at(x)).block == 0) x = plan->plain(x);
    const NormShape shape = norm_shape(plan->at(x));
    const Dims dims = plan->at(x).dims;
    const int32_t y = plan->add_intermediate(dims, plan->at(x).layout);
    const auto vector = plain_layout({dims[1]}, memory::data_type::f32);
    const int32_t mean = plan->add_intermediate({dims[1]}, vector);
    const int32_t variance = plan->add_intermediate({dims[1]}, vector);
    const int32_t scratch = scratch_value(plan, shape);
    plan->add_call("BatchNormTraining", {x, scale, shift}, {y, mean, variance, scratch}, [=] {
      auto at = [&](int32_t value) { return static_cast<float *>(plan->data(value)); };
      batch_norm_forward(shape, at(x), at(scale), at(shift), epsilon, relu != 0, at(scratch),
                         at(mean), at(variance), at(y));
    });
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
        TrainingNorm{shape, x, scale, mean, variance, epsilon, relu != 0});
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
    dy = plan->in_layout(plan->with_dims(dy, layout.dims()), layout);
    const int32_t dx = plan->add_intermediate(dims, layout);
    const auto vector = plain_layout({dims[1]}, memory::data_type::f32);
    const int32_t ds = *dscale = plan->add_intermediate({dims[1]}, vector);
    const int32_t dh = *dshift = plan->add_intermediate({dims[1]}, vector);
    const int32_t scratch = scratch_value(plan, norm->shape);
    plan->add_call("BatchNormBackward", {norm->x, y, dy, norm->scale, norm->mean, norm->variance},
                   {dx, ds, dh, scratch}, [=] {
                     auto at = [&](int32_t value) {
                       return static_cast<float *>(plan->data(value));
                     };
                     batch_norm_backward(norm->shape, at(norm->x), at(y), at(dy), at(norm->scale),
                                         at(norm->mean), at(norm->variance), norm->epsilon,
                                         norm->relu, at(scratch), at(dx), at(ds), at(dh));
                   });
    return dx;
  });
}

}  // extern "C"
