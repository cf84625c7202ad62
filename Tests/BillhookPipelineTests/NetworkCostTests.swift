import BillhookGraph
import BillhookPipeline
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct NetworkCostTests {
  @Test func `the demo network has the documented number of parameters`() throws {
    // conv 1→32 and 32→64 of 3×3, fully connected 3136→128→10, two batch norms: 320 + 18,496 +
    // 401,536 + 1,290 + 2·32 + 2·64.
    let cost = try NetworkCost(of: NetworkTemplate.cnn.make())
    #expect(cost.parameters == 421_834)
    // 28²·32·9 + 14²·64·32·9 + 3136·128 + 128·10.
    #expect(cost.macs == 225_792 + 3_612_672 + 401_408 + 1_280)
    #expect(cost.layers.map(\.name) == ["conv1", "conv2", "fc1", "fc2"])
  }

  @Test func `zeros of integer weights are those at the zero point`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 2]],
      [
        Node(
          "DequantizeLinear", name: "dq", inputs: ["w", "s", "z"], outputs: ["f"],
          attributes: ["axis": .int(0)]),
        Node(
          "Gemm", name: "fc", inputs: ["x", "f"], outputs: ["y"], attributes: ["transB": .int(1)]),
      ],
      [
        "w": Tensor([3, 1, 0, 5] as [Int8], shape: [2, 2]), "s": Tensor([1, 1] as [Float]),
        "z": Tensor([3, 0] as [Int8]),
      ])
    let cost = try NetworkCost(of: graph)
    #expect(cost.parameters == 4)
    #expect(cost.macs == 4)
    #expect(cost.sparsity == 0.5)
    #expect(cost.layers.first?.elementType == "int8")
  }

  @Test func `integer layers of dynamic quantization count, and their scales do not`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 2]],
      [
        Node("DynamicQuantizeLinear", name: "q", inputs: ["x"], outputs: ["xq", "xs", "xz"]),
        Node("MatMulInteger", name: "fc", inputs: ["xq", "w", "xz"], outputs: ["sums"]),
        Node(
          "Cast", name: "cast", inputs: ["sums"], outputs: ["floats"], attributes: ["to": .int(1)]),
        Node("Mul", name: "scales", inputs: ["xs", "ws"], outputs: ["scale"]),
        Node("Mul", name: "back", inputs: ["floats", "scale"], outputs: ["scaled"]),
        Node("Add", name: "bias", inputs: ["scaled", "b"], outputs: ["y"]),
      ],
      [
        "w": Tensor([3, 0, 0, 5, 1, 2] as [Int8], shape: [2, 3]),
        "ws": Tensor([1, 1, 1] as [Float]), "b": Tensor([1, 2, 3] as [Float]),
      ])
    let cost = try NetworkCost(of: graph)
    #expect(cost.parameters == 6 + 3)
    #expect(cost.macs == 6)
    #expect(cost.sparsity == 2.0 / 6)
    #expect(cost.layers.map(\.name) == ["fc"])
  }

  @Test func `the scale of integers that a Cast made floats of is no parameter`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 2]],
      [
        Node("Cast", name: "cast", inputs: ["w"], outputs: ["f"], attributes: ["to": .int(1)]),
        Node("Mul", name: "mul", inputs: ["f", "s"], outputs: ["v"]),
        Node("MatMul", name: "fc", inputs: ["x", "v"], outputs: ["y"]),
      ],
      [
        "w": Tensor([3, 0, 0, 5, 1, 2] as [Int8], shape: [2, 3]),
        "s": Tensor([1, 2, 3] as [Float]),
      ])
    let cost = try NetworkCost(of: graph)
    #expect(cost.parameters == 6)
    #expect(cost.layers.map(\.parameters) == [6])
  }
}
