import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@Suite struct RemovalTests {
  /// Random units of every group that may lose some, at least one where there are two.
  func selection(_ groups: [CouplingGroup], seed: UInt64) -> [(group: CouplingGroup, units: [Int])]
  {
    var random = CounterRandom(seed: seed, stream: "selection")
    return groups.filter { $0.frozenReason == nil && $0.unitCount > 1 }.map { group in
      let count = 1 + random.integer(below: group.unitCount - 1)
      var units = Array(random.permutation(group.unitCount)[..<count])
      for part in group.parts where part.units.allSatisfy(units.contains) {
        units.removeAll { $0 == part.units[0] }
      }
      return (group, units)
    }
  }

  @Test(arguments: CouplingTopology.allCases, 0..<4 as Range<UInt64>)
  func `masked and shrunk networks compute the same`(
    topology: CouplingTopology, seed: UInt64
  ) throws {
    let graph = topology.graph(seed: seed)
    try graph.verify()
    let units = selection(try graph.couplingGroups(), seed: seed)
    #expect(!units.isEmpty)
    let masked = try graph.masking(units)
    let shrunk = try graph.removing(units)
    let x = ["x": Tensor.seeded([2, 3, 6, 6], seed: seed, "x")]
    let left = try #require(try ReferenceEvaluator.run(masked, x)["y"])
    let right = try #require(try ReferenceEvaluator.run(shrunk, x)["y"])
    #expect(left.shape == right.shape)
    let distance = zip(left.floats(), right.floats()).map { abs($0 - $1) }.max() ?? 0
    #expect(distance <= 1e-5)
    #expect(shrunk.elementCount < graph.elementCount)
    #expect(masked.elementCount == graph.elementCount)
  }

  @Test(arguments: NetworkTemplate.allCases)
  func `a new network shrinks to what its mask computes`(template: NetworkTemplate) throws {
    var graph = try template.make(width: template.defaultWidth == nil ? nil : 4, image: 16)
    // Statistics of a fresh network would not show a batch norm cut wrongly.
    for name in graph.initializers.keys where name.contains("bn") {
      let numbers = try #require(graph.constant(name)).shape[0]
      graph.setConstant(
        name, Tensor(Tensor.seeded([numbers], seed: 1, name).floats().map { $0 + 1.5 }))
    }
    let units = selection(try graph.couplingGroups(), seed: 1)
    let x = ["input": Tensor.seeded([1, template.defaultChannels, 16, 16], seed: 1)]
    let masked = try ReferenceEvaluator.run(graph.masking(units), x)["logits"]?.floats() ?? []
    let shrunk = try ReferenceEvaluator.run(graph.removing(units), x)["logits"]?.floats() ?? []
    #expect(masked.count == 10 && shrunk.count == 10)
    #expect(zip(masked, shrunk).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($0)) })
  }

  @Test func `removal cuts every tensor that knows the channels`() throws {
    let graph = CouplingTopology.chain.graph(seed: 0)
    let group = try #require(try graph.couplingGroups().first)
    let small = try graph.removing([(group, [1, 4])])
    #expect(small.constant("conv1.w")?.shape == [4, 3, 3, 3])
    #expect(small.constant("conv1.b")?.shape == [4])
    #expect(small.constant("bn.variance")?.shape == [4])
    #expect(small.constant("conv2.w")?.shape == [2, 4, 3, 3])
    let kept = [0, 2, 3, 5].map { graph.constant("conv1.b")!.floats()[$0] }
    #expect(small.constant("conv1.b")?.floats() == kept)
  }

  @Test func `a depthwise convolution loses groups`() throws {
    let graph = CouplingTopology.depthwise.graph(seed: 0)
    let group = try #require(try graph.couplingGroups().first)
    let small = try graph.removing([(group, [2])])
    #expect(small.nodes[1].int("group", default: 0) == 3)
    #expect(small.constant("depthwise.w")?.shape == [6, 1, 3, 3])
  }

  @Test func `each group of a grouped convolution loses channels`() throws {
    let graph = CouplingTopology.grouped.graph(seed: 0)
    let groups = try graph.couplingGroups()
    let small = try graph.removing([(groups[0], [0]), (groups[1], [1])])
    #expect(small.nodes[1].int("group", default: 0) == 3)
    #expect(small.constant("conv1.w")?.shape == [3, 3, 3, 3])
    #expect(small.constant("middle.w")?.shape == [6, 1, 3, 3])
    #expect(small.constant("bn.mean")?.shape == [6])
    #expect(small.constant("conv2.w")?.shape == [2, 6, 3, 3])
    let bias = graph.constant("middle.b")!.floats()
    #expect(small.constant("middle.b")?.floats() == [0, 2, 3, 5, 6, 8].map { bias[$0] })
  }

  @Test func `the reshapes of a shuffle follow`() throws {
    let graph = CouplingTopology.shuffled.graph(seed: 0)
    let group = try #require(try graph.couplingGroups().first)
    let small = try graph.removing([(group, [0])])
    #expect(small.constant("two")?.integers() == [0, 2, 3, 6, 6])
    #expect(small.constant("one")?.integers() == [0, 6, 6, 6])
    #expect(small.constant("halves_split")?.integers() == [2, 4])
  }

  @Test func `a fixed reshape target follows`() throws {
    let graph = CouplingTopology.fixedReshape.graph(seed: 0)
    let group = try #require(try graph.couplingGroups().first)
    let small = try graph.removing([(group, [0])])
    #expect(small.constant("to")?.integers() == [-1, 108])
  }

  @Test func `a stale inner shape is corrected`() throws {
    var graph = CouplingTopology.chain.graph(seed: 0)
    graph.valueInfos = [ValueInfo("a", shape: ["N", 6, 6, 6])]
    let group = try #require(try graph.couplingGroups().first)
    #expect(try graph.removing([(group, [0])]).valueInfos[0].shape == ["N", 5, 6, 6])
  }

  @Test func `wrong requests are refused in whole sentences`() throws {
    let graph = CouplingTopology.chain.graph(seed: 0)
    let groups = try graph.couplingGroups()
    func sentence(_ units: [(group: CouplingGroup, units: [Int])]) -> String? {
      #expect(throws: GraphError.self) { _ = try graph.removing(units) }?.description
    }
    #expect(
      sentence([(groups[0], Array(0..<6))]) == """
        All 6 units of group "conv1" were to be removed. At least one must stay; lower the ratio.
        """)
    #expect(
      sentence([(groups[0], [6])])
        == "Unit 6 of group \"conv1\" was to be removed, but the group has units 0..<6.")
    #expect(
      sentence([(groups[1], [0])]) == """
        No channel of group "conv2" can be removed: its channels are the graph output "y".
        """)
    #expect(
      sentence([(groups[0], [0]), (groups[0], [1])]) == """
        Group "conv1" does not fit the tensor "conv1.w" of this graph. Compute the coupling groups \
        of the graph that is edited, and name each group once.
        """)
  }
}

extension Graph {
  var elementCount: Int {
    initializers.values.reduce(0) { $0 + $1.tensor.count }
      + nodes.reduce(0) { $0 + ($1.constantTensor?.count ?? 0) }
  }
}
