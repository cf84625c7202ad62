import BillhookGraph
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Attention as exporters write it.
struct AttentionGraph: CustomStringConvertible, Sendable {
  var description: String
  var heads = 3
  var queries = 7
  var keys = 7
  var size = 5
  var valueSize = 5
  /// Heads in front already, so that nothing is turned but the keys.
  var isSplit = false
  var mask: [Int]?
  var scaledByDivision = false
  /// As PyTorch writes it: both factors scaled, the keys turned as a stack of matrices, and zeros for
  /// the queries that see no key.
  var isSafe = false
  var operations = ["Attention"]

  var graph: Graph {
    func node(
      _ op: String, _ inputs: [String], _ output: String,
      _ attributes: OrderedDictionary<String, Attribute> = [:]
    ) -> Node {
      Node(op, name: output, inputs: inputs, outputs: [output], attributes: attributes)
    }
    func input(_ positions: Int, _ size: Int) -> [Dimension] {
      let (h, p, s) = (Dimension.fixed(heads), Dimension.fixed(positions), Dimension.fixed(size))
      return isSplit ? ["N", h, p, s] : ["N", p, h, s]
    }
    if isSafe {
      return safeGraph(node, [input(queries, size), input(keys, size), input(keys, valueSize)])
    }
    var nodes: [Node] = []
    if isSplit {
      nodes.append(node("Transpose", ["k"], "kt", ["perm": .ints([0, 1, 3, 2])]))
    } else {
      nodes.append(node("Transpose", ["q"], "qh", ["perm": .ints([0, 2, 1, 3])]))
      nodes.append(node("Transpose", ["k"], "kt", ["perm": .ints([0, 2, 3, 1])]))
      nodes.append(node("Transpose", ["v"], "vh", ["perm": .ints([0, 2, 1, 3])]))
    }
    nodes.append(node("MatMul", [isSplit ? "q" : "qh", "kt"], "s"))
    nodes.append(node(scaledByDivision ? "Div" : "Mul", ["s", "c"], "t"))
    if mask != nil { nodes.append(node("Add", ["t", "m"], "u")) }
    nodes.append(node("Softmax", [mask == nil ? "t" : "u"], "p", ["axis": .int(-1)]))
    nodes.append(node("MatMul", ["p", isSplit ? "v" : "vh"], isSplit ? "y" : "r"))
    if !isSplit { nodes.append(node("Transpose", ["r"], "y", ["perm": .ints([0, 2, 1, 3])])) }
    let factor = Tensor([Float(scaledByDivision ? 2.25 : 0.4)], shape: [1])
    let inputs: KeyValuePairs<String, [Dimension]> = [
      "q": input(queries, size), "k": input(keys, size), "v": input(keys, valueSize),
    ]
    guard let mask else { return .testing(inputs: inputs, nodes, ["c": factor]) }
    return .testing(inputs: inputs, nodes, ["c": factor, "m": .seeded(mask, seed: 9)])
  }

  private func safeGraph(
    _ node: (String, [String], String, OrderedDictionary<String, Attribute>) -> Node,
    _ inputs: [[Dimension]]
  ) -> Graph {
    let forward: OrderedDictionary<String, Attribute> = ["perm": .ints([0, 2, 1, 3])]
    let nodes = [
      node("Transpose", ["q"], "qh", forward), node("Transpose", ["k"], "kh", forward),
      node("Transpose", ["v"], "vh", forward), node("Reshape", ["kh", "stack"], "ks", [:]),
      node("Transpose", ["ks"], "kst", ["perm": .ints([0, 2, 1])]),
      node("Reshape", ["kst", "matrices"], "kt", [:]), node("Mul", ["qh", "c"], "qc", [:]),
      node("Mul", ["kt", "c"], "kc", [:]), node("MatMul", ["qc", "kc"], "s", [:]),
      node("Add", ["s", "m"], "u", [:]), node("Softmax", ["u"], "p", ["axis": .int(-1)]),
      node("IsNaN", ["p"], "n", [:]), node("Where", ["n", "zero", "p"], "w", [:]),
      node("MatMul", ["w", "vh"], "r", [:]), node("Transpose", ["r"], "y", forward),
    ]
    // The second query sees nothing.
    let mask = (0..<queries * keys).map { $0 / keys == 1 ? -Float.infinity : Float($0 % 3) }
    return .testing(
      inputs: ["q": inputs[0], "k": inputs[1], "v": inputs[2]], nodes,
      [
        "c": Tensor([Float(0.6)]), "zero": Tensor([Float(0)], shape: []),
        "stack": Tensor([Int64(-1), Int64(keys), Int64(size)]),
        "matrices": Tensor([Int64(-1), Int64(heads), Int64(size), Int64(keys)]),
        "m": Tensor(mask, shape: [1, 1, queries, keys]),
      ])
  }

  static let all = [
    AttentionGraph(description: "positions before heads"),
    AttentionGraph(description: "as PyTorch writes it", queries: 6, keys: 9, isSafe: true),
    AttentionGraph(
      description: "a mask for each key", size: 16, valueSize: 16, mask: [1, 1, 1, 7],
      scaledByDivision: true),
    AttentionGraph(description: "a mask for each query", mask: [7, 7]),
    AttentionGraph(description: "heads in front", size: 9, valueSize: 17, isSplit: true),
    AttentionGraph(
      description: "more queries than are kept at once", heads: 2, queries: 101, keys: 40,
      size: 8, valueSize: 33),
    AttentionGraph(
      description: "a mask that is the same for all keys", mask: [7, 1],
      operations: ["MatMul", "Add", "Softmax", "MatMul"]),
  ]
}

@Suite struct AttentionTests {
  @Test(arguments: AttentionGraph.all)
  func `attention becomes one operation that computes the same`(subject: AttentionGraph) throws {
    let graph = subject.graph
    let plan = try InferencePlan(graph, batchSize: 2)
    #expect(plan.operations.filter { $0 != "Reorder" } == subject.operations)
    var feeds: [String: Tensor] = [:]
    for input in graph.inputs {
      feeds[input.name] = .seeded(input.shape!.map { $0.size ?? 2 }, seed: 1, input.name)
    }
    let expected = try ReferenceEvaluator.run(graph, feeds)["y"]!
    let before = Threads.count
    defer { Threads.count = before }
    var first: Tensor?
    for threads in [1, 2, 3] {
      Threads.count = threads
      let found = try plan.run(feeds)["y"]!
      #expect(found.shape == expected.shape)
      for (a, b) in zip(found.floats(), expected.floats()) {
        #expect(abs(a - b) <= 5e-6, "\(a) \(b)")
      }
      #expect(first == nil || first! == found)
      first = found
    }
  }
}
