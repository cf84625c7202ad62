internal import BillhookFormats
internal import BillhookGraph
internal import BillhookTensor
internal import BillhookTestSupport
internal import OrderedCollections
internal import Testing

@Suite struct ONNXFileTests {
  /// A network with every kind of attribute, two inputs and text everywhere.
  static func sample() -> Graph {
    var graph = Graph(
      name: "net",
      inputs: [
        ValueInfo("x", shape: [.symbolic("batch"), 3, .symbolic("")]), ValueInfo("s", shape: []),
      ],
      outputs: [ValueInfo("y", .int64, shape: nil, docString: "the result")],
      nodes: [
        Node(
          "Conv", name: "first", inputs: ["x", "w", ""], outputs: ["h"],
          attributes: [
            "alpha": .float(0.5), "group": .int(-1), "mode": .string([0xFF, 0x00]),
            "scales": .floats([1, .infinity]), "pads": .ints([1, -2]),
            "names": .strings([Array("a".utf8), []]), "empty": .ints([]),
            "value": .tensor(Initializer(Tensor([1, 2] as [Int8]), docString: "inner")),
          ], domain: "com.example"),
        Node("Relu", name: "", inputs: ["h"], outputs: ["y"]),
      ],
      initializers: [
        "w": Initializer(.counting([2, 3]), docString: "weight"),
        "none": Initializer(Tensor(zeros: [0, 4], .bfloat16)),
        "flag": Initializer(Tensor(scalar: true)),
      ], opset: 19, irVersion: 9)
    graph.docString = "what it is"
    graph.valueInfos = [ValueInfo("h", .float16, shape: [1, 2])]
    graph.opsets["com.example"] = 3
    graph.metadata = ["zeta": "1", "alpha": "", "": "no key"]
    return graph
  }

  @Test func `nodes that cannot be computed in their order are sorted`() throws {
    let nodes = [
      Node("Add", name: "last", inputs: ["a", "b"], outputs: ["y"]),
      Node("Relu", name: "b", inputs: ["a"], outputs: ["b"]),
      Node("Relu", name: "a", inputs: ["x"], outputs: ["a"]),
    ]
    let bytes = try ONNXFile.encode(.testing(inputs: ["x": ["N"]], nodes))
    let read = try ONNXFile.decode(bytes, name: "net")
    #expect(read.nodes.map(\.name) == ["a", "b", "last"])
    try read.verify()
  }

  @Test func `what is written is read again`() throws {
    let folder = TemporaryFolder()
    let graph = Self.sample()
    try ONNXFile.write(graph, to: folder("net.onnx"))
    let read = try ONNXFile.read(path: folder("net.onnx"))
    #expect(folder.names == ["net.onnx"])
    #expect(read.name == "net")
    #expect(read.docString == "what it is")
    #expect(read.inputs.map(\.shape) == [[.symbolic("batch"), 3, .symbolic("")], []])
    #expect(read.outputs == graph.outputs)
    #expect(read.valueInfos == graph.valueInfos)
    #expect(read.opsets == ["": 19, "com.example": 3])
    #expect(read.irVersion == 9)
    #expect(read.metadata == graph.metadata)
    #expect(Array(read.metadata.keys) == ["zeta", "alpha", ""])
    #expect(Array(read.initializers.keys) == ["w", "none", "flag"])
    for (name, initializer) in graph.initializers {
      #expect(read.initializers[name]?.tensor == initializer.tensor)
      #expect(read.initializers[name]?.docString == initializer.docString)
    }
    let node = read.nodes[0]
    #expect(node.op == "Conv" && node.name == "first" && node.domain == "com.example")
    #expect(node.inputs == ["x", "w", ""])
    #expect(Array(node.attributes.keys) == Array(graph.nodes[0].attributes.keys))
    #expect(node.float("alpha", default: 0) == 0.5)
    #expect(node.int("group", default: 0) == -1)
    #expect(node.ints("pads") == [1, -2])
    #expect(node.ints("empty") == [])
    if case .tensor(let value)? = node.attributes["value"] {
      #expect(value.tensor == Tensor([1, 2] as [Int8]))
      #expect(value.docString == "inner")
    } else {
      Issue.record("the attribute \"value\" is no tensor")
    }
  }

  @Test func `the same graph gives the same bytes, however often it went through`() throws {
    let first = try ONNXFile.encode(Self.sample())
    let second = try ONNXFile.encode(ONNXFile.decode(first, name: "1"))
    #expect(try ONNXFile.encode(Self.sample()) == first)
    #expect(second == first)
  }

  @Test func `unknown fields and everything the graph does not model are preserved`() throws {
    let extra = { (wire: inout WireBytes) in wire.text(999, "unknown") }
    let bytes = WireBytes.message { model in
      model.integer(1, 8)
      model.text(2, "producer")
      model.text(4, "")  // the domain, set to nothing
      model.integer(5, 7)
      model.message(7) { graph in
        graph.message(1) { node in
          node.text(1, "x")
          node.text(2, "y")
          node.text(3, "")
          node.text(4, "If")
          node.message(5) {
            $0.text(1, "then_branch")
            $0.message(6) { $0.text(2, "inner") }
            $0.integer(20, 5)
          }
          node.message(5) {
            $0.text(1, "axis")
            $0.integer(3, 2)
            $0.text(13, "documented")
            $0.integer(20, 2)
            extra(&$0)
          }
          node.text(7, "")
          node.message(9) { $0.text(1, "note") }
          extra(&node)
        }
        graph.text(2, "g")
        graph.initializer(type: 1, dims: [1]) {
          $0.data(9, [0, 0, 128, 63])
          $0.message(16) { $0.text(1, "note") }
          extra(&$0)
        }
        graph.value(11, "x") { extra(&$0) }
        graph.value(12, "y")
        graph.message(13) {
          $0.text(1, "list")
          $0.message(2) { $0.message(4) { $0.message(1) { $0.message(1) { $0.integer(1, 1) } } } }
        }
        graph.message(14) { $0.text(1, "w") }
        extra(&graph)
      }
      model.message(8) {
        $0.text(1, "")
        $0.integer(2, 17)
        extra(&$0)
      }
      model.message(14) {
        $0.text(1, "key")
        $0.text(2, "value")
      }
      model.message(25) { $0.text(1, "function") }
      extra(&model)
    }
    #expect(try ONNXFile.encode(ONNXFile.decode(bytes, name: "m")) == bytes)
  }

  @Test func `a doubled metadata key keeps both entries and shows the first`() throws {
    let entry = { (value: String) in
      { (wire: inout WireBytes) in
        wire.text(1, "k")
        wire.text(2, value)
      }
    }
    var wire = WireBytes(bytes: WireBytes.model { _ in })
    wire.message(14, entry("1"))
    wire.message(14, entry("2"))
    let graph = try ONNXFile.decode(wire.bytes, name: "m")
    #expect(graph.metadata == ["k": "1"])
    let again = try ONNXFile.encode(graph)
    #expect(try ONNXFile.encode(ONNXFile.decode(again, name: "m")) == again)
    #expect(again.count == wire.bytes.count)
  }

  @Test func `initializers listed as inputs stay in their places and follow new shapes`() throws {
    let bytes = WireBytes.model(ir: 3) { graph in
      graph.initializer(type: 1, dims: [2]) { $0.data(9, [UInt8](repeating: 0, count: 8)) }
      graph.value(11, "a")
      graph.value(11, "w")
      graph.value(11, "b")
    }
    var graph = try ONNXFile.decode(bytes, name: "m")
    #expect(graph.inputs.map(\.name) == ["a", "b"])
    graph.initializers["w"]!.tensor = .counting([5])
    graph.inputs.append(ValueInfo("c", shape: nil))
    let expected = WireBytes.model(ir: 3) { graph in
      graph.initializer(type: 1, dims: [5]) {
        $0.data(9, Tensor.counting([5]).withUnsafeBytes { [UInt8]($0) })
      }
      graph.value(11, "a")
      graph.message(11) {
        $0.text(1, "w")
        $0.message(2) {
          $0.message(1) {
            $0.integer(1, 1)
            $0.message(2) { $0.message(1) { $0.integer(1, 5) } }
          }
        }
      }
      graph.value(11, "b")
      graph.value(11, "c")
    }
    let encoded = try ONNXFile.encode(graph)
    // The hand-written order of fields differs from the library's, so lengths and a reread compare.
    #expect(encoded.count == expected.count)
    #expect(
      try ONNXFile.encode(ONNXFile.decode(expected, name: "m"))
        == ONNXFile.encode(ONNXFile.decode(encoded, name: "m")))
  }

  @Test func `a model from before operator sets has version 1`() throws {
    #expect(try ONNXFile.decode(WireBytes.model(ir: 1, opset: nil) { _ in }, name: "m").opset == 1)
  }

  @Test func `an attribute without a type takes the type of the field that is set`() throws {
    let bytes = WireBytes.model(ir: 1, opset: nil) { graph in
      graph.message(1) { node in
        node.text(4, "Op")
        node.message(5) {
          $0.text(1, "f")
          $0.float(2, 1.5)
        }
        node.message(5) {
          $0.text(1, "ints")
          $0.integer(8, 3)
        }
      }
    }
    let node = try ONNXFile.decode(bytes, name: "m").nodes[0]
    #expect(node.float("f", default: 0) == 1.5)
    #expect(node.ints("ints") == [3])
  }

  @Test func `axes that an exporter calls "?" are not equal for that`() throws {
    var graph = Graph(name: "open")
    graph.inputs = [ValueInfo("x", shape: [.symbolic("?"), 3, .symbolic("?"), .symbolic("H")])]
    let read = try ONNXFile.decode(try ONNXFile.encode(graph), name: "open")
    #expect(
      read.inputs.map(\.shape) == [[.symbolic(""), 3, .symbolic(""), .symbolic("H")]])
  }
}
