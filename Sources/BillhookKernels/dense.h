// Matrix products with constant weights, packed once, and what follows them done while a tile is in
// the cache.
#ifndef BH_DENSE_H
#define BH_DENSE_H
#include <stdint.h>

#include "bh_activation.h"

namespace billhook {

struct DenseShape {
  int64_t rows, inputs, outputs;
};

// What happens to a product: + bias + residual, then the functions in their order. Either may be
// null.
struct DenseEpilogue {
  const float *bias;      // [outputs]
  const float *residual;  // [rows, outputs]
  const bh_activation *functions;
  int32_t function_count;
};

// Floats in the packed form of weights, which depends on the CPU.
int64_t dense_packed_count(int64_t inputs, int64_t outputs);
// The weight of input k and output o is w[k * input_step + o * output_step].
void dense_pack(const float *w, int64_t inputs, int64_t outputs, int64_t input_step,
                int64_t output_step, float *packed);

// y[rows, outputs] = epilogue(x[rows, inputs] . w^T). The same bits for any number of threads: an
// output is one sum over the inputs in their order, started anew every few hundred of them.
void dense(const DenseShape &shape, const float *x, const float *packed,
           const DenseEpilogue &epilogue, float *y);

}  // namespace billhook

#endif
