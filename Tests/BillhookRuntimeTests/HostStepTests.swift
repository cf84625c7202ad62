import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Training through operators that only their definitions compute.
@Suite struct HostStepTests {
  @Test func `an embedding that is also the last layer is trained through both`() throws {
    let table = Tensor.seeded([7, 4], seed: 1)
    let graph = Graph.testing(
      inputs: ["x": []],
      [
        Node("Gather", name: "embed", inputs: ["table", "x"], outputs: ["e"]),
        Node(
          "LayerNormalization", name: "norm", inputs: ["e", "scale", "shift"], outputs: ["n"]),
        Node("Gelu", name: "gelu", inputs: ["n"], outputs: ["g"]),
        Node(
          "ReduceMean", name: "mean", inputs: ["g", "axis"], outputs: ["m"],
          attributes: ["keepdims": .int(0)]),
        Node(
          "Gemm", name: "head", inputs: ["m", "table"], outputs: ["y"],
          attributes: ["transB": .int(1)]),
      ],
      [
        "table": table, "scale": .seeded([4], seed: 2), "shift": .seeded([4], seed: 3),
        "axis": Tensor([Int64(1)]),
      ], opset: 20)
    var tokens = graph
    tokens.inputs = [ValueInfo("x", .int64, shape: ["N", 5])]
    let x = Tensor(
      (0..<centralDifferenceBatch * 5).map { Int64($0 * 5 % 7) },
      shape: [centralDifferenceBatch, 5])
    try expectCentralDifferences(
      tokens, ["table": table, "scale": .seeded([4], seed: 2), "shift": .seeded([4], seed: 3)],
      ["x": x])
  }

  @Test func `weights inside of a loop and of a branch are trained and stored where they are`()
    throws
  {
    var branch = Graph.testing(
      inputs: [:], [Node("Mul", name: "m", inputs: ["state", "inner"], outputs: ["t"])],
      ["inner": .seeded([4], seed: 8)], outputs: ["t"])
    branch.outputs = [ValueInfo("t", shape: nil)]
    var other = branch
    other.initializers = [:]
    other.nodes = [Node("Identity", name: "i", inputs: ["state"], outputs: ["u"])]
    other.outputs = [ValueInfo("u", shape: nil)]
    var body = Graph.testing(
      inputs: [:],
      [
        Node("Identity", name: "on", inputs: ["before"], outputs: ["after"]),
        Node(
          "If", name: "if", inputs: ["after"], outputs: ["chosen"],
          attributes: ["then_branch": .graph(branch), "else_branch": .graph(other)]),
        Node("Add", name: "add", inputs: ["chosen", "bias"], outputs: ["sum"]),
        Node("Tanh", name: "tanh", inputs: ["sum"], outputs: ["next"]),
        Node("Identity", name: "copy", inputs: ["next"], outputs: ["slice"]),
      ], ["bias": .seeded([4], seed: 9)], outputs: [])
    body.inputs = [
      ValueInfo("turn", .int64, shape: []), ValueInfo("before", .bool, shape: []),
      ValueInfo("state", shape: nil),
    ]
    body.outputs = [
      ValueInfo("after", .bool, shape: []), ValueInfo("next", shape: nil),
      ValueInfo("slice", shape: nil),
    ]
    let graph = Graph.testing(
      inputs: ["x": ["N", 4]],
      [
        Node(
          "Loop", name: "loop", inputs: ["count", "", "x"], outputs: ["last", "all"],
          attributes: ["body": .graph(body)]),
        Node(
          "ReduceSum", name: "sum", inputs: ["all", "axis"], outputs: ["s"],
          attributes: ["keepdims": .int(0)]),
        Node("Mul", name: "y", inputs: ["s", "last"], outputs: ["y"]),
      ],
      ["count": Tensor(scalar: Int64(3)), "axis": Tensor([Int64(0)])])
    let feeds = ["x": Tensor.seeded([centralDifferenceBatch, 4], seed: 5)]
    let weights: [String: Tensor] = [
      "inner": .seeded([4], seed: 8), "bias": .seeded([4], seed: 9),
    ]
    try expectCentralDifferences(graph, weights, feeds)
    let plan = try TrainingPlan(graph, batchSize: centralDifferenceBatch, optimizer: .sgd())
    try plan.step(feeds, learningRate: 0.1) { _, gradient in
      gradient = .seeded(gradient.shape, seed: 6)
    }
    var trained = graph
    try plan.store(into: &trained)
    #expect(trained.initializers.keys == graph.initializers.keys)
    let stored = try #require(trained.nodes[0].graph("body")?.constant("bias"))
    #expect(stored != weights["bias"])
  }

  @Test func `a node without a gradient is refused with the reason`() {
    let graph = Graph.testing(
      inputs: ["x": ["N", 4]],
      [
        Node("MatMul", name: "product", inputs: ["x", "w"], outputs: ["p"]),
        Node("ArgMax", name: "best", inputs: ["p"], outputs: ["b"], attributes: ["axis": .int(1)]),
        Node("Cast", name: "cast", inputs: ["b"], outputs: ["y"], attributes: ["to": .int(1)]),
      ], ["w": .seeded([4, 3], seed: 1)])
    let expected = RuntimeError.noGradient(
      node: "best", op: "ArgMax", reason: "its result is integers")
    #expect(throws: expected) { try TrainingPlan(graph, batchSize: 2, optimizer: .sgd()) }
    #expect(
      expected.description == """
        Node "best" (ArgMax) cannot be trained through: its result is integers. Train a network \
        without it, or only the layers behind it.
        """)
  }

  @Test func `numbers and masks of formulas are not trained`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 4]],
      [
        Node("MatMul", name: "product", inputs: ["x", "w"], outputs: ["p"]),
        Node("Mul", name: "half", inputs: ["p", "number"], outputs: ["h"]),
        Node("Add", name: "hide", inputs: ["h", "mask"], outputs: ["m"]),
        Node("Add", name: "bias", inputs: ["m", "b"], outputs: ["s"]),
        Node("Softmax", name: "softmax", inputs: ["s"], outputs: ["y"]),
      ],
      [
        "w": .seeded([4, 3], seed: 1), "number": Tensor(scalar: Float(0.5)),
        "mask": Tensor([0, -Float.infinity, 0]), "b": .seeded([3], seed: 2),
      ])
    let plan = try TrainingPlan(graph, batchSize: 2, optimizer: .sgd())
    #expect(plan.parameterNames == ["w", "b"])
  }

  @Test(arguments: [
    Node("Split", name: "n", inputs: ["x"], outputs: ["", "y"], attributes: ["axis": .int(1)]),
    Node(
      "MaxPool", name: "n", inputs: ["x"], outputs: ["", "y"],
      attributes: ["kernel_shape": .ints([2, 2])]),
  ])
  func `a node whose first output is left out makes the second`(node: Node) throws {
    var graph = Graph.testing(inputs: ["x": ["N", 2, 4, 4]], [node])
    if node.op == "MaxPool" { graph.outputs[0].elementType = .int64 }
    let x = Tensor.seeded([3, 2, 4, 4], seed: 2)
    let plan = try InferencePlan(graph, batchSize: 3)
    #expect(try plan.run(["x": x])["y"] == ReferenceEvaluator.run(graph, ["x": x])["y"])
  }
}
