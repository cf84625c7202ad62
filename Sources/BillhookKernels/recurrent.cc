#include "recurrent.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "packed_product.h"
#include "parallel.h"
#include "recurrent_cells.h"
#include "recurrent_rows.h"

namespace billhook {
namespace {

// Columns of the state's first product: all gates, or a GRU's z and r.
int64_t first_columns(const RecurrentShape &shape) {
  return shape.splits() ? 2 * shape.hidden : shape.width();
}

int64_t direction_count(const RecurrentShape &shape) {
  const int64_t last = shape.splits() ? packed_count(shape.hidden, shape.hidden) : 0;
  return packed_count(shape.inputs, shape.width()) +
         packed_count(shape.hidden, first_columns(shape)) + last;
}

PackedWeights packed_weights(const RecurrentShape &shape, const float *packed, int64_t direction) {
  const float *w = packed + direction * direction_count(shape);
  const float *r = w + packed_count(shape.inputs, shape.width());
  return {w, r, r + packed_count(shape.hidden, first_columns(shape))};
}

// What each row's sums start with: the biases that nothing scales.
std::vector<float> first_sums(const RecurrentShape &shape, const float *bias) {
  const int64_t width = shape.width(), hidden = shape.hidden;
  std::vector<float> sums(width, 0.f);
  if (!bias) return sums;
  const bool is_scaled = shape.splits() && shape.form.linear_before_reset;
  for (int64_t i = 0; i < width; i++)
    sums[i] = bias[i] + (is_scaled && i >= 2 * hidden ? 0 : bias[width + i]);
  return sums;
}

// gates = first sums + x . W^T, for all steps.
void input_product(const RecurrentShape &shape, const RecurrentInputs &in, const float *packed,
                   const float *bias, float *gates) {
  const int64_t width = shape.width();
  const std::vector<float> start = first_sums(shape, bias);
  bh::parallel_for(shape.rows(), kProductRows, [&](int64_t begin, int64_t end) {
    const float *from[kProductRows];
    float *to[kProductRows];
    for (int64_t i = begin; i < end; i++) {
      from[i - begin] = in.x + i * shape.inputs;
      to[i - begin] = gates + i * width;
      std::copy(start.begin(), start.end(), to[i - begin]);
    }
    multiply_add(end - begin, from, 1, shape.inputs, packed, width, to);
  });
}

// The recurrence of the sequences [begin, end) in one direction.
class Recurrence {
 public:
  Recurrence(const RecurrentShape &shape, const RecurrentInputs &in, const PackedWeights &packed,
             const RecurrentTrace &trace, int64_t direction, int64_t begin, int64_t end)
      : shape_(shape), in_(in), packed_(packed), direction_(direction), begin_(begin),
        count_(end - begin), zeros_(shape.hidden, 0.f) {
    const int64_t first = direction * shape.rows();
    gates_ = trace.gates + first * shape.width();
    terms_ = trace.terms ? trace.terms + first * shape.hidden : nullptr;
    cells_ = trace.cells ? trace.cells + first * shape.hidden : nullptr;
    states_.assign(count_ * shape.hidden, 0.f);
    before_.assign(count_, zeros_.data());
    for (int64_t i = 0; i < count_; i++) {
      const int64_t place = shape.state(begin + i, direction);
      if (in.state) std::copy_n(in.state + place, shape.hidden, state(i));
      if (in.cell) before_[i] = in.cell + place;
    }
    from_.resize(count_);
    to_.resize(count_);
    at_.resize(count_);
    own_.resize(count_);
    if (in.bias && shape.splits())
      last_bias_ = in.bias + direction * 2 * shape.width() + shape.width() + 2 * shape.hidden;
  }

  void run(float *y, float *last, float *last_cell) {
    for (int64_t s = 0; s < shape_.steps; s++) {
      int64_t active = 0;
      for (int64_t i = 0; i < count_; i++) {
        if (s >= length(shape_, in_, begin_ + i)) continue;
        const int64_t t = time_of(shape_, in_, direction_, begin_ + i, s);
        at_[active] = t;
        own_[active] = i;
        from_[active] = state(i);
        to_[active] = gates_ + shape_.row(t, begin_ + i) * shape_.width();
        active++;
      }
      if (active == 0) break;
      step(active);
      for (int64_t k = 0; k < active; k++)
        std::copy_n(state(own_[k]), shape_.hidden,
                    y + shape_.output(at_[k], begin_ + own_[k], direction_));
    }
    for (int64_t i = 0; i < count_; i++) {
      const int64_t n = begin_ + i, place = shape_.state(n, direction_);
      for (int64_t t = length(shape_, in_, n); t < shape_.steps; t++)
        std::fill_n(y + shape_.output(t, n, direction_), shape_.hidden, 0.f);
      if (last) std::copy_n(state(i), shape_.hidden, last + place);
      if (last_cell) std::copy_n(before_[i], shape_.hidden, last_cell + place);
    }
  }

 private:
  float *state(int64_t i) { return states_.data() + i * shape_.hidden; }
  float *term(int64_t k) {
    return terms_ + shape_.row(at_[k], begin_ + own_[k]) * shape_.hidden;
  }

  void step(int64_t active) {
    const int64_t hidden = shape_.hidden;
    const bh_recurrent &form = shape_.form;
    multiply_add(active, from_.data(), 1, hidden, packed_.r, first_columns(shape_), to_.data());
    if (form.kind == BH_RECURRENT_GRU) return gru(active);
    for (int64_t k = 0; k < active; k++) {
      const int64_t i = own_[k];
      if (form.kind == BH_RECURRENT_SIMPLE) {
        simple_forward(hidden, to_[k], form.limit, form.relu != 0, state(i));
        continue;
      }
      float *cell = cells_ + shape_.row(at_[k], begin_ + i) * hidden;
      const float *peepholes =
          in_.peepholes ? in_.peepholes + direction_ * 3 * hidden : nullptr;
      lstm_forward({hidden, to_[k], before_[i], cell, peepholes}, form.limit, form.coupled != 0,
                   state(i));
      before_[i] = cell;
    }
  }

  void gru(int64_t active) {
    const int64_t hidden = shape_.hidden;
    const float limit = shape_.form.limit;
    const bool is_scaled = shape_.form.linear_before_reset != 0;
    for (int64_t k = 0; k < active; k++) {
      gru_gates(hidden, to_[k], limit);
      if (!is_scaled) {
        gru_reset(hidden, to_[k], state(own_[k]), term(k));
        from_[k] = term(k);
        to_[k] += 2 * hidden;
      } else {
        if (last_bias_)
          std::copy_n(last_bias_, hidden, term(k));
        else
          std::fill_n(term(k), hidden, 0.f);
        to_[k] = term(k);
      }
    }
    multiply_add(active, from_.data(), 1, hidden, packed_.r_last, hidden, to_.data());
    for (int64_t k = 0; k < active; k++) {
      const int64_t i = own_[k];
      float *gates = gates_ + shape_.row(at_[k], begin_ + i) * shape_.width();
      gru_state(hidden, gates, is_scaled ? term(k) : nullptr, limit, state(i), state(i));
    }
  }

  const RecurrentShape &shape_;
  const RecurrentInputs &in_;
  const PackedWeights packed_;
  const int64_t direction_, begin_, count_;
  float *gates_, *terms_, *cells_;
  const float *last_bias_ = nullptr;
  std::vector<float> zeros_, states_;
  std::vector<const float *> before_;  // the cells before the step
  // Of the sequences that are not at their end: whose they are, at what time, and where.
  std::vector<int64_t> own_, at_;
  std::vector<const float *> from_;
  std::vector<float *> to_;
};

}  // namespace

int64_t recurrent_packed_count(const RecurrentShape &shape) {
  return shape.form.directions * direction_count(shape);
}

void recurrent_pack(const RecurrentShape &shape, const float *w, const float *r, float *packed) {
  const int64_t width = shape.width(), hidden = shape.hidden, first = first_columns(shape);
  for (int64_t d = 0; d < shape.form.directions; d++) {
    const PackedWeights to = packed_weights(shape, packed, d);
    pack_matrix(w + d * width * shape.inputs, shape.inputs, width, 1, shape.inputs,
                const_cast<float *>(to.w));
    const float *own = r + d * width * hidden;
    pack_matrix(own, hidden, first, 1, hidden, const_cast<float *>(to.r));
    if (first < width)
      pack_matrix(own + first * hidden, hidden, width - first, 1, hidden,
                  const_cast<float *>(to.r_last));
  }
}

void recurrent_forward(const RecurrentShape &shape, const RecurrentInputs &in, const float *packed,
                       const RecurrentTrace &trace, float *y, float *last, float *last_cell) {
  const int64_t directions = shape.form.directions;
  for (int64_t d = 0; d < directions; d++) {
    input_product(shape, in, packed_weights(shape, packed, d).w,
                  in.bias ? in.bias + d * 2 * shape.width() : nullptr,
                  trace.gates + d * shape.rows() * shape.width());
  }
  const int64_t size = sequences_a_task(shape);
  const int64_t tasks = (shape.batch + size - 1) / size;
  const int64_t work = shape.steps * shape.batch * shape.width() * shape.hidden * directions;
  const int64_t grain = work < kRecurrenceGrain ? tasks * directions : 1;
  bh::parallel_for(tasks * directions, grain, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t d = task / tasks, first = task % tasks * size;
      Recurrence(shape, in, packed_weights(shape, packed, d), trace, d, first,
                 std::min(first + size, shape.batch))
          .run(y, last, last_cell);
    }
  });
}

}  // namespace billhook
