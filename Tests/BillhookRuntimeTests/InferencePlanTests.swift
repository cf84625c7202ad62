import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct InferencePlanTests {
  @Test(
    arguments: OperatorGraph.layers + OperatorGraph.others + OperatorGraph.fused,
    [1, 2] as [UInt64])
  func `a plan computes what the reference computes`(subject: OperatorGraph, seed: UInt64) throws {
    let feeds = try subject.feeds(seed: seed)
    let expected = try ReferenceEvaluator.run(subject.graph, feeds)["y"]!
    let plan = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch)
    let found = try plan.run(feeds)["y"]!
    #expect(found.shape == expected.shape)
    // Sums of at most 200 products of numbers below 1: 200 roundings of 6e-8 in any order.
    for (a, b) in zip(found.floats(), expected.floats()) {
      #expect(abs(a - b) <= 2e-5, "\(a) \(b)")
    }
  }

  @Test func `a second run sees nothing of the first`() throws {
    let subject = OperatorGraph.fused[1]
    let plan = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch)
    let first = try plan.run(try subject.feeds(seed: 1))["y"]!
    _ = try plan.run(try subject.feeds(seed: 2))
    #expect(try plan.run(try subject.feeds(seed: 1))["y"]! == first)
  }

  @Test(arguments: OperatorGraph.layers + OperatorGraph.fused)
  func `a plan that nobody shares its graph with lets go of the weights that it packs`(
    subject: OperatorGraph
  ) throws {
    var kept: [WeakStorage] = []
    func plan() throws -> InferencePlan {
      var graph = subject.graph
      for name in graph.initializers.keys {
        let tensor = graph.initializers[name]!.tensor.copied()
        if tensor.elementType == .float32 {
          kept.append(WeakStorage(storage: tensor.sharedStorage))
        }
        graph.initializers[name]!.tensor = tensor
      }
      return try InferencePlan(consume graph, batchSize: OperatorGraph.batch)
    }
    let plan = try plan()
    // What the host computes reads its constants as they are.
    if !plan.operations.contains(where: { $0.contains("on the host") }) {
      #expect(kept.compactMap(\.storage).isEmpty)
    }
    let feeds = try subject.feeds(seed: 5)
    let shared = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch)
    #expect(try plan.run(feeds)["y"]! == shared.run(feeds)["y"]!)
  }

  @Test func `a plan for given inputs takes their shapes`() throws {
    let subject = OperatorGraph.fused[0]
    let feeds = try subject.feeds(seed: 6)
    let expected = try InferenceSession(subject.graph).run(feeds)["y"]!
    #expect(try InferencePlan(subject.graph, for: feeds).run(feeds)["y"]! == expected)
    #expect(
      sentence { _ = try InferencePlan(subject.graph, for: [:]) }
        == "The network's input \"x\" was not given; given: nothing.")
  }

  @Test func `observed values come one by one, before fusion can swallow them`() throws {
    let subject = OperatorGraph.fused[0]
    let feeds = try subject.feeds(seed: 3)
    let expected = try ReferenceEvaluator.run(subject.graph, feeds)
    let plan = try InferencePlan(
      subject.graph, batchSize: OperatorGraph.batch, observed: ["x", "c", "r", "f", "y"])
    var order: [String] = []
    _ = try plan.run(feeds) { name, value in
      order.append(name)
      for (a, b) in zip(value.floats(), expected[name]!.floats()) { #expect(abs(a - b) <= 2e-5) }
    }
    #expect(order == ["x", "c", "r", "f", "y"])
  }

  @Test func `what follows from constants can be observed too`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 4]],
      [
        Node("Exp", name: "made", inputs: ["raw"], outputs: ["factor"]),
        Node("Neg", name: "unread", inputs: ["factor"], outputs: ["spare"]),
        Node("Shape", name: "size", inputs: ["x"], outputs: ["s"]),
        Node("ConstantOfShape", name: "zeros", inputs: ["s"], outputs: ["z"]),
        Node("Mul", name: "scale", inputs: ["x", "factor"], outputs: ["m"]),
        Node("Add", name: "add", inputs: ["m", "z"], outputs: ["y"]),
      ], ["raw": .seeded([4], seed: 2)])
    let feeds = ["x": Tensor.seeded([2, 4], seed: 1)]
    let expected = try ReferenceEvaluator.run(graph, feeds)
    let plan = try InferencePlan(graph, batchSize: 2, observed: ["factor", "spare", "z", "m"])
    for _ in 0..<2 {
      var found: [String: Tensor] = [:]
      _ = try plan.run(feeds) { name, value in found[name] = value }
      #expect(found.keys.sorted() == ["factor", "m", "spare", "z"])
      for (name, value) in found { #expect(value == expected[name], "\(name)") }
    }
  }

  private static func einsum(
    _ equation: String, _ a: [Int], _ b: [Int]
  ) -> (Graph, feeds: [String: Tensor]) {
    let node = Node(
      "Einsum", name: "sum", inputs: ["a", "b"], outputs: ["y"],
      attributes: ["equation": .string(Array(equation.utf8))])
    let graph = Graph.testing(
      inputs: ["a": a.map { .fixed($0) }, "b": b.map { .fixed($0) }], [node])
    return (
      graph, ["a": Tensor.seeded(a, seed: 1, "a"), "b": Tensor.seeded(b, seed: 2, "b")]
    )
  }

  @Test(arguments: [
    ("bhie,bhje->bhij", [2, 3, 5, 4], [2, 3, 7, 4]), ("bsd,dhk->bshk", [2, 5, 4], [4, 3, 6]),
    ("ij,jk", [3, 4], [4, 5]), ("i,j->ij", [3], [4]),
    ("bhqk,bkhd->bqhd", [2, 3, 5, 4], [2, 4, 3, 6]), ("...ij,...jk->...ik", [2, 3, 4], [2, 4, 5]),
    ("bi,bi->ib", [3, 4], [3, 4]), ("ab,cd->dcba", [2, 3], [4, 5]),
  ])
  func `an Einsum of two operands runs in kernels`(
    equation: String, a: [Int], b: [Int]
  ) throws {
    let (graph, feeds) = Self.einsum(equation, a, b)
    let plan = try InferencePlan(graph, batchSize: 1)
    #expect(!plan.operations.contains { $0.hasSuffix("on the host") })
    let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!
    let found = try plan.run(feeds)["y"]!
    #expect(found.shape == expected.shape)
    for (x, y) in zip(found.floats(), expected.floats()) { #expect(abs(x - y) <= 1e-5) }
  }

  @Test(arguments: [
    ("i,i->", [5], [5]), ("ii,ij->ij", [3, 3], [3, 4]), ("ij,jk->j", [3, 4], [4, 5]),
    ("...i,...i->...", [2, 3], [1, 3]),
  ])
  func `an Einsum that is no product of matrices is computed all the same`(
    equation: String, a: [Int], b: [Int]
  ) throws {
    let (graph, feeds) = Self.einsum(equation, a, b)
    let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!
    let found = try InferencePlan(graph, batchSize: 1).run(feeds)["y"]!
    #expect(found.shape == expected.shape)
    for (x, y) in zip(found.floats(), expected.floats()) { #expect(abs(x - y) <= 1e-5) }
  }

  /// The second operand is a part of the first, whose memory the result would like to take.
  @Test(arguments: ["Sub", "Add", "Mul", "Div", "PRelu"], [0, 1])
  func `a part of an operand is read before the result takes its place`(op: String, axis: Int)
    throws
  {
    let graph = Graph.testing(
      inputs: ["x": [3, 6, 40]],
      [
        Node("Sigmoid", name: "s", inputs: ["x"], outputs: ["h"]),
        Node("Slice", name: "first", inputs: ["h", "begin", "end", "axis"], outputs: ["q"]),
        Node(op, name: "op", inputs: ["h", "q"], outputs: ["m"]),
        Node("Relu", name: "r", inputs: ["m"], outputs: ["y"]),
      ],
      [
        "begin": Tensor([0] as [Int64]), "end": Tensor([1] as [Int64]),
        "axis": Tensor([Int64(axis)]),
      ])
    let feeds = ["x": Tensor.seeded([3, 6, 40], seed: 1)]
    let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!.floats()
    let found = try InferencePlan(graph, batchSize: 1).run(feeds)["y"]!.floats()
    for (a, b) in zip(found, expected) { #expect(abs(a - b) <= 1e-5) }
  }

  /// A transpose that moves axes of one element alone is a view of what it reads.
  @Test(arguments: [[0, 2, 1, 3], [2, 1, 0, 3], [3, 0, 1, 2]], ["Mul", "Add", "Sub", "Div"])
  func `a transpose of axes of one element is read right`(order: [Int], op: String) throws {
    let x: [Dimension] = order[3] == 3 ? [1, 1, 4, 16] : [1, 1, 1, 16]
    var graph = Graph.testing(
      inputs: ["x": x, "c": [1, 1, 1, 16]],
      [
        Node(
          "Transpose", name: "t", inputs: ["x"], outputs: ["xt"], attributes: ["perm": .ints(order)]
        ),
        Node(op, name: "op", inputs: ["xt", "c"], outputs: ["y"]),
        Node(op, name: "back", inputs: ["c", "xt"], outputs: ["z"]),
      ])
    graph.outputs.append(ValueInfo("z", .float32, shape: nil))
    let feeds = [
      "x": Tensor.seeded(x.map { $0.size! }, seed: 1), "c": Tensor.seeded([1, 1, 1, 16], seed: 2),
    ]
    let expected = try ReferenceEvaluator.run(graph, feeds)
    let found = try InferencePlan(graph, batchSize: 1).run(feeds)
    for name in ["y", "z"] { #expect(found[name] == expected[name], "\(name)") }
  }

  @Test func `convolution, batch norm, ReLU and pooling become one operation`() throws {
    let plan = try InferencePlan(OperatorGraph.fused[0].graph, batchSize: 16)
    #expect(plan.operations.filter { $0 != "Reorder" } == ["ConvMaxPool", "Dense"])
  }

  @Test(arguments: [1, 2, 3, 8])
  func `results do not depend on the number of threads`(threads: Int) throws {
    let subject = OperatorGraph.fused[0]
    let feeds = try subject.feeds(seed: 4)
    let before = Threads.count
    defer { Threads.count = before }
    Threads.count = 1
    let expected = try InferencePlan(subject.graph, batchSize: OperatorGraph.batch).run(feeds)["y"]!
    Threads.count = threads
    #expect(
      try InferencePlan(subject.graph, batchSize: OperatorGraph.batch).run(feeds)["y"]! == expected)
  }
}

@Suite struct RuntimeErrorTests {
  private let graph = OperatorGraph.fused[0].graph

  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "no error"
    } catch { return "\(error)" }
  }

  @Test func `a missing input is named`() throws {
    let plan = try InferencePlan(graph, batchSize: 2)
    #expect(
      message { _ = try plan.run([:]) }
        == "The network's input \"x\" was not given; given: nothing.")
  }

  @Test func `an unknown input is answered with those that exist`() throws {
    let plan = try InferencePlan(graph, batchSize: 2)
    let feeds = ["x": Tensor(zeros: [2, 2, 8, 8]), "image": Tensor(zeros: [1])]
    #expect(
      message { _ = try plan.run(feeds) } == "The network has no input \"image\"; it has: x.")
  }

  @Test func `a wrong shape is told with the right one`() throws {
    let plan = try InferencePlan(graph, batchSize: 2)
    #expect(
      message { _ = try plan.run(["x": Tensor(zeros: [3, 2, 8, 8])]) } == """
        Input "x" was given as float32 [3, 2, 8, 8], but the plan was compiled for float32 \
        [2, 2, 8, 8]. Reshape or convert the data, or compile for another batch size.
        """)
  }

  @Test func `a batch size of zero is refused`() {
    #expect(
      message { _ = try InferencePlan(graph, batchSize: 0) }
        == "The batch size is 0 but must be at least 1; try 64.")
  }

  @Test func `observing a value that does not exist is refused`() {
    #expect(
      message { _ = try InferencePlan(graph, batchSize: 1, observed: ["nothing"]) }
        == "The network has no value \"nothing\" that could be observed.")
  }

  @Test func `a network without weights cannot be trained`() {
    let relu = Graph.testing("Relu", ["N", 3])
    #expect(
      message { _ = try TrainingPlan(relu, batchSize: 1, optimizer: .sgd()) } == """
        The network has no float32 weight, bias or batch-norm scale that could be trained. A \
        quantized network is trained before it is quantized.
        """)
  }
}

private struct WeakStorage {
  weak var storage: Storage?
}
