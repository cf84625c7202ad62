import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct CouplingGroupTests {
  func groups(_ topology: CouplingTopology) throws -> [CouplingGroup] {
    try topology.graph(seed: 0).couplingGroups()
  }

  /// "tensor axis role" of each slice.
  func slices(_ group: CouplingGroup) -> [String] {
    group.slices.map { "\($0.tensor) \($0.axis) \($0.role)" }
  }

  @Test func `a chain couples producer, batch norm and consumer`() throws {
    let found = try groups(.chain)
    #expect(found.map(\.name) == ["conv1", "conv2"])
    #expect(found[0].unitCount == 6)
    #expect(found[0].frozenReason == nil)
    #expect(
      slices(found[0]) == [
        "conv1.w 0 producer", "conv1.b 0 producer", "bn.scale 0 follower", "bn.bias 0 follower",
        "bn.mean 0 follower", "bn.variance 0 follower", "conv2.w 1 consumer",
      ])
    #expect(found[0].slices[6].positions == [[0], [1], [2], [3], [4], [5]])
    #expect(found[1].frozenReason == "its channels are the graph output \"y\"")
  }

  @Test func `a residual addition couples both of its producers`() throws {
    let found = try groups(.residual)
    #expect(found.map(\.name) == ["conv1", "conv3"])
    #expect(
      slices(found[0]) == [
        "conv1.w 0 producer", "conv1.b 0 producer", "conv2.w 0 producer", "conv2.w 1 consumer",
        "conv2.b 0 producer", "conv3.w 1 consumer",
      ])
  }

  @Test func `concatenation shifts positions and keeps groups apart`() throws {
    let found = try groups(.concat)
    #expect(found.map(\.name) == ["conv1", "conv2", "conv3"])
    #expect(found[0].slices.last?.tensor == "conv3.w")
    #expect(found[0].slices.last?.positions == [[5], [6], [7], [8]])
    #expect(found[1].slices.last?.positions == [[0], [1], [2], [3], [4]])
  }

  @Test func `an addition behind a concatenation joins the groups`() throws {
    let found = try groups(.concatAdd)
    #expect(found.map(\.name) == ["conv1", "conv4"])
    #expect(found[0].unitCount == 7)
    let conv3 = try #require(found[0].slices.first { $0.tensor == "conv3.w" })
    // Units are counted from conv1, whose channels stand behind those of conv2.
    #expect(conv3.positions == [[3], [4], [5], [6], [0], [1], [2]])
    let conv2 = try #require(found[0].slices.first { $0.tensor == "conv2.w" })
    #expect(conv2.positions == [[], [], [], [], [0], [1], [2]])
  }

  @Test func `flattening gives each channel a block of columns`() throws {
    let consumer = try #require(try groups(.flatten)[0].slices.last)
    #expect(consumer.tensor == "fc.w")
    #expect(consumer.axis == 1)
    #expect(consumer.positions == [Array(0..<9), Array(9..<18), Array(18..<27), Array(27..<36)])
  }

  @Test func `a depthwise convolution belongs to its input's group`() throws {
    let found = try groups(.depthwise)
    #expect(found.map(\.name) == ["conv1", "conv2"])
    let depthwise = try #require(found[0].slices.first { $0.tensor == "depthwise.w" })
    #expect(depthwise.role == .producer)
    #expect(depthwise.positions == [[0, 1], [2, 3], [4, 5], [6, 7]])
  }

  @Test func `a grouped convolution reads and makes as many channels in each group`() throws {
    let found = try groups(.grouped)
    #expect(found.map(\.name) == ["conv1", "middle", "conv2"])
    #expect(found.map(\.unitCount) == [2, 3, 2])
    #expect(found[0].frozenReason == nil && found[1].frozenReason == nil)
    #expect(
      slices(found[0]) == ["conv1.w 0 producer", "conv1.b 0 producer", "middle.w 1 consumer"])
    #expect(found[0].slices[0].positions == [[0, 2, 4], [1, 3, 5]])
    #expect(found[0].slices[2].positions == [[0], [1]])
    #expect(found[1].slices[0].tensor == "middle.w")
    #expect(found[1].slices[0].positions == [[0, 3, 6], [1, 4, 7], [2, 5, 8]])
  }

  @Test func `a shuffle of channels ties those that it puts side by side`() throws {
    let found = try groups(.shuffled)
    #expect(found.map(\.name) == ["conv1", "conv3", "conv5"])
    #expect(found[0].unitCount == 4 && found[0].frozenReason == nil)
    func positions(_ tensor: String) -> [[Int]]? {
      found[0].slices.first { $0.tensor == tensor }?.positions
    }
    #expect(positions("conv2.w") == [[0], [1], [2], [3]])
    #expect(positions("conv3.w") == [[0, 1], [2, 3], [], []])
    #expect(positions("conv4.w") == [[], [], [0, 1], [2, 3]])
    #expect(found[0].parts.map(\.units) == [[0, 1], [2, 3]])
  }

  @Test func `a weight that two nodes read couples inputs and outputs of both`() throws {
    let found = try groups(.sharedWeight)
    #expect(found.map(\.name) == ["conv1", "conv3"])
    #expect(found[0].unitCount == 4)
  }

  @Test func `a shared weight with one reader that cannot follow is frozen`() throws {
    var builder = TopologyBuilder(seed: 0)
    builder.conv("conv1", "x", 3, 3, "a")
    builder.node("Conv", "again", ["a", "conv1.w"], "b", ["pads": .ints([1, 1, 1, 1])])
    builder.conv("conv2", "b", 3, 2, "y")
    let graph = Graph.testing(builder.nodes).adding(builder.constants)
    #expect(
      try graph.couplingGroups()[0].frozenReason
        == "its tensor \"conv1.w\" is also read by node \"conv1\"")
  }

  @Test func `a softmax over channels and a mixing reshape keep them, heads stay apart`() throws {
    func reason(_ build: (inout TopologyBuilder) -> Void) throws -> String? {
      var builder = TopologyBuilder(seed: 0)
      builder.conv("conv1", "x", 3, 4, "a")
      build(&builder)
      builder.node("Flatten", "flat", ["b"], "c")
      builder.constant("last.w", .seeded([256, 2], seed: 0))
      builder.node("MatMul", "last", ["c", "last.w"], "y")
      let graph = Graph.testing(builder.nodes).adding(builder.constants)
      return try graph.couplingGroups()[0].frozenReason
    }
    #expect(
      try reason { $0.node("Softmax", "soft", ["a"], "b", ["axis": .int(1)]) }
        == "node \"soft\" (Softmax) normalises over its channels")
    #expect(
      try reason {
        $0.constant("to", Tensor([0, 2, 128] as [Int64]))
        $0.node("Reshape", "mix", ["a", "to"], "b")
      } == "node \"mix\" (Reshape) mixes its channels: [N, 4, 8, 8] to [N, 2, 128]")
    // Channels side by side, as heads are, stay apart.
    #expect(try reason { $0.node("MatMul", "gram", ["a", "a"], "b") } == nil)
  }

  @Test func `heads of attention and hidden neurons are units, the residual stream stays`() throws {
    let found = try groups(.attention)
    #expect(found.map(\.name) == ["query", "out", "inner", "outer"])
    #expect(found.map(\.unitCount) == [4, 6, 8, 2])
    #expect(
      slices(found[0]) == [
        "query.w 1 producer", "query.b 0 follower", "key.w 1 producer", "key.b 0 follower",
        "value.w 1 producer", "value.b 0 follower", "out.w 0 consumer",
      ])
    // A head is two channels.
    #expect(found[0].slices[0].positions == [[0, 1], [2, 3], [4, 5], [6, 7]])
    #expect(
      found.map(\.frozenReason) == [
        nil, "node \"residual\" (Add) joins it with \"t\", whose channels must stay", nil,
        "its channels are the graph output \"y\"",
      ])
  }

  @Test func `a recurrent layer reads channels that can be removed`() throws {
    let found = try groups(.recurrent)
    #expect(found.count == 1 && found[0].frozenReason == nil)
    #expect(slices(found[0]).contains("w 2 consumer"))
  }

  @Test func `the same graph gives the same groups`() throws {
    for topology in CouplingTopology.allCases {
      #expect(try groups(topology) == groups(topology))
    }
  }

  @Test func `gates, hard swishes and enlarged images keep channels prunable`() throws {
    let found = try groups(.mobile)
    #expect(found.map(\.name) == ["conv1", "squeeze", "conv2"])
    #expect(found[0].frozenReason == nil)
    #expect(found[1].frozenReason == nil)
    #expect(slices(found[1]).contains("excite.w 1 consumer"))
  }

  @Test func `a shape that shows only while running freezes what is reshaped`() throws {
    var graph = Graph.testing(
      inputs: ["x": ["N", 3, "H", "W"]],
      [
        Node("Conv", name: "conv", inputs: ["x", "w"], outputs: ["a"]),
        Node("Reshape", name: "shape", inputs: ["a", "to"], outputs: ["b"]),
        Node("MatMul", name: "product", inputs: ["b", "v"], outputs: ["c"]),
        Node("Add", name: "add", inputs: ["c", "bias"], outputs: ["y"]),
      ],
      [
        "w": .seeded([4, 3, 1, 1], seed: 0), "v": .seeded([4, 2], seed: 1),
        "bias": .seeded([2], seed: 2),
      ])
    graph.inputs.append(ValueInfo("to", .int64, shape: ["R"]))
    let found = try graph.couplingGroups()
    #expect(
      found.map(\.frozenReason) == [
        "node \"shape\" (Reshape) gives it a shape that is known only while it runs"
      ])
  }

  @Test func `what a channel divides cannot be removed`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 3, 4, 4]],
      [
        Node("Conv", name: "conv", inputs: ["x", "w"], outputs: ["a"]),
        Node("Div", name: "ratio", inputs: ["x", "a"], outputs: ["b"]),
        Node("Conv", name: "last", inputs: ["b", "w"], outputs: ["y"]),
      ], ["w": .seeded([3, 3, 1, 1], seed: 0)])
    #expect(
      try graph.couplingGroups()[0].frozenReason == "node \"ratio\" (Div) divides by it")
  }

  @Test func `who asks for the number of channels keeps them`() throws {
    func reason(_ readers: [Node]) throws -> String? {
      let graph = Graph.testing(
        inputs: ["x": ["N", 3, 4, 4]],
        [
          Node("Conv", name: "conv", inputs: ["x", "w"], outputs: ["a"]),
          Node("Shape", name: "sizes", inputs: ["a"], outputs: ["s"]),
          Node("Conv", name: "last", inputs: ["a", "w"], outputs: ["y"]),
        ] + readers,
        [
          "w": .seeded([3, 3, 1, 1], seed: 0), "one": Tensor([1] as [Int64]),
          "two": Tensor([2] as [Int64]), "end": Tensor([Int64.max]),
        ], outputs: ["y", "z"])
      return try graph.couplingGroups()[0].frozenReason
    }
    let told = "node \"sizes\" (Shape) tells how many there are"
    func gather(_ index: String) -> Node {
      Node("Gather", name: "pick", inputs: ["s", index], outputs: ["z"])
    }
    func slice(_ start: String) -> Node {
      Node("Slice", name: "cut", inputs: ["s", start, "end"], outputs: ["z"])
    }
    // The last layer shares the weight, so its output is the first one's reason where nothing else is.
    let shared = "its channels are the graph output \"y\""
    #expect(try reason([gather("one")]) == told)
    #expect(try reason([gather("two")]) == shared)
    #expect(try reason([slice("one")]) == told)
    #expect(try reason([slice("two")]) == shared)
    #expect(try reason([Node("Size", name: "n", inputs: ["s"], outputs: ["z"])]) == told)
  }

  @Test func `behind a size that is not known channels are followed from the back`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 10, 3]],
      [
        Node("Reshape", name: "rows", inputs: ["x", "flat"], outputs: ["a"]),
        Node("MatMul", name: "layer", inputs: ["a", "w"], outputs: ["b"]),
        Node("Reshape", name: "back", inputs: ["b", "steps"], outputs: ["c"]),
        Node("MatMul", name: "last", inputs: ["c", "v"], outputs: ["y"]),
      ],
      [
        "flat": Tensor([-1, 3] as [Int64]), "steps": Tensor([-1, 10, 4] as [Int64]),
        "w": .seeded([3, 4], seed: 0), "v": .seeded([4, 2], seed: 1),
      ])
    let found = try graph.couplingGroups()
    #expect(found.map(\.frozenReason) == [nil, "its channels are the graph output \"y\""])
    let small = try graph.removing([(found[0], [1])])
    #expect(small.constant("steps")?.integers() == [-1, 10, 3])
  }

  @Test func `a depthwise convolution of channels that must stay names them`() throws {
    var builder = TopologyBuilder(seed: 0)
    builder.conv("depthwise", "x", 1, 3, "a", group: 3)
    builder.conv("last", "a", 3, 2, "y")
    let graph = Graph.testing(builder.nodes).adding(builder.constants)
    #expect(
      try graph.couplingGroups()[0].frozenReason
        == "node \"depthwise\" (Conv) makes each of one channel of \"x\", which must stay")
  }
}
