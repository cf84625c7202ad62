import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Channels of networks that are valid and odd, or that nobody could mean.
@Suite struct OddChannelsTests {
  private static func conv(_ name: String, _ input: String, _ output: String) -> Node {
    Node("Conv", name: name, inputs: [input, "\(name).w"], outputs: [output])
  }

  @Test func `tensors of no elements may state any sizes`() throws {
    let huge = 1 << 40
    let reshaped = Graph.testing(
      inputs: ["x": [0, 3, 1, 1]],
      [
        Self.conv("conv", "x", "a"),
        Node("Reshape", name: "shape", inputs: ["a", "s"], outputs: ["y"]),
      ],
      [
        "conv.w": .seeded([4, 3, 1, 1], seed: 0),
        "s": Tensor([0, 4, Int64(1) << 61] as [Int64]),
      ])
    let wide = Graph.testing(
      inputs: ["x": [1, 0, 1, 1]], [Self.conv("conv", "x", "y")],
      ["conv.w": Tensor(zeros: [huge, 0, 1, 1])])
    let turned = Graph.testing(
      inputs: ["x": [1, 0, 1, 1]],
      [Node("ConvTranspose", name: "conv", inputs: ["x", "w"], outputs: ["y"])],
      ["w": Tensor(zeros: [0, huge, 1, 1])])
    for graph in [reshaped, wide, turned] {
      #expect(try graph.couplingGroups().allSatisfy { $0.frozenReason != nil })
    }
  }

  @Test func `more places than memory has are not followed`() throws {
    let graph = Graph.testing(
      inputs: ["x": [1, 3, 4_194_304, 1_048_576]],
      [
        Self.conv("conv", "x", "a"), Node("Flatten", name: "flat", inputs: ["a"], outputs: ["y"]),
      ], ["conv.w": .seeded([4, 3, 1, 1], seed: 0)])
    #expect(try graph.couplingGroups().allSatisfy { $0.frozenReason != nil })
  }

  @Test func `statistics of a normalisation in training have its channels along their one axis`()
    throws
  {
    let parameters = ["scale", "shift", "mean", "variance"]
    var graph = Graph.testing(
      inputs: ["x": [1, 3, 4, 4]],
      [
        Self.conv("conv1", "x", "a"),
        Node(
          "BatchNormalization", name: "norm", inputs: ["a"] + parameters,
          outputs: ["b", "m", "v"], attributes: ["training_mode": .int(1)]),
        Node("Mul", name: "keep", inputs: ["m", "factor"], outputs: ["k"]),
        Self.conv("conv2", "b", "y"),
      ],
      [
        "conv1.w": .seeded([4, 3, 1, 1], seed: 0), "conv2.w": .seeded([2, 4, 1, 1], seed: 1),
        "factor": Tensor(scalar: 0.9 as Float),
      ], opset: 15)
    for name in parameters { graph.initializers[name] = Initializer(.counting([4])) }
    let group = try #require(try graph.couplingGroups().first)
    #expect(group.frozenReason == nil)
    let small = try graph.removing([(group, [2])])
    #expect(try small.inferTypes()["k"] == ValueType(.float32, [3]))

    graph.outputs.append(ValueInfo("k", shape: nil))
    #expect(
      try graph.couplingGroups().first?.frozenReason == "its channels are the graph output \"k\"")
  }

  @Test func `the sizes of a Resize follow`() throws {
    let graph = Graph.testing(
      inputs: ["x": [1, 3, 4, 4]],
      [
        Self.conv("conv1", "x", "a"),
        Node("Resize", name: "grow", inputs: ["a", "", "", "sizes"], outputs: ["b"]),
        Self.conv("conv2", "b", "y"),
      ],
      [
        "conv1.w": .seeded([4, 3, 1, 1], seed: 0), "conv2.w": .seeded([2, 4, 1, 1], seed: 1),
        "sizes": Tensor([1, 4, 8, 8] as [Int64]),
      ])
    let group = try #require(try graph.couplingGroups().first)
    let small = try graph.removing([(group, [0, 3])])
    #expect(small.constant("sizes")?.integers() == [1, 2, 8, 8])
  }

  @Test func `a Reshape of the first operator sets states its target as an attribute`() throws {
    let graph = Graph.testing(
      inputs: ["x": [1, 3, 4, 4]],
      [
        Self.conv("conv1", "x", "a"),
        Node(
          "Reshape", name: "flat", inputs: ["a"], outputs: ["b"],
          attributes: ["shape": .ints([1, 4, 8, 2])]),
        Self.conv("conv2", "b", "y"),
      ],
      ["conv1.w": .seeded([4, 3, 1, 1], seed: 0), "conv2.w": .seeded([2, 4, 1, 1], seed: 1)],
      opset: 4)
    let group = try #require(try graph.couplingGroups().first)
    let small = try graph.removing([(group, [1])])
    #expect(small.nodes[1].ints("shape") == [1, 3, 8, 2])
  }

  @Test func `a target that is computed keeps the channels`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 3, "H", "W"], "s": [4]],
      [
        Self.conv("conv1", "x", "a"),
        Node("Cast", name: "whole", inputs: ["s"], outputs: ["t"], attributes: ["to": .int(7)]),
        Node("Reshape", name: "shape", inputs: ["a", "t"], outputs: ["b"]),
        Self.conv("conv2", "b", "y"),
      ],
      ["conv1.w": .seeded([4, 3, 1, 1], seed: 0), "conv2.w": .seeded([2, 4, 1, 1], seed: 1)])
    #expect(
      try graph.couplingGroups().first?.frozenReason
        == "node \"shape\" (Reshape) gives it a shape that is known only while it runs")
  }
}
