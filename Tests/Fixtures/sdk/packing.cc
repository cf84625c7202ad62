// Uses each part of the C++ wrapper that the examples leave out: parameters checked against each
// other, weights of another type, and a quantizer with a file form of its own.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>

#include "billhook/billhook.hpp"

namespace {

billhook::parameter<double> low = billhook::parameter<double>("low", "Smaller weights count as this.")
                                      .default_value(0.0)
                                      .range(0, 1e6);
billhook::parameter<double> high = billhook::parameter<double>("high", "Larger weights count as this.")
                                       .default_value(1e6)
                                       .range(0, 1e6);

// The magnitude, within two limits.
class limited {
 public:
  explicit limited(const billhook::values &values) : low_(values[low]), high_(values[high]) {}

  static void validate(const billhook::values &values) {
    if (values[low] > values[high]) {
      throw billhook::failure(BH_E_INVALID_ARG, "\"low\" is " + std::to_string(values[low]) +
                                                    " but \"high\" is only " +
                                                    std::to_string(values[high]));
    }
  }

  void score(billhook::call, billhook::layer, const bh_score_in &in, billhook::tensor scores) const {
    const auto out = scores.elements<float>();
    const auto limited = [this](float weight) {
      return std::clamp(std::fabs(weight), static_cast<float>(low_), static_cast<float>(high_));
    };
    if (in.weight->code == BH_CODE_BFLOAT) {
      // The upper half of a float32; no element type of C++17 says so.
      const char *bytes = static_cast<const char *>(in.weight->data) + in.weight->byte_offset;
      for (std::size_t i = 0; i < out.size(); i++) {
        uint32_t bits = 0;
        std::memcpy(reinterpret_cast<char *>(&bits) + 2, bytes + 2 * i, 2);
        float weight;
        std::memcpy(&weight, &bits, sizeof weight);
        out[i] = limited(weight);
      }
      return;
    }
    const auto weights = billhook::tensor(in.weight).elements<const float>();
    for (std::size_t i = 0; i < out.size(); i++) out[i] = limited(weights[i]);
  }

 private:
  double low_, high_;
};

// Symmetric int8 with one scale, and a file form that holds the scale in front of the integers.
class scaled_bytes {
 public:
  explicit scaled_bytes(const billhook::values &) {}

  void layout(billhook::call, billhook::layer about, bh_qlayout &out) const {
    const int64_t limit = (int64_t{1} << (out.max_bits - 1)) - 1;
    out.formula = BH_QFORMULA_AFFINE;
    out.q_code = BH_CODE_INT;
    out.q_bits = 8;
    out.qmin = -limit;
    out.qmax = limit;
    out.symmetric = 1;
    out.granularity = BH_QGRANULARITY_TENSOR;
    out.axis = -1;
    if (about->role == BH_ROLE_WEIGHT) {
      out.storage = BH_QSTORAGE_CUSTOM;
      out.storage_id = "org.example.scaled-bytes/1";
    }
  }

  void calibrate(billhook::call, billhook::layer, const bh_qlayout &layout, billhook::tensor x,
                 const bh_qparams &out) const {
    float largest = 0;
    for (float value : x.elements<const float>()) largest = std::max(largest, std::fabs(value));
    const float scale = largest / static_cast<float>(layout.qmax);
    billhook::tensor(out.scale).elements<float>()[0] = scale >= 1e-30f ? scale : 1.0f;
    billhook::tensor(out.zero_point).elements<int8_t>()[0] = 0;
  }

  void quantize(billhook::call, billhook::layer, const bh_qlayout &layout, const bh_qparams &params,
                billhook::tensor x, billhook::tensor q) const {
    const float scale = billhook::tensor(params.scale).elements<const float>()[0];
    const auto values = x.elements<const float>();
    const auto integers = q.elements<int8_t>();
    for (std::size_t i = 0; i < integers.size(); i++) {
      const float exact = std::nearbyint(values[i] / scale);
      integers[i] = static_cast<int8_t>(std::clamp(exact, static_cast<float>(layout.qmin),
                                                   static_cast<float>(layout.qmax)));
    }
  }

  void dequantize(billhook::call, billhook::layer, const bh_qlayout &, const bh_qparams &params,
                  billhook::tensor q, billhook::tensor x) const {
    const float scale = billhook::tensor(params.scale).elements<const float>()[0];
    const auto integers = q.elements<const int8_t>();
    const auto values = x.elements<float>();
    for (std::size_t i = 0; i < values.size(); i++) values[i] = integers[i] * scale;
  }

  uint64_t packed_bytes(billhook::call, billhook::layer about, const bh_qlayout &) const {
    uint64_t count = 1;
    for (int64_t size : about.shape()) count *= static_cast<uint64_t>(size);
    return sizeof(float) + count;
  }

  void pack(billhook::call, billhook::layer, const bh_qlayout &, const bh_qparams &params,
            billhook::tensor q, billhook::tensor bytes) const {
    const auto out = bytes.elements<uint8_t>();
    const auto integers = q.elements<const int8_t>();
    std::memcpy(out.data(), billhook::tensor(params.scale).elements<const float>().data(),
                sizeof(float));
    if (!integers.empty()) std::memcpy(out.data() + sizeof(float), integers.data(), integers.size());
  }

  void unpack(billhook::call, billhook::layer, const bh_qlayout &, billhook::tensor bytes,
              const bh_qparams &params, billhook::tensor q) const {
    const auto in = bytes.elements<const uint8_t>();
    const auto integers = q.elements<int8_t>();
    std::memcpy(billhook::tensor(params.scale).elements<float>().data(), in.data(), sizeof(float));
    billhook::tensor(params.zero_point).elements<int8_t>()[0] = 0;
    if (!integers.empty()) std::memcpy(integers.data(), in.data() + sizeof(float), integers.size());
  }
};

}  // namespace

BILLHOOK_MODULE(billhook::module("org.example.packing.module", "1.0.0", "Example", "0BSD")
                    .add(billhook::scorer<limited>("org.example.limited")
                             .name("Limited")
                             .summary("The magnitude of a weight, within two limits.")
                             .caps(BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_DATA_FREE)
                             .granularities(BH_GRANULARITY_BIT_ELEMENT)
                             .weight_types({BH_DTYPE_BF16})
                             .parameters(low, high))
                    .add(billhook::quantizer<scaled_bytes>("org.example.scaled-bytes")
                             .name("Scaled bytes")
                             .summary("Symmetric int8 with the scale in front of the integers.")
                             .caps(BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT)))
