import BillhookGraph
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

/// Graphs from outside can hold anything; whatever it is, it must end in a result or an error.
@Suite struct HostileGraphTests {
  /// Sizes and parameters that sit on the edges of integers, axes and memory.
  static let numbers = [0, 1, -1, 2, -2, 3, 7, 1 << 20, 1 << 31, 1 << 40, Int.max, Int.min]

  /// Changes one thing at random.
  func mutate(_ graph: inout Graph, _ random: inout CounterRandom) {
    func pick<T>(_ values: [T]) -> T { values[random.integer(below: values.count)] }
    let values = graph.nodes.flatMap { $0.inputs + $0.outputs } + [""]
    let index = random.integer(below: graph.nodes.count)
    switch random.integer(below: 7) {
    case 0:
      guard !graph.nodes[index].inputs.isEmpty else { return }
      let slot = random.integer(below: graph.nodes[index].inputs.count)
      graph.nodes[index].inputs[slot] = pick(values)
    case 1: graph.nodes[index].op = pick(Graph.supportedOperators)
    case 2:
      let keys = OperatorTable.definitions.flatMap(\.attributes).map(\.name)
      let number = pick(Self.numbers)
      graph.nodes[index].attributes[pick(keys)] = pick([
        .int(number), .ints([number]), .ints([number, pick(Self.numbers)]), .ints([]),
        .ints([number, 1, 1, 1]), .float(.nan), .string([255]),
      ])
    case 3:
      let axis = random.integer(below: 4)
      graph.inputs[0].shape?[axis] = .fixed(pick(Self.numbers))
    case 4:
      let key = pick(Array(graph.initializers.keys))
      let shape = pick([[], [0], [1], [2, 2], [4, 3, 3, 3], [4, 1, 1, 1], [0, 3, 3, 3]])
      graph.initializers[key] = Initializer(.seeded(shape, seed: 0))
    case 5:
      let key = pick(Array(graph.initializers.keys))
      graph.initializers[key] = Initializer(
        Tensor([Int64(pick(Self.numbers)), Int64(pick(Self.numbers))]))
    default: graph.opsets[""] = pick([7, 9, 11, 12, 13, 17, 21])
    }
  }

  /// Removes a unit where one may go; what is left need not fit together any more.
  private static func removeOne(of groups: [CouplingGroup], from graph: Graph) {
    guard let group = groups.first(where: { $0.frozenReason == nil && $0.unitCount > 1 }) else {
      return
    }
    _ = try? graph.removing([(group, [0])])
  }

  @Test(arguments: CouplingTopology.allCases, 0..<3 as Range<UInt64>)
  func `a damaged graph gives a result or an error`(
    topology: CouplingTopology, seed: UInt64
  ) throws {
    var random = CounterRandom(seed: seed, stream: topology.rawValue)
    var survivors = 0
    for _ in 0..<60 {
      var graph = topology.graph(seed: seed)
      for _ in 0...random.integer(below: 3) { mutate(&graph, &random) }
      do {
        try graph.verify()
        let groups = try graph.couplingGroups()
        _ = try graph.layers()
        _ = try graph.layerSummaries()
        _ = try graph.foldingConstants()
        survivors += 1
        Self.removeOne(of: groups, from: graph)
        let x = Tensor.seeded([2, 3, 6, 6], seed: seed)
        _ = try ReferenceEvaluator.run(graph, ["x": x])
      } catch let error as GraphError {
        #expect(!error.description.isEmpty)
      }
    }
    #expect(survivors > 0)
  }

  @Test(arguments: ["Reshape", "Expand"])
  func `a shape of billions of axes is no shape`(op: String) throws {
    let graph = Graph(
      name: "g",
      inputs: [ValueInfo("x", shape: [2]), ValueInfo("s", .int64, shape: [4_000_000_000])],
      outputs: [ValueInfo("y", shape: nil)],
      nodes: [Node(op, name: "n", inputs: ["x", "s"], outputs: ["y"])])
    // Nothing is told of the output, and no memory taken for each of its axes.
    #expect(
      try graph.inferTypes() == [
        "x": ValueType(.float32, [2]), "s": ValueType(.int64, [4_000_000_000]),
      ])
  }

  @Test func `a factor of no size is an error`() {
    let graph = Graph.testing(
      inputs: ["x": ["N", 1, 4, 4]],
      [Node("Resize", name: "r", inputs: ["x", "", "s"], outputs: ["y"])],
      ["s": Tensor([1, 1, -3.7e19, 0.5] as [Float])])
    #expect { try graph.verify() } throws: {
      "\($0)" == """
        Attribute "scales" of node "r" (Resize) is [1.0, 1.0, -3.7e+19, 0.5], expected smaller factors.
        """
    }
  }
}
