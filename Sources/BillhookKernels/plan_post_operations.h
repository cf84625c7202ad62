// What oneDNN computes behind one of its kernels, while the output is in registers.
#ifndef BH_PLAN_POST_OPERATIONS_H
#define BH_PLAN_POST_OPERATIONS_H

#include "plan.h"

namespace billhook {

// Appends the first of the functions, if oneDNN knows it. Returns how many are done, 0 or 1: of two
// functions version 2.6 computes the second with numbers of the first.
int32_t append_functions(dnnl::post_ops &steps, const bh_activation *functions, int32_t count);

// A layout that a primitive may choose.
inline memory::desc any(const Dims &dims, memory::data_type type = memory::data_type::f32) {
  return memory::desc(dims, type, memory::format_tag::any);
}

// The layout of the first rows of a tensor.
inline memory::desc rows_of(const memory::desc &layout, int64_t rows) {
  Dims dims = layout.dims();
  dims[0] = rows;
  return layout.submemory_desc(dims, Dims(dims.size(), 0));
}

}  // namespace billhook

#endif
