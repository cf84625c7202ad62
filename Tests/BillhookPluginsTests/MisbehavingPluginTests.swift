import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Synchronization
import Testing

@Suite struct MisbehavingPluginTests {
  static let id = "org.example.misbehaving.scorer"
  static let weight = Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])

  static func score(
    _ mode: String, weight: Tensor = weight, observer: PluginObserver = PluginObserver(),
    seed: UInt64 = 0, index: Int = 0
  ) throws -> [Float]? {
    let scorer = try misbehaving("scorer", .scorer, observer: observer)
      .makeScorer(["mode": .string(mode)], seed: seed)
    return try scorer.score(layer(index: index), granularity: .element, weight: weight)?
      .elements(of: Float.self)
  }

  @Test(arguments: [
    ("unwritten", "gave a wrong result in X: score 3 is nan but must be written and finite."),
    ("nan", "gave a wrong result in X: score 1 is inf but must be written and finite."),
    ("fail", "failed in X: no weights of shape [4] today (status -2)."),
    ("silent", "failed in X: it returned -7 without a message."),
    ("task-fail", "failed in X: piece 3 is singular (status -6)."),
    ("fail-but-ok", "failed in X: first (status -8)."),
  ])
  func `a wrong answer or a failure names the plugin and the layer`(
    mode: String, expected: String
  ) {
    let place = expected.split(separator: "X").joined(separator: "\"score\" on layer \"conv\"")
    #expect(sentence { _ = try Self.score(mode) } == "Plugin \"\(Self.id)\" \(place)")
  }

  @Test func `a failure to make an instance is reported`() {
    #expect(
      sentence { _ = try Self.score("create") }
        == "Plugin \"\(Self.id)\" failed in \"create\": not today (status -1).")
  }

  @Test func `a skipped layer has no scores`() throws {
    #expect(try Self.score("skip") == nil)
  }

  #if arch(x86_64)
    @Test(arguments: ["flush", "task-flush"])
    func `a changed floating-point mode is set back and reported`(mode: String) {
      #expect(
        sentence { _ = try Self.score(mode) } == """
          Plugin "\(Self.id)" breaks rule BH-08 in "score" on layer "conv": the floating-point mode \
          was 0x1f80 and is 0x9f80 after it (it was set back). Build the plugin without -ffast-math.
          """)
      #expect(Float.leastNonzeroMagnitude * 1 != 0)
    }
  #endif

  #if arch(x86_64)
    @Test(arguments: [
      (0x9F80, "Build the plugin without -ffast-math."),
      (0x9FC0, "Build the plugin without -ffast-math."),
      (0x5F80, "Restore it before you return (fesetround, feenableexcept)."),
      (0x1D80, "Restore it before you return (fesetround, feenableexcept)."),
      (0xDF80, "Restore it before you return (fesetround, feenableexcept)."),
    ] as [(UInt64, String)])
    func `the advice against a changed floating-point mode fits what changed`(
      after: UInt64, advice: String
    ) {
      let error = PluginError.changedFloatingPoint(
        plugin: "org.example.one", function: "score", layer: nil, before: 0x1F80, after: after)
      #expect(
        error.description == """
          Plugin "org.example.one" breaks rule BH-08 in "score": the floating-point mode was \
          0x1f80 and is 0x\(String(after, radix: 16)) after it (it was set back). \(advice)
          """)
    }
  #endif

  @Test func `an unsupported granularity names those that work`() throws {
    let scorer = try misbehaving("scorer", .scorer).makeScorer()
    #expect(
      sentence {
        _ = try scorer.score(layer(), granularity: .inputChannel, weight: Self.weight)
      } == """
        Plugin "\(Self.id)" does not score by input-channel; it scores by element, output-channel.
        """)
  }

  @Test func `a needed statistic that is missing is named`() throws {
    let scorer = try misbehaving("needy", .scorer).makeScorer()
    #expect(
      sentence { _ = try scorer.score(layer(), granularity: .element, weight: Self.weight) } == """
        Plugin "org.example.misbehaving.needy" needs "in_sq_norm" of layer "conv", which was not \
        measured; give calibration data.
        """)
  }

  @Test func `a plugin sees the statistics it needs and no other`() throws {
    let scorer = try misbehaving("needy", .scorer).makeScorer(["mode": .string("statistics")])
    let ones = Tensor([1, 1] as [Float])
    let statistics = LayerStatistics(inputAbsMean: ones, inputSquaredNorm: ones, sampleCount: 12)
    let with = try scorer.score(
      layer(), granularity: .element, weight: Self.weight, mask: Self.weight,
      statistics: statistics)
    #expect(with?.elements(of: Float.self) == [0, 1, 1, 12])
    let without = try scorer.score(
      layer(), granularity: .element, weight: Self.weight, statistics: statistics)
    #expect(without?.elements(of: Float.self) == [0, 1, 0, 12])
  }

  @Test func `a statistic of the wrong size is refused`() throws {
    let scorer = try misbehaving("needy", .scorer).makeScorer()
    let statistics = LayerStatistics(inputSquaredNorm: Tensor([1, 1, 1] as [Float]))
    #expect(
      sentence {
        _ = try scorer.score(
          layer(), granularity: .element, weight: Self.weight, statistics: statistics)
      } == """
        "in_sq_norm" for "score" of plugin "org.example.misbehaving.needy" is float32 [3] but must \
        be float32 [2].
        """)
  }

  @Test func `random numbers depend on seed, layer and position alone`() throws {
    let weight = Tensor(zeros: [8, 4])
    let first = try Self.score("random", weight: weight, seed: 1, index: 2)
    #expect(try Self.score("random", weight: weight, seed: 1, index: 2) == first)
    #expect(try Self.score("random", weight: weight, seed: 2, index: 2) != first)
    #expect(try Self.score("random", weight: weight, seed: 1, index: 3) != first)
    // The plugin asks for words 3 to 35 of stream 5 of layer 2.
    let key = CounterRandom.block(seed: 1, stream: 2, index: .max)
    var random = CounterRandom(seed: UInt64(key[1]) << 32 | UInt64(key[0]), stream: 5)
    random.position = 3
    #expect(first == (0..<32).map { _ in Float(random.nextWord() >> 8) })
  }

  @Test func `a cancelled call throws`() {
    let observer = PluginObserver(isCancelled: { true })
    #expect(
      sentence { _ = try Self.score("cancel", observer: observer) } == """
        Plugin "\(Self.id)" failed in "score" on layer "conv": it returned -4 without a message.
        """)
  }

  @Test func `log and progress reach the observer with the plugin's id`() throws {
    let heard = Mutex<[String]>([])
    let observer = PluginObserver(
      log: { id, level, text in heard.withLock { $0.append("\(id) \(level): \(text)") } },
      progress: { id, fraction, text in heard.withLock { $0.append("\(fraction) \(text)") } })
    _ = try Self.score("log", observer: observer, index: 9)
    #expect(heard.withLock { $0 } == ["\(Self.id) warning: conv Conv 9 0 1 1", "1.0 half"])
  }

  // MARK: - Losses and quantizers

  @Test(arguments: [
    ("nan-loss", "the loss is nan but must be written and finite."),
    ("unwritten-gradient", "gradient 5 is nan but must be written and finite."),
    ("negative-weight", "the sum of the weights is -1 but must be 0 to 2."),
  ])
  func `a wrong loss is refused`(mode: String, expected: String) throws {
    let loss = try misbehaving("loss", .loss).makeLoss(["mode": .string(mode)])
    let student = Tensor(zeros: [2, 3])
    var gradient = student
    #expect(
      sentence {
        _ = try loss.compute(
          student: student, teacher: nil, labels: nil, gradient: &gradient, step: 0, totalSteps: 1)
      } == "Plugin \"org.example.misbehaving.loss\" gave a wrong result in \"compute\": \(expected)"
    )
  }

  @Test func `a loss is told the step`() throws {
    let loss = try misbehaving("loss", .loss).makeLoss(["mode": .string("step")])
    let student = Tensor(zeros: [2, 3])
    var gradient = student
    let result = try loss.compute(
      student: student, teacher: nil, labels: nil, gradient: &gradient, step: 7, totalSteps: 90)
    #expect(result.lossSum == 7090)
    #expect(gradient.elements(of: Float.self) == [Float](repeating: 0.5, count: 6))
  }

  @Test(arguments: [
    (
      "wide",
      """
      "layout" on layer "conv": "qmax - qmin" is 191 but must be less than 128: integers of this \
      layer may use 7 bits.
      """
    ),
    ("type", "\"layout\" on layer \"conv\": \"q_code\" is 2 but must be 0 (int) or 1 (uint)."),
    (
      "range",
      """
      "layout" on layer "conv": "qmin, qmax" is -63, 200 but must be within -128 to 127, qmin \
      below qmax.
      """
    ),
    ("axis", "\"layout\" on layer \"conv\": \"axis\" is 7 but must be an axis of [2, 2]."),
    (
      "scale",
      "\"calibrate\" on layer \"conv\": scale 0 is 0.0 but must be written, finite and above 0."
    ),
    ("zero-point", "\"calibrate\" on layer \"conv\": zero point 0 is 1 but must be 0."),
    ("integer", "\"quantize\" on layer \"conv\": integer 0 is 64 but must be -63 to 63."),
    ("value", "\"dequantize\" on layer \"conv\": value 0 is nan but must be written and finite."),
  ])
  func `a wrong answer of a quantizer is refused`(mode: String, expected: String) throws {
    let quantizer = try misbehaving("quantizer", .quantizer).makeQuantizer(["mode": .string(mode)])
    #expect(
      sentence {
        let layout = try #require(
          try quantizer.layout(layer(), shape: [2, 2], weightBits: 7))
        let parameters = try quantizer.calibrate(layer(), layout, values: Self.weight)
        let integers = try quantizer.quantize(layer(), layout, parameters, values: Self.weight)
        _ = try quantizer.dequantize(layer(), layout, parameters, integers: integers)
      } == """
        Plugin "org.example.misbehaving.quantizer" gave a wrong result in \(expected)
        """)
  }
}
