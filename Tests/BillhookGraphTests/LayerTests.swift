import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct LayerTests {
  @Test func `layers name their tensors, axes and activation outputs`() throws {
    let layers = try NetworkTemplate.cnn.make(width: 2, image: 8).layers()
    #expect(layers.map(\.node) == ["conv1", "conv2", "fc1", "fc2"])
    #expect(layers.map(\.bias) == ["conv1.bias", "conv2.bias", "fc1.bias", "fc2.bias"])
    #expect(
      layers.map(\.activationOutput)
        == ["relu1.output", "relu2.output", "relu3.output", "logits"])
    #expect(layers.map(\.hasActivation) == [true, true, true, false])
    #expect(layers[2].shape == [8, 16])
    #expect([layers[2].outAxis, layers[2].inAxis] == [0, 1])
  }

  @Test func `a residual addition stands before no layer's activation`() throws {
    let layers = try NetworkTemplate.resnet8.make(width: 2, image: 8).layers()
    #expect(
      layers[1...2].map(\.activationOutput)
        == ["stage1.block1.relu1.output", "stage1.block1.conv2.output"])
  }

  @Test func `a matrix product finds the bias behind it`() throws {
    let layers = try CouplingTopology.matMul.graph(seed: 0).layers()
    #expect(layers.map(\.bias) == ["bias", nil])
    #expect([layers[0].outAxis, layers[0].inAxis] == [1, 0])
  }

  @Test func `multiply-adds are counted by hand`() throws {
    // conv1: 28² · 9 · 32; conv2: 14² · 9 · 32 · 64; fully connected: 3136 · 128 + 128 · 10.
    let graph = try NetworkTemplate.cnn.make()
    let expected = 784 * 9 * 32 + 196 * 9 * 32 * 64 + 3136 * 128 + 1280
    #expect(try graph.multiplyAdds() == expected)
    #expect(try graph.multiplyAdds(batchSize: 3) == 3 * expected)
  }

  @Test func `a summary counts parameters and zeros, integers by their zero point`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 2]],
      [
        Node(
          "DequantizeLinear", name: "dq", inputs: ["w", "s", "z"], outputs: ["weight"],
          attributes: ["axis": .int(1)]),
        Node("Gemm", name: "fc", inputs: ["x", "weight", "b"], outputs: ["y"]),
      ],
      [
        "w": Tensor([5, 7, 6, 6] as [Int8], shape: [2, 2]), "s": Tensor([1, 1] as [Float]),
        "z": Tensor([5, 6] as [Int8]), "b": Tensor([0, 1] as [Float]),
      ])
    let summary = try #require(try graph.layerSummaries().first)
    #expect(
      summary
        == LayerSummary(
          node: "fc", op: "Gemm", weight: "w", shape: [2, 2], elementType: .int8,
          parameterCount: 6, multiplyAdds: 4, sparsity: 0.5))
    #expect(graph.parameterCount == 6)
  }
}
