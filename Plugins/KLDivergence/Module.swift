internal import BillhookPluginKit
public import BillhookSDK

/// The library's entry. Safety: the constant is made once and never freed.
@c(billhook_module_v1)
public func klDivergenceModule() -> UnsafePointer<bh_module> { module }

nonisolated(unsafe) private let module = declareModule(
  id: "org.billhook.builtin.kl-divergence", version: "0.1.0", vendor: "Billhook",
  license: "Apache-2.0",
  plugins: [
    .loss(
      id: "org.billhook.kl-divergence", name: "Kullback-Leibler divergence",
      summary: "Soft targets of a teacher, mixed with labels.",
      doc: """
        The loss of a sample is (1 - alpha) T² KL(softmax(teacher / T) ‖ softmax(student / T)) + \
        alpha CE(student, label), in nats, with temperature T. The factor T² keeps gradients \
        comparable when the temperature changes. With alpha 0 no labels are needed, with alpha 1 \
        no teacher: that is plain training. A sample with label -100 has no labelled part; with \
        alpha 1 it does not count at all.

        Source: Hinton, Vinyals and Dean, Distilling the Knowledge in a Neural Network, 2015, \
        section 2, arXiv:1503.02531. Deviation: the shares are alpha and 1 - alpha; the paper \
        leaves the weighting open.
        """,
      capabilities: BH_CAP_DETERMINISTIC | BH_CAP_CONCURRENT,
      parameters: [
        .double(
          "temperature", doc: "Softens both distributions; 1 leaves them as they are.", default: 4,
          range: 0.01...100),
        .double("alpha", doc: "The share of the labels' cross-entropy.", default: 0, range: 0...1),
      ],
      create: { call, values, out in
        createLoss(call, values, out) {
          SoftTargetLoss(temperature: $0.double(0), alpha: $0.double(1))
        }
      })
  ])
