internal import BillhookPluginKit
public import BillhookSDK

/// The library's entry. Safety: the constant is made once and never freed.
@c(billhook_module_v1)
public func powerOfTwoModule() -> UnsafePointer<bh_module> { module }

nonisolated(unsafe) private let module = declareModule(
  id: "org.billhook.example.power-of-two-module", version: "1.0.0", vendor: "Billhook",
  license: "Apache-2.0",
  plugins: [
    .quantizer(
      id: "org.billhook.example.power-of-two", name: "Power of two",
      summary: "Weights as signed powers of two, which need shifts instead of products.",
      doc: """
        Weights only: use it with mode weight-only, or train through it with distill. A weight \
        becomes the nearest of 0, ±1, ±1/2, … times its output channel's scale, a power of two. \
        The error is about 14 dB below the weights, whatever the number of bits from 4 on: more \
        bits add smaller levels, not finer ones.

        Source: Miyashita, Lee and Murmann, Convolutional Neural Networks using Logarithmic Data \
        Representation, 2016, section 3, arXiv:1603.01025. Our deviation: the nearest level by \
        distance, not by logarithm.
        """,
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT, trains: true,
      parameters: [
        .int("bits", doc: "Bits of a weight.", unit: "bits", default: 4, range: 2...8)
      ],
      create: { call, values, out in
        createQuantizer(call, values, out) { (values) throws(HookFailure) in
          try PowerOfTwoQuantizer(bits: values.int(0))
        }
      })
  ])
