// One step of a recurrent cell for one sequence: vector loops over its hidden units.
//
// `sums` are what the products with input and state add up to, gate after gate as ONNX orders them:
// i, o, f, c of an LSTM, z, r, h of a GRU. They become the gates' activations.
#ifndef BH_RECURRENT_CELLS_H
#define BH_RECURRENT_CELLS_H

#include <cstdint>

namespace billhook {

struct LstmStep {
  int64_t hidden;
  float *gates;              // [4 * hidden]
  const float *cell_before;  // [hidden]
  float *cell;               // [hidden]
  const float *peepholes;    // [3 * hidden]: i, o, f; or null
};

// limit: of what is put into the activations; infinite for none. coupled: f is 1 - i.
void lstm_forward(const LstmStep &step, float limit, bool coupled, float *state);
// Gates become the gradients of their sums. d_cell: in, what comes from later steps; out, what goes
// to earlier ones.
void lstm_backward(const LstmStep &step, const float *d_state, float *d_cell);

// The first two gates, z and r.
void gru_gates(int64_t hidden, float *gates, float limit);
// out = r * state.
void gru_reset(int64_t hidden, const float *gates, const float *state, float *out);
// term: the state's product with its weights, which r scales; null when the sum holds it already.
void gru_state(int64_t hidden, float *gates, const float *term, float limit, const float *before,
               float *state);
// Gates z and h become the gradients of their sums, and with a term r too, and the term. d_state: in,
// dLoss/dState; out, what goes to the state before past the products.
void gru_backward(int64_t hidden, float *gates, float *term, const float *before, float *d_state);
// Without a term: d_gated is the gradient of r * state. r becomes the gradient of its sum.
void gru_backward_reset(int64_t hidden, float *gates, const float *d_gated, const float *before,
                        float *d_state);

void simple_forward(int64_t hidden, float *sums, float limit, bool relu, float *state);
// sums = d_state * the activation's slope, from what it gave.
void simple_backward(int64_t hidden, const float *state, bool relu, const float *d_state,
                     float *sums);

}  // namespace billhook

#endif
