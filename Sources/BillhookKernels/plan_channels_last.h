// The layout of quantized activations: channels last, so that a window's row is one run of memory.
#ifndef BH_PLAN_CHANNELS_LAST_H
#define BH_PLAN_CHANNELS_LAST_H

#include "plan.h"

namespace billhook {

inline memory::desc channels_last(const Dims &dims, memory::data_type type) {
  if (dims.size() < 3) return plain_layout(dims, type);
  Dims strides(dims.size());
  strides[1] = 1;
  int64_t step = dims[1];
  for (size_t i = dims.size() - 1; i >= 2; i--) {
    strides[i] = step;
    step *= dims[i];
  }
  strides[0] = step;
  return memory::desc(dims, type, strides);
}

inline int32_t byte_type(memory::data_type type) {
  if (type == memory::data_type::u8) return BH_TYPE_U8;
  if (type == memory::data_type::s8) return BH_TYPE_S8;
  throw PlanFailure("An integer layer needs int8 or uint8 inputs.");
}

}  // namespace billhook

#endif
