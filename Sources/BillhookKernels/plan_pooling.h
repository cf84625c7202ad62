// What poolings share with the layers that they are fused into.
#ifndef BH_PLAN_POOLING_H
#define BH_PLAN_POOLING_H

#include <optional>

#include "bh_plan.h"
#include "max_pool.h"

namespace billhook {

// What an activation cuts a maximum to, when that is all that it does.
std::optional<PoolBounds> bounds_of(const bh_activation &activation);

}  // namespace billhook

#endif
