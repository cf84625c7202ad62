// Attention of many heads at once: softmax(capped(scale q . k^T) + mask) . v for each head of each
// image.
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
  int64_t sharing;     // neighbouring heads of queries have one head of keys and values
  int64_t size;        // of a query and a key
  int64_t value_size;  // of a value and a result
  HeadStrides q, k, v, y;
  HeadStrides mask;    // its position is a query's; the keys lie side by side
};

struct AttentionForm {
  float scale;
  float cap;            // scores are brought to cap tanh(score / cap); 0 leaves them
  bool hidden_is_zero;  // a query whose keys are all masked with minus infinity gets 0, not NaN
  bool undefined_is_zero;  // so does one whose scores are no numbers
  bool is_causal;       // query i sees the keys up to i + past
  int64_t past;
};

// mask may be null. The same bits for any number of threads.
void attention(const AttentionShape &shape, const float *q, const float *k, const float *v,
               const float *mask, const AttentionForm &form, float *y);

}  // namespace billhook

#endif
