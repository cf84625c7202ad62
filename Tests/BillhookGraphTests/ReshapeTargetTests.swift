import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Sizes that are computed from shapes, as exporters write them for batches of any size.
@Suite struct ReshapeTargetTests {
  /// Two heads of three channels, cut out and joined again by sizes taken from the value itself.
  static let heads: Graph = {
    func size(_ value: String, _ axis: Int) -> [Node] {
      [
        Node("Shape", name: "", inputs: [value], outputs: ["\(value).s\(axis)"]),
        Node(
          "Gather", name: "", inputs: ["\(value).s\(axis)", "\(axis)"],
          outputs: ["\(value).g\(axis)"]),
        Node(
          "Unsqueeze", name: "", inputs: ["\(value).g\(axis)", "zero"],
          outputs: ["\(value).\(axis)"]),
      ]
    }
    return Graph.testing(
      inputs: ["x": ["batch", "time", 4]],
      [Node("MatMul", name: "layer", inputs: ["x", "w"], outputs: ["a"])]
        + size("a", 0) + size("a", 1) + size("a", 2) + [
          Node("Div", name: "", inputs: ["a.2", "heads"], outputs: ["part"]),
          Node(
            "Concat", name: "", inputs: ["a.0", "a.1", "heads", "part"], outputs: ["to"],
            attributes: ["axis": .int(0)]),
          Node("Reshape", name: "split", inputs: ["a", "to"], outputs: ["h"]),
          Node(
            "Transpose", name: "turn", inputs: ["h"], outputs: ["t"],
            attributes: ["perm": .ints([0, 2, 1, 3])]),
          Node("Relu", name: "act", inputs: ["t"], outputs: ["r"]),
          Node(
            "Transpose", name: "back", inputs: ["r"], outputs: ["b"],
            attributes: ["perm": .ints([0, 2, 1, 3])]),
          Node("Mul", name: "", inputs: ["heads", "part"], outputs: ["all"]),
          Node(
            "Concat", name: "", inputs: ["a.0", "a.1", "all"], outputs: ["from"],
            attributes: ["axis": .int(0)]),
          Node("Reshape", name: "join", inputs: ["b", "from"], outputs: ["j"]),
          Node("MatMul", name: "last", inputs: ["j", "v"], outputs: ["y"]),
        ],
      [
        "w": .seeded([4, 6], seed: 1), "v": .seeded([6, 2], seed: 2),
        "0": Tensor(scalar: Int64(0)), "1": Tensor(scalar: Int64(1)),
        "2": Tensor(scalar: Int64(2)), "zero": Tensor([0] as [Int64]),
        "heads": Tensor([2] as [Int64]),
      ])
  }()

  @Test func `sizes are followed from a shape through what computes with them`() throws {
    let types = try Self.heads.inferTypes()
    #expect(types["h"]?.shape == ["batch", "time", 2, 3])
    #expect(types["j"]?.shape == ["batch", "time", 6])
  }

  @Test func `targets become constant and what computed them goes`() throws {
    var graph = Self.heads
    graph.valueInfos = [ValueInfo("to", .int64, shape: [4])]
    let stated = try graph.statingSizes()
    #expect(
      stated.nodes.map(\.op) == [
        "MatMul", "Reshape", "Transpose", "Relu", "Transpose", "Reshape", "MatMul",
      ])
    #expect(stated.constant("split_shape")?.integers() == [0, 0, 2, 3])
    #expect(stated.constant("join_shape")?.integers() == [0, 0, 6])
    #expect(Set(stated.initializers.keys) == ["w", "v", "split_shape", "join_shape"])
    #expect(stated.valueInfos.isEmpty)
    let feeds = ["x": Tensor.seeded([3, 5, 4], seed: 3)]
    #expect(
      try ReferenceEvaluator.run(stated, feeds)["y"]
        == ReferenceEvaluator.run(graph, feeds)["y"])
  }

  @Test func `heads behind computed targets can be removed`() throws {
    let graph = try Self.heads.statingSizes()
    let groups = try graph.couplingGroups()
    #expect(groups.map(\.frozenReason) == [nil, "its channels are the graph output \"y\""])
    #expect(groups[0].unitCount == 2)
    let feeds = ["x": Tensor.seeded([3, 5, 4], seed: 3)]
    let masked = try graph.masking([(groups[0], [0])])
    let small = try graph.removing([(groups[0], [0])])
    #expect(small.constant("w")?.shape == [4, 3])
    let (left, right) = (
      try ReferenceEvaluator.run(masked, feeds)["y"]?.floats() ?? [],
      try ReferenceEvaluator.run(small, feeds)["y"]?.floats() ?? []
    )
    #expect(left.count == 30 && zip(left, right).allSatisfy { abs($0 - $1) < 1e-5 })
  }

  @Test func `halves by half the number of channels are constant, and follow`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["batch", 3, 4, 4]],
      [
        Node("Conv", name: "conv", inputs: ["x", "w"], outputs: ["a"]),
        Node("Shape", name: "", inputs: ["a"], outputs: ["s"]),
        Node("Gather", name: "", inputs: ["s", "one"], outputs: ["c"]),
        Node("Div", name: "", inputs: ["c", "two"], outputs: ["half"]),
        Node("Mul", name: "", inputs: ["half", "two"], outputs: ["all"]),
        Node("Slice", name: "first", inputs: ["a", "zero", "half", "one"], outputs: ["b"]),
        Node("Slice", name: "second", inputs: ["a", "half", "all", "one"], outputs: ["d"]),
        Node("Sigmoid", name: "gate", inputs: ["b"], outputs: ["e"]),
        Node("Mul", name: "gated", inputs: ["d", "e"], outputs: ["f"]),
        Node("Conv", name: "last", inputs: ["f", "v"], outputs: ["y"]),
      ],
      [
        "w": .seeded([6, 3, 1, 1], seed: 0), "v": .seeded([2, 3, 1, 1], seed: 1),
        "zero": Tensor([0] as [Int64]), "one": Tensor([1] as [Int64]),
        "two": Tensor([2] as [Int64]),
      ])
    let stated = try graph.statingSizes()
    #expect(
      stated.nodes.map(\.op) == ["Conv", "Slice", "Slice", "Sigmoid", "Mul", "Conv"])
    #expect(stated.constant("second_starts")?.integers() == [3])
    #expect(stated.constant("second_ends")?.integers() == [6])
    let groups = try stated.couplingGroups()
    #expect(groups[0].frozenReason == nil && groups[0].unitCount == 3)
    let small = try stated.removing([(groups[0], [1])])
    #expect(small.constant("w")?.shape == [4, 3, 1, 1])
    #expect(small.constant("first_ends")?.integers() == [2])
    #expect(small.constant("second_starts")?.integers() == [2])
    #expect(small.constant("second_ends")?.integers() == [4])
  }

  @Test func `a target with two sizes that only the run tells stays computed`() throws {
    var graph = Graph.testing(
      inputs: ["x": ["N", 12]],
      [Node("Reshape", name: "shape", inputs: ["x", "to"], outputs: ["y"])])
    graph.inputs.append(ValueInfo("to", .int64, shape: [3]))
    let stated = try graph.statingSizes()
    #expect(stated.nodes[0].inputs == ["x", "to"])
    #expect(try graph.inferTypes()["y"]?.shape == ["", "", ""])
  }

  @Test func `one size that is not told is what the others leave`() throws {
    var graph = Graph.testing(
      inputs: ["x": ["N", 12]],
      [
        Node(
          "Concat", name: "", inputs: ["n", "rest"], outputs: ["to"],
          attributes: ["axis": .int(0)]),
        Node("Reshape", name: "shape", inputs: ["x", "to"], outputs: ["y"]),
      ], ["rest": Tensor([3, 4] as [Int64])])
    graph.inputs.append(ValueInfo("n", .int64, shape: [1]))
    #expect(try graph.inferTypes()["y"]?.shape == ["N", 3, 4])
  }

  @Test func `a range up to a size has that size, and what is spread to a shape its sizes`() throws
  {
    let graph = Graph.testing(
      inputs: ["x": ["N", "time", 4]],
      [
        Node("Shape", name: "", inputs: ["x"], outputs: ["s"]),
        Node("Gather", name: "", inputs: ["s", "one"], outputs: ["t"]),
        Node("Range", name: "count", inputs: ["zero", "t", "one"], outputs: ["r"]),
        Node("ConstantOfShape", name: "fill", inputs: ["s"], outputs: ["f"]),
        Node("Expand", name: "spread", inputs: ["row", "s"], outputs: ["e"]),
        Node("Add", name: "sum", inputs: ["f", "e"], outputs: ["y"]),
      ],
      [
        "zero": Tensor(scalar: Int64(0)), "one": Tensor(scalar: Int64(1)),
        "row": .seeded([1, 4], seed: 1),
      ], outputs: ["y", "r"])
    let types = try graph.inferTypes()
    #expect(types["r"]?.shape == ["time"])
    #expect(types["f"]?.shape == ["N", "time", 4])
    #expect(types["e"]?.shape == ["N", "time", 4])
  }
}
