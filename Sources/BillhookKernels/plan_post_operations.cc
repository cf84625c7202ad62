#include "plan_post_operations.h"

namespace billhook {

using dnnl::algorithm;

int32_t append_functions(dnnl::post_ops &steps, const bh_activation *functions, int32_t count) {
  if (count == 0) return 0;
  const bh_activation &f = functions[0];
  const auto append = [&](algorithm kind, float alpha, float beta) {
    steps.append_eltwise(1, kind, alpha, beta);
    return 1;
  };
  switch (f.kind) {
    case BH_ACTIVATION_NONE: return 1;
    case BH_ACTIVATION_RELU: return append(algorithm::eltwise_relu, 0, 0);
    case BH_ACTIVATION_LEAKY_RELU: return append(algorithm::eltwise_relu, f.alpha, 0);
    case BH_ACTIVATION_CLIP: return append(algorithm::eltwise_clip_v2, f.alpha, f.beta);
    case BH_ACTIVATION_SIGMOID: return append(algorithm::eltwise_logistic, 0, 0);
    case BH_ACTIVATION_LINEAR: return append(algorithm::eltwise_linear, f.alpha, f.beta);
    case BH_ACTIVATION_SWISH: return append(algorithm::eltwise_swish, f.alpha, 0);
    case BH_ACTIVATION_TANH: return append(algorithm::eltwise_tanh, 0, 0);
    case BH_ACTIVATION_ELU: return append(algorithm::eltwise_elu, f.alpha, 0);
    case BH_ACTIVATION_HARD_SIGMOID:
      append(algorithm::eltwise_linear, f.alpha, f.beta);
      return append(algorithm::eltwise_clip_v2, 0, 1);
    case BH_ACTIVATION_HARD_SWISH:
      // The library has no other.
      if (f.alpha != 1.0f / 6 || f.beta != .5f || steps.len() > 0) return 0;
      return append(algorithm::eltwise_hardswish, 0, 0);
  }
  return 0;
}

}  // namespace billhook
