import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// What exporters make of weights before a layer reads them.
@Suite struct SettledConstantsTests {
  /// A layer that reads its weight through `nodes`, which make `made` of the constant `w`.
  func layer(
    _ nodes: [Node], shape: [Int] = [4, 3], reading: [Node] = [], outputs: [String] = ["y"]
  ) -> Graph {
    .testing(
      inputs: ["x": ["N", .fixed(shape[1])]],
      nodes + [Node("MatMul", name: "layer", inputs: ["x", "made"], outputs: ["y"])] + reading,
      ["w": .seeded(shape, seed: 1)], outputs: outputs)
  }

  let turned = Node("Transpose", name: "turn", inputs: ["w"], outputs: ["made"])

  @Test func `behind an Identity the constant itself is read`() throws {
    var graph = Graph.testing(
      inputs: ["x": ["N", 4]],
      [
        Node("Identity", name: "first", inputs: ["w"], outputs: ["u"]),
        Node("Identity", name: "second", inputs: ["u"], outputs: ["v"]),
        Node("MatMul", name: "one", inputs: ["x", "w"], outputs: ["a"]),
        Node("MatMul", name: "two", inputs: ["a", "v"], outputs: ["y"]),
      ], ["w": .seeded([4, 4], seed: 1)])
    graph.valueInfos = [ValueInfo("v", shape: [4, 4])]
    let settled = try graph.settlingConstants()
    #expect(settled.nodes.map(\.name) == ["one", "two"])
    #expect(settled.nodes[1].inputs == ["a", "w"])
    #expect(Array(settled.initializers.keys) == ["w"] && settled.valueInfos.isEmpty)
  }

  @Test func `a weight that is transposed in the graph is a layer's weight`() throws {
    let graph = layer([turned])
    #expect(try graph.layers().isEmpty)
    let settled = try graph.reachingWeights()
    #expect(try settled.layers().map(\.weight) == ["made"])
    #expect(Array(settled.initializers.keys) == ["made"])
    let feeds = ["x": Tensor.seeded([2, 3], seed: 2)]
    #expect(
      try ReferenceEvaluator.run(settled, feeds)["y"] == ReferenceEvaluator.run(graph, feeds)["y"])
  }

  @Test func `a weight kept as direction and norm is put together`() throws {
    let graph = layer([
      Node(
        "ReduceL2", name: "length", inputs: ["w"], outputs: ["n"], attributes: ["axes": .ints([1])]),
      Node("Div", name: "direction", inputs: ["w", "n"], outputs: ["d"]),
      Node("Transpose", name: "turn", inputs: ["d"], outputs: ["made"]),
    ])
    let settled = try graph.settlingConstants()
    #expect(settled.nodes.map(\.name) == ["layer"])
    #expect(Array(settled.initializers.keys) == ["made"])
  }

  @Test func `a large tensor that something else reads is not kept twice`() throws {
    let lookup = Node("Gather", name: "lookup", inputs: ["w", "ids"], outputs: ["rows"])
    var graph = layer([turned], shape: [64, 32], reading: [lookup], outputs: ["y", "rows"])
    graph.inputs.append(ValueInfo("ids", .int64, shape: ["N"]))
    #expect(try graph.settlingConstants().nodes.map(\.name) == ["turn", "layer", "lookup"])
  }

  @Test func `nor is one that something else reads by another name`() throws {
    var graph = layer(
      [turned, Node("Identity", name: "same", inputs: ["w"], outputs: ["v"])], shape: [64, 32],
      reading: [Node("Gather", name: "lookup", inputs: ["v", "ids"], outputs: ["rows"])],
      outputs: ["y", "rows"])
    graph.inputs.append(ValueInfo("ids", .int64, shape: ["N"]))
    let settled = try graph.settlingConstants()
    #expect(settled.nodes.map(\.name) == ["turn", "layer", "lookup"])
    #expect(Array(settled.initializers.keys) == ["w"])
  }

  @Test func `integers of a quantized weight stay integers`() throws {
    var graph = layer([
      Node("DequantizeLinear", name: "floats", inputs: ["q", "s"], outputs: ["f"]),
      Node("Transpose", name: "turn", inputs: ["f"], outputs: ["made"]),
    ])
    graph.initializers["q"] = Initializer(Tensor([Int8](repeating: 3, count: 12), shape: [4, 3]))
    graph.initializers["s"] = Initializer(Tensor(scalar: Float(0.5)))
    #expect(try graph.settlingConstants().nodes.map(\.name) == ["floats", "turn", "layer"])
  }

  @Test func `what the network gives out stays as it is`() throws {
    let graph = layer([turned], outputs: ["y", "made"])
    #expect(try graph.settlingConstants().nodes.map(\.name) == ["turn", "layer"])
  }
}
