// Dropout in training.
#include "bh_random.h"
#include "bh_threads.h"
#include "plan.h"

using namespace billhook;

namespace {

struct TrainingDropout {
  int keep;  // one byte an element, in the order of the value's layout
  float factor;
};

constexpr int64_t kGrain = 1 << 14;

// out = keep ? in * factor : 0, over `count` stored elements.
void apply(const float *in, const uint8_t *keep, float factor, float *out, int64_t count) {
  struct Job {
    const float *in;
    const uint8_t *keep;
    float factor;
    float *out;
  } job{in, keep, factor, out};
  bh_parallel_for(
      count, kGrain,
      [](int64_t begin, int64_t end, void *context) {
        const auto &job = *static_cast<Job *>(context);
        for (int64_t i = begin; i < end; i++) job.out[i] = job.keep[i] ? job.in[i] * job.factor : 0;
      },
      &job);
}

int64_t stored(bh_plan *plan, int32_t value) {
  return static_cast<int64_t>(plan->at(value).layout.get_size() / sizeof(float));
}

}  // namespace

extern "C" {

int32_t bh_plan_dropout(bh_plan *plan, int32_t x, float ratio, uint64_t seed, uint64_t stream) {
  return plan->guarded([&] {
    if (!(ratio >= 0 && ratio < 1))
      throw PlanFailure("A dropout ratio of " + std::to_string(ratio) + " is not in 0..<1.");
    // Plain order, so that the mask does not depend on the layout that a CPU likes.
    x = plan->plain(x);
    const Dims dims = plan->at(x).dims;
    const int64_t count = stored(plan, x);
    const int32_t y = plan->add_intermediate(dims, plan->at(x).layout);
    const int32_t keep = plan->add_intermediate(dims, plain_layout(dims, memory::data_type::u8));
    const float factor = 1 / (1 - ratio);
    plan->add_call("Dropout", {x}, {y, keep}, [=] {
      auto *mask = static_cast<uint8_t *>(plan->data(keep));
      const uint64_t first = plan->run_count * static_cast<uint64_t>((count + 3) / 4 * 4);
      bh_random_keep_u8(seed, stream, first, ratio, mask, count);
      apply(static_cast<const float *>(plan->data(x)), mask, factor,
            static_cast<float *>(plan->data(y)), count);
    });
    plan->at(y).forward = std::make_shared<TrainingDropout>(TrainingDropout{keep, factor});
    return y;
  });
}

int32_t bh_plan_dropout_backward(bh_plan *plan, int32_t dy, int32_t y) {
  return plan->guarded([&] {
    const auto dropout = std::static_pointer_cast<TrainingDropout>(plan->at(y).forward);
    if (!dropout) throw PlanFailure("The value was not made by a dropout for training.");
    dy = plan->in_layout(dy, plan->at(y).layout);
    const int64_t count = stored(plan, y);
    const int32_t dx = plan->add_intermediate(plan->at(y).dims, plan->at(y).layout);
    const int32_t keep = dropout->keep;
    const float factor = dropout->factor;
    plan->add_call("DropoutBackward", {dy, keep}, {dx}, [=] {
      apply(static_cast<const float *>(plan->data(dy)),
            static_cast<const uint8_t *>(plan->data(keep)), factor,
            static_cast<float *>(plan->data(dx)), count);
    });
    return dx;
  });
}

}  // extern "C"
