// Everything that Swift sees of the kernel core.
#ifndef BH_KERNELS_H
#define BH_KERNELS_H
#include "bh_threads.h"
#endif
