// Losses: how far a student's answers are from the teacher's, or from the labels.
#ifndef BILLHOOK_LOSS_H
#define BILLHOOK_LOSS_H

#include "billhook/host.h"

// A label that does not count.
#define BH_LABEL_IGNORED (-100)

// One batch of N samples. Made by the host; every pointer is borrowed until the call returns.
//
// The loss is a sum, not a mean: with l_i the loss of sample i and w_i its weight, the plugin
// writes the sum of w_i l_i, the sum of the w_i that counted, and d(sum of w_i l_i)/d student
// times `grad_scale`. So a batch may be cut without changing the result.
typedef struct bh_loss_io {
  uint32_t struct_size;               // sizeof(bh_loss_io) as the host compiled it
  uint32_t reserved;                  // 0
  const bh_tensor *student;           // logits [N, C], float32; never null
  const bh_tensor *teacher;           // logits [N, C], float32, a constant; null without a teacher
  const bh_tensor *labels;            // [N], int32, 0 to C - 1 or BH_LABEL_IGNORED; null without
  const bh_tensor *sample_weight;     // [N], float32, at least 0; null: all 1
  double grad_scale;                  // factor of the gradient
  uint64_t step;                      // of the training run, from 0
  uint64_t total_steps;               // of the training run; 0 when not known
  double *loss_sum_out;               // never null; write it, do not add to it
  double *weight_sum_out;             // never null; write it, do not add to it
  const bh_tensor *grad_student_out;  // [N, C], float32; never null; write it, do not add to it
} bh_loss_io;

typedef struct bh_loss {
  uint32_t struct_size;               // sizeof(bh_loss) as the plugin compiled it
  uint32_t reserved;                  // 0

  // Computes loss and gradient of one batch; both must be finite.
  //
  // Returns BH_OK; or host->fail(...), such as BH_E_INVALID_ARG without a teacher or labels.
  // [inst]
  bh_status (*compute)(void *self, bh_call *call, const bh_loss_io *io);
} bh_loss;

#endif
