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
// each piece has a copy of its own, which are added up afterwards.
void add_pieces(bh_plan *plan, const char *name, int64_t rows, const PieceMaker &make,
                const std::vector<PieceOperand> &inputs, const std::vector<PieceOperand> &outputs);

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
