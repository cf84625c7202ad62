internal import BillhookPluginKit
public import BillhookSDK

/// The library's entry. Safety: the constant is made once and never freed.
@c(billhook_module_v1)
public func magnitudeModule() -> UnsafePointer<bh_module> { module }

nonisolated(unsafe) private let module = declareModule(
  id: "org.billhook.builtin.magnitude", version: "0.1.0", vendor: "Billhook",
  license: "Apache-2.0",
  plugins: [
    .scorer(
      id: "org.billhook.magnitude", name: "Magnitude",
      summary: "The size of the weights: small ones matter least.",
      doc: """
        Scores an element by |w|^exponent, and a channel by the sum of |w|^exponent over its \
        weights: with exponent 1 its L1 norm, with exponent 2 its squared L2 norm. Needs no data. \
        For elements the exponent changes no ranking within a layer or across layers.

        Source: Han, Pool, Tran and Dally, Learning both Weights and Connections for Efficient \
        Neural Networks, 2015, arXiv:1506.02626 (elements); Li, Kadav, Durdanovic, Samet and Graf, \
        Pruning Filters for Efficient ConvNets, 2016, arXiv:1608.08710 (channels).
        """,
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_CHUNKED | BH_CAP_DATA_FREE
        | BH_CAP_GLOBAL_SCALE,
      granularities: BH_GRANULARITY_BIT_ELEMENT | BH_GRANULARITY_BIT_OUT_CHANNEL
        | BH_GRANULARITY_BIT_IN_CHANNEL,
      parameters: [
        .double(
          "exponent", doc: "The power that |w| is raised to; 1 is L1, 2 is squared L2.", default: 1,
          range: 0.1...8)
      ],
      create: { call, values, out in
        createScorer(call, values, out) { MagnitudeScorer(exponent: $0.double(0)) }
      })
  ])
