import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Models that cannot be computed, and the sentence that says so.
@Suite struct BadModelTests {
  struct Bad: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var graph: Graph
    var sentence: String

    init(_ description: String, _ graph: Graph, _ sentence: String) {
      testDescription = description
      self.graph = graph
      self.sentence = sentence
    }

    /// One node that reads `x` and constants.
    init(
      _ op: String, _ x: [Dimension], _ constants: KeyValuePairs<String, Tensor>,
      _ attributes: OrderedDictionary<String, Attribute>, _ sentence: String
    ) {
      self.init(op, .testing(op, x, constants, attributes: attributes), sentence)
    }
  }

  static let huge = 1 << 62

  static let shapes: [Bad] = [
    Bad(
      "Reshape", [3, 4], ["s": Tensor([Int64(huge), Int64(huge)])], [:],
      """
      The output "y" of node "node" has shape [4611686018427387904, 4611686018427387904], which has \
      more elements than can be addressed. Check the sizes before it.
      """),
    Bad(
      "Expand", [1, 1], ["s": Tensor([Int64(1) << 40, Int64(1) << 40])], [:],
      """
      The output "y" of node "node" has shape [1099511627776, 1099511627776], which has more \
      elements than can be addressed. Check the sizes before it.
      """),
    Bad(
      "Conv", [1, 1, 4, 4], ["w": Tensor(zeros: [1, 1, 3, 3])],
      ["pads": .ints([huge, huge, huge, huge])],
      """
      Attribute "pads" of node "node" (Conv) is [4611686018427387904, 4611686018427387904, \
      4611686018427387904, 4611686018427387904], expected 4 integers in 0...1073741824.
      """),
    Bad(
      "Conv", [1, 1, 4, 4], ["w": Tensor(zeros: [1, 1, 3, 3])], ["group": .int(.min)],
      """
      Attribute "group" of node "node" (Conv) is -9223372036854775808, expected a divisor of the 1 \
      output channels.
      """),
    Bad(
      "Concat", [3, 4], [:], ["axis": .int(.min)],
      """
      Attribute "axis" of node "node" (Concat) is -9223372036854775808, expected -2...1 for a value \
      of rank 2.
      """),
    Bad(
      "Transpose", [3, 4], [:], ["perm": .ints([0, 0])],
      """
      Attribute "perm" of node "node" (Transpose) is [0, 0], expected each of 0..<2 once.
      """),
    Bad(
      "Slice", [3, 4],
      [
        "a": Tensor([Int64(0)]), "b": Tensor([Int64(3)]), "c": Tensor([Int64(0)]),
        "d": Tensor([Int64(0)]),
      ], [:],
      """
      Input "a" (starts) of node "node" (Slice) is [0], expected as many as ends [3], axes [0] and \
      steps [0], and no step of 0.
      """),
  ]

  static let structures: [Bad] = [
    Bad(
      "a cycle",
      .testing(
        inputs: ["x": [4]],
        [
          Node("Add", name: "one", inputs: ["x", "b"], outputs: ["a"]),
          Node("Add", name: "two", inputs: ["x", "a"], outputs: ["y"]),
          Node("Relu", name: "three", inputs: ["y"], outputs: ["b"]),
        ]),
      """
      The nodes "one", "two", "three" wait for each other's outputs. A graph must not contain a \
      cycle.
      """),
    Bad(
      "a value that nobody makes",
      .testing(
        inputs: ["x": [4]], [Node("Add", name: "add", inputs: ["x", "lost"], outputs: ["y"])]),
      """
      Node "add" reads the value "lost", which no input, initializer or node makes. Check the name.
      """),
    Bad(
      "an output that nobody makes",
      .testing(
        inputs: ["x": [4]], [Node("Relu", name: "relu", inputs: ["x"], outputs: ["z"])]),
      """
      The graph promises the output "y", which no input, initializer or node makes. Check the name.
      """),
    Bad(
      "weights of another type",
      .testing("Conv", [1, 1, 4, 4], ["w": Tensor(zeros: [1, 1, 3, 3], .int64)]),
      """
      Input "w" of node "node" (Conv) holds int64, expected float32 as input 0 does. Convert it.
      """),
    Bad(
      "an input of a negative size", .testing("Relu", [-7, 4]),
      """
      The value "x" has shape [-7, 4], but a size must not be negative.
      """),
    Bad(
      "branches in branches", nested(40),
      """
      Node "if8" holds a subgraph that lies in more than 32 others. Make the subgraphs less deep.
      """),
  ]

  /// As many Ifs in each other.
  static func nested(_ depth: Int) -> Graph {
    var body = Graph(name: "inner", outputs: [ValueInfo("z0", shape: nil)])
    body.nodes = [Node("Identity", name: "id", inputs: ["x"], outputs: ["z0"])]
    for level in 1...depth {
      var next = Graph(name: "level", outputs: [ValueInfo("z\(level)", shape: nil)])
      next.nodes = [
        Node(
          "If", name: "if\(level)", inputs: ["c"], outputs: ["z\(level)"],
          attributes: ["then_branch": .graph(body), "else_branch": .graph(body)])
      ]
      // The other branch stays small, or the graph would double on each level.
      if level > 1 {
        var small = Graph(name: "small", outputs: [ValueInfo("s\(level)", shape: nil)])
        small.nodes = [Node("Identity", name: "id", inputs: ["x"], outputs: ["s\(level)"])]
        next.nodes[0].attributes["else_branch"] = .graph(small)
      }
      body = next
    }
    var graph = Graph.testing(inputs: ["x": [4]], body.nodes, outputs: ["z\(depth)"])
    graph.inputs.append(ValueInfo("c", .bool, shape: []))
    return graph
  }

  @Test(arguments: shapes + structures)
  func `a model that cannot be computed says which node and why`(bad: Bad) {
    #expect(sentence { try bad.graph.verify() } == bad.sentence)
  }

  @Test func `a NaN among the weights is computed with, not hidden`() throws {
    let graph = Graph.testing("Mul", [2], ["w": Tensor([.nan, 2] as [Float])])
    let y = try #require(
      try ReferenceEvaluator.run(graph, ["x": Tensor([1, 3] as [Float])])["y"]
    ).floats()
    #expect(y[0].isNaN)
    #expect(y[1] == 6)
  }
}
