internal import BillhookFormats
internal import BillhookGraph
internal import BillhookRuntime
internal import BillhookTensor
internal import Foundation

/// Inference at batch 1 and 128 of three networks: generated ones, or the files of a folder.
func timeInference(_ bench: Bench, models: String?) throws {
  let networks: [(name: String, template: NetworkTemplate, width: Int)] = [
    ("simplenet64", .simplenet, 64), ("resnet20", .resnet20, 16), ("resnet20w64", .resnet20, 64),
  ]
  for (name, template, width) in networks {
    for kind in ["fp32", "int8"] {
      guard bench.wants("infer-\(kind)-\(name)-b1", "infer-\(kind)-\(name)-b128") else { continue }
      let graph: Graph
      if let models {
        let path = "\(models)/\(name)\(kind == "int8" ? ".int8" : "").onnx"
        graph = try ONNXFile.read(path: path)
      } else if kind == "fp32" {
        graph = try template.make(width: width)
      } else {
        continue
      }
      for batchSize in [1, 128] {
        try timeInference(
          bench, graph, work: "infer-\(kind)-\(name)-b\(batchSize)", batchSize: batchSize,
          // A rounding on the edge moves an integer by one, and what follows with it.
          tolerance: kind == "int8" ? 0.05 : 1e-4)
      }
    }
  }
}

private func timeInference(
  _ bench: Bench, _ graph: Graph, work: String, batchSize: Int, tolerance: Double
) throws {
  guard bench.wants(work) else { return }
  let inputs = try randomBatch(for: graph, batchSize: batchSize)
  let plan = try InferencePlan(graph, batchSize: batchSize)
  let output = graph.outputs[0].name
  var result: [String: Tensor] = [:]
  try bench.time(work, runs: 15, warmUpRuns: 3) {
    result = try plan.run(inputs)
  } check: {
    guard let logits = result[output] else { throw WrongResult("there is no \"\(output)\"") }
    // The evaluator takes seconds a sample, so it sees the last one only.
    let last = batchSize - 1..<batchSize
    let expected = try ReferenceEvaluator.run(graph, inputs.mapValues { $0.rows(last) })[output]
    let distance = expected.map { relativeDistance(logits.rows(last), $0) } ?? .infinity
    guard distance <= tolerance else {
      throw WrongResult("the last sample is \(distance) away from the reference evaluator")
    }
  }
}

/// Standard normal inputs for a network.
func randomBatch(for graph: Graph, batchSize: Int) throws -> [String: Tensor] {
  var result: [String: Tensor] = [:]
  for (index, input) in graph.inputs.enumerated() {
    guard input.elementType == .float32, let shape = input.shape else {
      throw WrongResult("the input \"\(input.name)\" is not float32 of a known rank")
    }
    let sizes = shape.enumerated().map { $1.size ?? ($0 == 0 ? batchSize : 1) }
    result[input.name] = normalTensor(sizes, seed: UInt64(index))
  }
  return result
}
