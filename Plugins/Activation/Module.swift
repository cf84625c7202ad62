internal import BillhookPluginKit
public import BillhookSDK

/// The library's entry. Safety: the constant is made once and never freed.
@c(billhook_module_v1)
public func activationModule() -> UnsafePointer<bh_module> { module }

nonisolated(unsafe) private let module = declareModule(
  id: "org.billhook.builtin.activation", version: "0.1.0", vendor: "Billhook",
  license: "Apache-2.0",
  plugins: [
    .scorer(
      id: "org.billhook.activation", name: "Mean absolute activation",
      summary: "How strongly a channel answers on calibration data.",
      doc: """
        Scores an output channel by the mean of |y| at the layer's activation output over the \
        calibration data. Its siblings in this library are "org.billhook.activation.apoz" and \
        "org.billhook.activation.wanda".
        """,
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT, needs: BH_NEED_OUT_ABS_MEAN,
      granularities: BH_GRANULARITY_BIT_OUT_CHANNEL,
      create: { call, values, out in
        createScorer(call, values, out) { _ in OutputScorer(.meanAbsolute) }
      }),
    .scorer(
      id: "org.billhook.activation.apoz", name: "Average percentage of zeros",
      summary: "How seldom a channel is zero on calibration data.",
      doc: """
        Scores an output channel by 1 minus the share of zeros at the layer's activation output \
        over the calibration data, so that a channel that is mostly off goes first. Without a \
        ReLU (or another activation that gives zeros) all channels score 1.

        Source: Hu, Peng, Tai and Tang, Network Trimming: A Data-Driven Neuron Pruning Approach \
        towards Efficient Deep Architectures, 2016, section 3.1, arXiv:1607.03250. Deviation: the \
        score is 1 - APoZ, because here higher means keep.
        """,
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT, needs: BH_NEED_OUT_ZERO_FRACTION,
      granularities: BH_GRANULARITY_BIT_OUT_CHANNEL,
      create: { call, values, out in
        createScorer(call, values, out) { _ in OutputScorer(.notZero) }
      }),
    .scorer(
      id: "org.billhook.activation.wanda", name: "Weight times input norm (Wanda)",
      summary: "The size of a weight times the size of what it is multiplied by.",
      doc: """
        Scores an element by |w| times the L2 norm of its input channel over the calibration data, \
        and a channel by the sum over its weights.

        Source: Sun, Liu, Bair and Kolter, A Simple and Effective Pruning Approach for Large \
        Language Models, 2023, section 3, arXiv:2306.11695. Deviations: convolutions are scored \
        too, with the norm of an input channel over all of its positions; and the paper ranks \
        within each output row, which is the host's choice here.
        """,
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT | BH_CAP_CHUNKED,
      needs: BH_NEED_IN_SQ_NORM,
      granularities: BH_GRANULARITY_BIT_ELEMENT | BH_GRANULARITY_BIT_OUT_CHANNEL
        | BH_GRANULARITY_BIT_IN_CHANNEL,
      create: { call, values, out in
        createScorer(call, values, out) { _ in WandaScorer() }
      }),
  ])
