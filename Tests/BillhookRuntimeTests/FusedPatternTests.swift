import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// What exporters write as several nodes, and the operations that it becomes.
struct PatternGraph: CustomStringConvertible, Sendable {
  var description: String
  var graph: Graph
  var operations: [String]

  init(_ description: String, _ operations: [String], _ graph: Graph) {
    self.description = description
    self.graph = graph
    self.operations = operations
  }

  private static func node(
    _ op: String, _ inputs: [String], _ output: String,
    _ attributes: OrderedDictionary<String, Attribute> = [:]
  ) -> Node {
    Node(op, name: output, inputs: inputs, outputs: [output], attributes: attributes)
  }

  private static func number(_ value: Float) -> Tensor { Tensor([value], shape: [1]) }

  private static let layerNorm: [Node] = [
    node("ReduceMean", ["x"], "m", ["axes": .ints([-1])]),
    node("Sub", ["x", "m"], "d"),
    node("Pow", ["d", "two"], "p"),
    node("ReduceMean", ["p"], "v", ["axes": .ints([-1])]),
    node("Add", ["v", "e"], "a"),
    node("Sqrt", ["a"], "s"),
    node("Div", ["d", "s"], "q"),
  ]

  private static func groupNorm(
    _ rest: [Node], _ factors: KeyValuePairs<String, Tensor> = [:]
  ) -> Graph {
    var graph = Graph.testing(
      inputs: ["x": ["N", 12, 4, 5]],
      [
        node("Reshape", ["x", "groups"], "g"),
        node("InstanceNormalization", ["g", "ones", "zeros"], "n", ["epsilon": .float(1e-3)]),
        node("Reshape", ["n", "shape"], "r"),
      ] + rest,
      [
        "groups": Tensor([Int64(0), 4, -1]), "ones": Tensor([Float](repeating: 1, count: 4)),
        "zeros": Tensor(zeros: [4]), "shape": Tensor([Int64(-1), 12, 4, 5]),
      ])
    for (name, tensor) in factors { graph.initializers[name] = Initializer(tensor) }
    return graph
  }

  private static func gelu(_ products: [Node], isDivision: Bool = true) -> Graph {
    .testing(
      inputs: ["x": ["N", 5, 9]],
      [
        node(isDivision ? "Div" : "Mul", ["x", "r"], "i"), node("Erf", ["i"], "f"),
        node("Add", ["f", "one"], "g"),
      ] + products,
      [
        "r": number(isDivision ? 1.4142135 : 0.70710678), "one": number(1), "half": number(0.5),
      ])
  }

  static let all: [PatternGraph] = [
    PatternGraph(
      "LayerNormalization in parts, with scale and shift", ["LayerNormalization"],
      .testing(
        inputs: ["x": ["N", 6, 20]],
        layerNorm + [node("Mul", ["q", "w"], "r"), node("Add", ["r", "b"], "y")],
        [
          "two": Tensor([Float(2)], shape: []), "e": Tensor([Float(1e-5)], shape: []),
          "w": .seeded([20], seed: 1), "b": .seeded([20], seed: 2),
        ], opset: 13)),
    PatternGraph(
      "LayerNormalization in parts, without", ["LayerNormalization", "Activation"],
      .testing(
        inputs: ["x": ["N", 6, 20]], layerNorm + [node("Tanh", ["q"], "y")],
        ["two": Tensor([Float(2)], shape: []), "e": Tensor([Float(1e-5)], shape: [])], opset: 13)),
    PatternGraph(
      "GroupNormalization in parts, with scale and shift", ["GroupNormalization"],
      groupNorm(
        [node("Mul", ["w", "r"], "t"), node("Add", ["t", "b"], "y")],
        ["w": .seeded([12, 1, 1], seed: 1), "b": .seeded([1, 12, 1, 1], seed: 2)])),
    PatternGraph(
      "GroupNormalization in parts, without, and Swish", ["GroupNormalization"],
      groupNorm([node("Sigmoid", ["r"], "s"), node("Mul", ["r", "s"], "y")])),
    PatternGraph(
      "GroupNormalization in parts, and numbers of each column",
      ["GroupNormalization", "Mul"],
      groupNorm([node("Mul", ["r", "w"], "y")], ["w": .seeded([1, 5], seed: 1)])),
    PatternGraph(
      "GELU: (x · (1 + erf)) · ½", ["Activation"],
      gelu([node("Mul", ["x", "g"], "h"), node("Mul", ["h", "half"], "y")])),
    PatternGraph(
      "GELU: (x · ½) · (1 + erf)", ["Activation"],
      gelu([node("Mul", ["x", "half"], "h"), node("Mul", ["h", "g"], "y")], isDivision: false)),
    PatternGraph(
      "GELU: x · (½ · (1 + erf))", ["Activation"],
      gelu([node("Mul", ["half", "g"], "h"), node("Mul", ["h", "x"], "y")])),
    PatternGraph(
      "GELU by tanh", ["Activation"],
      .testing(
        inputs: ["x": ["N", 33]],
        [
          node("Pow", ["x", "three"], "p"), node("Mul", ["p", "c"], "t"),
          node("Add", ["x", "t"], "i"), node("Mul", ["i", "k"], "u"), node("Tanh", ["u"], "v"),
          node("Add", ["v", "one"], "w"), node("Mul", ["x", "w"], "z"),
          node("Mul", ["z", "half"], "y"),
        ],
        [
          "three": number(3), "c": number(0.044715), "k": number(0.7978846), "one": number(1),
          "half": number(0.5),
        ])),
    PatternGraph(
      "a convolution, a line, hard swish and a line", ["Conv", "Activation"],
      .testing(
        inputs: ["x": ["N", 4, 9, 9]],
        [
          node("Conv", ["x", "k"], "c", ["strides": .ints([2, 2])]),
          node("Mul", ["s", "c"], "d"), node("Add", ["d", "o"], "e"),
          node("Add", ["e", "three"], "f"), node("Clip", ["f", "zero", "six"], "g"),
          node("Mul", ["e", "g"], "h"), node("Div", ["h", "six"], "i"),
          node("Mul", ["t", "i"], "j"), node("Add", ["j", "p"], "y"),
        ],
        [
          "k": .seeded([11, 4, 3, 3], seed: 4), "s": number(0.9), "o": number(0.3),
          "three": Tensor([Float(3)], shape: []), "zero": Tensor([Float(0)], shape: []),
          "six": Tensor([Float(6)], shape: []), "t": number(0.7), "p": number(-0.2),
        ])),
    PatternGraph(
      "hard sigmoid in parts", ["Activation"],
      .testing(
        inputs: ["x": ["N", 40]],
        [
          node("Add", ["x", "three"], "f"), node("Clip", ["f", "zero", "six"], "g"),
          node("Div", ["g", "six"], "y"),
        ],
        [
          "three": Tensor([Float(3)], shape: []), "zero": Tensor([Float(0)], shape: []),
          "six": Tensor([Float(6)], shape: []),
        ])),
    PatternGraph(
      "Swish with a factor", ["Activation"],
      .testing(
        inputs: ["x": ["N", 40]],
        [
          node("Mul", ["x", "k"], "u"), node("Sigmoid", ["u"], "v"), node("Mul", ["x", "v"], "y"),
        ], ["k": number(1.7)])),
    PatternGraph(
      "Mish in parts", ["Activation"],
      .testing(
        inputs: ["x": ["N", 40]],
        [
          node("Softplus", ["x"], "u"), node("Tanh", ["u"], "v"), node("Mul", ["x", "v"], "y"),
        ])),
    PatternGraph(
      "a product, its bias, a residual connection and a function", ["Dense", "Dense"],
      .testing(
        inputs: ["x": ["N", 7, 12]],
        [
          node("MatMul", ["x", "w"], "a"), node("Add", ["b", "a"], "c"),
          node("Relu", ["c"], "d"), node("MatMul", ["d", "v"], "e"), node("Add", ["e", "u"], "f"),
          node("Add", ["f", "d"], "g"), node("Tanh", ["g"], "y"),
        ],
        [
          "w": .seeded([12, 9], seed: 5), "b": .seeded([9], seed: 6),
          "v": .seeded([9, 9], seed: 7), "u": .seeded([9], seed: 8),
        ])),
  ]

  func feeds(seed: UInt64) -> [String: Tensor] {
    let shape = graph.inputs[0].shape!.map { $0.size ?? 3 }
    let x = Tensor.seeded(shape, seed: seed).floats().map { 4 * $0 }
    return ["x": Tensor(x, shape: shape)]
  }
}

@Suite struct FusedPatternTests {
  @Test(arguments: PatternGraph.all)
  func `several nodes become one operation that computes the same`(subject: PatternGraph) throws {
    let plan = try InferencePlan(subject.graph, batchSize: 3)
    #expect(plan.operations.filter { $0 != "Reorder" } == subject.operations)
    for seed in [1, 2] as [UInt64] {
      let feeds = subject.feeds(seed: seed)
      let expected = try ReferenceEvaluator.run(subject.graph, feeds)["y"]!
      let found = try plan.run(feeds)["y"]!
      #expect(found.shape == expected.shape)
      for (a, b) in zip(found.floats(), expected.floats()) {
        #expect(abs(a - b) <= 2e-5, "\(a) \(b)")
      }
    }
  }

  @Test(arguments: PatternGraph.all)
  func `a pattern whose inside is observed stays apart`(subject: PatternGraph) throws {
    let inner = Set(subject.graph.nodes.flatMap(\.outputs))
    let plan = try InferencePlan(subject.graph, batchSize: 3, observed: inner)
    let feeds = subject.feeds(seed: 3)
    let expected = try ReferenceEvaluator.run(subject.graph, feeds)
    var seen = Set<String>()
    _ = try plan.run(feeds) { name, value in
      seen.insert(name)
      for (a, b) in zip(value.floats(), expected[name]!.floats()) {
        #expect(abs(a - b) <= 2e-5 * max(1, abs(b)), "\(name): \(a) \(b)")
      }
    }
    #expect(seen == inner)
  }
}
