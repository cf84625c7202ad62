import BillhookPlugins
import BillhookTensor
import BillhookTestSupport
import Testing

/// The same plugins in this process and in a worker: the same bytes, the same sentences.
@Suite(.serialized) struct IsolationTests {
  static func catalogs() throws -> [PluginCatalog] {
    [
      PluginCatalog(settings: try separateSettings(nil)),
      PluginCatalog(settings: try separateSettings()),
    ]
  }

  @Test(arguments: 0..<4)
  func `magnitude and activation score the same`(seed: UInt64) throws {
    let weight = randomTensor([16, 24, 3, 3], seed: seed)
    let statistics = LayerStatistics(
      inputAbsMean: randomTensor([24], seed: seed + 1),
      inputSquaredNorm: randomTensor([24], seed: seed + 2),
      outputAbsMean: randomTensor([16], seed: seed + 3),
      outputZeroFraction: randomTensor([16], seed: seed + 4), sampleCount: 5)
    for (id, granularity) in [
      ("magnitude", Granularity.element), ("magnitude", .outputChannel),
      ("magnitude", .inputChannel),
      ("activation", .outputChannel),
    ] {
      let scores = try Self.catalogs().map { catalog in
        try catalog.plugin(id, hook: .scorer).makeScorer()
          .score(layer(), granularity: granularity, weight: weight, statistics: statistics)
      }
      #expect(scores[0] != nil)
      #expect(scores[0] == scores[1], "\(id) by \(granularity)")
    }
  }

  @Test(arguments: 0..<4)
  func `kl-divergence gives the same loss and gradient`(seed: UInt64) throws {
    let student = randomTensor([32, 10], seed: seed, scale: 3)
    let teacher = randomTensor([32, 10], seed: seed + 1, scale: 3)
    let labels = Tensor((0..<32).map { Int32($0 % 10) })
    let results = try Self.catalogs().map { catalog in
      let loss = try catalog.plugin("kl-divergence", hook: .loss).makeLoss()
      var gradient = Tensor(zeros: student.shape)
      let sums = try loss.compute(
        student: student, teacher: teacher, labels: labels, gradient: &gradient, step: 0,
        totalSteps: 1)
      return (sums.lossSum, sums.weightSum, gradient)
    }
    #expect(results[0].0 == results[1].0)
    #expect(results[0].1 == results[1].1)
    #expect(results[0].2 == results[1].2)
  }

  @Test(arguments: 0..<4)
  func `affine-int8 gives the same integers and back`(seed: UInt64) throws {
    let weight = randomTensor([8, 40], seed: seed)
    let results = try Self.catalogs().map { catalog in
      let quantizer = try catalog.plugin("affine-int8", hook: .quantizer).makeQuantizer()
      let layout = try #require(
        try quantizer.layout(layer(), shape: weight.shape, weightBits: 8))
      let parameters = try quantizer.calibrate(layer(), layout, values: weight)
      let integers = try quantizer.quantize(layer(), layout, parameters, values: weight)
      let values = try quantizer.dequantize(layer(), layout, parameters, integers: integers)
      return (layout, parameters.scale, integers, values)
    }
    #expect(results[0].0 == results[1].0)
    #expect(results[0].1 == results[1].1)
    #expect(results[0].2 == results[1].2)
    #expect(results[0].3 == results[1].3)
  }

  private func positive(_ shape: [Int], seed: UInt64) -> Tensor {
    Tensor(randomTensor(shape, seed: seed).elements(of: Float.self).map { abs($0) }, shape: shape)
  }

  /// What the built-ins and examples make of the same inputs.
  private func results(of plugin: Plugin) throws -> [Tensor?] {
    let weight = randomTensor([16, 24, 3, 3], seed: 11)
    switch plugin.descriptor.hook {
    case .scorer:
      let statistics = LayerStatistics(
        inputAbsMean: positive([24], seed: 13), inputSquaredNorm: positive([24], seed: 14),
        outputAbsMean: positive([16], seed: 15),
        outputZeroFraction: positive([16], seed: 16),
        weightGradient: randomTensor(weight.shape, seed: 12), sampleCount: 5)
      let scorer = try plugin.makeScorer(seed: 7)
      return try Granularity.allCases.filter(plugin.descriptor.granularities.contains).map {
        try scorer.score(
          layer(index: 3), granularity: $0,
          block: $0 == .block ? BlockShape(outputs: 4, inputs: 1) : nil, weight: weight,
          statistics: statistics)
      }
    case .loss:
      let student = randomTensor([32, 10], seed: 17, scale: 3)
      let inner = randomTensor([32, 6], seed: 18)
      let features =
        plugin.descriptor.needs.contains(.features)
        ? [Feature(name: "inner", student: inner, teacher: randomTensor([32, 6], seed: 19))] : []
      var gradient = Tensor(zeros: student.shape)
      var gradients = features.map { Tensor(zeros: $0.student.shape) }
      let sums = try plugin.makeLoss(seed: 7).compute(
        student: student, teacher: randomTensor([32, 10], seed: 20, scale: 3),
        labels: Tensor((0..<32).map { Int32($0 % 10) }), features: features, gradient: &gradient,
        featureGradients: &gradients, step: 0, totalSteps: 1)
      return [Tensor([Float(sums.lossSum), Float(sums.weightSum)]), gradient] + gradients
    case .quantizer:
      let quantizer = try plugin.makeQuantizer(seed: 7)
      let given: QuantizationLayout? = try quantizer.layout(
        layer(), shape: weight.shape, weightBits: 8)
      let layout = try #require(given)
      let parameters = try quantizer.calibrate(layer(), layout, values: weight)
      let integers = try quantizer.quantize(layer(), layout, parameters, values: weight)
      return [
        parameters.scale, integers,
        try quantizer.dequantize(layer(), layout, parameters, integers: integers),
      ]
    }
  }

  @Test func `every built-in gives the same bytes`() throws {
    let catalogs = try Self.catalogs()
    #expect(catalogs[0].descriptors.count >= 5)
    for descriptor in catalogs[0].descriptors {
      let found = try catalogs.map { try $0.plugin(descriptor.id, hook: descriptor.hook) }
      #expect(found.map(\.isolation) == [.inproc, .worker])
      let values = try found.map(results)
      #expect(!values[0].isEmpty)
      #expect(values[0] == values[1], "\(descriptor.id)")
    }
  }

  @Test(arguments: [
    ("c-taylor/taylor.c", PluginDescriptor.Hook.scorer),
    ("cxx-geometric-median/geometric_median.cc", .scorer),
    ("rust-feature-matching/feature_matching.rs", .loss),
  ])
  func `every example gives the same bytes`(source: String, hook: PluginDescriptor.Hook) throws {
    let path = try compiledPlugin("Plugins/Examples/\(source)")
    let values = try [Isolation.inproc, .worker].map { isolation in
      try results(
        of: PluginCatalog(folders: [], settings: separateSettings(isolation))
          .plugin(path, hook: hook))
    }
    #expect(!values[0].isEmpty)
    #expect(values[0] == values[1])
  }

  @Test(arguments: [
    ("float square(float)", PluginDescriptor.Hook.scorer),
    (
      "void powers(const float*, size_t, double, float*)|weight.data,weight.count,2,scores.data",
      .scorer
    ),
  ])
  func `plain functions give the same bytes`(form: String, hook: PluginDescriptor.Hook) throws {
    let library = try plainLibrary()
    let values = try [Isolation.inproc, .worker].map { isolation in
      let plugin = try PluginCatalog(folders: [], settings: separateSettings(isolation))
        .plugin("ffi:\(library):\(form)", hook: hook)
      #expect(plugin.isolation == isolation)
      return try results(of: plugin)
    }
    #expect(values[0] == values[1])
  }

  @Test func `random numbers inside parallel_for are the same`() throws {
    let weight = randomTensor([30, 70], seed: 1)
    let scores = try [Isolation.inproc, .worker].map { isolation in
      try crashing("random", separateSettings(isolation))
        .score(layer(index: 3), granularity: .element, weight: weight)
    }
    #expect(scores[0] != nil)
    #expect(scores[0] == scores[1])
  }

  @Test(arguments: ["unwritten", "nan", "fail", "silent", "task-fail", "fail-but-ok"])
  func `a wrong answer or a failure has the same sentence`(mode: String) throws {
    let path = try compiledPlugin("Tests/BrokenPlugins/misbehaving.c")
    let sentences = try [Isolation.inproc, .worker].map { isolation -> String? in
      let scorer = try PluginCatalog(folders: [], settings: separateSettings(isolation))
        .plugin("\(path)#scorer", hook: .scorer).makeScorer(["mode": .string(mode)])
      return sentence {
        _ = try scorer.score(
          layer(), granularity: .element, weight: Tensor([1, 2, 3, 4] as [Float], shape: [2, 2]))
      }
    }
    #expect(sentences[0] != nil)
    #expect(sentences[0] == sentences[1])
  }

  @Test func `a changed weight is scored as it is now`() throws {
    let scorer = try crashing("good", separateSettings())
    var weight = randomTensor([100, 100], seed: 3)
    for round in 0..<3 {
      weight.withUnsafeMutableElements(of: Float.self) { $0[round] = Float(round + 10) }
      let scores = try scorer.score(layer(), granularity: .element, weight: weight)
      #expect(
        scores?.elements(of: Float.self) == weight.elements(of: Float.self).map { abs($0) })
    }
  }

  @Test func `scores piece by piece are the same`() throws {
    let weight = randomTensor([300, 400], seed: 5)
    let results = try Self.catalogs().map { catalog in
      let scorer = try catalog.plugin("magnitude", hook: .scorer).makeScorer()
      let out = Collected(count: weight.count)
      try scorer.scoreChunks(
        layer(), weight: weight,
        consume: { first, _, scores in
          out.set(scores, at: first)
        })
      return out.values
    }
    #expect(results[0] == results[1])
  }
}

/// Scores from several threads; each writes a part of its own.
private final class Collected: @unchecked Sendable {
  private let buffer: UnsafeMutableBufferPointer<Float>

  init(count: Int) {
    buffer = .allocate(capacity: count)
    buffer.initialize(repeating: .nan)
  }

  deinit { buffer.deallocate() }

  func set(_ scores: UnsafeBufferPointer<Float>, at first: Int) {
    for (index, score) in scores.enumerated() { buffer[first + index] = score }
  }

  var values: [Float] { Array(buffer) }
}
