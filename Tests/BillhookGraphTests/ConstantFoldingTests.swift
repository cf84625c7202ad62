import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct ConstantFoldingTests {
  @Test func `a computed shape becomes an initializer`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 4, 3]],
      [
        Node(
          "Constant", name: "k", inputs: [], outputs: ["tail"],
          attributes: ["value_ints": .ints([12])]),
        Node(
          "Concat", name: "cat", inputs: ["head", "tail"], outputs: ["shape"],
          attributes: ["axis": .int(0)]),
        Node("Reshape", name: "reshape", inputs: ["x", "shape"], outputs: ["y"]),
      ], ["head": Tensor([-1] as [Int64])])
    let folded = try graph.foldingConstants()
    #expect(folded.nodes.map(\.name) == ["reshape"])
    #expect(Array(folded.initializers.keys) == ["shape"])
    #expect(folded.constant("shape") == Tensor([-1, 12] as [Int64]))
    #expect(try folded.inferTypes()["y"]?.shape == ["N", 12])
  }

  @Test func `quantized weights stay integers unless asked for`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 2]],
      [
        Node("DequantizeLinear", name: "dq", inputs: ["w", "s"], outputs: ["weight"]),
        Node("MatMul", name: "fc", inputs: ["x", "weight"], outputs: ["y"]),
      ], ["w": Tensor([2, 4] as [Int8], shape: [2, 1]), "s": Tensor(scalar: Float(0.5))])
    #expect(try graph.foldingConstants().nodes.map(\.name) == ["dq", "fc"])
    let folded = try graph.foldingConstants(keepingDequantizedWeights: false)
    #expect(folded.nodes.map(\.name) == ["fc"])
    #expect(folded.constant("weight")?.floats() == [1, 2])
  }

  @Test func `a result that would be huge is left to be computed`() throws {
    let graph = Graph.testing(
      inputs: [:], [Node("Add", name: "add", inputs: ["a", "b"], outputs: ["y"])],
      ["a": Tensor(zeros: [1 << 15, 1]), "b": Tensor(zeros: [1, 1 << 15])])
    #expect(try graph.foldingConstants().nodes.count == 1)
  }
}
