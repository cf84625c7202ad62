// Fully connected layers, forward and backward.
#include "dense.h"
#include "plan.h"
#include "plan_pieces.h"
#include "plan_post_operations.h"

using namespace billhook;

namespace {

using dnnl::prop_kind;

memory::desc layout_of(bh_plan *plan, int32_t value) { return plan->at(value).layout; }

// The forward primitive that the backward ones of a fully connected layer refer to, in the layouts
// that its operands have.
dnnl::inner_product_forward::primitive_desc dense_hint(const memory::desc &x, const memory::desc &w,
                                                       const memory::desc &y) {
  return {{prop_kind::forward_training, x, w, memory::desc(), y}, engine()};
}

// y = functions(x . w^T + bias + residual) for constant weights, given in either order of their axes,
// and plain rows, by our own kernel.
int32_t add_packed_dense(bh_plan *plan, int32_t x, int32_t w, int32_t bias, int32_t residual,
                         const bh_activation *functions, int32_t count) {
  const Dims ws = plan->at(w).dims;
  const DenseShape shape{plan->at(x).dims[0], ws[1], ws[0]};
  const memory::desc from = plan->at(w).layout;
  const auto &steps = from.data.format_desc.blocking.strides;
  const int64_t output_step = steps[0], input_step = steps[1];
  const Dims packed{dense_packed_count(shape.inputs, shape.outputs)};
  const int32_t weights = plan->add_packed(
      w, packed, plain_layout(packed, memory::data_type::f32), [=](const void *source, void *target) {
        dense_pack(static_cast<const float *>(source), shape.inputs, shape.outputs, input_step,
                   output_step, static_cast<float *>(target));
      });
  const Dims ys{shape.rows, shape.outputs};
  if (residual != BH_PLAN_NONE) residual = plan->plain(plan->with_dims(residual, ys));
  const int32_t y = plan->add_intermediate(ys, plain_layout(ys, memory::data_type::f32));
  std::vector<int> reads{x, weights};
  for (int32_t value : {bias, residual})
    if (value != BH_PLAN_NONE) reads.push_back(value);
  const std::vector<bh_activation> behind(functions, functions + count);
  plan->add_call("Dense", reads, {y}, [=] {
    auto at = [&](int32_t value) {
      return value == BH_PLAN_NONE ? nullptr : static_cast<float *>(plan->data(value));
    };
    dense(shape, at(x), at(weights),
          {at(bias), at(residual), behind.data(), static_cast<int32_t>(behind.size())}, at(y));
  });
  return y;
}

}  // namespace

extern "C" {

int32_t bh_plan_dense(bh_plan *plan, int32_t x, int32_t w, int32_t bias, int32_t residual,
                      const bh_activation *functions, int32_t count) {
  return plan->guarded([&] {
    const bool is_plain = plan->unflattened(x) == x &&
                          plan->at(x).layout == plain_layout(plan->at(x).dims,
                                                             memory::data_type::f32);
    if (is_plain && plan->at(w).kind == Kind::constant && plan->at(x).dims.size() == 2)
      return add_packed_dense(plan, x, w, bias, residual, functions, count);
    x = plan->unflattened(x);
    const Dims xs = plan->at(x).dims;
    Dims ws = xs;
    ws[0] = plan->at(w).dims[0];
    const Dims ys{xs[0], ws[0]};
    dnnl::primitive_attr attributes;
    dnnl::post_ops steps;
    const int32_t done =
        residual == BH_PLAN_NONE ? append_functions(steps, functions, count) : 0;
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
    int32_t result = y;
    if (residual != BH_PLAN_NONE)
      result = bh_plan_binary(plan, y, residual, BH_BINARY_ADD, 2, ys.data());
    return bh_plan_activation(plan, result, functions + done, count - done);
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
    const WeightGradient gradient(plan, description, x, dy, w, with_bias ? db : nullptr);
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
        gradient.inputs, gradient.outputs);
    *dw = plan->in_layout(gradient.dw(), plan->at(w).layout);
    return 0;
  });
}

}  // extern "C"
