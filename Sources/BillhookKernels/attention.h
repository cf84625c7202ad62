// Attention of many heads at once: softmax(scale q . k^T + mask) . v for each head of each image.
#ifndef BH_ATTENTION_H
#define BH_ATTENTION_H

#include <cstdint>

namespace billhook {

// Where the row of a position of a head lies, in elements.
struct HeadStrides {
  int64_t image, head, position;
};

struct AttentionShape {
  int64_t images, heads, queries, keys;
  int64_t size;        // of a query and a key
  int64_t value_size;  // of a value and a result
  HeadStrides q, k, v, y;
  HeadStrides mask;    // its position is a query's; the keys lie side by side
};

// mask may be null. The same bits for any number of threads.
void attention(const AttentionShape &shape, const float *q, const float *k, const float *v,
               const float *mask, float scale, float *y);

}  // namespace billhook

#endif
