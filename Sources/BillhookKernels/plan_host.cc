// Operations that the caller computes.
#include "plan.h"

using namespace billhook;

extern "C" {

int32_t bh_plan_host(bh_plan *plan, const char *name, bh_host_call call, void *context,
                     int32_t input_count, const int32_t *inputs, int32_t output_count,
                     const int32_t *ranks, const int64_t *dims, int32_t *outputs) {
  return plan->guarded([&] {
    std::vector<int> reads, writes;
    for (int32_t i = 0; i < input_count; i++) reads.push_back(plan->plain(inputs[i]));
    for (int32_t i = 0; i < output_count; i++) {
      const Dims shape = dims_of(ranks[i], dims);
      dims += ranks[i];
      outputs[i] = plan->add_intermediate(shape, plain_layout(shape, memory::data_type::f32));
      writes.push_back(outputs[i]);
    }
    plan->add_call(name, reads, writes, [plan, name, call, context, reads, writes] {
      std::vector<const void *> from;
      std::vector<void *> to;
      for (int value : reads) from.push_back(plan->data(value));
      for (int value : writes) to.push_back(plan->data(value));
      if (call(context, from.data(), to.data()) != 0)
        throw PlanFailure(std::string(name) + " failed on the host.");
    });
    return 0;
  });
}

int32_t bh_plan_in_layout_of(bh_plan *plan, int32_t gradient, int32_t parameter) {
  return plan->guarded([&] {
    const memory::desc layout = plan->at(parameter).layout;
    if (plan->at(gradient).layout == layout) return gradient;
    return plan->in_layout(plan->with_dims(gradient, layout.dims()), layout);
  });
}

}  // extern "C"
