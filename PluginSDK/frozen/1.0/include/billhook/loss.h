// Losses: how far a student's answers are from the teacher's, or from the labels.
#ifndef BILLHOOK_LOSS_H
#define BILLHOOK_LOSS_H

#include "billhook/host.h"

// A label that does not count.
#define BH_LABEL_IGNORED (-100)

// bh_plugin.needs of a loss: without it the host refuses the recipe before any work.
#define BH_NEED_TEACHER ((uint64_t)0x10000)
#define BH_NEED_LABELS ((uint64_t)0x20000)
#define BH_NEED_FEATURES ((uint64_t)0x40000)

// bh_loss_io.flags. Unknown bits are ignored.
#define BH_LOSS_WANT_GRAD ((uint32_t)1)  // the gradients are asked for; else they are null

// A tensor inside of the networks that the user paired, batch of N samples first. Frozen.
typedef struct bh_feature {
  const char *name;                    // of the student's tensor; never null
  const bh_tensor *student;            // [N, ...], float32; never null
  const bh_tensor *teacher;            // [N, ...], float32, a constant; its other sizes may differ
  const bh_tensor *grad_student_out;   // shape of student; null without BH_LOSS_WANT_GRAD; write it
} bh_feature;

// One batch of N samples. Made by the host; every pointer is borrowed until the call returns.
//
// The loss is a sum, not a mean: with l_i the loss of sample i and w_i its weight, the plugin
// writes the sum of w_i l_i, the sum of the w_i that counted, and d(sum of w_i l_i)/d student
// times `grad_scale`. So a batch may be cut without changing the result.
typedef struct bh_loss_io {
  uint32_t struct_size;                // sizeof(bh_loss_io) as the host compiled it
  uint32_t flags;                      // BH_LOSS_*
  const bh_tensor *student;            // logits [N, C], float32; never null
  const bh_tensor *teacher;            // logits [N, C], float32, a constant; null without a teacher
  const bh_tensor *labels;             // [N], int32, 0 to C - 1 or BH_LABEL_IGNORED; null without
  const bh_tensor *sample_weight;      // [N], float32, at least 0; null: all 1
  const bh_feature *const *features;   // [n_features], in the recipe's order; null for none
  uint64_t n_features;                 // at least 1 with BH_NEED_FEATURES
  double grad_scale;                   // factor of the gradients
  uint64_t step;                       // of the training run, from 0
  uint64_t total_steps;                // of the training run; 0 when not known
  double *loss_sum_out;                // never null; write it, do not add to it
  double *weight_sum_out;              // never null; write it, do not add to it
  const bh_tensor *grad_student_out;   // [N, C], float32; null without BH_LOSS_WANT_GRAD; write it,
                                       // do not add to it
  const void *next;                    // null; a plugin ignores what it does not know
} bh_loss_io;

typedef struct bh_loss {
  uint32_t struct_size;                // sizeof(bh_loss) as the plugin compiled it
  uint32_t reserved;                   // 0

  // Computes the loss of one batch and, with BH_LOSS_WANT_GRAD, its gradients; all finite.
  //
  // Returns BH_OK; or host->fail(...), such as BH_E_INVALID_ARG without a teacher or labels.
  // [inst]
  bh_status (*compute)(void *self, bh_call *call, const bh_loss_io *io);
} bh_loss;

#endif
