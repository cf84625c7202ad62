// Quantize, dequantize and the layers that run on integers. Quantized activations of three and more
// axes lie channels last, so that a window's row is one run of memory.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "bh_quantize.h"
#include "bh_threads.h"
#include "integer_layer.h"
#include "plan.h"

using namespace billhook;

namespace {

memory::desc channels_last(const Dims &dims, memory::data_type type) {
  if (dims.size() < 3) return plain_layout(dims, type);
  Dims strides(dims.size());
  strides[1] = 1;
  int64_t step = dims[1];
  for (size_t i = dims.size() - 1; i >= 2; i--) {
    strides[i] = step;
    step *= dims[i];
  }
  strides[0] = step;
  return memory::desc(dims, type, strides);
}

// Runs a lambda over [0, n) on the pool.
template <class Body>
void in_parallel(int64_t n, int64_t grain, const Body &body) {
  bh_parallel_for(
      n, grain,
      [](int64_t begin, int64_t end, void *context) {
        (*static_cast<const Body *>(context))(begin, end);
      },
      const_cast<Body *>(&body));
}

void widen(int32_t type, const void *in, int64_t n, int32_t zero_point, int16_t *out) {
  if (type == BH_TYPE_U8) widen_u8(static_cast<const uint8_t *>(in), n, zero_point, out);
  else widen_s8(static_cast<const int8_t *>(in), n, zero_point, out);
}

int32_t byte_type(memory::data_type type) {
  if (type == memory::data_type::u8) return BH_TYPE_U8;
  if (type == memory::data_type::s8) return BH_TYPE_S8;
  throw PlanFailure("An integer layer needs int8 or uint8 inputs.");
}

std::vector<float> padded(const float *values, int64_t count, float filler) {
  std::vector<float> result(values, values + count);
  result.resize(count + 2 * integer_block(), filler);
  return result;
}

Epilogue epilogue(const bh_requantize &out, int64_t outputs) {
  const std::vector<float> none(outputs, 0);
  return {padded(out.scale, outputs, 0),
          padded(out.bias ? out.bias : none.data(), outputs, 0),
          out.activation.kind,
          out.activation.low,
          out.activation.high,
          out.out_type,
          out.out_scale,
          out.out_zero_point};
}

int16_t weight_at(const void *w, int32_t type, int64_t index, int32_t zero_point) {
  const int32_t value = type == BH_TYPE_U8 ? static_cast<const uint8_t *>(w)[index]
                                           : static_cast<const int8_t *>(w)[index];
  return static_cast<int16_t>(value - zero_point);
}

// A convolution over three spatial axes (unused ones have size 1), channels last, as runs of memory.
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
    if (g.padded[i] < extent) throw PlanFailure("A window does not fit an input of " + text(x) + ".");
    g.out[i] = (g.padded[i] - extent) / g.stride[i] + 1;
  }
  // Side by side in memory are a row of the window and all its channels, unless the window has
  // holes or a group takes only some of the channels.
  g.segment_axes = g.groups == 1 && g.dilation[2] == 1 ? 2 : 3;
  return g;
}

struct ConvolutionState {
  Geometry g;
  std::vector<PackedWeights> weights;   // a group each
  std::vector<Epilogue> epilogues;
  std::vector<int64_t> base, segment_offset;
  std::vector<int16_t> widened;         // all images, when the batch is too small to share out
};

// Writes one image, zero points taken off, into its padded place; the frame is zero already.
void widen_image(const Geometry &g, int32_t type, const void *x, int32_t zero_point, int16_t *out) {
  const auto *bytes = static_cast<const uint8_t *>(x);
  const int64_t row = g.in[2] * g.channels;
  for (int64_t z = 0; z < g.in[0]; z++) {
    for (int64_t y = 0; y < g.in[1]; y++) {
      const int64_t target =
          (((z + g.begin[0]) * g.padded[1] + y + g.begin[1]) * g.padded[2] + g.begin[2]) * g.channels;
      widen(type, bytes + (z * g.in[1] + y) * row, row, zero_point, out + target);
    }
  }
}

}  // namespace

extern "C" {

int32_t bh_plan_quantize(bh_plan *plan, int32_t x, int32_t type, const float *scale,
                         const int32_t *zero_point, int64_t count, int32_t axis) {
  return plan->guarded([&] {
    if (plan->unflattened(x) != x) x = plan->plain(x);
    const Dims dims = plan->at(x).dims;
    // Along an axis the parameters follow the plain order.
    const bool whole = count == 1;
    const auto from = whole ? channels_last(dims, memory::data_type::f32)
                            : plain_layout(dims, memory::data_type::f32);
    const auto to = whole ? channels_last(dims, data_type(type)) : plain_layout(dims, data_type(type));
    x = plan->in_layout(x, from);
    const int32_t q = plan->add_intermediate(dims, to);
    int64_t outer = 1, inner = 1, total = 1;
    for (size_t i = 0; i < dims.size(); i++) {
      total *= dims[i];
      if (static_cast<int32_t>(i) < axis) outer *= dims[i];
      if (static_cast<int32_t>(i) > axis) inner *= dims[i];
    }
    if (whole) {
      outer = 1;
      inner = total;
    }
    const std::vector<float> scales(scale, scale + count);
    const std::vector<int32_t> zeros(zero_point, zero_point + count);
    plan->add_call("Quantize", {x}, {q}, [=] {
      const auto *in = static_cast<const float *>(plan->data(x));
      if (type == BH_TYPE_U8) {
        bh_quantize_f32_u8(in, outer, count, inner, scales.data(), zeros.data(), 0, 255,
                           static_cast<uint8_t *>(plan->data(q)));
      } else {
        bh_quantize_f32_s8(in, outer, count, inner, scales.data(), zeros.data(), -128, 127,
                           static_cast<int8_t *>(plan->data(q)));
      }
    });
    return q;
  });
}

int32_t bh_plan_dequantize(bh_plan *plan, int32_t q, const float *scale, const int32_t *zero_point,
                           int64_t count, int32_t axis) {
  return plan->guarded([&] {
    if (plan->unflattened(q) != q || count != 1) q = plan->plain(q);
    const Value &source = plan->at(q);
    const Dims dims = source.dims;
    const auto stored = source.layout.data_type();
    const bool is_last = source.layout == channels_last(dims, stored);
    if (!is_last) q = plan->plain(q);
    const auto layout = is_last ? channels_last(dims, memory::data_type::f32)
                                : plain_layout(dims, memory::data_type::f32);
    const int32_t x = plan->add_intermediate(dims, layout);
    int64_t outer = 1, inner = 1, total = 1;
    for (size_t i = 0; i < dims.size(); i++) {
      total *= dims[i];
      if (static_cast<int32_t>(i) < axis) outer *= dims[i];
      if (static_cast<int32_t>(i) > axis) inner *= dims[i];
    }
    if (count == 1) {
      outer = 1;
      inner = total;
    }
    const std::vector<float> scales(scale, scale + count);
    const std::vector<int32_t> zeros(zero_point, zero_point + count);
    plan->add_call("Dequantize", {q}, {x}, [=] {
      auto *out = static_cast<float *>(plan->data(x));
      if (stored == memory::data_type::u8) {
        bh_dequantize_u8_f32(static_cast<const uint8_t *>(plan->data(q)), outer, count, inner,
                             scales.data(), zeros.data(), out);
      } else {
        bh_dequantize_s8_f32(static_cast<const int8_t *>(plan->data(q)), outer, count, inner,
                             scales.data(), zeros.data(), out);
      }
    });
    return x;
  });
}

int32_t bh_plan_conv_integer(bh_plan *plan, int32_t x, int32_t x_zero_point, const void *w,
                             int32_t w_type, const int32_t *w_zero_point, const int64_t *w_dims,
                             const bh_window *window, const bh_requantize *out) {
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
          state->base.push_back(((z * g.stride[0] * g.padded[1] + y * g.stride[1]) * g.padded[2] +
                                 t * g.stride[2]) *
                                g.channels);
    Dims ys{g.batch, g.outputs};
    for (int64_t i = 3 - window->spatial_axes; i < 3; i++) ys.push_back(g.out[i]);
    const int32_t y = plan->add_intermediate(ys, channels_last(ys, data_type(out->out_type)));
    // A batch of a few images is shared out by pixels, a larger one by images.
    const bool by_image = g.batch >= 8;
    if (!by_image) state->widened.assign(g.batch * g.padded_elements() + 64, 0);
    const int64_t out_bytes = out->out_type == BH_TYPE_F32 ? 4 : 1;
    plan->add_call("ConvInteger", {x}, {y}, [=] {
      const Geometry &g = state->g;
      const auto *in = static_cast<const uint8_t *>(plan->data(x));
      auto *result = static_cast<uint8_t *>(plan->data(y));
      const int64_t image_in = g.input_pixels() * g.channels;
      const int64_t image_out = g.output_pixels() * g.outputs * out_bytes;
      auto convolve = [&](const int16_t *padded, int64_t image, int64_t begin, int64_t end) {
        for (int64_t group = 0; group < g.groups; group++) {
          const IntegerTask task{
              &state->weights[group], &state->epilogues[group],
              padded + group * g.group_channels(), state->base.data(), state->segment_offset.data(),
              result + image * image_out + group * (g.outputs / g.groups) * out_bytes, g.outputs};
          run_integer(task, begin, end);
        }
      };
      if (by_image) {
        in_parallel(g.batch, 1, [&](int64_t begin, int64_t end) {
          // Kept from call to call: the frame must be zero, and layers differ in theirs.
          thread_local std::vector<int16_t> padded;
          padded.assign(g.padded_elements() + 64, 0);
          for (int64_t image = begin; image < end; image++) {
            widen_image(g, x_type, in + image * image_in, x_zero_point, padded.data());
            convolve(padded.data(), image, 0, g.output_pixels());
          }
        });
        return;
      }
      for (int64_t image = 0; image < g.batch; image++) {
        int16_t *padded = state->widened.data() + image * g.padded_elements();
        widen_image(g, x_type, in + image * image_in, x_zero_point, padded);
        in_parallel(g.output_pixels(), 48, [&](int64_t begin, int64_t end) {
          convolve(padded, image, begin, end);
        });
      }
    });
    if (out->activation.kind != BH_ACTIVATION_SIGMOID) return y;
    return bh_plan_activation(plan, y, out->activation);
  });
}

int32_t bh_plan_dense_integer(bh_plan *plan, int32_t x, int32_t x_zero_point, const void *w,
                              int32_t w_type, const int32_t *w_zero_point, int64_t outputs,
                              const bh_requantize *out) {
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
          order[o * inputs + i * channels + c] = weight_at(
              w, w_type, o * inputs + c * inner + i, w_zero_point ? w_zero_point[o] : 0);
    state->weights = pack_weights(order, outputs, 1, inputs);
    state->tail = epilogue(*out, outputs);
    for (int64_t row = 0; row < rows; row++) state->base.push_back(row * inputs);
    state->widened.assign(rows * inputs + 64, 0);
    const Dims ys{rows, outputs};
    const int32_t y = plan->add_intermediate(ys, plain_layout(ys, data_type(out->out_type)));
    plan->add_call("DenseInteger", {in}, {y}, [=] {
      const auto *bytes = static_cast<const uint8_t *>(plan->data(in));
      in_parallel(rows * inputs, 1 << 14, [&](int64_t begin, int64_t end) {
        widen(x_type, bytes + begin, end - begin, x_zero_point, state->widened.data() + begin);
      });
      static const int64_t no_offset = 0;
      const IntegerTask task{&state->weights,     &state->tail, state->widened.data(),
                             state->base.data(),  &no_offset,   plan->data(y),
                             outputs};
      in_parallel(rows, 12, [&](int64_t begin, int64_t end) { run_integer(task, begin, end); });
    });
    if (out->activation.kind != BH_ACTIVATION_SIGMOID) return y;
    return bh_plan_activation(plan, y, out->activation);
  });
}

int32_t bh_plan_add_integer(bh_plan *plan, int32_t a, float a_scale, int32_t a_zero_point, int32_t b,
                            float b_scale, int32_t b_zero_point, bh_activation activation,
                            int32_t out_type, float out_scale, int32_t out_zero_point) {
  return plan->guarded([&] {
    if (plan->unflattened(a) != a) a = plan->plain(a);
    if (plan->unflattened(b) != b) b = plan->plain(b);
    const Dims dims = plan->at(a).dims;
    const int32_t a_type = byte_type(plan->at(a).layout.data_type());
    const int32_t b_type = byte_type(plan->at(b).layout.data_type());
    a = plan->in_layout(a, channels_last(dims, data_type(a_type)));
    b = plan->in_layout(b, channels_last(dims, data_type(b_type)));
    const int32_t y = plan->add_intermediate(dims, channels_last(dims, data_type(out_type)));
    int64_t total = 1;
    for (int64_t size : dims) total *= size;
    // The sum has 2^16 possible operands; two tables of 256 make it two look-ups and an add.
    struct Tables {
      float a[256], b[256];
    };
    auto tables = std::make_shared<Tables>();
    for (int32_t i = 0; i < 256; i++) {
      auto real = [&](int32_t type, float scale, int32_t zero) {
        const int32_t q = type == BH_TYPE_U8 ? i : static_cast<int8_t>(i);
        return static_cast<float>(q - zero) * scale;
      };
      tables->a[i] = real(a_type, a_scale, a_zero_point);
      tables->b[i] = real(b_type, b_scale, b_zero_point);
    }
    plan->add_call("AddInteger", {a, b}, {y}, [=] {
      const auto *left = static_cast<const uint8_t *>(plan->data(a));
      const auto *right = static_cast<const uint8_t *>(plan->data(b));
      void *out = plan->data(y);
      in_parallel(total, 1 << 12, [&](int64_t begin, int64_t end) {
        float sums[1 << 12];
        for (int64_t i = begin; i < end; i++) {
          float sum = tables->a[left[i]] + tables->b[right[i]];
          if (activation.kind == BH_ACTIVATION_RELU) sum = std::max(sum, 0.f);
          if (activation.kind == BH_ACTIVATION_CLIP)
            sum = std::min(std::max(sum, activation.low), activation.high);
          if (activation.kind == BH_ACTIVATION_SIGMOID) sum = 1 / (1 + std::exp(-sum));
          sums[i - begin] = sum;
        }
        if (out_type == BH_TYPE_U8) {
          bh_quantize_f32_u8(sums, 1, 1, end - begin, &out_scale, &out_zero_point, 0, 255,
                             static_cast<uint8_t *>(out) + begin);
        } else {
          bh_quantize_f32_s8(sums, 1, 1, end - begin, &out_scale, &out_zero_point, -128, 127,
                             static_cast<int8_t *>(out) + begin);
        }
      });
    });
    return y;
  });
}

}  // extern "C"
