internal import BillhookGraph
internal import BillhookRuntime
internal import BillhookTensor
internal import Foundation

/// Runs a network over calibration samples, forwards or forwards and backwards, and hands over values
/// inside of it.
///
/// Backwards goes the gradient of a loss of each sample: with labels the cross-entropy of the
/// network's first output, read as rows of logits, with the label; without labels that with the class
/// which the network itself ranks first. (The divergence from the network's own output would not do: its
/// gradient is zero.) The pass backwards is that of training: batch norms use the batch's own
/// statistics.
final class CalibrationRunner {
  struct Batch {
    /// The samples that count: a label of -100 does not.
    var labelled: Int
    /// By name, samples along axis 0.
    var values: [String: Tensor] = [:]
    /// d(sum of the samples' losses)/d value.
    var gradients: [String: Tensor] = [:]
    /// d(sum of the samples' losses)/d weight.
    var weightGradients: [String: Tensor] = [:]
  }

  private let graph: Graph
  private let values: [String]
  private let gradients: [String]
  private let weights: [String]
  private let runner: BatchRunner
  private var plan: TrainingPlan?
  private let compared: ComparedOutput?
  private lazy var sampleAxes = graph.sampleAxes(of: values + gradients)
  let batchSize: Int

  /// - Parameters:
  ///   - values, gradients: Names of values to hand over, and of those whose gradient is wanted.
  ///   - weights: Names of weights whose gradient is wanted.
  ///   - data: Fitted to the graph: its shapes are those that it is run with.
  init(
    _ graph: Graph, values: [String], gradients: [String] = [], weights: [String] = [],
    data: Dataset, batchSize: Int, samples: Int, seed: UInt64
  ) throws {
    self.graph = graph
    self.values = values
    self.gradients = gradients
    self.weights = weights
    let goesBack = !gradients.isEmpty || !weights.isEmpty
    runner = BatchRunner(
      graph, batchSize: min(batchSize, max(samples, 1)), observed: goesBack ? [] : Set(values))
    self.batchSize = runner.batchSize
    compared = goesBack ? try ComparedOutput(graph, nil) : nil
    if let compared {
      let inputs = Set(graph.inputs.map(\.name))
      var inner = values.filter { !inputs.contains($0) }
      inner += gradients.filter { !inner.contains($0) }
      plan = try TrainingPlan(
        graph.restricted(to: [compared.logits] + inner)
          .fixingInputs(data.shapes(batchSize: runner.batchSize)),
        batchSize: runner.batchSize, optimizer: .sgd(), seed: seed, observed: inner)
    }
  }

  /// Runs at most ``batchSize`` samples.
  func run(_ data: Dataset, _ indices: [Int]) throws -> Batch {
    var batch = Batch(labelled: indices.count)
    guard let plan, let compared else {
      try runner.run(
        data, indices, observe: { name, value in batch.values[name] = value }, body: { _, _ in })
      return batch
    }
    // The plan takes whole batches: samples that fill it up have no gradient.
    let filled =
      indices + Array(repeating: indices[indices.count - 1], count: batchSize - indices.count)
    func trimmed(_ name: String, _ tensor: Tensor) -> Tensor {
      guard indices.count < filled.count else { return tensor }
      return tensor.firstSamples(indices.count, of: filled.count, along: sampleAxes[name] ?? 0)
    }
    let inputs = data.batch(filled)
    let labels = data.labels(indices)?.elements(of: Int32.self)
    try plan.step(inputs, learningRate: 0) { output, gradient in
      let layout = try compared.layout(output.shape, samples: filled.count)
      let each = layout.rowCount / filled.count
      guard labels == nil || each == 1 else {
        throw CompressionError.labelsOfRows(data: data.name, rows: each)
      }
      var flat = Tensor(zeros: [layout.rowCount, layout.columnCount])
      batch.labelled = Self.crossEntropyGradient(
        layout.rows(output), labels: labels, count: indices.count * each, &flat)
      gradient = layout.gradient(ofRows: flat)
    }
    for name in values {
      batch.values[name] = trimmed(name, try inputs[name] ?? plan.value(name))
    }
    for name in gradients { batch.gradients[name] = trimmed(name, try plan.valueGradient(name)) }
    for name in weights { batch.weightGradients[name] = try plan.gradient(of: name) }
    return batch
  }

  /// Writes softmax − one-hot for the first `count` rows, 0 for the others.
  ///
  /// - Returns: The number of rows that have a class.
  private static func crossEntropyGradient(
    _ logits: Tensor, labels: [Int32]?, count: Int, _ gradient: inout Tensor
  ) -> Int {
    let classes = logits.shape[1]
    let best = labels == nil ? topClasses(logits) : []
    var labelled = 0
    let values = logits.elements(of: Float.self)
    gradient.withUnsafeMutableElements(of: Float.self) { out in
      out.update(repeating: 0)
      for row in 0..<count {
        let label = labels.map { Int($0[row]) } ?? best[row]
        guard label >= 0, label < classes else { continue }
        labelled += 1
        let own = values[row * classes..<(row + 1) * classes]
        let highest = own.max() ?? 0
        let powers = own.map { exp(Double($0 - highest)) }
        let sum = powers.reduce(0, +)
        for (column, power) in powers.enumerated() {
          out[row * classes + column] = Float(power / sum) - (column == label ? 1 : 0)
        }
      }
    }
    return labelled
  }
}
