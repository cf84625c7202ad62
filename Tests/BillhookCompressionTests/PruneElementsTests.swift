import BillhookGraph
import BillhookPlugins
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

@Suite struct PruneElementsTests {
  private func weights(_ graph: Graph) -> [Float] {
    ["conv1.weight", "fc.weight"].flatMap { graph.constant($0)!.floats() }
  }

  @Test(arguments: [0, 0.1, 0.5, 0.77, 0.99])
  func `a global ranking removes exactly the smallest of all layers`(ratio: Double) throws {
    let graph = Graph.smallChain()
    let all = weights(graph)
    let wanted = Int((ratio * Double(all.count)).rounded(.toNearestOrEven))
    let ranking = all.indices.sorted { (abs(all[$0]), $0) < (abs(all[$1]), $1) }
    var expected = all
    for index in ranking.prefix(wanted) { expected[index] = 0 }
    let outcome = try prune(
      graph, scorer: scorer("magnitude"), settings: PruneSettings(ratio: ratio))
    #expect(weights(outcome.graph) == expected)
    #expect(outcome.record.pruned == wanted && outcome.record.prunable == all.count)
    #expect(outcome.record.scope == "global")
    #expect(outcome.record.layers.reduce(0) { $0 + $1.zeros } == wanted)
  }

  /// A worker's scores are kept and sampled before they are ranked; enough of them for that, in
  /// tensors of all sizes, with and without equal ones.
  @Test(arguments: [0.0001, 0.5, 0.77, 0.9999], [0, 3] as [Float])
  func `a worker's plugin removes the same weights`(ratio: Double, steps: Float) throws {
    var tensors: OrderedDictionary<String, Tensor> = [:]
    for (index, rows) in [1, 130, 3, 40, 2].enumerated() {
      let numbers = Tensor.seeded([rows, 300], seed: UInt64(index), "w").floats()
      tensors["w\(index)"] = Tensor(
        steps == 0 ? numbers : numbers.map { ($0 * steps).rounded() }, shape: [rows, 300])
    }
    func pruned(_ isolation: Isolation) throws -> [[Float]] {
      let scorer = try PluginCatalog(settings: PluginSettings(isolation: isolation))
        .plugin("magnitude", hook: .scorer).makeScorer()
      #expect(scorer.isRemote == (isolation == .worker))
      var found: [[Float]] = []
      _ = try pruneCheckpoint(tensors, scorer: scorer, settings: PruneSettings(ratio: ratio)) {
        found.append($1.floats())
      }
      return found
    }
    let expected = try pruned(.inproc)
    #expect(try pruned(.worker) == expected)
    #expect(expected.joined().count == 52_800 && expected.joined().contains(0))
  }

  @Test(arguments: [PruneSettings.Granularity.element, .channel])
  func `a weight that is not finite is named with its place`(
    granularity: PruneSettings.Granularity
  ) throws {
    var graph = Graph.smallChain()
    var numbers = graph.constant("conv1.weight")!.floats()
    numbers[11] = -.infinity
    graph.setConstant("conv1.weight", Tensor(numbers, shape: [4, 1, 3, 3]))
    #expect(
      sentence {
        _ = try prune(
          graph, scorer: scorer("magnitude"),
          settings: PruneSettings(granularity: granularity, ratio: 0.5))
      } == """
        The weight of "conv1" is -inf at [1, 0, 0, 2], but only finite weights can be pruned; \
        train or export the network again, or leave the layer alone with --exclude (in a recipe \
        exclude).
        """)
  }

  @Test func `a tensor of a checkpoint that is not finite is named with its place`() throws {
    let tensor = Tensor([1, 2, .nan, 4] as [Float], shape: [2, 2])
    #expect(
      sentence {
        _ = try pruneCheckpoint(
          ["v": tensor], scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.5)
        ) { _, _ in }
      } == """
        The weight of "v" is nan at [1, 0], but only finite weights can be pruned; train or export \
        the network again, or leave the layer alone with --exclude (in a recipe exclude).
        """)
  }

  @Test func `a ratio that takes no weight is an error`() throws {
    let magnitude = try scorer("magnitude")
    #expect(
      sentence {
        _ = try prune(
          Graph.smallChain(), scorer: magnitude, settings: PruneSettings(ratio: 0.001))
      } == """
        Nothing was pruned: the ratio 0.001 takes none of the 84 weights that are ranked together. \
        Choose a larger ratio.
        """)
  }

  @Test func `equal scores go by index`() throws {
    var graph = Graph.smallChain()
    graph.setConstant(
      "conv1.weight", Tensor([Float](repeating: 1, count: 36), shape: [4, 1, 3, 3]))
    graph.setConstant("fc.weight", Tensor([Float](repeating: -1, count: 48), shape: [3, 16]))
    let outcome = try prune(
      graph, scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.5))
    // 42 of 84: the 36 of the first layer and the first six of the second.
    #expect(
      weights(outcome.graph)
        == [Float](repeating: 0, count: 42) + [Float](repeating: -1, count: 42))
  }

  @Test func `the scope layer removes the ratio of each layer`() throws {
    let outcome = try prune(
      Graph.smallChain(), scorer: scorer("magnitude"),
      settings: PruneSettings(ratio: 0.25, scope: .layer))
    #expect(outcome.record.layers.map(\.pruned) == [9, 12])
    #expect(outcome.record.layers.map(\.zeros) == [9, 12])
    #expect(outcome.record.layers[0].sparsity == 0.25)
  }

  @Test func `patterns choose layers`() throws {
    let settings = PruneSettings(ratio: 0.5, layers: LayerFilter(include: ["fc"]))
    let outcome = try prune(Graph.smallChain(), scorer: scorer("magnitude"), settings: settings)
    #expect(outcome.record.layers.map(\.name) == ["fc"])
    #expect(outcome.graph.constant("conv1.weight")!.zeroCount == 0)
  }

  @Test func `a large layer is pruned alike by any number of threads`() throws {
    let threads = Threads.count
    defer { Threads.count = threads }
    var graph = Graph.testing(
      inputs: ["x": ["N", 300]],
      [Node("MatMul", name: "fc", inputs: ["x", "w"], outputs: ["y"])],
      ["w": .seeded([300, 1000], seed: 9)])
    graph.name = "large"
    var results: [Tensor] = []
    for count in [1, 2, 3, 8] {
      Threads.count = count
      let outcome = try prune(
        graph, scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.6))
      results.append(outcome.graph.constant("w")!)
      #expect(results.last!.zeroCount == 180_000)
    }
    #expect(results.allSatisfy { $0 == results[0] })
  }

  @Test func `weights times input norms need data, and use it`() throws {
    let wanda = try scorer("activation.wanda")
    #expect(
      sentence {
        _ = try prune(Graph.smallChain(), scorer: wanda, settings: PruneSettings(ratio: 0.5))
      } == """
        The scorer "org.billhook.activation.wanda" needs statistics of the network's activations \
        (in_sq_norm), but there is no data; name some with --data, for example --data \
        fashion-mnist:train,limit=2000.
        """)
    let data = try smallImages(20)
    let outcome = try prune(
      Graph.smallChain(), scorer: wanda,
      settings: PruneSettings(ratio: 0.5, reestimateStatistics: false), data: data)
    #expect(outcome.record.scope == "layer")
    #expect(outcome.record.statisticsSamples == 20)
    // |w| times the norm of its input: one input channel in conv1, so the ranking is that of |w|.
    let conv = Graph.smallChain().constant("conv1.weight")!.floats()
    let kept = outcome.graph.constant("conv1.weight")!.floats()
    let ranking = conv.indices.sorted { abs(conv[$0]) < abs(conv[$1]) }
    #expect(ranking.prefix(18).allSatisfy { kept[$0] == 0 })
    // In fc by hand: the values that it reads, from the reference.
    let values = try ReferenceEvaluator.run(Graph.smallChain(), ["x": data.inputs["x"]!])
    let flat = values["flat"]!.floats()
    let norms = (0..<16).map { column in
      (0..<20).reduce(0.0) { $0 + Double(flat[$1 * 16 + column]) * Double(flat[$1 * 16 + column]) }
        .squareRoot()
    }
    let fc = Graph.smallChain().constant("fc.weight")!.floats()
    let scores = fc.indices.map { abs(Double(fc[$0])) * norms[$0 % 16] }
    let found = outcome.graph.constant("fc.weight")!.floats()
    let lowestKept = fc.indices.filter { found[$0] != 0 }.map { scores[$0] }.min()!
    let highestPruned = fc.indices.filter { found[$0] == 0 }.map { scores[$0] }.max()!
    #expect(highestPruned <= lowestKept * 1.0001)
  }

  @Test func `scores that do not compare cannot be ranked globally`() throws {
    let wanda = try scorer("activation.wanda")
    #expect(
      sentence {
        _ = try prune(
          Graph.smallChain(), scorer: wanda, settings: PruneSettings(ratio: 0.5, scope: .global),
          data: smallImages(4))
      } == """
        The scores of "org.billhook.activation.wanda" cannot be compared across layers, which a \
        global ranking needs; choose the scope "layer".
        """)
  }

  @Test func `a ratio of 1 is refused`() throws {
    let magnitude = try scorer("magnitude")
    #expect(
      sentence {
        _ = try prune(Graph.smallChain(), scorer: magnitude, settings: PruneSettings(ratio: 1))
      } == "The ratio is 1.0 but must be at least 0 and less than 1, such as 0.5.")
  }

  @Test func `a scorer of channels cannot score elements`() throws {
    let apoz = try scorer("activation.apoz")
    #expect(
      sentence {
        _ = try prune(Graph.smallChain(), scorer: apoz, settings: PruneSettings(ratio: 0.5))
      } == """
        The scorer "org.billhook.activation.apoz" cannot score by element; it scores by \
        "output-channel". Choose another granularity or scorer.
        """)
  }

  @Test func `a network without layers has nothing to prune`() throws {
    let magnitude = try scorer("magnitude")
    #expect(
      sentence {
        _ = try prune(
          Graph.testing("Relu", ["N"]), scorer: magnitude, settings: PruneSettings(ratio: 0.5))
      } == """
        The network has no layer to prune: no Conv, Gemm or MatMul whose weight is a constant \
        floating-point tensor.
        """)
  }

  @Test func `a checkpoint is pruned like a network, and its order is kept`() throws {
    let graph = Graph.smallChain()
    var tensors: OrderedDictionary<String, Tensor> = [:]
    for (name, initializer) in graph.initializers { tensors[name] = initializer.tensor }
    tensors["ids"] = Tensor([1, 2, 3, 4] as [Int64], shape: [2, 2])
    var written: OrderedDictionary<String, Tensor> = [:]
    let record = try pruneCheckpoint(
      tensors, scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.4)
    ) { written[$0] = $1 }
    let pruned = try prune(
      graph, scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.4)
    ).graph
    #expect(written.keys == tensors.keys)
    for (name, tensor) in written { #expect(tensor == pruned.constant(name) ?? tensors[name]!) }
    #expect(record.layers.map(\.name) == ["conv1.weight", "fc.weight"])
  }

  @Test func `a large tensor of a checkpoint comes in bands that make the same tensor`() throws {
    let tensors: OrderedDictionary<String, Tensor> = [
      "small": .seeded([3, 5], seed: 1, "small"), "large": .seeded([250, 200], seed: 2, "large"),
      "last": .seeded([7], seed: 3, "last"),
    ]
    func pruned(_ bandElements: Int) throws -> (OrderedDictionary<String, [Float]>, [Int]) {
      var written: OrderedDictionary<String, [Float]> = [:]
      var counts: [Int] = []
      let record = try pruneCheckpoint(
        tensors, scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.6),
        bandElements: bandElements
      ) {
        written[$0, default: []] += $1.floats()
        counts.append($1.count)
      }
      #expect(record.pruned == 30_009)
      #expect(record.layers[1].zeros == written["large"]!.count { $0 == 0 })
      return (written, counts)
    }
    let (whole, one) = try pruned(.max)
    let (bands, several) = try pruned(16_384)
    #expect(one == [15, 50_000, 7] && several == [15, 16_384, 16_384, 16_384, 848, 7])
    #expect(whole == bands)
  }

  @Test func `half precision stays half precision`() throws {
    let tensors: OrderedDictionary<String, Tensor> = [
      "w": Tensor([1, -4, 3, 2] as [Float16], shape: [2, 2])
    ]
    var written: Tensor?
    _ = try pruneCheckpoint(
      tensors, scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.5)
    ) { written = $1 }
    #expect(written == Tensor([0, -4, 3, 0] as [Float16], shape: [2, 2]))
  }

  @Test func `channels cannot be cut out of a checkpoint`() throws {
    let magnitude = try scorer("magnitude")
    #expect(
      sentence {
        _ = try pruneCheckpoint(
          ["w": Tensor(zeros: [2, 2])], scorer: magnitude,
          settings: PruneSettings(granularity: .channel, ratio: 0.5)
        ) { _, _ in }
      } == """
        A checkpoint holds tensors but no network, and channel pruning needs the network; give an \
        ONNX file.
        """)
  }
}
