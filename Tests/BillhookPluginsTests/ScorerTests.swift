import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Synchronization
import Testing

@Suite struct ScorerTests {
  // Two output channels, three input channels, two positions.
  static let weight = Tensor(
    [1, -2, 3, 0, -1, 1, 2, 2, -4, 1, 0, -3] as [Float], shape: [2, 3, 2])

  static func scores(
    _ id: String, _ granularity: Granularity, _ layer: LayerContext = layer(),
    weight: Tensor = weight, statistics: LayerStatistics = .init(),
    parameters: [String: ParameterValue] = [:]
  ) throws -> [Float] {
    let scorer = try builtIns.plugin(id, hook: .scorer).makeScorer(parameters)
    let scores = try scorer.score(
      layer, granularity: granularity, weight: weight, statistics: statistics)
    return try #require(scores).elements(of: Float.self)
  }

  @Test func `magnitude of an element is its absolute value`() throws {
    #expect(try Self.scores("magnitude", .element) == [1, 2, 3, 0, 1, 1, 2, 2, 4, 1, 0, 3])
    #expect(
      try Self.scores("magnitude", .element, parameters: ["exponent": .int(2)])
        == [1, 4, 9, 0, 1, 1, 4, 4, 16, 1, 0, 9])
  }

  @Test func `magnitude of a channel is the sum over its weights`() throws {
    #expect(try Self.scores("magnitude", .outputChannel) == [8, 12])
    #expect(try Self.scores("magnitude", .inputChannel) == [7, 8, 5])
    #expect(
      try Self.scores("magnitude", .outputChannel, parameters: ["exponent": .double(2)])
        == [16, 34])
    // The same weight with its axes the other way round: [in, out, position].
    let turned = layer(outAxis: 1, inAxis: 0)
    #expect(try Self.scores("magnitude", .outputChannel, turned) == [7, 8, 5])
    #expect(try Self.scores("magnitude", .inputChannel, turned) == [8, 12])
  }

  @Test func `each group has input channels of its own`() throws {
    let grouped = layer(groups: 2)
    #expect(try Self.scores("magnitude", .inputChannel, grouped) == [3, 3, 2, 4, 5, 3])
    let squares = Tensor([1, 4, 9, 16, 25, 36] as [Float])
    let statistics = LayerStatistics(inputSquaredNorm: squares)
    #expect(
      try Self.scores("wanda", .element, grouped, statistics: statistics)
        == [1, 2, 6, 0, 3, 3, 8, 8, 20, 5, 0, 18])
    #expect(
      try Self.scores("wanda", .inputChannel, grouped, statistics: statistics)
        == [3, 6, 6, 16, 25, 18])
  }

  @Test func `wanda multiplies by the norm of the input channel`() throws {
    let statistics = LayerStatistics(inputSquaredNorm: Tensor([1, 4, 9] as [Float]))
    #expect(
      try Self.scores("wanda", .element, statistics: statistics)
        == [1, 2, 6, 0, 3, 3, 2, 2, 8, 2, 0, 9])
    #expect(try Self.scores("wanda", .outputChannel, statistics: statistics) == [15, 23])
    #expect(try Self.scores("wanda", .inputChannel, statistics: statistics) == [7, 16, 15])
  }

  @Test func `activation scores are the statistics of the outputs`() throws {
    let statistics = LayerStatistics(
      outputAbsMean: Tensor([0.5, 2] as [Float]), outputZeroFraction: Tensor([0.25, 1] as [Float]))
    #expect(try Self.scores("activation", .outputChannel, statistics: statistics) == [0.5, 2])
    #expect(try Self.scores("apoz", .outputChannel, statistics: statistics) == [0.75, 0])
  }

  @Test func `a layer without channels of the kind asked for is refused`() {
    #expect(
      sentence { _ = try Self.scores("magnitude", .inputChannel, layer(inAxis: -1)) } == """
        "layer "conv"" for "score" of plugin "org.billhook.magnitude" is without input-channels \
        but must be one that has them.
        """)
    #expect(
      sentence { _ = try Self.scores("magnitude", .element, layer(outAxis: 3)) } == """
        "layer" for "score" of plugin "org.billhook.magnitude" is out axis 3, in axis 1, 1 groups \
        but must be axes of [2, 3, 2] or -1, and at least 1 group.
        """)
  }

  @Test(arguments: [[0, 3], [2, 0], [1, 1], [7, 1], [1, 13]])
  func `empty, single and narrow weights are legal`(shape: [Int]) throws {
    let weight = randomTensor(shape, seed: 3)
    let absolute = weight.elements(of: Float.self).map(abs)
    #expect(try Self.scores("magnitude", .element, weight: weight) == absolute)
    let outputs = try Self.scores("magnitude", .outputChannel, weight: weight)
    #expect(outputs.count == shape[0])
    #expect(abs(outputs.reduce(0, +) - absolute.reduce(0, +)) < 1e-5)
    let statistics = LayerStatistics(
      inputSquaredNorm: Tensor([Float](repeating: 1, count: shape[1])))
    #expect(
      try Self.scores("wanda", .element, weight: weight, statistics: statistics) == absolute)
  }

  // MARK: - Pieces

  static func chunked(
    _ id: String, _ layer: LayerContext, weight: Tensor, statistics: LayerStatistics = .init()
  ) throws -> [Float] {
    let scorer = try builtIns.plugin(id, hook: .scorer).makeScorer()
    let all = Mutex([Float](repeating: -1, count: weight.count))
    let same = Mutex(true)
    let source = weight.elements(of: Float.self)
    try scorer.scoreChunks(
      layer, weight: weight, statistics: statistics,
      consume: {
        first, weights, scores in
        all.withLock { for index in scores.indices { $0[first + index] = scores[index] } }
        let matches = source[first..<first + weights.count].elementsEqual(weights)
        same.withLock { $0 = $0 && matches && weights.count == scores.count }
      })
    #expect(same.withLock { $0 })
    return all.withLock { $0 }
  }

  @Test(arguments: [[16384], [3, 16385], [130, 27, 3, 3], [1, 100_003], [700_001]])
  func `piece by piece gives the scores of the whole`(shape: [Int]) throws {
    let weight = randomTensor(shape, seed: 5)
    let layer = layer(inAxis: shape.count > 1 ? 1 : 0)
    #expect(
      try Self.chunked("magnitude", layer, weight: weight)
        == Self.scores("magnitude", .element, layer, weight: weight))
    let channels = shape[layer.inAxis]
    let squares = randomTensor([channels], seed: 6).elements(of: Float.self).map { $0 * $0 }
    let statistics = LayerStatistics(inputSquaredNorm: Tensor(squares))
    #expect(
      try Self.chunked("wanda", layer, weight: weight, statistics: statistics)
        == Self.scores("wanda", .element, layer, weight: weight, statistics: statistics))
  }

  @Test func `a grouped weight keeps its groups in pieces`() throws {
    let weight = randomTensor([64, 100, 3, 3], seed: 7)
    let squares = randomTensor([400], seed: 8).elements(of: Float.self).map { $0 * $0 }
    let statistics = LayerStatistics(inputSquaredNorm: Tensor(squares))
    let grouped = layer(groups: 4)
    #expect(
      try Self.chunked("wanda", grouped, weight: weight, statistics: statistics)
        == Self.scores("wanda", .element, grouped, weight: weight, statistics: statistics))
  }

  @Test func `ranges of a layer have the scores of the whole`() throws {
    let weight = randomTensor([50, 31], seed: 9)
    let whole = try Self.scores("magnitude", .element, weight: weight)
    let scorer = try builtIns.plugin("magnitude", hook: .scorer).makeScorer()
    let seen = Mutex<[Int: [Float]]>([:])
    try scorer.scoreRanges(layer(), weight: weight, ranges: [3..<10, 7..<7, 1549..<1550]) {
      first, _, scores in
      seen.withLock { $0[first] = Array(scores) }
    }
    #expect(seen.withLock { $0 } == [3: Array(whole[3..<10]), 1549: [whole[1549]]])
  }

  @Test func `a plugin that does not score pieces says what it lacks`() throws {
    let scorer = try builtIns.plugin("activation", hook: .scorer).makeScorer()
    #expect(!scorer.isChunked)
    #expect(
      sentence { try scorer.scoreChunks(layer(), weight: Self.weight) { _, _, _ in } } == """
        Plugin "org.billhook.activation" cannot score piece by piece: it does not score elements. \
        Score whole layers.
        """)
    #expect(try builtIns.plugin("magnitude", hook: .scorer).makeScorer().isChunked)
  }

  @Test func `a failure in a piece is the failure of the loop`() throws {
    let scorer = try misbehaving("scorer", .scorer).makeScorer(["mode": .string("nan")])
    #expect(
      sentence { try scorer.scoreChunks(layer(), weight: Self.weight) { _, _, _ in } } == """
        Plugin "org.example.misbehaving.scorer" gave a wrong result in "score" on layer "conv": \
        score 1 is inf but must be written and finite.
        """)
    let skipping = try misbehaving("scorer", .scorer).makeScorer(["mode": .string("skip")])
    #expect(
      sentence { try skipping.scoreChunks(layer(), weight: Self.weight) { _, _, _ in } } == """
        Plugin "org.example.misbehaving.scorer" gave a wrong result in "score" on layer "conv": \
        the status is skip for a piece of the layer but must be ok: skipping is for whole layers.
        """)
  }

  @Test(arguments: ["nan", "unwritten"])
  func `scores that are spent are checked by whoever spends them`(mode: String) throws {
    let scorer = try misbehaving("scorer", .scorer).makeScorer(["mode": .string(mode)])
    let stored: String? = sentence {
      try scorer.scoreChunks(layer(), weight: Self.weight) { _, _, _ in }
    }
    let spent: String? = sentence {
      try scorer.scoreChunks(
        layer(), weight: Self.weight,
        spend: { _, _, scores in
          let isFinite = scores.allSatisfy(\.isFinite)
          scores.update(repeating: .nan)
          return isFinite
        })
    }
    #expect(stored != nil)
    #expect(spent == stored)
  }

  @Test func `each piece finds NaN where its scores go, however often it is spent`() throws {
    let weight = randomTensor([5, 20_000], seed: 4)
    let scorer = try builtIns.plugin("magnitude", hook: .scorer).makeScorer()
    let sum = Mutex(0.0)
    for _ in 0..<3 {
      try scorer.scoreChunks(
        layer(), weight: weight,
        spend: { first, weights, scores in
          let isRight = zip(weights, scores).allSatisfy { abs($0) == $1 }
          sum.withLock { $0 += Double(scores.count) }
          scores.update(repeating: .nan)
          return isRight
        })
    }
    #expect(sum.withLock { $0 } == 300_000)
  }
}
