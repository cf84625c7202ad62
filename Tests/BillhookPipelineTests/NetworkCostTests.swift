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
        Node("Gemm", name: "fc", inputs: ["x", "f"], outputs: ["y"], attributes: ["transB": .int(1)]),
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
}
