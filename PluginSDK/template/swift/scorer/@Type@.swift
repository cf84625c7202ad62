// @name@: a scorer. Say here what a high score means, and where the method comes from.
internal import BillhookPluginKit
public import BillhookSDK

final class Scorer: ScorerHook {
  private let exponent: Double

  init(exponent: Double) { self.exponent = exponent }

  func score(
    _ call: HostCall, _ layer: bh_layer, _ input: bh_score_in, scores: bh_tensor
  ) throws(HookFailure) {
    // The host's kernels are vectorised, threaded and give the same bytes on any number of threads.
    let kernels = try call.kernels()
    let weight = input.weight.pointee.pointer(to: Float.self)
    let out = scores.pointer(to: Float.self)
    if Int32(input.granularity) == BH_GRANULARITY_ELEMENT {
      try call.check(kernels.abs_power(call.pointer, weight, Int64(scores.count), exponent, out))
    } else {
      let (outer, channels, inner) = layer.around(axis: layer.out_axis)
      try call.check(
        kernels.abs_power_sums(call.pointer, weight, outer, channels, inner, exponent, out))
    }
  }
}

/// The library's entry. Safety: the constant is made once and never freed.
@c(billhook_module_v1)
public func entry() -> UnsafePointer<bh_module> { module }

nonisolated(unsafe) private let module = declareModule(
  id: "org.example.@name@.module", version: "1.0.0", vendor: "Example", license: "0BSD",
  plugins: [
    .scorer(
      id: "org.example.@name@", name: "@name@", summary: "Weights near 0 matter least.",
      doc: "An element's score is |w|^exponent, a channel's the sum over its weights.",
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_CHUNKED | BH_CAP_DATA_FREE
        | BH_CAP_GLOBAL_SCALE,
      granularities: BH_GRANULARITY_BIT_ELEMENT | BH_GRANULARITY_BIT_OUT_CHANNEL,
      parameters: [
        .double("exponent", doc: "The power that |w| is raised to.", default: 1, range: 0.1...8)
      ],
      create: { call, values, out in
        createScorer(call, values, out) { Scorer(exponent: $0.double(0)) }
      })
  ])
