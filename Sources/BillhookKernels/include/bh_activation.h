// Functions of one number, applied element by element: the one table of them.
#ifndef BH_ACTIVATION_H
#define BH_ACTIVATION_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

#define BH_ACTIVATION_NONE 0
#define BH_ACTIVATION_RELU 1
#define BH_ACTIVATION_CLIP 2          // to [alpha, beta]
#define BH_ACTIVATION_SIGMOID 3
#define BH_ACTIVATION_LINEAR 4        // alpha x + beta
#define BH_ACTIVATION_HARD_SIGMOID 5  // alpha x + beta, clipped to [0, 1]
#define BH_ACTIVATION_HARD_SWISH 6    // x times that
#define BH_ACTIVATION_GELU 7          // x Phi(x), Phi by the error function
#define BH_ACTIVATION_GELU_TANH 8     // its approximation by tanh
#define BH_ACTIVATION_SWISH 9         // x sigmoid(alpha x)
#define BH_ACTIVATION_ERF 10
#define BH_ACTIVATION_TANH 11
#define BH_ACTIVATION_EXP 12
#define BH_ACTIVATION_LOG 13
#define BH_ACTIVATION_SQRT 14
#define BH_ACTIVATION_ABS 15
#define BH_ACTIVATION_RECIPROCAL 16
#define BH_ACTIVATION_POWER 17        // x^alpha
#define BH_ACTIVATION_LEAKY_RELU 18   // alpha x below 0
#define BH_ACTIVATION_ELU 19          // alpha (e^x - 1) below 0
#define BH_ACTIVATION_SOFTPLUS 20     // log(1 + e^x)
#define BH_ACTIVATION_MISH 21         // x tanh(softplus(x))
#define BH_ACTIVATION_SOFTSIGN 22     // x / (1 + |x|)
#define BH_ACTIVATION_FLOOR 23
#define BH_ACTIVATION_CEIL 24
#define BH_ACTIVATION_ROUND 25        // halves to even
#define BH_ACTIVATION_SIN 26
#define BH_ACTIVATION_COS 27
#define BH_ACTIVATION_COUNT 28

typedef struct bh_activation {
  int32_t kind;
  float alpha, beta;
} bh_activation;

// y[i] = the functions, one after the other, of x[i]. x and y may be the same. Within 4 ulp of the
// scalar form for each function, or within 2.4e-7 (1 + min(|x|, 100)) where that is more: GELU and
// Swish lose digits where they are small beside x. SIN and COS for |x| <= 1000. [any]
void bh_activate_f32(const bh_activation *functions, int32_t count, const float *x, float *y,
                     int64_t n);
// One function of one number, computed in double.
float bh_activate_scalar(bh_activation function, float x);

// dx[i] = dy[i] times the function's slope at x[i], 0 where dy[i] is; dx may be x or dy. The slope is
// 0 where CLIP and its like cut and for the functions in steps, and that of the right side at the
// corners of LEAKY_RELU and ELU. It is within 1e-6 (1 + |slope|) of the scalar form's. [any]
void bh_activation_gradient_f32(bh_activation function, const float *x, const float *dy, float *dx,
                                int64_t n);
// The slope of one function at one number, computed in double.
float bh_activation_slope_scalar(bh_activation function, float x);

#ifdef __cplusplus
}
#endif
#endif
