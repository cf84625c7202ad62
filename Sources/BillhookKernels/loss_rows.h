// The loops over one row of logits.
#ifndef BH_LOSS_ROWS_H
#define BH_LOSS_ROWS_H
#include <stdint.h>

namespace bh {

// One row of bh_distillation_loss_f32. Null teacher: no KL term; label < 0: no cross-entropy.
struct DistillationRow {
  const float *student, *teacher;
  int64_t classes;
  float inverse_temperature;
  int64_t label;
  float soft_factor;  // of softmax(student/T) - softmax(teacher/T) in the gradient
  float hard_factor;  // of softmax(student) - onehot(label)
  float *gradient;    // [classes]; null = not wanted
  float *scratch;     // [3, scratch_stride]
  int64_t scratch_stride;
};

struct DistillationRowLoss {
  double divergence, cross_entropy;
};

DistillationRowLoss distillation_row(const DistillationRow &row);

// out = softmax(x * inverse_temperature), or its logarithm. out may be x.
void softmax_row(const float *x, int64_t classes, float inverse_temperature, bool logarithm,
                 float *out);

}  // namespace bh
#endif
