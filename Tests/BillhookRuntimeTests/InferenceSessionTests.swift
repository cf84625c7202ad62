import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Graphs that kernels cannot run as a whole: regions, host steps, and shapes that show while running.
@Suite struct InferenceSessionTests {
  /// Convolution, then an operator without a kernel, then a convolution again.
  static let mixed = Graph.testing(
    inputs: ["x": ["N", 2, "H", "W"]],
    [
      Node(
        "Conv", name: "first", inputs: ["x", "w"], outputs: ["a"],
        attributes: ["pads": .ints([1, 1, 1, 1])]),
      Node("Relu", name: "relu", inputs: ["a"], outputs: ["b"]),
      Node("Asinh", name: "swish", inputs: ["b"], outputs: ["c"]),
      Node("Conv", name: "second", inputs: ["c", "w"], outputs: ["d"]),
      Node("Add", name: "add", inputs: ["d", "bias"], outputs: ["y"]),
    ],
    ["w": .seeded([2, 2, 3, 3], seed: 1), "bias": .seeded([2, 1, 1], seed: 2)])

  /// Rows for the elements that are not zero.
  static let dataDependent = Graph.testing(
    inputs: ["x": ["N", 4]],
    [
      Node("NonZero", name: "find", inputs: ["x"], outputs: ["places"]),
      Node("Transpose", name: "turn", inputs: ["places"], outputs: ["rows"]),
      Node("GatherND", name: "take", inputs: ["x", "rows"], outputs: ["taken"]),
      Node("Unsqueeze", name: "column", inputs: ["taken", "one"], outputs: ["column_out"]),
      Node("MatMul", name: "product", inputs: ["column_out", "w"], outputs: ["y"]),
    ],
    ["one": Tensor([1] as [Int64]), "w": .seeded([1, 3], seed: 3)])

  private func expectReference(
    _ graph: Graph, _ feeds: [String: Tensor], in session: InferenceSession
  )
    throws
  {
    let expected = try ReferenceEvaluator.run(graph, feeds)
    let found = try session.run(feeds)
    for output in graph.outputs {
      let (own, other) = (try #require(found[output.name]), try #require(expected[output.name]))
      #expect(own.shape == other.shape)
      for (a, b) in zip(own.floats(), other.floats()) {
        #expect(abs(a - b) <= 1e-4 * max(1, abs(b)))
      }
    }
  }

  @Test func `regions and host steps together give what the reference gives, for any shape`() throws
  {
    let session = try InferenceSession(Self.mixed)
    for shape in [[1, 2, 8, 8], [3, 2, 5, 9], [1, 2, 8, 8]] {
      try expectReference(Self.mixed, ["x": .seeded(shape, seed: 4)], in: session)
    }
  }

  @Test func `an operator without a kernel is a step on the host`() throws {
    let fixed = Graph.testing("Asinh", [2, 3])
    #expect(try InferencePlan(fixed, batchSize: 1).operations == ["Asinh on the host"])
  }

  @Test(arguments: 0..<4)
  func `a shape that depends on the data is specialised while running`(seed: UInt64) throws {
    let session = try InferenceSession(Self.dataDependent)
    var numbers = Tensor.seeded([3, 4], seed: seed).floats()
    for index in numbers.indices where (index + Int(seed)) % 3 == 0 { numbers[index] = 0 }
    try expectReference(Self.dataDependent, ["x": Tensor(numbers, shape: [3, 4])], in: session)
  }

  @Test(arguments: [true, false])
  func `a branch is chosen while running and reads outer values`(choice: Bool) throws {
    func branch(_ op: String) -> Graph {
      var graph = Graph(name: op, outputs: [ValueInfo("z", shape: nil)])
      graph.nodes = [Node(op, name: op, inputs: ["x", "b"], outputs: ["z"])]
      return graph
    }
    var graph = Graph.testing(
      inputs: ["x": [2, 2]],
      [
        Node(
          "If", name: "choice", inputs: ["c"], outputs: ["m"],
          attributes: ["then_branch": .graph(branch("Add")), "else_branch": .graph(branch("Mul"))]),
        Node("Relu", name: "relu", inputs: ["m"], outputs: ["y"]),
      ], ["b": Tensor([2, -3] as [Float])])
    graph.inputs.append(ValueInfo("c", .bool, shape: []))
    let feeds = [
      "x": Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]), "c": Tensor(scalar: choice),
    ]
    let y = try InferenceSession(graph).run(feeds)["y"]
    #expect(y == Tensor(choice ? [3, 0, 5, 1] : [2, 0, 6, 0] as [Float], shape: [2, 2]))
  }

  @Test func `a loop carries values and stacks what it gives`() throws {
    var body = Graph(
      name: "body",
      inputs: [
        ValueInfo("turn", .int64, shape: []), ValueInfo("go", .bool, shape: []),
        ValueInfo("sum", shape: nil),
      ],
      outputs: [
        ValueInfo("go", .bool, shape: []), ValueInfo("next", shape: nil),
        ValueInfo("next", shape: nil),
      ])
    body.nodes = [Node("Add", name: "add", inputs: ["sum", "x"], outputs: ["next"])]
    let graph = Graph.testing(
      inputs: ["x": [2]],
      [
        Node(
          "Loop", name: "loop", inputs: ["count", "", "x"], outputs: ["last", "all"],
          attributes: ["body": .graph(body)])
      ], ["count": Tensor(scalar: Int64(3))], outputs: ["last", "all"])
    let results = try InferenceSession(graph).run(["x": Tensor([1, 2] as [Float])])
    #expect(results["last"] == Tensor([4, 8] as [Float]))
    #expect(results["all"] == Tensor([2, 4, 3, 6, 4, 8] as [Float], shape: [3, 2]))
  }

  @Test func `an input that contradicts the graph is shown beside what it states`() throws {
    let session = try InferenceSession(Self.mixed)
    let error = #expect(throws: RuntimeError.self) {
      try session.run(["x": Tensor(zeros: [1, 3, 8, 8])])
    }
    #expect(
      error?.description == """
        Input "x" was given as float32 [1, 3, 8, 8], but the network states float32 [N, 2, H, W]. \
        Reshape or convert the data.
        """)
  }
}
