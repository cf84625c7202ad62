// The references of bh_optimizer.h, and the factors that a step shares with its fast form.
#include <math.h>

#include "bh_optimizer.h"
#include "exact.h"
#include "optimizer_factors.h"

void bh_sgd_step_f32_scalar(const bh_sgd *options, float gradient_scale, const float *gradient,
                            const uint8_t *keep, float *weights, float *velocity, int64_t n) {
  for (int64_t i = 0; i < n; i++) {
    const float w = weights[i];
    const float g = gradient[i] * gradient_scale + options->weight_decay * w;
    float direction = g, v = 0;
    if (velocity != nullptr) {
      v = options->momentum * velocity[i] + g;
      direction = options->nesterov != 0 ? g + options->momentum * v : v;
    }
    const bool kept = keep == nullptr || keep[i] != 0;
    weights[i] = kept ? w - options->learning_rate * direction : 0;
    if (velocity != nullptr) velocity[i] = kept ? v : 0;
  }
}

void bh_adam_step_f32_scalar(const bh_adam *options, float gradient_scale, const float *gradient,
                             const uint8_t *keep, float *weights, float *first_moment,
                             float *second_moment, int64_t n) {
  const bh::AdamFactors f(*options);
  for (int64_t i = 0; i < n; i++) {
    float w = weights[i];
    const float g = gradient[i] * gradient_scale + f.penalty * w;
    const float m = options->beta1 * first_moment[i] + f.rest1 * g;
    const float v = options->beta2 * second_moment[i] + f.rest2 * (g * g);
    w = w - f.shrink * w;
    w = w - f.rate * m / (sqrtf(v) * f.root + options->epsilon);
    const bool kept = keep == nullptr || keep[i] != 0;
    weights[i] = kept ? w : 0;
    first_moment[i] = kept ? m : 0;
    second_moment[i] = kept ? v : 0;
  }
}
