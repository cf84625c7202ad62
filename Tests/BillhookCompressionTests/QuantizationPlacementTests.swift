import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import Testing

@testable import BillhookCompression

@Suite struct QuantizationPlacementTests {
  @Test func `a chain is quantized behind the activation, and pooling keeps its scale`() throws {
    let graph = Graph.smallChain().foldingBatchNorms().graph
    let layers = Set(try graph.weightedLayers().map(\.nodeIndex))
    let placement = QuantizationPlacement(graph, layers: layers)
    #expect(placement.values == ["x", "relu1.out", "pool.out", "flat"])
    #expect(
      placement.roots == [
        "x": "x", "relu1.out": "relu1.out", "pool.out": "relu1.out", "flat": "relu1.out",
      ])
  }

  @Test func `both inputs of a residual addition carry integers, the last output does not`() throws
  {
    let graph = Graph.smallResidual()
    let layers = Set(try graph.weightedLayers().map(\.nodeIndex))
    let placement = QuantizationPlacement(graph, layers: layers)
    #expect(placement.values == ["x", "relu1.out", "conv2.out", "relu2.out", "mean", "flat"])
    // An average is smaller than what it is of, so it has a scale of its own.
    #expect(placement.roots["mean"] == "mean" && placement.roots["flat"] == "mean")
  }

  @Test func `what only float layers read stays float`() throws {
    let graph = Graph.smallChain().foldingBatchNorms().graph
    let fc = try graph.weightedLayers()[1].nodeIndex
    let placement = QuantizationPlacement(graph, layers: [fc])
    #expect(placement.values == ["relu1.out", "pool.out", "flat"])
    let conv = try graph.weightedLayers()[0].nodeIndex
    #expect(QuantizationPlacement(graph, layers: [conv]).values == ["x"])
  }

  @Test func `what follows from constants alone is no activation`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 4]],
      [
        Node("MatMul", name: "one", inputs: ["x", "w"], outputs: ["a"]),
        Node("Exp", name: "made", inputs: ["raw"], outputs: ["bias"]),
        Node("Add", name: "add", inputs: ["a", "bias"], outputs: ["b"]),
        Node("MatMul", name: "two", inputs: ["b", "w"], outputs: ["y"]),
      ], ["w": .seeded([4, 4], seed: 1), "raw": .seeded([4], seed: 2)])
    let layers = Set(try graph.weightedLayers().map(\.nodeIndex))
    #expect(QuantizationPlacement(graph, layers: layers).values == ["x", "b"])
  }
}
