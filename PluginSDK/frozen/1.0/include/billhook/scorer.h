// Scorers: how much each weight, block or channel of a layer matters.
#ifndef BILLHOOK_SCORER_H
#define BILLHOOK_SCORER_H

#include "billhook/host.h"
#include "billhook/layer.h"

// What one score is about: bh_score_in.granularity.
#define BH_GRANULARITY_ELEMENT 0
#define BH_GRANULARITY_OUT_CHANNEL 1
#define BH_GRANULARITY_IN_CHANNEL 2
#define BH_GRANULARITY_BLOCK 3

// bh_plugin.granularities: what a scorer can do, a sum of these.
#define BH_GRANULARITY_BIT_ELEMENT ((uint32_t)1)
#define BH_GRANULARITY_BIT_OUT_CHANNEL ((uint32_t)2)
#define BH_GRANULARITY_BIT_IN_CHANNEL ((uint32_t)4)
#define BH_GRANULARITY_BIT_BLOCK ((uint32_t)8)

// bh_plugin.needs of a scorer: what the host computes before it calls `score`, and with the RAW
// needs what it hands to `observe`.
#define BH_NEED_IN_ABS_MEAN ((uint64_t)1)
#define BH_NEED_IN_SQ_NORM ((uint64_t)2)
#define BH_NEED_OUT_ABS_MEAN ((uint64_t)4)
#define BH_NEED_OUT_ZERO_FRACTION ((uint64_t)8)
#define BH_NEED_PREV_MASK ((uint64_t)16)
#define BH_NEED_WEIGHT_GRAD ((uint64_t)32)
#define BH_NEED_IN_GRAM ((uint64_t)64)
#define BH_NEED_RAW_IN ((uint64_t)128)
#define BH_NEED_RAW_OUT ((uint64_t)256)
#define BH_NEED_RAW_GRAD_OUT ((uint64_t)512)

// What the host hands to a scorer for one layer. Every pointer is borrowed until the call returns.
// O, I: output and input channels of the layer. All tensors but `weight` are float32. The `out_`
// statistics are taken behind the batch norm and the activation that follow the layer.
typedef struct bh_score_in {
  uint32_t struct_size;                // sizeof(bh_score_in) as the host compiled it
  uint32_t granularity;                // BH_GRANULARITY_*: fixes the shape of the scores
  const bh_tensor *weight;             // bh_layer.shape; a piece of it as [n]; never null; float32
                                       // or one of bh_plugin.dtypes
  const bh_tensor *grad;               // d(mean loss)/d weight over the calibration data, shape of
                                       // weight; null unless needed
  const bh_tensor *mask;               // 1 = keep, 0 = already pruned, shape of weight; null on the
                                       // first step, and unless needed
  const bh_tensor *in_abs_mean;        // mean |x| of an input channel, [I]; null unless needed
  const bh_tensor *in_sq_norm;         // sum of x^2 of an input channel, [I]; null unless needed
  const bh_tensor *in_gram;            // sum of x x^T, [groups, K, K]: x are the K inputs that one
                                       // output channel multiplies with its weights, in their
                                       // order; null unless needed
  const bh_tensor *out_abs_mean;       // mean |y| of an output channel, [O]; null unless needed
  const bh_tensor *out_zero_fraction;  // share of y = 0, 0 to 1, [O]; null unless needed
  uint64_t n_samples;                  // calibration samples behind all of these; 0 without data
  int64_t block[2];                    // BH_GRANULARITY_BLOCK: output channels and inputs of a
                                       // block; else 0, 0
  const void *next;                    // null; a plugin ignores what it does not know
} bh_score_in;

typedef struct bh_scorer {
  uint32_t struct_size;                // sizeof(bh_scorer) as the plugin compiled it
  uint32_t reserved;                   // 0

  // Looks at what one layer did with some calibration samples, before `score`; only with a RAW
  // need, and then never null. Tensors are float32 with the samples along axis 0, and null unless
  // needed: `in` is what the layer reads, `out` what it writes (before batch norm and activation),
  // `grad_out` is d(sum of the samples' losses)/d out.
  //
  // With BH_CAP_STREAMING it is called batch after batch, else once with all samples.
  // [inst, exclusive]
  bh_status (*observe)(void *self, bh_call *call, const bh_layer *layer, const bh_tensor *in,
                       const bh_tensor *out, const bh_tensor *grad_out);

  // Adds what another instance observed, which it wrote with bh_plugin.save; never null with
  // BH_CAP_MERGEABLE. The host merges in the order of the samples. [inst, exclusive]
  bh_status (*merge)(void *self, bh_call *call, const bh_reader *other);

  // Writes one score per element, block, output channel or input channel of `scores_out`: float32,
  // shape of `weight`, [O] or [I]. Higher means keep.
  //
  // A block is block[0] output channels by block[1] of the inputs that they multiply: with the
  // weight seen as [O, K] (K: all its other axes, in their order) the scores are
  // [ceil(O / block[0]), ceil(K / block[1])], and blocks at the end may be smaller.
  //
  // Scores must be finite. They need only be comparable within one layer; BH_CAP_GLOBAL_SCALE says
  // that they are comparable across layers. The host ranks, breaks ties and decides what goes.
  //
  // With BH_CAP_CHUNKED and BH_GRANULARITY_ELEMENT a call may be about a piece: `weight`, `grad`
  // and `scores_out` are [n], and hold the elements of the layer from layer->element_begin on.
  //
  // Returns BH_OK; BH_SKIP to leave this layer untouched; or host->fail(...), with the offending
  // shape in the text. After a failure the content of `scores_out` is ignored.
  // [inst]
  bh_status (*score)(void *self, bh_call *call, const bh_layer *layer, const bh_score_in *in,
                     const bh_tensor *scores_out);
} bh_scorer;

#endif
