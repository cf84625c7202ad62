import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// A convolution, a max pooling, an activation and a quantization, which plans run in one pass.
struct ConvPoolCase: CustomStringConvertible, Sendable {
  var description: String
  var image: [Int]
  var weight: [Int]
  var conv: OrderedDictionary<String, Attribute> = [:]
  var pool: OrderedDictionary<String, Attribute> = [
    "kernel_shape": .ints([2, 2]), "strides": .ints([2, 2]),
  ]
  var activation: String?
  /// Whether the pooling stands before the activation.
  var poolsFirst = false
  var quantizes: Tensor?
  /// What the plan does, reorders and its end left out.
  var operations: [String]

  /// Small integers as inputs and eighths as weights: sums are exact in any order.
  var graph: Graph {
    var nodes = [
      Node("Conv", name: "conv", inputs: ["x", "w", "b"], outputs: ["c"], attributes: conv)
    ]
    var value = "c"
    func add(
      _ op: String, _ inputs: [String] = [],
      _ attributes: OrderedDictionary<String, Attribute> = [:]
    ) {
      let output = op.lowercased()
      nodes.append(
        Node(op, name: op, inputs: [value] + inputs, outputs: [output], attributes: attributes))
      value = output
    }
    if poolsFirst { add("MaxPool", [], pool) }
    if let activation { add(activation, activation == "Clip" ? ["low", "high"] : []) }
    if !poolsFirst { add("MaxPool", [], pool) }
    if quantizes != nil {
      add("QuantizeLinear", ["scale", "zero"])
      add("DequantizeLinear", ["scale", "zero"])
    }
    nodes[nodes.count - 1].outputs = ["y"]
    let count = weight.reduce(1, *)
    return .testing(
      inputs: ["x": ["N"] + image.map { .fixed($0) }], nodes,
      [
        "w": Tensor((0..<count).map { Float(($0 * 37) % 17 - 8) / 8 }, shape: weight),
        "b": Tensor((0..<weight[0]).map { Float($0 % 5) - 2 }),
        "low": Tensor(scalar: Float(-1.5)), "high": Tensor(scalar: Float(6)),
        "scale": Tensor(scalar: Float(0.25)), "zero": quantizes ?? Tensor(scalar: UInt8(3)),
      ])
  }

  func input(_ batch: Int) -> Tensor {
    let shape = [batch] + image
    return Tensor((0..<shape.reduce(1, *)).map { Float(($0 * 29) % 13 - 6) }, shape: shape)
  }

  static let all: [ConvPoolCase] = [
    ConvPoolCase(
      description: "a grey picture, whole panels of bytes", image: [1, 28, 28],
      weight: [16, 1, 3, 3], conv: ["pads": .ints([1, 1, 1, 1])], activation: "Relu",
      poolsFirst: true, quantizes: Tensor(scalar: UInt8(3)),
      operations: ["ConvMaxPoolQuantize"]),
    ConvPoolCase(
      description: "more channels than a panel, signed bytes", image: [1, 11, 14],
      weight: [21, 1, 5, 3], conv: ["pads": .ints([0, 1, 2, 1])],
      quantizes: Tensor(scalar: Int8(-5)), operations: ["ConvMaxPoolQuantize"]),
    ConvPoolCase(
      description: "colours in steps of two, windows that overlap and are padded",
      image: [3, 45, 38], weight: [40, 3, 7, 7],
      conv: ["pads": .ints([3, 3, 3, 3]), "strides": .ints([2, 2])],
      pool: [
        "kernel_shape": .ints([3, 3]), "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1]),
      ], activation: "Relu", operations: ["ConvMaxPool"]),
    ConvPoolCase(
      description: "a picture of several bands", image: [2, 150, 130], weight: [9, 2, 3, 3],
      activation: "Clip", operations: ["ConvMaxPool"]),
    ConvPoolCase(
      description: "windows of one row, in ceiling mode", image: [4, 7, 9], weight: [8, 4, 1, 1],
      pool: [
        "kernel_shape": .ints([1, 4]), "strides": .ints([1, 3]), "ceil_mode": .int(1),
      ], operations: ["ConvMaxPool"]),
    ConvPoolCase(
      description: "steps wider than windows, whose last would lie behind the picture",
      image: [1, 8, 8], weight: [8, 1, 1, 1],
      pool: [
        "kernel_shape": .ints([2, 2]), "strides": .ints([3, 3]), "ceil_mode": .int(1),
        "pads": .ints([1, 1, 1, 1]),
      ], quantizes: Tensor(scalar: UInt8(3)), operations: ["ConvMaxPoolQuantize"]),
    ConvPoolCase(
      description: "many channels, floats", image: [8, 12, 10], weight: [12, 8, 1, 1],
      activation: "Relu", operations: ["Conv", "MaxPool"]),
    ConvPoolCase(
      description: "many channels, bytes", image: [8, 12, 10], weight: [16, 8, 1, 1],
      activation: "Relu", poolsFirst: true, quantizes: Tensor(scalar: UInt8(3)),
      operations: ["Conv", "MaxPoolQuantize"]),
    ConvPoolCase(
      description: "many channels, an odd number of bytes", image: [8, 12, 10],
      weight: [13, 8, 1, 1], activation: "Clip", quantizes: Tensor(scalar: UInt8(3)),
      operations: ["Conv", "Pool", "Quantize"]),
  ]
}

@Suite struct ConvPoolTests {
  @Test(arguments: ConvPoolCase.all)
  func `a pooled convolution in one pass equals its parts`(subject: ConvPoolCase) throws {
    for batch in [1, 3] {
      let feeds = ["x": subject.input(batch)]
      let expected = try ReferenceEvaluator.run(subject.graph, feeds)["y"]!
      let plan = try InferencePlan(subject.graph, batchSize: batch)
      #expect(
        plan.operations.filter { !["Reorder", "Dequantize"].contains($0) } == subject.operations)
      let found = try plan.run(feeds)["y"]!
      #expect(found == expected)
    }
  }

  @Test(arguments: ConvPoolCase.all)
  func `the pass gives the same bytes for any number of threads`(subject: ConvPoolCase) throws {
    let feeds = ["x": subject.input(2)]
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let expected = try InferencePlan(subject.graph, batchSize: 2).run(feeds)
    Threads.count = 3
    #expect(try InferencePlan(subject.graph, batchSize: 2).run(feeds) == expected)
  }

  @Test func `an observed convolution is not swallowed by its pooling`() throws {
    let subject = ConvPoolCase.all[3]
    let feeds = ["x": subject.input(1)]
    let plan = try InferencePlan(subject.graph, batchSize: 1, observed: ["c"])
    var seen: Tensor?
    _ = try plan.run(feeds) { _, value in seen = value }
    #expect(seen == (try ReferenceEvaluator.run(subject.graph, feeds)["c"]))
  }
}
