// What poolings share with the layers that they are fused into.
#ifndef BH_PLAN_POOLING_H
#define BH_PLAN_POOLING_H

#include <optional>

#include "bh_plan.h"
#include "max_pool.h"
#include "plan.h"

namespace billhook {

// A pooling over the last two of four axes without holes, or nothing; also when a window lies
// wholly in the padding, where there is no maximum.
std::optional<PoolShape> pool_shape(const Dims &xs, const Dims &ys, const bh_window &window,
                                    int64_t planes, int64_t block);

// The integers that a quantization rounds to.
bh::QuantizedRange range_of(const bh_quantization &quantization);

}  // namespace billhook

#endif
