import BillhookGraph
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

@Suite struct PruneChannelsTests {
  private func settings(_ ratio: Double) -> PruneSettings {
    PruneSettings(granularity: .channel, ratio: ratio, reestimateStatistics: false)
  }

  @Test func `half of the channels are cut out of every tensor`() throws {
    let outcome = try prune(
      Graph.smallChain(), scorer: scorer("magnitude"), settings: settings(0.5))
    let graph = outcome.graph
    #expect(graph.constant("conv1.weight")!.shape == [2, 1, 3, 3])
    #expect(graph.constant("bn1.var")!.shape == [2])
    #expect(graph.constant("fc.weight")!.shape == [3, 8])
    // The channels that stay are those with the largest sum of absolute weights.
    let weight = Graph.smallChain().constant("conv1.weight")!.floats()
    let sums = weight.chunks(of: 9).map { $0.reduce(0) { $0 + abs($1) } }
    let removed = sums.indices.sorted { sums[$0] < sums[$1] }.prefix(2).sorted()
    #expect(outcome.record.groups[0].removed == removed)
    #expect(outcome.record.groups[0].scored == ["conv1 (output channels)"])
    #expect(outcome.record.groups[0].reduce == "mean")
    #expect(outcome.record.groups[0].consumers == ["fc"])
    // The classes are an output of the network.
    #expect(outcome.record.groups[1].frozen != nil)
    #expect(outcome.record.layers.map(\.pruned) == [18, 24])
    #expect(outcome.record.equivalence!.inputs == "random inputs")
    #expect(outcome.record.equivalence!.maximumDifference < 1e-5)
  }

  @Test func `a network that gives integers alone is compared by what it makes them of`() throws {
    var graph = Graph.smallChain()
    graph.nodes.append(
      Node(
        "ArgMax", name: "choice", inputs: [graph.outputs[0].name], outputs: ["class"],
        attributes: ["axis": .int(1)]))
    graph.outputs = [ValueInfo("class", .int64, shape: nil)]
    let outcome = try prune(graph, scorer: scorer("magnitude"), settings: settings(0.5))
    #expect(outcome.graph.outputs.map(\.name) == ["class"])
    #expect(outcome.graph.constant("conv1.weight")!.shape == [2, 1, 3, 3])
    let equivalence = try #require(outcome.record.equivalence)
    #expect(equivalence.outputRange > 0 && equivalence.maximumDifference < 1e-5)
  }

  @Test func `masked and shrunk networks compute the same`() throws {
    for seed in 0..<4 as Range<UInt64> {
      let graph = Graph.smallResidual(seed: seed, width: 6)
      var masked = settings(0.5)
      masked.maskOnly = true
      let small = try prune(graph, scorer: scorer("magnitude"), settings: settings(0.5)).graph
      let full = try prune(graph, scorer: scorer("magnitude"), settings: masked).graph
      #expect(full.constant("conv2.weight")!.shape == [6, 6, 3, 3])
      #expect(small.constant("conv2.weight")!.shape == [3, 3, 3, 3])
      let x = Tensor.seeded([5, 1, 4, 4], seed: seed)
      for (a, b) in zip(try outputs(full, x), try outputs(small, x)) { #expect(abs(a - b) < 1e-5) }
    }
  }

  @Test func `layers that an addition ties are scored together`() throws {
    // Sums of absolute weights, conv1: 9·(1, 2, 3, 4); conv2: 36·(4, 1, 1, 1). Divided by their
    // means, 22.5 and 63: (0.4, 0.8, 1.2, 1.6) and (2.286, 0.571, 0.571, 0.571); mean: (1.34, 0.69,
    // 0.89, 1.09). Two go: 1 and 2.
    var graph = Graph.smallResidual()
    let first = [1, 2, 3, 4].flatMap { [Float](repeating: $0, count: 9) }
    let second = [4, 1, 1, 1].flatMap { [Float](repeating: $0, count: 36) }
    graph.setConstant("conv1.weight", Tensor(first, shape: [4, 1, 3, 3]))
    graph.setConstant("conv2.weight", Tensor(second, shape: [4, 4, 3, 3]))
    var settings = settings(0.5)
    let mean = try prune(graph, scorer: scorer("magnitude"), settings: settings).record.groups[0]
    #expect(mean.removed == [1, 2])
    #expect(mean.scored == ["conv1 (output channels)", "conv2 (output channels)"])
    settings.groupReduce = .first
    let alone = try prune(graph, scorer: scorer("magnitude"), settings: settings).record.groups[0]
    #expect(alone.removed == [0, 1] && alone.scored == ["conv1 (output channels)"])
    settings.groupReduce = .max
    // (2.286, 0.8, 1.2, 1.6).
    let most = try prune(graph, scorer: scorer("magnitude"), settings: settings).record.groups[0]
    #expect(most.removed == [1, 2])
    settings.groupReduce = .mean
    settings.scoreConsumers = true
    let all = try prune(graph, scorer: scorer("magnitude"), settings: settings).record.groups[0]
    #expect(all.scored.contains("fc (input channels)"))
  }

  @Test func `one channel always stays, and a multiple is rounded up to`() throws {
    let most = try prune(
      Graph.smallChain(), scorer: scorer("magnitude"), settings: settings(0.99))
    #expect(most.graph.constant("conv1.weight")!.shape[0] == 1)
    var settings = settings(0.7)
    settings.roundTo = 2
    // Three of four would go; one rounds up to two.
    let rounded = try prune(Graph.smallChain(), scorer: scorer("magnitude"), settings: settings)
    #expect(rounded.graph.constant("conv1.weight")!.shape[0] == 2)
  }

  /// Four neurons, halves of which go their own ways; the second half has a residual connection when
  /// `inner` is given.
  private func halves(_ weight: [Float], inner: [Float]? = nil) -> Graph {
    var nodes = [
      Node("MatMul", name: "a", inputs: ["x", "a.w"], outputs: ["a.out"]),
      Node(
        "Split", name: "halves", inputs: ["a.out"], outputs: ["p", "q"],
        attributes: ["axis": .int(1)]),
    ]
    if inner != nil {
      nodes += [
        Node("MatMul", name: "inner", inputs: ["q", "inner.w"], outputs: ["i"]),
        Node("Add", name: "shortcut", inputs: ["q", "i"], outputs: ["r"]),
      ]
    }
    nodes += [
      Node(
        "Concat", name: "join", inputs: ["p", inner == nil ? "q" : "r"], outputs: ["j"],
        attributes: ["axis": .int(1)]),
      Node("MatMul", name: "b", inputs: ["j", "b.w"], outputs: ["y"]),
    ]
    return Graph.testing(
      inputs: ["x": ["N", 1]], nodes,
      [
        "a.w": Tensor(weight, shape: [1, 4]),
        "inner.w": Tensor(inner ?? [0, 0, 0, 0], shape: [2, 2]),
        "b.w": Tensor([1, 2, 3, 4] as [Float], shape: [4, 1]),
      ])
  }

  @Test func `the best channel of each part stays`() throws {
    for scope in [PruneSettings.Scope.layer, .global] {
      var settings = settings(0.5)
      settings.scope = scope
      let outcome = try prune(
        halves([1, 2, 3, 4]), scorer: scorer("magnitude"), settings: settings)
      #expect(outcome.record.groups[0].removed == [0, 2])
      #expect(outcome.graph.constant("halves_split")?.integers() == [1, 1])
      #expect(outcome.graph.constant("b.w")?.floats() == [2, 4])
      #expect(outcome.record.equivalence!.maximumDifference < 1e-5)
    }
  }

  @Test func `two channels that need each other, or that nothing replaces, are an error`() throws {
    func text(_ joining: String) throws -> String {
      let attributes: OrderedDictionary<String, Attribute> =
        joining == "Concat" ? ["axis": .int(1)] : [:]
      let graph = Graph.testing(
        inputs: ["x": ["N", 1]],
        [
          Node("MatMul", name: "a", inputs: ["x", "a.w"], outputs: ["a.out"]),
          Node(
            "Split", name: "halves", inputs: ["a.out"], outputs: ["p", "q"],
            attributes: ["axis": .int(1)]),
          Node(joining, name: "join", inputs: ["p", "q"], outputs: ["j"], attributes: attributes),
          Node("MatMul", name: "b", inputs: ["j", "b.w"], outputs: ["y"]),
        ],
        [
          "a.w": Tensor([1, 2] as [Float], shape: [1, 2]),
          "b.w": .seeded([joining == "Concat" ? 2 : 1, 1], seed: 0),
        ])
      let magnitude = try scorer("magnitude")
      return sentence { _ = try prune(graph, scorer: magnitude, settings: settings(0.5)) }
    }
    let rest = """
      ; "b": its channels are the graph output "y". Prune by element, or choose other layers.
      """
    #expect(
      try text("Mul")
        == "No channel can be removed. \"a\": all of its channels can only go together" + rest)
    #expect(
      try text("Concat")
        == "No channel can be removed. \"a\": each of its channels is the only one of some value"
        + rest)
  }

  @Test func `where sizes are open and nothing can be followed, the error says so`() throws {
    let graph = Graph.testing(
      inputs: ["x": ["N", 2, "H", "W"]],
      [Node("Conv", name: "a", inputs: ["x", "a.w"], outputs: ["y"])],
      ["a.w": .seeded([2, 2, 1, 1], seed: 0)])
    let magnitude = try scorer("magnitude")
    #expect(
      sentence { _ = try prune(graph, scorer: magnitude, settings: settings(0.5)) } == """
        No channel can be removed. "a": its channels are the graph output "y". Prune by element, or \
        choose other layers. With fixed sizes in place of "x" [N, 2, H, W] more may be followed: \
        billhook inspect --shape shows it; export the network with such sizes.
        """)
  }

  @Test func `a layer that makes some of the channels is scored for these`() throws {
    // a, divided by its mean: (1.6, 1.2, 0.8, 0.4); inner, columns of (1, 3): (0.5, 1.5) for the
    // last two. Mean: (1.6, 1.2, 0.65, 0.95). The best, 0, and the better one of the second half stay.
    let graph = halves([4, 3, 2, 1], inner: [1, 3, 1, 3])
    var settings = settings(0.5)
    let mean = try prune(graph, scorer: scorer("magnitude"), settings: settings).record.groups[0]
    #expect(mean.removed == [1, 2])
    #expect(mean.scored == ["a (output channels)", "inner (output channels)"])
    settings.groupReduce = .first
    let first = try prune(graph, scorer: scorer("magnitude"), settings: settings).record.groups[0]
    #expect(first.removed == [1, 3] && first.scored == ["a (output channels)"])
  }

  @Test func `a global ranking takes from the group that matters least`() throws {
    let nodes = [
      Node(
        "Gemm", name: "a", inputs: ["x", "a.w"], outputs: ["a.out"], attributes: ["transB": .int(1)]
      ),
      Node("Relu", name: "ra", inputs: ["a.out"], outputs: ["ra.out"]),
      Node(
        "Gemm", name: "b", inputs: ["ra.out", "b.w"], outputs: ["b.out"],
        attributes: ["transB": .int(1)]),
      Node("Relu", name: "rb", inputs: ["b.out"], outputs: ["rb.out"]),
      Node(
        "Gemm", name: "c", inputs: ["rb.out", "c.w"], outputs: ["y"],
        attributes: ["transB": .int(1)]),
    ]
    // Normalised, a's units are (0.1, 0.1, 1.9, 1.9) and b's (1, 1, 1, 1).
    let graph = Graph.testing(
      inputs: ["x": ["N", 1]], nodes,
      [
        "a.w": Tensor([1, 1, 19, 19] as [Float], shape: [4, 1]),
        "b.w": Tensor([Float](repeating: 1, count: 16), shape: [4, 4]),
        "c.w": Tensor([Float](repeating: 1, count: 4), shape: [1, 4]),
      ])
    var settings = settings(0.25)
    settings.scope = .global
    let outcome = try prune(graph, scorer: scorer("magnitude"), settings: settings)
    #expect(outcome.record.groups.map(\.removed) == [[0, 1], [], []])
    #expect(outcome.graph.constant("b.w")!.shape == [4, 2])
  }

  @Test func `channels are ranked by their activations on data`() throws {
    let data = try smallImages(30)
    let outcome = try prune(
      Graph.smallChain(), scorer: scorer("activation"), settings: settings(0.5), data: data)
    // Mean |y| after batch norm and ReLU, before pooling.
    let values = try ReferenceEvaluator.run(Graph.smallChain(), ["x": data.inputs["x"]!])
    let activations = values["relu1.out"]!.floats()
    let sums = (0..<4).map { channel in
      (0..<30).reduce(0.0) { sum, sample in
        let start = (sample * 4 + channel) * 16
        return sum + activations[start..<start + 16].reduce(0.0) { $0 + Double($1) }
      }
    }
    let expected = sums.indices.sorted { sums[$0] < sums[$1] }.prefix(2).sorted()
    #expect(outcome.record.groups[0].removed == expected)
    #expect(outcome.record.statisticsSamples == 30)
    #expect(outcome.record.equivalence!.inputs == "data")
  }

  @Test func `a plugin given by path takes the same way`() throws {
    let path = try compiledPlugin("Plugins/Examples/cxx-geometric-median/geometric_median.cc")
    let median = try PluginCatalog(folders: [], settings: PluginSettings(isolation: .inproc))
      .plugin(path, hook: .scorer).makeScorer()
    let outcome = try prune(Graph.smallChain(), scorer: median, settings: settings(0.25))
    #expect(outcome.graph.constant("conv1.weight")!.shape[0] == 3)
  }

  @Test func `only frozen channels are an error that says why`() throws {
    var settings = settings(0.5)
    settings.layers = LayerFilter(include: ["fc"])
    let magnitude = try scorer("magnitude")
    let text = sentence {
      _ = try prune(Graph.smallChain(), scorer: magnitude, settings: settings)
    }
    #expect(
      text.hasPrefix(
        "No channel can be removed. \"conv1\": none of its layers is included; \"fc\": "))
    #expect(text.hasSuffix("Prune by element, or choose other layers."))
  }

  @Test func `an excluded layer keeps the whole group`() throws {
    var settings = settings(0.5)
    settings.layers = LayerFilter(exclude: ["conv2"])
    let magnitude = try scorer("magnitude")
    let text = sentence {
      _ = try prune(Graph.smallResidual(), scorer: magnitude, settings: settings)
    }
    #expect(text.contains("the layer \"conv2\" is excluded"))
  }

  @Test func `a ratio below one channel is an error`() throws {
    let magnitude = try scorer("magnitude")
    #expect(
      sentence {
        _ = try prune(Graph.smallChain(), scorer: magnitude, settings: settings(0.1))
      } == """
        Nothing was pruned: the ratio 0.1 takes none of the 4 channels that are ranked together. \
        Choose a larger ratio.
        """)
  }

  @Test func `rounding that lets every channel stay is an error`() throws {
    var settings = settings(0.5)
    settings.roundTo = 8
    let magnitude = try scorer("magnitude")
    #expect(
      sentence {
        _ = try prune(Graph.smallChain(), scorer: magnitude, settings: settings)
      } == """
        Nothing was pruned: of at most 4 channels all stay so that their number is a multiple of \
        8. Choose a smaller number for --round-to (in a recipe round_to), or a larger ratio.
        """)
  }
}
