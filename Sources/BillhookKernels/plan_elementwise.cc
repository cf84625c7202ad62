// Activations, arithmetic with broadcasting, softmax.
#include <algorithm>
#include <cmath>
#include <vector>

#include "parallel.h"
#include "plan_spaced_rows.h"

using namespace billhook;

namespace {

using dnnl::algorithm;
using dnnl::prop_kind;

// The forms whose gradient is told from the result.
algorithm eltwise_algorithm(const bh_activation &activation) {
  switch (activation.kind) {
    case BH_ACTIVATION_RELU:
      return algorithm::eltwise_relu_use_dst_for_bwd;
    case BH_ACTIVATION_CLIP:
      return algorithm::eltwise_clip_v2_use_dst_for_bwd;
    case BH_ACTIVATION_SIGMOID:
      return algorithm::eltwise_logistic_use_dst_for_bwd;
  }
  throw PlanFailure("There is no activation " + std::to_string(activation.kind) + ".");
}

// Zeroes the channels that fill up the last block of a layout.
void zero_padding(const Dims &dims, int64_t block, float *y) {
  const int64_t own = dims[1] % block, blocks = (dims[1] + block - 1) / block;
  int64_t pixels = 1;
  for (size_t i = 2; i < dims.size(); i++) pixels *= dims[i];
  for (int64_t n = 0; n < dims[0]; n++) {
    float *last = y + (n * blocks + blocks - 1) * pixels * block;
    for (int64_t p = 0; p < pixels; p++)
      std::fill(last + p * block + own, last + (p + 1) * block, 0.0f);
  }
}

bool is_padded(bh_plan *plan, int32_t value) {
  const memory::desc &layout = plan->at(value).layout;
  return layout.get_size() != plain_layout(layout.dims(), layout.data_type()).get_size();
}

// The value with the axes of another that lists the same elements in the same order.
int32_t with_shape_of(bh_plan *plan, int32_t value, int32_t other) {
  const Dims dims = plan->at(other).dims;
  if (plan->at(value).dims == dims) return value;
  return bh_plan_reshape(plan, value, static_cast<int32_t>(dims.size()), dims.data());
}

// Adds make(first element, elements, where to), which computes elements of y from the same elements of
// what it reads: all at once, or row by row where y has a twin with gaps that somebody reads. y is then
// a copy, if anybody reads it too.
template <class Make>
void add_elements(bh_plan *plan, const char *name, const std::vector<int> &reads, int32_t y,
                  int32_t in_place_source, const Make &make) {
  const auto size = static_cast<int64_t>(plan->at(y).layout.get_size() / sizeof(float));
  const int32_t twin = add_gapped_twin(plan, y);
  std::vector<int> writes{y};
  if (twin != BH_PLAN_NONE) writes.push_back(twin);
  plan->add_call(
      name, reads, writes,
      [=] {
        auto *plain = static_cast<float *>(plan->data(y));
        if (twin == BH_PLAN_NONE || !is_read(plan, twin)) return make(0, size, plain);
        const int64_t columns = plan->at(twin).dims[1], step = row_step(plan->at(twin));
        auto *rows = static_cast<float *>(plan->data(twin));
        const bool is_wanted = is_read(plan, y);
        const int64_t grain = 1 + bh::streaming_grain / 8 / columns;
        bh::parallel_for(size / columns, grain, [&](int64_t begin, int64_t end) {
          for (int64_t r = begin; r < end; r++) {
            make(r * columns, columns, rows + r * step);
            if (is_wanted) std::copy_n(rows + r * step, columns, plain + r * columns);
          }
        });
      },
      in_place_source);
}

// Our own kernels in whatever layout the value has.
int32_t add_functions(bh_plan *plan, const char *name, int32_t x, const bh_activation *functions,
                      int32_t count) {
  if (count == 0) return x;
  int32_t source = plan->unflattened(x);
  int64_t block = 0;
  if (is_padded(plan, source)) {
    block = interleaved_channels(plan->at(source));
    if (block < 2) source = plan->plain(source);
  }
  const Dims dims = plan->at(source).dims;
  const memory::desc layout = plan->at(source).layout;
  float zero = 0;
  for (int32_t i = 0; i < count; i++) zero = bh_activate_scalar(functions[i], zero);
  const bool refills = is_padded(plan, source) && zero != 0;
  const std::vector<bh_activation> list(functions, functions + count);
  const int32_t y = plan->add_intermediate(dims, layout);
  add_elements(plan, name, {source}, y, source, [=](int64_t first, int64_t n, float *to) {
    bh_activate_f32(list.data(), static_cast<int32_t>(list.size()),
                    static_cast<const float *>(plan->data(source)) + first, to, n);
    if (refills) zero_padding(dims, block, to);  // all at once: only plain rows have a twin
  });
  return with_shape_of(plan, y, x);
}

bool result_tells_slope(const bh_activation &activation) {
  return activation.kind == BH_ACTIVATION_RELU || activation.kind == BH_ACTIVATION_CLIP ||
         activation.kind == BH_ACTIVATION_SIGMOID;
}

// dy times the slopes at x, in whatever layout x has: where that is padded, dy's zeros stay.
int32_t add_slopes(bh_plan *plan, int32_t dy, int32_t x, const bh_activation &activation) {
  if (x == BH_PLAN_NONE)
    throw PlanFailure("The gradient of activation " + std::to_string(activation.kind) +
                      " needs its argument.");
  const int32_t source = plan->unflattened(x);
  const Dims dims = plan->at(source).dims;
  const memory::desc layout = plan->at(source).layout;
  dy = plan->in_layout(plan->with_dims(dy, dims), layout);
  const int32_t dx = plan->add_intermediate(dims, layout);
  add_elements(plan, "ActivationBackward", {dy, source}, dx, dy,
               [=](int64_t first, int64_t n, float *to) {
                 bh_activation_gradient_f32(
                     activation, static_cast<const float *>(plan->data(source)) + first,
                     static_cast<const float *>(plan->data(dy)) + first, to, n);
               });
  return with_shape_of(plan, dx, x);
}

int32_t add_line(bh_plan *plan, const char *name, int32_t x, float alpha, float beta) {
  const bh_activation line{BH_ACTIVATION_LINEAR, alpha, beta};
  return add_functions(plan, name, x, &line, 1);
}

struct Binary {
  const char *name;
  algorithm kind;
  bool commutes;
};

Binary binary_of(int32_t kind) {
  switch (kind) {
    case BH_BINARY_ADD:
      return {"Add", algorithm::binary_add, true};
    case BH_BINARY_MUL:
      return {"Mul", algorithm::binary_mul, true};
    case BH_BINARY_SUB:
      return {"Sub", algorithm::binary_sub, false};
    case BH_BINARY_DIV:
      return {"Div", algorithm::binary_div, false};
  }
  throw PlanFailure("There is no operation " + std::to_string(kind) + " of two values.");
}

// The number that a constant of one element holds, or null.
const float *lone_number(bh_plan *plan, int32_t value) {
  const Value &stored = plan->at(value);
  if (stored.kind != Kind::constant || stored.layout.data_type() != memory::data_type::f32)
    return nullptr;
  for (int64_t size : stored.dims)
    if (size != 1) return nullptr;
  return static_cast<const float *>(plan->constant_data(value));
}

// An operation with one constant number as a linear function; BH_PLAN_NONE when it is none.
int32_t add_linear(bh_plan *plan, const Binary &operation, int32_t a, int32_t b, const Dims &dims) {
  if (plan->at(a).dims != dims) {
    if (!operation.commutes) return BH_PLAN_NONE;
    std::swap(a, b);
  }
  const float *number = plan->at(a).dims == dims ? lone_number(plan, b) : nullptr;
  if (!number || !std::isfinite(*number)) return BH_PLAN_NONE;
  switch (operation.kind) {
    case algorithm::binary_add:
      return add_line(plan, operation.name, a, 1, *number);
    case algorithm::binary_sub:
      return add_line(plan, operation.name, a, 1, -*number);
    case algorithm::binary_mul:
      return add_line(plan, operation.name, a, *number, 0);
    default: {
      // Only for powers of two, whose reciprocal is exact: a Floor may follow.
      int exponent;
      if (!std::isnormal(1 / *number) || std::fabs(std::frexp(*number, &exponent)) != .5f)
        return BH_PLAN_NONE;
      return add_line(plan, operation.name, a, 1 / *number, 0);
    }
  }
}

// A layout with as many channels in a block as the other value has; plain where that has none.
memory::desc blocked_like(const Value &other, const Dims &dims) {
  using tag = memory::format_tag;
  const int64_t block = interleaved_channels(other);
  const tag tags[][3] = {{tag::nCw8c, tag::nChw8c, tag::nCdhw8c},
                         {tag::nCw16c, tag::nChw16c, tag::nCdhw16c}};
  if ((block != 8 && block != 16) || dims.size() < 3 || dims.size() > 5)
    return plain_layout(dims, memory::data_type::f32);
  return memory::desc(dims, memory::data_type::f32, tags[block / 16][dims.size() - 3]);
}

// Our own kernel, on plain values.
int32_t add_broadcast(bh_plan *plan, const Binary &operation, int32_t kind, int32_t a, int32_t b,
                      const Dims &dims) {
  bh_broadcast form{kind, static_cast<int32_t>(std::max<size_t>(dims.size(), 1)), {1}, {0}, {0}};
  std::copy(dims.begin(), dims.end(), form.dims);
  const auto steps = [&](int32_t value, int64_t *result) {
    const Dims own = with_rank(plan->at(value).dims, dims.size());
    int64_t step = 1;
    for (size_t i = dims.size(); i-- > 0;) {
      result[i] = own[i] == 1 ? 0 : step;
      step *= own[i];
    }
  };
  a = plan->plain(a);
  b = plan->plain(b);
  steps(a, form.a_steps);
  steps(b, form.b_steps);
  const int32_t y = plan->add_intermediate(dims, plain_layout(dims, memory::data_type::f32));
  const auto at = [=](int32_t value) { return static_cast<float *>(plan->data(value)); };
  plan->add_call(
      operation.name, {a, b}, {y}, [=] { bh_broadcast_f32(&form, at(a), at(b), at(y)); },
      plan->at(a).dims == dims ? a : BH_PLAN_NONE);
  return y;
}

template <class Forward>
int32_t add_softmax(bh_plan *plan, const char *name, int32_t x, int32_t axis) {
  if (plan->unflattened(x) != x) x = plan->plain(x);
  const auto layout = plan->at(x).layout;
  typename Forward::primitive_desc description({prop_kind::forward_training, layout, axis},
                                               engine());
  const int32_t y = plan->add_intermediate(plan->at(x).dims, layout);
  plan->add_primitive(name, Forward(description), {{DNNL_ARG_SRC, x}}, {{DNNL_ARG_DST, y}}, x);
  return y;
}

}  // namespace

extern "C" {

int32_t bh_plan_activation(bh_plan *plan, int32_t x, const bh_activation *functions,
                           int32_t count) {
  return plan->guarded([&] { return add_functions(plan, "Activation", x, functions, count); });
}

int32_t bh_plan_linear(bh_plan *plan, int32_t x, float alpha, float beta) {
  return plan->guarded([&] { return add_line(plan, "Linear", x, alpha, beta); });
}

int32_t bh_plan_activation_backward(bh_plan *plan, int32_t dy, int32_t x, int32_t y,
                                    bh_activation activation) {
  return plan->guarded([&] {
    if (!result_tells_slope(activation)) return add_slopes(plan, dy, x, activation);
    const int32_t result = plan->unflattened(y);
    if (result != y) dy = plan->with_dims(dy, plan->at(result).dims);
    const auto layout = plan->at(result).layout;
    const float low = activation.alpha, high = activation.beta;
    dnnl::eltwise_forward::primitive_desc hint(
        {prop_kind::forward_training, eltwise_algorithm(activation), layout, low, high}, engine());
    dnnl::eltwise_backward::primitive_desc description(
        {eltwise_algorithm(activation), layout, layout, low, high}, engine(), hint);
    dy = plan->in_layout(dy, layout);
    const int32_t dx = plan->add_intermediate(plan->at(result).dims, layout);
    plan->add_primitive("ActivationBackward", dnnl::eltwise_backward(description),
                        {{DNNL_ARG_DIFF_DST, dy}, {DNNL_ARG_DST, result}},
                        {{DNNL_ARG_DIFF_SRC, dx}}, dy);
    return with_shape_of(plan, dx, y);
  });
}

int32_t bh_plan_binary(bh_plan *plan, int32_t a, int32_t b, int32_t kind, int32_t rank,
                       const int64_t *out_dims) {
  return plan->guarded([&] {
    const Dims dims = dims_of(rank, out_dims);
    const Binary operation = binary_of(kind);
    const int32_t linear = add_linear(plan, operation, a, b, dims);
    if (linear != BH_PLAN_NONE) return linear;
    if (plan->unflattened(a) != a) a = plan->plain(a);
    if (plan->unflattened(b) != b) b = plan->plain(b);
    // Of oneDNN's operands only the second may be spread.
    if (operation.commutes && plan->at(a).dims != dims) std::swap(a, b);
    if (plan->at(a).dims != dims) return add_broadcast(plan, operation, kind, a, b, dims);
    if (plan->at(b).dims == dims) {
      b = plan->in_layout(b, plan->at(a).layout);
    } else {
      b = plan->with_dims(b, with_rank(plan->at(b).dims, dims.size()));
    }
    const auto layout = plan->at(a).layout;
    // Layouts that differ in the steps of axes of one element are equal to oneDNN, but not to version
    // 2.6's binary kernels, which then read the second operand from wrong places.
    const auto second = plan->at(b).layout == layout ? layout : plan->at(b).layout;
    dnnl::binary::primitive_desc description({operation.kind, layout, second, layout}, engine());
    const auto is_slow = [&] {
      return std::string(description.impl_info_str()).rfind("ref", 0) == 0;
    };
    const Dims own = plan->at(b).dims;
    if (is_slow() && own != dims && own.size() == dims.size() && own.size() > 1 &&
        own[1] == dims[1] && dims[1] > 1) {
      // Convolutions with groups may make blocks of 8 channels where others make blocks of 16. A
      // single channel in a block is taken for one that is spread.
      b = plan->in_layout(b, blocked_like(plan->at(a), own));
      description = {{operation.kind, layout, plan->at(b).layout, layout}, engine()};
    }
    if (is_slow()) return add_broadcast(plan, operation, kind, a, b, dims);
    const int32_t y = plan->add_intermediate(dims, layout);
    plan->add_primitive(operation.name, dnnl::binary(description),
                        {{DNNL_ARG_SRC_0, a}, {DNNL_ARG_SRC_1, b}}, {{DNNL_ARG_DST, y}}, a);
    return y;
  });
}

int32_t bh_plan_prelu(bh_plan *plan, int32_t x, int32_t slope) {
  return plan->guarded([&] {
    if (plan->unflattened(x) != x) x = plan->plain(x);
    const Dims dims = with_rank(plan->at(slope).dims, plan->at(x).dims.size());
    slope = plan->with_dims(plan->plain(slope), dims);
    const auto layout = plan->at(x).layout;
    const memory::desc any(dims, memory::data_type::f32, memory::format_tag::any);
    dnnl::prelu_forward::primitive_desc description({prop_kind::forward_inference, layout, any},
                                                    engine());
    const int32_t factors = plan->in_layout(slope, description.weights_desc());
    const int32_t y = plan->add_intermediate(plan->at(x).dims, layout);
    plan->add_primitive("PRelu", dnnl::prelu_forward(description),
                        {{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, factors}}, {{DNNL_ARG_DST, y}}, x);
    return y;
  });
}

int32_t bh_plan_softmax(bh_plan *plan, int32_t x, int32_t axis) {
  return plan->guarded(
      [&] { return add_softmax<dnnl::softmax_forward>(plan, "Softmax", x, axis); });
}

int32_t bh_plan_log_softmax(bh_plan *plan, int32_t x, int32_t axis) {
  return plan->guarded(
      [&] { return add_softmax<dnnl::logsoftmax_forward>(plan, "LogSoftmax", x, axis); });
}

}  // extern "C"
