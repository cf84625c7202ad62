public import BillhookGraph
internal import BillhookRuntime
internal import BillhookTensor
internal import OrderedCollections

/// How long to measure.
public struct MeasurementOptions: Sendable, Equatable {
  /// Untimed runs first: they fill caches and wake threads.
  public var warmUpRuns: Int
  /// Timed runs: at least this many …
  public var minimumRuns: Int
  /// … and at most this many …
  public var maximumRuns: Int
  /// … stopping in between after this long.
  public var seconds: Double

  public init(
    warmUpRuns: Int = 3, minimumRuns: Int = 7, maximumRuns: Int = 500, seconds: Double = 1
  ) {
    self.warmUpRuns = warmUpRuns
    self.minimumRuns = minimumRuns
    self.maximumRuns = maximumRuns
    self.seconds = seconds
  }
}

extension Latency {
  /// Times a network on random inputs.
  ///
  /// - Throws: ``PipelineError/unknownInputShape(model:input:shape:)`` when an axis other than the
  ///   first is symbolic; the runtime's errors.
  public static func measure(
    _ graph: consuming Graph, name: String, batchSize: Int, options: MeasurementOptions = .init()
  ) throws -> Latency {
    try LatencySubject(graph, name: name, batchSize: batchSize).latency(options)
  }
}

/// A network with its inputs, ready to be timed.
struct LatencySubject {
  private let batchSize: Int
  private let run: (Profiler?) throws -> Void

  /// A network on random inputs.
  init(_ graph: consuming Graph, name: String, batchSize: Int) throws {
    let inputs = try Self.randomInputs(graph, name: name, batchSize: batchSize)
    let plan = try InferencePlan(graph, batchSize: batchSize)
    self.batchSize = batchSize
    run = { _ = try plan.run(inputs, profiler: $0) }
  }

  /// A network on given inputs, of any shapes that it takes.
  init(
    _ graph: consuming Graph, _ inputs: OrderedDictionary<String, Tensor>, model: String
  ) throws {
    let inputs = inputs.reduce(into: [:]) { $0[$1.key] = $1.value }
    batchSize = graph.inputs.first.flatMap { inputs[$0.name]?.shape.first } ?? 1
    let plan = try InferencePlan(graph, for: inputs)
    run = { _ = try plan.run(inputs, profiler: $0) }
  }

  func latency(_ options: MeasurementOptions) throws -> Latency {
    let clock = ContinuousClock()
    var times: [Double] = []
    try repeatRuns(options) {
      times.append(try clock.measure { try run(nil) }.inSeconds)
    }
    return Latency(
      batchSize: batchSize, threads: Threads.count, medianSeconds: quantile(times, 0.5),
      percentile95Seconds: quantile(times, 0.95), runs: times.count)
  }

  /// Times each operation; the spans are those of the last run.
  func profile(_ options: MeasurementOptions) throws -> (Profile, [Profiler.Span]) {
    let profiler = Profiler()
    var spans: [Profiler.Span] = []
    var runs: [[Profiler.Span]] = []
    try repeatRuns(options) {
      try run(profiler)
      spans = profiler.takeSpans()
      runs.append(spans)
    }
    return (Profile(runs), spans)
  }

  private func repeatRuns(_ options: MeasurementOptions, _ body: () throws -> Void) throws {
    for _ in 0..<options.warmUpRuns { try run(nil) }
    let clock = ContinuousClock()
    let start = clock.now
    for count in 1...max(options.maximumRuns, 1) {
      try body()
      if count >= options.minimumRuns, (clock.now - start).inSeconds > options.seconds { break }
    }
  }

  /// Inputs that exercise a network: floats in -1..<1, small whole numbers elsewhere.
  private static func randomInputs(
    _ graph: Graph, name: String, batchSize: Int
  ) throws(PipelineError) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for input in graph.inputs {
      var shape: [Int] = []
      for (axis, dimension) in (input.shape ?? []).enumerated() {
        guard let size = dimension.size ?? (axis == 0 ? batchSize : nil) else {
          throw .unknownInputShape(
            model: name, input: input.name, shape: (input.shape ?? []).map(\.description))
        }
        shape.append(size)
      }
      var random = CounterRandom(seed: 0, stream: input.name)
      switch input.elementType {
      case .float32, .float64, .float16, .bfloat16:
        let count = shape.reduce(1, *)
        let values = (0..<count).map { _ in random.uniform() * 2 - 1 }
        let tensor = Tensor(values, shape: shape)
        result[input.name] = tensor.asFloatingPoint(input.elementType) ?? tensor
      default:
        result[input.name] = Tensor(zeros: shape, input.elementType)
      }
    }
    return result
  }
}

/// A quantile of some values, linear between the two nearest; 0 without values.
func quantile(_ values: [Double], _ share: Double) -> Double {
  guard !values.isEmpty else { return 0 }
  let sorted = values.sorted()
  let position = share * Double(sorted.count - 1)
  let low = Int(position)
  let high = min(low + 1, sorted.count - 1)
  return sorted[low] + (sorted[high] - sorted[low]) * (position - Double(low))
}

extension Duration {
  var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
