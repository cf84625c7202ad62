// Matrices with a gap behind each row. Rows that lie a large power of two apart share a few sets of
// the cache and push each other out when a product goes down the columns; a cache line more between
// them helps. The benchmark train-step-transformer has such products, of rows 4 KiB apart.
#ifndef BH_PLAN_SPACED_ROWS_H
#define BH_PLAN_SPACED_ROWS_H

#include "plan.h"

namespace billhook {

// Rows of fewer floats need no gaps for a product that goes down the columns of its left factor, or
// of its right one.
constexpr int64_t kShortestLeftRow = 256, kShortestRightRow = 512;

// A matrix of rows that lie `step` floats apart.
memory::desc row_layout(int64_t rows, int64_t columns, int64_t step);
// The floats between the starts of two rows of a matrix.
int64_t row_step(const Value &matrix);

// The matrix with gaps for a product that goes down its columns and does so `uses` times; the matrix
// itself where gaps would not help. `shortest`: of the rows that get gaps.
int32_t with_gaps(bh_plan *plan, int32_t matrix, int64_t uses, int64_t shortest);

// The same rows with gaps, if the plan has them already; else the matrix itself.
int32_t with_known_gaps(bh_plan *plan, int32_t matrix);

// For an operation that writes `value` and at no cost with gaps too: where it may do so, or NONE. It
// need write only what `is_read` tells when the plan runs.
int32_t add_gapped_twin(bh_plan *plan, int32_t value);
bool is_read(const bh_plan *plan, int32_t value);

}  // namespace billhook

#endif
