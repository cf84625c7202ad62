import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// A training step that kernels compute from its beginning to its end.
@Suite struct TransformerTrainingTests {
  private static let tokens = 8
  private static let size = 16
  private static let heads = 2

  private static func node(
    _ op: String, _ inputs: [String], _ output: String,
    _ attributes: OrderedDictionary<String, Attribute> = [:]
  ) -> Node {
    Node(op, name: output, inputs: inputs, outputs: [output], attributes: attributes)
  }

  private static func linear(_ x: String, _ name: String) -> [Node] {
    [
      node("MatMul", [x, "\(name).w"], "\(name).product"),
      node("Add", ["\(name).product", "\(name).b"], name),
    ]
  }

  private static func heads(_ x: String, _ order: [Int]) -> [Node] {
    [
      node("Reshape", [x, "parts"], "\(x).parts"),
      node("Transpose", ["\(x).parts"], "\(x).heads", ["perm": .ints(order)]),
    ]
  }

  /// As exporters write it before operator set 17.
  private static func normInParts(_ x: String, _ name: String) -> [Node] {
    let axes: OrderedDictionary<String, Attribute> = ["axes": .ints([-1])]
    return [
      node("ReduceMean", [x], "\(name).mean", axes),
      node("Sub", [x, "\(name).mean"], "\(name).distance"),
      node("Pow", ["\(name).distance", "two"], "\(name).square"),
      node("ReduceMean", ["\(name).square"], "\(name).variance", axes),
      node("Add", ["\(name).variance", "epsilon"], "\(name).sum"),
      node("Sqrt", ["\(name).sum"], "\(name).deviation"),
      node("Div", ["\(name).distance", "\(name).deviation"], "\(name).unit"),
      node("Mul", ["\(name).unit", "\(name).scale"], "\(name).scaled"),
      node("Add", ["\(name).scaled", "\(name).shift"], name),
    ]
  }

  private static func norm(_ x: String, _ name: String) -> [Node] {
    [node("LayerNormalization", [x, "\(name).scale", "\(name).shift"], name)]
  }

  /// An encoder layer with its norms behind the sums, the mean of its tokens, and a class.
  private static func encoder(inParts: Bool) -> Graph {
    let normed = inParts ? normInParts : norm
    var nodes = linear("x", "q") + linear("x", "k") + linear("x", "v")
    nodes += heads("q", [0, 2, 1, 3]) + heads("k", [0, 2, 3, 1]) + heads("v", [0, 2, 1, 3])
    nodes += [
      node("MatMul", ["q.heads", "k.heads"], "products"),
      node("Mul", ["products", "factor"], "scores"),
      node("Softmax", ["scores"], "shares", ["axis": .int(-1)]),
      node("MatMul", ["shares", "v.heads"], "mixed"),
      node("Transpose", ["mixed"], "turned", ["perm": .ints([0, 2, 1, 3])]),
      node("Reshape", ["turned", "whole"], "joined"),
    ]
    nodes += linear("joined", "out") + [node("Add", ["x", "out"], "first sum")]
    nodes += normed("first sum", "first") + linear("first", "wide")
    nodes += [
      node("Div", ["wide", "root"], "wide.divided"), node("Erf", ["wide.divided"], "wide.erf"),
      node("Add", ["wide.erf", "one"], "wide.gate"),
      node("Mul", ["wide", "wide.gate"], "wide.gated"),
      node("Mul", ["wide.gated", "half"], "gelu"),
    ]
    nodes += linear("gelu", "narrow") + [node("Add", ["first", "narrow"], "second sum")]
    nodes += normed("second sum", "second")
    nodes += [
      node("ReduceMean", ["second"], "mean", ["axes": .ints([1]), "keepdims": .int(0)]),
      node("Gemm", ["mean", "head.w", "head.b"], "y", ["transB": .int(1)]),
    ]
    var graph = Graph.testing(
      inputs: ["x": ["N", .fixed(tokens), .fixed(size)]], nodes,
      [
        "parts": Tensor([0, tokens, heads, size / heads].map { Int64($0) }),
        "whole": Tensor([0, tokens, size].map { Int64($0) }),
        "factor": Tensor(scalar: Float(0.35)), "root": Tensor(scalar: Float(2).squareRoot()),
        "one": Tensor(scalar: Float(1)), "half": Tensor(scalar: Float(0.5)),
        "two": Tensor(scalar: Float(2)), "epsilon": Tensor(scalar: Float(1e-5)),
        "head.w": .seeded([3, size], seed: 1, "head.w"),
        "head.b": .seeded([3], seed: 1, "head.b"),
      ])
    for (name, inputs, outputs) in [
      ("q", size, size), ("k", size, size), ("v", size, size), ("out", size, size),
      ("wide", size, 4 * size), ("narrow", 4 * size, size),
    ] {
      let numbers = Tensor.seeded([inputs, outputs], seed: 2, name).floats().map { $0 * 0.3 }
      graph.initializers["\(name).w"] = Initializer(Tensor(numbers, shape: [inputs, outputs]))
      graph.initializers["\(name).b"] = Initializer(.seeded([outputs], seed: 3, name))
    }
    for name in ["first", "second"] {
      let scales = Tensor.seeded([size], seed: 4, name).floats().map { 1 + $0 / 2 }
      graph.initializers["\(name).scale"] = Initializer(Tensor(scales))
      graph.initializers["\(name).shift"] = Initializer(.seeded([size], seed: 5, name))
    }
    return graph
  }

  private func step(
    _ graph: Graph, batch: Int = 4
  ) throws -> (gradients: [String: Tensor], operations: [String]) {
    let plan = try TrainingPlan(graph, batchSize: batch, optimizer: .sgd())
    let x = Tensor.seeded([batch, Self.tokens, Self.size], seed: 9)
    try plan.step(["x": x], learningRate: 0) { output, gradient in
      gradient = .seeded(output.shape, seed: 6)
    }
    return (try plan.gradients(), plan.operations)
  }

  @Test(arguments: [false, true])
  func `no step of a transformer's training is left to the host`(inParts: Bool) throws {
    let operations = try step(Self.encoder(inParts: inParts)).operations
    #expect(operations.filter { $0.hasPrefix("Host") } == [])
    func count(_ name: String) -> Int { operations.filter { $0 == name }.count }
    #expect(count("LayerNormalization") == 2)
    #expect(count("LayerNormalizationBackward") == 2)
    // GELU, in one piece.
    #expect(count("Activation") == 1)
    #expect(count("ActivationBackward") == 1)
    #expect(count("SoftmaxBackward") == 1)
  }

  @Test func `what exporters write in parts has the gradients of the whole`() throws {
    let whole = try step(Self.encoder(inParts: false)).gradients
    let parts = try step(Self.encoder(inParts: true)).gradients
    #expect(whole.keys.sorted() == parts.keys.sorted())
    // Two weights of each linear layer and of the head, two of each norm.
    #expect(whole.count == 2 * 7 + 2 * 2)
    for (name, gradient) in whole {
      let found = try #require(parts[name]).floats()
      for (a, b) in zip(found, gradient.floats()) { #expect(abs(a - b) <= 1e-5, "\(name)") }
    }
  }

  @Test(arguments: [2, 3, 4, 8])
  func `gradients have the same bytes for any number of threads`(threads: Int) throws {
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let expected = try step(Self.encoder(inParts: true)).gradients
    Threads.count = threads
    let found = try step(Self.encoder(inParts: true)).gradients
    #expect(found == expected)
  }

  @Test func `a norm whose parts somebody looks at keeps them`() throws {
    let graph = Self.encoder(inParts: true)
    let plan = try TrainingPlan(
      graph, batchSize: 4, optimizer: .sgd(), observed: ["first.variance", "wide.erf"])
    let x = Tensor.seeded([4, Self.tokens, Self.size], seed: 9)
    try plan.step(["x": x], learningRate: 0) { output, gradient in
      gradient = .seeded(output.shape, seed: 6)
    }
    #expect(try plan.value("first.variance").shape == [4, Self.tokens, 1])
    let whole = try step(graph).gradients
    for (name, found) in try plan.gradients() {
      let gradient = try #require(whole[name]).floats()
      for (a, b) in zip(found.floats(), gradient) { #expect(abs(a - b) <= 1e-5, "\(name)") }
    }
  }

  @Test(arguments: OperatorGraph.functions + OperatorGraph.rows)
  func `the gradient is a kernel's`(subject: OperatorGraph) throws {
    var graph = subject.graph
    // Something trained in front of it.
    for node in graph.nodes.indices where graph.nodes[node].inputs[0] == "x" {
      graph.nodes[node].inputs[0] = "scaled"
    }
    let size = graph.inputs[0].shape!.last!.size!
    graph.nodes.insert(
      Node("MatMul", name: "front", inputs: ["x", "front"], outputs: ["scaled"]), at: 0)
    graph.initializers["front"] = Initializer(.seeded([size, size], seed: 8))
    let plan = try TrainingPlan(graph, batchSize: OperatorGraph.batch, optimizer: .sgd())
    #expect(plan.operations.filter { $0.hasPrefix("Host") } == [])
  }
}
