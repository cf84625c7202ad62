public import BillhookGraph
internal import BillhookRuntime
internal import BillhookTensor

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
    _ graph: Graph, name: String, batchSize: Int, options: MeasurementOptions = .init()
  ) throws -> Latency {
    let inputs = try randomInputs(graph, name: name, batchSize: batchSize)
    let plan = try InferencePlan(graph, batchSize: batchSize)
    for _ in 0..<options.warmUpRuns { _ = try plan.run(inputs) }
    let clock = ContinuousClock()
    let start = clock.now
    var times: [Double] = []
    while times.count < options.maximumRuns {
      let time = try clock.measure { _ = try plan.run(inputs) }
      times.append(time.inSeconds)
      if times.count >= options.minimumRuns, (clock.now - start).inSeconds > options.seconds {
        break
      }
    }
    times.sort()
    return Latency(
      batchSize: batchSize, threads: Threads.count, medianSeconds: quantile(times, 0.5),
      percentile95Seconds: quantile(times, 0.95), runs: times.count)
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

  /// Linear between the two nearest of sorted values.
  private static func quantile(_ sorted: [Double], _ share: Double) -> Double {
    guard !sorted.isEmpty else { return 0 }
    let position = share * Double(sorted.count - 1)
    let low = Int(position)
    let high = min(low + 1, sorted.count - 1)
    return sorted[low] + (sorted[high] - sorted[low]) * (position - Double(low))
  }
}

extension Duration {
  var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) * 1e-18
  }
}
