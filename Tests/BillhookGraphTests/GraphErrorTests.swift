import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// One test an error case that a graph from outside can cause, each with the whole sentence.
@Suite struct GraphErrorTests {
  func expectError(
    _ graph: Graph, _ sentence: String, sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let error = #expect(throws: GraphError.self, sourceLocation: sourceLocation) {
      try graph.verify()
    }
    #expect(error?.description == sentence, sourceLocation: sourceLocation)
  }

  @Test func `an unknown operator is named with its node, and with those of like names`() {
    expectError(
      .testing("TfIdfVectorizer", ["N", 3]),
      """
      Node "node" uses the operator "TfIdfVectorizer", which is not supported. \
      docs/onnx-support.md lists the operators that are.
      """)
    expectError(
      .testing("Rleu", ["N", 3]),
      """
      Node "node" uses the operator "Rleu", which is not supported. Did you mean "Relu" or "Celu" \
      or "Elu"? docs/onnx-support.md lists the operators that are.
      """)
    var foreign = Graph.testing("Relu", ["N"])
    foreign.nodes[0].domain = "com.example"
    let error = #expect(throws: GraphError.self) { try foreign.verify() }
    #expect(
      error
        == .unsupportedOperator(
          op: "Relu", domain: "com.example", node: "node", supported: Graph.supportedOperators))
  }

  @Test func `an operator of ONNX Runtime's optimizer is explained`() {
    var graph = Graph.testing("Gelu", ["N"])
    graph.nodes[0].domain = "com.microsoft"
    expectError(
      graph,
      """
      Node "node" uses the operator "com.microsoft.Gelu", which is not supported. ONNX Runtime \
      writes such operators when it saves a network that it has optimized; take the network from \
      before, or save it with optimization turned off. docs/onnx-support.md lists the operators \
      that are.
      """)
  }

  @Test func `a first output may be left out, but not all of them`() throws {
    var graph = Graph.testing(
      inputs: ["x": [4, 3]],
      [
        Node(
          "Split", name: "split", inputs: ["x"], outputs: ["", "y"], attributes: ["axis": .int(0)])
      ])
    try graph.verify()
    let x = Tensor.counting([4, 3])
    let values = try ReferenceEvaluator.run(graph, ["x": x])
    #expect(values["y"]?.floats() == [7, 8, 9, 10, 11, 12])
    graph.nodes[0].outputs = ["", ""]
    graph.outputs[0].name = "x"
    expectError(graph, "Node \"split\" (Split) has 0 outputs, expected at least 1.")
  }

  @Test func `a wrong value of an input is not called an attribute's`() {
    let graph = Graph.testing(
      "Range", [],
      ["limit": Tensor(scalar: 4 as Float), "step": Tensor(scalar: 0 as Float)])
    var constant = graph
    constant.inputs = []
    constant.initializers["x"] = Initializer(Tensor(scalar: 1 as Float))
    expectError(
      constant,
      """
      Input "step" (delta) of node "node" (Range) is 0.0, expected fewer than 2^40 steps.
      """)
  }

  @Test func `an operator set of the future is refused`() {
    expectError(
      .testing("Relu", ["N"], opset: 99),
      """
      The graph uses version 99 of the ONNX operator set, but versions 1 to 28 are supported. \
      Convert it with ONNX's version converter.
      """)
  }

  @Test func `a wrong number of inputs or outputs is counted`() {
    expectError(
      .testing("Conv", ["N", 3, 8, 8]), "Node \"node\" (Conv) has 1 input, expected 2 to 3.")
    expectError(
      .testing("Concat", []) { $0.inputs = [] },
      "Node \"node\" (Concat) has 0 inputs, expected at least 1.")
    expectError(
      .testing("Relu", []) { $0.outputs = ["y", "z"] },
      "Node \"node\" (Relu) has 2 outputs, expected 1.")
    expectError(
      .testing("Relu", []) { $0.inputs = [""] },
      "Node \"node\" (Relu) leaves out input 0, which it cannot do without.")
  }

  @Test func `a wrong attribute is named`() {
    expectError(
      .testing("Relu", [], attributes: ["alpha": .float(1)]),
      """
      Node "node" (Relu) has the attribute "alpha", which the operator does not have. Attributes \
      it may have: none.
      """)
    expectError(
      .testing("Flatten", ["N", 3], attributes: ["axis": .float(1)]),
      "Attribute \"axis\" of node \"node\" (Flatten) is of type float, expected int.")
    expectError(
      .testing("Flatten", ["N", 3], attributes: ["axis": .int(3)]),
      "Attribute \"axis\" of node \"node\" (Flatten) is 3, expected -2...2 for a value of rank 2.")
    expectError(
      .testing("Concat", ["N", 3]),
      "Node \"node\" (Concat) lacks the attribute \"axis\", expected int.")
    expectError(
      .testing("Transpose", ["N", 3], attributes: ["perm": .ints([0, 0])]),
      "Attribute \"perm\" of node \"node\" (Transpose) is [0, 0], expected each of 0..<2 once.")
  }

  @Test func `a value made twice names both makers`() {
    let graph = Graph.testing(
      inputs: ["x": ["N"]],
      [
        Node("Relu", name: "a", inputs: ["x"], outputs: ["y"]),
        Node("Relu", name: "b", inputs: ["x"], outputs: ["y"]),
      ])
    expectError(
      graph,
      """
      The value "y" is made twice, by node "a" and by node "b". Each value needs a name of its own.
      """)
  }

  @Test func `a value that nobody makes is named`() {
    expectError(
      .testing("Relu", []) { $0.inputs = ["z"] },
      """
      Node "node" reads the value "z", which no input, initializer or node makes. Check the name.
      """)
    expectError(
      .testing(inputs: ["x": []], [], outputs: ["y"]),
      """
      The graph promises the output "y", which no input, initializer or node makes. Check the name.
      """)
  }

  @Test func `a graph without outputs is refused`() {
    expectError(
      .testing(inputs: ["x": []], [], outputs: []),
      """
      The graph "test" has no output, so there is nothing to compute. Export the network again \
      with its outputs.
      """)
  }

  @Test func `nodes out of order can be sorted, nodes in a circle cannot`() throws {
    let first = Node("Relu", name: "first", inputs: ["x"], outputs: ["m"])
    let second = Node("Relu", name: "second", inputs: ["m"], outputs: ["y"])
    let swapped = Graph.testing(inputs: ["x": ["N"]], [second, first])
    expectError(
      swapped,
      """
      Node "second" reads the value "m" before node "first" makes it. Sort the nodes topologically.
      """)
    #expect(try swapped.sortedTopologically().nodes.map(\.name) == ["first", "second"])
    #expect(swapped.inOrderOfComputation().nodes.map(\.name) == ["first", "second"])

    let circle = Graph.testing(
      inputs: ["x": ["N"]],
      [
        Node("Add", name: "a", inputs: ["x", "n"], outputs: ["m"]),
        Node("Relu", name: "b", inputs: ["m"], outputs: ["n"]),
      ], outputs: ["n"])
    expectError(
      circle,
      """
      The nodes "a", "b" wait for each other's outputs. A graph must not contain a cycle.
      """)
  }

  @Test func `shapes that do not fit are shown`() {
    expectError(
      .testing("Conv", ["N", 3, 8, 8], ["w": Tensor(zeros: [4, 2, 3, 3])]),
      """
      Inputs "x" of shape [N, 3, 8, 8] and "w" of shape [4, 2, 3, 3] of node "node" (Conv) do not \
      fit together, expected 2 × 1 (weight axis 1 × group) input channels.
      """)
    expectError(
      .testing("Conv", ["N", 1, 2, 8], ["w": Tensor(zeros: [4, 1, 3, 3])]),
      """
      Input "x" of node "node" (Conv) has shape [2, 8], expected spatial axes at least as large as \
      the window: the kernel covers 3 but axis 2 has 2 with padding.
      """)
    expectError(
      .testing("Add", [2, 3], ["b": Tensor(zeros: [4])]),
      """
      Inputs "x" of shape [2, 3] and "b" of shape [4] of node "node" (Add) do not fit together, \
      expected axes, counted from the last, equal or 1.
      """)
    expectError(
      .testing("Reshape", [2, 3], ["to": Tensor([4, -1] as [Int64])]),
      """
      Input "x" of node "node" (Reshape) has shape [2, 3], expected a multiple of 4 elements for \
      the target shape [4, -1].
      """)
  }

  @Test func `element types that do not fit are shown`() {
    expectError(
      .testing("Add", [2], ["b": Tensor([1, 2] as [Int32])]),
      """
      Input "b" of node "node" (Add) holds int32, expected float32 as input 0 does. Convert it.
      """)
  }

  @Test func `sizes that overflow or are negative are refused`() {
    let huge = Dimension.fixed(1 << 40)
    expectError(
      .testing(
        inputs: ["x": [huge, 1], "z": [1, huge]],
        [Node("Add", name: "add", inputs: ["x", "z"], outputs: ["y"])]),
      """
      The output "y" of node "add" has shape [1099511627776, 1099511627776], which has more \
      elements than can be addressed. Check the sizes before it.
      """)
    expectError(
      .testing("Relu", [-2]),
      "The value \"x\" has shape [-2], but a size must not be negative.")
    expectError(
      .testing("MaxPool", ["N", 1, 8], attributes: ["kernel_shape": .ints([.max])]),
      """
      Attribute "kernel_shape" of node "node" (MaxPool) is [9223372036854775807], expected sizes \
      in 1...1073741824.
      """)
  }

  @Test func `a declared output of other axes is shown beside the right one`() throws {
    var graph = Graph.testing("Flatten", ["N", 3, 8, 8])
    graph.outputs[0].shape = ["N", 10, 10]
    expectError(
      graph,
      """
      The value "y" is declared as float32 [N, 10, 10] but is float32 [N, 192]. Correct the \
      declaration or the nodes before it.
      """)
    // Sizes that exporters state are often stale.
    graph.outputs[0].shape = ["N", 100]
    try graph.verify()
  }

  @Test func `a shape that depends on an input is not known before running`() throws {
    var graph = Graph.testing(
      inputs: ["x": [6]],
      [
        Node("Reshape", name: "reshape", inputs: ["x", "to"], outputs: ["m"]),
        Node("Relu", name: "relu", inputs: ["m"], outputs: ["y"]),
      ])
    graph.inputs.append(ValueInfo("to", .int64, shape: ["rank"]))
    #expect(try graph.inferTypes().keys.sorted() == ["to", "x"])
  }

  @Test func `a shape that is computed from constants and shapes is known`() throws {
    let graph = Graph.testing(
      inputs: ["x": [2, 6]],
      [
        Node("Shape", name: "shape", inputs: ["x"], outputs: ["s"]),
        Node("Mul", name: "mul", inputs: ["s", "by"], outputs: ["to"]),
        Node("Reshape", name: "reshape", inputs: ["x", "to"], outputs: ["y"]),
      ], ["by": Tensor([3, 0] as [Int64])])
    #expect(
      sentence { _ = try graph.inferTypes() } == """
        Input "x" of node "reshape" (Reshape) has shape [2, 6], expected 36 elements for the target \
        shape [6, 0].
        """)
  }

  @Test func `subgraphs that lie too deep in each other are refused`() {
    var body = Graph(name: "body", outputs: [ValueInfo("y", shape: nil)])
    body.nodes = [Node("Identity", name: "copy", inputs: ["x"], outputs: ["y"])]
    let other = body
    for _ in 0..<40 {
      var outer = Graph(name: "body", outputs: [ValueInfo("y", shape: nil)])
      outer.nodes = [
        Node(
          "If", name: "choice", inputs: ["c"], outputs: ["y"],
          attributes: ["then_branch": .graph(body), "else_branch": .graph(other)])
      ]
      body = outer
    }
    body.inputs = [ValueInfo("x", shape: [2]), ValueInfo("c", .bool, shape: [])]
    body.opsets = ["": 17]
    expectError(
      body,
      """
      Node "choice" holds a subgraph that lies in more than 32 others. Make the subgraphs less deep.
      """)
  }
}

extension Graph {
  /// A graph of one node, changed.
  static func testing(
    _ op: String, _ x: [Dimension], change: (inout Node) -> Void
  ) -> Graph {
    var graph = Graph.testing(op, x)
    change(&graph.nodes[0])
    return graph
  }
}
