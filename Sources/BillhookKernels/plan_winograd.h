// Convolutions of a plan that run by Winograd's filtering instead of oneDNN's primitives.
//
// Which ones do is a function of the shapes alone: 3x3 windows of stride 1 without holes or groups,
// at least 8 channels on both sides, and by winograd_tile fewer multiplications.
#ifndef BH_PLAN_WINOGRAD_H
#define BH_PLAN_WINOGRAD_H

#include "plan.h"

namespace billhook {

// y = functions(conv(x, w) + bias + residual), or BH_PLAN_NONE when the shapes do not fit.
int32_t winograd_conv(bh_plan *plan, int32_t x, int32_t w, int32_t bias, const bh_window &window,
                      const Dims &y_dims, int32_t residual, const bh_activation *functions,
                      int32_t count);
// The gradient by x, or BH_PLAN_NONE.
int32_t winograd_backward_data(bh_plan *plan, int32_t dy, int32_t w, int32_t x,
                               const bh_window &window);

}  // namespace billhook

#endif
