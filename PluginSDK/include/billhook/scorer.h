// Scorers: how much each weight or channel of a layer matters.
#ifndef BILLHOOK_SCORER_H
#define BILLHOOK_SCORER_H

#include "billhook/host.h"
#include "billhook/layer.h"

// What one score is about: bh_score_in.granularity.
#define BH_GRANULARITY_ELEMENT 0
#define BH_GRANULARITY_OUT_CHANNEL 1
#define BH_GRANULARITY_IN_CHANNEL 2

// bh_plugin.granularities: what a scorer can do, a sum of these.
#define BH_GRANULARITY_BIT_ELEMENT ((uint32_t)1)
#define BH_GRANULARITY_BIT_OUT_CHANNEL ((uint32_t)2)
#define BH_GRANULARITY_BIT_IN_CHANNEL ((uint32_t)4)

// bh_plugin.needs: statistics that the host computes before it calls.
#define BH_NEED_IN_ABS_MEAN ((uint64_t)1)
#define BH_NEED_IN_SQ_NORM ((uint64_t)2)
#define BH_NEED_OUT_ABS_MEAN ((uint64_t)4)
#define BH_NEED_OUT_ZERO_FRACTION ((uint64_t)8)
#define BH_NEED_PREV_MASK ((uint64_t)16)

// What the host hands to a scorer for one layer. Every pointer is borrowed until the call returns.
// O, I: output and input channels of the layer. All tensors are float32 and row-major. The `out_`
// statistics are taken behind the batch norm and the activation that follow the layer.
typedef struct bh_score_in {
  uint32_t struct_size;                // sizeof(bh_score_in) as the host compiled it
  uint32_t granularity;                // BH_GRANULARITY_*: fixes the shape of the scores
  const bh_tensor *weight;             // bh_layer.shape; a piece of it as [n]; never null
  const bh_tensor *mask;               // 1 = keep, 0 = already pruned, shape of weight; null on the
                                       // first step, and unless needed
  const bh_tensor *in_abs_mean;        // mean |x| of an input channel, [I]; null unless needed
  const bh_tensor *in_sq_norm;         // sum of x^2 of an input channel, [I]; null unless needed
  const bh_tensor *out_abs_mean;       // mean |y| of an output channel, [O]; null unless needed
  const bh_tensor *out_zero_fraction;  // share of y = 0, 0 to 1, [O]; null unless needed
  uint64_t n_samples;                  // calibration samples behind the statistics; 0 without data
} bh_score_in;

typedef struct bh_scorer {
  uint32_t struct_size;                // sizeof(bh_scorer) as the plugin compiled it
  uint32_t reserved;                   // 0

  // Writes one score per element, output channel or input channel of `scores_out`: float32, shape
  // of `weight`, [O] or [I]. Higher means keep.
  //
  // Scores must be finite. They need only be comparable within one layer; BH_CAP_GLOBAL_SCALE says
  // that they are comparable across layers. The host ranks, breaks ties and decides what goes.
  //
  // With BH_CAP_CHUNKED and BH_GRANULARITY_ELEMENT a call may be about a piece: `weight` and
  // `scores_out` are [n], and hold the elements of the layer from layer->element_begin on.
  //
  // Returns BH_OK; BH_SKIP to leave this layer untouched; or host->fail(...), with the offending
  // shape in the text. After a failure the content of `scores_out` is ignored.
  // [inst]
  bh_status (*score)(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                     const bh_tensor *scores_out);
} bh_scorer;

#endif
