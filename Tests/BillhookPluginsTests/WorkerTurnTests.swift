import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Foundation
import Synchronization
import Testing

/// Many small layers that a worker scores in one turn.
@Suite(.serialized) struct WorkerTurnTests {
  /// The scorer of Tests/BrokenPlugins/crashing.c, which scores piece by piece and misbehaves on the
  /// layer "b" alone.
  private func scorer(
    _ mode: String, _ settings: PluginSettings, observer: PluginObserver = .init()
  ) throws -> Scorer {
    let path = try compiledPlugin(
      "Tests/BrokenPlugins/crashing.c", defines: ["CHUNKED", "SAYS_LAYER", "ON_LAYER=\"b\""])
    return try PluginCatalog(folders: [], settings: settings, observer: observer)
      .plugin(path, hook: .scorer).makeScorer(["mode": .string(mode)])
  }

  private static func layers(_ weights: [(String, Tensor)]) -> [Scorer.ChunkedLayer] {
    weights.enumerated().map { index, next in
      Scorer.ChunkedLayer(layer: layer(next.0, index: index), weight: next.1)
    }
  }

  private static let three = layers(
    ["a", "b", "c"].map { ($0, Tensor([1, -2, 3, -4] as [Float], shape: [2, 2])) })

  @Test func `layers of any size get their scores, in their order`() throws {
    let scorer = try scorer("good", separateSettings())
    let sizes = [1, 17, 40_000, 4, 1 << 20, 3, 0, 5] + [Int](repeating: 6, count: 40)
    let weights = sizes.map { count in
      Tensor((0..<count).map { Float($0 % 13) - 6 }, shape: [count, 1])
    }
    let scores = try scorer.storedChunks(
      Self.layers(weights.enumerated().map { ("layer \($0)", $1) }))
    #expect(scores.count == weights.count)
    for (found, weight) in zip(scores, weights) {
      #expect(found?.shape == weight.shape)
      #expect(found?.elements(of: Float.self) == weight.elements(of: Float.self).map { abs($0) })
    }
  }

  @Test func `the layer on which the plugin crashes is named`() throws {
    let scorer = try scorer("abort", separateSettings())
    #expect(
      sentence { _ = try scorer.storedChunks(Self.three) } == """
        Plugin "org.example.crashing" crashed in "score" on layer "b": its worker process was ended \
        by SIGABRT; it wrote "last words". This process and all finished work are unharmed.
        """)
  }

  @Test func `layers pass together, and one by one from the first crash on`() throws {
    let heard = Mutex<[String]>([])
    let observer = PluginObserver(log: { _, _, text in heard.withLock { $0.append(text) } })
    var settings = try separateSettings()
    settings.crashPolicy = .skipLayer
    let scorer = try scorer("abort", settings, observer: observer)
    _ = try scorer.storedChunks(Self.three)
    func count(_ layer: String) -> Int { heard.withLock(\.self).filter { $0 == layer }.count }
    // The first crash is that of the turn, which "c" does not reach; the others are of calls of "b"
    // alone, which is tried twice.
    #expect(count("a") == 2 && count("b") == 3 && count("c") == 1)
    _ = try scorer.storedChunks(Self.three)
    #expect(count("a") == 3 && count("c") == 2)
  }

  @Test func `so is the one with a write beside its output`() throws {
    let scorer = try scorer("past-end", separateSettings())
    #expect(
      sentence { _ = try scorer.storedChunks(Self.three) } == """
        Plugin "org.example.crashing" breaks rule BH-03 in "score" on layer "b": it wrote outside of \
        its output.
        """)
  }

  @Test func `and the one whose call does not return`() throws {
    var settings = try separateSettings()
    settings.limits.callSeconds = 0.3
    settings.limits.graceSeconds = 0.2
    let scorer = try scorer("hang", settings)
    #expect(
      sentence { _ = try scorer.storedChunks(Self.three) } == """
        Plugin "org.example.crashing" did not return from "score" on layer "b" within 0.3 seconds and \
        was stopped. This process and all finished work are unharmed.
        """)
  }

  @Test func `scores that are not finite name their layer`() throws {
    let scorer = try scorer("good", separateSettings())
    var layers = Self.three
    layers[2].weight = Tensor([1, .infinity, 3, 4] as [Float], shape: [2, 2])
    #expect(
      sentence { _ = try scorer.storedChunks(layers) } == """
        Plugin "org.example.crashing" gave a wrong result in "score" on layer "c": score 1 is inf but \
        must be written and finite.
        """)
  }

  @Test func `a score that the plugin does not write is found`() throws {
    let path = try compiledPlugin("Tests/BrokenPlugins/misbehaving.c")
    let scorer = try PluginCatalog(folders: [], settings: separateSettings())
      .plugin("\(path)#scorer", hook: .scorer).makeScorer(["mode": .string("unwritten")])
    #expect(
      sentence { _ = try scorer.storedChunks(Self.three) }?.hasSuffix(
        "on layer \"a\": score 3 is nan but must be written and finite.") == true)
  }

  @Test func `a layer with a crash can be left alone, and the others are scored`() throws {
    var settings = try separateSettings()
    settings.crashPolicy = .skipLayer
    let scores = try scorer("segfault", settings).storedChunks(Self.three)
    #expect(
      scores.map { $0?.elements(of: Float.self) } == [[1, 2, 3, 4], nil, [1, 2, 3, 4]])
  }
}
