import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// ONNX's own Attention, with 2 samples.
struct AttentionNode: CustomStringConvertible, Sendable {
  var description: String
  var heads = 4
  var keyHeads = 4
  var queries = 5
  var keys = 7
  var size = 6
  var valueSize = 9
  /// Heads side by side in the last axis.
  var isFlat = false
  var attributes: OrderedDictionary<String, Attribute> = [:]
  /// A constant mask.
  var mask: Tensor?
  /// A mask that is an input.
  var maskInput: Tensor?
  /// Steps before; nil for no such inputs.
  var past: Int?
  var hasPresent = false
  /// How many keys count.
  var valid: [Int64]?
  var hostSteps: [String] = []

  private func factor(_ steps: Int, _ heads: Int, _ size: Int) -> [Int] {
    isFlat ? [2, steps, heads * size] : [2, heads, steps, size]
  }

  var feeds: [String: Tensor] {
    var feeds: [String: Tensor] = [
      "q": .seeded(factor(queries, heads, size), seed: 1),
      "k": .seeded(factor(keys, keyHeads, size), seed: 2),
      "v": .seeded(factor(keys, keyHeads, valueSize), seed: 3),
    ]
    if let past {
      feeds["pk"] = .seeded([2, keyHeads, past, size], seed: 4)
      feeds["pv"] = .seeded([2, keyHeads, past, valueSize], seed: 5)
    }
    if let maskInput { feeds["m"] = maskInput }
    if let valid { feeds["n"] = Tensor(valid) }
    return feeds
  }

  var graph: Graph {
    var names = ["q", "k", "v", mask != nil || maskInput != nil ? "m" : ""]
    if past != nil { names += ["pk", "pv"] }
    if valid != nil { names += (past == nil ? ["", ""] : []) + ["n"] }
    var attributes = attributes
    if isFlat {
      attributes["q_num_heads"] = .int(heads)
      attributes["kv_num_heads"] = .int(keyHeads)
    }
    let outputs = ["y"] + (past != nil || hasPresent ? ["key", "value"] : [])
    let node = Node(
      "Attention", name: "node", inputs: names, outputs: outputs, attributes: attributes)
    var graph = Graph.testing(inputs: [:], [node], outputs: outputs, opset: 24)
    graph.inputs = feeds.sorted { $0.key < $1.key }.map { name, tensor in
      ValueInfo(name, tensor.elementType, shape: tensor.shape.map { .fixed($0) })
    }
    if let mask { graph.initializers["m"] = Initializer(mask) }
    return graph
  }

  private static func truths(_ shape: [Int], _ isSeen: (Int) -> Bool) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map(isSeen), shape: shape)
  }

  static let all = [
    AttentionNode(description: "four axes"),
    AttentionNode(description: "heads side by side", isFlat: true),
    AttentionNode(
      description: "a scale and a cap",
      attributes: ["scale": .float(1.5), "softcap": .float(0.75)]),
    AttentionNode(description: "shared heads", keyHeads: 2),
    AttentionNode(
      description: "shared heads side by side, causal", keyHeads: 1, queries: 7, isFlat: true,
      attributes: ["is_causal": .int(1)]),
    AttentionNode(
      description: "causal, with more queries than are kept at once", heads: 2, keyHeads: 2,
      queries: 101, keys: 101, attributes: ["is_causal": .int(1)]),
    AttentionNode(description: "a mask", mask: .seeded([5, 7], seed: 6)),
    AttentionNode(
      description: "a mask of each head that is computed", isFlat: true,
      maskInput: .seeded([2, 4, 5, 7], seed: 6)),
    AttentionNode(
      description: "a mask that is the same for all keys", mask: .seeded([5, 1], seed: 6)),
    AttentionNode(
      description: "truth values, none of them for the second query",
      mask: truths([5, 7]) { $0 / 7 != 1 && $0 % 3 != 0 }),
    AttentionNode(
      description: "computed truth values, causal", attributes: ["is_causal": .int(1)],
      maskInput: truths([2, 1, 1, 7]) { $0 % 4 != 1 }, hostSteps: ["Where on the host"]),
    AttentionNode(description: "steps before", keyHeads: 2, keys: 5, past: 3),
    AttentionNode(
      description: "steps before, side by side and causal", keyHeads: 2, keys: 5, isFlat: true,
      attributes: ["is_causal": .int(1)], mask: .seeded([2, 1, 5, 8], seed: 6), past: 3),
    AttentionNode(
      description: "one query behind others", queries: 1, keys: 1, isFlat: true,
      attributes: ["is_causal": .int(1)], past: 30),
    AttentionNode(
      description: "the first steps of all", keys: 5, isFlat: true,
      attributes: ["is_causal": .int(1)], past: 0),
    AttentionNode(description: "keys handed on", isFlat: true, hasPresent: true),
    AttentionNode(description: "keys handed on as they came", hasPresent: true),
    AttentionNode(
      description: "numbers of valid keys", valid: [7, 5], hostSteps: ["Attention on the host"]),
    AttentionNode(
      description: "a mask that does not reach all keys", mask: .seeded([5, 4], seed: 6),
      hostSteps: ["Attention on the host"]),
  ]
}

@Suite struct AttentionOperatorTests {
  private func expectEqual(
    _ graph: Graph, _ feeds: [String: Tensor], hostSteps: [String]
  ) throws {
    let expected = try ReferenceEvaluator.run(graph, feeds)
    let plan = try InferencePlan(graph, batchSize: 2)
    #expect(plan.operations.filter { $0.hasSuffix("on the host") } == hostSteps)
    let found = try plan.run(feeds)
    for output in graph.outputs {
      let (own, other) = (found[output.name]!, expected[output.name]!)
      #expect(own.shape == other.shape)
      for (a, b) in zip(own.floats(), other.floats()) {
        #expect(abs(a - b) <= 5e-6, "\(output.name): \(a) \(b)")
      }
    }
  }

  @Test(arguments: AttentionNode.all)
  func `Attention gives what the reference gives`(subject: AttentionNode) throws {
    try expectEqual(subject.graph, subject.feeds, hostSteps: subject.hostSteps)
  }

  @Test func `positions that are computed choose their angles once for all layers`() throws {
    var graph = Graph.testing(
      inputs: ["x": ["N", 3, 4, 8]],
      [
        Node(
          "RotaryEmbedding", name: "first", inputs: ["x", "cos", "sin", "p"], outputs: ["a"]),
        Node(
          "RotaryEmbedding", name: "second", inputs: ["a", "cos", "sin", "p"], outputs: ["y"],
          attributes: ["interleaved": .int(1)]),
      ], ["cos": .seeded([9, 4], seed: 1), "sin": .seeded([9, 4], seed: 2)], opset: 23)
    graph.inputs.append(ValueInfo("p", .int64, shape: ["N", 4]))
    let feeds = [
      "x": Tensor.seeded([2, 3, 4, 8], seed: 3),
      "p": Tensor((0..<8).map { Int64($0 * 5 % 9) }, shape: [2, 4]),
    ]
    try expectEqual(graph, feeds, hostSteps: ["Gather on the host", "Gather on the host"])
  }

  @Test func `angles computed in the graph turn what they are given`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 4, 24], "angle": ["N", 4, 3]],
      [
        Node("Cos", name: "cos", inputs: ["angle"], outputs: ["c"]),
        Node("Sin", name: "sin", inputs: ["angle"], outputs: ["s"]),
        Node(
          "RotaryEmbedding", name: "turn", inputs: ["x", "c", "s"], outputs: ["y"],
          attributes: ["num_heads": .int(3), "rotary_embedding_dim": .int(6)]),
      ], opset: 23)
    let feeds = [
      "x": Tensor.seeded([2, 4, 24], seed: 1), "angle": Tensor.seeded([2, 4, 3], seed: 2),
    ]
    try expectEqual(graph, feeds, hostSteps: [])
  }

  @Test func `training turns by angles that computed positions choose, and keeps them`() throws {
    let positions = Tensor((0..<8).map { Int64($0 * 5 % 9) }, shape: [2, 4])
    func graph(isComputed: Bool) -> Graph {
      var graph = Graph.testing(
        inputs: ["x": ["N", 3, 4, 8]],
        [
          Node("MatMul", name: "front", inputs: ["x", "w"], outputs: ["q"]),
          Node(
            "RotaryEmbedding", name: "turn", inputs: ["q", "cos", "sin", "p"], outputs: ["y"]),
        ],
        [
          "w": .seeded([8, 8], seed: 1), "cos": .seeded([9, 4], seed: 2),
          "sin": .seeded([9, 4], seed: 3),
        ], opset: 23)
      if isComputed {
        graph.inputs.append(ValueInfo("p", .int64, shape: ["N", 4]))
      } else {
        graph.initializers["p"] = Initializer(positions)
      }
      return graph
    }
    let gradients = try [true, false].map { isComputed in
      let plan = try TrainingPlan(graph(isComputed: isComputed), batchSize: 2, optimizer: .sgd())
      #expect(plan.parameterNames == ["w"])
      #expect(!plan.operations.contains { $0.contains("Host gradient") })
      var feeds = ["x": Tensor.seeded([2, 3, 4, 8], seed: 4)]
      if isComputed { feeds["p"] = positions }
      try plan.step(feeds, learningRate: 0) { output, gradient in
        gradient = .seeded(output.shape, seed: 5)
      }
      return try plan.gradients()["w"]!.floats()
    }
    for (a, b) in zip(gradients[0], gradients[1]) { #expect(abs(a - b) <= 1e-5) }
  }

  /// As in an export with free sizes, where heads are what is left of the others.
  @Test func `the number of heads may be known at run time alone`() throws {
    func graph(_ shape: [Dimension]) -> Graph {
      .testing(
        inputs: ["q": shape, "k": shape, "v": shape],
        [
          Node("Attention", name: "node", inputs: ["q", "k", "v"], outputs: ["a"]),
          Node(
            "Transpose", name: "turn", inputs: ["a"], outputs: ["y"],
            attributes: ["perm": .ints([0, 2, 1, 3])]),
        ], opset: 23)
    }
    let feeds = ["q", "k", "v"].reduce(into: [:]) { feeds, name in
      feeds[name] = Tensor.seeded([2, 3, 5, 6], seed: 1, name)
    }
    let free = graph(["N", "H", "T", 6])
    #expect(try free.inferTypes()["y"]?.shape == ["N", "T", "H", 6])
    let expected = try InferenceSession(graph([2, 3, 5, 6])).run(feeds)
    #expect(try InferenceSession(free).run(feeds) == expected)
    // Nothing is known of the channels of queries, keys and values that lie side by side.
    var flat = graph(["N", "T", "C"])
    flat.nodes[0].attributes = ["q_num_heads": .int(3), "kv_num_heads": .int(3)]
    flat.nodes[1].attributes = ["perm": .ints([0, 2, 1])]
    #expect(try flat.inferTypes()["y"]?.shape == [.symbolic("N"), .symbolic(""), .symbolic("T")])
  }

  @Test func `training through Attention gives the gradients of its parts`() throws {
    // No mask and no cap: the same as two products around a Softmax.
    func graph(_ nodes: [Node]) -> Graph {
      .testing(
        inputs: ["x": ["N", 2, 5, 6]],
        [Node("MatMul", name: "front", inputs: ["x", "w"], outputs: ["q"])] + nodes,
        ["w": .seeded([6, 6], seed: 1), "c": Tensor(scalar: Float(1 / 6.0.squareRoot()))],
        opset: 23)
    }
    let whole = graph([Node("Attention", name: "node", inputs: ["q", "q", "q"], outputs: ["y"])])
    let parts = graph([
      Node(
        "Transpose", name: "turn", inputs: ["q"], outputs: ["t"],
        attributes: ["perm": .ints([0, 1, 3, 2])]),
      Node("MatMul", name: "scores", inputs: ["q", "t"], outputs: ["s"]),
      Node("Mul", name: "scaled", inputs: ["s", "c"], outputs: ["u"]),
      Node("Softmax", name: "weights", inputs: ["u"], outputs: ["p"]),
      Node("MatMul", name: "result", inputs: ["p", "q"], outputs: ["y"]),
    ])
    let gradients = try [whole, parts].map { graph in
      let plan = try TrainingPlan(graph, batchSize: 2, optimizer: .sgd())
      try plan.step(["x": .seeded([2, 2, 5, 6], seed: 2)], learningRate: 0) { output, gradient in
        gradient = .seeded(output.shape, seed: 3)
      }
      return try plan.gradients()["w"]!.floats()
    }
    for (a, b) in zip(gradients[0], gradients[1]) { #expect(abs(a - b) <= 2e-5) }
  }
}
