// Included by every file whose results are promised to be the same bits on every CPU.
#ifndef BH_EXACT_H
#define BH_EXACT_H

// Where the compiler may fuse a * b + c (ARM by default), results would depend on the CPU.
#pragma STDC FP_CONTRACT OFF

#endif
