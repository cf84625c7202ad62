#include "plan_post_operations.h"

namespace billhook {

using dnnl::algorithm;

int32_t append_functions(dnnl::post_ops &steps, const bh_activation *functions, int32_t count) {
  for (int32_t i = 0; i < count; i++) {
    const bh_activation &f = functions[i];
    if (steps.len() > 30) return i;  // the library takes 32, and a function may be two
    auto append = [&](algorithm kind, float alpha, float beta) {
      steps.append_eltwise(1, kind, alpha, beta);
    };
    switch (f.kind) {
      case BH_ACTIVATION_NONE: break;
      case BH_ACTIVATION_RELU: append(algorithm::eltwise_relu, 0, 0); break;
      case BH_ACTIVATION_LEAKY_RELU: append(algorithm::eltwise_relu, f.alpha, 0); break;
      case BH_ACTIVATION_CLIP: append(algorithm::eltwise_clip_v2, f.alpha, f.beta); break;
      case BH_ACTIVATION_SIGMOID: append(algorithm::eltwise_logistic, 0, 0); break;
      case BH_ACTIVATION_LINEAR: append(algorithm::eltwise_linear, f.alpha, f.beta); break;
      case BH_ACTIVATION_SWISH: append(algorithm::eltwise_swish, f.alpha, 0); break;
      case BH_ACTIVATION_TANH: append(algorithm::eltwise_tanh, 0, 0); break;
      case BH_ACTIVATION_ELU: append(algorithm::eltwise_elu, f.alpha, 0); break;
      case BH_ACTIVATION_HARD_SIGMOID:
        append(algorithm::eltwise_linear, f.alpha, f.beta);
        append(algorithm::eltwise_clip_v2, 0, 1);
        break;
      case BH_ACTIVATION_HARD_SWISH:
        // The library has no other, and version 2.6 makes wrong numbers of it among other functions.
        if (f.alpha != 1.0f / 6 || f.beta != .5f || count != 1 || steps.len() > 0) return i;
        append(algorithm::eltwise_hardswish, 0, 0);
        break;
      default: return i;
    }
  }
  return count;
}

}  // namespace billhook
