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
        a weight has: one, one for each output channel, or one for each "block_size" weights along \
        the input channels; with "weight_bits" below 8 weights have fewer bits. Blocks and fewer \
        bits are for weight-only quantization. Activations have one scale and 8 bits.

        Source: Jacob, Kligys, Chen, Zhu, Tang, Howard, Adam and Kalenichenko, Quantization and \
        Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, 2017, section \
        2.1, arXiv:1712.05877; ONNX operators QuantizeLinear and DynamicQuantizeLinear.
        """,
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT,
      parameters: [
        .choice(
          "scheme", doc: "How activations are stored.", choices: ["asymmetric", "symmetric"]),
        .choice(
          "granularity", doc: "How many scales a weight has.",
          choices: ["channel", "tensor", "block"]),
        .choice(
          "weight_scheme", doc: "How weights are stored.", choices: ["symmetric", "asymmetric"]),
        .int("weight_bits", doc: "Bits of a weight.", unit: "bits", default: 8, range: 2...8),
        .int(
          "block_size", doc: "Weights that share a scale, when the granularity is blocks.",
          default: 32, range: 1...65536),
      ],
      create: { call, values, out in
        createQuantizer(call, values, out) {
          AffineQuantizer(
            isActivationSymmetric: $0.choice(0) == 1,
            granularity: AffineQuantizer.Granularity(rawValue: $0.choice(1)) ?? .channel,
            isWeightSymmetric: $0.choice(2) == 0, weightBits: $0.int(3), blockSize: $0.int(4))
        }
      })
  ])
