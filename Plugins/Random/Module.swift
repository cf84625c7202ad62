internal import BillhookPluginKit
public import BillhookSDK

/// The library's entry. Safety: the constant is made once and never freed.
@c(billhook_module_v1)
public func randomModule() -> UnsafePointer<bh_module> { module }

nonisolated(unsafe) private let module = declareModule(
  id: "org.billhook.builtin.random", version: "0.1.0", vendor: "Billhook",
  license: "Apache-2.0",
  plugins: [
    .scorer(
      id: "org.billhook.random", name: "Random",
      summary: "Chance: what any other criterion must beat.",
      doc: """
        Scores every element or channel with an independent uniform number from 0 to 1, which \
        depends on the seed, the layer and the position alone. Its accuracy is the baseline of a \
        comparison: a criterion that is no better has learned nothing from the weights.
        """,
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_CHUNKED | BH_CAP_DATA_FREE
        | BH_CAP_GLOBAL_SCALE,
      granularities: BH_GRANULARITY_BIT_ELEMENT | BH_GRANULARITY_BIT_OUT_CHANNEL
        | BH_GRANULARITY_BIT_IN_CHANNEL,
      create: { call, values, out in
        createScorer(call, values, out) { _ in RandomScorer() }
      })
  ])
