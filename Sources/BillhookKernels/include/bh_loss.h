// Softmax and the distillation loss, one fused pass a row. float32, row-major [rows, classes].
//
// Pointers need only the alignment of their type. Results are the same bits for every number of threads; across
// instruction sets and against the `_scalar` references (which compute in double) they agree to a
// few units in the last place, because exp is our own polynomial there.
#ifndef BH_LOSS_H
#define BH_LOSS_H
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

// A label that takes its row out of the cross-entropy term.
#define BH_LABEL_IGNORED (-100)

// out = softmax(x / temperature) of each row. temperature > 0. out may be x. [any]
void bh_softmax_f32(const float *x, int64_t rows, int64_t classes, float temperature, float *out);
void bh_softmax_f32_scalar(const float *x, int64_t rows, int64_t classes, float temperature,
                           float *out);

// out = log(softmax(x / temperature)) of each row. temperature > 0. out may be x. [any]
void bh_log_softmax_f32(const float *x, int64_t rows, int64_t classes, float temperature,
                        float *out);
void bh_log_softmax_f32_scalar(const float *x, int64_t rows, int64_t classes, float temperature,
                               float *out);

// What bh_distillation_loss_f32 works on. Every pointer is borrowed for the call.
typedef struct bh_distillation {
  const float *student;      // logits, [rows, classes]; never null
  const float *teacher;      // logits, [rows, classes]; null only if alpha is 1
  const int64_t *labels;     // [rows], 0 <= label < classes or BH_LABEL_IGNORED; null only if alpha is 0
  const float *row_weights;  // [rows]; null = all 1
  int64_t rows;
  int64_t classes;           // >= 1 unless rows is 0
  float temperature;         // T > 0, softens both distributions of the KL term
  float alpha;               // 0 ... 1, the share of the labelled cross-entropy
  float scale;               // multiplies losses and gradient, for example 1 / rows
  float *gradient;           // d(loss)/d(student), [rows, classes]; null = not wanted. May be
                             // student, not teacher
  double *row_losses;        // [rows], weighted and scaled; null = not wanted
} bh_distillation;

// Sums over the rows, in double and in the order of the rows.
typedef struct bh_distillation_result {
  double loss;           // sum of row_losses
  double divergence;     // sum of KL(softmax(teacher/T) || softmax(student/T)), nats, unweighted
  double cross_entropy;  // sum of -log softmax(student)[label] over labelled rows, nats, unweighted
  int64_t labelled;      // rows whose label is not ignored
} bh_distillation_result;

// row_losses[i] = scale * row_weights[i] * ((1 - alpha) * T^2 * KL_i + alpha * CE_i), and its
// gradient scale * row_weights[i] * ((1 - alpha) * T * (softmax(student/T) - softmax(teacher/T))
// + alpha * (softmax(student) - onehot(label))). An ignored label contributes neither CE nor its
// gradient.
//
// Returns 0; -1 if a rule above is broken (null pointers, T, alpha, or a label out of range), and
// then nothing is written. Logits that are not finite give losses that are not finite; -infinity
// is allowed where it leaves a probability of 0 in the teacher too.
//
// Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, section 2,
// arXiv:1503.02531. We weigh rows and leave the mean to `scale`; the paper leaves both open. [any]
int32_t bh_distillation_loss_f32(const bh_distillation *task, bh_distillation_result *result);
int32_t bh_distillation_loss_f32_scalar(const bh_distillation *task,
                                        bh_distillation_result *result);

#ifdef __cplusplus
}
#endif
#endif
