internal import BillhookFormats
internal import BillhookGraph

/// The latency of a network, and where its time goes.
public struct BenchReport: Sendable, Codable, Equatable {
  public var model: String
  public var instructionSet: String
  public var latency: Latency
  /// Nil when no profile was asked for.
  public var profile: Profile?

  /// What to measure beside the latency.
  public struct Extras: Sendable, Equatable {
    /// Time each operation.
    public var profile: Bool
    /// Where the spans of one profiled run go, as a Chrome trace.
    public var trace: String?

    public init(profile: Bool = false, trace: String? = nil) {
      self.profile = profile
      self.trace = trace
    }
  }

  /// Times a network.
  ///
  /// - Parameters:
  ///   - inputs: NPY files by input name; random arrays when there are none.
  ///   - batchSize: Samples of random arrays.
  public static func run(
    model path: String, inputs files: [(name: String, path: String)] = [], batchSize: Int,
    options: MeasurementOptions = MeasurementOptions(), extras: Extras = Extras()
  ) throws -> BenchReport {
    if let trace = extras.trace {
      try ModelFile.checkOutput(trace, inputs: [path] + files.map(\.path))
    }
    let graph = try ModelFile.readGraph(path, for: "bench")
    let subject: LatencySubject
    // The subject is the only one that needs the graph, so its weights need not stay.
    if files.isEmpty {
      subject = try LatencySubject(consume graph, name: path, batchSize: batchSize)
    } else {
      let inputs = try NamedArrays.read(files, for: graph, model: path)
      subject = try LatencySubject(consume graph, inputs, model: path)
    }
    var report = BenchReport(
      model: path, instructionSet: MachineText.instructionSet,
      latency: try subject.latency(options))
    if extras.profile || extras.trace != nil {
      let (profile, spans) = try subject.profile(options)
      report.profile = profile
      if let trace = extras.trace {
        try AtomicFile.write(ChromeTrace(spans, model: path).json(), to: trace)
      }
    }
    return report
  }

  public func text() -> String {
    let perSample = latency.medianSeconds / Double(max(latency.batchSize, 1))
    let summary = """
      \(model): batch \(latency.batchSize), \(latency.threads) threads, \(instructionSet)
      median \(NumberText.seconds(latency.medianSeconds)), 95th percentile \
      \(NumberText.seconds(latency.percentile95Seconds)), \(latency.runs) runs
      \(NumberText.count(perSample > 0 ? Int(1 / perSample) : 0)) samples/s

      """
    return summary + (profile.map { "\n" + $0.text() } ?? "")
  }
}
