// Primitives whose sums would depend on the number of threads, run over a fixed partition of the
// batch instead: each piece on one thread, and what the pieces add up to is added in order.
#ifndef BH_PLAN_PIECES_H
#define BH_PLAN_PIECES_H

#include "plan.h"

namespace billhook {

// One operand of a piecewise operation.
struct PieceOperand {
  int argument;  // DNNL_ARG_*
  int value;
  bool by_rows;  // each piece sees its own rows of axis 0; else all see the whole
};

// Makes the primitive for so many rows. Called with one thread set, and with attributes that every
// primitive must take.
using PieceMaker =
    std::function<dnnl::primitive(int64_t rows, const dnnl::primitive_attr &attributes)>;

// Adds an operation over the rows of `inputs`. Outputs that are not by rows are sums over all rows:
// each piece has a copy of its own, which are added up afterwards. `most` pieces: the default is
// enough to share out over a few cores, and more would cost memory traffic for the copies.
void add_pieces(bh_plan *plan, const char *name, int64_t rows, const PieceMaker &make,
                const std::vector<PieceOperand> &inputs, const std::vector<PieceOperand> &outputs,
                int64_t most = 4);

// What the weight gradient of a layer reads and makes, in the layouts that a primitive wants.
struct WeightGradient {
  std::vector<PieceOperand> inputs, outputs;

  // db: where the bias's gradient goes; null without a bias.
  template <class Description>
  WeightGradient(bh_plan *plan, const Description &description, int32_t x, int32_t dy, int32_t w,
                 int32_t *db)
      : inputs{{DNNL_ARG_SRC, plan->in_layout(x, description.src_desc()), true},
               {DNNL_ARG_DIFF_DST, plan->in_layout(dy, description.diff_dst_desc()), true}},
        outputs{{DNNL_ARG_DIFF_WEIGHTS,
                 plan->add_intermediate(plan->at(w).dims, description.diff_weights_desc()),
                 false}} {
    if (!db) return;
    *db = plan->add_intermediate({plan->at(w).dims[0]}, description.diff_bias_desc());
    outputs.push_back({DNNL_ARG_DIFF_BIAS, *db, false});
  }

  int32_t dw() const { return outputs[0].value; }
};

// Runs `body` while oneDNN makes primitives for one thread.
class SingleThread {
 public:
  SingleThread();
  ~SingleThread();

 private:
  int before_;
};

}  // namespace billhook

#endif
