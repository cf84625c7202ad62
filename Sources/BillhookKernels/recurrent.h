// Recurrent layers (ONNX: RNN, GRU, LSTM) over whole sequences, forward and back through time.
//
// The input's product is one matrix product over all steps; the state's runs step by step, with
// sequences shared out over the threads. A sequence is computed alone, and sums over all steps run in
// a fixed order, so the result does not depend on the number of threads.
#ifndef BH_RECURRENT_H
#define BH_RECURRENT_H

#include <cstdint>

#include "bh_plan.h"

namespace billhook {

struct RecurrentShape {
  bh_recurrent form;
  int64_t steps, batch, inputs, hidden;

  int64_t gates() const {
    return form.kind == BH_RECURRENT_LSTM ? 4 : form.kind == BH_RECURRENT_GRU ? 3 : 1;
  }
  // Numbers of all gates together.
  int64_t width() const { return gates() * hidden; }
  int64_t rows() const { return steps * batch; }
  // Whether the state's product of a GRU's last gate is computed apart from the other two.
  bool splits() const { return form.kind == BH_RECURRENT_GRU; }
  // Where step t of sequence n lies among the rows of x.
  int64_t row(int64_t t, int64_t n) const {
    return form.batch_first ? n * steps + t : t * batch + n;
  }
  // The same in y, and in what holds one state for each sequence, in floats.
  int64_t output(int64_t t, int64_t n, int64_t direction) const {
    const int64_t d = form.directions;
    return (form.batch_first ? (n * steps + t) * d + direction : (t * d + direction) * batch + n) *
           hidden;
  }
  int64_t state(int64_t n, int64_t direction) const {
    return (form.batch_first ? n * form.directions + direction : direction * batch + n) * hidden;
  }
  bool is_backwards(int64_t direction) const { return form.backwards || direction == 1; }
};

// What both ways read. Null: left out.
struct RecurrentInputs {
  const float *x;                // [rows, inputs]
  const float *w, *r;            // [directions, width, inputs], [directions, width, hidden]
  const float *bias;             // [directions, 2 * width]
  const int32_t *lengths;        // [batch]
  const float *state, *cell;     // the first ones
  const float *peepholes;        // [directions, 3 * hidden]
};

// What the way forward leaves for the way back, [directions, rows, ...].
struct RecurrentTrace {
  float *gates;  // width: activations; the way back makes gradients of them
  float *terms;  // hidden: a GRU's r * state, or with linear_before_reset the state's product
  float *cells;  // hidden: LSTM
};

// Floats of the weights of all directions, packed for the way forward.
int64_t recurrent_packed_count(const RecurrentShape &shape);
void recurrent_pack(const RecurrentShape &shape, const float *w, const float *r, float *packed);

// last, last_cell: may be null.
void recurrent_forward(const RecurrentShape &shape, const RecurrentInputs &in, const float *packed,
                       const RecurrentTrace &trace, float *y, float *last, float *last_cell);

struct RecurrentGradients {
  const float *y;                          // what the way forward gave
  const float *dy, *d_last, *d_last_cell;  // null: zero
  // May be null, with the shapes of what they are gradients of.
  float *dx, *dw, *dr, *d_bias, *d_state, *d_cell, *d_peepholes;
};

// limit must be infinite, and an LSTM's gates not coupled. Uses the trace up.
void recurrent_backward(const RecurrentShape &shape, const RecurrentInputs &in,
                        const RecurrentTrace &trace, const RecurrentGradients &out);

}  // namespace billhook

#endif
