// @name@: a quantizer. Symmetric integers with a scale for each output channel of a weight, and one
// scale for an activation.
#include <algorithm>
#include <billhook/billhook.hpp>

namespace {

class quantizer {
 public:
  explicit quantizer(const billhook::values &) {}

  void layout(billhook::call, billhook::layer layer, bh_qlayout &out) const {
    const bool by_channel = layer->role == BH_ROLE_WEIGHT && layer->out_axis >= 0;
    out.formula = BH_QFORMULA_AFFINE;
    out.q_code = BH_CODE_INT;
    out.q_bits = 8;
    out.qmax = (int64_t{1} << (out.max_bits - 1)) - 1;
    out.qmin = -out.qmax;
    out.symmetric = 1;
    out.granularity = by_channel ? BH_QGRANULARITY_AXIS : BH_QGRANULARITY_TENSOR;
    out.axis = by_channel ? layer->out_axis : -1;
    out.export_flags = BH_QEXPORT_DEQUANT_EXACT | BH_QEXPORT_QUANT_EXACT;
  }

  void calibrate(billhook::call call, billhook::layer layer, const bh_qlayout &layout,
                 billhook::tensor x, const bh_qparams &out) const {
    const view v(call, layout, x);
    const auto values = x.elements<float>();
    // For an activation calibration has found the lowest and the highest value already.
    float *low = values.data();
    float *high = low + 1;
    if (layer->role == BH_ROLE_WEIGHT) {
      const auto ranges = call.scratch<float>(2 * v.zero_points.size());
      low = ranges.data();
      high = low + v.zero_points.size();
      call.check(call.kernels().min_max(call.raw(), values.data(), v.outer, v.count, v.inner, low,
                                        high));
    }
    const auto zero_points = billhook::tensor(out.zero_point).elements<int8_t>();
    std::fill(zero_points.begin(), zero_points.end(), int8_t{0});
    const auto scale = billhook::tensor(out.scale).elements<float>();
    call.check(call.kernels().affine_params(
        call.raw(), low, high, v.count, static_cast<int32_t>(layout.qmin),
        static_cast<int32_t>(layout.qmax), layout.symmetric, scale.data(), v.zero_points.data()));
  }

  void quantize(billhook::call call, billhook::layer, const bh_qlayout &layout,
                const bh_qparams &params, billhook::tensor x, billhook::tensor q_out) const {
    const view v(call, layout, x);
    const auto scale = billhook::tensor(params.scale).elements<float>();
    call.check(call.kernels().affine_quantize(
        call.raw(), x.elements<float>().data(), v.outer, v.count, v.inner, scale.data(),
        v.zero_points.data(), static_cast<int32_t>(layout.qmin), static_cast<int32_t>(layout.qmax),
        layout.q_code, q_out.elements<int8_t>().data()));
  }

  void dequantize(billhook::call call, billhook::layer, const bh_qlayout &layout,
                  const bh_qparams &params, billhook::tensor q, billhook::tensor x_out) const {
    const view v(call, layout, q);
    const auto scale = billhook::tensor(params.scale).elements<float>();
    call.check(call.kernels().affine_dequantize(
        call.raw(), q.elements<int8_t>().data(), layout.q_code, v.outer, v.count, v.inner,
        scale.data(), v.zero_points.data(), x_out.elements<float>().data()));
  }

 private:
  // A tensor around the axis that has a scale an index, and zero points.
  struct view : billhook::axis_view {
    billhook::span<int32_t> zero_points;

    view(billhook::call call, const bh_qlayout &layout, billhook::tensor x)
        : axis_view{1, 1, 1} {
      const auto shape = x.shape();
      for (std::size_t axis = 0; axis < shape.size(); axis++) {
        const auto place = static_cast<int32_t>(axis);
        (place < layout.axis ? outer : place == layout.axis ? count : inner) *= shape[axis];
      }
      zero_points = call.scratch<int32_t>(static_cast<std::size_t>(count));
      std::fill(zero_points.begin(), zero_points.end(), 0);
    }
  };
};

}  // namespace

BILLHOOK_MODULE(billhook::module("org.example.@name@.module", "1.0.0", "Example", "0BSD")
                    .add(billhook::quantizer<quantizer>("org.example.@name@")
                             .name("@name@")
                             .summary("Symmetric integers with a scale for each output channel.")
                             .caps(BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT)))
