// Optimiser steps, one fused pass over weights, gradient and state. float32, n elements.
//
// weights, state and mask are arrays of n, aligned as their type, that do not overlap. keep is null or
// one byte an element: where it is 0 the element is pruned, and weight and state are set to 0.
// No fused multiply-add: the same bits for every number of threads and every instruction set, and
// those of the `_scalar` references.
#ifndef BH_OPTIMIZER_H
#define BH_OPTIMIZER_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

typedef struct bh_sgd {
  float learning_rate;
  float momentum;      // 0 ... 1; 0 = plain, and velocity may be null
  float weight_decay;  // L2 penalty, added to the gradient
  int32_t nesterov;    // not 0: look ahead along the velocity
} bh_sgd;

// g' = gradient * gradient_scale + weight_decay * w;  v = momentum * v + g';
// w -= learning_rate * (nesterov ? g' + momentum * v : v).
//
// velocity starts as zeros. gradient_scale is 1, or what clips the gradient's norm.
//
// Source: Sutskever, Martens, Dahl and Hinton, On the importance of initialization and momentum in
// deep learning, ICML 2013, section 2. Deviation: the learning rate multiplies the velocity when it is
// used, not when it is made, so that a changing rate acts at once. [any]
void bh_sgd_step_f32(const bh_sgd *options, float gradient_scale, const float *gradient,
                     const uint8_t *keep, float *weights, float *velocity, int64_t n);
void bh_sgd_step_f32_scalar(const bh_sgd *options, float gradient_scale, const float *gradient,
                            const uint8_t *keep, float *weights, float *velocity, int64_t n);

typedef struct bh_adam {
  float learning_rate;
  float beta1;         // decay of the first moment, 0 ... 1, usually 0.9
  float beta2;         // decay of the second moment, 0 ... 1, usually 0.999
  float epsilon;       // > 0, usually 1e-8
  float weight_decay;
  int32_t decoupled;   // not 0: AdamW, w -= learning_rate * weight_decay * w first; 0: L2 penalty
  int64_t step;        // number of this step, from 1
} bh_adam;

// m = beta1 * m + (1 - beta1) * g;  v = beta2 * v + (1 - beta2) * g^2;
// w -= learning_rate / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + epsilon).
//
// first_moment (m) and second_moment (v) start as zeros; g = gradient * gradient_scale (plus
// weight_decay * w for the L2 form).
//
// Source: Kingma and Ba, Adam, ICLR 2015, algorithm 1, arXiv:1412.6980; Loshchilov and Hutter,
// Decoupled Weight Decay Regularization, ICLR 2019, algorithm 2, arXiv:1711.05101. [any]
void bh_adam_step_f32(const bh_adam *options, float gradient_scale, const float *gradient,
                      const uint8_t *keep, float *weights, float *first_moment,
                      float *second_moment, int64_t n);
void bh_adam_step_f32_scalar(const bh_adam *options, float gradient_scale, const float *gradient,
                             const uint8_t *keep, float *weights, float *first_moment,
                             float *second_moment, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
