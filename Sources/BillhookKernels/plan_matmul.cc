// Matrix products.
#include <algorithm>

#include "plan.h"
#include "plan_pieces.h"
#include "plan_post_operations.h"
#include "plan_spaced_rows.h"

using namespace billhook;

namespace {

// A matrix of rows that lie `step` floats apart; turned, they are the columns.
memory::desc matrix(int64_t rows, int64_t columns, int64_t step, bool turned) {
  const memory::desc layout = row_layout(rows, columns, step);
  return turned ? layout.permute_axes({1, 0}) : layout;
}

// The product of two matrices of many rows over a fixed partition of those of A as it lies: parts
// of the result, or with A turned parts of the sums. BH_PLAN_NONE where there are too few to share.
int32_t add_matrix_product(bh_plan *plan, int32_t a, int32_t b, int32_t bias, bool turns_a,
                           bool turns_b, const dnnl::post_ops &steps) {
  constexpr int64_t least_rows = 32;
  const int64_t rows = plan->at(a).dims[0];
  const bool sums = turns_a;
  if (rows < least_rows || (sums && (turns_b || bias != BH_PLAN_NONE || steps.len() > 0)))
    return BH_PLAN_NONE;
  const int64_t columns = plan->at(a).dims[1], outputs = plan->at(b).dims[turns_b ? 0 : 1];
  a = turns_a ? with_gaps(plan, a, outputs, kShortestLeftRow) : with_known_gaps(plan, a);
  if (!turns_b) b = with_gaps(plan, b, turns_a ? columns : rows, kShortestRightRow);
  const int64_t a_step = row_step(plan->at(a)), b_step = row_step(plan->at(b));
  const Dims own = plan->at(b).dims;
  const Dims dims{sums ? columns : rows, outputs};
  const int32_t y = plan->add_intermediate(dims, plain_layout(dims, memory::data_type::f32));
  std::vector<PieceOperand> inputs{{DNNL_ARG_SRC, a, true}, {DNNL_ARG_WEIGHTS, b, sums}};
  auto vector = memory::desc();
  if (bias != BH_PLAN_NONE) {
    inputs.push_back({DNNL_ARG_BIAS, bias, false});
    vector = matrix(1, outputs, outputs, false);
  }
  add_pieces(plan, "MatMul", rows,
             [=](int64_t few, dnnl::primitive_attr attributes) -> dnnl::primitive {
               attributes.set_post_ops(steps);
               const auto left = matrix(few, columns, a_step, turns_a);
               const auto right = matrix(sums ? few : own[0], own[1], b_step, turns_b);
               const auto result = matrix(sums ? columns : few, outputs, outputs, false);
               return dnnl::matmul(dnnl::matmul::primitive_desc({left, right, vector, result},
                                                                attributes, engine()));
             },
             inputs, {{DNNL_ARG_DST, y, !sums}});
  return y;
}

// The products of two stacks of as many matrices over a fixed partition of these. BH_PLAN_NONE
// where there are too few, or where one stack is broadcast.
int32_t add_stack_product(bh_plan *plan, int32_t a, int32_t b, bool turns_a, bool turns_b,
                          const dnnl::post_ops &steps) {
  constexpr int64_t least_count = 4, pieces = 16;
  const Dims left = plan->at(a).dims, right = plan->at(b).dims;
  const size_t lead = left.size() - 2;
  if (!std::equal(left.begin(), left.begin() + lead, right.begin())) return BH_PLAN_NONE;
  int64_t count = 1;
  for (size_t i = 0; i < lead; i++) count *= left[i];
  if (count < least_count) return BH_PLAN_NONE;
  auto stack = [lead](int64_t few, const Dims &from, bool turned) {
    const auto layout = plain_layout({few, from[lead], from[lead + 1]}, memory::data_type::f32);
    return turned ? layout.permute_axes({0, 2, 1}) : layout;
  };
  const Dims dims{count, left[turns_a ? lead + 1 : lead], right[turns_b ? lead : lead + 1]};
  auto view = [&](int32_t value, const Dims &from) {
    return plan->add_view(value, {count, from[lead], from[lead + 1]}, stack(count, from, false));
  };
  const int32_t y = plan->add_intermediate(dims, plain_layout(dims, memory::data_type::f32));
  add_pieces(
      plan, "MatMul", count,
      [=](int64_t few, dnnl::primitive_attr attributes) -> dnnl::primitive {
        attributes.set_post_ops(steps);
        const auto result = plain_layout({few, dims[1], dims[2]}, memory::data_type::f32);
        return dnnl::matmul(dnnl::matmul::primitive_desc(
            {stack(few, left, turns_a), stack(few, right, turns_b), result}, attributes, engine()));
      },
      {{DNNL_ARG_SRC, view(a, left), true}, {DNNL_ARG_WEIGHTS, view(b, right), true}},
      {{DNNL_ARG_DST, y, true}}, pieces);
  Dims shape(left.begin(), left.begin() + lead);
  shape.push_back(dims[1]);
  shape.push_back(dims[2]);
  return plan->add_view(y, shape, plain_layout(shape, memory::data_type::f32));
}

// Any product by one primitive; the factors have as many axes.
int32_t add_product(bh_plan *plan, int32_t a, int32_t b, int32_t bias, bool turns_a, bool turns_b,
                    const dnnl::post_ops &steps) {
  const size_t rank = plan->at(a).dims.size();
  auto turned = [&](int32_t value, bool swap) {
    Dims dims = plan->at(value).dims;
    if (!swap) return value;
    std::vector<int> order(rank);
    for (size_t i = 0; i < rank; i++) order[i] = static_cast<int>(i);
    std::swap(order[rank - 1], order[rank - 2]);
    std::swap(dims[rank - 1], dims[rank - 2]);
    return plan->add_view(value, dims, plan->at(value).layout.permute_axes(order));
  };
  a = turned(a, turns_a);
  b = turned(b, turns_b);
  Dims dims = plan->at(a).dims;
  for (size_t i = 0; i + 2 < rank; i++) dims[i] = std::max(dims[i], plan->at(b).dims[i]);
  dims[rank - 1] = plan->at(b).dims[rank - 1];
  const auto layout = plain_layout(dims, memory::data_type::f32);
  dnnl::primitive_attr attributes;
  attributes.set_post_ops(steps);
  std::vector<std::pair<int, int>> inputs{{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}};
  auto vector = memory::desc();
  if (bias != BH_PLAN_NONE) {
    const Dims wide = with_rank(plan->at(bias).dims, rank);
    bias = plan->add_view(bias, wide, plain_layout(wide, memory::data_type::f32));
    vector = plan->at(bias).layout;
    inputs.push_back({DNNL_ARG_BIAS, bias});
  }
  const dnnl::matmul::primitive_desc description(
      {plan->at(a).layout, plan->at(b).layout, vector, layout}, attributes, engine());
  const int32_t y = plan->add_intermediate(dims, layout);
  plan->add_primitive("MatMul", dnnl::matmul(description), inputs, {{DNNL_ARG_DST, y}});
  return y;
}

}  // namespace

extern "C" {

int32_t bh_plan_matmul(bh_plan *plan, int32_t a, int32_t b, int32_t bias, int32_t transpose_a,
                       int32_t transpose_b, const bh_activation *functions, int32_t count) {
  return plan->guarded([&] {
    const bool turns_a = transpose_a != 0, turns_b = transpose_b != 0;
    bias = plan->plain(bias);
    // Both get the same number of axes.
    const size_t rank = std::max(plan->at(a).dims.size(), plan->at(b).dims.size());
    if (rank < 2) throw PlanFailure("A matrix product needs two axes; both factors have fewer.");
    auto factor = [&](int32_t value) {
      value = plan->plain(value);
      const Dims dims = with_rank(plan->at(value).dims, rank);
      if (plan->at(value).dims == dims) return value;
      return plan->add_view(value, dims, plain_layout(dims, memory::data_type::f32));
    };
    a = factor(a);
    b = factor(b);
    const Dims left = plan->at(a).dims, right = plan->at(b).dims;
    if (left[turns_a ? rank - 2 : rank - 1] != right[turns_b ? rank - 1 : rank - 2])
      throw PlanFailure("Matrices " + text(left) + (turns_a ? ", turned," : "") + " and " +
                        text(right) + (turns_b ? ", turned," : "") + " cannot be multiplied.");
    dnnl::post_ops steps;
    const int32_t done = append_functions(steps, functions, count);
    int32_t y = BH_PLAN_NONE;
    if (rank == 2)
      y = add_matrix_product(plan, a, b, bias, turns_a, turns_b, steps);
    else if (bias == BH_PLAN_NONE)
      y = add_stack_product(plan, a, b, turns_a, turns_b, steps);
    if (y == BH_PLAN_NONE) y = add_product(plan, a, b, bias, turns_a, turns_b, steps);
    return bh_plan_activation(plan, y, functions + done, count - done);
  });
}

}  // extern "C"
