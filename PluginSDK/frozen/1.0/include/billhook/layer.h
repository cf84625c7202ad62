// The layer, or the part of a layer, that a call is about.
#ifndef BILLHOOK_LAYER_H
#define BILLHOOK_LAYER_H

#include "billhook/types.h"

#define BH_ROLE_WEIGHT 0
#define BH_ROLE_ACTIVATION 1

// Made by the host; lives until the call returns.
//
// With `groups` above 1 the in axis counts the channels of one group, as in ONNX Conv: a weight
// [O, I / groups, ...] works on I input channels, and output channel o belongs to group
// o / (O / groups).
typedef struct bh_layer {
  uint32_t struct_size;    // sizeof(bh_layer) as the host compiled it
  uint32_t role;           // BH_ROLE_*: what the tensor of this call is to the layer
  uint64_t index;          // position among the layers of the stage
  const char *name;        // UTF-8; never null
  const char *op;          // the ONNX operator, as "Conv"; never null
  int32_t out_axis;        // axis of the output channels; -1 for none
  int32_t in_axis;         // axis of the input channels; -1 for none
  int64_t groups;          // at least 1
  int64_t ndim;            // axes of the whole tensor
  const int64_t *shape;    // [ndim], of the whole tensor; null when ndim is 0
  int64_t element_begin;   // flat index of this call's first element in the whole tensor; 0 unless
                           // the call is about a piece (BH_CAP_CHUNKED)
  int64_t sample_begin;    // of `observe`: samples that this instance saw before this batch; else 0
  int64_t sample_total;    // of `observe`: samples that it sees in all; else 0
  const void *next;        // null; a plugin ignores what it does not know
} bh_layer;

#endif
