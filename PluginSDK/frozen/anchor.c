// One exported function a struct of the ABI, so that abidiff sees them all: it looks at what is
// reachable from exported symbols, and a plugin exports none but its entry.
#include "billhook/billhook.h"

#define ANCHOR(type) \
  BH_EXPORT const type *anchor_##type(const type *value) { return value; }

ANCHOR(bh_tensor)
ANCHOR(bh_value)
ANCHOR(bh_writer)
ANCHOR(bh_reader)
ANCHOR(bh_host)
ANCHOR(bh_call)
ANCHOR(bh_layer)
ANCHOR(bh_score_in)
ANCHOR(bh_scorer)
ANCHOR(bh_feature)
ANCHOR(bh_loss_io)
ANCHOR(bh_loss)
ANCHOR(bh_qlayout)
ANCHOR(bh_qparams)
ANCHOR(bh_quantizer)
ANCHOR(bh_quant_export)
ANCHOR(bh_soft_target)
ANCHOR(bh_kernel_table)
ANCHOR(bh_param)
ANCHOR(bh_plugin)
ANCHOR(bh_module)

const bh_module *billhook_module_v1(void) { return 0; }
