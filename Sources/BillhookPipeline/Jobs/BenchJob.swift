internal import BillhookGraph

/// The latency of a network.
public struct BenchReport: Sendable, Codable, Equatable {
  public var model: String
  public var instructionSet: String
  public var latency: Latency

  public static func run(
    model path: String, batchSize: Int, options: MeasurementOptions = MeasurementOptions()
  ) throws -> BenchReport {
    let graph = try ModelFile.readGraph(path, for: "bench")
    return BenchReport(
      model: path, instructionSet: MachineText.instructionSet,
      latency: try Latency.measure(graph, name: path, batchSize: batchSize, options: options))
  }

  public func text() -> String {
    let perSample = latency.medianSeconds / Double(max(latency.batchSize, 1))
    return """
      \(model): batch \(latency.batchSize), \(latency.threads) threads, \(instructionSet)
      median \(NumberText.seconds(latency.medianSeconds)), 95th percentile \
      \(NumberText.seconds(latency.percentile95Seconds)), \(latency.runs) runs
      \(NumberText.count(perSample > 0 ? Int(1 / perSample) : 0)) samples/s

      """
  }
}
