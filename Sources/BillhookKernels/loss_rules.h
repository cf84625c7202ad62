// What bh_distillation must fulfil; the fast kernel and the reference refuse the same.
#ifndef BH_LOSS_RULES_H
#define BH_LOSS_RULES_H
#include "bh_loss.h"

namespace bh {

inline bool is_valid(const bh_distillation &task) {
  if (task.rows < 0 || task.classes < 0) return false;
  if (!(task.temperature > 0) || !(task.alpha >= 0 && task.alpha <= 1)) return false;
  if (task.rows == 0) return true;
  if (task.classes == 0 || task.student == nullptr) return false;
  if (task.alpha < 1 && task.teacher == nullptr) return false;
  if (task.alpha > 0) {
    if (task.labels == nullptr) return false;
    for (int64_t i = 0; i < task.rows; i++) {
      const int64_t label = task.labels[i];
      if (label != BH_LABEL_IGNORED && (label < 0 || label >= task.classes)) return false;
    }
  }
  return true;
}

}  // namespace bh
#endif
