// Everything that Swift sees of the kernel core.
#ifndef BH_KERNELS_H
#define BH_KERNELS_H

#include "bh_activation.h"
#include "bh_broadcast.h"
#include "bh_codebook.h"
#include "bh_fault_mark.h"
#include "bh_fp_state.h"
#include "bh_half.h"
#include "bh_loss.h"
#include "bh_normalization.h"
#include "bh_optimizer.h"
#include "bh_plan.h"
#include "bh_quantize.h"
#include "bh_random.h"
#include "bh_reduce.h"
#include "bh_rotary.h"
#include "bh_rows.h"
#include "bh_score.h"
#include "bh_select.h"
#include "bh_simd.h"
#include "bh_threads.h"

#endif
