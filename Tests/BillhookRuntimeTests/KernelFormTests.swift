import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Forms of operators that kernels run, each against the operator's definition.
@Suite struct KernelFormTests {
  private static func form(
    _ name: String, _ op: String, _ x: [Dimension],
    _ constants: KeyValuePairs<String, Tensor> = [:],
    _ attributes: OrderedDictionary<String, Attribute> = [:], opset: Int = 17
  ) -> OperatorGraph {
    OperatorGraph(
      "\(op) \(name)", .testing(op, x, constants, attributes: attributes, opset: opset))
  }

  private static func integers(_ values: [Int64]) -> Tensor {
    Tensor(values, shape: [values.count])
  }

  static let sampling: [OperatorGraph] = [
    form(
      "by its kernel's size", "ConvTranspose", ["N", 5, 6, 7],
      ["w": .seeded([5, 3, 2, 2], seed: 1)],
      ["strides": .ints([2, 2])]),
    form(
      "to one channel", "ConvTranspose", ["N", 24, 6, 7],
      ["w": .seeded([24, 1, 2, 2], seed: 1), "b": .seeded([1], seed: 2)],
      ["strides": .ints([2, 2])]),
    form(
      "with overlap and padding", "ConvTranspose", ["N", 4, 5, 6],
      ["w": .seeded([4, 6, 3, 3], seed: 1), "b": .seeded([6], seed: 2)],
      ["strides": .ints([2, 1]), "pads": .ints([1, 1, 1, 1])]),
    form(
      "with padding of the output", "ConvTranspose", ["N", 4, 5, 6],
      ["w": .seeded([4, 6, 3, 3], seed: 1)],
      [
        "strides": .ints([2, 2]), "pads": .ints([1, 1, 1, 1]), "output_padding": .ints([1, 1]),
      ]),
    form(
      "in groups", "ConvTranspose", ["N", 6, 5, 4], ["w": .seeded([6, 2, 3, 3], seed: 1)],
      ["group": .int(3), "dilations": .ints([2, 1])]),
    form(
      "of one axis", "ConvTranspose", ["N", 3, 9], ["w": .seeded([3, 4, 4], seed: 1)],
      ["strides": .ints([3])]),
    form(
      "to a stated shape", "ConvTranspose", ["N", 3, 5, 5], ["w": .seeded([3, 4, 3, 3], seed: 1)],
      ["strides": .ints([2, 2]), "output_shape": .ints([10, 10])]),
    resize("nearest", [1, 1, 2, 3], ["nearest_mode": .string(Array("floor".utf8))]),
    resize(
      "nearest, asymmetric", [1, 1, 2, 2],
      ["coordinate_transformation_mode": .string(Array("asymmetric".utf8))]),
    resize("nearest, smaller", [1, 1, 0.5, 0.6], [:]),
    resize("linear", [1, 1, 2, 1.5], ["mode": .string(Array("linear".utf8))]),
    resize(
      "linear between corners", [1, 1, 3, 2],
      [
        "mode": .string(Array("linear".utf8)),
        "coordinate_transformation_mode": .string(Array("align_corners".utf8)),
      ]),
    resize("cubic", [1, 1, 2, 2], ["mode": .string(Array("cubic".utf8))]),
    resize("of the channels", [1, 2, 1, 1], [:]),
    OperatorGraph(
      "a convolution, resized in its layout",
      .testing(
        inputs: ["x": ["N", 3, 6, 6]],
        [
          Node("Conv", name: "c", inputs: ["x", "w"], outputs: ["c"]),
          Node("Sigmoid", name: "a", inputs: ["c"], outputs: ["a"]),
          Node("Resize", name: "r", inputs: ["a", "", "s"], outputs: ["r"]),
          Node("Conv", name: "d", inputs: ["r", "v"], outputs: ["y"]),
        ],
        [
          "w": .seeded([12, 3, 3, 3], seed: 1), "s": Tensor([1, 1, 2, 2] as [Float], shape: [4]),
          "v": .seeded([5, 12, 1, 1], seed: 2),
        ])),
  ]

  private static func resize(
    _ name: String, _ scales: [Float], _ attributes: OrderedDictionary<String, Attribute>
  ) -> OperatorGraph {
    OperatorGraph(
      "Resize \(name)",
      .testing(
        inputs: ["x": ["N", 10, 5, 6]],
        [
          Node(
            "Resize", name: "r", inputs: ["x", "", "s"], outputs: ["y"], attributes: attributes)
        ], ["s": Tensor(scales, shape: [4])]))
  }

  static let rows: [OperatorGraph] = [
    form(
      "of rows", "LayerNormalization", ["N", 4, 19],
      ["w": .seeded([19], seed: 1), "b": .seeded([19], seed: 2)]),
    form(
      "from the first axis on", "LayerNormalization", ["N", 4, 5],
      ["w": .seeded([4, 5], seed: 1)], ["axis": .int(1), "epsilon": .float(0.1)]),
    form(
      "with a scale for each row", "LayerNormalization", ["N", 4, 4],
      ["w": .seeded([4, 1], seed: 1)], ["axis": .int(1)]),
    form("of rows", "RMSNormalization", ["N", 4, 19], ["w": .seeded([19], seed: 1)], opset: 23),
    form("of the last", "ReduceMean", ["N", 4, 19], [:], ["axes": .ints([-1])]),
    form("of the middle", "ReduceSum", ["N", 4, 19], ["a": integers([1])]),
    form(
      "of two", "ReduceMax", ["N", 4, 5, 6], [:], ["axes": .ints([3, 2]), "keepdims": .int(0)]),
    form("of two apart", "ReduceMin", ["N", 4, 5, 6], [:], ["axes": .ints([1, 3])]),
    form("of the last", "ReduceL2", ["N", 40], [:], ["axes": .ints([1])]),
    form("of the first", "ReduceL1", ["N", 40], [:], ["axes": .ints([0])]),
    form("of nothing", "ReduceSum", ["N", 4], [:], ["noop_with_empty_axes": .int(1)]),
    form("of nothing", "ReduceL1", ["N", 4], [:], ["noop_with_empty_axes": .int(1)], opset: 18),
    form("of the last", "ReduceSumSquare", ["N", 7, 3], [:], ["axes": .ints([2])]),
    form(
      "of the middle", "Slice", ["N", 9, 4],
      [
        "s": integers([2]), "e": integers([-1]), "a": integers([1]),
      ]),
    form(
      "in steps", "Slice", ["N", 9, 4],
      [
        "s": integers([8]), "e": integers([0]), "a": integers([1]), "t": integers([-2]),
      ]),
    form("of an axis", "Unsqueeze", ["N", 9, 4], ["a": integers([1])]),
    form("of an axis", "Squeeze", ["N", 1, 4], ["a": integers([1])]),
  ]

  static let functions: [OperatorGraph] = [
    form("", "Erf", ["N", 33]), form("", "Tanh", ["N", 33]), form("", "Exp", ["N", 33]),
    form("", "Abs", ["N", 33]), form("", "Neg", ["N", 33]), form("", "Softplus", ["N", 33]),
    form("", "Softsign", ["N", 33]), form("", "Mish", ["N", 33], opset: 18),
    form("", "Floor", ["N", 33]), form("", "Ceil", ["N", 33]), form("", "Round", ["N", 33]),
    form("", "Sin", ["N", 33]), form("", "Cos", ["N", 33]), form("", "HardSwish", ["N", 33]),
    form("", "Gelu", ["N", 33], opset: 20),
    form(
      "by tanh", "Gelu", ["N", 33], [:], ["approximate": .string(Array("tanh".utf8))], opset: 20),
    form("", "HardSigmoid", ["N", 33], [:], ["alpha": .float(0.3)]),
    form("", "Elu", ["N", 33], [:], ["alpha": .float(0.7)]),
    form("", "LeakyRelu", ["N", 33], [:], ["alpha": .float(0.2)]),
    form("with a number", "Max", ["N", 33], ["e": Tensor([Float(0.2)], shape: [1])]),
    form("with a number", "Min", ["N", 33], ["e": Tensor([Float(0.2)], shape: [])]),
    form("2", "Pow", ["N", 33], ["e": Tensor([Float(2)], shape: [])]),
    form(
      "with an exponent of more axes", "Pow", ["N", 5], ["e": Tensor([Float(3)], shape: [1, 1, 1])]),
  ]

  @Test(arguments: sampling + rows + functions + OperatorGraph.rows)
  func `a plan computes what the reference computes`(subject: OperatorGraph) throws {
    for seed in [1, 2] as [UInt64] {
      let feeds = try subject.feeds(seed: seed)
      let expected = try ReferenceEvaluator.run(subject.graph, feeds)["y"]!
      let found = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch).run(feeds)["y"]!
      #expect(found.shape == expected.shape)
      for (a, b) in zip(found.floats(), expected.floats()) {
        #expect(abs(a - b) <= 2e-5, "\(a) \(b)")
      }
    }
  }

  @Test func `the parts of a Split are all there`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 9, 4]],
      [
        Node(
          "Split", name: "s", inputs: ["x", "n"], outputs: ["a", "b"],
          attributes: ["axis": .int(1)]),
        Node("Exp", name: "e", inputs: ["b"], outputs: ["y"]),
      ], ["n": Self.integers([2, 7])], outputs: ["a", "y"])
    let feeds = ["x": Tensor.seeded([2, 9, 4], seed: 1)]
    let expected = try ReferenceEvaluator.run(graph, feeds)
    let found = try InferencePlan(graph, batchSize: 2).run(feeds)
    for name in ["a", "y"] {
      #expect(found[name]!.shape == expected[name]!.shape)
      for (a, b) in zip(found[name]!.floats(), expected[name]!.floats()) {
        #expect(abs(a - b) <= 1e-6)
      }
    }
  }
}
