// Layers that run on integers.
#include <algorithm>
#include <cmath>
#include <limits>

#include "integer_direct.h"
#include "plan.h"
#include "plan_channels_last.h"
#include "winograd_integer.h"

using namespace billhook;

namespace {

// The zero point of this run.
int32_t zero_now(bh_plan *plan, int32_t value, int32_t otherwise) {
  if (value == BH_PLAN_NONE) return otherwise;
  const void *byte = plan->data(value);
  return plan->at(value).layout.data_type() == memory::data_type::u8
             ? static_cast<int32_t>(*static_cast<const uint8_t *>(byte))
             : static_cast<int32_t>(*static_cast<const int8_t *>(byte));
}

// Whether a kernel may read some bytes behind the value: the caller's own memory may end there.
bool may_read_behind(bh_plan *plan, int32_t value) {
  return plan->at(plan->at(value).root).kind == Kind::intermediate;
}

std::vector<int> with_zero(int32_t x, int32_t zero) {
  return zero == BH_PLAN_NONE ? std::vector<int>{x} : std::vector<int>{x, zero};
}

// Long enough for Winograd too, whose vectors are longer than a block where a test forces the
// portable form.
std::vector<float> padded(const float *values, int64_t count, float filler) {
  std::vector<float> result(values, values + count);
  result.resize(count + 2 * integer_block(), filler);
  return result;
}

Epilogue epilogue(const bh_requantize &out, int64_t outputs) {
  const std::vector<float> none(outputs, 0);
  float low = -std::numeric_limits<float>::infinity(), high = -low;
  if (out.activation.kind == BH_ACTIVATION_RELU) low = 0;
  if (out.activation.kind == BH_ACTIVATION_CLIP) {
    low = out.activation.alpha;
    high = out.activation.beta;
  }
  if (out.out_type != BH_TYPE_F32) {
    // Division keeps the order, so it does not matter which side of it the bounds are on.
    const auto zero = static_cast<float>(out.out_zero_point);
    const float least = (out.out_type == BH_TYPE_S8 ? -128 : 0) - zero, most = least + 255;
    low = std::fmin(std::fmax(low / out.out_scale, least), most);
    high = std::fmin(std::fmax(high / out.out_scale, least), most);
  }
  const float inverse = 1 / out.out_scale;
  const bool exact = std::isnormal(inverse) && std::isnormal(out.out_scale);
  return {padded(out.scale, outputs, 0),
          padded(out.bias ? out.bias : none.data(), outputs, 0),
          out.out_type,
          low,
          high,
          out.out_scale,
          out.out_zero_point,
          exact ? inverse : 0};
}

int16_t weight_at(const void *w, int32_t type, int64_t index, int32_t zero_point) {
  const int32_t value = type == BH_TYPE_U8 ? static_cast<const uint8_t *>(w)[index]
                                           : static_cast<const int8_t *>(w)[index];
  return static_cast<int16_t>(value - zero_point);
}

// True for windows of 2x2 side by side, from the corner on.
bool pools_pairs(const bh_window &pooling, const Dims &pooled, const IntegerGeometry &g) {
  for (int axis = 0; axis < 2; axis++)
    if (pooling.kernel[axis] != 2 || pooling.stride[axis] != 2 || pooling.dilation[axis] != 1 ||
        pooling.pad_begin[axis] != 0 || pooled[2 + axis] != g.out[1 + axis] / 2)
      return false;
  return true;
}

// What an integer convolution is made of.
struct IntegerConvolution {
  int32_t x, x_zero_point, x_zero_value;
  const bh_window *window, *pooling;  // pooling may be null
  Dims made, ys;                      // before and behind the pooling
  const bh_requantize *out;
};

// An exact layer with fewer multiplications, or BH_PLAN_NONE when this one is not of the kind.
int32_t add_winograd(bh_plan *plan, const IntegerConvolution &c, const IntegerGeometry &g,
                     const std::vector<int16_t> &w) {
  if (c.window->spatial_axes != 2 || g.groups != 1) return BH_PLAN_NONE;
  for (int axis = 1; axis < 3; axis++)
    if (g.kernel[axis] != 3 || g.stride[axis] != 1 || g.dilation[axis] != 1) return BH_PLAN_NONE;
  if (!may_read_behind(plan, c.x)) return BH_PLAN_NONE;
  const float *scales = c.out->scale;
  const bool pools =
      c.pooling && pools_pairs(*c.pooling, c.ys, g) &&
      std::all_of(scales, scales + g.outputs, [](float scale) { return scale >= 0; });
  auto layer = std::make_shared<IntegerWinograd>(IntegerWinograd{g.batch,
                                                                 g.channels,
                                                                 g.outputs,
                                                                 {g.in[1], g.in[2]},
                                                                 {g.out[1], g.out[2]},
                                                                 {g.begin[1], g.begin[2]},
                                                                 pools,
                                                                 {}});
  if (!pack_winograd(w, integer_group(w) == 4, layer.get())) return BH_PLAN_NONE;
  const int32_t x_type = byte_type(plan->at(c.x).layout.data_type());
  const auto tail = std::make_shared<Epilogue>(epilogue(*c.out, g.outputs));
  const Dims &made = pools ? c.ys : c.made;
  const int32_t y = plan->add_intermediate(made, channels_last(made, data_type(c.out->out_type)));
  const int32_t x = c.x, zero_point = c.x_zero_point, zero_value = c.x_zero_value;
  plan->add_call(pools ? "ConvMaxPoolWinogradInteger" : "ConvWinogradInteger",
                 with_zero(x, zero_value), {y}, [=] {
                   run_winograd(*layer, *tail, x_type, plan->data(x),
                                zero_now(plan, zero_value, zero_point), plan->data(y));
                 });
  return y;
}

// What the integer kernels leave to be done: y is the sums as `made` of `c` says, or pooled already.
int32_t finish(bh_plan *plan, const IntegerConvolution &c, int32_t y) {
  if (c.out->activation.kind == BH_ACTIVATION_SIGMOID)
    y = bh_plan_activation(plan, y, &c.out->activation, 1);
  if (!c.pooling || plan->at(y).dims == c.ys) return y;
  return bh_plan_pool(plan, y, BH_POOL_MAX, c.pooling, c.ys.data(), 0);
}

}  // namespace

extern "C" {

int32_t bh_plan_conv_integer(bh_plan *plan, int32_t x, int32_t x_zero_point, int32_t x_zero_value,
                             const void *w, int32_t w_type, const int32_t *w_zero_point,
                             const int64_t *w_dims, const bh_window *window,
                             const bh_requantize *out, const bh_window *pooling,
                             const int64_t *pooled_dims) {
  return plan->guarded([&] {
    if (plan->unflattened(x) != x) x = plan->plain(x);
    const Dims xs = plan->at(x).dims;
    const int32_t x_type = byte_type(plan->at(x).layout.data_type());
    x = plan->in_layout(x, channels_last(xs, data_type(x_type)));
    const IntegerGeometry g(xs, w_dims, *window);
    const int64_t per_group = g.group_channels(), group_outputs = g.outputs / g.groups;
    const int64_t taps = g.taps();
    Dims ys{g.batch, g.outputs};
    for (int64_t i = 3 - window->spatial_axes; i < 3; i++) ys.push_back(g.out[i]);
    const IntegerConvolution layer{
        x,  x_zero_point, x_zero_value, window, pooling,
        ys, pooling ? Dims(pooled_dims, pooled_dims + ys.size()) : ys, out};
    std::vector<int16_t> order(g.outputs * taps * per_group);
    for (int64_t o = 0; o < g.outputs; o++)
      for (int64_t c = 0; c < per_group; c++)
        for (int64_t t = 0; t < taps; t++)
          order[(o * taps + t) * per_group + c] = weight_at(
              w, w_type, (o * per_group + c) * taps + t, w_zero_point ? w_zero_point[o] : 0);
    const int32_t fast = add_winograd(plan, layer, g, order);
    if (fast != BH_PLAN_NONE) return finish(plan, layer, fast);
    std::vector<Epilogue> tails;
    for (int64_t first = 0; first < g.outputs; first += group_outputs) {
      bh_requantize part = *out;
      part.scale += first;
      if (part.bias) part.bias += first;
      tails.push_back(epilogue(part, group_outputs));
    }
    const auto direct = std::make_shared<IntegerDirectConvolution>(g, order, std::move(tails));
    const int32_t y = plan->add_intermediate(ys, channels_last(ys, data_type(out->out_type)));
    const bool is_long = may_read_behind(plan, x);
    plan->add_call("ConvInteger", with_zero(x, x_zero_value), {y}, [=] {
      direct->run(x_type, plan->data(x), is_long, zero_now(plan, x_zero_value, x_zero_point),
                  plan->data(y));
    });
    return finish(plan, layer, y);
  });
}

int32_t bh_plan_dense_integer(bh_plan *plan, int32_t x, int32_t x_zero_point, int32_t x_zero_value,
                              const void *w, int32_t w_type, const int32_t *w_zero_point,
                              int64_t outputs, const bh_requantize *out) {
  return plan->guarded([&] {
    const int32_t source = plan->unflattened(x);
    const Dims xs = plan->at(source).dims;
    const int32_t x_type = byte_type(plan->at(source).layout.data_type());
    int64_t inputs = 1, inner = 1;
    for (size_t i = 1; i < xs.size(); i++) inputs *= xs[i];
    for (size_t i = 2; i < xs.size(); i++) inner *= xs[i];
    // A flattened picture stays channels last; the columns of the weight are put in that order.
    const int32_t in = plan->in_layout(source, channels_last(xs, data_type(x_type)));
    const int64_t channels = xs[1], rows = xs[0];
    std::vector<int16_t> order(outputs * inputs);
    for (int64_t o = 0; o < outputs; o++)
      for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < inner; i++)
          order[o * inputs + i * channels + c] =
              weight_at(w, w_type, o * inputs + c * inner + i, w_zero_point ? w_zero_point[o] : 0);
    const auto dense =
        std::make_shared<IntegerDense>(rows, inputs, outputs, order, epilogue(*out, outputs));
    const Dims ys{rows, outputs};
    const int32_t y = plan->add_intermediate(ys, plain_layout(ys, data_type(out->out_type)));
    const bool is_long = may_read_behind(plan, in);
    plan->add_call("DenseInteger", with_zero(in, x_zero_value), {y}, [=] {
      dense->run(x_type, plan->data(in), is_long, zero_now(plan, x_zero_value, x_zero_point),
                 plan->data(y));
    });
    if (out->activation.kind != BH_ACTIVATION_SIGMOID) return y;
    return bh_plan_activation(plan, y, &out->activation, 1);
  });
}

}  // extern "C"
