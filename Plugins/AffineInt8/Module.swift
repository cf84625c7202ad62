internal import BillhookPluginKit
public import BillhookSDK

/// The library's entry. Safety: the constant is made once and never freed.
@c(billhook_module_v1)
public func affineInt8Module() -> UnsafePointer<bh_module> { module }

nonisolated(unsafe) private let module = declareModule(
  id: "org.billhook.builtin.affine-int8", version: "0.1.0", vendor: "Billhook",
  license: "Apache-2.0",
  plugins: [
    .quantizer(
      id: "org.billhook.affine-int8", name: "Affine int8",
      summary: "Eight-bit integers with a scale and a zero point.",
      doc: """
        q = saturate(round(x / scale) + zero_point), rounding half to even, bit-equal to ONNX \
        QuantizeLinear.

        "scheme" is how activations are stored: asymmetric is uint8 with a zero point, so that the \
        range that was measured uses all integers and 0 is still exact, and a ReLU is the clip at \
        it; symmetric is int8 with zero point 0 and scale max|x| / 127, which ONNX Runtime does not \
        compute with on x86. Weights are int8: symmetric (from -127 to 127; \
        from -63 to 63 where the host allows seven bits), or with "weight_scheme" asymmetric with \
        a zero point each, which suits weight-only quantization. "granularity" is how many scales \
        a weight has: one, or one for each output channel. Activations have one.

        Source: Jacob, Kligys, Chen, Zhu, Tang, Howard, Adam and Kalenichenko, Quantization and \
        Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2017, section \
        2.1, arXiv:1712.05877; ONNX operators QuantizeLinear and DynamicQuantizeLinear.
        """,
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT,
      parameters: [
        .choice(
          "scheme", doc: "How activations are stored.", choices: ["asymmetric", "symmetric"]),
        .choice(
          "granularity", doc: "How many scales a weight has.", choices: ["channel", "tensor"]),
        .choice(
          "weight_scheme", doc: "How weights are stored.", choices: ["symmetric", "asymmetric"]),
      ],
      create: { call, values, out in
        createQuantizer(call, values, out) {
          AffineQuantizer(
            isActivationSymmetric: $0.choice(0) == 1, isPerChannel: $0.choice(1) == 0,
            isWeightSymmetric: $0.choice(2) == 0)
        }
      })
  ])
