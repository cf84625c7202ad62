internal import BillhookFormats
internal import BillhookTestSupport
internal import Testing

@Suite struct FunctionErrorTests {
  /// The error of a model of these functions in which a node calls the function `F`.
  private static func failure(
    _ functions: [FunctionBytes], inputs: [String] = ["x"], outputs: [String] = ["y"]
  ) -> String {
    let call = WireBytes.node("F", inputs, outputs, name: "call", domain: "own")
    return sentence {
      _ = try ONNXFile.decode(FunctionBytes.model(functions, nodes: [call]), name: "m.onnx")
    }
  }

  private static func function(
    _ nodes: [[UInt8]], name: String = "F", opset: Int = 17
  ) -> FunctionBytes {
    FunctionBytes(name: name, inputs: ["a"], outputs: ["b"], opset: opset, nodes: nodes)
  }

  private static func message(_ location: String, _ found: String, _ expected: String) -> String {
    """
    Cannot read "m.onnx" as ONNX: at \(location), found \(found), but expected \(expected). The file \
    is damaged, cut short or of another kind; copy or export it again.
    """
  }

  @Test func `functions that call each other in a circle are named`() {
    let call = { (name: String) in WireBytes.node(name, ["a"], ["b"], domain: "own") }
    #expect(
      Self.failure([
        Self.function([call("G")]), Self.function([call("H")], name: "G"),
        Self.function([call("G")], name: "H"),
      ])
        == Self.message(
          "the function \"own.G\"",
          "calls without an end (\"own.G\" calls \"own.H\" calls \"own.G\")",
          "functions that do not call themselves"))
  }

  @Test func `a function given twice, and calls with too many values, are errors`() {
    let function = Self.function(FunctionBytes.chain(["a", "b"]))
    #expect(
      Self.failure([function, function])
        == Self.message("the function \"own.F\"", "the name twice", "it once"))
    #expect(
      Self.failure([function], inputs: ["x", "x"])
        == Self.message(
          "node \"call\"", "2 inputs", "at most 1, which the function \"own.F\" has"))
    #expect(
      Self.failure([function], outputs: ["y", "z"])
        == Self.message(
          "node \"call\"", "2 outputs", "at most 1, which the function \"own.F\" has"))
  }

  @Test func `a body sees no value of its caller, and makes what it promises, once`() {
    #expect(
      Self.failure([Self.function([WireBytes.node("Add", ["a", "x"], ["b"])])])
        == Self.message(
          "node \"b\" of the function \"own.F\"",
          "the value \"x\", which nothing before it makes",
          "inputs of the function and values of nodes before it"))
    #expect(
      Self.failure([Self.function(FunctionBytes.chain(["a", "t"]))])
        == Self.message(
          "the function \"own.F\"", "the output \"b\", which nothing in it makes",
          "outputs that its nodes make"))
    #expect(
      Self.failure([Self.function(FunctionBytes.chain(["a", "a"]))])
        == Self.message(
          "node \"a\" of the function \"own.F\"", "the value \"a\" for the second time",
          "each value made once"))
  }

  @Test func `an operator that means something else in the model's operator set is refused`() {
    #expect(
      Self.failure([Self.function([WireBytes.node("Softmax", ["a"], ["b"])], opset: 12)]) == """
        Cannot read "m.onnx" as ONNX: at the function "own.F", found Softmax of version 12 of the ONNX \
        operator set, but the model has version 17, in which Softmax is defined anew, which is not \
        supported. Supported: functions of the model's operator set; convert both to one version.
        """)
  }

  @Test func `functions that stand for too many nodes are refused before they are made`() {
    var functions = [Self.function(FunctionBytes.chain(["a", "b"]), name: "F0")]
    for level in 1...32 {
      functions.append(
        Self.function(
          [
            WireBytes.node("F\(level - 1)", ["a"], ["t"], domain: "own"),
            WireBytes.node("F\(level - 1)", ["t"], ["b"], domain: "own"),
          ], name: level == 32 ? "F" : "F\(level)"))
    }
    // 2^32 is as far as it counts.
    #expect(
      Self.failure(functions) == """
        Cannot read "m.onnx" as ONNX: at the functions of the model, found calls that stand for \
        4294967296 nodes, which is not supported. Supported: up to 262144 nodes in all functions.
        """)
  }

  @Test func `calls that lie too deep are refused`() {
    var functions = [Self.function(FunctionBytes.chain(["a", "b"]), name: "F0")]
    for level in 1...64 {
      functions.append(
        Self.function(
          [WireBytes.node("F\(level - 1)", ["a"], ["b"], domain: "own")],
          name: level == 64 ? "F" : "F\(level)"))
    }
    #expect(
      Self.failure(functions)
        == Self.message(
          "the function \"own.F0\"", "a call inside of 64 functions and subgraphs", "at most 64"))
  }

  @Test func `a long name of a call is not given to too many values`() {
    let call = WireBytes.node(
      "F", ["x"], ["y"], name: String(repeating: "n", count: 1 << 24), domain: "own")
    let function = Self.function(FunctionBytes.chain(["a"] + (0..<20).map { "t\($0)" } + ["b"]))
    #expect(
      sentence {
        _ = try ONNXFile.decode(FunctionBytes.model([function], nodes: [call]), name: "m.onnx")
      } == """
        Cannot read "m.onnx" as ONNX: at the function "own.F", found calls whose values have names of \
        more than 268435456 bytes, which is not supported. Supported: shorter names of nodes that call \
        functions.
        """)
  }

  @Test func `a list of subgraphs in a body is refused`() {
    let list = WireBytes.message {
      $0.text(1, "branches")
      $0.message(11) { $0.value(12, "b") }
      $0.integer(20, 10)
    }
    let node = WireBytes.node("Choose", ["a"], ["b"], domain: "other", attributes: [list])
    #expect(
      Self.failure([Self.function([node])]) == """
        Cannot read "m.onnx" as ONNX: at node "b" of the function "own.F", found a list of subgraphs as \
        the attribute "branches", which is not supported. Supported: one subgraph an attribute.
        """)
  }
}
