import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Layers so wide that their rows get gaps in memory while they are trained.
@Suite struct WideLayerTests {
  private static let rows = 128
  private static let graph = Graph.testing(
    inputs: ["x": ["N", .fixed(rows), 256]],
    [
      Node("MatMul", name: "first", inputs: ["x", "w"], outputs: ["h"]),
      Node("Add", name: "shift", inputs: ["h", "b"], outputs: ["s"]),
      Node("Gelu", name: "gelu", inputs: ["s"], outputs: ["g"]),
      Node("MatMul", name: "second", inputs: ["g", "v"], outputs: ["m"]),
      // Somebody else who reads what has gaps.
      Node(
        "ReduceMean", name: "mean", inputs: ["g"], outputs: ["mean"],
        attributes: ["axes": .ints([2])]),
      Node("Add", name: "sum", inputs: ["m", "mean"], outputs: ["y"]),
    ],
    [
      "w": .seeded([256, 512], seed: 1, "w"), "b": .seeded([512], seed: 1, "b"),
      "v": .seeded([512, 256], seed: 1, "v"),
    ], opset: 20)

  private func gradients(_ x: Tensor, _ direction: Tensor) throws -> [String: [Float]] {
    let plan = try TrainingPlan(Self.graph, batchSize: x.shape[0], optimizer: .sgd())
    try plan.step(["x": x], learningRate: 0) { _, gradient in gradient = direction }
    return try plan.gradients().mapValues { $0.floats() }
  }

  /// Fewer rows get no gaps.
  @Test func `the gradient of many rows is the sum of the gradients of few`() throws {
    let count = 3
    let inputs = (0..<count).map { Tensor.seeded([1, Self.rows, 256], seed: UInt64($0), "x") }
    let directions = (0..<count).map { Tensor.seeded([1, Self.rows, 256], seed: UInt64($0), "y") }
    func joined(_ parts: [Tensor]) -> Tensor {
      Tensor(parts.flatMap { $0.floats() }, shape: [count, Self.rows, 256])
    }
    let found = try gradients(joined(inputs), joined(directions))
    let parts = try zip(inputs, directions).map { try gradients($0, $1) }
    for name in ["w", "b", "v"] {
      let own = try #require(found[name])
      var largest: Float = 0
      var difference: Float = 0
      for index in own.indices {
        let sum = parts.reduce(0) { $0 + Double($1[name]![index]) }
        largest = max(largest, abs(own[index]))
        difference = max(difference, abs(own[index] - Float(sum)))
      }
      #expect(difference <= 1e-5 * largest, "\(name)")
    }
  }
}
