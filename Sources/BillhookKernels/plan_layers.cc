// Convolutions and fully connected layers, forward and backward.
#include "plan.h"
#include "plan_pieces.h"
#include "plan_winograd.h"

using namespace billhook;

namespace {

using dnnl::algorithm;
using dnnl::prop_kind;

memory::desc any(const Dims &dims, memory::data_type type = memory::data_type::f32) {
  return memory::desc(dims, type, memory::format_tag::any);
}

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

void append(dnnl::post_ops &steps, const bh_activation &activation) {
  switch (activation.kind) {
    case BH_ACTIVATION_RELU:
      steps.append_eltwise(1, algorithm::eltwise_relu, 0, 0);
      break;
    case BH_ACTIVATION_CLIP:
      steps.append_eltwise(1, algorithm::eltwise_clip_v2, activation.low, activation.high);
      break;
    case BH_ACTIVATION_SIGMOID:
      steps.append_eltwise(1, algorithm::eltwise_logistic, 0, 0);
      break;
  }
}

// A primitive for some layout of the source: the one it has, or the one that oneDNN likes best.
struct Convolution {
  Dims x, w, y;
  Geometry window;
  bool bias;

  dnnl::convolution_forward::primitive_desc forward(const memory::desc &source,
                                                    const memory::desc &weights,
                                                    const memory::desc &target,
                                                    const dnnl::primitive_attr &attributes) const {
    const auto vector = bias ? any({y[1]}) : memory::desc();
    return {{prop_kind::forward_training, algorithm::convolution_auto, source, weights, vector,
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

// The layout of the first rows of a tensor.
memory::desc rows_of(const memory::desc &layout, int64_t rows) {
  Dims dims = layout.dims();
  dims[0] = rows;
  return layout.submemory_desc(dims, Dims(dims.size(), 0));
}

memory::desc layout_of(bh_plan *plan, int32_t value) { return plan->at(value).layout; }

// The forward primitive that the backward ones of a fully connected layer refer to, in the layouts
// that its operands have.
dnnl::inner_product_forward::primitive_desc dense_hint(const memory::desc &x, const memory::desc &w,
                                                       const memory::desc &y) {
  return {{prop_kind::forward_training, x, w, memory::desc(), y}, engine()};
}

}  // namespace

extern "C" {

int32_t bh_plan_conv(bh_plan *plan, int32_t x, int32_t w, int32_t bias, const bh_window *window,
                     int32_t residual, bh_activation activation) {
  return plan->guarded([&] {
    const Convolution conv = describe(plan, x, w, bias != BH_PLAN_NONE, *window);
    const int32_t fast = winograd_conv(plan, x, w, bias, *window, conv.y, residual, activation);
    if (fast != BH_PLAN_NONE) return fast;
    dnnl::primitive_attr attributes;
    auto description = conv.forward(any(conv.x), any(conv.w), any(conv.y), attributes);
    dnnl::post_ops steps;
    if (residual != BH_PLAN_NONE) {
      residual = plan->in_layout(residual, description.dst_desc());
      steps.append_binary(algorithm::binary_add, layout_of(plan, residual));
    }
    append(steps, activation);
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
    return y;
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
        {algorithm::convolution_auto, any(conv.x), any(conv.w), any(conv.y), conv.window.stride,
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
          {prop_kind::forward_training, algorithm::convolution_auto, any(xs), any(conv.w), vector,
           any(ys), g.stride, g.dilation, g.begin, g.end},
          engine());
      const bool chosen = static_cast<bool>(source);
      return dnnl::convolution_backward_weights::primitive_desc(
          {algorithm::convolution_auto, chosen ? source : any(xs), chosen ? weights : any(conv.w),
           vector, chosen ? target : any(ys), g.stride, g.dilation, g.begin, g.end},
          attributes, engine(), hint);
    };
    const auto description = [&] {
      SingleThread one;
      return backward(conv.x[0], {}, {}, {}, {});
    }();
    x = plan->in_layout(x, description.src_desc());
    dy = plan->in_layout(dy, description.diff_dst_desc());
    const int32_t raw = plan->add_intermediate(plan->at(w).dims, description.diff_weights_desc());
    std::vector<PieceOperand> outputs{{DNNL_ARG_DIFF_WEIGHTS, raw, false}};
    if (with_bias) {
      *db = plan->add_intermediate({conv.y[1]}, description.diff_bias_desc());
      outputs.push_back({DNNL_ARG_DIFF_BIAS, *db, false});
    }
    const auto source = description.src_desc(), weights = description.diff_weights_desc(),
               target = description.diff_dst_desc();
    add_pieces(
        plan, "ConvBackwardWeights", conv.x[0],
        [=](int64_t rows, const dnnl::primitive_attr &attributes) -> dnnl::primitive {
          return dnnl::convolution_backward_weights(
              backward(rows, rows_of(source, rows), weights, rows_of(target, rows), attributes));
        },
        {{DNNL_ARG_SRC, x, true}, {DNNL_ARG_DIFF_DST, dy, true}}, outputs);
    *dw = plan->in_layout(raw, plan->at(w).layout);
    return 0;
  });
}

int32_t bh_plan_dense(bh_plan *plan, int32_t x, int32_t w, int32_t bias, bh_activation activation) {
  return plan->guarded([&] {
    x = plan->unflattened(x);
    const Dims xs = plan->at(x).dims;
    Dims ws = xs;
    ws[0] = plan->at(w).dims[0];
    const Dims ys{xs[0], ws[0]};
    dnnl::primitive_attr attributes;
    dnnl::post_ops steps;
    append(steps, activation);
    attributes.set_post_ops(steps);
    const auto vector = bias != BH_PLAN_NONE ? any({ys[1]}) : memory::desc();
    auto make = [&](const memory::desc &source) {
      return dnnl::inner_product_forward::primitive_desc(
          {prop_kind::forward_training, source, any(ws), vector, any(ys)}, attributes, engine());
    };
    dnnl::inner_product_forward::primitive_desc description;
    try {
      description = make(layout_of(plan, x));
    } catch (const dnnl::error &) {
      description = make(any(xs));
    }
    x = plan->in_layout(x, description.src_desc());
    w = plan->parameter_in_layout(plan->with_dims(w, ws), description.weights_desc());
    std::vector<PieceOperand> inputs{{DNNL_ARG_SRC, x, true}, {DNNL_ARG_WEIGHTS, w, false}};
    if (bias != BH_PLAN_NONE) inputs.push_back({DNNL_ARG_BIAS, bias, false});
    const int32_t y = plan->add_intermediate(ys, description.dst_desc());
    const auto source = description.src_desc(), weights = description.weights_desc(),
               target = description.dst_desc();
    add_pieces(plan, "Dense", xs[0],
               [=](int64_t rows, dnnl::primitive_attr own) -> dnnl::primitive {
                 own.set_post_ops(steps);
                 return dnnl::inner_product_forward(dnnl::inner_product_forward::primitive_desc(
                     {prop_kind::forward_training, rows_of(source, rows), weights, vector,
                      rows_of(target, rows)},
                     own, engine()));
               },
               inputs, {{DNNL_ARG_DST, y, true}});
    return y;
  });
}

int32_t bh_plan_dense_backward_data(bh_plan *plan, int32_t dy, int32_t w, int32_t x) {
  return plan->guarded([&] {
    const int32_t source = plan->unflattened(x);
    const Dims xs = plan->at(source).dims;
    Dims ws = xs;
    ws[0] = plan->at(w).dims[0];
    const Dims ys = plan->at(dy).dims;
    w = plan->with_dims(w, ws);
    auto make = [&](const memory::desc &from, const memory::desc &weights) {
      return dnnl::inner_product_backward_data::primitive_desc({from, weights, any(ys)}, engine(),
                                                               dense_hint(from, weights, any(ys)));
    };
    dnnl::inner_product_backward_data::primitive_desc description;
    try {
      description = make(layout_of(plan, source), layout_of(plan, w));
    } catch (const dnnl::error &) {
      description = make(any(xs), any(ws));
    }
    dy = plan->in_layout(dy, description.diff_dst_desc());
    w = plan->parameter_in_layout(w, description.weights_desc());
    const int32_t dx = plan->add_intermediate(xs, description.diff_src_desc());
    const auto from = description.diff_src_desc(), weights = description.weights_desc(),
               to = description.diff_dst_desc();
    add_pieces(plan, "DenseBackwardData", xs[0],
               [=](int64_t rows, const dnnl::primitive_attr &attributes) -> dnnl::primitive {
                 const auto few = rows_of(from, rows), out = rows_of(to, rows);
                 return dnnl::inner_product_backward_data(
                     dnnl::inner_product_backward_data::primitive_desc(
                         {few, weights, out}, attributes, engine(), dense_hint(few, weights, out)));
               },
               {{DNNL_ARG_DIFF_DST, dy, true}, {DNNL_ARG_WEIGHTS, w, false}},
               {{DNNL_ARG_DIFF_SRC, dx, true}});
    if (source == x) return dx;
    const Dims flat = plan->at(x).dims;
    return bh_plan_reshape(plan, dx, static_cast<int32_t>(flat.size()), flat.data());
  });
}

int32_t bh_plan_dense_backward_weights(bh_plan *plan, int32_t dy, int32_t x, int32_t w,
                                       int32_t bias, int32_t *dw, int32_t *db) {
  return plan->guarded([&] {
    x = plan->unflattened(x);
    const Dims xs = plan->at(x).dims, ys = plan->at(dy).dims;
    Dims ws = xs;
    ws[0] = plan->at(w).dims[0];
    const bool with_bias = bias != BH_PLAN_NONE;
    const auto vector = with_bias ? any({ys[1]}) : memory::desc();
    const int32_t shaped = plan->with_dims(w, ws);
    auto make = [&](const memory::desc &from, const memory::desc &weights) {
      return dnnl::inner_product_backward_weights::primitive_desc(
          {from, weights, vector, any(ys)}, engine(), dense_hint(from, weights, any(ys)));
    };
    dnnl::inner_product_backward_weights::primitive_desc description;
    try {
      description = make(layout_of(plan, x), layout_of(plan, shaped));
    } catch (const dnnl::error &) {
      description = make(any(xs), any(ws));
    }
    x = plan->in_layout(x, description.src_desc());
    dy = plan->in_layout(dy, description.diff_dst_desc());
    const int32_t raw = plan->add_intermediate(plan->at(w).dims, description.diff_weights_desc());
    std::vector<PieceOperand> outputs{{DNNL_ARG_DIFF_WEIGHTS, raw, false}};
    if (with_bias) {
      *db = plan->add_intermediate({ys[1]}, description.diff_bias_desc());
      outputs.push_back({DNNL_ARG_DIFF_BIAS, *db, false});
    }
    const auto from = description.src_desc(), weights = description.diff_weights_desc(),
               to = description.diff_dst_desc();
    add_pieces(
        plan, "DenseBackwardWeights", xs[0],
        [=](int64_t rows, const dnnl::primitive_attr &attributes) -> dnnl::primitive {
          const auto few = rows_of(from, rows), out = rows_of(to, rows);
          return dnnl::inner_product_backward_weights(
              dnnl::inner_product_backward_weights::primitive_desc({few, weights, vector, out},
                                                                   attributes, engine(),
                                                                   dense_hint(few, weights, out)));
        },
        {{DNNL_ARG_SRC, x, true}, {DNNL_ARG_DIFF_DST, dy, true}}, outputs);
    *dw = plan->in_layout(raw, plan->at(w).layout);
    return 0;
  });
}

int32_t bh_plan_matmul(bh_plan *plan, int32_t a, int32_t b, int32_t transpose_a,
                       int32_t transpose_b) {
  return plan->guarded([&] {
    a = plan->plain(a);
    b = plan->plain(b);
    // Both get the same number of axes; a swap is a matter of strides.
    auto factor = [&](int32_t value, size_t rank, bool swap) {
      Dims dims = plan->at(value).dims;
      while (dims.size() < rank) dims.insert(dims.begin(), 1);
      const auto layout = plain_layout(dims, memory::data_type::f32);
      if (!swap) return plan->add_view(value, dims, layout);
      std::vector<int> order(rank);
      for (size_t i = 0; i < rank; i++) order[i] = static_cast<int>(i);
      std::swap(order[rank - 1], order[rank - 2]);
      std::swap(dims[rank - 1], dims[rank - 2]);
      return plan->add_view(value, dims, layout.permute_axes(order));
    };
    const size_t rank = std::max(plan->at(a).dims.size(), plan->at(b).dims.size());
    if (rank < 2) throw PlanFailure("A matrix product needs two axes; both factors have fewer.");
    a = factor(a, rank, transpose_a);
    b = factor(b, rank, transpose_b);
    const Dims left = plan->at(a).dims, right = plan->at(b).dims;
    Dims dims(rank);
    for (size_t i = 0; i + 2 < rank; i++) dims[i] = std::max(left[i], right[i]);
    dims[rank - 2] = left[rank - 2];
    dims[rank - 1] = right[rank - 1];
    if (left[rank - 1] != right[rank - 2])
      throw PlanFailure("Matrices " + text(left) + " and " + text(right) +
                        " cannot be multiplied.");
    const auto layout = plain_layout(dims, memory::data_type::f32);
    dnnl::matmul::primitive_desc description({layout_of(plan, a), layout_of(plan, b), layout},
                                             engine());
    const int32_t y = plan->add_intermediate(dims, layout);
    plan->add_primitive("MatMul", dnnl::matmul(description),
                        {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}}, {{DNNL_ARG_DST, y}});
    return y;
  });
}

}  // extern "C"
