import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Graphs that look like something that one pass does, and are not.
@Suite struct FusionLimitTests {
  private static func node(
    _ op: String, _ inputs: [String], _ output: String,
    _ attributes: OrderedDictionary<String, Attribute> = [:]
  ) -> Node {
    Node(op, name: output, inputs: inputs, outputs: [output], attributes: attributes)
  }

  private static func number(_ value: Float, axes: Int = 0) -> Tensor {
    Tensor([value], shape: [Int](repeating: 1, count: axes))
  }

  static let all: [OperatorGraph] = [
    OperatorGraph(
      "two functions that cut, in front of a pooling",
      .testing(
        inputs: ["x": ["N", 2, 8, 8]],
        [
          node("Conv", ["x", "w"], "c"), node("Relu", ["c"], "r"),
          node("Clip", ["r", "", "high"], "k"),
          node(
            "MaxPool", ["k"], "y", ["kernel_shape": .ints([2, 2]), "strides": .ints([2, 2])]),
        ], ["w": .seeded([8, 2, 3, 3], seed: 1), "high": number(0.5)])),
    OperatorGraph(
      "a part of a Split that is left out",
      .testing(
        inputs: ["x": ["N", 6]],
        [
          Node(
            "Split", name: "s", inputs: ["x", "sizes"], outputs: ["a", "", "b"],
            attributes: ["axis": .int(1)]),
          node("Add", ["a", "b"], "y"),
        ], ["sizes": Tensor([2, 2, 2] as [Int64])])),
    OperatorGraph(
      "a number with more axes than what it is a function of",
      .testing(
        inputs: ["x": ["N", 5]], [node("Relu", ["x"], "r"), node("Pow", ["r", "two"], "y")],
        ["two": number(2, axes: 3)])),
    OperatorGraph(
      "GELU whose half has more axes",
      .testing(
        inputs: ["x": ["N", 5, 9]],
        [
          node("Div", ["x", "r"], "i"), node("Erf", ["i"], "f"), node("Add", ["f", "one"], "g"),
          node("Mul", ["x", "g"], "h"), node("Mul", ["h", "half"], "y"),
        ], ["r": number(1.4142135), "one": number(1), "half": number(0.5, axes: 4)])),
    OperatorGraph(
      "attention whose heads share their keys and values",
      .testing(
        inputs: ["q": ["N", 4, 5, 6], "k": ["N", 1, 6, 7], "v": ["N", 1, 7, 6]],
        [
          node("MatMul", ["q", "k"], "s"), node("Mul", ["s", "c"], "t"),
          node("Softmax", ["t"], "p", ["axis": .int(-1)]), node("MatMul", ["p", "v"], "y"),
        ], ["c": number(0.4)])),
    OperatorGraph(
      "weights of attention that look at themselves",
      .testing(
        inputs: ["q": ["N", 2, 5, 6], "k": ["N", 2, 6, 5]],
        [
          node("MatMul", ["q", "k"], "s"), node("Mul", ["s", "c"], "t"),
          node("Softmax", ["t"], "p", ["axis": .int(-1)]), node("MatMul", ["p", "p"], "y"),
        ], ["c": number(0.4)])),
    OperatorGraph(
      "two shifts that round on purpose",
      .testing(
        inputs: ["x": ["N", 9]],
        [node("Add", ["x", "big"], "a"), node("Sub", ["a", "big"], "y")],
        ["big": number(8_388_608)])),
    OperatorGraph(
      "two factors whose product is no float",
      .testing(
        inputs: ["x": ["N", 9]],
        [
          node("Mul", ["x", "huge"], "a"), node("Mul", ["a", "tiny"], "b"),
          node("Mul", ["b", "tiny"], "y"),
        ], ["huge": number(1e30), "tiny": number(1e-30)])),
    OperatorGraph(
      "a nearest element at a factor of 1",
      .testing(
        inputs: ["x": ["N", 2, 3, 4]],
        [
          node(
            "Resize", ["x", "", "s"], "y",
            [
              "coordinate_transformation_mode": .string(Array("tf_half_pixel_for_nn".utf8)),
              "nearest_mode": .string(Array("ceil".utf8)),
            ])
        ], ["s": Tensor([1, 1, 1, 2] as [Float])], opset: 11)),
  ]

  @Test(arguments: all)
  func `what cannot be one pass computes what the reference computes`(
    subject: OperatorGraph
  ) throws {
    let feeds = try subject.feeds(seed: 3)
    let expected = try ReferenceEvaluator.run(subject.graph, feeds)["y"]!
    let found = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch).run(feeds)["y"]!
    #expect(found.shape == expected.shape)
    for (a, b) in zip(found.floats(), expected.floats()) {
      #expect(abs(a - b) <= 2e-5 * max(1, abs(b)), "\(a) \(b)")
    }
  }

  @Test func `a quotient in front of Floor is a quotient`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 100]],
      [Self.node("Div", ["x", "d"], "q"), Self.node("Floor", ["q"], "y")], ["d": Self.number(49)])
    let feeds = ["x": Tensor((0..<100).map { Float($0) }, shape: [1, 100])]
    let found = try InferencePlan(graph, batchSize: 1).run(feeds)["y"]!
    #expect(found == (try ReferenceEvaluator.run(graph, feeds)["y"]))
  }

  @Test func `parts of a single sample are added where they lie`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 3, 12]],
      [
        Self.node("Conv", ["x", "w"], "c"),
        Self.node("Slice", ["c", "zero", "half", "one"], "a"),
        Self.node("Slice", ["c", "half", "all", "one"], "b"),
        Self.node("Mul", ["a", "a"], "p"), Self.node("Mul", ["b", "b"], "q"),
        Self.node("Add", ["p", "q"], "y"),
      ],
      [
        "w": .seeded([18, 3, 3], seed: 1), "zero": Tensor([0] as [Int64]),
        "half": Tensor([9] as [Int64]), "all": Tensor([18] as [Int64]),
        "one": Tensor([1] as [Int64]),
      ])
    for batch in [1, 2] {
      let feeds = ["x": Tensor.seeded([batch, 3, 12], seed: 4)]
      let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!.floats()
      let found = try InferencePlan(graph, batchSize: batch).run(feeds)["y"]!.floats()
      for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-5, "\(a) \(b)") }
    }
  }
}
