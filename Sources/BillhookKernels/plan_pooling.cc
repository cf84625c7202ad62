// Pooling, forward and backward.
#include "plan_pooling.h"

#include <cmath>

#include "max_pool.h"
#include "plan.h"
#include "plan_channels_last.h"

using namespace billhook;

namespace billhook {

std::optional<PoolShape> pool_shape(const Dims &xs, const Dims &ys, const bh_window &window,
                                    int64_t planes, int64_t block) {
  if (xs.size() != 4 || window.spatial_axes != 2) return std::nullopt;
  PoolShape shape{planes, block, {}, {}, {}, {}, {}};
  for (int axis = 0; axis < 2; axis++) {
    shape.in[axis] = xs[2 + axis];
    shape.out[axis] = ys[2 + axis];
    shape.kernel[axis] = window.kernel[axis];
    shape.stride[axis] = window.stride[axis];
    shape.begin[axis] = window.pad_begin[axis];
    const int64_t last = (shape.out[axis] - 1) * shape.stride[axis] - shape.begin[axis];
    if (window.dilation[axis] != 1 || shape.begin[axis] < 0 ||
        shape.begin[axis] >= shape.kernel[axis] || last >= shape.in[axis])
      return std::nullopt;
  }
  return shape;
}

bh::QuantizedRange range_of(const bh_quantization &quantization) {
  const bool is_signed = quantization.type == BH_TYPE_S8;
  return {is_signed, is_signed ? -128 : 0, is_signed ? 127 : 255};
}

}  // namespace billhook

namespace {

using dnnl::algorithm;
using dnnl::prop_kind;

// A max pooling for training by our own kernels.
struct OwnPool {
  PoolShape shape;
  int where;
};

struct TrainingPool {
  std::shared_ptr<OwnPool> own;  // or null, and the rest is oneDNN's
  dnnl::pooling_v2_forward::primitive_desc description;
  std::optional<dnnl::pooling_v2_backward::desc> backward;
  int workspace;
};

algorithm pooling_algorithm(int32_t kind) {
  switch (kind) {
    case BH_POOL_MAX:
      return algorithm::pooling_max;
    case BH_POOL_AVERAGE_EXCLUDE_PAD:
      return algorithm::pooling_avg_exclude_padding;
    default:
      return algorithm::pooling_avg_include_padding;
  }
}

// The pooling of a value whose channels lie in blocks, when our own kernels can do it.
std::optional<PoolShape> blocked_pool(bh_plan *plan, int32_t x, const Dims &ys,
                                      const bh_window &window) {
  const Value &in = plan->at(x);
  const int64_t block = interleaved_channels(in);
  if (in.layout.data_type() != memory::data_type::f32 || block < 2) return std::nullopt;
  const auto shape =
      pool_shape(in.dims, ys, window, in.dims[0] * ((in.dims[1] + block - 1) / block), block);
  return shape && max_pool_fits(*shape) ? shape : std::nullopt;
}

// Max pooling of bytes by our own kernel, when it is for them.
std::optional<int32_t> pool_bytes(bh_plan *plan, int32_t x, const Dims &ys,
                                  const bh_window &window) {
  const Dims xs = plan->at(x).dims;
  const auto type = plan->at(x).layout.data_type();
  if (type == memory::data_type::f32 || !(plan->at(x).layout == channels_last(xs, type)))
    return std::nullopt;
  const auto shape = pool_shape(xs, ys, window, xs[0], xs[1]);
  if (!shape) return std::nullopt;
  const int32_t y = plan->add_intermediate(ys, channels_last(ys, type));
  plan->add_call("MaxPool", {x}, {y}, [=] {
    max_pool_bytes(*shape, type == memory::data_type::s8, plan->data(x), plan->data(y));
  });
  return y;
}

// Our own kernels for training when they can write y too, else null.
std::shared_ptr<OwnPool> own_pool(bh_plan *plan, int32_t x, int32_t y, const bh_window &window) {
  const Value &out = plan->at(y);
  const auto shape = blocked_pool(plan, x, out.dims, window);
  if (!shape || interleaved_channels(out) != shape->block) return nullptr;
  // Padded to whole blocks, like the values themselves.
  const Dims places{out.dims[0], (out.dims[1] + shape->block - 1) / shape->block * shape->block,
                    out.dims[2], out.dims[3]};
  const int where = plan->add_intermediate(places, plain_layout(places, memory::data_type::u8));
  return std::make_shared<OwnPool>(OwnPool{*shape, where});
}

// Max pooling, bounds and quantization by our own kernels, when they can.
std::optional<int32_t> pool_in_one_pass(bh_plan *plan, int32_t x, const bh_window &window,
                                        const int64_t *out_dims, bh_bounds bounds,
                                        const bh_quantization *quantization) {
  const Dims xs = plan->at(x).dims;
  const Dims ys = dims_of(static_cast<int32_t>(xs.size()), out_dims);
  const auto shape = blocked_pool(plan, x, ys, window);
  if (!shape) return std::nullopt;
  if (!quantization) {
    // The channels that fill the last block stay 0.
    if (bounds.low > 0 || bounds.high < 0) return std::nullopt;
    const memory::desc layout(
        ys, memory::data_type::f32,
        shape->block == 8 ? memory::format_tag::nChw8c : memory::format_tag::nChw16c);
    const int32_t y = plan->add_intermediate(ys, layout);
    plan->add_call("MaxPool", {x}, {y}, [=] {
      max_pool(*shape, bounds, static_cast<const float *>(plan->data(x)),
               static_cast<float *>(plan->data(y)));
    });
    return y;
  }
  if (xs[1] % shape->block != 0) return std::nullopt;
  const bh::QuantizedRange range = range_of(*quantization);
  const float scale = quantization->scale;
  const int32_t zero_point = quantization->zero_point;
  const int32_t q = plan->add_intermediate(ys, channels_last(ys, data_type(quantization->type)));
  plan->add_call("MaxPoolQuantize", {x}, {q}, [=] {
    max_pool_quantized(*shape, bounds, xs[1], static_cast<const float *>(plan->data(x)), scale,
                       zero_point, range, plan->data(q));
  });
  return q;
}

}  // namespace

extern "C" {

int32_t bh_plan_pool(bh_plan *plan, int32_t x, int32_t kind, const bh_window *window,
                     const int64_t *out_dims, int32_t training) {
  return plan->guarded([&] {
    if (plan->unflattened(x) != x) x = plan->plain(x);
    const Dims xs = plan->at(x).dims;
    const Dims ys = dims_of(static_cast<int32_t>(xs.size()), out_dims);
    if (kind == BH_POOL_MAX && !training)
      if (const auto own = pool_bytes(plan, x, ys, *window)) return *own;
    Dims kernel, stride, dilation, begin, end;
    for (int64_t i = 0; i < window->spatial_axes; i++) {
      kernel.push_back(window->kernel[i]);
      stride.push_back(window->stride[i]);
      dilation.push_back(window->dilation[i] - 1);
      begin.push_back(window->pad_begin[i]);
      // What the output's size says, which in ceiling mode is more than the node's padding.
      const int64_t extent = (window->kernel[i] - 1) * window->dilation[i] + 1;
      end.push_back((ys[2 + i] - 1) * window->stride[i] + extent - xs[2 + i] -
                    window->pad_begin[i]);
    }
    const auto layout = plan->at(x).layout;
    const memory::desc target(ys, layout.data_type(), memory::format_tag::any);
    dnnl::pooling_v2_forward::primitive_desc description(
        {training ? prop_kind::forward_training : prop_kind::forward_inference,
         pooling_algorithm(kind), layout, target, stride, kernel, dilation, begin, end},
        engine());
    const int32_t y = plan->add_intermediate(ys, description.dst_desc());
    if (training && kind == BH_POOL_MAX) {
      if (const auto own = own_pool(plan, x, y, *window)) {
        plan->add_call("Pool", {x}, {y, own->where}, [=] {
          max_pool_forward(own->shape, static_cast<const float *>(plan->data(x)),
                           static_cast<float *>(plan->data(y)),
                           static_cast<uint8_t *>(plan->data(own->where)));
        });
        plan->at(y).forward =
            std::make_shared<TrainingPool>(TrainingPool{own, {}, std::nullopt, BH_PLAN_NONE});
        return y;
      }
    }
    std::vector<std::pair<int, int>> outputs{{DNNL_ARG_DST, y}};
    int32_t workspace = BH_PLAN_NONE;
    if (training && kind == BH_POOL_MAX) {
      const auto indices = description.workspace_desc();
      workspace = plan->add_intermediate(indices.dims(), indices);
      outputs.push_back({DNNL_ARG_WORKSPACE, workspace});
    }
    plan->add_primitive("Pool", dnnl::pooling_v2_forward(description), {{DNNL_ARG_SRC, x}},
                        outputs);
    if (training) {
      dnnl::pooling_v2_backward::desc backward(pooling_algorithm(kind), layout,
                                               description.dst_desc(), stride, kernel, dilation,
                                               begin, end);
      plan->at(y).forward =
          std::make_shared<TrainingPool>(TrainingPool{nullptr, description, backward, workspace});
    }
    return y;
  });
}

int32_t bh_plan_max_pool(bh_plan *plan, int32_t x, const bh_window *window, const int64_t *out_dims,
                         bh_bounds bounds, const bh_quantization *quantization) {
  return plan->guarded([&]() -> int32_t {
    if (const auto own = pool_in_one_pass(plan, x, *window, out_dims, bounds, quantization))
      return *own;
    int32_t y = bh_plan_pool(plan, x, BH_POOL_MAX, window, out_dims, 0);
    const bh_activation cut{BH_ACTIVATION_CLIP, bounds.low, bounds.high};
    if (y >= 0 && (std::isfinite(bounds.low) || std::isfinite(bounds.high)))
      y = bh_plan_activation(plan, y, &cut, 1);
    if (y < 0 || !quantization) return y;
    return bh_plan_quantize(plan, y, quantization->type, &quantization->scale,
                            &quantization->zero_point, 1, 0);
  });
}

int32_t bh_plan_pool_backward(bh_plan *plan, int32_t dy, int32_t y, int32_t x) {
  return plan->guarded([&] {
    const auto pool = std::static_pointer_cast<TrainingPool>(plan->at(y).forward);
    if (!pool) throw PlanFailure("The value was not made by a pooling for training.");
    if (const auto own = pool->own) {
      dy = plan->in_layout(dy, plan->at(y).layout);
      const int32_t dx = plan->add_intermediate(plan->at(x).dims, plan->at(x).layout);
      plan->add_call("PoolBackward", {dy, own->where}, {dx}, [=] {
        max_pool_backward(own->shape, static_cast<const float *>(plan->data(dy)),
                          static_cast<const uint8_t *>(plan->data(own->where)),
                          static_cast<float *>(plan->data(dx)));
      });
      return dx;
    }
    dnnl::pooling_v2_backward::primitive_desc description(*pool->backward, engine(),
                                                          pool->description);
    dy = plan->in_layout(dy, description.diff_dst_desc());
    const int32_t dx = plan->add_intermediate(plan->at(x).dims, description.diff_src_desc());
    std::vector<std::pair<int, int>> inputs{{DNNL_ARG_DIFF_DST, dy}};
    if (pool->workspace != BH_PLAN_NONE) inputs.push_back({DNNL_ARG_WORKSPACE, pool->workspace});
    plan->add_primitive("PoolBackward", dnnl::pooling_v2_backward(description), inputs,
                        {{DNNL_ARG_DIFF_SRC, dx}});
    return dx;
  });
}

}  // extern "C"
