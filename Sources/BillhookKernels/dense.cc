// dense.h: register tiles over weights that lie in panels of two vectors' width.
#include "dense.h"

#include <algorithm>
#include <cstring>

#include "parallel.h"
#include "vector_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "dense.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "activation-inl.h"
#include "dense_tiles-inl.h"

HWY_BEFORE_NAMESPACE();
namespace billhook {
namespace HWY_NAMESPACE {

int64_t DensePanelWidth() { return tiles::kPanel; }

// Rows [row, row_end) of the panels [begin, end).
void DenseBlock(const DenseShape &shape, const float *x, const float *packed,
           const DenseEpilogue &epilogue, int64_t row, int64_t row_end, int64_t begin, int64_t end,
           int64_t depth, float *y) {
  for (int64_t first = 0; first < shape.inputs; first += depth) {
    const tiles::Part part{x + first,
              shape.inputs,
              packed + first * tiles::kPanel,
              shape.inputs * tiles::kPanel,
              std::min(depth, shape.inputs - first),
              first == 0,
              first + depth >= shape.inputs,
              epilogue.bias,
              epilogue.residual,
              y,
              shape.outputs};
    tiles::Strips(part, row, row_end, begin, end, shape.outputs, [&](int64_t r, int64_t rows) {
      if (!part.is_last || epilogue.function_count == 0) return;
      const int64_t column = begin * tiles::kPanel;
      const int64_t columns = std::min(shape.outputs, end * tiles::kPanel) - column;
      for (int64_t n = r; n < r + rows; n++) {
        float *span = y + n * shape.outputs + column;
        Activate(epilogue.functions, epilogue.function_count, span, span, columns);
      }
    });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace billhook
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace billhook {
HWY_EXPORT(DensePanelWidth);
HWY_EXPORT(DenseBlock);

namespace {

// A part of the inputs is at most so long, so that a panel's part and the rows' stay in the nearest
// cache.
constexpr int64_t kDepth = 512;
// Rows and outputs of a task: their weights fit the second cache, and there are enough tasks to
// share out.
constexpr int64_t kTaskRows = 96;
constexpr int64_t kTaskOutputs = 128;
// Multiplications that are not worth waking a thread for.
constexpr int64_t kGrain = 1 << 17;
// Numbers that are not worth it when they are only moved.
constexpr int64_t kPackGrain = 1 << 15;

}  // namespace

int64_t dense_packed_count(int64_t inputs, int64_t outputs) {
  const int64_t panel = HWY_DYNAMIC_DISPATCH(DensePanelWidth)();
  return (outputs + panel - 1) / panel * panel * inputs;
}

void dense_pack(const float *w, int64_t inputs, int64_t outputs, int64_t input_step,
                int64_t output_step, float *packed) {
  const int64_t panel = HWY_DYNAMIC_DISPATCH(DensePanelWidth)();
  const int64_t panels = (outputs + panel - 1) / panel;
  const int64_t grain = std::max<int64_t>(1, kPackGrain / (panel * inputs));
  bh::parallel_for(panels, grain, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p++) {
      const float *from = w + p * panel * output_step;
      float *target = packed + p * panel * inputs;
      const int64_t own = std::min(panel, outputs - p * panel);
      for (int64_t k = 0; k < inputs; k++, from += input_step, target += panel) {
        for (int64_t c = 0; c < own; c++) target[c] = from[c * output_step];
        for (int64_t c = own; c < panel; c++) target[c] = 0;
      }
    }
  });
}

void dense(const DenseShape &shape, const float *x, const float *packed,
           const DenseEpilogue &epilogue, float *y) {
  const int64_t panel = HWY_DYNAMIC_DISPATCH(DensePanelWidth)();
  const int64_t panels = (shape.outputs + panel - 1) / panel;
  const int64_t parts = (shape.inputs + kDepth - 1) / kDepth;
  const int64_t depth = (shape.inputs + parts - 1) / parts;
  const int64_t width = std::max<int64_t>(1, kTaskOutputs / panel);
  const int64_t columns = (panels + width - 1) / width;
  const int64_t strips = (shape.rows + kTaskRows - 1) / kTaskRows;
  const int64_t work =
      std::min(shape.rows, kTaskRows) * std::min(shape.outputs, kTaskOutputs) * shape.inputs;
  const int64_t grain = std::max<int64_t>(1, kGrain / std::max<int64_t>(work, 1));
  bh::parallel_for(columns * strips, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t column = task / strips * width, row = task % strips * kTaskRows;
      HWY_DYNAMIC_DISPATCH(DenseBlock)
      (shape, x, packed, epilogue, row, std::min(row + kTaskRows, shape.rows), column,
       std::min(column + width, panels), depth, y);
    }
  });
}

}  // namespace billhook
#endif  // HWY_ONCE
