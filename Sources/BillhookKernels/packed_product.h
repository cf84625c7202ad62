// Products of rows with a matrix that is packed for the CPU's vectors, on the calling thread.
#ifndef BH_PACKED_PRODUCT_H
#define BH_PACKED_PRODUCT_H

#include <cstdint>

namespace billhook {

// Floats of a packed matrix of `depth` rows and `columns`.
int64_t packed_count(int64_t depth, int64_t columns);

// Packs B, whose element (k, n) is b[k * row_step + n * column_step].
void pack_matrix(const float *b, int64_t depth, int64_t columns, int64_t row_step,
                 int64_t column_step, float *packed);

// Packs B, whose rows lie where the pointers say.
void pack_rows(const float *const *rows, int64_t depth, int64_t columns, float *packed);

// c[i][n] += sum over k of a[i][k * step] * B(k, n). Each sum goes on from what c holds, in the order
// of k, whatever rows are computed together.
void multiply_add(int64_t rows, const float *const *a, int64_t step, int64_t depth,
                  const float *packed, int64_t columns, float *const *c);

}  // namespace billhook

#endif
