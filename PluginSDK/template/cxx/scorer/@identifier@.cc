// @name@: a scorer. Say here what a high score means, and where the method comes from.
#include <billhook/billhook.hpp>

namespace {

auto exponent_parameter =
    billhook::parameter<double>("exponent", "The power that |w| is raised to.")
        .default_value(1)
        .range(0.1, 8);

class scorer {
 public:
  explicit scorer(const billhook::values &values) : exponent_(values[exponent_parameter]) {}

  // Calls may overlap: nothing here is written but the scores.
  void score(billhook::call call, billhook::layer layer, const bh_score_in &in,
             billhook::tensor scores_out) const {
    const auto weight = billhook::tensor(in.weight).elements<const float>();
    const auto scores = scores_out.elements<float>();
    // The host's kernels are vectorised, threaded and give the same bytes on any number of threads.
    if (in.granularity == BH_GRANULARITY_ELEMENT) {
      call.check(call.kernels().abs_power(call.raw(), weight.data(),
                                          static_cast<int64_t>(weight.size()), exponent_,
                                          scores.data()));
      return;
    }
    const auto [outer, channels, inner] = layer.around(layer->out_axis);
    call.check(call.kernels().abs_power_sums(call.raw(), weight.data(), outer, channels, inner,
                                             exponent_, scores.data()));
  }

 private:
  double exponent_;
};

}  // namespace

BILLHOOK_MODULE(
    billhook::module("org.example.@name@.module", "1.0.0", "Example", "0BSD")
        .add(billhook::scorer<scorer>("org.example.@name@")
                 .name("@name@")
                 .summary("Weights near 0 matter least.")
                 .caps(BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_CHUNKED |
                       BH_CAP_DATA_FREE | BH_CAP_GLOBAL_SCALE)
                 .granularities(BH_GRANULARITY_BIT_ELEMENT | BH_GRANULARITY_BIT_OUT_CHANNEL)
                 .parameters(exponent_parameter)))
