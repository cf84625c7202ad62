import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections

/// Graphs of functions of numbers and rows whose gradients kernels compute.
extension OperatorGraph {
  /// - Parameter first: What brings the argument to where the function is smooth.
  private static func function(
    _ op: String, behind first: String? = nil, _ name: String = "",
    _ attributes: OrderedDictionary<String, Attribute> = [:],
    constants: KeyValuePairs<String, Tensor> = [:]
  ) -> OperatorGraph {
    var nodes: [Node] = []
    if let first { nodes.append(Node(first, name: "first", inputs: ["x"], outputs: ["f"])) }
    nodes.append(
      Node(
        op, name: "node", inputs: [first == nil ? "x" : "f"] + constants.map(\.key),
        outputs: ["y"], attributes: attributes))
    return OperatorGraph(
      "\(op) \(name)", .testing(inputs: ["x": ["N", 3, 7]], nodes, constants, opset: 22))
  }

  static let functions: [OperatorGraph] = [
    function("Erf"), function("Tanh"), function("Exp"), function("Softplus"), function("Mish"),
    function("Softsign"), function("Sin"), function("Cos"), function("Neg"),
    function("Log", behind: "Exp"), function("Sqrt", behind: "Exp"),
    function("Reciprocal", behind: "Exp"), function("Abs", behind: "Exp"),
    function("Gelu"), function("Gelu", "by tanh", ["approximate": .string(Array("tanh".utf8))]),
    function("HardSwish"), function("HardSigmoid"),
    function("Elu", "of 0.7", ["alpha": .float(0.7)]),
    function("LeakyRelu", "of 0.2", ["alpha": .float(0.2)]),
    function("Pow", "of three", constants: ["e": Tensor(scalar: Float(3))]),
    function("Pow", behind: "Exp", "of a fraction", constants: ["e": Tensor(scalar: Float(0.3))]),
    function("Max", "with a number", constants: ["e": Tensor(scalar: Float(0.1))]),
    function("Min", "with a number", constants: ["e": Tensor(scalar: Float(0.1))]),
  ]

  static let rows: [OperatorGraph] = [
    OperatorGraph(
      "LayerNormalization",
      .testing(
        "LayerNormalization", ["N", 4, 6],
        ["scale": .seeded([6], seed: 1), "shift": .seeded([6], seed: 2)])),
    OperatorGraph(
      "LayerNormalization over two axes, without a shift",
      .testing(
        "LayerNormalization", ["N", 4, 6], ["scale": .seeded([4, 6], seed: 1)],
        attributes: ["axis": .int(1)])),
    OperatorGraph(
      "RMSNormalization",
      .testing(
        "RMSNormalization", ["N", 4, 6], ["scale": .seeded([6], seed: 1)], opset: 23)),
    OperatorGraph(
      "a linear layer with its bias behind it",
      .testing(
        inputs: ["x": ["N", 4, 6]],
        [
          Node("MatMul", name: "product", inputs: ["x", "w"], outputs: ["p"]),
          Node("Add", name: "bias", inputs: ["b", "p"], outputs: ["s"]),
          Node("Tanh", name: "tanh", inputs: ["s"], outputs: ["y"]),
        ], ["w": .seeded([6, 5], seed: 5), "b": .seeded([1, 5], seed: 6)])),
    OperatorGraph(
      "InstanceNormalization",
      .testing(
        "InstanceNormalization", ["N", 4, 6],
        ["scale": .seeded([4], seed: 1), "shift": .seeded([4], seed: 2)])),
    OperatorGraph(
      "GroupNormalization with a scale for each group",
      .testing(
        "GroupNormalization", ["N", 6, 2, 3],
        ["scale": .seeded([2], seed: 1), "shift": .seeded([2], seed: 2)],
        attributes: ["num_groups": .int(2)], opset: 18)),
    OperatorGraph(
      "GroupNormalization with a scale for each channel",
      .testing(
        "GroupNormalization", ["N", 6, 2, 3],
        ["scale": .seeded([6], seed: 1), "shift": .seeded([6], seed: 2)],
        attributes: ["num_groups": .int(2)], opset: 21)),
    OperatorGraph(
      "GroupNormalization in parts",
      .testing(
        inputs: ["x": ["N", 6, 2, 3]],
        [
          Node("Reshape", name: "cut", inputs: ["x", "groups"], outputs: ["c"]),
          Node(
            "InstanceNormalization", name: "norm", inputs: ["c", "ones", "zeros"], outputs: ["n"]),
          Node("Reshape", name: "back", inputs: ["n", "shape"], outputs: ["b"]),
          Node("Mul", name: "scaled", inputs: ["b", "scale"], outputs: ["s"]),
          Node("Add", name: "shifted", inputs: ["s", "shift"], outputs: ["y"]),
        ],
        [
          "groups": Tensor([Int64(0), 3, -1]), "ones": Tensor([Float](repeating: 1, count: 3)),
          "zeros": Tensor(zeros: [3]), "shape": Tensor([Int64(-1), 6, 2, 3]),
          "scale": .seeded([6, 1, 1], seed: 1), "shift": .seeded([1, 6, 1, 1], seed: 2),
        ])),
    OperatorGraph(
      "RotaryEmbedding",
      .testing(
        "RotaryEmbedding", ["N", 2, 4, 6],
        ["cosines": .seeded([batch, 4, 3], seed: 1), "sines": .seeded([batch, 4, 3], seed: 2)],
        opset: 23)),
    OperatorGraph(
      "RotaryEmbedding of neighbours at given positions",
      .testing(
        "RotaryEmbedding", ["N", 2, 12],
        [
          "cosines": .seeded([9, 2], seed: 1), "sines": .seeded([9, 2], seed: 2),
          "positions": Tensor((0..<batch * 2).map { Int64($0 * 5 % 9) }, shape: [batch, 2]),
        ],
        attributes: [
          "interleaved": .int(1), "num_heads": .int(2), "rotary_embedding_dim": .int(4),
        ], opset: 23)),
  ]
}
