public import BillhookGraph
internal import BillhookTensor
internal import Foundation

/// Counts how often a network's top class is the label.
///
/// - Parameters:
///   - graph: Its first output is `[N, classes]`.
///   - data: Labelled; samples labelled -100 are left out.
///   - batchSize: Samples a run; the result does not depend on it up to rounding.
/// - Throws: ``CompressionError`` when the data does not fit or has no labels or an output is not
///   finite, `RuntimeError`.
public func evaluate(
  _ graph: Graph, on data: Dataset, batchSize: Int = 250,
  progress: (any ProgressReporting)? = nil
) throws -> Evaluation {
  guard data.isLabelled else {
    throw CompressionError.labelsNeeded(data: data.name, task: "evaluation")
  }
  let data = try data.fitted(to: graph)
  let runner = BatchRunner(graph, batchSize: batchSize)
  let compared = try ComparedOutput(graph, nil)
  let isProbability = graph.endsInSoftmax
  var correct = 0
  var count = 0
  var loss = 0.0
  var done = 0
  progress?.begin("evaluate", total: data.count, unit: "samples")
  try runner.run(data, Array(0..<data.count)) { indices, outputs in
    let output = outputs[compared.name]!
    guard output.isFinite else {
      throw CompressionError.outputNotFinite(
        network: graph.name, output: compared.name, data: data.name)
    }
    let layout = try compared.layout(output.shape, samples: indices.count, isOutput: true)
    guard layout.rowCount == indices.count else {
      throw CompressionError.outputNotLogits(output: compared.name, shape: output.shape)
    }
    let logits = layout.rows(output)
    let classes = layout.columnCount
    let best = compared.answers(output, layout)
    let chances = layout.isYesOrNo && compared.ending == .sigmoid ? logits.floats() : nil
    for (row, index) in indices.enumerated() {
      let label = Int(data.labels![index])
      if label == -100 { continue }
      guard label >= 0, label < classes else {
        throw CompressionError.labelOutOfRange(
          data: data.name, sample: index, label: label, classes: classes)
      }
      count += 1
      if best[row] == label { correct += 1 }
      loss +=
        chances.map { binaryCrossEntropy($0[2 * row + 1], label: label) }
        ?? crossEntropy(logits, row: row, label: label, isProbability: isProbability)
    }
    done += indices.count
    progress?.advance(done, detail: "")
  }
  let result = Evaluation(
    correct: correct, count: count, meanLoss: count > 0 ? loss / Double(count) : nil)
  progress?.end("top-1 \(correct) of \(count)")
  return result
}

/// Compares the outputs of two networks on the same data.
///
/// - Parameter output: The output whose classes, size and direction are compared; nil for the first
///   that is floating-point. The largest difference is that of all outputs.
/// - Throws: ``CompressionError`` when the data does not fit, the outputs have other names or
///   shapes, or the compared one is not finite, `RuntimeError`.
public func compare(
  _ first: Graph, _ second: Graph, on data: Dataset, batchSize: Int = 250, output: String? = nil,
  progress: (any ProgressReporting)? = nil
) throws -> Agreement {
  let names = first.outputs.map(\.name)
  guard names == second.outputs.map(\.name) else {
    throw CompressionError.outputsDiffer(first: names, second: second.outputs.map(\.name))
  }
  let compared = try ComparedOutput(first, output)
  let firstData = try data.fitted(to: first)
  let secondData = try data.fitted(to: second)
  let firstRunner = BatchRunner(first, batchSize: batchSize)
  let secondRunner = BatchRunner(second, batchSize: firstRunner.batchSize)
  let secondAxes =
    firstRunner.batchSize == secondRunner.batchSize ? [:] : second.sampleAxes(of: names)
  var distance = OutputDistance(compared)
  progress?.begin("compare", total: firstData.count, unit: "samples")
  for start in stride(from: 0, to: firstData.count, by: firstRunner.batchSize) {
    let indices = Array(start..<min(start + firstRunner.batchSize, firstData.count))
    var left: [String: Tensor] = [:]
    try firstRunner.run(firstData, indices) { left = $1 }
    var right: [String: Tensor] = [:]
    try secondRunner.run(secondData, indices) { _, outputs in
      for (name, output) in outputs {
        right[name] = right[name]?.followed(by: output, along: secondAxes[name] ?? 0) ?? output
      }
    }
    for name in names {
      guard let a = left[name], let b = right[name], a.shape == b.shape else {
        throw CompressionError.outputsDiffer(first: names, second: names)
      }
      if name == compared.name {
        for (graph, output) in [(first, a), (second, b)] where !output.isFinite {
          throw CompressionError.outputNotFinite(
            network: graph.name, output: name, data: data.name)
        }
      }
      distance.addNumbers(a, b)
      if name == compared.name { distance.addRows(a, b, samples: indices.count) }
    }
    progress?.advance(start + indices.count, detail: "")
  }
  progress?.end("")
  return distance.agreement(samples: firstData.count)
}

/// The loss in nats of one row of `[N, C]`, in double precision.
private func crossEntropy(_ logits: Tensor, row: Int, label: Int, isProbability: Bool) -> Double {
  let classes = logits.shape[1]
  return logits.withUnsafeElements(of: Float.self) { values in
    let row = values[row * classes..<(row + 1) * classes]
    let own = Double(row[row.startIndex + label])
    if isProbability { return -log(max(own, Double(Float.leastNormalMagnitude))) }
    let largest = Double(row.max()!)
    let sum = row.reduce(0.0) { $0 + exp(Double($1) - largest) }
    return log(sum) + largest - own
  }
}

/// The loss in nats of the probability of a yes.
private func binaryCrossEntropy(_ probability: Float, label: Int) -> Double {
  let chance = label == 1 ? Double(probability) : 1 - Double(probability)
  return -log(max(chance, Double(Float.leastNormalMagnitude)))
}

extension Graph {
  /// True when the first output is made by Softmax.
  var endsInSoftmax: Bool {
    guard var value = outputs.first?.name else { return false }
    let producers = producers()
    while let index = producers[value], ["Cast", "Identity"].contains(nodes[index].op),
      let input = nodes[index].input(0)
    {
      value = input
    }
    return producers[value].map { nodes[$0].op == "Softmax" } ?? false
  }
}
