import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections

/// Small graphs, one for each form of an operator, with inputs `x` and output `y`.
struct OperatorGraph: CustomStringConvertible, Sendable {
  var description: String
  var graph: Graph
  /// A sample count that is no multiple of any vector width.
  static let batch = 3

  init(_ description: String, _ graph: Graph) {
    self.description = description
    self.graph = graph
  }

  func feeds(seed: UInt64) throws -> [String: Tensor] {
    var feeds: [String: Tensor] = [:]
    for input in graph.inputs {
      let shape = input.shape!.map { $0.size ?? Self.batch }
      feeds[input.name] = .seeded(shape, seed: seed, input.name)
    }
    return feeds
  }

  private static func conv(
    _ name: String, x: [Dimension] = ["N", 5, 9, 7], w: [Int] = [6, 5, 3, 3], bias: Bool = true,
    _ attributes: OrderedDictionary<String, Attribute> = [:]
  ) -> OperatorGraph {
    let weight = Tensor.seeded(w, seed: 1, "w")
    return OperatorGraph(
      name,
      bias
        ? .testing(
          "Conv", x, ["w": weight, "b": .seeded([w[0]], seed: 1, "b")], attributes: attributes)
        : .testing("Conv", x, ["w": weight], attributes: attributes))
  }

  private static func unary(
    _ op: String, _ x: [Dimension], _ attributes: OrderedDictionary<String, Attribute> = [:],
    _ name: String = "", opset: Int = 17
  ) -> OperatorGraph {
    OperatorGraph(
      "\(op) \(name)", .testing(op, x, attributes: attributes, opset: opset))
  }

  private static func batchNorm(_ channels: Int, x: [Dimension]) -> OperatorGraph {
    OperatorGraph(
      "BatchNormalization of \(x.count) axes",
      .testing(
        "BatchNormalization", x,
        [
          "scale": .seeded([channels], seed: 2, "scale"),
          "shift": .seeded([channels], seed: 2, "s"),
          "mean": .seeded([channels], seed: 2, "mean"),
          "variance": Tensor((0..<channels).map { Float($0) * 0.25 + 0.5 }),
        ]))
  }

  static let layers: [OperatorGraph] = [
    conv("Conv with a bias", ["pads": .ints([1, 1, 1, 1])]),
    conv("Conv without a bias", bias: false),
    conv("Conv in steps of two", ["strides": .ints([2, 2]), "pads": .ints([1, 0, 0, 1])]),
    conv("Conv with holes", ["dilations": .ints([2, 1]), "pads": .ints([2, 2, 2, 2])]),
    conv("Conv in groups", x: ["N", 8, 6, 6], w: [4, 4, 3, 3], ["group": .int(2)]),
    conv("depthwise Conv", x: ["N", 4, 6, 6], w: [4, 1, 3, 3], ["group": .int(4)]),
    conv("Conv of one axis", x: ["N", 3, 12], w: [4, 3, 5]),
    conv("Conv of three axes", x: ["N", 2, 4, 5, 6], w: [3, 2, 2, 2, 2]),
    conv(
      "Conv with SAME_UPPER",
      ["auto_pad": .string(Array("SAME_UPPER".utf8)), "strides": .ints([2, 2])]),
    conv(
      "Conv of one channel", x: ["N", 1, 8, 8], w: [16, 1, 3, 3], ["pads": .ints([1, 1, 1, 1])]),
    OperatorGraph(
      "Gemm with transB",
      .testing(
        "Gemm", ["N", 7],
        ["w": .seeded([5, 7], seed: 3, "w"), "b": .seeded([5], seed: 3, "b")],
        attributes: ["transB": .int(1)])),
    OperatorGraph(
      "Gemm without transB",
      .testing("Gemm", ["N", 7], ["w": .seeded([7, 5], seed: 3), "b": .seeded([5], seed: 4)])),
    OperatorGraph(
      "Gemm with factors",
      .testing(
        "Gemm", ["N", 7], ["w": .seeded([5, 7], seed: 3), "b": .seeded([1, 5], seed: 4)],
        attributes: ["transB": .int(1), "alpha": .float(0.5), "beta": .float(2)])),
    OperatorGraph(
      "MatMul by a matrix", .testing("MatMul", ["N", 4, 6], ["w": .seeded([6, 5], seed: 5)])),
    OperatorGraph(
      "MatMul of rows", .testing("MatMul", ["N", 6], ["w": .seeded([6, 5], seed: 5)])),
    OperatorGraph(
      "MatMul by matrices", .testing("MatMul", ["N", 2, 4, 6], ["w": .seeded([2, 6, 3], seed: 5)])),
    batchNorm(5, x: ["N", 5, 4, 3]),
    batchNorm(6, x: ["N", 6]),
    OperatorGraph(
      "Add of a bias", .testing("Add", ["N", 4, 5, 5], ["b": .seeded([4, 1, 1], seed: 6)])),
    OperatorGraph("Add of a row", .testing("Add", ["N", 4, 5], ["b": .seeded([5], seed: 6)])),
    OperatorGraph("Mul by a scalar", .testing("Mul", ["N", 4, 5], ["b": .seeded([1], seed: 6)])),
    OperatorGraph(
      "Mul by channels", .testing("Mul", ["N", 4, 5, 5], ["b": .seeded([1, 4, 1, 1], seed: 6)])),
  ]

  static let others: [OperatorGraph] = [
    unary("Relu", ["N", 5, 4, 3]), unary("Sigmoid", ["N", 9]),
    OperatorGraph(
      "Clip",
      .testing(
        "Clip", ["N", 11], ["low": Tensor(scalar: Float(-0.3)), "high": Tensor(scalar: Float(0.4))])
    ),
    unary("MaxPool", ["N", 3, 8, 8], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
    unary(
      "MaxPool", ["N", 3, 7, 7],
      ["kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1])],
      "padded"),
    unary(
      "MaxPool", ["N", 3, 7, 7],
      ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]), "ceil_mode": .int(1)], "rounded up"),
    unary(
      "AveragePool", ["N", 3, 8, 8], ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
    unary(
      "AveragePool", ["N", 3, 7, 7],
      ["kernel_shape": .ints([3, 3]), "pads": .ints([1, 1, 1, 1]), "count_include_pad": .int(1)],
      "counting padding"),
    unary(
      "AveragePool", ["N", 3, 7, 7],
      ["kernel_shape": .ints([3, 3]), "pads": .ints([1, 1, 1, 1])],
      "padded"),
    unary("GlobalAveragePool", ["N", 5, 6, 7]),
    unary("Softmax", ["N", 7], ["axis": .int(-1)]),
    unary("LogSoftmax", ["N", 7, 3], ["axis": .int(1)]),
    unary("LogSoftmax", ["N", 3, 4], ["axis": .int(1)], "of opset 11", opset: 11),
    unary("Selu", ["N", 33]), unary("Selu", ["N", 9], ["alpha": .float(2), "gamma": .float(0.5)]),
    unary("Celu", ["N", 33]), unary("Celu", ["N", 9], ["alpha": .float(0.25)], "narrow"),
    OperatorGraph(
      "PRelu of channels", .testing("PRelu", ["N", 5, 6, 7], ["s": .seeded([5, 1, 1], seed: 6)])),
    OperatorGraph("PRelu of a row", .testing("PRelu", ["N", 9], ["s": .seeded([9], seed: 6)])),
    OperatorGraph(
      "PRelu behind a Conv",
      .testing(
        inputs: ["x": ["N", 3, 8, 8]],
        [
          Node("Conv", name: "c", inputs: ["x", "w"], outputs: ["c"]),
          Node("PRelu", name: "p", inputs: ["c", "s"], outputs: ["y"]),
        ], ["w": .seeded([5, 3, 3, 3], seed: 6, "w"), "s": .seeded([5, 1, 1], seed: 6, "s")])),
    OperatorGraph(
      "Add over a middle axis",
      .testing("Add", ["N", 4, 3, 7, 7], ["b": .seeded([1, 4, 1, 7, 7], seed: 6)])),
    OperatorGraph(
      "Div of a row by a column",
      .testing(
        inputs: ["x": ["N", 1, 6]],
        [
          Node("Abs", name: "a", inputs: ["x"], outputs: ["a"]),
          Node("Add", name: "p", inputs: ["a", "one"], outputs: ["p"]),
          Node(
            "ReduceMax", name: "r", inputs: ["p"], outputs: ["r"], attributes: ["axes": .ints([2])]),
          Node("Div", name: "d", inputs: ["column", "p"], outputs: ["d"]),
          Node("Sub", name: "s", inputs: ["d", "r"], outputs: ["y"]),
        ], ["one": Tensor(scalar: Float(1)), "column": .seeded([4, 1], seed: 6)])),
    unary("Softmax", ["N", 3, 4], ["axis": .int(1)], "of opset 11", opset: 11),
    unary("Softmax", ["N", 5, 4], ["axis": .int(1)], "over the middle axis"),
    OperatorGraph("Sub of a number", .testing("Sub", ["N", 4, 5], ["b": .seeded([1], seed: 6)])),
    OperatorGraph(
      "Sub from a number",
      .testing(
        inputs: ["x": ["N", 4, 5]],
        [Node("Sub", name: "node", inputs: ["one", "x"], outputs: ["y"])],
        ["one": Tensor(scalar: Float(1))])),
    OperatorGraph(
      "Sub with both sides broadcast",
      .testing(
        inputs: ["x": ["N", 1, 4], "z": ["N", 3, 1]],
        [Node("Sub", name: "node", inputs: ["x", "z"], outputs: ["y"])])),
    OperatorGraph(
      "Div by a number", .testing("Div", ["N", 4, 5], ["b": Tensor(scalar: Float(6))])),
    OperatorGraph(
      "Div of a row by each channel's number",
      .testing(
        inputs: ["x": ["N", 1, 5]],
        [Node("Div", name: "node", inputs: ["x", "b"], outputs: ["y"])],
        ["b": Tensor([1.5, -2, 0.25] as [Float], shape: [3, 1])])),
    OperatorGraph(
      "hard swish as exporters write it, behind a convolution",
      .testing(
        inputs: ["x": ["N", 3, 6, 5]],
        [
          Node("Conv", name: "conv", inputs: ["x", "w"], outputs: ["c"]),
          Node("Add", name: "add", inputs: ["c", "three"], outputs: ["a"]),
          Node("Clip", name: "clip", inputs: ["a", "zero", "six"], outputs: ["l"]),
          Node("Mul", name: "mul", inputs: ["c", "l"], outputs: ["m"]),
          Node("Div", name: "div", inputs: ["m", "six"], outputs: ["y"]),
        ],
        [
          "w": .seeded([5, 3, 3, 3], seed: 7), "zero": Tensor(scalar: Float(0)),
          "three": Tensor([3] as [Float]), "six": Tensor(scalar: Float(6)),
        ])),
    unary("Flatten", ["N", 3, 4, 5]), unary("Identity", ["N", 3]),
    unary("Dropout", ["N", 3]),
    unary("Transpose", ["N", 3, 4, 5], ["perm": .ints([0, 2, 3, 1])]),
    OperatorGraph(
      "Reshape", .testing("Reshape", ["N", 4, 6], ["shape": Tensor([Int64(0), 3, -1])])),
    OperatorGraph(
      "Concat",
      .testing(
        inputs: ["x": ["N", 3, 4, 4], "z": ["N", 2, 4, 4]],
        [
          Node(
            "Concat", name: "node", inputs: ["x", "z"], outputs: ["y"],
            attributes: ["axis": .int(1)])
        ])),
    OperatorGraph(
      "Add of two inputs",
      .testing(
        inputs: ["x": ["N", 3, 4], "z": ["N", 3, 4]],
        [Node("Add", name: "node", inputs: ["x", "z"], outputs: ["y"])])),
    OperatorGraph(
      "Mul with both sides broadcast",
      .testing(
        inputs: ["x": ["N", 1, 4], "z": ["N", 3, 1]],
        [Node("Mul", name: "node", inputs: ["x", "z"], outputs: ["y"])])),
  ]

  /// Networks in which neighbours are fused.
  static let fused: [OperatorGraph] = [
    OperatorGraph(
      "conv, batch norm, ReLU, pool, flatten, dense",
      .testing(
        inputs: ["x": ["N", 2, 8, 8]],
        [
          Node(
            "Conv", name: "c", inputs: ["x", "w"], outputs: ["c"],
            attributes: ["pads": .ints([1, 1, 1, 1])]),
          Node(
            "BatchNormalization", name: "n", inputs: ["c", "scale", "shift", "mean", "variance"],
            outputs: ["n"]),
          Node("Relu", name: "r", inputs: ["n"], outputs: ["r"]),
          Node(
            "MaxPool", name: "p", inputs: ["r"], outputs: ["p"],
            attributes: ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
          Node("Flatten", name: "f", inputs: ["p"], outputs: ["f"]),
          Node(
            "Gemm", name: "g", inputs: ["f", "v", "b"], outputs: ["y"],
            attributes: ["transB": .int(1)]),
        ],
        [
          "w": .seeded([9, 2, 3, 3], seed: 7), "scale": .seeded([9], seed: 8),
          "shift": .seeded([9], seed: 9),
          "mean": .seeded([9], seed: 10), "variance": Tensor([Float](repeating: 0.7, count: 9)),
          "v": .seeded([4, 144], seed: 11), "b": .seeded([4], seed: 12),
        ])),
    OperatorGraph(
      "a residual block whose shortcut is a convolution",
      .testing(
        inputs: ["x": ["N", 8, 6, 6]],
        [
          Node(
            "Conv", name: "a", inputs: ["x", "w"], outputs: ["a"],
            attributes: ["pads": .ints([1, 1, 1, 1])]),
          Node("Relu", name: "ar", inputs: ["a"], outputs: ["ar"]),
          Node(
            "Conv", name: "b", inputs: ["ar", "v"], outputs: ["b"],
            attributes: ["pads": .ints([1, 1, 1, 1])]),
          Node("Conv", name: "s", inputs: ["x", "u"], outputs: ["s"]),
          Node("Add", name: "add", inputs: ["b", "s"], outputs: ["t"]),
          Node("Relu", name: "r", inputs: ["t"], outputs: ["r"]),
          Node("Add", name: "again", inputs: ["r", "x"], outputs: ["z"]),
          Node("GlobalAveragePool", name: "g", inputs: ["z"], outputs: ["p"]),
          Node("Flatten", name: "f", inputs: ["p"], outputs: ["y"]),
        ],
        [
          "w": .seeded([8, 8, 3, 3], seed: 7), "v": .seeded([8, 8, 3, 3], seed: 8),
          "u": .seeded([8, 8, 1, 1], seed: 9),
        ])),
  ]
}
