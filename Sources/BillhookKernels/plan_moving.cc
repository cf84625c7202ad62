// Operators that only move elements, by a list of where each comes from.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "parallel.h"
#include "plan.h"

using namespace billhook;

namespace {

// `count` elements from `source` on, side by side in both; from nowhere when it is negative.
struct Run {
  int64_t target, source, count;
};

struct Picked {
  Dims from;
  std::vector<Run> runs;
  int64_t count;
  bool repeats;  // an element goes to more than one place
};

std::vector<Run> runs_of(const int64_t *source, int64_t count) {
  std::vector<Run> runs;
  for (int64_t i = 0; i < count; i++) {
    const int64_t at = source[i] < 0 ? -1 : source[i];
    if (!runs.empty()) {
      Run &last = runs.back();
      if (at < 0 ? last.source < 0 : last.source >= 0 && last.source + last.count == at) {
        last.count++;
        continue;
      }
    }
    runs.push_back({i, at, 1});
  }
  return runs;
}

int64_t elements(const Dims &dims) {
  return std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

extern "C" {

int32_t bh_plan_pick(bh_plan *plan, int32_t x, int32_t rank, const int64_t *dims,
                     const int64_t *source, float fill) {
  return plan->guarded([&] {
    x = plan->plain(x);
    auto picked = std::make_shared<Picked>();
    const Dims shape = dims_of(rank, dims);
    picked->from = plan->at(x).dims;
    picked->count = elements(shape);
    const int64_t most = elements(picked->from);
    std::vector<bool> is_used(most);
    picked->repeats = false;
    for (int64_t i = 0; i < picked->count; i++) {
      if (source[i] >= most)
        throw PlanFailure("Element " + std::to_string(source[i]) + " of a value of " +
                          std::to_string(most) + " elements cannot be picked.");
      if (source[i] < 0) continue;
      picked->repeats = picked->repeats || is_used[source[i]];
      is_used[source[i]] = true;
    }
    picked->runs = runs_of(source, picked->count);
    const int32_t y = plan->add_intermediate(shape, plain_layout(shape, memory::data_type::f32));
    // Runs are not shared out where there are too few elements in all.
    const auto runs = static_cast<int64_t>(picked->runs.size());
    const int64_t grain =
        std::max<int64_t>(1, bh::streaming_grain * runs / std::max<int64_t>(picked->count, 1));
    plan->add_call("Pick", {x}, {y}, [=] {
      const auto *from = static_cast<const float *>(plan->data(x));
      auto *to = static_cast<float *>(plan->data(y));
      bh::parallel_for(runs, grain, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
          const Run &run = picked->runs[r];
          if (run.source < 0)
            std::fill_n(to + run.target, run.count, fill);
          else if (run.count == 1)
            to[run.target] = from[run.source];
          else
            std::memcpy(to + run.target, from + run.source, run.count * sizeof(float));
        }
      });
    });
    plan->at(y).forward = picked;
    return y;
  });
}

int32_t bh_plan_pick_backward(bh_plan *plan, int32_t dy, int32_t y) {
  return plan->guarded([&] {
    const auto picked = std::static_pointer_cast<Picked>(plan->at(y).forward);
    if (!picked) throw PlanFailure("The value's elements were not picked from another.");
    dy = plan->plain(dy);
    const int32_t dx =
        plan->add_intermediate(picked->from, plain_layout(picked->from, memory::data_type::f32));
    const int64_t count = elements(picked->from);
    plan->add_call("PickBackward", {dy}, {dx}, [=] {
      const auto *from = static_cast<const float *>(plan->data(dy));
      auto *to = static_cast<float *>(plan->data(dx));
      bh::parallel_for(count, bh::streaming_grain, [&](int64_t begin, int64_t end) {
        std::fill(to + begin, to + end, 0.f);
      });
      // Elements that go to several places are added up in the order of these, on one thread.
      const auto runs = static_cast<int64_t>(picked->runs.size());
      const int64_t grain =
          picked->repeats ? runs
                          : std::max<int64_t>(1, bh::streaming_grain * runs / picked->count);
      bh::parallel_for(runs, grain, [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
          const Run &run = picked->runs[r];
          if (run.source < 0) continue;
          for (int64_t i = 0; i < run.count; i++) to[run.source + i] += from[run.target + i];
        }
      });
    });
    return dx;
  });
}

}  // extern "C"
