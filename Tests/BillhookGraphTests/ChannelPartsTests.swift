import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Channels that go several ways behind a Split or a Slice.
@Suite struct ChannelPartsTests {
  func group(_ graph: Graph) throws -> CouplingGroup {
    try #require(try graph.couplingGroups().first)
  }

  /// The indices that each unit has in a tensor.
  func positions(_ group: CouplingGroup, _ tensor: String) -> [[Int]] {
    group.slices.first { $0.tensor == tensor }?.positions ?? []
  }

  func sizes(_ graph: Graph, _ node: String, input: Int) -> [Int]? {
    graph.nodes.first { $0.name == node }?.input(input).flatMap { graph.constant($0)?.integers() }
  }

  @Test func `each half of the channels couples with what reads it`() throws {
    let groups = try CouplingTopology.split.graph(seed: 0).couplingGroups()
    #expect(groups.map(\.name) == ["conv1", "inner1", "conv2"])
    #expect(
      groups.map(\.frozenReason) == [nil, nil, "its channels are the graph output \"y\""])
    #expect(groups[0].unitCount == 8)
    // The second half goes through the inner layers and comes back to itself.
    #expect(positions(groups[0], "inner1.w") == [[], [], [], [], [0], [1], [2], [3]])
    #expect(positions(groups[0], "inner2.w") == [[], [], [], [], [0], [1], [2], [3]])
    #expect(
      positions(groups[0], "conv2.w") == [[0], [1], [2], [3], [4, 8], [5, 9], [6, 10], [7, 11]])
    #expect(
      groups[0].parts == [
        CouplingGroup.Part(value: "p", units: [0, 1, 2, 3]),
        CouplingGroup.Part(value: "q", units: [4, 5, 6, 7]),
      ])
  }

  @Test func `a gate and what it lets through go together`() throws {
    let found = try group(CouplingTopology.gated.graph(seed: 0))
    #expect(positions(found, "conv1.w") == [[0, 4], [1, 5], [2, 6], [3, 7], [8], [9]])
    #expect(positions(found, "conv2.w") == [[0], [1], [2], [3], [], []])
    #expect(positions(found, "conv3.w") == [[], [], [], [], [0], [1]])
  }

  @Test func `a split into equal parts gets the sizes that are left`() throws {
    let graph = CouplingTopology.split.graph(seed: 0)
    let small = try graph.removing([(group(graph), [1, 4, 5])])
    #expect(sizes(small, "halves", input: 1) == [3, 2])
    #expect(small.constant("conv1.w")?.shape == [5, 3, 3, 3])
    #expect(small.constant("inner1.w")?.shape == [5, 2, 3, 3])
    #expect(small.constant("inner2.w")?.shape == [2, 5, 3, 3])
    #expect(small.constant("conv2.w")?.shape == [2, 7, 3, 3])
    let bias = graph.constant("conv1.b")!.floats()
    #expect(small.constant("conv1.b")?.floats() == [0, 2, 3, 6, 7].map { bias[$0] })
  }

  @Test func `stated sizes follow, as input and as attribute`() throws {
    var graph = CouplingTopology.gated.graph(seed: 0)
    var small = try graph.removing([(group(graph), [2, 5])])
    #expect(sizes(small, "three", input: 1) == [3, 3, 1])
    #expect(small.constant("three.sizes")?.integers() == [3, 3, 1])
    #expect(small.constant("conv1.w")?.shape == [7, 3, 3, 3])

    graph.opsets[""] = 11
    graph.nodes[1].inputs = ["a"]
    graph.nodes[1].attributes["split"] = .ints([4, 4, 2])
    small = try graph.removing([(group(graph), [2, 5])])
    #expect(small.nodes[1].inputs == ["a"])
    #expect(small.nodes[1].ints("split") == [3, 3, 1])
  }

  @Test func `equal parts are stated as the operator set does`() throws {
    var old = CouplingTopology.split.graph(seed: 0)
    old.opsets[""] = 11
    let attribute = try old.removing([(group(old), [0])]).nodes[1]
    #expect(attribute.inputs == ["a"])
    #expect(attribute.ints("split") == [3, 4])

    var new = CouplingTopology.split.graph(seed: 0)
    new.opsets[""] = 18
    new.nodes[1].attributes["num_outputs"] = .int(2)
    let small = try new.removing([(group(new), [0])])
    #expect(sizes(small, "halves", input: 1) == [3, 4])
    #expect(small.nodes[1].attributes["num_outputs"] == nil)
  }

  @Test func `a slice starts and ends where its channels are now`() throws {
    let graph = CouplingTopology.sliced.graph(seed: 0)
    let found = try group(graph)
    // The channel 2 is in both.
    #expect(found.parts.map(\.units) == [[0, 1, 2], [2, 3, 4, 5, 6, 7]])
    let small = try graph.removing([(found, [0, 4])])
    #expect(sizes(small, "first", input: 1) == [0, 0])
    #expect(sizes(small, "first", input: 2) == [-1, 2])
    #expect(sizes(small, "last", input: 1) == [1])
    #expect(sizes(small, "last", input: 2) == [6])
    #expect(small.constant("begin")?.elementType == .int32)
    #expect(small.constant("conv2.w")?.shape == [2, 2, 3, 3])
    #expect(small.constant("conv3.w")?.shape == [2, 5, 3, 3])
  }

  @Test func `a slice by attributes follows too`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 3, 4, 4]],
      [
        Node("Conv", name: "conv", inputs: ["x", "w"], outputs: ["a"]),
        Node(
          "Slice", name: "cut", inputs: ["a"], outputs: ["b"],
          attributes: ["axes": .ints([1]), "starts": .ints([-3]), "ends": .ints([Int.max])]),
        Node("Conv", name: "last", inputs: ["b", "v"], outputs: ["y"]),
      ], ["w": .seeded([5, 3, 1, 1], seed: 0), "v": .seeded([2, 3, 1, 1], seed: 1)], opset: 9)
    // The channels 0 and 1 are read by nothing.
    let small = try graph.removing([(group(graph), [1, 3])])
    #expect(small.nodes[1].ints("starts") == [1])
    #expect(small.nodes[1].ints("ends") == [3])
    #expect(small.nodes[1].inputs == ["a"])
    #expect(small.constant("v")?.shape == [2, 2, 1, 1])
  }

  @Test func `channels taken in steps stay, a half that must stay frees the other`() throws {
    func groups(steps: Int, outputs: [String]) throws -> [CouplingGroup] {
      try Graph.testing(
        inputs: ["x": ["N", 3, 4, 4]],
        [
          Node("Conv", name: "conv", inputs: ["x", "w"], outputs: ["a"]),
          Node("Slice", name: "cut", inputs: ["a", "0", "2", "1", "by"], outputs: ["b"]),
          Node("Slice", name: "rest", inputs: ["a", "2", "4", "1"], outputs: ["c"]),
          Node("Conv", name: "last", inputs: ["b", "v"], outputs: ["y"]),
          Node("Conv", name: "other", inputs: ["c", "u"], outputs: ["z"]),
        ],
        [
          "w": .seeded([4, 3, 1, 1], seed: 0), "u": .seeded([2, 2, 1, 1], seed: 1),
          "v": .seeded([2, steps == 1 ? 2 : 1, 1, 1], seed: 2), "by": Tensor([Int64(steps)]),
          "0": Tensor([0] as [Int64]), "1": Tensor([1] as [Int64]), "2": Tensor([2] as [Int64]),
          "4": Tensor([4] as [Int64]),
        ], outputs: outputs
      ).couplingGroups()
    }
    #expect(
      try groups(steps: 2, outputs: ["y", "z"])[0].frozenReason
        == "node \"cut\" (Slice) takes some of its channels, by computed places or in steps")
    let parted = try groups(steps: 1, outputs: ["y", "z", "c"])
    #expect(parted.map(\.name) == ["conv", "conv", "last", "other"])
    #expect(parted[0].frozenReason == nil && parted[0].unitCount == 2)
    #expect(parted[1].frozenReason == "its channels are the graph output \"c\"")
    #expect(positions(parted[0], "w") == [[0], [1]])
    #expect(positions(parted[1], "w") == [[2], [3]])
  }

  @Test func `sizes that another node reads too are left to it`() throws {
    var builder = TopologyBuilder(seed: 0)
    builder.conv("conv1", "x", 3, 4, "a")
    builder.conv("conv2", "x", 3, 4, "b")
    builder.parts("one", "a", ["p", "q"], axis: 1, sizes: [1, 3])
    builder.nodes.append(
      Node(
        "Split", name: "two", inputs: ["b", "one.sizes"], outputs: ["r", "s"],
        attributes: ["axis": .int(1)]))
    builder.conv("conv3", "q", 3, 2, "y")
    let graph = Graph.testing(builder.nodes, outputs: ["y", "p", "r", "s"])
      .adding(builder.constants)
    let groups = try graph.couplingGroups()
    #expect(groups.map(\.unitCount) == [1, 3, 4, 2])
    let small = try graph.removing([(groups[1], [0])])
    #expect(sizes(small, "one", input: 1) == [1, 2])
    #expect(sizes(small, "two", input: 1) == [1, 3])
  }

  @Test func `a value cannot lose all of its channels`() throws {
    let graph = CouplingTopology.split.graph(seed: 0)
    let error = #expect(throws: GraphError.self) {
      _ = try graph.removing([(group(graph), [0, 4, 5, 6, 7])])
    }
    #expect(
      error?.description == """
        All 4 units of group "conv1" that the value "q" holds were to be removed. At least one of \
        them must stay; lower the ratio.
        """)
  }

  @Test func `queries, keys and values of one layer lose the same heads`() throws {
    for topology in [CouplingTopology.fusedHeads, .packedHeads] {
      let graph = topology.graph(seed: 0)
      let found = try group(graph)
      #expect(found.name == "qkv" && found.frozenReason == nil)
      #expect(
        positions(found, "qkv.w") == [
          [0, 1, 8, 9, 16, 17], [2, 3, 10, 11, 18, 19], [4, 5, 12, 13, 20, 21],
          [6, 7, 14, 15, 22, 23],
        ])
      #expect(positions(found, "out.w") == [[0, 1], [2, 3], [4, 5], [6, 7]])
      let small = try graph.removing([(found, [1])])
      #expect(small.constant("qkv.w")?.shape == [6, 18])
      #expect(sizes(small, "join", input: 1) == [0, 18, 6])
      if topology == .fusedHeads {
        #expect(sizes(small, "apart", input: 1) == [6, 6, 6])
        #expect(sizes(small, "q.split", input: 1) == [0, 0, 3, 2])
      } else {
        #expect(sizes(small, "pack", input: 1) == [0, 18, 3, 3, 2])
      }
    }
  }
}
