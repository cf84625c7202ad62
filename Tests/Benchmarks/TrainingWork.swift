internal import BillhookGraph
internal import BillhookRuntime
internal import BillhookTensor
internal import Foundation

/// One step of training with labels: forward, cross entropy, backward, SGD with momentum.
func timeTraining(_ bench: Bench) throws {
  let networks: [(work: String, batchSize: Int, make: () throws -> Graph)] = [
    ("train-step-resnet20", 128, { try NetworkTemplate.resnet20.make(width: 16) }),
    ("train-step-transformer", 32, { LayerList.transformer(layers: 4) }),
    ("train-step-lstm", 32, { LayerList.lstm(steps: 100, inputs: 64, hidden: 128) }),
  ]
  for (work, batchSize, make) in networks where bench.wants(work) {
    let step = try TrainingStep(try make(), batchSize: batchSize)
    try bench.time(work, runs: 11) {
      _ = try step.run()
    } check: {
      try step.check()
    }
  }
}

/// A network with one batch and its labels.
private struct TrainingStep {
  let graph: Graph
  let batchSize: Int
  let plan: TrainingPlan
  let inputs: [String: Tensor]
  let labels: [Int32]

  init(_ graph: Graph, batchSize: Int) throws {
    self.graph = graph
    self.batchSize = batchSize
    plan = try Self.plan(graph, batchSize)
    inputs = try randomBatch(for: graph, batchSize: batchSize)
    labels = randomLabels(batchSize, seed: 0).elements()
  }

  private static func plan(_ graph: Graph, _ batchSize: Int) throws -> TrainingPlan {
    try TrainingPlan(
      graph, batchSize: batchSize, optimizer: .sgd(momentum: 0.9, weightDecay: 0))
  }

  /// One step; returns the mean cross entropy before the update.
  func run(on other: TrainingPlan? = nil, learningRate: Float = 0.01) throws -> Double {
    var loss = 0.0
    try (other ?? plan).step(inputs, learningRate: learningRate) { logits, gradient in
      let classes = logits.shape[1]
      logits.withUnsafeElements(of: Float.self) { logits in
        gradient.withUnsafeMutableElements(of: Float.self) { gradient in
          for (row, label) in labels.enumerated() {
            let own = row * classes..<(row + 1) * classes
            let largest = logits[own].max() ?? 0
            let sum = logits[own].reduce(0) { $0 + exp(Double($1 - largest)) }
            loss -= Double(logits[own.lowerBound + Int(label)] - largest) - log(sum)
            for index in own {
              let share = exp(Double(logits[index] - largest)) / sum
              let isLabel = index - own.lowerBound == Int(label)
              gradient[index] = Float((share - (isLabel ? 1 : 0)) / Double(batchSize))
            }
          }
        }
      }
    }
    return loss / Double(batchSize)
  }

  /// A small step along the gradient must lower the loss by what the gradient foretells.
  func check() throws {
    if let slow = plan.operations.first(where: { $0.hasPrefix("Host") }) {
      throw WrongResult("a \(slow.lowercased()) computes what a kernel should")
    }
    let fresh = try Self.plan(graph, batchSize)
    let before = try run(on: fresh, learningRate: 0)
    var squaredNorm = 0.0
    for gradient in try fresh.gradients().values {
      for value in gradient.floats() { squaredNorm += Double(value) * Double(value) }
    }
    let expected = before * 0.001
    _ = try run(on: fresh, learningRate: Float(expected / squaredNorm))
    let drop = before - (try run(on: fresh, learningRate: 0))
    guard drop > 0.9 * expected, drop < 1.1 * expected else {
      throw WrongResult(
        "a step lowers the loss of \(before) by \(drop), by its gradient \(expected)")
    }
    guard try run(learningRate: 0).isFinite else {
      throw WrongResult("the loss is not finite after the timed steps")
    }
  }
}
