// Resizing of images, in the layout that they have.
#include "plan.h"
#include "resize.h"

using namespace billhook;

extern "C" {

int32_t bh_plan_resize(bh_plan *plan, int32_t x, const bh_resize_axis *axes) {
  return plan->guarded([&] {
    if (plan->unflattened(x) != x) x = plan->plain(x);
    if (plan->at(x).dims.size() != 4)
      throw PlanFailure("A value of shape " + text(plan->at(x).dims) +
                        " cannot be resized; it must be [N, C, H, W].");
    int64_t block = interleaved_channels(plan->at(x));
    if (block != 1 && block != 8 && block != 16) {
      x = plan->plain(x);
      block = 1;
    }
    Dims dims = plan->at(x).dims;
    auto axis = [&](int index) {
      const bh_resize_axis &given = axes[index];
      ResizeAxis result{dims[2 + index], given.out, given.taps, {}, {}};
      result.indices.assign(given.indices, given.indices + given.out * given.taps);
      result.weights.assign(given.weights, given.weights + given.out * given.taps);
      for (int32_t place : result.indices)
        if (place < 0 || place >= result.in)
          throw PlanFailure("There is no place " + std::to_string(place) + " on an axis of " +
                            std::to_string(result.in) + ".");
      return result;
    };
    const ResizeAxis rows = axis(0), columns = axis(1);
    const int64_t images = dims[0] * ((dims[1] + block - 1) / block);
    dims[2] = rows.out;
    dims[3] = columns.out;
    const auto layout =
        block == 1 ? plain_layout(dims, memory::data_type::f32)
                   : memory::desc(dims, memory::data_type::f32,
                                  block == 16 ? memory::format_tag::nChw16c
                                              : memory::format_tag::nChw8c);
    const int32_t y = plan->add_intermediate(dims, layout);
    plan->add_call("Resize", {x}, {y}, [=] {
      resize(images, block, rows, columns, static_cast<const float *>(plan->data(x)),
             static_cast<float *>(plan->data(y)));
    });
    return y;
  });
}

}  // extern "C"
