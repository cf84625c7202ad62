// The reference of bh_activation.h: slow, obvious, and what the tests compare against.
#include <cmath>

#include "bh_activation.h"

namespace {

double clip(double x, double low, double high) {
  const double raised = x < low ? low : x;
  return raised > high ? high : raised;
}

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double softplus(double x) { return (x > 0 ? x : 0) + std::log1p(std::exp(-std::fabs(x))); }

double of(const bh_activation &f, double x) {
  const double alpha = f.alpha, beta = f.beta;
  switch (f.kind) {
    case BH_ACTIVATION_RELU: return x < 0 ? 0 : x;
    case BH_ACTIVATION_CLIP: return clip(x, alpha, beta);
    case BH_ACTIVATION_SIGMOID: return sigmoid(x);
    case BH_ACTIVATION_LINEAR: return alpha * x + beta;
    case BH_ACTIVATION_HARD_SIGMOID: return clip(alpha * x + beta, 0, 1);
    case BH_ACTIVATION_HARD_SWISH: return x * clip(alpha * x + beta, 0, 1);
    case BH_ACTIVATION_GELU: return x * .5 * std::erfc(-x * std::sqrt(.5));
    case BH_ACTIVATION_GELU_TANH:
      return x * sigmoid(2 * std::sqrt(2 / 3.14159265358979324) * (x + 0.044715 * x * x * x));
    case BH_ACTIVATION_SWISH: return x * sigmoid(alpha * x);
    case BH_ACTIVATION_ERF: return std::erf(x);
    case BH_ACTIVATION_TANH: return std::tanh(x);
    case BH_ACTIVATION_EXP: return std::exp(x);
    case BH_ACTIVATION_LOG: return std::log(x);
    case BH_ACTIVATION_SQRT: return std::sqrt(x);
    case BH_ACTIVATION_ABS: return std::fabs(x);
    case BH_ACTIVATION_RECIPROCAL: return 1 / x;
    case BH_ACTIVATION_POWER: return std::pow(x, alpha);
    case BH_ACTIVATION_LEAKY_RELU: return x < 0 ? alpha * x : x;
    case BH_ACTIVATION_ELU: return x < 0 ? alpha * std::expm1(x) : x;
    case BH_ACTIVATION_SOFTPLUS: return softplus(x);
    case BH_ACTIVATION_MISH: return x * std::tanh(softplus(x));
    case BH_ACTIVATION_SOFTSIGN: return x / (1 + std::fabs(x));
    case BH_ACTIVATION_FLOOR: return std::floor(x);
    case BH_ACTIVATION_CEIL: return std::ceil(x);
    case BH_ACTIVATION_ROUND: return std::nearbyint(x);
    case BH_ACTIVATION_SIN: return std::sin(x);
    case BH_ACTIVATION_COS: return std::cos(x);
    default: return x;
  }
}

// d(x sigmoid(u(x)))/dx, from u and its own slope.
double gated_slope(double x, double u, double slope) {
  const double s = sigmoid(u);
  return s + x * slope * s * (1 - s);
}

double slope_of(const bh_activation &f, double x) {
  const double alpha = f.alpha, beta = f.beta, pi = 3.14159265358979324;
  const double line = alpha * x + beta;
  switch (f.kind) {
    case BH_ACTIVATION_RELU: return x > 0;
    case BH_ACTIVATION_CLIP: return x > alpha && x < beta;
    case BH_ACTIVATION_SIGMOID: return sigmoid(x) * sigmoid(-x);
    case BH_ACTIVATION_LINEAR: return alpha;
    case BH_ACTIVATION_HARD_SIGMOID: return line > 0 && line < 1 ? alpha : 0;
    case BH_ACTIVATION_HARD_SWISH:
      return clip(line, 0, 1) + (line > 0 && line < 1 ? alpha * x : 0);
    case BH_ACTIVATION_GELU:
      return .5 * std::erfc(-x * std::sqrt(.5)) + x * std::exp(-x * x / 2) / std::sqrt(2 * pi);
    case BH_ACTIVATION_GELU_TANH: {
      const double c = 2 * std::sqrt(2 / pi), cubic = 0.044715;
      return gated_slope(x, c * (x + cubic * x * x * x), c * (1 + 3 * cubic * x * x));
    }
    case BH_ACTIVATION_SWISH: return gated_slope(x, alpha * x, alpha);
    case BH_ACTIVATION_ERF: return 2 / std::sqrt(pi) * std::exp(-x * x);
    case BH_ACTIVATION_TANH: return 4 * sigmoid(2 * x) * sigmoid(-2 * x);
    case BH_ACTIVATION_EXP: return std::exp(x);
    case BH_ACTIVATION_LOG: return 1 / x;
    case BH_ACTIVATION_SQRT: return .5 / std::sqrt(x);
    case BH_ACTIVATION_ABS: return (x > 0) - (x < 0);
    case BH_ACTIVATION_RECIPROCAL: return -1 / (x * x);
    case BH_ACTIVATION_POWER: return alpha == 0 ? 0 : alpha * std::pow(x, alpha - 1);
    case BH_ACTIVATION_LEAKY_RELU: return x < 0 ? alpha : 1;
    case BH_ACTIVATION_ELU: return x < 0 ? alpha * std::exp(x) : 1;
    case BH_ACTIVATION_SOFTPLUS: return sigmoid(x);
    case BH_ACTIVATION_MISH: {
      const double t = std::tanh(softplus(x));
      return t + x * (1 - t) * (1 + t) * sigmoid(x);
    }
    case BH_ACTIVATION_SOFTSIGN: return 1 / ((1 + std::fabs(x)) * (1 + std::fabs(x)));
    case BH_ACTIVATION_FLOOR:
    case BH_ACTIVATION_CEIL:
    case BH_ACTIVATION_ROUND: return 0;
    case BH_ACTIVATION_SIN: return std::cos(x);
    case BH_ACTIVATION_COS: return -std::sin(x);
    default: return 1;
  }
}

}  // namespace

float bh_activate_scalar(bh_activation function, float x) {
  return static_cast<float>(of(function, x));
}

float bh_activation_slope_scalar(bh_activation function, float x) {
  return static_cast<float>(slope_of(function, x));
}
