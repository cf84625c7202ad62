// Recurrent layers.
#include <string>

#include "plan.h"
#include "recurrent.h"

using namespace billhook;

namespace {

// What the way back needs to know of the way forward.
struct Recurrent {
  RecurrentShape shape;
  int x, w, r, bias, lengths, state, cell, peepholes;
  int gates, terms, cells, y;

  std::vector<int> reads() const {
    std::vector<int> result;
    for (int value : {x, w, r, bias, lengths, state, cell, peepholes})
      if (value != BH_PLAN_NONE) result.push_back(value);
    return result;
  }
  const char *name(bool back) const {
    switch (shape.form.kind) {
      case BH_RECURRENT_LSTM:
        return back ? "LSTMBackward" : "LSTM";
      case BH_RECURRENT_GRU:
        return back ? "GRUBackward" : "GRU";
    }
    return back ? "RNNBackward" : "RNN";
  }
};

template <class Element = float>
Element *at(bh_plan *plan, int value) {
  return value == BH_PLAN_NONE ? nullptr : static_cast<Element *>(plan->data(value));
}

RecurrentInputs inputs(bh_plan *plan, const Recurrent &layer) {
  return {at(plan, layer.x),         at(plan, layer.w),
          at(plan, layer.r),         at(plan, layer.bias),
          at<int32_t>(plan, layer.lengths), at(plan, layer.state),
          at(plan, layer.cell),      at(plan, layer.peepholes)};
}

RecurrentTrace trace(bh_plan *plan, const Recurrent &layer) {
  return {at(plan, layer.gates), at(plan, layer.terms), at(plan, layer.cells)};
}

int32_t floats(bh_plan *plan, const Dims &dims) {
  return plan->add_intermediate(dims, plain_layout(dims, memory::data_type::f32));
}

void check_lengths(const RecurrentShape &shape, const int32_t *lengths) {
  for (int64_t n = 0; lengths && n < shape.batch; n++)
    if (lengths[n] < 0 || lengths[n] > shape.steps)
      throw PlanFailure("A sequence has the length " + std::to_string(lengths[n]) +
                        ", expected 0 to " + std::to_string(shape.steps) + ".");
}

}  // namespace

extern "C" {

int32_t bh_plan_recurrent(bh_plan *plan, const bh_recurrent *form, int32_t x, int32_t w, int32_t r,
                          int32_t bias, int32_t lengths, int32_t state, int32_t cell,
                          int32_t peepholes, int32_t *last_state, int32_t *last_cell) {
  return plan->guarded([&] {
    auto layer = std::make_shared<Recurrent>();
    *layer = {{*form, 0, 0, 0, 0},
              plan->plain(x),
              plan->plain(w),
              plan->plain(r),
              plan->plain(bias),
              plan->plain(lengths),
              plan->plain(state),
              plan->plain(cell),
              plan->plain(peepholes),
              BH_PLAN_NONE,
              BH_PLAN_NONE,
              BH_PLAN_NONE,
              BH_PLAN_NONE};
    RecurrentShape &shape = layer->shape;
    const Dims dims = plan->at(layer->x).dims;
    shape.steps = dims[form->batch_first ? 1 : 0];
    shape.batch = dims[form->batch_first ? 0 : 1];
    shape.inputs = dims[2];
    shape.hidden = plan->at(layer->r).dims[2];
    const int64_t d = form->directions, n = shape.batch, h = shape.hidden;
    const bool is_lstm = form->kind == BH_RECURRENT_LSTM;
    layer->gates = floats(plan, {d, shape.rows(), shape.width()});
    if (form->kind == BH_RECURRENT_GRU) layer->terms = floats(plan, {d, shape.rows(), h});
    if (is_lstm) layer->cells = floats(plan, {d, shape.rows(), h});
    layer->y = floats(plan, form->batch_first ? Dims{n, shape.steps, d, h}
                                              : Dims{shape.steps, d, n, h});
    const Dims one = form->batch_first ? Dims{n, d, h} : Dims{d, n, h};
    const int32_t last = *last_state = floats(plan, one);
    const int32_t cells = *last_cell = is_lstm ? floats(plan, one) : BH_PLAN_NONE;
    std::vector<int> writes{layer->y, layer->gates, last};
    for (int value : {layer->terms, layer->cells, cells})
      if (value != BH_PLAN_NONE) writes.push_back(value);

    auto packed = std::make_shared<Buffer>(recurrent_packed_count(shape) * sizeof(float));
    const bool is_constant = plan->at(layer->w).kind == Kind::constant &&
                             plan->at(layer->r).kind == Kind::constant;
    if (is_constant)
      recurrent_pack(shape, static_cast<const float *>(plan->constant_data(layer->w)),
                     static_cast<const float *>(plan->constant_data(layer->r)),
                     static_cast<float *>(packed->data()));
    plan->add_call(layer->name(false), layer->reads(), writes, [=] {
      const RecurrentInputs in = inputs(plan, *layer);
      auto *weights = static_cast<float *>(packed->data());
      check_lengths(layer->shape, in.lengths);
      if (!is_constant) recurrent_pack(layer->shape, in.w, in.r, weights);
      recurrent_forward(layer->shape, in, weights, trace(plan, *layer), at(plan, layer->y),
                        at(plan, last), at(plan, cells));
    });
    plan->at(layer->y).forward = layer;
    return layer->y;
  });
}

int32_t bh_plan_recurrent_backward(bh_plan *plan, int32_t y, int32_t dy, int32_t d_last,
                                   int32_t d_last_cell, bh_recurrent_gradients *out) {
  return plan->guarded([&] {
    const auto layer = std::static_pointer_cast<Recurrent>(plan->at(y).forward);
    if (!layer) throw PlanFailure("The value was not made by a recurrent layer.");
    const int32_t given[] = {plan->plain(dy), plan->plain(d_last),
                             plan->plain(d_last_cell)};
    std::vector<int> reads = layer->reads(), writes;
    for (int value : {layer->gates, layer->terms, layer->cells, y, given[0], given[1], given[2]})
      if (value != BH_PLAN_NONE) reads.push_back(value);
    auto gradient = [&](int32_t *wanted, int value) {
      const bool is_made = *wanted && value != BH_PLAN_NONE;
      *wanted = is_made ? floats(plan, Dims(plan->at(value).dims)) : BH_PLAN_NONE;
      if (is_made) writes.push_back(*wanted);
    };
    gradient(&out->dx, layer->x);
    gradient(&out->dw, layer->w);
    gradient(&out->dr, layer->r);
    gradient(&out->d_bias, layer->bias);
    gradient(&out->d_state, layer->state);
    gradient(&out->d_cell, layer->cell);
    gradient(&out->d_peepholes, layer->peepholes);
    const bh_recurrent_gradients made = *out;
    const int32_t sequence = given[0], state = given[1], cell = given[2];
    plan->add_call(layer->name(true), reads, writes, [=] {
      recurrent_backward(layer->shape, inputs(plan, *layer), trace(plan, *layer),
                         {at(plan, y), at(plan, sequence), at(plan, state), at(plan, cell),
                          at(plan, made.dx), at(plan, made.dw), at(plan, made.dr),
                          at(plan, made.d_bias), at(plan, made.d_state), at(plan, made.d_cell),
                          at(plan, made.d_peepholes)});
    });
    return 0;
  });
}

}  // extern "C"
