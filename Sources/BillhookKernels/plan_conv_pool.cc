// A convolution with the max pooling behind it.
#include <memory>

#include "conv_pool.h"
#include "plan.h"
#include "plan_channels_last.h"
#include "plan_pooling.h"
#include "winograd.h"

using namespace billhook;

namespace {

// The layer when our own kernel is for it.
std::shared_ptr<ConvPool> conv_pool_of(bh_plan *plan, int32_t x, int32_t w, int32_t bias,
                                       const bh_window &window, const bh_window &pooling,
                                       const Dims &ys, bh_bounds bounds) {
  const Dims xs = plan->at(x).dims, ws = plan->at(w).dims;
  // From eight channels on a convolution has as much to do as to read.
  if (xs.size() != 4 || ws.size() != 4 || ws[1] > 4 || window.groups != 1 ||
      plan->at(w).kind != Kind::constant ||
      (bias != BH_PLAN_NONE && plan->at(bias).kind != Kind::constant))
    return nullptr;
  auto layer = std::make_shared<ConvPool>();
  layer->images = xs[0];
  layer->inputs = xs[1];
  layer->outputs = ws[0];
  layer->bounds = bounds;
  Dims made = xs;
  for (int axis = 0; axis < 2; axis++) {
    if (window.dilation[axis] != 1 || window.pad_begin[axis] < 0 || window.pad_end[axis] < 0)
      return nullptr;
    layer->in[axis] = xs[2 + axis];
    layer->kernel[axis] = ws[2 + axis];
    layer->stride[axis] = window.stride[axis];
    layer->begin[axis] = window.pad_begin[axis];
    const int64_t room =
        xs[2 + axis] + window.pad_begin[axis] + window.pad_end[axis] - ws[2 + axis];
    if (room < 0) return nullptr;
    made[2 + axis] = room / window.stride[axis] + 1;
  }
  // The kernel knows how many channels lie side by side, and sets it.
  const auto pool = pool_shape(made, ys, pooling, xs[0], 1);
  if (!pool) return nullptr;
  layer->pool = *pool;
  const auto plain = [&](int32_t value) {
    const int32_t copy = plan->parameter_in_layout(
        value, plain_layout(plan->at(value).dims, memory::data_type::f32));
    return static_cast<const float *>(plan->constant_data(copy));
  };
  pack_conv_pool(*layer, plain(w), bias == BH_PLAN_NONE ? nullptr : plain(bias));
  return conv_pool_fits(*layer) ? layer : nullptr;
}

}  // namespace

extern "C" {

int32_t bh_plan_conv_pool(bh_plan *plan, int32_t x, int32_t w, int32_t bias, const bh_window *window,
                          const bh_window *pooling, const int64_t *out_dims, bh_bounds bounds,
                          const bh_quantization *quantization) {
  return plan->guarded([&]() -> int32_t {
    const Dims ys = dims_of(4, out_dims);
    const auto layer = conv_pool_of(plan, x, w, bias, *window, *pooling, ys, bounds);
    // The channels that fill the last block must become 0.
    if (!layer || (!quantization && (bounds.low > 0 || bounds.high < 0))) {
      const int32_t y = bh_plan_conv(plan, x, w, bias, window, BH_PLAN_NONE, nullptr, 0);
      return y < 0 ? y : bh_plan_max_pool(plan, y, pooling, out_dims, bounds, quantization);
    }
    x = plan->plain(x);
    if (!quantization) {
      const int64_t block = winograd_block();
      const memory::desc layout(
          ys, memory::data_type::f32,
          block == 16 ? memory::format_tag::nChw16c : memory::format_tag::nChw8c);
      const int32_t y = plan->add_intermediate(ys, layout);
      plan->add_call("ConvMaxPool", {x}, {y}, [=] {
        conv_pool(*layer, static_cast<const float *>(plan->data(x)), block,
                  static_cast<float *>(plan->data(y)));
      });
      return y;
    }
    const bh::QuantizedRange range = range_of(*quantization);
    const float scale = quantization->scale;
    const int32_t zero_point = quantization->zero_point;
    const int32_t q = plan->add_intermediate(ys, channels_last(ys, data_type(quantization->type)));
    plan->add_call("ConvMaxPoolQuantize", {x}, {q}, [=] {
      conv_pool_quantized(*layer, static_cast<const float *>(plan->data(x)), scale, zero_point,
                          range, plan->data(q));
    });
    return q;
  });
}

}  // extern "C"
