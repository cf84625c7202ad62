// The numbers of an Adam step that do not depend on the element, made in double once a step.
#ifndef BH_OPTIMIZER_FACTORS_H
#define BH_OPTIMIZER_FACTORS_H
#include <math.h>

#include "bh_optimizer.h"

namespace bh {

struct AdamFactors {
  float rest1, rest2;  // 1 - beta
  float rate;          // learning rate over the first bias correction
  float root;          // 1 / sqrt of the second bias correction
  float penalty;       // L2 penalty added to the gradient
  float shrink;        // decoupled decay of the weight

  explicit AdamFactors(const bh_adam &options) {
    const double step = static_cast<double>(options.step);
    rest1 = static_cast<float>(1 - static_cast<double>(options.beta1));
    rest2 = static_cast<float>(1 - static_cast<double>(options.beta2));
    rate = static_cast<float>(options.learning_rate / (1 - pow(options.beta1, step)));
    root = static_cast<float>(1 / sqrt(1 - pow(options.beta2, step)));
    penalty = options.decoupled != 0 ? 0 : options.weight_decay;
    shrink = options.decoupled != 0 ? options.learning_rate * options.weight_decay : 0;
  }
};

}  // namespace bh
#endif
