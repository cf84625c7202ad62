// Layers that run on integers.
#include <algorithm>
#include <cmath>
#include <limits>

#include "integer_layer.h"
#include "parallel.h"
#include "plan.h"
#include "plan_channels_last.h"
#include "winograd_integer.h"

using namespace billhook;

namespace {

void widen(int32_t type, const void *in, int64_t n, int32_t zero_point, int16_t *out) {
  if (type == BH_TYPE_U8)
    widen_u8(static_cast<const uint8_t *>(in), n, zero_point, out);
  else
    widen_s8(static_cast<const int8_t *>(in), n, zero_point, out);
}

// The zero point of this run.
int32_t zero_now(bh_plan *plan, int32_t value, int32_t otherwise) {
  if (value == BH_PLAN_NONE) return otherwise;
  const void *byte = plan->data(value);
  return plan->at(value).layout.data_type() == memory::data_type::u8
             ? static_cast<int32_t>(*static_cast<const uint8_t *>(byte))
             : static_cast<int32_t>(*static_cast<const int8_t *>(byte));
}

std::vector<int> with_zero(int32_t x, int32_t zero) {
  return zero == BH_PLAN_NONE ? std::vector<int>{x} : std::vector<int>{x, zero};
}

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

// A convolution over three spatial axes (unused ones have size 1), channels last, as runs of
// memory.
struct Geometry {
  int64_t batch, channels, groups, outputs;
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], begin[3], padded[3];
  int64_t segment_axes;  // 2: a segment is a row of the window; 3: one element of it

  int64_t input_pixels() const { return in[0] * in[1] * in[2]; }
  int64_t output_pixels() const { return out[0] * out[1] * out[2]; }
  int64_t padded_elements() const { return padded[0] * padded[1] * padded[2] * channels; }
  int64_t group_channels() const { return channels / groups; }
};

Geometry geometry(const Dims &x, const int64_t *w, const bh_window &window) {
  Geometry g{};
  g.batch = x[0];
  g.channels = x[1];
  g.groups = window.groups;
  g.outputs = w[0];
  const int64_t axes = window.spatial_axes, skip = 3 - axes;
  for (int64_t i = 0; i < 3; i++) {
    const bool used = i >= skip;
    const int64_t axis = i - skip;
    g.in[i] = used ? x[2 + axis] : 1;
    g.kernel[i] = used ? w[2 + axis] : 1;
    g.stride[i] = used ? window.stride[axis] : 1;
    g.dilation[i] = used ? window.dilation[axis] : 1;
    g.begin[i] = used ? window.pad_begin[axis] : 0;
    g.padded[i] = g.in[i] + g.begin[i] + (used ? window.pad_end[axis] : 0);
    const int64_t extent = (g.kernel[i] - 1) * g.dilation[i] + 1;
    if (g.padded[i] < extent)
      throw PlanFailure("A window does not fit an input of " + text(x) + ".");
    g.out[i] = (g.padded[i] - extent) / g.stride[i] + 1;
  }
  // Side by side in memory are a row of the window and all its channels, unless the window has
  // holes or a group takes only some of the channels.
  g.segment_axes = g.groups == 1 && g.dilation[2] == 1 ? 2 : 3;
  return g;
}

struct ConvolutionState {
  Geometry g;
  std::vector<PackedWeights> weights;  // a group each
  std::vector<Epilogue> epilogues;
  std::vector<int64_t> base, segment_offset;
  std::vector<int16_t> widened;  // all images, when the batch is too small to share out
};

// Writes one image, zero points taken off, into its padded place; the frame is zero already.
void widen_image(const Geometry &g, int32_t type, const void *x, int32_t zero_point, int16_t *out) {
  const auto *bytes = static_cast<const uint8_t *>(x);
  const int64_t row = g.in[2] * g.channels;
  for (int64_t z = 0; z < g.in[0]; z++) {
    for (int64_t y = 0; y < g.in[1]; y++) {
      const int64_t target =
          (((z + g.begin[0]) * g.padded[1] + y + g.begin[1]) * g.padded[2] + g.begin[2]) *
          g.channels;
      widen(type, bytes + (z * g.in[1] + y) * row, row, zero_point, out + target);
    }
  }
}

// True for windows of 2x2 side by side, from the corner on.
bool pools_pairs(const bh_window &pooling, const Dims &pooled, const Geometry &g) {
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
int32_t add_winograd(bh_plan *plan, const IntegerConvolution &c, const Geometry &g,
                     const std::vector<int16_t> &w) {
  if (c.window->spatial_axes != 2 || g.groups != 1) return BH_PLAN_NONE;
  for (int axis = 1; axis < 3; axis++)
    if (g.kernel[axis] != 3 || g.stride[axis] != 1 || g.dilation[axis] != 1) return BH_PLAN_NONE;
  // The kernel reads past the end, which the caller's own memory need not allow.
  if (plan->at(c.x).kind == Kind::input) return BH_PLAN_NONE;
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
  if (!pack_winograd(w, layer.get())) return BH_PLAN_NONE;
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
    auto state = std::make_shared<ConvolutionState>();
    Geometry &g = state->g = geometry(xs, w_dims, *window);
    const int64_t per_group = g.group_channels(), group_outputs = g.outputs / g.groups;
    const bool rows = g.segment_axes == 2;
    const int64_t taps = g.kernel[0] * g.kernel[1] * g.kernel[2];
    const int64_t segments = rows ? g.kernel[0] * g.kernel[1] : taps;
    const int64_t length = rows ? g.kernel[2] * per_group : per_group;
    Dims ys{g.batch, g.outputs};
    for (int64_t i = 3 - window->spatial_axes; i < 3; i++) ys.push_back(g.out[i]);
    const IntegerConvolution layer{
        x,  x_zero_point, x_zero_value, window, pooling,
        ys, pooling ? Dims(pooled_dims, pooled_dims + ys.size()) : ys, out};
    for (int64_t group = 0; group < g.groups; group++) {
      std::vector<int16_t> order(group_outputs * taps * per_group);
      for (int64_t o = 0; o < group_outputs; o++) {
        const int64_t output = group * group_outputs + o;
        for (int64_t c = 0; c < per_group; c++)
          for (int64_t t = 0; t < taps; t++)
            order[(o * taps + t) * per_group + c] =
                weight_at(w, w_type, (output * per_group + c) * taps + t,
                          w_zero_point ? w_zero_point[output] : 0);
      }
      const int32_t fast = add_winograd(plan, layer, g, order);
      if (fast != BH_PLAN_NONE) return finish(plan, layer, fast);
      state->weights.push_back(pack_weights(order, group_outputs, segments, length));
      bh_requantize part = *out;
      part.scale += group * group_outputs;
      if (part.bias) part.bias += group * group_outputs;
      state->epilogues.push_back(epilogue(part, group_outputs));
    }
    for (int64_t z = 0; z < g.kernel[0]; z++)
      for (int64_t y = 0; y < g.kernel[1]; y++)
        for (int64_t t = 0; t < (rows ? 1 : g.kernel[2]); t++)
          state->segment_offset.push_back(
              ((z * g.dilation[0] * g.padded[1] + y * g.dilation[1]) * g.padded[2] +
               t * g.dilation[2]) *
              g.channels);
    for (int64_t z = 0; z < g.out[0]; z++)
      for (int64_t y = 0; y < g.out[1]; y++)
        for (int64_t t = 0; t < g.out[2]; t++)
          state->base.push_back(
              ((z * g.stride[0] * g.padded[1] + y * g.stride[1]) * g.padded[2] + t * g.stride[2]) *
              g.channels);
    // A batch of a few images is shared out by pixels, a larger one by images.
    const bool by_image = g.batch >= 8;
    if (!by_image) state->widened.assign(g.batch * g.padded_elements() + 64, 0);
    const int64_t out_bytes = out->out_type == BH_TYPE_F32 ? 4 : 1;
    const int32_t y = plan->add_intermediate(ys, channels_last(ys, data_type(out->out_type)));
    plan->add_call("ConvInteger", with_zero(x, x_zero_value), {y}, [=] {
      const Geometry &g = state->g;
      const int32_t zero = zero_now(plan, x_zero_value, x_zero_point);
      const auto *in = static_cast<const uint8_t *>(plan->data(x));
      auto *result = static_cast<uint8_t *>(plan->data(y));
      const int64_t image_in = g.input_pixels() * g.channels;
      const int64_t image_out = g.output_pixels() * g.outputs * out_bytes;
      auto convolve = [&](const int16_t *padded, int64_t image, int64_t begin, int64_t end) {
        for (int64_t group = 0; group < g.groups; group++) {
          const IntegerTask task{
              &state->weights[group],
              &state->epilogues[group],
              padded + group * g.group_channels(),
              state->base.data(),
              state->segment_offset.data(),
              result + image * image_out + group * (g.outputs / g.groups) * out_bytes,
              g.outputs};
          run_integer(task, begin, end);
        }
      };
      if (by_image) {
        bh::parallel_for(g.batch, 1, [&](int64_t begin, int64_t end) {
          // Kept from call to call: the frame must be zero, and layers differ in theirs.
          thread_local std::vector<int16_t> padded;
          padded.assign(g.padded_elements() + 64, 0);
          for (int64_t image = begin; image < end; image++) {
            widen_image(g, x_type, in + image * image_in, zero, padded.data());
            convolve(padded.data(), image, 0, g.output_pixels());
          }
        });
        return;
      }
      for (int64_t image = 0; image < g.batch; image++) {
        int16_t *padded = state->widened.data() + image * g.padded_elements();
        widen_image(g, x_type, in + image * image_in, zero, padded);
        bh::parallel_for(g.output_pixels(), 48,
                         [&](int64_t begin, int64_t end) { convolve(padded, image, begin, end); });
      }
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
    struct State {
      PackedWeights weights;
      Epilogue tail;
      std::vector<int64_t> base;
      std::vector<int16_t> widened;
    };
    auto state = std::make_shared<State>();
    std::vector<int16_t> order(outputs * inputs);
    for (int64_t o = 0; o < outputs; o++)
      for (int64_t c = 0; c < channels; c++)
        for (int64_t i = 0; i < inner; i++)
          order[o * inputs + i * channels + c] =
              weight_at(w, w_type, o * inputs + c * inner + i, w_zero_point ? w_zero_point[o] : 0);
    state->weights = pack_weights(order, outputs, 1, inputs);
    state->tail = epilogue(*out, outputs);
    for (int64_t row = 0; row < rows; row++) state->base.push_back(row * inputs);
    state->widened.assign(rows * inputs + 64, 0);
    const Dims ys{rows, outputs};
    const int32_t y = plan->add_intermediate(ys, plain_layout(ys, data_type(out->out_type)));
    plan->add_call("DenseInteger", with_zero(in, x_zero_value), {y}, [=] {
      const int32_t zero = zero_now(plan, x_zero_value, x_zero_point);
      const auto *bytes = static_cast<const uint8_t *>(plan->data(in));
      bh::parallel_for(rows * inputs, 1 << 14, [&](int64_t begin, int64_t end) {
        widen(x_type, bytes + begin, end - begin, zero, state->widened.data() + begin);
      });
      static const int64_t no_offset = 0;
      const IntegerTask task{
          &state->weights, &state->tail, state->widened.data(), state->base.data(), &no_offset,
          plan->data(y),   outputs};
      bh::parallel_for(rows, 12,
                       [&](int64_t begin, int64_t end) { run_integer(task, begin, end); });
    });
    if (out->activation.kind != BH_ACTIVATION_SIGMOID) return y;
    return bh_plan_activation(plan, y, &out->activation, 1);
  });
}

}  // extern "C"
