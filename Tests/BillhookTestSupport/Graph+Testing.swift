public import BillhookGraph
public import BillhookTensor
public import OrderedCollections

extension Graph {
  /// A float32 graph from its parts; outputs state no shape.
  public static func testing(
    inputs: KeyValuePairs<String, [Dimension]> = ["x": ["N", 3, 8, 8]], _ nodes: [Node],
    _ constants: KeyValuePairs<String, Tensor> = [:], outputs: [String] = ["y"], opset: Int = 17
  ) -> Graph {
    var graph = Graph(
      name: "test", inputs: inputs.map { ValueInfo($0.key, shape: $0.value) },
      outputs: outputs.map { ValueInfo($0, shape: nil) }, nodes: nodes, opset: opset)
    for (name, tensor) in constants { graph.initializers[name] = Initializer(tensor) }
    return graph
  }

  /// A float32 graph of one node that reads `x` and makes `y`.
  public static func testing(
    _ op: String, _ x: [Dimension], _ constants: KeyValuePairs<String, Tensor> = [:],
    attributes: OrderedDictionary<String, Attribute> = [:], opset: Int = 17
  ) -> Graph {
    let node = Node(
      op, name: "node", inputs: ["x"] + constants.map(\.key), outputs: ["y"],
      attributes: attributes)
    return testing(inputs: ["x": x], [node], constants, opset: opset)
  }
}

extension Tensor {
  /// Random floats in -1..<1, the same for the same seed and name.
  public static func seeded(_ shape: [Int], seed: UInt64, _ name: String = "") -> Tensor {
    var random = CounterRandom(seed: seed, stream: name)
    let count = shape.reduce(1, *)
    return Tensor((0..<count).map { _ in random.uniform() * 2 - 1 }, shape: shape)
  }

  /// The floats 1, 2, 3 … in row-major order.
  public static func counting(_ shape: [Int]) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map { Float($0 + 1) }, shape: shape)
  }
}
