#include "plan_spaced_rows.h"

using namespace billhook;

namespace {

constexpr int64_t kPeriod = 256, kLine = 16, kLeastRows = 256;  // floats, floats, rows

memory::desc gapped(int64_t rows, int64_t columns) {
  return row_layout(rows, columns, columns + kLine);
}

bool collides(int64_t rows, int64_t columns, int64_t shortest) {
  return columns % kPeriod == 0 && columns >= shortest && rows >= kLeastRows;
}

// The rows along the last axis.
Dims rows_of(const Dims &dims) {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < dims.size(); i++) rows *= dims[i];
  return {rows, dims.back()};
}

}  // namespace

namespace billhook {

memory::desc row_layout(int64_t rows, int64_t columns, int64_t step) {
  return memory::desc({rows, columns}, memory::data_type::f32, Dims{step, 1});
}

int64_t row_step(const Value &matrix) {
  return matrix.layout.data.format_desc.blocking.strides[0];
}

int32_t with_gaps(bh_plan *plan, int32_t matrix, int64_t uses, int64_t shortest) {
  const Dims dims = plan->at(matrix).dims;
  if (plan->at(matrix).kind == Kind::constant || uses < kLeastRows ||
      !collides(dims[0], dims[1], shortest))
    return matrix;
  return plan->in_layout(matrix, gapped(dims[0], dims[1]));
}

int32_t with_known_gaps(bh_plan *plan, int32_t matrix) {
  if (plan->at(matrix).dims.size() < 2) return matrix;
  const Dims dims = rows_of(plan->at(matrix).dims);
  const int32_t known = plan->known(matrix, plain_layout(dims, memory::data_type::f32),
                                    gapped(dims[0], dims[1]));
  return known == BH_PLAN_NONE ? matrix : known;
}

int32_t add_gapped_twin(bh_plan *plan, int32_t value) {
  const Value &written = plan->at(value);
  const auto plain = plain_layout(written.dims, memory::data_type::f32);
  if (!plan->trains || written.dims.size() < 2 || written.layout != plain) return BH_PLAN_NONE;
  const Dims dims = rows_of(written.dims);
  if (!collides(dims[0], dims[1], kShortestLeftRow)) return BH_PLAN_NONE;
  const int32_t twin = plan->add_intermediate(dims, gapped(dims[0], dims[1]));
  plan->remember(value, plain_layout(dims, memory::data_type::f32), twin);
  return twin;
}

bool is_read(const bh_plan *plan, int32_t value) {
  const Value &root = plan->values[plan->values[value].root];
  return root.kept || root.last > root.first;
}

}  // namespace billhook
