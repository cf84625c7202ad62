internal import BillhookGraph
internal import BillhookRuntime
internal import BillhookTensor
internal import OrderedCollections

/// Runs a network over many samples, batch by batch.
///
/// A network whose inputs fix the batch size is run with that size, a last batch that is too small
/// filled up with its last sample; otherwise the last batch is a smaller one.
final class BatchRunner {
  private let graph: Graph
  private let observed: Set<String>
  /// Inputs are handed over here: a plan observes what it computes.
  private let observedInputs: [String]
  private let fixedBatch: Int?
  let batchSize: Int
  private var session: InferenceSession?
  /// Of all that is handed over, to take what filled a batch up off again.
  private lazy var sampleAxes = graph.sampleAxes(
    of: graph.outputs.map(\.name) + observedInputs + observed)

  init(_ graph: Graph, batchSize: Int, observed: Set<String> = []) {
    self.graph = graph
    observedInputs = graph.inputs.map(\.name).filter { observed.contains($0) }
    self.observed = observed.subtracting(observedInputs)
    fixedBatch = graph.fixedBatch
    self.batchSize = fixedBatch ?? max(batchSize, 1)
  }

  /// Runs `indices` of `data` in order.
  ///
  /// - Parameters:
  ///   - views: The view of every sample when `augmentation` is given.
  ///   - observe: Gets each observed value of each batch, without filled-up rows.
  ///   - body: Gets the samples of each batch and the outputs for them.
  func run(
    _ data: Dataset, _ indices: [Int], augmentation: Augmentation? = nil, seed: UInt64 = 0,
    view: Int = 0, observe: ((_ name: String, _ value: Tensor) throws -> Void)? = nil,
    body: (_ indices: [Int], _ outputs: [String: Tensor]) throws -> Void
  ) throws {
    for start in stride(from: 0, to: indices.count, by: batchSize) {
      let chosen = Array(indices[start..<min(start + batchSize, indices.count)])
      var filled = chosen
      if let fixedBatch, chosen.count < fixedBatch {
        filled += Array(repeating: chosen[chosen.count - 1], count: fixedBatch - chosen.count)
      }
      let session = try self.session ?? InferenceSession(graph, observed: observed)
      self.session = session
      let inputs = data.batch(filled, augmentation: augmentation, seed: seed, views: [view])
      let real = chosen.count
      func trimmed(_ name: String, _ tensor: Tensor) -> Tensor {
        guard real < filled.count else { return tensor }
        return tensor.firstSamples(real, of: filled.count, along: sampleAxes[name] ?? 0)
      }
      var outputs: [String: Tensor]
      if let observe {
        for name in observedInputs { try inputs[name].map { try observe(name, trimmed(name, $0)) } }
        outputs = try session.run(inputs) { name, value in try observe(name, trimmed(name, value)) }
      } else {
        outputs = try session.run(inputs)
      }
      for (name, output) in outputs { outputs[name] = trimmed(name, output) }
      try body(chosen, outputs)
    }
  }
}

/// The index of the largest number of each row of `[N, C]`, the first one of equal numbers.
func topClasses(_ logits: Tensor) -> [Int] {
  let classes = logits.shape[1]
  return logits.withUnsafeElements(of: Float.self) { values in
    (0..<logits.shape[0]).map { row in
      var best = 0
      for index in 1..<max(classes, 1)
      where values[row * classes + index] > values[row * classes + best] {
        best = index
      }
      return best
    }
  }
}
