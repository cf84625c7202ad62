import BillhookGraph
import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import OrderedCollections
import Testing

@testable import BillhookCompression

@Suite struct ScorerNeedsTests {
  private let settings = PruneSettings(ratio: 0.5, samples: 24, batchSize: 5)

  private func statistics(
    _ scorer: Scorer, _ graph: Graph, _ data: Dataset, _ settings: PruneSettings
  ) throws -> [LayerStatistics] {
    try scorer.statistics(
      graph, layers: graph.weightedLayers(), settings: settings, data: data, progress: nil)
  }

  /// Mean cross-entropy with the labels.
  private func loss(_ graph: Graph, _ data: Dataset) throws -> Double {
    let logits = try ReferenceEvaluator.run(graph, data.batch(Array(0..<data.count)))["y"]!
    let classes = logits.shape[1]
    let values = logits.floats().map { Double($0) }
    var sum = 0.0
    for (row, label) in data.labels!.enumerated() {
      let own = values[row * classes..<(row + 1) * classes]
      sum += log(own.reduce(0) { $0 + exp($1) }) - own[row * classes + Int(label)]
    }
    return sum / Double(data.count)
  }

  @Test func `the gradient of a weight is that of the mean cross-entropy`() throws {
    let graph = Graph.smallResidual()
    let data = try smallImages(24)
    let scorer = try contract("gradient", .scorer).makeScorer()
    let found = try statistics(scorer, graph, data, settings)
    for (layer, statistics) in zip(try graph.weightedLayers(), found) {
      let gradient = try #require(statistics.weightGradient).floats()
      let weight = graph.constant(layer.weight)!
      for index in [0, weight.count / 2, weight.count - 1] {
        var losses: [Double] = []
        for step in [-1, 1] as [Float] {
          var values = weight.floats()
          values[index] += step * 1e-2
          var changed = graph
          changed.setConstant(layer.weight, Tensor(values, shape: weight.shape))
          losses.append(try loss(changed, data))
        }
        #expect(abs((losses[1] - losses[0]) / 2e-2 - Double(gradient[index])) < 2e-3)
      }
      let scores = try #require(
        try scorer.score(
          layer.context(0), granularity: .element, weight: weight, statistics: statistics))
      #expect(scores.floats() == gradient)
    }
  }

  @Test func `gradients reach pieces of a layer`() throws {
    let scorer = try contract("gradient", .scorer).makeScorer()
    let weight = Tensor.seeded([40, 1000], seed: 1, "w")
    let statistics = LayerStatistics(weightGradient: Tensor.seeded([40, 1000], seed: 2, "g"))
    let expected = statistics.weightGradient!.floats()
    let context = LayerContext(
      role: .weight, index: 0, name: "fc", op: "Gemm", outAxis: 0, inAxis: 1, groups: 1)
    try scorer.scoreChunks(
      context, weight: weight, statistics: statistics,
      consume: { first, _, scores in
        #expect(Array(scores) == Array(expected[first..<first + scores.count]))
      })
  }

  @Test func `without labels the network's own classes give the gradient`() throws {
    let graph = Graph.smallResidual()
    let labelled = try smallImages(24)
    let data = try Dataset(name: "images", inputs: labelled.inputs)
    let logits = try ReferenceEvaluator.run(graph, data.batch(Array(0..<24)))["y"]!
    let own = try Dataset(
      name: "own", inputs: labelled.inputs, labels: topClasses(logits).map { Int32($0) })
    let scorer = try contract("gradient", .scorer).makeScorer()
    let left = try statistics(scorer, graph, data, settings)[0].weightGradient!.floats()
    let right = try statistics(scorer, graph, own, settings)[0].weightGradient!.floats()
    #expect(left == right)
    #expect(left.contains { $0 != 0 })
  }

  @Test func `a Gram matrix sums the products of what a filter sees`() throws {
    let graph = Graph.smallChain()
    let data = try smallImages(24)
    let scorer = try contract("gram", .scorer).makeScorer()
    let found = try statistics(scorer, graph, data, settings)
    let images = data.inputs["x"]!.floats()
    // Windows of 3 × 3 with one pixel of zeros around 4 × 4 images.
    var expected = [Double](repeating: 0, count: 81)
    for image in 0..<24 {
      for y in 0..<4 {
        for x in 0..<4 {
          let window = (0..<9).map { k -> Double in
            let (row, column) = (y + k / 3 - 1, x + k % 3 - 1)
            guard (0..<4).contains(row), (0..<4).contains(column) else { return 0 }
            return Double(images[image * 16 + row * 4 + column])
          }
          for a in 0..<9 { for b in 0..<9 { expected[a * 9 + b] += window[a] * window[b] } }
        }
      }
    }
    let gram = try #require(found[0].inputGram)
    #expect(gram.shape == [1, 9, 9])
    for (value, wanted) in zip(gram.floats(), expected) {
      #expect(abs(Double(value) - wanted) < 1e-4 * max(1, abs(wanted)))
    }
    #expect(found[1].inputGram?.shape == [1, 16, 16])
    let layer = try graph.weightedLayers()[0]
    let scores = try #require(
      try scorer.score(
        layer.context(0), granularity: .element, weight: graph.constant(layer.weight)!,
        statistics: found[0]))
    #expect(scores.floats()[0] == gram.floats()[8] && scores.floats()[1] == gram.floats()[10])
  }

  // MARK: - Raw values and state

  private func sums(_ scorer: Scorer, _ graph: Graph) throws -> [[Float]] {
    try graph.weightedLayers().enumerated().map { index, layer in
      let scores = try scorer.score(
        layer.context(index), granularity: .element, weight: graph.constant(layer.weight)!)
      return Array(scores!.floats().prefix(4))
    }
  }

  private func near(_ left: [[Float]], _ right: [[Float]]) -> Bool {
    zip(left.joined(), right.joined()).allSatisfy { abs($0 - $1) <= 1e-4 * max(1, abs($1)) }
  }

  @Test func `merged observations of parts are those of the whole`() throws {
    // No batch norm: its statistics depend on the batch.
    let graph = Graph.smallResidual()
    let data = try smallImages(22)
    let parts = try contract("sums", .scorer).makeScorer()
    _ = try statistics(parts, graph, data, settings)
    let whole = try contract("sums-at-once", .scorer).makeScorer()
    _ = try statistics(whole, graph, data, settings)
    let found = try sums(parts, graph)
    #expect(near(found, try sums(whole, graph)))
    #expect(found.allSatisfy { $0[3] == 22 && $0[1] > 0 && $0[2] > 0 })
    let images = data.inputs["x"]!.floats().reduce(0) { $0 + Double($1) }
    #expect(abs(Double(found[0][0]) - images) < 1e-3)
    // A second use of the instance starts from nothing.
    _ = try statistics(parts, graph, data, settings)
    #expect(try sums(parts, graph) == found)
  }

  private final class Shelf: ObservationStore, @unchecked Sendable {
    var state: SavedState?
    func load() -> SavedState? { state }
    func store(_ state: SavedState) { self.state = state }
    func discard() { state = nil }
  }

  @Test func `what was observed is taken up again, unless it is damaged`() throws {
    let graph = Graph.smallResidual()
    let data = try smallImages(22)
    let shelf = Shelf()
    var settings = settings
    settings.observations = shelf
    let first = try contract("sums", .scorer).makeScorer()
    _ = try statistics(first, graph, data, settings)
    let expected = try sums(first, graph)
    #expect(shelf.state?.version == 3)

    // Other data shows that it is not looked at.
    let other = try smallImages(8, seed: 9)
    let second = try contract("sums", .scorer).makeScorer()
    _ = try statistics(second, graph, other, settings)
    #expect(try sums(second, graph) == expected)

    shelf.state?.bytes.removeLast()
    let third = try contract("sums", .scorer).makeScorer()
    _ = try statistics(third, graph, data, settings)
    #expect(try sums(third, graph) == expected)
    #expect(shelf.state?.bytes.count == 256)
  }

  @Test func `a state that a plugin crashes on is not given to it again`() throws {
    let folder = TemporaryFolder()
    let path = try compiledPlugin("Tests/Fixtures/contract.c", defines: ["LOAD_CRASHES"])
    let settings = PluginSettings(home: PluginHome(folder: folder("home")), isolation: .worker)
    let scorer = try PluginCatalog(folders: [], settings: settings)
      .plugin("\(path)#org.example.contract.sums", hook: .scorer).makeScorer()
    let shelf = Shelf()
    shelf.state = SavedState(
      plugin: scorer.descriptor.id, version: 3, bytes: [UInt8](repeating: 0, count: 256))
    let text: String = sentence { _ = try scorer.restore(from: shelf) }
    #expect(text.contains("crashed in \"load\": its worker process was ended by SIGABRT"))
    #expect(shelf.state == nil)
    #expect(try !scorer.restore(from: shelf))
  }

  @Test func `a state of another version or plugin is refused with the reason`() throws {
    let scorer = try contract("sums", .scorer).makeScorer()
    var state = try scorer.save()
    state.version = 2
    #expect(
      sentence { try scorer.load(state) } == """
        Plugin "org.example.contract.sums" failed in "load": another version (status -5).
        """)
    state.plugin = "org.example.other"
    #expect(
      sentence { try scorer.load(state) } == """
        A state that plugin "org.example.other" saved cannot be given to plugin \
        "org.example.contract.sums"; give it one of its own.
        """)
    let other = try contract("gradient", .scorer).makeScorer()
    #expect(
      sentence { try other.reset() } == """
        Plugin "org.example.contract.gradient" has no "reset"; it keeps nothing from one call to \
        the next.
        """)
  }
}

private func sentence(_ body: () throws -> Void) -> String? {
  do {
    try body()
    return nil
  } catch { return "\(error)" }
}
