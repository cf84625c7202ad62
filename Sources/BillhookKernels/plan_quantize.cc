// From floats to quantized values and back, and the sum of two quantized values.
#include <algorithm>
#include <cmath>
#include <limits>

#include "bh_quantize.h"
#include "bh_score.h"
#include "integer_add.h"
#include "parallel.h"
#include "plan.h"
#include "plan_channels_last.h"

using namespace billhook;

namespace {

// A tensor as [outer, channels, inner] around the axis that has parameters of its own; [1, 1, all]
// when there is one of each.
struct Spans {
  int64_t outer = 1, inner = 1;

  Spans(const Dims &dims, int64_t count, int32_t axis) {
    for (size_t i = 0; i < dims.size(); i++) {
      const bool before = count != 1 && static_cast<int32_t>(i) < axis;
      const bool after = count == 1 || static_cast<int32_t>(i) > axis;
      if (before) outer *= dims[i];
      if (after) inner *= dims[i];
    }
  }
};

}  // namespace

extern "C" {

int32_t bh_plan_quantize(bh_plan *plan, int32_t x, int32_t type, const float *scale,
                         const int32_t *zero_point, int64_t count, int32_t axis) {
  return plan->guarded([&] {
    if (plan->unflattened(x) != x) x = plan->plain(x);
    const Dims dims = plan->at(x).dims;
    // Along an axis the parameters follow the plain order.
    const bool whole = count == 1;
    const auto from = whole ? channels_last(dims, memory::data_type::f32)
                            : plain_layout(dims, memory::data_type::f32);
    const auto to =
        whole ? channels_last(dims, data_type(type)) : plain_layout(dims, data_type(type));
    x = plan->in_layout(x, from);
    const int32_t q = plan->add_intermediate(dims, to);
    const Spans spans(dims, count, axis);
    const std::vector<float> scales(scale, scale + count);
    const std::vector<int32_t> zeros(zero_point, zero_point + count);
    plan->add_call("Quantize", {x}, {q}, [=] {
      const auto *in = static_cast<const float *>(plan->data(x));
      if (type == BH_TYPE_U8) {
        bh_quantize_f32_u8(in, spans.outer, count, spans.inner, scales.data(), zeros.data(), 0, 255,
                           static_cast<uint8_t *>(plan->data(q)));
      } else {
        bh_quantize_f32_s8(in, spans.outer, count, spans.inner, scales.data(), zeros.data(), -128,
                           127, static_cast<int8_t *>(plan->data(q)));
      }
    });
    return q;
  });
}

int32_t bh_plan_dequantize(bh_plan *plan, int32_t q, const float *scale, const int32_t *zero_point,
                           int64_t count, int32_t axis) {
  return plan->guarded([&] {
    if (plan->unflattened(q) != q || count != 1) q = plan->plain(q);
    const Value &source = plan->at(q);
    const Dims dims = source.dims;
    const auto stored = source.layout.data_type();
    const bool is_last = source.layout == channels_last(dims, stored);
    if (!is_last) q = plan->plain(q);
    const auto layout = is_last ? channels_last(dims, memory::data_type::f32)
                                : plain_layout(dims, memory::data_type::f32);
    const int32_t x = plan->add_intermediate(dims, layout);
    const Spans spans(dims, count, axis);
    const std::vector<float> scales(scale, scale + count);
    const std::vector<int32_t> zeros(zero_point, zero_point + count);
    plan->add_call("Dequantize", {q}, {x}, [=] {
      auto *out = static_cast<float *>(plan->data(x));
      if (stored == memory::data_type::u8) {
        bh_dequantize_u8_f32(static_cast<const uint8_t *>(plan->data(q)), spans.outer, count,
                             spans.inner, scales.data(), zeros.data(), out);
      } else {
        bh_dequantize_s8_f32(static_cast<const int8_t *>(plan->data(q)), spans.outer, count,
                             spans.inner, scales.data(), zeros.data(), out);
      }
    });
    return x;
  });
}

int32_t bh_plan_dynamic_quantize(bh_plan *plan, int32_t x, int32_t *scale, int32_t *zero_point) {
  return plan->guarded([&] {
    if (plan->unflattened(x) != x) x = plan->plain(x);
    const Dims dims = plan->at(x).dims;
    x = plan->in_layout(x, channels_last(dims, memory::data_type::f32));
    const int32_t q = plan->add_intermediate(dims, channels_last(dims, memory::data_type::u8));
    *scale = plan->add_intermediate({}, plain_layout({}, memory::data_type::f32));
    *zero_point = plan->add_intermediate({}, plain_layout({}, memory::data_type::u8));
    int64_t total = 1;
    for (int64_t size : dims) total *= size;
    const int32_t scale_value = *scale, zero_value = *zero_point;
    plan->add_call("DynamicQuantize", {x}, {q, scale_value, zero_value}, [=] {
      const auto *in = static_cast<const float *>(plan->data(x));
      float low, high;
      bh_min_max_f32(in, total, &low, &high);
      int32_t zero;
      const float step = bh_affine_scale(low, high, 0, 255, &zero);
      *static_cast<float *>(plan->data(scale_value)) = step;
      *static_cast<uint8_t *>(plan->data(zero_value)) = static_cast<uint8_t>(zero);
      bh_quantize_f32_u8(in, 1, 1, total, &step, &zero, 0, 255,
                         static_cast<uint8_t *>(plan->data(q)));
    });
    return q;
  });
}

int32_t bh_plan_add_integer(bh_plan *plan, int32_t a, float a_scale, int32_t a_zero_point,
                            int32_t b, float b_scale, int32_t b_zero_point,
                            bh_activation activation, int32_t out_type, float out_scale,
                            int32_t out_zero_point) {
  return plan->guarded([&] {
    if (plan->unflattened(a) != a) a = plan->plain(a);
    if (plan->unflattened(b) != b) b = plan->plain(b);
    const Dims dims = plan->at(a).dims;
    const int32_t a_type = byte_type(plan->at(a).layout.data_type());
    const int32_t b_type = byte_type(plan->at(b).layout.data_type());
    a = plan->in_layout(a, channels_last(dims, data_type(a_type)));
    b = plan->in_layout(b, channels_last(dims, data_type(b_type)));
    const int32_t y = plan->add_intermediate(dims, channels_last(dims, data_type(out_type)));
    int64_t total = 1;
    for (int64_t size : dims) total *= size;
    const float infinity = std::numeric_limits<float>::infinity();
    float low = -infinity, high = infinity;
    if (activation.kind == BH_ACTIVATION_RELU) low = 0;
    if (activation.kind == BH_ACTIVATION_CLIP) {
      low = activation.alpha;
      high = activation.beta;
    }
    plan->add_call("AddInteger", {a, b}, {y}, [=] {
      const QuantizedSpan left{a_type, plan->data(a), a_scale, a_zero_point};
      const QuantizedSpan right{b_type, plan->data(b), b_scale, b_zero_point};
      void *out = plan->data(y);
      bh::parallel_for(total, 1 << 12, [&](int64_t begin, int64_t end) {
        float sums[1 << 12];
        add_quantized(left, right, begin, end - begin, low, high, sums);
        if (activation.kind == BH_ACTIVATION_SIGMOID)
          for (int64_t i = 0; i < end - begin; i++) sums[i] = 1 / (1 + std::exp(-sums[i]));
        if (out_type == BH_TYPE_U8) {
          bh_quantize_f32_u8(sums, 1, 1, end - begin, &out_scale, &out_zero_point, 0, 255,
                             static_cast<uint8_t *>(out) + begin);
        } else {
          bh_quantize_f32_s8(sums, 1, 1, end - begin, &out_scale, &out_zero_point, -128, 127,
                             static_cast<int8_t *>(out) + begin);
        }
      });
    });
    return y;
  });
}

}  // extern "C"
