// The references of bh_loss.h, in double, straight from the formulas.
#include <math.h>

#include <vector>

#include "bh_loss.h"
#include "exact.h"
#include "loss_rules.h"

namespace {

// log(softmax(x / temperature)) of one row.
std::vector<double> log_softmax(const float *x, int64_t classes, float temperature) {
  double largest = -INFINITY, sum = 0;
  for (int64_t j = 0; j < classes; j++) largest = fmax(largest, x[j]);
  std::vector<double> out(static_cast<size_t>(classes));
  for (int64_t j = 0; j < classes; j++) {
    out[j] = (static_cast<double>(x[j]) - largest) / temperature;
    sum += exp(out[j]);
  }
  for (double &value : out) value -= log(sum);
  return out;
}

}  // namespace

void bh_softmax_f32_scalar(const float *x, int64_t rows, int64_t classes, float temperature,
                           float *out) {
  for (int64_t i = 0; i < rows; i++) {
    const std::vector<double> row = log_softmax(x + i * classes, classes, temperature);
    for (int64_t j = 0; j < classes; j++) out[i * classes + j] = static_cast<float>(exp(row[j]));
  }
}

void bh_log_softmax_f32_scalar(const float *x, int64_t rows, int64_t classes, float temperature,
                               float *out) {
  for (int64_t i = 0; i < rows; i++) {
    const std::vector<double> row = log_softmax(x + i * classes, classes, temperature);
    for (int64_t j = 0; j < classes; j++) out[i * classes + j] = static_cast<float>(row[j]);
  }
}

int32_t bh_distillation_loss_f32_scalar(const bh_distillation *task,
                                        bh_distillation_result *result) {
  if (!bh::is_valid(*task)) return -1;
  *result = bh_distillation_result{0, 0, 0, 0};
  const int64_t classes = task->classes;
  const double alpha = task->alpha, t = task->temperature;
  for (int64_t i = 0; i < task->rows; i++) {
    const double weight =
        static_cast<double>(task->scale) * (task->row_weights ? task->row_weights[i] : 1);
    std::vector<double> gradient(static_cast<size_t>(classes), 0.0);
    double divergence = 0, cross_entropy = 0;
    const float *student = task->student + i * classes;
    if (alpha < 1) {
      const std::vector<double> s = log_softmax(student, classes, task->temperature);
      const std::vector<double> p =
          log_softmax(task->teacher + i * classes, classes, task->temperature);
      for (int64_t j = 0; j < classes; j++) {
        if (exp(p[j]) > 0) divergence += exp(p[j]) * (p[j] - s[j]);
        gradient[j] += (1 - alpha) * t * (exp(s[j]) - exp(p[j]));
      }
    }
    if (alpha > 0 && task->labels[i] != BH_LABEL_IGNORED) {
      const std::vector<double> s = log_softmax(student, classes, 1);
      cross_entropy = -s[task->labels[i]];
      for (int64_t j = 0; j < classes; j++) {
        gradient[j] += alpha * (exp(s[j]) - (j == task->labels[i] ? 1 : 0));
      }
      result->labelled++;
    }
    const double loss = weight * ((1 - alpha) * t * t * divergence + alpha * cross_entropy);
    if (task->row_losses) task->row_losses[i] = loss;
    if (task->gradient) {
      for (int64_t j = 0; j < classes; j++) {
        task->gradient[i * classes + j] = static_cast<float>(weight * gradient[j]);
      }
    }
    result->loss += loss;
    result->divergence += divergence;
    result->cross_entropy += cross_entropy;
  }
  return 0;
}
