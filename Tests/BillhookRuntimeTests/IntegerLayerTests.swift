import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Integer layers against the reference, with scales of 1, so that every sum is an integer below
/// 2^24 and must be equal to the bit.
@Suite struct IntegerLayerTests {
  private static let extremes: [Int8] = [-128, 127, -127, 126, 0, 1]

  /// x → QuantizeLinear → DequantizeLinear → the layer ← DequantizeLinear ← int8 weights.
  private static func layer(
    _ op: String, x: [Dimension], weight: [Int], zeroPoint: UInt8, seed: UInt64,
    attributes: OrderedDictionary<String, Attribute> = [:], behind: [Node] = [],
    quantizesOutput: Bool = false, pool: OrderedDictionary<String, Attribute>? = nil
  ) -> Graph {
    var random = CounterRandom(seed: seed, stream: "weight")
    let integers = (0..<weight.reduce(1, *)).map { _ in
      extremes[random.integer(below: extremes.count)]
    }
    var nodes = [
      Node("QuantizeLinear", name: "q", inputs: ["x", "one", "zero"], outputs: ["xq"]),
      Node("DequantizeLinear", name: "dq", inputs: ["xq", "one", "zero"], outputs: ["xd"]),
      Node("DequantizeLinear", name: "dw", inputs: ["w", "one", "wzero"], outputs: ["wd"]),
      Node(op, name: "layer", inputs: ["xd", "wd"], outputs: ["t"], attributes: attributes),
    ]
    if quantizesOutput {
      nodes += [
        Node("Relu", name: "r", inputs: ["t"], outputs: ["tr"]),
        Node("QuantizeLinear", name: "oq", inputs: ["tr", "outScale", "zero"], outputs: ["oq"]),
        Node("DequantizeLinear", name: "od", inputs: ["oq", "outScale", "zero"], outputs: ["y"]),
      ]
      if let pool {
        nodes[nodes.count - 1].outputs = ["od"]
        nodes += [
          Node("MaxPool", name: "p", inputs: ["od"], outputs: ["p"], attributes: pool),
          Node("QuantizeLinear", name: "pq", inputs: ["p", "outScale", "zero"], outputs: ["pq"]),
          Node("DequantizeLinear", name: "pd", inputs: ["pq", "outScale", "zero"], outputs: ["y"]),
        ]
      }
    } else {
      nodes.append(Node("Identity", name: "i", inputs: ["t"], outputs: ["y"]))
    }
    return .testing(
      inputs: ["x": x], nodes,
      [
        "one": Tensor(scalar: Float(1)), "zero": Tensor(scalar: zeroPoint),
        "w": Tensor(integers, shape: weight), "wzero": Tensor(scalar: Int8(0)),
        "outScale": Tensor(scalar: Float(512)),
      ])
  }

  /// Inputs at both ends of uint8 around a zero point, and between.
  private static func feeds(_ graph: Graph, zeroPoint: UInt8, seed: UInt64) -> [String: Tensor] {
    let shape = graph.inputs[0].shape!.map { $0.size ?? 3 }
    var random = CounterRandom(seed: seed, stream: "x")
    let bytes: [UInt8] = [0, 255, 255, 254, 128, 1]
    let values = (0..<shape.reduce(1, *)).map { _ in
      Float(bytes[random.integer(below: bytes.count)]) - Float(zeroPoint)
    }
    return ["x": Tensor(values, shape: shape)]
  }

  struct Case: Sendable, CustomStringConvertible {
    var description: String
    var op: String
    var x: [Dimension]
    var weight: [Int]
    var attributes: OrderedDictionary<String, Attribute> = [:]
  }

  // Channel counts on both sides of the 16 outputs of a block and odd ones, where a tail goes wrong.
  static let cases = [
    Case(
      description: "3×3", op: "Conv", x: ["N", 32, 6, 7], weight: [17, 32, 3, 3],
      attributes: ["pads": .ints([1, 1, 1, 1])]),
    Case(
      description: "one odd channel", op: "Conv", x: ["N", 1, 9, 9], weight: [5, 1, 5, 5],
      attributes: ["strides": .ints([2, 2])]),
    Case(description: "1×1", op: "Conv", x: ["N", 33, 4, 4], weight: [16, 33, 1, 1]),
    Case(
      description: "with holes", op: "Conv", x: ["N", 6, 9, 9], weight: [8, 6, 3, 3],
      attributes: ["dilations": .ints([2, 2]), "pads": .ints([2, 2, 2, 2])]),
    Case(
      description: "in groups", op: "Conv", x: ["N", 12, 5, 5], weight: [9, 4, 3, 3],
      attributes: ["group": .int(3)]),
    Case(
      description: "depthwise", op: "Conv", x: ["N", 7, 5, 5], weight: [7, 1, 3, 3],
      attributes: ["group": .int(7), "pads": .ints([1, 1, 1, 1])]),
    Case(description: "of one axis", op: "Conv", x: ["N", 5, 20], weight: [4, 5, 4]),
    Case(
      description: "of ten images", op: "Conv", x: [10, 8, 5, 5], weight: [19, 8, 3, 3],
      attributes: ["pads": .ints([1, 1, 1, 1])]),
    Case(
      description: "dense", op: "Gemm", x: ["N", 300], weight: [33, 300],
      attributes: ["transB": .int(1)]),
    Case(description: "matrix product", op: "MatMul", x: ["N", 77], weight: [77, 10]),
  ]

  @Test(arguments: cases, [0, 100, 255] as [UInt8])
  func `integer sums equal the reference on extremes`(subject: Case, zeroPoint: UInt8) throws {
    let graph = Self.layer(
      subject.op, x: subject.x, weight: subject.weight, zeroPoint: zeroPoint, seed: 1,
      attributes: subject.attributes)
    let feeds = Self.feeds(graph, zeroPoint: zeroPoint, seed: 2)
    let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!
    let plan = try InferencePlan(graph, batchSize: 3)
    #expect(plan.operations.contains { $0.hasSuffix("Integer") })
    #expect(try plan.run(feeds)["y"]! == expected)
  }

  @Test(arguments: cases)
  func `a fused ReLU and output quantization equal the reference`(subject: Case) throws {
    let graph = Self.layer(
      subject.op, x: subject.x, weight: subject.weight, zeroPoint: 10, seed: 3,
      attributes: subject.attributes, quantizesOutput: true)
    let feeds = Self.feeds(graph, zeroPoint: 10, seed: 4)
    // Sums over 512 are exact in float32, so rounding is the same too.
    let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!
    #expect(try InferencePlan(graph, batchSize: 3).run(feeds)["y"]! == expected)
  }

  struct PoolCase: Sendable, CustomStringConvertible {
    var description: String
    var x: [Dimension] = ["N", 16, 8, 12]
    var weight = [19, 16, 3, 3]
    var pool: OrderedDictionary<String, Attribute> = [
      "kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]),
    ]
    /// What the plan does between the quantization of its input and its output, unless the definition
    /// is as fast on this CPU.
    var operations = ["ConvMaxPoolWinogradInteger"]
    /// True where it never is.
    var isLarge = false
  }

  @Test(arguments: [
    PoolCase(
      description: "even rows and columns", x: ["N", 16, 16, 16], weight: [64, 16, 3, 3],
      isLarge: true),
    PoolCase(description: "odd rows and columns", x: ["N", 16, 11, 9]),
    PoolCase(description: "one row of results", x: ["N", 16, 2, 3]),
    PoolCase(
      description: "odd rows, rounded up", x: ["N", 16, 11, 9],
      pool: [
        "kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]), "ceil_mode": .int(1),
      ], operations: ["ConvWinogradInteger", "MaxPool"]),
    PoolCase(
      description: "windows that overlap", pool: ["kernel_shape": .ints([3, 3])],
      operations: ["ConvWinogradInteger", "MaxPool"]),
    PoolCase(
      description: "another kernel", weight: [16, 16, 1, 1], operations: ["ConvInteger", "MaxPool"]),
  ])
  func `pooling of a quantized convolution stays on integers`(subject: PoolCase) throws {
    for zeroPoint in [0, 10] as [UInt8] {
      let pads = subject.weight[2] == 3 ? [1, 1, 1, 1] : [0, 0, 0, 0]
      let graph = Self.layer(
        "Conv", x: subject.x, weight: subject.weight, zeroPoint: zeroPoint, seed: 5,
        attributes: ["pads": .ints(pads)], quantizesOutput: true, pool: subject.pool)
      let feeds = Self.feeds(graph, zeroPoint: zeroPoint, seed: 6)
      let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!
      let plan = try InferencePlan(graph, batchSize: 3)
      let operations = plan.operations.filter {
        !["Reorder", "Quantize", "Dequantize"].contains($0)
      }
      #expect(
        operations == subject.operations
          || !subject.isLarge && operations == ["ConvInteger", "MaxPool"])
      #expect(try plan.run(feeds)["y"]! == expected)
    }
  }

  @Test func `an observed value is not swallowed by integer pooling`() throws {
    let graph = Self.layer(
      "Conv", x: ["N", 16, 8, 8], weight: [16, 16, 3, 3], zeroPoint: 0, seed: 5,
      quantizesOutput: true,
      pool: ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])])
    let feeds = Self.feeds(graph, zeroPoint: 0, seed: 6)
    let plan = try InferencePlan(graph, batchSize: 3, observed: ["od"])
    var seen: Tensor?
    _ = try plan.run(feeds) { _, value in seen = value }
    #expect(seen == (try ReferenceEvaluator.run(graph, feeds)["od"]))
  }

  @Test func `64 channels of 255 × 127 give 2,072,640 on every CPU`() throws {
    var graph = Self.layer(
      "Conv", x: ["N", 64, 1, 1], weight: [16, 64, 1, 1], zeroPoint: 0, seed: 1)
    graph.setConstant("w", Tensor([Int8](repeating: 127, count: 1024), shape: [16, 64, 1, 1]))
    let feeds = ["x": Tensor([Float](repeating: 255, count: 64), shape: [1, 64, 1, 1])]
    let sums = try InferencePlan(graph, batchSize: 1).run(feeds)["y"]!.floats()
    #expect(sums == [Float](repeating: 2_072_640, count: 16))
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func `dynamic quantization finds the range of each run`(seed: UInt64) throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 6, 5, 5]],
      [
        Node("DynamicQuantizeLinear", name: "d", inputs: ["x"], outputs: ["q", "s", "z"]),
        Node("ConvInteger", name: "c", inputs: ["q", "w", "z"], outputs: ["sums"]),
        Node("Cast", name: "cast", inputs: ["sums"], outputs: ["f"], attributes: ["to": .int(1)]),
        Node("Mul", name: "scale", inputs: ["s", "ws"], outputs: ["sw"]),
        Node("Mul", name: "back", inputs: ["f", "sw"], outputs: ["y"]),
      ],
      [
        "w": Tensor((0..<216).map { Int8(truncatingIfNeeded: $0 * 37) }, shape: [4, 6, 3, 3]),
        "ws": Tensor([Float(0.5), 0.25, 2, 1], shape: [4, 1, 1]),
      ])
    let plan = try InferencePlan(graph, batchSize: 3)
    for run in 0..<2 as Range<UInt64> {
      let feeds = ["x": Tensor.seeded([3, 6, 5, 5], seed: seed + run)]
      let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!.floats()
      let found = try plan.run(feeds)["y"]!.floats()
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-6 * max(1, abs(b))) }
    }
  }

  @Test func `quantized values pass pooling, flatten and addition as integers`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 4, 6, 6]],
      [
        Node("QuantizeLinear", name: "q", inputs: ["x", "s", "z"], outputs: ["xq"]),
        Node("DequantizeLinear", name: "d", inputs: ["xq", "s", "z"], outputs: ["xd"]),
        Node("Add", name: "a", inputs: ["xd", "xd"], outputs: ["sum"]),
        Node("QuantizeLinear", name: "q2", inputs: ["sum", "s2", "z"], outputs: ["sq"]),
        Node("DequantizeLinear", name: "d2", inputs: ["sq", "s2", "z"], outputs: ["sd"]),
        Node(
          "MaxPool", name: "p", inputs: ["sd"], outputs: ["p"],
          attributes: ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
        Node("Flatten", name: "f", inputs: ["p"], outputs: ["f"]),
        Node("DequantizeLinear", name: "dw", inputs: ["w", "s", "wz"], outputs: ["wd"]),
        Node(
          "Gemm", name: "g", inputs: ["f", "wd"], outputs: ["y"], attributes: ["transB": .int(1)]),
      ],
      [
        "s": Tensor(scalar: Float(0.0078125)), "s2": Tensor(scalar: Float(0.015625)),
        "z": Tensor(scalar: UInt8(128)), "wz": Tensor(scalar: Int8(0)),
        "w": Tensor((0..<180).map { Int8(truncatingIfNeeded: $0 * 53) }, shape: [5, 36]),
      ])
    let feeds = ["x": Tensor.seeded([2, 4, 6, 6], seed: 9)]
    let plan = try InferencePlan(graph, batchSize: 2)
    #expect(
      plan.operations.filter { $0 != "Reorder" } == [
        "Quantize", "AddInteger", "MaxPool", "DenseInteger",
      ])
    let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!.floats()
    for (a, b) in zip(try plan.run(feeds)["y"]!.floats(), expected) { #expect(abs(a - b) <= 1e-5) }
  }
}
