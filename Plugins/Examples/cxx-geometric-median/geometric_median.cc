// A scorer in C++: how far an output channel is from all the others.
//
// A channel near the middle of the others can be replaced by them, so it matters least, however
// large its weights are. Source: He, Liu, Wang, Hu and Yang, Filter Pruning via Geometric Median
// for Deep Convolutional Neural Networks Acceleration, 2019, section 3.2, arXiv:1811.00250.
//
// The lesson: a class as a plugin, a parameter with choices, a loop over the host's threads, a
// failure with a text.
#include <billhook/billhook.hpp>
#include <cmath>
#include <string>

namespace {

const char *const distances[] = {"l2", "l1"};
auto distance_parameter =
    billhook::parameter<billhook::choice>("distance", "How the distance of two channels is measured.")
        .choices(distances);

class geometric_median {
 public:
  explicit geometric_median(const billhook::values &values)
      : is_l1_(values[distance_parameter].index == 1) {}

  // Calls may overlap: nothing here is written but the scores.
  void score(billhook::call call, billhook::layer layer, const bh_score_in &in,
             billhook::tensor scores_out) const {
    if (layer->out_axis < 0) {
      throw billhook::failure(BH_E_UNSUPPORTED, "a weight with " + std::to_string(layer->ndim) +
                                                    " axes has no output channels");
    }
    const auto weight = billhook::tensor(in.weight).elements<const float>();
    const auto scores = scores_out.elements<float>();
    const auto view = layer.around(layer->out_axis);
    // One channel's score depends on nothing that another task writes, so the result does not
    // depend on the number of threads.
    call.parallel_for(view.count, 1, [&](billhook::call piece, int64_t begin, int64_t end) {
      for (int64_t channel = begin; channel < end; channel++) {
        piece.check_cancelled();
        double sum = 0;
        for (int64_t other = 0; other < view.count; other++) {
          sum += distance(weight.data(), view, channel, other);
        }
        scores[static_cast<std::size_t>(channel)] = static_cast<float>(sum);
      }
    });
  }

 private:
  double distance(const float *weight, const billhook::axis_view &view, int64_t a,
                  int64_t b) const {
    double sum = 0;
    for (int64_t outer = 0; outer < view.outer; outer++) {
      const float *x = weight + (outer * view.count + a) * view.inner;
      const float *y = weight + (outer * view.count + b) * view.inner;
      for (int64_t inner = 0; inner < view.inner; inner++) {
        const double d = static_cast<double>(x[inner]) - static_cast<double>(y[inner]);
        sum += is_l1_ ? std::fabs(d) : d * d;
      }
    }
    return is_l1_ ? sum : std::sqrt(sum);
  }

  bool is_l1_;
};

}  // namespace

BILLHOOK_MODULE(
    billhook::module("org.example.geometric-median.module", "1.0.0", "Example", "0BSD")
        .add(billhook::scorer<geometric_median>("org.example.geometric-median")
                 .name("Geometric median")
                 .summary("Channels near the middle of the others matter least.")
                 .caps(BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_DATA_FREE)
                 .granularities(BH_GRANULARITY_BIT_OUT_CHANNEL)
                 .parameters(distance_parameter)))
