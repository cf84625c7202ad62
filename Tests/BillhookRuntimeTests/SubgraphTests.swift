import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// If, Loop and Scan whose subgraphs are compiled.
@Suite struct SubgraphTests {
  /// A subgraph of nodes whose types show only while running.
  private static func body(
    _ name: String, inputs: [ValueInfo] = [], _ nodes: [Node],
    _ constants: KeyValuePairs<String, Tensor> = [:], outputs: [String]
  ) -> Graph {
    var graph = Graph(
      name: name, inputs: inputs, outputs: outputs.map { ValueInfo($0, shape: nil) }, nodes: nodes)
    for (name, tensor) in constants { graph.initializers[name] = Initializer(tensor) }
    return graph
  }

  /// Multiplies by one weight or another, by the sign of the state's sum.
  private static let choice: [Node] = {
    let positive = body(
      "positive", [Node("MatMul", name: "p", inputs: ["state", "w"], outputs: ["chosen"])],
      outputs: ["chosen"])
    let negative = body(
      "negative", [Node("MatMul", name: "n", inputs: ["state", "own"], outputs: ["other"])],
      ["own": .seeded([3, 3], seed: 2)], outputs: ["other"])
    return [
      Node(
        "ReduceSum", name: "total", inputs: ["state"], outputs: ["total"],
        attributes: ["keepdims": .int(0)]),
      Node("Greater", name: "test", inputs: ["total", "zero"], outputs: ["is positive"]),
      Node(
        "If", name: "choose", inputs: ["is positive"], outputs: ["next"],
        attributes: ["then_branch": .graph(positive), "else_branch": .graph(negative)]),
    ]
  }()

  private static let loop: Graph = {
    let turn = body(
      "turn",
      inputs: [
        ValueInfo("turn", .int64, shape: []), ValueInfo("go", .bool, shape: []),
        ValueInfo("state", shape: nil),
      ],
      choice + [
        Node("Relu", name: "relu", inputs: ["next"], outputs: ["shown"]),
        Node("Identity", name: "on", inputs: ["go"], outputs: ["still"]),
      ], outputs: ["still", "next", "shown"])
    return .testing(
      inputs: ["x": ["N", 3]],
      [
        Node(
          "Loop", name: "loop", inputs: ["count", "", "x"], outputs: ["last", "all"],
          attributes: ["body": .graph(turn)])
      ],
      [
        "count": Tensor(scalar: Int64(5)), "zero": Tensor(scalar: Float(0)),
        "w": .seeded([3, 3], seed: 1),
      ], outputs: ["last", "all"])
  }()

  private static let scan: Graph = {
    let step = body(
      "step", inputs: [ValueInfo("state", shape: nil), ValueInfo("row", shape: nil)],
      [
        Node("MatMul", name: "product", inputs: ["state", "w"], outputs: ["moved"]),
        Node("Add", name: "add", inputs: ["moved", "row"], outputs: ["next"]),
        Node("Sigmoid", name: "shown", inputs: ["next"], outputs: ["shown"]),
      ], outputs: ["next", "shown"])
    return .testing(
      inputs: ["x": [2, 3], "rows": [6, 2, 3]],
      [
        Node(
          "Scan", name: "scan", inputs: ["x", "rows"], outputs: ["last", "all"],
          attributes: [
            "body": .graph(step), "num_scan_inputs": .int(1), "scan_input_directions": .ints([1]),
          ])
      ], ["w": .seeded([3, 3], seed: 1)], outputs: ["last", "all"])
  }()

  private func expectReference(
    _ graph: Graph, _ feeds: [String: Tensor], in session: InferenceSession
  ) throws {
    let expected = try ReferenceEvaluator.run(graph, feeds)
    let found = try session.run(feeds)
    for output in graph.outputs {
      let (own, other) = (try #require(found[output.name]), try #require(expected[output.name]))
      #expect(own.shape == other.shape)
      for (a, b) in zip(own.floats(), other.floats()) {
        #expect(abs(a - b) <= 1e-5 * max(1, abs(b)))
      }
    }
  }

  @Test func `a loop with a choice in it gives what the reference gives, for any batch`() throws {
    let session = try InferenceSession(Self.loop)
    for batch in [1, 4, 1] {
      for seed in UInt64(0)..<4 {
        try expectReference(Self.loop, ["x": .seeded([batch, 3], seed: seed)], in: session)
      }
    }
  }

  @Test func `a scan gives what the reference gives`() throws {
    let feeds = ["x": Tensor.seeded([2, 3], seed: 1), "rows": .seeded([6, 2, 3], seed: 2)]
    try expectReference(Self.scan, feeds, in: try InferenceSession(Self.scan))
    let plan = try InferencePlan(Self.scan, batchSize: 1)
    #expect(plan.operations == ["Scan with compiled subgraphs"])
  }

  /// An If on the number of rows, whose branches use names of the graph around them.
  private static let known: Graph = {
    let one = body(
      "one",
      [
        Node("Squeeze", name: "flat", inputs: ["x", "axis"], outputs: ["a"]),
        Node("Relu", name: "relu", inputs: ["a"], outputs: ["b"]),
      ], ["axis": Tensor([Int64(0)])], outputs: ["b"])
    let more = body(
      "more", [Node("Mul", name: "scaled", inputs: ["x", "axis"], outputs: ["a"])],
      ["axis": Tensor([2] as [Float])], outputs: ["a"])
    return .testing(
      inputs: ["x": ["N", 4]],
      [
        Node("Shape", name: "shape", inputs: ["x"], outputs: ["sizes"]),
        Node("Gather", name: "rows", inputs: ["sizes", "first"], outputs: ["rows"]),
        Node("Equal", name: "test", inputs: ["rows", "single"], outputs: ["is single"]),
        Node("Sigmoid", name: "before", inputs: ["x"], outputs: ["a"]),
        Node(
          "If", name: "choose", inputs: ["is single"], outputs: ["chosen"],
          attributes: ["then_branch": .graph(one), "else_branch": .graph(more)]),
        Node("Add", name: "add", inputs: ["a", "chosen"], outputs: ["y"]),
      ], ["first": Tensor(scalar: Int64(0)), "single": Tensor(scalar: Int64(1))])
  }()

  @Test(arguments: [1, 3])
  func `a choice that follows from shapes becomes part of the plan`(batch: Int) throws {
    let feeds = ["x": Tensor.seeded([batch, 4], seed: 7)]
    let plan = try InferencePlan(Self.known, batchSize: batch)
    #expect(!plan.operations.contains { $0.hasPrefix("If") || $0.contains("host") })
    try expectReference(Self.known, feeds, in: try InferenceSession(Self.known))
  }

  @Test func `a loop that nothing ends is refused before it turns`() throws {
    var graph = Self.loop
    graph.initializers["count"] = Initializer(Tensor(scalar: Int64(1) << 62))
    let error = #expect(throws: RuntimeError.self) {
      try InferenceSession(graph).run(["x": .seeded([1, 3], seed: 1)])
    }
    #expect(
      error?.description == """
        Input "count" (trip count) of node "loop" (Loop) is 4611686018427387904, expected at most \
        16777216.
        """)
  }

  @Test func `a body that cannot be run is named with the node in it`() throws {
    let wrong = Self.body(
      "wrong", [Node("MatMul", name: "inside", inputs: ["x", "w"], outputs: ["z"])],
      ["w": .seeded([5, 2], seed: 1)], outputs: ["z"])
    var graph = Graph.testing(
      inputs: ["x": ["N", 3]],
      [
        Node(
          "If", name: "choose", inputs: ["c"], outputs: ["y"],
          attributes: ["then_branch": .graph(wrong), "else_branch": .graph(wrong)])
      ])
    graph.inputs.append(ValueInfo("c", .bool, shape: []))
    let feeds = ["x": Tensor.seeded([1, 3], seed: 1), "c": Tensor(scalar: true)]
    let error = #expect(throws: RuntimeError.self) { try InferenceSession(graph).run(feeds) }
    #expect(error?.description.contains("\"inside\" (MatMul)") == true)
  }
}
