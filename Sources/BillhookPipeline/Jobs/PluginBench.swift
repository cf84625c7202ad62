public import BillhookPlugins
internal import BillhookRuntime
internal import BillhookTensor
internal import Synchronization

/// How fast a plugin is, and how much of the time is its own.
public struct PluginBenchReport: Sendable, Codable, Equatable {
  public var plugin: String
  public var hook: String
  /// What was called, such as "score, element".
  public var work: String
  /// Weights, logits or numbers to quantize.
  public var elements: Int
  public var threads: Int
  public var instructionSet: String
  public var runs: Int
  /// Of one call, with everything that the host does around it.
  public var medianSeconds: Double
  public var secondsPerMillionElements: Double
  /// The share of the time that was spent inside of the plugin, 0...1; the rest is the host's
  /// checks and outputs.
  public var callShare: Double

  public func text() -> String {
    """
    \(plugin) (\(hook)): \(work), \(NumberText.count(elements)) elements
    \(threads) threads, \(instructionSet), median of \(runs) runs: \
    \(NumberText.seconds(medianSeconds))
    \(NumberText.seconds(secondsPerMillionElements)) per million elements, \
    \(NumberText.fraction(callShare)) of it inside of the plugin

    """
  }
}

/// Times a plugin on random numbers.
public struct PluginBench {
  public var plugin: PluginChoice
  /// The hook to look for; nil tries all.
  public var hook: PluginDescriptor.Hook?
  /// At least 1; rounded to what a matrix holds.
  public var elements: Int
  public var options: MeasurementOptions
  /// Where it runs.
  public var settings: PluginSettings

  public init(
    _ plugin: PluginChoice, hook: PluginDescriptor.Hook? = nil, elements: Int = 1_000_000,
    options: MeasurementOptions = MeasurementOptions(), settings: PluginSettings = PluginSettings()
  ) {
    self.settings = settings
    self.plugin = plugin
    self.hook = hook
    self.elements = elements
    self.options = options
  }

  /// - Throws: `PluginError`; ``PipelineError/stage(name:problems:)`` for a scorer that observes raw
  ///   activations, of which there are none here.
  public func run() throws -> PluginBenchReport {
    let inside = Mutex(Duration.zero)
    // A catalog of its own, whose plugins report the length of their calls.
    let catalog = PluginCatalog(
      settings: settings,
      observer: PluginObserver(called: { _, _, time in inside.withLock { $0 += time } }))
    let found = try PluginListing.plugin(plugin.plugin, hook: hook, in: catalog)
    let resolved = try ResolvedPlugin(plugin, found)
    // A matrix that is about square, as layers are.
    let rows = max(1, Int(Double(elements).squareRoot()))
    let shape = [rows, max(1, elements / rows)]
    let (name, body) = try work(resolved, shape)
    for _ in 0..<max(options.warmUpRuns, 1) { try body() }
    inside.withLock { $0 = .zero }
    let clock = ContinuousClock()
    let start = clock.now
    var times: [Double] = []
    while times.count < options.maximumRuns {
      times.append(try clock.measure(body).inSeconds)
      if times.count >= options.minimumRuns, (clock.now - start).inSeconds > options.seconds {
        break
      }
    }
    let total = times.reduce(0, +)
    let median = times.sorted()[times.count / 2]
    let count = shape[0] * shape[1]
    return PluginBenchReport(
      plugin: found.descriptor.id, hook: found.descriptor.hook.rawValue, work: name,
      elements: count, threads: Threads.count, instructionSet: MachineText.instructionSet,
      runs: times.count, medianSeconds: median,
      secondsPerMillionElements: median / Double(count) * 1e6,
      callShare: total > 0 ? inside.withLock { $0 }.inSeconds / total : 0)
  }

  /// What is timed, by the plugin's hook.
  private func work(
    _ resolved: ResolvedPlugin, _ shape: [Int]
  ) throws -> (name: String, body: () throws -> Void) {
    let layer = LayerContext(
      role: .weight, index: 0, name: "bench", op: "Gemm", outAxis: 0, inAxis: 1, groups: 1)
    let values = Self.random(shape, "values")
    let descriptor = resolved.plugin.descriptor
    switch descriptor.hook {
    case .scorer:
      guard descriptor.needs.isDisjoint(with: .raw) else {
        throw PipelineError.stage(
          name: "bench \"\(descriptor.id)\"",
          problems: [
            "It observes raw activations, and there are none here; time it in a prune instead."
          ])
      }
      let scorer = try resolved.plugin.makeScorer(resolved.values)
      let granularity =
        [Granularity.element, .outputChannel, .inputChannel, .block].first {
          descriptor.granularities.contains($0)
        } ?? .element
      let block = granularity == .block ? BlockShape(outputs: 1, inputs: 4) : nil
      let statistics = Self.statistics(shape, for: descriptor.needs)
      return (
        "score, \(granularity.rawValue)",
        {
          _ = try scorer.score(
            layer, granularity: granularity, block: block, weight: values, statistics: statistics)
        }
      )
    case .loss:
      let loss = try resolved.plugin.makeLoss(resolved.values)
      let teacher = Self.random(shape, "teacher")
      let labels = Tensor((0..<shape[0]).map { Int32($0 % shape[1]) })
      let pairs =
        descriptor.needs.contains(.features)
        ? [Feature(name: "bench", student: values, teacher: teacher)] : []
      return (
        "loss and gradient",
        {
          var gradient = Tensor(zeros: shape)
          var gradients = pairs.map { Tensor(zeros: $0.student.shape) }
          _ = try loss.compute(
            student: values, teacher: teacher, labels: labels, features: pairs,
            gradient: &gradient, featureGradients: &gradients, step: 0, totalSteps: 1)
        }
      )
    case .quantizer:
      let quantizer = try resolved.plugin.makeQuantizer(resolved.values)
      let stored: QuantizationLayout? = try quantizer.layout(layer, shape: shape, weightBits: 8)
      guard let layout = stored else {
        throw PipelineError.stage(
          name: "bench \"\(descriptor.id)\"", problems: ["It declines a matrix of \(shape)."])
      }
      return (
        "calibrate and quantize",
        {
          let parameters = try quantizer.calibrate(layer, layout, values: values)
          _ = try quantizer.quantize(layer, layout, parameters, values: values)
        }
      )
    }
  }

  /// What a scorer asks for, of a layer with that weight.
  private static func statistics(_ shape: [Int], for needs: Needs) -> LayerStatistics {
    var statistics = LayerStatistics(sampleCount: 1)
    func positive(_ shape: [Int], _ name: String) -> Tensor {
      let values = random(shape, name).elements(of: Float.self)
      return Tensor(values.map { abs($0) }, shape: shape)
    }
    if needs.contains(.inputAbsMean) {
      statistics.inputAbsMean = positive([shape[1]], "in abs mean")
    }
    if needs.contains(.inputSquaredNorm) {
      statistics.inputSquaredNorm = positive([shape[1]], "in sq norm")
    }
    if needs.contains(.outputAbsMean) {
      statistics.outputAbsMean = positive([shape[0]], "out abs mean")
    }
    if needs.contains(.outputZeroFraction) {
      statistics.outputZeroFraction = positive([shape[0]], "out zero fraction")
    }
    if needs.contains(.weightGradient) {
      statistics.weightGradient = random(shape, "gradient")
    }
    if needs.contains(.inputGram) {
      // The unit matrix: a Gram matrix like any other.
      var gram = [Float](repeating: 0, count: shape[1] * shape[1])
      for index in 0..<shape[1] { gram[index * shape[1] + index] = 1 }
      statistics.inputGram = Tensor(gram, shape: [1, shape[1], shape[1]])
    }
    return statistics
  }

  /// Numbers from -1 up to 1, the same each time.
  private static func random(_ shape: [Int], _ stream: String) -> Tensor {
    var random = CounterRandom(seed: 0, stream: stream)
    return Tensor(
      (0..<shape.reduce(1, *)).map { _ in random.uniform() * 2 - 1 }, shape: shape)
  }
}
