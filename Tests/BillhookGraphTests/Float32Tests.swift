internal import BillhookGraph
internal import BillhookTensor
internal import BillhookTestSupport
internal import OrderedCollections
internal import Testing

@Suite struct Float32Tests {
  @Test(arguments: [ElementType.float16, .bfloat16, .float64])
  func `a network of another type becomes the same network in float32`(type: ElementType) throws {
    let stored = Graph.smallResidual().stored(as: type)
    #expect(stored.otherWeightTypes == [type])
    let graph = try stored.inFloat32()
    try graph.verify()
    #expect(graph.otherWeightTypes.isEmpty)
    #expect(graph.inputs[0].elementType == .float32 && graph.outputs[0].elementType == .float32)
    let types = try graph.inferTypes()
    #expect(types.values.allSatisfy { $0.elementType == .float32 })
    for (name, initializer) in stored.initializers {
      #expect(graph.constant(name) == initializer.tensor.asFloat32())
    }
  }

  @Test func `a network with float32 weights stays as it is`() throws {
    var graph = Graph.testing(
      inputs: ["x": [2, 3]],
      [
        Node(
          "Cast", name: "wide", inputs: ["x"], outputs: ["d"],
          attributes: ["to": .int(Int(ElementType.float64.rawValue))]),
        Node("Mul", name: "scaled", inputs: ["d", "factor"], outputs: ["y"]),
      ], ["factor": Tensor([2, 3, 4] as [Double])])
    graph.outputs[0].elementType = .float64
    #expect(graph.otherWeightTypes.isEmpty)
    let types = try graph.inFloat32().inferTypes()
    #expect(types["y"]?.elementType == .float64)
  }

  @Test func `types in attributes, constants and subgraphs change too, and empty casts are none`()
    throws
  {
    let half = Int(ElementType.float16.rawValue)
    let weight = Tensor.counting([3, 2]).converted(to: .float16)
    let branch = { (name: String) in
      var graph = Graph(name: name, nodes: [], opset: 17)
      graph.nodes = [
        Node(
          "Constant", name: "", inputs: [], outputs: ["\(name).c"],
          attributes: ["value": .tensor(Initializer(weight))]),
        Node("MatMul", name: "", inputs: ["h", "\(name).c"], outputs: ["\(name).y"]),
      ]
      graph.outputs = [ValueInfo("\(name).y", .float16, shape: nil)]
      return Attribute.graph(graph)
    }
    let graph = Graph.testing(
      inputs: ["x": [2, 3]],
      [
        Node(
          "Cast", name: "in", inputs: ["x"], outputs: ["h"], attributes: ["to": .int(half)]),
        Node(
          "If", name: "if", inputs: ["flag"], outputs: ["z"],
          attributes: ["then_branch": branch("a"), "else_branch": branch("b")]),
        Node(
          "Cast", name: "out", inputs: ["z"], outputs: ["y"],
          attributes: ["to": .int(Int(ElementType.float32.rawValue))]),
      ], ["flag": Tensor(scalar: true)])
    try graph.verify()
    let result = try graph.inFloat32()
    try result.verify()
    #expect(result.nodes.map(\.op) == ["Identity", "If", "Identity"])
    #expect(result.nodes[0].attributes.isEmpty)
    #expect(try result.inferTypes()["z"]?.elementType == .float32)
    let x = Tensor.counting([2, 3])
    #expect(
      try ReferenceEvaluator.run(result, ["x": x])["y"]
        == ReferenceEvaluator.run(graph, ["x": x])["y"])
  }

  @Test func `large numbers of 64 bits stay finite, infinite ones infinite`() throws {
    let weight = Tensor([1e300, -1e300, .infinity, 2] as [Double], shape: [2, 2])
    var graph = Graph.testing("MatMul", [1, 2], ["w": weight])
    graph.inputs[0].elementType = .float64
    graph.outputs[0].elementType = .float64
    let largest = Float.greatestFiniteMagnitude
    #expect(
      try graph.inFloat32().constant("w")
        == Tensor([largest, -largest, .infinity, 2], shape: [2, 2]))
  }

  @Test func `inputs and outputs get their types back by casts`() throws {
    var stored = Graph.smallChain().stored(as: .float16)
    // An output that is an input, and one that is read inside.
    stored.outputs += [
      ValueInfo("x", .float16, shape: nil), ValueInfo("flat", .float16, shape: nil),
    ]
    let graph = try stored.inFloat32().castingInputsAndOutputs(as: stored)
    try graph.verify()
    #expect(graph.inputs == stored.inputs && graph.outputs == stored.outputs)
    #expect(graph.nodes[0].op == "Cast" && graph.nodes[0].outputs == ["x_float32"])
    #expect(graph.nodes.suffix(2).map(\.outputs) == [["y"], ["flat"]])
    let x = Tensor.seeded([2, 1, 4, 4], seed: 3).converted(to: .float16)
    let values = try ReferenceEvaluator.run(graph, ["x": x])
    let expected = try ReferenceEvaluator.run(stored, ["x": x])
    #expect(values["y"]?.elementType == .float16)
    for (found, wanted) in zip(values["y"]!.floats(), expected["y"]!.floats()) {
      // Each of five operators rounds to 11 bits in the stored network.
      #expect(abs(found - wanted) < 0.01)
    }
  }

  @Test func `only constants that training changed are taken, in their own type`() throws {
    var stored = Graph.smallChain().stored(as: .float64)
    let exact = 1.000_000_000_1
    stored.setConstant("fc.bias", Tensor([exact, 2, 3] as [Double]))
    let before = try stored.inFloat32()
    var trained = before
    trained.setConstant("bn1.bias", Tensor([1, 2, 3, 4] as [Float]))
    stored.takeConstants(of: trained, since: before)
    #expect(stored.constant("bn1.bias") == Tensor([1, 2, 3, 4] as [Double]))
    #expect(stored.constant("fc.bias") == Tensor([exact, 2, 3] as [Double]))
  }
}
