// Recurrent layers back through time.
//
// Source: Werbos, Backpropagation Through Time: What It Does and How to Do It, 1990. No deviation.
#include <algorithm>
#include <vector>

#include "packed_product.h"
#include "parallel.h"
#include "recurrent.h"
#include "recurrent_cells.h"
#include "recurrent_rows.h"

namespace billhook {
namespace {

// Rows of a sum over all steps that are packed together, so that they stay in the nearest cache.
constexpr int64_t kSumDepth = 128;

// out[m][n] = sum over rows of g[row][m] * b[row][n], for `width` columns of g.
void sum_of_products(const std::vector<const float *> &g, int64_t width,
                     const std::vector<const float *> &b, int64_t columns, float *out) {
  const auto rows = static_cast<int64_t>(g.size());
  const int64_t blocks = (rows + kSumDepth - 1) / kSumDepth;
  const int64_t block_count = packed_count(kSumDepth, columns);
  std::vector<float> packed(blocks * block_count);
  bh::parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block++) {
      const int64_t first = block * kSumDepth;
      pack_rows(b.data() + first, std::min(kSumDepth, rows - first), columns,
                packed.data() + block * block_count);
    }
  });
  bh::parallel_for(width, kProductRows, [&](int64_t begin, int64_t end) {
    float turned[kSumDepth * kProductRows];
    const float *from[kProductRows];
    float *to[kProductRows];
    for (int64_t m = begin; m < end; m++) {
      from[m - begin] = turned + (m - begin);
      to[m - begin] = out + m * columns;
      std::fill_n(to[m - begin], columns, 0.f);
    }
    for (int64_t block = 0; block < blocks; block++) {
      const int64_t first = block * kSumDepth, depth = std::min(kSumDepth, rows - first);
      for (int64_t k = 0; k < depth; k++)
        std::copy(g[first + k] + begin, g[first + k] + end, turned + k * kProductRows);
      multiply_add(end - begin, from, kProductRows, depth, packed.data() + block * block_count,
                   columns, to);
    }
  });
}

// out[m] = sum over rows of g[row][m], or with factors of g[row][m] * factor[row][m].
void sum_of_rows(const std::vector<const float *> &g, const std::vector<const float *> *factors,
                 int64_t width, float *out) {
  bh::parallel_for(width, 64, [&](int64_t begin, int64_t end) {
    std::fill(out + begin, out + end, 0.f);
    for (size_t row = 0; row < g.size(); row++) {
      const float *from = g[row];
      if (factors) {
        const float *factor = (*factors)[row];
        for (int64_t m = begin; m < end; m++) out[m] += from[m] * factor[m];
      } else {
        for (int64_t m = begin; m < end; m++) out[m] += from[m];
      }
    }
  });
}

// One direction of the layer.
class Backward {
 public:
  Backward(const RecurrentShape &shape, const RecurrentInputs &in, const RecurrentTrace &trace,
           const RecurrentGradients &out, int64_t direction)
      : shape_(shape), in_(in), out_(out), direction_(direction), zeros_(shape.hidden, 0.f) {
    const int64_t first = direction * shape.rows(), width = shape.width(), hidden = shape.hidden;
    gates_ = trace.gates + first * width;
    terms_ = trace.terms ? trace.terms + first * hidden : nullptr;
    cells_ = trace.cells ? trace.cells + first * hidden : nullptr;
    is_scaled_ = shape.splits() && shape.form.linear_before_reset;
    // A GRU's last gate has its product with another vector than the first two.
    main_ = shape.splits() ? 2 * hidden : width;
    const float *r = in.r + direction * width * hidden;
    r_.resize(packed_count(main_, hidden));
    pack_matrix(r, main_, hidden, hidden, 1, r_.data());
    if (main_ < width) {
      r_last_.resize(packed_count(hidden, hidden));
      pack_matrix(r + main_ * hidden, hidden, hidden, hidden, 1, r_last_.data());
    }
  }

  // The gradients of all sums, and of the first states.
  void through_time(int64_t begin, int64_t end) {
    const int64_t hidden = shape_.hidden, count = end - begin;
    std::vector<float> d_states(count * hidden, 0.f), d_cells(count * hidden, 0.f);
    std::vector<float> d_gated(terms_ ? count * hidden : 0);
    std::vector<const float *> from(count);
    std::vector<float *> to(count);
    std::vector<int64_t> own(count);
    for (int64_t i = 0; i < count; i++) {
      const int64_t place = shape_.state(begin + i, direction_);
      if (out_.d_last) std::copy_n(out_.d_last + place, hidden, &d_states[i * hidden]);
      if (out_.d_last_cell) std::copy_n(out_.d_last_cell + place, hidden, &d_cells[i * hidden]);
      for (int64_t t = length(shape_, in_, begin + i); t < shape_.steps; t++) {
        const int64_t row = shape_.row(t, begin + i);
        std::fill_n(gates_ + row * shape_.width(), shape_.width(), 0.f);
        if (terms_) std::fill_n(terms_ + row * hidden, hidden, 0.f);
      }
    }
    for (int64_t s = shape_.steps - 1; s >= 0; s--) {
      int64_t active = 0;
      for (int64_t i = 0; i < count; i++) {
        const int64_t n = begin + i;
        if (s >= length(shape_, in_, n)) continue;
        const int64_t t = time_of(shape_, in_, direction_, n, s);
        float *d_state = &d_states[i * hidden];
        if (out_.dy) {
          const float *dy = out_.dy + shape_.output(t, n, direction_);
          for (int64_t k = 0; k < hidden; k++) d_state[k] += dy[k];
        }
        const int64_t row = shape_.row(t, n);
        float *gates = gates_ + row * shape_.width();
        switch (shape_.form.kind) {
          case BH_RECURRENT_LSTM: {
            const float *peepholes =
                in_.peepholes ? in_.peepholes + direction_ * 3 * hidden : nullptr;
            lstm_backward({hidden, gates, cell_before(n, s), cells_ + row * hidden, peepholes},
                          d_state, &d_cells[i * hidden]);
            std::fill_n(d_state, hidden, 0.f);
            break;
          }
          case BH_RECURRENT_GRU:
            gru_backward(hidden, gates, is_scaled_ ? terms_ + row * hidden : nullptr,
                         state_before(n, s), d_state);
            break;
          default:
            simple_backward(hidden, out_.y + shape_.output(t, n, direction_),
                            shape_.form.relu != 0, d_state, gates);
            std::fill_n(d_state, hidden, 0.f);
        }
        own[active++] = i;
      }
      if (main_ < shape_.width()) {
        // Back through the last gate's product: to the state, or to r * state.
        for (int64_t k = 0; k < active; k++) {
          const int64_t i = own[k], t = time_of(shape_, in_, direction_, begin + i, s);
          const int64_t row = shape_.row(t, begin + i);
          from[k] = is_scaled_ ? terms_ + row * hidden : gates_ + row * shape_.width() + main_;
          to[k] = is_scaled_ ? &d_states[i * hidden] : &d_gated[i * hidden];
          if (!is_scaled_) std::fill_n(to[k], hidden, 0.f);
        }
        multiply_add(active, from.data(), 1, hidden, r_last_.data(), hidden, to.data());
        for (int64_t k = 0; k < active && !is_scaled_; k++) {
          const int64_t i = own[k], n = begin + i;
          const int64_t row = shape_.row(time_of(shape_, in_, direction_, n, s), n);
          gru_backward_reset(hidden, gates_ + row * shape_.width(), to[k], state_before(n, s),
                             &d_states[i * hidden]);
        }
      }
      for (int64_t k = 0; k < active; k++) {
        const int64_t i = own[k], n = begin + i;
        from[k] =
            gates_ + shape_.row(time_of(shape_, in_, direction_, n, s), n) * shape_.width();
        to[k] = &d_states[i * hidden];
      }
      multiply_add(active, from.data(), 1, main_, r_.data(), hidden, to.data());
    }
    for (int64_t i = 0; i < count; i++) {
      const int64_t place = shape_.state(begin + i, direction_);
      if (out_.d_state) std::copy_n(&d_states[i * hidden], hidden, out_.d_state + place);
      if (out_.d_cell) std::copy_n(&d_cells[i * hidden], hidden, out_.d_cell + place);
    }
  }

  // What the gradients of the sums add up to over all steps.
  void weights() {
    const int64_t rows = shape_.rows(), width = shape_.width(), hidden = shape_.hidden;
    std::vector<const float *> g(rows), b(rows), last(rows);
    for (int64_t row = 0; row < rows; row++) {
      g[row] = gates_ + row * width;
      b[row] = in_.x + row * shape_.inputs;
      last[row] = is_scaled_ ? terms_ + row * hidden : g[row] + main_;
    }
    if (out_.dw)
      sum_of_products(g, width, b, shape_.inputs,
                      out_.dw + direction_ * width * shape_.inputs);
    if (out_.d_bias) {
      float *to = out_.d_bias + direction_ * 2 * width;
      sum_of_rows(g, nullptr, width, to);
      std::copy_n(to, main_, to + width);
      if (main_ < width) sum_of_rows(last, nullptr, hidden, to + width + main_);
    }
    if (out_.dr || out_.d_peepholes) {
      std::vector<const float *> before(rows, zeros_.data()), cells(rows, zeros_.data());
      std::vector<const float *> own(rows, zeros_.data());
      for (int64_t n = 0; n < shape_.batch; n++) {
        for (int64_t s = 0; s < length(shape_, in_, n); s++) {
          const int64_t row = shape_.row(time_of(shape_, in_, direction_, n, s), n);
          before[row] = state_before(n, s);
          if (!cells_) continue;
          cells[row] = cell_before(n, s);
          own[row] = cells_ + row * hidden;
        }
      }
      if (out_.dr) {
        float *to = out_.dr + direction_ * width * hidden;
        sum_of_products(g, main_, before, hidden, to);
        if (main_ < width) {
          if (!is_scaled_)
            for (int64_t row = 0; row < rows; row++) before[row] = terms_ + row * hidden;
          sum_of_products(last, hidden, before, hidden, to + main_ * hidden);
        }
      }
      if (out_.d_peepholes) {
        float *to = out_.d_peepholes + direction_ * 3 * hidden;
        sum_of_rows(g, &cells, hidden, to);
        for (const float *&at : g) at += hidden;
        sum_of_rows(g, &own, hidden, to + hidden);
        for (const float *&at : g) at += hidden;
        sum_of_rows(g, &cells, hidden, to + 2 * hidden);
      }
    }
  }

 private:
  const float *state_before(int64_t n, int64_t s) const {
    if (s > 0)
      return out_.y +
             shape_.output(time_of(shape_, in_, direction_, n, s - 1), n, direction_);
    return in_.state ? in_.state + shape_.state(n, direction_) : zeros_.data();
  }
  const float *cell_before(int64_t n, int64_t s) const {
    if (s > 0)
      return cells_ + shape_.row(time_of(shape_, in_, direction_, n, s - 1), n) * shape_.hidden;
    return in_.cell ? in_.cell + shape_.state(n, direction_) : zeros_.data();
  }

  const RecurrentShape &shape_;
  const RecurrentInputs &in_;
  const RecurrentGradients &out_;
  const int64_t direction_;
  float *gates_, *terms_, *cells_;
  bool is_scaled_;
  int64_t main_;
  std::vector<float> zeros_, r_, r_last_;
};

// dx = sum over directions of the sums' gradients . W.
void input_gradient(const RecurrentShape &shape, const RecurrentInputs &in,
                    const RecurrentTrace &trace, float *dx) {
  const int64_t width = shape.width(), one = packed_count(width, shape.inputs);
  std::vector<float> packed(shape.form.directions * one);
  for (int64_t d = 0; d < shape.form.directions; d++)
    pack_matrix(in.w + d * width * shape.inputs, width, shape.inputs, shape.inputs, 1,
                packed.data() + d * one);
  bh::parallel_for(shape.rows(), kProductRows, [&](int64_t begin, int64_t end) {
    const float *from[kProductRows];
    float *to[kProductRows];
    for (int64_t i = begin; i < end; i++) {
      to[i - begin] = dx + i * shape.inputs;
      std::fill_n(to[i - begin], shape.inputs, 0.f);
    }
    for (int64_t d = 0; d < shape.form.directions; d++) {
      for (int64_t i = begin; i < end; i++)
        from[i - begin] = trace.gates + (d * shape.rows() + i) * width;
      multiply_add(end - begin, from, 1, width, packed.data() + d * one, shape.inputs, to);
    }
  });
}

}  // namespace

void recurrent_backward(const RecurrentShape &shape, const RecurrentInputs &in,
                        const RecurrentTrace &trace, const RecurrentGradients &out) {
  const int64_t directions = shape.form.directions;
  const int64_t size = sequences_a_task(shape);
  const int64_t tasks = (shape.batch + size - 1) / size;
  std::vector<Backward> ways;
  for (int64_t d = 0; d < directions; d++) ways.emplace_back(shape, in, trace, out, d);
  bh::parallel_for(tasks * directions, 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; task++) {
      const int64_t first = task % tasks * size;
      ways[task / tasks].through_time(first, std::min(first + size, shape.batch));
    }
  });
  for (Backward &way : ways) way.weights();
  if (out.dx) input_gradient(shape, in, trace, out.dx);
}

}  // namespace billhook
