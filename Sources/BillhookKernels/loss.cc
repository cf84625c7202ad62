// Softmax and the distillation loss over all rows.
#include <math.h>

#include <algorithm>
#include <new>
#include <vector>

#include "bh_loss.h"
#include "exact.h"
#include "loss_rows.h"
#include "loss_rules.h"
#include "parallel.h"

namespace {

// Rows in a piece: about 16 Ki elements, some 40 microseconds of work.
int64_t row_grain(int64_t classes) {
  return std::max<int64_t>(1, 16384 / std::max<int64_t>(1, classes));
}

// Memory of the thread for the exponentials of one row, kept between calls.
float *row_scratch(int64_t floats) {
  static thread_local std::vector<float> scratch;
  if (static_cast<int64_t>(scratch.size()) < floats) scratch.resize(static_cast<size_t>(floats));
  return scratch.data();
}

void softmax(const float *x, int64_t rows, int64_t classes, float temperature, bool logarithm,
             float *out) {
  if (classes <= 0) return;
  bh::parallel_for(rows, row_grain(classes), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      bh::softmax_row(x + i * classes, classes, 1 / temperature, logarithm, out + i * classes);
    }
  });
}

bh::DistillationRow row_of(const bh_distillation &task, int64_t i) {
  const float weight = task.scale * (task.row_weights == nullptr ? 1 : task.row_weights[i]);
  bh::DistillationRow row;
  row.student = task.student + i * task.classes;
  row.teacher = task.alpha < 1 ? task.teacher + i * task.classes : nullptr;
  row.classes = task.classes;
  row.inverse_temperature = 1 / task.temperature;
  row.label = task.alpha > 0 ? task.labels[i] : BH_LABEL_IGNORED;
  row.soft_factor = weight * (1 - task.alpha) * task.temperature;
  row.hard_factor = weight * task.alpha;
  row.gradient = task.gradient == nullptr ? nullptr : task.gradient + i * task.classes;
  // Rows of scratch start at different places of a memory page, so that loads of one do not wait
  // for stores to another.
  row.scratch_stride = (task.classes + 15) / 16 * 16 + 80;
  row.scratch = row_scratch(3 * row.scratch_stride);
  return row;
}

}  // namespace

void bh_softmax_f32(const float *x, int64_t rows, int64_t classes, float temperature, float *out) {
  softmax(x, rows, classes, temperature, false, out);
}

void bh_log_softmax_f32(const float *x, int64_t rows, int64_t classes, float temperature,
                        float *out) {
  softmax(x, rows, classes, temperature, true, out);
}

int32_t bh_distillation_loss_f32(const bh_distillation *task, bh_distillation_result *result) {
  if (!bh::is_valid(*task)) return -1;
  std::vector<bh::DistillationRowLoss> losses;
  try {
    losses.resize(static_cast<size_t>(task->rows));
  } catch (const std::exception &) {
    return -1;
  }
  bh::parallel_for(task->rows, row_grain(task->classes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) losses[i] = bh::distillation_row(row_of(*task, i));
  });
  *result = bh_distillation_result{0, 0, 0, 0};
  const double alpha = task->alpha, t = task->temperature;
  for (int64_t i = 0; i < task->rows; i++) {
    const double weight =
        static_cast<double>(task->scale) * (task->row_weights ? task->row_weights[i] : 1);
    // A term whose share is 0 was not computed and is 0.
    const double loss =
        weight * ((1 - alpha) * t * t * losses[i].divergence + alpha * losses[i].cross_entropy);
    if (task->row_losses) task->row_losses[i] = loss;
    result->loss += loss;
    result->divergence += losses[i].divergence;
    result->cross_entropy += losses[i].cross_entropy;
    if (task->alpha > 0 && task->labels[i] != BH_LABEL_IGNORED) result->labelled++;
  }
  return 0;
}
