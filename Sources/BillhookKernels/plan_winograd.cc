#include "plan_winograd.h"

#include <limits>

#include "winograd.h"

namespace billhook {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Whether the window and the channels are of the kind that the kernels are for.
bool fits(const Dims &x, const Dims &w, const bh_window &window) {
  if (window.spatial_axes != 2 || window.groups != 1 || w[0] < 8 || w[1] < 8) return false;
  for (int axis = 0; axis < 2; axis++)
    if (w[2 + axis] != 3 || window.stride[axis] != 1 || window.dilation[axis] != 1 ||
        window.pad_begin[axis] < 0 || window.pad_begin[axis] > 2 || window.pad_end[axis] < 0 ||
        window.pad_end[axis] > 2)
      return false;
  return x.size() == 4;
}

// x and y: dimensions of what the kernel reads and writes.
WinogradShape shape_of(const Dims &x, const Dims &y, int64_t top, int64_t left) {
  WinogradShape shape{x[0],         x[1],         y[1],        winograd_block(),
                      {x[2], x[3]}, {y[2], y[3]}, {top, left}, 0};
  shape.tile = winograd_tile(shape);
  return shape;
}

memory::desc blocked(const Dims &dims) {
  return memory::desc(
      dims, memory::data_type::f32,
      winograd_block() == 16 ? memory::format_tag::nChw16c : memory::format_tag::nChw8c);
}

// The transformed weights: once for constants, in every run for what training may change.
int32_t weights_value(bh_plan *plan, const WinogradShape &shape, int32_t w, bool rotated) {
  const Dims dims{winograd_weight_count(shape)};
  const auto layout = plain_layout(dims, memory::data_type::f32);
  w = plan->parameter_in_layout(w, plain_layout(plan->at(w).dims, memory::data_type::f32));
  if (plan->at(w).kind == Kind::constant) {
    return plan->add_packed(w, dims, layout, [=](const void *source, void *target) {
      winograd_weights(shape, static_cast<const float *>(source), rotated,
                       static_cast<float *>(target));
    });
  }
  const int32_t result = plan->add_intermediate(dims, layout);
  plan->add_call("ConvWinogradWeights", {w}, {result}, [=] {
    winograd_weights(shape, static_cast<const float *>(plan->data(w)), rotated,
                     static_cast<float *>(plan->data(result)));
  });
  return result;
}

int32_t add_convolution(bh_plan *plan, const char *name, const WinogradShape &shape, int32_t x,
                        int32_t weights, int32_t bias, int32_t residual, float low, float high,
                        const Dims &y_dims) {
  x = plan->in_layout(x, blocked(plan->at(x).dims));
  const int32_t y = plan->add_intermediate(y_dims, blocked(y_dims));
  std::vector<int> reads{x, weights};
  for (int32_t value : {bias, residual})
    if (value != BH_PLAN_NONE) reads.push_back(value);
  plan->add_call(name, reads, {y}, [=] {
    auto at = [&](int32_t value) {
      return value == BH_PLAN_NONE ? nullptr : static_cast<float *>(plan->data(value));
    };
    winograd_forward(shape, at(x), at(weights), {at(bias), at(residual), low, high}, at(y));
  });
  return y;
}

}  // namespace

int32_t winograd_conv(bh_plan *plan, int32_t x, int32_t w, int32_t bias, const bh_window &window,
                      const Dims &y_dims, int32_t residual, const bh_activation *functions,
                      int32_t count) {
  const Dims x_dims = plan->at(x).dims;
  if (!fits(x_dims, plan->at(w).dims, window)) return BH_PLAN_NONE;
  const WinogradShape shape = shape_of(x_dims, y_dims, window.pad_begin[0], window.pad_begin[1]);
  if (shape.tile == 0) return BH_PLAN_NONE;
  if (residual != BH_PLAN_NONE) residual = plan->in_layout(residual, blocked(y_dims));
  float low = -kInfinity, high = kInfinity;
  // Anything else would not leave the padding channels at zero.
  if (count > 0 && functions->kind == BH_ACTIVATION_RELU) {
    low = 0;
    functions++;
    count--;
  } else if (count > 0 && functions->kind == BH_ACTIVATION_CLIP && functions->alpha <= 0 &&
             functions->beta >= 0) {
    low = functions->alpha;
    high = functions->beta;
    functions++;
    count--;
  }
  const int32_t weights = weights_value(plan, shape, w, false);
  const int32_t y =
      add_convolution(plan, "ConvWinograd", shape, x, weights, bias, residual, low, high, y_dims);
  return bh_plan_activation(plan, y, functions, count);
}

int32_t winograd_backward_data(bh_plan *plan, int32_t dy, int32_t w, int32_t x,
                               const bh_window &window) {
  const Dims x_dims = plan->at(x).dims, y_dims = plan->at(dy).dims;
  if (!fits(x_dims, plan->at(w).dims, window)) return BH_PLAN_NONE;
  // A convolution of dy by the turned weights, padded by what the forward window lacked.
  const WinogradShape shape =
      shape_of(y_dims, x_dims, 2 - window.pad_begin[0], 2 - window.pad_begin[1]);
  if (shape.tile == 0) return BH_PLAN_NONE;
  const int32_t weights = weights_value(plan, shape, w, true);
  return add_convolution(plan, "ConvWinogradBackwardData", shape, dy, weights, BH_PLAN_NONE,
                         BH_PLAN_NONE, -kInfinity, kInfinity, x_dims);
}

}  // namespace billhook
