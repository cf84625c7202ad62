// Convolutions, forward and backward.
#include "plan.h"
#include "plan_post_operations.h"
#include "plan_pieces.h"
#include "plan_winograd.h"

using namespace billhook;

namespace {

using dnnl::algorithm;
using dnnl::prop_kind;

struct Geometry {
  Dims stride, dilation, begin, end;  // dilation in oneDNN's meaning: 0 = dense
};

Geometry geometry(const bh_window &window) {
  Geometry result;
  for (int64_t i = 0; i < window.spatial_axes; i++) {
    result.stride.push_back(window.stride[i]);
    result.dilation.push_back(window.dilation[i] - 1);
    result.begin.push_back(window.pad_begin[i]);
    result.end.push_back(window.pad_end[i]);
  }
  return result;
}

Dims convolved(const Dims &x, const Dims &w, const bh_window &window) {
  Dims y{x[0], w[0]};
  for (int64_t i = 0; i < window.spatial_axes; i++) {
    const int64_t extent = (w[2 + i] - 1) * window.dilation[i] + 1;
    const int64_t room = x[2 + i] + window.pad_begin[i] + window.pad_end[i] - extent;
    if (room < 0)
      throw PlanFailure("A window of " + std::to_string(extent) + " does not fit an input of " +
                        text(x) + ".");
    y.push_back(room / window.stride[i] + 1);
  }
  return y;
}

// [O, I / groups, ...] as oneDNN wants grouped weights: [groups, O / groups, I / groups, ...].
Dims weight_dims(const Dims &w, int64_t groups) {
  if (groups == 1) return w;
  Dims result{groups, w[0] / groups};
  result.insert(result.end(), w.begin() + 1, w.end());
  return result;
}

// A primitive for some layout of the source: the one it has, or the one that oneDNN likes best. Always
// the direct algorithm: left to choose, oneDNN takes its own Winograd for some numbers of threads and
// not for others, which gives other bits.
struct Convolution {
  Dims x, w, y;
  Geometry window;
  bool bias;

  dnnl::convolution_forward::primitive_desc forward(const memory::desc &source,
                                                    const memory::desc &weights,
                                                    const memory::desc &target,
                                                    const dnnl::primitive_attr &attributes) const {
    const auto vector = bias ? any({y[1]}) : memory::desc();
    return {{prop_kind::forward_training, algorithm::convolution_direct, source, weights, vector,
             target, window.stride, window.dilation, window.begin, window.end},
            attributes,
            engine()};
  }
};

Convolution describe(bh_plan *plan, int32_t x, int32_t w, bool bias, const bh_window &window) {
  const Dims &xs = plan->at(x).dims, &ws = plan->at(w).dims;
  if (xs.size() != ws.size() || xs.size() != static_cast<size_t>(window.spatial_axes + 2))
    throw PlanFailure("A convolution of " + text(xs) + " with weights " + text(ws) +
                      " needs both to have " + std::to_string(window.spatial_axes + 2) + " axes.");
  if (window.groups < 1 || ws[0] % window.groups || xs[1] != ws[1] * window.groups)
    throw PlanFailure("A convolution of " + text(xs) + " with weights " + text(ws) + " in " +
                      std::to_string(window.groups) + " groups does not fit.");
  return {xs, weight_dims(ws, window.groups), convolved(xs, ws, window), geometry(window), bias};
}

}  // namespace

extern "C" {

int32_t bh_plan_conv(bh_plan *plan, int32_t x, int32_t w, int32_t bias, const bh_window *window,
                     int32_t residual, const bh_activation *functions, int32_t count) {
  return plan->guarded([&] {
    const Convolution conv = describe(plan, x, w, bias != BH_PLAN_NONE, *window);
    const int32_t fast =
        winograd_conv(plan, x, w, bias, *window, conv.y, residual, functions, count);
    if (fast != BH_PLAN_NONE) return fast;
    dnnl::primitive_attr attributes;
    auto description = conv.forward(any(conv.x), any(conv.w), any(conv.y), attributes);
    dnnl::post_ops steps;
    if (residual != BH_PLAN_NONE) {
      residual = plan->in_layout(residual, description.dst_desc());
      steps.append_binary(algorithm::binary_add, description.dst_desc());
    }
    const int32_t done = append_functions(steps, functions, count);
    if (steps.len() > 0) {
      attributes.set_post_ops(steps);
      description = conv.forward(any(conv.x), any(conv.w), description.dst_desc(), attributes);
    }
    x = plan->in_layout(x, description.src_desc());
    w = plan->parameter_in_layout(plan->with_dims(w, conv.w), description.weights_desc());
    std::vector<std::pair<int, int>> inputs{{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, w}};
    if (bias != BH_PLAN_NONE) inputs.push_back({DNNL_ARG_BIAS, bias});
    if (residual != BH_PLAN_NONE)
      inputs.push_back({DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1, residual});
    const int32_t y = plan->add_intermediate(conv.y, description.dst_desc());
    plan->add_primitive("Conv", dnnl::convolution_forward(description), inputs,
                        {{DNNL_ARG_DST, y}});
    return bh_plan_activation(plan, y, functions + done, count - done);
  });
}

int32_t bh_plan_conv_backward_data(bh_plan *plan, int32_t dy, int32_t w, int32_t x,
                                   const bh_window *window) {
  return plan->guarded([&] {
    const Convolution conv = describe(plan, x, w, false, *window);
    const int32_t fast = winograd_backward_data(plan, dy, w, x, *window);
    if (fast != BH_PLAN_NONE) return fast;
    const auto hint = conv.forward(any(conv.x), any(conv.w), any(conv.y), {});
    dnnl::convolution_backward_data::primitive_desc description(
        {algorithm::convolution_direct, any(conv.x), any(conv.w), any(conv.y), conv.window.stride,
         conv.window.dilation, conv.window.begin, conv.window.end},
        engine(), hint);
    dy = plan->in_layout(dy, description.diff_dst_desc());
    w = plan->parameter_in_layout(plan->with_dims(w, conv.w), description.weights_desc());
    const int32_t dx = plan->add_intermediate(conv.x, description.diff_src_desc());
    plan->add_primitive("ConvBackwardData", dnnl::convolution_backward_data(description),
                        {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_WEIGHTS, w}},
                        {{DNNL_ARG_DIFF_SRC, dx}});
    return dx;
  });
}

int32_t bh_plan_conv_backward_weights(bh_plan *plan, int32_t dy, int32_t x, int32_t w, int32_t bias,
                                      const bh_window *window, int32_t *dw, int32_t *db) {
  return plan->guarded([&] {
    const bool with_bias = bias != BH_PLAN_NONE;
    const Convolution conv = describe(plan, x, w, with_bias, *window);
    const auto vector = with_bias ? any({conv.y[1]}) : memory::desc();
    // For `rows` images; the layouts are free until the first one fixes them.
    auto backward = [=](int64_t rows, const memory::desc &source, const memory::desc &weights,
                        const memory::desc &target, const dnnl::primitive_attr &attributes) {
      Dims xs = conv.x, ys = conv.y;
      xs[0] = ys[0] = rows;
      const auto &g = conv.window;
      const dnnl::convolution_forward::primitive_desc hint(
          {prop_kind::forward_training, algorithm::convolution_direct, any(xs), any(conv.w), vector,
           any(ys), g.stride, g.dilation, g.begin, g.end},
          engine());
      const bool chosen = static_cast<bool>(source);
      return dnnl::convolution_backward_weights::primitive_desc(
          {algorithm::convolution_direct, chosen ? source : any(xs), chosen ? weights : any(conv.w),
           vector, chosen ? target : any(ys), g.stride, g.dilation, g.begin, g.end},
          attributes, engine(), hint);
    };
    const auto description = [&] {
      SingleThread one;
      return backward(conv.x[0], {}, {}, {}, {});
    }();
    const WeightGradient gradient(plan, description, x, dy, w, with_bias ? db : nullptr);
    const auto source = description.src_desc(), weights = description.diff_weights_desc(),
               target = description.diff_dst_desc();
    add_pieces(
        plan, "ConvBackwardWeights", conv.x[0],
        [=](int64_t rows, const dnnl::primitive_attr &attributes) -> dnnl::primitive {
          return dnnl::convolution_backward_weights(
              backward(rows, rows_of(source, rows), weights, rows_of(target, rows), attributes));
        },
        gradient.inputs, gradient.outputs);
    *dw = plan->in_layout(gradient.dw(), plan->at(w).layout);
    return 0;
  });
}

}  // extern "C"
