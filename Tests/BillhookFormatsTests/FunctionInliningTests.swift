internal import BillhookFormats
internal import BillhookGraph
internal import BillhookTensor
internal import BillhookTestSupport
internal import OrderedCollections
internal import Testing

@Suite struct FunctionInliningTests {
  @Test func `a call becomes the nodes of its function, with names of their own`() throws {
    let twice = FunctionBytes(
      name: "Twice", inputs: ["a"], outputs: ["b"],
      nodes: [
        WireBytes.node("Relu", ["a"], ["t"], name: "first"),
        WireBytes.node("Add", ["t", "a"], ["b"]),
      ])
    let graph = try Self.decode(
      [twice],
      [
        WireBytes.node("Twice", ["x"], ["h"], name: "call", domain: "own"),
        WireBytes.node("Twice", ["h"], ["y"], domain: "own"),
      ])
    #expect(
      Self.lines(graph) == [
        "call/first: Relu(x) -> call/t", ": Add(call/t, x) -> h",
        "Twice/first: Relu(h) -> Twice/t", ": Add(Twice/t, h) -> y",
      ])
    let values = try ReferenceEvaluator.run(graph, ["x": Tensor(scalar: 2 as Float)])
    #expect(values["y"] == Tensor(scalar: 8 as Float))
  }

  @Test func `names that the model has already get a number`() throws {
    let graph = try Self.decode(
      [
        FunctionBytes(
          name: "F", inputs: ["a"], outputs: ["b"], nodes: FunctionBytes.chain(["a", "t", "b"]))
      ],
      [
        WireBytes.node("F", ["x"], ["F/t"], domain: "own"),
        WireBytes.node("F", ["F/t"], ["F"], name: "F", domain: "own"),
        WireBytes.node("F", ["F"], ["y"], name: "F", domain: "own"),
      ])
    #expect(
      Self.lines(graph) == [
        ": Neg(x) -> F_2/t", ": Neg(F_2/t) -> F/t", ": Neg(F/t) -> F/t_2", ": Neg(F/t_2) -> F",
        ": Neg(F) -> F/t_3", ": Neg(F/t_3) -> y",
      ])
  }

  @Test func `functions call functions, and an overload is a function of its own`() throws {
    let inner = FunctionBytes(
      name: "Inner", inputs: ["a"], outputs: ["b"],
      nodes: [WireBytes.node("Abs", ["a"], ["b"], name: "n")])
    var overload = inner
    overload.overload = "other"
    overload.nodes = [WireBytes.node("Neg", ["a"], ["b"], name: "n")]
    let outer = FunctionBytes(
      name: "Outer", inputs: ["a"], outputs: ["b"],
      nodes: [
        WireBytes.node("Inner", ["a"], ["t"], name: "i", domain: "own", overload: "other"),
        WireBytes.node("Inner", ["t"], ["b"], domain: "own"),
      ])
    let graph = try Self.decode(
      [outer, inner, overload],
      [WireBytes.node("Outer", ["x"], ["y"], name: "o", domain: "own")])
    #expect(Self.lines(graph) == ["o/i/n: Neg(x) -> o/t", "Inner/n: Abs(o/t) -> y"])
  }

  @Test func `attributes come from the call, from the default, or are left out`() throws {
    let function = FunctionBytes(
      name: "F", inputs: ["a"], outputs: ["b"], attributes: ["alpha"],
      defaults: [WireBytes.attribute("scale", float: 3)],
      nodes: [
        WireBytes.node(
          "Selu", ["a"], ["b"],
          attributes: [
            WireBytes.attribute("alpha", reference: "alpha"),
            WireBytes.attribute("gamma", reference: "scale"),
          ])
      ])
    let graph = try Self.decode(
      [function],
      [
        WireBytes.node("F", ["x"], ["h"], domain: "own"),
        WireBytes.node(
          "F", ["h"], ["y"], domain: "own",
          attributes: [
            WireBytes.attribute("alpha", float: 5), WireBytes.attribute("scale", float: 7),
          ]),
      ])
    #expect(graph.nodes.map { Array($0.attributes.keys) } == [["gamma"], ["alpha", "gamma"]])
    #expect(graph.nodes[0].float("gamma", default: 0) == 3)
    #expect(graph.nodes[1].float("alpha", default: 0) == 5)
    #expect(graph.nodes[1].float("gamma", default: 0) == 7)
  }

  @Test func `inputs and outputs may be left out, and an input may be an output`() throws {
    let function = FunctionBytes(
      name: "F", inputs: ["a", "low", "high"], outputs: ["kept", "a", "spare"],
      nodes: [
        WireBytes.node("Clip", ["a", "low", "high"], ["kept"]),
        WireBytes.node("Neg", ["kept"], ["spare"]),
      ])
    let graph = try Self.decode(
      [function], [WireBytes.node("F", ["x", ""], ["", "y"], name: "f", domain: "own")])
    #expect(
      Self.lines(graph) == [
        ": Clip(x, , ) -> f/kept", ": Neg(f/kept) -> f/spare", "f/a: Identity(x) -> y",
      ])
    let values = try ReferenceEvaluator.run(graph, ["x": Tensor(scalar: 2 as Float)])
    #expect(values["y"] == Tensor(scalar: 2 as Float))
  }

  @Test func `a subgraph in a function reads the values around it and calls functions`() throws {
    let choice = FunctionBytes(
      name: "F", inputs: ["a", "c"], outputs: ["b"],
      nodes: [
        WireBytes.node("Neg", ["a"], ["t"]),
        WireBytes.node(
          "If", ["c"], ["b"], name: "choice",
          attributes: [
            WireBytes.attribute(
              "then_branch", nodes: [WireBytes.node("Own", ["t"], ["u"])], output: "u"),
            WireBytes.attribute(
              "else_branch", nodes: [WireBytes.node("Exp", ["t"], ["u"])], output: "u"),
          ]),
      ])
    let own = FunctionBytes(
      name: "Own", inputs: ["a"], outputs: ["b"], domain: "ai.onnx",
      nodes: [WireBytes.node("Abs", ["a"], ["b"])])
    let graph = try ONNXFile.decode(
      FunctionBytes.model(
        [choice, own], nodes: [WireBytes.node("F", ["x", "c"], ["y"], name: "f", domain: "own")]
      ) { $0.value(11, "c", type: 9) }, name: "m")
    #expect(Self.lines(graph) == [": Neg(x) -> f/t", "f/choice: If(c) -> y"])
    #expect(
      graph.nodes[1].subgraphs.map { Self.lines($0) } == [
        [": Abs(f/t) -> f/u"], [": Exp(f/t) -> f/u_2"],
      ])
    let values = try ReferenceEvaluator.run(
      graph, ["x": Tensor(scalar: 2 as Float), "c": Tensor(scalar: true)])
    #expect(values["y"] == Tensor(scalar: 2 as Float))
  }

  @Test func `what was inlined goes through a file unchanged, without the functions`() throws {
    // Between the operator sets 15 and 17 Neg stayed as it is.
    let function = FunctionBytes(
      name: "F", inputs: ["a"], outputs: ["b"], opset: 15,
      nodes: FunctionBytes.chain(["a", "t", "b"]))
    let first = try Self.decode([function], [WireBytes.node("F", ["x"], ["y"], domain: "own")])
    let bytes = try ONNXFile.encode(first)
    let second = try ONNXFile.decode(bytes, name: "m")
    #expect(try ONNXFile.encode(second) == bytes)
    #expect(Self.lines(second) == [": Neg(x) -> F/t", ": Neg(F/t) -> y"])
    #expect(!WireBytes.fields(of: bytes).contains { $0.number == 25 })
  }

  @Test func `an operator set that only a function imports becomes the model's`() throws {
    let function = FunctionBytes(
      name: "F", inputs: ["a"], outputs: ["b"], opset: 14, nodes: FunctionBytes.chain(["a", "b"]))
    let bytes = WireBytes.message { model in
      model.integer(1, 8)
      model.message(8) {
        $0.text(1, "own")
        $0.integer(2, 1)
      }
      model.data(25, function.bytes)
      model.message(7) {
        $0.value(11, "x")
        $0.data(1, WireBytes.node("F", ["x"], ["y"], domain: "own"))
        $0.value(12, "y")
      }
    }
    #expect(try ONNXFile.decode(bytes, name: "m").opsets == ["own": 1, "": 14])
  }

  private static func decode(_ functions: [FunctionBytes], _ nodes: [[UInt8]]) throws -> Graph {
    try ONNXFile.decode(FunctionBytes.model(functions, nodes: nodes), name: "m.onnx")
  }

  private static func lines(_ graph: Graph) -> [String] {
    graph.nodes.map { node in
      let inputs = node.inputs.joined(separator: ", ")
      return "\(node.name): \(node.op)(\(inputs)) -> \(node.outputs.joined(separator: ", "))"
    }
  }
}
