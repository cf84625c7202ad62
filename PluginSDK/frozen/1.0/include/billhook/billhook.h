// Billhook's plugin ABI: everything that a plugin needs.
//
// A plugin is a shared library that exports one function, billhook_module_v1 (module.h). What it
// returns lists scorers (scorer.h), losses (loss.h) and quantizers (quantizer.h). The rules that
// both sides keep are numbered BH-nn in docs/abi.md.
//
// Thread tags. [any]: at any time, on any thread. [inst]: on any thread, one call at a time for one
// instance; with BH_CAP_CONCURRENT several at a time, but never beside one that is exclusive.
// [task]: on a pool thread inside parallel_for, together with other tasks of the same call.
#ifndef BILLHOOK_BILLHOOK_H
#define BILLHOOK_BILLHOOK_H

#include "billhook/types.h"
#include "billhook/host.h"
#include "billhook/layer.h"
#include "billhook/scorer.h"
#include "billhook/loss.h"
#include "billhook/quantizer.h"
#include "billhook/kernels.h"
#include "billhook/module.h"

#endif
